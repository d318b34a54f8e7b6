//! The logger: format, filter, and redaction of secrets.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write as _;

use env_logger::fmt::Formatter;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::codec::json::raw;
use crate::config::{Config, LogFormat};
use crate::secret::{Secret, redact};
use crate::telemetry::ACCESS;

/// Starts the logger.
pub(super) fn start(config: &Config) {
    let format = config.log.format;
    let secrets = config.secrets();
    let mut builder = env_logger::Builder::new();
    builder.parse_filters(config.log.filter.as_deref().unwrap_or("info"));
    // Access log lines have their own variable and do not depend on the filter.
    builder.filter_module(ACCESS, LevelFilter::Info);
    builder.filter_module("actix_server", LevelFilter::Warn);
    // It logs every malformed request, so that anyone could fill the log.
    builder.filter_module("actix_http", LevelFilter::Off);
    builder.format(move |out, record| write(out, record, format, &secrets));
    let logger = FilteredLogger(builder.build());
    let level = logger.0.filter();
    // If the process already has a logger, that one stays.
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        log::set_max_level(level);
    }
}

/// Limits other libraries to the levels error, warn and info, whatever `RUST_LOG` says: below these
/// they log whole requests with headers and prompts.
struct FilteredLogger(env_logger::Logger);

impl Log for FilteredLogger {
    fn enabled(&self, of: &Metadata<'_>) -> bool {
        let target = of.target();
        let root = target.split("::").next().unwrap_or_default();
        let ours = root == ACCESS || root == env!("CARGO_CRATE_NAME");
        (ours || of.level() <= Level::Info) && self.0.enabled(of)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// The text with all secrets, and everything shaped like a key, redacted.
fn without(text: &str, secrets: &[Secret]) -> String {
    let mut text = text.to_owned();
    for secret in secrets {
        if let Cow::Owned(clean) = redact(&text, Some(secret)) {
            text = clean;
        }
    }
    redact(&text, None).into_owned()
}

/// Escapes characters that JSON allows unescaped but line readers take for line ends.
fn ascii_controls(json: &str) -> Cow<'_, str> {
    let ends = |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}');
    if !json.contains(ends) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if ends(c) {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Keeps a record on one line, whatever a provider's text contains: line ends and tabs become
/// spaces, and other control characters are escaped.
fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' | '\u{85}' | '\u{2028}' | '\u{2029}' => out.push(' '),
            c if c.is_control() => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// Writes one record, with all secrets redacted.
fn write(
    out: &mut Formatter,
    record: &Record<'_>,
    format: LogFormat,
    secrets: &[Secret],
) -> std::io::Result<()> {
    let message = without(&record.args().to_string(), secrets);
    let access = record.target() == ACCESS;
    match format {
        LogFormat::Text => {
            let message = one_line(&message);
            let (time, style) = (
                out.timestamp_millis(),
                out.default_level_style(record.level()),
            );
            writeln!(
                out,
                "[{time} {style}{:<5}{style:#} {}] {message}",
                record.level(),
                record.target(),
            )
        }
        LogFormat::Json => {
            let rest = if access {
                message
            } else {
                format!("\"message\":{}", raw(&message).get())
            };
            let rest = ascii_controls(&rest);
            let time = out.timestamp_millis();
            writeln!(
                out,
                "{{\"time\":\"{time}\",\"level\":\"{}\",\"target\":{},{rest}}}",
                record.level(),
                raw(record.target()).get(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise 21.
    #[test]
    fn no_line_has_a_secret_whoever_writes_it() {
        let secrets = [Secret::new("plain-looking-key")];
        let line = "told plain-looking-key and sk-proj-0123456789abcdef, Bearer team-key-77";
        let clean = "told [redacted] and [redacted], Bearer [redacted]";
        assert_eq!(without(line, &secrets), clean);
    }

    /// Promise 21.
    #[test]
    fn libraries_say_nothing_below_what_is_wrong() {
        let mut builder = env_logger::Builder::new();
        builder.parse_filters("trace,awc::client=trace");
        let logger = FilteredLogger(builder.build());
        let says = |target: &str, level: Level| {
            logger.enabled(&Metadata::builder().target(target).level(level).build())
        };
        assert!(says("ai_gateway::flow", Level::Trace));
        assert!(says("awc::client", Level::Warn));
        for library in ["awc::client", "actix_http::h1", "rustls", "ai_gatewayx"] {
            assert!(!says(library, Level::Debug), "{library}");
        }
    }
}
