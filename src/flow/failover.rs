//! Whether a request goes to its next target after an error. Pure.

use crate::error::Error;
use crate::providers::Provider;

/// Why another target may do better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailoverReason {
    /// The provider's rate limit is reached: 429.
    RateLimit,
    /// The provider failed: 5xx, an unusable response, or no connection.
    Server,
    /// The provider did not respond in time.
    Timeout,
    /// The gateway's own limit for the provider is reached, or its circuit is open.
    Overloaded,
}

/// Why another target may do better; `None` if the error is due to the request, to its key or to
/// the gateway as a whole.
pub(super) fn reason(error: &Error) -> Option<FailoverReason> {
    match error {
        Error::Provider(theirs) => match theirs.status {
            429 => Some(FailoverReason::RateLimit),
            408 | 504 => Some(FailoverReason::Timeout),
            500.. => Some(FailoverReason::Server),
            _ => None,
        },
        Error::Unreachable { .. } | Error::InvalidUpstreamResponse { .. } => {
            Some(FailoverReason::Server)
        }
        Error::TimedOut { .. } => Some(FailoverReason::Timeout),
        Error::Overloaded { .. } | Error::CircuitOpen { .. } => Some(FailoverReason::Overloaded),
        Error::InvalidJson { .. }
        | Error::InvalidType { .. }
        | Error::Missing { .. }
        | Error::InvalidValue { .. }
        | Error::UnsupportedParameter { .. }
        | Error::UnsupportedValue { .. }
        | Error::MissingApiKey
        | Error::ApiKeyNotBearer { .. }
        | Error::WrongKey
        | Error::ProviderKeySent { .. }
        | Error::ForeignKey { .. }
        | Error::ProviderKeyMissing { .. }
        | Error::ProviderNotConfigured { .. }
        | Error::UnknownPath { .. }
        | Error::MethodNotAllowed { .. }
        | Error::UnsupportedMediaType
        | Error::TooLarge { .. }
        | Error::IncompleteBody
        | Error::Malformed { .. }
        | Error::UnsupportedEncoding
        | Error::HeaderTimeout
        | Error::BodyMemoryExhausted
        | Error::BodyTooComplex { .. }
        | Error::TooManyOpenFiles
        | Error::ShuttingDown
        | Error::Truncated
        | Error::CredentialRejected { .. } => None,
    }
}

/// Whether a request whose first target was at `first` may go on to `next`. A caller's own key is sent
/// to no second provider.
pub(super) fn may_follow(has_own_key: bool, first: &Provider, next: &Provider) -> bool {
    !has_own_key || first == next
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::provider_error;
    use crate::providers::by_name;

    #[test]
    fn only_what_another_target_may_do_better_fails_over() {
        use FailoverReason::{Overloaded, RateLimit, Server, Timeout};
        for (status, expected) in [
            (400, None),
            (401, None),
            (402, None),
            (403, None),
            (404, None),
            (408, Some(Timeout)),
            (413, None),
            (422, None),
            (429, Some(RateLimit)),
            (500, Some(Server)),
            (503, Some(Server)),
            (504, Some(Timeout)),
        ] {
            let error = Error::Provider(Box::new(provider_error(status, "x".to_owned())));
            assert_eq!(reason(&error), expected, "{status}");
        }
        let provider = "openai";
        for (error, expected) in [
            (
                Error::Unreachable {
                    provider,
                    reason: "x",
                },
                Some(Server),
            ),
            (Error::Truncated, None),
            (Error::ShuttingDown, None),
            (Error::BodyMemoryExhausted, None),
            (Error::invalid("model", "x"), None),
            (Error::CredentialRejected { provider }, None),
            (
                Error::CircuitOpen {
                    provider,
                    retry_after: std::time::Duration::ZERO,
                },
                Some(Overloaded),
            ),
        ] {
            assert_eq!(reason(&error), expected, "{error}");
        }
    }

    #[test]
    fn a_callers_own_key_goes_to_no_second_provider() {
        let provider = |name| by_name(name).unwrap();
        assert!(may_follow(false, provider("openai"), provider("groq")));
        assert!(may_follow(true, provider("openai"), provider("openai")));
        assert!(!may_follow(true, provider("openai"), provider("groq")));
    }
}
