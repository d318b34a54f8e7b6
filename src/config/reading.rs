//! Reads the configuration from its variables, a function for each group.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::hints::GATEWAY_KEYS;
use super::traces::{TraceVariables, Traces};
use super::variables::{ConfigErrors, Lookup, VariableReader};
use super::{
    AccessConfig, AccessLog, BaseUrl, BreakerConfig, CallConfig, Config, LogConfig, LogFormat,
    ModelsConfig, ProviderConfig, Proxy, RetryConfig, ServerConfig, TlsConfig,
};
use crate::secret::Secret;

/// Reads the configuration, and returns the names of all variables that it looked up.
pub(super) fn read(lookup: &Lookup<'_>) -> (Result<Config, ConfigErrors>, BTreeSet<String>) {
    let mut read = VariableReader {
        lookup,
        mistakes: Vec::new(),
        known: BTreeSet::new(),
    };
    let mut config = Config::default();
    read_server(&mut read, &mut config.server);
    read_access(&mut read, &mut config.access);
    read_calls(&mut read, &mut config.calls);
    read_retries(&mut read, &mut config.retries);
    read_breaker(&mut read, &mut config.breaker);
    read_models(&mut read, &mut config.models);
    read_log(&mut read, &mut config.log);
    read_traces(&mut read, &mut config.traces);
    config.strict_translation = read.switch("STRICT_TRANSLATION", config.strict_translation);
    config.reasoning_memory = read.number(
        "REASONING_MEMORY_BYTES",
        config.reasoning_memory,
        0,
        1 << 36,
    );
    for entry in &mut config.providers {
        read_provider(&mut read, entry);
    }
    read_tls(&mut read, &mut config.tls);
    read_proxy(&mut read, &mut config.proxy);
    let known = std::mem::take(&mut read.known);
    if read.mistakes.is_empty() {
        (Ok(config), known)
    } else {
        (Err(ConfigErrors(read.mistakes)), known)
    }
}

fn read_server(read: &mut VariableReader<'_>, server: &mut ServerConfig) {
    if let Some(host) = read.text("HOST") {
        if host.contains(['/', ' ']) {
            read.mistakes
                .push("HOST must be a name or an address".to_owned());
        }
        server.host = host;
    }
    server.port = read.number("PORT", server.port, 0, u16::MAX);
    server.http_workers = read.number("HTTP_WORKERS", server.http_workers, 1, 1024);
    server.serve_docs = read.switch("SERVE_DOCS", server.serve_docs);
    server.shutdown_delay = read.seconds("SHUTDOWN_DELAY_SECS", server.shutdown_delay, 0);
    server.shutdown_timeout = read.seconds("SHUTDOWN_TIMEOUT_SECS", server.shutdown_timeout, 0);
    server.head_timeout = read.seconds("HEAD_TIMEOUT_SECS", server.head_timeout, 1);
    server.body_timeout = read.seconds("BODY_TIMEOUT_SECS", server.body_timeout, 1);
    server.body_rate = read.number("BODY_MIN_BYTES_PER_SEC", server.body_rate, 0, 1 << 32);
    server.write_timeout = read.seconds("WRITE_TIMEOUT_SECS", server.write_timeout, 1);
    server.connection_idle_timeout = read.seconds(
        "CONNECTION_IDLE_TIMEOUT_SECS",
        server.connection_idle_timeout,
        1,
    );
    server.keepalive = read.seconds("KEEPALIVE_INTERVAL_SECS", server.keepalive, 0);
    server.max_body = read.number("MAX_BODY_BYTES", server.max_body, 1024, 1 << 32);
    server.body_memory = read.number("BODY_MEMORY_BYTES", server.body_memory, 1024, 1 << 40);
    if server.body_memory < server.max_body {
        read.mistakes
            .push("BODY_MEMORY_BYTES must be at least MAX_BODY_BYTES".to_owned());
    }
}

fn read_access(read: &mut VariableReader<'_>, access: &mut AccessConfig) {
    read_gateway_keys(read, access);
    access.metrics_key = read.secret("METRICS_KEY");
    if let Some(key) = &access.metrics_key
        && access
            .gateway_keys
            .iter()
            .any(|own| bool::from(own.matches(key.expose())))
    {
        read.mistakes.push(
            "METRICS_KEY must not be one of GATEWAY_API_KEYS: it opens /metrics and nothing else"
                .to_owned(),
        );
    }
}

fn read_gateway_keys(read: &mut VariableReader<'_>, access: &mut AccessConfig) {
    const NAME: &str = GATEWAY_KEYS;
    let Some(list) = read.raw(NAME) else {
        return;
    };
    let keys: Vec<&str> = list
        .split(',')
        .map(str::trim)
        .filter(|key| !key.is_empty())
        .collect();
    if keys.is_empty() {
        // A typo must not let everyone in.
        read.mistakes.push(format!(
            "{NAME} is set but holds no key; give it one, or remove it so that callers bring their provider's key"
        ));
    }
    if !keys
        .iter()
        .all(|key| key.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        read.mistakes.push(format!(
            "{NAME} holds characters that no key has (spaces inside a key, or other than ASCII)"
        ));
    }
    access.gateway_keys = keys.into_iter().map(Secret::new).collect();
}

