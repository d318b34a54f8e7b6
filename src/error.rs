//! The gateway's one error type, with the HTTP status and code of each error.

use std::time::Duration;

use derive_more::{Display, Error};

/// Why a request failed. It knows no web framework; `http` turns it into a response.
#[derive(Debug, Clone, PartialEq, Display, Error)]
pub enum Error {
    /// The body is not JSON, not UTF-8, or nested deeper than the limit.
    #[display("{message}")]
    InvalidJson {
        /// The top-level field where the error is, if known.
        param: Option<String>,
        /// What is wrong, and at which position.
        message: String,
    },
    /// A field has a value of the wrong JSON type.
    #[display("Invalid type for '{param}': {message}")]
    InvalidType {
        /// The path of the field, as in `messages[2].content`.
        param: String,
        /// What was expected instead.
        message: String,
    },
    /// A required field is absent.
    #[display("Missing required parameter: '{param}'.")]
    Missing {
        /// The path of the field.
        param: String,
    },
    /// A field has a value of the right type that is not allowed.
    #[display("Invalid value for '{param}': {message}")]
    InvalidValue {
        /// The path of the field.
        param: String,
        /// What is wrong with the value.
        message: String,
    },
    /// The provider of this model does not support a parameter.
    #[display("Unsupported parameter '{param}': {message}")]
    UnsupportedParameter {
        /// The path of the field.
        param: String,
        /// What to do instead.
        message: String,
    },
    /// The provider of this model does not support the value of a parameter.
    #[display("Unsupported value for '{param}': {message}")]
    UnsupportedValue {
        /// The path of the field.
        param: String,
        /// What to do instead.
        message: String,
    },
    /// The request has no API key.
    #[display("No API key was sent. Send it as 'Authorization: Bearer <key>'.")]
    MissingApiKey,
    /// The request has an API key, but not as a bearer.
    #[display(
        "No API key was sent as a bearer: there is one in {place}. Send it as 'Authorization: Bearer <key>'."
    )]
    ApiKeyNotBearer {
        /// Where the key is, as in "the header 'x-api-key'".
        place: &'static str,
    },
    /// The bearer is not one of the gateway keys.
    #[display("Incorrect API key. This gateway has keys of its own; ask whoever runs it for one.")]
    WrongKey,
    /// The bearer is not one of the gateway keys; it has the documented format of a provider's key.
    #[display(
        "Incorrect API key. The key looks like one of {title}, and this gateway needs one of its own keys; ask whoever runs it for one."
    )]
    ProviderKeySent {
        /// The provider's display name.
        title: &'static str,
    },
    /// The caller's key has the documented format of a provider other than the one that the request
    /// is for.
    #[display(
        "The API key looks like one of {owner_title}, but this request is for {target_title}, so it was not sent. To ask {owner_title}, write '{owner}/' before the model's name (for a list of models: '?provider={owner}'); to ask {target_title}, send a key of {target_title}."
    )]
    ForeignKey {
        /// The provider whose key format it is.
        owner: &'static str,
        /// The display name of `owner`.
        owner_title: &'static str,
        /// The display name of the provider that the request is for.
        target_title: &'static str,
    },
    /// The caller has a gateway key, and the gateway has no key for this provider.
    #[display(
        "Provider '{provider}' has no key on this gateway. Ask whoever runs it to set {variable}, or use a model of another provider."
    )]
    ProviderKeyMissing {
        /// The provider's name.
        provider: &'static str,
        /// The environment variable to set.
        variable: &'static str,
    },
    /// The provider's base URL is still an example; no key must be sent there.
    #[display(
        "Provider '{provider}' is not set up on this gateway. Ask whoever runs it to set {variable}, or use a model of another provider."
    )]
    ProviderNotConfigured {
        /// The provider's name.
        provider: &'static str,
        /// The environment variable to set.
        variable: &'static str,
    },
    /// No route has this path.
    #[display("Unknown request URL: {method} {path}. {hint}")]
    UnknownPath {
        /// The method of the request.
        method: String,
        /// The path of the request, without its query.
        path: String,
        /// What to request instead, as a sentence.
        hint: String,
    },
    /// The path has a route, but not for this method.
    #[display("Method {method} is not allowed for {path}; use {allow}.")]
    MethodNotAllowed {
        /// The method of the request.
        method: String,
        /// The path of the request, without its query.
        path: String,
        /// The value of the `Allow` header.
        allow: &'static str,
    },
    /// The `Content-Type` is not JSON.
    #[display("The request body must be sent with 'Content-Type: application/json'.")]
    UnsupportedMediaType,
    /// The body is larger than the limit.
    #[display(
        "The request body is larger than the limit of {limit} bytes. Send less, or ask whoever runs the gateway to raise MAX_BODY_BYTES."
    )]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The body did not arrive in time, or the client stopped sending it.
    #[display("The request body did not arrive completely in its time. Send the request again.")]
    IncompleteBody,
    /// The request violates HTTP in a way that makes it ambiguous.
    #[display("The request cannot be read: {reason}.")]
    Malformed {
        /// What is wrong.
        reason: &'static str,
    },
    /// The body is compressed. It is not decompressed, so that a small body cannot become a huge
    /// one.
    #[display("The request body must be sent without 'Content-Encoding'.")]
    UnsupportedEncoding,
    /// The head of the request did not arrive in time.
    #[display("The head of the request did not arrive in time. Send the request again.")]
    HeaderTimeout,
    /// All of the provider's slots, and all waiting places, are taken.
    #[display("Too many requests are under way to '{provider}'; try again shortly.")]
    Overloaded {
        /// The provider's name.
        provider: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// The circuit is open: the model failed too often and gets no calls for a moment.
    #[display(
        "This model of '{provider}' is failing and is not asked for a moment; try again shortly."
    )]
    CircuitOpen {
        /// The provider's name.
        provider: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// The memory for request bodies is exhausted.
    #[display("The requests under way are as large as the gateway can hold; try again shortly.")]
    BodyMemoryExhausted,
    /// Translating the body would take more memory than the limit for all bodies together.
    #[display(
        "The request has so many values that translating it would take {needed} bytes of memory, and {limit} is the limit; send fewer, shorter lists."
    )]
    BodyTooComplex {
        /// The memory that the translation would take, in bytes.
        needed: usize,
        /// The limit for all bodies together, in bytes.
        limit: usize,
    },
    /// The gateway has no file descriptors left.
    #[display("The gateway has no file descriptor left; try again shortly.")]
    TooManyOpenFiles,
    /// The gateway is shutting down, and the time for running requests is over.
    #[display("The gateway is shutting down; send the request again.")]
    ShuttingDown,
    /// The connection to the provider failed, or broke before a response came.
    #[display(
        "'{provider}' cannot be reached: {reason}. Try again; where it stays so, tell whoever runs the gateway."
    )]
    Unreachable {
        /// The provider's name.
        provider: &'static str,
        /// A fixed text that contains no addresses.
        reason: &'static str,
    },
    /// The provider's response is unusable.
    #[display("'{provider}' sent an answer that cannot be used: {reason}. Try again.")]
    InvalidUpstreamResponse {
        /// The provider's name.
        provider: &'static str,
        /// A fixed text, or one about the structure of the response.
        reason: String,
    },
    /// The provider's stream ended before its final event.
    #[display("The upstream stream ended before it was complete. Send the request again.")]
    Truncated,
    /// The provider exceeded a time limit.
    #[display(
        "'{provider}' {} within {} s. Try again{}.",
        phase.missed(),
        after.as_secs_f32(),
        phase.instead()
    )]
    TimedOut {
        /// The provider's name.
        provider: &'static str,
        /// The time limit that was exceeded.
        phase: Phase,
        /// The length of the time limit.
        after: Duration,
    },
    /// The provider rejected the gateway's key for it. The caller's key is valid.
    #[display(
        "'{provider}' rejected the gateway's credential. Ask whoever runs the gateway to renew its key."
    )]
    CredentialRejected {
        /// The provider's name.
        provider: &'static str,
    },
    /// The provider answered with an error.
    #[display("{_0}")]
    Provider(#[error(not(source))] Box<ProviderError>),
}

