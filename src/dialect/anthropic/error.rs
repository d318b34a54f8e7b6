//! Decodes Messages errors into OpenAI's error types and codes. Pure.

use serde::Deserialize;

use crate::dialect::common::error_body::read_error;
use crate::dialect::common::provider_error::client_status;
use crate::error::ProviderError;

#[derive(Deserialize)]
struct Wire {
    error: Inner,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(rename = "type")]
    kind: String,
    message: String,
    #[serde(default)]
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    error_code: Option<String>,
}

/// Decodes an error body, or the data of an `error` event. For an event, `status` is 200.
pub(super) fn read(status: u16, body: &[u8]) -> ProviderError {
    let mut error = read_error(status, body);
    let Ok(Wire { error: wire }) = serde_json::from_slice(body) else {
        return error;
    };
    let named = wire.details.and_then(|details| details.error_code);
    let (usual, kind, code) = match wire.kind.as_str() {
        "authentication_error" => (401, "invalid_request_error", Some("invalid_api_key")),
        "billing_error" => (402, "insufficient_quota", Some("insufficient_quota")),
        "permission_error" => (403, "permission_error", None),
        "not_found_error" => (404, "invalid_request_error", Some("model_not_found")),
        "conflict_error" => (409, "invalid_request_error", Some("conflict")),
        "request_too_large" => (413, "invalid_request_error", Some("request_too_large")),
        "rate_limit_error" => (429, "rate_limit_error", Some("rate_limit_exceeded")),
        "api_error" => (500, "server_error", None),
        "timeout_error" => (504, "server_error", Some("upstream_timeout")),
        "overloaded_error" => (529, "server_error", Some("overloaded")),
        "invalid_request_error" => (400, "invalid_request_error", None),
        // An unknown type is classified by the status that the generic decoder found.
        _ if error.status >= 500 => (error.status, "server_error", None),
        _ => (400, "invalid_request_error", None),
    };
    let status = if status < 400 { usual } else { status };
    error.upstream_status = status;
    error.status = client_status(status);
    if !wire.message.trim().is_empty() {
        error.message = wire.message;
    }
    kind.clone_into(&mut error.kind);
    if error.code.as_deref() != Some("context_length_exceeded") {
        error.code = code.map(str::to_owned).or(named);
    }
    error.param = None;
    error.more.clear();
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_status_and_code() {
        for (status, kind, message, out, code) in [
            (400, "invalid_request_error", "no", 400, None),
            (
                400,
                "invalid_request_error",
                "prompt is too long: 250000 tokens > 200000 maximum",
                400,
                Some("context_length_exceeded"),
            ),
            (
                401,
                "authentication_error",
                "no",
                401,
                Some("invalid_api_key"),
            ),
            (402, "billing_error", "no", 402, Some("insufficient_quota")),
            (404, "not_found_error", "no", 404, Some("model_not_found")),
            (
                429,
                "rate_limit_error",
                "no",
                429,
                Some("rate_limit_exceeded"),
            ),
            (500, "api_error", "no", 500, None),
            (
                529,
                "overloaded_error",
                "Overloaded",
                503,
                Some("overloaded"),
            ),
            (
                200,
                "overloaded_error",
                "Overloaded",
                503,
                Some("overloaded"),
            ),
        ] {
            let body = serde_json::json!({
                "type": "error",
                "error": {"type": kind, "message": message},
                "request_id": "req_1",
            });
            let read = read(status, body.to_string().as_bytes());
            assert_eq!(
                (read.status, read.code.as_deref(), read.message.as_str()),
                (out, code, message),
                "{status} {kind}"
            );
        }
    }

    #[test]
    fn what_is_no_messages_error_is_read_like_any_other() {
        assert_eq!(read(502, b"<html>").message, "upstream returned HTTP 502");
    }
}
