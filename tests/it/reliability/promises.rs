//! What the gateway promises when everything else breaks: one test for each, with its figure.
//!
//! Promises 12 to 15, 22, 23, 25 and 26 are in `hostile.rs`, 24 in `tls.rs`; 17 and the large
//! figures of 8, 10, 16 and 18 in the soak (`cargo bench --bench soak`), 27 in the fuzz targets.

use std::fmt::Write as _;
use std::time::Duration;

use crate::rig::faults::{
    DELTA, DONE, FINISH, at_rest, completion, gateway, hello, in_turn, metric, open, read_until,
    status, until,
};
use crate::rig::process::Served;
use crate::rig::{Answer, Gateway, PATIENCE, client, config};
use ai_gateway::config::Config;
use ai_gateway::scripted::{self, ReceivedRequest, Script, Scripted, Step};
use futures_util::StreamExt;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

/// The deadline of most tests here.
const T: Duration = Duration::from_millis(400);

/// What an answer may take beyond its deadline. The promise is half a second on a machine with
/// nothing else to do; here all tests run at once.
const BEYOND: Duration = Duration::from_secs(3);

const BEGIN: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"x\"}}\n\n";
const SAID: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"in_progress\",\"output\":[]}}\n\n";
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

fn short(server: &Scripted) -> Config {
    let mut config = config(server);
    config.calls.request_timeout = T;
    config
}

/// A provider of which nothing but the failures counts: the circuit stays closed.
fn always_asked(server: &Scripted) -> Config {
    let mut config = config(server);
    config.breaker.error_percent = 0;
    config
}

fn hang() -> Script {
    Script::default().then(Step::Hang)
}

/// A request with all that either endpoint wants.
fn both(model: &str, stream: bool) -> Value {
    let mut body = hello(model, stream);
    body["input"] = json!("Hello");
    if stream {
        body["stream_options"] = Value::Null;
    }
    body
}

/// Every way through the gateway: path and model.
const WAYS: [(&str, &str); 5] = [
    ("/v1/chat/completions", "gpt-4o"),
    ("/v1/chat/completions", "claude-opus-5-5"),
    ("/v1/responses", "gpt-4o"),
    ("/v1/responses", "deepseek/x"),
    ("/v1/responses", "claude-opus-5-5"),
];

/// Promise 1.
#[actix_web::test]
async fn a_provider_failure_is_a_json_error_in_time() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    // It takes connections and never answers the TLS handshake.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("https://{}", mute.local_addr().unwrap());
    for (what, base, code, expected) in [
        ("refused", refused, "upstream_unreachable", 502),
        ("no handshake", silent, "upstream_connect_timeout", 502),
    ] {
        let server = in_turn(vec![completion()]);
        let mut config = short(&server);
        config.calls.request_timeout = Duration::from_secs(10);
        config.calls.connect_timeout = T / 4;
        for entry in &mut config.providers {
            entry.base = ai_gateway::config::BaseUrl::parse(&base, "").unwrap();
        }
        let begun = Instant::now();
        let answer = Gateway::start(config).chat(hello("gpt-4o", false)).await;
        assert_eq!(answer.status, expected, "{what}: {}", answer.text());
        assert_eq!(answer.error()["code"], code, "{what}");
        assert_eq!(answer.header("x-gateway-attempts"), Some("3"), "{what}");
        let took = begun.elapsed();
        assert!(took < T + BEYOND, "{what}: {took:?}");
    }
    for (what, script) in [
        ("no head", hang()),
        ("half a head", Script::raw("HTTP/1.1 200").then(Step::Hang)),
        (
            "no body",
            Script::raw(format!("{HEAD}content-length: 9\r\n\r\n")).then(Step::Hang),
        ),
        (
            "half a body",
            Script::raw(format!("{HEAD}content-length: 9\r\n\r\n{{")).then(Step::Hang),
        ),
        ("no event", Script::stream().then(Step::Hang)),
        (
            "half an event",
            Script::stream().chunk("data: {").then(Step::Hang),
        ),
    ] {
        for (path, model) in WAYS {
            let server = in_turn(vec![script.clone()]);
            let stream = what.ends_with("event");
            let begun = Instant::now();
            let gateway = Gateway::start(short(&server));
            let answer = gateway.post(path, both(model, stream).to_string()).await;
            let took = begun.elapsed();
            assert_eq!(
                answer.status,
                504,
                "{what} {path} {model}: {}",
                answer.text()
            );
            let code = answer.error()["code"].clone();
            let expected = if stream {
                "upstream_first_event_timeout"
            } else {
                "upstream_timeout"
            };
            assert_eq!(code, expected, "{what} {path} {model}");
            assert!(
                took >= T && took < T + BEYOND,
                "{what} {path} {model}: {took:?} of {T:?}"
            );
        }
    }
}

/// Promise 2.
#[actix_web::test]
async fn one_deadline_covers_all_attempts() {
    let server = in_turn(vec![status(503, &[("retry-after-ms", "150")])]);
    let mut config = short(&server);
    config.retries.max_retries = 10;
    let begun = Instant::now();
    let answer = Gateway::start(config).chat(hello("gpt-4o", false)).await;
    let (took, made) = (begun.elapsed(), server.counts().requests);
    assert_eq!(answer.status, 503);
    assert!(took < T + BEYOND, "{took:?} for {made} attempts in {T:?}");
    assert!(
        (2..=3).contains(&made),
        "{made} attempts, 150 ms apart, in {T:?}"
    );
}

