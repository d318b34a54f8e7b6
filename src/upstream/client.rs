//! One attempt: sends a request to a provider and reads the head of the response.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_http::error::ParseError;
use awc::ClientResponse;
use awc::error::{ConnectError, SendRequestError};
use awc::http::Uri;
use awc::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, timeout_at};

use super::body::{Body, RequestBody};
use super::call_error::CallError;
use super::connect::Connector;
use super::connect_error::{connect_reason, no_descriptor};
use super::headers::Headers;
use super::headers::kept;
use super::pool::Pool;
use super::request::{AttemptOptions, Deadline, Method, UpstreamRequest};
use super::retry::{Retry, retry_after};
use super::tls::Tls;
use super::without_date_task::without_date_task;
use crate::config::{Config, ProviderConfig};
use crate::error::{Error, Phase};
use crate::providers::{Auth, ChatApi, Provider};
use crate::secret::Secret;

/// Within this time, a connection that closes without a response means that the provider did no
/// work and billed nothing.
const QUICK: Duration = Duration::from_secs(1);

/// The body of a response by its content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentKind {
    /// `application/json`.
    Json,
    /// `text/event-stream`.
    Events,
}

/// A response whose body is still to be read.
pub struct AttemptResponse {
    /// What the status and the headers say.
    pub head: ResponseOutcome,
    /// Headers that are passed on from the provider.
    pub headers: Headers,
    /// The body.
    pub body: Body,
}

/// Whether a response is a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseOutcome {
    /// A status of 2xx and a content type that can be used.
    Success(ContentKind),
    /// A status of 4xx or 5xx.
    Failure {
        /// The status.
        status: u16,
        /// How long the provider asks to wait, from `retry-after-ms` or `retry-after`.
        retry_after: Option<Duration>,
        /// `x-should-retry`, where it is `true` or `false`.
        should_retry: Option<bool>,
    },
}

/// The result of an attempt.
pub type AttemptResult = Result<AttemptResponse, CallError>;

/// The HTTP client of one provider, with connections of its own.
pub struct Client {
    pool: Pool,
    provider: &'static Provider,
    /// `http://host:port/base`; the connector adds TLS if the base URL has it.
    base: String,
    chat: Uri,
    responses: Uri,
    host: HeaderValue,
    connect_timeout: Duration,
}

impl Client {
    /// Builds the client of a configured provider.
    ///
    /// # Errors
    /// A message if the configured host cannot be connected to at all.
    pub fn new(entry: &ProviderConfig, config: &Config, tls: &Tls) -> Result<Self, String> {
        let connector = Connector::new(&entry.base, tls, config.proxy.as_ref())?;
        let pool = Pool::new(connector, config.calls.connect_timeout);
        let host = entry.base.host_text();
        let base = format!("http://{host}:{}{}", entry.base.port, entry.base.path);
        let uri = |path: &str| {
            format!("{base}{path}")
                .parse::<Uri>()
                .map_err(|error| format!("{base}{path}: {error}"))
        };
        Ok(Self {
            chat: uri(entry.provider.chat_path())?,
            responses: uri("/responses")?,
            pool,
            provider: entry.provider,
            host: HeaderValue::from_str(&entry.base.host_header())
                .map_err(|error| error.to_string())?,
            base,
            connect_timeout: config.calls.connect_timeout,
        })
    }

    fn uri(&self, path: &str) -> Option<Uri> {
        if path == self.provider.chat_path() {
            Some(self.chat.clone())
        } else if path == "/responses" {
            Some(self.responses.clone())
        } else {
            format!("{}{path}", self.base).parse().ok()
        }
    }

