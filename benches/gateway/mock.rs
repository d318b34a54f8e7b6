//! The provider: all three dialects, as cheap as they can be had. The model's name says what it
//! does: `whole`, or `stream-<chunks>-<microseconds between them>`.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use memchr::memmem;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, sleep_until};

use crate::http::{Body, chunk, field, wrong};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;

/// How much of a body is looked at for the model's name.
const LOOKED_AT: usize = 4096;

/// Text of a whole answer, so that it has about 1 KB.
const LONG: &str = "The quick brown fox jumps over the lazy dog. ";

/// What one dialect is answered with.
struct Script {
    whole: Vec<u8>,
    /// Head and first events of a stream.
    first: Vec<u8>,
    chunk: Vec<u8>,
    last: Vec<u8>,
}

struct Scripts {
    chat: Script,
    responses: Script,
    messages: Script,
}

/// Starts it on a thread of its own, which ends with the process.
///
/// # Errors
///
/// Where the port cannot be had.
pub fn start(port: u16) -> io::Result<SocketAddr> {
    let (send, receive) = std::sync::mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::spawn(move || {
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            let listening = || {
                let socket = TcpSocket::new_v4()?;
                socket.set_reuseaddr(true)?;
                socket.bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
                let listener = socket.listen(BACKLOG)?;
                Ok::<_, io::Error>((listener.local_addr()?, listener))
            };
            match listening() {
                Err(error) => drop(send.send(Err(error))),
                Ok((address, listener)) => {
                    let _ = send.send(Ok(address));
                    accept(listener).await;
                }
            }
        });
    });
    receive.recv().map_err(io::Error::other)?
}

async fn accept(listener: TcpListener) {
    let scripts = Rc::new(Scripts {
        chat: chat(),
        responses: responses(),
        messages: messages(),
    });
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let scripts = Rc::clone(&scripts);
            tokio::task::spawn_local(async move {
                // Who leaves within a stream leaves on purpose; who loses an answer sees it itself.
                let _ = connection(stream, &scripts).await;
            });
        }
    }
}

async fn connection(mut stream: TcpStream, scripts: &Scripts) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(1 << 16);
    loop {
        buffer.clear();
        let end = loop {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            if let Some(at) = memmem::find(&buffer, b"\r\n\r\n") {
                break at + 4;
            }
        };
        let mut body = Body::of(&buffer[..end])?;
        let script = match path(&buffer) {
            path if path.ends_with(b"/chat/completions") => &scripts.chat,
            path if path.ends_with(b"/responses") => &scripts.responses,
            path if path.ends_with(b"/messages") => &scripts.messages,
            _ => return Err(wrong("path")),
        };
        if field(&buffer[..end], "expect").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let mut seen = Vec::with_capacity(LOOKED_AT);
        let mut look = |data: &[u8]| {
            let room = LOOKED_AT.saturating_sub(seen.len()).min(data.len());
            seen.extend_from_slice(&data[..room]);
        };
        let mut ended = body.feed(&buffer[end..], &mut look)?;
        while ended.is_none() {
            buffer.clear();
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            ended = body.feed(&buffer, &mut look)?;
        }
        match Act::of(&seen).ok_or_else(|| wrong("model"))? {
            Act::Whole => stream.write_all(&script.whole).await?,
            Act::Stream(chunks, pause) => play(&mut stream, script, chunks, pause).await?,
        }
    }
}

fn path(head: &[u8]) -> &[u8] {
    head.split(|byte| *byte == b' ').nth(1).unwrap_or_default()
}

/// What a model does.
enum Act {
    Whole,
    /// So many chunks, with pauses between them.
    Stream(u32, Duration),
}

impl Act {
    /// What the model's name in the first bytes of a body asks for.
    fn of(body: &[u8]) -> Option<Self> {
        let after = body.get(memmem::find(body, b"\"model\"")? + 7..)?;
        let name = after.split(|byte| *byte == b'"').nth(1)?;
        let name = name.rsplit(|byte| *byte == b'/').next()?;
        let mut words = std::str::from_utf8(name).ok()?.split('-');
        match words.next()? {
            "whole" => Some(Self::Whole),
            "stream" => {
                let chunks = words.next()?.parse().ok()?;
                let pause = Duration::from_micros(words.next()?.parse().ok()?);
                Some(Self::Stream(chunks, pause))
            }
            _ => None,
        }
    }
}

