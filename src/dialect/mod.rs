//! The wire formats, and what they meet in. Pure: no clock, no network.
//!
//! A client speaks Chat Completions or Responses, a provider Chat Completions or Messages. Where
//! the two differ, a request goes client -> hub -> provider and the answer back the same way.

pub mod anthropic;
mod decoder;
mod delta_template;
pub mod hub;
pub mod models;
pub mod openai;
pub mod responses;

use std::borrow::Cow;

use bytes::Bytes;

pub use decoder::{Conformant, DecodedBody, ResponseDecoder};

use crate::codec::json::Object;
use crate::codec::sse;
use crate::error::{Error, ProviderError};
use crate::secret::{Secret, redact};
use hub::{Event, ReasoningLookup, ReasoningState, Request, Response, Tool, Usage};

/// What a client speaks.
pub trait ClientDialect: Send + Sync {
    /// Writes a whole answer as the client's JSON.
    fn encode_response(&self, answer: Response) -> String;

    /// The state machine that writes a streamed answer.
    fn stream_encoder(&self) -> Box<dyn StreamEncoder>;
}

/// Writes hub events as the client's server-sent events.
pub trait StreamEncoder {
    /// Appends what `event` means to the client; nothing follows [`Event::End`] or a failure.
    fn push(&mut self, event: Event, out: &mut Vec<u8>);

    /// How much memory what is kept of the stream takes, in bytes, with what telling it once more
    /// at the end will take.
    fn held(&self) -> usize {
        0
    }
}

/// What a provider speaks.
pub trait ProviderDialect: Sync {
    /// Writes the provider's request body and names what could not be carried over. `memory` knows
    /// what clients did not keep of earlier answers.
    ///
    /// # Errors
    /// Names the field that the provider cannot be given.
    fn encode_request(
        &self,
        request: &mut Request<'_>,
        memory: &dyn ReasoningLookup,
    ) -> Result<EncodedRequest, Error>;

    /// Reads a whole answer.
    ///
    /// # Errors
    /// A text about what is wrong with the shape of the answer.
    fn decode_response(&self, body: &[u8]) -> Result<Response, String>;

    /// Whether answers of this model hold something that the provider wants back.
    fn requires_reasoning_replay(&self, model: &str) -> bool;

    /// The provider's own tool for searching the web that does what this one of Responses does, if
    /// it has one.
    fn web_search<'a>(&self, _tool: &Object<'a>) -> Option<Tool<'a>> {
        None
    }

    /// The state machine that reads a streamed answer of the provider so named.
    fn stream_decoder(&self, provider: &'static str) -> Box<dyn StreamDecoder>;

    /// The request in another form, where this refusal of it has a reason that can be mended.
    fn recover(&self, _body: &[u8], _refusal: &ProviderError) -> Option<RecoveredRequest> {
        None
    }

    /// Reads the body of an error answer.
    fn decode_error(&self, status: u16, body: &[u8]) -> ProviderError;

    /// The error that an event of a stream is, if one is.
    fn decode_stream_error(&self, events: &[u8]) -> Option<ProviderError>;

    /// The error that a whole answer tells of which was begun and broke off, if one does.
    fn decode_broken_off(&self, _body: &[u8]) -> Option<ProviderError> {
        None
    }
}

/// Reads a provider's events into hub events.
pub trait StreamDecoder {
    /// Appends what `event` means. A failure of the provider is [`Event::Failed`].
    fn push(&mut self, event: &sse::Event<'_>, out: &mut Vec<Event>);

    /// The stream ended; appends [`Event::End`] or, where it was cut, [`Event::Failed`].
    fn finish(&mut self, out: &mut Vec<Event>);

    /// How much memory what is kept of the stream takes, in bytes, with what telling it once more
    /// at the end will take.
    fn held(&self) -> usize {
        0
    }
}

/// A request in another form, after a refusal whose reason is known.
#[derive(Debug)]
pub struct RecoveredRequest {
    /// The JSON text.
    pub body: Vec<u8>,
    /// Headers that go with it.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The parameter that is left out by it, in the hub's words.
    pub dropped: &'static str,
    /// Why, in a word, for counting.
    pub reason: &'static str,
}

/// The `format` of reasoning that OpenAI's Responses sealed.
pub const RESPONSES_FORMAT: &str = "openai-responses-v1";

/// Sees to a stream that goes through to a client which speaks what the provider does.
pub trait Relay {
    /// Looks at whole events; gives what to pass on: the same bytes where nothing is wrong.
    fn pass(&mut self, events: Bytes) -> Bytes;

    /// The code of the error event that ended the stream, if one did; nothing follows it.
    fn ended(&self) -> Option<&'static str>;

    /// The provider's stream ended; what is still to be said. `clean` says that the provider ended
    /// it, and that it was not cut: then more counts as an end.
    ///
    /// # Errors
    /// `Truncated` where the answer is not complete.
    fn end(&mut self, clean: bool) -> Result<Vec<u8>, Error>;

    /// The event that tells the client that its stream failed. Nothing follows it.
    fn failure(&mut self, error: &Error) -> Vec<u8>;

    /// Whether the answer is complete: nothing that may follow belongs to it.
    fn is_complete(&self) -> bool;

    /// The code of an error that the provider told in the stream itself.
    fn told(&self) -> Option<&'static str> {
        None
    }

