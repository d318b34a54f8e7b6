//! Nobody is kept waiting by what others send or fail to send: large bodies are worked on where they
//! stall nobody and take no more memory than they may, and every wait has an end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{iter, thread};

use crate::rig::faults::{DELTA, DONE, FINISH, at_rest, completion, head, hello, in_turn, post};
use crate::rig::process::Served;
use crate::rig::{Gateway, PATIENCE, client, config, keyed};
use ai_gateway::config::BaseUrl;
use ai_gateway::scripted::{ReceivedRequest, Script, Scripted, Step};
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::timeout;

const MEGABYTE: usize = 1 << 20;

/// What an end may take beyond its time while all tests run at once.
const BEYOND: Duration = Duration::from_secs(3);

/// A body of about so many bytes: what stands before, between and after as many pieces as fit.
fn body(bytes: usize, start: &str, piece: impl Fn(usize) -> String, end: &str) -> String {
    let pieces = (0..).map(piece).scan(0, |size, piece| {
        *size += piece.len();
        (*size < bytes).then_some(piece)
    });
    iter::once(start.to_owned())
        .chain(pieces)
        .chain(iter::once(end.to_owned()))
        .collect()
}

/// Where it goes, and a body of so many bytes that costs a gateway much more than its length.
type Hostile = (&'static str, fn(usize) -> String);

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";

const HOSTILE: [Hostile; 8] = [
    (CHAT, |bytes| {
        let start = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"x"}]"#;
        body(bytes, start, |i| format!(",\"{i:06x}\":0"), "}")
    }),
    (CHAT, |bytes| {
        let start = r#"{"model":"claude-haiku-4-5","messages":[{"role":"user","content":"x"}"#;
        body(bytes, start, |_| ",0".to_owned(), "]}")
    }),
    (CHAT, |bytes| {
        let start = r#"{"model":"claude-haiku-4-5","messages":[{"role":"user","content":"x"}"#;
        let one = |_| r#",{"role":"user","content":"x"}"#.to_owned();
        body(bytes, start, one, "]}")
    }),
    (CHAT, |bytes| {
        let start = r#"{"model":"gemini-2.5-pro","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"enum":[0"#;
        body(bytes, start, |_| ",0".to_owned(), "]}}}]}")
    }),
    (CHAT, |bytes| {
        let start = r#"{"model":"claude-haiku-4-5","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"type":"object","properties":{"a":{"enum":[0"#;
        body(bytes, start, |_| r#",{"a":0}"#.to_owned(), "]}}}}}]}")
    }),
    (CHAT, |bytes| {
        let start =
            r#"{"model":"claude-haiku-4-5","messages":[{"role":"user","content":"x"}],"stop":["s""#;
        body(bytes, start, |i| format!(",\"s{i:06}\""), "]}")
    }),
    (RESPONSES, |bytes| {
        let start = r#"{"model":"gemini-2.5-pro","input":[{"role":"user","content":[{"type":"input_text","text":"x"}"#;
        let one = |_| r#",{"type":"input_text","text":"x"}"#.to_owned();
        body(bytes, start, one, "]}]}")
    }),
    (RESPONSES, |bytes| {
        let start =
            r#"{"model":"gemini-2.5-pro","input":"x","tools":[{"type":"function","name":"a"}"#;
        let one = |i| format!(r#",{{"type":"function","name":"a{i}"}}"#);
        body(bytes, start, one, "]}")
    }),
];

fn request(path: &str, body: &str) -> Vec<u8> {
    let head = head(body.len()).replace(CHAT, path);
    [head.as_bytes(), body.as_bytes()].concat()
}

/// Sends a request and waits for the first line of the answer: its status.
fn ask(address: SocketAddr, request: &[u8], patience: Duration) -> Option<u16> {
    let mut stream = TcpStream::connect_timeout(&address, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    stream.set_write_timeout(Some(patience)).ok()?;
    // Who is refused before the end of a body cannot send the rest.
    let _ = stream.write_all(request);
    let mut line = [0; 12];
    stream.read_exact(&mut line).ok()?;
    std::str::from_utf8(&line)
        .ok()?
        .rsplit(' ')
        .next()?
        .parse()
        .ok()
}

/// How long answers take, again and again until it is told to stop, sorted. None counts as all the
/// time that it was waited for.
fn probed(address: SocketAddr, request: &[u8], stop: &AtomicBool) -> Vec<Duration> {
    const WAITED: Duration = Duration::from_secs(4);
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let answered = ask(address, request, WAITED) == Some(200);
        times.push(if answered { begun.elapsed() } else { WAITED });
        thread::sleep(Duration::from_millis(10));
    }
    times.sort_unstable();
    times
}

fn median(sorted: &[Duration]) -> Duration {
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// The share of the time, in percent, in which an answer was waited for that took longer than `most`:
/// who has to wait asks less often, and so the answers alone would not tell.
fn late(times: &[Duration], most: Duration) -> u32 {
    let sum = |times: &mut dyn Iterator<Item = &Duration>| times.sum::<Duration>().as_millis();
    let late = sum(&mut times.iter().filter(|time| **time > most));
    let all = sum(&mut times.iter()) + 10 * times.len() as u128;
    u32::try_from(late * 100 / all.max(1)).unwrap()
}

/// Ten bodies of 10 MB at once before one thread, and in between somebody who asks whether it lives
/// and somebody with a small request. A machine that does more at once may slow down some answers, and
/// so not every one counts.
#[test]
fn large_bodies_stall_nobody() {
    const BODIES: usize = 10;
    const SIZE: usize = 10 * MEGABYTE;
    const LIVES: Duration = Duration::from_millis(50);
    const SMALL: Duration = Duration::from_millis(250);
    /// How long it is looked at; before that all may have been answered.
    const LOOK: Duration = Duration::from_secs(15);
    let server = in_turn(vec![completion()]);
    let served = Served::before(&server, &[("HTTP_WORKERS", "1")]);
    let address = served.address().parse().unwrap();
    let requests: Vec<_> = (0..BODIES)
        .map(|i| HOSTILE[i % HOSTILE.len()])
        .map(|(path, body)| request(path, &body(SIZE)))
        .collect();
    let health = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let small = post(&hello("gpt-4o", false));
    let stop = AtomicBool::new(false);
    let (lives, smalls, answered) = thread::scope(|scope| {
        let lives = scope.spawn(|| probed(address, health, &stop));
        let smalls = scope.spawn(|| probed(address, small.as_bytes(), &stop));
        let callers: Vec<_> = requests
            .iter()
            .map(|request| scope.spawn(move || ask(address, request, LOOK)))
            .collect();
        let answered: Vec<_> = callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .collect();
        stop.store(true, Ordering::Relaxed);
        (lives.join().unwrap(), smalls.join().unwrap(), answered)
    });
    let said = |times: &[Duration], most| {
        let (count, middle, last) = (times.len(), median(times), times.last());
        let late = late(times, most);
        format!(
            "of {count} the one in the middle {middle:?}, the last {last:?}, {late} % of the time late"
        )
    };
    let (alive, small) = (said(&lives, LIVES), said(&smalls, SMALL));
    assert!(
        median(&lives) <= LIVES,
        "whether it lives: {alive}; {answered:?}"
    );
    assert!(
        median(&smalls) <= SMALL,
        "small requests: {small}; {answered:?}"
    );
    assert!(
        late(&lives, LIVES * 4) <= 20,
        "whether it lives: {alive}; {answered:?}"
    );
    assert!(
        late(&smalls, SMALL * 4) <= 20,
        "small requests: {small}; {answered:?}"
    );
}

/// Sends a request and reads the stream that answers it; how many bytes that is.
fn read_stream(address: SocketAddr, request: &[u8], patience: Duration) -> usize {
    let mut stream = TcpStream::connect_timeout(&address, patience).unwrap();
    stream.set_read_timeout(Some(patience)).unwrap();
    stream.write_all(request).unwrap();
    let (mut read, mut buffer, mut end) = (0, vec![0; MEGABYTE], Vec::new());
    loop {
        let count = stream.read(&mut buffer).unwrap();
        read += count;
        end.extend_from_slice(&buffer[..count]);
        if count == 0 || end.ends_with(b"\r\n0\r\n\r\n") {
            return read;
        }
        end.drain(..end.len().saturating_sub(16));
    }
}

/// A stream whose one event has a text of so many bytes, half of it escapes.
fn large_event(path: &str, size: usize) -> Script {
    let text = "x\\n".repeat(size / 3);
    if path.contains("/messages") {
        let events = [
            r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":1,"output_tokens":1}}}"#.to_owned(),
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#.to_owned(),
            format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"{text}"}}}}"#),
            r#"{"type":"content_block_stop","index":0}"#.to_owned(),
            r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}"#.to_owned(),
            r#"{"type":"message_stop"}"#.to_owned(),
        ];
        let events = events.map(|data| {
            let (_, rest) = data.split_once(r#""type":""#).unwrap();
            let (name, _) = rest.split_once('"').unwrap();
            format!("event: {name}\ndata: {data}\n\n")
        });
        return Script::stream().chunk(events.concat()).end();
    }
    let delta = DELTA.replace("\"Hi\"", &format!("\"{text}\""));
    Script::stream()
        .chunk(&delta)
        .chunk(FINISH)
        .chunk(DONE)
        .end()
}

