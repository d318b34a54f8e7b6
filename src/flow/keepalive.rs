//! The first-event gate, and the comments that keep a silent stream alive.
//!
//! The first event decides the status of a stream, so that an error that comes first is an HTTP
//! error. But no proxy waits for it forever: after one keepalive interval the status is 200,
//! comments follow, and any later error is an event of the stream.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, timeout};

use super::progress::Progress;
use super::respond::ResponseMode;
use super::response::{GatewayBody, GatewayResponse};
use super::state::AppState;
use crate::error::Error;
use crate::idle_timer::IdleTimer;
use crate::shutdown::{Shutdown, Stage};
use crate::telemetry::{Metrics, RequestRecord};
use crate::upstream::CallError;

/// An SSE comment, which clients ignore: WHATWG HTML, section 9.2.6.
const KEEPALIVE: &[u8] = b": keepalive\n\n";

type BoxedCall = Pin<Box<dyn Future<Output = Result<GatewayResponse, CallError>>>>;

type BoxedEvents = Pin<Box<dyn Stream<Item = Bytes>>>;

/// Waits for a streamed call for one keepalive interval, then begins the stream with comments. An
/// interval of zero means no comments: the wait is unlimited.
///
/// # Errors
/// Why there is no response, if that is known within the interval.
pub(super) async fn with_keepalive(
    mut call: BoxedCall,
    progress: Rc<Progress>,
    state: &AppState,
    record: Rc<RequestRecord>,
    keepalive: Duration,
) -> Result<GatewayResponse, CallError> {
    let patience = if keepalive.is_zero() {
        Duration::MAX
    } else {
        keepalive
    };
    match timeout(patience, call.as_mut()).await {
        Ok(answered) => {
            let mut response = answered?;
            if let GatewayBody::Events(events) = response.content {
                let alive =
                    KeepAliveStream::new(EventSource::Events(events), keepalive, Instant::now());
                response.content = GatewayBody::Events(Box::pin(alive));
            }
            Ok(response)
        }
        Err(_) => {
            progress.commit();
            let current = progress.current();
            let failure = LateFailure {
                provider: current.provider.name,
                mode: current.mode,
                metrics: Arc::clone(&state.metrics),
                record,
                shutdown: state.shutdown.clone(),
            };
            let from = EventSource::Call(call, Box::new(failure));
            // The first comment is sent together with the status.
            let alive = KeepAliveStream::new(from, keepalive, Instant::now() - keepalive);
            Ok(GatewayResponse {
                provider: current.provider,
                attempts: progress.attempts() + 1,
                headers: current.headers,
                content: GatewayBody::Events(Box::pin(alive)),
            })
        }
    }
}

/// What reports the failure of a stream that began before its response arrived.
struct LateFailure {
    provider: &'static str,
    mode: ResponseMode,
    metrics: Arc<Metrics>,
    record: Rc<RequestRecord>,
    shutdown: Shutdown,
}

impl LateFailure {
    fn event(&self, error: &Error) -> Bytes {
        self.record.failed(error.gateway_code());
        self.metrics.broken(self.provider, error.gateway_code());
        log::warn!(
            "{}: a stream failed before its first event: {error}",
            self.provider
        );
        Bytes::from(self.mode.failure(self.provider, error))
    }
}

/// The source of the events.
enum EventSource {
    /// A call that has no response yet.
    Call(BoxedCall, Box<LateFailure>),
    /// The events of the response.
    Events(BoxedEvents),
    /// The stream has ended.
    Over,
}

/// Maximum number of bytes that are handed over at once. The HTTP server copies what it is handed,
/// and serves nobody else meanwhile.
const PIECE: usize = 256 << 10;

/// A stream with a comment after each interval of silence. A comment follows whole events only.
struct KeepAliveStream {
    from: EventSource,
    /// What is left of an item that is handed over in pieces.
    rest: Bytes,
    /// Zero means no comments.
    interval: Duration,
    /// When the last item was sent.
    last: Instant,
    idle_timer: IdleTimer,
}

impl KeepAliveStream {
    fn new(from: EventSource, interval: Duration, last: Instant) -> Self {
        Self {
            from,
            rest: Bytes::new(),
            interval,
            last,
            idle_timer: IdleTimer::default(),
        }
    }

    /// The next bytes of the stream; `None` at its end.
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match &mut self.from {
                EventSource::Over => return Poll::Ready(None),
                EventSource::Events(events) => return events.as_mut().poll_next(cx),
                EventSource::Call(call, failing) => {
                    let error = match call.as_mut().poll(cx) {
                        Poll::Ready(Ok(GatewayResponse {
                            content: GatewayBody::Events(events),
                            ..
                        })) => {
                            self.from = EventSource::Events(events);
                            continue;
                        }
                        Poll::Ready(Ok(GatewayResponse {
                            content: GatewayBody::Json(_),
                            ..
                        })) => Error::InvalidUpstreamResponse {
                            provider: failing.provider,
                            reason: "it is one object, where a stream was asked for".to_owned(),
                        },
                        Poll::Ready(Err(refused)) => refused.error,
                        Poll::Pending if failing.shutdown.is_at(Stage::Ending) => {
                            Error::ShuttingDown
                        }
                        Poll::Pending => return Poll::Pending,
                    };
                    let event = failing.event(&error);
                    self.from = EventSource::Over;
                    return Poll::Ready(Some(event));
                }
            }
        }
    }

    fn is_silent(&mut self, cx: &mut Context<'_>) -> bool {
        !self.interval.is_zero() && self.idle_timer.is_due(self.last + self.interval, cx)
    }
}

impl Stream for KeepAliveStream {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = self.get_mut();
        if !this.rest.is_empty() {
            let piece = this.rest.len().min(PIECE);
            return Poll::Ready(Some(this.rest.split_to(piece)));
        }
        match this.next(cx) {
            Poll::Ready(Some(mut bytes)) => {
                this.last = Instant::now();
                if bytes.len() > PIECE {
                    this.rest = bytes.split_off(PIECE);
                }
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
