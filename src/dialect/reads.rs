//! What a provider's answer is taken for: an error although its status is good, no JSON, or an
//! answer, of which as much is read at once as its way to the client needs. Pure.

use serde::de::IgnoredAny;

use super::Egress;
use super::hub::{Answer, Usage};
use super::openai::{self, ChatProvider};
use super::responses::{self, ResponsesProvider};
use crate::codec::json;
use crate::error::ProviderError;

/// How a provider's answer is read. It follows from what becomes of it.
#[derive(Clone, Copy)]
pub enum Reads {
    /// Chat Completions both ways.
    Chat {
        /// How the provider writes.
        provider: &'static ChatProvider,
        /// Whether it wants something of its answer back.
        keeps: bool,
    },
    /// Responses both ways.
    Responses,
    /// It is read in this dialect and written in another.
    Translated(&'static dyn Egress),
    /// It is no answer of a model, but JSON; its errors are in this dialect.
    Json(&'static dyn Egress),
}

/// What a whole answer with a good status is.
#[derive(Debug)]
pub enum Whole {
    /// Not JSON.
    NoJson,
    /// An error all the same.
    Error(ProviderError),
    /// An answer that was begun and broke off, by this error.
    Broken(ProviderError),
    /// JSON; what else is to be said of it was not looked for.
    Json,
    /// An answer that goes through as it is.
    InOrder(InOrder),
    /// An answer, read.
    Read(Box<Answer>),
}

/// An answer in which nothing is wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InOrder {
    /// The tokens that the provider counted.
    pub usage: Option<Usage>,
}

impl Reads {
    fn dialect(self) -> &'static dyn Egress {
        match self {
            Self::Chat { provider, .. } => provider,
            Self::Responses => &ResponsesProvider,
            Self::Translated(dialect) | Self::Json(dialect) => dialect,
        }
    }

    /// Reads the body of an error answer.
    #[must_use]
    pub fn error(self, status: u16, body: &[u8]) -> ProviderError {
        self.dialect().error(status, body)
    }

    /// The error that one of the first events of a stream is, if one is.
    #[must_use]
    pub fn stream_error(self, events: &[u8]) -> Option<ProviderError> {
        match self {
            Self::Json(_) => None,
            _ => self.dialect().stream_error(events),
        }
    }

    /// Reads a whole answer, once where it is as it should be.
    #[must_use]
    pub fn whole(self, body: &[u8]) -> Whole {
        let in_order = match self {
            Self::Chat { provider, keeps } => openai::in_order(body, provider, keeps),
            Self::Responses => responses::in_order(body),
            Self::Translated(_) | Self::Json(_) => None,
        };
        if let Some(in_order) = in_order {
            return Whole::InOrder(in_order);
        }
        if openai::whole_error(body).is_some() {
            return Whole::Error(self.error(200, body));
        }
        if let Self::Chat { .. } | Self::Translated(_) = self
            && let Some(error) = self.dialect().broken_off(body)
        {
            return Whole::Broken(error);
        }
        if let Self::Translated(dialect) = self {
            let text = || std::str::from_utf8(body).ok();
            let read = dialect.answer(body).ok().or_else(|| {
                // Half of a character would make all of the answer unreadable.
                let whole = json::without_halves(text()?)?;
                dialect.answer(whole.as_bytes()).ok()
            });
            if let Some(answer) = read {
                return Whole::Read(Box::new(answer));
            }
        }
        if serde_json::from_slice::<IgnoredAny>(body).is_ok() {
            Whole::Json
        } else {
            Whole::NoJson
        }
    }
}