/// One event of 8 MB in each of several streams at once, relayed and translated, before one thread:
/// who asks whether it lives is answered. The event is repeated at the end of a Responses stream.
#[test]
fn large_events_of_providers_stall_nobody() {
    const SIZE: usize = 8 * MEGABYTE;
    const LIVES: Duration = Duration::from_millis(50);
    const LOOK: Duration = Duration::from_secs(20);
    let server = Scripted::start(|request| large_event(&request.path, SIZE)).unwrap();
    let served = Served::before(&server, &[("HTTP_WORKERS", "1")]);
    let address = served.address().parse().unwrap();
    let chat = |model: &str| request("/v1/chat/completions", &hello(model, true).to_string());
    let responses = |model: &str| {
        let body = json!({"model": model, "stream": true, "input": "Hello"}).to_string();
        request("/v1/responses", &body)
    };
    let requests = [
        chat("claude-x"),
        responses("claude-x"),
        chat("gpt-4o"),
        responses("gemini-x"),
    ];
    let health = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let stop = AtomicBool::new(false);
    let (lives, answered) = thread::scope(|scope| {
        let lives = scope.spawn(|| probed(address, health, &stop));
        let callers: Vec<_> = requests
            .iter()
            .map(|request| scope.spawn(move || read_stream(address, request, LOOK)))
            .collect();
        let answered: Vec<_> = callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .collect();
        stop.store(true, Ordering::Relaxed);
        (lives.join().unwrap(), answered)
    });
    assert!(
        answered.iter().all(|read| *read >= SIZE),
        "streams of {answered:?} bytes"
    );
    let late = late(&lives, LIVES * 4);
    assert!(
        median(&lives) <= LIVES && late <= 20,
        "{late} % of the time late, median {:?}, last {:?}; {answered:?}",
        median(&lives),
        lives.last()
    );
}

