//! One worker per provider and server thread: the actor that alone owns the provider's client and
//! connections, its limits and its health.
//!
//! Others hold a [`WorkerHandle`], hand it a [`UpstreamRequest`] and get a [`UpstreamResponse`], whose body stays on the same
//! thread. The call runs in the caller's own future, not in a task behind a mailbox: the line
//! before the gate is the mailbox. A call is so admitted or refused before anything is queued,
//! and a caller that leaves takes its call along, wherever that is.

mod admission;
mod breaker;
mod events;
mod retry_budget;

use std::borrow::Cow;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};

pub use admission::{AdmissionControl, WorkerStatus};
pub use breaker::Circuit;
pub use events::UpstreamEvents;

use crate::codec::Spliced;
use crate::config::{Config, ProviderConfig};
use crate::dialect::{DecodedBody, ResponseDecoder, redact_error};
use crate::error::{Error, ProviderError};
use crate::offload;
use crate::providers::Provider;
use crate::secret::{CallerId, Secret};
use crate::telemetry::{CLIENT_CLOSED_REASON, Metrics, RequestRecord};
use crate::upstream::{
    AttemptError, AttemptRequest, AttemptResponse, Body, BodyError, Client, Deadline, Headers,
    MIN_ATTEMPT_TIME, Method, Retry, RetryPolicy, RetrySchedule, Tls,
};
use admission::Permit;
use breaker::{Outcome, Ticket};

