//! What a newcomer or an operator gets wrong, and what is said then: every error says what to do.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::rig::process::{Served, run, text};
use crate::rig::{Gateway, PATIENCE, always, client, config, gateway, keyed};
use ai_gateway::scripted::{self, Script, Scripted};
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";

fn hello(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
}

/// What is written to the standard error of a start that fails, and its exit code.
fn fails(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = run(arguments, variables);
    assert_eq!(output.status.code(), Some(2), "{variables:?}");
    text(&output.stderr)
}

#[actix_web::test]
async fn a_path_that_is_not_served_is_answered_with_the_one_that_was_meant() {
    let (_server, gateway) = gateway();
    for (path, told) in [
        ("/chat/completions", "Did you mean /v1/chat/completions?"),
        (
            "/v1/v1/chat/completions",
            "Did you mean /v1/chat/completions?",
        ),
        ("/openai/v1/responses", "Did you mean /v1/responses?"),
        ("/responses/", "Did you mean /v1/responses?"),
        ("/models", "Did you mean /v1/models?"),
        (
            "/v1/embeddings",
            "Served are /v1/chat/completions, /v1/responses, /v1/models",
        ),
        ("/v1/completions", "Served are /v1/chat/completions"),
    ] {
        let answer = gateway.post(path, "{}").await;
        assert_eq!(answer.refusal().2, "unknown_url", "{path}");
        assert_eq!(answer.status, 404);
        let said = answer.error()["message"].as_str().unwrap().to_owned();
        assert!(said.contains(told), "{path}: {said}");
    }
}

#[actix_web::test]
async fn a_key_in_the_wrong_place_or_of_the_wrong_kind_is_told_so() {
    let server = scripted::all_providers().unwrap();
    let gateway = Gateway::start(keyed(&server));
    let ask = async |headers: &[(&str, &str)]| {
        let body = hello("gpt-4o").to_string();
        let answer = gateway.send(CHAT, None, headers, body).await;
        assert_eq!(answer.status, 401);
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(challenge.starts_with("Bearer"), "{challenge}");
        answer.error()["message"].as_str().unwrap().to_owned()
    };
    let nothing = ask(&[]).await;
    assert!(nothing.contains("Authorization: Bearer"), "{nothing}");
    for (headers, told) in [
        (("x-api-key", "team-key"), "x-api-key"),
        (("api-key", "team-key"), "api-key"),
        (("authorization", "team-key"), "Bearer"),
    ] {
        let said = ask(&[headers]).await;
        assert!(said.contains(told), "{headers:?}: {said}");
        assert!(said.contains("Authorization: Bearer"), "{said}");
        assert!(!said.contains("team-key"), "{said}");
    }
    let said = ask(&[("authorization", "Bearer sk-ant-api03-abcdefgh")]).await;
    assert!(
        said.contains("Anthropic") && said.contains("keys of its own")
            || said.contains("its own keys"),
        "{said}"
    );
    assert!(!said.contains("abcdefgh"), "{said}");
    assert_eq!(server.counts().requests, 0);
}