/// A body may take what all may take together, whatever is built from it.
#[test]
fn bodies_take_no_more_memory_than_they_may() {
    const LIMIT: usize = 40;
    const SIZE: usize = 5 * MEGABYTE;
    /// What else grows meanwhile, in MB: buffers, and what the allocator keeps.
    const BESIDES: u64 = 40;
    /// What is not refused is worked on, which may take its time.
    const LONG: Duration = Duration::from_secs(60);
    let limit = (LIMIT * MEGABYTE).to_string();
    let server = in_turn(vec![completion()]);
    let start = || {
        let largest = (SIZE + MEGABYTE).to_string();
        let variables = [
            ("BODY_MEMORY_BYTES", limit.as_str()),
            ("MAX_BODY_BYTES", largest.as_str()),
            ("HTTP_WORKERS", "1"),
        ];
        Served::before(&server, &variables)
    };
    // What is large and plain has room.
    let served = start();
    let mut plain = hello("gpt-4o", false);
    plain["messages"][0]["content"] = "x".repeat(SIZE).into();
    let address = served.address().parse().unwrap();
    assert_eq!(ask(address, post(&plain).as_bytes(), PATIENCE), Some(200));
    let mut wrong = Vec::new();
    for (n, (path, body)) in HOSTILE.into_iter().enumerate() {
        let served = start();
        let address = served.address().parse().unwrap();
        let before = served.peak_memory();
        let status = ask(address, &request(path, &body(SIZE)), LONG);
        let grown = (served.peak_memory() - before) / 1024;
        if grown > LIMIT as u64 + BESIDES || !matches!(status, Some(200 | 400 | 413 | 502 | 503)) {
            wrong.push(format!("{n}, {path}: {grown} MB more, and {status:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "of {LIMIT} MB that may be held:\n{}",
        wrong.join("\n")
    );
}

/// The same for many who send less each.
#[test]
fn bodies_of_many_take_no_more_memory_together() {
    const LIMIT: usize = 128;
    const CALLERS: usize = 10;
    let limit = (LIMIT * MEGABYTE).to_string();
    let server = in_turn(vec![completion()]);
    let variables = [("BODY_MEMORY_BYTES", limit.as_str()), ("HTTP_WORKERS", "4")];
    let served = Served::before(&server, &variables);
    let address = served.address().parse().unwrap();
    let before = served.peak_memory();
    let (path, body) = HOSTILE[2];
    let request = request(path, &body(2 * MEGABYTE));
    let told: Vec<_> = thread::scope(|scope| {
        let ask = || ask(address, &request, PATIENCE);
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(ask)).collect();
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .collect()
    });
    let grown = (served.peak_memory() - before) / 1024;
    assert!(
        grown <= LIMIT as u64 + 64,
        "{grown} MB more of {LIMIT}: {told:?}"
    );
    // The scripted provider says of a completion that it is no message.
    let known = |status: &Option<u16>| matches!(status, Some(200 | 502 | 503));
    assert!(told.iter().all(known), "{told:?}");
    assert!(
        told.iter().any(|status| *status != Some(503)),
        "one at a time has room"
    );
}

/// The time that a body has.
const T: Duration = Duration::from_millis(600);

/// A gateway that holds two bodies of a megabyte, and hardly more.
fn narrow(server: &Scripted) -> Gateway {
    let mut config = config(server);
    config.server.max_body = 1_100_000;
    config.server.body_memory = 2_080_000;
    config.server.body_timeout = T;
    Gateway::start(config)
}

/// Sends almost all of a body at once; how it goes on is for the caller.
fn begun(gateway: &Gateway, chunked: bool) -> TcpStream {
    const LENGTH: usize = 1_050_000;
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    let head = head(LENGTH);
    let head = if chunked {
        let length = format!("Content-Length: {LENGTH}");
        head.replace(&length, "Transfer-Encoding: chunked") + &format!("{LENGTH:x}\r\n")
    } else {
        head
    };
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&vec![b' '; LENGTH - 50_000]).unwrap();
    stream
}

/// Sees that callers whose bodies go no further are told so, and that others have room then.
async fn lost(gateway: &Gateway, what: &str, stalled: Vec<TcpStream>, drips: bool) {
    const MOST: Duration = T.saturating_mul(4).saturating_add(BEYOND);
    let begun = Instant::now();
    let ends: Vec<_> = stalled
        .into_iter()
        .map(|mut stream| {
            stream.set_read_timeout(Some(MOST)).unwrap();
            let mut writer = stream.try_clone().unwrap();
            if drips {
                thread::spawn(move || {
                    while writer.write_all(b" ").is_ok() {
                        thread::sleep(T / 4);
                    }
                });
            }
            thread::spawn(move || {
                let mut said = [0; 12];
                let told = stream.read_exact(&mut said);
                told.map(|()| String::from_utf8_lossy(&said).into_owned())
            })
        })
        .collect();
    let told: Vec<_> = ends.into_iter().map(|end| end.join().unwrap()).collect();
    let took = begun.elapsed();
    let late = |said: &std::io::Result<String>| matches!(said, Ok(said) if said == "HTTP/1.1 408");
    assert!(
        told.iter().all(late),
        "{what}: after {took:?} of {T:?} they were told {told:?}"
    );
    // It fits only where they are gone.
    let mut other = hello("gpt-4o", false);
    other["messages"][0]["content"] = "x".repeat(100_000).into();
    let answer = gateway.chat(other).await;
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
}

#[actix_web::test]
async fn bodies_that_stall_behind_a_quick_start_lose_what_they_hold() {
    for (what, chunked, drips) in [
        ("silence", false, false),
        ("silence in a chunk", true, false),
        ("a byte now and then", false, true),
    ] {
        let server = in_turn(vec![completion()]);
        let gateway = narrow(&server);
        let stalled = vec![begun(&gateway, chunked), begun(&gateway, chunked)];
        lost(&gateway, what, stalled, drips).await;
    }
}

/// What comes in bursts comes in its time, and is no stall.
#[actix_web::test]
async fn a_body_that_rests_for_less_than_its_time_is_taken() {
    let server = in_turn(vec![completion()]);
    let gateway = narrow(&server);
    let mut plain = hello("gpt-4o", false);
    plain["messages"][0]["content"] = "x".repeat(60_000).into();
    let bytes = post(&plain).into_bytes();
    let address: SocketAddr = gateway.address().parse().unwrap();
    let sending = actix_web::rt::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // Each burst is many times what the least rate wants of the time it takes.
        for burst in bytes.chunks(bytes.len() / 3 + 1) {
            stream.write_all(burst).unwrap();
            thread::sleep(T / 3);
        }
        let mut said = [0; 12];
        stream.read_exact(&mut said).unwrap();
        said
    });
    assert_eq!(&sending.await.unwrap(), b"HTTP/1.1 200");
}

