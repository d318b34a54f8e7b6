//! OpenAI Responses (API of August 2026) for providers that lack it: request -> hub, hub -> answer
//! and events. Pure.

mod answer;
mod ingress;
mod items;
mod names;
mod relay;
mod stream_out;
mod tools;
mod wire;

use crate::dialect::hub::Answer;
use crate::dialect::{Ingress, Stamp, StreamOut};

pub use ingress::read_request;
pub use names::own_name;
pub use relay::ResponsesRelay;

/// Responses as a client speaks it; holds what its answer repeats of the request.
#[derive(Debug, Clone)]
pub struct ResponsesClient {
    /// Times and ids.
    pub stamp: Stamp,
    /// The provider's name, part of the response's id.
    pub provider: &'static str,
    /// The model of the request, for a provider that names none in its answer.
    pub model: String,
    /// Whether reasoning is shown as a summary.
    pub summary: bool,
    /// Whether reasoning is given for taking back.
    pub encrypted: bool,
    echo: wire::Echo,
}

impl Ingress for ResponsesClient {
    fn answer(&self, answer: Answer) -> String {
        answer::answer(self, answer)
    }

    fn stream(&self) -> Box<dyn StreamOut> {
        Box::new(stream_out::ToResponses::new(self.clone()))
    }
}

/// How our own `encrypted_content` begins.
const SEALED: &str = "gw1.";
