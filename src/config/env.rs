//! Reads the configuration from environment variables and `.env`; the only place that does.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::hints::{self, GATEWAY_KEYS};
use super::traces::{TraceVariables, Traces};
use super::{AccessLog, BaseUrl, Config, LogFormat, Proxy};
use crate::secret::Secret;

/// Everything that is wrong with the configuration, one line each. Contains no value that may be a
/// secret.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<String>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.0 {
            writeln!(f, "  - {line}")?;
        }
        Ok(())
    }
}

/// The file that is read in addition to the environment, from the working directory only.
const FILE: &str = ".env";

/// Reads `.env` if it exists, and the environment, which takes precedence.
///
/// # Errors
/// All mistakes at once.
pub fn from_environment() -> Result<Config, ConfigErrors> {
    read_environment(&|_| true)
}

/// Like [`from_environment`], but reads only `PORT`.
///
/// # Errors
/// Says what is wrong with `PORT`.
pub fn port_from_environment() -> Result<Config, ConfigErrors> {
    read_environment(&|name| name == "PORT")
}

fn read_environment(wanted: &dyn Fn(&str) -> bool) -> Result<Config, ConfigErrors> {
    let mut mistakes = Vec::new();
    let file = match std::fs::read_to_string(FILE) {
        Ok(text) => parse_env_file(&text, &mut mistakes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(_) => {
            mistakes.push(format!("{FILE} cannot be read: it is no text file"));
            Vec::new()
        }
    };
    let (read, known) = read(&|name| {
        if !wanted(name) {
            return None;
        }
        environment(name).or_else(|| {
            let (_, value) = file.iter().rev().find(|(key, _)| key == name)?;
            Some(Ok(value.clone()))
        })
    });
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let of_file = file.iter().map(|(name, _)| name.clone());
    let names: BTreeSet<String> = names.chain(of_file).filter(|name| wanted(name)).collect();
    let hints = hints::of(&known, &names.into_iter().collect::<Vec<_>>());
    mistakes.extend(hints.mistakes);
    match read {
        Ok(mut config) if mistakes.is_empty() => {
            config.hints = hints.warnings;
            Ok(config)
        }
        Ok(_) => Err(ConfigErrors(mistakes)),
        Err(ConfigErrors(more)) => {
            mistakes.extend(more);
            Err(ConfigErrors(mistakes))
        }
    }
}

/// The variables of a file, one per line. A line that cannot be read is reported by its number
/// only, because it may hold a key.
fn parse_env_file(text: &str, mistakes: &mut Vec<String>) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let text = text.trim_start_matches('\u{feff}');
    for (n, line) in text.lines().enumerate() {
        let wrong = |what: &str| format!("{FILE}, line {}, {what}", n + 1);
        if replaces_in_key(line) {
            // The `$` would be expanded, which silently changes the key.
            mistakes.push(wrong("has a $; put the value in single quotes"));
            continue;
        }
        match dotenvy::from_read_iter(line.as_bytes()).next() {
            None => {}
            Some(Ok(pair)) => out.push(pair),
            Some(Err(_)) => mistakes.push(wrong(
                "cannot be read; write NAME=value, with quotes around a value that has spaces",
            )),
        }
    }
    out
}

/// Whether a line sets a key or an address whose value has a `$` outside single quotes.
fn replaces_in_key(line: &str) -> bool {
    let Some((name, value)) = line.split_once('=') else {
        return false;
    };
    let name = name.trim().trim_start_matches("export ").trim();
    let ours = ["_API_KEY", "_API_KEYS", "_BASE_URL", "_PROXY", "_HEADERS"];
    if !ours.iter().any(|end| name.ends_with(end)) {
        return false;
    }
    let (mut quoted, mut escaped) = (false, false);
    for c in value.trim().chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if !quoted => escaped = true,
            '\'' => quoted = !quoted,
            '$' if !quoted => return true,
            _ => {}
        }
    }
    false
}

fn environment(name: &str) -> Option<Result<String, ()>> {
    match std::env::var(name) {
        Ok(value) => Some(Ok(value)),
        Err(std::env::VarError::NotPresent) => None,
        Err(std::env::VarError::NotUnicode(_)) => Some(Err(())),
    }
}

