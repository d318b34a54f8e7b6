//! Reasoning that comes back: two-turn tool loops before providers that demand it, with clients
//! that return everything and with clients that keep nothing but the ids of the calls.

use crate::rig::stream_contract;
use crate::rig::{Answer, Gateway, config};
use ai_gateway::scripted::{ReceivedRequest, Script, Scripted};
use serde_json::{Value, json};

const THOUGHT: &str = "The user asks \u{201c}why?\u{201d} \u{1f914}\n";
const SIGNATURE: &str = "EqMBCkYIBxgCKkD/+w==";
const REDACTED: &str = "EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIw";

fn sse(events: &[Value]) -> Script {
    let mut script = Script::stream();
    for event in events {
        let name = match event["type"].as_str() {
            Some(name) if event.get("choices").is_none() => format!("event: {name}\n"),
            _ => String::new(),
        };
        script = script.chunk(format!("{name}data: {event}\n\n"));
    }
    script
}

/// Messages: thinks, then calls twice; on the second turn it wants the thinking back.
fn messages(request: &ReceivedRequest) -> Script {
    let body = request.json();
    let turns = body["messages"].as_array().unwrap();
    let thinking = json!([
        {"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE},
        {"type": "redacted_thinking", "data": REDACTED},
    ]);
    let calls = json!([
        {"type": "tool_use", "id": "toolu_01A09q90qw90lq917835lq9", "name": "weather", "input": {"city": "Rome"}},
        {"type": "tool_use", "id": "toolu_01B09q90qw90lq917835lq9", "name": "people", "input": {}},
    ]);
    let usage = json!({"input_tokens": 7, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 50, "output_tokens": 9});
    let content = if turns.len() == 1 {
        let mut content = thinking.as_array().unwrap().clone();
        content.push(json!({"type": "text", "text": "Let me look."}));
        content.extend(calls.as_array().unwrap().clone());
        content
    } else {
        let said = turns[1]["content"].as_array().unwrap();
        let same = said.len() >= 4
            && said[..2] == thinking.as_array().unwrap()[..]
            && said[said.len() - 2..] == calls.as_array().unwrap()[..];
        if !same {
            return Script::json(
                400,
                &json!({"type": "error", "error": {"type": "invalid_request_error",
                    "message": format!("Expected `thinking`, found {}", turns[1])}}),
            );
        }
        vec![json!({"type": "text", "text": "It is sunny."})]
    };
    let reason = if turns.len() == 1 {
        "tool_use"
    } else {
        "end_turn"
    };
    let id = "msg_1";
    if body["stream"] != true {
        return Script::json(
            200,
            &json!({"id": id, "type": "message", "role": "assistant", "model": "claude-x",
                "content": content, "stop_reason": reason, "usage": usage}),
        );
    }
    let mut events = vec![
        json!({"type": "message_start", "message": {"id": id, "model": "claude-x", "usage": usage}}),
    ];
    for (i, block) in content.iter().enumerate() {
        let delta =
            |delta: Value| json!({"type": "content_block_delta", "index": i, "delta": delta});
        let (start, deltas) = match block["type"].as_str().unwrap() {
            "thinking" => {
                let text = block["thinking"].as_str().unwrap();
                let (a, b) = text.split_at(text.find('a').unwrap());
                (
                    json!({"type": "thinking", "thinking": "", "signature": ""}),
                    vec![
                        json!({"type": "thinking_delta", "thinking": a}),
                        json!({"type": "thinking_delta", "thinking": b}),
                        json!({"type": "signature_delta", "signature": block["signature"]}),
                    ],
                )
            }
            "text" => (
                json!({"type": "text", "text": ""}),
                vec![json!({"type": "text_delta", "text": block["text"]})],
            ),
            "tool_use" => (
                json!({"type": "tool_use", "id": block["id"], "name": block["name"], "input": {}}),
                vec![
                    json!({"type": "input_json_delta", "partial_json": block["input"].to_string()}),
                ],
            ),
            _ => (block.clone(), Vec::new()),
        };
        events.push(json!({"type": "content_block_start", "index": i, "content_block": start}));
        events.extend(deltas.into_iter().map(delta));
        events.push(json!({"type": "content_block_stop", "index": i}));
    }
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 9}}));
    events.push(json!({"type": "message_stop"}));
    sse(&events).end()
}

