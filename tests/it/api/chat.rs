//! `POST /v1/chat/completions`, end to end.

use crate::rig::{Gateway, always, config, gateway, keyed};
use ai_gateway::providers::{ChatApi, PROVIDERS};
use ai_gateway::scripted::{self, Script, Scripted};
use serde_json::{Value, json};

fn hello(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
}

#[actix_web::test]
async fn only_the_model_changes_on_the_way_to_a_chat_provider() {
    let (server, gateway) = gateway();
    let body = "{ \"vendor\" : {\"big\":9007199254740993123,\"e\":1.50e3},\n\"model\":\"groq/meta/llama\" ,\"messages\":[{\"role\":\"user\",\"content\":\"\\u0047r\u{fc}\u{df}e\"}],\"seed\":null }";
    let answer = gateway.post("/v1/chat/completions", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-gateway-provider"), Some("groq"));
    let seen = &server.requests()[0];
    assert_eq!(seen.path, "/groq/chat/completions");
    assert_eq!(
        std::str::from_utf8(&seen.body).unwrap(),
        body.replace("groq/meta/llama", "meta/llama")
    );
}

#[actix_web::test]
async fn a_model_that_needs_no_prefix_leaves_every_byte_as_it_was() {
    let (server, gateway) = gateway();
    let body = "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}] , \"model\":\"meta-llama/Llama-3\"}\n";
    assert_eq!(gateway.post("/v1/chat/completions", body).await.status, 200);
    let seen = &server.requests()[0];
    assert_eq!(seen.path, "/openai/v1/chat/completions");
    assert_eq!(seen.body, body.as_bytes());
}

#[actix_web::test]
async fn the_bytes_of_a_whole_answer_go_through_untouched() {
    let theirs = "{ \"id\":\"x\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"\\u00e9\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"vendor\":9007199254740993123 }";
    let (_server, gateway) = always(Script::whole(
        200,
        &[("content-type", "application/json")],
        theirs,
    ));
    let answer = gateway.chat(hello("gpt-4o-mini")).await;
    assert_eq!(answer.text(), theirs);
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[actix_web::test]
async fn the_bytes_of_a_stream_go_through_untouched() {
    let who = "\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\"";
    let events = format!(
        "data: {{{who},\"choices\":[{{\"index\":0,\"delta\":{{\"role\":\"assistant\",\"content\":\"a\"}},\"finish_reason\":null}}],\"vendor\":1.0}}\r\n\r\n: a comment\n\ndata:{{\"choices\":[{{\"delta\":{{}}, \"index\":0 ,\"finish_reason\":\"stop\"}}],{who}}}\n\ndata: [DONE]\n\n"
    );
    let (_server, gateway) = always(
        Script::stream()
            .chunk(&events[..50])
            .chunk(&events[50..])
            .end(),
    );
    let mut body = hello("gpt-4o-mini");
    body["stream"] = json!(true);
    let answer = gateway.chat(body).await;
    assert_eq!(answer.text(), events);
    assert_eq!(
        answer.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
}

#[actix_web::test]
async fn every_provider_is_reached_by_its_prefix() {
    let (server, gateway) = gateway();
    for provider in &PROVIDERS {
        for stream in [false, true] {
            let mut body = hello(&format!("{}/some-model", provider.name));
            body["stream"] = json!(stream);
            let answer = gateway.chat(body).await;
            assert_eq!(answer.status, 200, "{}: {}", provider.name, answer.text());
            assert_eq!(answer.header("x-gateway-provider"), Some(provider.name));
            assert!(
                answer.text().contains("Hello! "),
                "{}: {}",
                provider.name,
                answer.text()
            );
            if stream {
                assert!(
                    answer.text().ends_with("data: [DONE]\n\n"),
                    "{}",
                    provider.name
                );
            }
        }
        let seen = server.requests().pop().unwrap();
        let path = match provider.chat_api {
            ChatApi::Chat(_) => format!("/{}{}/chat/completions", provider.name, provider.version),
            ChatApi::Other { path, .. } => format!("/{}{}{path}", provider.name, provider.version),
        };
        assert_eq!(seen.path, path);
        assert_eq!(
            seen.json()["model"],
            provider.model_name("some-model").as_ref()
        );
    }
}

#[actix_web::test]
async fn kimi_gets_its_one_model_and_its_user_agent() {
    let (server, gateway) = gateway();
    assert_eq!(gateway.chat(hello("kimi-k9-anything")).await.status, 200);
    let models = gateway
        .get("/v1/models?provider=kimi", Some("caller-key"))
        .await;
    assert_eq!(models.status, 200, "{}", models.text());
    let requests = server.requests();
    assert_eq!(requests[0].json()["model"], "kimi-for-coding");
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(
            request.header("user-agent"),
            Some("KimiCLI/1.3"),
            "{}",
            request.path
        );
    }
}

/// Trap I8.
#[actix_web::test]
async fn a_callers_key_goes_to_the_one_provider_and_nowhere_else() {
    let (server, gateway) = gateway();
    for (model, header, value) in [
        ("gpt-4o-mini", "authorization", "Bearer caller-key"),
        ("claude-opus-5-5", "x-api-key", "caller-key"),
        ("azure/my-deployment", "api-key", "caller-key"),
    ] {
        let answer = gateway
            .send(
                "/v1/chat/completions",
                Some("caller-key"),
                &[
                    ("x-api-key", "not-yours"),
                    ("api-key", "not-yours"),
                    ("cookie", "a=b"),
                ],
                hello(model).to_string(),
            )
            .await;
        assert_eq!(answer.status, 200);
        let seen = server.requests().pop().unwrap();
        assert_eq!(seen.header(header), Some(value), "{model}");
        let all: Vec<_> = seen
            .headers
            .iter()
            .filter(|(_, v)| v.contains("caller-key"))
            .collect();
        assert_eq!(all.len(), 1, "{all:?}");
        assert!(!format!("{:?}", seen.headers).contains("not-yours"));
        assert_eq!(seen.header("cookie"), None);
    }
    assert_eq!(server.counts().requests, 3);
}

#[actix_web::test]
async fn without_a_bearer_nothing_is_sent() {
    let (server, gateway) = gateway();
    for headers in [
        &[][..],
        &[("x-api-key", "k")],
        &[("authorization", "Basic eDp5")],
        &[("authorization", "Bearer ")],
    ] {
        let answer = gateway
            .send(
                "/v1/chat/completions",
                None,
                headers,
                hello("gpt-4o-mini").to_string(),
            )
            .await;
        assert_eq!(
            answer.refusal(),
            (401, "null".into(), "invalid_api_key".into()),
            "{headers:?}"
        );
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    assert_eq!(server.counts().connections, 0);
}

#[actix_web::test]
async fn gateway_keys_open_and_providers_get_their_own() {
    let server = scripted::all_providers().unwrap();
    let mut config = keyed(&server);
    config.providers[0].key = None;
    let gateway = Gateway::start(config);
    let path = "/v1/chat/completions";
    for wrong in ["team-kez", "team-key2", "groq-secret-key", "sk-other"] {
        let answer = gateway
            .send(path, Some(wrong), &[], hello("groq/x").to_string())
            .await;
        assert_eq!(
            answer.refusal(),
            (401, "null".into(), "invalid_api_key".into()),
            "{wrong}"
        );
        assert!(!answer.text().contains(wrong));
    }
    assert_eq!(server.counts().connections, 0);

    let answer = gateway
        .send(path, Some("team-key"), &[], hello("groq/x").to_string())
        .await;
    assert_eq!(answer.status, 200);
    let seen = &server.requests()[0];
    assert_eq!(seen.header("authorization"), Some("Bearer groq-secret-key"));
    assert!(!format!("{seen:?}").contains("team-key"));

    let answer = gateway
        .send(path, Some("team-key"), &[], hello("gpt-4o").to_string())
        .await;
    assert_eq!(
        answer.refusal(),
        (400, "null".into(), "provider_key_missing".into())
    );
    assert!(
        answer.text().contains("OPENAI_API_KEY"),
        "{}",
        answer.text()
    );
}

/// Trap C12.
#[actix_web::test]
async fn a_rejected_gateway_credential_is_not_the_callers_fault() {
    let theirs = json!({"error": {"message": "Incorrect API key provided: openai-secret-key", "type": "invalid_request_error", "param": null, "code": "invalid_api_key"}});
    let server = Scripted::start(move |_| Script::json(401, &theirs)).unwrap();
    let body = hello("gpt-4o-mini").to_string();
    let path = "/v1/chat/completions";

    let gateway = Gateway::start(keyed(&server));
    let answer = gateway
        .send(path, Some("team-key"), &[], body.clone())
        .await;
    assert_eq!(
        answer.refusal(),
        (502, "null".into(), "provider_auth_failed".into())
    );
    assert!(!answer.text().contains("secret"), "{}", answer.text());

    // A caller with a key of its own is told what the provider said, but not the key again.
    let gateway = Gateway::start(crate::rig::config(&server));
    let answer = gateway
        .send(path, Some("openai-secret-key"), &[], body)
        .await;
    assert_eq!(
        answer.refusal(),
        (401, "null".into(), "invalid_api_key".into())
    );
    assert_eq!(
        answer.error()["message"],
        "Incorrect API key provided: [redacted]"
    );
    assert_eq!(server.counts().requests, 2, "a 401 is not tried again");
}

#[actix_web::test]
async fn bad_input_names_the_field_and_reaches_no_one() {
    let (server, gateway) = gateway();
    let deep = format!(
        "{{\"model\":\"gpt-4o\",\"messages\":{}{}}}",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let long = json!({"model": "m".repeat(300), "messages": [{"role": "user", "content": "x"}]})
        .to_string();
    let cases: Vec<(Vec<u8>, &str, &str)> = vec![
        (b"{".to_vec(), "null", "invalid_json"),
        (b"".to_vec(), "null", "invalid_json"),
        (b"{\"model\":\"\xff\"}".to_vec(), "null", "invalid_json"),
        (b"[]".to_vec(), "body", "invalid_type"),
        (deep.into_bytes(), "messages", "invalid_json"),
        (
            b"{\"messages\":[{}]}".to_vec(),
            "model",
            "missing_required_parameter",
        ),
        (
            b"{\"model\":null,\"messages\":[{}]}".to_vec(),
            "model",
            "missing_required_parameter",
        ),
        (
            b"{\"model\":7,\"messages\":[{}]}".to_vec(),
            "model",
            "invalid_type",
        ),
        (
            b"{\"model\":\"\",\"messages\":[{}]}".to_vec(),
            "model",
            "invalid_value",
        ),
        (
            b"{\"model\":\"groq/\",\"messages\":[{}]}".to_vec(),
            "model",
            "invalid_value",
        ),
        (
            b"{\"model\":\"a\\u0000b\",\"messages\":[{}]}".to_vec(),
            "model",
            "invalid_value",
        ),
        (long.into_bytes(), "model", "invalid_value"),
        (
            b"{\"model\":\"x\",\"model\":\"y\",\"messages\":[{}]}".to_vec(),
            "model",
            "invalid_json",
        ),
        (
            b"{\"model\":\"x\"}".to_vec(),
            "messages",
            "missing_required_parameter",
        ),
        (
            b"{\"model\":\"x\",\"messages\":\"hi\"}".to_vec(),
            "messages",
            "invalid_type",
        ),
        (
            b"{\"model\":\"x\",\"messages\":[]}".to_vec(),
            "messages",
            "invalid_value",
        ),
        (
            b"{\"model\":\"x\",\"messages\":[3]}".to_vec(),
            "messages[0]",
            "invalid_type",
        ),
        (
            b"{\"model\":\"x\",\"messages\":[{}],\"stream\":\"yes\"}".to_vec(),
            "stream",
            "invalid_type",
        ),
    ];
    for (body, param, code) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let answer = gateway.post("/v1/chat/completions", body).await;
        assert_eq!(
            answer.refusal(),
            (400, param.into(), code.into()),
            "{shown}"
        );
    }
    assert_eq!(server.counts().connections, 0);
}

#[actix_web::test]
async fn bad_input_to_a_translation_names_the_field_too() {
    let (server, gateway) = gateway();
    let user = json!({"role": "user", "content": "x"});
    let cases = [
        (
            json!({"messages": [{"content": "x"}]}),
            "messages[0].role",
            "missing_required_parameter",
        ),
        (
            json!({"messages": [{"role": "wizard", "content": "x"}]}),
            "messages[0].role",
            "invalid_value",
        ),
        (
            json!({"messages": [user, {"role": "user", "content": 5}]}),
            "messages[1].content",
            "invalid_type",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "text"}]}]}),
            "messages[0].content[0].text",
            "missing_required_parameter",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}),
            "messages[0].content[0].type",
            "unsupported_value",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]}]}),
            "messages[0].content[0].image_url.url",
            "unsupported_value",
        ),
        (
            json!({"messages": [user], "max_tokens": 0}),
            "max_tokens",
            "invalid_value",
        ),
        (
            json!({"messages": [user], "max_completion_tokens": "many"}),
            "max_completion_tokens",
            "invalid_type",
        ),
        (
            json!({"messages": [user], "n": 2}),
            "n",
            "unsupported_value",
        ),
        (
            json!({"messages": [user], "tools": [{"type": "custom", "custom": {"name": "x"}}]}),
            "tools[0].type",
            "unsupported_value",
        ),
        (
            json!({"messages": [user], "tools": [{"type": "function", "function": {}}]}),
            "tools[0].function.name",
            "missing_required_parameter",
        ),
        (
            json!({"messages": [user], "tool_choice": "perhaps"}),
            "tool_choice",
            "invalid_value",
        ),
        (
            json!({"messages": [user, {"role": "tool", "tool_call_id": "nope", "content": "x"}]}),
            "messages[1].tool_call_id",
            "invalid_value",
        ),
        (
            json!({"messages": [user, {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}, user]}),
            "messages[1].tool_calls[0].id",
            "invalid_value",
        ),
        (
            json!({"messages": [user], "temperature": "hot"}),
            "temperature",
            "invalid_type",
        ),
        (
            json!({"messages": [user], "reasoning_effort": "enormous"}),
            "reasoning_effort",
            "invalid_value",
        ),
    ];
    for (mut body, param, code) in cases {
        body["model"] = json!("claude-haiku-4-5");
        let answer = gateway.chat(body.clone()).await;
        assert_eq!(answer.refusal(), (400, param.into(), code.into()), "{body}");
    }
    assert_eq!(server.counts().connections, 0);
}

