//! The record of one request; when it closes, it feeds the metrics, the access log and the span.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use super::access_log::{FieldValue, LogLine};
use super::id;
use super::metrics::Metrics;
use super::spans::{AttemptSpan, Span, Trace};
use crate::dialect::hub::Usage;
use crate::providers::Provider;
use crate::secret::redact;

/// The status of a request whose client left before a status was sent, as in nginx.
pub const CLIENT_CLOSED_REQUEST: u16 = 499;

/// The error code of a request whose client left.
pub const CLIENT_LEFT_REASON: &str = "client_left";

/// The error code of a request whose client read nothing for `WRITE_TIMEOUT_SECS`.
const STALLED: &str = "write_timeout";

/// The longest path that is logged, in bytes; a longer one is cut and ends in `…`.
const MAX_PATH: usize = 256;

/// The record of one request. Everything that works on the request shares it; it closes when the
/// last owner drops it, however the request ended.
pub struct RequestRecord {
    metrics: Arc<Metrics>,
    begun: Instant,
    method: &'static str,
    /// Whether the request is logged.
    logged: bool,
    /// The path for the log; empty if the request is not logged.
    path: String,
    endpoint: &'static str,
    /// The request id; ASCII only.
    id: Bytes,
    /// Bytes of the response body that were sent.
    sent: Cell<usize>,
    seen: RefCell<RecordState>,
}

/// What is known so far.
#[derive(Default)]
struct RecordState {
    status: Option<u16>,
    model: Option<Arc<str>>,
    provider: Option<&'static Provider>,
    stream: bool,
    received: Option<Duration>,
    /// Size of the request body.
    received_bytes: usize,
    waited: Duration,
    paused: Duration,
    first: Option<Duration>,
    usage: Option<Usage>,
    error: Option<&'static str>,
    upstream_id: Option<String>,
    /// Whether the client read nothing of its response for too long.
    stalled: bool,
    /// Whether the client has received its complete response.
    complete: bool,
    trace: Option<Trace>,
    attempts: u64,
    /// The attempts; empty if the request is not traced.
    spans: Vec<AttemptSpan>,
}

/// How a request arrived.
pub struct RequestArrival<'r> {
    /// The method.
    pub method: &'static str,
    /// The path, without the query.
    pub path: &'r str,
    /// The pattern of the route; empty if no route matches.
    pub endpoint: &'static str,
    /// The client's `x-request-id`.
    pub id: Option<&'r str>,
    /// The client's `traceparent`.
    pub traceparent: Option<&'r str>,
    /// Whether it is a health probe.
    pub is_probe: bool,
}

impl RequestRecord {
    /// Opens the record of a request that has arrived.
    #[must_use]
    pub fn open(metrics: &Arc<Metrics>, arrival: &RequestArrival<'_>) -> Rc<Self> {
        metrics.in_flight.inc();
        let logged = metrics.logs(arrival.is_probe);
        let trace = metrics
            .traces(arrival.is_probe)
            .then(|| metrics.begin_trace(arrival.traceparent))
            .flatten();
        Rc::new(Self {
            metrics: Arc::clone(metrics),
            begun: Instant::now(),
            method: arrival.method,
            logged,
            path: if logged {
                short(arrival.path)
            } else {
                String::new()
            },
            endpoint: arrival.endpoint,
            id: arrival
                .id
                .filter(|id| is_valid_id(id))
                .map_or_else(id::request, |id| Bytes::copy_from_slice(id.as_bytes())),
            sent: Cell::new(0),
            seen: RefCell::new(RecordState {
                trace,
                ..RecordState::default()
            }),
        })
    }

    /// Identifies this request in log lines: its id and, once known, the model and the provider.
    #[must_use]
    pub fn label(&self) -> String {
        let seen = self.seen.borrow();
        let model = seen.model.as_deref().map(|model| format!(" model={model}"));
        let provider = seen.provider.map(|row| format!(" provider={}", row.name));
        let (model, provider) = (model.unwrap_or_default(), provider.unwrap_or_default());
        format!("request_id={}{model}{provider}", self.id())
    }

