//! One worker per provider and server thread: the actor that alone owns the provider's client and
//! connections, its limits and its health.
//!
//! Others hold a [`Handle`], hand it a [`Call`] and get a [`Reply`], whose body stays on the same
//! thread. The call runs in the caller's own future, not in a task behind a mailbox: the line
//! before the gate is the mailbox. A call is so admitted or refused before anything is queued,
//! and a caller that leaves takes its call along, wherever that is.

mod breaker;
mod budget;
mod events;
mod gate;

use std::borrow::Cow;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::time::{Instant, timeout_at};

pub use breaker::Circuit;
pub use events::Events;
pub use gate::{Gate, State};

use crate::codec::Spliced;
use crate::config::{Config, ProviderConfig};
use crate::dialect::{Reads, Whole, clean};
use crate::error::{Error, ProviderError};
use crate::meter::{CLIENT_LEFT_REASON, Meter, Tally};
use crate::offload;
use crate::providers::Provider;
use crate::secret::{CallerId, Secret};
use crate::upstream::{
    Again, Answered, Body, BodyError, Client, Deadline, Failure, Headers, LEAST, Method, Outgoing,
    Policy, Schedule, Tls,
};
use breaker::{Outcome, Ticket};
use gate::Permit;

/// A request to the worker's provider.
pub struct Call {
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
    pub tally: Option<Rc<Tally>>,
    /// How its answer is read.
    pub reads: Reads,
    /// Attempts that were made at another form of the same request.
    pub before: u32,
}

/// The answer to a call.
pub struct Reply {
    /// Attempts it took.
    pub attempts: u32,
    /// Headers of the provider that the client is given.
    pub headers: Headers,
    /// The answer.
    pub content: Content,
}

/// The body of an answer.
pub enum Content {
    /// All of it: JSON, and what was found of it.
    Whole(Bytes, Whole),
    /// A stream, whose first events are there.
    Events(Box<Events>),
}

/// A call that failed for good.
#[derive(Debug, Clone)]
pub struct Failed {
    /// Why.
    pub error: Error,
    /// Attempts that were made.
    pub attempts: u32,
    /// Headers of the provider that the client is given.
    pub headers: Headers,
}

/// How others reach a worker.
#[derive(Clone)]
pub struct Handle(Rc<Worker>);

struct Worker {
    provider: &'static Provider,
    client: Client,
    gate: Arc<Gate>,
    meter: Arc<Meter>,
    policy: Policy,
    config: Arc<Config>,
}

