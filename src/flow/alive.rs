//! The first-event gate, and what keeps a stream from looking dead.
//!
//! The status of a stream is decided by its first event, so that an error which comes first is one
//! of HTTP. But nothing between may wait for it for ever: after one keepalive interval the status
//! is 200, comments follow, and what goes wrong from then on is an event of the stream.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, timeout};

use super::ask::Ask;
use super::plan::{Answer, Plan};
use super::{AppState, Content, Refused, Reply};
use crate::alarm::Alarm;
use crate::drain::{Drain, Stage};
use crate::error::Error;
use crate::meter::{Meter, Tally};

/// A comment, which clients pass over: WHATWG HTML, section 9.2.6.
const KEEPALIVE: &[u8] = b": keepalive\n\n";

type Called = Pin<Box<dyn Future<Output = Result<Reply, Refused>>>>;

type Events = Pin<Box<dyn Stream<Item = Bytes>>>;

/// Carries out a plan: gives a whole answer when it is there, a stream when its first event is
/// there or after one keepalive interval.
///
/// # Errors
/// Why there is no answer.
pub(super) async fn carry_out(plan: Plan, state: Rc<AppState>, ask: Ask) -> Result<Reply, Refused> {
    ask.tally.target(&plan.model, plan.provider, plan.stream);
    let keepalive = state.config.keepalive;
    if !plan.stream {
        // On the heap: it is large, and what holds it is moved.
        return Box::pin(plan.carry_out(&state, &ask)).await;
    }
    let provider = plan.provider;
    let told = plan.told();
    let failing = Failing {
        provider: provider.name,
        answer: plan.answer.clone(),
        meter: Arc::clone(&state.meter),
        tally: Rc::clone(&ask.tally),
        drain: state.drain.clone(),
    };
    let mut call: Called = Box::pin(async move { plan.carry_out(&state, &ask).await });
    let patience = if keepalive.is_zero() {
        Duration::MAX
    } else {
        keepalive
    };
    match timeout(patience, call.as_mut()).await {
        Ok(answered) => {
            let mut reply = answered?;
            if let Content::Events(events) = reply.content {
                let alive = Alive::new(From::Events(events), keepalive, Instant::now());
                reply.content = Content::Events(Box::pin(alive));
            }
            Ok(reply)
        }
        Err(_) => {
            let from = From::Call(call, Box::new(failing));
            // The first comment is due with the status.
            let alive = Alive::new(from, keepalive, Instant::now() - keepalive);
            Ok(Reply {
                provider,
                attempts: 1,
                headers: told,
                content: Content::Events(Box::pin(alive)),
            })
        }
    }
}

/// How a stream fails whose answer never came.
struct Failing {
    provider: &'static str,
    answer: Answer,
    meter: Arc<Meter>,
    tally: Rc<Tally>,
    drain: Drain,
}

impl Failing {
    fn event(&self, error: &Error) -> Bytes {
        self.tally.failed(error.class());
        self.meter.broken(self.provider, error.class());
        log::warn!(
            "{}: a stream failed before its first event: {error}",
            self.provider
        );
        Bytes::from(self.answer.failure(self.provider, error))
    }
}

/// Where the events come from.
enum From {
    /// A call whose answer is not there yet.
    Call(Called, Box<Failing>),
    /// Its events.
    Events(Events),
    /// Nothing more comes.
    Over,
}

/// A stream in which a comment follows each interval of silence. Its items end where events end,
/// so that a comment never falls into one.
struct Alive {
    from: From,
    /// Zero: no comments.
    interval: Duration,
    /// When something was last sent.
    last: Instant,
    alarm: Alarm,
}

impl Alive {
    fn new(from: From, interval: Duration, last: Instant) -> Self {
        Self {
            from,
            interval,
            last,
            alarm: Alarm::default(),
        }
    }

    /// Something to send, or the end.
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match &mut self.from {
                From::Over => return Poll::Ready(None),
                From::Events(events) => return events.as_mut().poll_next(cx),
                From::Call(call, failing) => {
                    let error = match call.as_mut().poll(cx) {
                        Poll::Ready(Ok(Reply {
                            content: Content::Events(events),
                            ..
                        })) => {
                            self.from = From::Events(events);
                            continue;
                        }
                        Poll::Ready(Ok(Reply {
                            content: Content::Json(_),
                            ..
                        })) => Error::BadAnswer {
                            provider: failing.provider,
                            reason: "it is one object, where a stream was asked for".to_owned(),
                        },
                        Poll::Ready(Err(refused)) => refused.error,
                        Poll::Pending if failing.drain.is_at(Stage::Ending) => Error::ShuttingDown,
                        Poll::Pending => return Poll::Pending,
                    };
                    let event = failing.event(&error);
                    self.from = From::Over;
                    return Poll::Ready(Some(event));
                }
            }
        }
    }

    fn is_silent(&mut self, cx: &mut Context<'_>) -> bool {
        !self.interval.is_zero() && self.alarm.is_due(self.last + self.interval, cx)
    }
}

impl Stream for Alive {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = self.get_mut();
        match this.next(cx) {
            Poll::Ready(Some(bytes)) => {
                this.last = Instant::now();
                Poll::Ready(Some(bytes))
            }
            Poll::Pending if this.is_silent(cx) => {
                this.last = Instant::now();
                Poll::Ready(Some(Bytes::from_static(KEEPALIVE)))
            }
            other => other,
        }
    }
}
