//! Streams to the client, relayed or translated. Each ends with its last event or with an error
//! event.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::time::Sleep;

use super::observer::CallObserver;
use super::redaction::Redactor;
use crate::codec::{json, sse};
use crate::dialect::hub::{Contract, Event, ReasoningCollector};
use crate::dialect::{Relay, StreamDecoder, StreamEncoder};
use crate::error::Error;
use crate::secret::Secret;
use crate::worker::UpstreamEvents;

/// A stream that is relayed in its own dialect, each event as soon as it arrives.
pub(super) struct RelayedStream {
    events: Box<UpstreamEvents>,
    relay: Box<dyn Relay>,
    redactor: Redactor,
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
        Self {
            events,
            relay,
            redactor: Redactor::new(key),
            observer,
            done: false,
            linger: None,
        }
    }

    /// Whether the response is complete and the provider had time to end the body as well.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.relay.is_complete() {
            return false;
        }
        self.events.leave_slot();
        let linger = self
            .linger
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        linger.as_mut().poll(cx).is_ready()
    }

    fn fail(&mut self, error: &Error) -> Poll<Option<Bytes>> {
        self.done = true;
        self.observer.broken(error.gateway_code());
        log::warn!("{}: a stream failed: {error}", self.observer.provider());
        let said = Bytes::from(self.relay.failure(error));
        Poll::Ready(Some(self.redactor.events(said)))
    }

    /// Handles the end of the provider's stream.
    fn finish(&mut self, clean: bool, error: Option<Error>) -> Poll<Option<Bytes>> {
        match self.relay.end(clean) {
            Ok(rest) => {
                self.done = true;
                self.observer.keep(self.relay.kept());
                if rest.is_empty() {
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(self.redactor.events(Bytes::from(rest))))
            }
            Err(cut) => self.fail(&error.unwrap_or(cut)),
        }
    }
}

impl Stream for RelayedStream {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = self.get_mut();
        while !this.done {
            if this.observer.is_over() {
                return this.finish(false, Some(Error::ShuttingDown));
            }
            if this.is_over(cx) {
                return this.finish(true, None);
            }
            let events = match Pin::new(&mut *this.events).poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(events))) => events,
                Poll::Ready(Some(Err(error))) => return this.finish(false, Some(error)),
                Poll::Ready(None) => return this.finish(true, None),
            };
            let out = this.relay.pass(this.redactor.of_provider(events));
            if this.relay.failure_code().is_none()
                && let Some(error) = this.observer.too_much(this.relay.held())
            {
                return this.fail(&error);
            }
            // The reasoning must be stored before the client can send the next request.
            this.observer.keep(this.relay.kept());
            if let Some(code) = this.relay.failure_code() {
                this.done = true;
                this.observer.broken(code);
                log::warn!("{}: a stream failed: {code}", this.observer.provider());
            }
            if !out.is_empty() {
                return Poll::Ready(Some(out));
            }
        }
        Poll::Ready(None)
    }
}

impl Drop for RelayedStream {
    fn drop(&mut self) {
        if let Some(code) = self.relay.provider_error_code() {
            self.observer.broken(code);
        }
        self.observer.repaired(self.relay.repaired());
        self.observer.used(self.relay.usage());
    }
}

/// A stream that is decoded from one dialect and encoded in another.
pub(super) struct TranslatedStream {
    events: Box<UpstreamEvents>,
    from: Box<dyn StreamDecoder>,
    to: Box<dyn StreamEncoder>,
    redactor: Redactor,
    observer: CallObserver,
    /// Collects the reasoning that the provider needs back; `None` if it needs none.
    kept: Option<ReasoningCollector>,
    contract: Contract,
    steps: Vec<Event>,
    done: bool,
    linger: Option<Pin<Box<Sleep>>>,
}

/// How long to wait for the end of a provider's body after its last event, so that the connection
/// can be reused.
const LINGER: Duration = Duration::from_millis(250);

impl TranslatedStream {
    pub(super) fn new(
        events: Box<UpstreamEvents>,
        from: Box<dyn StreamDecoder>,
        to: Box<dyn StreamEncoder>,
        key: Secret,
        observer: CallObserver,
        keeps_reasoning: bool,
    ) -> Self {
        Self {
            events,
            from,
            to,
            redactor: Redactor::new(key),
            observer,
            kept: keeps_reasoning.then(ReasoningCollector::default),
            contract: Contract::default(),
            steps: Vec::new(),
            done: false,
            linger: None,
        }
    }

    /// Reads the body to its end after the last event. The end usually follows at once.
    fn read_out(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.events.leave_slot();
        let linger = self
            .linger
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        loop {
            if linger.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            match Pin::new(&mut *self.events).poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                // Bytes after the last event are not part of the response.
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(None),
            }
        }
    }

    /// Encodes the events that were decoded.
    fn write(&mut self) -> Bytes {
        let mut out = Vec::new();
        for mut step in self.steps.drain(..) {
            let held = self.from.held().saturating_add(self.to.held());
            if !matches!(step, Event::Failed(_)) {
                if let Some(error) = self.observer.too_much(held) {
                    step = Event::Failed(error);
                } else if let Err(reason) = self.contract.check(&step) {
                    step = Event::Failed(Error::InvalidUpstreamResponse {
                        provider: self.observer.provider(),
                        reason: reason.to_owned(),
                    });
                }
            }
            if let Some(keeping) = &mut self.kept {
                keeping.see(&step);
            }
            match &mut step {
                Event::Usage(usage) => self.observer.used(Some(*usage)),
                Event::End => {
                    self.done = true;
                    let kept = self.kept.take().and_then(|mut keeping| keeping.whole());
                    // The reasoning must be stored before the client can send the next request.
                    self.observer.keep(kept);
                }
                Event::Failed(error) => {
                    self.done = true;
                    if let Error::Provider(theirs) = error {
                        self.redactor.error(theirs);
                    }
                    self.observer.broken(error.gateway_code());
                    log::warn!("{}: a stream failed: {error}", self.observer.provider());
                }
                _ => {}
            }
            self.to.push(step, &mut out);
            if self.done {
                break;
            }
        }
        out.into()
    }
}

impl Stream for TranslatedStream {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = self.get_mut();
        while !this.done {
            let polled = if this.observer.is_over() {
                Poll::Ready(Some(Err(Error::ShuttingDown)))
            } else {
                Pin::new(&mut *this.events).poll_next(cx)
            };
            match polled {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(events))) => {
                    // A lone surrogate would make an event unreadable.
                    let whole = std::str::from_utf8(&events).ok();
                    let whole = whole.and_then(json::without_lone_surrogates);
                    let events = whole.map_or(events, Bytes::from);
                    // The key must not get into derived data such as sealed reasoning.
                    let events = this.redactor.of_provider(events);
                    for event in sse::events(&events) {
                        this.from.push(&event, &mut this.steps);
                    }
                    if let Some(error) = this.observer.too_much(this.from.held()) {
                        this.steps.push(Event::Failed(error));
                    }
                }
                Poll::Ready(Some(Err(error))) => this.steps.push(Event::Failed(error)),
                Poll::Ready(None) => {
                    this.from.finish(&mut this.steps);
                    let out = this.write();
                    this.done = true;
                    return Poll::Ready(Some(out).filter(|out| !out.is_empty()));
                }
            }
            let out = this.write();
            if !out.is_empty() {
                return Poll::Ready(Some(out));
            }
        }
        this.read_out(cx)
    }
}