/// Chat Completions of a provider that wants something back: what its first answer says beside, and
/// whether a second turn has it.
struct Demand {
    message: Value,
    call: Value,
    id: &'static str,
    holds: fn(&Value) -> bool,
}

fn chat(request: &ReceivedRequest, demand: &Demand) -> Script {
    let body = request.json();
    let history = body["messages"].as_array().unwrap();
    let said = history
        .iter()
        .find(|message| message["role"] == "assistant");
    let who = json!({"id": "c1", "created": 1_700_000_000, "model": "m"});
    let chunk = |choice: Value| {
        let mut chunk = who.clone();
        chunk["object"] = json!("chat.completion.chunk");
        chunk["choices"] = json!([choice]);
        chunk
    };
    let (message, reason) = match said {
        None => {
            let mut message = demand.message.clone();
            message["role"] = json!("assistant");
            message["content"] = Value::Null;
            let mut call = demand.call.clone();
            call["id"] = json!(demand.id);
            call["type"] = json!("function");
            call["function"] = json!({"name": "weather", "arguments": "{\"city\":\"Rome\"}"});
            message["tool_calls"] = json!([call]);
            (message, "tool_calls")
        }
        Some(said) if (demand.holds)(said) => (
            json!({"role": "assistant", "content": "It is sunny."}),
            "stop",
        ),
        Some(said) => {
            let message = format!("its reasoning must be passed back: {said}");
            return Script::json(400, &json!({"error": {"message": message}}));
        }
    };
    if body["stream"] == true {
        let mut delta = message;
        for call in delta["tool_calls"].as_array_mut().into_iter().flatten() {
            call["index"] = json!(0);
        }
        return sse(&[
            chunk(json!({"index": 0, "delta": delta, "finish_reason": null})),
            chunk(json!({"index": 0, "delta": {}, "finish_reason": reason})),
        ])
        .chunk("data: [DONE]\n\n")
        .end();
    }
    let mut out = who;
    out["object"] = json!("chat.completion");
    out["choices"] = json!([{"index": 0, "message": message, "finish_reason": reason}]);
    Script::json(200, &out)
}

fn reasoning(id: &'static str) -> Demand {
    Demand {
        message: json!({"reasoning_content": THOUGHT}),
        call: json!({}),
        id,
        holds: |said| said["reasoning_content"] == THOUGHT,
    }
}

fn signed() -> Demand {
    Demand {
        message: json!({}),
        call: json!({"extra_content": {"google": {"thought_signature": SIGNATURE}}}),
        id: "function-call-9038405978234",
        holds: |said| {
            said["tool_calls"][0]["extra_content"]["google"]["thought_signature"] == SIGNATURE
        },
    }
}

