//! The real binary as a child, and what the kernel says of it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use ai_gateway::providers::PROVIDERS;
use tokio::time::{Instant, sleep};

use crate::client::{METRICS_KEY, ask, chat};
use crate::upstream::Upstream;

/// How long anything may take that has no bound of its own.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often a condition is looked at.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Waits until something holds; false where it did not in time.
pub async fn until(within: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + within;
    while !holds() {
        if Instant::now() > end {
            return false;
        }
        sleep(BETWEEN_LOOKS).await;
    }
    true
}

/// Waits until something stays as it is for a while; false where it did not in time.
pub async fn settled<T: PartialEq>(within: Duration, mut look: impl FnMut() -> T) -> bool {
    let (mut last, mut since) = (look(), Instant::now());
    until(within, || {
        let now = look();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_millis(500)
    })
    .await
}

/// What the kernel counts of a process. Memory in KiB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    pub rss: usize,
    pub highest_rss: usize,
    pub threads: usize,
    pub descriptors: usize,
}

/// What was logged.
#[derive(Debug, Default)]
pub struct Log {
    pub lines: AtomicUsize,
    pub panics: AtomicUsize,
    /// The first warnings and errors.
    pub first: Mutex<Vec<String>>,
}

/// How many warnings are kept to be shown.
const SHOWN: usize = 5;

impl Log {
    fn line(&self, line: &str) {
        self.lines.fetch_add(1, Ordering::Relaxed);
        let panicked = line.contains("panicked");
        if panicked {
            self.panics.fetch_add(1, Ordering::Relaxed);
        }
        if panicked || line.contains(" WARN ") || line.contains(" ERROR ") {
            let mut first = self.first.lock().unwrap();
            if first.len() < SHOWN {
                first.push(line.to_owned());
            }
        }
    }
}

/// A running gateway, killed when this is dropped.
pub struct Gateway {
    pub address: SocketAddr,
    pub log: Arc<Log>,
    child: Child,
}

impl Gateway {
    /// Starts one that may have `descriptors` open, all of its providers at `upstream`.
    pub fn start(upstream: &Upstream, descriptors: usize) -> Self {
        Self::start_with(upstream, descriptors, &[])
    }

    /// The same with more variables.
    pub fn start_with(upstream: &Upstream, descriptors: usize, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", r#"ulimit -n "$1" && exec "$2""#, "sh"])
            .arg(descriptors.to_string())
            .arg(env!("CARGO_BIN_EXE_ai-gateway"))
            // Its folder has no `.env`, and its environment nothing of this machine.
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .env_clear()
            .env("HOST", "127.0.0.1")
            .env("PORT", "0")
            .env("RUST_LOG", "info")
            .env("ACCESS_LOG", "off")
            .env("METRICS_KEY", METRICS_KEY)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        for provider in &PROVIDERS {
            command.env(provider.base_url_env, upstream.base_url(provider.name));
        }
        let mut child = command.spawn().expect("the gateway was built");
        let log = Arc::new(Log::default());
        let (send, receive) = mpsc::channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let reader = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("listening on http://") {
                    let _ = send.send(address.trim().parse());
                }
                reader.line(&line);
            }
        });
        let address = receive.recv_timeout(PATIENCE);
        if address.is_err() {
            let _ = child.kill();
        }
        Self {
            address: address
                .expect("the gateway says where it listens")
                .expect("an address"),
            log,
            child,
        }
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }

    pub fn used(&self) -> Used {
        let status = std::fs::read_to_string(self.proc("status")).unwrap_or_default();
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .and_then(|rest| rest.split_whitespace().next())
                .and_then(|number| number.parse().ok())
                .unwrap_or(0)
        };
        Used {
            rss: field("VmRSS:"),
            highest_rss: field("VmHWM:"),
            threads: field("Threads:"),
            descriptors: std::fs::read_dir(self.proc("fd")).map_or(0, Iterator::count),
        }
    }

    /// Descriptors that are open, but for those to the provider.
    pub fn own_descriptors(&self, upstream: &Upstream) -> usize {
        let all = self.used().descriptors;
        all.saturating_sub(upstream.connections())
    }

    /// Makes what is made once, on all threads; gives the descriptors that are its own when idle.
    pub async fn warm_up(&self, upstream: &Upstream) -> usize {
        for _ in 0..4 {
            for model in ["openai/whole-0", "groq/whole-0", "mistral/stream-2-1"] {
                let call = chat(model, model.contains("stream"));
                let outcome = ask(self.address, &call, PATIENCE).await;
                assert!(outcome.is_ok_and(|answer| answer.status == 200), "{model}");
            }
        }
        settled(PATIENCE, || self.own_descriptors(upstream)).await;
        self.own_descriptors(upstream)
    }

    /// Time on the processors so far.
    pub fn busy(&self) -> Duration {
        let stat = std::fs::read_to_string(self.proc("stat")).unwrap_or_default();
        // The name before the parenthesis may have spaces; user and system time are the 14th and
        // 15th field, in hundredths of a second.
        let after = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 = after
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Duration::from_millis(ticks * 10)
    }

    /// Whether it still runs.
    pub fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        let told = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(told.is_ok_and(|status| status.success()), "no kill");
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