#[actix_web::test]
async fn a_key_of_another_company_is_not_sent() {
    let server = scripted::all_providers().unwrap();
    let mut vendors = config(&server);
    for entry in &mut vendors.providers {
        // As at the vendor's own address.
        entry.base_is_default = !entry.provider.base_is_example;
    }
    let gateway = Gateway::start(vendors);
    let mut sent = 0;
    for (key, model, owner, prefix) in [
        (
            "sk-ant-api03-abcdefgh",
            "Claude-x",
            "Anthropic",
            "anthropic/",
        ),
        ("sk-ant-api03-abcdefgh", "gpt-4o", "Anthropic", "anthropic/"),
        ("gsk_abcdefghijklmnop", "gpt-4o", "Groq", "groq/"),
        ("xai-abcdefghijklmnop", "gemini-3-pro", "xAI", "xai/"),
        (
            "AIzaSyA0123456789abcdefghijklmnopqrstuv",
            "gpt-4o",
            "Gemini",
            "gemini/",
        ),
        (
            "sk-or-v1-abcdefgh",
            "claude-opus-5-5",
            "OpenRouter",
            "openrouter/",
        ),
    ] {
        for path in [CHAT, "/v1/responses"] {
            let mut body = hello(model);
            body["input"] = json!("Hello");
            let answer = gateway.send(path, Some(key), &[], body.to_string()).await;
            assert_eq!(
                answer.refusal(),
                (400, "null".into(), "key_of_another_provider".into()),
                "{key} {model}"
            );
            let said = answer.error()["message"].as_str().unwrap().to_owned();
            assert!(said.contains(owner) && said.contains(prefix), "{said}");
            assert!(!said.contains(key), "{said}");
        }
        for other in ["mistral", "deepseek"] {
            let path = format!("/v1/models?provider={other}");
            let answer = gateway.get(&path, Some(key)).await;
            assert_eq!(
                answer.refusal().2,
                "key_of_another_provider",
                "{key} {path}"
            );
        }
        // Asked by its prefix, its owner gets it.
        let answer = gateway
            .send(
                CHAT,
                Some(key),
                &[],
                hello(&format!("{prefix}some-model")).to_string(),
            )
            .await;
        assert_eq!(answer.status, 200, "{key}: {}", answer.text());
        sent += 1;
        assert_eq!(
            server.counts().requests,
            sent,
            "and nobody else got anything"
        );
        let seen = server.requests().pop().unwrap();
        assert!(
            seen.path.starts_with(&format!("/{prefix}")),
            "{}",
            seen.path
        );
    }
    // A server of one's own may take any key.
    let gateway = Gateway::start(config(&server));
    let answer = gateway
        .send(
            CHAT,
            Some("sk-ant-api03-abcdefgh"),
            &[],
            hello("gpt-4o").to_string(),
        )
        .await;
    assert_eq!(answer.status, 200);
}

#[actix_web::test]
async fn a_provider_that_does_not_know_the_model_is_named() {
    let theirs = json!({"message": "404 page not found"}).to_string();
    let headers = [("content-type", "application/json")];
    let (_server, gateway) = always(Script::whole(404, &headers, &theirs));
    let answer = gateway.chat(hello("gorq/llama-4")).await;
    assert_eq!(answer.status, 404);
    let said = answer.error()["message"].as_str().unwrap().to_owned();
    assert!(said.contains("'openai' answered 404"), "{said}");
    assert!(said.contains("Did you mean 'groq/...'?"), "{said}");
    let answer = gateway.chat(hello("groq/llama-4")).await;
    let said = answer.error()["message"].as_str().unwrap().to_owned();
    assert!(said.contains("'groq' answered 404"), "{said}");
    assert!(!said.contains("Did you mean"), "{said}");
}

#[actix_web::test]
async fn a_body_for_the_other_endpoint_is_told_which() {
    let (_server, gateway) = gateway();
    for model in ["gpt-4o", "claude-opus-5-5", "gemini-3-pro"] {
        let input = json!({"model": model, "input": "Hello"});
        let answer = gateway.chat(input).await;
        assert_eq!(answer.refusal().0, 400);
        let said = answer.error()["message"].as_str().unwrap().to_owned();
        assert!(said.contains("/v1/responses"), "{said}");
    }
    let answer = gateway.responses(hello("gemini-3-pro")).await;
    assert_eq!(answer.refusal().0, 400);
    let said = answer.error()["message"].as_str().unwrap().to_owned();
    assert!(said.contains(CHAT), "{said}");
    let answer = gateway.post(CHAT, "").await;
    assert_eq!(answer.status, 400);
    let said = answer.error()["message"].as_str().unwrap().to_owned();
    assert!(said.contains("empty"), "{said}");
}

