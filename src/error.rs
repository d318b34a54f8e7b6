//! The one error type: what went wrong, with the status and the code that a client is told.

use std::time::Duration;

use derive_more::{Display, Error};

/// Why a request was not answered. Knows no web framework; `http` turns it into an answer.
#[derive(Debug, Clone, PartialEq, Display, Error)]
pub enum Error {
    /// The body is not JSON, is no UTF-8, or nests deeper than the limit.
    #[display("{message}")]
    InvalidJson {
        /// The top-level field where it happened, when that is known.
        param: Option<String>,
        /// What is wrong, and where.
        message: String,
    },
    /// A field has a value of the wrong JSON type.
    #[display("Invalid type for '{param}': {message}")]
    InvalidType {
        /// Path of the field, as in `messages[2].content`.
        param: String,
        /// What was expected instead.
        message: String,
    },
    /// A required field is absent.
    #[display("Missing required parameter: '{param}'.")]
    Missing {
        /// Path of the field.
        param: String,
    },
    /// A field has a value of the right type that cannot be accepted.
    #[display("Invalid value for '{param}': {message}")]
    InvalidValue {
        /// Path of the field.
        param: String,
        /// What is wrong with the value.
        message: String,
    },
    /// A parameter that the provider of this model cannot be given.
    #[display("Unsupported parameter '{param}': {message}")]
    UnsupportedParameter {
        /// Path of the field.
        param: String,
        /// What to do instead.
        message: String,
    },
    /// A value of a parameter that the provider of this model cannot be given.
    #[display("Unsupported value for '{param}': {message}")]
    UnsupportedValue {
        /// Path of the field.
        param: String,
        /// What to do instead.
        message: String,
    },
    /// No bearer was sent.
    #[display("No API key was sent. Send it as 'Authorization: Bearer <key>'.")]
    MissingApiKey,
    /// A key was sent, but not as a bearer.
    #[display(
        "No API key was sent as a bearer: there is one in {place}. Send it as 'Authorization: Bearer <key>'."
    )]
    KeyElsewhere {
        /// Where it is, as in "the header 'x-api-key'".
        place: &'static str,
    },
    /// The bearer is not one of the gateway's keys.
    #[display("Incorrect API key. This gateway has keys of its own; ask whoever runs it for one.")]
    WrongKey,
    /// The bearer is not one of the gateway's keys, but has a provider's documented format.
    #[display(
        "Incorrect API key. The key looks like one of {title}, and this gateway needs one of its own keys; ask whoever runs it for one."
    )]
    ProviderKeySent {
        /// The provider's name for people.
        title: &'static str,
    },
    /// The caller's key has the documented format of another provider than the one it would be sent
    /// to.
    #[display(
        "The API key looks like one of {owner_title}, but this request is for {target_title}, so it was not sent. To ask {owner_title}, write '{owner}/' before the model's name (for a list of models: '?provider={owner}'); to ask {target_title}, send a key of {target_title}."
    )]
    ForeignKey {
        /// The name of the provider whose format the key has.
        owner: &'static str,
        /// Its name for people.
        owner_title: &'static str,
        /// The name for people of the provider that the request is for.
        target_title: &'static str,
    },
    /// Gateway keys are on, and this provider has no key of its own.
    #[display(
        "Provider '{provider}' has no key on this gateway. Ask whoever runs it to set {variable}, or use a model of another provider."
    )]
    ProviderKeyMissing {
        /// The provider's name.
        provider: &'static str,
        /// The environment variable to set.
        variable: &'static str,
    },
    /// The provider's base URL is still the example of the table: a key must not be sent there.
    #[display(
        "Provider '{provider}' is not set up on this gateway. Ask whoever runs it to set {variable}, or use a model of another provider."
    )]
    ProviderNotConfigured {
        /// The provider's name.
        provider: &'static str,
        /// The environment variable to set.
        variable: &'static str,
    },
    /// Nothing is served at this path.
    #[display("Unknown request URL: {method} {path}. {hint}")]
    UnknownPath {
        /// The method of the request.
        method: String,
        /// The path of the request, without its query.
        path: String,
        /// What to ask for instead, as a sentence.
        hint: String,
    },
    /// The path is served, but not with this method.
    #[display("Method {method} is not allowed for {path}; use {allow}.")]
    MethodNotAllowed {
        /// The method of the request.
        method: String,
        /// The path of the request, without its query.
        path: String,
        /// The value of the `Allow` header.
        allow: &'static str,
    },
    /// The body is not declared to be JSON.
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
    /// The body did not arrive in time, or its sender broke off.
    #[display("The request body did not arrive completely in its time. Send the request again.")]
    IncompleteBody,
    /// The request breaks HTTP in a way that leaves open what is meant.
    #[display("The request cannot be read: {reason}.")]
    Malformed {
        /// What is wrong.
        reason: &'static str,
    },
    /// The body is compressed; it is not unpacked, so that a small one cannot become a large one.
    #[display("The request body must be sent without 'Content-Encoding'.")]
    UnsupportedEncoding,
    /// The head of a request did not arrive in time.
    #[display("The head of the request did not arrive in time. Send the request again.")]
    HeaderTimeout,
    /// All slots and all places in the provider's line are taken.
    #[display("Too many requests are under way to '{provider}'; try again shortly.")]
    Overloaded {
        /// The provider's name.
        provider: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// The provider failed so often of late that it is left alone for a moment.
    #[display(
        "This model of '{provider}' is failing and is not asked for a moment; try again shortly."
    )]
    CircuitOpen {
        /// The provider's name.
        provider: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// The bodies of requests under way take all the memory that is for them.
    #[display("The requests under way are as large as the gateway can hold; try again shortly.")]
    BodyMemoryExhausted,
    /// Translating the body would take more memory than all bodies may.
    #[display(
        "The request has so many values that translating it would take {needed} bytes of memory, and {limit} is the limit; send fewer, shorter lists."
    )]
    BodyTooComplex {
        /// What it would take, in bytes.
        needed: usize,
        /// What all bodies may take, in bytes.
        limit: usize,
    },
    /// The system gives the gateway no more file descriptors.
    #[display("The gateway has no file descriptor left; try again shortly.")]
    TooManyOpenFiles,
    /// The gateway is stopping, and the time for requests under way is over.
    #[display("The gateway is shutting down; send the request again.")]
    ShuttingDown,
    /// No connection, or it broke before an answer came.
    #[display(
        "'{provider}' cannot be reached: {reason}. Try again; where it stays so, tell whoever runs the gateway."
    )]
    Unreachable {
        /// The provider's name.
        provider: &'static str,
        /// A fixed text, without addresses.
        reason: &'static str,
    },
    /// An answer came that is not one.
    #[display("'{provider}' sent an answer that cannot be used: {reason}. Try again.")]
    InvalidUpstreamResponse {
        /// The provider's name.
        provider: &'static str,
        /// A fixed text, or one about the shape of the answer.
        reason: String,
    },
    /// A stream ended before its terminal event.
    #[display("The upstream stream ended before it was complete. Send the request again.")]
    Truncated,
    /// A phase took too long.
    #[display(
        "'{provider}' {} within {} s. Try again{}.",
        phase.missed(),
        after.as_secs_f32(),
        phase.instead()
    )]
    TimedOut {
        /// The provider's name.
        provider: &'static str,
        /// Which phase.
        phase: Phase,
        /// The time it had.
        after: Duration,
    },
    /// The provider rejected the key that the gateway holds for it. The caller's key was right.
    #[display(
        "'{provider}' rejected the gateway's credential. Ask whoever runs the gateway to renew its key."
    )]
    CredentialRejected {
        /// The provider's name.
        provider: &'static str,
    },
    /// The provider answered with an error of its own.
    #[display("{_0}")]
    Provider(#[error(not(source))] Box<ProviderError>),
}

