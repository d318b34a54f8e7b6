//! Chat Completions <-> Messages: golden files, end to end and cut at every byte.

use crate::rig::{Gateway, config};
use ai_gateway::codec::json::Object;
use ai_gateway::codec::sse::{self, Framer};
use ai_gateway::dialect::anthropic::MessagesProvider;
use ai_gateway::dialect::hub::NoReasoningCache;
use ai_gateway::dialect::openai::{ChatClient, read_request};
use ai_gateway::dialect::{ClientDialect, ProviderDialect, Stamp};
use ai_gateway::scripted::{self, Script, Scripted};
use bytes::Bytes;
use serde_json::{Value, json};

fn case(name: &str) -> Value {
    let path = format!(
        "{}/tests/data/anthropic/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn client() -> ChatClient {
    ChatClient {
        stamp: Stamp {
            created: 1_700_000_000,
            seed: 0,
            now: || 1_700_000_002,
        },
        model: "asked".to_owned(),
        include_usage: true,
        functions: false,
        json_object: false,
    }
}

#[test]
fn requests_are_translated_as_their_golden_files_say() {
    for name in [
        "request_tools",
        "request_sampling",
        "request_schema",
        "request_budget",
        "request_documents",
        "request_history",
        "request_markers",
    ] {
        let case = case(name);
        let body = case["in"].to_string();
        let object = Object::from_body(body.as_bytes()).unwrap();
        let model = case["out"]["model"].as_str().unwrap();
        let mut request = read_request(object, model.into()).unwrap();
        let translated = MessagesProvider
            .encode_request(&mut request, &NoReasoningCache)
            .unwrap();
        let out: Value = serde_json::from_slice(&translated.body).unwrap();
        assert_eq!(out, case["out"], "{name}: {out:#}");
        assert_eq!(json!(translated.report.dropped), case["dropped"], "{name}");
        assert_eq!(json!(translated.report.changed), case["changed"], "{name}");
    }
}

#[test]
fn numbers_and_key_order_of_arguments_survive() {
    let case = case("request_tools");
    let body = case["in"].to_string();
    let object = Object::from_body(body.as_bytes()).unwrap();
    let mut request = read_request(object, "claude-opus-5-5".into()).unwrap();
    let body = MessagesProvider
        .encode_request(&mut request, &NoReasoningCache)
        .unwrap()
        .body;
    let text = String::from_utf8(body).unwrap();
    assert!(
        text.contains(r#""input":{ "harbour": "Husum", "big": 9007199254740993 }"#),
        "{text}"
    );
}

/// Trap E12.
#[test]
fn a_longer_conversation_has_the_shorter_ones_bytes() {
    let translate = |turns: usize| {
        let mut messages = vec![json!({"role": "system", "content": "s"})];
        for i in 0..turns {
            messages.push(json!({"role": "user", "content": format!("q{i}")}));
            messages.push(json!({"role": "assistant", "content": "a", "tool_calls": [
                {"id": format!("c{i}"), "type": "function", "function": {"name": "f", "arguments": "{\"z\":1,\"a\":2}"}}]}));
            messages.push(json!({"role": "tool", "tool_call_id": format!("c{i}"), "content": "r"}));
        }
        let body = json!({"model": "m", "messages": messages, "tools": [
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"z": {}, "a": {}}}}}]});
        let body = body.to_string();
        let object = Object::from_body(body.as_bytes()).unwrap();
        let mut request = read_request(object, "claude-opus-5-5".into()).unwrap();
        String::from_utf8(
            MessagesProvider
                .encode_request(&mut request, &NoReasoningCache)
                .unwrap()
                .body,
        )
        .unwrap()
    };
    let (short, long) = (translate(3), translate(4));
    let common = short.strip_suffix("]}]}").unwrap();
    assert!(long.starts_with(common), "{short}\n{long}");
    assert_eq!(translate(3), short, "the same request gives the same bytes");
}

#[test]
fn answers_are_translated_as_their_golden_file_says() {
    let case = case("answer_tools");
    let answer = MessagesProvider
        .decode_response(case["in"].to_string().as_bytes())
        .unwrap();
    let out: Value = serde_json::from_str(&client().encode_response(answer)).unwrap();
    assert_eq!(out, case["out"], "{out:#}");
}

