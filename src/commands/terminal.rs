//! What every command needs of the terminal: the two outputs, and the exit code of what cannot be used.

use std::io::Write;
use std::process::ExitCode;

use crate::config::{Config, ConfigErrors};

/// Exit code for a configuration or a command line that cannot be used.
pub(super) const UNUSABLE: u8 = 2;

/// Writes to standard output. That whoever read it has gone is no reason to stop serving.
pub(super) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes to standard error.
pub(super) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "ai-gateway: {text}");
}

/// Reads the configuration; says all that is wrong with it.
pub(super) fn configuration(
    read: fn() -> Result<Config, ConfigErrors>,
) -> Result<Config, ExitCode> {
    read().map_err(|mistakes| {
        complain(&format!("the configuration cannot be used:\n{mistakes}"));
        ExitCode::from(UNUSABLE)
    })
}