/// What a provider has a time limit for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Accepting a connection, TLS included.
    Connect,
    /// The complete response, over all attempts.
    Answer,
    /// The first event of a stream, over all attempts.
    FirstEvent,
    /// The next event of a stream.
    Silence,
}

impl Phase {
    fn missed(self) -> &'static str {
        match self {
            Self::Connect => "took no connection",
            Self::Answer => "did not answer",
            Self::FirstEvent => "did not begin its stream",
            Self::Silence => "sent nothing more of its stream",
        }
    }

    /// What the error message suggests after "Try again".
    fn instead(self) -> &'static str {
        match self {
            Self::Answer => ", or ask for a stream",
            Self::Connect | Self::FirstEvent | Self::Silence => "",
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Connect => "upstream_connect_timeout",
            Self::Answer => "upstream_timeout",
            Self::FirstEvent => "upstream_first_event_timeout",
            Self::Silence => "upstream_idle_timeout",
        }
    }
}

/// A provider's error, converted to OpenAI's terms.
#[derive(Debug, Clone, PartialEq, Display)]
#[display("{message}")]
pub struct ProviderError {
    /// The status for the client: the provider's, if it is a standard one.
    pub status: u16,
    /// The status that the provider sent; for an error inside a stream, that of the stream.
    pub upstream_status: u16,
    /// The provider's message, unchanged.
    pub message: String,
    /// The OpenAI `type`.
    pub kind: String,
    /// The field that the provider names as wrong.
    pub param: Option<String>,
    /// The OpenAI `code`, or the provider's own error code.
    pub code: Option<String>,
    /// Further fields of the provider's error object, in order: names and JSON texts.
    pub more: Vec<(String, String)>,
}

