//! The commands of the binary.

mod check;
mod demo;
mod healthcheck;
mod log;
mod serve;
mod terminal;

use std::process::ExitCode;

use terminal::{UNUSABLE, print, print_error};

/// The text of `--help`.
const USAGE: &str = "\
ai-gateway: one address for 14 LLM providers, speaking OpenAI's API

Usage: ai-gateway [COMMAND]

  (none)       serve, configured by environment variables and .env
  demo         serve scripted providers and show three calls; needs no key
  check        read the configuration and print what would be served
  healthcheck  exit 0 when the gateway of this configuration answers
  --help       this text
  --version    the version
";

/// Runs the command that the arguments name; `arguments` is without the program's name.
#[must_use]
pub fn run(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let command = arguments.next();
    let extra = arguments.next();
    match (command.as_deref(), extra) {
        (None, _) => serve::run(),
        (Some("demo"), None) => demo::run(),
        (Some("check"), None) => check::run(),
        (Some("healthcheck"), None) => healthcheck::run(),
        (Some("--help" | "-h" | "help"), None) => {
            print(USAGE);
            ExitCode::SUCCESS
        }
        (Some("--version" | "-V"), None) => {
            print(concat!("ai-gateway ", env!("CARGO_PKG_VERSION"), "\n"));
            ExitCode::SUCCESS
        }
        (Some(other), None) => {
            print_error(&format!("there is no command '{other}'\n\n{USAGE}"));
            ExitCode::from(UNUSABLE)
        }
        (Some(_), Some(extra)) => {
            print_error(&format!("'{extra}' is one argument too many\n\n{USAGE}"));
            ExitCode::from(UNUSABLE)
        }
    }
}
