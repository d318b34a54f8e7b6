//! The provider: the model's name says what it does. Names it does not know are answered as the
//! library's scripted providers answer. Its own server, because it counts what is open, writes
//! streams without end piece by piece, and lets thousands connect at once.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use ai_gateway::scripted::{self, ReceivedRequest, Step};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::sleep;

/// What is under way.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections that are open.
    pub connections: AtomicUsize,
    /// Requests that arrived and are not done with.
    pub under_way: AtomicUsize,
    /// Streams of which an event was written, and not the last.
    pub streaming: AtomicUsize,
    /// Bytes written to floods.
    pub flooded: AtomicU64,
}

/// One more, until it is dropped.
struct One<'c>(&'c AtomicUsize);

impl<'c> One<'c> {
    fn more(count: &'c AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for One<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a model does.
enum Act {
    /// `whole-<ms>`: answers whole after a while.
    DecodedBody(Duration),
    /// `stream-<events>-<ms>`: so many events, with pauses between them.
    Stream(u64, Duration),
    /// `flood-<bytes>-<events>`: a stream about that long, as fast as it is read, so many events of
    /// 1 KB in each piece.
    Flood(u64, usize),
    /// `cut-<events>`: a stream that breaks off after so many.
    Cut(u64),
    /// `short`: a whole answer that breaks off.
    Short,
    /// `reset`: resets the connection at once.
    Reset,
    /// `fails-<status>`: an error.
    Fails(u64),
    /// `hang`: says nothing until the other side leaves.
    Hang,
}

impl Act {
    fn of(model: &str) -> Option<Self> {
        let mut words = model.split('-');
        let kind = words.next()?;
        let mut number = || words.next()?.parse::<u64>().ok();
        Some(match kind {
            "whole" => Self::DecodedBody(Duration::from_millis(number()?)),
            "stream" => Self::Stream(number()?, Duration::from_millis(number()?)),
            "flood" => Self::Flood(number()?, usize::try_from(number()?).ok()?),
            "cut" => Self::Cut(number()?),
            "short" => Self::Short,
            "reset" => Self::Reset,
            "fails" => Self::Fails(number()?),
            "hang" => Self::Hang,
            _ => return None,
        })
    }
}

/// A server that runs until it is dropped, on a thread of its own.
pub struct Upstream {
    pub counts: Arc<Counts>,
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

impl Upstream {
    pub fn start() -> io::Result<Self> {
        let counts = Arc::new(Counts::default());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (send, receive) = std::sync::mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let shared = Arc::clone(&counts);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let listening = || {
                    let socket = TcpSocket::new_v4()?;
                    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
                    let listener = socket.listen(BACKLOG)?;
                    Ok::<_, io::Error>((listener.local_addr()?, listener))
                };
                match listening() {
                    Err(error) => drop(send.send(Err(error))),
                    Ok((address, listener)) => {
                        let _ = send.send(Ok(address));
                        tokio::select! {
                            () = accept(listener, shared) => {}
                            _ = stopped => {}
                        }
                    }
                }
            });
        });
        Ok(Self {
            counts,
            address: receive.recv().map_err(io::Error::other)??,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where one provider is.
    pub fn base_url(&self, provider: &str) -> String {
        format!("http://{}/{provider}", self.address)
    }

    pub fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::Acquire)
    }

    pub fn under_way(&self) -> usize {
        self.counts.under_way.load(Ordering::Acquire)
    }

    pub fn streaming(&self) -> usize {
        self.counts.streaming.load(Ordering::Acquire)
    }

    pub fn flooded(&self) -> u64 {
        self.counts.flooded.load(Ordering::Acquire)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, counts: Arc<Counts>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let counts = Arc::clone(&counts);
        tokio::spawn(async move {
            let _one = One::more(&counts.connections);
            // What the gateway did not wait for is no failure of this side.
            let _ = connection(stream, &counts).await;
        });
    }
}

async fn connection(mut stream: TcpStream, counts: &Counts) -> io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(request) = read(&mut stream, &mut buffer).await? {
        let _one = One::more(&counts.under_way);
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let act = body["model"].as_str().and_then(Act::of);
        let goes_on = match act {
            Some(act) => play(&mut stream, act, counts).await?,
            None => scripted(&mut stream, &request).await?,
        };
        if !goes_on {
            break;
        }
    }
    Ok(())
}

