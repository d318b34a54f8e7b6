//! What the gateway gives out it takes back: every recorded answer, every answer of the golden files
//! and some of our own are given out to each kind of client, and come back as a history, to the same
//! provider and to others. It is accepted there, and keeps its order.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::rig::{Answer, Gateway, config};
use ai_gateway::codec::sse;
use ai_gateway::scripted::{self, ReceivedRequest, Script, Scripted};
use serde_json::{Value, json};

// ---------------------------------------------------------------- answers

/// The dialect of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Dialect {
    Chat,
    Messages,
    Responses,
}

/// What a provider answers with.
#[derive(Debug, Clone)]
struct Given {
    name: String,
    dialect: Dialect,
    provider: String,
    /// A whole answer, or a list of events.
    body: Value,
    /// The same as a whole, where the body is a list of events and it is known.
    whole: Value,
    /// What was asked of it, where the answer belongs to a question.
    request: Value,
}

impl Given {
    fn streamed(&self) -> bool {
        self.body.is_array()
    }

    fn script(&self) -> Script {
        let Some(events) = self.body.as_array() else {
            return Script::json(200, &self.body);
        };
        let mut bytes = Vec::new();
        for event in events {
            match event.as_str() {
                Some(text) => sse::write(&mut bytes, None, text),
                None => sse::write(&mut bytes, event["type"].as_str(), &event.to_string()),
            }
        }
        Script::stream().chunk(bytes).end()
    }

    /// The model that answers so where this client asks; none where there is no way between them.
    fn model(&self, client: Dialect) -> String {
        match (self.dialect, client) {
            (Dialect::Messages, _) => "anthropic/claude-opus-5-5".to_owned(),
            // Offered functions, it is asked by Responses whatever the client speaks.
            (Dialect::Responses, _) => "openai/gpt-5.6".to_owned(),
            // These have Responses of their own, and would be asked for them.
            (Dialect::Chat, Dialect::Responses)
                if !["deepseek", "kimi", "gemini", "bedrock", "cohere"]
                    .contains(&self.provider.as_str()) =>
            {
                "cohere/command-a".to_owned()
            }
            (Dialect::Chat, _) => match self.provider.as_str() {
                "deepseek" => "deepseek/deepseek-reasoner".to_owned(),
                "gemini" => "gemini/gemini-3-pro".to_owned(),
                "bedrock" => "bedrock/openai.gpt-oss-120b-1:0".to_owned(),
                "openai" => "openai/gpt-4o".to_owned(),
                "azure" => "azure/some-deployment".to_owned(),
                "xai" => "xai/grok-4.3".to_owned(),
                other => format!("{other}/some-model"),
            },
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    out.sort();
    out
}

fn short(path: &Path) -> String {
    let name = path.file_name().unwrap().to_str().unwrap();
    let folder = path.parent().unwrap().file_name().unwrap();
    format!("{}/{name}", folder.to_str().unwrap())
}

/// The answers of the recordings, where they lie beside the project.
fn recorded() -> Vec<Given> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/recorded");
    if !folder.join("openai-schemas.json").exists() {
        eprintln!("no recordings beside the project: only the golden files are compared");
        return Vec::new();
    }
    let mut out = Vec::new();
    for (name, provider, dialect) in [
        ("anthropic/main", "anthropic", Dialect::Messages),
        ("openai/chat", "openai", Dialect::Chat),
        ("deepseek/chat", "deepseek", Dialect::Chat),
        ("groq/main", "groq", Dialect::Chat),
        ("moonshotai/main", "kimi", Dialect::Chat),
        ("mistral/main", "mistral", Dialect::Chat),
        ("openai/responses", "openai", Dialect::Responses),
        ("azure/main", "azure", Dialect::Responses),
        ("xai/responses", "xai", Dialect::Responses),
        ("open-responses/responses", "openai", Dialect::Responses),
    ] {
        for path in files(&folder.join(name)) {
            let text = fs::read_to_string(&path).unwrap();
            let body = if path.to_str().unwrap().ends_with(".chunks.txt") {
                let mut events: Vec<Value> = text
                    .lines()
                    .filter_map(|line| serde_json::from_str(line).ok())
                    .collect();
                let end = events.iter().position(|one| one["type"] == "message_stop");
                events.truncate(end.map_or(events.len(), |end| end + 1));
                if dialect == Dialect::Chat {
                    events.push(json!("[DONE]"));
                }
                // What was cut by hand says in the end what it did not say before.
                let numbered = |(n, event): (usize, &Value)| event["sequence_number"] == n;
                if dialect == Dialect::Responses && !events.iter().enumerate().all(numbered) {
                    continue;
                }
                json!(events)
            } else {
                let body: Value = serde_json::from_str(&text).unwrap();
                let answers = ["content", "choices", "output"]
                    .iter()
                    .any(|name| body[name].is_array());
                if !answers {
                    continue;
                }
                body
            };
            out.push(Given {
                name: short(&path),
                dialect,
                provider: provider.to_owned(),
                whole: body.clone(),
                body,
                request: json!({}),
            });
        }
    }
    out
}

/// The answers of the golden files.
fn golden() -> Vec<Given> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut out = Vec::new();
    for (name, provider, dialect) in [
        ("anthropic", "anthropic", Dialect::Messages),
        ("bridge", "openai", Dialect::Responses),
        ("relay", "groq", Dialect::Chat),
        ("responses", "groq", Dialect::Chat),
    ] {
        for path in files(&folder.join(name)) {
            let file = path.file_name().unwrap().to_str().unwrap();
            if file.starts_with("request_") {
                continue;
            }
            let case: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            out.push(Given {
                name: short(&path),
                dialect,
                provider: case["provider"].as_str().unwrap_or(provider).to_owned(),
                body: case["in"].clone(),
                whole: case["in"].clone(),
                request: case.get("request").cloned().unwrap_or(json!({})),
            });
        }
    }
    assert!(out.len() > 20, "only {} golden answers", out.len());
    out
}

