//! What the gateway does when providers and clients misbehave, on real sockets.

use std::time::Duration;

use crate::rig::faults::{
    DELTA, DONE, FINISH, completion, gateway, hello, in_turn, open, read_until, status, until,
};
use crate::rig::{Gateway, PATIENCE, config};
use ai_gateway::config::Config;
use ai_gateway::scripted::{Counts, ReceivedRequest, Script, Scripted, Step};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

#[actix_web::test]
async fn what_cannot_have_been_billed_is_tried_again() {
    let transient: Vec<(&str, Script)> = vec![
        ("429", status(429, &[])),
        ("500", status(500, &[])),
        ("502", status(502, &[])),
        ("503", status(503, &[])),
        ("504", status(504, &[])),
        ("529", status(529, &[])),
        ("408", status(408, &[])),
        (
            "520 that asks for it",
            status(520, &[("x-should-retry", "true")]),
        ),
        (
            "a close without an answer",
            Script::default().then(Step::Close),
        ),
        (
            "a reset without an answer",
            Script::default().then(Step::Reset),
        ),
        (
            "a head that is cut",
            Script::raw("HTTP/1.1 200 OK\r\ncontent-le").then(Step::Close),
        ),
    ];
    for (what, script) in transient {
        let server = in_turn(vec![script, completion()]);
        let answer = gateway(&server).chat(hello("gpt-4o", false)).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        assert_eq!(answer.header("x-gateway-attempts"), Some("2"), "{what}");
        assert_eq!(server.counts().requests, 2, "{what}");
    }
}

#[actix_web::test]
async fn what_would_fail_again_or_was_billed_is_not() {
    let json = [("content-type", "application/json")];
    let final_ones: Vec<(&str, Script, u16)> = vec![
        ("400", status(400, &[]), 400),
        ("401", status(401, &[]), 401),
        ("403", status(403, &[]), 403),
        ("404", status(404, &[]), 404),
        ("409", status(409, &[]), 409),
        ("413", status(413, &[]), 413),
        ("422", status(422, &[]), 422),
        ("429 that forbids it", status(429, &[("x-should-retry", "false")]), 429),
        ("409 that asks for it", status(409, &[("x-should-retry", "true")]), 409),
        ("429 that asks too long", status(429, &[("retry-after", "21")]), 429),
        (
            "429 that means the money",
            Script::json(429, &json!({"error": {"message": "quota", "type": "insufficient_quota", "param": null, "code": "insufficient_quota"}})),
            429,
        ),
        ("a redirect", Script::whole(307, &[("location", "/elsewhere")], ""), 502),
        // The provider has begun.
        ("an interim answer", Script::raw("HTTP/1.1 103 Early Hints\r\n\r\n").then(Step::Close), 502),
        ("no HTTP", Script::raw("SSH-2.0-OpenSSH\r\n\r\n").then(Step::Close), 502),
        ("no JSON", Script::whole(200, &json, "<html>"), 502),
        ("another type", Script::whole(200, &[("content-type", "text/html")], "<html>"), 502),
        ("a compressed body", Script::whole(200, &[("content-encoding", "gzip"), ("content-type", "application/json")], "x"), 502),
        (
            "a body that is cut",
            Script::raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"id\":\"c\",\"choices\":[]}").then(Step::Close),
            502,
        ),
        (
            "chunks that are cut",
            Script::raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n").then(Step::Close),
            502,
        ),
    ];
    for (what, script, expected) in final_ones {
        let server = in_turn(vec![script, completion()]);
        let answer = gateway(&server).chat(hello("gpt-4o", false)).await;
        assert_eq!(
            answer.error()["message"].as_str().map(str::is_empty),
            Some(false)
        );
        assert_eq!(answer.status, expected, "{what}: {}", answer.text());
        assert_eq!(server.counts().requests, 1, "{what}");
    }
}

