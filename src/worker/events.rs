//! A provider's stream as whole events, with its slot and its idle timeout.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use serde::de::IgnoredAny;
use tokio::time::Instant;

use super::admission::Permit;
use crate::codec::sse::{self, Framer};
use crate::error::{Error, Phase};
use crate::idle_timer::IdleTimer;
use crate::providers::Provider;
use crate::upstream::{Body, BodyError};

/// Maximum size of an event, in bytes: inline images fit, endless lines do not.
const MAX_EVENT: usize = 32 << 20;

/// How many idle timeouts a provider may send nothing but comments.
const COMMENTS_ONLY: u32 = 10;

/// Maximum size of the comments before the first event that are relayed, in bytes.
const MAX_COMMENTS: usize = 64 << 10;

/// The events of one stream. Each item ends where an event ends. The slot is released when this is
/// dropped.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing that happened or did not, in any order"
)]
pub struct UpstreamEvents {
    provider: &'static Provider,
    body: Body,
    framer: Framer,
    first: Bytes,
    idle: Duration,
    /// When the last event came.
    said: Instant,
    /// When the last byte came; `heard` says whether any did.
    alive: Instant,
    heard: bool,
    idle_timer: IdleTimer,
    /// Whether the first event came; until then `deadline` counts instead of the idle timeout.
    begun: bool,
    /// While the first event is awaited: when the first byte must be there, and how long a silence
    /// after a byte may be.
    deadline: Option<(Instant, Duration)>,
    /// Whether the comments before the first event exceeded their limit, so that they no longer
    /// extend the deadline.
    flooded: bool,
    /// Whether `deadline` was missed.
    late: bool,
    ended: bool,
    permit: Option<Permit>,
}

impl UpstreamEvents {
    pub(super) fn new(
        provider: &'static Provider,
        body: Body,
        permit: Permit,
        idle: Duration,
    ) -> Self {
        Self {
            provider,
            body,
            framer: Framer::new(MAX_EVENT),
            first: Bytes::new(),
            idle,
            said: Instant::now(),
            alive: Instant::now(),
            heard: false,
            idle_timer: IdleTimer::default(),
            begun: false,
            deadline: None,
            flooded: false,
            late: false,
            ended: false,
            permit: Some(permit),
        }
    }

    /// Reads until the first event with data; comments before it are kept. A provider that sends
    /// any byte is alive: the wait then continues past `deadline`, until a silence as long as the
    /// idle timeout (or the time to `deadline` if that is shorter), and for at most
    /// [`COMMENTS_ONLY`] such periods.
    ///
    /// # Errors
    /// `None` if nothing came in time; else why the stream did not begin.
    pub(super) async fn fill(&mut self, deadline: Instant) -> Result<(), Option<Error>> {
        let patience = deadline.saturating_duration_since(Instant::now());
        self.deadline = Some((deadline, patience.min(self.idle)));
        let filled = self.fill_first().await;
        self.deadline = None;
        self.begun = true;
        self.alive = Instant::now();
        self.said = self.alive;
        match filled {
            Err(_) if self.late => Err(None),
            filled => filled.map_err(Some),
        }
    }

    async fn fill_first(&mut self) -> Result<(), Error> {
        let mut kept = BytesMut::new();
        while let Some(events) = self.next().await {
            let events = events?;
            let found = sse::events(&events).next().is_some();
            if kept.is_empty() && found {
                self.first = events;
                return Ok(());
            }
            // Comments only show that the provider is alive, so an endless row of them is not kept.
            if !found && kept.len() + events.len() > MAX_COMMENTS {
                kept.clear();
                self.flooded = true;
                continue;
            }
            kept.put(events);
            if found {
                self.first = kept.freeze();
                return Ok(());
            }
        }
        Err(Error::InvalidUpstreamResponse {
            provider: self.provider.name,
            reason: "its stream ended without an event".to_owned(),
        })
    }

    /// The events that were read while the stream began.
    #[must_use]
    pub fn first(&self) -> &[u8] {
        &self.first
    }

    /// Releases the slot: the response is complete, and only the end of the body is still to be
    /// read.
    pub fn leave_slot(&mut self) {
        self.permit = None;
    }

    /// Whether a stream that has not begun missed its deadline.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((deadline, silence)) = self.deadline else {
            return false;
        };
        let due = if self.heard && !self.flooded {
            // Comments alone are no response, however many come.
            let last = deadline + silence * COMMENTS_ONLY;
            deadline.max(self.alive + silence).min(last)
        } else {
            deadline
        };
        self.idle_timer.is_due(due, cx)
    }

    /// Whether the idle timeout has passed without a byte, or [`COMMENTS_ONLY`] times it without an
    /// event.
    fn is_silent(&mut self, cx: &mut Context<'_>) -> bool {
        let due = (self.alive + self.idle).min(self.said + self.idle * COMMENTS_ONLY);
        self.idle_timer.is_due(due, cx)
    }

    /// The last event if the provider closed without a blank line; relayed only if it is complete.
    fn last(&mut self) -> Option<Result<Bytes, Error>> {
        if !self.framer.has_partial() {
            return None;
        }
        let tail = self.framer.finish();
        let whole = sse::events(&tail).all(|event| {
            event.data.trim() == "[DONE]" || serde_json::from_str::<IgnoredAny>(&event.data).is_ok()
        });
        if !whole {
            return Some(Err(Error::Truncated));
        }
        let mut out = BytesMut::from(&tail[..]);
        out.put_slice(b"\n\n");
        Some(Ok(out.freeze()))
    }
}

impl Stream for UpstreamEvents {
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if !this.first.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut this.first))));
        }
        if this.ended {
            return Poll::Ready(None);
        }
        let end = loop {
            match Pin::new(&mut this.body).poll_next(cx) {
                Poll::Ready(Some(Ok(bytes))) => {
                    this.alive = Instant::now();
                    this.heard = true;
                    match this.framer.push(bytes) {
                        Ok(events) if events.is_empty() => {}
                        Ok(events) => {
                            if sse::events(&events).next().is_some() {
                                this.said = this.alive;
                            }
                            return Poll::Ready(Some(Ok(events)));
                        }
                        Err(sse::TooLong) => {
                            break Some(Err(Error::InvalidUpstreamResponse {
                                provider: this.provider.name,
                                reason: "an event of its stream is too long".to_owned(),
                            }));
                        }
                    }
                }
                Poll::Ready(Some(Err(
                    BodyError::Cut | BodyError::Malformed | BodyError::TooLong,
                ))) => {
                    break Some(Err(Error::Truncated));
                }
                Poll::Ready(None) => break this.last(),
                Poll::Pending if this.is_late(cx) => {
                    this.late = true;
                    break Some(Err(Error::Truncated));
                }
                Poll::Pending if this.begun && this.is_silent(cx) => {
                    break Some(Err(Error::TimedOut {
                        provider: this.provider.name,
                        phase: Phase::Silence,
                        after: this.idle,
                    }));
                }
                Poll::Pending => return Poll::Pending,
            }
        };
        this.ended = true;
        // Writing to the client may take long, and the provider is done.
        this.permit = None;
        Poll::Ready(end)
    }
}
