//! Sends spans to a collector. If the collector fails, spans are lost and counted, and nothing else
//! happens.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use awc::http::Uri;
use awc::http::header::{self, HeaderName, HeaderValue};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::Tls;
use super::connect::Connector;
use crate::config::{Config, Traces};
use crate::telemetry::{Metrics, Span, export};

/// Maximum number of finished requests whose spans form one batch.
const MOST_AT_ONCE: usize = 512;

/// How long a batch waits for more requests.
const GATHER: Duration = Duration::from_secs(1);

/// Timeout of one export; the default of `OTEL_EXPORTER_OTLP_TIMEOUT`.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The pause before the second and last attempt.
const PAUSE: Duration = Duration::from_secs(1);

/// Minimum time between two warnings about a failing collector.
const SILENCE: Duration = Duration::from_secs(60);

/// A client for a collector that accepts OTLP/HTTP 1.x as JSON.
pub struct Collector {
    http: awc::Client,
    uri: Uri,
    host: HeaderValue,
    headers: Vec<(HeaderName, HeaderValue)>,
    service: String,
}

/// Why a batch was not accepted.
enum ExportError {
    /// It may be accepted later: OTLP/HTTP, "Retryable Response Codes".
    ForNow(String),
    /// It will never be accepted.
    ForGood(String),
}

impl Collector {
    /// Builds the client of the configured collector.
    ///
    /// # Errors
    /// A message if the host cannot be connected to at all, or a header is malformed.
    pub fn new(traces: &Traces, config: &Config, tls: &Tls) -> Result<Self, String> {
        let endpoint = &traces.endpoint;
        let connector = Connector::new(endpoint, tls, config.proxy.as_ref())?;
        let connector = awc::Connector::new()
            .connector(connector)
            .timeout(config.calls.connect_timeout);
        let http = awc::Client::builder()
            .connector(connector)
            .disable_timeout()
            .disable_redirects()
            .no_default_headers()
            .finish();
        let text = |error: &dyn std::error::Error| error.to_string();
        let (host, port, path) = (endpoint.host_text(), endpoint.port, &endpoint.path);
        let uri = format!(
            "http://{host}:{port}{}",
            if path.is_empty() { "/" } else { path }
        );
        let headers = traces.headers.iter().map(|(name, value)| {
            let name = HeaderName::try_from(name.as_str()).map_err(|error| text(&error))?;
            let mut value = HeaderValue::try_from(value.expose()).map_err(|error| text(&error))?;
            value.set_sensitive(true);
            Ok((name, value))
        });
        Ok(Self {
            uri: uri.parse().map_err(|error| text(&error))?,
            host: HeaderValue::try_from(endpoint.host_header()).map_err(|error| text(&error))?,
            headers: headers.collect::<Result<_, String>>()?,
            service: traces.service.clone(),
            http,
        })
    }

    /// Sends spans until `stop` resolves, then those that are left.
    pub async fn run(
        self,
        mut spans: Receiver<Span>,
        metrics: Arc<Metrics>,
        stop: impl Future<Output = ()>,
    ) {
        let mut stop = std::pin::pin!(stop);
        let mut told: Option<Instant> = None;
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = stop.as_mut(), if !spans.is_closed() => {
                    spans.close();
                    continue;
                }
                received = spans.recv_many(&mut batch, MOST_AT_ONCE) => {
                    if received == 0 {
                        return;
                    }
                }
            }
            let until = Instant::now() + GATHER;
            while batch.len() < MOST_AT_ONCE && !spans.is_closed() {
                let room = MOST_AT_ONCE - batch.len();
                tokio::select! {
                    () = stop.as_mut() => spans.close(),
                    received = timeout_at(until, spans.recv_many(&mut batch, room)) => {
                        if !matches!(received, Ok(1..)) {
                            break;
                        }
                    }
                }
            }
            if let Err(why) = self.deliver(&export(&self.service, &batch)).await {
                metrics.spans_lost(batch.len());
                if told.is_none_or(|at| at.elapsed() >= SILENCE) {
                    log::warn!("the collector of traces did not take spans: {why}");
                    told = Some(Instant::now());
                }
            }
            batch.clear();
        }
    }

    async fn deliver(&self, body: &str) -> Result<(), String> {
        match self.send(body).await {
            Ok(()) => Ok(()),
            Err(ExportError::ForGood(why)) => Err(why),
            Err(ExportError::ForNow(_)) => {
                sleep(PAUSE).await;
                self.send(body).await.map_err(|refused| match refused {
                    ExportError::ForNow(why) | ExportError::ForGood(why) => why,
                })
            }
        }
    }

    async fn send(&self, body: &str) -> Result<(), ExportError> {
        let mut request = self.http.post(self.uri.clone());
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.host.clone());
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        let exchange = async {
            let mut answer = request.send_body(body.to_owned()).await.ok()?;
            let status = answer.status().as_u16();
            // The body is read to its end, so that the connection can be reused.
            let _ = answer.body().await;
            Some(status)
        };
        match timeout(TIMEOUT, exchange).await {
            Ok(Some(200..=299)) => Ok(()),
            Ok(Some(status @ (429 | 502 | 503 | 504))) => {
                Err(ExportError::ForNow(format!("it answered {status}")))
            }
            Ok(Some(status)) => Err(ExportError::ForGood(format!("it answered {status}"))),
            Ok(None) => Err(ExportError::ForNow("it cannot be reached".to_owned())),
            Err(_) => Err(ExportError::ForNow("it does not answer".to_owned())),
        }
    }
}
