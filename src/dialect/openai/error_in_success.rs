//! Errors that come with a good status: as an event of a stream, or as a whole answer. Pure.

use memchr::memmem;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::codec::sse;
use crate::error::{Error, ProviderError};

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

/// The error that a choice of a whole completion tells of, if one does: the answer was begun.
#[must_use]
pub fn choice_error(body: &[u8]) -> Option<ProviderError> {
    #[derive(serde::Deserialize)]
    struct Completion {
        #[serde(default)]
        choices: Vec<Choice>,
    }
    #[derive(serde::Deserialize)]
    struct Choice {
        #[serde(default)]
        error: Option<Box<RawValue>>,
    }
    memmem::find(body, b"\"error\"")?;
    let completion: Completion = serde_json::from_slice(body).ok()?;
    let error = completion
        .choices
        .into_iter()
        .find_map(|choice| choice.error)?;
    Some(error_member(&error))
}

/// Reads the value of a member `error`.
#[must_use]
pub fn error_member(error: &RawValue) -> ProviderError {
    super::read_error(200, format!("{{\"error\":{}}}", error.get()).as_bytes())
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
        #[serde(default)]
        choices: Option<IgnoredAny>,
        #[serde(default)]
        detail: Option<IgnoredAny>,
        #[serde(default)]
        object: Option<Kind>,
    }
    /// `object`, where it is the word for an error.
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Kind {
        Named(String),
        Other(IgnoredAny),
    }
    let may_be = ["\"error\"", "\"detail\""];
    may_be.iter().any(|word| data.contains(word))
        && serde_json::from_str::<Probe>(data).is_ok_and(|probe| {
            let answers = probe.output.is_some() || probe.response.is_some();
            let flat = matches!(probe.object, Some(Kind::Named(name)) if name == "error")
                || probe.detail.is_some();
            !answers && (probe.error.is_some() || (flat && probe.choices.is_none()))
        })
}

#[derive(serde::Deserialize)]
struct Head {
    #[serde(rename = "type", default)]
    kind: String,
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

    /// Trap B9.
    #[test]
    fn an_error_with_a_good_status_is_an_error() {
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
