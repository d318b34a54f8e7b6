//! Errors in responses with a success status: as a stream event or inside a body. Pure.

use memchr::memmem;
use serde_json::value::RawValue;

use crate::codec::sse;
use crate::dialect::common::error_body::{envelope, read_error};
use crate::dialect::common::error_in_success::{error_member, is_error};
use crate::error::{Error, ProviderError};

/// The first error event in a Chat Completions stream; `None` if there is none.
#[must_use]
pub fn chat_error(events: &[u8]) -> Option<ProviderError> {
    sse::events(events)
        .find_map(|event| is_error(&event.data).then(|| read_error(200, event.data.as_bytes())))
}

/// The error in a choice of a complete response, sent after the response had begun. `None` if no
/// choice has one.
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

/// The event that reports an error to a Chat Completions client; it must be the last event.
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