/// Responses with functions: the reasoning item must come back before its calls.
fn responses(request: &ReceivedRequest) -> Script {
    let body = request.json();
    if request.path.ends_with("/chat/completions") {
        return Script::json(
            400,
            &json!({"error": {"message": "Function tools with reasoning_effort are not supported; use /v1/responses.",
                "type": "invalid_request_error", "param": "reasoning_effort", "code": null}}),
        );
    }
    let items = body["input"].as_array().unwrap();
    let of = |kind: &str| items.iter().position(|item| item["type"] == kind);
    let calls = [
        json!({"type": "function_call", "id": "fc_1", "status": "completed", "call_id": "call_abcdefghijklmnop1234", "name": "weather", "arguments": "{\"city\":\"Rome\"}"}),
        json!({"type": "function_call", "id": "fc_2", "status": "completed", "call_id": "call_abcdefghijklmnop5678", "name": "people", "arguments": "{}"}),
    ];
    let thought = json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": THOUGHT}], "encrypted_content": SIGNATURE});
    let output = match of("function_call") {
        None => {
            let mut output = vec![thought];
            output.extend(calls);
            output
        }
        Some(call) => {
            let sealed = of("reasoning").filter(|&at| {
                at < call
                    && items[at]["encrypted_content"] == SIGNATURE
                    && items[at]["id"] == "rs_1"
            });
            if sealed.is_none() {
                return Script::json(
                    400,
                    &json!({"error": {"message": format!("no reasoning item: {items:?}")}}),
                );
            }
            vec![
                json!({"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
                "content": [{"type": "output_text", "text": "It is sunny.", "annotations": [], "logprobs": []}]}),
            ]
        }
    };
    let mut response = json!({"id": "resp_1", "object": "response", "created_at": 1_700_000_000, "model": "gpt-5.6",
        "status": "completed", "output": output, "usage": {"input_tokens": 5, "output_tokens": 8, "total_tokens": 13,
        "input_tokens_details": {"cached_tokens": 2}, "output_tokens_details": {"reasoning_tokens": 4}}});
    if body["stream"] != true {
        return Script::json(200, &response);
    }
    let whole = response.clone();
    response["status"] = json!("in_progress");
    response["output"] = json!([]);
    let mut events = vec![json!({"type": "response.created", "response": response})];
    for (i, item) in output.iter().enumerate() {
        let id = &item["id"];
        let mut begun = item.clone();
        match item["type"].as_str().unwrap() {
            "function_call" => begun["arguments"] = json!(""),
            "reasoning" => begun["summary"] = json!([]),
            _ => begun["content"] = json!([]),
        }
        events
            .push(json!({"type": "response.output_item.added", "output_index": i, "item": begun}));
        match item["type"].as_str().unwrap() {
            "reasoning" => events.push(json!({"type": "response.reasoning_summary_text.delta", "item_id": id, "output_index": i, "summary_index": 0, "delta": THOUGHT})),
            // The second call has its arguments in the last event only.
            "function_call" if i == 1 => events.push(json!({"type": "response.function_call_arguments.delta", "item_id": id, "output_index": i, "delta": item["arguments"]})),
            "message" => events.push(json!({"type": "response.output_text.delta", "item_id": id, "output_index": i, "content_index": 0, "delta": "It is sunny."})),
            _ => {}
        }
        if item["type"] == "function_call" {
            events.push(json!({"type": "response.function_call_arguments.done", "item_id": id, "output_index": i, "arguments": item["arguments"]}));
        }
        events.push(json!({"type": "response.output_item.done", "output_index": i, "item": item}));
    }
    events.push(json!({"type": "response.completed", "response": whole}));
    for (n, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = json!(n);
    }
    sse(&events).end()
}

fn provider(request: &ReceivedRequest) -> Script {
    match request.path.split('/').nth(1).unwrap() {
        "anthropic" => messages(request),
        "deepseek" => chat(request, &reasoning("call_00_4mZ5bQ8Xy2")),
        // Its ids are positions, the same in each conversation.
        "kimi" => chat(request, &reasoning("weather:0")),
        "gemini" | "vertex" => chat(request, &signed()),
        "openai" | "azure" => responses(request),
        other => panic!("no such provider: {other}"),
    }
}

fn start() -> (Scripted, Gateway) {
    let server = Scripted::start(provider).unwrap();
    let gateway = Gateway::start(config(&server));
    (server, gateway)
}

fn functions() -> Value {
    let function = |name: &str| {
        json!({"type": "function", "function": {"name": name,
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}})
    };
    json!([function("weather"), function("people")])
}

