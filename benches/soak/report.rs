//! The table: what was seen, what was promised, whether it held.

use std::sync::atomic::Ordering;

use crate::gateway::Gateway;

/// How much is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Fewer calls, for a debug build and a shared machine.
    pub short: bool,
    /// How long the soak takes, in seconds.
    pub seconds: u64,
    /// Descriptors that this process and the gateway may have, each.
    pub descriptors: usize,
}

impl Plan {
    /// So many, or fewer where it shall be short or descriptors are missing. Each call takes two
    /// here: the caller's and the provider's end.
    pub fn calls(&self, full: usize, short: usize) -> usize {
        let calls = if self.short { short } else { full };
        calls.min(self.descriptors.saturating_sub(200) / 2)
    }

    /// The bound of a time: `release`, and in a debug build, which is not what is promised of, a
    /// looser one that still shows a queue where there must be none.
    pub fn bound<T>(release: T, debug: T) -> T {
        if cfg!(debug_assertions) {
            debug
        } else {
            release
        }
    }
}

struct Row {
    scenario: &'static str,
    figure: String,
    bound: String,
    held: Option<bool>,
}

/// What was seen so far.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// A figure with its bound.
    pub fn row(&mut self, scenario: &'static str, figure: String, bound: String, held: bool) {
        self.add(scenario, figure, bound, Some(held));
    }

    /// A figure without a bound.
    pub fn note(&mut self, scenario: &'static str, figure: String) {
        self.add(scenario, figure, "—".to_owned(), None);
    }

    fn add(&mut self, scenario: &'static str, figure: String, bound: String, held: Option<bool>) {
        // Shown at once, so that a run that is cut off has said something.
        eprintln!("{scenario}: {figure} (bound: {bound}) {}", word(held));
        self.rows.push(Row {
            scenario,
            figure,
            bound,
            held,
        });
    }

    /// What the gateway said: a panic breaks a promise whatever the figures are.
    pub fn log(&mut self, scenario: &'static str, gateway: &Gateway) {
        let panics = gateway.log.panics.load(Ordering::Relaxed);
        if panics > 0 {
            let figure = format!("{panics} panics in the log");
            self.row(scenario, figure, "0".to_owned(), false);
        }
        for line in gateway.log.first.lock().unwrap().iter() {
            eprintln!("    it logged: {line}");
        }
    }

    /// Whether nothing was run.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table in Markdown.
    pub fn print(&self) {
        println!("| Scenario | Figure | Bound | Result |\n| --- | --- | --- | --- |");
        for row in &self.rows {
            let (scenario, figure, bound) = (row.scenario, &row.figure, &row.bound);
            println!("| {scenario} | {figure} | {bound} | {} |", word(row.held));
        }
    }

    /// The lines that broke their bound.
    pub fn broken(&self) -> impl Iterator<Item = String> {
        let broken = self.rows.iter().filter(|row| row.held == Some(false));
        broken.map(|row| format!("{}: {}, not {}", row.scenario, row.figure, row.bound))
    }
}

fn word(held: Option<bool>) -> &'static str {
    match held {
        Some(true) => "held",
        Some(false) => "BROKEN",
        None => "—",
    }
}
