//! The responses of scripted Chat Completions and Responses APIs.

#![expect(
    clippy::indexing_slicing,
    reason = "objects built here, and JSON values, which read as null where there is nothing"
)]

use serde_json::{Value, json};

use super::server::Script;
use super::text::{pieces, text_for, tokens};
use crate::providers::{Provider, catalogue};

const CREATED: u64 = 1_700_000_000;

/// An error in OpenAI's envelope.
pub(super) fn error(message: &str, code: Option<&str>) -> Value {
    json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": code}})
}

pub(super) fn models(provider: &'static Provider) -> Script {
    let data: Vec<_> = catalogue(provider)
        .iter()
        .map(|model| {
            json!({
                "id": format!("{}{}", provider.list_prefix, model.id),
                "object": "model",
                "created": CREATED,
                "owned_by": provider.name,
            })
        })
        .collect();
    Script::json(200, &json!({"object": "list", "data": data}))
}

/// The text of a message's content, which is a string or a list of parts.
pub(super) fn said(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part.get("text").and_then(Value::as_str))
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    }
}

/// Arguments that match a schema: each property gets a value of its type.
pub(super) fn arguments(schema: &Value) -> Value {
    let mut out = serde_json::Map::new();
    let Some(members) = schema.get("properties").and_then(Value::as_object) else {
        return Value::Object(out);
    };
    for (name, member) in members {
        let value = match member.get("type").and_then(Value::as_str) {
            Some("integer" | "number") => json!(1),
            Some("boolean") => json!(true),
            Some("array") => json!([]),
            Some("object") => arguments(member),
            _ => json!("Rome"),
        };
        out.insert(name.clone(), value);
    }
    Value::Object(out)
}

/// The answer to a turn: tool calls if tools are offered, unless the last message is a tool result.
struct Turn {
    text: String,
    calls: Vec<(String, String, String)>,
}

fn turn(body: &Value) -> Turn {
    let messages = body.get("messages").and_then(Value::as_array);
    let last = messages.and_then(|list| list.last());
    let role = last
        .and_then(|last| last.get("role"))
        .and_then(Value::as_str);
    let asked = last
        .and_then(|last| last.get("content"))
        .map(said)
        .unwrap_or_default();
    if role == Some("tool") {
        return Turn {
            text: format!("The tool says: {asked}"),
            calls: Vec::new(),
        };
    }
    let tools = body.get("tools").and_then(Value::as_array);
    let calls = tools
        .into_iter()
        .flatten()
        .enumerate()
        .filter_map(|(i, tool)| {
            let function = tool.get("function")?;
            let name = function.get("name")?.as_str()?.to_owned();
            let schema = function.get("parameters").cloned().unwrap_or_default();
            Some((
                format!("call_{i}_{name}"),
                name,
                arguments(&schema).to_string(),
            ))
        })
        .collect();
    let schema = body
        .pointer("/response_format/json_schema/schema")
        .map(arguments);
    Turn {
        text: schema.map_or_else(|| text_for(&asked), |value| value.to_string()),
        calls,
    }
}

/// The response to a Chat Completions request. With `unasked`, the last chunk of a stream has the
/// usage even if the client did not ask for it.
pub(super) fn chat(body: &Value, unasked: bool) -> Script {
    let Some(model) = body.get("model").and_then(Value::as_str) else {
        return Script::json(400, &error("you must provide a model parameter", None));
    };
    let Turn { text, calls } = turn(body);
    let id = "chatcmpl-scripted";
    let usage = json!({
        "prompt_tokens": tokens(&body["messages"].to_string()),
        "completion_tokens": tokens(&text),
        "total_tokens": tokens(&body["messages"].to_string()) + tokens(&text),
    });
    let finish = if calls.is_empty() {
        "stop"
    } else {
        "tool_calls"
    };
    if body.get("stream") != Some(&Value::Bool(true)) {
        let mut message = json!({"role": "assistant", "content": text, "refusal": null});
        if !calls.is_empty() {
            message["content"] = Value::Null;
            message["tool_calls"] = calls
                .iter()
                .map(|(id, name, arguments)| {
                    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
                })
                .collect();
        }
        return Script::json(
            200,
            &json!({
                "id": id, "object": "chat.completion", "created": CREATED, "model": model,
                "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}],
                "usage": usage,
            }),
        );
    }
    let counted = body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true));
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": id, "object": "chat.completion.chunk", "created": CREATED, "model": model, "choices": choices,
        });
        if counted {
            chunk["usage"] = usage;
        }
        chunk.to_string()
    };
    let delta = |delta: Value| {
        chunk(
            json!([{"index": 0, "delta": delta, "finish_reason": null}]),
            Value::Null,
        )
    };
    let mut script =
        Script::stream().event(None, &delta(json!({"role": "assistant", "content": ""})));
    for (index, (id, name, arguments)) in calls.iter().enumerate() {
        let begin = json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}});
        script = script.event(None, &delta(json!({"tool_calls": [begin]})));
        let more = json!({"index": index, "function": {"arguments": arguments}});
        script = script.event(None, &delta(json!({"tool_calls": [more]})));
    }
    if calls.is_empty() {
        for piece in pieces(&text) {
            script = script.event(None, &delta(json!({"content": piece})));
        }
    }
    let end = json!([{"index": 0, "delta": {}, "finish_reason": finish}]);
    let mut end: Value = serde_json::from_str(&chunk(end, Value::Null)).unwrap_or_default();
    if unasked {
        end["usage"] = usage.clone();
    }
    script = script.event(None, &end.to_string());
    if counted {
        script = script.event(None, &chunk(json!([]), usage));
    }
    script.event(None, "[DONE]").end()
}