/// The message of an answer, put together from its chunks where it was streamed.
fn message(answer: &Answer, stream: bool) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    if !stream {
        return answer.json()["choices"][0]["message"].clone();
    }
    let said = stream_contract::chat(&answer.body);
    assert_eq!(said.error, None, "{}", answer.text());
    let mut message = json!({"role": "assistant", "content": said.text});
    if !said.reasoning.is_empty() {
        message["reasoning_content"] = json!(said.reasoning);
    }
    let mut details: Vec<Value> = Vec::new();
    let mut calls: Vec<Value> = Vec::new();
    for chunk in answer.events() {
        let delta = &chunk["choices"][0]["delta"];
        for part in delta["reasoning_details"].as_array().into_iter().flatten() {
            // As the documented rule has it: fragments of one index are one block.
            match details.last_mut() {
                Some(last) if last["index"] == part["index"] && last["type"] == part["type"] => {
                    for (name, value) in part.as_object().unwrap() {
                        if name == "text" {
                            let whole = last["text"].as_str().unwrap_or("").to_owned()
                                + value.as_str().unwrap();
                            last["text"] = json!(whole);
                        } else {
                            last[name] = value.clone();
                        }
                    }
                }
                _ => details.push(part.clone()),
            }
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            if call.get("id").is_some() {
                calls.push(call.clone());
            }
        }
    }
    for (call, (_, _, arguments)) in calls.iter_mut().zip(said.calls) {
        call["function"]["arguments"] = json!(arguments);
        call.as_object_mut().unwrap().remove("index");
    }
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    if !details.is_empty() {
        message["reasoning_details"] = json!(details);
    }
    message
}

