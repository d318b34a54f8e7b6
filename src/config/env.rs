//! Reads the configuration from environment variables and `.env`; the only place that does.

use std::collections::BTreeSet;

use super::Config;
use super::hints;
use super::reading::read;
use super::variables::{ConfigErrors, Lookup};

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

/// Reads the configuration from any source of variables.
///
/// # Errors
/// All mistakes at once.
pub fn from_lookup(lookup: &Lookup<'_>) -> Result<Config, ConfigErrors> {
    read(lookup).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::PROVIDERS;
    use crate::secret::Secret;
    use std::time::Duration;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
        from_lookup(&|name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| Ok((*value).to_owned()))
        })
    }

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let config = read(&[]).unwrap();
        assert_eq!(
            (config.server.host.as_str(), config.server.port),
            ("0.0.0.0", 3000)
        );
        assert_eq!(config.calls.request_timeout, Duration::from_secs(120));
        assert_eq!(config.retries.max_retries, 2);
        assert_eq!(config.retries.base_delay, Duration::from_millis(150));
        assert!(!config.requires_gateway_key());
        for (entry, row) in config.providers.iter().zip(&PROVIDERS) {
            assert!(
                entry.base.to_string().starts_with(row.base_url),
                "{}",
                row.name
            );
            assert!(entry.key.is_none());
        }
        assert_eq!(config.server.max_body, 52_428_800);
    }

    #[test]
    fn every_variable_is_read() {
        let mut pairs = vec![
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
            pairs.push((provider.base_url_env, "http://127.0.0.1:9/base/"));
            pairs.push((provider.key_env, "provider-key"));
        }
        let config = read(&pairs).unwrap();
        assert_eq!(
            (config.server.host.as_str(), config.server.port),
            ("127.0.0.1", 8080)
        );
        assert_eq!(config.calls.request_timeout, Duration::from_secs(9));
        assert_eq!(config.retries.max_retries, 0);
        assert_eq!(config.retries.base_delay, Duration::from_millis(7));
        let keys: Vec<_> = config
            .access
            .gateway_keys
            .iter()
            .map(Secret::expose)
            .collect();
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
