//! Decodes error bodies of every shape that providers use into one error, and encodes the error
//! envelope for clients. Pure.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::codec::json::{Object, fields, raw};
use crate::dialect::common::provider_error::provider_error;
use crate::error::{Error, ProviderError};

/// Phrases in providers' error messages that mean that the conversation is too long, in lower case.
const CONTEXT_LENGTH: [&str; 24] = [
    "maximum context length",
    "max context length",
    "model's context length",
    "context length exceeded",
    "context_length_exceeded",
    "context_window_exceeded",
    "exceed_context_size",
    "context window",
    "context limit",
    "context size",
    "maximum model length",
    "model token limit",
    "maximum prompt length",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "input token length too long",
    "input token count",
    "too many tokens",
    "too many input tokens",
    "maximum number of tokens allowed",
    "range of input length",
    "reduce the length of the messages",
    "reduce the length of your prompt",
];

/// Parts of providers' error names, with the status that each stands for. The first match wins, so
/// more specific parts come first.
const NAMES: [(&str, u16); 43] = [
    ("context_length", 400),
    ("context_window", 400),
    ("context_size", 400),
    ("insufficient_quota", 429),
    ("billing", 402),
    ("payment", 402),
    ("insufficient_balance", 402),
    ("rate_limit", 429),
    ("resource_exhausted", 429),
    ("too_many_requests", 429),
    ("throttl", 429),
    ("quota", 429),
    ("api_key", 401),
    ("authentication", 401),
    ("unauthenticated", 401),
    ("unauthorized", 401),
    ("permission", 403),
    ("forbidden", 403),
    ("access_denied", 403),
    ("accessdenied", 403),
    ("access_terminated", 403),
    ("not_found", 404),
    ("notfound", 404),
    ("too_large", 413),
    ("overloaded", 503),
    ("unavailable", 503),
    ("capacity", 503),
    ("timeout", 504),
    ("timed_out", 504),
    ("deadline", 504),
    ("invalid_response", 502),
    ("bad_gateway", 502),
    ("server_error", 500),
    ("internal", 500),
    ("api_error", 500),
    ("content_filter", 400),
    ("content_policy", 400),
    ("invalid", 400),
    ("unsupported", 400),
    ("missing", 400),
    ("bad_request", 400),
    ("validation", 400),
    ("failed_precondition", 400),
];

/// Derives the status of an error that came with a 2xx status and holds no number: from its names,
/// from whether it blames a parameter, from its text. `None` if nothing says whose fault it is.
fn inferred_status(body: &Map<String, Value>, text: &str) -> Option<u16> {
    let blames = body
        .get("param")
        .and_then(Value::as_str)
        .is_some_and(|param| !param.is_empty());
    ["code", "status", "type", "__type"]
        .iter()
        .filter_map(|name| body.get(*name)?.as_str())
        .map(slug)
        .find_map(|name| {
            let (_, status) = NAMES.iter().find(|(part, _)| name.contains(part))?;
            Some(*status)
        })
        .or_else(|| (blames || is_too_long(text)).then_some(400))
}

/// Whether a text in lower case means that the conversation is too long.
fn is_too_long(text: &str) -> bool {
    CONTEXT_LENGTH.iter().any(|phrase| text.contains(phrase))
}

/// Decodes an error body: OpenAI's envelope, Gemini's array, xAI's string, the flat objects of
/// Mistral and Cohere, a bare `detail`, or a body that is not JSON.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> ProviderError {
    let parsed = serde_json::from_slice::<Value>(body).ok();
    let object = parsed.map(|value| match value {
        Value::Array(list) => list.into_iter().next().unwrap_or(Value::Null),
        other => other,
    });
    let Some(Value::Object(mut body)) = object else {
        let mut error = provider_error(status, format!("upstream returned HTTP {status}"));
        error.code = Some("upstream_invalid_response".to_owned());
        if matches!(error.status, 401 | 403 | 429) {
            error.code = provider_error(status, String::new()).code;
        }
        return error;
    };
    let inner = match body.remove("error") {
        Some(Value::Object(inner)) => inner,
        Some(Value::String(message)) => {
            body.insert("message".to_owned(), Value::String(message));
            if let Some(Value::String(code)) = body.get_mut("code") {
                *code = slug(code);
            }
            body
        }
        _ => body,
    };
    read_object(status, inner)
}