/// What a client keeps that knows nothing but the specification.
fn known_only(message: &Value) -> Value {
    let calls: Vec<_> = message["tool_calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| json!({"id": call["id"], "type": "function", "function": call["function"]}))
        .collect();
    json!({"role": "assistant", "content": message["content"], "tool_calls": calls})
}

/// Trap D1.
#[actix_web::test]
async fn signed_thinking_comes_back_before_its_calls() {
    let (server, gateway) = start();
    chat_loops(&gateway, &["claude-opus-5-5"]).await;
    // As the provider wrote it, to the byte.
    let body = String::from_utf8(server.requests().pop().unwrap().body).unwrap();
    let thinking = json!({"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE});
    assert!(body.contains(&thinking.to_string()), "{body}");
}

/// Trap D2.
#[actix_web::test]
async fn redacted_thinking_comes_back_as_it_was() {
    let (server, gateway) = start();
    chat_loops(&gateway, &["claude-opus-5-5"]).await;
    let body = server.requests().pop().unwrap().json();
    let block = &body["messages"][1]["content"][1];
    assert_eq!(
        *block,
        json!({"type": "redacted_thinking", "data": REDACTED})
    );
}

/// Trap D4.
#[actix_web::test]
async fn thought_signatures_come_back_with_their_calls() {
    let (_server, gateway) = start();
    chat_loops(&gateway, &["gemini-3-pro", "vertex/gemini-3-pro"]).await;
}

/// Trap D6.
#[actix_web::test]
async fn reasoning_comes_back_where_it_is_demanded() {
    let (_server, gateway) = start();
    chat_loops(&gateway, &["deepseek/deepseek-v4-pro", "kimi-k2"]).await;
}

#[actix_web::test]
async fn sealed_reasoning_comes_back_through_the_bridge() {
    let (_server, gateway) = start();
    chat_loops(&gateway, &["gpt-5.6", "azure/gpt-6"]).await;
}

/// Two turns of chat with each model: streamed and not, with a client that keeps everything and
/// with one that keeps what the specification knows.
async fn chat_loops(gateway: &Gateway, models: &[&str]) {
    for &model in models {
        for stream in [false, true] {
            for keeps_all in [true, false] {
                let what = format!("{model}, streamed {stream}, keeps all {keeps_all}");
                let mut body = json!({"model": model, "stream": stream, "tools": functions(),
                    "messages": [{"role": "user", "content": format!("Weather? {what}")}]});
                if !model.starts_with("deepseek") && !model.starts_with("kimi") {
                    body["reasoning_effort"] = json!("high");
                }
                let answer = gateway.chat(body.clone()).await;
                let first = message(&answer, stream);
                let calls = first["tool_calls"].as_array().unwrap().clone();
                let arguments = calls[0]["function"]["arguments"].as_str().unwrap();
                let arguments: Value = serde_json::from_str(arguments).unwrap();
                assert_eq!(arguments, json!({"city": "Rome"}), "{what}");
                if !model.contains("gemini") {
                    assert_eq!(first["reasoning_content"], THOUGHT, "{what}: {first}");
                }
                let list = body["messages"].as_array_mut().unwrap();
                list.push(if keeps_all {
                    first.clone()
                } else {
                    known_only(&first)
                });
                for call in &calls {
                    list.push(
                        json!({"role": "tool", "tool_call_id": call["id"], "content": "Sunny"}),
                    );
                }
                let answer = gateway.chat(body).await;
                let second = message(&answer, stream);
                assert_eq!(second["content"], "It is sunny.", "{what}");
                assert_eq!(answer.header("x-gateway-changed-params"), None, "{what}");
                let bridged = model.contains("gpt-").then_some("responses");
                assert_eq!(answer.header("x-gateway-bridged"), bridged, "{what}");
            }
        }
    }
}

/// Trap D5.
#[actix_web::test]
async fn reasoning_survives_a_tool_loop_of_responses_clients() {
    let (server, gateway) = start();
    for model in [
        "claude-opus-5-5",
        "deepseek/deepseek-v4-pro",
        "kimi-k2",
        "gemini-3-pro",
        "vertex/gemini-3-pro",
    ] {
        for stream in [false, true] {
            for keeps_all in [true, false] {
                let what = format!("{model}, streamed {stream}, keeps all {keeps_all}");
                let function = |name: &str| json!({"type": "function", "name": name, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}});
                let mut body = json!({"model": model, "stream": stream, "store": false,
                    "tools": [function("weather"), function("people")],
                    "input": [{"role": "user", "content": format!("Weather? {what}")}]});
                if keeps_all {
                    body["include"] = json!(["reasoning.encrypted_content"]);
                }
                let answer = gateway.responses(body.clone()).await;
                assert_eq!(answer.status, 200, "{what}: {}", answer.text());
                let response = if stream {
                    stream_contract::responses(&answer.body)
                } else {
                    answer.json()
                };
                let output = response["output"].as_array().unwrap();
                let list = body["input"].as_array_mut().unwrap();
                for item in output {
                    if keeps_all || item["type"] == "function_call" {
                        list.push(item.clone());
                    }
                }
                for item in output.iter().filter(|item| item["type"] == "function_call") {
                    list.push(json!({"type": "function_call_output", "call_id": item["call_id"], "output": "Sunny"}));
                }
                let answer = gateway.responses(body).await;
                assert_eq!(answer.status, 200, "{what}: {}", answer.text());
                let response = if stream {
                    stream_contract::responses(&answer.body)
                } else {
                    answer.json()
                };
                let output = response["output"].as_array().unwrap();
                assert_eq!(
                    output.last().unwrap()["content"][0]["text"],
                    "It is sunny.",
                    "{what}"
                );
            }
        }
    }
    drop(server);
}

#[actix_web::test]
async fn what_is_remembered_is_not_given_to_another_key() {
    let (_server, gateway) = start();
    let body = json!({"model": "claude-opus-5-5", "tools": functions(), "reasoning_effort": "high",
        "messages": [{"role": "user", "content": "Weather?"}]});
    let path = "/v1/chat/completions";
    let answer = gateway
        .send(path, Some("key-a"), &[], body.to_string())
        .await;
    let first = known_only(&message(&answer, false));
    let mut next = body;
    let list = next["messages"].as_array_mut().unwrap();
    list.push(first.clone());
    for call in first["tool_calls"].as_array().unwrap() {
        list.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "Sunny"}));
    }
    let other = gateway
        .send(path, Some("key-b"), &[], next.to_string())
        .await;
    assert_eq!(other.status, 400, "{}", other.text());
    let own = gateway
        .send(path, Some("key-a"), &[], next.to_string())
        .await;
    assert_eq!(own.status, 200, "{}", own.text());
}

