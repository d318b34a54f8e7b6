//! A small HTTP/1.1 server that follows a script exactly, down to the bytes.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 256 << 10;

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
pub struct ReceivedRequest {
    /// The method.
    pub method: String,
    /// The path and query.
    pub path: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The number of the connection, from 0.
    pub connection: usize,
}

impl ReceivedRequest {
    /// A header's value, by its name in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null if it is not JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// One step of a script.
#[derive(Debug, Clone)]
pub enum Step {
    /// Writes these bytes and flushes them.
    Write(Vec<u8>),
    /// Pauses.
    Pause(Duration),
    /// Waits until the peer closes, like a provider that hangs.
    Hang,
    /// Closes the connection in an orderly way.
    Close,
    /// Closes the connection with a reset.
    Reset,
}

/// The script of a response.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// The steps, in order. After the last, the connection waits for the next request.
    pub steps: Vec<Step>,
}

impl Script {
    /// A complete JSON response.
    #[must_use]
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::whole(
            status,
            &[("content-type", "application/json")],
            &body.to_string(),
        )
    }

    /// A complete response with these headers and a `content-length`.
    #[must_use]
    pub fn whole(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let mut head = format!(
            "HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        Self {
            steps: vec![Step::Write(format!("{head}\r\n{body}").into_bytes())],
        }
    }

    /// The head of an event stream in chunked encoding.
    #[must_use]
    pub fn stream() -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        Self {
            steps: vec![Step::Write(head.as_bytes().to_vec())],
        }
    }

    /// A response of exactly these bytes.
    #[must_use]
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            steps: vec![Step::Write(bytes.into())],
        }
    }

    /// Adds a step.
    #[must_use]
    pub fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Adds one chunk of the body.
    #[must_use]
    pub fn chunk(self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.then(Step::Write(chunk))
    }

    /// Adds one event in a chunk, after a short pause.
    #[must_use]
    pub fn event(self, name: Option<&str>, data: &str) -> Self {
        let mut event = Vec::new();
        crate::codec::sse::write(&mut event, name, data);
        self.then(Step::Pause(BETWEEN_EVENTS)).chunk(event)
    }

    /// Ends a chunked body.
    #[must_use]
    pub fn end(self) -> Self {
        self.then(Step::Write(b"0\r\n\r\n".to_vec()))
    }
}

/// The pause before each event.
const BETWEEN_EVENTS: Duration = Duration::from_millis(2);

/// What the server has counted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Accepted connections.
    pub connections: usize,
    /// Requests that arrived completely.
    pub requests: usize,
    /// Requests whose script ran to its end.
    pub answered: usize,
    /// Requests whose peer closed the connection before that.
    pub left: usize,
}

type Answer = dyn Fn(&ReceivedRequest) -> Script + Send + Sync;

struct ScriptedState {
    answer: Box<Answer>,
    seen: Mutex<Vec<ReceivedRequest>>,
    counts: watch::Sender<Counts>,
}

/// A running server on its own thread; dropping it stops the server.
pub struct Scripted {
    address: SocketAddr,
    inner: Arc<ScriptedState>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Scripted {
    /// Starts a server on a free loopback port.
    ///
    /// # Errors
    /// If no port or no thread is available.
    pub fn start(
        answer: impl Fn(&ReceivedRequest) -> Script + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::start_at(([127, 0, 0, 1], 0).into(), answer)
    }

    /// Starts a server at an address, such as one that restarts.
    ///
    /// # Errors
    /// If the address is in use, or no thread is available.
    pub fn start_at(
        address: SocketAddr,
        answer: impl Fn(&ReceivedRequest) -> Script + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let inner = Arc::new(ScriptedState {
            answer: Box::new(answer),
            seen: Mutex::new(Vec::new()),
            counts: watch::Sender::new(Counts::default()),
        });
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let shared = Arc::clone(&inner);
        let thread = std::thread::Builder::new()
            .name("scripted".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = accept(listener, shared) => {}
                        _ = stopped => {}
                    }
                });
            })?;
        Ok(Self {
            address,
            inner,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The server's URL, as in `http://127.0.0.1:40000`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far, in order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        let seen = self.inner.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The current counts.
    #[must_use]
    pub fn counts(&self) -> Counts {
        *self.inner.counts.borrow()
    }

    /// Waits until the counts satisfy `reached`.
    pub async fn until(&self, reached: impl FnMut(&Counts) -> bool) {
        let mut counts = self.inner.counts.subscribe();
        // The sender lives as long as `self`, so that waiting cannot fail.
        let _ = counts.wait_for(reached).await;
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: std::net::TcpListener, inner: Arc<ScriptedState>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    let mut number = 0;
    while let Ok((stream, _)) = listener.accept().await {
        inner.counts.send_modify(|counts| counts.connections += 1);
        let _ = stream.set_nodelay(true);
        tokio::spawn(connection(stream, Arc::clone(&inner), number));
        number += 1;
    }
}

async fn connection(mut stream: TcpStream, inner: Arc<ScriptedState>, number: usize) {
    let mut buffer = Vec::new();
    while let Ok(Some(mut request)) = read_request(&mut stream, &mut buffer).await {
        request.connection = number;
        let script = (inner.answer)(&request);
        inner
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request);
        inner.counts.send_modify(|counts| counts.requests += 1);
        let played = play(&mut stream, script).await;
        inner.counts.send_modify(|counts| match played {
            ScriptOutcome::Left => counts.left += 1,
            ScriptOutcome::Answered | ScriptOutcome::Closed => counts.answered += 1,
        });
        if played != ScriptOutcome::Answered {
            return;
        }
    }
}

#[derive(PartialEq, Eq)]
enum ScriptOutcome {
    Answered,
    Closed,
    Left,
}

async fn play(stream: &mut TcpStream, script: Script) -> ScriptOutcome {
    for step in script.steps {
        match step {
            Step::Write(bytes) => {
                if stream.write_all(&bytes).await.is_err() || stream.flush().await.is_err() {
                    return ScriptOutcome::Left;
                }
            }
            Step::Pause(time) => {
                let mut byte = [0];
                tokio::select! {
                    () = tokio::time::sleep(time) => {}
                    read = stream.peek(&mut byte) => {
                        if !matches!(read, Ok(1..)) {
                            return ScriptOutcome::Left;
                        }
                    }
                }
            }
            Step::Hang => {
                let mut byte = [0];
                while let Ok(1..) = stream.read(&mut byte).await {}
                return ScriptOutcome::Left;
            }
            Step::Close => {
                let _ = stream.shutdown().await;
                return ScriptOutcome::Closed;
            }
            Step::Reset => {
                let _ = stream.set_zero_linger();
                return ScriptOutcome::Closed;
            }
        }
    }
    ScriptOutcome::Answered
}

async fn read_request(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<ReceivedRequest>> {
    let end = loop {
        if let Some(at) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            break at + 4;
        }
        if buffer.len() > MAX_HEAD || stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head: Vec<u8> = buffer.drain(..end).collect();
    let head = String::from_utf8_lossy(&head);
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let mut request = ReceivedRequest {
        method: first.next().unwrap_or_default().to_owned(),
        path: first.next().unwrap_or_default().to_owned(),
        ..ReceivedRequest::default()
    };
    for line in lines {
        if let Some((name, value)) = line.split_once(':') {
            request
                .headers
                .push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let length: usize = request
        .header("content-length")
        .and_then(|value| value.parse().ok())
        .unwrap_or(0);
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    request.body = buffer.drain(..length).collect();
    Ok(Some(request))
}
