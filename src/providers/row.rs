//! A row of the table of providers, and what its columns can be.

use std::borrow::Cow;

use crate::dialect::ProviderDialect;
use crate::dialect::openai::ChatProvider;

/// A provider: everything that tells it from the others.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a column of a table, none a state"
)]
pub struct Provider {
    /// Its name, which followed by `/` is also the prefix that forces it.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// Its well-known value of `gen_ai.provider.name` in `OpenTelemetry`, where that is another.
    pub gen_ai_name: Option<&'static str>,
    /// Where it is reached, unless `base_url_env` says otherwise.
    pub base_url: &'static str,
    /// The environment variable that replaces `base_url`.
    pub base_url_env: &'static str,
    /// Whether `base_url` is an example that everyone has to replace by their own.
    pub base_is_example: bool,
    /// The environment variable with its key.
    pub key_env: &'static str,
    /// Beginnings of model names that come here without a prefix.
    pub patterns: &'static [&'static str],
    /// How its keys begin, where it documents that; tells whose key a caller's is.
    pub key_starts: &'static [&'static str],
    /// How a key is sent.
    pub auth: Auth,
    /// The version segment that its base URL does not have, as in `/v1`.
    pub version: &'static str,
    /// What it speaks.
    pub chat_api: ChatApi,
    /// Whether it has Responses of its own.
    pub responses: ResponsesSupport,
    /// Which chat requests for a model it takes as Responses only.
    pub responses_required: fn(&str) -> ResponsesRequired,
    /// Whether its Responses refuse to keep anything, which a client asks for by saying nothing.
    pub stateless: bool,
    /// The one model it is always asked for.
    pub only_model: Option<&'static str>,
    /// The publisher it wants before a bare model name, as in `google/`.
    pub publisher: Option<&'static str>,
    /// The `User-Agent` it insists on.
    pub user_agent: &'static str,
    /// Headers of a client that it is given, besides those every provider is.
    pub forwards: &'static [&'static str],
    /// Headers of a client that choose an account of its own: given with the client's own key, and
    /// never with the gateway's, which is not the client's to use for another account.
    pub account_headers: &'static [&'static str],
    /// Whether a 429 that says no time means that the money is spent.
    pub bare_429_is_final: bool,
    /// Whether it has a list of models: of one that has none the catalogue stands in where it answers 404.
    pub lists_models: bool,
    /// Whether its list of models comes in pages.
    pub list_is_paged: bool,
    /// What its list of models writes before each id.
    pub list_prefix: &'static str,
    /// The `type` of the models in its list that chat, where the list holds others.
    pub list_type: Option<&'static str>,
}

/// How a key is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer`.
    Bearer,
    /// `x-api-key`; OAuth tokens as a bearer.
    XApiKey,
    /// `api-key`; tokens of an identity provider as a bearer.
    ApiKey,
}

/// What a provider speaks where a client speaks Chat Completions.
#[derive(Clone, Copy)]
pub enum ChatApi {
    /// Chat Completions, relayed but for what this provider does otherwise.
    Chat(&'static ChatProvider),
    /// Another dialect at this path, translated.
    Other {
        /// The path after the version segment.
        path: &'static str,
        /// The dialect.
        dialect: &'static dyn ProviderDialect,
        /// Headers that go with each call.
        headers: &'static [(&'static str, &'static str)],
    },
}

/// Whether a provider has Responses of its own.
#[derive(Clone, Copy)]
pub enum ResponsesSupport {
    /// For every model; relayed.
    Native,
    /// For every model, but not with everything: relayed, and translated where that is refused.
    NativeAtFirst,
    /// For the models that the function tells by their name.
    NativeFor(fn(&str) -> bool),
    /// For none; translated.
    Translated,
}

/// Which chat requests with functions a model takes as Responses only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponsesRequired {
    /// None.
    Never,
    /// Those that ask for reasoning.
    WhenReasoning,
    /// Those that do not turn reasoning off.
    UnlessOff,
}

impl Provider {
    /// The path of its chat endpoint after the base URL and version.
    #[must_use]
    pub fn chat_path(&self) -> &'static str {
        match self.chat_api {
            ChatApi::Chat(_) => "/chat/completions",
            ChatApi::Other { path, .. } => path,
        }
    }

    /// The dialect of its chat endpoint.
    #[must_use]
    pub fn dialect(&self) -> &'static dyn ProviderDialect {
        match self.chat_api {
            ChatApi::Chat(chat) => chat,
            ChatApi::Other { dialect, .. } => dialect,
        }
    }

    /// The name under which the provider knows a model that the client calls `model`.
    #[must_use]
    pub fn model_name<'m>(&self, model: &'m str) -> Cow<'m, str> {
        match (self.only_model, self.publisher) {
            (Some(only), _) => Cow::Borrowed(only),
            (None, Some(publisher)) if !model.contains('/') => {
                Cow::Owned(format!("{publisher}{model}"))
            }
            (None, _) => Cow::Borrowed(model),
        }
    }
}

impl PartialEq for Provider {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Headers of a client that every provider is given.
pub const ALWAYS_FORWARDED: [&str; 3] = ["idempotency-key", "traceparent", "tracestate"];