    /// Makes one attempt, which fails if no response arrives by the request's deadline.
    ///
    /// # Errors
    /// Why there is no successful response, and whether to retry.
    pub async fn attempt(
        &self,
        request: &UpstreamRequest,
        options: AttemptOptions<'_>,
    ) -> AttemptResult {
        let deadline = &request.deadline;
        let name = self.provider.name;
        let bad = |reason: &str, retry| {
            let error = Error::InvalidUpstreamResponse {
                provider: name,
                reason: reason.to_owned(),
            };
            CallError::new(error, retry)
        };
        let Some(uri) = self.uri(&request.path) else {
            return Err(bad("its URL cannot be built", Retry::Never));
        };
        let http = if options.force_new_connection {
            self.pool.once()
        } else {
            self.pool.of(request.caller)
        };
        let mut message = match request.method {
            Method::Get => http.get(uri),
            Method::Post => http.post(uri),
        };
        if options.force_new_connection {
            // The connection is closed after the response, so that it is never idle.
            message = message.force_close();
        }
        self.write_headers(message.headers_mut(), request, options);
        let begun = Instant::now();
        let sent = without_date_task(message.send_body(RequestBody(request.body.clone())));
        let response = match timeout_at(deadline.at, sent).await {
            Err(_) => return Err(deadline.failure(name)),
            Ok(Err(error)) => return Err(self.not_answered(&error, begun.elapsed(), deadline)),
            Ok(Ok(response)) => response,
        };
        let status = response.status().as_u16();
        let bad = |reason: &str, retry| CallError {
            headers: kept(response.headers(), &request.key),
            ..bad(reason, retry)
        };
        match status {
            200..=299 => {}
            100..=199 => {
                let reason = "it changes the protocol (HTTP 101), which was not asked for";
                return Err(bad(reason, Retry::Never));
            }
            300..=399 => {
                let reason = format!("it is a redirect (HTTP {status}), which is not followed");
                return Err(bad(&reason, Retry::Never));
            }
            _ => return Ok(failure(status, response, &request.key)),
        }
        if response
            .headers()
            .get(header::CONTENT_ENCODING)
            .is_some_and(|encoding| encoding != "identity")
        {
            return Err(bad(
                "it is compressed, which was not asked for",
                Retry::Never,
            ));
        }
        let content_type = response
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_ascii_lowercase();
        let events = content_type.starts_with("text/event-stream");
        if !events && !content_type.starts_with("application/json") {
            return Err(bad(
                "it is neither JSON nor a stream of events",
                Retry::Never,
            ));
        }
        let content = if events {
            ContentKind::Events
        } else {
            ContentKind::Json
        };
        Ok(AttemptResponse {
            head: ResponseOutcome::Success(content),
            headers: kept(response.headers(), &request.key),
            body: Body::new(response),
        })
    }

    fn write_headers(
        &self,
        headers: &mut HeaderMap,
        request: &UpstreamRequest,
        options: AttemptOptions<'_>,
    ) {
        headers.insert(header::HOST, self.host.clone());
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(self.provider.user_agent),
        );
        headers.insert(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        );
        let accept = if request.stream {
            "text/event-stream"
        } else {
            "application/json"
        };
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        if request.method == Method::Post {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        for (name, value) in &request.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        if let Some(record) = &request.record
            && let Ok(id) = HeaderValue::from_maybe_shared(record.id_bytes().clone())
        {
            static NAME: HeaderName = HeaderName::from_static("x-request-id");
            headers.insert(NAME.clone(), id);
        }
        if let Some(span) = options.traceparent
            && let Ok(span) = HeaderValue::from_str(span)
        {
            headers.insert(HeaderName::from_static("traceparent"), span);
        }
        if let ChatApi::Other { headers: own, .. } = self.provider.chat_api {
            for (name, value) in own {
                headers.insert(
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                );
            }
        }
        self.write_key(headers, request.key.expose());
    }

    fn write_key(&self, headers: &mut HeaderMap, key: &str) {
        let bearer = match self.provider.auth {
            Auth::Bearer => true,
            Auth::XApiKey => key.starts_with("sk-ant-oat"),
            Auth::ApiKey => key.starts_with("eyJ") && key.split('.').count() == 3,
        };
        let (name, value) = match self.provider.auth {
            _ if bearer => (header::AUTHORIZATION, ["Bearer ", key].concat()),
            Auth::XApiKey => (HeaderName::from_static("x-api-key"), key.to_owned()),
            Auth::Bearer | Auth::ApiKey => (HeaderName::from_static("api-key"), key.to_owned()),
        };
        if let Ok(mut value) = HeaderValue::try_from(value) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        if bearer && self.provider.auth == Auth::XApiKey {
            const OAUTH: &str = "oauth-2025-04-20";
            let name = HeaderName::from_static("anthropic-beta");
            let all = match headers.get(&name).and_then(|value| value.to_str().ok()) {
                Some(theirs) => format!("{theirs},{OAUTH}"),
                None => OAUTH.to_owned(),
            };
            if let Ok(all) = HeaderValue::from_str(&all) {
                headers.insert(name, all);
            }
        }
    }

