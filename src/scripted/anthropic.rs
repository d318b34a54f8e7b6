//! The responses of a scripted Anthropic Messages API.

#![expect(
    clippy::indexing_slicing,
    reason = "objects built here, and JSON values, which read as null where there is nothing"
)]

use serde_json::{Value, json};

use super::openai::{arguments, said};
use super::server::{ReceivedRequest, Script};
use super::text::{pieces, text_for, tokens};
use crate::providers::{by_name, catalogue};

/// An error in Anthropic's format.
pub(super) fn error(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_scripted"})
}

/// The list of models in two pages, so that clients have to request the second.
pub(super) fn models(request: &ReceivedRequest) -> Script {
    let all = by_name("anthropic").map(catalogue).unwrap_or_default();
    let (first, second) = all.split_at(all.len() / 2);
    let after = request.path.contains("after_id=");
    let page = if after { second } else { first };
    let data: Vec<_> = page
        .iter()
        .map(|model| {
            json!({
                "type": "model",
                "id": model.id,
                "display_name": model.id,
                "created_at": "2026-02-19T00:00:00Z",
                "max_input_tokens": model.context_window,
                "max_tokens": model.max_output_tokens,
            })
        })
        .collect();
    Script::json(
        200,
        &json!({
            "data": data,
            "has_more": !after,
            "first_id": page.first().map(|model| &model.id),
            "last_id": page.last().map(|model| &model.id),
        }),
    )
}

/// The content blocks of the response to a request.
fn blocks(body: &Value) -> Vec<Value> {
    let last = body
        .get("messages")
        .and_then(Value::as_array)
        .and_then(|list| list.last());
    let content = last.and_then(|last| last.get("content"));
    let result = content
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find(|block| block["type"] == "tool_result");
    if let Some(result) = result {
        let text = format!("The tool says: {}", said(&result["content"]));
        return vec![json!({"type": "text", "text": text})];
    }
    let asked = content.map(said).unwrap_or_default();
    let tools = body.get("tools").and_then(Value::as_array);
    let offered: Vec<_> = tools
        .into_iter()
        .flatten()
        .filter(|_| body["tool_choice"]["type"] != "none")
        .filter_map(|tool| Some((tool.get("name")?.as_str()?, tool.get("input_schema")?)))
        .collect();
    let mut blocks = Vec::new();
    if body["thinking"]["type"] == "adaptive" || body["thinking"]["type"] == "enabled" {
        blocks.push(json!({"type": "thinking", "thinking": "What is asked is plain.", "signature": "c2lnbmVk"}));
    }
    if offered.is_empty() {
        let format = body.pointer("/output_config/format/schema").map(arguments);
        let text = format.map_or_else(|| text_for(&asked), |value| value.to_string());
        blocks.push(json!({"type": "text", "text": text}));
    } else {
        blocks.push(json!({"type": "text", "text": "Let me look."}));
        for (i, (name, schema)) in offered.into_iter().enumerate() {
            blocks.push(json!({
                "type": "tool_use", "id": format!("toolu_{i}_{name}"), "name": name, "input": arguments(schema),
            }));
        }
    }
    blocks
}

/// The response to a Messages request.
pub(super) fn message(body: &Value) -> Script {
    for name in ["model", "max_tokens", "messages"] {
        if body.get(name).is_none() {
            return Script::json(
                400,
                &error("invalid_request_error", &format!("{name}: Field required")),
            );
        }
    }
    let blocks = blocks(body);
    let stop = if blocks.iter().any(|block| block["type"] == "tool_use") {
        "tool_use"
    } else {
        "end_turn"
    };
    let input = tokens(&body["messages"].to_string());
    let output = blocks
        .iter()
        .map(|block| tokens(&block.to_string()))
        .sum::<usize>();
    let mut message = json!({
        "id": "msg_scripted", "type": "message", "role": "assistant", "model": body["model"],
        "content": blocks, "stop_reason": stop, "stop_sequence": null,
        "usage": {"input_tokens": input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": output},
    });
    if body.get("stream") != Some(&Value::Bool(true)) {
        return Script::json(200, &message);
    }
    message["content"] = json!([]);
    message["stop_reason"] = Value::Null;
    message["usage"]["output_tokens"] = json!(1);
    let send = |script: Script, kind: &str, mut fields: Value| {
        fields["type"] = json!(kind);
        script.event(Some(kind), &fields.to_string())
    };
    let mut script = send(
        Script::stream(),
        "message_start",
        json!({"message": message}),
    );
    script = send(script, "ping", json!({}));
    for (index, block) in blocks.iter().enumerate() {
        let (opened, deltas) = unfold(block);
        script = send(
            script,
            "content_block_start",
            json!({"index": index, "content_block": opened}),
        );
        for delta in deltas {
            script = send(
                script,
                "content_block_delta",
                json!({"index": index, "delta": delta}),
            );
        }
        script = send(script, "content_block_stop", json!({"index": index}));
    }
    script = send(
        script,
        "message_delta",
        json!({"delta": {"stop_reason": stop, "stop_sequence": null}, "usage": {"output_tokens": output}}),
    );
    send(script, "message_stop", json!({})).end()
}

/// The start of a streamed block, and the deltas that fill it.
fn unfold(block: &Value) -> (Value, Vec<Value>) {
    let text = |name: &str| block[name].as_str().unwrap_or_default();
    match block["type"].as_str() {
        Some("thinking") => (
            json!({"type": "thinking", "thinking": "", "signature": ""}),
            pieces(text("thinking"))
                .into_iter()
                .map(|piece| json!({"type": "thinking_delta", "thinking": piece}))
                .chain([json!({"type": "signature_delta", "signature": text("signature")})])
                .collect(),
        ),
        Some("tool_use") => {
            let input = block["input"].to_string();
            let half = input.len() / 2;
            let (a, b) = input.split_at_checked(half).unwrap_or((&input, ""));
            (
                json!({"type": "tool_use", "id": block["id"], "name": block["name"], "input": {}}),
                ["", a, b]
                    .into_iter()
                    .map(|piece| json!({"type": "input_json_delta", "partial_json": piece}))
                    .collect(),
            )
        }
        _ => (
            json!({"type": "text", "text": ""}),
            pieces(text("text"))
                .into_iter()
                .map(|piece| json!({"type": "text_delta", "text": piece}))
                .collect(),
        ),
    }
}
