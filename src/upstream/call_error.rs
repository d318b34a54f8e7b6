//! Why a call has no response: the one error that travels up from an attempt to the client.

use super::headers::Headers;
use super::retry::Retry;
use crate::error::Error;
use crate::providers::Provider;

/// A call that has no response.
#[derive(Debug, Clone)]
pub struct CallError {
    /// The error for the client.
    pub error: Error,
    /// Whether the same request may be sent to the same provider again.
    pub retry: Retry,
    /// Whether the error counts against the provider's circuit. An error that may be the fault of
    /// the request does not.
    pub counts_as_failure: bool,
    /// The number of attempts that were made.
    pub attempts: u32,
    /// Headers that are passed on from the provider.
    pub headers: Headers,
    /// The provider that was called; `None` if the request failed before a call.
    pub provider: Option<&'static Provider>,
}

impl CallError {
    /// An error without headers of the provider.
    #[must_use]
    pub fn new(error: Error, retry: Retry) -> Self {
        Self {
            counts_as_failure: error.is_provider_fault(),
            error,
            retry,
            attempts: 0,
            headers: Headers::default(),
            provider: None,
        }
    }

    /// The same error, but not counted against the provider's circuit.
    pub(super) fn not_counted(mut self) -> Self {
        self.counts_as_failure = false;
        self
    }
}

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        Self::new(error, Retry::Never)
    }
}
