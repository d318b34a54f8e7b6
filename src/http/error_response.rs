//! Turns errors into HTTP responses.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

use super::response;
use crate::dialect::envelope;
use crate::error::Error;
use crate::telemetry::RequestRecord;
use crate::upstream::CallError;

/// An error as a response to the client.
#[derive(Debug, derive_more::Display)]
#[display("{}", _0.error)]
pub struct ErrorResponse(CallError);

impl ErrorResponse {
    /// The gateway's code of the error, for metrics and the log.
    pub(super) fn gateway_code(&self) -> &'static str {
        self.0.error.gateway_code()
    }

    /// Logs an error with a status of 5xx, with the request's label.
    pub(super) fn log(&self, record: &RequestRecord) {
        let (error, status) = (&self.0.error, self.status_code());
        if !status.is_server_error() {
            return;
        }
        // The opening of the circuit was already logged.
        let level = match error {
            Error::CircuitOpen { .. } => log::Level::Debug,
            _ => log::Level::Warn,
        };
        let code = error.code().unwrap_or("-");
        let label = record.label();
        log::log!(level, "{} {code}: {error} ({label})", status.as_u16());
    }
}

impl<E: Into<CallError>> From<E> for ErrorResponse {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl ResponseError for ErrorResponse {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.error.status()).unwrap_or(StatusCode::BAD_GATEWAY)
    }

    fn error_response(&self) -> HttpResponse {
        let CallError {
            error,
            provider,
            attempts,
            headers,
            ..
        } = &self.0;
        let status = self.status_code();
        let mut builder = response::json(status);
        response::headers(&mut builder, headers);
        if let Some(provider) = provider {
            response::ours(&mut builder, provider.name, *attempts);
        }
        match error {
            Error::MissingApiKey
            | Error::ApiKeyNotBearer { .. }
            | Error::WrongKey
            | Error::ProviderKeySent { .. } => {
                builder.insert_header(("www-authenticate", "Bearer"));
            }
            Error::MethodNotAllowed { allow, .. } => {
                builder.insert_header(("allow", *allow));
            }
            Error::Overloaded { retry_after, .. } | Error::CircuitOpen { retry_after, .. } => {
                let seconds = retry_after.as_secs_f64().ceil().max(1.0);
                builder.insert_header(("retry-after", seconds.to_string()));
            }
            Error::TooManyOpenFiles => {
                builder.insert_header(("retry-after", "1"));
            }
            // Another replica or a later attempt can serve the request. The rest of the body is not
            // read.
            Error::ShuttingDown | Error::BodyMemoryExhausted => {
                builder.insert_header(("retry-after", "1"));
                builder.force_close();
            }
            // The rest of the body is not read.
            Error::TooLarge { .. }
            | Error::IncompleteBody
            | Error::HeaderTimeout
            | Error::Malformed { .. } => {
                builder.force_close();
            }
            Error::InvalidJson { .. }
            | Error::InvalidType { .. }
            | Error::Missing { .. }
            | Error::InvalidValue { .. }
            | Error::UnsupportedParameter { .. }
            | Error::UnsupportedValue { .. }
            | Error::ForeignKey { .. }
            | Error::ProviderKeyMissing { .. }
            | Error::ProviderNotConfigured { .. }
            | Error::UnknownPath { .. }
            | Error::UnsupportedMediaType
            | Error::BodyTooComplex { .. }
            | Error::UnsupportedEncoding
            | Error::Unreachable { .. }
            | Error::InvalidUpstreamResponse { .. }
            | Error::Truncated
            | Error::TimedOut { .. }
            | Error::CredentialRejected { .. }
            | Error::Provider(_) => {}
        }
        builder.body(envelope(error))
    }
}
