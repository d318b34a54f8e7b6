//! Watches a relayed stream for the event that makes it complete; changes nothing. Pure.

use bytes::Bytes;
use memchr::memmem;
use serde::de::IgnoredAny;
use serde_json::json;

use crate::codec::sse;
use crate::error::{Error, ProviderError};

/// Watches the events of a relayed stream.
pub trait Watch {
    /// Looks at whole events that are about to be passed on.
    fn look(&mut self, events: &Bytes);

    /// Whether the stream may end here. `clean` says that the provider ended it, and that it was
    /// not cut: then more counts as an end.
    fn complete(&self, clean: bool) -> bool;

    /// The event that tells the client that its stream failed. Nothing follows it.
    fn failure(&self, error: &Error) -> Vec<u8>;
}

/// Watches Chat Completions chunks.
///
/// Complete is a stream with `[DONE]` or an error object, and one that its provider ended after a
/// finish reason: not all of them send `[DONE]`.
#[derive(Debug, Default)]
pub struct ChatWatch {
    ended: bool,
    finished: bool,
}

impl Watch for ChatWatch {
    fn look(&mut self, events: &Bytes) {
        if !self.ended {
            self.finished = self.finished || has_finish_reason(events);
            // The word may also be text of the model; only then is the event taken apart.
            self.ended = (memmem::find(events, b"[DONE]").is_some()
                && sse::events(events).any(|event| event.data.trim() == "[DONE]"))
                || (memmem::find(events, b"\"error\"").is_some() && chat_error(events).is_some());
        }
    }

    fn complete(&self, clean: bool) -> bool {
        self.ended || (clean && self.finished)
    }

    fn failure(&self, error: &Error) -> Vec<u8> {
        failure_event(error)
    }
}

/// The error that an event of a Chat Completions stream is, if one is.
#[must_use]
pub fn chat_error(events: &[u8]) -> Option<ProviderError> {
    sse::events(events).find_map(|event| {
        is_error(&event.data).then(|| super::read_error(200, event.data.as_bytes()))
    })
}

/// The error that a whole answer with a good status is, if it is one.
#[must_use]
pub fn whole_error(body: &[u8]) -> Option<ProviderError> {
    let text = std::str::from_utf8(body).ok()?;
    is_error(text).then(|| super::read_error(200, body))
}

/// Whether a chunk has a `finish_reason` that is not null. Inside a JSON string its quotes are
/// escaped, so that text of the model cannot be taken for it.
fn has_finish_reason(events: &[u8]) -> bool {
    memmem::find_iter(events, b"\"finish_reason\"").any(|at| {
        let rest = events.get(at + b"\"finish_reason\"".len()..);
        let value = rest.and_then(|rest| rest.trim_ascii_start().strip_prefix(b":"));
        value.is_some_and(|value| value.trim_ascii_start().starts_with(b"\""))
    })
}

/// Whether a JSON text is an error object: it has an `error` and nothing of an answer.
fn is_error(data: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Probe {
        #[serde(default)]
        error: Option<IgnoredAny>,
        #[serde(default)]
        output: Option<IgnoredAny>,
        #[serde(default)]
        response: Option<IgnoredAny>,
    }
    data.contains("\"error\"")
        && serde_json::from_str::<Probe>(data).is_ok_and(|probe| {
            probe.error.is_some() && probe.output.is_none() && probe.response.is_none()
        })
}

/// Watches Responses events.
#[derive(Debug, Default)]
pub struct ResponsesWatch {
    complete: bool,
    last: Bytes,
}

/// The events that end a Responses stream.
const TERMINAL: [&str; 4] = [
    "response.completed",
    "response.incomplete",
    "response.failed",
    "error",
];

#[derive(serde::Deserialize)]
struct Head {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    sequence_number: Option<u64>,
}

impl Watch for ResponsesWatch {
    fn look(&mut self, events: &Bytes) {
        // The words also stand inside other events; only then is an event taken apart.
        if !self.complete
            && TERMINAL
                .iter()
                .any(|name| memmem::find(events, name.as_bytes()).is_some())
        {
            self.complete = sse::events(events).any(|event| {
                serde_json::from_str::<Head>(&event.data)
                    .is_ok_and(|head| TERMINAL.contains(&head.kind.as_str()))
                    || is_error(&event.data)
            });
        }
        self.last = events.clone();
    }

    fn complete(&self, _clean: bool) -> bool {
        self.complete
    }

