//! What requests may take together, how often a provider is asked, and who sees how it is doing.

use std::collections::HashMap;
use std::sync::Mutex;

use crate::rig::faults::{completion, head, hello, in_turn, status, until};
use crate::rig::process::Served;
use crate::rig::{Answer, Gateway, PATIENCE, client, config, keyed};
use ai_gateway::scripted::{ReceivedRequest, Script, Scripted, Step};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const MEGABYTE: usize = 1 << 20;

fn sized(model: &str, bytes: usize) -> String {
    let mut body = hello(model, false);
    body["messages"][0]["content"] = "x".repeat(bytes).into();
    body.to_string()
}

/// Promise 12.
#[actix_web::test]
async fn bodies_are_held_up_to_a_limit_over_all_requests() {
    let server =
        Scripted::start(
            |request: &ReceivedRequest| match request.json()["model"].as_str() {
                Some("gpt-hangs") => Script::default().then(Step::Hang),
                _ => completion(),
            },
        )
        .unwrap();
    let mut config = config(&server);
    config.server.max_body = 8000;
    config.server.body_memory = 8000;
    let gateway = Gateway::start(config);
    let first = {
        let body = sized("gpt-hangs", 5000);
        let mut caller = TcpStream::connect(gateway.address()).await.unwrap();
        let request = format!("{}{body}", head(body.len()));
        caller.write_all(request.as_bytes()).await.unwrap();
        caller
    };
    until(&server, "the first call", |counts| counts.requests == 1).await;
    let path = "/v1/chat/completions";
    let large = gateway.post(path, sized("gpt-4o", 5000)).await;
    let refusal = (503, "null".into(), "overloaded".into());
    assert_eq!(large.refusal(), refusal, "{}", large.text());
    assert_eq!(large.header("retry-after"), Some("1"));
    let small = gateway.post(path, sized("gpt-4o", 1000)).await;
    assert_eq!(small.status, 200, "there is room for it: {}", small.text());
    drop(first);
    until(&server, "the first caller's leaving", |counts| {
        counts.left == 1
    })
    .await;
    let again = gateway.post(path, sized("gpt-4o", 5000)).await;
    assert_eq!(again.status, 200, "{}", again.text());
}

/// Twelve callers who send 20 MB each and never the last byte, before the real binary.
/// Promise 12.
#[actix_web::test]
async fn bodies_that_never_end_take_no_more_than_the_limit() {
    const LIMIT: usize = 50;
    const CALLERS: usize = 12;
    let server = in_turn(vec![completion()]);
    let limit = (LIMIT * MEGABYTE).to_string();
    let variables = [("BODY_MEMORY_BYTES", limit.as_str()), ("HTTP_WORKERS", "1")];
    let served = Served::before(&server, &variables);
    let before = served.peak_memory();
    let send = async || {
        let mut caller = TcpStream::connect(served.address()).await.unwrap();
        caller
            .write_all(head(20 * MEGABYTE).as_bytes())
            .await
            .unwrap();
        let piece = vec![b' '; 64 << 10];
        for _ in 0..20 * MEGABYTE / piece.len() - 1 {
            if caller.write_all(&piece).await.is_err() {
                break;
            }
        }
        caller
    };
    let callers = timeout(PATIENCE, join_all((0..CALLERS).map(|_| send())))
        .await
        .unwrap();
    let answers = client()
        .post(format!("{}/v1/chat/completions", served.url()))
        .bearer_auth("k")
        .content_type("application/json")
        .send_body(hello("gpt-4o", false).to_string());
    let answer = Answer::read(answers.await.unwrap()).await;
    assert!(matches!(answer.status, 200 | 503), "{}", answer.text());
    let grown = (served.peak_memory() - before) / 1024;
    assert!(
        grown <= LIMIT as u64 + 32,
        "{grown} MB more with {CALLERS} bodies of 20 MB, of which {LIMIT} MB may be held"
    );
    let mut refused = 0;
    let mut told: FuturesUnordered<_> = callers
        .into_iter()
        .map(|mut caller| async move {
            let mut said = [0; 12];
            caller.read_exact(&mut said).await.is_ok() && said == *b"HTTP/1.1 503"
        })
        .collect();
    let enough = CALLERS - LIMIT / 20;
    let telling = async {
        while refused < enough {
            refused += usize::from(told.next().await == Some(true));
        }
    };
    let told = timeout(PATIENCE, telling).await;
    assert!(told.is_ok(), "{refused} of {CALLERS} were refused");
}

