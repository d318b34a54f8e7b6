//! The path of every request: routing, key, worker, response. One public function per endpoint.

mod body_memory;
mod chat;
mod failover;
mod inbound;
mod keepalive;
mod large_body;
mod models;
mod models_cache;
mod observer;
mod prepared;
mod progress;
mod redaction;
mod relayed_stream;
mod respond;
mod response;
mod responses;
mod split_key;
mod state;
mod stream_work;
mod targets;
mod translated_stream;
mod translation_headers;

pub use body_memory::BodyReservation;
pub use chat::chat;
pub use inbound::InboundRequest;
pub use models::models;
pub use response::{GatewayBody, GatewayResponse};
pub use responses::responses;
pub use state::{AppState, SharedState};