/// A request to the worker's provider.
pub struct UpstreamRequest {
    /// How.
    pub method: Method,
    /// The path and query after the base URL.
    pub path: Cow<'static, str>,
    /// The model, whose circuit it is; empty for a call about none.
    pub model: Arc<str>,
    /// The JSON text.
    pub body: Spliced,
    /// The key.
    pub key: Secret,
    /// Who calls. Slots, circuits, retries and connections are counted and kept by caller.
    pub caller: CallerId,
    /// Whether a stream of events is expected.
    pub stream: bool,
    /// Headers of the client that the provider is given.
    pub headers: Vec<(&'static str, String)>,
    /// When the answer, or the first event of a stream, must be there.
    pub deadline: Deadline,
    /// The record of the request that it is made for.
    pub record: Option<Rc<RequestRecord>>,
    /// How its answer is read.
    pub decoder: ResponseDecoder,
    /// Attempts that were made at another form of the same request.
    pub prior_attempts: u32,
}

/// The answer to a call.
pub struct UpstreamResponse {
    /// Attempts it took.
    pub attempts: u32,
    /// Headers of the provider that the client is given.
    pub headers: Headers,
    /// The answer.
    pub content: UpstreamBody,
}

/// The body of an answer.
pub enum UpstreamBody {
    /// All of it: JSON, and what was found of it.
    Whole(Bytes, DecodedBody),
    /// A stream, whose first events are there.
    Events(Box<UpstreamEvents>),
}

/// A call that failed for good.
#[derive(Debug, Clone)]
pub struct UpstreamError {
    /// Why.
    pub error: Error,
    /// Attempts that were made.
    pub attempts: u32,
    /// Headers of the provider that the client is given.
    pub headers: Headers,
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
                max_retries: config.max_retries,
                base_delay: config.retry_base_delay,
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
    pub async fn call(&self, call: &UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
        self.0.call(call).await
    }
}

impl Worker {
    async fn call(&self, call: &UpstreamRequest) -> Result<UpstreamResponse, UpstreamError> {
        if call.prior_attempts == 0 {
            self.admission.deposit(call.caller);
        }
        let mut schedule = RetrySchedule::new(self.policy, call.prior_attempts);
        let mut last: Option<AttemptError> = None;
        loop {
            let (permit, ticket) = match self.enter(call, last.is_some()).await {
                Ok(entered) => entered,
                Err(error) => {
                    // What the provider said is worth more than that it is not asked again now.
                    let made = schedule.attempts() - 1;
                    let failure = last.unwrap_or_else(|| AttemptError::new(error, Retry::Never));
                    return Err(exhausted(failure, made));
                }
            };
            // Whatever broke one idle connection may have broken them all.
            let broke = |failure: &AttemptError| matches!(failure.error, Error::Unreachable { .. });
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
                    let left = call.deadline.left();
                    let pause = self.pause(call.caller, &mut schedule, failure.retry, left);
                    let Some(pause) = pause else {
                        return Err(exhausted(failure, made));
                    };
                    log::debug!(
                        "{}: attempt {made} failed ({}), again in {} ms",
                        self.provider.name,
                        failure.error.class(),
                        pause.as_millis()
                    );
                    last = Some(failure);
                    let _paused = WaitTimer::new(call, RequestRecord::paused);
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
    async fn enter(&self, call: &UpstreamRequest, retry: bool) -> Result<(Permit, Ticket), Error> {
        let provider = self.provider.name;
        let (permit, waited) =
            match self.admission.try_enter(call.caller) {
                Some(permit) => (permit, false),
                None => {
                    let timed = WaitTimer::new(call, RequestRecord::waited);
                    let until = call.deadline.at.min(timed.begun + self.config.wait_timeout);
                    let permit = self.admission.enter(call.caller, until).await.ok_or(
                        Error::Overloaded {
                            provider,
                            retry_after: admission::RETRY_AFTER,
                        },
                    )?;
                    (permit, true)
                }
            };
        if (waited || retry) && call.deadline.left() < MIN_ATTEMPT_TIME {
            return Err(call.deadline.missed(provider));
        }
        let ticket = self
            .admission
            .admit(call.caller, &call.model, || call.body.fingerprint())
            .map_err(|retry_after| Error::CircuitOpen {
                provider,
                retry_after,
            })?;
        Ok((permit, ticket))
    }

    /// Makes an attempt, and counts it however it ends.
    async fn counted(
        &self,
        call: &UpstreamRequest,
        permit: Permit,
        ticket: Ticket,
        force_new_connection: bool,
    ) -> Result<(Headers, UpstreamBody), AttemptError> {
        let mut counted = AttemptCounter {
            metrics: &self.metrics,
            provider: self.provider.name,
            word: CLIENT_CLOSED_REASON,
        };
        let traceparent = call.record.as_ref().and_then(|record| record.attempt());
        let traceparent = traceparent.as_deref();
        let ended = self
            .attempt(call, permit, traceparent, force_new_connection)
            .await;
        let outcome = match &ended {
            Ok((headers, _)) => {
                counted.word = "ok";
                if let Some(record) = &call.record {
                    record.first();
                    record.upstream_id(upstream_id(headers));
                }
                Outcome::Answered
            }
            Err(failure) => {
                counted.word = failure.error.class();
                if let Some(record) = &call.record {
                    record.attempt_failed(counted.word);
                    record.upstream_id(upstream_id(&failure.headers));
                }
                failure.outcome()
            }
        };
        let changed = self
            .admission
            .ended(call.caller, &call.model, ticket, outcome, || {
                call.body.fingerprint()
            });
        match changed {
            None => {}
            Some(Circuit::Closed) => {
                log::info!(
                    "{}: {} answers again",
                    self.provider.name,
                    named(&call.model)
                );
            }
            Some(Circuit::Open | Circuit::HalfOpen) => log::warn!(
                "{}: too many of one caller's attempts at {} fail ({}); of its calls one every {} ms is let through",
                self.provider.name,
                named(&call.model),
                counted.word,
                self.config.breaker.open.as_millis()
            ),
        }
        ended
    }

    async fn attempt(
        &self,
        call: &UpstreamRequest,
        permit: Permit,
        traceparent: Option<&str>,
        force_new_connection: bool,
    ) -> Result<(Headers, UpstreamBody), AttemptError> {
        let outgoing = AttemptRequest {
            method: call.method,
            path: &call.path,
            body: call.body.clone(),
            key: &call.key,
            caller: call.caller,
            stream: call.stream,
            headers: &call.headers,
            request_id: call.record.as_ref().map(|record| record.id_bytes()),
            traceparent,
            decoder: call.decoder,
            force_new_connection,
        };
        let AttemptResponse {
            events,
            headers,
            mut body,
        } = self.client.attempt(&outgoing, &call.deadline).await?;
        let content = if events {
            UpstreamBody::Events(Box::new(self.first_events(call, body, permit).await?))
        } else {
            let (body, found) = self.whole(call, &mut body).await?;
            UpstreamBody::Whole(body, found)
        };
        Ok((headers, content))
    }

    async fn whole(
        &self,
        call: &UpstreamRequest,
        body: &mut Body,
    ) -> Result<(Bytes, DecodedBody), AttemptError> {
        let provider = self.provider.name;
        let bad = |reason: &str| {
            let error = Error::InvalidUpstreamResponse {
                provider,
                reason: reason.to_owned(),
            };
            // It was written, and so billed.
            AttemptError::new(error, Retry::Never)
        };
        let mut reading = pin!(body.whole(self.config.max_answer));
        // It usually came with its head; then no timer is needed.
        let read = match reading.as_mut().now_or_never() {
            Some(read) => Ok(read),
            None => timeout_at(call.deadline.at, reading).await,
        };
        let whole = match read {
            Err(_) => {
                return Err(AttemptError::new(
                    call.deadline.missed(provider),
                    Retry::Never,
                ));
            }
            Ok(Err(BodyError::Cut)) => return Err(bad("it was cut off")),
            Ok(Err(BodyError::Malformed)) => return Err(bad("its framing is wrong")),
            Ok(Err(BodyError::TooLong)) => return Err(bad("it is too long")),
            Ok(Ok(whole)) => whole,
        };
        let (decoder, body) = (call.decoder, whole.clone());
        match offload::work_on(whole.len(), move || decoder.decode(&body)).await {
            DecodedBody::NoJson => Err(bad("it is no JSON")),
            DecodedBody::Error(error) => Err(hidden(error, &call.key)),
            // It was begun, and so billed.
            DecodedBody::Broken(mut error) => {
                redact_error(&mut error, &call.key);
                Err(AttemptError::new(
                    Error::Provider(Box::new(error)),
                    Retry::Never,
                ))
            }
            found => Ok((whole, found)),
        }
    }

    async fn first_events(
        &self,
        call: &UpstreamRequest,
        body: Body,
        permit: Permit,
    ) -> Result<UpstreamEvents, AttemptError> {
        let mut events =
            UpstreamEvents::new(self.provider, body, permit, self.config.idle_timeout());
        match events.fill(call.deadline.at).await {
            Err(None) => {
                let error = call.deadline.missed(self.provider.name);
                Err(AttemptError::new(error, Retry::Never))
            }
            Err(Some(error)) => Err(AttemptError::new(error, Retry::Never)),
            Ok(()) => match call.decoder.decode_stream_error(events.first()) {
                Some(error) => Err(hidden(error, &call.key)),
                None => Ok(events),
            },
        }
    }
}

/// Times what a call waits for, however that ends.
struct WaitTimer<'c> {
    record: Option<&'c RequestRecord>,
    begun: Instant,
    into: fn(&RequestRecord, Duration),
}

impl<'c> WaitTimer<'c> {
    fn new(call: &'c UpstreamRequest, into: fn(&RequestRecord, Duration)) -> Self {
        Self {
            record: call.record.as_deref(),
            begun: Instant::now(),
            into,
        }
    }
}

impl Drop for WaitTimer<'_> {
    fn drop(&mut self) {
        if let Some(record) = self.record {
            (self.into)(record, self.begun.elapsed());
        }
    }
}

/// Counts an attempt when it is over. A call that is dropped was left by its client.
struct AttemptCounter<'m> {
    metrics: &'m Metrics,
    provider: &'static str,
    word: &'static str,
}

