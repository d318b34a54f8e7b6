//! What the pure parts cost: time and bytes per second, or instructions.
//!
//! `cargo bench --bench parts -- [NAME]` takes the time. `-- --instructions` counts with callgrind,
//! which needs valgrind and gives the same figures whatever else the machine does; `--write FILE`
//! keeps them, `--check FILE` compares them with those that were kept. `-- --growth` counts how they
//! grow with everything in a request, a stream or an answer that can be long.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a table is printed; what cannot go on says so by panicking"
)]

mod count;
mod growth;
mod inputs;
mod parts;
#[path = "../../tests/it/shapes/mod.rs"]
mod shapes;

use std::process::ExitCode;

use divan::Bencher;
use divan::counter::BytesCount;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).collect();
    if let [once, name, times] = words.as_slice()
        && once == count::ONCE
    {
        count::repeat(name, times);
        return ExitCode::SUCCESS;
    }
    if let [first, share @ ..] = words.as_slice()
        && first == growth::SHARE
    {
        growth::share(share);
        return ExitCode::SUCCESS;
    }
    if words.iter().any(|word| word == "--growth") {
        return growth::run(words.iter().map(String::as_str));
    }
    if words.iter().any(|word| word == "--instructions") {
        return count::run(words.iter().map(String::as_str));
    }
    divan::main();
    ExitCode::SUCCESS
}

#[divan::bench(args = parts::names())]
fn part(bencher: Bencher<'_, '_>, name: &str) {
    let part = parts::named(name).expect("it is one of the names");
    bencher
        .counter(BytesCount::new(part.bytes))
        .bench_local(|| (part.run)());
}
