//! What reaches a client as the provider sent it: headers of good answers, and large ones; and what
//! is said where a provider is nowhere or in the clear.

use std::fmt::Write as _;

use crate::rig::faults::{DELTA, DONE, FINISH, gateway, hello, in_turn};
use crate::rig::process::serve;
use crate::rig::{Gateway, config};
use ai_gateway::config::BaseUrl;
use ai_gateway::scripted::{Script, Step};
use serde_json::{Value, json};

const LIMITS: [(&str, &str); 6] = [
    ("x-ratelimit-limit-requests", "500"),
    ("x-ratelimit-remaining-tokens", "29999"),
    ("x-ratelimit-reset-tokens", "6ms"),
    ("anthropic-ratelimit-requests-remaining", "49"),
    ("anthropic-ratelimit-tokens-reset", "2026-01-01T00:00:00Z"),
    ("openai-processing-ms", "17"),
];

/// Headers of a provider that are for nobody behind the gateway.
const OWN: [(&str, &str); 3] = [
    ("set-cookie", "a=b"),
    ("x-internal", "node-7"),
    ("access-control-allow-origin", "*"),
];

/// An answer with these headers added.
fn with_headers(mut script: Script, id: &str) -> Script {
    let Some(Step::Write(head)) = script.steps.first_mut() else {
        panic!("a script that answers begins with a head");
    };
    let line = head.windows(2).position(|pair| pair == b"\r\n").unwrap();
    let mut more = String::new();
    for (name, value) in LIMITS.iter().chain(&OWN).chain(&[(id, "req-77")]) {
        more.extend([name, ": ", value, "\r\n"]);
    }
    head.splice(line + 2..line + 2, more.into_bytes());
    script
}

fn message(text: &str) -> Value {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "x",
        "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1}})
}

/// With all that a completion has, so that nothing of it is mended.
fn completion(text: &str) -> Value {
    json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": text, "refusal": null},
            "logprobs": null, "finish_reason": "stop"}]})
}