const COMPLETED: &str = "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":1,\"response\":{\"id\":\"r\",\"object\":\"response\",\"created_at\":1,\"status\":\"completed\",\"model\":\"m\",\"output\":[]}}\n\n";
const CREATED: &str = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r\",\"object\":\"response\",\"created_at\":1,\"status\":\"in_progress\",\"model\":\"m\",\"output\":[]}}\n\n";
const MESSAGE: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"m\"}}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

/// A provider that has said all and leaves its body open, or goes on with comments, keeps neither the
/// client nor the slot.
#[actix_web::test]
async fn who_has_said_all_is_not_waited_for() {
    let done = [DELTA, FINISH, DONE].concat();
    let responded = [CREATED, COMPLETED].concat();
    for (path, model, said) in [
        (CHAT, "gpt-4o", done.as_str()),
        (RESPONSES, "gpt-4o", responded.as_str()),
        (RESPONSES, "deepseek/x", done.as_str()),
        (CHAT, "claude-opus-5-5", MESSAGE),
    ] {
        for comments in [0, 200] {
            let mut script = Script::stream().chunk(said);
            for _ in 0..comments {
                script = script
                    .then(Step::Pause(Duration::from_millis(100)))
                    .chunk(": alive\n\n");
            }
            let server = in_turn(vec![script.then(Step::Hang)]);
            let gateway = Gateway::start(config(&server));
            let begun = Instant::now();
            let mut body = hello(model, true);
            body["input"] = json!("Hello");
            let asked = timeout(PATIENCE / 2, gateway.post(path, body.to_string())).await;
            let what = format!("{path}, {model}, {comments} comments behind the end");
            let answer = asked.unwrap_or_else(|_| panic!("{what}: the client still waits"));
            assert_eq!(answer.status, 200, "{what}: {}", answer.text());
            let took = begun.elapsed();
            assert!(took < BEYOND, "{what}: the client waited {took:?}");
            at_rest(&gateway).await;
        }
    }
}

