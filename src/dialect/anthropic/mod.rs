//! Anthropic Messages (version 2023-06-01) as a provider dialect; one provider speaks it. Pure.

mod blocks;
mod calls;
mod decode_response;
mod encode_request;
mod error;
mod family;
mod messages;
mod rebuild;
mod replay;
mod schema;
mod stream_decoder;
mod thinking;
mod tools;
mod wire;

use crate::codec::json::Object;
use crate::codec::sse;
use crate::dialect::hub::{ReasoningLookup, Request, Response, Tool};
use crate::dialect::traits::{EncodedRequest, ProviderDialect, RecoveredRequest, StreamDecoder};
use crate::error::{Error, ProviderError};

/// The provider dialect Messages.
#[derive(Debug)]
pub struct MessagesProvider;

impl ProviderDialect for MessagesProvider {
    fn encode_request(
        &self,
        request: &mut Request<'_>,
        memory: &dyn ReasoningLookup,
    ) -> Result<EncodedRequest, Error> {
        if replay::remember(&mut request.messages, memory) {
            request
                .changed
                .push("messages.reasoning_details".to_owned());
        }
        encode_request::request(request)
    }

    fn decode_response(&self, body: &[u8]) -> Result<Response, String> {
        decode_response::answer(body)
    }

    fn requires_reasoning_replay(&self, _model: &str) -> bool {
        true
    }

    fn web_search<'a>(&self, tool: &Object<'a>) -> Option<Tool<'a>> {
        Some(tools::hosted_search(tool))
    }

    fn stream_decoder(&self, provider: &'static str) -> Box<dyn StreamDecoder> {
        Box::new(stream_decoder::MessagesStreamDecoder::new(provider))
    }

    fn recover(&self, body: &[u8], refusal: &ProviderError) -> Option<RecoveredRequest> {
        replay::recover(body, refusal)
    }

    fn decode_error(&self, status: u16, body: &[u8]) -> ProviderError {
        error::read(status, body)
    }

    fn decode_stream_error(&self, events: &[u8]) -> Option<ProviderError> {
        sse::events(events).find_map(|event| {
            let named = event.name.as_deref() == Some("error");
            (named || event.data.starts_with("{\"type\":\"error\""))
                .then(|| error::read(200, event.data.as_bytes()))
        })
    }
}