/// Promise 3.
#[actix_web::test]
async fn a_cut_answer_never_looks_complete() {
    let whole = "{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"finish_reason\":\"stop\"}],\"content\":[],\"output\":[]}";
    let length = whole.len() + 100;
    for (what, script) in [
        (
            "a length not reached",
            Script::raw(format!("{HEAD}content-length: {length}\r\n\r\n{whole}")).then(Step::Close),
        ),
        (
            "chunks without an end",
            Script::raw(format!("{HEAD}transfer-encoding: chunked\r\n\r\n"))
                .chunk(whole)
                .then(Step::Close),
        ),
        (
            "a reset",
            Script::raw(format!("{HEAD}content-length: {length}\r\n\r\n{whole}")).then(Step::Reset),
        ),
    ] {
        for (path, model) in WAYS {
            let server = in_turn(vec![script.clone()]);
            let answer = gateway(&server)
                .post(path, both(model, false).to_string())
                .await;
            assert_eq!(
                answer.status,
                502,
                "{what} {path} {model}: {}",
                answer.text()
            );
        }
    }
    for (path, model) in WAYS {
        let first = match (path, model) {
            (_, "claude-opus-5-5") => BEGIN,
            ("/v1/responses", "gpt-4o") => SAID,
            _ => DELTA,
        };
        for end in [Step::Close, Step::Reset] {
            let server = in_turn(vec![Script::stream().chunk(first).then(end)]);
            let answer = gateway(&server)
                .post(path, both(model, true).to_string())
                .await;
            let text = answer.text();
            assert!(
                text.contains("\"error\"")
                    || text.contains("response.failed")
                    || answer.status == 502,
                "{path} {model}: {text}"
            );
            assert!(!text.contains("[DONE]"), "{path} {model}: {text}");
            assert!(
                !text.contains("response.completed"),
                "{path} {model}: {text}"
            );
        }
    }
}

/// Promise 4.
#[actix_web::test]
async fn silent_streams_end_and_live_ones_do_not() {
    let mut lively = Script::stream();
    for piece in [
        DELTA,
        ": alive\n\n",
        "data: {",
        &DELTA["data: {".len()..],
        DELTA,
    ] {
        lively = lively.chunk(piece).then(Step::Pause(T / 2));
    }
    let lively = lively.chunk(FINISH).chunk(DONE).end();
    let server = in_turn(vec![lively]);
    let mut config = config(&server);
    config.calls.idle_timeout = Some(T);
    let begun = Instant::now();
    let answer = Gateway::start(config.clone())
        .chat(hello("gpt-4o", true))
        .await;
    assert!(answer.text().ends_with(DONE), "{}", answer.text());
    let took = begun.elapsed();
    assert!(
        took > T * 2,
        "it lived for {took:?}, more than twice its idle time"
    );

    let server = in_turn(vec![Script::stream().chunk(DELTA).then(Step::Hang)]);
    for entry in &mut config.providers {
        let url = scripted::base_url(&server, entry.provider);
        entry.base = ai_gateway::config::BaseUrl::parse(&url, entry.provider.version).unwrap();
    }
    let begun = Instant::now();
    let answer = Gateway::start(config).chat(hello("gpt-4o", true)).await;
    let took = begun.elapsed();
    assert_eq!(answer.events()[1]["error"]["code"], "upstream_idle_timeout");
    assert!(took >= T && took < T + BEYOND, "{took:?} of {T:?}");
}

/// Promise 5.
#[actix_web::test]
async fn attempts_are_bounded_and_none_follows_work_that_was_begun() {
    let late = Script::default()
        .then(Step::Pause(Duration::from_millis(1200)))
        .then(Step::Close);
    let half = Script::stream().chunk(DELTA).then(Step::Close);
    for (what, script, stream, expected) in [
        ("overload", status(503, &[]), false, 3),
        ("overload, streamed", status(503, &[]), true, 3),
        ("a deadline", hang(), false, 1),
        ("a close after a second of work", late, false, 1),
        ("a cut after the first event", half, true, 1),
        ("a refusal", status(400, &[]), false, 1),
    ] {
        let server = in_turn(vec![script]);
        let mut config = config(&server);
        config.calls.request_timeout = Duration::from_secs(2);
        let _ = Gateway::start(config).chat(hello("gpt-4o", stream)).await;
        let made = server.counts().requests;
        assert_eq!(made, expected, "{what}: {made} attempts, 2 retries allowed");
    }
}

/// Promise 6.
#[actix_web::test]
async fn retry_after_is_obeyed_and_bounded() {
    // First, so that no time passes before it is asked for: a date has whole seconds, and of three
    // more than one is left then.
    let in_three_seconds =
        httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(3));
    for (name, value, least, most) in [
        ("retry-after", in_three_seconds.as_str(), 1000, 6000),
        ("retry-after", "1", 1000, 4000),
        ("retry-after-ms", "250", 250, 3000),
        ("retry-after", "0.25", 250, 3000),
        ("retry-after", "-5", 0, 3000),
        ("retry-after", "soon", 0, 3000),
        ("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT", 0, 3000),
    ] {
        let server = in_turn(vec![status(429, &[(name, value)]), completion()]);
        let begun = Instant::now();
        let answer = gateway(&server).chat(hello("gpt-4o", false)).await;
        let gap = begun.elapsed().as_millis();
        assert_eq!(answer.status, 200, "{name}: {value}");
        assert!(
            (least..most).contains(&gap),
            "{name}: {value}: tried again after {gap} ms"
        );
    }
    for absurd in ["21", "86400", "1e9"] {
        let server = in_turn(vec![status(429, &[("retry-after", absurd)])]);
        let begun = Instant::now();
        let answer = gateway(&server).chat(hello("gpt-4o", false)).await;
        let took = begun.elapsed();
        assert_eq!(answer.status, 429);
        assert_eq!(answer.header("retry-after"), Some(absurd));
        assert_eq!(server.counts().requests, 1, "{absurd} s is not waited for");
        assert!(took < Duration::from_secs(1) + BEYOND, "{absurd}: {took:?}");
    }
}

