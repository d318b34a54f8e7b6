//! One attempt: a request to one provider and the head of its answer.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_http::error::ParseError;
use awc::ClientResponse;
use awc::error::{ConnectError, SendRequestError};
use awc::http::Uri;
use awc::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::attempt_error::{AttemptError, connect_reason, delay_in, kept, no_descriptor};
use super::body::{Body, BodyError, RequestBody};
use super::connect::Connector;
use super::headers::Headers;
use super::pool::Pool;
use super::retry::{Retry, retry_after};
use super::tls::Tls;
use super::without_date_task::without_date_task;
use crate::codec::Spliced;
use crate::config::{Config, ProviderConfig};
use crate::dialect::{ResponseDecoder, redact_error};
use crate::error::{Error, Phase};
use crate::providers::{Auth, ChatApi, Provider};
use crate::secret::{CallerId, Secret};

/// Largest error body that is read, in bytes.
const MAX_ERROR: usize = 1 << 20;

/// How soon an answer must be missing for nothing to have been done, and so nothing billed.
const QUICK: Duration = Duration::from_secs(1);

/// How an answer is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Without a body.
    Get,
    /// With a JSON body.
    Post,
}

/// A request to a provider.
pub struct AttemptRequest<'c> {
    /// How.
    pub method: Method,
    /// The path and query after the base URL, as in `/chat/completions`.
    pub path: &'c str,
    /// The JSON text; empty with [`Method::Get`].
    pub body: Spliced,
    /// The key.
    pub key: &'c Secret,
    /// Who calls: no connection that was used for someone else is used.
    pub caller: CallerId,
    /// Whether a stream of events is expected.
    pub stream: bool,
    /// Headers of the client that this provider is given.
    pub headers: &'c [(&'static str, String)],
    /// The request's id, for the provider.
    pub request_id: Option<&'c Bytes>,
    /// The span that this attempt is, for the provider; wins over the client's own.
    pub traceparent: Option<&'c str>,
    /// How its answer is read.
    pub decoder: ResponseDecoder,
    /// Whether it goes over a connection of its own, and none that was idle.
    pub force_new_connection: bool,
}

/// When something must be there, and what is said where it is not.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// When.
    pub at: Instant,
    /// What is waited for.
    pub phase: Phase,
    /// The time it had in all.
    pub after: Duration,
}

impl Deadline {
    /// The time that is left.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// The error of a provider that missed it.
    #[must_use]
    pub fn missed(&self, provider: &'static str) -> Error {
        Error::TimedOut {
            provider,
            phase: self.phase,
            after: self.after,
        }
    }

    /// The failure of an attempt that missed it: work is under way there, and a second attempt
    /// would be billed too.
    fn failure(&self, provider: &'static str) -> AttemptError {
        AttemptError::new(self.missed(provider), Retry::Never)
    }
}

/// The head of a good answer, and its body.
pub struct AttemptResponse {
    /// Whether the body is a stream of events.
    pub events: bool,
    /// Headers of the provider that the client is given.
    pub headers: Headers,
    /// The body.
    pub body: Body,
}

/// What became of an attempt.
pub type AttemptResult = Result<AttemptResponse, AttemptError>;

/// The client of one provider: its connections are no one else's.
pub struct Client {
    pool: Pool,
    provider: &'static Provider,
    /// `http://host:port/base`: the connector adds the TLS where there is one.
    base: String,
    chat: Uri,
    responses: Uri,
    host: HeaderValue,
    connect_timeout: Duration,
}

