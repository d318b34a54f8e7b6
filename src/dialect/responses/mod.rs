//! OpenAI Responses (API of August 2026): a client dialect, a provider dialect for models that
//! offer some features only there, and a relay for providers that support it. Pure.

mod choice;
mod client;
mod conformance;
mod decode_request;
mod decode_response;
mod encode_request;
mod encode_response;
mod error_in_success;
mod items;
mod names;
mod parts;
mod relay;
mod stream_decoder;
mod stream_encoder;
mod tools;
mod turn_order;
mod wire;

use crate::dialect::common::error_body::read_error;
use crate::dialect::hub::{ReasoningLookup, Request, Response};
use crate::dialect::traits::{
    ClientDialect, EncodedRequest, ProviderDialect, RecoveredRequest, StreamDecoder, StreamEncoder,
};
use crate::error::{Error, ProviderError};

pub use client::ResponsesClient;
pub use conformance::{conformance, is_response, usage};
pub use decode_request::read_request;
pub use names::own_name;
pub use relay::ResponsesRelay;

impl ClientDialect for ResponsesClient {
    fn encode_response(&self, answer: Response) -> String {
        encode_response::answer(self, answer)
    }

    fn stream_encoder(&self) -> Box<dyn StreamEncoder> {
        Box::new(stream_encoder::ResponsesStreamEncoder::new(self.clone()))
    }
}

/// The provider dialect Responses.
#[derive(Debug)]
pub struct ResponsesProvider;

impl ProviderDialect for ResponsesProvider {
    fn encode_request(
        &self,
        request: &mut Request<'_>,
        memory: &dyn ReasoningLookup,
    ) -> Result<EncodedRequest, Error> {
        encode_request::request(request, memory)
    }

    fn decode_response(&self, body: &[u8]) -> Result<Response, String> {
        decode_response::answer(body)
    }

    fn requires_reasoning_replay(&self, _model: &str) -> bool {
        true
    }

    fn stream_decoder(&self, provider: &'static str) -> Box<dyn StreamDecoder> {
        Box::new(stream_decoder::ResponsesStreamDecoder::new(provider))
    }

    fn decode_error(&self, status: u16, body: &[u8]) -> ProviderError {
        read_error(status, body)
    }

    fn decode_stream_error(&self, events: &[u8]) -> Option<ProviderError> {
        error_in_success::responses_error(events)
    }

    fn decode_broken_off(&self, body: &[u8]) -> Option<ProviderError> {
        decode_response::failure(body)
    }

    fn recover(&self, body: &[u8], refusal: &ProviderError) -> Option<RecoveredRequest> {
        encode_request::recover(body, refusal)
    }
}