    /// The request's id: the client's if it is acceptable, else a generated one.
    #[must_use]
    pub fn id(&self) -> &str {
        std::str::from_utf8(&self.id).unwrap_or_default()
    }

    /// The request's id without copying; ASCII only.
    #[must_use]
    pub fn id_bytes(&self) -> &Bytes {
        &self.id
    }

    /// When the head of the request was complete.
    #[must_use]
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// Whether the trace starts here; the client's `tracestate` then belongs to another trace.
    #[must_use]
    pub fn begins_trace(&self) -> bool {
        let seen = self.seen.borrow();
        seen.trace.as_ref().is_some_and(Trace::is_first)
    }

    /// Notes that the request body of this size is complete; returns the time.
    pub fn received(&self, bytes: usize) -> Instant {
        let at = Instant::now();
        let mut seen = self.seen.borrow_mut();
        seen.received = Some(at - self.begun);
        seen.received_bytes = bytes;
        at
    }

    /// Adds bytes of the response body that were sent.
    pub fn sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes);
    }

    /// Sets the model, the provider, and whether the client asked for a stream.
    pub fn target(&self, model: &Arc<str>, provider: &'static Provider, stream: bool) {
        let mut seen = self.seen.borrow_mut();
        seen.model = Some(Arc::clone(model));
        seen.provider = Some(provider);
        seen.stream = stream;
    }

    /// Adds time that was spent waiting for a slot.
    pub fn waited(&self, time: Duration) {
        self.seen.borrow_mut().waited += time;
    }

    /// Adds the delay between two attempts.
    pub fn paused(&self, time: Duration) {
        self.seen.borrow_mut().paused += time;
    }

    /// Starts an attempt. Returns the `traceparent` for the provider if the request is traced.
    pub fn attempt(&self) -> Option<String> {
        let mut seen = self.seen.borrow_mut();
        seen.attempts += 1;
        let span = id::span();
        let parent = seen.trace.as_ref()?.parent_of(span);
        seen.spans.push(AttemptSpan {
            begun: self.begun.elapsed(),
            ended: None,
            error: None,
            span,
        });
        Some(parent)
    }

    /// Notes that the current attempt failed.
    pub fn attempt_failed(&self, reason: &'static str) {
        if let Some(attempt) = self.seen.borrow_mut().spans.last_mut() {
            attempt.ended = Some(self.begun.elapsed());
            attempt.error = Some(reason);
        }
    }

    /// Notes that the complete response or the first event of a stream has arrived.
    pub fn first(&self) {
        self.seen.borrow_mut().first = Some(self.begun.elapsed());
    }

    /// Sets the provider's request id of its last response or error.
    pub fn upstream_id(&self, id: Option<&str>) {
        self.seen.borrow_mut().upstream_id = id.map(str::to_owned);
    }

    /// Sets the token usage that the provider reported; `None` keeps what is there.
    pub fn used(&self, usage: Option<Usage>) {
        if usage.is_some() {
            self.seen.borrow_mut().usage = usage;
        }
    }

    /// Notes that the request failed, with one of the gateway's own codes. The first code counts.
    pub fn failed(&self, reason: &'static str) {
        self.seen.borrow_mut().error.get_or_insert(reason);
    }

    /// Notes that the head of the response is being sent.
    pub fn answered(&self, status: u16) {
        self.seen.borrow_mut().status = Some(status);
    }

    /// Notes that the client was disconnected because it read nothing of its response.
    pub fn stalled(&self) {
        self.seen.borrow_mut().stalled = true;
    }

    /// Notes that the client has received its complete response.
    pub fn complete(&self) {
        self.seen.borrow_mut().complete = true;
    }

    fn line(&self, seen: &RecordState, total: Duration) -> LogLine<'_> {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut line = LogLine::default();
        line.push("method", FieldValue::Word(self.method.into()));
        line.push("path", FieldValue::Word(self.path.as_str().into()));
        line.push(
            "status",
            FieldValue::Number(seen.status.unwrap_or(CLIENT_CLOSED_REQUEST).into()),
        );
        if let (Some(model), Some(provider)) = (&seen.model, seen.provider) {
            line.push("model", FieldValue::Word(model.to_string().into()));
            line.push("provider", FieldValue::Word(provider.name.into()));
            line.push("stream", FieldValue::Flag(seen.stream));
            line.push("attempts", FieldValue::Number(seen.attempts));
            line.push(
                "receive_ms",
                FieldValue::Number(ms(seen.received.unwrap_or_default())),
            );
            line.push("wait_ms", FieldValue::Number(ms(seen.waited)));
            line.push("pause_ms", FieldValue::Number(ms(seen.paused)));
            if let Some(first) = seen.first {
                line.push("first_ms", FieldValue::Number(ms(first)));
            }
        }
        line.push("total_ms", FieldValue::Number(ms(total)));
        let count = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        line.push(
            "received_bytes",
            FieldValue::Number(count(seen.received_bytes)),
        );
        line.push("sent_bytes", FieldValue::Number(count(self.sent.get())));
        if let Some(usage) = &seen.usage {
            line.push("prompt_tokens", FieldValue::Number(usage.prompt));
            line.push("cached_tokens", FieldValue::Number(usage.cached));
            line.push("completion_tokens", FieldValue::Number(usage.completion));
            line.push("reasoning_tokens", FieldValue::Number(usage.reasoning));
        }
        if let Some(error) = seen.error {
            line.push("error", FieldValue::Word(error.into()));
        }
        line.push("request_id", FieldValue::Word(self.id().into()));
        if let Some(id) = &seen.upstream_id {
            line.push("upstream_request_id", FieldValue::Word(id.clone().into()));
        }
        if let Some(trace) = &seen.trace {
            line.push("trace_id", FieldValue::Word(trace.id_text().into()));
        }
        line
    }
}

