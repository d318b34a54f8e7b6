//! The response headers that are passed on from a provider to the client. They are not copied:
//! their values share the buffer that they arrived in.

use std::borrow::Cow;

use awc::http::header::HeaderMap;
pub use awc::http::header::{HeaderName, HeaderValue};

use crate::secret::{Secret, redact};

/// Response headers for the client, in their order.
#[derive(Debug, Clone, Default)]
pub struct Headers(Vec<(HeaderName, HeaderValue)>);

impl Headers {
    /// Adds a header. A value that a header cannot have is left out.
    pub fn push(&mut self, name: &'static str, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.add(HeaderName::from_static(name), value);
        }
    }

    pub(super) fn add(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.push((name, value));
    }

    /// The first value of this name; `None` if it is absent or not text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(own, _)| own.as_str() == name)?;
        value.to_str().ok()
    }

    /// Whether there is a header whose name begins with `beginning`.
    #[must_use]
    pub fn has_any(&self, beginning: &str) -> bool {
        self.0
            .iter()
            .any(|(name, _)| name.as_str().starts_with(beginning))
    }

    /// Removes the headers of this name that have another value.
    pub fn only(&mut self, name: &str, value: &str) {
        self.0
            .retain(|(own, had)| own.as_str() != name || had == value);
    }

    /// Adds all of `more`.
    pub fn append(&mut self, mut more: Self) {
        self.0.append(&mut more.0);
    }

    /// All headers.
    pub fn iter(&self) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
        self.0.iter()
    }
}

/// The provider's headers that are passed on to the client, selected by name or beginning, without
/// keys.
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
            Cow::Owned(redacted) => HeaderValue::try_from(redacted),
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
    fn of_two_values_the_one_that_is_meant_stays() {
        for values in [["false", "true"], ["true", "false"]] {
            let mut headers = Headers::default();
            headers.push("retry-after", "1");
            for value in values {
                headers.push("x-should-retry", value);
            }
            headers.push("x-nothing", "no\nvalue");
            headers.only("x-should-retry", "false");
            let left: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(left, ["retry-after", "x-should-retry"]);
            assert_eq!(headers.get("x-should-retry"), Some("false"));
            assert!(headers.has_any("retry-after"));
        }
    }
}