#[actix_web::test]
async fn attempts_end_and_the_last_word_is_the_providers() {
    let server = in_turn(vec![status(503, &[("x-request-id", "req-7")])]);
    let answer = gateway(&server).chat(hello("gpt-4o", false)).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.error()["message"], "busy");
    assert_eq!(answer.header("x-gateway-attempts"), Some("3"));
    assert_eq!(answer.header("x-upstream-request-id"), Some("req-7"));
    assert_eq!(
        answer.header("x-should-retry"),
        Some("false"),
        "or three attempts become nine"
    );
    assert_eq!(server.counts().requests, 3);

    let server = in_turn(vec![status(503, &[])]);
    let mut config = config(&server);
    config.retries.max_retries = 0;
    assert_eq!(
        Gateway::start(config)
            .chat(hello("gpt-4o", false))
            .await
            .status,
        503
    );
    assert_eq!(server.counts().requests, 1);
}

/// Trap C11.
#[actix_web::test]
async fn retry_after_is_obeyed_and_passed_on() {
    let server = in_turn(vec![
        status(429, &[("retry-after-ms", "300")]),
        completion(),
    ]);
    let begun = Instant::now();
    assert_eq!(
        gateway(&server).chat(hello("gpt-4o", false)).await.status,
        200
    );
    assert!(
        begun.elapsed() >= Duration::from_millis(300),
        "{:?}",
        begun.elapsed()
    );

    let server = in_turn(vec![status(
        429,
        &[
            ("retry-after", "77"),
            ("x-ratelimit-remaining-requests", "0"),
            ("set-cookie", "a=b"),
        ],
    )]);
    let answer = gateway(&server).chat(hello("gpt-4o", false)).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), Some("77"));
    assert_eq!(answer.header("x-should-retry"), None, "it was told when");
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some("0"));
    assert_eq!(answer.header("set-cookie"), None);
}

#[actix_web::test]
async fn an_unreachable_provider_is_said_without_its_address() {
    let server = in_turn(vec![completion()]);
    let mut config = config(&server);
    drop(server);
    config.retries.max_retries = 1;
    let answer = Gateway::start(config).chat(hello("gpt-4o", false)).await;
    assert_eq!(
        answer.refusal(),
        (502, "null".into(), "upstream_unreachable".into())
    );
    assert_eq!(answer.header("x-gateway-attempts"), Some("2"));
    assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
    assert!(!answer.text().contains("os error"), "{}", answer.text());
}

/// Short deadlines for what must be waited for.
fn impatient(server: &Scripted) -> Config {
    let mut config = config(server);
    config.calls.request_timeout = Duration::from_millis(400);
    config
}

#[actix_web::test]
async fn one_deadline_covers_everything_before_the_answer() {
    let cut_short = Script::raw(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{",
    );
    let silent_stream = Script::stream();
    for (what, script, stream) in [
        ("no head", Script::default().then(Step::Hang), false),
        ("half a body", cut_short.then(Step::Hang), false),
        ("no event", silent_stream.then(Step::Hang), true),
        ("retries", status(503, &[("retry-after-ms", "250")]), false),
    ] {
        let server = in_turn(vec![script]);
        let gateway = Gateway::start(impatient(&server));
        let begun = Instant::now();
        let answer = gateway.chat(hello("gpt-4o", stream)).await;
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{what}: {:?}",
            begun.elapsed()
        );
        if what == "retries" {
            assert_eq!(answer.status, 503);
            assert_eq!(
                server.counts().requests,
                2,
                "a third would come after the deadline"
            );
        } else {
            let code = if stream {
                "upstream_first_event_timeout"
            } else {
                "upstream_timeout"
            };
            assert_eq!(
                answer.refusal(),
                (504, "null".into(), code.into()),
                "{what}"
            );
            assert_eq!(
                server.counts().requests,
                1,
                "{what}: a timeout is not tried again"
            );
            until(&server, "the end of the call", |counts| counts.left == 1).await;
        }
    }
}