/// One request of 20 MB through the real binary: what its memory grows by.
/// Promise 13.
#[actix_web::test]
async fn a_large_request_takes_its_size_a_few_times_at_most() {
    let server = Scripted::start(|request: &ReceivedRequest| {
        Script::json(200, &json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": request.body.len().to_string(), "refusal": null},
             "logprobs": null, "finish_reason": "stop"}]}))
    })
    .unwrap();
    let served = Served::before(&server, &[("HTTP_WORKERS", "1")]);
    for model in ["openai/gpt-4o", "claude-opus-5-5"] {
        let before = served.peak_memory();
        let body = sized(model, 20 * MEGABYTE);
        let request = client()
            .post(format!("{}/v1/chat/completions", served.url()))
            .bearer_auth("k")
            .content_type("application/json")
            .send_body(body);
        let answer = Answer::read(request.await.unwrap()).await;
        if model.starts_with("openai") {
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let seen = server.requests().last().unwrap().body.len();
        assert!(seen >= 20 * MEGABYTE, "{model}: {seen} bytes arrived");
        let grown = (served.peak_memory() - before) / 1024;
        assert!(grown <= 60, "{model}: {grown} MB more for a body of 20 MB");
    }
}

/// Something between that forgot its connections answers what comes on an old one with a reset.
/// Promise 20.
#[actix_web::test]
async fn what_broke_on_an_idle_connection_is_tried_on_a_new_one() {
    const IDLE: usize = 5;
    let per_connection = Mutex::new(HashMap::new());
    let server = Scripted::start(move |request: &ReceivedRequest| {
        let mut seen = per_connection.lock().unwrap();
        let requests: &mut usize = seen.entry(request.connection).or_default();
        *requests += 1;
        if *requests == 1 {
            return completion();
        }
        Script::default().then(Step::Reset)
    })
    .unwrap();
    let gateway = Gateway::start(config(&server));
    let calls = (0..IDLE).map(|_| gateway.chat(hello("gpt-4o", false)));
    for answer in join_all(calls).await {
        assert_eq!(answer.status, 200);
    }
    let connections = server.counts().connections;
    assert_eq!(connections, IDLE, "so many are idle now");
    let answer = gateway.chat(hello("gpt-4o", false)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-gateway-attempts"), Some("2"));
    assert_eq!(server.counts().connections, IDLE + 1);
    let last = server.requests().pop().unwrap();
    assert_eq!(last.header("connection"), Some("close"), "it rests nowhere");
}

/// Promise 5.
#[actix_web::test]
async fn another_form_of_a_request_has_no_retries_of_its_own() {
    let message = "messages.1.content.0: The block is bound to a different conversation";
    let refusal = Script::json(
        400,
        &json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}}),
    );
    let busy = || status(503, &[]);
    let server = in_turn(vec![busy(), busy(), refusal, busy()]);
    let gateway = Gateway::start(config(&server));
    let headers = [("anthropic-beta", "mine")];
    let body = hello("claude-opus-5-5", false).to_string();
    let path = "/v1/chat/completions";
    let answer = gateway.send(path, Some("k"), &headers, body).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(
        server.counts().requests,
        4,
        "one, two retries, and the other form once"
    );
    assert_eq!(answer.header("x-gateway-attempts"), Some("4"));
}

