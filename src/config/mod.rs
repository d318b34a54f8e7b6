//! The gateway's configuration: types, defaults and warnings. Checked as a whole before serving.

mod base;
mod defaults;
mod env;
mod hints;
mod proxy;
mod reading;
mod traces;
mod variables;

use std::path::PathBuf;
use std::time::Duration;

pub use base::BaseUrl;
pub use env::{from_environment, from_lookup, port_from_environment};
pub use proxy::Proxy;
pub use traces::Traces;
pub use variables::ConfigErrors;

use crate::providers::Provider;
use crate::secret::Secret;

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// How the gateway serves its clients.
    pub server: ServerConfig,
    /// Who may call.
    pub access: AccessConfig,
    /// Deadlines and limits of calls to providers. Each limit is one for a provider, over all
    /// threads.
    pub calls: CallConfig,
    /// Retries of failed attempts.
    pub retries: RetryConfig,
    /// Lists of models.
    pub models: ModelsConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// Root certificates for connections to providers.
    pub tls: TlsConfig,
    /// How each provider is reached, in the order of the provider table.
    pub providers: Vec<ProviderConfig>,
    /// When the circuit breaker opens and closes.
    pub breaker: BreakerConfig,
    /// Where traces are sent; `None`: no traces.
    pub traces: Option<Traces>,
    /// Whether a request is rejected if its translation would drop or change a parameter.
    pub strict_translation: bool,
    /// The size of the reasoning cache, for clients that do not send reasoning back, in bytes; 0:
    /// off.
    pub reasoning_memory: u64,
    /// The proxy for `https:` base URLs.
    pub proxy: Option<Proxy>,
    /// Whether the providers are the scripted ones of the demo, which accept any key.
    pub demo: bool,
    /// Warnings about variables that are set but not read, probably misspelled; one sentence each.
    pub hints: Vec<String>,
}

/// How the gateway serves its clients.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The address to listen on, a name or an IP address.
    pub host: String,
    /// The port to listen on; 0 takes a free one.
    pub port: u16,
    /// The number of threads that serve requests.
    pub http_workers: usize,
    /// Whether the start page, the OpenAPI document and Swagger UI are served.
    pub serve_docs: bool,
    /// The largest request body, in bytes.
    pub max_body: usize,
    /// The memory limit for the bodies of all running requests together, in bytes.
    pub body_memory: usize,
    /// The time limit for receiving a request's head.
    pub head_timeout: Duration,
    /// The time limit for receiving a request's body, unless it arrives at `body_rate` or faster.
    pub body_timeout: Duration,
    /// The average rate, in bytes per second since the body began, at which a body may exceed
    /// `body_timeout`; 0: no body may exceed it.
    pub body_rate: u64,
    /// How long a client may read nothing of its response before it is disconnected.
    pub write_timeout: Duration,
    /// How long an idle client connection stays open. Longer than a load balancer's idle timeout,
    /// so that the load balancer closes first.
    pub connection_idle_timeout: Duration,
    /// The interval of comments in a silent stream, so that no intermediary closes it; zero: no
    /// comments.
    pub keepalive: Duration,
    /// How long the gateway keeps serving after SIGTERM, while `/readyz` already reports that it
    /// stops.
    pub shutdown_delay: Duration,
    /// How long running requests may take to finish after that.
    pub shutdown_timeout: Duration,
}

/// Who may call.
#[derive(Debug, Clone)]
pub struct AccessConfig {
    /// Gateway keys that callers must send. Empty: callers send their own provider keys
    /// (pass-through).
    pub gateway_keys: Vec<Secret>,
    /// The key that opens only the metrics; `None`: there is no such key.
    pub metrics_key: Option<Secret>,
}

/// Deadlines and limits of calls to providers. Each limit is one for a provider, over all
/// threads.
#[derive(Debug, Clone)]
pub struct CallConfig {
    /// The deadline from the complete request to the complete response, over all attempts.
    pub request_timeout: Duration,
    /// The deadline from the complete request to the first event of a stream, over all attempts;
    /// `None`: the same as `request_timeout`.
    pub first_event_timeout: Option<Duration>,
    /// The longest silence within a stream; `None`: the same as `request_timeout`.
    pub idle_timeout: Option<Duration>,
    /// The time limit for connecting to a provider, TLS included.
    pub connect_timeout: Duration,
    /// The largest non-streamed response of a provider, in bytes.
    pub max_answer: usize,
    /// The largest number of concurrent calls to one provider.
    pub max_in_flight: usize,
    /// The largest number of calls that wait for a slot of one provider.
    pub max_waiting: usize,
    /// The longest time that a call waits for a slot.
    pub wait_timeout: Duration,
}

/// Retries of failed attempts.
#[derive(Debug, Clone)]
pub struct RetryConfig {
    /// The largest number of attempts after the first.
    pub max_retries: u32,
    /// The delay before the first retry; it doubles with each retry.
    pub base_delay: Duration,
    /// Retry budget: retries may be at most this percentage of a provider's requests.
    pub budget_percent: u32,
    /// Retries per second to a provider that are allowed in addition to `budget_percent`.
    pub budget_per_sec: u32,
}

/// Lists of models.
#[derive(Debug, Clone)]
pub struct ModelsConfig {
    /// How long a provider's list of models is cached.
    pub cache: Duration,
    /// The time limit for fetching one provider's list of models.
    pub timeout: Duration,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// The log filter in the syntax of `env_logger`; `None`: `info`.
    pub filter: Option<String>,
    /// Which requests are logged.
    pub requests: AccessLog,
    /// How log lines are written.
    pub format: LogFormat,
}