#[test]
fn what_speaks_tls_or_http_2_to_the_port_is_told_so_once_and_so_is_the_operator() {
    let server = scripted::all_providers().unwrap();
    let mut served = Served::before(&server, &[]);
    let hello = [0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0x00, 0x00, 0x01, 0x03];
    for begin in [&hello[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        for _ in 0..3 {
            let mut caller = TcpStream::connect(served.address()).unwrap();
            caller.set_read_timeout(Some(PATIENCE)).unwrap();
            caller.write_all(begin).unwrap();
            let mut answer = String::new();
            caller.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
            assert!(
                answer.contains("this port speaks HTTP/1.1 without TLS"),
                "{answer}"
            );
        }
    }
    served.log_until("TLS");
    served.signal("TERM");
    let (_, log) = served.end();
    let lines = log
        .lines()
        .filter(|line| line.contains("TLS") && line.contains("WARN"));
    assert_eq!(
        lines.count(),
        1,
        "a line for each would fill the log:\n{log}"
    );
}

#[actix_web::test]
async fn probes_leave_no_line_unless_they_are_asked_for() {
    for (value, lines) in [("true", 1), ("all", 4), ("false", 0)] {
        let server = scripted::all_providers().unwrap();
        let served = Served::before(
            &server,
            &[
                ("ACCESS_LOG", value),
                ("METRICS_KEY", "metrics-key-0123456789"),
            ],
        );
        for path in ["/healthz", "/readyz", "/metrics"] {
            let request = client().get(format!("{}{path}", served.url()));
            let answer = request.bearer_auth("metrics-key-0123456789").send().await;
            assert_eq!(answer.unwrap().status(), 200, "{path}");
        }
        let request = client()
            .post(format!("{}{CHAT}", served.url()))
            .bearer_auth("k")
            .content_type("application/json");
        let answer = request.send_body(hello("gpt-4o").to_string()).await;
        assert_eq!(answer.unwrap().status(), 200);
        served.signal("TERM");
        let (_, log) = served.end();
        let found = log.lines().filter(|line| line.contains("method=")).count();
        assert_eq!(found, lines, "ACCESS_LOG={value}:\n{log}");
    }
}

#[actix_web::test]
async fn a_hangup_stops_nothing_and_is_told() {
    let server = scripted::all_providers().unwrap();
    let mut served = Served::before(&server, &[]);
    served.signal("HUP");
    let line = served.log_until("SIGHUP");
    assert!(line.contains("restart"), "{line}");
    let answer = client()
        .get(format!("{}/healthz", served.url()))
        .send()
        .await;
    assert_eq!(answer.unwrap().status(), 200);
}

#[test]
fn a_name_that_was_to_keep_others_out_stops_the_start() {
    for name in ["GATEWAY_API_KEY", "GATEWAY_APIKEYS", "GATEWAY_KEYS"] {
        let said = fails(&[], &[(name, "team-0123456789abcdef")]);
        assert!(
            said.contains(name) && said.contains("GATEWAY_API_KEYS"),
            "{said}"
        );
        assert!(!said.contains("0123456789abcdef"), "{said}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let said = fails(
        &["check"],
        &[
            ("GATEWAY_API_KEYS", "team-0123456789abcdef"),
            ("METRICS_KEY", "team-0123456789abcdef"),
            ("OPENAI_BASE_URL", "https://api.example/v1/chat/completions"),
            ("RUST_LOG", "verbose"),
            ("PORT", "eighty"),
        ],
    );
    for (name, told) in [
        ("METRICS_KEY", "GATEWAY_API_KEYS"),
        ("OPENAI_BASE_URL", "/chat/completions"),
        ("RUST_LOG", "verbose"),
        ("PORT", "whole number"),
    ] {
        let line = said.lines().find(|line| line.contains(name));
        assert!(
            line.is_some_and(|line| line.contains(told)),
            "{name}: {said}"
        );
    }
    assert!(!said.contains("0123456789abcdef"), "{said}");
    let said = fails(&["check"], &[("HOST", "no-such-host.invalid")]);
    assert!(
        said.contains("HOST") && said.contains("no-such-host.invalid"),
        "{said}"
    );
}

#[test]
fn names_that_are_nearly_ours_are_warned_of() {
    let output = run(
        &["check"],
        &[
            ("REQUEST_TIMEOUT_SEC", "5"),
            ("OPENAI_APIKEY", "sk-hunter2"),
            ("UPSTREAM_RETRIES", "3"),
        ],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout) + &text(&output.stderr);
    for (name, told) in [
        ("REQUEST_TIMEOUT_SEC", "did you mean REQUEST_TIMEOUT_SECS?"),
        ("OPENAI_APIKEY", "did you mean OPENAI_API_KEY?"),
        ("UPSTREAM_RETRIES", "reads no such variable"),
    ] {
        let line = said
            .lines()
            .find(|line| line.contains(&format!("{name} is set")));
        assert!(
            line.is_some_and(|line| line.contains(told)),
            "{name}: {said}"
        );
    }
    assert!(!said.contains("hunter2"), "{said}");
}

#[actix_web::test]
async fn a_client_that_speaks_http_1_0_gets_no_chunks() {
    let (_server, gateway) = gateway();
    for stream in [false, true] {
        let mut body = hello("gpt-4o");
        body["stream"] = json!(stream);
        let body = body.to_string();
        let request = format!(
            "POST {CHAT} HTTP/1.0\r\nhost: x\r\nauthorization: Bearer k\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let address = gateway.address().to_owned();
        let read = move || {
            let mut caller = TcpStream::connect(address).unwrap();
            caller.set_read_timeout(Some(PATIENCE)).unwrap();
            caller.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            // The end of the connection is the end of the answer.
            caller.read_to_string(&mut answer).unwrap();
            answer
        };
        let answer = actix_web::rt::task::spawn_blocking(read).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let head = head.to_ascii_lowercase();
        assert!(
            head.starts_with("http/1.0 200") || head.starts_with("http/1.1 200"),
            "{head}"
        );
        assert!(!head.contains("transfer-encoding"), "{head}");
        if stream {
            assert!(
                body.starts_with("data: ") && body.ends_with("data: [DONE]\n\n"),
                "{body}"
            );
        } else {
            assert!(serde_json::from_str::<Value>(body).is_ok(), "{body}");
        }
    }
}

#[actix_web::test]
async fn a_stream_ends_with_its_mark_though_the_provider_leaves_it_open() {
    let done = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let server =
        Scripted::start(move |_| Script::stream().chunk(done).then(scripted::Step::Hang)).unwrap();
    let mut slow = config(&server);
    slow.calls.idle_timeout = Some(PATIENCE * 10);
    let gateway = Gateway::start(slow);
    let mut body = hello("gpt-4o");
    body["stream"] = json!(true);
    // The patience of the client is shorter than the silence that is allowed.
    let answer = gateway.chat(body).await;
    assert!(
        answer.text().ends_with("data: [DONE]\n\n"),
        "{}",
        answer.text()
    );
}

#[actix_web::test]
async fn those_who_wait_for_one_list_of_models_share_what_becomes_of_it() {
    // A provider that never answers: the time of one list ends it for all of them together.
    let server = Scripted::start(|_| Script::default().then(scripted::Step::Hang)).unwrap();
    let mut slow = keyed(&server);
    slow.models.timeout = Duration::from_millis(300);
    let gateway = Gateway::start(slow);
    let asks = (0..12).map(|_| gateway.get("/v1/models?provider=mistral", Some("team-key")));
    let answers = futures_util::future::join_all(asks).await;
    for answer in answers {
        assert_eq!(answer.status, answer.refusal().0);
        assert!(answer.status >= 500, "{}", answer.text());
    }
    assert_eq!(
        server.counts().requests,
        1,
        "one request for all who waited"
    );
}

#[actix_web::test]
async fn a_provider_whose_list_cannot_be_read_is_no_provider_without_one() {
    let (_server, gateway) = always(Script::json(404, &json!({"message": "not here"})));
    let answer = gateway.get("/v1/models?provider=mistral", Some("k")).await;
    assert!(answer.status >= 400, "{}", answer.text());
    // Of these it is known that they have no list.
    for provider in ["bedrock", "vertex"] {
        let path = format!("/v1/models?provider={provider}");
        let answer = gateway.get(&path, Some("k")).await;
        assert_eq!(answer.status, 200, "{provider}: {}", answer.text());
    }
}

/// The soft limit is what `ulimit -n` sets for a shell; the hard one is as far as it may be raised.
#[cfg(target_os = "linux")]
#[test]
fn the_limit_of_descriptors_is_raised_to_the_hard_one() {
    use crate::rig::process::{Running, gateway};
    use std::process::{Command, Stdio};

    let inner = gateway(&[], &[]);
    let program = inner.get_program().to_str().unwrap().to_owned();
    let hard = Command::new("sh")
        .args(["-c", "ulimit -H -n"])
        .output()
        .unwrap();
    let hard = text(&hard.stdout).trim().to_owned();
    let mut child = Command::new("sh");
    child
        .args(["-c", "ulimit -S -n 64 && exec \"$0\"", &program])
        .env("HOST", "127.0.0.1")
        .env("PORT", "0")
        .current_dir(crate::rig::process::empty())
        .stderr(Stdio::piped());
    let mut child = Running(child.spawn().unwrap());
    let mut log = std::io::BufReader::new(child.0.stderr.take().unwrap());
    let mut lines = String::new();
    while !lines.contains("docs at") {
        let read = std::io::BufRead::read_line(&mut log, &mut lines).unwrap();
        assert_ne!(read, 0, "{lines}");
    }
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.0.id())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .unwrap();
    let soft = line.split_whitespace().nth(3).unwrap();
    assert_eq!(soft, hard, "{line}");
}