#[actix_web::test]
async fn a_body_must_be_declared_json_and_must_not_be_too_large() {
    let server = scripted::all_providers().unwrap();
    let mut config = config(&server);
    config.server.max_body = 2000;
    let gateway = Gateway::start(config);
    let path = "/v1/chat/completions";
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
    ] {
        let answer = gateway
            .send(
                path,
                Some("k"),
                &[("content-type", kind)],
                hello("gpt-4o").to_string(),
            )
            .await;
        assert_eq!(
            answer.refusal(),
            (415, "null".into(), "unsupported_media_type".into()),
            "{kind}"
        );
    }
    let json = [("content-type", "Application/JSON; charset=utf-8")];
    let answer = gateway
        .send(path, Some("k"), &json, hello("gpt-4o").to_string())
        .await;
    assert_eq!(answer.status, 200);
    let mut large = hello("gpt-4o");
    large["user"] = json!("x".repeat(2000));
    let answer = gateway.post(path, large.to_string()).await;
    assert_eq!(
        answer.refusal(),
        (413, "null".into(), "request_too_large".into())
    );
    // The same without a length told beforehand.
    let pieces = futures_util::stream::iter(
        [large.to_string().into_bytes()].map(|piece| Ok::<_, std::io::Error>(piece.into())),
    );
    let mut answer = crate::rig::client()
        .post(format!("{}{path}", gateway.url))
        .bearer_auth("k")
        .content_type("application/json")
        .send_stream(pieces)
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 413);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"]["code"], "request_too_large");
}