const STREAMS: [&str; 6] = [
    "stream_tools",
    "stream_refusal",
    "stream_cut",
    "stream_overloaded",
    "stream_spliced",
    "stream_length",
];

/// The provider's events of a case as bytes.
fn upstream(case: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for event in case["in"].as_array().unwrap() {
        sse::write(&mut out, event["type"].as_str(), &event.to_string());
    }
    out
}

/// What a client is sent for the pieces of a provider's stream.
fn translate(pieces: &[&[u8]]) -> Vec<u8> {
    let mut framer = Framer::new(1 << 20);
    let mut from = MessagesProvider.stream_decoder("anthropic");
    let mut to = client().stream_encoder();
    let (mut steps, mut out) = (Vec::new(), Vec::new());
    for piece in pieces {
        let events = framer.push(Bytes::copy_from_slice(piece)).unwrap();
        for event in sse::events(&events) {
            from.push(&event, &mut steps);
        }
        for step in steps.drain(..) {
            to.push(step, &mut out);
        }
    }
    from.finish(&mut steps);
    for step in steps {
        to.push(step, &mut out);
    }
    out
}

fn events(bytes: &[u8]) -> Vec<Value> {
    sse::events(bytes)
        .map(|event| match &*event.data {
            "[DONE]" => json!("[DONE]"),
            data => serde_json::from_str(data).unwrap(),
        })
        .collect()
}

#[test]
fn streams_are_translated_as_their_golden_files_say() {
    for name in STREAMS {
        let case = case(name);
        let out = events(&translate(&[&upstream(&case)]));
        assert_eq!(json!(out), case["out"], "{name}: {:#}", json!(out));
    }
}