/// Many who want a list wait no longer than one does.
#[actix_web::test]
async fn who_asks_for_a_list_beside_others_waits_no_longer_than_one() {
    const ASKERS: usize = 20;
    let server = Scripted::start(|request: &ReceivedRequest| match request.method.as_str() {
        "POST" => Script::default().then(Step::Hang),
        _ => Script::json(200, &json!({"object": "list", "data": [{"id": "gpt-4o"}]})),
    })
    .unwrap();
    let mut config = keyed(&server);
    config.calls.max_in_flight = 1;
    config.calls.wait_timeout = T;
    config.retries.max_retries = 0;
    let gateway = Gateway::start(config);
    let mut hanging = TcpStream::connect(gateway.address()).unwrap();
    let call = post(&hello("gpt-4o", false)).replace("Bearer k", "Bearer team-key");
    hanging.write_all(call.as_bytes()).unwrap();
    timeout(PATIENCE, server.until(|counts| counts.requests == 1))
        .await
        .unwrap();
    let begun = Instant::now();
    let asked = async || {
        let answer = gateway
            .get("/v1/models?provider=openai", Some("team-key"))
            .await;
        (answer.status, begun.elapsed())
    };
    let told = timeout(PATIENCE, join_all((0..ASKERS).map(|_| asked()))).await;
    let told = told.expect("they still wait");
    let longest = told.iter().map(|(_, took)| *took).max().unwrap();
    assert!(longest < T + BEYOND, "{longest:?} of {T:?}: {told:?}");
    drop(hanging);
}