/// Promise 7.
#[actix_web::test]
async fn an_outage_is_not_multiplied() {
    let server = in_turn(vec![status(503, &[])]);
    let mut config = always_asked(&server);
    config.retries.budget_per_sec = 1;
    let gateway = Gateway::start(config);
    let begun = Instant::now();
    let mut advised = 0;
    for _ in 0..20 {
        let answers = join_all((0..20).map(|_| gateway.chat(hello("gpt-4o", false)))).await;
        advised += answers
            .iter()
            .filter(|answer| answer.header("x-should-retry") == Some("false"))
            .count();
    }
    let made = server.counts().requests;
    let floor = 2.0 + begun.elapsed().as_secs_f64();
    let allowed = 400.0 * 1.2 + floor;
    assert!(
        f64::from(u32::try_from(made).unwrap()) <= allowed && made > 440,
        "{made} attempts for 400 requests; 20 % and one a second are {allowed:.0}"
    );
    assert_eq!(advised, 400, "callers are told not to start over");
    let denied = metric(
        &gateway,
        "gateway_retries_denied_total{provider=\"openai\"}",
    )
    .await;
    assert!(denied.unwrap() > 300, "{denied:?}");
}

/// Promise 7.
#[actix_web::test]
async fn a_provider_that_keeps_failing_is_left_alone() {
    let server = in_turn(vec![status(500, &[])]);
    let mut config = config(&server);
    config.retries.max_retries = 0;
    config.breaker.open = Duration::from_secs(60);
    config.access.gateway_keys = vec![ai_gateway::secret::Secret::new("team-key")];
    for entry in &mut config.providers {
        entry.key = Some(ai_gateway::secret::Secret::new("provider-key"));
    }
    let gateway = Gateway::start(config);
    let ask = async |model: &str| {
        let body = hello(model, false).to_string();
        gateway
            .send("/v1/chat/completions", Some("team-key"), &[], body)
            .await
    };
    for n in 0..20 {
        assert_eq!(
            ask("gpt-4o").await.status,
            500,
            "attempt {n} of the 20 that tell"
        );
    }
    let answer = ask("gpt-4o").await;
    assert_eq!(
        answer.refusal(),
        (503, "null".into(), "circuit_open".into())
    );
    assert_eq!(answer.header("retry-after"), Some("60"));
    assert_eq!(server.counts().requests, 20, "it is not asked");
    assert_eq!(ask("groq/x").await.status, 500, "another provider is");
    let listed = gateway.get("/providers", Some("team-key")).await.json();
    let of = |name: &str| {
        let mut rows = listed["data"].as_array().unwrap().iter();
        let row = rows.find(|row| row["name"] == name).unwrap();
        row["status"]["circuit"].clone()
    };
    assert_eq!((of("openai"), of("groq")), (json!("open"), json!("closed")));
    let open = gateway.get("/providers", None).await;
    assert!(
        !open.text().contains("circuit"),
        "health is for holders of a key"
    );
    let text = gateway.get("/metrics", Some("team-key")).await;
    assert!(
        text.text()
            .contains("gateway_circuit{provider=\"openai\"} 2\n")
    );
}

/// Promise 7.
#[actix_web::test]
async fn one_model_that_fails_shuts_out_no_other() {
    let server = Scripted::start(|request: &ReceivedRequest| {
        match request.json()["model"].as_str() {
            Some("broken") => status(500, &[]),
            Some(_) => completion(),
            // The list of models.
            None => status(503, &[]),
        }
    })
    .unwrap();
    let mut config = config(&server);
    config.retries.max_retries = 0;
    let gateway = Gateway::start(config);
    let mut open = 0;
    for _ in 0..40 {
        let answer = gateway.chat(hello("broken", false)).await;
        open += usize::from(answer.text().contains("circuit_open"));
        let list = gateway.get("/v1/models?provider=openai", Some("k")).await;
        assert_eq!(list.status, 503, "{}", list.text());
        assert_eq!(gateway.chat(hello("good", false)).await.status, 200);
    }
    assert!(
        open >= 10,
        "{open} of 40 calls of the broken model were not made"
    );
}

/// A provider that refuses a body before it has all of it looks like one that broke off.
/// Promise 7.
#[actix_web::test]
async fn large_bodies_that_are_refused_early_open_no_circuit() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let refusing = actix_web::rt::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut some = [0; 1024];
            let _ = stream.read(&mut some).await;
            let _ = stream.set_zero_linger();
        }
    });
    let server = in_turn(vec![completion()]);
    let mut config = config(&server);
    config.retries.max_retries = 0;
    for entry in &mut config.providers {
        let url = format!("http://{address}");
        entry.base = ai_gateway::config::BaseUrl::parse(&url, "").unwrap();
    }
    let gateway = Gateway::start(config);
    let mut large = hello("gpt-4o", false);
    large["messages"][0]["content"] = json!("x".repeat(8 << 20));
    for n in 0..25 {
        let answer = gateway.chat(large.clone()).await;
        assert_eq!(answer.error()["code"], "upstream_unreachable", "call {n}");
    }
    refusing.abort();
}