impl Error {
    /// The HTTP status for the client.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::InvalidJson { .. }
            | Self::InvalidType { .. }
            | Self::Missing { .. }
            | Self::InvalidValue { .. }
            | Self::UnsupportedParameter { .. }
            | Self::UnsupportedValue { .. }
            | Self::Malformed { .. }
            | Self::ForeignKey { .. }
            | Self::ProviderKeyMissing { .. }
            | Self::ProviderNotConfigured { .. } => 400,
            Self::MissingApiKey
            | Self::ApiKeyNotBearer { .. }
            | Self::WrongKey
            | Self::ProviderKeySent { .. } => 401,
            Self::UnknownPath { .. } => 404,
            Self::MethodNotAllowed { .. } => 405,
            Self::IncompleteBody | Self::HeaderTimeout => 408,
            Self::TooLarge { .. } | Self::BodyTooComplex { .. } => 413,
            Self::UnsupportedMediaType | Self::UnsupportedEncoding => 415,
            Self::Unreachable { .. }
            | Self::InvalidUpstreamResponse { .. }
            | Self::Truncated
            | Self::CredentialRejected { .. }
            | Self::TimedOut {
                phase: Phase::Connect,
                ..
            } => 502,
            Self::Overloaded { .. }
            | Self::CircuitOpen { .. }
            | Self::BodyMemoryExhausted
            | Self::TooManyOpenFiles
            | Self::ShuttingDown => 503,
            Self::TimedOut { .. } => 504,
            Self::Provider(error) => error.status,
        }
    }

    /// The `type` of the OpenAI error object.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::InvalidJson { .. }
            | Self::InvalidType { .. }
            | Self::Missing { .. }
            | Self::InvalidValue { .. }
            | Self::UnsupportedParameter { .. }
            | Self::UnsupportedValue { .. }
            | Self::MissingApiKey
            | Self::WrongKey
            | Self::ApiKeyNotBearer { .. }
            | Self::ProviderKeySent { .. }
            | Self::ForeignKey { .. }
            | Self::ProviderKeyMissing { .. }
            | Self::ProviderNotConfigured { .. }
            | Self::UnknownPath { .. }
            | Self::MethodNotAllowed { .. }
            | Self::IncompleteBody
            | Self::HeaderTimeout
            | Self::TooLarge { .. }
            | Self::BodyTooComplex { .. }
            | Self::UnsupportedMediaType
            | Self::Malformed { .. }
            | Self::UnsupportedEncoding => "invalid_request_error",
            Self::Unreachable { .. }
            | Self::InvalidUpstreamResponse { .. }
            | Self::Truncated
            | Self::CredentialRejected { .. }
            | Self::Overloaded { .. }
            | Self::CircuitOpen { .. }
            | Self::BodyMemoryExhausted
            | Self::TooManyOpenFiles
            | Self::ShuttingDown
            | Self::TimedOut { .. } => "server_error",
            Self::Provider(error) => &error.kind,
        }
    }

    /// The `code` of the OpenAI error object, for programs; the provider's code for its own errors.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Provider(error) => error.code.as_deref(),
            _ => Some(self.gateway_code()),
        }
    }

    /// The gateway's own code, for metrics and logs. Every error of a provider is `provider_error`,
    /// because the codes of providers are unbounded.
    #[must_use]
    pub fn gateway_code(&self) -> &'static str {
        match self {
            Self::InvalidJson { .. } => "invalid_json",
            Self::InvalidType { .. } => "invalid_type",
            Self::Missing { .. } => "missing_required_parameter",
            Self::InvalidValue { .. } => "invalid_value",
            Self::UnsupportedParameter { .. } => "unsupported_parameter",
            Self::UnsupportedValue { .. } => "unsupported_value",
            Self::MissingApiKey
            | Self::ApiKeyNotBearer { .. }
            | Self::WrongKey
            | Self::ProviderKeySent { .. } => "invalid_api_key",
            Self::ForeignKey { .. } => "key_of_another_provider",
            Self::ProviderKeyMissing { .. } => "provider_key_missing",
            Self::ProviderNotConfigured { .. } => "provider_not_configured",
            Self::UnknownPath { .. } => "unknown_url",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::IncompleteBody | Self::HeaderTimeout => "request_timeout",
            Self::TooLarge { .. } | Self::BodyTooComplex { .. } => "request_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::UnsupportedEncoding => "unsupported_content_encoding",
            Self::Malformed { .. } => "malformed_request",
            Self::Unreachable { .. } => "upstream_unreachable",
            Self::InvalidUpstreamResponse { .. } => "upstream_invalid_response",
            Self::Truncated => "upstream_stream_truncated",
            Self::CredentialRejected { .. } => "provider_auth_failed",
            Self::Overloaded { .. } | Self::BodyMemoryExhausted | Self::TooManyOpenFiles => {
                "overloaded"
            }
            Self::CircuitOpen { .. } => "circuit_open",
            Self::ShuttingDown => "shutting_down",
            Self::TimedOut { phase, .. } => phase.code(),
            Self::Provider(_) => "provider_error",
        }
    }

    /// Whether the error counts against the provider.
    #[must_use]
    pub fn is_provider_fault(&self) -> bool {
        self.status() >= 500
            && !matches!(
                self,
                Self::Overloaded { .. }
                    | Self::CircuitOpen { .. }
                    | Self::BodyMemoryExhausted
                    | Self::TooManyOpenFiles
                    | Self::ShuttingDown
            )
    }

    /// The request field that is wrong, if one is.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::InvalidType { param, .. }
            | Self::Missing { param }
            | Self::InvalidValue { param, .. }
            | Self::UnsupportedParameter { param, .. }
            | Self::UnsupportedValue { param, .. } => Some(param),
            Self::InvalidJson { param, .. } => param.as_deref(),
            Self::Provider(error) => error.param.as_deref(),
            Self::MissingApiKey
            | Self::WrongKey
            | Self::ApiKeyNotBearer { .. }
            | Self::ProviderKeySent { .. }
            | Self::ForeignKey { .. }
            | Self::ProviderKeyMissing { .. }
            | Self::ProviderNotConfigured { .. }
            | Self::UnknownPath { .. }
            | Self::MethodNotAllowed { .. }
            | Self::IncompleteBody
            | Self::HeaderTimeout
            | Self::TooLarge { .. }
            | Self::BodyTooComplex { .. }
            | Self::UnsupportedMediaType
            | Self::Malformed { .. }
            | Self::UnsupportedEncoding
            | Self::Unreachable { .. }
            | Self::InvalidUpstreamResponse { .. }
            | Self::Truncated
            | Self::CredentialRejected { .. }
            | Self::Overloaded { .. }
            | Self::CircuitOpen { .. }
            | Self::BodyMemoryExhausted
            | Self::TooManyOpenFiles
            | Self::ShuttingDown
            | Self::TimedOut { .. } => None,
        }
    }

    /// Renames the field with `own`, in errors about one field. `InvalidJson`, provider errors and
    /// all others stay unchanged.
    #[must_use]
    pub fn renamed(mut self, own: impl Fn(&str) -> String) -> Self {
        match &mut self {
            Self::InvalidType { param, .. }
            | Self::Missing { param }
            | Self::InvalidValue { param, .. }
            | Self::UnsupportedParameter { param, .. }
            | Self::UnsupportedValue { param, .. } => *param = own(param),
            _ => {}
        }
        self
    }

    /// An `InvalidType` error: the field should have been `expected`.
    #[must_use]
    pub fn wrong_type(param: impl Into<String>, expected: &str) -> Self {
        Self::InvalidType {
            param: param.into(),
            message: format!("expected {expected}."),
        }
    }

    /// An `InvalidValue` error.
    #[must_use]
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidValue {
            param: param.into(),
            message: message.into(),
        }
    }

    /// An `UnsupportedValue` error.
    #[must_use]
    pub fn unsupported_value(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::UnsupportedValue {
            param: param.into(),
            message: message.into(),
        }
    }

    /// An `UnsupportedParameter` error.
    #[must_use]
    pub fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::UnsupportedParameter {
            param: param.into(),
            message: message.into(),
        }
    }
}