/// Trap B12.
#[actix_web::test]
async fn a_silent_stream_ends_with_an_error_and_a_slow_one_goes_on() {
    let server = in_turn(vec![Script::stream().chunk(DELTA).then(Step::Hang)]);
    let answer = Gateway::start(impatient(&server))
        .chat(hello("gpt-4o", true))
        .await;
    assert_eq!(answer.status, 200);
    let events = answer.events();
    assert_eq!(events[1]["error"]["code"], "upstream_idle_timeout");
    assert!(!answer.text().contains("[DONE]"));

    // Four pauses, together longer than the deadline: any byte is life, a comment too.
    let mut slow = Script::stream();
    for piece in [DELTA, ": still here\n\n", DELTA, DELTA] {
        slow = slow
            .chunk(piece)
            .then(Step::Pause(Duration::from_millis(200)));
    }
    let server = in_turn(vec![slow.chunk(FINISH).chunk(DONE).end()]);
    let answer = Gateway::start(impatient(&server))
        .chat(hello("gpt-4o", true))
        .await;
    assert!(answer.text().ends_with(DONE), "{}", answer.text());
}

/// Trap B7.
#[actix_web::test]
async fn a_cut_stream_never_looks_complete() {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let plain = "HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let half = &DELTA[..40];
    let cases: Vec<(&str, Script, usize)> = vec![
        (
            "cut after an event",
            Script::stream().chunk(DELTA).then(Step::Close),
            1,
        ),
        (
            "reset after an event",
            Script::stream().chunk(DELTA).chunk(DELTA).then(Step::Reset),
            2,
        ),
        (
            "cut inside an event",
            Script::stream().chunk(DELTA).chunk(half).then(Step::Close),
            1,
        ),
        (
            "cut after the finish",
            Script::stream()
                .chunk(DELTA)
                .chunk(FINISH)
                .then(Step::Close),
            2,
        ),
        (
            "ended in order without a finish",
            Script::stream().chunk(DELTA).end(),
            1,
        ),
        (
            "ended in order inside an event",
            Script::stream().chunk(DELTA).chunk(half).end(),
            1,
        ),
        (
            "cut inside a chunk",
            Script::raw(format!("{head}fff\r\n{DELTA}")).then(Step::Close),
            1,
        ),
        (
            "cut after a text with [DONE]",
            Script::stream()
                .chunk(DELTA.replace("Hi", "say data: [DONE]"))
                .then(Step::Close),
            1,
        ),
        (
            "closed without a finish, HTTP/1.0",
            Script::raw(format!("{plain}{DELTA}")).then(Step::Close),
            1,
        ),
    ];
    for (what, script, events_before) in cases {
        let server = in_turn(vec![script]);
        for model in ["gpt-4o", "groq/x"] {
            let answer = gateway(&server).chat(hello(model, true)).await;
            assert_eq!(answer.status, 200, "{what}");
            let events = answer.events();
            let (last, before) = events.split_last().unwrap();
            // A reset may overtake what was sent before it.
            assert!(
                before.len() == events_before || what.contains("reset"),
                "{what}: {}",
                answer.text()
            );
            assert_eq!(last["error"]["code"], "upstream_stream_truncated", "{what}");
            assert!(!answer.text().contains("\ndata: [DONE]"), "{what}");
        }
        let requests = server.counts().requests;
        assert_eq!(
            requests, 2,
            "{what}: nothing is tried again after the first byte"
        );
    }
}