#[actix_web::test]
async fn a_positional_id_recalls_its_own_conversation_only() {
    let (server, gateway) = start();
    let ask = |text: &str| json!({"model": "kimi-k2", "tools": functions(), "messages": [{"role": "user", "content": text}]});
    let first = known_only(&message(&gateway.chat(ask("One")).await, false));
    let mut other = ask("Another");
    let list = other["messages"].as_array_mut().unwrap();
    list.push(first);
    list.push(json!({"role": "tool", "tool_call_id": "weather:0", "content": "Sunny"}));
    let answer = gateway.chat(other).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    let seen = server.requests().pop().unwrap().json();
    assert_eq!(seen["messages"][1]["reasoning_content"], " ");
}

#[actix_web::test]
async fn functions_with_reasoning_go_where_the_model_takes_them() {
    let (server, gateway) = start();
    for (model, effort, path) in [
        ("gpt-5.6", json!(null), "/openai/v1/responses"),
        ("gpt-5.6-mini", json!("low"), "/openai/v1/responses"),
        ("gpt-5.6", json!("none"), "/openai/v1/chat/completions"),
        ("gpt-5.4", json!("low"), "/openai/v1/responses"),
        ("gpt-5.4", json!(null), "/openai/v1/chat/completions"),
        ("gpt-5.3", json!("high"), "/openai/v1/chat/completions"),
        ("gpt-4o", json!(null), "/openai/v1/chat/completions"),
        ("azure/gpt-6", json!(null), "/azure/responses"),
    ] {
        let mut body = json!({"model": model, "tools": functions(), "messages": [{"role": "user", "content": "Hi"}]});
        body["reasoning_effort"] = effort;
        gateway.chat(body).await;
        assert_eq!(server.requests().pop().unwrap().path, path, "{model}");
    }
    let plain = json!({"model": "gpt-5.6", "messages": [{"role": "user", "content": "Hi"}]});
    gateway.chat(plain).await;
    assert_eq!(
        server.requests().pop().unwrap().path,
        "/openai/v1/chat/completions"
    );
}

#[actix_web::test]
async fn a_bridged_request_says_the_same_in_the_other_shape() {
    let (server, gateway) = start();
    let body = json!({
        "model": "gpt-5.6", "tools": functions(), "reasoning_effort": "low",
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "max_completion_tokens": 64, "temperature": 1, "seed": 7, "stop": ["x"], "user": "u",
        "metadata": {"a": "b"}, "parallel_tool_calls": false, "verbosity": "low", "foo": 1,
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": true}},
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "low"}}]},
        ],
    });
    let answer = gateway.chat(body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-gateway-dropped-params"), Some("seed,stop"));
    let function = |name: &str| {
        json!({"type": "function", "name": name, "strict": false,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}})
    };
    assert_eq!(
        server.requests()[0].json(),
        json!({
            "model": "gpt-5.6", "instructions": "Be brief.",
            "input": [{"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "What is this?"},
                {"type": "input_image", "image_url": "https://x.example/a.png", "detail": "low"}]}],
            "tools": [function("weather"), function("people")],
            "tool_choice": {"type": "function", "name": "weather"},
            "max_output_tokens": 64,
            "reasoning": {"effort": "low", "summary": "auto"},
            "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true}, "verbosity": "low"},
            "include": ["reasoning.encrypted_content"], "store": false,
            "temperature": 1, "user": "u", "metadata": {"a": "b"}, "parallel_tool_calls": false, "foo": 1,
        })
    );
    let answer = answer.json();
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(answer["usage"]["prompt_tokens"], 5);
    assert_eq!(
        answer["usage"]["completion_tokens_details"]["reasoning_tokens"],
        4
    );
}

