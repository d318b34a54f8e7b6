//! The type of a row in the table of providers, and the values that its columns can have.

use std::borrow::Cow;

use crate::dialect::ProviderDialect;
use crate::dialect::openai::ChatProvider;

/// One provider: everything in which it differs from the others.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a column of a table, none a state"
)]
pub struct Provider {
    /// The name in lower case. A model name that begins with it and a `/` is routed to this
    /// provider.
    pub name: &'static str,
    /// The display name.
    pub title: &'static str,
    /// The well-known value of `gen_ai.provider.name` in `OpenTelemetry`; `None` if it is `name`.
    pub gen_ai_name: Option<&'static str>,
    /// The default base URL.
    pub base_url: &'static str,
    /// The environment variable that overrides `base_url`.
    pub base_url_env: &'static str,
    /// Whether `base_url` is only an example that every operator has to replace.
    pub base_is_example: bool,
    /// The environment variable that holds the provider's API key.
    pub key_env: &'static str,
    /// Prefixes of model names that are routed here without an explicit `name/`.
    pub patterns: &'static [&'static str],
    /// How API keys of this provider begin, if documented; identifies whose key a caller sends.
    pub key_starts: &'static [&'static str],
    /// The header that carries the API key.
    pub auth: Auth,
    /// The version segment that is appended to the base URL, as in `/v1`.
    pub version: &'static str,
    /// The API that serves chat requests.
    pub chat_api: ChatApi,
    /// For which models the provider has a Responses API.
    pub responses: ResponsesSupport,
    /// Given a model: which chat requests the provider accepts only through Responses.
    pub responses_required: fn(&str) -> ResponsesRequired,
    /// Whether its Responses API rejects `store: true`, the default when a client omits `store`.
    pub stateless: bool,
    /// The only model that the provider serves; requested whatever model the client names.
    pub only_model: Option<&'static str>,
    /// The publisher prefix that a model name without `/` gets, as in `google/`.
    pub publisher: Option<&'static str>,
    /// The `User-Agent` of requests to the provider.
    pub user_agent: &'static str,
    /// Client headers that are forwarded to this provider, in addition to [`ALWAYS_FORWARDED`].
    pub forwards: &'static [&'static str],
    /// Client headers that select an account at the provider. They are forwarded with the client's
    /// own key and never with the gateway's, which must not be used for other accounts.
    pub account_headers: &'static [&'static str],
    /// Whether a 429 without a retry time means that the account has no credit left; never retried.
    pub bare_429_is_final: bool,
    /// Whether the provider has a list of models; if not, the catalogue replaces a 404 for it.
    pub lists_models: bool,
    /// Whether the list of models is paginated.
    pub list_is_paged: bool,
    /// The prefix of each id in the list of models; empty if there is none.
    pub list_prefix: &'static str,
    /// The `type` of chat models in the list; `None` if the list holds no other kind.
    pub list_type: Option<&'static str>,
}

/// The header that carries an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer`.
    Bearer,
    /// `x-api-key`; OAuth tokens are sent as a bearer.
    XApiKey,
    /// `api-key`; tokens of an identity provider are sent as a bearer.
    ApiKey,
}

/// The API of a provider that serves chat requests.
#[derive(Clone, Copy)]
pub enum ChatApi {
    /// Chat Completions: relayed, except for the known differences of this provider.
    Chat(&'static ChatProvider),
    /// Another dialect: translated.
    Other {
        /// The path after the version segment.
        path: &'static str,
        /// The dialect.
        dialect: &'static dyn ProviderDialect,
        /// Headers that are added to each request.
        headers: &'static [(&'static str, &'static str)],
    },
}

/// For which models a provider has a Responses API.
#[derive(Clone, Copy)]
pub enum ResponsesSupport {
    /// For every model; requests are relayed.
    Native,
    /// For every model, but some requests are rejected: relayed first, and translated if rejected.
    NativeAtFirst,
    /// For the models whose name the function accepts.
    NativeFor(fn(&str) -> bool),
    /// For no model; requests are translated.
    Translated,
}

/// Which chat requests with functions a model accepts only through Responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponsesRequired {
    /// None.
    Never,
    /// Requests that ask for reasoning.
    WhenReasoning,
    /// Requests that do not turn reasoning off.
    UnlessOff,
}

impl Provider {
    /// The path of the chat endpoint after the base URL and version.
    #[must_use]
    pub fn chat_path(&self) -> &'static str {
        match self.chat_api {
            ChatApi::Chat(_) => "/chat/completions",
            ChatApi::Other { path, .. } => path,
        }
    }

    /// The dialect of the chat endpoint.
    #[must_use]
    pub fn dialect(&self) -> &'static dyn ProviderDialect {
        match self.chat_api {
            ChatApi::Chat(chat) => chat,
            ChatApi::Other { dialect, .. } => dialect,
        }
    }

    /// The provider's name for the model that the client calls `model`.
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

/// Client headers that are forwarded to every provider.
pub const ALWAYS_FORWARDED: [&str; 3] = ["idempotency-key", "traceparent", "tracestate"];