#[actix_web::test]
async fn a_stream_that_ended_is_complete_however_it_says_so() {
    let plain = "HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    for (what, script) in [
        (
            "with [DONE]",
            Script::stream()
                .chunk(DELTA)
                .chunk(FINISH)
                .chunk(DONE)
                .end(),
        ),
        (
            "without [DONE]",
            Script::stream().chunk(DELTA).chunk(FINISH).end(),
        ),
        (
            "without a blank line at its end",
            Script::stream()
                .chunk(DELTA)
                .chunk(FINISH)
                .chunk("data: [DONE]")
                .end(),
        ),
        (
            "by closing, HTTP/1.0",
            Script::raw(format!("{plain}{DELTA}{FINISH}")).then(Step::Close),
        ),
        (
            "with [DONE] and a cut",
            Script::stream()
                .chunk(DELTA)
                .chunk(FINISH)
                .chunk(DONE)
                .then(Step::Close),
        ),
    ] {
        let server = in_turn(vec![script]);
        let answer = gateway(&server).chat(hello("gpt-4o", true)).await;
        assert!(
            !answer.text().contains("\"error\""),
            "{what}: {}",
            answer.text()
        );
        let end = answer.text().trim_end();
        assert!(end.ends_with("data: [DONE]"), "{what}: {end}");
    }
}

/// Trap B8.
#[actix_web::test]
async fn an_error_as_first_event_has_its_real_status_and_is_tried_again() {
    let busy = "data: {\"error\":{\"code\":429,\"message\":\"busy\"}}\n\n";
    let ok = Script::stream()
        .chunk(DELTA)
        .chunk(FINISH)
        .chunk(DONE)
        .end();
    let server = in_turn(vec![Script::stream().chunk(busy).end(), ok]);
    let answer = gateway(&server).chat(hello("openrouter/x", true)).await;
    assert!(answer.text().ends_with(DONE), "{}", answer.text());
    assert_eq!(server.counts().requests, 2);

    let server = in_turn(vec![
        Script::stream().chunk(": waiting\n\n").chunk(busy).end(),
    ]);
    let answer = gateway(&server).chat(hello("openrouter/x", true)).await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_eq!(answer.error()["message"], "busy");

    let overloaded = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    let server = in_turn(vec![Script::stream().chunk(overloaded).end()]);
    let answer = gateway(&server).chat(hello("claude-opus-5-5", true)).await;
    assert_eq!(answer.refusal(), (503, "null".into(), "overloaded".into()));
}

/// Trap B9.
#[actix_web::test]
async fn an_error_with_a_good_status_is_handled_as_what_it_is() {
    let server = in_turn(vec![
        Script::json(200, &json!({"error": {"code": 429, "message": "busy"}})),
        completion(),
    ]);
    let answer = gateway(&server).chat(hello("openrouter/x", false)).await;
    assert_eq!((answer.status, server.counts().requests), (200, 2));
}

#[actix_web::test]
async fn an_event_arrives_while_the_next_is_not_there_yet() {
    let server = in_turn(vec![Script::stream().chunk(DELTA).then(Step::Hang)]);
    let gateway = gateway(&server);
    let mut stream = open(&gateway, &hello("gpt-4o", true)).await;
    read_until(&mut stream, "\"Hi\"").await;
    // The provider still holds its stream open: nothing waited for its end.
    assert_eq!(
        server.counts(),
        Counts {
            connections: 1,
            requests: 1,
            answered: 0,
            left: 0
        }
    );
}

