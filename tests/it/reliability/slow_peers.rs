//! Promises 1, 4 and 15 for who sends, but hardly: a byte at a time, on either side; and for who may
//! say nothing for a while.

use std::time::Duration;

use crate::rig::faults::{
    DELTA, DONE, FINISH, at_rest, completion, hello, in_turn, open, post, read_until, status, until,
};
use crate::rig::{Gateway, PATIENCE, config};
use ai_gateway::config::Config;
use ai_gateway::scripted::{Script, Scripted, Step};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, timeout};

/// The time of most that is waited for here.
const T: Duration = Duration::from_millis(600);

/// What an end may take beyond its time while all tests run at once.
const BEYOND: Duration = Duration::from_secs(3);

/// Every way through the gateway: path and model.
const WAYS: [(&str, &str); 5] = [
    ("/v1/chat/completions", "gpt-4o"),
    ("/v1/chat/completions", "claude-opus-5-5"),
    ("/v1/responses", "gpt-4o"),
    ("/v1/responses", "deepseek/x"),
    ("/v1/responses", "claude-opus-5-5"),
];

/// A request with all that either endpoint wants.
fn both(model: &str, stream: bool) -> String {
    let mut body = hello(model, stream);
    body["input"] = json!("Hello");
    body.to_string()
}

const KEEPALIVE: &str = ": keepalive\n\n";

/// Sends the pieces one each `pause` until the gateway ends the connection, which this waits for:
/// what it said, how long that took, and how many pieces were sent.
async fn drip(
    mut caller: TcpStream,
    pieces: Vec<Vec<u8>>,
    pause: Duration,
) -> (String, Duration, usize) {
    let (mut read, mut write) = caller.split();
    let begun = Instant::now();
    let mut sent = 0;
    let sending = async {
        let mut ticks = interval(pause);
        for piece in pieces {
            ticks.tick().await;
            if write.write_all(&piece).await.is_err() {
                break;
            }
            sent += 1;
        }
        // Who cannot send any more, or has sent all, still reads.
        std::future::pending::<()>().await;
    };
    let mut said = Vec::new();
    let reading = async {
        // A reset behind an answer is an end as well.
        while let Ok(1..) = read.read_buf(&mut said).await {}
    };
    let both = async {
        tokio::select! {
            () = reading => {}
            () = sending => {}
        }
    };
    let ended = timeout(PATIENCE, both).await;
    let took = begun.elapsed();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(ended.is_ok(), "still open after {took:?}: {said}");
    (said, took, sent)
}

fn bytes(text: &str) -> Vec<Vec<u8>> {
    text.bytes().map(|byte| vec![byte]).collect()
}

fn is_late(said: &str, what: &str) {
    assert!(
        said.starts_with("HTTP/1.1 408 Request Timeout\r\n"),
        "{what}: {said}"
    );
    let (_, body) = said.split_once("\r\n\r\n").unwrap();
    let error: Value = serde_json::from_str(body).unwrap();
    assert_eq!(error["error"]["code"], "request_timeout", "{what}: {said}");
}

/// Promise 15.
#[actix_web::test]
async fn a_head_that_drips_is_ended_in_its_time() {
    let server = in_turn(vec![completion()]);
    let mut config = config(&server);
    config.server.head_timeout = T;
    let gateway = Gateway::start(config);
    let head = "GET /healthz HTTP/1.1\r\nHost: gateway.example\r\nAccept: */*\r\n\r\n";
    for before in [0, 1, 3] {
        let what = format!("behind {before} requests");
        let mut caller = TcpStream::connect(gateway.address()).await.unwrap();
        for _ in 0..before {
            caller.write_all(head.as_bytes()).await.unwrap();
            read_until(&mut caller, "\"ok\"}").await;
        }
        let (said, took, sent) = drip(caller, bytes(head), T / 4).await;
        is_late(&said, &what);
        assert!(
            took >= T * 7 / 8 && took < T + BEYOND,
            "{what}: ended after {took:?} of {T:?}, with {sent} bytes sent"
        );
        assert!(sent < head.len(), "{what}: {sent} of {} bytes", head.len());
    }
    // One that is slow and whole in its time is answered.
    let mut caller = TcpStream::connect(gateway.address()).await.unwrap();
    let mut ticks = interval(T / 8);
    for piece in head.as_bytes().chunks(head.len() / 4 + 1) {
        ticks.tick().await;
        caller.write_all(piece).await.unwrap();
    }
    read_until(&mut caller, "\"ok\"}").await;
}

/// Bytes a second with which a body may take longer than its time.
const RATE: usize = 1000;