impl Drop for AttemptCounter<'_> {
    fn drop(&mut self) {
        self.metrics.attempt(self.provider, self.word);
    }
}

impl AttemptError {
    /// What a circuit makes of it.
    fn outcome(&self) -> Outcome {
        match &self.error {
            _ if self.counts_as_failure => Outcome::Failed,
            // It refused a request, and so it answers.
            Error::Provider(theirs) if theirs.status < 500 => Outcome::Answered,
            _ => Outcome::Unknown,
        }
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

/// An error that came with a good status, before anything was passed on.
fn hidden(mut error: ProviderError, key: &Secret) -> AttemptError {
    redact_error(&mut error, key);
    let spent = error.code.as_deref() == Some("insufficient_quota");
    let transient = matches!(error.status, 408 | 429 | 500 | 502 | 503 | 504) && !spent;
    let retry = if transient {
        Retry::Yes { after: None }
    } else {
        Retry::Never
    };
    AttemptError::new(Error::Provider(Box::new(error)), retry)
}

/// A call that could be tried again but will not be: the caller's own client must not start over,
/// unless it was told when.
fn exhausted(mut failure: AttemptError, attempts: u32) -> UpstreamError {
    let retry = failure.retry != Retry::Never;
    let told = failure.headers.has_any("retry-after");
    // That it should be tried again was said to us.
    failure.headers.only("x-should-retry", "false");
    if retry && !(failure.error.status() == 429 && told) {
        failure.headers.push("x-should-retry", "false");
    }
    UpstreamError {
        error: failure.error,
        attempts,
        headers: failure.headers,
    }
}

/// A random number from 0 to 1.
fn jitter() -> f64 {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(random) / f64::from(u32::MAX)
}