/// What a provider had a time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// To take a connection, TLS included.
    Connect,
    /// To answer as a whole, over all attempts.
    Answer,
    /// To send the first event of a stream, over all attempts.
    FirstEvent,
    /// To send anything more of a stream.
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

    /// What to try, behind "Try again".
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

/// An error that a provider sent, in the hub's words.
#[derive(Debug, Clone, PartialEq, Display)]
#[display("{message}")]
pub struct ProviderError {
    /// The status for the client: the provider's, where it is a standard one.
    pub status: u16,
    /// The status the provider sent; that of the stream's head for an error inside a stream.
    pub upstream_status: u16,
    /// The provider's text, unchanged.
    pub message: String,
    /// The OpenAI `type`.
    pub kind: String,
    /// The field the provider names.
    pub param: Option<String>,
    /// The OpenAI `code`, or the provider's machine name.
    pub code: Option<String>,
    /// Further members of the provider's error object: names and JSON texts, in order.
    pub more: Vec<(String, String)>,
}

impl Error {
    /// The HTTP status.
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
            | Self::KeyElsewhere { .. }
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
            | Self::KeyElsewhere { .. }
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

    /// The `code` of the OpenAI error object: what a program can act on.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Provider(error) => error.code.as_deref(),
            _ => Some(self.class()),
        }
    }

    /// A code that is one of ours, for counting: providers' own are without number.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::InvalidJson { .. } => "invalid_json",
            Self::InvalidType { .. } => "invalid_type",
            Self::Missing { .. } => "missing_required_parameter",
            Self::InvalidValue { .. } => "invalid_value",
            Self::UnsupportedParameter { .. } => "unsupported_parameter",
            Self::UnsupportedValue { .. } => "unsupported_value",
            Self::MissingApiKey
            | Self::KeyElsewhere { .. }
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

    /// Whether it tells against the provider that was asked.
    #[must_use]
    pub fn is_providers(&self) -> bool {
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

    /// The field to correct.
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
            | Self::KeyElsewhere { .. }
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

    /// The same error with the field's name as `own` tells it, where it has one.
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

    /// A field of the wrong JSON type.
    #[must_use]
    pub fn wrong_type(param: impl Into<String>, expected: &str) -> Self {
        Self::InvalidType {
            param: param.into(),
            message: format!("expected {expected}."),
        }
    }

    /// A field whose value cannot be accepted.
    #[must_use]
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidValue {
            param: param.into(),
            message: message.into(),
        }
    }

    /// A value that this provider cannot be given.
    #[must_use]
    pub fn unsupported_value(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::UnsupportedValue {
            param: param.into(),
            message: message.into(),
        }
    }

    /// A parameter that this provider cannot be given.
    #[must_use]
    pub fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self::UnsupportedParameter {
            param: param.into(),
            message: message.into(),
        }
    }
}
