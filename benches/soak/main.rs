//! Soak and overload: the real binary under load and abuse, as a table.
//!
//! `cargo bench --bench soak -- [--short] [--seconds N] [SCENARIO…]`; ends with status 1 where a
//! bound is broken. Everything is on loopback, and in counts and times that are bounded.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a table is printed; what cannot go on says so by panicking"
)]

mod client;
mod ends;
mod gateway;
mod load;
mod mixed;
mod report;
mod upstream;

use std::fs::read_to_string;
use std::process::{Command, ExitCode};

use report::{Plan, Report};
use upstream::Upstream;

/// Descriptors that the whole load takes, in this process and in the gateway.
const DESCRIPTORS: usize = 8192;

/// Set in the second start of this process, which has the descriptors.
const STARTED: &str = "SOAK_STARTED";

fn main() -> ExitCode {
    if !cfg!(target_os = "linux") {
        println!("soak: it reads /proc, so it needs Linux; nothing was run");
        return ExitCode::SUCCESS;
    }
    let (plan, named) = match arguments() {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("soak: {wrong}\nusage: soak [--short] [--seconds N] [SCENARIO…]");
            return ExitCode::from(2);
        }
    };
    if plan.descriptors < DESCRIPTORS && std::env::var_os(STARTED).is_none() {
        return start_again();
    }
    if plan.descriptors < DESCRIPTORS {
        println!(
            "Only {} descriptors: fewer calls at once.\n",
            plan.descriptors
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let report = runtime.block_on(run(&plan, &named));
    if report.is_empty() {
        eprintln!("soak: there is no scenario {named:?}");
        return ExitCode::from(2);
    }
    println!("{}\n", machine());
    report.print();
    let broken: Vec<_> = report.broken().collect();
    for line in &broken {
        eprintln!("broken: {line}");
    }
    ExitCode::from(u8::from(!broken.is_empty()))
}

/// All scenarios, or those that are named.
async fn run(plan: &Plan, named: &[String]) -> Report {
    let mut report = Report::default();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|one| name.contains(one));
    // Each has a gateway and a provider of its own, so that none sees what another left.
    macro_rules! scenarios {
        ($($name:literal => $scenario:path,)*) => {$(
            if wanted($name) {
                let upstream = Upstream::start().expect("a port");
                $scenario(plan, &upstream, &mut report).await;
            }
        )*};
    }
    scenarios! {
        "overload" => load::overload,
        "streams" => load::streams,
        "isolation" => load::isolation,
        "slow-readers" => load::slow_readers,
        "soak" => mixed::soak,
        "descriptors" => ends::descriptors,
        "shutdown" => ends::shutdown,
    }
    report
}

fn arguments() -> Result<(Plan, Vec<String>), String> {
    let (mut short, mut seconds, mut named) = (false, None, Vec::new());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--short" => short = true,
            // Cargo adds it.
            "--bench" => {}
            "--seconds" => {
                let number = words.next().and_then(|number| number.parse::<u64>().ok());
                let number = number.filter(|number| (1..=86_400).contains(number));
                seconds = Some(number.ok_or("--seconds wants a number, up to 86400")?);
            }
            option if option.starts_with('-') => return Err(format!("what is {option}?")),
            name => named.push(name.to_owned()),
        }
    }
    let plan = Plan {
        short,
        seconds: seconds.unwrap_or(if short { 5 } else { 60 }),
        descriptors: descriptors().min(DESCRIPTORS),
    };
    Ok((plan, named))
}

/// Descriptors that this process may have.
fn descriptors() -> usize {
    let limits = read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|rest| rest.split_whitespace().next());
    soft.map_or(1024, |soft| soft.parse().unwrap_or(usize::MAX))
}

/// Starts this process once more with as many descriptors as can be had.
fn start_again() -> ExitCode {
    let script = r#"ulimit -n "$0" 2>/dev/null || ulimit -n "$(ulimit -H -n)"; exec "$@""#;
    let status = Command::new("/bin/sh")
        .args(["-c", script, &DESCRIPTORS.to_string()])
        .arg(std::env::current_exe().expect("this program has a path"))
        .args(std::env::args().skip(1))
        .env(STARTED, "1")
        .status();
    let code = status.ok().and_then(|status| status.code());
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// What the figures were taken on.
fn machine() -> String {
    let memory = read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes: Option<usize> = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    format!(
        "{} cores, {} GB of memory, {} build; load, provider and gateway on the same machine.",
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        kilobytes.unwrap_or(0) >> 20,
        if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        }
    )
}
