//! The traits of client and provider dialects. A client dialect encodes responses and streams; a
//! provider dialect encodes requests and decodes responses, streams and errors. Pure.

use bytes::Bytes;

use super::common::report::TranslationReport;
use super::hub::{Event, ReasoningLookup, ReasoningState, Request, Response, Tool, Usage};
use crate::codec::json::Object;
use crate::codec::sse;
use crate::error::{Error, ProviderError};

/// A wire format that a client speaks.
pub trait ClientDialect: Send + Sync {
    /// Encodes a whole response as the client's JSON.
    fn encode_response(&self, answer: Response) -> String;

    /// Creates the state machine that encodes one streamed response.
    fn stream_encoder(&self) -> Box<dyn StreamEncoder>;
}

/// Encodes hub events as the client's server-sent events.
pub trait StreamEncoder: Send {
    /// Appends the client's events for `event`. Nothing is appended after [`Event::End`] or
    /// [`Event::Failed`].
    fn push(&mut self, event: Event, out: &mut Vec<u8>);

    /// Memory held for this stream, in bytes, including what repeating it in the closing events
    /// will take.
    fn held(&self) -> usize {
        0
    }
}

/// A wire format that a provider speaks.
pub trait ProviderDialect: Sync {
    /// Encodes the provider's request body and reports the parameters that were left out or
    /// changed. `memory` holds reasoning of earlier responses, for clients that did not send it
    /// back.
    ///
    /// # Errors
    /// Names the field that cannot be sent to the provider.
    fn encode_request(
        &self,
        request: &mut Request<'_>,
        memory: &dyn ReasoningLookup,
    ) -> Result<EncodedRequest, Error>;

    /// Decodes a whole response.
    ///
    /// # Errors
    /// A message that says what is wrong with the body.
    fn decode_response(&self, body: &[u8]) -> Result<Response, String>;

    /// Whether responses of this model hold reasoning that the provider requires back in later
    /// requests.
    fn requires_reasoning_replay(&self, model: &str) -> bool;

    /// The provider's own web search tool for a `web_search` tool of Responses; `None` if it has
    /// none.
    fn web_search<'a>(&self, _tool: &Object<'a>) -> Option<Tool<'a>> {
        None
    }

    /// Creates the state machine that decodes one streamed response. `provider` is used in error
    /// messages.
    fn stream_decoder(&self, provider: &'static str) -> Box<dyn StreamDecoder>;

    /// Returns the request in another form if this refusal has a cause that can be repaired.
    fn recover(&self, _body: &[u8], _refusal: &ProviderError) -> Option<RecoveredRequest> {
        None
    }

    /// Decodes the body of an error response.
    fn decode_error(&self, status: u16, body: &[u8]) -> ProviderError;

    /// Returns the error if one of these events is an error.
    fn decode_stream_error(&self, events: &[u8]) -> Option<ProviderError>;

    /// Returns the error if a whole response was started and then failed.
    fn decode_broken_off(&self, _body: &[u8]) -> Option<ProviderError> {
        None
    }
}

/// Decodes a provider's events into hub events.
pub trait StreamDecoder: Send {
    /// Appends the hub events for `event`. If the provider fails, that is [`Event::Failed`].
    fn push(&mut self, event: &sse::Event<'_>, out: &mut Vec<Event>);

    /// Called when the stream has ended. Appends [`Event::End`], or [`Event::Failed`] if the stream
    /// was cut.
    fn finish(&mut self, out: &mut Vec<Event>);

    /// Memory held for this stream, in bytes, including what repeating it in the closing events
    /// will take.
    fn held(&self) -> usize {
        0
    }
}

/// A repaired request, to be sent after a refusal whose cause is known.
#[derive(Debug)]
pub struct RecoveredRequest {
    /// The request body, as JSON.
    pub body: Vec<u8>,
    /// Headers to add to the request.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The parameter that was left out, under its hub name.
    pub dropped: &'static str,
    /// The cause, as a label for metrics.
    pub reason: &'static str,
}

/// Relays a stream if the client and the provider speak the same dialect.
pub trait Relay: Send {
    /// Checks whole events and returns what to send to the client. If nothing is wrong, these are
    /// the same bytes.
    fn pass(&mut self, events: Bytes) -> Bytes;

    /// The code of the gateway's error event that ended the stream; `None` if there was none.
    /// Nothing follows that event.
    fn failure_code(&self) -> Option<&'static str>;

    /// Called when the provider's stream has ended. Returns what remains to be sent. `clean` means
    /// that the provider closed the body and that it was not cut; a relay may then accept an end
    /// that it rejects otherwise.
    ///
    /// # Errors
    /// `Truncated` if the response is not complete.
    fn end(&mut self, clean: bool) -> Result<Vec<u8>, Error>;

    /// The event or events that tell the client that its stream failed. Nothing follows them.
    fn failure(&mut self, error: &Error) -> Vec<u8>;

    /// Whether the response is complete. Whatever follows does not belong to it.
    fn is_complete(&self) -> bool;

    /// The error code for metrics and logs if the provider itself reported an error in the stream.
    fn provider_error_code(&self) -> Option<&'static str> {
        None
    }

    /// The token usage that the provider has reported so far.
    fn usage(&self) -> Option<Usage>;

    /// Number of events that were repaired so far.
    fn repaired(&self) -> u64;

    /// The ids of the tool calls of a complete response, and the reasoning that the provider
    /// requires back with them.
    fn kept(&mut self) -> Option<(Vec<String>, ReasoningState)>;

    /// Memory held for this stream, in bytes, including what repeating it in the closing events
    /// will take.
    fn held(&self) -> usize {
        0
    }
}

/// A request encoded for a provider.
#[derive(Debug, PartialEq, Eq)]
pub struct EncodedRequest {
    /// The request body, as JSON.
    pub body: Vec<u8>,
    /// The parameters that were left out or changed.
    pub report: TranslationReport,
    /// Hash of the conversation, which tells equal call ids of different conversations apart; 0 if
    /// the dialect does not compute it. See [`ReasoningLookup`].
    pub conversation_hash: u64,
}
