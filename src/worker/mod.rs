//! One worker per provider and server thread: the actor that alone owns the provider's client and
//! connections, its limits and its health.
//!
//! Others hold a [`WorkerHandle`], hand it a [`UpstreamRequest`] and get a [`UpstreamResponse`], whose body stays on the same
//! thread. The call runs in the caller's own future, not in a task behind a mailbox: the line
//! before the gate is the mailbox. A call is so admitted or refused before anything is queued,
//! and a caller that leaves takes its call along, wherever that is.

mod admission;
mod attempt;
mod breaker;
mod events;
mod refusal;
mod retry_budget;
mod timing;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub use admission::{AdmissionControl, WorkerStatus};
pub use attempt::UpstreamBody;
pub use breaker::Circuit;
pub use events::UpstreamEvents;

use crate::config::{Config, ProviderConfig};
use crate::dialect::ResponseDecoder;
use crate::error::Error;
use crate::providers::Provider;
use crate::secret::CallerId;
use crate::telemetry::{Metrics, RequestRecord};
use crate::upstream::{
    AttemptOptions, CallError, Client, Headers, MIN_ATTEMPT_TIME, Retry, RetryPolicy,
    RetrySchedule, Tls, UpstreamRequest,
};
use admission::Permit;
use attempt::Attempt;
use breaker::{Outcome, Ticket};
use timing::{AttemptCounter, WaitTimer};

/// The answer to a call.
pub struct UpstreamResponse {
    /// Attempts it took.
    pub attempts: u32,
    /// Headers of the provider that the client is given.
    pub headers: Headers,
    /// The answer.
    pub content: UpstreamBody,
}

/// A request, and what the worker needs to know about it.
#[derive(Clone, Copy)]
pub struct Call<'c> {
    /// The request.
    pub request: &'c UpstreamRequest,
    /// How the response is decoded.
    pub decoder: ResponseDecoder,
    /// The number of attempts at another form of the same request.
    pub prior_attempts: u32,
}

/// How others reach a worker.
#[derive(Clone)]
pub struct WorkerHandle(Rc<Worker>);

struct Worker {
    provider: &'static Provider,
    client: Client,
    admission: Arc<AdmissionControl>,
    metrics: Arc<Metrics>,
    policy: RetryPolicy,
    config: Arc<Config>,
}

impl WorkerHandle {
    /// Starts the worker of one provider on this thread. `admission` is the provider's, shared with
    /// its workers on the other threads, so that a limit is one number however many there are.
    ///
    /// # Errors
    /// A text where the configured host cannot be connected to at all.
    pub fn start(
        entry: &ProviderConfig,
        config: &Arc<Config>,
        tls: &Tls,
        admission: Arc<AdmissionControl>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, String> {
        Ok(Self(Rc::new(Worker {
            provider: entry.provider,
            client: Client::new(entry, config, tls)?,
            admission,
            metrics,
            policy: RetryPolicy {
                max_retries: config.retries.max_retries,
                base_delay: config.retries.base_delay,
            },
            config: Arc::clone(config),
        })))
    }

    /// Whose worker it is.
    #[must_use]
    pub fn provider(&self) -> &'static Provider {
        self.0.provider
    }

    /// The models whose circuits are not closed, sorted.
    #[must_use]
    pub fn failing(&self) -> Vec<String> {
        self.0.admission.failing()
    }

    /// How the provider is doing, seen from all its workers.
    #[must_use]
    pub fn state(&self) -> WorkerStatus {
        self.0.admission.state()
    }

    /// Makes a call: waits for a slot, tries, tries again where nothing was done.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn call(&self, call: Call<'_>) -> Result<UpstreamResponse, CallError> {
        self.0.call(call).await
    }
}

