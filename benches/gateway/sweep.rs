//! Processor time against size, as rows of a CSV file: `sweep,x,us_per_unit,unit`.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::load::{Call, Streams, closed};
use crate::proc;
use crate::report::median;
use crate::target::{Kind, Target};
use crate::workloads::{post, settle, text};

const CHAT: &str = "/v1/chat/completions";

/// What is swept, its sizes, and the request of a size.
struct Sweep {
    name: &'static str,
    sizes: &'static [usize],
    /// Whether it is also measured where it is translated.
    is_translated: bool,
    body: fn(&str, usize) -> Value,
}

const SWEEPS: [Sweep; 3] = [
    Sweep {
        name: "body size in bytes",
        sizes: &[
            1 << 10,
            4 << 10,
            16 << 10,
            64 << 10,
            256 << 10,
            1 << 20,
            4 << 20,
            20 << 20,
        ],
        is_translated: false,
        body: |model, size| {
            let content = text(size.saturating_sub(120));
            json!({"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": content}]})
        },
    },
    Sweep {
        name: "history in messages",
        sizes: &[1, 3, 10, 30, 100, 300, 1000],
        is_translated: true,
        body: |model, size| {
            // It begins and ends with the user.
            let messages = (0..size).rev().map(|number| {
                let role = if number % 2 == 0 { "user" } else { "assistant" };
                json!({"role": role, "content": text(200)})
            });
            let messages: Vec<_> = messages.collect();
            json!({"model": model, "max_tokens": 9, "messages": messages})
        },
    },
    Sweep {
        name: "tools",
        sizes: &[0, 1, 5, 20, 50, 100, 200],
        is_translated: true,
        body: |model, size| {
            let tools: Vec<_> = (0..size).map(tool).collect();
            let mut body = json!({"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]});
            if size > 0 {
                body["tools"] = tools.into();
            }
            body
        },
    },
];

fn tool(number: usize) -> Value {
    json!({"type": "function", "function": {
        "name": format!("look_up_{number}"), "description": text(200),
        "parameters": {"type": "object", "required": ["place"], "properties": {
            "place": {"type": "string", "description": text(60)},
            "days": {"type": "integer", "minimum": 1, "maximum": 14},
            "units": {"type": "string", "enum": ["metric", "imperial"]},
        }},
    }})
}

/// Runs all sweeps and writes the file.
///
/// # Errors
///
/// Where a request failed, or the file cannot be written.
pub async fn run(upstream: SocketAddr, file: &str, is_short: bool) -> Result<(), String> {
    // As many streams as there are, which the default does not allow.
    let gateway = Target::gateway(upstream, &[("UPSTREAM_MAX_IN_FLIGHT", "100000")])?;
    let mut targets = vec![gateway];
    targets.extend(Target::nginx(upstream)?);
    let mut rows = Rows {
        text: "sweep,x,us_per_unit,unit\n".to_owned(),
        time: Duration::from_millis(if is_short { 100 } else { 700 }),
        rounds: if is_short { 1 } else { 3 },
    };
    rows.streams(&targets)
        .await
        .map_err(|(at, error)| format!("{at}: {error}"))?;
    for sweep in &SWEEPS {
        rows.sweep(sweep, &targets)
            .await
            .map_err(|(at, error)| format!("{at}: {error}"))?;
    }
    std::fs::write(file, rows.text).map_err(|error| format!("{file}: {error}"))?;
    println!("{}\nWritten: {file}", proc::machine());
    Ok(())
}

struct Rows {
    text: String,
    time: Duration,
    rounds: usize,
}

impl Rows {
    fn row(&mut self, panel: &str, line: &str, x: usize, micros: f64, unit: &str) {
        eprintln!("{panel}, {line}: {x}: {micros:.1} µs per {unit}");
        let _ = writeln!(self.text, "{panel}/{line},{x},{micros:.3},{unit}");
    }

    /// Chunks of streams at once: about 4000 chunks a second, however many they are.
    async fn streams(&mut self, targets: &[Target]) -> Result<(), (String, io::Error)> {
        const NAME: &str = "concurrent streams";
        for count in [1, 4, 16, 64, 256, 1024, 4096] {
            // Two for each stream here, and two in the target.
            if 2 * count + 300 > proc::descriptors() {
                println!(
                    "Only {} descriptors: not {count} streams.",
                    proc::descriptors()
                );
                continue;
            }
            let pause = (count * 250).max(5000);
            let model = format!("openai/stream-10000000-{pause}");
            let body = json!({
                "model": model, "stream": true,
                "messages": [{"role": "user", "content": text(500)}],
            });
            // Each has several chunks in that time.
            let time = self.time.max(Duration::from_micros(2 * pause as u64));
            for target in targets {
                let call = Call {
                    address: target.streams,
                    request: post(CHAT, &body),
                    chunks: Some(10_000_000),
                };
                let at = |error| (format!("{NAME}, {count}, {}", target.name), error);
                let mut streams = Streams::open(&call, count).await.map_err(at)?;
                let mut all = Vec::new();
                for _ in 0..self.rounds {
                    all.push(streams.watch(target, time).await.map_err(at)?.micros());
                }
                drop(streams);
                settle().await;
                self.row(NAME, &target.name, count, median(&all), "chunk");
            }
        }
        Ok(())
    }

    async fn sweep(
        &mut self,
        sweep: &Sweep,
        targets: &[Target],
    ) -> Result<(), (String, io::Error)> {
        for size in sweep.sizes {
            for target in targets {
                let lines = [
                    ("", "openai/whole", true),
                    (
                        " to Anthropic",
                        "anthropic/whole",
                        sweep.is_translated && target.kind == Kind::Gateway,
                    ),
                ];
                for (suffix, model, _) in lines.iter().filter(|(.., wanted)| *wanted) {
                    let line = format!("{}{suffix}", target.name);
                    let call = Call {
                        address: target.whole,
                        request: post(CHAT, &(sweep.body)(model, *size)),
                        chunks: None,
                    };
                    let at = |error| (format!("{}, {size}, {line}", sweep.name), error);
                    closed(target, &call, 4, self.time / 5).await.map_err(at)?;
                    let mut all = Vec::new();
                    for _ in 0..self.rounds {
                        let round = closed(target, &call, 4, self.time).await.map_err(at)?;
                        all.push(round.micros());
                    }
                    self.row(sweep.name, &line, *size, median(&all), "request");
                }
            }
        }
        Ok(())
    }
}