#[actix_web::test]
async fn a_large_image_passes_with_the_defaults() {
    let (server, gateway) = gateway();
    let image = format!("data:image/png;base64,{}", "A".repeat(20 << 20));
    let mut body = hello("groq/vision");
    body["messages"][0]["content"] = json!([{"type": "image_url", "image_url": {"url": image}}]);
    let body = body.to_string();
    let answer = gateway.post("/v1/chat/completions", body.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(server.requests()[0].body.len(), body.len() - "groq/".len());
}

#[actix_web::test]
async fn unknown_paths_and_wrong_methods_answer_in_the_envelope() {
    let (_server, gateway) = gateway();
    let answer = gateway.get("/v2/nothing?key=hunter2", None).await;
    assert_eq!(answer.refusal(), (404, "null".into(), "unknown_url".into()));
    assert!(!answer.text().contains("hunter2"));
    let answer = gateway.get("/v1/chat/completions", Some("k")).await;
    assert_eq!(
        answer.refusal(),
        (405, "null".into(), "method_not_allowed".into())
    );
    assert_eq!(answer.header("allow"), Some("POST"));
    let answer = gateway.post("/healthz", "{}").await;
    assert_eq!(
        answer.refusal(),
        (405, "null".into(), "method_not_allowed".into())
    );
    assert_eq!(answer.header("allow"), Some("GET, HEAD"));
}

#[actix_web::test]
async fn no_route_but_the_open_ones_answers_without_a_key() {
    let server = scripted::all_providers().unwrap();
    let gateway = Gateway::start(keyed(&server));
    for route in ai_gateway::http::ROUTES {
        let path = route
            .path
            .replace("{file:.*}", "index.html")
            .replace("{file}", "style.css");
        for key in [None, Some("wrong-key")] {
            let answer = if route.allow == "POST" {
                gateway.send(&path, key, &[], "{}").await
            } else {
                gateway.get(&path, key).await
            };
            let expected = if route.is_open() {
                matches!(answer.status, 200 | 308)
            } else {
                answer.status == 401
            };
            assert!(expected, "{path} with {key:?} answers {}", answer.status);
            assert!(
                !answer
                    .headers
                    .iter()
                    .any(|(name, _)| name.as_str().starts_with("access-control"))
            );
        }
    }
    let open: Vec<_> = ai_gateway::http::ROUTES
        .iter()
        .filter(|r| r.is_open())
        .map(|r| r.path)
        .collect();
    assert_eq!(
        open,
        [
            "/",
            "/static/{file}",
            "/healthz",
            "/readyz",
            "/doc",
            "/docs",
            "/swagger-ui",
            "/swagger-ui/{file:.*}",
            "/providers"
        ]
    );
}

#[actix_web::test]
async fn providers_tell_the_anonymous_nothing_about_keys_and_addresses() {
    let server = scripted::all_providers().unwrap();
    let gateway = Gateway::start(keyed(&server));
    let open = gateway.get("/providers", None).await;
    let list = open.json()["data"].as_array().unwrap().clone();
    assert_eq!(list.len(), 14);
    assert_eq!(
        list[1],
        json!({"name": "anthropic", "title": "Anthropic", "prefix": "anthropic/", "patterns": ["claude*"],
            "endpoints": {"chat_completions": "translated", "responses": "translated"}})
    );
    assert_eq!(list[6]["prefix"], "groq/");
    assert_eq!(
        list[6]["endpoints"],
        json!({"chat_completions": "native", "responses": "native"})
    );
    assert!(!open.text().contains("127.0.0.1"));
    assert!(!open.text().contains("status"));
    assert_eq!(
        gateway.get("/providers", Some("wrong")).await.body,
        open.body
    );

    let known = gateway.get("/providers", Some("team-key")).await;
    assert_eq!(known.json()["data"][1]["status"]["key_configured"], true);
    assert!(!known.text().contains("secret"));
}

#[actix_web::test]
async fn a_large_stream_arrives_whole() {
    let who = "\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\"";
    let chunk = |delta: &str, finish: &str| {
        format!(
            "data: {{{who},\"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let mut all = chunk("\"role\":\"assistant\"", "null");
    let piece = chunk(&format!("\"content\":\"{}\"", "x".repeat(1000)), "null");
    let mut script = Script::stream().chunk(&all);
    for _ in 0..2000 {
        script = script.chunk(&piece);
        all.push_str(&piece);
    }
    let end = chunk("", "\"stop\"") + "data: [DONE]\n\n";
    all.push_str(&end);
    let (_server, gateway) = always(script.chunk(&end).end());
    let mut body = hello("gpt-4o-mini");
    body["stream"] = json!(true);
    let answer = gateway.chat(body).await;
    assert_eq!(answer.body, all.as_bytes());
}

#[actix_web::test]
async fn a_whole_answer_to_a_stream_request_becomes_a_stream() {
    let theirs = json!({"id": "c1", "object": "chat.completion", "created": 5, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}});
    let (_server, gateway) = always(Script::json(200, &theirs));
    let mut body = hello("gpt-4o-mini");
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    let answer = gateway.chat(body).await;
    let events = answer.events();
    assert_eq!(events[1]["choices"][0]["delta"]["content"], "Hi");
    assert_eq!(events.last().unwrap()["usage"]["total_tokens"], 4);
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
}
