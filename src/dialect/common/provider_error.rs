//! What every error of a provider has in common: its status for the client, and no key in it. Pure.

use std::borrow::Cow;

use crate::error::ProviderError;
use crate::secret::{Secret, redact};

/// Fills what a provider's error body leaves out, from the status.
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

/// Takes the key, and everything shaped like one, out of all that a provider's error says.
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

/// What is wrong with JSON of a provider, without repeating any of it: the parser's own words
/// quote the values they met.
#[must_use]
pub fn position_of(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

/// The status a client is told: vendors' own numbers become the standard one they mean.
#[must_use]
pub fn client_status(status: u16) -> u16 {
    match status {
        498 | 529 => 503,
        status @ 400..=599 => status,
        _ => 502,
    }
}
