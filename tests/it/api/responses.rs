//! `POST /v1/responses`, end to end: relayed where a provider has them, translated elsewhere.

use crate::rig::stream_contract;
use crate::rig::{Answer, always, gateway};
use ai_gateway::providers::{ClientApi, PROVIDERS, ResponsesSupport, mode};
use ai_gateway::scripted::{Script, Step};
use serde_json::{Value, json};

/// What must hold of every stream of Responses, whoever wrote it. Returns the last response.
fn check_stream(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let events = answer.events();
    let names: Vec<_> = ai_gateway::codec::sse::events(&answer.body)
        .map(|event| event.name.unwrap().into_owned())
        .collect();
    let mut open: Vec<(u64, String)> = Vec::new();
    let mut text = String::new();
    for (n, (event, name)) in events.iter().zip(&names).enumerate() {
        assert_eq!(event["sequence_number"], n, "{event}");
        assert_eq!(event["type"], name.as_str());
        let index = event["output_index"].as_u64();
        match name.as_str() {
            "response.output_item.added" => {
                open.push((
                    index.unwrap(),
                    event["item"]["id"].as_str().unwrap().to_owned(),
                ));
            }
            "response.output_item.done" => {
                let id = event["item"]["id"].as_str().unwrap();
                let at = open.iter().position(|(i, o)| Some(*i) == index && o == id);
                open.remove(at.unwrap_or_else(|| panic!("{id} was not open")));
            }
            "response.output_text.delta" => text.push_str(event["delta"].as_str().unwrap()),
            _ => {}
        }
        if let Some(id) = event["item_id"].as_str() {
            assert!(
                open.iter().any(|(i, o)| Some(*i) == index && o == id),
                "{event}"
            );
        }
    }
    assert_eq!(&names[..2], ["response.created", "response.in_progress"]);
    let last = events.last().unwrap()["response"].clone();
    let id = &last["id"];
    for event in &events {
        assert!(
            event["response"].is_null() || &event["response"]["id"] == id,
            "{event}"
        );
    }
    if last["status"] != "failed" {
        assert!(open.is_empty(), "still open: {open:?}");
        let said: String = last["output"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|item| item["content"].as_array())
            .flatten()
            .filter_map(|part| part["text"].as_str())
            .collect();
        assert_eq!(said, text);
    }
    assert!(!answer.text().contains("[DONE]"));
    last
}

#[actix_web::test]
async fn all_providers_answer_whole_and_streamed() {
    let (server, gateway) = gateway();
    for provider in &PROVIDERS {
        let model = format!("{}/some-model", provider.name);
        let whole = gateway
            .responses(json!({"model": model, "instructions": "Be kind.", "input": "Hello"}))
            .await;
        assert_eq!(whole.status, 200, "{}: {}", provider.name, whole.text());
        let whole = whole.json();
        assert_eq!(whole["object"], "response");
        assert_eq!(whole["status"], "completed");
        assert!(whole["output"].to_string().contains("Hello! "), "{whole}");
        let answer = gateway
            .responses(json!({"model": model, "stream": true, "input": [{"role": "user", "content": "Hello"}]}))
            .await;
        let last = check_stream(&answer);
        assert_eq!(last["status"], "completed", "{}", provider.name);
        assert!(
            last["usage"]["total_tokens"].as_u64().unwrap() > 0,
            "{}",
            provider.name
        );

        let seen = server.requests().pop().unwrap();
        let native = mode(ClientApi::Responses, provider, "some-model").is_relayed();
        assert_eq!(seen.path.ends_with("/responses"), native, "{}", seen.path);
        assert_eq!(
            seen.json()["model"],
            provider.model_name("some-model").as_ref()
        );
    }
    let native = PROVIDERS
        .iter()
        .filter(|p| {
            matches!(
                p.responses,
                ResponsesSupport::Native | ResponsesSupport::NativeAtFirst
            )
        })
        .count();
    assert_eq!(native, 7);
}

#[actix_web::test]
async fn bedrock_has_responses_for_some_models_only() {
    let (server, gateway) = gateway();
    for (model, path) in [
        ("bedrock/us.openai.gpt-6:0", "/bedrock/responses"),
        (
            "bedrock/openai.gpt-oss-120b-1:0",
            "/bedrock/chat/completions",
        ),
    ] {
        let answer = gateway
            .responses(json!({"model": model, "input": "Hello"}))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(server.requests().pop().unwrap().path, path);
    }
}

