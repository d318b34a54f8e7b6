//! Spans of a request for a collector: the W3C trace context, and OTLP as JSON. Pure.
//!
//! Written by hand: the existing exporters bring a second HTTP client, which would not use the
//! gateway's connector. A span here has only a dozen fixed attributes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::id;
use crate::dialect::hub::Usage;
use crate::providers::Provider;

/// The position of a request in a trace. W3C Trace Context, level 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    id: u128,
    /// The span of this request.
    span: u64,
    /// The client's span.
    parent: Option<u64>,
}

impl Trace {
    /// Continues the client's trace or starts one. `None` if the trace is not sampled: the client's
    /// flag says so, or a new trace is not within the sampling rate `ratio`.
    pub(super) fn begin(traceparent: Option<&str>, ratio: f64) -> Option<Self> {
        match traceparent.and_then(parse) {
            Some((id, parent, true)) => Some(Self {
                id,
                span: id::span(),
                parent: Some(parent),
            }),
            Some((_, _, false)) => None,
            None => (ratio > 0.0 && id::fraction() <= ratio).then(|| Self {
                id: id::trace(),
                span: id::span(),
                parent: None,
            }),
        }
    }

    /// The `traceparent` for a request whose parent is `span`.
    pub(super) fn parent_of(&self, span: u64) -> String {
        format!("00-{:032x}-{span:016x}-01", self.id)
    }

    /// Whether the trace starts here.
    pub(super) fn is_first(&self) -> bool {
        self.parent.is_none()
    }

    pub(super) fn id_text(&self) -> String {
        format!("{:032x}", self.id)
    }
}

/// The trace id, parent span id and sampled flag of a `traceparent`.
fn parse(text: &str) -> Option<(u128, u64, bool)> {
    let mut parts = text.trim().split('-');
    let (version, trace, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let shaped = hex(version, 2) && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    // Future versions may append fields.
    if !shaped || version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
    let parent = u64::from_str_radix(parent, 16).ok().filter(|id| *id != 0)?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    Some((trace, parent, flags & 1 == 1))
}

/// One attempt at a provider. Times count from the start of the request.
#[derive(Debug)]
pub(super) struct AttemptSpan {
    pub begun: Duration,
    pub ended: Option<Duration>,
    pub error: Option<&'static str>,
    pub span: u64,
}

/// A finished request.
#[derive(Debug)]
pub struct Span {
    pub(super) trace: Trace,
    pub(super) name: String,
    pub(super) method: &'static str,
    pub(super) endpoint: &'static str,
    pub(super) begun: SystemTime,
    pub(super) took: Duration,
    pub(super) status: u16,
    pub(super) request_id: String,
    pub(super) model: Option<String>,
    pub(super) provider: Option<&'static Provider>,
    pub(super) stream: bool,
    pub(super) first: Option<Duration>,
    pub(super) usage: Option<Usage>,
    pub(super) error: Option<&'static str>,
    pub(super) upstream_id: Option<String>,
    pub(super) attempts: Vec<AttemptSpan>,
}

/// The body of an OTLP/HTTP request (`ExportTraceServiceRequest` 1.x as JSON): for each request its
/// own span, and below it one span for each attempt.
#[must_use]
pub fn export(service: &str, spans: &[Span]) -> String {
    let spans: Vec<Value> = spans.iter().flat_map(of_request).collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": [
            text("service.name", service),
            text("service.version", env!("CARGO_PKG_VERSION")),
        ]},
        "scopeSpans": [{
            "scope": {"name": "ai-gateway", "version": env!("CARGO_PKG_VERSION")},
            "spans": spans,
        }],
    }]})
    .to_string()
}

/// `SPAN_KIND_SERVER` and `SPAN_KIND_CLIENT`.
const SERVER: u8 = 2;
const CLIENT: u8 = 3;

/// `STATUS_CODE_ERROR`.
const FAILED: u8 = 2;

