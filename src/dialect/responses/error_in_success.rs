//! Detects errors in a Responses stream with a 2xx status. Pure.

use crate::codec::sse;
use crate::dialect::common::error_body::read_error;
use crate::dialect::common::error_in_success::is_error;
use crate::error::ProviderError;

#[derive(serde::Deserialize)]
struct Head {
    #[serde(rename = "type", default)]
    kind: String,
}

/// Returns the error if one of these events is an error.
#[must_use]
pub fn responses_error(events: &[u8]) -> Option<ProviderError> {
    sse::events(events).find_map(|event| {
        let failed =
            serde_json::from_str::<Head>(&event.data).is_ok_and(|head| head.kind == "error");
        (failed || is_error(&event.data)).then(|| read_error(200, event.data.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_as_first_event_is_read() {
        let failed = b"event: error\ndata: {\"type\":\"error\",\"message\":\"no\",\"code\":\"server_error\"}\n\n";
        assert_eq!(responses_error(failed).unwrap().message, "no");
        let created = b"data: {\"type\":\"response.created\",\"response\":{\"error\":null}}\n\n";
        assert!(responses_error(created).is_none());
    }
}
