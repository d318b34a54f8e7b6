//! The metrics, in the Prometheus text format.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::mpsc;

use super::access_log::{FieldValue, LogLine};
use super::labels::{
    AttemptLabels, Buckets, ErrorLabels, ParamLabels, ProviderLabels, RecoveryLabels,
    RequestLabels, RouteLabels, StreamErrorLabels, TokenLabels,
};
use super::params::param;
use super::spans::{Span, Trace};
use crate::config::{AccessLog, Config, LogFormat};
use crate::dialect::TranslationReport;
use crate::dialect::hub::Usage;

/// The log target of access log lines.
pub const ACCESS: &str = "access";

/// The shortest interval of log warnings about clients that do not speak HTTP/1.1.
const PROTOCOL_WARNING_INTERVAL: Duration = Duration::from_secs(60);

/// The largest number of spans that wait for export; further ones are dropped and counted.
const MAX_SPANS: usize = 4096;

/// All metrics. Shared by all threads; each counter is an atomic.
pub struct Metrics {
    registry: Registry,
    /// The load of the providers, which only some readers of the metrics may see.
    doing_registry: Registry,
    /// Client requests that are running.
    pub(super) in_flight: Gauge,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, Buckets>,
    firsts: Family<RouteLabels, Histogram, Buckets>,
    errors: Family<ErrorLabels, Counter>,
    attempts: Family<AttemptLabels, Counter>,
    retries_denied: Family<ProviderLabels, Counter>,
    tokens: Family<TokenLabels, Counter>,
    loads: LatestLoads,
    spans_lost: Counter,
    /// When the last warning about a client with another protocol was logged.
    told: Mutex<Option<Instant>>,
    access_log: AccessLog,
    format: LogFormat,
    ratio: f64,
    spans: Option<mpsc::Sender<Span>>,
    params: Family<ParamLabels, Counter>,
    repairs: Family<ProviderLabels, Counter>,
    broken: Family<StreamErrorLabels, Counter>,
    retried: Family<RecoveryLabels, Counter>,
}

/// The load of the providers at the last scrape.
#[derive(Default)]
struct LatestLoads {
    in_flight: Family<ProviderLabels, Gauge>,
    waiting: Family<ProviderLabels, Gauge>,
    circuit: Family<ProviderLabels, Gauge>,
}

/// The load of one provider.
#[derive(Debug, Clone, Copy)]
pub struct ProviderLoad {
    /// The provider's name.
    pub provider: &'static str,
    /// Running calls.
    pub in_flight: usize,
    /// Calls that wait for a slot.
    pub waiting: usize,
    /// The state of the provider's worst circuit: 0 closed, 1 half-open (one trial call), 2 open.
    pub circuit: u8,
}

impl Metrics {
    /// All counters at 0. The receiver yields spans; `None` unless [`Config::traces`] is set.
    #[must_use]
    pub fn new(config: &Config) -> (Self, Option<mpsc::Receiver<Span>>) {
        let (sender, receiver) = match config.traces {
            Some(_) => {
                let (sender, receiver) = mpsc::channel(MAX_SPANS);
                (Some(sender), Some(receiver))
            }
            None => (None, None),
        };
        let mut metrics = Self {
            registry: Registry::with_prefix("gateway"),
            doing_registry: Registry::with_prefix("gateway"),
            in_flight: Gauge::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(Buckets),
            firsts: Family::new_with_constructor(Buckets),
            errors: Family::default(),
            attempts: Family::default(),
            retries_denied: Family::default(),
            tokens: Family::default(),
            loads: LatestLoads::default(),
            spans_lost: Counter::default(),
            told: Mutex::new(None),
            access_log: config.log.requests,
            format: config.log.format,
            ratio: config.traces.as_ref().map_or(0.0, |traces| traces.ratio),
            spans: sender,
            params: Family::default(),
            repairs: Family::default(),
            broken: Family::default(),
            retried: Family::default(),
        };
        metrics.register_requests();
        metrics.register_providers();
        metrics.register_translations();
        (metrics, receiver)
    }