impl Worker {
    async fn call(&self, call: Call<'_>) -> Result<UpstreamResponse, CallError> {
        let request = call.request;
        if call.prior_attempts == 0 {
            self.admission.deposit(request.caller);
        }
        let mut schedule = RetrySchedule::new(self.policy, call.prior_attempts);
        let mut last: Option<CallError> = None;
        loop {
            let (permit, ticket) = match self.enter(request, last.is_some()).await {
                Ok(entered) => entered,
                Err(error) => {
                    // What the provider said is worth more than that it is not asked again now.
                    let made = schedule.attempts() - 1;
                    let failure = last.unwrap_or_else(|| CallError::new(error, Retry::Never));
                    return Err(self.exhausted(failure, made));
                }
            };
            // Whatever broke one idle connection may have broken them all.
            let broke = |failure: &CallError| matches!(failure.error, Error::Unreachable { .. });
            let force_new_connection = last.as_ref().is_some_and(broke);
            match self
                .counted(call, permit, ticket, force_new_connection)
                .await
            {
                Ok((headers, content)) => {
                    return Ok(UpstreamResponse {
                        attempts: schedule.attempts(),
                        headers,
                        content,
                    });
                }
                Err(failure) => {
                    let made = schedule.attempts();
                    let left = request.deadline.left();
                    let pause = self.pause(request.caller, &mut schedule, failure.retry, left);
                    let Some(pause) = pause else {
                        return Err(self.exhausted(failure, made));
                    };
                    log::debug!(
                        "{}: attempt {made} failed ({}), again in {} ms",
                        self.provider.name,
                        failure.error.gateway_code(),
                        pause.as_millis()
                    );
                    last = Some(failure);
                    let _paused = WaitTimer::new(request, RequestRecord::paused);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// How long until the next attempt; `None` where there is none.
    fn pause(
        &self,
        caller: CallerId,
        schedule: &mut RetrySchedule,
        retry: Retry,
        left: Duration,
    ) -> Option<Duration> {
        let pause = schedule.next(retry, left, jitter())?;
        if self.admission.may_retry(caller) {
            return Some(pause);
        }
        self.metrics.retry_denied(self.provider.name);
        None
    }

    /// Waits for a slot, and asks the circuit once there is one: it may have opened meanwhile.
    async fn enter(
        &self,
        request: &UpstreamRequest,
        retry: bool,
    ) -> Result<(Permit, Ticket), Error> {
        let provider = self.provider.name;
        let (permit, waited) =
            match self.admission.try_enter(request.caller) {
                Some(permit) => (permit, false),
                None => {
                    let timed = WaitTimer::new(request, RequestRecord::waited);
                    let until = request
                        .deadline
                        .at
                        .min(timed.begun + self.config.calls.wait_timeout);
                    let permit = self.admission.enter(request.caller, until).await.ok_or(
                        Error::Overloaded {
                            provider,
                            retry_after: admission::RETRY_AFTER,
                        },
                    )?;
                    (permit, true)
                }
            };
        if (waited || retry) && request.deadline.left() < MIN_ATTEMPT_TIME {
            return Err(request.deadline.missed(provider));
        }
        let ticket = self
            .admission
            .admit(request.caller, &request.model, || {
                request.body.fingerprint()
            })
            .map_err(|retry_after| Error::CircuitOpen {
                provider,
                retry_after,
            })?;
        Ok((permit, ticket))
    }

    /// Makes an attempt, and counts it however it ends.
    async fn counted(
        &self,
        call: Call<'_>,
        permit: Permit,
        ticket: Ticket,
        force_new_connection: bool,
    ) -> Result<(Headers, UpstreamBody), CallError> {
        let request = call.request;
        let mut counted = AttemptCounter::new(&self.metrics, self.provider.name);
        let traceparent = request.record.as_ref().and_then(|record| record.attempt());
        let options = AttemptOptions {
            traceparent: traceparent.as_deref(),
            force_new_connection,
        };
        let attempt = Attempt {
            provider: self.provider,
            client: &self.client,
            config: &self.config,
            decoder: call.decoder,
        };
        let ended = attempt.make(request, options, permit).await;
        let outcome = match &ended {
            Ok((headers, _)) => {
                counted.outcome = "ok";
                if let Some(record) = &request.record {
                    record.first();
                    record.upstream_id(upstream_id(headers));
                }
                Outcome::Answered
            }
            Err(failure) => {
                counted.outcome = failure.error.gateway_code();
                if let Some(record) = &request.record {
                    record.attempt_failed(counted.outcome);
                    record.upstream_id(upstream_id(&failure.headers));
                }
                circuit_outcome(failure)
            }
        };
        let changed = self
            .admission
            .ended(request.caller, &request.model, ticket, outcome, || {
                request.body.fingerprint()
            });
        match changed {
            None => {}
            Some(Circuit::Closed) => {
                log::info!(
                    "{}: {} answers again",
                    self.provider.name,
                    named(&request.model)
                );
            }
            Some(Circuit::Open | Circuit::HalfOpen) => log::warn!(
                "{}: too many of one caller's attempts at {} fail ({}); of its calls one every {} ms is let through",
                self.provider.name,
                named(&request.model),
                counted.outcome,
                self.config.breaker.open.as_millis()
            ),
        }
        ended
    }

    /// The error of a call that will not be tried again. The client's own SDK must not start over,
    /// unless the provider said when.
    fn exhausted(&self, mut failure: CallError, attempts: u32) -> CallError {
        let retry = failure.retry != Retry::Never;
        let told = failure.headers.has_any("retry-after");
        // A provider's `x-should-retry: true` was meant for the gateway.
        failure.headers.only("x-should-retry", "false");
        if retry && !(failure.error.status() == 429 && told) {
            failure.headers.push("x-should-retry", "false");
        }
        failure.attempts = attempts;
        failure.provider = Some(self.provider);
        failure
    }
}

/// What an error means for the circuit.
fn circuit_outcome(failure: &CallError) -> Outcome {
    match &failure.error {
        _ if failure.counts_as_failure => Outcome::Failed,
        // A provider that refuses a request is up.
        Error::Provider(theirs) if theirs.status < 500 => Outcome::Answered,
        _ => Outcome::Unknown,
    }
}

/// A model for the log.
fn named(model: &str) -> &str {
    if model.is_empty() { "its list" } else { model }
}

/// The provider's own id of an answer.
fn upstream_id(headers: &Headers) -> Option<&str> {
    headers.get("x-upstream-request-id")
}

/// A random number from 0 to 1.
fn jitter() -> f64 {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(random) / f64::from(u32::MAX)
}
