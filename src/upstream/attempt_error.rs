//! What an attempt that failed tells: why, whether to try again, and the provider's own headers.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use awc::http::header::HeaderMap;

use super::headers::{HeaderName, HeaderValue, Headers};
use super::retry::Retry;
use crate::error::Error;
use crate::secret::{Secret, redact};

/// An attempt that gave no answer.
#[derive(Debug, Clone)]
pub struct AttemptError {
    /// Why.
    pub error: Error,
    /// Whether to try again.
    pub retry: Retry,
    /// Headers of the provider that the client is given.
    pub headers: Headers,
    /// Whether it tells against the provider, and not against what was sent to it.
    pub counts_as_failure: bool,
}

impl AttemptError {
    /// A failure that came from no answer of the provider.
    #[must_use]
    pub fn new(error: Error, retry: Retry) -> Self {
        Self {
            counts_as_failure: error.is_providers(),
            error,
            retry,
            headers: Headers::default(),
        }
    }

    /// The same, but that it may be the fault of what was sent.
    pub(super) fn not_counted(mut self) -> Self {
        self.counts_as_failure = false;
        self
    }
}

/// Whether the gateway itself is out of file descriptors: `ENFILE` and `EMFILE`, which are 23 and
/// 24 on every Unix.
pub(super) fn no_descriptor(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24)) && cfg!(unix)
}

/// Why no connection came about. Texts are fixed: the system's own hold addresses.
pub(super) fn connect_reason(error: &io::Error) -> (&'static str, Retry) {
    let yes = Retry::Yes { after: None };
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ("the connection was refused", yes),
        io::ErrorKind::TimedOut => ("connecting took too long", yes),
        io::ErrorKind::InvalidData => ("its certificate or TLS is not acceptable", Retry::Never),
        _ if error.to_string().contains("lookup") => ("its name cannot be resolved", yes),
        _ if error.to_string().contains("the proxy refused") => {
            ("the proxy refused the connection", yes)
        }
        _ => ("no connection came about", yes),
    }
}

/// Google's `retryDelay`, as in `"34s"`, in the details of an error.
pub(super) fn delay_in(details: &str) -> Option<Duration> {
    let (_, rest) = details.split_once("\"retryDelay\"")?;
    let text = rest.split('"').nth(1)?.strip_suffix('s')?;
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

/// The headers of a provider that a client is given, by name or beginning.
pub(super) fn kept(headers: &HeaderMap, key: &Secret) -> Headers {
    const NAMES: [&str; 7] = [
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
        "openai-processing-ms",
        "openai-version",
        "x-ms-region",
        "x-generation-id",
    ];
    const IDS: [&str; 4] = [
        "x-request-id",
        "request-id",
        "x-amzn-requestid",
        "apim-request-id",
    ];
    static OWN_ID: HeaderName = HeaderName::from_static("x-upstream-request-id");
    let mut out = Headers::default();
    for (full_name, value) in headers {
        let name = full_name.as_str();
        let is_id = IDS.contains(&name);
        let is_limit = name.starts_with("x-ratelimit-") || name.starts_with("anthropic-ratelimit-");
        if !is_id && !is_limit && !NAMES.contains(&name) {
            continue;
        }
        let Ok(text) = value.to_str() else { continue };
        let value = match redact(text, Some(key)) {
            Cow::Borrowed(_) => Ok(value.clone()),
            Cow::Owned(redact_error) => HeaderValue::try_from(redact_error),
        };
        let name = if is_id { &OWN_ID } else { full_name };
        if let Ok(value) = value {
            out.add(name.clone(), value);
        }
    }
    out
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
