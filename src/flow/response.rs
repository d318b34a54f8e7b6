//! The response to the client.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;

use crate::providers::Provider;
use crate::upstream::Headers;

/// A response for the client.
pub struct GatewayResponse {
    /// The provider that responded.
    pub provider: &'static Provider,
    /// The number of attempts that were made, over all targets.
    pub attempts: u32,
    /// Headers that are passed on from the provider, and the gateway's own.
    pub headers: Headers,
    /// The body.
    pub content: GatewayBody,
}

/// The body of a response.
pub enum GatewayBody {
    /// JSON.
    Json(Bytes),
    /// Server-sent events.
    Events(Pin<Box<dyn Stream<Item = Bytes>>>),
}