fn response(text: &str) -> Value {
    json!({"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m",
        "output": [{"id": "msg_1", "type": "message", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": text, "annotations": []}]}]})
}

/// Streams of the three kinds, as short as they can be.
fn streams() -> [Script; 3] {
    let chat = Script::stream()
        .chunk(DELTA)
        .chunk(FINISH)
        .chunk(DONE)
        .end();
    let event = |script: Script, data: Value| {
        let name = data["type"].as_str().unwrap().to_owned();
        script.event(Some(&name), &data.to_string())
    };
    let mut messages = Script::stream();
    for data in [
        json!({"type": "message_start", "message": {"id": "msg_1", "model": "x"}}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}),
        json!({"type": "message_stop"}),
    ] {
        messages = event(messages, data);
    }
    let mut responses = Script::stream();
    for (number, kind) in ["response.created", "response.completed"]
        .into_iter()
        .enumerate()
    {
        let data = json!({"type": kind, "sequence_number": number, "response": response("Hi")});
        responses = event(responses, data);
    }
    [chat, messages.end(), responses.end()]
}

#[actix_web::test]
async fn limits_and_the_id_of_a_good_answer_reach_the_client() {
    let [chat, messages, responses] = streams();
    let whole = |body: Value| Script::json(200, &body);
    for (path, model, answer, stream) in [
        (
            "/v1/chat/completions",
            "gpt-4o",
            whole(completion("Hi")),
            chat.clone(),
        ),
        (
            "/v1/chat/completions",
            "groq/x",
            whole(completion("Hi")),
            chat.clone(),
        ),
        (
            "/v1/chat/completions",
            "claude-opus-5-5",
            whole(message("Hi")),
            messages.clone(),
        ),
        ("/v1/responses", "gpt-4o", whole(response("Hi")), responses),
        ("/v1/responses", "deepseek/x", whole(completion("Hi")), chat),
        (
            "/v1/responses",
            "claude-opus-5-5",
            whole(message("Hi")),
            messages,
        ),
    ] {
        for (streamed, script) in [(false, answer), (true, stream)] {
            for id in ["x-request-id", "request-id"] {
                let what = format!("{path} {model}, stream: {streamed}, {id}");
                let server = in_turn(vec![with_headers(script.clone(), id)]);
                let mut asked = hello(model, streamed);
                asked["input"] = json!("Hello");
                let answer = gateway(&server).post(path, asked.to_string()).await;
                assert_eq!(answer.status, 200, "{what}: {}", answer.text());
                for (name, value) in LIMITS {
                    assert_eq!(answer.header(name), Some(value), "{name}: {what}");
                }
                assert_eq!(
                    answer.header("x-upstream-request-id"),
                    Some("req-77"),
                    "{what}"
                );
                let own = answer.header("x-request-id").unwrap();
                assert_eq!(own.len(), 32, "{what}: the gateway's own id is {own}");
                for (name, _) in OWN {
                    assert_eq!(answer.header(name), None, "{name}: {what}");
                }
            }
        }
    }
}

#[actix_web::test]
async fn a_whole_answer_of_five_megabytes_passes_byte_for_byte() {
    const SIZE: usize = 5 << 20;
    // Not one letter, so that a piece which is lost, twice there or elsewhere shows.
    let mut text = String::new();
    for n in 0..SIZE / 8 {
        let _ = write!(text, "{n:07} ");
    }
    for (path, model, body) in [
        ("/v1/chat/completions", "gpt-4o", completion(&text)),
        ("/v1/responses", "gpt-4o", response(&text)),
    ] {
        let body = body.to_string();
        let length = body.len();
        let chunked = body.as_bytes().chunks(100_003);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunked = chunked.fold(Script::raw(head), Script::chunk).end();
        let told = Script::whole(200, &[("content-type", "application/json")], &body);
        for (what, script) in [("a length", told), ("chunks", chunked)] {
            let server = in_turn(vec![script]);
            let mut asked = hello(model, false);
            asked["input"] = json!("Hello");
            let answer = gateway(&server).post(path, asked.to_string()).await;
            assert_eq!(answer.status, 200, "{path} with {what}");
            let had = answer.body.len();
            assert_eq!(had, length, "{path} with {what}: {had} of {length} bytes");
            assert!(
                answer.body == body,
                "{path} with {what}: other bytes of the same number"
            );
        }
    }
    // Translated, the text is the same.
    let server = in_turn(vec![Script::json(200, &message(&text))]);
    let answer = gateway(&server).chat(hello("claude-opus-5-5", false)).await;
    assert_eq!(answer.status, 200);
    let had = answer.json()["choices"][0]["message"]["content"].take();
    let had = had.as_str().unwrap();
    assert!(had == text, "{} of {} bytes of text", had.len(), text.len());
}

#[actix_web::test]
async fn a_name_that_does_not_resolve_is_tried_again_and_said_without_it() {
    for (scheme, stream) in [("http", false), ("http", true), ("https", false)] {
        let server = in_turn(vec![Script::default().then(Step::Hang)]);
        let mut config = config(&server);
        let base = format!("{scheme}://no-such-provider.invalid");
        for entry in &mut config.providers {
            entry.base = BaseUrl::parse(&base, "").unwrap();
        }
        let answer = Gateway::start(config).chat(hello("gpt-4o", stream)).await;
        let code = "upstream_unreachable".to_owned();
        let what = format!("{base}, stream: {stream}: {}", answer.text());
        assert_eq!(answer.refusal(), (502, "null".to_owned(), code), "{what}");
        assert_eq!(answer.header("x-gateway-attempts"), Some("3"), "{what}");
        assert_eq!(answer.header("x-should-retry"), Some("false"), "{what}");
        assert!(
            answer.text().contains("its name cannot be resolved"),
            "{what}"
        );
        let all = format!("{:?} {}", answer.headers, answer.text());
        for address in ["no-such-provider", ".invalid", "os error", "lookup"] {
            assert!(!all.contains(address), "{address} in {all}");
        }
    }
}

#[test]
fn a_provider_in_the_clear_is_warned_of_at_the_start() {
    let warning = "GROQ_BASE_URL is plain http: keys and prompts cross the network in the clear";
    for (base, warned) in [
        ("http://groq.example", true),
        ("http://192.0.2.7:8080/v1", true),
        ("https://groq.example", false),
        ("http://127.0.0.1:9", false),
        ("http://localhost:9", false),
        ("http://[::1]:9", false),
    ] {
        let (_child, lines) = serve(&[("GROQ_BASE_URL", base)], "docs at");
        let found: Vec<_> = lines
            .iter()
            .filter(|line| line.contains("in the clear"))
            .collect();
        assert_eq!(found.len(), usize::from(warned), "{base}: {found:?}");
        for line in found {
            assert!(
                line.contains(warning) && line.contains("WARN"),
                "{base}: {line}"
            );
        }
    }
}