/// Trap B20.
#[test]
fn a_stream_cut_at_any_byte_is_the_same_stream() {
    for name in STREAMS {
        let case = case(name);
        let bytes = upstream(&case);
        let whole = translate(&[&bytes]);
        for cut in 0..bytes.len() {
            let (a, b) = bytes.split_at(cut);
            assert_eq!(translate(&[a, b]), whole, "{name} cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(translate(&single), whole, "{name} byte by byte");
        let crlf = String::from_utf8(bytes).unwrap().replace('\n', "\r\n");
        assert_eq!(translate(&[crlf.as_bytes()]), whole, "{name} with CRLF");
    }
}

/// Trap B7.
#[test]
fn a_stream_that_ends_early_anywhere_does_not_look_complete() {
    let case = case("stream_tools");
    let all = case["in"].as_array().unwrap();
    // With its stop reason the message is complete, `message_stop` or not.
    for count in 0..all.len() - 2 {
        let part = json!({"in": &all[..count]});
        let out = events(&translate(&[&upstream(&part)]));
        let last = out.last().unwrap();
        assert_eq!(
            last["error"]["code"], "upstream_stream_truncated",
            "after {count} events"
        );
        assert!(
            !out.iter()
                .any(|chunk| chunk["choices"][0]["finish_reason"].is_string())
        );
    }
}

#[actix_web::test]
async fn the_golden_request_reaches_the_provider_with_its_headers() {
    let server = scripted::all_providers().unwrap();
    let gateway = Gateway::start(config(&server));
    let case = case("request_tools");
    let answer = gateway
        .send(
            "/v1/chat/completions",
            Some("caller-key"),
            &[
                ("anthropic-beta", "some-beta"),
                ("openai-organization", "org"),
            ],
            case["in"].to_string(),
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("x-gateway-dropped-params"),
        Some(
            "messages.content,messages.content.image_url.detail,messages.reasoning_details,seed,temperature,tool_choice"
        )
    );
    let seen = &server.requests()[0];
    assert_eq!(seen.path, "/anthropic/v1/messages");
    assert_eq!(seen.json(), case["out"]);
    for (name, value) in [
        ("x-api-key", "caller-key"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "some-beta"),
        ("content-type", "application/json"),
        ("accept", "text/event-stream"),
        ("accept-encoding", "identity"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.header("openai-organization"), None);
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
}

/// Trap E19.
#[actix_web::test]
async fn what_a_translation_does_is_said_and_can_be_refused() {
    let server = scripted::all_providers().unwrap();
    let mut config = config(&server);
    let gateway = Gateway::start(config.clone());
    let ask = json!({"model": "claude-haiku-4-5", "seed": 1, "logprobs": true, "temperature": 1.5,
        "messages": [{"role": "user", "content": "x"}]});
    let path = "/v1/chat/completions";
    let answer = gateway.chat(ask.clone()).await;
    assert_eq!(
        answer.header("x-gateway-dropped-params"),
        Some("logprobs,seed")
    );
    assert_eq!(
        answer.header("x-gateway-changed-params"),
        Some("temperature")
    );

    let sent = server.counts().requests;
    let strict = [("x-gateway-strict", "true")];
    let answer = gateway
        .send(path, Some("k"), &strict, ask.to_string())
        .await;
    assert_eq!(
        answer.refusal(),
        (400, "logprobs".into(), "unsupported_parameter".into())
    );
    for name in ["seed", "temperature"] {
        assert!(answer.text().contains(name), "{}", answer.text());
    }
    let responses = json!({"model": "claude-haiku-4-5", "input": "x", "truncation": "auto"});
    let answer = gateway
        .send("/v1/responses", Some("k"), &strict, responses.to_string())
        .await;
    assert_eq!(
        answer.refusal(),
        (400, "truncation".into(), "unsupported_parameter".into())
    );
    assert_eq!(server.counts().requests, sent, "nothing was sent");

    let plain = json!({"model": "claude-haiku-4-5", "n": 1, "messages": [{"role": "user", "content": "x"}]});
    let answer = gateway
        .send(path, Some("k"), &strict, plain.to_string())
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let odd = [("x-gateway-strict", "perhaps")];
    let answer = gateway.send(path, Some("k"), &odd, ask.to_string()).await;
    assert_eq!(answer.refusal().1, "x-gateway-strict");
    drop(gateway);

    config.strict_translation = true;
    let gateway = Gateway::start(config);
    assert_eq!(gateway.chat(ask.clone()).await.status, 400);
    let lenient = [("x-gateway-strict", "false")];
    let answer = gateway
        .send(path, Some("k"), &lenient, ask.to_string())
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[actix_web::test]
async fn a_client_of_functions_is_answered_with_a_function_call() {
    let server = scripted::all_providers().unwrap();
    let gateway = Gateway::start(config(&server));
    let mut ask = json!({"model": "claude-haiku-4-5", "functions": [{"name": "f", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}],
        "messages": [{"role": "user", "content": "x"}]});
    let whole = gateway.chat(ask.clone()).await.json();
    let choice = &whole["choices"][0];
    assert_eq!(
        choice["message"]["function_call"],
        json!({"name": "f", "arguments": "{\"city\":\"Rome\"}"})
    );
    assert!(choice["message"].get("tool_calls").is_none());
    assert_eq!(choice["finish_reason"], "function_call");

    ask["stream"] = json!(true);
    let events = gateway.chat(ask.clone()).await.events();
    let deltas: Vec<_> = events
        .iter()
        .map(|e| &e["choices"][0]["delta"]["function_call"])
        .filter(|c| c.is_object())
        .collect();
    assert_eq!(deltas[0]["name"], "f");
    let arguments: String = deltas
        .iter()
        .map(|c| c["arguments"].as_str().unwrap())
        .collect();
    assert_eq!(arguments, "{\"city\":\"Rome\"}");
    assert_eq!(
        events.last().unwrap()["choices"][0]["finish_reason"],
        "function_call"
    );

    // And the turn after it, in the same shape.
    ask["stream"] = json!(false);
    ask["messages"] = json!([{"role": "user", "content": "x"}, choice["message"], {"role": "function", "name": "f", "content": "sunny"}]);
    let answer = gateway.chat(ask).await;
    assert_eq!(
        answer.json()["choices"][0]["message"]["content"],
        "The tool says: sunny",
        "{}",
        answer.text()
    );
}

#[actix_web::test]
async fn oauth_tokens_go_as_a_bearer() {
    let server = Scripted::start(|_| Script::json(200, &case("answer_tools")["in"])).unwrap();
    let gateway = Gateway::start(config(&server));
    let body = json!({"model": "claude-opus-5-5", "messages": [{"role": "user", "content": "x"}]});
    let answer = gateway
        .send(
            "/v1/chat/completions",
            Some("sk-ant-oat01-x"),
            &[],
            body.to_string(),
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = &server.requests()[0];
    assert_eq!(seen.header("authorization"), Some("Bearer sk-ant-oat01-x"));
    assert_eq!(seen.header("anthropic-beta"), Some("oauth-2025-04-20"));
    assert_eq!(seen.header("x-api-key"), None);
}

/// Trap D1.
#[actix_web::test]
async fn thinking_comes_back_byte_for_byte_before_its_calls() {
    let server = scripted::all_providers().unwrap();
    let gateway = Gateway::start(config(&server));
    let tools = json!([{"type": "function", "function": {"name": "tides", "parameters": {"type": "object", "properties": {"harbour": {"type": "string"}}}}}]);
    let user = json!({"role": "user", "content": "High water?"});
    let first = gateway
        .chat(json!({"model": "claude-opus-5-5", "messages": [user], "tools": tools}))
        .await
        .json();
    let message = &first["choices"][0]["message"];
    assert_eq!(message["reasoning_content"], "What is asked is plain.");
    let call = &message["tool_calls"][0]["id"];
    let second = gateway
        .chat(
            json!({"model": "claude-opus-5-5", "tools": tools, "messages": [
            user, message, {"role": "tool", "tool_call_id": call, "content": "04:12"}]}),
        )
        .await;
    assert_eq!(second.status, 200, "{}", second.text());
    assert_eq!(
        second.json()["choices"][0]["message"]["content"],
        "The tool says: 04:12"
    );
    let replayed = server.requests()[1].json()["messages"][1]["content"].clone();
    assert_eq!(
        replayed[0],
        json!({"type": "thinking", "thinking": "What is asked is plain.", "signature": "c2lnbmVk"})
    );
    assert_eq!(replayed[1]["type"], "text");
    assert_eq!(replayed[2]["type"], "tool_use");
}

#[actix_web::test]
async fn every_anthropic_error_has_its_status() {
    for (status, kind, out, code) in [
        (400, "invalid_request_error", 400, "null"),
        (404, "not_found_error", 404, "model_not_found"),
        (413, "request_too_large", 413, "request_too_large"),
        (529, "overloaded_error", 503, "overloaded"),
    ] {
        let body = json!({"type": "error", "error": {"type": kind, "message": "theirs"}});
        let server = Scripted::start(move |_| Script::json(status, &body)).unwrap();
        let mut config = config(&server);
        config.retries.max_retries = 0;
        let gateway = Gateway::start(config);
        let body =
            json!({"model": "claude-opus-5-5", "messages": [{"role": "user", "content": "x"}]});
        let answer = gateway.chat(body).await;
        assert_eq!(
            answer.refusal(),
            (out, "null".into(), code.into()),
            "{kind}"
        );
        assert_eq!(answer.error()["message"], "theirs");
        assert_eq!(
            answer.header("x-upstream-status"),
            Some(status.to_string().as_str())
        );
    }
    // A 429 that says no time is a spend cap.
    let body = json!({"type": "error", "error": {"type": "rate_limit_error", "message": "cap"}});
    let server = Scripted::start(move |_| Script::json(429, &body)).unwrap();
    let gateway = Gateway::start(config(&server));
    let body = json!({"model": "claude-opus-5-5", "messages": [{"role": "user", "content": "x"}]});
    assert_eq!(gateway.chat(body).await.status, 429);
    assert_eq!(server.counts().requests, 1);
}

fn translated(body: &Value, model: &str) -> (Value, ai_gateway::dialect::TranslationReport) {
    let body = body.to_string();
    let object = Object::from_body(body.as_bytes()).unwrap();
    let mut request = read_request(object, model.to_owned().into()).unwrap();
    let out = MessagesProvider
        .encode_request(&mut request, &NoReasoningCache)
        .unwrap();
    (serde_json::from_slice(&out.body).unwrap(), out.report)
}

#[test]
fn at_most_twenty_tools_are_strict_and_each_other_is_named() {
    let tool = |n: usize| {
        json!({"type": "function", "function": {"name": format!("t{n}"), "strict": true,
        "parameters": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false}}})
    };
    let tools: Vec<_> = (0..25).map(tool).collect();
    let (out, report) = translated(
        &json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": tools}),
        "claude-haiku-4-5",
    );
    let strict = out["tools"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|tool| tool["strict"] == true);
    assert_eq!(strict.count(), 20);
    assert_eq!(report.dropped.len(), 5);
    assert!(report.changed.is_empty());
}

#[test]
fn what_messages_say_beyond_the_provider_is_named() {
    let user = |content: Value| json!({"role": "user", "content": content});
    let cases = [
        (
            json!([user(json!(" ")), user(json!("c"))]),
            "messages.content",
            "",
        ),
        (
            json!([{"role": "user", "content": "x", "x_msg": 1}]),
            "messages.x_msg",
            "",
        ),
        (
            json!([{"role": "user", "content": "x", "cache_control": {"type": "ephemeral"}}]),
            "",
            "messages.cache_control",
        ),
        (
            json!([user(json!([{"type": "text", "text": "x", "x_part": 1}]))]),
            "messages.content.x_part",
            "",
        ),
        (
            json!([user(
                json!([{"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "low"}}])
            )]),
            "messages.content.image_url.detail",
            "",
        ),
        (
            json!([{"role": "assistant", "content": "b"}, user(json!("c"))]),
            "",
            "messages",
        ),
        (
            json!([user(json!("a")), {"role": "assistant", "content": "b", "refusal": "No."}, user(json!("c"))]),
            "messages.refusal",
            "",
        ),
        (
            json!([user(json!("a")), {"role": "assistant", "content": "b", "reasoning_content": "r"}, user(json!("c"))]),
            "messages.reasoning_content",
            "",
        ),
        (
            json!([user(json!("a")), {"role": "assistant", "content": "b"}, {"role": "system", "content": "s"}, user(json!("c"))]),
            "",
            "messages.role",
        ),
    ];
    for (messages, dropped, changed) in cases {
        let (_, report) = translated(
            &json!({"model": "m", "messages": messages}),
            "claude-haiku-4-5",
        );
        assert_eq!(report.dropped.join(","), dropped, "{messages}");
        assert_eq!(report.changed.join(","), changed, "{messages}");
    }
}

#[test]
fn data_goes_under_the_type_that_its_bytes_show() {
    for (bytes, called, kind, media_type, named) in [
        ("/9j/4AAQSkZJRgAB", "image/png", "image", "image/jpeg", true),
        ("iVBORw0KGgoAAAAN", "image/jpeg", "image", "image/png", true),
        ("R0lGODlhAQABAAAA", "image/webp", "image", "image/gif", true),
        (
            "UklGRgAAAABXRUJQ",
            "application/octet-stream",
            "image",
            "image/webp",
            true,
        ),
        (
            "JVBERi0xLjQKJeLj",
            "image/png",
            "document",
            "application/pdf",
            true,
        ),
        (
            "/9j/4AAQSkZJRgAB",
            "image/jpg",
            "image",
            "image/jpeg",
            false,
        ),
        ("AAAA", "image/png", "image", "image/png", false),
    ] {
        let part = json!({"type": "image_url", "image_url": {"url": format!("data:{called};base64,{bytes}")}});
        let file =
            json!({"type": "file", "file": {"file_data": format!("data:{called};base64,{bytes}")}});
        let body = json!({"model": "m", "messages": [{"role": "user", "content": [part, file]}]});
        let (out, report) = translated(&body, "claude-haiku-4-5");
        for n in [0, 1] {
            let block = &out["messages"][0]["content"][n];
            assert_eq!(
                (&block["type"], &block["source"]["media_type"]),
                (&json!(kind), &json!(media_type)),
                "{called}"
            );
        }
        assert_eq!(!report.changed.is_empty(), named, "{called}");
    }
}

#[test]
fn what_stands_between_calls_and_results_comes_behind_them() {
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": id});
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "a"},
        {"role": "assistant", "content": "t1", "tool_calls": [call("x")]},
        {"role": "assistant", "content": "t2", "tool_calls": [call("y")]},
        {"role": "user", "content": "between"}, result("y"), {"role": "system", "content": "s"}, result("x"), {"role": "user", "content": "next"}]});
    let (out, report) = translated(&body, "claude-haiku-4-5");
    let kinds = |n: usize| {
        out["messages"][n]["content"]
            .as_array()
            .unwrap()
            .iter()
            .map(|b| b["type"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(1), ["text", "tool_use", "text", "tool_use"]);
    assert_eq!(
        kinds(2),
        ["tool_result", "tool_result", "text", "text", "text"]
    );
    assert_eq!(out["messages"][2]["content"][0]["tool_use_id"], "x");
    assert_eq!(out["messages"][2]["content"][2]["text"], "between");
    assert_eq!(report.changed, ["messages", "messages.role"]);
}