/// A gateway that ends bodies after [`T`], unless they keep [`RATE`].
fn strict(server: &Scripted) -> Gateway {
    let mut config = config(server);
    config.server.body_timeout = T;
    config.server.body_rate = RATE as u64;
    Gateway::start(config)
}

/// A request whose body drips at so many bytes a second, a piece each tenth of [`T`], for twice its
/// time; what was said, and how long that took.
async fn at_rate(gateway: &Gateway, rate: usize) -> (String, Duration) {
    let pause = T / 10;
    let piece = rate * usize::try_from(pause.as_millis()).unwrap() / 1000;
    let text = "x".repeat(piece * 26);
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]});
    let body = body.to_string();
    let mut caller = TcpStream::connect(gateway.address()).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    caller.write_all(head.as_bytes()).await.unwrap();
    let pieces = body.as_bytes().chunks(piece).map(<[u8]>::to_vec).collect();
    let (said, took, _) = drip(caller, pieces, pause).await;
    (said, took)
}

/// Promise 15.
#[actix_web::test]
async fn a_body_below_the_least_rate_is_ended_and_one_far_above_is_not() {
    let server = in_turn(vec![completion()]);
    let gateway = strict(&server);
    for rate in [RATE / 10, RATE / 2, RATE * 9 / 10] {
        let what = format!("{rate} bytes a second of {RATE}");
        let (said, took) = at_rate(&gateway, rate).await;
        is_late(&said, &what);
        assert!(
            took >= T && took < T + BEYOND,
            "{what}: ended after {took:?} of {T:?}"
        );
    }
    let (said, took) = at_rate(&gateway, RATE * 5).await;
    assert!(
        said.starts_with("HTTP/1.1 200 OK"),
        "after {took:?}: {said}"
    );
    assert!(took > T * 2, "{took:?} is twice {T:?}");
    assert_eq!(server.counts().requests, 1, "what was cut is not sent on");
}

/// Promise 15.
#[actix_web::test]
async fn a_body_just_above_the_least_rate_is_not_ended() {
    let server = in_turn(vec![completion()]);
    let gateway = strict(&server);
    let rate = RATE * 5 / 4;
    let (said, took) = at_rate(&gateway, rate).await;
    assert!(
        said.starts_with("HTTP/1.1 200 OK"),
        "{rate} bytes a second of {RATE}, ended after {took:?} of {T:?}: {said}"
    );
}

/// An answer that goes on far beyond the deadline, a byte at a time.
fn dripping(status: u16, body: &str) -> Script {
    let head = format!(
        "HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len() + 400
    );
    let mut script = Script::raw(head);
    for byte in body.bytes().chain([b' '; 400]) {
        script = script
            .then(Step::Write(vec![byte]))
            .then(Step::Pause(T / 20));
    }
    script
}

fn deadline(server: &Scripted) -> Config {
    let mut config = config(server);
    config.calls.request_timeout = T;
    config
}

/// Promise 1.
#[actix_web::test]
async fn a_whole_answer_that_drips_is_ended_at_the_deadline() {
    let whole = r#"{"id":"c","object":"chat.completion","choices":[]}"#;
    let error = r#"{"error":{"message":"busy","type":"x","param":null,"code":null}}"#;
    let one = async |(path, model): (&str, &str), status: u16| {
        let what = format!("{path} {model} {status}");
        let body = if status == 200 { whole } else { error };
        let server = in_turn(vec![dripping(status, body)]);
        let gateway = Gateway::start(deadline(&server));
        let begun = Instant::now();
        let answer = gateway.post(path, both(model, false)).await;
        let took = begun.elapsed();
        if status == 200 {
            let code = "upstream_timeout".to_owned();
            assert_eq!(answer.refusal(), (504, "null".to_owned(), code), "{what}");
        } else {
            // That it is an error was said, and which one was not.
            assert_eq!(answer.status, status, "{what}: {}", answer.text());
        }
        assert!(took >= T && took < T + BEYOND, "{what}: {took:?} of {T:?}");
        until(&server, "the end of the call", |counts| counts.left == 1).await;
        let made = server.counts().requests;
        assert_eq!(made, 1, "{what}: {made} attempts");
    };
    let all = WAYS
        .iter()
        .flat_map(|way| [200, 400].map(|status| one(*way, status)));
    join_all(all).await;
}