fn read_object(status: u16, mut body: Map<String, Value>) -> ProviderError {
    // An error inside a stream carries its status as a number, because the HTTP status was 200.
    let number = |value: &Value| {
        let number = value
            .as_u64()
            .or_else(|| value.as_str()?.trim().parse().ok())?;
        u16::try_from(number).ok()
    };
    let inner_status = ["status", "code", "status_code"]
        .iter()
        .filter_map(|name| body.get(*name).and_then(number))
        .find(|n| (400..600).contains(n));
    let (mut message, mut param) = read_message(&mut body);
    if let Some(text) = body
        .get("metadata")
        .and_then(|metadata| metadata.get("raw"))
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
    {
        message = format!("{message}: {text}");
    }
    let lower = message.to_ascii_lowercase();
    let status = match (status, inner_status) {
        (200..=299, Some(inner)) => inner,
        // If nothing says whose fault it is, it is the provider's.
        (200..=299, None) => inferred_status(&body, &lower).unwrap_or(status),
        (status, _) => status,
    };
    if message.is_empty() {
        message = format!("upstream returned HTTP {status}");
    }
    let mut error = provider_error(status, message);

    match body.remove("type") {
        Some(Value::String(kind)) if !kind.is_empty() && kind != "None" => error.kind = kind,
        _ => {}
    }
    let google = body.remove("status");
    match (google, body.remove("code")) {
        (Some(Value::String(name)), _) if !name.is_empty() => {
            error.code = Some(name.to_ascii_lowercase());
        }
        (_, Some(Value::String(code))) if !code.is_empty() => error.code = Some(code),
        (_, Some(Value::Number(code))) => error.code = Some(code.to_string()),
        _ if error.kind != provider_error(status, String::new()).kind && status != 401 => {
            // The provider's `type` already says what went wrong; a code derived from the status
            // adds nothing.
            error.code = None;
        }
        _ => {}
    }
    let named = error
        .code
        .as_deref()
        .is_some_and(|code| is_too_long(&code.to_ascii_lowercase()))
        || is_too_long(&error.kind.to_ascii_lowercase());
    if (named || is_too_long(&lower)) && matches!(status, 400 | 413 | 422) {
        error.code = Some("context_length_exceeded".to_owned());
    }
    if let Some(Value::String(named)) = body.remove("param") {
        param = Some(named);
    }
    error.param = param;
    for known in ["object", "metadata", "request_id", "id"] {
        body.remove(known);
    }
    error.more = body
        .into_iter()
        .map(|(name, value)| (name, value.to_string()))
        .collect();
    error
}

/// The message of an error, and the parameter that it names.
fn read_message(body: &mut Map<String, Value>) -> (String, Option<String>) {
    let detail = match body.remove("message").or_else(|| body.remove("Message")) {
        Some(Value::String(text)) => return (text, None),
        Some(Value::Object(mut object)) => object.remove("detail"),
        _ => body.remove("detail"),
    };
    match detail {
        Some(Value::String(text)) => (text, None),
        Some(Value::Array(list)) => {
            let mut param = None;
            let mut texts = Vec::new();
            for entry in &list {
                let path: Vec<_> = entry
                    .get("loc")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .map(|step| {
                        step.as_str()
                            .map_or_else(|| step.to_string(), str::to_owned)
                    })
                    .collect();
                let text = entry.get("msg").and_then(Value::as_str).unwrap_or_default();
                param = param.or_else(|| path.last().cloned());
                texts.push(format!("{}: {text}", path.join(".")));
            }
            (texts.join("; "), param)
        }
        _ => (String::new(), None),
    }
}

