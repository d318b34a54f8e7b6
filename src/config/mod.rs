//! What the gateway is told by its environment, checked as a whole before anything starts.

mod base;
mod env;
mod proxy;

use std::time::Duration;

pub use base::BaseUrl;
pub use env::{Mistakes, from_environment, from_lookup, port_from_environment};
pub use proxy::Proxy;

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
    /// The largest request body, in bytes.
    pub max_body: usize,
    /// The largest whole answer of a provider, in bytes.
    pub max_answer: usize,
    /// The longest a request body may take to arrive.
    pub body_timeout: Duration,
    /// From arrival to a whole answer or to the first event of a stream, over all attempts; then
    /// the longest silence within a stream.
    pub request_timeout: Duration,
    /// The longest it may take to connect, TLS included.
    pub connect_timeout: Duration,
    /// Attempts after the first.
    pub max_retries: u32,
    /// The pause before the first retry; it doubles with each.
    pub retry_base_delay: Duration,
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
    /// How long requests under way may go on after a request to stop.
    pub shutdown_timeout: Duration,
    /// Whether a request is refused where a translation would leave out or change a parameter.
    pub strict_translation: bool,
    /// What may be kept of reasoning for clients that do not keep it, in bytes; 0 for nothing.
    pub reasoning_memory: u64,
    /// The proxy for `https:` base URLs.
    pub proxy: Option<Proxy>,
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
    /// Whether the base URL is an example that was not replaced.
    #[must_use]
    pub fn is_unplaced(&self) -> bool {
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

    /// What an operator should know about the configuration, one sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut out = Vec::new();
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
        for config in &self.providers {
            let Provider {
                name, base_url_env, ..
            } = config.provider;
            if config.key.is_some() && self.keyed() && config.is_unplaced() {
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
                let usable = if config.is_unplaced() {
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
            http_workers: std::thread::available_parallelism().map_or(2, usize::from),
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
            max_body: 50 << 20,
            max_answer: 64 << 20,
            body_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(120),
            connect_timeout: Duration::from_secs(5),
            max_retries: 2,
            retry_base_delay: Duration::from_millis(150),
            max_in_flight: 1024,
            max_waiting: 1024,
            wait_timeout: Duration::from_secs(1),
            models_cache: Duration::from_secs(60),
            models_timeout: Duration::from_secs(5),
            shutdown_timeout: Duration::from_secs(30),
            strict_translation: false,
            reasoning_memory: 32 << 20,
            proxy: None,
        }
    }
}
