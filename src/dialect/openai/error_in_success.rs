//! Errors that come with a good status: as an event of a stream, or as a whole answer. Pure.

use memchr::memmem;
use serde_json::value::RawValue;

use crate::codec::sse;
use crate::dialect::common::error_body::{envelope, read_error};
use crate::dialect::common::error_in_success::{error_member, is_error};
use crate::error::{Error, ProviderError};

/// The error that an event of a Chat Completions stream is, if one is.
#[must_use]
pub fn chat_error(events: &[u8]) -> Option<ProviderError> {
    sse::events(events)
        .find_map(|event| is_error(&event.data).then(|| read_error(200, event.data.as_bytes())))
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

/// The event that tells a client of Chat Completions that its stream failed. Nothing follows it.
#[must_use]
pub fn failure_event(error: &Error) -> Vec<u8> {
    let mut out = Vec::new();
    sse::write(&mut out, None, &envelope(error));
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
    }
}