/// Returns a variable's value, `None` if it is not set, or `Err` if it is not valid Unicode.
pub type Lookup<'l> = dyn Fn(&str) -> Option<Result<String, ()>> + 'l;

struct VariableReader<'l> {
    lookup: &'l Lookup<'l>,
    mistakes: Vec<String>,
    /// All names that were looked up.
    known: BTreeSet<String>,
}

impl VariableReader<'_> {
    fn raw(&mut self, name: &str) -> Option<String> {
        self.known.insert(name.to_owned());
        match (self.lookup)(name)? {
            Ok(value) => Some(value),
            Err(()) => {
                self.mistakes.push(format!("{name} is not valid Unicode"));
                None
            }
        }
    }

    /// The trimmed value of a variable; `None` if it is not set or empty.
    fn text(&mut self, name: &str) -> Option<String> {
        let value = self.raw(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    fn number<T: FromStr + PartialOrd + fmt::Display + Copy>(
        &mut self,
        name: &str,
        default: T,
        least: T,
        most: T,
    ) -> T {
        let Some(text) = self.text(name) else {
            return default;
        };
        match text.parse::<T>() {
            Ok(value) if value >= least && value <= most => value,
            _ => {
                // The value is not repeated in the message: it may be a key in the wrong variable.
                self.mistakes.push(format!(
                    "{name} must be a whole number from {least} to {most}"
                ));
                default
            }
        }
    }

    fn switch(&mut self, name: &str, default: bool) -> bool {
        self.switch_or(name, default, "true or false")
    }

    /// `words` lists the allowed values in the error message.
    fn switch_or(&mut self, name: &str, default: bool, words: &str) -> bool {
        let Some(text) = self.text(name) else {
            return default;
        };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "on" => true,
            "false" | "0" | "off" => false,
            _ => {
                self.mistakes.push(format!("{name} must be {words}"));
                default
            }
        }
    }

    fn seconds(&mut self, name: &str, default: Duration, least: u64) -> Duration {
        Duration::from_secs(self.number(name, default.as_secs(), least, 86_400))
    }

    fn seconds_if_set(&mut self, name: &str, least: u64) -> Option<Duration> {
        self.text(name)?;
        Some(self.seconds(name, Duration::ZERO, least))
    }

    fn millis(&mut self, name: &str, default: Duration, least: u64) -> Duration {
        let default = u64::try_from(default.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.number(name, default, least, 3_600_000))
    }

    fn secret(&mut self, name: &str) -> Option<Secret> {
        let value = self.text(name)?;
        if value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Some(Secret::new(value));
        }
        self.mistakes.push(format!(
            "{name} holds characters that no key has (spaces, line ends or other than ASCII)"
        ));
        None
    }
}

/// Reads the configuration from any source of variables.
///
/// # Errors
/// All mistakes at once.
pub fn from_lookup(lookup: &Lookup<'_>) -> Result<Config, ConfigErrors> {
    read(lookup).0
}

