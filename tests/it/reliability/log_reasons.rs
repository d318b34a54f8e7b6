//! Why a request failed, as its line in the log says it: each reason once, with the times of its
//! phases.

use crate::rig::PATIENCE;
use crate::rig::faults::{DELTA, DONE, FINISH, completion, hello, read_until, until};
use crate::rig::process::Served;
use ai_gateway::scripted::{ReceivedRequest, Script, Scripted, Step};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// A provider for each reason, by the path that the gateway has it under.
fn provider() -> Scripted {
    Scripted::start(|request: &ReceivedRequest| {
        let streamed = request.json()["stream"] == true;
        let path = request.path.trim_start_matches('/');
        match path.split('/').next().unwrap_or_default() {
            "openai" if streamed => {
                let whole = Script::stream().chunk(DELTA).chunk(FINISH);
                whole.chunk(DONE).end()
            }
            "openai" => completion(),
            "mistral" => Script::stream().chunk(DELTA).then(Step::Hang),
            "xai" => {
                let piece = DELTA.replace("Hi", &"x".repeat(14 << 10));
                let flood = Script::stream();
                (0..2000).fold(flood, |flood, _| flood.chunk(&piece))
            }
            _ => Script::default().then(Step::Hang),
        }
    })
    .unwrap()
}

/// Sends a request with this id and leaves its connection to the caller.
async fn send(served: &Served, id: &str, body: &str, length: usize) -> TcpStream {
    let mut stream = TcpStream::connect(served.address()).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\nX-Request-Id: {id}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// The line of the request with this id.
fn line(served: &mut Served, id: &str) -> Value {
    let named = format!("\"request_id\":\"{id}\"");
    let had = served.lines.iter().find(|line| line.contains(&named));
    let line = match had {
        Some(line) => line.clone(),
        None => served.log_until(&named),
    };
    serde_json::from_str(&line).unwrap()
}

#[actix_web::test]
async fn each_reason_is_in_its_line_with_the_times_of_its_phases() {
    let server = provider();
    // It takes connections and never answers the TLS handshake.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mute = format!("https://{}", mute.local_addr().unwrap());
    let served = &mut Served::before(
        &server,
        &[
            ("LOG_FORMAT", "json"),
            ("METRICS_KEY", "metrics-key"),
            ("COHERE_BASE_URL", &mute),
            ("UPSTREAM_MAX_RETRIES", "0"),
            ("UPSTREAM_MAX_IN_FLIGHT", "1"),
            ("UPSTREAM_MAX_WAITING", "1"),
            ("UPSTREAM_WAIT_TIMEOUT_MS", "1500"),
            ("REQUEST_TIMEOUT_SECS", "3"),
            ("FIRST_EVENT_TIMEOUT_SECS", "1"),
            ("IDLE_TIMEOUT_SECS", "1"),
            ("CONNECT_TIMEOUT_SECS", "1"),
            ("WRITE_TIMEOUT_SECS", "1"),
            ("BODY_TIMEOUT_SECS", "1"),
        ],
    );
    let mut open = Vec::new();
    // One after the other, as far as the line before a provider goes; the others beside them.
    for (id, model, stream) in [
        ("late-answer", "groq/x", false),
        ("late-slot", "groq/x", false),
        ("no-place", "groq/x", false),
        ("late-event", "deepseek/x", true),
        ("silence", "mistral/x", true),
        ("no-connection", "cohere/x", false),
        ("not-read", "xai/x", true),
        ("good", "gpt-4o", false),
        ("good-stream", "gpt-4o", true),
    ] {
        let body = hello(model, stream).to_string();
        let mut stream = send(served, id, &body, body.len()).await;
        match id {
            "late-answer" => until(&server, id, |counts| counts.requests == 1).await,
            "late-slot" => waits(served).await,
            "no-place" => read_until(&mut stream, "overloaded").await,
            // These two have one slot.
            "good" => read_until(&mut stream, "\"ok\"").await,
            _ => {}
        }
        open.push(stream);
    }
    open.push(send(served, "late-body", "{", 9000).await);
    // What the line says, null where it says nothing, and milliseconds from and to.
    for (id, expected, phases) in [
        (
            "late-answer",
            json!({"status": 504, "error": "upstream_timeout", "provider": "groq", "attempts": 1}),
            [("total_ms", 3000, 9000), ("wait_ms", 0, 1499)],
        ),
        (
            "late-slot",
            json!({"status": 503, "error": "overloaded", "provider": "groq", "attempts": 0}),
            [("total_ms", 1500, 9000), ("wait_ms", 1500, 9000)],
        ),
        (
            "no-place",
            json!({"status": 503, "error": "overloaded", "provider": "groq", "attempts": 0}),
            [("total_ms", 0, 9000), ("wait_ms", 0, 1499)],
        ),
        (
            "late-event",
            json!({"status": 504, "error": "upstream_first_event_timeout", "stream": true}),
            [("total_ms", 1000, 9000), ("wait_ms", 0, 1499)],
        ),
        (
            "silence",
            json!({"status": 200, "error": "upstream_idle_timeout", "stream": true}),
            [("total_ms", 1000, 9000), ("first_ms", 0, 999)],
        ),
        (
            "no-connection",
            json!({"status": 502, "error": "upstream_connect_timeout", "attempts": 1}),
            [("total_ms", 1000, 9000), ("wait_ms", 0, 1499)],
        ),
        (
            "not-read",
            json!({"status": 200, "error": "write_timeout", "stream": true}),
            [("total_ms", 1000, 9000), ("first_ms", 0, 999)],
        ),
        (
            "late-body",
            json!({"status": 408, "error": "request_timeout", "provider": null, "model": null}),
            [("total_ms", 1000, 9000), ("total_ms", 1000, 9000)],
        ),
        (
            "good",
            json!({"status": 200, "error": null, "stream": false, "attempts": 1}),
            [("total_ms", 0, 9000), ("first_ms", 0, 999)],
        ),
        (
            "good-stream",
            json!({"status": 200, "error": null, "stream": true, "attempts": 1}),
            [("total_ms", 0, 9000), ("first_ms", 0, 999)],
        ),
    ] {
        let had = line(served, id);
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&had[name], value, "{name} of {id} in {had}");
        }
        for (name, least, most) in phases {
            let ms = had[name].as_u64();
            let within = ms.is_some_and(|ms| (least..=most).contains(&ms));
            assert!(
                within,
                "{name} of {id} is {ms:?}, of {least} to {most} ms, in {had}"
            );
        }
        let begun = phases.iter().any(|(name, ..)| *name == "first_ms");
        assert_eq!(had["first_ms"].is_u64(), begun, "first_ms of {id} in {had}");
    }
    drop(open);
}

/// Waits until a call waits for a slot.
async fn waits(served: &Served) {
    let waiting = async {
        loop {
            let request = crate::rig::client().get(format!("{}/metrics", served.url()));
            let answer =
                crate::rig::Answer::read(request.bearer_auth("metrics-key").send().await.unwrap())
                    .await;
            if answer
                .text()
                .contains("gateway_waiting{provider=\"groq\"} 1\n")
            {
                return;
            }
        }
    };
    timeout(PATIENCE, waiting).await.expect("no call waits");
}
