//! A stream to the client that is relayed in the provider's dialect. It ends with its last event or
//! with an error event.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use tokio::time::Sleep;

use super::observer::CallObserver;
use super::redaction::Redactor;
use super::stream_work::{LINGER, Work, work_on};
use crate::dialect::Relay;
use crate::error::Error;
use crate::offload::LARGE;
use crate::secret::Secret;
use crate::worker::UpstreamEvents;

/// What a chunk passes through. It moves to another thread for a large one.
struct Passage {
    relay: Box<dyn Relay>,
    redactor: Redactor,
}

impl Passage {
    fn pass(&mut self, events: Bytes) -> Bytes {
        self.relay.pass(self.redactor.of_provider(events))
    }
}

/// A stream that is relayed in its own dialect, each event as soon as it arrives.
pub(super) struct RelayedStream {
    events: Box<UpstreamEvents>,
    /// `None` while it is on another thread.
    passage: Option<Box<Passage>>,
    work: Option<Work<Passage, Bytes>>,
    observer: CallObserver,
    done: bool,
    linger: Option<Pin<Box<Sleep>>>,
}

impl RelayedStream {
    pub(super) fn new(
        events: Box<UpstreamEvents>,
        relay: Box<dyn Relay>,
        key: Secret,
        observer: CallObserver,
    ) -> Self {
        let redactor = Redactor::new(key);
        Self {
            events,
            passage: Some(Box::new(Passage { relay, redactor })),
            work: None,
            observer,
            done: false,
            linger: None,
        }
    }

    /// Whether the response is complete and the provider had time to end the body as well.
    fn is_over(&mut self, passage: &Passage, cx: &mut Context<'_>) -> bool {
        if !passage.relay.is_complete() {
            return false;
        }
        self.events.leave_slot();
        let linger = self
            .linger
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        linger.as_mut().poll(cx).is_ready()
    }

    fn fail(&mut self, passage: &mut Passage, error: &Error) -> Bytes {
        self.done = true;
        self.observer.broken(error.gateway_code());
        log::warn!("{}: a stream failed: {error}", self.observer.provider());
        let said = Bytes::from(passage.relay.failure(error));
        passage.redactor.events(said)
    }

    /// Handles the end of the provider's stream.
    fn finish(
        &mut self,
        passage: &mut Passage,
        clean: bool,
        error: Option<Error>,
    ) -> Option<Bytes> {
        match passage.relay.end(clean) {
            Ok(rest) => {
                self.done = true;
                self.observer.keep(passage.relay.kept());
                (!rest.is_empty()).then(|| passage.redactor.events(Bytes::from(rest)))
            }
            Err(cut) => Some(self.fail(passage, &error.unwrap_or(cut))),
        }
    }

    /// Handles what passed; `None` if there is nothing for the client.
    fn passed(&mut self, passage: &mut Passage, out: Bytes) -> Option<Bytes> {
        if passage.relay.failure_code().is_none()
            && let Some(error) = self.observer.too_much(passage.relay.held())
        {
            return Some(self.fail(passage, &error));
        }
        // The reasoning must be stored before the client can send the next request.
        self.observer.keep(passage.relay.kept());
        if let Some(code) = passage.relay.failure_code() {
            self.done = true;
            self.observer.broken(code);
            log::warn!("{}: a stream failed: {code}", self.observer.provider());
        }
        (!out.is_empty()).then_some(out)
    }

    /// Takes the next step of the stream.
    fn step(&mut self, passage: &mut Box<Passage>, cx: &mut Context<'_>) -> RelayStep {
        if self.observer.is_over() {
            return RelayStep::Out(self.finish(passage, false, Some(Error::ShuttingDown)));
        }
        if self.is_over(passage, cx) {
            return RelayStep::Out(self.finish(passage, true, None));
        }
        match Pin::new(&mut *self.events).poll_next(cx) {
            Poll::Pending => RelayStep::Wait,
            Poll::Ready(Some(Ok(events))) if events.len() > LARGE => RelayStep::Large(events),
            Poll::Ready(Some(Ok(events))) => {
                let out = passage.pass(events);
                RelayStep::Out(self.passed(passage, out))
            }
            Poll::Ready(Some(Err(error))) => {
                RelayStep::Out(self.finish(passage, false, Some(error)))
            }
            Poll::Ready(None) => RelayStep::Out(self.finish(passage, true, None)),
        }
    }
}

/// What comes next in a stream.
enum RelayStep {
    /// Nothing yet.
    Wait,
    /// Bytes for the client, if any.
    Out(Option<Bytes>),
    /// Events for another thread.
    Large(Bytes),
}

impl Stream for RelayedStream {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = self.get_mut();
        while !this.done {
            if let Some(work) = &mut this.work {
                let Poll::Ready((mut passage, out)) = work.as_mut().poll(cx) else {
                    return Poll::Pending;
                };
                this.work = None;
                let out = this.passed(&mut passage, out);
                this.passage = Some(passage);
                if out.is_some() {
                    return Poll::Ready(out);
                }
                continue;
            }
            let Some(mut passage) = this.passage.take() else {
                return Poll::Ready(None);
            };
            match this.step(&mut passage, cx) {
                RelayStep::Large(events) => {
                    let length = events.len();
                    this.work = Some(work_on(length, passage, |passage| passage.pass(events)));
                }
                RelayStep::Wait => {
                    this.passage = Some(passage);
                    return Poll::Pending;
                }
                RelayStep::Out(out) => {
                    this.passage = Some(passage);
                    if out.is_some() {
                        return Poll::Ready(out);
                    }
                }
            }
        }
        Poll::Ready(None)
    }
}

impl Drop for RelayedStream {
    fn drop(&mut self) {
        let Some(passage) = &self.passage else { return };
        if let Some(code) = passage.relay.provider_error_code() {
            self.observer.broken(code);
        }
        self.observer.repaired(passage.relay.repaired());
        self.observer.used(passage.relay.usage());
    }
}