    /// The tokens that the provider counted, as far as it has.
    fn usage(&self) -> Option<Usage>;

    /// How many events were repaired so far.
    fn repaired(&self) -> u64;

    /// Of a complete answer, the ids of its calls and what its provider wants back with them.
    fn kept(&mut self) -> Option<(Vec<String>, ReasoningState)>;

    /// How much memory what is kept of the stream takes, in bytes, with what telling it once more
    /// at the end will take.
    fn held(&self) -> usize {
        0
    }
}

/// A request body for a provider.
#[derive(Debug, PartialEq, Eq)]
pub struct EncodedRequest {
    /// The JSON text.
    pub body: Vec<u8>,
    /// What it does not say as the client did.
    pub report: TranslationReport,
    /// Stands for the conversation, where ids of calls do not tell it; see [`hub::ReasoningLookup`].
    pub conversation_hash: u64,
}

/// What a translation did to the parameters of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TranslationReport {
    /// Names of parameters that were left out.
    pub dropped: Vec<String>,
    /// Names of parameters whose value was brought within the provider's limits, or whose effect
    /// is sought by other means.
    pub changed: Vec<String>,
}

impl TranslationReport {
    /// Names the members of an object that have no place with the provider.
    pub fn left_out(&mut self, members: &Object<'_>, path: &str) {
        let said = members
            .fields
            .iter()
            .filter(|field| field.value.get() != "null");
        self.dropped
            .extend(said.map(|field| format!("{path}.{}", field.name)));
    }

    /// Sorts the names and takes out repetitions.
    pub fn dedup(&mut self) {
        for names in [&mut self.dropped, &mut self.changed] {
            names.sort_unstable();
            names.dedup();
        }
    }

    /// Gives every name as `own` tells it.
    pub fn rename(&mut self, own: impl Fn(&str) -> String) {
        for names in [&mut self.dropped, &mut self.changed] {
            for name in names.iter_mut() {
                *name = own(name);
            }
        }
        self.dedup();
    }

    /// Refuses a request that did not go through as it was.
    ///
    /// # Errors
    /// `UnsupportedParameter` with all names, the first as its `param`.
    pub fn refuse(&self) -> Result<(), Error> {
        /// Most other names that an error repeats.
        const MOST: usize = 50;
        let mut names = self.dropped.iter().chain(&self.changed);
        let Some(first) = names.next() else {
            return Ok(());
        };
        let others: Vec<_> = names.map(String::as_str).collect();
        let others = match others.get(..MOST) {
            _ if others.is_empty() => String::new(),
            Some(some) if others.len() > MOST => format!(
                " The same holds for {} and {} more.",
                some.join(", "),
                others.len() - MOST
            ),
            _ => format!(" The same holds for {}.", others.join(", ")),
        };
        Err(Error::unsupported(
            first.as_str(),
            format!(
                "it cannot be given to this provider as it is, and strict translation was asked for.{others}"
            ),
        ))
    }
}

/// Where times and ids of a translated answer come from, so that translation stays pure.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// When the answer was created, in seconds since 1970.
    pub created: u64,
    /// Where minted ids start from; random in service.
    pub seed: u128,
    /// The time now, in seconds since 1970.
    pub now: fn() -> u64,
}

impl Stamp {
    /// An id of our own: the prefix and 24 hexadecimal digits, different for each `n`.
    #[must_use]
    pub fn id(&self, prefix: &str, n: u64) -> String {
        let value = self.seed.wrapping_add(u128::from(n)) & ((1 << 96) - 1);
        format!("{prefix}{value:024x}")
    }
}

/// Fills what a provider's error body leaves out, from the status.
#[must_use]
pub fn provider_error(status: u16, message: String) -> ProviderError {
    let (kind, code) = match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        402 => ("insufficient_quota", Some("insufficient_quota")),
        403 => ("permission_error", None),
        429 => ("rate_limit_error", Some("rate_limit_exceeded")),
        408 | 504 => ("server_error", Some("upstream_timeout")),
        200..=399 | 500.. => ("server_error", None),
        _ => ("invalid_request_error", None),
    };
    ProviderError {
        status: client_status(status),
        upstream_status: status,
        message,
        kind: kind.to_owned(),
        param: None,
        code: code.map(str::to_owned),
        more: Vec::new(),
    }
}

/// Takes the key, and everything shaped like one, out of all that a provider's error says.
pub fn clean(error: &mut ProviderError, key: &Secret) {
    let scrub = |text: &mut String| {
        if let Cow::Owned(clean) = redact(text, Some(key)) {
            *text = clean;
        }
    };
    scrub(&mut error.message);
    scrub(&mut error.kind);
    error.param.iter_mut().for_each(scrub);
    error.code.iter_mut().for_each(scrub);
    for (name, value) in &mut error.more {
        scrub(name);
        scrub(value);
    }
}

/// What is wrong with JSON of a provider, without repeating any of it: the parser's own words
/// quote the values they met.
pub(crate) fn place_of(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}

/// The status a client is told: vendors' own numbers become the standard one they mean.
pub(crate) fn client_status(status: u16) -> u16 {
    match status {
        498 | 529 => 503,
        status @ 400..=599 => status,
        _ => 502,
    }
}
