//! How a request reaches a provider: relayed, translated, or bridged to another API. Pure.

use super::row::{ChatApi, Provider, ResponsesRequired, ResponsesSupport};

/// The API that a client calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientApi {
    /// `POST /v1/chat/completions`.
    ChatCompletions,
    /// `POST /v1/responses`.
    Responses,
}

/// How a request reaches a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The provider speaks the client's dialect: the body is passed on, repaired where needed.
    Relay,
    /// The body is passed on; a request that the provider refuses with 400 or 404 is translated and
    /// sent once more.
    RelayFirst,
    /// The request is decoded into the hub and encoded in the provider's own chat dialect.
    Translate,
    /// A Chat Completions request that the model takes as Responses only is translated to the
    /// provider's Responses API. Every other request is relayed.
    Bridge(ResponsesRequired),
}

impl Mode {
    /// Whether a request is first sent in the client's own dialect.
    #[must_use]
    pub fn is_relayed(self) -> bool {
        match self {
            Self::Relay | Self::RelayFirst | Self::Bridge(_) => true,
            Self::Translate => false,
        }
    }
}

/// The mode for a model of a provider. `model` is the provider's name for it.
#[must_use]
pub fn mode(client: ClientApi, provider: &Provider, model: &str) -> Mode {
    match client {
        ClientApi::ChatCompletions => {
            match ((provider.responses_required)(model), provider.chat_api) {
                (ResponsesRequired::Never, ChatApi::Chat(_)) => Mode::Relay,
                (ResponsesRequired::Never, ChatApi::Other { .. }) => Mode::Translate,
                (when, _) => Mode::Bridge(when),
            }
        }
        ClientApi::Responses => match provider.responses {
            ResponsesSupport::Native => Mode::Relay,
            ResponsesSupport::NativeAtFirst => Mode::RelayFirst,
            ResponsesSupport::NativeFor(has) if has(model) => Mode::Relay,
            ResponsesSupport::NativeFor(_) | ResponsesSupport::Translated => Mode::Translate,
        },
    }
}