/// The response to a Responses request.
pub(super) fn response(body: &Value) -> Script {
    let Some(model) = body.get("model").and_then(Value::as_str) else {
        return Script::json(400, &error("you must provide a model parameter", None));
    };
    let asked = match body.get("input") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items
            .last()
            .map(|item| {
                said(
                    item.get("content")
                        .or(item.get("output"))
                        .unwrap_or(&Value::Null),
                )
            })
            .unwrap_or_default(),
        _ => return Script::json(400, &error("Missing required parameter: 'input'.", None)),
    };
    let text = text_for(&asked);
    let part = |text: &str| json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []});
    let item = |status: &str, content: Value| json!({"id": "msg_scripted", "type": "message", "status": status, "role": "assistant", "content": content});
    let whole = |status: &str, output: Value| {
        let mut response = json!({
            "id": "resp_scripted", "object": "response", "created_at": CREATED, "status": status,
            "background": false, "error": null, "incomplete_details": null, "instructions": null,
            "max_output_tokens": null, "max_tool_calls": null, "model": model, "output": output,
            "parallel_tool_calls": true, "previous_response_id": null,
            "reasoning": {"effort": null, "summary": null}, "service_tier": "default", "store": false,
            "temperature": 1, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
            "top_logprobs": 0, "top_p": 1, "truncation": "disabled", "metadata": {},
        });
        if status == "completed" {
            response["usage"] = json!({
                "input_tokens": tokens(&asked),
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": tokens(&text),
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": tokens(&asked) + tokens(&text),
            });
        }
        response
    };
    let done = whole(
        "completed",
        json!([item("completed", json!([part(&text)]))]),
    );
    if body.get("stream") != Some(&Value::Bool(true)) {
        return Script::json(200, &done);
    }
    let place = |mut fields: Value| {
        fields["item_id"] = json!("msg_scripted");
        fields["output_index"] = json!(0);
        fields["content_index"] = json!(0);
        fields
    };
    let started = whole("in_progress", json!([]));
    let mut events = vec![
        ("response.created", json!({"response": started})),
        ("response.in_progress", json!({"response": started})),
        (
            "response.output_item.added",
            json!({"output_index": 0, "item": item("in_progress", json!([]))}),
        ),
        (
            "response.content_part.added",
            place(json!({"part": part("")})),
        ),
    ];
    for piece in pieces(&text) {
        events.push((
            "response.output_text.delta",
            place(json!({"delta": piece, "logprobs": []})),
        ));
    }
    events.extend([
        (
            "response.output_text.done",
            place(json!({"text": text, "logprobs": []})),
        ),
        (
            "response.content_part.done",
            place(json!({"part": part(&text)})),
        ),
        (
            "response.output_item.done",
            json!({"output_index": 0, "item": item("completed", json!([part(&text)]))}),
        ),
        ("response.completed", json!({"response": done})),
    ]);
    let mut script = Script::stream();
    for (number, (kind, mut fields)) in events.into_iter().enumerate() {
        fields["type"] = json!(kind);
        fields["sequence_number"] = json!(number);
        script = script.event(Some(kind), &fields.to_string());
    }
    script.end()
}