/// A provider that takes a connection and never reads: the body stays in the way, and the deadline
/// ends it.
#[actix_web::test]
async fn a_provider_that_does_not_read_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let held = thread::spawn(move || listener.accept());
    let server = in_turn(vec![completion()]);
    let mut config = config(&server);
    config.calls.request_timeout = T;
    for entry in &mut config.providers {
        entry.base = BaseUrl::parse(&url, entry.provider.version).unwrap();
    }
    let gateway = Gateway::start(config);
    for stream in [false, true] {
        let mut body = hello("gpt-4o", stream);
        body["messages"][0]["content"] = "x".repeat(12 * MEGABYTE).into();
        let begun = Instant::now();
        let answer = timeout(PATIENCE, gateway.post(CHAT, body.to_string())).await;
        let answer = answer.expect("it still waits");
        assert!(matches!(answer.status, 502 | 504), "{}", answer.text());
        let took = begun.elapsed();
        assert!(took < T + BEYOND, "{took:?} of {T:?}");
    }
    drop(held);
}

/// A client that takes nothing of its answer is ended, and its slot is free again.
/// The kernel wakes a writer only when a good part of its buffer is free, so that who takes a byte now and
/// then is no better than who takes none.
#[actix_web::test]
async fn a_client_that_does_not_read_is_given_up() {
    for drips in [false, true] {
        let piece = DELTA.replace("Hi", &"x".repeat(60_000));
        let mut script = Script::stream();
        for _ in 0..400 {
            script = script.chunk(&piece);
        }
        let server = in_turn(vec![script.then(Step::Hang)]);
        let mut config = config(&server);
        config.server.write_timeout = T;
        let gateway = Gateway::start(config);
        let mut caller = TcpStream::connect(gateway.address()).unwrap();
        caller
            .write_all(post(&hello("gpt-4o", true)).as_bytes())
            .unwrap();
        timeout(PATIENCE, server.until(|counts| counts.requests == 1))
            .await
            .unwrap();
        if drips {
            let mut caller = caller.try_clone().unwrap();
            thread::spawn(move || {
                while caller.read(&mut [0]).is_ok_and(|read| read > 0) {
                    thread::sleep(T / 20);
                }
            });
        }
        let took = at_rest(&gateway).await;
        assert!(took < T + BEYOND, "{took:?} of {T:?}");
        drop(caller);
    }
}

/// What is asked beside those who wait is answered: the client of the tests is one of them.
#[actix_web::test]
async fn those_who_wait_are_in_nobodys_way() {
    let server = Scripted::start(|_| Script::default().then(Step::Hang)).unwrap();
    let gateway = Gateway::start(config(&server));
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(gateway.address()).unwrap();
            stream
                .write_all(post(&hello("gpt-4o", true)).as_bytes())
                .unwrap();
            stream
        })
        .collect();
    timeout(PATIENCE, server.until(|counts| counts.requests == 200))
        .await
        .unwrap();
    let begun = Instant::now();
    let health = client()
        .get(format!("{}/healthz", gateway.url))
        .send()
        .await
        .unwrap();
    assert_eq!(health.status().as_u16(), 200);
    assert!(begun.elapsed() < BEYOND, "{:?}", begun.elapsed());
    drop(calls);
}