/// Trap A8.
#[actix_web::test]
async fn arguments_told_only_at_the_end_are_told_once() {
    let (_server, gateway) = start();
    let body = json!({"model": "gpt-5.6", "stream": true, "tools": functions(), "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "Hi"}]});
    let answer = gateway.chat(body).await;
    let said = stream_contract::chat(&answer.body);
    let arguments: Vec<_> = said.calls.iter().map(|call| call.2.as_str()).collect();
    assert_eq!(arguments, ["{\"city\":\"Rome\"}", "{}"]);
    assert_eq!(said.usage, Some((5, 8, 13)));
}

#[actix_web::test]
async fn thinking_of_another_conversation_is_dropped_once() {
    let server = Scripted::start(|request| {
        if request.header("anthropic-beta") == Some("mine,thinking-binding-controls-2026-08-01") {
            return Script::json(200, &json!({"id": "m", "type": "message", "role": "assistant", "model": "c",
                "content": [{"type": "text", "text": "Yes"}], "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}));
        }
        let message = "messages.1.content.0: The block is bound to a different conversation";
        Script::json(400, &json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}}))
    })
    .unwrap();
    let gateway = Gateway::start(config(&server));
    let body = json!({"model": "claude-opus-5-5", "messages": [{"role": "user", "content": "Hi"}]});
    let headers = [("anthropic-beta", "mine")];
    let answer = gateway
        .send(
            "/v1/chat/completions",
            Some("k"),
            &headers,
            body.to_string(),
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("x-gateway-dropped-params"),
        Some("messages.reasoning_details")
    );
    assert_eq!(answer.header("x-gateway-attempts"), Some("2"));
    let seen = server.requests();
    assert_eq!(seen.len(), 2);
    let thinking = &seen[1].json()["thinking"];
    assert_eq!(
        thinking["block_binding"],
        json!({"prefix_mismatch_behavior": "drop_block"})
    );
    // Another client's refusal of the same kind ends there.
    let answer = gateway.chat(body).await;
    assert_eq!((answer.status, server.requests().len()), (400, 4));
}

/// Trap D7.
#[actix_web::test]
async fn reasoning_of_another_key_is_left_out_once() {
    let server = Scripted::start(|request| {
        let body = request.json();
        if body["input"].to_string().contains("encrypted_content") {
            return Script::json(400, &json!({"error": {"message": "The encrypted content could not be verified.",
                "type": "invalid_request_error", "param": null, "code": "invalid_encrypted_content"}}));
        }
        Script::json(200, &json!({"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": []}))
    })
    .unwrap();
    let gateway = Gateway::start(config(&server));
    let body = json!({"model": "gpt-5", "input": [{"role": "user", "content": "Hi"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "1"}]});
    let answer = gateway.responses(body.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("x-gateway-dropped-params"),
        Some("input.reasoning")
    );
    let seen = server.requests();
    assert_eq!(seen.len(), 2);
    let mut without = body;
    without["input"].as_array_mut().unwrap().remove(1);
    assert_eq!(seen[1].json(), without);
}

#[actix_web::test]
async fn what_groq_refuses_as_responses_is_translated() {
    let server = Scripted::start(|request| {
        if request.path.ends_with("/responses") {
            return Script::json(400, &json!({"error": {"message": "unsupported", "type": "invalid_request_error"}}));
        }
        Script::json(200, &json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]}))
    })
    .unwrap();
    let gateway = Gateway::start(config(&server));
    let answer = gateway
        .responses(json!({"model": "groq/l", "input": "Hi"}))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["output"][0]["content"][0]["text"], "Hello");
    let paths: Vec<_> = server
        .requests()
        .iter()
        .map(|request| request.path.clone())
        .collect();
    assert_eq!(paths, ["/groq/responses", "/groq/chat/completions"]);
    // What cannot be translated either keeps the provider's own refusal.
    let body = json!({"model": "groq/l", "input": "Hi", "previous_response_id": "resp_1"});
    let answer = gateway.responses(body).await;
    assert_eq!(answer.error()["message"], "unsupported");
}

