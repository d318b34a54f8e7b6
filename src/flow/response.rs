//! What a request ends with: an answer for the client, or why there is none.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;

use crate::error::Error;
use crate::providers::Provider;
use crate::upstream::Headers;

/// An answer for the client.
pub struct GatewayResponse {
    /// Who answered.
    pub provider: &'static Provider,
    /// Attempts it took.
    pub attempts: u32,
    /// Headers of the provider that the client is given, and our own.
    pub headers: Headers,
    /// The answer.
    pub content: GatewayBody,
}

/// The body of an answer.
pub enum GatewayBody {
    /// JSON.
    Json(Bytes),
    /// Server-sent events.
    Events(Pin<Box<dyn Stream<Item = Bytes>>>),
}

/// Why there is no answer.
#[derive(Debug, Clone)]
pub struct CallError {
    /// Why.
    pub error: Error,
    /// Who refused, when it came so far.
    pub provider: Option<&'static Provider>,
    /// Attempts that were made.
    pub attempts: u32,
    /// Headers of the provider that the client is given.
    pub headers: Headers,
}

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        Self {
            error,
            provider: None,
            attempts: 0,
            headers: Headers::default(),
        }
    }
}