/// A whole answer of Messages as the events that say it.
fn as_messages(whole: &Value) -> Value {
    let mut start = whole.clone();
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    let mut events = vec![json!({"type": "message_start", "message": start})];
    for (i, block) in whole["content"].as_array().unwrap().iter().enumerate() {
        let mut begun = block.clone();
        let deltas = match block["type"].as_str().unwrap() {
            "thinking" => {
                begun["thinking"] = json!("");
                begun["signature"] = json!("");
                vec![
                    json!({"type": "thinking_delta", "thinking": block["thinking"]}),
                    json!({"type": "signature_delta", "signature": block["signature"]}),
                ]
            }
            "text" => {
                begun["text"] = json!("");
                vec![json!({"type": "text_delta", "text": block["text"]})]
            }
            "tool_use" => {
                begun["input"] = json!({});
                let input = block["input"].to_string();
                vec![json!({"type": "input_json_delta", "partial_json": input})]
            }
            _ => Vec::new(),
        };
        events.push(json!({"type": "content_block_start", "index": i, "content_block": begun}));
        for delta in deltas {
            events.push(json!({"type": "content_block_delta", "index": i, "delta": delta}));
        }
        events.push(json!({"type": "content_block_stop", "index": i}));
    }
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": whole["stop_reason"]}, "usage": whole["usage"]}));
    events.push(json!({"type": "message_stop"}));
    json!(events)
}

/// A whole answer of Responses as the events that say it.
fn as_responses(whole: &Value) -> Value {
    let mut begun = whole.clone();
    begun["status"] = json!("in_progress");
    begun["output"] = json!([]);
    let mut events = vec![json!({"type": "response.created", "response": begun})];
    for (i, item) in whole["output"].as_array().unwrap().iter().enumerate() {
        let place = |mut event: Value| {
            event["output_index"] = json!(i);
            event["item_id"] = item["id"].clone();
            event
        };
        let mut begun = item.clone();
        let deltas = match item["type"].as_str().unwrap() {
            "message" => {
                begun["content"] = json!([]);
                let text = &item["content"][0]["text"];
                vec![
                    json!({"type": "response.content_part.added", "content_index": 0, "part": {"type": "output_text", "text": "", "annotations": []}}),
                    json!({"type": "response.output_text.delta", "content_index": 0, "delta": text, "logprobs": []}),
                    json!({"type": "response.output_text.done", "content_index": 0, "text": text, "logprobs": []}),
                    json!({"type": "response.content_part.done", "content_index": 0, "part": item["content"][0]}),
                ]
            }
            "function_call" => {
                begun["arguments"] = json!("");
                vec![
                    json!({"type": "response.function_call_arguments.delta", "delta": item["arguments"]}),
                    json!({"type": "response.function_call_arguments.done", "arguments": item["arguments"]}),
                ]
            }
            _ => {
                begun["summary"] = json!([]);
                let part = &item["summary"][0];
                vec![
                    json!({"type": "response.reasoning_summary_part.added", "summary_index": 0, "part": {"type": "summary_text", "text": ""}}),
                    json!({"type": "response.reasoning_summary_text.delta", "summary_index": 0, "delta": part["text"]}),
                    json!({"type": "response.reasoning_summary_text.done", "summary_index": 0, "text": part["text"]}),
                    json!({"type": "response.reasoning_summary_part.done", "summary_index": 0, "part": part}),
                ]
            }
        };
        events
            .push(json!({"type": "response.output_item.added", "output_index": i, "item": begun}));
        events.extend(deltas.into_iter().map(place));
        events.push(json!({"type": "response.output_item.done", "output_index": i, "item": item}));
    }
    events.push(json!({"type": "response.completed", "response": whole}));
    for (n, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = json!(n);
    }
    json!(events)
}

