//! What a provider's answer is taken for: an error although its status is good, no JSON, or an
//! answer, of which as much is read at once as its way to the client needs. Pure.

use serde::de::IgnoredAny;

use super::common::conformant::Conformant;
use super::common::error_in_success::whole_error;
use super::hub::Response;
use super::openai::{self, ChatProvider};
use super::responses::{self, ResponsesProvider};
use super::traits::ProviderDialect;
use crate::codec::json;
use crate::error::ProviderError;

/// How a provider's answer is read. It follows from what becomes of it.
#[derive(Clone, Copy)]
pub enum ResponseDecoder {
    /// Chat Completions both ways.
    Chat {
        /// How the provider writes.
        provider: &'static ChatProvider,
        /// Whether it wants something of its answer back.
        keeps_reasoning: bool,
    },
    /// Responses both ways.
    Responses,
    /// It is read in this dialect and written in another.
    Translated(&'static dyn ProviderDialect),
    /// It is no answer of a model, but JSON; its errors are in this dialect.
    Json(&'static dyn ProviderDialect),
}

/// What a whole answer with a good status is.
#[derive(Debug)]
pub enum DecodedBody {
    /// Not JSON.
    NoJson,
    /// An error all the same.
    Error(ProviderError),
    /// An answer that was begun and broke off, by this error.
    Broken(ProviderError),
    /// JSON; what else is to be said of it was not looked for.
    Json,
    /// An answer that goes through as it is.
    Conformant(Conformant),
    /// An answer, read.
    Read(Box<Response>),
}

impl ResponseDecoder {
    fn dialect(self) -> &'static dyn ProviderDialect {
        match self {
            Self::Chat { provider, .. } => provider,
            Self::Responses => &ResponsesProvider,
            Self::Translated(dialect) | Self::Json(dialect) => dialect,
        }
    }

    /// Reads the body of an error answer.
    #[must_use]
    pub fn decode_error(self, status: u16, body: &[u8]) -> ProviderError {
        self.dialect().decode_error(status, body)
    }

    /// The error that one of the first events of a stream is, if one is.
    #[must_use]
    pub fn decode_stream_error(self, events: &[u8]) -> Option<ProviderError> {
        match self {
            Self::Json(_) => None,
            _ => self.dialect().decode_stream_error(events),
        }
    }

    /// Reads a whole answer, once where it is as it should be.
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
            return DecodedBody::Broken(error);
        }
        if let Self::Translated(dialect) = self {
            let text = || std::str::from_utf8(body).ok();
            let read = dialect.decode_response(body).ok().or_else(|| {
                // Half of a character would make all of the answer unreadable.
                let whole = json::without_halves(text()?)?;
                dialect.decode_response(whole.as_bytes()).ok()
            });
            if let Some(answer) = read {
                return DecodedBody::Read(Box::new(answer));
            }
        }
        if serde_json::from_slice::<IgnoredAny>(body).is_ok() {
            DecodedBody::Json
        } else {
            DecodedBody::NoJson
        }
    }
}