fn read_calls(read: &mut VariableReader<'_>, calls: &mut CallConfig) {
    calls.connect_timeout = read.seconds("CONNECT_TIMEOUT_SECS", calls.connect_timeout, 1);
    calls.request_timeout = read.seconds("REQUEST_TIMEOUT_SECS", calls.request_timeout, 1);
    calls.first_event_timeout = read.seconds_if_set("FIRST_EVENT_TIMEOUT_SECS", 1);
    calls.idle_timeout = read.seconds_if_set("IDLE_TIMEOUT_SECS", 1);
    calls.max_in_flight = read.number("UPSTREAM_MAX_IN_FLIGHT", calls.max_in_flight, 1, 1_000_000);
    calls.max_waiting = read.number("UPSTREAM_MAX_WAITING", calls.max_waiting, 0, 1_000_000);
    calls.wait_timeout = read.millis("UPSTREAM_WAIT_TIMEOUT_MS", calls.wait_timeout, 0);
    calls.max_answer = read.number("MAX_ANSWER_BYTES", calls.max_answer, 1024, 1 << 32);
}

fn read_retries(read: &mut VariableReader<'_>, retries: &mut RetryConfig) {
    retries.max_retries = read.number("UPSTREAM_MAX_RETRIES", retries.max_retries, 0, 10);
    retries.base_delay = read.millis("UPSTREAM_RETRY_BASE_DELAY_MS", retries.base_delay, 0);
    retries.budget_percent = read.number(
        "UPSTREAM_RETRY_BUDGET_PERCENT",
        retries.budget_percent,
        0,
        1000,
    );
    retries.budget_per_sec = read.number(
        "UPSTREAM_RETRY_BUDGET_PER_SEC",
        retries.budget_per_sec,
        0,
        1_000_000,
    );
}

fn read_breaker(read: &mut VariableReader<'_>, breaker: &mut BreakerConfig) {
    breaker.error_percent = read.number(
        "UPSTREAM_BREAKER_ERROR_PERCENT",
        breaker.error_percent,
        0,
        100,
    );
    breaker.min_attempts = read.number(
        "UPSTREAM_BREAKER_MIN_ATTEMPTS",
        breaker.min_attempts,
        1,
        1_000_000,
    );
    breaker.window = read.seconds("UPSTREAM_BREAKER_WINDOW_SECS", breaker.window, 1);
    breaker.open = read.millis("UPSTREAM_BREAKER_OPEN_MS", breaker.open, 1);
}

fn read_models(read: &mut VariableReader<'_>, models: &mut ModelsConfig) {
    models.cache = read.seconds("MODELS_CACHE_SECS", models.cache, 0);
}

fn read_log(read: &mut VariableReader<'_>, log: &mut LogConfig) {
    log.requests = match read.text("ACCESS_LOG").as_deref() {
        Some(word) if word.eq_ignore_ascii_case("all") => AccessLog::All,
        _ if read.switch_or("ACCESS_LOG", true, "true, false or all") => AccessLog::Calls,
        _ => AccessLog::Off,
    };
    log.filter = read.text("RUST_LOG");
    if let Some(word) = log.filter.as_deref().and_then(invalid_level) {
        read.mistakes.push(format!(
            "RUST_LOG: '{word}' is no level; use error, warn, info, debug, trace or off"
        ));
    }
    match read.text("LOG_FORMAT").as_deref() {
        None | Some("text") => {}
        Some("json") => log.format = LogFormat::Json,
        Some(_) => read
            .mistakes
            .push("LOG_FORMAT must be text or json".to_owned()),
    }
}

/// The first word of a log filter that is not a level where one is required. A lone word may also
/// be a module of this crate or a path with `::`. Any other word would silence the log.
fn invalid_level(filter: &str) -> Option<&str> {
    let is_level = |word: &str| word.parse::<::log::LevelFilter>().is_ok();
    let filter = filter.split('/').next().unwrap_or_default();
    filter.split(',').map(str::trim).find_map(|directive| {
        let (target, level) = match directive.split_once('=') {
            Some((target, level)) => (Some(target), level),
            None => (None, directive),
        };
        let is_part = target.is_none() && level.starts_with(env!("CARGO_CRATE_NAME"));
        let other = target.is_none() && level.contains("::");
        (!level.is_empty() && !is_level(level) && !is_part && !other).then_some(level)
    })
}

fn read_traces(read: &mut VariableReader<'_>, traces: &mut Option<Traces>) {
    let texts = TraceVariables {
        full: read.text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        base: read.text("OTEL_EXPORTER_OTLP_ENDPOINT"),
        headers: read.text("OTEL_EXPORTER_OTLP_HEADERS"),
        service: read.text("OTEL_SERVICE_NAME"),
        ratio: read.text("OTEL_TRACES_SAMPLER_ARG"),
    };
    match Traces::read(&texts) {
        Ok(read) => *traces = read,
        Err(wrong) => read.mistakes.push(wrong),
    }
}

fn read_provider(read: &mut VariableReader<'_>, entry: &mut ProviderConfig) {
    let provider = entry.provider;
    if let Some(text) = read.text(provider.base_url_env) {
        match BaseUrl::parse(&text, provider.version) {
            Ok(base) => {
                entry.base_is_default = base == entry.base;
                entry.base = base;
            }
            Err(wrong) => read
                .mistakes
                .push(format!("{} {wrong}", provider.base_url_env)),
        }
    }
    entry.key = read.secret(provider.key_env);
}

fn read_tls(read: &mut VariableReader<'_>, tls: &mut TlsConfig) {
    tls.cert_file = read.text("SSL_CERT_FILE").map(PathBuf::from);
    tls.cert_dir = read.text("SSL_CERT_DIR").map(PathBuf::from);
}

fn read_proxy(read: &mut VariableReader<'_>, proxy: &mut Option<Proxy>) {
    let except = read.text("NO_PROXY").or_else(|| read.text("no_proxy"));
    for name in ["HTTPS_PROXY", "https_proxy"] {
        if let Some(url) = read.text(name) {
            match Proxy::parse(&url, except.as_deref().unwrap_or_default()) {
                Ok(read) => *proxy = Some(read),
                Err(wrong) => read.mistakes.push(format!("{name} {wrong}")),
            }
            break;
        }
    }
}
