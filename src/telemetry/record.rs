//! What one request used and how it ended: counted, logged and traced when it is over.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use super::access_log::{FieldValue, LogLine};
use super::spans::{AttemptSpan, Span, Trace};
use super::{Metrics, id};
use crate::dialect::hub::Usage;
use crate::providers::Provider;
use crate::secret::redact;

/// The status under which a request is counted whose client left before it got one, as nginx does.
pub const CLIENT_CLOSED_REQUEST: u16 = 499;

/// The reason of a request whose client left.
pub const CLIENT_CLOSED_REASON: &str = "client_left";

/// The reason of a request whose client took nothing of its answer for `WRITE_TIMEOUT_SECS`.
const STALLED: &str = "write_timeout";

/// Longest path that is logged, in bytes; the rest is cut and `…` says so.
const MAX_PATH: usize = 256;

/// The record of one request. Everyone who works on it holds it; it is closed when the last lets
/// go, however that came about.
pub struct RequestRecord {
    metrics: Arc<Metrics>,
    begun: Instant,
    method: &'static str,
    /// For the log; empty where nothing is logged.
    /// Whether it leaves a line in the log.
    logged: bool,
    path: String,
    endpoint: &'static str,
    /// Of ASCII alone.
    id: Bytes,
    /// Bytes of the answer's body.
    sent: Cell<usize>,
    seen: RefCell<RecordState>,
}

/// What was seen so far.
#[derive(Default)]
struct RecordState {
    status: Option<u16>,
    model: Option<Arc<str>>,
    provider: Option<&'static Provider>,
    stream: bool,
    received: Option<Duration>,
    /// Bytes of the body.
    received_bytes: usize,
    waited: Duration,
    paused: Duration,
    first: Option<Duration>,
    usage: Option<Usage>,
    error: Option<&'static str>,
    upstream_id: Option<String>,
    /// Whether the client took nothing of its answer for its time.
    stalled: bool,
    /// Whether it has its whole answer.
    complete: bool,
    trace: Option<Trace>,
    attempts: u64,
    /// The attempts, where there is a trace.
    spans: Vec<AttemptSpan>,
}

/// How a request came in.
pub struct RequestArrival<'r> {
    /// The method.
    pub method: &'static str,
    /// The path, without the query.
    pub path: &'r str,
    /// The pattern of the route; empty where none is served.
    pub endpoint: &'static str,
    /// The client's `x-request-id`.
    pub id: Option<&'r str>,
    /// The client's `traceparent`.
    pub traceparent: Option<&'r str>,
    /// Whether it only asks how the gateway is doing.
    pub is_probe: bool,
}

impl RequestRecord {
    /// A request came in.
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
                .filter(|id| acceptable(id))
                .map_or_else(id::request, |id| Bytes::copy_from_slice(id.as_bytes())),
            sent: Cell::new(0),
            seen: RefCell::new(RecordState {
                trace,
                ..RecordState::default()
            }),
        })
    }

    /// What tells this request in a line of the log: its id, and the model and provider that it is for.
    #[must_use]
    pub fn label(&self) -> String {
        let seen = self.seen.borrow();
        let model = seen.model.as_deref().map(|model| format!(" model={model}"));
        let provider = seen.provider.map(|row| format!(" provider={}", row.name));
        let (model, provider) = (model.unwrap_or_default(), provider.unwrap_or_default());
        format!("request_id={}{model}{provider}", self.id())
    }

    /// The request's id: the client's, where that is one, else one of our own.
    #[must_use]
    pub fn id(&self) -> &str {
        std::str::from_utf8(&self.id).unwrap_or_default()
    }

    /// The same, shared, of ASCII alone.
    #[must_use]
    pub fn id_bytes(&self) -> &Bytes {
        &self.id
    }

    /// When its head was there.
    #[must_use]
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// Whether the request begins a trace: what the client said of another does not belong to it.
    #[must_use]
    pub fn begins_trace(&self) -> bool {
        let seen = self.seen.borrow();
        seen.trace.as_ref().is_some_and(Trace::is_first)
    }

    /// The body is there, of so many bytes; when that was.
    pub fn received(&self, bytes: usize) -> Instant {
        let at = Instant::now();
        let mut seen = self.seen.borrow_mut();
        seen.received = Some(at - self.begun);
        seen.received_bytes = bytes;
        at
    }

    /// So many bytes more of the answer are on their way.
    pub fn sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes);
    }

    /// Which model is asked for, where, and whether its answer is to be a stream.
    pub fn target(&self, model: &Arc<str>, provider: &'static Provider, stream: bool) {
        let mut seen = self.seen.borrow_mut();
        seen.model = Some(Arc::clone(model));
        seen.provider = Some(provider);
        seen.stream = stream;
    }

    /// A slot was waited for.
    pub fn waited(&self, time: Duration) {
        self.seen.borrow_mut().waited += time;
    }

    /// Time passed between two attempts.
    pub fn paused(&self, time: Duration) {
        self.seen.borrow_mut().paused += time;
    }

    /// An attempt begins; what the provider is to be told as `traceparent`, where there is a trace.
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

    /// The attempt failed.
    pub fn attempt_failed(&self, reason: &'static str) {
        if let Some(attempt) = self.seen.borrow_mut().spans.last_mut() {
            attempt.ended = Some(self.begun.elapsed());
            attempt.error = Some(reason);
        }
    }

    /// The whole answer or the first event of a stream is there.
    pub fn first(&self) {
        self.seen.borrow_mut().first = Some(self.begun.elapsed());
    }

    /// The provider's own id of its last answer, or of its refusal.
    pub fn upstream_id(&self, id: Option<&str>) {
        self.seen.borrow_mut().upstream_id = id.map(str::to_owned);
    }

    /// Tokens were counted by the provider.
    pub fn used(&self, usage: Option<Usage>) {
        if usage.is_some() {
            self.seen.borrow_mut().usage = usage;
        }
    }

    /// The request failed for this reason: one of the gateway's own codes. The first counts.
    pub fn failed(&self, reason: &'static str) {
        self.seen.borrow_mut().error.get_or_insert(reason);
    }

    /// The head of the answer is on its way.
    pub fn answered(&self, status: u16) {
        self.seen.borrow_mut().status = Some(status);
    }

    /// The client was ended because it took nothing of its answer.
    pub fn stalled(&self) {
        self.seen.borrow_mut().stalled = true;
    }

    /// The client has its whole answer.
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
                CLIENT_CLOSED_REASON
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
                // Either is the client's own text, which may be a key in the wrong place.
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

/// Whether a client's id can be taken: it goes into log lines and to providers.
fn acceptable(id: &str) -> bool {
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
