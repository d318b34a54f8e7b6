//! What the gateway costs: processor time, latency, memory and start, beside nginx as a plain proxy.
//!
//! `cargo bench --bench gateway -- [OPTION…]` prints a table with the bounds that the gateway keeps
//! to. It judges nothing: it fails only where something did not work. Everything is on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a table is printed; what cannot go on says so by panicking"
)]

mod bare;
mod http;
mod load;
mod mock;
mod plot;
mod proc;
mod report;
mod rows;
mod sweep;
mod target;
mod workloads;

use std::process::{Command, ExitCode};
use std::time::Duration;

use report::Report;
use rows::{Bench, Plan};
use target::Target;

const USAGE: &str = "usage: gateway [--short] [--rounds N] [--only WORD]… \
[--bare] [--upstream-port PORT] [--gateway NAME=URL,PID]…
       gateway --sweep FILE.csv [--short]
       gateway --plot FILE.csv FILE.svg

--bare adds the least that a proxy on the gateway's own libraries can be;
--gateway adds a gateway that runs already, with its providers at --upstream-port.";

/// Descriptors that the largest sweep takes.
const DESCRIPTORS: usize = 20_000;

/// Set in the second start of this process, which has the descriptors.
const STARTED: &str = "GATEWAY_BENCH_STARTED";

/// What was asked for.
#[derive(Default)]
struct Arguments {
    is_short: bool,
    has_bare: bool,
    rounds: Option<usize>,
    only: Vec<String>,
    port: u16,
    others: Vec<String>,
    sweep: Option<String>,
    plot: Option<(String, String)>,
}

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).collect();
    if let [word, upstream, port] = words.as_slice()
        && word == bare::SERVE
    {
        let served = bare::serve(upstream, port.parse().unwrap_or(0));
        return ended(served.map_err(|error| error.to_string()));
    }
    let arguments = match arguments(words.into_iter()) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("gateway: {wrong}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if let Some((from, to)) = &arguments.plot {
        return ended(plot::draw(from, to));
    }
    if !cfg!(target_os = "linux") {
        println!("gateway: it reads /proc, so it needs Linux; nothing was run");
        return ExitCode::SUCCESS;
    }
    if proc::descriptors() < DESCRIPTORS && std::env::var_os(STARTED).is_none() {
        return start_again();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let done = runtime.block_on(run(arguments));
    target::clean();
    ended(done)
}

fn ended(done: Result<(), String>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("gateway: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let upstream = mock::start(arguments.port).map_err(|error| format!("a port: {error}"))?;
    if let Some(file) = &arguments.sweep {
        return sweep::run(upstream, file, arguments.is_short).await;
    }
    let mut targets = vec![Target::gateway(upstream, &[])?];
    let nginx = Target::nginx(upstream)?;
    let has_nginx = nginx.is_some();
    if !has_nginx {
        println!("nginx is not installed: nothing to compare with.\n");
    }
    targets.extend(nginx);
    if arguments.has_bare {
        targets.push(Target::bare(upstream)?);
    }
    for other in &arguments.others {
        targets.push(Target::other(other)?);
    }
    let (rounds, time) = if arguments.is_short {
        (2, Duration::from_millis(300))
    } else {
        (5, Duration::from_secs(2))
    };
    let mut bench = Bench {
        plan: Plan {
            rounds: arguments.rounds.unwrap_or(rounds),
            time,
            only: arguments.only,
        },
        upstream,
        targets,
        has_nginx,
        report: Report::default(),
    };
    bench.report.columns = bench.names();
    bench.run().await;
    let report = &bench.report;
    if report.is_empty() {
        return Err(format!("there is no workload {:?}", bench.plan.only));
    }
    println!("{}", proc::machine());
    println!(
        "Median of {} rounds of {} s each, in turn; in parentheses the least and the most.\n",
        bench.plan.rounds,
        time.as_secs_f64()
    );
    report.print();
    if report.failures.is_empty() {
        Ok(())
    } else {
        Err(format!("did not work:\n{}", report.failures.join("\n")))
    }
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut out = Arguments::default();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        match word.as_str() {
            "--short" => out.is_short = true,
            "--bare" => out.has_bare = true,
            // Cargo adds it.
            "--bench" => {}
            "--rounds" => {
                let rounds = value()?.parse().ok();
                let rounds = rounds.filter(|rounds| (1..=1000).contains(rounds));
                out.rounds = Some(rounds.ok_or("--rounds wants a number, up to 1000")?);
            }
            "--only" => out.only.push(value()?.to_lowercase()),
            "--upstream-port" => {
                out.port = value()?
                    .parse()
                    .map_err(|_| "--upstream-port wants a port")?;
            }
            "--gateway" => out.others.push(value()?),
            "--sweep" => out.sweep = Some(value()?),
            "--plot" => out.plot = Some((value()?, value()?)),
            _ => return Err(format!("what is {word}?")),
        }
    }
    Ok(out)
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