fn of_request(span: &Span) -> Vec<Value> {
    let mut attributes = vec![
        text("http.request.method", span.method),
        number("http.response.status_code", span.status.into()),
        text("gateway.request_id", &span.request_id),
    ];
    if !span.endpoint.is_empty() {
        attributes.push(text("http.route", span.endpoint));
    }
    // A server span is an error for 5xx only; HTTP semantic conventions 1.x. A stream can fail
    // after a 2xx.
    let error = span
        .error
        .filter(|_| span.status >= 500 || span.status < 300);
    let mut out = vec![written(
        span,
        (span.trace.span, span.trace.parent),
        (&span.name, SERVER),
        (Duration::ZERO, span.took),
        attributes,
        error,
    )];
    let model = span.model.as_deref().unwrap_or_default();
    let provider = span
        .provider
        .map_or("", |row| row.gen_ai_name.unwrap_or(row.name));
    let last = span.attempts.len();
    for (n, attempt) in span.attempts.iter().enumerate() {
        let mut attributes = vec![
            text("gen_ai.operation.name", "chat"),
            text("gen_ai.provider.name", provider),
            text("gen_ai.request.model", model),
            flag("gen_ai.request.stream", span.stream),
        ];
        if n > 0 {
            let count = u64::try_from(n).unwrap_or(u64::MAX);
            attributes.push(number("http.request.resend_count", count));
        }
        if n + 1 == last {
            if let Some(first) = span.first.filter(|_| span.stream) {
                let since = first.saturating_sub(attempt.begun);
                attributes.push(double(
                    "gen_ai.response.time_to_first_chunk",
                    since.as_secs_f64(),
                ));
            }
            if let Some(id) = &span.upstream_id {
                attributes.push(text("gateway.upstream_request_id", id));
            }
            if let Some(usage) = &span.usage {
                attributes.push(number("gen_ai.usage.input_tokens", usage.prompt));
                attributes.push(number("gen_ai.usage.output_tokens", usage.completion));
                attributes.push(number("gen_ai.usage.cache_read.input_tokens", usage.cached));
                attributes.push(number(
                    "gen_ai.usage.cache_creation.input_tokens",
                    usage.cache_write,
                ));
                attributes.push(number(
                    "gen_ai.usage.reasoning.output_tokens",
                    usage.reasoning,
                ));
            }
        }
        out.push(written(
            span,
            (attempt.span, Some(span.trace.span)),
            (&format!("chat {model}"), CLIENT),
            (attempt.begun, attempt.ended.unwrap_or(span.took)),
            attributes,
            attempt.error,
        ));
    }
    out
}

fn written(
    of: &Span,
    (id, parent): (u64, Option<u64>),
    (name, kind): (&str, u8),
    (begun, ended): (Duration, Duration),
    mut attributes: Vec<Value>,
    error: Option<&str>,
) -> Value {
    let start = of.begun.duration_since(UNIX_EPOCH).unwrap_or_default();
    let nanos = |at: Duration| (start + at).as_nanos().to_string();
    attributes.extend(error.map(|error| text("error.type", error)));
    let span = json!({
        "traceId": of.trace.id_text(),
        "spanId": format!("{id:016x}"),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": nanos(begun),
        "endTimeUnixNano": nanos(ended),
        "attributes": attributes,
    });
    let Value::Object(mut span) = span else {
        return span;
    };
    if let Some(parent) = parent {
        span.insert("parentSpanId".to_owned(), json!(format!("{parent:016x}")));
    }
    if error.is_some() {
        span.insert("status".to_owned(), json!({"code": FAILED}));
    }
    Value::Object(span)
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn flag(key: &str, value: bool) -> Value {
    json!({"key": key, "value": {"boolValue": value}})
}

fn double(key: &str, value: f64) -> Value {
    json!({"key": key, "value": {"doubleValue": value}})
}

/// The JSON mapping of Protocol Buffers writes 64-bit numbers as strings.
fn number(key: &str, value: u64) -> Value {
    json!({"key": key, "value": {"intValue": value.to_string()}})
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_clients_trace_is_gone_on_with() {
        let trace = Trace::begin(Some(PARENT), 0.0).unwrap();
        assert_eq!(trace.id_text(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(trace.parent, Some(0xb7ad_6b71_6920_3331));
        assert_eq!(
            trace.parent_of(1),
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000001-01"
        );
        let unkept = PARENT.replace("-01", "-00");
        assert_eq!(Trace::begin(Some(&unkept), 1.0), None);
    }

    #[test]
    fn what_is_no_traceparent_begins_a_trace() {
        for text in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            let trace = Trace::begin(Some(text), 1.0).unwrap();
            assert_eq!(trace.parent, None, "{text}");
            assert_eq!(Trace::begin(Some(text), 0.0), None, "{text}");
        }
    }
}
