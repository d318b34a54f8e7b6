//! Instructions of each part, counted by callgrind: the difference between doing it often and once.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, ExitCode, Stdio};

use crate::parts;

/// How this program is told to do one part so many times.
pub const ONCE: &str = "--once";

/// More than this above what was kept is a regression, in percent.
const TOLERANCE: u64 = 10;

/// Does a part so many times.
pub fn repeat(name: &str, times: &str) {
    let part = parts::named(name).expect("it is one of the names");
    for _ in 0..times.parse().unwrap_or(1) {
        (part.run)();
    }
}

/// Counts all parts; with `--write FILE` keeps the figures, with `--check FILE` compares them.
pub fn run<'w>(words: impl Iterator<Item = &'w str>) -> ExitCode {
    let words: Vec<_> = words.collect();
    let file = |option: &str| {
        let at = words.iter().position(|word| *word == option)?;
        words.get(at + 1).copied()
    };
    let kept = file("--check").map(|file| fs::read_to_string(file).expect("the figures"));
    let mut text = String::from("part\tinput in bytes\tinstructions\n");
    let mut worse = 0;
    for name in parts::names() {
        let part = parts::named(name).expect("it is one of the names");
        let few = collected(name, 1);
        let many = collected(name, 11);
        let instructions = many.saturating_sub(few) / 10;
        let _ = writeln!(text, "{name}\t{}\t{instructions}", part.bytes);
        let before = kept.as_deref().and_then(|kept| figure(kept, name));
        let verdict = match before {
            None if kept.is_some() => "not among those that were kept",
            None => "",
            Some(before) if instructions * 100 > before * (100 + TOLERANCE) => {
                worse += 1;
                "MORE than was kept"
            }
            Some(before) if instructions * (100 + TOLERANCE) < before * 100 => {
                "less than was kept: keep the new figures"
            }
            Some(_) => "as before",
        };
        let before = before.map_or(String::new(), |before| format!(" ({before})"));
        println!(
            "{name}, {} bytes: {instructions}{before} {verdict}",
            part.bytes
        );
    }
    if let Some(file) = file("--write") {
        fs::write(file, text).expect("the figures are kept");
    }
    ExitCode::from(u8::from(worse > 0))
}

fn figure(kept: &str, name: &str) -> Option<u64> {
    let line = kept
        .lines()
        .find(|line| line.split('\t').next() == Some(name))?;
    line.rsplit('\t').next()?.parse().ok()
}

/// All instructions of a process that does a part so many times.
fn collected(name: &str, times: u32) -> u64 {
    let ended = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().expect("this program has a path"))
        .args([ONCE, name, &times.to_string()])
        .stdout(Stdio::null())
        .output()
        .expect("valgrind is installed");
    let said = String::from_utf8_lossy(&ended.stderr);
    let figure = said
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let figure = figure.and_then(|(_, figure)| figure.trim().parse().ok());
    figure.unwrap_or_else(|| panic!("valgrind counted nothing:\n{said}"))
}
