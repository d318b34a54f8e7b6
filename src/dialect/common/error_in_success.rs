//! Detects errors that come with a 2xx status, as an event of a stream or as a whole body. Pure.

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::error_body::read_error;
use crate::error::ProviderError;

/// Returns the error if a whole body with a 2xx status is an error.
#[must_use]
pub fn whole_error(body: &[u8]) -> Option<ProviderError> {
    let text = std::str::from_utf8(body).ok()?;
    is_error(text).then(|| read_error(200, body))
}

/// Decodes the value of an `error` field.
#[must_use]
pub fn error_member(error: &RawValue) -> ProviderError {
    read_error(200, format!("{{\"error\":{}}}", error.get()).as_bytes())
}

/// Whether a JSON text is an error object: it has an error, and no field of a response.
pub(in crate::dialect) fn is_error(data: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Probe {
        #[serde(default)]
        error: Option<IgnoredAny>,
        #[serde(default)]
        output: Option<IgnoredAny>,
        #[serde(default)]
        response: Option<IgnoredAny>,
        #[serde(default)]
        choices: Option<IgnoredAny>,
        #[serde(default)]
        detail: Option<IgnoredAny>,
        #[serde(default)]
        object: Option<Kind>,
    }
    /// The `object` field: a string, or any other JSON value.
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Kind {
        Named(String),
        Other(IgnoredAny),
    }
    let may_be = ["\"error\"", "\"detail\""];
    may_be.iter().any(|word| data.contains(word))
        && serde_json::from_str::<Probe>(data).is_ok_and(|probe| {
            let answers = probe.output.is_some() || probe.response.is_some();
            let flat = matches!(probe.object, Some(Kind::Named(name)) if name == "error")
                || probe.detail.is_some();
            !answers && (probe.error.is_some() || (flat && probe.choices.is_none()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trap B9.
    #[test]
    fn an_error_with_a_good_status_is_an_error() {
        assert_eq!(
            whole_error(br#"{"error":{"code":429,"message":"x"}}"#)
                .unwrap()
                .status,
            429
        );
        for good in [
            r#"{"choices":[],"error":null}"#,
            r#"{"object":"response","output":[],"error":{"code":"server_error"}}"#,
        ] {
            assert!(whole_error(good.as_bytes()).is_none(), "{good}");
        }
    }
}