/// Answers in which everything comes between everything else, whole and streamed.
fn mixed() -> Vec<Given> {
    let call = |id: &str, place: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {"place": place}});
    let thought = |text: &str, signature: &str| json!({"type": "thinking", "thinking": text, "signature": signature});
    let text = |text: &str| json!({"type": "text", "text": text});
    let said = |text: &str| {
        json!({"type": "message", "id": format!("msg_{}", text.len()), "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]})
    };
    let item = |id: &str, place: &str| {
        json!({"type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": "f",
        "arguments": json!({"place": place}).to_string(), "status": "completed"})
    };
    let sealed = |id: &str| {
        json!({"type": "reasoning", "id": id, "summary": [{"type": "summary_text", "text": format!("Summary of {id}.")}],
        "encrypted_content": format!("sealed-{id}")})
    };
    let blocks = [
        (
            "text after a call",
            vec![
                text("Before the call."),
                call("toolu_01A09q90qw90lq917835lq9", "Rome"),
                text("After the call."),
            ],
        ),
        (
            "thinking between calls",
            vec![
                thought("Think of Rome.", "c2lnLW9uZQ=="),
                text("First Rome."),
                call("toolu_01A09q90qw90lq917835lq9", "Rome"),
                thought("Think of Oslo.", "c2lnLXR3bw=="),
                text("Then Oslo."),
                call("toolu_01B09q90qw90lq917835lq9", "Oslo"),
            ],
        ),
        (
            "thinking between texts",
            vec![
                thought("Think of Rome.", "c2lnLW9uZQ=="),
                text("Rome is old."),
                json!({"type": "redacted_thinking", "data": "cmVkYWN0ZWQ="}),
                text("Oslo is newer."),
            ],
        ),
    ];
    let items = [
        (
            "reasoning before each call",
            vec![
                sealed("rs_1"),
                item("call_62136354c0d9bb4ddaf5abcd", "Rome"),
                sealed("rs_2"),
                item("call_99a6354c0d9bb4ddaf5abcd1", "Oslo"),
            ],
        ),
        (
            "words between calls",
            vec![
                said("First Rome."),
                item("call_62136354c0d9bb4ddaf5abcd", "Rome"),
                said("Then to Oslo."),
                item("call_99a6354c0d9bb4ddaf5abcd1", "Oslo"),
            ],
        ),
        (
            "reasoning after words",
            vec![said("First Rome."), sealed("rs_1"), said("Then to Oslo.")],
        ),
    ];
    let mut out = Vec::new();
    let mut both = |name: &str, dialect, provider: &str, whole: Value, events: Value| {
        for (how, body) in [("whole", whole.clone()), ("streamed", events)] {
            out.push(Given {
                name: format!("{name}, {how}"),
                dialect,
                provider: provider.to_owned(),
                body,
                whole: whole.clone(),
                request: json!({}),
            });
        }
    };
    for (name, content) in blocks {
        let called = content.iter().any(|block| block["type"] == "tool_use");
        let whole = json!({"id": "msg_m", "type": "message", "role": "assistant", "model": "c", "content": content,
            "stop_reason": if called { "tool_use" } else { "end_turn" }, "usage": {"input_tokens": 1, "output_tokens": 3}});
        let events = as_messages(&whole);
        both(name, Dialect::Messages, "anthropic", whole, events);
    }
    for (name, output) in items {
        let whole = json!({"id": "resp_m", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": output,
            "usage": {"input_tokens": 1, "output_tokens": 3, "total_tokens": 4}});
        let events = as_responses(&whole);
        both(name, Dialect::Responses, "openai", whole, events);
    }
    out
}

// ---------------------------------------------------------------- order

/// A piece of what an assistant did.
#[derive(Debug, Clone, PartialEq)]
enum Did {
    Think,
    Say(String),
    Call(String, String),
}

/// Adds a piece; what is said or thought in several pieces on end is one.
fn add(list: &mut Vec<Did>, did: Did) {
    match (list.last_mut(), did) {
        (_, Did::Say(text)) if text.trim().is_empty() => {}
        (Some(Did::Say(before)), Did::Say(text)) => before.push_str(&bare(&text)),
        (Some(Did::Think), Did::Think) => {}
        (_, Did::Say(text)) => list.push(Did::Say(bare(&text))),
        (_, did) => list.push(did),
    }
}

/// A text without its white space, which is laid out in other ways.
fn bare(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A call, its arguments written in one way.
fn call(name: &Value, arguments: &Value) -> Did {
    let parsed = match arguments {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
        other => other.clone(),
    };
    // What is no object may stand inside one.
    let parsed = match parsed.get("_invalid_json").or(parsed.get("value")) {
        Some(inner) if parsed.as_object().is_some_and(|all| all.len() == 1) => inner.clone(),
        _ => parsed,
    };
    let empty = parsed == json!("") || parsed.is_null();
    let parsed = if empty { json!({}) } else { parsed };
    let mut members: BTreeMap<String, Value> = BTreeMap::new();
    if let Value::Object(object) = &parsed {
        members.extend(object.clone());
    }
    let written = if members.is_empty() {
        parsed.to_string()
    } else {
        serde_json::to_string(&members).unwrap()
    };
    Did::Call(text_of(name), written)
}

/// What a message of Chat Completions says, in the only order it has.
fn in_message(message: &Value, out: &mut Vec<Did>) {
    if !text_of(&message["reasoning_content"]).trim().is_empty() {
        add(out, Did::Think);
    }
    match &message["content"] {
        Value::Array(parts) => {
            for part in parts {
                match part["type"].as_str() {
                    Some("thinking") => add(out, Did::Think),
                    _ => {
                        add(out, Did::Say(text_of(&part["text"])));
                        add(out, Did::Say(text_of(&part["refusal"])));
                    }
                }
            }
        }
        content => add(out, Did::Say(text_of(content))),
    }
    add(out, Did::Say(text_of(&message["refusal"])));
    for one in message["tool_calls"].as_array().into_iter().flatten() {
        let function = &one["function"];
        add(out, call(&function["name"], &function["arguments"]));
    }
}

fn in_block(block: &Value, out: &mut Vec<Did>) {
    match block["type"].as_str().unwrap_or_default() {
        "thinking" | "redacted_thinking" => add(out, Did::Think),
        "text" => add(out, Did::Say(text_of(&block["text"]))),
        "tool_use" => add(out, call(&block["name"], &block["input"])),
        _ => {}
    }
}

fn in_item(item: &Value, out: &mut Vec<Did>) {
    match item["type"].as_str().unwrap_or("message") {
        "reasoning" => add(out, Did::Think),
        "message" if item["role"] == "assistant" => match &item["content"] {
            Value::Array(parts) => {
                for part in parts {
                    add(out, Did::Say(text_of(&part["text"])));
                    add(out, Did::Say(text_of(&part["refusal"])));
                }
            }
            content => add(out, Did::Say(text_of(content))),
        },
        "function_call" => add(out, call(&item["name"], &item["arguments"])),
        "custom_tool_call" => add(out, call(&item["name"], &json!({"input": item["input"]}))),
        _ => {}
    }
}

/// What assistants did in a request.
fn in_request(body: &Value, dialect: Dialect) -> Vec<Did> {
    let mut out = Vec::new();
    let list = body.get("messages").or(body.get("input"));
    for entry in list.and_then(Value::as_array).into_iter().flatten() {
        match dialect {
            // What Mistral is told between results and a user is the gateway's own.
            Dialect::Chat if entry["content"] == "OK." => {}
            Dialect::Chat if entry["role"] == "assistant" => in_message(entry, &mut out),
            Dialect::Messages if entry["role"] == "assistant" => {
                for block in entry["content"].as_array().into_iter().flatten() {
                    in_block(block, &mut out);
                }
            }
            Dialect::Responses => in_item(entry, &mut out),
            _ => {}
        }
    }
    out
}

/// What an answer of a provider does, in its own order, where that is known.
fn in_answer(given: &Given) -> Option<Vec<Did>> {
    let mut out = Vec::new();
    match given.dialect {
        Dialect::Messages => {
            let blocks = given.whole.get("content")?.as_array()?;
            for block in blocks {
                in_block(block, &mut out);
            }
        }
        Dialect::Responses => {
            let items = given.whole.get("output")?.as_array()?;
            for item in items {
                in_item(item, &mut out);
            }
        }
        Dialect::Chat => return None,
    }
    Some(out)
}

/// Calls without their results at their place, which no provider takes.
fn unsound(body: &Value, dialect: Dialect) -> Option<String> {
    let list = body.get("messages").or(body.get("input"))?.as_array()?;
    let ids = |values: Vec<&Value>| values.into_iter().map(text_of).collect::<Vec<_>>();
    for (n, entry) in list.iter().enumerate() {
        match dialect {
            Dialect::Chat => {
                let calls: Vec<_> = entry["tool_calls"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .collect();
                let mut called = ids(calls.iter().map(|call| &call["id"]).collect());
                let results = list[n + 1..]
                    .iter()
                    .take_while(|next| next["role"] == "tool");
                let mut told = ids(results.map(|next| &next["tool_call_id"]).collect());
                called.sort();
                told.sort();
                if !called.is_empty() && called != told {
                    return Some(format!(
                        "message {n} calls {called:?}, and what follows answers {told:?}"
                    ));
                }
            }
            Dialect::Messages => {
                let blocks = |entry: &Value, kind: &str, id: &str| {
                    let all = entry["content"].as_array().into_iter().flatten();
                    let mut ids: Vec<_> = all
                        .filter(|block| block["type"] == kind)
                        .map(|block| text_of(&block[id]))
                        .collect();
                    ids.sort();
                    ids
                };
                let called = blocks(entry, "tool_use", "id");
                let next = list.get(n + 1).unwrap_or(&Value::Null);
                let told = blocks(next, "tool_result", "tool_use_id");
                if called != told && !called.is_empty() {
                    return Some(format!(
                        "turn {n} calls {called:?}, and the next answers {told:?}"
                    ));
                }
                let roles = [&entry["role"], &next["role"]];
                if roles[0] == roles[1] {
                    return Some(format!("turns {n} and {} are both of {}", n + 1, roles[0]));
                }
            }
            Dialect::Responses => {
                if !["function_call", "custom_tool_call"]
                    .contains(&entry["type"].as_str().unwrap_or_default())
                {
                    continue;
                }
                let told = list[n + 1..].iter().any(|next| {
                    next["call_id"] == entry["call_id"]
                        && text_of(&next["type"]).ends_with("_output")
                });
                if !told {
                    return Some(format!("item {n} is a call without a result"));
                }
            }
        }
    }
    None
}

/// What differs between two lists, as far as the dialect that one of them is in can say it.
fn differs(expected: &[Did], got: &[Did], to: Dialect) -> Option<String> {
    // Whether reasoning goes up is judged elsewhere; where some does, it is in its place.
    let thinks = got.contains(&Did::Think);
    let of = |list: &[Did], keep: &dyn Fn(&Did) -> bool| {
        let mut out = Vec::new();
        list.iter()
            .filter(|did| (thinks || **did != Did::Think) && keep(did))
            .cloned()
            .for_each(|did| add(&mut out, did));
        out
    };
    let say = |did: &Did| matches!(did, Did::Say(_));
    let call = |did: &Did| matches!(did, Did::Call(..));
    // A message of Chat Completions has its text before its calls.
    let views: Vec<&dyn Fn(&Did) -> bool> = match to {
        Dialect::Chat => vec![&say, &call],
        _ => vec![&|_| true],
    };
    views.into_iter().find_map(|keep| {
        let (expected, got) = (of(expected, keep), of(got, keep));
        (expected != got).then(|| format!("came as {expected:?}\n        went as {got:?}"))
    })
}

// ---------------------------------------------------------------- clients

/// The answer as a client of Chat Completions keeps it: the message, fragments put together.
fn message_of(answer: &Answer, streamed: bool) -> Option<Value> {
    if !streamed {
        return Some(answer.json()["choices"][0]["message"].clone());
    }
    let mut message = json!({"role": "assistant", "content": null});
    for chunk in answer.events() {
        if chunk.get("error").is_some_and(|error| !error.is_null()) {
            return None;
        }
        let Some(delta) = chunk["choices"][0]["delta"].as_object() else {
            continue;
        };
        for (name, value) in delta {
            match (name.as_str(), value) {
                ("role", _) | (_, Value::Null) => {}
                ("tool_calls" | "reasoning_details", Value::Array(list)) => {
                    for one in list {
                        piece(&mut message[name], one);
                    }
                }
                (_, Value::String(text)) => {
                    let before = text_of(&message[name]);
                    message[name] = json!(before + text);
                }
                (_, Value::Array(list)) => {
                    let mut all = message[name].as_array().cloned().unwrap_or_default();
                    all.extend(list.iter().cloned());
                    message[name] = json!(all);
                }
                (_, other) => message[name] = other.clone(),
            }
        }
    }
    Some(message)
}

/// Adds a fragment to the element of the same index, as clients do: texts grow, the rest is set.
fn piece(list: &mut Value, fragment: &Value) {
    if list.is_null() {
        *list = json!([]);
    }
    let list = list.as_array_mut().unwrap();
    let same = |one: &&mut Value| one["index"] == fragment["index"] && !fragment["index"].is_null();
    match list.iter_mut().find(same) {
        Some(one) => grow(one, fragment),
        None => list.push(fragment.clone()),
    }
}

fn grow(one: &mut Value, more: &Value) {
    for (name, value) in more.as_object().unwrap() {
        match value {
            Value::Object(_) if one[name].is_object() => grow(&mut one[name], value),
            Value::String(text)
                if ["arguments", "text", "signature", "data", "summary"]
                    .contains(&name.as_str()) =>
            {
                let before = text_of(&one[name]);
                one[name] = json!(before + text);
            }
            other => one[name] = other.clone(),
        }
    }
}

/// The answer as a client of Responses keeps it: the items of the last response.
fn items_of(answer: &Answer, streamed: bool) -> Option<Vec<Value>> {
    let response = if streamed {
        let events = answer.events();
        let last = events.last()?;
        let ended = ["response.completed", "response.incomplete"];
        if !ended.contains(&last["type"].as_str()?) {
            return None;
        }
        last["response"].clone()
    } else {
        answer.json()
    };
    Some(response["output"].as_array()?.clone())
}

/// The results that a client has for the calls of an answer.
fn results(items: &[Value]) -> Vec<Value> {
    let has_result = |call: &Value| {
        items.iter().any(|item| {
            item["call_id"] == call["call_id"] && text_of(&item["type"]).ends_with("_output")
        })
    };
    let calls = items
        .iter()
        .filter(|item| item["call_id"].is_string() && !has_result(item));
    let result = |item: &Value| {
        let id = &item["call_id"];
        Some(match item["type"].as_str()? {
            "function_call" => {
                json!({"type": "function_call_output", "call_id": id, "output": "Result of the call."})
            }
            "custom_tool_call" => {
                json!({"type": "custom_tool_call_output", "call_id": id, "output": "Result of the call."})
            }
            "shell_call" => json!({"type": "shell_call_output", "call_id": id, "output": [
                {"stdout": "ok", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]}),
            "apply_patch_call" => {
                json!({"type": "apply_patch_call_output", "call_id": id, "status": "completed", "output": "Done."})
            }
            _ => return None,
        })
    };
    let of_calls = calls.filter_map(result);
    let approvals = items
        .iter()
        .filter(|item| item["type"] == "mcp_approval_request")
        .map(|item| json!({"type": "mcp_approval_response", "approval_request_id": item["id"], "approve": true}));
    of_calls.chain(approvals).collect()
}

const FIRST: &str = "Question said first.";
const NEXT: &str = "Question said at last.";

/// The names of functions that an answer calls, and one more.
fn names(given: &Given) -> Vec<String> {
    fn gather(value: &Value, out: &mut Vec<String>) {
        match value {
            Value::Array(list) => list.iter().for_each(|value| gather(value, out)),
            Value::Object(members) => {
                let callable = members.contains_key("arguments") || members.contains_key("input");
                let name = members.get("name").and_then(Value::as_str);
                out.extend(name.filter(|_| callable).map(str::to_owned));
                members.values().for_each(|value| gather(value, out));
            }
            _ => {}
        }
    }
    let mut out = vec!["f".to_owned()];
    gather(&given.body, &mut out);
    out.sort();
    out.dedup();
    out
}

/// The question of a client, and then the history with the answer in it.
fn chat_request(given: &Given, model: &str, message: Option<&Value>) -> Value {
    let mut messages = vec![json!({"role": "user", "content": FIRST})];
    if let Some(message) = message {
        messages.push(message.clone());
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "Result of the call."}));
        }
        messages.push(json!({"role": "user", "content": NEXT}));
    }
    let tools: Vec<_> = names(given)
        .into_iter()
        .map(|name| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}))
        .collect();
    json!({"model": model, "messages": messages, "tools": tools})
}

