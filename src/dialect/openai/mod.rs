//! OpenAI Chat Completions (API of August 2026), as clients and most providers use it. Pure.

mod calls;
mod client;
mod conversation;
mod decode_request;
mod decode_response;
mod encode_request;
mod encode_response;
mod error_in_success;
mod lenient;
mod provider;
mod relay;
mod request_quirks;
mod stream_decoder;
mod stream_encoder;
mod tags;
mod usage;

use crate::dialect::common::error_body::read_error;
use crate::dialect::hub::{ReasoningLookup, Request, Response};
use crate::dialect::traits::{
    ClientDialect, EncodedRequest, ProviderDialect, StreamDecoder, StreamEncoder,
};
use crate::error::{Error, ProviderError};

pub use client::ChatClient;
pub use decode_request::{older_name, read_message, read_request, read_tool_choice};
pub use provider::{
    ChatProvider, Effort, EmptyContent, ForcedToolChoice, Members, Names, Nulls, ReasoningReplay,
};
pub use relay::{ChatRelay, conformance, repair};
pub use request_quirks::{Edited, gemini_schema, kimi_schema, without_empty_tools};

impl ClientDialect for ChatClient {
    fn encode_response(&self, answer: Response) -> String {
        encode_response::answer(self, &answer)
    }

    fn stream_encoder(&self) -> Box<dyn StreamEncoder> {
        Box::new(stream_encoder::ChatStreamEncoder::new(self.clone()))
    }
}

impl ProviderDialect for ChatProvider {
    fn encode_request(
        &self,
        request: &mut Request<'_>,
        memory: &dyn ReasoningLookup,
    ) -> Result<EncodedRequest, Error> {
        encode_request::request(request, self, memory)
    }

    fn decode_response(&self, body: &[u8]) -> Result<Response, String> {
        decode_response::answer(body, self)
    }

    fn requires_reasoning_replay(&self, model: &str) -> bool {
        (self.requires_reasoning_replay)(model) != ReasoningReplay::Nothing
    }

    fn stream_decoder(&self, provider: &'static str) -> Box<dyn StreamDecoder> {
        Box::new(stream_decoder::ChatStreamDecoder::new(provider, self))
    }

    fn decode_error(&self, status: u16, body: &[u8]) -> ProviderError {
        read_error(status, body)
    }

    fn decode_stream_error(&self, events: &[u8]) -> Option<ProviderError> {
        error_in_success::chat_error(events)
    }

    fn decode_broken_off(&self, body: &[u8]) -> Option<ProviderError> {
        error_in_success::choice_error(body)
    }
}