    /// The error of an attempt that ended without the head of a response, `after` its start.
    fn not_answered(
        &self,
        error: &SendRequestError,
        after: Duration,
        deadline: &Deadline,
    ) -> CallError {
        let provider = self.provider.name;
        let unreachable =
            |reason, retry| CallError::new(Error::Unreachable { provider, reason }, retry);
        let yes = Retry::Yes { after: None };
        // The request was sent, but no response arrived. Within a second, the provider had just
        // closed an idle connection; later, it has begun to work and to bill.
        let if_quick = if after < QUICK { yes } else { Retry::Never };
        match error {
            // See `ProviderConnection::end`.
            SendRequestError::Response(ParseError::Io(error))
                if error.kind() == io::ErrorKind::ConnectionAborted =>
            {
                unreachable("it closed the connection without an answer", Retry::Never)
            }
            SendRequestError::Connect(ConnectError::Disconnected)
            | SendRequestError::Response(ParseError::Io(_)) => {
                unreachable("it closed the connection without an answer", if_quick)
            }
            SendRequestError::Connect(ConnectError::Io(error)) if no_descriptor(error) => {
                CallError::new(Error::TooManyOpenFiles, Retry::Never)
            }
            SendRequestError::Connect(ConnectError::Io(error)) => {
                let (reason, retry) = connect_reason(error);
                unreachable(reason, retry)
            }
            SendRequestError::Connect(ConnectError::Timeout) => {
                let error = Error::TimedOut {
                    provider,
                    phase: Phase::Connect,
                    after: self.connect_timeout,
                };
                CallError::new(error, yes)
            }
            SendRequestError::Connect(_) => unreachable("its address cannot be found", yes),
            // A provider that refuses a body before it has all of it also breaks the connection.
            SendRequestError::Send(_) => {
                unreachable("the connection broke while sending", if_quick).not_counted()
            }
            SendRequestError::Timeout => deadline.failure(provider),
            _ => CallError::new(
                Error::InvalidUpstreamResponse {
                    provider,
                    reason: "it is no HTTP".to_owned(),
                },
                Retry::Never,
            ),
        }
    }
}

/// A response with a status of 4xx or 5xx, whose body is still to be read.
fn failure(status: u16, response: ClientResponse, key: &Secret) -> AttemptResponse {
    let text = |name: &str| {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let head = ResponseOutcome::Failure {
        status,
        retry_after: retry_after(text("retry-after-ms"), text("retry-after"), now),
        should_retry: match text("x-should-retry") {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => None,
        },
    };
    AttemptResponse {
        head,
        headers: kept(response.headers(), key),
        body: Body::new(response),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Spliced;
    use crate::secret::CallerId;

    #[actix_web::test]
    async fn the_host_header_has_the_port_unless_it_is_the_schemes() {
        for (base, host) in [
            ("https://h", "h"),
            ("https://h:80", "h:80"),
            ("http://h:443", "h:443"),
            ("http://h:80", "h"),
            ("http://[::1]:9", "[::1]:9"),
        ] {
            let mut config = Config::default();
            let mut entry = config.providers.remove(0);
            entry.base = crate::config::BaseUrl::parse(base, "").unwrap();
            let client = Client::new(&entry, &config, &Tls::none()).unwrap();
            let mut headers = HeaderMap::new();
            let request = UpstreamRequest {
                method: Method::Get,
                path: "/models".into(),
                model: "".into(),
                body: Spliced::default(),
                key: Secret::new("k"),
                caller: CallerId::of("k"),
                stream: false,
                headers: Vec::new(),
                deadline: Deadline {
                    at: Instant::now(),
                    phase: Phase::Answer,
                    after: Duration::ZERO,
                },
                record: None,
            };
            client.write_headers(&mut headers, &request, AttemptOptions::default());
            assert_eq!(headers.get(header::HOST).unwrap(), host, "{base}");
        }
    }
}