#[actix_web::test]
async fn a_native_request_changes_in_its_model_only() {
    let (server, gateway) = gateway();
    let body = "{\"model\": \"xai/grok-4\",\"previous_response_id\":\"resp_1\",\"tools\":[{\"type\":\"web_search\"}],\"input\":\"Hello\",\"n\":9007199254740993 }";
    let answer = gateway.post("/v1/responses", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = &server.requests()[0];
    assert_eq!(seen.path, "/xai/responses");
    assert_eq!(seen.body, body.replace("xai/grok-4", "grok-4").as_bytes());
}

#[actix_web::test]
async fn the_bytes_of_a_native_stream_go_through_and_a_cut_one_fails() {
    let begin = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"error\":null}}\n\n";
    let end = "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":1,\"response\":{}}\n\n";
    let ask = json!({"model": "gpt-4o", "input": "x", "stream": true});
    let (_server, gateway) = always(Script::stream().chunk(begin).chunk(end).end());
    assert_eq!(
        gateway.responses(ask.clone()).await.text(),
        format!("{begin}{end}")
    );

    for script in [
        Script::stream().chunk(begin).end(),
        Script::stream().chunk(begin).then(Step::Close),
        Script::stream()
            .chunk(begin)
            .chunk(&end[..30])
            .then(Step::Close),
    ] {
        let (_server, gateway) = always(script);
        let answer = gateway.responses(ask.clone()).await;
        let events = answer.events();
        assert_eq!(events.len(), 3, "{}", answer.text());
        assert_eq!(events[2]["response"]["status"], "failed");
        assert_eq!(events[1]["type"], "error");
        assert_eq!(events[1]["sequence_number"], 1);
        assert_eq!(events[1]["error"]["code"], "upstream_stream_truncated");
        assert!(!answer.text().contains("response.completed"));
    }
}

#[actix_web::test]
async fn history_tools_and_results_become_one_conversation() {
    let (server, gateway) = gateway();
    let tool = json!({"type": "function", "name": "tides", "description": "Tide table",
        "parameters": {"type": "object", "properties": {"harbour": {"type": "string"}}}, "strict": true});
    let ask = json!({
        "model": "vertex/meta/llama",
        "instructions": "Be brief.",
        "max_output_tokens": 64,
        "temperature": 0.5,
        "tools": [tool],
        "tool_choice": {"type": "function", "name": "tides"},
        "parallel_tool_calls": false,
        "text": {"format": {"type": "json_schema", "name": "t", "schema": {"type": "object"}, "strict": true}},
        "reasoning": {"effort": "low", "summary": "auto"},
        "input": [
            {"role": "developer", "content": "Use UTC."},
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "High water?"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "someone-elses"},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [
                {"type": "output_text", "text": "Let me ", "annotations": []}, {"type": "output_text", "text": "look.", "annotations": []}]},
            {"type": "function_call", "id": "fc_1", "call_id": "call_a", "name": "tides", "arguments": "{\"harbour\":\"Husum\"}"},
            {"type": "function_call", "id": "fc_2", "call_id": "call_b", "name": "tides", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_a", "output": "04:12"},
            {"type": "function_call_output", "call_id": "call_b", "output": [{"type": "input_text", "text": "none"}]}
        ],
        "unheard_of": 1, "max_tool_calls": 3, "truncation": "auto"
    });
    let answer = gateway.responses(ask).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("x-gateway-dropped-params"),
        Some("input.reasoning,max_tool_calls,truncation,unheard_of")
    );
    assert_eq!(
        server.requests()[0].json(),
        json!({
            "model": "meta/llama",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "system", "content": "Use UTC."},
                {"role": "user", "content": [
                    {"type": "text", "text": "High water?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}}]},
                {"role": "assistant", "content": "Let me look.", "tool_calls": [
                    {"id": "call_a", "type": "function", "function": {"name": "tides", "arguments": "{\"harbour\":\"Husum\"}"}},
                    {"id": "call_b", "type": "function", "function": {"name": "tides", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "call_a", "content": "04:12"},
                {"role": "tool", "tool_call_id": "call_b", "content": "none"}
            ],
            "tools": [{"type": "function", "function": {"name": "tides", "description": "Tide table",
                "parameters": {"type": "object", "properties": {"harbour": {"type": "string"}}}, "strict": true}}],
            "tool_choice": {"type": "function", "function": {"name": "tides"}},
            "max_completion_tokens": 64,
            "temperature": 0.5,
            "parallel_tool_calls": false,
            "response_format": {"type": "json_schema", "json_schema": {"name": "t", "schema": {"type": "object"}, "strict": true}},
            "reasoning_effort": "low"
        })
    );
    let response = answer.json();
    assert_eq!(response["instructions"], "Be brief.");
    assert_eq!(response["max_output_tokens"], 64);
    assert_eq!(response["temperature"], 0.5);
    assert_eq!(response["top_p"], 1);
    assert_eq!(response["tools"][0]["name"], "tides");
    assert_eq!(response["tools"][0]["strict"], true);
    assert_eq!(
        response["reasoning"],
        json!({"effort": "low", "summary": "auto"})
    );
    assert_eq!(response["store"], false);
    assert_eq!(
        response["output"][0]["content"][0]["text"],
        "The tool says: none"
    );
}

#[actix_web::test]
async fn parallel_calls_have_items_of_their_own() {
    let (_server, gateway) = gateway();
    let tool = |name: &str| json!({"type": "function", "name": name, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}});
    for model in ["claude-opus-5-5", "gemini-3.8-flash"] {
        let ask = json!({"model": model, "input": "Both, please", "tools": [tool("a"), tool("b")]});
        let whole = gateway.responses(ask.clone()).await.json();
        let mut streamed = ask;
        streamed["stream"] = json!(true);
        let answer = gateway.responses(streamed).await;
        let last = check_stream(&answer);
        for response in [&whole, &last] {
            let calls: Vec<_> = response["output"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|item| item["type"] == "function_call")
                .collect();
            assert_eq!(calls.len(), 2, "{model}: {response}");
            for (call, name) in calls.iter().zip(["a", "b"]) {
                assert_eq!(call["name"], name);
                assert_eq!(call["status"], "completed");
                assert_eq!(call["arguments"], "{\"city\":\"Rome\"}");
                assert_ne!(call["id"], call["call_id"]);
            }
        }
        let mut deltas = String::new();
        for event in answer.events() {
            if event["type"] == "response.function_call_arguments.delta" {
                deltas.push_str(event["delta"].as_str().unwrap());
            }
        }
        assert_eq!(deltas, "{\"city\":\"Rome\"}{\"city\":\"Rome\"}");
    }
}

#[actix_web::test]
async fn reasoning_is_shown_when_asked_for_and_comes_back() {
    let (server, gateway) = gateway();
    let tool = json!({"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}});
    let user = json!({"role": "user", "content": "Hello"});
    let mut ask = json!({"model": "claude-opus-5-5", "input": [user], "stream": true, "tools": [tool],
        "reasoning": {"effort": "high", "summary": "auto"}, "include": ["reasoning.encrypted_content"]});
    let answer = gateway.responses(ask.clone()).await;
    let last = check_stream(&answer);
    let reasoning = &last["output"][0];
    assert_eq!(reasoning["type"], "reasoning");
    assert_eq!(
        reasoning["summary"],
        json!([{"type": "summary_text", "text": "What is asked is plain."}])
    );
    assert!(
        reasoning["encrypted_content"]
            .as_str()
            .unwrap()
            .starts_with("gw1.")
    );

    // The client sends the items back as they came.
    let mut input = vec![user];
    input.extend(last["output"].as_array().unwrap().iter().cloned());
    let call = last["output"].as_array().unwrap().last().unwrap();
    input.push(json!({"type": "function_call_output", "call_id": call["call_id"], "output": "42"}));
    ask["input"] = json!(input);
    check_stream(&gateway.responses(ask).await);
    let replayed = server.requests()[1].json()["messages"][1]["content"].clone();
    assert_eq!(
        replayed[0],
        json!({"type": "thinking", "thinking": "What is asked is plain.", "signature": "c2lnbmVk"})
    );
    assert_eq!(
        replayed.as_array().unwrap().last().unwrap()["type"],
        "tool_use"
    );

    let quiet = json!({"model": "claude-opus-5-5", "input": "Hello", "stream": true});
    let answer = gateway.responses(quiet).await;
    let last = check_stream(&answer);
    assert_eq!(last["output"][0]["summary"], json!([]));
    assert!(last["output"][0].get("encrypted_content").is_none());
    assert!(!answer.text().contains("reasoning_summary"));
}

fn chunk(delta: &Value, finish: &Value) -> String {
    format!(
        "data: {}\n\n",
        json!({"id": "c", "model": "m", "created": 5, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    )
}

async fn streamed(script: Script) -> (Answer, Value) {
    let (_server, gateway) = always(script);
    let answer = gateway
        .responses(json!({"model": "cohere/x", "input": "Hello", "stream": true}))
        .await;
    let last = check_stream(&answer);
    (answer, last)
}

/// Trap F7.
#[actix_web::test]
async fn length_is_incomplete() {
    let script = Script::stream()
        .chunk(chunk(&json!({"content": "Hal"}), &Value::Null))
        .chunk(chunk(&json!({}), &json!("length")))
        .end();
    let (answer, last) = streamed(script).await;
    assert_eq!(last["status"], "incomplete");
    assert_eq!(
        last["incomplete_details"],
        json!({"reason": "max_output_tokens"})
    );
    assert_eq!(last["output"][0]["status"], "incomplete");
    assert_eq!(
        answer.events().last().unwrap()["type"],
        "response.incomplete"
    );
}

#[actix_web::test]
async fn a_call_that_the_limit_cut_is_incomplete() {
    let event = |data: Value| {
        format!(
            "event: {}\ndata: {data}\n\n",
            data["type"].as_str().unwrap()
        )
    };
    let script = Script::stream()
        .chunk(event(json!({"type": "message_start", "message": {"id": "m", "model": "x"}})))
        .chunk(event(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "a", "name": "f", "input": {}}})))
        .chunk(event(json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{\"a\":"}})))
        .chunk(event(json!({"type": "content_block_stop", "index": 0})))
        .chunk(event(json!({"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 5}})))
        .chunk(event(json!({"type": "message_stop"})))
        .end();
    let (_server, gateway) = always(script);
    let ask = json!({"model": "claude-opus-5-5", "input": "x", "stream": true});
    let last = check_stream(&gateway.responses(ask).await);
    assert_eq!(last["status"], "incomplete");
    assert_eq!(last["output"][0]["status"], "incomplete");
    assert_eq!(last["output"][0]["arguments"], "{\"a\":");
}

#[actix_web::test]
async fn a_refusal_is_a_part_of_its_own() {
    let script = Script::stream()
        .chunk(chunk(&json!({"content": "Well, "}), &Value::Null))
        .chunk(chunk(&json!({"refusal": "no."}), &Value::Null))
        .chunk(chunk(&json!({}), &json!("stop")))
        .end();
    let (_, last) = streamed(script).await;
    assert_eq!(
        last["output"][0]["content"],
        json!([{"type": "output_text", "text": "Well, ", "annotations": [], "logprobs": []}, {"type": "refusal", "refusal": "no."}])
    );
    assert_eq!(last["status"], "completed");
}

#[actix_web::test]
async fn an_empty_answer_has_an_empty_message() {
    let (_, last) = streamed(
        Script::stream()
            .chunk(chunk(&json!({}), &json!("stop")))
            .end(),
    )
    .await;
    assert_eq!(last["output"][0]["content"][0]["text"], "");
    assert_eq!(last["output"].as_array().unwrap().len(), 1);
}

/// Trap F8.
#[actix_web::test]
async fn a_cut_stream_fails_and_keeps_what_was_done() {
    let script = Script::stream()
        .chunk(chunk(&json!({"content": "Hi"}), &Value::Null))
        .then(Step::Close);
    let (answer, last) = streamed(script).await;
    assert_eq!(last["status"], "failed");
    assert_eq!(last["error"]["code"], "server_error");
    assert_eq!(last["output"], json!([]));
    let events = answer.events();
    let error = &events[events.len() - 2];
    assert_eq!(error["type"], "error");
    assert_eq!(error["error"]["code"], "upstream_stream_truncated");
    assert!(!answer.text().contains("response.completed"));
}

/// Trap F9.
#[actix_web::test]
async fn what_cannot_be_done_is_refused_by_name() {
    let (server, gateway) = gateway();
    let cases = [
        (
            json!({"input": "x", "previous_response_id": "resp_1"}),
            "previous_response_id",
            "unsupported_parameter",
        ),
        (
            json!({"input": "x", "background": true}),
            "background",
            "unsupported_parameter",
        ),
        (
            json!({"input": "x", "conversation": "conv_1"}),
            "conversation",
            "unsupported_parameter",
        ),
        (
            json!({"input": "x", "prompt": {"id": "p"}}),
            "prompt",
            "unsupported_parameter",
        ),
        (
            json!({"input": "x", "tools": [{"type": "web_search"}], "tool_choice": "required"}),
            "tool_choice",
            "unsupported_value",
        ),
        (
            json!({"input": "x", "tools": [{"type": "function"}]}),
            "tools[0].name",
            "missing_required_parameter",
        ),
        (
            json!({"input": "x", "tool_choice": {"type": "file_search"}}),
            "tool_choice.type",
            "unsupported_value",
        ),
        (json!({}), "input", "missing_required_parameter"),
        (json!({"input": []}), "input", "invalid_value"),
        (json!({"input": 7}), "input", "invalid_type"),
        (
            json!({"input": [{"type": "item_reference", "id": "x"}]}),
            "input[0].type",
            "unsupported_value",
        ),
        (
            json!({"input": [{"type": "wonder"}]}),
            "input[0].type",
            "invalid_value",
        ),
        (
            json!({"input": [{"role": "user"}]}),
            "input[0].content",
            "missing_required_parameter",
        ),
        (
            json!({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}),
            "input[0].call_id",
            "missing_required_parameter",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}),
            "input[0].content[0].file_id",
            "unsupported_value",
        ),
        (
            json!({"input": "x", "max_output_tokens": -1}),
            "max_output_tokens",
            "invalid_type",
        ),
        (
            json!({"input": "x", "text": {"format": {"type": "json_schema", "schema": {}}}}),
            "text.format.name",
            "missing_required_parameter",
        ),
    ];
    for (mut body, param, code) in cases {
        body["model"] = json!("gemini-3.8-flash");
        let answer = gateway.responses(body.clone()).await;
        assert_eq!(answer.refusal(), (400, param.into(), code.into()), "{body}");
    }
    // What the provider's own dialect refuses has the client's names, too.
    for (mut body, param) in [
        (
            json!({"input": "x", "max_output_tokens": 0}),
            "max_output_tokens",
        ),
        (
            json!({"input": "x", "reasoning": {"effort": "enormous"}}),
            "reasoning.effort",
        ),
        (json!({"input": " "}), "input"),
        (
            json!({"input": [{"role": "user", "content": "x"}, {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}]}),
            "input[1].call_id",
        ),
        (
            json!({"input": [{"type": "function_call_output", "call_id": "a", "output": "x"}]}),
            "input[0].call_id",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://x/y"}]}]}),
            "input[0].content[0].image_url",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_file", "file_data": "data:video/x;base64,AA=="}]}]}),
            "input[0].content[0].file_data",
        ),
    ] {
        body["model"] = json!("claude-opus-5-5");
        let answer = gateway.responses(body.clone()).await;
        assert_eq!(
            (answer.status, answer.refusal().1),
            (400, param.to_owned()),
            "{body}"
        );
    }
    assert_eq!(server.counts().connections, 0);
    // Null means that it was not asked for.
    let answer = gateway
        .responses(json!({"model": "gemini-3.8-flash", "input": "Hello", "previous_response_id": null, "background": false, "store": true}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-gateway-dropped-params"), Some("store"));
}

/// Trap E1.
#[actix_web::test]
async fn the_limit_on_the_answer_has_each_providers_name() {
    let (server, gateway) = gateway();
    for provider in &PROVIDERS {
        let model = format!("{}/claude-opus-5-5", provider.name);
        let body = json!({"model": model, "input": "x", "max_output_tokens": 64});
        assert_eq!(
            gateway.responses(body).await.status,
            200,
            "{}",
            provider.name
        );
        let seen = server.requests().pop().unwrap().json();
        let name = match provider.name {
            _ if mode(ClientApi::Responses, provider, "claude-opus-5-5").is_relayed() => {
                "max_output_tokens"
            }
            "anthropic" | "kimi" | "deepseek" => "max_tokens",
            _ => "max_completion_tokens",
        };
        assert_eq!(seen[name], 64, "{}: {seen}", provider.name);
    }
}

#[actix_web::test]
async fn tools_that_take_any_text_are_functions_to_the_provider_and_back() {
    let (server, gateway) = gateway();
    let custom = json!({"type": "custom", "name": "run", "description": "Runs code.",
        "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}});
    for model in ["claude-opus-5-5", "gemini/gemini-3-pro", "kimi-k2"] {
        for stream in [false, true] {
            let ask =
                json!({"model": model, "stream": stream, "input": "Run it", "tools": [custom]});
            let answer = gateway.responses(ask).await;
            assert_eq!(answer.header("x-gateway-changed-params"), Some("tools[0]"));
            let seen = server.requests().pop().unwrap().json();
            let function = match model {
                "claude-opus-5-5" => &seen["tools"][0],
                _ => &seen["tools"][0]["function"],
            };
            assert_eq!(function["name"], "run", "{seen}");
            let told = function["description"].as_str().unwrap();
            assert!(
                told.starts_with("Runs code.") && told.contains("start: /.+/"),
                "{told}"
            );
            let response = if stream {
                check_stream(&answer);
                stream_contract::responses(&answer.body)
            } else {
                answer.json()
            };
            let call = response["output"].as_array().unwrap().last().unwrap();
            assert_eq!(call["type"], "custom_tool_call", "{response}");
            assert_eq!(
                (&call["name"], &call["input"]),
                (&json!("run"), &json!("Rome"))
            );
            assert_eq!(response["tools"][0], custom);
            // And its result goes back under the same call.
            let ask = json!({"model": model, "tools": [custom], "input": [
                {"role": "user", "content": "Run it"}, call,
                {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "done"}]});
            let answer = gateway.responses(ask).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let said = answer.text().to_owned();
            assert!(said.contains("The tool says: done"), "{said}");
        }
    }
}

#[actix_web::test]
async fn tools_of_a_namespace_keep_their_two_names() {
    let (server, gateway) = gateway();
    let function = json!({"type": "function", "name": "list", "parameters": {"type": "object", "properties": {}}});
    let tools = json!([{"type": "namespace", "name": "files", "description": "Files.", "tools": [function]}, function]);
    for stream in [false, true] {
        let ask =
            json!({"model": "claude-opus-5-5", "stream": stream, "input": "List", "tools": tools});
        let answer = gateway.responses(ask).await;
        let seen = server.requests().pop().unwrap().json();
        let names = [&seen["tools"][0]["name"], &seen["tools"][1]["name"]];
        assert_eq!(names, [&json!("files__list"), &json!("list")]);
        let response = if stream {
            stream_contract::responses(&answer.body)
        } else {
            answer.json()
        };
        assert_eq!(response["tools"], {
            let mut echoed = tools.clone();
            echoed[1] = json!({"type": "function", "name": "list", "description": null,
                "parameters": {"type": "object", "properties": {}}, "strict": false});
            echoed
        });
        let calls: Vec<_> = response["output"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|item| item["type"] == "function_call")
            .collect();
        assert_eq!(calls[0]["namespace"], "files");
        assert_eq!(calls[0]["name"], "list");
        assert_eq!(calls[1].get("namespace"), None);
        let ask = json!({"model": "claude-opus-5-5", "tools": tools, "input": [
            {"role": "user", "content": "List"}, calls[0],
            {"type": "function_call_output", "call_id": calls[0]["call_id"], "output": "a.txt"}]});
        gateway.responses(ask).await;
        let seen = server.requests().pop().unwrap().json();
        let said = seen["messages"][1]["content"].as_array().unwrap();
        assert_eq!(said.last().unwrap()["name"], "files__list", "{seen}");
    }
}

/// Trap F9.
#[actix_web::test]
async fn what_cannot_be_run_is_refused_by_name() {
    let (server, gateway) = gateway();
    for (name, value) in [
        ("background", json!(true)),
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("prompt", json!({"id": "p"})),
    ] {
        for model in [
            "gemini-3-pro",
            "claude-opus-5-5",
            "vertex/x",
            "cohere/x",
            "kimi-k2",
            "deepseek/x",
        ] {
            let mut ask = json!({"model": model, "input": "x"});
            ask[name] = value.clone();
            let answer = gateway.responses(ask).await;
            assert_eq!(
                answer.refusal(),
                (400, name.to_owned(), "unsupported_parameter".to_owned()),
                "{model}"
            );
        }
    }
    assert_eq!(server.requests().len(), 0);
}

#[actix_web::test]
async fn anthropic_searches_the_web_with_a_tool_of_its_own() {
    let (server, gateway) = gateway();
    let tool = json!({"type": "web_search", "search_context_size": "low",
        "filters": {"allowed_domains": ["x.example"]},
        "user_location": {"type": "approximate", "city": "Rome"}});
    let ask = json!({"model": "claude-opus-5-5", "input": "News?", "tools": [tool]});
    let answer = gateway.responses(ask).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        server.requests()[0].json()["tools"],
        json!([{"type": "web_search_20250305", "name": "web_search", "max_uses": 1,
            "user_location": {"type": "approximate", "city": "Rome"}, "allowed_domains": ["x.example"]}])
    );
    assert_eq!(answer.json()["tools"], json!([tool]));
}

/// Trap E18.
#[actix_web::test]
async fn one_schema_gives_one_body_through_either_endpoint() {
    let (server, gateway) = gateway();
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
    for model in [
        "claude-opus-5-5",
        "gemini/gemini-3-pro",
        "deepseek/deepseek-chat",
        "vertex/x",
        "cohere/c",
    ] {
        let ask = json!({"model": model, "messages": [{"role": "user", "content": "x"}], "response_format":
            {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": true}}});
        gateway.chat(ask).await;
        let ask = json!({"model": model, "input": "x", "text": {"format":
            {"type": "json_schema", "name": "n", "schema": schema, "strict": true}}});
        gateway.responses(ask).await;
        let seen: Vec<_> = server
            .requests()
            .iter()
            .rev()
            .take(2)
            .map(ai_gateway::scripted::ReceivedRequest::json)
            .collect();
        for name in ["response_format", "output_config", "messages"] {
            assert_eq!(seen[0].get(name), seen[1].get(name), "{model}: {name}");
        }
    }
}

#[actix_web::test]
async fn two_tools_of_one_name_are_refused() {
    let (server, gateway) = gateway();
    let tool =
        |name: &str| json!({"type": "function", "name": name, "parameters": {"type": "object"}});
    let space = |name: &str, tool: Value| json!({"type": "namespace", "name": name, "description": "d", "tools": [tool]});
    for tools in [
        json!([tool("files__get"), space("files", tool("get"))]),
        json!([space("a", tool("b__c")), space("a__b", tool("c"))]),
    ] {
        let ask = json!({"model": "kimi-k2", "input": "x", "tools": tools});
        let (status, param, _) = gateway.responses(ask).await.refusal();
        assert_eq!((status, param.as_str()), (400, "tools[1].name"));
    }
    assert_eq!(server.requests().len(), 0);
    let long = "t".repeat(62);
    let ask = json!({"model": "kimi-k2", "input": "x", "tools": [space("alpha", tool(&long)), space("beta", tool(&long))]});
    let answer = gateway.responses(ask).await.json();
    let spaces: Vec<_> = answer["output"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["namespace"].clone())
        .collect();
    assert_eq!(spaces, ["alpha", "beta"]);
}

#[actix_web::test]
async fn a_native_stream_that_ends_with_an_error_ends_with_the_response_that_failed() {
    let begun = json!({"type": "response.created", "sequence_number": 0,
        "response": {"id": "resp_1", "object": "response", "status": "in_progress", "output": []}});
    let nested = json!({"type": "error", "sequence_number": 1, "error": {"type": "service_unavailable_error",
        "code": "server_is_overloaded", "message": "Try later.", "param": null}});
    let flat = json!({"type": "error", "sequence_number": 1, "code": "server_is_overloaded",
        "message": "Try later.", "param": null});
    let wire = |event: &Value| {
        format!(
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().unwrap()
        )
    };
    let ask = json!({"model": "gpt-4o", "input": "x", "stream": true});
    for error in [&nested, &flat] {
        for script in [
            Script::stream()
                .chunk(wire(&begun))
                .chunk(wire(error))
                .end(),
            Script::stream()
                .chunk(wire(&begun))
                .chunk(wire(error))
                .then(Step::Close),
            Script::stream()
                .chunk(wire(&begun))
                .chunk(wire(error))
                .chunk("data: [DONE]\n\n")
                .end(),
        ] {
            let (_server, gateway) = always(script);
            let answer = gateway.responses(ask.clone()).await;
            stream_contract::responses(&answer.body);
            let events = answer.events();
            let last = events.iter().rev().find(|event| event.is_object()).unwrap();
            assert_eq!(last["type"], "response.failed", "{}", answer.text());
            assert_eq!(
                last["response"]["error"],
                json!({"code": "server_is_overloaded", "message": "Try later."})
            );
            assert_eq!(last["sequence_number"], 2);
        }
    }
}

#[actix_web::test]
async fn hosted_tools_are_left_out_and_named_unless_one_is_forced() {
    let (server, gateway) = gateway();
    let function = json!({"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}});
    let strict = [("x-gateway-strict", "true")];
    for model in [
        "gemini-3-pro",
        "claude-opus-5-5",
        "vertex/x",
        "cohere/x",
        "kimi-k2",
        "deepseek/deepseek-chat",
    ] {
        for kind in [
            "file_search",
            "code_interpreter",
            "image_generation",
            "computer",
            "computer_use_preview",
            "mcp",
            "local_shell",
            "shell",
            "apply_patch",
            "tool_search",
            "programmatic_tool_calling",
            "web_search",
            "web_search_2025_08_26",
            "web_search_preview",
        ] {
            if model.starts_with("claude") && kind.starts_with("web_search") {
                continue;
            }
            for (tools, left) in [
                (json!([function, {"type": kind}]), 1),
                (json!([{"type": kind}, function]), 0),
                (json!([{"type": kind}]), 0),
            ] {
                let mut ask = json!({"model": model, "input": "x", "tools": tools, "tool_choice": "auto", "parallel_tool_calls": true});
                let answer = gateway.responses(ask.clone()).await;
                assert_eq!(answer.status, 200, "{model} {kind}: {}", answer.text());
                let named = answer
                    .header("x-gateway-dropped-params")
                    .unwrap()
                    .to_owned();
                assert!(
                    named
                        .split(',')
                        .any(|name| name == format!("tools[{left}]")),
                    "{named}"
                );
                let sent = server.requests().pop().unwrap().json();
                assert!(!sent.to_string().contains(kind), "{sent}");
                if tools.as_array().unwrap().len() == 1 {
                    assert!(
                        sent.get("tools").is_none() && sent.get("tool_choice").is_none(),
                        "{sent}"
                    );
                }
                let answer = gateway
                    .send("/v1/responses", Some("k"), &strict, ask.to_string())
                    .await;
                assert_eq!(answer.status, 400);
                // What forces it.
                ask["tool_choice"] = json!({"type": kind});
                assert_eq!(
                    gateway.responses(ask.clone()).await.refusal().1,
                    "tool_choice.type"
                );
                ask["tool_choice"] =
                    json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": kind}]});
                assert_eq!(
                    gateway.responses(ask.clone()).await.refusal().1,
                    "tool_choice"
                );
                if tools.as_array().unwrap().len() == 1 {
                    ask["tool_choice"] = json!("required");
                    assert_eq!(gateway.responses(ask).await.refusal().1, "tool_choice");
                }
            }
        }
    }
    // What no one knows is no tool.
    let ask = json!({"model": "gemini-3-pro", "input": "x", "tools": [{"type": "functoin", "name": "f"}]});
    assert_eq!(gateway.responses(ask).await.refusal().1, "tools[0].type");
}

#[actix_web::test]
async fn reports_name_tools_by_their_place_in_the_clients_list() {
    let (_server, gateway) = gateway();
    let function = |name: &str| json!({"type": "function", "name": name, "parameters": {"type": "object", "properties": {"a": {"not": {}}}}});
    let tools = json!([{"type": "file_search"}, {"type": "namespace", "name": "n", "description": "d", "tools": [function("f")]}, function("g")]);
    let answer = gateway
        .responses(json!({"model": "gemini-3-pro", "input": "x", "tools": tools}))
        .await;
    let named = answer.header("x-gateway-changed-params").unwrap();
    for name in ["tools[1].tools[0].parameters", "tools[2].parameters"] {
        assert!(named.split(',').any(|one| one == name), "{named}");
    }
}

/// A call and a text, twice, as a stream of Messages gives them.
#[actix_web::test]
async fn what_an_assistant_said_in_a_row_keeps_its_order() {
    let (server, gateway) = gateway();
    let call = |id: &str| json!({"type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": "f", "arguments": "{}", "status": "completed"});
    let said = |text: &str| json!({"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]});
    let thought = |text: &str| json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": text}]});
    let result = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": format!("of {id}")});
    let user = json!({"role": "user", "content": "x"});
    let (a, b) = ("call_aaaaaaaaaaaa", "call_bbbbbbbbbbbb");
    for items in [
        vec![
            user.clone(),
            said("one"),
            call(a),
            said("two"),
            call(b),
            result(a),
            result(b),
        ],
        vec![
            user.clone(),
            thought("one"),
            call(a),
            thought("two"),
            call(b),
            result(a),
            result(b),
        ],
        vec![
            user.clone(),
            said("one"),
            call(a),
            user.clone(),
            said("two"),
            call(b),
            result(b),
            result(a),
        ],
        vec![
            user.clone(),
            said("one"),
            thought("t"),
            said("two"),
            user.clone(),
        ],
        vec![user.clone(), thought("t"), said(""), user.clone()],
    ] {
        for model in [
            "claude-opus-5-5",
            "deepseek/deepseek-reasoner",
            "kimi-for-coding",
            "gemini-3-pro",
            "vertex/x",
            "cohere/x",
        ] {
            let answer = gateway
                .responses(json!({"model": model, "input": items}))
                .await;
            assert_eq!(answer.status, 200, "{model}: {}", answer.text());
            let sent = server.requests().pop().unwrap().json();
            let messages = sent["messages"].as_array().unwrap();
            for pair in messages.windows(2) {
                assert!(
                    !(pair[0]["role"] == "assistant" && pair[1]["role"] == "assistant"),
                    "{model}: {sent}"
                );
                let calls = pair[0]["tool_calls"].as_array().map_or(0, Vec::len);
                assert!(calls == 0 || pair[1]["role"] == "tool", "{model}: {sent}");
            }
            let text = sent["messages"].to_string();
            if let (Some(one), Some(two)) = (text.find("\"one"), text.find("two\"")) {
                assert!(one < two);
            }
        }
    }
    // Messages has the blocks in their own order.
    let items = json!([
        user,
        said("one"),
        call(a),
        said("two"),
        call(b),
        result(a),
        result(b)
    ]);
    gateway
        .responses(json!({"model": "claude-opus-5-5", "input": items}))
        .await;
    let sent = server.requests().pop().unwrap().json();
    let kinds: Vec<_> = sent["messages"][1]["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|block| block["type"].clone())
        .collect();
    assert_eq!(kinds, ["text", "tool_use", "text", "tool_use"]);
}

#[actix_web::test]
async fn what_results_hold_beside_text_goes_behind_them() {
    let (server, gateway) = gateway();
    let items = json!([{"role": "user", "content": "x"},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "call_2", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "taken"}, {"type": "input_image", "image_url": "data:image/png;base64,AA=="}]},
        {"type": "function_call_output", "call_id": "call_2", "output": [{"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}]}]);
    for model in [
        "gemini-2.5-flash",
        "kimi-for-coding",
        "deepseek/deepseek-chat",
        "vertex/x",
        "cohere/x",
    ] {
        let answer = gateway
            .responses(json!({"model": model, "input": items}))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let changed = answer.header("x-gateway-changed-params").unwrap();
        assert!(changed.contains("input.output"), "{changed}");
        let sent = server.requests().pop().unwrap().json();
        let roles: Vec<_> = sent["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["role"].clone())
            .collect();
        assert_eq!(
            roles,
            ["user", "assistant", "tool", "tool", "user"],
            "{sent}"
        );
        assert_eq!(sent["messages"][2]["content"], "taken");
        let last = sent["messages"][4]["content"].to_string();
        assert!(
            last.contains("data:image/png") && last.contains("a.pdf"),
            "{last}"
        );
    }
}

#[actix_web::test]
async fn items_of_hosted_tools_are_left_out_by_name() {
    let (server, gateway) = gateway();
    let user = json!({"role": "user", "content": "x"});
    for kind in [
        "web_search_call",
        "tool_search_call",
        "tool_search_output",
        "additional_tools",
        "mcp_approval_response",
        "program",
        "program_output",
        "compaction_trigger",
    ] {
        for model in ["deepseek/deepseek-chat", "claude-opus-5-5"] {
            let item =
                json!({"type": kind, "id": "i", "call_id": "c", "tools": [], "arguments": {}});
            let ask = json!({"model": model, "input": [user, item, user]});
            let answer = gateway.responses(ask.clone()).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let name = format!("input.{kind}");
            assert_eq!(
                answer.header("x-gateway-dropped-params"),
                Some(name.as_str())
            );
            let sent = server.requests().pop().unwrap().json();
            assert!(!sent.to_string().contains(kind), "{sent}");
            let strict = [("x-gateway-strict", "true")];
            let answer = gateway
                .send("/v1/responses", Some("k"), &strict, ask.to_string())
                .await;
            assert_eq!(answer.refusal().1, name);
        }
    }
}