/// `Client specified an invalid argument` -> `client_specified_an_invalid_argument`.
fn slug(text: &str) -> String {
    text.to_ascii_lowercase()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("_")
}

/// Longest message of the gateway's own errors, in bytes.
const MAX_TEXT: usize = 2000;

/// Shortens a long text to its beginning and its end, because the end says what is wrong.
fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_TEXT {
        return Cow::Borrowed(text);
    }
    let part = MAX_TEXT / 2;
    let head = text.floor_char_boundary(part);
    let tail = text.ceil_char_boundary(text.len() - part);
    let (head, tail) = (text.get(..head), text.get(tail..));
    Cow::Owned(format!(
        "{} … {}",
        head.unwrap_or_default(),
        tail.unwrap_or_default()
    ))
}

/// Encodes an error as OpenAI's envelope. `message`, `type`, `param` and `code` are always present.
#[must_use]
pub fn envelope(error: &Error) -> String {
    let mut inner = Object::default();
    let message = error.to_string();
    // A provider's message is passed on unchanged. The gateway's own may repeat a value of any
    // length.
    let message = match error {
        Error::Provider(_) => Cow::Borrowed(message.as_str()),
        _ => shortened(&message),
    };
    inner.push("message", Cow::Owned(raw(&message)));
    inner.push("type", Cow::Owned(raw(error.kind())));
    inner.push("param", Cow::Owned(raw(&error.param().map(shortened))));
    inner.push("code", Cow::Owned(raw(&error.code())));
    if let Error::Provider(error) = error {
        for (name, value) in &error.more {
            if let Ok(value) = serde_json::value::RawValue::from_string(value.clone()) {
                inner.push(name.as_str(), Cow::Owned(value));
            }
        }
    }
    raw(&fields!({"error": inner})).get().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Status and body, then the decoded status, message, type, param and code.
    type Case = (
        u16,
        &'static str,
        (
            u16,
            &'static str,
            &'static str,
            Option<&'static str>,
            Option<&'static str>,
        ),
    );

    const CASES: [Case; 15] = [
        (
            400,
            r#"{"error":{"message":"no","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}}"#,
            (
                400,
                "no",
                "invalid_request_error",
                Some("max_tokens"),
                Some("unsupported_parameter"),
            ),
        ),
        (
            429,
            r#"{"error":{"message":"quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
            (
                429,
                "quota",
                "insufficient_quota",
                None,
                Some("insufficient_quota"),
            ),
        ),
        (
            400,
            r#"[{"error":{"code":400,"message":"Unknown name \"store\"","status":"INVALID_ARGUMENT"}}]"#,
            (
                400,
                "Unknown name \"store\"",
                "invalid_request_error",
                None,
                Some("invalid_argument"),
            ),
        ),
        (
            422,
            r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"extra field","input":3}]},"type":"invalid_request_error","param":null,"code":null}"#,
            (
                422,
                "body.seed: extra field",
                "invalid_request_error",
                Some("seed"),
                None,
            ),
        ),
        (
            401,
            r#"{"message":"Unauthorized","request_id":"abc"}"#,
            (
                401,
                "Unauthorized",
                "invalid_request_error",
                None,
                Some("invalid_api_key"),
            ),
        ),
        (
            404,
            r#"{"detail":"Not Found"}"#,
            (404, "Not Found", "invalid_request_error", None, None),
        ),
        (
            429,
            r#"{"message":"slow down"}"#,
            (
                429,
                "slow down",
                "rate_limit_error",
                None,
                Some("rate_limit_exceeded"),
            ),
        ),
        (
            502,
            r#"{"error":{"code":502,"message":"Provider returned error","metadata":{"provider_name":"X","raw":"boom"}}}"#,
            (
                502,
                "Provider returned error: boom",
                "server_error",
                None,
                Some("502"),
            ),
        ),
        (
            200,
            r#"{"error":{"code":429,"message":"busy"},"choices":[]}"#,
            (429, "busy", "rate_limit_error", None, Some("429")),
        ),
        (
            400,
            r#"{"code":"Client specified an invalid argument","error":"no stop here"}"#,
            (
                400,
                "no stop here",
                "invalid_request_error",
                None,
                Some("client_specified_an_invalid_argument"),
            ),
        ),
        (
            403,
            r#"{"error":{"message":"client not accepted","type":"access_terminated_error"}}"#,
            (
                403,
                "client not accepted",
                "access_terminated_error",
                None,
                None,
            ),
        ),
        (
            498,
            r#"{"error":{"message":"at capacity","type":"capacity_exceeded"}}"#,
            (503, "at capacity", "capacity_exceeded", None, None),
        ),
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens","type":"invalid_request_error","param":"messages","code":null}}"#,
            (
                400,
                "This model's maximum context length is 8192 tokens",
                "invalid_request_error",
                Some("messages"),
                Some("context_length_exceeded"),
            ),
        ),
        (
            502,
            "<html>Bad gateway</html>",
            (
                502,
                "upstream returned HTTP 502",
                "server_error",
                None,
                Some("upstream_invalid_response"),
            ),
        ),
        (
            500,
            "",
            (
                500,
                "upstream returned HTTP 500",
                "server_error",
                None,
                Some("upstream_invalid_response"),
            ),
        ),
    ];

    #[test]
    fn every_shape_of_error_body_becomes_one() {
        for (status, body, expected) in CASES {
            let read = read_error(status, body.as_bytes());
            let got = (
                read.status,
                read.message.as_str(),
                read.kind.as_str(),
                read.param.as_deref(),
                read.code.as_deref(),
            );
            assert_eq!(got, expected, "{body}");
            assert_eq!(
                read.upstream_status,
                if status == 200 { 429 } else { status },
                "{body}"
            );
        }
    }

    /// Trap J2.
    #[test]
    fn the_envelope_always_has_its_four_members_and_keeps_further_ones() {
        let body = br#"{"error":{"message":"bad call","type":"invalid_request_error","code":"tool_use_failed","failed_generation":"<f>"}}"#;
        let error = Error::Provider(Box::new(read_error(400, body)));
        assert_eq!(
            envelope(&error),
            r#"{"error":{"message":"bad call","type":"invalid_request_error","param":null,"code":"tool_use_failed","failed_generation":"<f>"}}"#
        );
        assert_eq!(
            envelope(&Error::Truncated),
            r#"{"error":{"message":"The upstream stream ended before it was complete. Send the request again.","type":"server_error","param":null,"code":"upstream_stream_truncated"}}"#
        );
    }

    #[test]
    fn every_wording_of_a_too_long_conversation_has_one_code() {
        for text in [
            "Invalid request: Your request exceeded model token limit: 262144 (requested: 269030)",
            "This model's maximum prompt length is 131072 but the request contains 136973 tokens.",
            "Your input exceeds the context window of this model.",
            "prompt is too long: 250000 tokens > 200000 maximum",
            "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
            "Input is too long for requested model.",
            "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            "Please reduce the length of the messages or completion.",
            "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
            "too many tokens: the total number of tokens in the prompt cannot exceed 4081",
            "the request exceeds the available context size",
            "The decoder prompt (length 40000) is longer than the maximum model length of 32768",
            "Range of input length should be [1, 30720]",
        ] {
            for status in [400, 413, 200] {
                let body = serde_json::json!({"error": {"message": text, "type": "invalid_request_error"}});
                let read = read_error(status, body.to_string().as_bytes());
                assert_eq!(
                    read.code.as_deref(),
                    Some("context_length_exceeded"),
                    "{status} {text}"
                );
                assert!((400..500).contains(&read.status), "{status} {text}");
            }
        }
        for other in [
            "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 9000",
            "max_tokens: 300000 > 128000, which is the maximum allowed number of output tokens",
        ] {
            let body = serde_json::json!({"error": {"message": other}});
            assert_eq!(
                read_error(400, body.to_string().as_bytes()).code,
                None,
                "{other}"
            );
        }
    }
}
