//! Requests, answers and streams as they come, in sizes that say how cost grows.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// So many bytes of text, about, with what has to be escaped among it.
fn text(bytes: usize) -> String {
    "Say \"what\" the gateway costs.\n".repeat(bytes / 30 + 1)
}

/// A conversation of so many messages, with so many tools.
pub fn chat(model: &str, messages: usize, tools: usize) -> String {
    let messages: Vec<_> = (0..messages)
        .map(|number| {
            let role = if number % 2 == 0 { "user" } else { "assistant" };
            json!({"role": role, "content": text(800)})
        })
        .collect();
    let mut body = json!({"model": model, "max_tokens": 500, "messages": messages});
    if tools > 0 {
        body["tools"] = (0..tools).map(tool).collect();
    }
    body.to_string()
}

fn tool(number: usize) -> Value {
    json!({"type": "function", "function": {
        "name": format!("look_up_{number}"), "description": text(200),
        "parameters": {"type": "object", "required": ["place"], "properties": {
            "place": {"type": "string", "description": text(60)},
            "days": {"type": "integer", "minimum": 1, "maximum": 14},
        }},
    }})
}

/// A picture of 1 MB.
pub fn image(model: &str) -> String {
    let url = format!("data:image/png;base64,{}", "iVBORw0KGgoA".repeat(87_381));
    let parts = json!([{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]);
    json!({"model": model, "messages": [{"role": "user", "content": parts}]}).to_string()
}

pub fn responses(model: &str) -> String {
    json!({
        "model": model, "store": false, "max_output_tokens": 500,
        "instructions": text(280), "input": text(500),
    })
    .to_string()
}

/// `chat.completion`, as OpenAI writes it.
pub fn completion() -> String {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt-4o-mini",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": text(700), "refusal": null, "annotations": []},
            "logprobs": null, "finish_reason": "stop",
        }],
        "usage": {
            "prompt_tokens": 200, "completion_tokens": 160, "total_tokens": 360,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default", "system_fingerprint": "fp_1",
    })
    .to_string()
}

/// A message, as Anthropic writes it.
pub fn message() -> String {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5",
        "content": [{"type": "text", "text": text(700)}],
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 200, "output_tokens": 160, "cache_read_input_tokens": 0},
    })
    .to_string()
}

/// A response, as OpenAI writes it.
pub fn response() -> String {
    json!({
        "id": "resp_1", "object": "response", "created_at": 1_700_000_000, "status": "completed",
        "error": null, "incomplete_details": null, "model": "gpt-4o-mini",
        "output": [{"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": text(700), "annotations": []}]}],
        "usage": {"input_tokens": 200, "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 160, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 360},
    })
    .to_string()
}

/// Pieces of text in a stream.
const PIECES: usize = 200;

/// Chunks of Chat Completions, each an event.
pub fn chunks() -> Vec<String> {
    let chunk = |delta: &Value, reason: Option<&str>| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason});
        let data = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000,
            "model": "gpt-4o-mini", "system_fingerprint": "fp_1", "choices": [choice],
        });
        format!("data: {data}\n\n")
    };
    let mut out = vec![chunk(&json!({"role": "assistant", "content": ""}), None)];
    out.extend(
        (0..PIECES).map(|number| chunk(&json!({"content": format!(" word{number}")}), None)),
    );
    out.push(chunk(&json!({}), Some("stop")));
    out.push("data: [DONE]\n\n".to_owned());
    out
}

fn named(kind: &str, mut data: Value) -> String {
    let mut out = String::new();
    data["type"] = kind.into();
    let _ = write!(out, "event: {kind}\ndata: {data}\n\n");
    out
}

/// Events of Messages.
pub fn message_events() -> Vec<String> {
    let message = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5",
        "content": [], "usage": {"input_tokens": 200, "output_tokens": 1}});
    let block = json!({"index": 0, "content_block": {"type": "text", "text": ""}});
    let mut out = vec![
        named("message_start", json!({"message": message})),
        named("content_block_start", block),
    ];
    out.extend((0..PIECES).map(|number| {
        let delta = json!({"type": "text_delta", "text": format!(" word{number}")});
        named("content_block_delta", json!({"index": 0, "delta": delta}))
    }));
    out.push(named("content_block_stop", json!({"index": 0})));
    let delta = json!({"stop_reason": "end_turn", "stop_sequence": null});
    out.push(named(
        "message_delta",
        json!({"delta": delta, "usage": {"output_tokens": 160}}),
    ));
    out.push(named("message_stop", json!({})));
    out
}

/// Events of Responses.
pub fn response_events() -> Vec<String> {
    let begun = json!({"id": "resp_1", "object": "response", "created_at": 1_700_000_000,
        "status": "in_progress", "model": "gpt-4o-mini", "output": []});
    let item = json!({"type": "message", "id": "msg_1", "status": "in_progress", "role": "assistant", "content": []});
    let part = json!({"type": "output_text", "text": "", "annotations": []});
    let mut out = vec![
        named(
            "response.created",
            json!({"sequence_number": 0, "response": begun}),
        ),
        named(
            "response.output_item.added",
            json!({"sequence_number": 1, "output_index": 0, "item": item}),
        ),
        named(
            "response.content_part.added",
            json!({"sequence_number": 2, "item_id": "msg_1",
            "output_index": 0, "content_index": 0, "part": part}),
        ),
    ];
    out.extend((0..PIECES).map(|number| {
        named("response.output_text.delta", json!({"sequence_number": number + 3, "item_id": "msg_1",
            "output_index": 0, "content_index": 0, "delta": format!(" word{number}"), "logprobs": []}))
    }));
    let whole: Value = serde_json::from_str(&response()).unwrap();
    let item = &whole["output"][0];
    out.push(named(
        "response.output_item.done",
        json!({"sequence_number": PIECES + 3, "output_index": 0, "item": item}),
    ));
    out.push(named(
        "response.completed",
        json!({"sequence_number": PIECES + 4, "response": whole}),
    ));
    out
}