/// Reads the configuration, and returns the names of all variables that it looked up.
fn read(lookup: &Lookup<'_>) -> (Result<Config, ConfigErrors>, BTreeSet<String>) {
    let mut read = VariableReader {
        lookup,
        mistakes: Vec::new(),
        known: BTreeSet::new(),
    };
    let mut config = Config::default();
    if let Some(host) = read.text("HOST") {
        if host.contains(['/', ' ']) {
            read.mistakes
                .push("HOST must be a name or an address".to_owned());
        }
        config.host = host;
    }
    config.port = read.number("PORT", config.port, 0, u16::MAX);
    config.http_workers = read.number("HTTP_WORKERS", config.http_workers, 1, 1024);
    config.shutdown_delay = read.seconds("SHUTDOWN_DELAY_SECS", config.shutdown_delay, 0);
    config.shutdown_timeout = read.seconds("SHUTDOWN_TIMEOUT_SECS", config.shutdown_timeout, 0);
    read_timeouts(&mut read, &mut config);
    config.max_retries = read.number("UPSTREAM_MAX_RETRIES", config.max_retries, 0, 10);
    config.retry_base_delay =
        read.millis("UPSTREAM_RETRY_BASE_DELAY_MS", config.retry_base_delay, 0);
    config.retry_percent = read.number(
        "UPSTREAM_RETRY_BUDGET_PERCENT",
        config.retry_percent,
        0,
        1000,
    );
    config.retry_floor = read.number(
        "UPSTREAM_RETRY_BUDGET_PER_SEC",
        config.retry_floor,
        0,
        1_000_000,
    );
    read_breaker(&mut read, &mut config);
    read_log(&mut read, &mut config);
    config.max_in_flight =
        read.number("UPSTREAM_MAX_IN_FLIGHT", config.max_in_flight, 1, 1_000_000);
    config.max_waiting = read.number("UPSTREAM_MAX_WAITING", config.max_waiting, 0, 1_000_000);
    config.wait_timeout = read.millis("UPSTREAM_WAIT_TIMEOUT_MS", config.wait_timeout, 0);
    config.max_body = read.number("MAX_BODY_BYTES", config.max_body, 1024, 1 << 32);
    config.body_memory = read.number("BODY_MEMORY_BYTES", config.body_memory, 1024, 1 << 40);
    if config.body_memory < config.max_body {
        read.mistakes
            .push("BODY_MEMORY_BYTES must be at least MAX_BODY_BYTES".to_owned());
    }
    config.max_answer = read.number("MAX_ANSWER_BYTES", config.max_answer, 1024, 1 << 32);
    config.models_cache = read.seconds("MODELS_CACHE_SECS", config.models_cache, 0);
    config.strict_translation = read.switch("STRICT_TRANSLATION", config.strict_translation);
    config.reasoning_memory = read.number(
        "REASONING_MEMORY_BYTES",
        config.reasoning_memory,
        0,
        1 << 36,
    );
    read_gateway_keys(&mut read, &mut config);
    config.metrics_key = read.secret("METRICS_KEY");
    if let Some(key) = &config.metrics_key
        && config
            .gateway_keys
            .iter()
            .any(|own| bool::from(own.matches(key.expose())))
    {
        read.mistakes.push(
            "METRICS_KEY must not be one of GATEWAY_API_KEYS: it opens /metrics and nothing else"
                .to_owned(),
        );
    }
    config.serve_docs = read.switch("SERVE_DOCS", config.serve_docs);
    for entry in &mut config.providers {
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
    config.cert_file = read.text("SSL_CERT_FILE").map(PathBuf::from);
    config.cert_dir = read.text("SSL_CERT_DIR").map(PathBuf::from);
    read_proxy(&mut read, &mut config);
    let known = std::mem::take(&mut read.known);
    if read.mistakes.is_empty() {
        (Ok(config), known)
    } else {
        (Err(ConfigErrors(read.mistakes)), known)
    }
}

fn read_proxy(read: &mut VariableReader<'_>, config: &mut Config) {
    let except = read.text("NO_PROXY").or_else(|| read.text("no_proxy"));
    for name in ["HTTPS_PROXY", "https_proxy"] {
        if let Some(url) = read.text(name) {
            match Proxy::parse(&url, except.as_deref().unwrap_or_default()) {
                Ok(proxy) => config.proxy = Some(proxy),
                Err(wrong) => read.mistakes.push(format!("{name} {wrong}")),
            }
            break;
        }
    }
}

fn read_timeouts(read: &mut VariableReader<'_>, config: &mut Config) {
    config.head_timeout = read.seconds("HEAD_TIMEOUT_SECS", config.head_timeout, 1);
    config.body_timeout = read.seconds("BODY_TIMEOUT_SECS", config.body_timeout, 1);
    config.body_rate = read.number("BODY_MIN_BYTES_PER_SEC", config.body_rate, 0, 1 << 32);
    config.write_timeout = read.seconds("WRITE_TIMEOUT_SECS", config.write_timeout, 1);
    config.connection_idle_timeout = read.seconds(
        "CONNECTION_IDLE_TIMEOUT_SECS",
        config.connection_idle_timeout,
        1,
    );
    config.keepalive = read.seconds("KEEPALIVE_INTERVAL_SECS", config.keepalive, 0);
    config.connect_timeout = read.seconds("CONNECT_TIMEOUT_SECS", config.connect_timeout, 1);
    config.request_timeout = read.seconds("REQUEST_TIMEOUT_SECS", config.request_timeout, 1);
    config.first_event_timeout = read.seconds_if_set("FIRST_EVENT_TIMEOUT_SECS", 1);
    config.idle_timeout = read.seconds_if_set("IDLE_TIMEOUT_SECS", 1);
}

fn read_breaker(read: &mut VariableReader<'_>, config: &mut Config) {
    let breaker = &mut config.breaker;
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

fn read_log(read: &mut VariableReader<'_>, config: &mut Config) {
    config.access_log = match read.text("ACCESS_LOG").as_deref() {
        Some(word) if word.eq_ignore_ascii_case("all") => AccessLog::All,
        _ if read.switch_or("ACCESS_LOG", true, "true, false or all") => AccessLog::Calls,
        _ => AccessLog::Off,
    };
    config.log_filter = read.text("RUST_LOG");
    if let Some(word) = config.log_filter.as_deref().and_then(invalid_level) {
        read.mistakes.push(format!(
            "RUST_LOG: '{word}' is no level; use error, warn, info, debug, trace or off"
        ));
    }
    match read.text("LOG_FORMAT").as_deref() {
        None | Some("text") => {}
        Some("json") => config.log_format = LogFormat::Json,
        Some(_) => read
            .mistakes
            .push("LOG_FORMAT must be text or json".to_owned()),
    }
    let texts = TraceVariables {
        full: read.text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        base: read.text("OTEL_EXPORTER_OTLP_ENDPOINT"),
        headers: read.text("OTEL_EXPORTER_OTLP_HEADERS"),
        service: read.text("OTEL_SERVICE_NAME"),
        ratio: read.text("OTEL_TRACES_SAMPLER_ARG"),
    };
    match Traces::read(&texts) {
        Ok(traces) => config.traces = traces,
        Err(wrong) => read.mistakes.push(wrong),
    }
}

/// The first word of a log filter that is not a level where one is required. A lone word may also
/// be a module of this crate or a path with `::`. Any other word would silence the log.
fn invalid_level(filter: &str) -> Option<&str> {
    let is_level = |word: &str| word.parse::<log::LevelFilter>().is_ok();
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

fn read_gateway_keys(read: &mut VariableReader<'_>, config: &mut Config) {
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
    config.gateway_keys = keys.into_iter().map(Secret::new).collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::PROVIDERS;

    fn read(parse_env_file: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
        from_lookup(&|name| {
            parse_env_file
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| Ok((*value).to_owned()))
        })
    }

    #[test]
    fn the_defaults_are_the_readmes() {
        let config = read(&[]).unwrap();
        assert_eq!((config.host.as_str(), config.port), ("0.0.0.0", 3000));
        assert_eq!(config.request_timeout, Duration::from_secs(120));
        assert_eq!(config.max_retries, 2);
        assert_eq!(config.retry_base_delay, Duration::from_millis(150));
        assert!(!config.requires_gateway_key());
        for (entry, row) in config.providers.iter().zip(&PROVIDERS) {
            assert!(
                entry.base.to_string().starts_with(row.base_url),
                "{}",
                row.name
            );
            assert!(entry.key.is_none());
        }
        assert_eq!(config.max_body, 52_428_800);
    }

    #[test]
    fn every_variable_is_read() {
        let mut parse_env_file = vec![
            ("HOST", "127.0.0.1"),
            ("PORT", "8080"),
            ("REQUEST_TIMEOUT_SECS", "9"),
            ("UPSTREAM_MAX_RETRIES", "0"),
            ("UPSTREAM_RETRY_BASE_DELAY_MS", "7"),
            (
                "GATEWAY_API_KEYS",
                " first-key-0123456789 , ,second-key-0123456789,",
            ),
        ];
        for provider in &PROVIDERS {
            parse_env_file.push((provider.base_url_env, "http://127.0.0.1:9/base/"));
            parse_env_file.push((provider.key_env, "provider-key"));
        }
        let config = read(&parse_env_file).unwrap();
        assert_eq!((config.host.as_str(), config.port), ("127.0.0.1", 8080));
        assert_eq!(config.request_timeout, Duration::from_secs(9));
        assert_eq!(config.max_retries, 0);
        assert_eq!(config.retry_base_delay, Duration::from_millis(7));
        let keys: Vec<_> = config.gateway_keys.iter().map(Secret::expose).collect();
        assert_eq!(keys, ["first-key-0123456789", "second-key-0123456789"]);
        for entry in &config.providers {
            let expected = format!("http://127.0.0.1:9/base{}", entry.provider.version);
            assert_eq!(entry.base.to_string(), expected);
            assert_eq!(entry.key.as_ref().map(Secret::expose), Some("provider-key"));
        }
    }

    #[test]
    fn all_mistakes_are_said_at_once_and_no_secret_is() {
        let Err(ConfigErrors(lines)) = read(&[
            ("PORT", "abc"),
            ("REQUEST_TIMEOUT_SECS", "0"),
            ("OPENAI_BASE_URL", "nowhere"),
            ("GROQ_BASE_URL", "https://me:hunter2@groq.example"),
            ("MISTRAL_API_KEY", "hunter2 with a space"),
            ("GATEWAY_API_KEYS", ","),
            ("HTTPS_PROXY", "socks5://me:hunter2@x"),
        ]) else {
            panic!("it was accepted");
        };
        let text = lines.join("\n");
        for name in [
            "PORT",
            "REQUEST_TIMEOUT_SECS",
            "OPENAI_BASE_URL",
            "GROQ_BASE_URL",
            "MISTRAL_API_KEY",
            "GATEWAY_API_KEYS",
            "HTTPS_PROXY",
        ] {
            assert_eq!(
                lines.iter().filter(|line| line.starts_with(name)).count(),
                1,
                "{name}"
            );
        }
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_file_is_read_line_by_line_and_its_secrets_are_not_repeated() {
        let mut mistakes = Vec::new();
        let text = "\u{feff}# a comment with $\r\nexport A=1\r\n\nB='x $y # z'\nC=\"two words\" # c\nD hunter2\nE_API_KEY=hunter2$rest\nF=\nexport G_API_KEYS='hunter2'$H\nI_API_KEY='a$b'\nJ=1 # $5\n";
        let read = parse_env_file(text, &mut mistakes);
        let read: Vec<_> = read.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            read,
            [
                ("A", "1"),
                ("B", "x $y # z"),
                ("C", "two words"),
                ("F", ""),
                ("I_API_KEY", "a$b"),
                ("J", "1"),
            ]
        );
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        assert!(
            mistakes[0].starts_with(".env, line 6, cannot be read"),
            "{mistakes:?}"
        );
        assert!(
            mistakes[1].starts_with(".env, line 7, has a $"),
            "{mistakes:?}"
        );
        assert!(
            mistakes[2].starts_with(".env, line 9, has a $"),
            "{mistakes:?}"
        );
        assert!(!mistakes.join("").contains("hunter2"));
    }

    #[test]
    fn keys_that_yield_none_do_not_open_the_server() {
        for value in ["", " ", ",", " , ,"] {
            assert!(read(&[("GATEWAY_API_KEYS", value)]).is_err(), "{value:?}");
        }
    }

    #[test]
    fn provider_keys_without_gateway_keys_are_named_as_unused() {
        let config = read(&[("OPENAI_API_KEY", "sk-x"), ("GROQ_API_KEY", "gsk-x")]).unwrap();
        let warnings = config.warnings().join("\n");
        assert!(
            warnings.contains("OPENAI_API_KEY, GROQ_API_KEY set but not used"),
            "{warnings}"
        );
        assert!(!warnings.contains("sk-x"), "{warnings}");
    }
}