impl Client {
    /// # Errors
    /// A text where the configured host cannot be connected to at all.
    pub fn new(entry: &ProviderConfig, config: &Config, tls: &Tls) -> Result<Self, String> {
        let connector = Connector::new(&entry.base, tls, config.proxy.as_ref())?;
        let pool = Pool::new(connector, config.connect_timeout);
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
            connect_timeout: config.connect_timeout,
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

    /// Makes one attempt, which ends at `deadline` without an answer.
    ///
    /// # Errors
    /// Why there is no good answer, and whether to try again.
    pub async fn attempt(
        &self,
        outgoing: &AttemptRequest<'_>,
        deadline: &Deadline,
    ) -> AttemptResult {
        let name = self.provider.name;
        let bad = |reason: &str, retry| {
            let error = Error::InvalidUpstreamResponse {
                provider: name,
                reason: reason.to_owned(),
            };
            AttemptError::new(error, retry)
        };
        let Some(uri) = self.uri(outgoing.path) else {
            return Err(bad("its URL cannot be built", Retry::Never));
        };
        let http = if outgoing.force_new_connection {
            self.pool.once()
        } else {
            self.pool.of(outgoing.caller)
        };
        let mut request = match outgoing.method {
            Method::Get => http.get(uri),
            Method::Post => http.post(uri),
        };
        if outgoing.force_new_connection {
            // It is closed with the answer, so that there is never an idle one.
            request = request.force_close();
        }
        self.write_headers(request.headers_mut(), outgoing);
        let begun = Instant::now();
        let sent = without_date_task(request.send_body(RequestBody(outgoing.body.clone())));
        let response = match timeout_at(deadline.at, sent).await {
            Err(_) => return Err(deadline.failure(name)),
            Ok(Err(error)) => return Err(self.not_answered(&error, begun.elapsed(), deadline)),
            Ok(Ok(response)) => response,
        };
        let status = response.status().as_u16();
        let bad = |reason: &str, retry| AttemptError {
            headers: kept(response.headers(), outgoing.key),
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
            _ => return Err(self.refused(response, outgoing, deadline).await),
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
        Ok(AttemptResponse {
            events,
            headers: kept(response.headers(), outgoing.key),
            body: Body::new(response),
        })
    }

    fn write_headers(&self, headers: &mut HeaderMap, outgoing: &AttemptRequest<'_>) {
        headers.insert(header::HOST, self.host.clone());
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(self.provider.user_agent),
        );
        headers.insert(
            header::ACCEPT_ENCODING,
            HeaderValue::from_static("identity"),
        );
        let accept = if outgoing.stream {
            "text/event-stream"
        } else {
            "application/json"
        };
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        if outgoing.method == Method::Post {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        for (name, value) in outgoing.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        if let Some(id) = outgoing.request_id
            && let Ok(id) = HeaderValue::from_maybe_shared(id.clone())
        {
            static NAME: HeaderName = HeaderName::from_static("x-request-id");
            headers.insert(NAME.clone(), id);
        }
        if let Some(span) = outgoing.traceparent
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
        self.write_key(headers, outgoing.key.expose());
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

    /// Reads an error answer.
    async fn refused(
        &self,
        response: ClientResponse,
        outgoing: &AttemptRequest<'_>,
        deadline: &Deadline,
    ) -> AttemptError {
        let status = response.status().as_u16();
        let text = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let mut after = retry_after(
            text("retry-after-ms").as_deref(),
            text("retry-after").as_deref(),
            now,
        );
        let advice = text("x-should-retry");
        let mut headers = kept(response.headers(), outgoing.key);
        let body = timeout_at(deadline.at, Body::new(response).whole(MAX_ERROR)).await;
        let body = match body {
            Ok(Ok(body)) => body,
            Ok(Err(BodyError::Cut | BodyError::Malformed | BodyError::TooLong)) | Err(_) => {
                Bytes::new()
            }
        };
        let mut error = outgoing.decoder.decode_error(status, &body);
        redact_error(&mut error, outgoing.key);
        for (name, value) in &error.more {
            if after.is_none() && name == "details" {
                after = delay_in(value);
                if let Some(after) = after {
                    headers.push("retry-after", &after.as_secs_f64().ceil().to_string());
                }
            }
        }
        let transient = matches!(status, 408 | 429 | 498 | 500 | 502 | 503 | 504 | 529);
        let spent = error.code.as_deref() == Some("insufficient_quota")
            || (status == 429 && after.is_none() && self.provider.bare_429_is_final);
        let retry = match advice.as_deref() {
            Some("false") => Retry::Never,
            // What the request itself is at fault for stays wrong, whatever is advised.
            Some("true") if !spent && !matches!(status, 400..=407 | 409..=422) => {
                Retry::Yes { after }
            }
            _ if transient && !spent => Retry::Yes { after },
            _ => Retry::Never,
        };
        headers.push("x-upstream-status", &status.to_string());
        AttemptError {
            headers,
            ..AttemptError::new(Error::Provider(Box::new(error)), retry)
        }
    }

    /// An attempt that ended without the head of an answer, `after` its begin.
    fn not_answered(
        &self,
        error: &SendRequestError,
        after: Duration,
        deadline: &Deadline,
    ) -> AttemptError {
        let provider = self.provider.name;
        let unreachable =
            |reason, retry| AttemptError::new(Error::Unreachable { provider, reason }, retry);
        let yes = Retry::Yes { after: None };
        // Sent, but no answer: within a second that is a connection that the provider had just
        // closed; later it has begun to work, and to bill.
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
                AttemptError::new(Error::TooManyOpenFiles, Retry::Never)
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
                AttemptError::new(error, yes)
            }
            SendRequestError::Connect(_) => unreachable("its address cannot be found", yes),
            // So does a provider that refuses a body before it has all of it.
            SendRequestError::Send(_) => {
                unreachable("the connection broke while sending", if_quick).not_counted()
            }
            SendRequestError::Timeout => deadline.failure(provider),
            _ => AttemptError::new(
                Error::InvalidUpstreamResponse {
                    provider,
                    reason: "it is no HTTP".to_owned(),
                },
                Retry::Never,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let outgoing = AttemptRequest {
                method: Method::Get,
                path: "/models",
                body: Spliced::default(),
                key: &Secret::new("k"),
                caller: CallerId::of("k"),
                stream: false,
                headers: &[],
                request_id: None,
                traceparent: None,
                decoder: ResponseDecoder::Responses,
                force_new_connection: false,
            };
            client.write_headers(&mut headers, &outgoing);
            assert_eq!(headers.get(header::HOST).unwrap(), host, "{base}");
        }
    }
}