/// Root certificates for connections to providers.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    /// A PEM file with root certificates to trust. If it or `cert_dir` is set, they replace the
    /// system's.
    pub cert_file: Option<PathBuf>,
    /// A directory of such PEM files; see `cert_file`.
    pub cert_dir: Option<PathBuf>,
}

/// When the circuit breaker opens: above an error rate over a window. While it is open, single
/// trial calls find out whether the provider has recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerConfig {
    /// The share of failed attempts, in percent, at which it opens; 0: never.
    pub error_percent: u32,
    /// The number of attempts in the window below which it does not open.
    pub min_attempts: u32,
    /// The length of the window.
    pub window: Duration,
    /// How long it stays open before each trial call.
    pub open: Duration,
}

/// Which requests are logged, and get a span if traces are collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    /// No request is logged; all except probes get a span.
    Off,
    /// All except health probes, of which a monitor sends thousands a day.
    Calls,
    /// All requests, probes included.
    All,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// How one provider is reached.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// The provider's row in the table.
    pub provider: &'static Provider,
    /// The base URL.
    pub base: BaseUrl,
    /// Whether the base URL is the table's default.
    pub base_is_default: bool,
    /// The gateway's key for the provider; used only for callers with a gateway key.
    pub key: Option<Secret>,
}

impl ProviderConfig {
    /// Whether the base URL is at the vendor's own host, rather than at a compatible server.
    #[must_use]
    pub fn is_vendor_host(&self) -> bool {
        let own = BaseUrl::parse(self.provider.base_url, self.provider.version);
        self.base_is_default || own.is_ok_and(|own| own.host == self.base.host)
    }

    /// Whether the base URL is an example that the operator has not replaced.
    #[must_use]
    pub fn is_not_configured(&self) -> bool {
        self.provider.base_is_example && self.base_is_default
    }
}

impl Config {
    /// Whether callers need a gateway key; if not, the gateway runs in pass-through mode.
    #[must_use]
    pub fn requires_gateway_key(&self) -> bool {
        !self.access.gateway_keys.is_empty()
    }

    /// The configuration of `provider`.
    #[must_use]
    pub fn of(&self, provider: &Provider) -> &ProviderConfig {
        self.providers
            .iter()
            .find(|config| config.provider == provider)
            .expect("there is one for each row of the table")
    }

    /// All secrets that logs must never show. Values shorter than 8 bytes are left out, because
    /// redacting them would garble ordinary text: a header for the collector may be a tenant's
    /// number.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let keys = self.providers.iter().filter_map(|entry| entry.key.as_ref());
        let proxy = self
            .proxy
            .as_ref()
            .and_then(|proxy| proxy.credential.as_ref());
        let traces = self.traces.iter().flat_map(|traces| &traces.headers);
        self.access
            .gateway_keys
            .iter()
            .chain(&self.access.metrics_key)
            .chain(keys)
            .chain(proxy)
            .chain(traces.map(|(_, value)| value))
            // After a scheme, as in `Bearer`, the token alone is secret too.
            .flat_map(|secret| [Some(secret.clone()), secret.token()])
            .flatten()
            .filter(Secret::is_redactable)
            .collect()
    }

    /// The deadline from the complete request to the first event of a stream.
    #[must_use]
    pub fn first_event_timeout(&self) -> Duration {
        self.calls
            .first_event_timeout
            .unwrap_or(self.calls.request_timeout)
    }

    /// The longest silence within a stream.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        self.calls
            .idle_timeout
            .unwrap_or(self.calls.request_timeout)
    }

    /// Warnings for the operator, one sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut out = self.hints.clone();
        if !self.requires_gateway_key() {
            let ignored: Vec<_> = self
                .providers
                .iter()
                .filter(|config| config.key.is_some())
                .map(|config| config.provider.key_env)
                .collect();
            if !ignored.is_empty() {
                out.push(format!(
                    "{} set but not used: without GATEWAY_API_KEYS every caller brings the provider's key",
                    ignored.join(", ")
                ));
            }
        }
        if self
            .access
            .gateway_keys
            .iter()
            .any(|key| key.expose().len() < 16)
        {
            out.push("a key in GATEWAY_API_KEYS is shorter than 16 characters".to_owned());
        }
        let mut keys: Vec<&str> = self
            .access
            .gateway_keys
            .iter()
            .map(Secret::expose)
            .collect();
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair.first() == pair.last()) {
            out.push("GATEWAY_API_KEYS holds the same key twice".to_owned());
        }
        for config in &self.providers {
            let Provider {
                name, base_url_env, ..
            } = config.provider;
            if config.key.is_some() && self.requires_gateway_key() && config.is_not_configured() {
                out.push(format!(
                    "{name} has a key, but {base_url_env} is still the example"
                ));
            }
            if !config.base.tls && !config.base.is_loopback() {
                out.push(format!(
                    "{base_url_env} is plain http: keys and prompts cross the network in the clear"
                ));
            }
        }
        out
    }

    /// Each provider with `Ok` if its configuration allows calls, or else the reason why not.
    #[must_use]
    pub fn usable(&self) -> Vec<(&'static Provider, Result<(), &'static str>)> {
        self.providers
            .iter()
            .map(|config| {
                let usable = if config.is_not_configured() {
                    Err("its base URL is an example")
                } else if self.requires_gateway_key() && config.key.is_none() {
                    Err("no key")
                } else {
                    Ok(())
                };
                (config.provider, usable)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