/// Promise 8.
#[actix_web::test]
async fn one_provider_cannot_hurt_another() {
    let server = Scripted::start(|request: &ReceivedRequest| {
        if request.path.starts_with("/groq") {
            hang()
        } else {
            completion()
        }
    })
    .unwrap();
    let gateway = gateway(&server);
    let mut hung = Vec::new();
    for _ in 0..200 {
        hung.push(open(&gateway, &hello("groq/x", false)).await);
    }
    until(&server, "200 hung calls", |counts| counts.requests == 200).await;
    let others = join_all((0..100).map(|_| gateway.chat(hello("mistral/x", false)))).await;
    let failed = others.iter().filter(|answer| answer.status != 200).count();
    assert_eq!(failed, 0, "of 100 calls beside 200 that hang");
}

/// Promise 9.
#[actix_web::test]
async fn a_caller_that_leaves_ends_its_call_in_every_phase() {
    let cut = Script::raw(format!("{HEAD}content-length: 50\r\n\r\n{{"));
    for (what, model, script, stream, keepalive, seen) in [
        (
            "before the head",
            "gpt-4o",
            Script::default(),
            false,
            0,
            None,
        ),
        (
            "before the first event",
            "gpt-4o",
            Script::stream(),
            true,
            0,
            None,
        ),
        (
            "behind keepalives",
            "gpt-4o",
            Script::stream(),
            true,
            50,
            Some(": keepalive"),
        ),
        (
            "behind keepalives, without a head",
            "claude-x",
            Script::default(),
            true,
            50,
            Some(": keepalive"),
        ),
        (
            "in a silent stream",
            "gpt-4o",
            Script::stream().chunk(DELTA),
            true,
            0,
            Some("Hi"),
        ),
        (
            "in a silent translated stream",
            "claude-x",
            Script::stream().chunk(BEGIN),
            true,
            50,
            Some(": keepalive"),
        ),
        ("inside a whole answer", "gpt-4o", cut, false, 0, None),
    ] {
        let server = in_turn(vec![script.then(Step::Hang)]);
        let mut config = config(&server);
        config.server.keepalive = Duration::from_millis(keepalive);
        let gateway = Gateway::start(config);
        let mut caller = open(&gateway, &hello(model, stream)).await;
        until(&server, what, |counts| counts.requests == 1).await;
        if let Some(text) = seen {
            read_until(&mut caller, text).await;
        }
        let left = Instant::now();
        drop(caller);
        until(&server, what, |counts| counts.left == 1).await;
        let took = left.elapsed();
        assert!(
            took < Duration::from_secs(1),
            "{what}: the call ended after {took:?}"
        );
        at_rest(&gateway).await;
        let text = gateway.get("/metrics", Some("metrics-key")).await;
        let outcome = "outcome=\"client_left\"";
        let reason = "reason=\"client_left\"";
        assert!(
            text.text().contains(outcome) || text.text().contains(reason),
            "{what}"
        );
    }
    // Before it is read: its request, and its end, and perhaps noise between them, come together.
    let body = hello("gpt-4o", false).to_string();
    let good = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for (what, noise) in [("at once", ""), ("behind noise", "garbage\r\n\r\n")] {
        let server = in_turn(vec![hang()]);
        let gateway = self::gateway(&server);
        let mut caller = TcpStream::connect(gateway.address()).await.unwrap();
        caller
            .write_all(format!("{good}{noise}").as_bytes())
            .await
            .unwrap();
        if noise.is_empty() {
            caller.shutdown().await.unwrap();
        } else {
            until(&server, what, |counts| counts.requests == 1).await;
        }
        drop(caller);
        at_rest(&gateway).await;
        assert!(server.counts().requests <= 1, "{what}");
    }
    // While it waits for a slot, and while it connects.
    let server = in_turn(vec![hang()]);
    let mut config = config(&server);
    config.calls.max_in_flight = 1;
    config.calls.wait_timeout = PATIENCE;
    let gateway = Gateway::start(config);
    let first = open(&gateway, &hello("gpt-4o", false)).await;
    until(&server, "the first call", |counts| counts.requests == 1).await;
    let second = open(&gateway, &hello("gpt-4o", false)).await;
    let waits = async {
        while metric(&gateway, "gateway_waiting{provider=\"openai\"}").await != Some(1) {}
    };
    timeout(PATIENCE, waits).await.unwrap();
    drop((first, second));
    at_rest(&gateway).await;
    assert_eq!(
        server.counts().requests,
        1,
        "who left the line is not served"
    );

    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = self::config(&server);
    for entry in &mut config.providers {
        let url = format!("https://{}", mute.local_addr().unwrap());
        entry.base = ai_gateway::config::BaseUrl::parse(&url, "").unwrap();
    }
    let gateway = Gateway::start(config);
    let caller = open(&gateway, &hello("gpt-4o", false)).await;
    let (mut connection, _) = timeout(PATIENCE, mute.accept()).await.unwrap().unwrap();
    drop(caller);
    let mut hello = Vec::new();
    timeout(PATIENCE, connection.read_to_end(&mut hello))
        .await
        .expect("the connection that was being made is closed")
        .unwrap();
    at_rest(&gateway).await;
}