/// Promise 1.
#[actix_web::test]
async fn a_head_of_an_answer_that_drips_is_ended_at_the_deadline() {
    for stream in [false, true] {
        let mut script = Script::raw("HTTP/1.1 200 OK\r\nx-long: ");
        for _ in 0..400 {
            script = script
                .then(Step::Write(vec![b'x']))
                .then(Step::Pause(T / 20));
        }
        let server = in_turn(vec![script]);
        let begun = Instant::now();
        let answer = Gateway::start(deadline(&server))
            .chat(hello("gpt-4o", stream))
            .await;
        let took = begun.elapsed();
        assert_eq!(answer.status, 504, "stream: {stream}: {}", answer.text());
        assert!(
            took >= T && took < T + BEYOND,
            "stream: {stream}: {took:?} of {T:?}"
        );
    }
}

/// Promise 4.
#[actix_web::test]
async fn a_stream_that_drips_lives_and_is_whole() {
    let second = DELTA.replace("\"role\":\"assistant\",", "");
    for (what, first, dripped) in [
        ("an event", DELTA, second.as_str()),
        ("a comment", DELTA, ": the provider is still there\n\n"),
    ] {
        // Several times its idle time in all, and never silent for more than a tenth of it.
        let idle = T;
        let mut script = Script::stream().chunk(first);
        for byte in dripped.bytes().take(40) {
            script = script.chunk([byte]).then(Step::Pause(idle / 10));
        }
        let rest: Vec<_> = dripped.bytes().skip(40).collect();
        if !rest.is_empty() {
            script = script.chunk(rest);
        }
        let server = in_turn(vec![script.chunk(FINISH).chunk(DONE).end()]);
        let mut config = config(&server);
        config.calls.idle_timeout = Some(idle);
        let begun = Instant::now();
        let answer = Gateway::start(config).chat(hello("gpt-4o", true)).await;
        let took = begun.elapsed();
        assert_eq!(
            answer.text(),
            format!("{first}{dripped}{FINISH}{DONE}"),
            "{what}, dripping for {took:?} with an idle time of {idle:?}"
        );
        assert!(
            took > idle * 3,
            "{what}: it dripped for {took:?}, more than {idle:?}"
        );
    }
}

/// Promise 4.
#[actix_web::test]
async fn a_stream_whose_first_event_never_comes_is_ended_although_bytes_drip() {
    let mut script = Script::stream();
    for _ in 0..400 {
        script = script.chunk(": \n").then(Step::Pause(T / 20));
    }
    let server = in_turn(vec![script]);
    let mut config = config(&server);
    config.calls.first_event_timeout = Some(T);
    config.calls.idle_timeout = Some(T / 4);
    let begun = Instant::now();
    let answer = Gateway::start(config).chat(hello("gpt-4o", true)).await;
    let took = begun.elapsed();
    let code = "upstream_first_event_timeout".to_owned();
    assert_eq!(answer.refusal(), (504, "null".to_owned(), code));
    // Bytes are life for ten times the longest silence, a quarter of the deadline here.
    let end = T * 7 / 2;
    assert!(took >= end && took < end + BEYOND, "{took:?} of {end:?}");
}

#[actix_web::test]
async fn comments_keep_a_stream_alive_until_its_first_event() {
    for comment in [": OPENROUTER PROCESSING\n\n", ":\n"] {
        let mut script = Script::stream();
        for _ in 0..10 {
            script = script.chunk(comment).then(Step::Pause(T / 4));
        }
        let server = in_turn(vec![script.chunk("\n").chunk(FINISH).chunk(DONE).end()]);
        let mut config = config(&server);
        config.calls.first_event_timeout = Some(T);
        let begun = Instant::now();
        let answer = Gateway::start(config).chat(hello("gpt-4o", true)).await;
        let took = begun.elapsed();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().ends_with(DONE), "{}", answer.text());
        assert!(took > T * 2, "{took:?} of {T:?}");
    }
}

