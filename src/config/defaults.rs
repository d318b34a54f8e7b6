//! The default of every setting. `docs/configuration.md` and `.env.example` show them, and a test
//! compares.

use std::time::Duration;

use super::{
    AccessConfig, AccessLog, BaseUrl, BreakerConfig, CallConfig, Config, LogConfig, LogFormat,
    ModelsConfig, ProviderConfig, RetryConfig, ServerConfig, TlsConfig,
};
use crate::providers::PROVIDERS;

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerConfig {
                host: "0.0.0.0".to_owned(),
                port: 3000,
                // Half the processors: one thread handles more per wake-up than two do, and requests
                // mostly wait for providers.
                http_workers: std::thread::available_parallelism()
                    .map_or(1, |cores| cores.get().div_ceil(2)),
                serve_docs: true,
                max_body: 50 << 20,
                body_memory: 512 << 20,
                head_timeout: Duration::from_secs(5),
                body_timeout: Duration::from_secs(30),
                body_rate: 10 << 10,
                write_timeout: Duration::from_secs(60),
                connection_idle_timeout: Duration::from_secs(75),
                keepalive: Duration::from_secs(15),
                shutdown_delay: Duration::ZERO,
                shutdown_timeout: Duration::from_secs(30),
            },
            access: AccessConfig {
                gateway_keys: Vec::new(),
                metrics_key: None,
            },
            calls: CallConfig {
                request_timeout: Duration::from_secs(120),
                first_event_timeout: None,
                idle_timeout: None,
                connect_timeout: Duration::from_secs(5),
                max_answer: 64 << 20,
                max_in_flight: 4096,
                max_waiting: 1024,
                wait_timeout: Duration::from_secs(1),
            },
            retries: RetryConfig {
                max_retries: 2,
                base_delay: Duration::from_millis(150),
                budget_percent: 20,
                budget_per_sec: 10,
            },
            models: ModelsConfig {
                cache: Duration::from_secs(60),
                timeout: Duration::from_secs(5),
            },
            log: LogConfig {
                filter: None,
                requests: AccessLog::Calls,
                format: LogFormat::Text,
            },
            tls: TlsConfig {
                cert_file: None,
                cert_dir: None,
            },
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
            breaker: BreakerConfig {
                error_percent: 50,
                min_attempts: 20,
                window: Duration::from_secs(10),
                open: Duration::from_secs(1),
            },
            traces: None,
            strict_translation: false,
            reasoning_memory: 32 << 20,
            proxy: None,
            demo: false,
            hints: Vec::new(),
        }
    }
}
