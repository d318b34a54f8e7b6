//! Anthropic Messages (version 2023-06-01), spoken by one provider. Pure.

mod answer;
mod blocks;
mod calls;
mod egress;
mod error;
mod family;
mod messages;
mod rebuild;
mod replay;
mod schema;
mod stream_in;
mod thinking;
mod tools;
mod wire;

use crate::codec::json::Object;
use crate::codec::sse;
use crate::dialect::hub::{Answer, Memory, Request, Tool};
use crate::dialect::{Egress, Mended, StreamIn, Translated};
use crate::error::{Error, ProviderError};

/// Messages as a provider speaks it.
#[derive(Debug)]
pub struct MessagesProvider;

/// The `format` of reasoning details that came from this dialect.
const DETAIL_FORMAT: &str = "anthropic-claude-v1";

impl Egress for MessagesProvider {
    fn request(&self, request: &mut Request<'_>, memory: &dyn Memory) -> Result<Translated, Error> {
        if replay::remember(&mut request.messages, memory) {
            request
                .changed
                .push("messages.reasoning_details".to_owned());
        }
        egress::request(request)
    }

    fn answer(&self, body: &[u8]) -> Result<Answer, String> {
        answer::answer(body)
    }

    fn wants_back(&self, _model: &str) -> bool {
        true
    }

    fn web_search<'a>(&self, tool: &Object<'a>) -> Option<Tool<'a>> {
        Some(tools::hosted_search(tool))
    }

    fn stream(&self, provider: &'static str) -> Box<dyn StreamIn> {
        Box::new(stream_in::FromMessages::new(provider))
    }

    fn mend(&self, body: &[u8], refusal: &ProviderError) -> Option<Mended> {
        replay::mend(body, refusal)
    }

    fn error(&self, status: u16, body: &[u8]) -> ProviderError {
        error::read(status, body)
    }

    fn stream_error(&self, events: &[u8]) -> Option<ProviderError> {
        sse::events(events).find_map(|event| {
            let named = event.name.as_deref() == Some("error");
            (named || event.data.starts_with("{\"type\":\"error\""))
                .then(|| error::read(200, event.data.as_bytes()))
        })
    }
}
