//! Each numeric, boolean or enumerated variable sets its own field and no other.

use crate::config::AccessLog;
use std::time::Duration;

use super::{Config, LogFormat, from_lookup};

const EXAMPLE: &str = include_str!("../../.env.example");
const PAGE: &str = include_str!("../../docs/configuration.md");

/// The other variables about traces are only read if an endpoint is set.
const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");

/// One variable and a value to try.
struct VariableRow {
    name: &'static str,
    /// The default as in `.env.example`; empty if the default is not a fixed value.
    default: &'static str,
    other: &'static str,
    /// Sets the field to the value that `other` stands for.
    set: fn(&mut Config),
}

macro_rules! rows {
    ($($name:literal, $default:literal, $other:literal => $($field:ident).+ = $value:expr;)+) => {
        vec![$(VariableRow {
            name: $name,
            default: $default,
            other: $other,
            set: |config| {
                config.$($field).+ = $value;
            },
        }),+]
    };
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn rows() -> Vec<VariableRow> {
    let mut rows = rows! {
        "PORT", "3000", "8101" => server.port = 8101;
        "HTTP_WORKERS", "", "102" => server.http_workers = 102;
        "HEAD_TIMEOUT_SECS", "5", "103" => server.head_timeout = secs(103);
        "BODY_TIMEOUT_SECS", "30", "104" => server.body_timeout = secs(104);
        "BODY_MIN_BYTES_PER_SEC", "10240", "105" => server.body_rate = 105;
        "WRITE_TIMEOUT_SECS", "60", "106" => server.write_timeout = secs(106);
        "CONNECTION_IDLE_TIMEOUT_SECS", "75", "131" => server.connection_idle_timeout = secs(131);
        "KEEPALIVE_INTERVAL_SECS", "15", "107" => server.keepalive = secs(107);
        "MAX_BODY_BYTES", "52428800", "1108" => server.max_body = 1108;
        "BODY_MEMORY_BYTES", "536870912", "536870913" => server.body_memory = 536_870_913;
        "SERVE_DOCS", "true", "false" => server.serve_docs = false;
        "SHUTDOWN_DELAY_SECS", "0", "109" => server.shutdown_delay = secs(109);
        "SHUTDOWN_TIMEOUT_SECS", "30", "110" => server.shutdown_timeout = secs(110);
        "LOG_FORMAT", "text", "json" => log.format = LogFormat::Json;
        "ACCESS_LOG", "true", "false" => log.requests = AccessLog::Off;
        "REQUEST_TIMEOUT_SECS", "120", "112" => calls.request_timeout = secs(112);
        "FIRST_EVENT_TIMEOUT_SECS", "", "113" => calls.first_event_timeout = Some(secs(113));
        "IDLE_TIMEOUT_SECS", "", "114" => calls.idle_timeout = Some(secs(114));
        "CONNECT_TIMEOUT_SECS", "5", "115" => calls.connect_timeout = secs(115);
        "UPSTREAM_MAX_RETRIES", "2", "6" => retries.max_retries = 6;
        "UPSTREAM_RETRY_BASE_DELAY_MS", "150", "117" => retries.base_delay = millis(117);
        "UPSTREAM_RETRY_BUDGET_PERCENT", "20", "118" => retries.budget_percent = 118;
        "UPSTREAM_RETRY_BUDGET_PER_SEC", "10", "119" => retries.budget_per_sec = 119;
        "UPSTREAM_BREAKER_ERROR_PERCENT", "50", "99" => breaker.error_percent = 99;
        "UPSTREAM_BREAKER_MIN_ATTEMPTS", "20", "121" => breaker.min_attempts = 121;
        "UPSTREAM_BREAKER_WINDOW_SECS", "10", "122" => breaker.window = secs(122);
        "UPSTREAM_BREAKER_OPEN_MS", "1000", "123" => breaker.open = millis(123);
        "UPSTREAM_MAX_IN_FLIGHT", "4096", "124" => calls.max_in_flight = 124;
        "UPSTREAM_MAX_WAITING", "1024", "125" => calls.max_waiting = 125;
        "UPSTREAM_WAIT_TIMEOUT_MS", "1000", "126" => calls.wait_timeout = millis(126);
        "STRICT_TRANSLATION", "false", "true" => strict_translation = true;
        "REASONING_MEMORY_BYTES", "33554432", "128" => reasoning_memory = 128;
        "MAX_ANSWER_BYTES", "67108864", "1129" => calls.max_answer = 1129;
        "MODELS_CACHE_SECS", "60", "130" => models.cache = secs(130);
    };
    rows.push(VariableRow {
        name: "OTEL_TRACES_SAMPLER_ARG",
        default: "1.0",
        other: "0.111",
        set: |config| config.traces.as_mut().unwrap().ratio = 0.111,
    });
    rows
}

fn read(pairs: &[(&str, &str)]) -> Config {
    let lookup = |name: &str| {
        let (_, value) = pairs.iter().find(|(key, _)| *key == name)?;
        Some(Ok((*value).to_owned()))
    };
    from_lookup(&lookup).unwrap_or_else(|mistakes| panic!("{pairs:?}: {mistakes}"))
}

/// The lines in which two configurations differ.
fn differences(had: &Config, expected: &Config) -> Vec<String> {
    let (had, expected) = (format!("{had:#?}"), format!("{expected:#?}"));
    if had.lines().count() != expected.lines().count() {
        return vec![format!("{had} instead of {expected}")];
    }
    had.lines()
        .zip(expected.lines())
        .filter(|(had, expected)| had != expected)
        .map(|(had, expected)| format!("{} instead of {}", had.trim(), expected.trim()))
        .collect()
}

/// The value of a variable in `.env.example`.
fn example(name: &str) -> Option<&'static str> {
    let mut lines = EXAMPLE.lines().filter_map(|line| line.strip_prefix("# "));
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

#[test]
fn each_variable_sets_its_own_field_and_no_other() {
    assert_eq!(
        differences(&read(&[]), &Config::default()),
        [""; 0],
        "nothing set"
    );
    let plain = Config {
        traces: read(&[ENDPOINT]).traces,
        ..Config::default()
    };
    for VariableRow {
        name,
        default,
        other,
        set,
    } in rows()
    {
        let mut expected = plain.clone();
        set(&mut expected);
        let changed = differences(&expected, &plain);
        assert!(!changed.is_empty(), "{name}: {other} is no other value");
        let wrong = differences(&read(&[ENDPOINT, (name, other)]), &expected);
        assert!(wrong.is_empty(), "{name}={other} gives {wrong:?}");
        let wrong = differences(&read(&[ENDPOINT, (name, default)]), &plain);
        assert!(
            wrong.is_empty(),
            "{name}={default} is not the default: {wrong:?}"
        );
    }
}

#[test]
fn the_example_and_the_documentation_show_the_defaults() {
    for VariableRow { name, default, .. } in rows() {
        assert_eq!(example(name), Some(default), "{name} in .env.example");
        let cell = format!("| `{name}` | `{default}` |");
        assert!(
            default.is_empty() || PAGE.contains(&cell),
            "docs/configuration.md does not have {cell}"
        );
    }
}

/// A new variable needs a row in this test.
#[test]
fn no_figure_and_no_switch_is_left_out() {
    let rows = rows();
    let lines = EXAMPLE.lines().filter_map(|line| line.strip_prefix("# "));
    let mut found = 0;
    for (name, value) in lines.filter_map(|line| line.split_once('=')) {
        let is_name = name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
        let counts = ["_SECS", "_MS", "_BYTES", "_PERCENT", "_SEC", "_WORKERS"];
        let is_figure = value.parse::<f64>().is_ok()
            || value.parse::<bool>().is_ok()
            || counts.iter().any(|end| name.ends_with(end));
        if is_name && is_figure {
            found += 1;
            assert!(rows.iter().any(|row| row.name == name), "{name} has no row");
        }
    }
    // The row of `LOG_FORMAT` is not counted: its value is neither a number nor a boolean.
    assert_eq!(found, rows.len() - 1, "figures in .env.example");
}

#[test]
fn one_body_must_find_room_among_all() {
    let read = |value: &'static str| {
        from_lookup(&|name| (name == "MAX_BODY_BYTES").then(|| Ok(value.to_owned())))
    };
    assert!(read("536870912").is_ok());
    let wrong = read("536870913").unwrap_err().to_string();
    assert!(
        wrong.contains("BODY_MEMORY_BYTES must be at least"),
        "{wrong}"
    );
}
