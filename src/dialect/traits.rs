//! What a client's dialect and a provider's dialect must be able to do, in the same verbs both ways:
//! a client's dialect encodes responses, streams and errors, a provider's encodes requests and decodes
//! responses, streams and errors. Pure.

use bytes::Bytes;

use super::common::report::TranslationReport;
use super::hub::{Event, ReasoningLookup, ReasoningState, Request, Response, Tool, Usage};
use crate::codec::json::Object;
use crate::codec::sse;
use crate::error::{Error, ProviderError};

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
    /// Stands for the conversation, where ids of calls do not tell it; see [`ReasoningLookup`].
    pub conversation_hash: u64,
}
