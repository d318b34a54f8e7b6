//! A stream to the client that is decoded from one dialect and encoded in another. It ends with its
//! last event or with an error event.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use tokio::time::Sleep;

use super::observer::{CallObserver, too_much};
use super::redaction::Redactor;
use super::stream_work::{LINGER, Work, work_on};
use crate::codec::{json, sse};
use crate::dialect::hub::{Contract, Event, ReasoningCollector, ReasoningState, Usage};
use crate::dialect::{StreamDecoder, StreamEncoder};
use crate::error::Error;
use crate::offload::LARGE;
use crate::secret::Secret;
use crate::worker::UpstreamEvents;

/// The state of a translation. It moves to another thread for a large chunk.
struct Translation {
    provider: &'static str,
    /// Maximum number of bytes of the stream that may be buffered.
    limit: usize,
    from: Box<dyn StreamDecoder>,
    to: Box<dyn StreamEncoder>,
    redactor: Redactor,
    /// Collects the reasoning that the provider needs back; `None` if it needs none.
    kept: Option<ReasoningCollector>,
    contract: Contract,
    steps: Vec<Event>,
}

/// What arrives of the provider's stream.
enum Input {
    Events(Bytes),
    Failed(Error),
    End,
}

/// What a translation gives for one input.
#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    usage: Option<Usage>,
    /// Ids of the tool calls, and the reasoning that the provider needs back with them.
    kept: Option<(Vec<String>, ReasoningState)>,
    error: Option<Error>,
    /// Whether the last event was written.
    done: bool,
}

impl Translation {
    fn decode(&mut self, input: Input) {
        match input {
            Input::Events(events) => {
                // A lone surrogate would make an event unreadable.
                let whole = std::str::from_utf8(&events).ok();
                let whole = whole.and_then(json::without_lone_surrogates);
                let events = whole.map_or(events, Bytes::from);
                // The key must not get into derived data such as sealed reasoning.
                let events = self.redactor.of_provider(events);
                for event in sse::events(&events) {
                    self.from.push(&event, &mut self.steps);
                }
                if let Some(error) = too_much(self.from.held(), self.limit, self.provider) {
                    self.steps.push(Event::Failed(error));
                }
            }
            Input::Failed(error) => self.steps.push(Event::Failed(error)),
            Input::End => self.from.finish(&mut self.steps),
        }
    }

    /// About how many bytes the encoder writes of what it buffered: an encoder repeats it where
    /// something ends, and not for a delta.
    fn repeated(&self) -> usize {
        let is_delta = |step: &Event| {
            matches!(
                step,
                Event::Text(_)
                    | Event::Reasoning(_)
                    | Event::Refusal(_)
                    | Event::Arguments { .. }
                    | Event::Usage(_)
                    | Event::Ping
            )
        };
        if self.steps.iter().all(is_delta) {
            return 0;
        }
        self.to.held()
    }

    /// Encodes the events that were decoded.
    fn encode(&mut self) -> Output {
        let mut out = Output::default();
        for mut step in self.steps.drain(..) {
            let held = self.from.held().saturating_add(self.to.held());
            if !matches!(step, Event::Failed(_)) {
                if let Some(error) = too_much(held, self.limit, self.provider) {
                    step = Event::Failed(error);
                } else if let Err(reason) = self.contract.check(&step) {
                    step = Event::Failed(Error::InvalidUpstreamResponse {
                        provider: self.provider,
                        reason: reason.to_owned(),
                    });
                }
            }
            if let Some(keeping) = &mut self.kept {
                keeping.see(&step);
            }
            match &mut step {
                Event::Usage(usage) => out.usage = Some(*usage),
                Event::End => {
                    out.done = true;
                    out.kept = self.kept.take().and_then(|mut keeping| keeping.whole());
                }
                Event::Failed(error) => {
                    out.done = true;
                    if let Error::Provider(theirs) = error {
                        self.redactor.error(theirs);
                    }
                    out.error = Some(error.clone());
                }
                _ => {}
            }
            self.to.push(step, &mut out.bytes);
            if out.done {
                break;
            }
        }
        out
    }
}

/// A stream that is decoded from one dialect and encoded in another.
pub(super) struct TranslatedStream {
    events: Box<UpstreamEvents>,
    /// `None` while it is on another thread.
    translation: Option<Box<Translation>>,
    work: Option<Work<Translation, Output>>,
    observer: CallObserver,
    /// Whether the provider's stream ended.
    at_end: bool,
    done: bool,
    linger: Option<Pin<Box<Sleep>>>,
}

impl TranslatedStream {
    pub(super) fn new(
        events: Box<UpstreamEvents>,
        from: Box<dyn StreamDecoder>,
        to: Box<dyn StreamEncoder>,
        key: Secret,
        observer: CallObserver,
        keeps_reasoning: bool,
    ) -> Self {
        let translation = Translation {
            provider: observer.provider,
            limit: observer.limit,
            from,
            to,
            redactor: Redactor::new(key),
            kept: keeps_reasoning.then(ReasoningCollector::default),
            contract: Contract::default(),
            steps: Vec::new(),
        };
        Self {
            events,
            translation: Some(Box::new(translation)),
            work: None,
            observer,
            at_end: false,
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

    /// The next input.
    fn input(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        if self.observer.is_over() {
            return Poll::Ready(Input::Failed(Error::ShuttingDown));
        }
        Pin::new(&mut *self.events)
            .poll_next(cx)
            .map(|polled| match polled {
                Some(Ok(events)) => Input::Events(events),
                Some(Err(error)) => Input::Failed(error),
                None => Input::End,
            })
    }

    /// Translates an input, or lets another thread do it where that takes long.
    fn translate(&mut self, mut translation: Box<Translation>, input: Input) -> Option<Output> {
        self.at_end = matches!(input, Input::End);
        if let Input::Events(events) = &input
            && events.len() > LARGE
        {
            let length = events.len();
            self.work = Some(work_on(length, translation, |translation| {
                translation.decode(input);
                translation.encode()
            }));
            return None;
        }
        translation.decode(input);
        let repeated = translation.repeated();
        if repeated > LARGE {
            self.work = Some(work_on(repeated, translation, Translation::encode));
            return None;
        }
        let output = translation.encode();
        self.translation = Some(translation);
        Some(output)
    }

    /// Notes what a translation found, and gives the bytes for the client.
    fn note(&mut self, output: Output) -> Bytes {
        self.observer.used(output.usage);
        // The reasoning must be stored before the client can send the next request.
        self.observer.keep(output.kept);
        if let Some(error) = output.error {
            self.observer.broken(error.gateway_code());
            log::warn!("{}: a stream failed: {error}", self.observer.provider());
        }
        self.done = output.done || self.at_end;
        output.bytes.into()
    }
}

impl Stream for TranslatedStream {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = self.get_mut();
        while !this.done {
            let output = if let Some(work) = &mut this.work {
                let Poll::Ready((translation, output)) = work.as_mut().poll(cx) else {
                    return Poll::Pending;
                };
                this.work = None;
                this.translation = Some(translation);
                output
            } else {
                let Poll::Ready(input) = this.input(cx) else {
                    return Poll::Pending;
                };
                let Some(translation) = this.translation.take() else {
                    return Poll::Ready(None);
                };
                match this.translate(translation, input) {
                    Some(output) => output,
                    None => continue,
                }
            };
            let out = this.note(output);
            if !out.is_empty() {
                return Poll::Ready(Some(out));
            }
            if this.at_end {
                return Poll::Ready(None);
            }
        }
        this.read_out(cx)
    }
}
