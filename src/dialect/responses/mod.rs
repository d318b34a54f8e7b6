//! OpenAI Responses (API of August 2026): for clients of providers that lack it, relayed to those
//! that have it, and spoken to models that do something there only. Pure.

mod choice;
mod decode_request;
mod decode_response;
mod encode_request;
mod encode_response;
mod items;
mod names;
mod parts;
mod relay;
mod stream_decoder;
mod stream_encoder;
mod tools;
mod turn_order;
mod wire;

use serde_json::value::RawValue;

use crate::codec::scan::Scan;
use crate::dialect::hub::{ReasoningLookup, Request, Response, Usage};
use crate::dialect::openai::{read_error, responses_error};
use crate::dialect::{
    ClientDialect, Conformant, EncodedRequest, ProviderDialect, RecoveredRequest, Stamp,
    StreamDecoder, StreamEncoder,
};
use crate::error::{Error, ProviderError};

pub use decode_request::read_request;
pub use names::own_name;
pub use relay::ResponsesRelay;

/// The tokens that a whole response counts.
#[must_use]
pub fn usage(response: &[u8]) -> Option<Usage> {
    #[derive(serde::Deserialize)]
    struct Counted {
        usage: Option<decode_response::WireUsage>,
    }
    let counted: Counted = serde_json::from_slice(response).ok()?;
    counted.usage.map(Usage::from)
}

/// A whole response that goes through as it is; `None` where it may be an error.
#[must_use]
pub fn conformance(response: &[u8]) -> Option<Conformant> {
    let mut scan = Scan::new(std::str::from_utf8(response).ok()?);
    let (mut output, mut usage) = (None, None);
    scan.object(|name, scan| {
        let known = match name {
            b"output" => &mut output,
            b"usage" => &mut usage,
            b"" => return None,
            _ => return scan.value().map(drop),
        };
        let second = known.replace(scan.value()?).is_some();
        (!second).then_some(())
    })?;
    if !scan.is_at_end() || output? == b"null" {
        return None;
    }
    let usage = usage.map(serde_json::from_slice::<Option<decode_response::WireUsage>>);
    Some(Conformant {
        usage: usage.transpose().ok()?.flatten().map(Usage::from),
    })
}

/// Responses as a client speaks it; holds what its answer repeats of the request.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a choice of the client's that no other depends on"
)]
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
    /// Whether it asked for log probabilities by `include`.
    pub includes_logprobs: bool,
    /// Whether it asked for a JSON object that the provider was only told to write.
    pub json_object: bool,
    names: tools::Names,
    /// Where the client wrote each of the hub's tools.
    places: Vec<String>,
    echo: wire::Echo,
}

impl ResponsesClient {
    /// The client's own name of a field that a translation to a provider named. Tools have other
    /// places in the provider's list where some are of a namespace or were left out.
    #[must_use]
    pub fn own_name(&self, name: &str) -> String {
        if name == "logprobs" && !self.includes_logprobs {
            return "top_logprobs".to_owned();
        }
        let own = own_name(name);
        let place = own.strip_prefix("tools[").and_then(|rest| {
            let (at, member) = rest.split_once(']')?;
            Some((self.places.get(at.parse::<usize>().ok()?)?, member))
        });
        match place {
            Some((place, member)) => format!("{place}{member}"),
            None => own,
        }
    }
}

impl ClientDialect for ResponsesClient {
    fn encode_response(&self, answer: Response) -> String {
        encode_response::answer(self, answer)
    }

    fn stream_encoder(&self) -> Box<dyn StreamEncoder> {
        Box::new(stream_encoder::ToResponses::new(self.clone()))
    }
}

/// Responses as a provider speaks it.
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
        Box::new(stream_decoder::FromResponses::new(provider))
    }

    fn decode_error(&self, status: u16, body: &[u8]) -> ProviderError {
        read_error(status, body)
    }

    fn decode_stream_error(&self, events: &[u8]) -> Option<ProviderError> {
        responses_error(events)
    }

    fn decode_broken_off(&self, body: &[u8]) -> Option<ProviderError> {
        decode_response::failure(body)
    }

    fn recover(&self, body: &[u8], refusal: &ProviderError) -> Option<RecoveredRequest> {
        encode_request::recover(body, refusal)
    }
}

/// How our own `encrypted_content` begins.
const SEALED: &str = "gw1.";

/// Whether a JSON text is a response, in whatever state, or at least a completion: what a provider says in
/// its own words goes through as it came.
#[must_use]
pub fn is_response(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Probe<'a> {
        #[serde(default)]
        output: Option<Vec<serde::de::IgnoredAny>>,
        #[serde(default, borrow)]
        choices: Vec<Choice<'a>>,
    }
    #[derive(serde::Deserialize)]
    struct Choice<'a> {
        #[serde(borrow)]
        message: &'a RawValue,
    }
    serde_json::from_slice::<Probe<'_>>(body).is_ok_and(|probe| {
        let says = |choice: &Choice<'_>| choice.message.get().starts_with('{');
        probe.output.is_some() || probe.choices.first().is_some_and(says)
    })
}
