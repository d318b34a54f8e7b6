//! `ai-gateway check`: reads the configuration and prints what would be served.

use std::fmt::Write;
use std::net::ToSocketAddrs;
use std::process::ExitCode;

use super::terminal::{UNUSABLE, configuration, print, print_error};
use crate::config::{Config, from_environment};
use crate::upstream::Tls;

/// Exits 0 if the gateway could serve with this configuration, else 2.
pub(super) fn run() -> ExitCode {
    let config = match configuration(from_environment) {
        Ok(config) => config,
        Err(code) => return code,
    };
    print(&describe(&config));
    if config.providers.iter().any(|entry| entry.base.tls)
        && let Err(wrong) = Tls::load(&config)
    {
        print_error(&wrong);
        return ExitCode::from(UNUSABLE);
    }
    if let Err(wrong) = resolve(&config) {
        print_error(&wrong);
        return ExitCode::from(UNUSABLE);
    }
    ExitCode::SUCCESS
}

/// Looks up the address to listen on.
fn resolve(config: &Config) -> Result<(), String> {
    let host = config.server.host.as_str();
    let addresses = (host, config.server.port).to_socket_addrs();
    match addresses.ok().and_then(|mut addresses| addresses.next()) {
        Some(_) => Ok(()),
        None => Err(format!(
            "HOST: '{host}' has no address on this machine's network"
        )),
    }
}

/// The configuration as text. A key is only shown as present.
fn describe(config: &Config) -> String {
    let mut out = String::new();
    let mode = if config.requires_gateway_key() {
        format!("gateway keys ({})", config.access.gateway_keys.len())
    } else {
        "pass-through (every caller brings the provider's key)".to_owned()
    };
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name:<12}{value}");
    };
    line(
        "listen",
        format!(
            "{}:{} with {} threads",
            config.server.host, config.server.port, config.server.http_workers
        ),
    );
    line("mode", mode);
    line(
        "deadline",
        format!(
            "{} s over all attempts",
            config.calls.request_timeout.as_secs()
        ),
    );
    line(
        "retries",
        format!(
            "{}, first after up to {} ms",
            config.retries.max_retries,
            config.retries.base_delay.as_millis()
        ),
    );
    line(
        "limits",
        format!(
            "{} calls under way and {} waiting per provider; bodies up to {} bytes",
            config.calls.max_in_flight, config.calls.max_waiting, config.server.max_body
        ),
    );
    if let Some(proxy) = &config.proxy {
        line("proxy", format!("{}:{}", proxy.host, proxy.port));
    }
    for entry in &config.providers {
        let key = match (&entry.key, config.requires_gateway_key()) {
            (Some(_), true) => "key ********",
            (Some(_), false) => "key not used",
            (None, true) => "no key",
            (None, false) => "caller's key",
        };
        let note = if entry.is_not_configured() {
            "  (an example; set your own)"
        } else {
            ""
        };
        line(
            entry.provider.name,
            format!("{key:<14}{}{note}", entry.base),
        );
    }
    for warning in config.warnings() {
        line("warning", warning);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn nothing_of_a_key_is_shown() {
        let mut config = Config::default();
        config.access.gateway_keys = vec![Secret::new("gateway-secret")];
        for entry in &mut config.providers {
            entry.key = Some(Secret::new("provider-secret"));
        }
        let text = describe(&config);
        assert!(text.contains("key ********"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