/// Promise 7.
#[actix_web::test]
async fn how_providers_are_doing_is_for_holders_of_a_key() {
    const HEALTH: [&str; 3] = ["gateway_in_flight{", "gateway_waiting{", "gateway_circuit{"];
    let server = in_turn(vec![completion()]);
    for (mode, mut config) in [("pass-through", config(&server)), ("keyed", keyed(&server))] {
        config.access.metrics_key = Some(ai_gateway::secret::Secret::new("metrics-key"));
        let is_keyed = config.requires_gateway_key();
        let gateway = Gateway::start(config);
        let key = if is_keyed { "team-key" } else { "any-key" };
        let path = "/v1/chat/completions";
        let ask = hello("gpt-4o", false).to_string();
        let called = gateway.send(path, Some(key), &[], ask.clone()).await;
        assert_eq!(called.status, 200, "{mode}");
        // The holder of the key asks first: what is shown to them is shown to no one else.
        for (who, sees) in [("metrics-key", true), (key, is_keyed)] {
            let text = gateway.get("/metrics", Some(who)).await;
            assert_eq!(text.status, 200, "{mode}: {who}");
            let counted = "gateway_attempts_total{provider=\"openai\",outcome=\"ok\"} 1\n";
            assert!(text.text().contains(counted), "{mode}: {}", text.text());
            assert!(text.text().ends_with("# EOF\n"));
            for name in HEALTH {
                assert_eq!(text.text().contains(name), sees, "{mode}: {who}, {name}");
            }
        }
        // It opens nothing else, and no provider gets it.
        let before = server.counts().requests;
        let refused = gateway.send(path, Some("metrics-key"), &[], ask).await;
        assert_eq!(refused.status, 401, "{mode}");
        let listed = gateway.get("/v1/models", Some("metrics-key")).await;
        assert_eq!(listed.status, 401, "{mode}");
        assert_eq!(server.counts().requests, before, "{mode}");
        for key in [None, Some("wrong"), Some("")] {
            let status = gateway.get("/metrics", key).await.status;
            let open = !is_keyed && key == Some("wrong");
            assert_eq!(status, if open { 200 } else { 401 }, "{mode}: {key:?}");
        }
    }
}

#[actix_web::test]
async fn pages_can_be_turned_off() {
    let server = in_turn(vec![completion()]);
    let mut config = config(&server);
    config.server.serve_docs = false;
    let gateway = Gateway::start(config);
    for path in [
        "/",
        "/doc",
        "/docs",
        "/swagger-ui",
        "/swagger-ui/",
        "/static/page.js",
    ] {
        assert_eq!(gateway.get(path, None).await.status, 404, "{path}");
        let posted = gateway.send(path, None, &[], "{}").await;
        assert_eq!(posted.status, 404, "{path}");
    }
    for path in ["/healthz", "/readyz", "/providers"] {
        assert_eq!(gateway.get(path, None).await.status, 200, "{path}");
    }
    let answer = gateway.chat(hello("gpt-4o", false)).await;
    assert_eq!(answer.status, 200);
}

#[actix_web::test]
async fn a_head_that_is_late_is_counted_and_leaves_a_line() {
    let server = in_turn(vec![completion()]);
    let variables = [("HEAD_TIMEOUT_SECS", "1")];
    let mut served = Served::before(&server, &variables);
    let mut caller = TcpStream::connect(served.address()).await.unwrap();
    caller
        .write_all(b"GET /healthz HTTP/1.1\r\nHo")
        .await
        .unwrap();
    let mut said = Vec::new();
    let told = timeout(PATIENCE, caller.read_to_end(&mut said)).await;
    assert!(
        told.is_ok() && said.starts_with(b"HTTP/1.1 408 "),
        "{said:?}"
    );
    let line = served.log_until("error=request_timeout");
    assert!(line.contains("status=408"), "{line}");
    let metrics = client()
        .get(format!("{}/metrics", served.url()))
        .bearer_auth("k");
    let text = Answer::read(metrics.send().await.unwrap()).await;
    let line = "gateway_requests_total{endpoint=\"\",provider=\"\",status=\"408\"} 1\n";
    assert!(text.text().contains(line), "{}", text.text());
}