#[actix_web::test]
async fn a_provider_that_keeps_nothing_is_told_so() {
    let (server, gateway) = crate::rig::gateway();
    let answer = gateway
        .responses(json!({"model": "openrouter/x/y", "input": "Hi"}))
        .await;
    assert_eq!(answer.header("x-gateway-changed-params"), Some("store"));
    assert_eq!(server.requests()[0].json()["store"], false);
    gateway
        .responses(json!({"model": "openrouter/x/y", "input": "Hi", "store": true}))
        .await;
    assert_eq!(server.requests()[1].json()["store"], true);
    gateway
        .responses(json!({"model": "gpt-4o", "input": "Hi"}))
        .await;
    assert_eq!(server.requests()[2].json().get("store"), None);
}

#[actix_web::test]
async fn what_the_bridge_cannot_say_is_named() {
    let server = Scripted::start(|_| {
        Script::json(200, &json!({"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": []}))
    })
    .unwrap();
    let gateway = Gateway::start(config(&server));
    let long = "x".repeat(200);
    let body = json!({"model": "gpt-5.6", "tools": functions(), "messages": [
        {"role": "user", "name": "n", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": "y", "audio": {"id": "a"}},
        {"role": "assistant", "content": null, "tool_calls": [{"id": long, "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": long, "content": "z"}]});
    let answer = gateway.chat(body).await;
    let dropped = "messages.audio,messages.content.cache_control,messages.name";
    assert_eq!(answer.header("x-gateway-dropped-params"), Some(dropped));
    let seen = server.requests()[0].json();
    let items = seen["input"].as_array().unwrap();
    let call = items[2]["call_id"].as_str().unwrap();
    assert!(call.len() <= 64 && items[3]["call_id"] == call, "{seen}");
}

/// The helper of OpenAI's Node client keeps of a member that it does not know the last fragment.
#[actix_web::test]
async fn of_reasoning_that_a_client_cut_short_the_whole_goes_back() {
    let (server, gateway) = start();
    let model = "deepseek/deepseek-v4-pro";
    let mut body = json!({"model": model, "tools": functions(), "messages": [{"role": "user", "content": "Weather?"}]});
    let first = message(&gateway.chat(body.clone()).await, false);
    let whole = first["reasoning_content"].as_str().unwrap();
    let (_, end) = whole.split_at(whole.char_indices().nth_back(3).unwrap().0);
    let mut brought = known_only(&first);
    brought["reasoning_content"] = json!(end);
    let list = body["messages"].as_array_mut().unwrap();
    list.push(brought);
    for call in first["tool_calls"].as_array().unwrap() {
        list.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "Sunny"}));
    }
    let answer = gateway.chat(body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let sent = server.requests().pop().unwrap().json();
    assert_eq!(sent["messages"][1]["reasoning_content"], whole);
    let named = answer.header("x-gateway-changed-params");
    assert_eq!(named, Some("messages.reasoning_content"));
}

#[actix_web::test]
async fn a_clients_own_reasoning_wins_over_what_is_remembered() {
    let (server, gateway) = start();
    for (model, name, brought) in [
        (
            "claude-opus-5-5",
            "reasoning_details",
            json!([{"type": "reasoning.text", "text": "cut", "signature": "s", "format": "anthropic-claude-v1", "index": 0}]),
        ),
        (
            "deepseek/deepseek-v4-pro",
            "reasoning_content",
            json!("cut"),
        ),
    ] {
        let mut body = json!({"model": model, "tools": functions(), "messages": [{"role": "user", "content": "Weather?"}]});
        let first = message(&gateway.chat(body.clone()).await, false);
        let mut other = known_only(&first);
        other[name] = brought;
        let list = body["messages"].as_array_mut().unwrap();
        list.push(other);
        for call in first["tool_calls"].as_array().unwrap() {
            list.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "Sunny"}));
        }
        let answer = gateway.chat(body).await;
        let requests = server.requests();
        let sent = requests.last().unwrap().json();
        let turn = &sent["messages"][1];
        let thought = match name {
            "reasoning_content" => &turn["reasoning_content"],
            _ => &turn["content"][0]["thinking"],
        };
        assert_eq!(thought, "cut", "{sent}");
        assert_eq!(answer.header("x-gateway-changed-params"), None);
        assert_eq!(answer.header("x-gateway-dropped-params"), None);
    }
}
