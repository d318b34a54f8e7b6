//! Reads single variables, and collects everything that is wrong with them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

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

/// Returns a variable's value, `None` if it is not set, or `Err` if it is not valid Unicode.
pub type Lookup<'l> = dyn Fn(&str) -> Option<Result<String, ()>> + 'l;

pub(super) struct VariableReader<'l> {
    pub(super) lookup: &'l Lookup<'l>,
    pub(super) mistakes: Vec<String>,
    /// All names that were looked up.
    pub(super) known: BTreeSet<String>,
}

impl VariableReader<'_> {
    pub(super) fn raw(&mut self, name: &str) -> Option<String> {
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
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let value = self.raw(name)?.trim().to_owned();
        (!value.is_empty()).then_some(value)
    }

    pub(super) fn number<T: FromStr + PartialOrd + fmt::Display + Copy>(
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

    pub(super) fn switch(&mut self, name: &str, default: bool) -> bool {
        self.switch_or(name, default, "true or false")
    }

    /// `words` lists the allowed values in the error message.
    pub(super) fn switch_or(&mut self, name: &str, default: bool, words: &str) -> bool {
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

    pub(super) fn seconds(&mut self, name: &str, default: Duration, least: u64) -> Duration {
        Duration::from_secs(self.number(name, default.as_secs(), least, 86_400))
    }

    pub(super) fn seconds_if_set(&mut self, name: &str, least: u64) -> Option<Duration> {
        self.text(name)?;
        Some(self.seconds(name, Duration::ZERO, least))
    }

    pub(super) fn millis(&mut self, name: &str, default: Duration, least: u64) -> Duration {
        let default = u64::try_from(default.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.number(name, default, least, 3_600_000))
    }

    pub(super) fn secret(&mut self, name: &str) -> Option<Secret> {
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