impl Drop for RequestRecord {
    fn drop(&mut self) {
        let total = self.begun.elapsed();
        let seen = self.seen.get_mut();
        if !seen.complete {
            let reason = if seen.stalled {
                STALLED
            } else {
                CLIENT_LEFT_REASON
            };
            seen.error.get_or_insert(reason);
        }
        if let Some(attempt) = seen.spans.last_mut()
            && attempt.ended.is_none()
        {
            attempt.ended = Some(total);
            attempt.error = seen.error;
        }
        let provider = seen.provider.map_or("", |row| row.name);
        self.metrics.in_flight.dec();
        self.metrics.request(
            self.endpoint,
            provider,
            seen.status.unwrap_or(CLIENT_CLOSED_REQUEST),
            total,
            seen.first,
        );
        if let Some(reason) = seen.error {
            self.metrics.error(provider, reason);
        }
        if let Some(usage) = &seen.usage {
            self.metrics.tokens(provider, usage);
        }
        if self.logged {
            self.metrics.log(&self.line(&self.seen.borrow(), total));
        }
        let seen = self.seen.get_mut();
        if let Some(trace) = seen.trace.take() {
            let name = format!("{} {}", self.method, self.endpoint);
            self.metrics.export(Span {
                trace,
                name: name.trim_end().to_owned(),
                method: self.method,
                endpoint: self.endpoint,
                begun: SystemTime::now() - total,
                took: total,
                status: seen.status.unwrap_or(CLIENT_CLOSED_REQUEST),
                // Both are the client's text, which may be a key in the wrong place.
                request_id: redact(std::str::from_utf8(&self.id).unwrap_or_default(), None)
                    .into_owned(),
                model: seen
                    .model
                    .take()
                    .map(|model| redact(&model, None).into_owned()),
                provider: seen.provider,
                stream: seen.stream,
                first: seen.first,
                usage: seen.usage,
                error: seen.error,
                upstream_id: seen.upstream_id.take(),
                attempts: std::mem::take(&mut seen.spans),
            });
        }
    }
}

/// Whether a client's request id is usable: it is written to log lines and sent to providers.
fn is_valid_id(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte))
}

fn short(path: &str) -> String {
    let mut end = path.len().min(MAX_PATH);
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    let mut out = path.get(..end).unwrap_or_default().to_owned();
    if end < path.len() {
        out.push('…');
    }
    out
}
