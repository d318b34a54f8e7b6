//! The fault rig: a provider on raw sockets that answers, stalls, cuts and lies by script, a client
//! on raw sockets, and the scripts that several tests use.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ai_gateway::scripted::{Counts, Script, Scripted};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Gateway, PATIENCE, config};

pub fn hello(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]})
}

pub fn completion() -> Script {
    Script::json(
        200,
        &json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}]}),
    )
}

pub const DELTA: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n";
pub const FINISH: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
pub const DONE: &str = "data: [DONE]\n\n";

/// A server that answers the n-th request with the n-th script, and the last from then on.
pub fn in_turn(scripts: Vec<Script>) -> Scripted {
    let next = AtomicUsize::new(0);
    Scripted::start(move |_| {
        let at = next.fetch_add(1, Ordering::SeqCst).min(scripts.len() - 1);
        scripts[at].clone()
    })
    .unwrap()
}

pub fn gateway(server: &Scripted) -> Gateway {
    Gateway::start(config(server))
}

pub fn status(status: u16, headers: &[(&str, &str)]) -> Script {
    let mut all = vec![("content-type", "application/json")];
    all.extend_from_slice(headers);
    Script::whole(
        status,
        &all,
        r#"{"error":{"message":"busy","type":"x","param":null,"code":null}}"#,
    )
}

pub async fn until(server: &Scripted, what: &str, reached: impl FnMut(&Counts) -> bool) {
    timeout(PATIENCE, server.until(reached))
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen: {:?}", server.counts()));
}

/// The value of a metric line that begins so.
pub async fn metric(gateway: &Gateway, line: &str) -> Option<u64> {
    let answer = gateway.get("/metrics", Some("metrics-key")).await;
    let text = answer.text().to_owned();
    let found = text.lines().find(|had| had.starts_with(line))?;
    found.rsplit(' ').next()?.parse().ok()
}

/// Waits until a metric has this value.
pub async fn until_metric(gateway: &Gateway, line: &str, value: u64) {
    let mut last = None;
    let waiting = async {
        while last != Some(value) {
            last = metric(gateway, line).await;
        }
    };
    let waited = timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "{line} is {last:?} and not {value}");
}

/// Waits until nothing is under way any more, as `/metrics` tells it: the asking itself is one. How
/// long that took.
pub async fn at_rest(gateway: &Gateway) -> Duration {
    let begun = Instant::now();
    let waiting = async {
        loop {
            let text = gateway.get("/metrics", Some("metrics-key")).await;
            let (of_providers, busy): (Vec<_>, Vec<_>) = text
                .text()
                .lines()
                .filter(|line| {
                    line.starts_with("gateway_in_flight{") || line.starts_with("gateway_waiting{")
                })
                .partition(|line| line.ends_with(" 0"));
            assert!(!of_providers.is_empty(), "not shown: {}", text.text());
            let only_this = text.text().contains("gateway_requests_in_flight 1\n");
            if busy.is_empty() && only_this {
                return;
            }
        }
    };
    timeout(PATIENCE, waiting)
        .await
        .expect("the counters do not return to zero");
    begun.elapsed()
}

/// The head of a chat request whose body has so many bytes.
pub fn head(length: usize) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// The bytes of a chat request.
pub fn post(body: &Value) -> String {
    let body = body.to_string();
    head(body.len()) + &body
}

pub async fn open(gateway: &Gateway, body: &Value) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.write_all(post(body).as_bytes()).await.unwrap();
    stream
}

pub async fn read_until(stream: &mut TcpStream, text: &str) {
    let mut seen = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&seen).contains(text) {
            assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0, "closed");
        }
    };
    timeout(PATIENCE, reading)
        .await
        .expect("the text did not come");
}