    fn failure(&self, error: &Error) -> Vec<u8> {
        let last = sse::events(&self.last)
            .filter_map(|event| {
                serde_json::from_str::<Head>(&event.data)
                    .ok()?
                    .sequence_number
            })
            .last();
        let next = last.map_or(0, |number| number.saturating_add(1));
        // Flat as the specification has it, nested as SDKs look for it.
        let data = json!({
            "type": "error",
            "sequence_number": next,
            "code": error.code(),
            "message": error.to_string(),
            "param": error.param(),
            "error": {
                "type": error.kind(),
                "code": error.code(),
                "message": error.to_string(),
                "param": error.param(),
            },
        });
        let mut out = Vec::new();
        sse::write(&mut out, Some("error"), &data.to_string());
        out
    }
}

/// The error that an event of a Responses stream is, if one is.
#[must_use]
pub fn responses_error(events: &[u8]) -> Option<ProviderError> {
    sse::events(events).find_map(|event| {
        let failed =
            serde_json::from_str::<Head>(&event.data).is_ok_and(|head| head.kind == "error");
        (failed || is_error(&event.data)).then(|| super::read_error(200, event.data.as_bytes()))
    })
}

/// The event that tells a client of Chat Completions that its stream failed. Nothing follows it.
#[must_use]
pub fn failure_event(error: &Error) -> Vec<u8> {
    let mut out = Vec::new();
    sse::write(&mut out, None, &super::envelope(error));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(events: &str) -> bool {
        let mut watch = ChatWatch::default();
        watch.look(&Bytes::copy_from_slice(events.as_bytes()));
        watch.complete(true)
    }

    #[test]
    fn a_chat_stream_is_complete_with_its_end_and_not_before() {
        assert!(!chat(
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n"
        ));
        assert!(!chat(
            "data: {\"choices\":[{\"delta\":{\"content\":\"say \\\"finish_reason\\\":\\\"stop\\\" and \\\"error\\\"\"}}]}\n\n"
        ));
        assert!(!chat(": OPENROUTER PROCESSING\n\n"));
        assert!(chat(
            "data: {\"choices\":[{\"delta\":{},\"finish_reason\" : \"stop\"}]}\n\n"
        ));
        assert!(chat("data: [DONE]\n\n"));
        assert!(!chat(
            "data: {\"choices\":[{\"delta\":{\"content\":\"data: [DONE]\"}}]}\n\n"
        ));
        let mut cut = ChatWatch::default();
        cut.look(&Bytes::from_static(
            b"data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n",
        ));
        assert!(
            !cut.complete(false),
            "a finish reason before a cut is no end"
        );
        assert!(chat("data: {\"error\":{\"message\":\"boom\"}}\n\n"));
    }

    #[test]
    fn a_responses_stream_is_complete_with_its_last_event() {
        for (data, complete) in [
            (
                r#"{"type":"response.output_text.delta","delta":"response.completed"}"#,
                false,
            ),
            (
                r#"{"type":"response.created","response":{"error":null}}"#,
                false,
            ),
            (r#"{"type":"response.completed","response":{}}"#, true),
            (r#"{"type":"response.incomplete","response":{}}"#, true),
            (r#"{"type":"error","message":"x"}"#, true),
        ] {
            let mut watch = ResponsesWatch::default();
            watch.look(&Bytes::from(format!("event: x\ndata: {data}\n\n")));
            assert_eq!(watch.complete(false), complete, "{data}");
        }
    }

    #[test]
    fn an_error_as_first_event_is_read() {
        let busy = b"data: {\"error\":{\"code\":429,\"message\":\"busy\"}}\n\n";
        let error = chat_error(busy).unwrap();
        assert_eq!((error.status, error.message.as_str()), (429, "busy"));
        assert!(chat_error(b"data: {\"choices\":[]}\n\n").is_none());
        let failed = b"event: error\ndata: {\"type\":\"error\",\"message\":\"no\",\"code\":\"server_error\"}\n\n";
        assert_eq!(responses_error(failed).unwrap().message, "no");
        let created = b"data: {\"type\":\"response.created\",\"response\":{\"error\":null}}\n\n";
        assert!(responses_error(created).is_none());
    }

    #[test]
    fn a_failed_relay_of_responses_goes_on_counting() {
        let mut watch = ResponsesWatch::default();
        watch.look(&Bytes::from_static(
            b"data: {\"type\":\"x\",\"sequence_number\":6}\n\n",
        ));
        let out = String::from_utf8(watch.failure(&Error::Truncated)).unwrap();
        assert!(
            out.starts_with("event: error\ndata: {\"type\":\"error\",\"sequence_number\":7,"),
            "{out}"
        );
    }

    #[test]
    fn b9_an_error_with_a_good_status_is_an_error() {
        assert_eq!(
            whole_error(br#"{"error":{"code":429,"message":"x"}}"#)
                .unwrap()
                .status,
            429
        );
        for good in [
            r#"{"choices":[],"error":null}"#,
            r#"{"object":"response","output":[],"error":{"code":"server_error"}}"#,
        ] {
            assert!(whole_error(good.as_bytes()).is_none(), "{good}");
        }
    }
}