    fn register_requests(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "build",
            "The version that runs",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register(
            "requests_in_flight",
            "Requests of clients under way",
            self.in_flight.clone(),
        );
        registry.register(
            "requests",
            "Requests of clients, by the status they got; 499: the client left before",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "From the head of a request to the end of its answer",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register_with_unit(
            "first_byte",
            "From the head of a request to the provider's whole answer or its first event",
            Unit::Seconds,
            self.firsts.clone(),
        );
        registry.register(
            "errors",
            "Requests that failed, by the gateway's reason",
            self.errors.clone(),
        );
        registry.register(
            "tokens",
            "Tokens that providers counted; cached is a part of prompt, reasoning of completion",
            self.tokens.clone(),
        );
        registry.register(
            "spans_lost",
            "Spans that could not be sent to the collector",
            self.spans_lost.clone(),
        );
    }

    fn register_providers(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "attempts",
            "Attempts at providers, by what became of them",
            self.attempts.clone(),
        );
        registry.register(
            "retries_denied",
            "Retries that were not made because the provider's budget for them was spent",
            self.retries_denied.clone(),
        );
        let registry = &mut self.doing_registry;
        registry.register(
            "in_flight",
            "Calls under way to a provider",
            self.loads.in_flight.clone(),
        );
        registry.register(
            "waiting",
            "Calls that wait for a slot of a provider",
            self.loads.waiting.clone(),
        );
        registry.register(
            "circuit",
            "0 closed; 1 one call sees whether the provider is back; 2 open",
            self.loads.circuit.clone(),
        );
    }

