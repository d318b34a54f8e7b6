//! What the gateway is told by its environment, checked as a whole before anything starts.

mod base;
mod env;
mod hints;
mod proxy;
mod traces;

use std::path::PathBuf;
use std::time::Duration;

pub use base::BaseUrl;
pub use env::{ConfigErrors, from_environment, from_lookup, port_from_environment};
pub use proxy::Proxy;
pub use traces::Traces;

use crate::providers::{PROVIDERS, Provider};
use crate::secret::Secret;

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address to listen on, a name or an IP address.
    pub host: String,
    /// The port to listen on; 0 takes a free one.
    pub port: u16,
    /// Threads that serve requests.
    pub http_workers: usize,
    /// Keys that callers must have. Empty: callers bring the provider's own.
    pub gateway_keys: Vec<Secret>,
    /// How each provider is reached, in the order of the table.
    pub providers: Vec<ProviderConfig>,
    /// The key with which the counters can be read, and nothing else.
    pub metrics_key: Option<Secret>,
    /// Whether the page, the OpenAPI document and Swagger UI are served.
    pub serve_docs: bool,
    /// The largest request body, in bytes.
    pub max_body: usize,
    /// What the bodies of all requests under way may take, in bytes.
    pub body_memory: usize,
    /// The largest whole answer of a provider, in bytes.
    pub max_answer: usize,
    /// The longest the head of a request may take to arrive.
    pub head_timeout: Duration,
    /// The longest a request body may take to arrive, unless it keeps `body_rate`.
    pub body_timeout: Duration,
    /// Bytes per second, over all the time it took so far, with which a body may take longer; 0:
    /// none may.
    pub body_rate: u64,
    /// The longest a client may take no byte of its answer.
    pub write_timeout: Duration,
    /// How long a client's connection may rest between requests: longer than load balancers let
    /// theirs.
    pub rest_timeout: Duration,
    /// How often a stream that is silent gets a comment, so that nothing between takes it for
    /// dead; zero: never.
    pub keepalive: Duration,
    /// From the whole request to the whole answer, over all attempts.
    pub request_timeout: Duration,
    /// From the whole request to the first event of a stream, over all attempts; `None`: as
    /// `request_timeout`.
    pub first_event_timeout: Option<Duration>,
    /// The longest silence within a stream; `None`: as `request_timeout`.
    pub idle_timeout: Option<Duration>,
    /// The longest it may take to connect, TLS included.
    pub connect_timeout: Duration,
    /// Attempts after the first.
    pub max_retries: u32,
    /// The pause before the first retry; it doubles with each.
    pub retry_base_delay: Duration,
    /// Retries that a provider's requests earn, in percent of them.
    pub retry_percent: u32,
    /// Retries per second that a provider is given whatever its requests earned.
    pub retry_floor: u32,
    /// When a provider is left alone.
    pub breaker: BreakerConfig,
    /// Calls under way to one provider.
    pub max_in_flight: usize,
    /// Calls that wait for one of those to end.
    pub max_waiting: usize,
    /// The longest such a wait.
    pub wait_timeout: Duration,
    /// How long a list of models is kept.
    pub models_cache: Duration,
    /// The longest one provider's list of models may take.
    pub models_timeout: Duration,
    /// How long the gateway goes on as ever after a request to stop, while `/readyz` says that it
    /// stops.
    pub shutdown_delay: Duration,
    /// How long requests under way may go on after that.
    pub shutdown_timeout: Duration,
    /// What is logged, in the words of `env_logger`; `None`: `info`.
    pub log_filter: Option<String>,
    /// Which requests are logged.
    pub access_log: AccessLog,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Where traces go; `None`: nowhere.
    pub traces: Option<Traces>,
    /// Whether a request is refused where a translation would leave out or change a parameter.
    pub strict_translation: bool,
    /// What may be kept of reasoning for clients that do not keep it, in bytes; 0 for nothing.
    pub reasoning_memory: u64,
    /// PEM file, and directory of such files, with the root certificates to trust instead of the
    /// system's.
    pub cert_file: Option<PathBuf>,
    /// See `cert_file`.
    pub cert_dir: Option<PathBuf>,
    /// The proxy for `https:` base URLs.
    pub proxy: Option<Proxy>,
    /// Whether the providers are the scripted ones of the demo, which take any key.
    pub demo: bool,
    /// Variables that are set and look as if they were to be read, one sentence each.
    pub hints: Vec<String>,
}

/// When a provider is left alone: an error rate over a window, then one call at a time to see
/// whether it is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Failed attempts, in percent of those that ended; 0: never.
    pub error_percent: u32,
    /// Attempts in the window below which no rate is taken.
    pub min_attempts: u32,
    /// The window.
    pub window: Duration,
    /// How long the provider is left alone before each call that tries it.
    pub open: Duration,
}

/// Which requests leave a line in the log, and a span where traces are collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    /// None leaves a line; all that are no probes leave a span.
    Off,
    /// All but those that ask how the gateway is doing, of which a monitor makes thousands a day.
    Calls,
    /// All.
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
    /// The row of the table.
    pub provider: &'static Provider,
    /// Where it is.
    pub base: BaseUrl,
    /// Whether the base URL is still the table's.
    pub base_is_default: bool,
    /// Its key, for callers with a gateway key.
    pub key: Option<Secret>,
}

