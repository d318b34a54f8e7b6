//! The real binary as a child process.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use ai_gateway::providers::PROVIDERS;
use ai_gateway::scripted::{Scripted, base_url};

use super::PATIENCE;

/// The binary in an empty folder with an empty environment.
pub fn gateway(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ai-gateway"));
    command.args(arguments).env_clear().current_dir(empty());
    // Where the system's roots are is part of the machine, not of the test.
    for name in ["SSL_CERT_FILE", "SSL_CERT_DIR", "PATH"] {
        if let Ok(value) = std::env::var(name) {
            command.env(name, value);
        }
    }
    command.envs(variables.iter().copied());
    command
}

pub fn empty() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("empty");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

pub fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    gateway(arguments, variables).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A child that is killed with the test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts serving on a free port; gives the lines of its log up to the one with `last`.
pub fn serve(variables: &[(&str, &str)], last: &str) -> (Running, Vec<String>) {
    let mut served = Served::start(variables);
    served.log_until(last);
    (served.child, served.lines)
}

/// A gateway that serves, and what it logs.
pub struct Served {
    pub child: Running,
    pub lines: Vec<String>,
    log: mpsc::Receiver<String>,
}

impl Served {
    /// Serves on a free port.
    pub fn start(variables: &[(&str, &str)]) -> Self {
        let mut all = vec![("HOST", "127.0.0.1"), ("PORT", "0")];
        all.extend_from_slice(variables);
        let mut child = gateway(&[], &all).stderr(Stdio::piped()).spawn().unwrap();
        let reader = BufReader::new(child.stderr.take().unwrap());
        let (send, log) = mpsc::channel();
        std::thread::spawn(move || {
            for line in reader.lines().map_while(Result::ok) {
                // What is said after the test does not matter.
                let _ = send.send(line);
            }
        });
        Self {
            child: Running(child),
            lines: Vec::new(),
            log,
        }
    }

    /// The same with every provider at `server`, each below its own path; ready to be asked.
    pub fn before(server: &Scripted, variables: &[(&str, &str)]) -> Self {
        let urls: Vec<_> = PROVIDERS
            .iter()
            .map(|provider| (provider.base_url_env, base_url(server, provider)))
            .collect();
        let mut all: Vec<_> = urls
            .iter()
            .map(|(name, url)| (*name, url.as_str()))
            .collect();
        all.extend_from_slice(variables);
        let mut served = Self::start(&all);
        served.log_until("docs at");
        served
    }

    /// Waits for a line of the log with `text`, and gives it.
    pub fn log_until(&mut self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.log.recv_timeout(left).unwrap_or_else(|_| {
                panic!("no line with {text:?}; it said:\n{}", self.lines.join("\n"))
            });
            self.lines.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", port(&self.lines))
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Sends a signal, as in `TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.0.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end: the exit code, and all that it logged.
    pub fn end(mut self) -> (Option<i32>, String) {
        let until = Instant::now() + PATIENCE;
        let code = loop {
            if let Some(status) = self.child.0.try_wait().unwrap() {
                break status.code();
            }
            assert!(Instant::now() < until, "it goes on");
            std::thread::yield_now();
        };
        self.lines.extend(self.log.iter());
        (code, self.lines.join("\n"))
    }

    /// The most memory that it had at once, in KB.
    pub fn peak_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.0.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.unwrap().parse().unwrap()
    }
}

pub fn port(lines: &[String]) -> u16 {
    let line = lines
        .iter()
        .find(|line| line.contains("listening on http"))
        .unwrap();
    let (_, port) = line.rsplit_once(':').unwrap();
    let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}
