//! The parts that all provider errors share: the status for the client, and the removal of keys.
//! Pure.

use std::borrow::Cow;

use crate::error::ProviderError;
use crate::secret::{Secret, redact};

/// Creates an error whose type and code follow from the status, for what the body does not say.
#[must_use]
pub fn provider_error(status: u16, message: String) -> ProviderError {
    let (kind, code) = match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        402 => ("insufficient_quota", Some("insufficient_quota")),
        403 => ("permission_error", None),
        429 => ("rate_limit_error", Some("rate_limit_exceeded")),
        408 | 504 => ("server_error", Some("upstream_timeout")),
        200..=399 | 500.. => ("server_error", None),
        _ => ("invalid_request_error", None),
    };
    ProviderError {
        status: client_status(status),
        upstream_status: status,
        message,
        kind: kind.to_owned(),
        param: None,
        code: code.map(str::to_owned),
        more: Vec::new(),
    }
}

/// Removes the key, and everything shaped like a key, from all texts of a provider's error.
pub fn redact_error(error: &mut ProviderError, key: &Secret) {
    let scrub = |text: &mut String| {
        if let Cow::Owned(clean) = redact(text, Some(key)) {
            *text = clean;
        }
    };
    scrub(&mut error.message);
    scrub(&mut error.kind);
    error.param.iter_mut().for_each(scrub);
    error.code.iter_mut().for_each(scrub);
    for (name, value) in &mut error.more {
        scrub(name);
        scrub(value);
    }
}

/// Says where a provider's JSON is invalid. The parser's own message is not used, because it quotes
/// values of the body.
#[must_use]
pub fn position_of(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

/// The status for the client. 498 and 529 become 503, and every status that is not an error becomes
/// 502.
#[must_use]
pub fn client_status(status: u16) -> u16 {
    match status {
        498 | 529 => 503,
        status @ 400..=599 => status,
        _ => 502,
    }
}
