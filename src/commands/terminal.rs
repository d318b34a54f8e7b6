//! Terminal output and exit codes that all commands share.

use std::io::Write;
use std::process::ExitCode;

use crate::config::{Config, ConfigErrors};

/// Exit code for a configuration or a command line that cannot be used.
pub(super) const UNUSABLE: u8 = 2;

/// Writes to standard output; a closed output is ignored, because serving continues.
pub(super) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes to standard error.
pub(super) fn print_error(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "ai-gateway: {text}");
}

/// Reads the configuration; prints all its mistakes to standard error.
pub(super) fn configuration(
    read: fn() -> Result<Config, ConfigErrors>,
) -> Result<Config, ExitCode> {
    read().map_err(|mistakes| {
        print_error(&format!("the configuration cannot be used:\n{mistakes}"));
        ExitCode::from(UNUSABLE)
    })
}