fn responses_request(given: &Given, model: &str, items: Option<&[Value]>) -> Value {
    let mut input = vec![json!({"role": "user", "content": FIRST})];
    if let Some(items) = items {
        input.extend(items.iter().cloned());
        input.extend(results(items));
        input.push(json!({"role": "user", "content": NEXT}));
    }
    let tools: Vec<_> = names(given)
        .into_iter()
        .map(|name| json!({"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}, "strict": false}))
        .collect();
    let mut body = json!({"model": model, "input": input, "tools": tools, "store": false,
        "include": ["reasoning.encrypted_content"], "reasoning": {"summary": "auto"}});
    // The answer to a custom tool is one only where the tool was offered.
    if let Some(tools) = given.request.get("tools") {
        body["tools"] = tools.clone();
    }
    body
}

// ---------------------------------------------------------------- the way there and back

struct Rig {
    gateway: Gateway,
    next: Arc<Mutex<Option<Script>>>,
    last: Arc<Mutex<Option<ReceivedRequest>>>,
    _server: Scripted,
}

fn rig() -> Rig {
    let next: Arc<Mutex<Option<Script>>> = Arc::default();
    let last: Arc<Mutex<Option<ReceivedRequest>>> = Arc::default();
    let (script, kept) = (Arc::clone(&next), Arc::clone(&last));
    let server = Scripted::start(move |request| {
        *kept.lock().unwrap() = Some(request.clone());
        let next = script.lock().unwrap().take();
        next.unwrap_or_else(|| scripted::answer(request))
    })
    .unwrap();
    let gateway = Gateway::start(config(&server));
    Rig {
        gateway,
        next,
        last,
        _server: server,
    }
}

impl Rig {
    /// Asks, and gives the answer and what the provider got.
    async fn ask(
        &self,
        client: Dialect,
        key: &str,
        body: &Value,
    ) -> (Answer, Option<ReceivedRequest>) {
        let path = match client {
            Dialect::Responses => "/v1/responses",
            _ => "/v1/chat/completions",
        };
        *self.last.lock().unwrap() = None;
        let answer = self
            .gateway
            .send(path, Some(key), &[], body.to_string())
            .await;
        (answer, self.last.lock().unwrap().take())
    }
}

/// Where a history goes besides the provider it came from.
const OTHERS_OF_CHAT: [&str; 9] = [
    "groq/llama",
    "mistral/mistral-large-latest",
    "deepseek/deepseek-reasoner",
    "kimi/kimi-k2",
    "gemini/gemini-3-pro",
    "cohere/command-a",
    "anthropic/claude-opus-5-5",
    "anthropic/claude-sonnet-4-5",
    "openai/gpt-5.6",
];
const OTHERS_OF_RESPONSES: [&str; 7] = [
    "cohere/command-a",
    "deepseek/deepseek-reasoner",
    "gemini/gemini-3-pro",
    "kimi/kimi-k2",
    "anthropic/claude-opus-5-5",
    "anthropic/claude-sonnet-4-5",
    "openai/gpt-5.6",
];

fn dialect_of(request: &ReceivedRequest) -> Dialect {
    match request.path.as_str() {
        path if path.ends_with("/messages") => Dialect::Messages,
        path if path.ends_with("/responses") => Dialect::Responses,
        _ => Dialect::Chat,
    }
}

/// Whether what a provider thought must come back to it as it was.
fn wants_thought(given: &Given) -> bool {
    match given.dialect {
        Dialect::Messages => true,
        Dialect::Responses => given.body.to_string().contains("\"encrypted_content\":\""),
        Dialect::Chat => false,
    }
}

/// Gives an answer out to a client, and takes it back from it. `None` where it was no answer.
async fn there_and_back(
    rig: &Rig,
    client: Dialect,
    given: &Given,
    n: usize,
) -> Option<Vec<String>> {
    // Everybody has a memory of their own.
    let key = format!("caller-key-{n}-{client:?}");
    let model = given.model(client);
    let mut first = match client {
        Dialect::Responses => responses_request(given, &model, None),
        _ => chat_request(given, &model, None),
    };
    first["stream"] = json!(given.streamed());
    *rig.next.lock().unwrap() = Some(given.script());
    let (answer, asked) = rig.ask(client, &key, &first).await;
    *rig.next.lock().unwrap() = None;
    let what = format!("{} to a client of {client:?}", given.name);
    let Some(asked) = asked else {
        return Some(vec![format!(
            "{what}: the question itself is refused: {}",
            answer.text()
        )]);
    };
    assert_eq!(
        dialect_of(&asked),
        given.dialect,
        "{what}: asked at {}",
        asked.path
    );
    if answer.status != 200 {
        return None;
    }
    // What the client was given, in the order in which it was given.
    let mut told = Vec::new();
    let (message, items) = match client {
        Dialect::Responses => {
            let items = items_of(&answer, given.streamed())?;
            for item in &items {
                in_item(item, &mut told);
            }
            (None, Some(items))
        }
        _ => {
            let message = message_of(&answer, given.streamed())?;
            in_message(&message, &mut told);
            (Some(message), None)
        }
    };
    // A client of Chat Completions cannot have offered a custom tool on this way.
    let foreign =
        client == Dialect::Chat && given.body.to_string().contains("\"custom_tool_call\"");
    let own = in_answer(given).filter(|_| !foreign);
    let mut wrong = Vec::new();
    // Items have the order in which they came.
    if let (Dialect::Responses, Some(own)) = (client, &own)
        && let Some(difference) = differs(own, &told, Dialect::Responses)
    {
        wrong.push(format!(
            "{what}: it is given out in another order:\n        {difference}"
        ));
    }
    let others: &[&str] = match client {
        Dialect::Responses => &OTHERS_OF_RESPONSES,
        _ => &OTHERS_OF_CHAT,
    };
    let others = others.iter().filter(|other| **other != model);
    for to in std::iter::once(model.as_str()).chain(others.copied()) {
        let body = match client {
            Dialect::Responses => responses_request(given, to, items.as_deref()),
            _ => chat_request(given, to, message.as_ref()),
        };
        let (answer, sent) = rig.ask(client, &key, &body).await;
        let what = format!("{what}, back to {to}");
        let Some(sent) = sent else {
            let (status, param, code) = answer.refusal();
            let said = answer.error()["message"].clone();
            wrong.push(format!("{what}: {status} for {param} ({code}): {said}"));
            continue;
        };
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        let dialect = dialect_of(&sent);
        let sent = sent.json();
        if let Some(how) = unsound(&sent, dialect) {
            wrong.push(format!("{what}: no provider takes it: {how}"));
        }
        let went = in_request(&sent, dialect);
        // In the dialect that it came in it is what was said there; in others, what the client was
        // told.
        let same = dialect == given.dialect;
        let expected = own.as_ref().filter(|_| same).unwrap_or(&told);
        if let Some(difference) = differs(expected, &went, dialect) {
            wrong.push(format!("{what}: another order:\n        {difference}"));
        }
        let thought = expected.contains(&Did::Think) && !went.contains(&Did::Think);
        if to == model && thought && wants_thought(given) {
            wrong.push(format!("{what}: its own reasoning is not there"));
        }
    }
    Some(wrong)
}

async fn all_back(client: Dialect, answers: Vec<Given>, least: usize) {
    let rig = rig();
    let (mut wrong, mut taken) = (Vec::new(), 0);
    for (n, given) in answers.iter().enumerate() {
        if let Some(found) = there_and_back(&rig, client, given, n).await {
            wrong.extend(found);
            taken += 1;
        }
    }
    assert!(taken >= least, "only {taken} answers came back");
    assert!(
        wrong.is_empty(),
        "{} of what was given out is not taken back as it came:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

// ---------------------------------------------------------------- claims

#[actix_web::test]
async fn a_chat_client_brings_every_golden_answer_back() {
    all_back(Dialect::Chat, golden(), 20).await;
}

#[actix_web::test]
async fn a_responses_client_brings_every_golden_answer_back() {
    all_back(Dialect::Responses, golden(), 20).await;
}

#[actix_web::test]
async fn a_chat_client_brings_every_recorded_answer_back() {
    let answers = recorded();
    let least = answers.len() * 2 / 3;
    all_back(Dialect::Chat, answers, least).await;
}

#[actix_web::test]
async fn a_responses_client_brings_every_recorded_answer_back() {
    let answers = recorded();
    let least = answers.len() * 2 / 3;
    all_back(Dialect::Responses, answers, least).await;
}

/// Those of our own answers that call something, or those that do not.
fn mixed_that_call(call: bool) -> Vec<Given> {
    let calls = |given: &Given| {
        let did = in_answer(given).unwrap();
        did.iter().any(|one| matches!(one, Did::Call(..)))
    };
    mixed()
        .into_iter()
        .filter(|given| calls(given) == call)
        .collect()
}

#[actix_web::test]
async fn a_chat_client_brings_back_what_came_between_its_calls() {
    all_back(Dialect::Chat, mixed_that_call(true), 8).await;
}

#[actix_web::test]
async fn a_responses_client_brings_back_what_came_between_its_calls() {
    all_back(Dialect::Responses, mixed_that_call(true), 8).await;
}

#[actix_web::test]
async fn a_responses_client_brings_back_what_came_between_texts() {
    all_back(Dialect::Responses, mixed_that_call(false), 4).await;
}