    fn register_translations(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "translation_params",
            "Parameters of requests that were left out (dropped) or put otherwise (changed)",
            self.params.clone(),
        );
        registry.register(
            "stream_repairs",
            "Events of providers' streams that broke the contract and were repaired",
            self.repairs.clone(),
        );
        registry.register(
            "streams_broken",
            "Streams that ended with an error event",
            self.broken.clone(),
        );
        registry.register(
            "second_tries",
            "Requests sent once more in another form after a refusal whose reason is known",
            self.retried.clone(),
        );
    }

    /// The number of client requests that are running.
    #[must_use]
    pub fn in_flight(&self) -> i64 {
        self.in_flight.get()
    }

    /// Whether a request is logged.
    pub(super) fn logs(&self, is_probe: bool) -> bool {
        match self.access_log {
            AccessLog::Off => false,
            AccessLog::Calls => !is_probe,
            AccessLog::All => true,
        }
    }

    /// Whether a request gets a span, if traces are collected.
    pub(super) fn traces(&self, is_probe: bool) -> bool {
        !is_probe || self.access_log == AccessLog::All
    }

    pub(super) fn begin_trace(&self, traceparent: Option<&str>) -> Option<Trace> {
        self.spans.as_ref()?;
        Trace::begin(traceparent, self.ratio)
    }

    pub(super) fn export(&self, span: Span) {
        if let Some(spans) = &self.spans
            && spans.try_send(span).is_err()
        {
            self.spans_lost.inc();
        }
    }

    /// Counts spans that the collector did not accept.
    pub fn spans_lost(&self, spans: usize) {
        self.spans_lost
            .inc_by(u64::try_from(spans).unwrap_or(u64::MAX));
    }

    pub(super) fn request(
        &self,
        endpoint: &'static str,
        provider: &'static str,
        status: u16,
        took: Duration,
        first: Option<Duration>,
    ) {
        let request = RequestLabels {
            endpoint,
            provider,
            status,
        };
        self.requests.get_or_create(&request).inc();
        let route = RouteLabels { endpoint, provider };
        self.durations
            .get_or_create(&route)
            .observe(took.as_secs_f64());
        if let Some(first) = first {
            self.firsts
                .get_or_create(&route)
                .observe(first.as_secs_f64());
        }
    }

    pub(super) fn error(&self, provider: &'static str, reason: &'static str) {
        self.errors
            .get_or_create(&ErrorLabels { provider, reason })
            .inc();
    }

    pub(super) fn tokens(&self, provider: &'static str, usage: &Usage) {
        for (kind, tokens) in [
            ("prompt", usage.prompt),
            ("cached", usage.cached),
            ("completion", usage.completion),
            ("reasoning", usage.reasoning),
        ] {
            if tokens > 0 {
                self.tokens
                    .get_or_create(&TokenLabels { provider, kind })
                    .inc_by(tokens);
            }
        }
    }

    /// Counts an attempt. `outcome` is `ok` or one of the gateway's own codes.
    pub fn attempt(&self, provider: &'static str, outcome: &'static str) {
        self.attempts
            .get_or_create(&AttemptLabels { provider, outcome })
            .inc();
    }

    /// Counts a retry that was not made because the retry budget was empty.
    pub fn retry_denied(&self, provider: &'static str) {
        self.retries_denied
            .get_or_create(&ProviderLabels { provider })
            .inc();
    }

    /// Counts the parameters that a translation dropped or changed.
    pub fn report(&self, provider: &'static str, report: &TranslationReport) {
        /// The names per request that are counted one by one; a client could send any number.
        const MOST: usize = 200;
        for (effect, names) in [("dropped", &report.dropped), ("changed", &report.changed)] {
            let mut counts: HashMap<&'static str, u64> = HashMap::new();
            for (n, name) in names.iter().enumerate() {
                let param = if n < MOST { param(name) } else { "other" };
                *counts.entry(param).or_default() += 1;
            }
            for (param, count) in counts {
                let param = ParamLabels {
                    provider,
                    effect,
                    param,
                };
                self.params.get_or_create(&param).inc_by(count);
            }
        }
    }

    /// Counts stream events that were repaired.
    pub fn repaired(&self, provider: &'static str, events: u64) {
        if events > 0 {
            self.repairs
                .get_or_create(&ProviderLabels { provider })
                .inc_by(events);
        }
    }

    /// Counts a stream that ended with an error. `code` is one of the gateway's own.
    pub fn broken(&self, provider: &'static str, code: &'static str) {
        self.broken
            .get_or_create(&StreamErrorLabels { provider, code })
            .inc();
    }

    /// Counts a request that was sent again in another form.
    pub fn recovered(&self, provider: &'static str, reason: &'static str) {
        self.retried
            .get_or_create(&RecoveryLabels { provider, reason })
            .inc();
    }

    /// Counts and logs a request that was rejected before its head was complete.
    pub fn header_timeout(&self, status: u16, reason: &'static str) {
        let (endpoint, provider) = ("", "");
        let request = RequestLabels {
            endpoint,
            provider,
            status,
        };
        self.requests.get_or_create(&request).inc();
        self.error(provider, reason);
        if self.logs(false) {
            let mut line = LogLine::default();
            line.push("status", FieldValue::Number(status.into()));
            line.push("error", FieldValue::Word(reason.into()));
            self.log(&line);
        }
    }

    /// Counts a request in another protocol than HTTP/1.1. The warning in the log is rate-limited,
    /// because anyone can send such requests.
    pub fn unknown_protocol(&self, spoken: &str) {
        let (status, reason) = (400, "malformed_request");
        let request = RequestLabels {
            endpoint: "",
            provider: "",
            status,
        };
        self.requests.get_or_create(&request).inc();
        self.error("", reason);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|at| at.elapsed() >= PROTOCOL_WARNING_INTERVAL) {
            *told = Some(Instant::now());
            log::warn!(
                "a client spoke {spoken} to the port, which speaks HTTP/1.1 without TLS; put a proxy with TLS in front, or use http://"
            );
        }
    }

    pub(super) fn log(&self, line: &LogLine<'_>) {
        let mut text = String::with_capacity(256);
        match self.format {
            LogFormat::Text => line.text(&mut text),
            LogFormat::Json => line.json(&mut text),
        }
        log::info!(target: ACCESS, "{text}");
    }

    /// All metrics in the `OpenMetrics` text format 1.0; with `now`, also the load of the
    /// providers.
    #[must_use]
    pub fn text(&self, now: Option<&[ProviderLoad]>) -> String {
        let loads = &self.loads;
        for one in now.unwrap_or_default() {
            let of = ProviderLabels {
                provider: one.provider,
            };
            let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            loads
                .in_flight
                .get_or_create(&of)
                .set(number(one.in_flight));
            loads.waiting.get_or_create(&of).set(number(one.waiting));
            loads.circuit.get_or_create(&of).set(one.circuit.into());
        }
        let mut out = String::new();
        let mut written = encode_registry(&mut out, &self.registry);
        if now.is_some() {
            written = written.and_then(|()| encode_registry(&mut out, &self.doing_registry));
        }
        if written.is_err() {
            out.clear();
        }
        // Writing to a String cannot fail.
        let _ = encode_eof(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_counted() {
        let (metrics, _) = Metrics::new(&Config::default());
        let report = TranslationReport {
            dropped: vec!["seed".to_owned()],
            changed: vec!["tools[0].function.parameters".to_owned()],
        };
        metrics.report("groq", &report);
        metrics.report("groq", &report);
        metrics.repaired("xai", 3);
        metrics.broken("xai", "upstream_stream_truncated");
        let text = metrics.text(None);
        for line in [
            "gateway_translation_params_total{provider=\"groq\",effect=\"dropped\",param=\"seed\"} 2",
            "gateway_translation_params_total{provider=\"groq\",effect=\"changed\",param=\"tools\"} 2",
            "gateway_stream_repairs_total{provider=\"xai\"} 3",
            "gateway_streams_broken_total{provider=\"xai\",code=\"upstream_stream_truncated\"} 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|had| had == line), "{line} in {text}");
        }
    }
}
