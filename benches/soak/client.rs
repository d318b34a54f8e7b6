//! The callers: HTTP/1.1 by hand, so that nothing is retried, pooled or hidden; and what became of
//! their calls.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// No connection.
    Refused,
    /// The connection was reset.
    Reset,
    /// It was closed before the head of an answer.
    Closed,
    /// It was closed inside an answer.
    Cut,
    /// What came is no HTTP.
    Garbled,
    /// Nothing came in time.
    Late,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// In lower case.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn has(&self, text: &str) -> bool {
        memchr::memmem::find(&self.body, text.as_bytes()).is_some()
    }

    /// Whether a stream of Chat Completions is complete.
    pub fn is_done(&self) -> bool {
        self.status == 200 && self.body.ends_with(b"data: [DONE]\n\n")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    }
}

pub type Outcome = Result<Answer, Lost>;

/// What shows how the providers are doing.
pub const METRICS_KEY: &str = "sk-metrics";

/// The bytes of a request.
pub fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let key = match path {
        "/metrics" => METRICS_KEY,
        _ => "sk-caller",
    };
    format!(
        "{method} {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n\
         {headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The bytes of a POST of JSON.
pub fn post(path: &str, body: &str) -> Vec<u8> {
    request("POST", path, "content-type: application/json\r\n", body)
}

/// A call of Chat Completions.
pub fn chat(model: &str, stream: bool) -> Vec<u8> {
    let body = format!(
        r#"{{"model":"{model}","stream":{stream},"messages":[{{"role":"user","content":"Hello"}}]}}"#
    );
    post("/v1/chat/completions", &body)
}

/// A call of Responses.
pub fn responses(model: &str, stream: bool) -> Vec<u8> {
    let body = format!(r#"{{"model":"{model}","stream":{stream},"store":false,"input":"Hello"}}"#);
    post("/v1/responses", &body)
}

/// A connection to the gateway.
pub struct Wire {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    pub async fn open(address: SocketAddr) -> Result<Self, Lost> {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| lost(&error, Lost::Refused))?;
        let _ = stream.set_nodelay(true);
        let buffer = Vec::new();
        Ok(Self { stream, buffer })
    }

    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        let sent = self.stream.write_all(bytes).await;
        sent.map_err(|error| lost(&error, Lost::Closed))
    }

    async fn more(&mut self, at_end: Lost) -> Result<(), Lost> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err(at_end),
            Ok(_) => Ok(()),
            Err(error) => Err(lost(&error, at_end)),
        }
    }

    /// Reads until something of an answer is there that ends with `text`.
    pub async fn until(&mut self, text: &str) -> Result<(), Lost> {
        while memchr::memmem::find(&self.buffer, text.as_bytes()).is_none() {
            self.more(Lost::Cut).await?;
        }
        Ok(())
    }

    async fn take_line(&mut self) -> Result<String, Lost> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.buffer, b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return String::from_utf8(line).map_err(|_| Lost::Garbled);
            }
            self.more(Lost::Cut).await?;
        }
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>, Lost> {
        while self.buffer.len() < length {
            self.more(Lost::Cut).await?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// The next answer.
    pub async fn answer(&mut self) -> Outcome {
        while memchr::memmem::find(&self.buffer, b"\r\n\r\n").is_none() {
            self.more(Lost::Closed).await?;
        }
        let mut head = String::new();
        loop {
            let line = self.take_line().await?;
            if line == "\r\n" {
                break;
            }
            head.push_str(&line.to_ascii_lowercase());
        }
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let mut answer = Answer {
            status: status.ok_or(Lost::Garbled)?,
            head,
            body: Vec::new(),
        };
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let line = self.take_line().await?;
                let length = usize::from_str_radix(line.trim(), 16).map_err(|_| Lost::Garbled)?;
                let data = self.take(length + 2).await?;
                if length == 0 {
                    return Ok(answer);
                }
                answer.body.extend_from_slice(&data[..length]);
            }
        }
        let length = answer.header("content-length").unwrap_or("0");
        let length = length.parse().map_err(|_| Lost::Garbled)?;
        answer.body = self.take(length).await?;
        Ok(answer)
    }

    /// Asks on this connection.
    pub async fn ask(&mut self, request: &[u8], within: Duration) -> Outcome {
        let asked = timeout(within, async {
            // It may have answered before it took everything.
            let sent = self.send(request).await;
            match self.answer().await {
                Err(lost) => Err(sent.err().unwrap_or(lost)),
                answered => answered,
            }
        });
        asked.await.unwrap_or(Err(Lost::Late))
    }
}

fn lost(error: &io::Error, otherwise: Lost) -> Lost {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Lost::Reset,
        _ => otherwise,
    }
}

/// Asks on a connection of its own.
pub async fn ask(address: SocketAddr, request: &[u8], within: Duration) -> Outcome {
    let asked = timeout(within, async {
        Wire::open(address).await?.ask(request, within).await
    });
    asked.await.unwrap_or(Err(Lost::Late))
}

/// What became of many calls.
#[derive(Debug, Default)]
pub struct CallCounts {
    pub answers: BTreeMap<u16, usize>,
    pub lost: BTreeMap<Lost, usize>,
    times: Vec<Duration>,
}

impl CallCounts {
    pub fn add(&mut self, outcome: &Outcome, took: Duration) {
        self.times.push(took);
        match outcome {
            Ok(answer) => *self.answers.entry(answer.status).or_default() += 1,
            Err(lost) => *self.lost.entry(*lost).or_default() += 1,
        }
    }

    pub fn calls(&self) -> usize {
        self.times.len()
    }

    pub fn with(&self, status: u16) -> usize {
        self.answers.get(&status).copied().unwrap_or(0)
    }

    /// The time within which so many of a hundred calls were over.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        let at = (times.len() * percent).div_ceil(100).saturating_sub(1);
        times.get(at).copied().unwrap_or_default()
    }
}

impl fmt::Display for CallCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls", self.calls())?;
        for (status, count) in &self.answers {
            write!(f, ", {count} × {status}")?;
        }
        for (lost, count) in &self.lost {
            write!(f, ", {count} × {lost:?}")?;
        }
        let (p50, p99) = (self.percentile(50), self.percentile(99));
        write!(f, ", p50 {}, p99 {}", millis(p50), millis(p99))
    }
}

/// A time as it is shown.
pub fn millis(time: Duration) -> String {
    if time < Duration::from_millis(10) {
        format!("{:.1} ms", time.as_secs_f64() * 1000.0)
    } else {
        format!("{} ms", time.as_millis())
    }
}
