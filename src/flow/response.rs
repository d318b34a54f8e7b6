//! The response to the client.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;

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
