//! A provider's error response: the error for the client, and whether the request may be retried.

use std::time::Duration;

use bytes::Bytes;

use crate::dialect::{ResponseDecoder, redact_error};
use crate::error::{Error, ProviderError};
use crate::providers::Provider;
use crate::secret::Secret;
use crate::upstream::{CallError, Headers, Retry};

/// An error response that was read.
pub(super) struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The body; empty if it could not be read.
    pub body: Bytes,
    /// Headers that are passed on from the provider.
    pub headers: Headers,
    /// How long the provider asks to wait, from its headers.
    pub retry_after: Option<Duration>,
    /// The provider's `x-should-retry` header.
    pub should_retry: Option<bool>,
}

impl Refusal {
    /// The error for the client.
    pub(super) fn into_error(
        self,
        provider: &'static Provider,
        decoder: ResponseDecoder,
        key: &Secret,
    ) -> CallError {
        let Self {
            status,
            body,
            mut headers,
            retry_after,
            should_retry,
        } = self;
        let mut error = decoder.decode_error(status, &body);
        redact_error(&mut error, key);
        let mut after = retry_after;
        for (name, value) in &error.more {
            if after.is_none() && name == "details" {
                after = delay_in(value);
                if let Some(after) = after {
                    headers.push("retry-after", &after.as_secs_f64().ceil().to_string());
                }
            }
        }
        let transient = is_transient(status);
        let spent =
            is_spent(&error) || (status == 429 && after.is_none() && provider.bare_429_is_final);
        let retry = match should_retry {
            Some(false) => Retry::Never,
            // A wrong request stays wrong, whatever the provider advises.
            Some(true) if !spent && !matches!(status, 400..=407 | 409..=422) => {
                Retry::Yes { after }
            }
            _ if transient && !spent => Retry::Yes { after },
            _ => Retry::Never,
        };
        headers.push("x-upstream-status", &status.to_string());
        CallError {
            headers,
            ..CallError::new(Error::Provider(Box::new(error)), retry)
        }
    }
}

/// The error of a response with a successful status, before any of it was passed on.
pub(super) fn error_in_success(mut error: ProviderError, key: &Secret) -> CallError {
    redact_error(&mut error, key);
    let retry = if is_transient(error.status) && !is_spent(&error) {
        Retry::Yes { after: None }
    } else {
        Retry::Never
    };
    CallError::new(Error::Provider(Box::new(error)), retry)
}

/// Whether the status says that the same request may succeed later and was not billed.
fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 429 | 498 | 500 | 502 | 503 | 504 | 529)
}

/// Whether the account is out of credit, which no retry changes.
fn is_spent(error: &ProviderError) -> bool {
    error.code.as_deref() == Some("insufficient_quota")
}

/// Google's `retryDelay`, as in `"34s"`, in the details of an error.
fn delay_in(details: &str) -> Option<Duration> {
    let (_, rest) = details.split_once("\"retryDelay\"")?;
    let text = rest.split('"').nth(1)?.strip_suffix('s')?;
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn googles_delay_is_read_from_the_details() {
        let details =
            r#"[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.5s"}]"#;
        assert_eq!(delay_in(details), Some(Duration::from_millis(34_500)));
        assert_eq!(delay_in("[]"), None);
        assert_eq!(delay_in(r#"{"retryDelay": 3}"#), None);
    }
}