impl ProviderConfig {
    /// Whether it is reached at the vendor's own address, and not at a server that stands in for it.
    #[must_use]
    pub fn is_vendors(&self) -> bool {
        let own = BaseUrl::parse(self.provider.base_url, self.provider.version);
        self.base_is_default || own.is_ok_and(|own| own.host == self.base.host)
    }

    /// Whether the base URL is an example that was not replaced.
    #[must_use]
    pub fn is_not_configured(&self) -> bool {
        self.provider.base_is_example && self.base_is_default
    }
}

impl Config {
    /// Whether callers need a gateway key.
    #[must_use]
    pub fn keyed(&self) -> bool {
        !self.gateway_keys.is_empty()
    }

    /// How `provider` is reached.
    #[must_use]
    pub fn of(&self, provider: &Provider) -> &ProviderConfig {
        self.providers
            .iter()
            .find(|config| config.provider == provider)
            .expect("there is one for each row of the table")
    }

    /// Everything that must never be seen, as long as it is long enough to be told from a word: a
    /// header for the collector may be a tenant's number.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let keys = self.providers.iter().filter_map(|entry| entry.key.as_ref());
        let proxy = self
            .proxy
            .as_ref()
            .and_then(|proxy| proxy.credential.as_ref());
        let traces = self.traces.iter().flat_map(|traces| &traces.headers);
        self.gateway_keys
            .iter()
            .chain(&self.metrics_key)
            .chain(keys)
            .chain(proxy)
            .chain(traces.map(|(_, value)| value))
            // Behind a scheme, as in `Bearer`, the token alone is secret as well.
            .flat_map(|secret| [Some(secret.clone()), secret.token()])
            .flatten()
            .filter(Secret::is_telling)
            .collect()
    }

    /// From the whole request to the first event of a stream.
    #[must_use]
    pub fn first_event_timeout(&self) -> Duration {
        self.first_event_timeout.unwrap_or(self.request_timeout)
    }

    /// The longest silence within a stream.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        self.idle_timeout.unwrap_or(self.request_timeout)
    }

    /// What an operator should know about the configuration, one sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut out = self.hints.clone();
        if !self.keyed() {
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
        if self.gateway_keys.iter().any(|key| key.expose().len() < 16) {
            out.push("a key in GATEWAY_API_KEYS is shorter than 16 characters".to_owned());
        }
        let mut keys: Vec<&str> = self.gateway_keys.iter().map(Secret::expose).collect();
        keys.sort_unstable();
        if keys.windows(2).any(|pair| pair.first() == pair.last()) {
            out.push("GATEWAY_API_KEYS holds the same key twice".to_owned());
        }
        for config in &self.providers {
            let Provider {
                name, base_url_env, ..
            } = config.provider;
            if config.key.is_some() && self.keyed() && config.is_not_configured() {
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

    /// Providers that a call can succeed with as far as the configuration tells, and why not the
    /// others.
    #[must_use]
    pub fn usable(&self) -> Vec<(&'static Provider, Result<(), &'static str>)> {
        self.providers
            .iter()
            .map(|config| {
                let usable = if config.is_not_configured() {
                    Err("its base URL is an example")
                } else if self.keyed() && config.key.is_none() {
                    Err("no key")
                } else {
                    Ok(())
                };
                (config.provider, usable)
            })
            .collect()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: "0.0.0.0".to_owned(),
            port: 3000,
            // One thread serves more at each waking than two do, and a provider is waited for most of
            // the time.
            http_workers: std::thread::available_parallelism()
                .map_or(1, |cores| cores.get().div_ceil(2)),
            gateway_keys: Vec::new(),
            providers: PROVIDERS
                .iter()
                .map(|provider| ProviderConfig {
                    provider,
                    base: BaseUrl::parse(provider.base_url, provider.version)
                        .expect("the table's own URLs are tested"),
                    base_is_default: true,
                    key: None,
                })
                .collect(),
            metrics_key: None,
            serve_docs: true,
            max_body: 50 << 20,
            body_memory: 512 << 20,
            max_answer: 64 << 20,
            head_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(30),
            body_rate: 10 << 10,
            write_timeout: Duration::from_secs(60),
            rest_timeout: Duration::from_secs(75),
            keepalive: Duration::from_secs(15),
            request_timeout: Duration::from_secs(120),
            first_event_timeout: None,
            idle_timeout: None,
            connect_timeout: Duration::from_secs(5),
            max_retries: 2,
            retry_base_delay: Duration::from_millis(150),
            retry_percent: 20,
            retry_floor: 10,
            breaker: BreakerConfig {
                error_percent: 50,
                min_attempts: 20,
                window: Duration::from_secs(10),
                open: Duration::from_secs(1),
            },
            max_in_flight: 4096,
            max_waiting: 1024,
            wait_timeout: Duration::from_secs(1),
            models_cache: Duration::from_secs(60),
            models_timeout: Duration::from_secs(5),
            shutdown_delay: Duration::ZERO,
            shutdown_timeout: Duration::from_secs(30),
            log_filter: None,
            access_log: AccessLog::Calls,
            log_format: LogFormat::Text,
            traces: None,
            strict_translation: false,
            reasoning_memory: 32 << 20,
            cert_file: None,
            cert_dir: None,
            proxy: None,
            demo: false,
            hints: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