async fn play(
    stream: &mut TcpStream,
    script: &Script,
    chunks: u32,
    pause: Duration,
) -> io::Result<()> {
    stream.write_all(&script.first).await?;
    let start = Instant::now();
    for number in 1..=chunks {
        if !pause.is_zero() {
            sleep_until(start + pause * number).await;
        }
        stream.write_all(&script.chunk).await?;
    }
    stream.write_all(&script.last).await
}

const STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

fn whole(body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// Events whose names are their types, in one chunk.
fn named(events: &[Value]) -> Vec<u8> {
    let events = events.iter().map(|event| {
        let name = event["type"].as_str().unwrap_or_default();
        format!("event: {name}\ndata: {event}\n\n")
    });
    chunk(&events.collect::<String>())
}

fn script(whole: Vec<u8>, first: &[u8], chunk: Vec<u8>, last: &[u8]) -> Script {
    Script {
        whole,
        first: [STREAM.as_bytes(), first].concat(),
        chunk,
        last: [last, b"0\r\n\r\n"].concat(),
    }
}

fn chat() -> Script {
    let event = |delta: Value, finish_reason: Value| {
        let data = json!({
            "id": "chatcmpl-BenchmarkOfTheGateway00001", "object": "chat.completion.chunk",
            "created": 1_700_000_000, "model": "gpt-bench", "service_tier": "default",
            "system_fingerprint": "fp_0123456789",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        });
        format!("data: {data}\n\n")
    };
    let answer = json!({
        "id": "chatcmpl-BenchmarkOfTheGateway00001", "object": "chat.completion",
        "created": 1_700_000_000, "model": "gpt-bench", "system_fingerprint": "fp_0123456789",
        "choices": [{
            "index": 0, "finish_reason": "stop", "logprobs": null,
            "message": {"role": "assistant", "content": LONG.repeat(14), "refusal": null},
        }],
        "usage": {"prompt_tokens": 200, "completion_tokens": 140, "total_tokens": 340},
    });
    let end = event(json!({}), json!("stop")) + "data: [DONE]\n\n";
    script(
        whole(&answer),
        &chunk(&event(
            json!({"role": "assistant", "content": ""}),
            Value::Null,
        )),
        chunk(&event(json!({"content": " there"}), Value::Null)),
        &chunk(&end),
    )
}

fn messages() -> Script {
    let usage = json!({"input_tokens": 200, "output_tokens": 140});
    let answer = json!({
        "id": "msg_BenchmarkOfTheGateway", "type": "message", "role": "assistant",
        "model": "claude-bench", "content": [{"type": "text", "text": LONG.repeat(16)}],
        "stop_reason": "end_turn", "stop_sequence": null, "usage": usage,
    });
    let mut begun = answer.clone();
    (begun["content"], begun["stop_reason"]) = (json!([]), Value::Null);
    script(
        whole(&answer),
        &named(&[
            json!({"type": "message_start", "message": begun}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ]),
        named(&[
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " there"}}),
        ]),
        &named(&[
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": usage}),
            json!({"type": "message_stop"}),
        ]),
    )
}

fn responses() -> Script {
    let item = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": LONG.repeat(14), "annotations": [], "logprobs": []}],
    });
    let answer = json!({
        "id": "resp_BenchmarkOfTheGateway", "object": "response", "created_at": 1_700_000_000,
        "status": "completed", "model": "gpt-bench", "output": [item], "error": null,
        "incomplete_details": null, "instructions": null, "metadata": {}, "tools": [],
        "parallel_tool_calls": true, "tool_choice": "auto", "temperature": 1.0, "top_p": 1.0,
        "usage": {
            "input_tokens": 200, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 140,
            "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 340,
        },
    });
    let mut begun = answer.clone();
    (begun["status"], begun["output"], begun["usage"]) =
        (json!("in_progress"), json!([]), Value::Null);
    script(
        whole(&answer),
        &named(&[json!({"type": "response.created", "sequence_number": 0, "response": begun})]),
        named(&[json!({
            "type": "response.output_text.delta", "sequence_number": 1, "item_id": "msg_1",
            "output_index": 0, "content_index": 0, "delta": " there", "logprobs": [],
        })]),
        &named(&[json!({"type": "response.completed", "sequence_number": 2, "response": answer})]),
    )
}