/// The next request; `None` where the other side closed instead.
async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<ReceivedRequest>> {
    let end = loop {
        if let Some(at) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(buffer).await? == 0 {
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
            let header = (name.to_ascii_lowercase(), value.trim().to_owned());
            request.headers.push(header);
        }
    }
    let length = request
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

const STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const DONE: &str = "data: [DONE]\n\n";

/// One event of a stream.
fn event(text: &str, finish_reason: Option<&str>) -> String {
    let data = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}],
    });
    format!("data: {data}\n\n")
}

/// One chunk of a body.
fn chunk(data: &str) -> Vec<u8> {
    format!("{:x}\r\n{data}\r\n", data.len()).into_bytes()
}

fn whole(status: u64, body: &Value, missing: usize) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len() + missing;
    format!("HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn completion() -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    })
}

/// Does what the model does; true where the connection can take another request.
async fn play(stream: &mut TcpStream, act: Act, counts: &Counts) -> io::Result<bool> {
    match act {
        Act::DecodedBody(after) => {
            if !pause(stream, after).await? {
                return Ok(false);
            }
            stream.write_all(&whole(200, &completion(), 0)).await?;
        }
        Act::Stream(events, gap) => {
            stream.write_all(STREAM.as_bytes()).await?;
            stream.write_all(&chunk(&event("hello", None))).await?;
            let _one = One::more(&counts.streaming);
            for _ in 1..events {
                if !pause(stream, gap).await? {
                    return Ok(false);
                }
                stream.write_all(&chunk(&event(" there", None))).await?;
            }
            end(stream).await?;
        }
        Act::Flood(bytes, events) => {
            stream.write_all(STREAM.as_bytes()).await?;
            let some = event(&"flood ".repeat(145), None).repeat(events);
            let (length, some) = (some.len() as u64, chunk(&some));
            let mut written = 0;
            while written < bytes {
                stream.write_all(&some).await?;
                written += length;
                counts.flooded.fetch_add(length, Ordering::AcqRel);
            }
            end(stream).await?;
        }
        Act::Cut(events) => {
            stream.write_all(STREAM.as_bytes()).await?;
            for _ in 0..events {
                stream.write_all(&chunk(&event(" there", None))).await?;
            }
            stream.shutdown().await?;
            return Ok(false);
        }
        Act::Short => {
            stream.write_all(&whole(200, &completion(), 50)).await?;
            stream.shutdown().await?;
            return Ok(false);
        }
        Act::Reset => {
            stream.set_zero_linger()?;
            return Ok(false);
        }
        Act::Fails(status) => {
            let error =
                json!({"error": {"message": "scripted", "type": "x", "param": null, "code": null}});
            stream.write_all(&whole(status, &error, 0)).await?;
        }
        Act::Hang => {
            while stream.read(&mut [0; 64]).await? > 0 {}
            return Ok(false);
        }
    }
    Ok(true)
}

/// The end of a good stream.
async fn end(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(&chunk(&event("", Some("stop")))).await?;
    stream.write_all(&chunk(DONE)).await?;
    stream.write_all(b"0\r\n\r\n").await
}

/// Pauses; false where the other side left meanwhile.
async fn pause(stream: &TcpStream, time: Duration) -> io::Result<bool> {
    let mut byte = [0];
    tokio::select! {
        () = sleep(time) => Ok(true),
        read = stream.peek(&mut byte) => Ok(read? > 0),
    }
}

/// Answers as the library's scripted providers do.
async fn scripted(stream: &mut TcpStream, request: &ReceivedRequest) -> io::Result<bool> {
    for step in scripted::answer(request).steps {
        match step {
            Step::Write(bytes) => stream.write_all(&bytes).await?,
            Step::Pause(time) => {
                if !pause(stream, time).await? {
                    return Ok(false);
                }
            }
            Step::Hang | Step::Close | Step::Reset => return Ok(false),
        }
    }
    Ok(true)
}