/// Which comes first: the comments that keep a stream alive, then the end of patience with it.
/// Promise 1.
#[actix_web::test]
async fn behind_keepalives_a_late_first_event_is_an_error_event_and_the_end() {
    let interval = T / 10;
    let comments = |script: Script| {
        (0..4).fold(script, |script, _| {
            script.chunk(": still here\n\n").then(Step::Pause(T / 20))
        })
    };
    let one = async |(path, model): (&str, &str), (what, script): (&str, Script)| {
        let what = format!("{path} {model}, {what}");
        let server = in_turn(vec![script]);
        let mut config = config(&server);
        config.server.keepalive = interval;
        config.calls.first_event_timeout = Some(T);
        let gateway = Gateway::start(config);
        let begun = Instant::now();
        let answer = gateway.post(path, both(model, true)).await;
        let took = begun.elapsed();
        let text = answer.text();
        assert_eq!(answer.status, 200, "{what}: {text}");
        let count = text.matches(KEEPALIVE).count();
        assert!(
            text.starts_with(KEEPALIVE) && (3..=14).contains(&count),
            "{what}: {count} comments, one each {interval:?} of {took:?}: {text}"
        );
        let events = answer.events();
        let late = |event: &&Value| event["error"]["code"] == "upstream_first_event_timeout";
        let told = events.iter().filter(late).count();
        assert_eq!(told, 1, "{what}: {text}");
        let (_, after) = text.rsplit_once(KEEPALIVE).unwrap();
        assert!(after.contains("upstream_first_event"), "{what}: {text}");
        for complete in ["[DONE]", "response.completed", "\"finish_reason\":\"stop\""] {
            assert!(!text.contains(complete), "{what}: {text}");
        }
        assert!(
            took >= T && took < T + BEYOND,
            "{what}: the end after {took:?} of {T:?}"
        );
        until(&server, "the end of the call", |counts| counts.left == 1).await;
        assert_eq!(server.counts().requests, 1, "{what}: not tried again");
        at_rest(&gateway).await;
    };
    let scripts = [
        ("no head", Script::default().then(Step::Hang)),
        ("no event", Script::stream().then(Step::Hang)),
        (
            "comments alone",
            comments(Script::stream()).then(Step::Hang),
        ),
    ];
    let all = WAYS
        .iter()
        .flat_map(|way| scripts.clone().map(|script| one(*way, script)));
    join_all(all).await;
}

/// Promise 15.
#[actix_web::test]
async fn a_connection_at_rest_is_not_ended_by_the_time_of_a_head() {
    let server = in_turn(vec![completion()]);
    let mut config = config(&server);
    config.server.head_timeout = T / 2;
    let gateway = Gateway::start(config);
    let post = post(&hello("gpt-4o", false));
    let get = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    for (what, request) in [("with a body", post.as_str()), ("without one", get)] {
        let mut caller = TcpStream::connect(gateway.address()).await.unwrap();
        for n in 0..3 {
            caller.write_all(request.as_bytes()).await.unwrap();
            let mut status = [0; 15];
            caller.read_exact(&mut status).await.unwrap();
            assert_eq!(&status, b"HTTP/1.1 200 OK", "request {n} {what}");
            read_until(&mut caller, "\"ok\"").await;
            // What is left of the answer, and then nothing: neither a 408 nor the end.
            let begun = Instant::now();
            let mut rest = Vec::new();
            let ended = timeout(T, caller.read_to_end(&mut rest)).await;
            let took = begun.elapsed();
            let rest = String::from_utf8_lossy(&rest);
            assert!(
                ended.is_err(),
                "request {n} {what}: ended after {took:?}: {rest}"
            );
            assert!(!rest.contains("HTTP/1.1"), "request {n} {what}: {rest}");
        }
    }
}

/// Promise 15.
#[actix_web::test]
async fn a_connection_at_rest_is_ended_by_its_own_time() {
    let server = in_turn(vec![completion()]);
    let mut config = config(&server);
    config.server.connection_idle_timeout = T;
    let gateway = Gateway::start(config);
    let post = post(&hello("gpt-4o", false));
    let get = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    for (what, request) in [("with a body", post.as_str()), ("without one", get)] {
        for requests in [1, 3] {
            let mut caller = TcpStream::connect(gateway.address()).await.unwrap();
            for _ in 0..requests {
                caller.write_all(request.as_bytes()).await.unwrap();
                read_until(&mut caller, "\"ok\"").await;
            }
            let begun = Instant::now();
            let mut rest = Vec::new();
            let ended = timeout(PATIENCE, caller.read_to_end(&mut rest)).await;
            let took = begun.elapsed();
            assert!(
                ended.is_ok() && took >= T * 7 / 8 && took < T + BEYOND,
                "{what}, {requests} requests: {took:?} of {T:?}"
            );
            let rest = String::from_utf8_lossy(&rest);
            assert!(!rest.contains("HTTP/1.1"), "{what}: {rest}");
        }
    }
}

/// Who left is noticed though the provider goes on dripping.
/// Promise 9.
#[actix_web::test]
async fn who_leaves_while_an_answer_drips_ends_it() {
    let whole = r#"{"id":"c","object":"chat.completion","choices":[]}"#;
    let server = in_turn(vec![dripping(200, whole), status(500, &[])]);
    let gateway = Gateway::start(config(&server));
    let caller = open(&gateway, &hello("gpt-4o", false)).await;
    until(&server, "the call", |counts| counts.requests == 1).await;
    let left = Instant::now();
    drop(caller);
    until(&server, "the end of the call", |counts| counts.left == 1).await;
    let took = left.elapsed();
    assert!(
        took < Duration::from_secs(1),
        "the call ended after {took:?}"
    );
}
