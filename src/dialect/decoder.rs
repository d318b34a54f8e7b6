//! Classifies a provider's response body: not JSON, an error despite a 2xx status, or a response,
//! decoded only as far as the response mode needs. Pure.

use serde::de::IgnoredAny;

use super::common::conformant::Conformant;
use super::common::error_in_success::whole_error;
use super::hub::Response;
use super::openai::{self, ChatProvider};
use super::responses::{self, ResponsesProvider};
use super::traits::ProviderDialect;
use crate::codec::json;
use crate::error::ProviderError;

/// How a provider's response is decoded. It depends on the response mode.
#[derive(Clone, Copy)]
pub enum ResponseDecoder {
    /// Client and provider both speak Chat Completions.
    Chat {
        /// The provider's Chat Completions quirks.
        provider: &'static ChatProvider,
        /// Whether the model requires its reasoning back in later requests.
        keeps_reasoning: bool,
    },
    /// Client and provider both speak Responses.
    Responses,
    /// The response is decoded in this dialect and encoded in the client's.
    Translated(&'static dyn ProviderDialect),
    /// Any JSON that is not a model's response, such as a list of models. Errors are in this
    /// dialect.
    Json(&'static dyn ProviderDialect),
}

/// What a whole body with a 2xx status turned out to be.
#[derive(Debug)]
pub enum DecodedBody {
    /// Not JSON.
    NotJson,
    /// An error, despite the 2xx status.
    Error(ProviderError),
    /// A response that was started and then failed with this error.
    FailedResponse(ProviderError),
    /// Valid JSON that was not examined further.
    Json,
    /// A response that can be relayed unchanged.
    Conformant(Conformant),
    /// A decoded response.
    Decoded(Box<Response>),
}

impl ResponseDecoder {
    fn dialect(self) -> &'static dyn ProviderDialect {
        match self {
            Self::Chat { provider, .. } => provider,
            Self::Responses => &ResponsesProvider,
            Self::Translated(dialect) | Self::Json(dialect) => dialect,
        }
    }

    /// Decodes the body of an error response.
    #[must_use]
    pub fn decode_error(self, status: u16, body: &[u8]) -> ProviderError {
        self.dialect().decode_error(status, body)
    }

    /// Returns the error if one of the first events of a stream is an error.
    #[must_use]
    pub fn decode_stream_error(self, events: &[u8]) -> Option<ProviderError> {
        match self {
            Self::Json(_) => None,
            _ => self.dialect().decode_stream_error(events),
        }
    }

    /// Classifies a whole body with a 2xx status. A conformant body is parsed only once.
    #[must_use]
    pub fn decode(self, body: &[u8]) -> DecodedBody {
        let conformance = match self {
            Self::Chat {
                provider,
                keeps_reasoning,
            } => openai::conformance(body, provider, keeps_reasoning),
            Self::Responses => responses::conformance(body),
            Self::Translated(_) | Self::Json(_) => None,
        };
        if let Some(conformance) = conformance {
            return DecodedBody::Conformant(conformance);
        }
        if whole_error(body).is_some() {
            return DecodedBody::Error(self.decode_error(200, body));
        }
        if let Self::Chat { .. } | Self::Translated(_) = self
            && let Some(error) = self.dialect().decode_broken_off(body)
        {
            return DecodedBody::FailedResponse(error);
        }
        if let Self::Translated(dialect) = self {
            let text = || std::str::from_utf8(body).ok();
            let read = dialect.decode_response(body).ok().or_else(|| {
                // An unpaired surrogate in one string would make the whole body unreadable.
                let whole = json::without_lone_surrogates(text()?)?;
                dialect.decode_response(whole.as_bytes()).ok()
            });
            if let Some(answer) = read {
                return DecodedBody::Decoded(Box::new(answer));
            }
        }
        if serde_json::from_slice::<IgnoredAny>(body).is_ok() {
            DecodedBody::Json
        } else {
            DecodedBody::NotJson
        }
    }
}
