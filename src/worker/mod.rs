//! One worker per provider and server thread: it alone owns the provider's client and connections.
//!
//! Callers hold a [`WorkerHandle`], pass it an [`UpstreamRequest`] and get an [`UpstreamResponse`],
//! whose body stays on the same thread. A call runs in the caller's own future instead of a task
//! with a mailbox; the queue for slots takes the mailbox's place. A caller that leaves cancels its
//! call at any point.

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

/// The response to a call.
pub struct UpstreamResponse {
    /// The number of attempts that were made.
    pub attempts: u32,
    /// Headers that are passed on from the provider.
    pub headers: Headers,
    /// The body.
    pub content: UpstreamBody,
}

/// A request, and what the worker needs to know about it.
#[derive(Clone, Copy)]
pub struct Call<'c> {
    /// The request.
    pub request: &'c UpstreamRequest,
    /// How the response is decoded.
    pub decoder: ResponseDecoder,
    /// The number of attempts that were made with another form of the same request.
    pub prior_attempts: u32,
}

/// The handle to a worker. Cheap to clone.
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
    /// Starts the worker of one provider on this thread. `admission` is shared with the provider's
    /// workers on the other threads, so that a limit holds for all of them together.
    ///
    /// # Errors
    /// A message if the configured host cannot be connected to at all.
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

    /// The provider of this worker.
    #[must_use]
    pub fn provider(&self) -> &'static Provider {
        self.0.provider
    }

    /// The models whose circuits are not closed, sorted.
    #[must_use]
    pub fn failing(&self) -> Vec<String> {
        self.0.admission.failing()
    }

    /// The load and the circuit of the provider, over all threads.
    #[must_use]
    pub fn state(&self) -> WorkerStatus {
        self.0.admission.state()
    }

    /// Makes a call: waits for a slot, makes an attempt, and retries where that is safe.
    ///
    /// # Errors
    /// Why there is no response.
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
                    // The provider's own error says more than the refusal to call it again now.
                    let made = schedule.attempts() - 1;
                    let failure = last.unwrap_or_else(|| CallError::new(error, Retry::Never));
                    return Err(self.exhausted(failure, made));
                }
            };
            // The cause that broke one idle connection may have broken them all.
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

    /// The pause before the next attempt; `None` if there is none.
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

    /// Waits for a slot, then asks the circuit, which may have opened during the wait.
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

    /// Makes one attempt and counts it, however it ends.
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

    /// The error of a call that is not retried. It keeps the client's SDK from retrying, unless the
    /// provider said when to.
    fn exhausted(&self, mut failure: CallError, attempts: u32) -> CallError {
        let retry = failure.retry != Retry::Never;
        let told = failure.headers.has_any("retry-after");
        // A provider's `x-should-retry: true` is meant for the gateway.
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

/// A model's name for the log; the empty name stands for the list of models.
fn named(model: &str) -> &str {
    if model.is_empty() { "its list" } else { model }
}

/// The provider's own id of a response.
fn upstream_id(headers: &Headers) -> Option<&str> {
    headers.get("x-upstream-request-id")
}

/// A random number from 0 to 1.
fn jitter() -> f64 {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(random) / f64::from(u32::MAX)
}
