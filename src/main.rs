//! The binary: carries out the command that its arguments name.

use std::process::ExitCode;

fn main() -> ExitCode {
    ai_gateway::run(std::env::args().skip(1))
}