impl Handle {
    /// Starts the worker of one provider on this thread. `gate` is the provider's, shared with
    /// its workers on the other threads, so that a limit is one number however many there are.
    ///
    /// # Errors
    /// A text where the configured host cannot be connected to at all.
    pub fn start(
        entry: &ProviderConfig,
        config: &Arc<Config>,
        tls: &Tls,
        gate: Arc<Gate>,
        meter: Arc<Meter>,
    ) -> Result<Self, String> {
        Ok(Self(Rc::new(Worker {
            provider: entry.provider,
            client: Client::new(entry, config, tls)?,
            gate,
            meter,
            policy: Policy {
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
        self.0.gate.failing()
    }

    /// How the provider is doing, seen from all its workers.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.gate.state()
    }

    /// Makes a call: waits for a slot, tries, tries again where nothing was done.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn call(&self, call: &Call) -> Result<Reply, Failed> {
        self.0.call(call).await
    }
}

impl Worker {
    async fn call(&self, call: &Call) -> Result<Reply, Failed> {
        if call.before == 0 {
            self.gate.earn(call.caller);
        }
        let mut schedule = Schedule::new(self.policy, call.before);
        let mut last: Option<Failure> = None;
        loop {
            let (permit, ticket) = match self.enter(call, last.is_some()).await {
                Ok(entered) => entered,
                Err(error) => {
                    // What the provider said is worth more than that it is not asked again now.
                    let made = schedule.attempts() - 1;
                    let failure = last.unwrap_or_else(|| Failure::new(error, Again::Never));
                    return Err(exhausted(failure, made));
                }
            };
            // Whatever broke one idle connection may have broken them all.
            let broke = |failure: &Failure| matches!(failure.error, Error::Unreachable { .. });
            let anew = last.as_ref().is_some_and(broke);
            match self.counted(call, permit, ticket, anew).await {
                Ok((headers, content)) => {
                    return Ok(Reply {
                        attempts: schedule.attempts(),
                        headers,
                        content,
                    });
                }
                Err(failure) => {
                    let made = schedule.attempts();
                    let left = call.deadline.left();
                    let pause = self.pause(call.caller, &mut schedule, failure.again, left);
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
                    let _paused = Timed::new(call, Tally::paused);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// How long until the next attempt; `None` where there is none.
    fn pause(
        &self,
        caller: CallerId,
        schedule: &mut Schedule,
        again: Again,
        left: Duration,
    ) -> Option<Duration> {
        let pause = schedule.next(again, left, luck())?;
        if self.gate.may_retry(caller) {
            return Some(pause);
        }
        self.meter.retry_denied(self.provider.name);
        None
    }

    /// Waits for a slot, and asks the circuit once there is one: it may have opened meanwhile.
    async fn enter(&self, call: &Call, again: bool) -> Result<(Permit, Ticket), Error> {
        let provider = self.provider.name;
        let (permit, waited) = match self.gate.try_enter(call.caller) {
            Some(permit) => (permit, false),
            None => {
                let timed = Timed::new(call, Tally::waited);
                let until = call.deadline.at.min(timed.begun + self.config.wait_timeout);
                let permit =
                    self.gate
                        .enter(call.caller, until)
                        .await
                        .ok_or(Error::Overloaded {
                            provider,
                            retry_after: gate::RETRY_AFTER,
                        })?;
                (permit, true)
            }
        };
        if (waited || again) && call.deadline.left() < LEAST {
            return Err(call.deadline.missed(provider));
        }
        let ticket = self
            .gate
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
        call: &Call,
        permit: Permit,
        ticket: Ticket,
        anew: bool,
    ) -> Result<(Headers, Content), Failure> {
        let mut counted = Counted {
            meter: &self.meter,
            provider: self.provider.name,
            word: CLIENT_LEFT_REASON,
        };
        let traceparent = call.tally.as_ref().and_then(|tally| tally.attempt());
        let traceparent = traceparent.as_deref();
        let ended = self.attempt(call, permit, traceparent, anew).await;
        let outcome = match &ended {
            Ok((headers, _)) => {
                counted.word = "ok";
                if let Some(tally) = &call.tally {
                    tally.first();
                    tally.upstream_id(upstream_id(headers));
                }
                Outcome::Answered
            }
            Err(failure) => {
                counted.word = failure.error.class();
                if let Some(tally) = &call.tally {
                    tally.attempt_failed(counted.word);
                    tally.upstream_id(upstream_id(&failure.headers));
                }
                failure.outcome()
            }
        };
        let changed = self
            .gate
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
        call: &Call,
        permit: Permit,
        traceparent: Option<&str>,
        anew: bool,
    ) -> Result<(Headers, Content), Failure> {
        let outgoing = Outgoing {
            method: call.method,
            path: &call.path,
            body: call.body.clone(),
            key: &call.key,
            caller: call.caller,
            stream: call.stream,
            headers: &call.headers,
            request_id: call.tally.as_ref().map(|tally| tally.id_bytes()),
            traceparent,
            reads: call.reads,
            anew,
        };
        let Answered {
            events,
            headers,
            mut body,
        } = self.client.attempt(&outgoing, &call.deadline).await?;
        let content = if events {
            Content::Events(Box::new(self.first_events(call, body, permit).await?))
        } else {
            let (body, found) = self.whole(call, &mut body).await?;
            Content::Whole(body, found)
        };
        Ok((headers, content))
    }

    async fn whole(&self, call: &Call, body: &mut Body) -> Result<(Bytes, Whole), Failure> {
        let provider = self.provider.name;
        let bad = |reason: &str| {
            let error = Error::BadAnswer {
                provider,
                reason: reason.to_owned(),
            };
            // It was written, and so billed.
            Failure::new(error, Again::Never)
        };
        let mut reading = pin!(body.whole(self.config.max_answer));
        // It usually came with its head; then no timer is needed.
        let read = match reading.as_mut().now_or_never() {
            Some(read) => Ok(read),
            None => timeout_at(call.deadline.at, reading).await,
        };
        let whole = match read {
            Err(_) => return Err(Failure::new(call.deadline.missed(provider), Again::Never)),
            Ok(Err(BodyError::Cut)) => return Err(bad("it was cut off")),
            Ok(Err(BodyError::Malformed)) => return Err(bad("its framing is wrong")),
            Ok(Err(BodyError::TooLong)) => return Err(bad("it is too long")),
            Ok(Ok(whole)) => whole,
        };
        let (reads, body) = (call.reads, whole.clone());
        match offload::work_on(whole.len(), move || reads.whole(&body)).await {
            Whole::NoJson => Err(bad("it is no JSON")),
            Whole::Error(error) => Err(hidden(error, &call.key)),
            // It was begun, and so billed.
            Whole::Broken(mut error) => {
                clean(&mut error, &call.key);
                Err(Failure::new(Error::Provider(Box::new(error)), Again::Never))
            }
            found => Ok((whole, found)),
        }
    }

    async fn first_events(
        &self,
        call: &Call,
        body: Body,
        permit: Permit,
    ) -> Result<Events, Failure> {
        let mut events = Events::new(self.provider, body, permit, self.config.idle_timeout());
        match events.fill(call.deadline.at).await {
            Err(None) => {
                let error = call.deadline.missed(self.provider.name);
                Err(Failure::new(error, Again::Never))
            }
            Err(Some(error)) => Err(Failure::new(error, Again::Never)),
            Ok(()) => match call.reads.stream_error(events.first()) {
                Some(error) => Err(hidden(error, &call.key)),
                None => Ok(events),
            },
        }
    }
}

/// Times what a call waits for, however that ends.
struct Timed<'c> {
    tally: Option<&'c Tally>,
    begun: Instant,
    into: fn(&Tally, Duration),
}

impl<'c> Timed<'c> {
    fn new(call: &'c Call, into: fn(&Tally, Duration)) -> Self {
        Self {
            tally: call.tally.as_deref(),
            begun: Instant::now(),
            into,
        }
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        if let Some(tally) = self.tally {
            (self.into)(tally, self.begun.elapsed());
        }
    }
}

/// Counts an attempt when it is over. A call that is dropped was left by its client.
struct Counted<'m> {
    meter: &'m Meter,
    provider: &'static str,
    word: &'static str,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.meter.attempt(self.provider, self.word);
    }
}

impl Failure {
    /// What a circuit makes of it.
    fn outcome(&self) -> Outcome {
        match &self.error {
            _ if self.tells => Outcome::Failed,
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
fn hidden(mut error: ProviderError, key: &Secret) -> Failure {
    clean(&mut error, key);
    let spent = error.code.as_deref() == Some("insufficient_quota");
    let transient = matches!(error.status, 408 | 429 | 500 | 502 | 503 | 504) && !spent;
    let again = if transient {
        Again::Yes { after: None }
    } else {
        Again::Never
    };
    Failure::new(Error::Provider(Box::new(error)), again)
}

/// A call that could be tried again but will not be: the caller's own client must not start over,
/// unless it was told when.
fn exhausted(mut failure: Failure, attempts: u32) -> Failed {
    let again = failure.again != Again::Never;
    let told = failure.headers.has_any("retry-after");
    // That it should be tried again was said to us.
    failure.headers.only("x-should-retry", "false");
    if again && !(failure.error.status() == 429 && told) {
        failure.headers.push("x-should-retry", "false");
    }
    Failed {
        error: failure.error,
        attempts,
        headers: failure.headers,
    }
}

/// A random number from 0 to 1.
fn luck() -> f64 {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(random) / f64::from(u32::MAX)
}