/// Sends a request by hand and leaves the connection to the caller.
/// Trap B15, B16, B17.
#[actix_web::test]
async fn when_the_client_leaves_the_call_is_cancelled() {
    let cut = Script::raw(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{",
    );
    for (what, script, stream, seen) in [
        ("before the head", Script::default(), false, None),
        ("before the first event", Script::stream(), true, None),
        (
            "in a silent stream",
            Script::stream().chunk(DELTA),
            true,
            Some("Hi"),
        ),
        ("inside a whole answer", cut, false, None),
    ] {
        let server = in_turn(vec![script.then(Step::Hang)]);
        let gateway = gateway(&server);
        for model in ["gpt-4o", "claude-opus-5-5"] {
            if seen.is_some() && model != "gpt-4o" {
                continue;
            }
            let before = server.counts();
            let mut client = open(&gateway, &hello(model, stream)).await;
            until(&server, what, |counts| {
                counts.requests == before.requests + 1
            })
            .await;
            if let Some(text) = seen {
                read_until(&mut client, text).await;
            }
            let left = Instant::now();
            drop(client);
            until(&server, what, |counts| counts.left == before.left + 1).await;
            assert!(
                left.elapsed() < Duration::from_secs(1),
                "{what}: {:?}",
                left.elapsed()
            );
        }
    }
}

#[actix_web::test]
async fn a_client_that_waits_for_a_slot_and_leaves_gives_its_place_back() {
    let server = in_turn(vec![Script::default().then(Step::Hang), completion()]);
    let mut config = config(&server);
    config.calls.max_in_flight = 1;
    config.calls.max_waiting = 1;
    config.calls.wait_timeout = PATIENCE;
    let gateway = Gateway::start(config);
    let first = open(&gateway, &hello("gpt-4o", false)).await;
    until(&server, "the first call", |counts| counts.requests == 1).await;
    let waiting = open(&gateway, &hello("gpt-4o", false)).await;
    // The line is full as soon as the one before waits in it.
    let refused = async {
        loop {
            let answer = gateway.chat(hello("gpt-4o", false)).await;
            if answer.status == 503 {
                return answer;
            }
        }
    };
    let answer = timeout(PATIENCE, refused).await.unwrap();
    assert_eq!(answer.refusal(), (503, "null".into(), "overloaded".into()));
    assert_eq!(answer.header("retry-after"), Some("1"));
    drop(waiting);
    drop(first);
    until(&server, "the first call's end", |counts| counts.left == 1).await;
    assert_eq!(gateway.chat(hello("gpt-4o", false)).await.status, 200);
}

#[actix_web::test]
async fn shedding_is_exact_and_at_once() {
    // Long enough for all twenty to arrive while the first four are under way.
    let mut slow = Script::default().then(Step::Pause(Duration::from_secs(3)));
    slow.steps.extend(completion().steps);
    let server = in_turn(vec![
        slow.clone(),
        slow.clone(),
        slow.clone(),
        slow,
        completion(),
    ]);
    let mut config = config(&server);
    config.server.http_workers = 2;
    config.calls.max_in_flight = 4;
    config.calls.max_waiting = 8;
    config.calls.wait_timeout = PATIENCE;
    let gateway = Gateway::start(config);
    let begun = Instant::now();
    let answers = join_all((0..20).map(|_| async {
        let answer = gateway.chat(hello("gpt-4o", false)).await;
        assert!(answer.status != 503 || begun.elapsed() < Duration::from_millis(2500));
        answer
    }))
    .await;
    let count = |status| {
        answers
            .iter()
            .filter(|answer| answer.status == status)
            .count()
    };
    assert_eq!(
        (count(200), count(503)),
        (12, 8),
        "20 calls, 4 slots, 8 places"
    );
    assert!(
        answers
            .iter()
            .filter(|a| a.status == 503)
            .all(|a| a.header("retry-after") == Some("1"))
    );
    assert_eq!(server.counts().requests, 12);
}

#[actix_web::test]
async fn one_hanging_provider_does_not_slow_another() {
    let server = Scripted::start(|request: &ReceivedRequest| {
        if request.path.starts_with("/groq") {
            Script::default().then(Step::Hang)
        } else {
            completion()
        }
    })
    .unwrap();
    let gateway = gateway(&server);
    let mut hung = Vec::new();
    for _ in 0..150 {
        hung.push(open(&gateway, &hello("groq/x", false)).await);
    }
    until(&server, "all hung calls", |counts| counts.requests == 150).await;
    let others = join_all((0..20).map(|_| gateway.chat(hello("mistral/x", false)))).await;
    assert!(others.iter().all(|answer| answer.status == 200));
    drop(hung);
    until(&server, "the hung calls' end", |counts| counts.left == 150).await;
}

#[actix_web::test]
async fn a_connection_that_the_provider_closed_is_not_noticed() {
    // The close comes with the answer: the next call finds the pooled connection dead or gone.
    let server = in_turn(vec![completion().then(Step::Close)]);
    let gateway = gateway(&server);
    for _ in 0..20 {
        assert_eq!(gateway.chat(hello("gpt-4o", false)).await.status, 200);
    }
}

#[actix_web::test]
async fn connections_are_kept_and_used_again() {
    for (model, stream) in [
        ("gpt-4o", false),
        ("gpt-4o", true),
        ("claude-opus-5-5", false),
        ("claude-opus-5-5", true),
    ] {
        let server = ai_gateway::scripted::all_providers().unwrap();
        let gateway = gateway(&server);
        for _ in 0..10 {
            assert_eq!(gateway.chat(hello(model, stream)).await.status, 200);
        }
        assert_eq!(server.counts().connections, 1, "{model}, stream: {stream}");
    }
}

#[actix_web::test]
async fn a_complete_answer_gives_its_slot_back_though_its_end_is_not_there() {
    let stop = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let begin = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"x\"}}\n\n";
    let server = in_turn(vec![
        Script::stream().chunk(begin).chunk(stop).then(Step::Hang),
    ]);
    let mut config = config(&server);
    config.calls.max_in_flight = 1;
    config.calls.max_waiting = 0;
    let gateway = Gateway::start(config);
    for _ in 0..3 {
        let mut client = open(&gateway, &hello("claude-opus-5-5", true)).await;
        read_until(&mut client, "data: [DONE]").await;
    }
    assert_eq!(server.counts().requests, 3);
}

#[actix_web::test]
async fn endless_comments_before_the_first_event_are_not_kept() {
    let mut script = Script::stream();
    for _ in 0..64 {
        script = script.chunk(": waiting\n\n".repeat(6000));
    }
    let server = in_turn(vec![script.chunk(DELTA).chunk(FINISH).chunk(DONE).end()]);
    let answer = gateway(&server).chat(hello("gpt-4o", true)).await;
    assert!(answer.text().ends_with(DONE));
    assert!(answer.body.len() < 200_000, "{} bytes", answer.body.len());
}

#[actix_web::test]
async fn a_redirect_is_not_followed_and_gets_no_key() {
    let other = in_turn(vec![completion()]);
    let to = format!("{}/x", other.url());
    let server = in_turn(vec![Script::whole(307, &[("location", &to)], "")]);
    for model in ["gpt-4o", "claude-opus-5-5"] {
        let answer = gateway(&server).chat(hello(model, false)).await;
        assert_eq!(
            answer.refusal(),
            (502, "null".into(), "upstream_invalid_response".into())
        );
    }
    assert_eq!(other.counts().connections, 0);
}

/// Trap I5.
#[actix_web::test]
async fn a_key_leaves_in_no_member_of_an_error_and_in_no_header() {
    const KEY: &str = "openai-secret-key";
    /// A key that the gateway does not know.
    const OTHERS: &str = "sk-proj-0123456789abcdef";
    let both = format!("{KEY} {OTHERS}");
    let member =
        json!({"message": both, "type": KEY, "param": both, "code": KEY, KEY: {"deep": both}});
    let json = |status: u16, body: Value| {
        let headers = [
            ("content-type", "application/json"),
            ("x-request-id", KEY),
            ("x-ratelimit-x", KEY),
        ];
        Script::whole(status, &headers, &body.to_string())
    };
    let failed = json!({"type": "response.failed", "response": {"status": "failed", "error": {"code": "x", "message": both}}});
    let failed = format!("event: response.failed\ndata: {failed}\n\n");
    let whole = json(400, json!({"error": member}));
    let hidden = json(200, json!({"error": member}));
    let shape = json(200, json!({"choices": KEY, "data": KEY, "content": KEY}));
    let event = format!("data: {}\n\n", json!({"error": member}));
    let named = format!(
        "event: error\ndata: {}\n\n",
        json!({"type": "error", "error": {"type": KEY, "message": both, "details": {"error_code": both}}})
    );
    let first = Script::stream().chunk(&event).end();
    let spelled = KEY.replace('-', "\\u002d");
    let spelled = format!("data: {{\"error\":{{\"message\":\"{spelled}\"}}}}\n\n");
    let later = Script::stream()
        .chunk(DELTA)
        .chunk(&event)
        .chunk(&spelled)
        .chunk(&named)
        .chunk(&failed)
        .end();
    for script in [whole, hidden, shape, first, later] {
        let server = in_turn(vec![script]);
        let mut config = crate::rig::keyed(&server);
        config.retries.max_retries = 0;
        for entry in &mut config.providers {
            entry.key = Some(ai_gateway::secret::Secret::new(KEY));
        }
        let gateway = Gateway::start(config);
        for stream in [false, true] {
            for (path, model) in [
                ("/v1/chat/completions", "gpt-4o"),
                ("/v1/chat/completions", "claude-opus-5-5"),
                ("/v1/responses", "gpt-4o"),
                ("/v1/responses", "cohere/x"),
                ("/v1/responses", "claude-opus-5-5"),
            ] {
                let mut body = hello(model, stream);
                body["input"] = json!("x");
                let answer = gateway
                    .send(path, Some("team-key"), &[], body.to_string())
                    .await;
                // A good answer of the same shape goes through as it is.
                if answer.status == 200 && !stream {
                    continue;
                }
                let all = format!("{:?} {}", answer.headers, answer.text());
                assert!(!all.contains(KEY), "{path} {model} {stream}: {all}");
                assert!(
                    !all.contains("u002dsecret"),
                    "{path} {model} {stream}: {all}"
                );
                assert!(!all.contains(OTHERS), "{path} {model} {stream}: {all}");
            }
        }
        let listed = gateway
            .get("/v1/models?provider=openai", Some("team-key"))
            .await;
        assert!(!listed.text().contains(KEY), "{}", listed.text());
    }
}

#[actix_web::test]
async fn keys_in_a_providers_errors_do_not_reach_the_client() {
    let error =
        "data: {\"error\":{\"message\":\"key caller-key-0123 is wrong\",\"code\":\"x\"}}\n\n";
    let server = in_turn(vec![Script::stream().chunk(DELTA).chunk(error).end()]);
    let gateway = gateway(&server);
    let answer = gateway
        .send(
            "/v1/chat/completions",
            Some("caller-key-0123"),
            &[],
            hello("gpt-4o", true).to_string(),
        )
        .await;
    assert!(
        answer.text().contains("key [redacted] is wrong"),
        "{}",
        answer.text()
    );
    let in_messages = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"caller-key-0123\"}}\n\n";
    let begin = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"x\"}}\n\n";
    let server = in_turn(vec![Script::stream().chunk(begin).chunk(in_messages).end()]);
    let gateway = self::gateway(&server);
    let answer = gateway
        .send(
            "/v1/chat/completions",
            Some("caller-key-0123"),
            &[],
            hello("claude-opus-5-5", true).to_string(),
        )
        .await;
    assert!(answer.text().contains("[redacted]"), "{}", answer.text());
    assert!(!answer.text().contains("caller-key"), "{}", answer.text());
}

/// Trap B19.
#[actix_web::test]
async fn a_large_event_is_delivered_and_an_endless_one_is_not() {
    let large = DELTA.replace("Hi", &"x".repeat(8 << 20));
    let server = in_turn(vec![
        Script::stream()
            .chunk(&large)
            .chunk(FINISH)
            .chunk(DONE)
            .end(),
    ]);
    let answer = gateway(&server).chat(hello("gpt-4o", true)).await;
    assert_eq!(answer.body.len(), large.len() + FINISH.len() + DONE.len());

    let mut endless = Script::stream().chunk(DELTA).chunk("data: ");
    for _ in 0..40 {
        endless = endless.chunk(vec![b'x'; 1 << 20]);
    }
    let server = in_turn(vec![endless.then(Step::Hang)]);
    let answer = gateway(&server).chat(hello("gpt-4o", true)).await;
    let events = answer.events();
    assert_eq!(events.len(), 2);
    assert_eq!(events[1]["error"]["code"], "upstream_invalid_response");
}

#[actix_web::test]
async fn an_endless_answer_is_refused() {
    let mut endless = Script::raw(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
    )
    .chunk("[");
    for _ in 0..40 {
        endless = endless.chunk(vec![b' '; 64 << 10]);
    }
    let server = in_turn(vec![endless.then(Step::Hang)]);
    let mut config = config(&server);
    config.calls.max_answer = 1 << 20;
    let answer = Gateway::start(config).chat(hello("gpt-4o", false)).await;
    assert_eq!(
        answer.refusal(),
        (502, "null".into(), "upstream_invalid_response".into())
    );
    assert!(answer.text().contains("too long"), "{}", answer.text());
}

#[actix_web::test]
async fn a_body_that_does_not_arrive_is_given_up() {
    let server = in_turn(vec![completion()]);
    let mut config = config(&server);
    config.server.body_timeout = Duration::from_millis(200);
    let gateway = Gateway::start(config);
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream
        .write_all(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"model\"")
        .await
        .unwrap();
    read_until(&mut stream, "request_timeout").await;
    assert_eq!(server.counts().connections, 0);
}

#[actix_web::test]
async fn waiting_for_a_slot_ends_in_its_time() {
    let server = in_turn(vec![Script::default().then(Step::Hang)]);
    let mut config = config(&server);
    config.calls.max_in_flight = 1;
    config.calls.wait_timeout = Duration::from_millis(200);
    let gateway = Gateway::start(config);
    let _first = open(&gateway, &hello("gpt-4o", false)).await;
    until(&server, "the first call", |counts| counts.requests == 1).await;
    let begun = Instant::now();
    let answer = gateway.chat(hello("gpt-4o", false)).await;
    assert_eq!(answer.refusal(), (503, "null".into(), "overloaded".into()));
    assert!(begun.elapsed() >= Duration::from_millis(200), "it waited");
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}

#[actix_web::test]
async fn a_body_without_an_end_is_refused_as_soon_as_it_is_too_large() {
    let server = in_turn(vec![completion()]);
    let mut config = config(&server);
    config.server.max_body = 100_000;
    let gateway = Gateway::start(config);
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream
        .write_all(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let chunk = format!("2710\r\n{}\r\n", " ".repeat(10_000));
    for _ in 0..11 {
        stream.write_all(chunk.as_bytes()).await.unwrap();
    }
    // The last chunk was not sent, and never will be.
    read_until(&mut stream, "request_too_large").await;
    assert_eq!(server.counts().connections, 0);
}

#[actix_web::test]
async fn a_fault_of_the_request_under_a_good_status_is_told_at_once() {
    let theirs = json!({"error": {"message": "no such parameter", "type": "invalid_request_error", "param": "x", "code": null}});
    let event = format!("data: {theirs}\n\n");
    for (stream, script) in [
        (false, Script::json(200, &theirs)),
        (true, Script::stream().chunk(event).end()),
    ] {
        let server = in_turn(vec![script; 30]);
        let gateway = gateway(&server);
        for n in 1..=25 {
            let answer = gateway.chat(hello("gpt-4o", stream)).await;
            assert_eq!(
                (answer.status, server.counts().requests),
                (400, n),
                "neither tried again nor left alone"
            );
        }
    }
}