/// Promise 10.
#[actix_web::test]
async fn a_caller_that_reads_nothing_is_ended_and_costs_little() {
    let piece = DELTA.replace("Hi", &"x".repeat(14 << 10));
    let mut flood = Script::stream();
    for _ in 0..2000 {
        flood = flood.chunk(&piece);
    }
    let server = in_turn(vec![flood.chunk(FINISH).chunk(DONE).end()]);
    let mut config = config(&server);
    config.server.write_timeout = T;
    let gateway = Gateway::start(config);
    let begun = Instant::now();
    let caller = open(&gateway, &hello("gpt-4o", true)).await;
    until(&server, "the end of the call", |counts| counts.left == 1).await;
    let took = begun.elapsed();
    assert!(
        took >= T && took < T + PATIENCE / 2,
        "ended after {took:?} of {T:?} without a byte taken"
    );
    at_rest(&gateway).await;
    let text = gateway.get("/metrics", Some("metrics-key")).await;
    let line = "gateway_errors_total{provider=\"openai\",reason=\"write_timeout\"} 1\n";
    assert!(text.text().contains(line), "{}", text.text());
    drop(caller);
}

/// A provider that sends without an end, and a caller with a compressed body, before the real
/// binary: what its memory grows by.
/// Promises 11 and 12.
#[actix_web::test]
async fn hostile_peers_cannot_grow_memory() {
    const MEGABYTE: usize = 1 << 20;
    let endless = |head: &str, piece: Vec<u8>| {
        let mut script = Script::raw(head);
        for _ in 0..160 {
            script = script.chunk(&piece);
        }
        script.then(Step::Hang)
    };
    let server = Scripted::start(move |request: &ReceivedRequest| {
        let json = format!("{HEAD}transfer-encoding: chunked\r\n\r\n");
        let events = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        match request.json()["model"].as_str().unwrap_or_default() {
            "endless-body" => endless(&json, vec![b' '; MEGABYTE]),
            "endless-event" => endless(events, vec![b'x'; MEGABYTE]),
            "endless-comment" => endless(events, b": x\n\n".repeat(MEGABYTE / 5)),
            "endless-head" => {
                let mut head = Script::raw("HTTP/1.1 200 OK\r\n");
                for _ in 0..160 {
                    let line = format!("x-{}: y\r\n", "x".repeat(MEGABYTE));
                    head = head.then(Step::Write(line.into_bytes()));
                }
                head.then(Step::Hang)
            }
            "bomb" => Script::whole(
                200,
                &[("content-type", "application/json"), ("content-encoding", "gzip")],
                "\u{1f}\u{8b}",
            ),
            _ => completion(),
        }
    })
    .unwrap();
    let served = Served::before(
        &server,
        &[
            ("REQUEST_TIMEOUT_SECS", "5"),
            ("MAX_ANSWER_BYTES", "16000000"),
            ("HTTP_WORKERS", "1"),
        ],
    );
    let ask = async |model: &str, stream: bool| {
        let url = format!("{}/v1/chat/completions", served.url());
        let request = client()
            .post(url)
            .bearer_auth("k")
            .content_type("application/json");
        Answer::read(
            request
                .send_body(hello(model, stream).to_string())
                .await
                .unwrap(),
        )
        .await
    };
    assert_eq!(ask("gpt-4o", false).await.status, 200);
    let before = served.peak_memory();
    for (model, stream, expected) in [
        ("endless-body", false, 502),
        ("endless-event", true, 502),
        ("endless-comment", true, 504),
        ("endless-head", false, 502),
        ("bomb", false, 502),
    ] {
        let answer = ask(model, stream).await;
        assert_eq!(answer.status, expected, "{model}: {}", answer.text());
        let grown = (served.peak_memory() - before) / 1024;
        assert!(
            grown <= 64 + 32,
            "{model}: {grown} MB more, of which 32 MB are the largest event"
        );
    }
    // A caller's compressed body is refused before a byte of it is unpacked.
    let url = format!("{}/v1/chat/completions", served.url());
    for encoding in ["gzip", "br", "zstd", "deflate", "gzip, identity"] {
        let request = client()
            .post(&url)
            .bearer_auth("k")
            .content_type("application/json")
            .insert_header(("content-encoding", encoding));
        let answer = Answer::read(request.send_body(vec![0x1f_u8, 0x8b]).await.unwrap()).await;
        let code = "unsupported_content_encoding".into();
        assert_eq!(answer.refusal(), (415, "null".into(), code), "{encoding}");
    }
    // A length that is told and not sent takes no memory.
    let mut callers = Vec::new();
    for _ in 0..40 {
        let mut caller = TcpStream::connect(served.address()).await.unwrap();
        let head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\nContent-Length: 52000000\r\n\r\n{";
        caller.write_all(head.as_bytes()).await.unwrap();
        callers.push(caller);
    }
    assert_eq!(ask("gpt-4o", false).await.status, 200);
    let grown = (served.peak_memory() - before) / 1024;
    assert!(
        grown <= 64 + 32,
        "{grown} MB more with 40 bodies of 52 MB that are told and not sent"
    );
}

/// Promise 15.
#[actix_web::test]
async fn slow_senders_are_cut() {
    let server = in_turn(vec![completion()]);
    let mut config = config(&server);
    config.server.head_timeout = T;
    config.server.body_timeout = T;
    config.server.body_rate = 1000;
    let gateway = Gateway::start(config);
    let good = {
        let body = hello("gpt-4o", false).to_string();
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let body = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\nContent-Length: 90000\r\n\r\n{";
    for (what, sent, answers) in [
        ("nothing", String::new(), vec!["408"]),
        (
            "half a first head",
            "GET /healthz HTTP/1.1\r\nHost:".to_owned(),
            vec!["408"],
        ),
        (
            "half a head behind an answer that is given at once",
            "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost:".to_owned(),
            vec!["200"],
        ),
        (
            "half a head behind a request",
            format!("{good}GET /healthz HTTP/1.1\r\nHost:"),
            vec!["200"],
        ),
        ("half a body", body.to_owned(), vec!["408"]),
    ] {
        let mut caller = TcpStream::connect(gateway.address()).await.unwrap();
        caller.write_all(sent.as_bytes()).await.unwrap();
        let begun = Instant::now();
        let mut said = Vec::new();
        let closed = timeout(PATIENCE, caller.read_to_end(&mut said)).await;
        let took = begun.elapsed();
        assert!(closed.is_ok(), "{what}: still open after {took:?} of {T:?}");
        let said = String::from_utf8_lossy(&said).into_owned();
        let statuses: Vec<_> = said
            .split("HTTP/1.1 ")
            .skip(1)
            .map(|rest| &rest[..3])
            .collect();
        assert_eq!(statuses, answers, "{what}: {said}");
        assert!(took < T + BEYOND, "{what}: {took:?} of {T:?}");
    }
    // What follows a last request is nobody's, whatever follows that, and the connection ends.
    let last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let more = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    for (what, sent, ends) in [
        ("one more", format!("{last}{more}"), false),
        (
            "one more and noise",
            format!("{last}{more}garbage\r\n\r\n"),
            false,
        ),
        ("one more and the end", format!("{last}{more}"), true),
    ] {
        let mut caller = TcpStream::connect(gateway.address()).await.unwrap();
        caller.write_all(sent.as_bytes()).await.unwrap();
        if ends {
            caller.shutdown().await.unwrap();
        }
        let mut said = String::new();
        let closed = timeout(PATIENCE, caller.read_to_string(&mut said)).await;
        assert!(closed.is_ok(), "{what}: the connection stays: {said}");
        assert_eq!(said.matches("HTTP/1.1 200 OK").count(), 1, "{what}: {said}");
        assert_eq!(said.matches("HTTP/1.1").count(), 1, "{what}: {said}");
    }
    // A head that comes in pieces behind an answer, on a connection at rest.
    let mut caller = TcpStream::connect(gateway.address()).await.unwrap();
    caller.write_all(good.as_bytes()).await.unwrap();
    read_until(&mut caller, "\"ok\"").await;
    caller.write_all(b"GET /he").await.unwrap();
    let begun = Instant::now();
    let mut said = String::new();
    timeout(PATIENCE, caller.read_to_string(&mut said))
        .await
        .unwrap()
        .unwrap();
    let took = begun.elapsed();
    assert!(said.contains("408 Request Timeout"), "{said}");
    let (_, error) = said.split_once("\r\n\r\n").unwrap();
    let error: Value = serde_json::from_str(error).unwrap();
    assert_eq!(error["error"]["code"], "request_timeout");
    assert!(took < T + BEYOND, "{took:?} of {T:?}");
    // A timer of a request that is over measures no other: each begins as the one before it would
    // have to be there.
    let mut caller = TcpStream::connect(gateway.address()).await.unwrap();
    let mut ticks = tokio::time::interval(T / 2);
    for n in 0..4 {
        ticks.tick().await;
        caller
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
            .await
            .unwrap();
        ticks.tick().await;
        caller.write_all(b"\r\n").await.unwrap();
        let mut said = [0; 15];
        caller.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"HTTP/1.1 200 OK", "request {n}");
        read_until(&mut caller, "\"ok\"}").await;
    }
    // What cannot be told from a head that never comes may rest all the same.
    let text = hello("gpt-4o", false).to_string();
    let chunked = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{text}\r\n0\r\nx-trailer: y\r\n\r\n",
        text.len(),
    );
    let mut caller = TcpStream::connect(gateway.address()).await.unwrap();
    let mut ticks = tokio::time::interval(T * 2);
    for n in 0..2 {
        ticks.tick().await;
        caller.write_all(chunked.as_bytes()).await.unwrap();
        let mut said = [0; 15];
        caller.read_exact(&mut said).await.unwrap();
        assert_eq!(
            &said, b"HTTP/1.1 200 OK",
            "request {n} in chunks with a trailer"
        );
        read_until(&mut caller, "\"ok\"").await;
    }
    // A large body that keeps its rate takes longer than the time of a small one.
    let text = "x".repeat(60_000);
    let body =
        json!({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}).to_string();
    let mut caller = TcpStream::connect(gateway.address()).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    caller.write_all(head.as_bytes()).await.unwrap();
    let begun = Instant::now();
    let pieces: Vec<_> = body.as_bytes().chunks(body.len() / 5 + 1).collect();
    let mut ticks = tokio::time::interval(T / 3);
    for piece in pieces {
        ticks.tick().await;
        caller.write_all(piece).await.unwrap();
    }
    let took = begun.elapsed();
    read_until(&mut caller, "\"ok\"").await;
    assert!(
        took > T,
        "it took {took:?} of {T:?} at 1000 bytes a second and more"
    );
}

/// Promise 16.
#[actix_web::test]
async fn overload_is_answered_and_never_reset() {
    let mut slow = Script::default().then(Step::Pause(Duration::from_millis(300)));
    slow.steps.extend(completion().steps);
    let server = in_turn(vec![slow]);
    let mut config = config(&server);
    config.calls.max_in_flight = 50;
    config.calls.max_waiting = 50;
    let gateway = Gateway::start(config);
    let begun = Instant::now();
    let answers = join_all((0..400).map(|_| gateway.chat(hello("gpt-4o", false)))).await;
    let took = begun.elapsed();
    let count = |status| {
        answers
            .iter()
            .filter(|answer| answer.status == status)
            .count()
    };
    let (served, shed) = (count(200), count(503));
    assert_eq!(
        served + shed,
        400,
        "{served} served, {shed} shed, none reset, in {took:?}"
    );
    assert!(served >= 100, "{served} served of 100 places");
    assert!(
        answers
            .iter()
            .filter(|a| a.status == 503)
            .all(|a| a.header("retry-after").is_some()),
        "who is shed is told when to come again"
    );
}

/// Promise 19.
#[cfg(unix)]
#[actix_web::test]
async fn deploys_lose_nothing() {
    let mut slow = Script::stream();
    for _ in 0..20 {
        slow = slow
            .chunk(DELTA)
            .then(Step::Pause(Duration::from_millis(50)));
    }
    let slow = slow.chunk(FINISH).chunk(DONE).end();
    let server = in_turn(vec![slow]);
    let served = Served::before(
        &server,
        &[
            ("SHUTDOWN_DELAY_SECS", "1"),
            ("SHUTDOWN_TIMEOUT_SECS", "10"),
        ],
    );
    let url = format!("{}/v1/chat/completions", served.url());
    let mut streams = Vec::new();
    for _ in 0..30 {
        let request = client()
            .post(&url)
            .bearer_auth("k")
            .content_type("application/json");
        let answer = request
            .send_body(hello("gpt-4o", true).to_string())
            .await
            .unwrap();
        streams.push(answer);
    }
    let ready = async || {
        let answer = client()
            .get(format!("{}/readyz", served.url()))
            .send()
            .await;
        answer.map(|answer| answer.status().as_u16())
    };
    assert_eq!(ready().await.unwrap(), 200);
    served.signal("TERM");
    let unready = async { while ready().await.unwrap() != 503 {} };
    timeout(PATIENCE, unready).await.expect("/readyz fails");
    // The load balancer has not noticed yet: what it still sends is served.
    let request = client()
        .post(&url)
        .bearer_auth("k")
        .content_type("application/json");
    let late = Answer::read(
        request
            .send_body(hello("gpt-4o", true).to_string())
            .await
            .unwrap(),
    )
    .await;
    assert!(late.text().ends_with(DONE), "{}", late.text());
    assert_eq!(late.header("connection"), Some("close"));
    let mut complete = 0;
    for mut stream in streams {
        let mut text = Vec::new();
        while let Some(piece) = stream.next().await {
            text.extend_from_slice(&piece.unwrap());
        }
        complete += usize::from(text.ends_with(DONE.as_bytes()));
    }
    assert_eq!(complete, 30, "of 30 streams that were under way");
    let refused = async { while ready().await.is_ok() {} };
    timeout(PATIENCE, refused)
        .await
        .expect("no new connection is taken");
    let last = Instant::now();
    let (code, log) = served.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(
        last.elapsed() < Duration::from_secs(2),
        "it ended {:?} after the last",
        last.elapsed()
    );
}

/// Promise 19.
#[cfg(unix)]
#[actix_web::test]
async fn what_does_not_end_in_its_time_ends_with_an_error() {
    for (what, signal, timeout_secs) in [("SIGTERM", "TERM", "1"), ("SIGINT", "INT", "30")] {
        let server =
            Scripted::start(
                |request: &ReceivedRequest| match request.json()["stream"].as_bool() {
                    Some(true) if request.path.starts_with("/anthropic") => {
                        Script::stream().chunk(BEGIN).then(Step::Hang)
                    }
                    Some(true) if request.path.ends_with("/responses") => {
                        Script::stream().chunk(SAID).then(Step::Hang)
                    }
                    Some(true) if request.path.starts_with("/groq") => hang(),
                    Some(true) => Script::stream().chunk(DELTA).then(Step::Hang),
                    _ => hang(),
                },
            )
            .unwrap();
        let served = Served::before(
            &server,
            &[
                ("SHUTDOWN_TIMEOUT_SECS", timeout_secs),
                ("KEEPALIVE_INTERVAL_SECS", "1"),
                ("RUST_LOG", "info"),
            ],
        );
        let mut calls = Vec::new();
        for (path, model, stream) in [
            ("/v1/chat/completions", "gpt-4o", true),
            ("/v1/chat/completions", "groq/x", true),
            ("/v1/chat/completions", "claude-x", true),
            ("/v1/responses", "gpt-4o", true),
            ("/v1/responses", "claude-x", true),
            ("/v1/chat/completions", "gpt-4o", false),
        ] {
            let url = format!("{}{path}", served.url());
            let body = both(model, stream).to_string();
            calls.push(actix_web::rt::spawn(async move {
                let request = client()
                    .post(url)
                    .bearer_auth("k")
                    .content_type("application/json");
                let answer = Answer::read(request.send_body(body).await.unwrap()).await;
                (path, model, stream, answer)
            }));
        }
        until(&server, "all calls", |counts| counts.requests == 6).await;
        served.signal(signal);
        let begun = Instant::now();
        for call in calls {
            let (path, model, stream, answer) = call.await.unwrap();
            let text = answer.text();
            // Responses have no code of their own for it.
            let told = text.contains("\"shutting_down\"") || text.contains("shutting down");
            assert!(told, "{what} {path} {model}: {text}");
            assert!(!text.contains("[DONE]"), "{what} {path} {model}: {text}");
            if !stream {
                assert_eq!(answer.status, 503);
            }
        }
        let (code, log) = served.end();
        let took = begun.elapsed();
        assert_eq!(code, Some(0), "{what}: {log}");
        assert!(
            took < Duration::from_secs(1) + BEYOND,
            "{what}: it took {took:?}"
        );
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// Promise 20.
#[actix_web::test]
async fn a_provider_that_comes_back_is_used_at_once() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let up = |script: Script| Scripted::start_at(address, move |_| script.clone()).unwrap();
    let server = up(completion());
    let mut config = config(&server);
    config.retries.max_retries = 0;
    config.breaker.min_attempts = 5;
    config.breaker.open = Duration::from_millis(300);
    let gateway = Gateway::start(config);
    for _ in 0..5 {
        assert_eq!(gateway.chat(hello("gpt-4o", false)).await.status, 200);
    }
    drop(server);
    let mut codes = Vec::new();
    while codes.last().is_none_or(|code| *code != "circuit_open") {
        let answer = gateway.chat(hello("gpt-4o", false)).await;
        codes.push(answer.error()["code"].as_str().unwrap().to_owned());
        assert!(codes.len() < 50, "the circuit does not open: {codes:?}");
    }
    let server = up(completion());
    let begun = Instant::now();
    while gateway.chat(hello("gpt-4o", false)).await.status != 200 {
        assert!(begun.elapsed() < PATIENCE, "it is not used again");
    }
    let took = begun.elapsed();
    assert!(
        took < Duration::from_secs(1) + BEYOND,
        "used again after {took:?}"
    );
    for _ in 0..20 {
        assert_eq!(
            gateway.chat(hello("gpt-4o", false)).await.status,
            200,
            "all of it"
        );
    }
    drop(server);
}

/// Canary keys everywhere a key can be, at the level that says most: none is in a line of the log,
/// in an answer, in a metric or in a header.
/// Promise 21.
#[actix_web::test]
async fn secrets_never_leave() {
    const GATEWAY: &str = "gateway-canary-0001";
    const PROVIDER: &str = "provider-canary-0002";
    const CALLER: &str = "caller-canary-0003";
    let server = Scripted::start(|request: &ReceivedRequest| {
        let key = request
            .header("authorization")
            .or_else(|| request.header("x-api-key"))
            .or_else(|| request.header("api-key"))
            .unwrap_or_default()
            .to_owned();
        let error = json!({"error": {"message": format!("wrong key {key}"), "type": key, "code": key, "param": key}});
        match request.json()["stream"].as_bool() {
            Some(true) => Script::stream().chunk(DELTA).chunk(format!("data: {error}\n\n")).end(),
            _ => Script::whole(401, &[("content-type", "application/json"), ("x-request-id", &key)], &error.to_string()),
        }
    })
    .unwrap();
    let keys: Vec<_> = ai_gateway::providers::PROVIDERS
        .iter()
        .map(|provider| (provider.key_env, PROVIDER))
        .collect();
    let mut variables = vec![("GATEWAY_API_KEYS", GATEWAY), ("RUST_LOG", "trace")];
    variables.extend_from_slice(&keys);
    for (mode, variables, key) in [
        ("gateway keys", variables, GATEWAY),
        (
            "pass-through",
            vec![("RUST_LOG", "trace"), ("LOG_FORMAT", "json")],
            CALLER,
        ),
    ] {
        let served = Served::before(&server, &variables);
        let mut said = String::new();
        for stream in [false, true] {
            for (path, model) in WAYS {
                for key in [key, CALLER] {
                    let url = format!("{}{path}?key={CALLER}", served.url());
                    let request = client()
                        .post(url)
                        .bearer_auth(key)
                        .content_type("application/json")
                        .insert_header(("x-api-key", CALLER))
                        .insert_header(("cookie", CALLER));
                    let answer = Answer::read(
                        request
                            .send_body(both(model, stream).to_string())
                            .await
                            .unwrap(),
                    )
                    .await;
                    let _ = write!(said, "{:?} {}", answer.headers, answer.text());
                }
            }
        }
        let metrics = client()
            .get(format!("{}/metrics", served.url()))
            .bearer_auth(key);
        said.push_str(Answer::read(metrics.send().await.unwrap()).await.text());
        served.signal("TERM");
        let (_, log) = served.end();
        for canary in [PROVIDER, GATEWAY, CALLER] {
            assert!(!said.contains(canary), "{mode}: an answer has {canary}");
            let line = log.lines().find(|line| line.contains(canary));
            assert_eq!(line, None, "{mode}: the log has {canary}");
        }
        assert!(
            log.contains("401"),
            "{mode}: the log says what happened: {log}"
        );
    }
}
