//! Nothing that a client or a provider sends may panic: the translations, fed with JSON of every
//! shape that uses the words they know.

use crate::rig::stream_contract;
use ai_gateway::codec::json::Object;
use ai_gateway::codec::sse::{self, Framer};
use ai_gateway::dialect::anthropic::MessagesProvider;
use ai_gateway::dialect::hub::NoReasoningCache;
use ai_gateway::dialect::openai::{self, ChatClient, ChatProvider, ChatRelay};
use ai_gateway::dialect::responses::{self, ResponsesClient, ResponsesRelay};
use ai_gateway::dialect::{
    ClientDialect, ProviderDialect, Relay, Stamp, TranslationReport, models,
};
use ai_gateway::dialect::{envelope, read_error, whole_error};
use ai_gateway::error::Error;
use ai_gateway::providers::{ChatApi, PROVIDERS};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

static CHAT: ChatProvider = ChatProvider::PLAIN;

/// Words that mean something to one of the dialects.
const WORDS: &[&str] = &[
    "model",
    "messages",
    "input",
    "role",
    "user",
    "assistant",
    "system",
    "developer",
    "tool",
    "function",
    "content",
    "text",
    "type",
    "image_url",
    "url",
    "file",
    "file_data",
    "data:image/png;base64,AA==",
    "data:text/plain;base64,R3I=",
    "data:,",
    "https://x.example/y",
    "tool_calls",
    "tool_call_id",
    "id",
    "a",
    "b",
    "name",
    "arguments",
    "{\"a\":1}",
    "{",
    "tools",
    "parameters",
    "strict",
    "tool_choice",
    "auto",
    "required",
    "allowed_tools",
    "mode",
    "parallel_tool_calls",
    "stream",
    "stream_options",
    "include_usage",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "temperature",
    "top_p",
    "stop",
    "n",
    "reasoning_effort",
    "high",
    "none",
    "reasoning",
    "effort",
    "summary",
    "thinking",
    "enabled",
    "disabled",
    "adaptive",
    "response_format",
    "json_schema",
    "schema",
    "object",
    "properties",
    "json_object",
    "format",
    "reasoning_details",
    "reasoning.text",
    "signature",
    "provider_specific_fields",
    "anthropic",
    "thinking_blocks",
    "metadata",
    "user_id",
    "service_tier",
    "functions",
    "function_call",
    "function_call_output",
    "call_id",
    "output",
    "input_text",
    "input_image",
    "input_file",
    "output_text",
    "refusal",
    "encrypted_content",
    "gw1.W10",
    "gw1.!!",
    "include",
    "reasoning.encrypted_content",
    "item_reference",
    "message",
    "instructions",
    "truncation",
    "web_search_options",
    "user_location",
    "approximate",
    "cache_control",
    "choices",
    "delta",
    "finish_reason",
    "index",
    "usage",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "logprobs",
    "annotations",
    "error",
    "code",
    "status",
    "detail",
    "loc",
    "msg",
    "details",
    "retryDelay",
    "message_start",
    "content_block_start",
    "content_block",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "ping",
    "text_delta",
    "thinking_delta",
    "signature_delta",
    "input_json_delta",
    "partial_json",
    "citations_delta",
    "citation",
    "tool_use",
    "redacted_thinking",
    "data",
    "stop_reason",
    "end_turn",
    "input_tokens",
    "output_tokens",
    "iterations",
    "compaction",
    "stop_details",
    "explanation",
    "response.completed",
    "sequence_number",
    "models",
    "created_at",
    "2026-02-19T00:00:00Z",
    "9999-99-99T99:99:99Z",
    "has_more",
    "last_id",
    "endpoints",
    "",
    " ",
    "\u{0}",
    "ü🦀",
];

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(WORDS).prop_map(str::to_owned)
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => word().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => (-2.0..3.0_f64).prop_map(Value::from),
        1 => (0..3_u64).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            3 => prop::collection::vec((word(), inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// A request that gets past the first checks more often than chance would.
fn request() -> impl Strategy<Value = Value> {
    let message = prop::collection::vec((word(), any_json()), 0..4).prop_flat_map(|more| {
        (
            prop::sample::select(&["system", "user", "assistant", "tool", "developer"][..]),
            any_json(),
        )
            .prop_map(move |(role, content)| {
                let mut object: serde_json::Map<_, _> = more.iter().cloned().collect();
                object.insert("role".to_owned(), json!(role));
                object.insert("content".to_owned(), content);
                object.insert("tool_call_id".to_owned(), json!("a"));
                Value::Object(object)
            })
    });
    let messages = prop::collection::vec(prop_oneof![3 => message, 1 => any_json()], 0..5);
    (messages, prop::collection::vec((word(), any_json()), 0..6)).prop_map(|(messages, more)| {
        let mut object: serde_json::Map<_, _> = more.into_iter().collect();
        object.insert("messages".to_owned(), json!(messages));
        object.insert("input".to_owned(), json!(messages));
        Value::Object(object)
    })
}

fn stamp() -> Stamp {
    Stamp {
        created: 1,
        seed: u128::MAX,
        now: || 2,
    }
}

fn responses_client() -> ResponsesClient {
    let object = Object::from_body(b"{\"input\":\"x\",\"include\":[\"reasoning.encrypted_content\"],\"reasoning\":{\"summary\":\"auto\"}}").unwrap();
    responses::read_request(object, "m".into(), "groq", &CHAT, stamp())
        .unwrap()
        .1
}

fn clients() -> [Box<dyn ClientDialect>; 2] {
    let chat = ChatClient {
        stamp: stamp(),
        model: "m".to_owned(),
        include_usage: true,
        functions: false,
        json_object: false,
    };
    [Box::new(chat), Box::new(responses_client())]
}

/// An error must name something, and say it in the envelope.
fn told(error: &Error) {
    let text: Value = serde_json::from_str(&envelope(error)).unwrap();
    assert!(!text["error"]["message"].as_str().unwrap().is_empty());
}

fn chat_client() -> ChatClient {
    ChatClient {
        stamp: stamp(),
        model: "m".to_owned(),
        include_usage: true,
        functions: false,
        json_object: false,
    }
}

type NewRelay = fn() -> Box<dyn Relay>;

fn relays() -> [NewRelay; 2] {
    [
        || Box::new(ChatRelay::new(&CHAT, "groq", chat_client())),
        || Box::new(ResponsesRelay::new("groq")),
    ]
}

/// A chunk as some provider or other may write it.
fn any_chunk() -> impl Strategy<Value = Value> {
    let call = (
        prop::option::of(0..3_u64),
        prop::option::of(prop::sample::select(vec!["", "a", "b", "call_0", "null"])),
        prop::option::of(prop::sample::select(vec!["", "f", "g"])),
        prop::sample::select(vec![json!(null), json!(""), json!("{}"), json!({"x": 1})]),
    )
        .prop_map(|(index, id, name, arguments)| {
            let mut call = json!({"function": {"arguments": arguments}});
            if let Some(index) = index {
                call["index"] = json!(index);
            }
            if let Some(id) = id {
                call["id"] = json!(id);
            }
            if let Some(name) = name {
                call["function"]["name"] = json!(name);
            }
            call
        });
    let delta = prop_oneof![
        Just(json!({"role": "assistant"})),
        Just(json!({"content": "a"})),
        Just(json!({"content": null, "reasoning": "r"})),
        Just(
            json!({"content": [{"type": "thinking", "thinking": [{"text": "t"}]}, {"text": "x"}]})
        ),
        Just(json!({"content": "<reasoning>t</reasoning>x"})),
        Just(json!(null)),
        prop::collection::vec(call, 1..3).prop_map(|calls| json!({"tool_calls": calls})),
    ];
    let finish = prop::sample::select(vec![
        json!(null),
        json!(null),
        json!(null),
        json!(""),
        json!("stop"),
        json!("length"),
        json!("tool_calls"),
        json!("model_length"),
        json!("error"),
        json!("SAFETY"),
    ]);
    let usage = prop::sample::select(vec![
        json!(null),
        json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 9,
               "completion_tokens_details": {"reasoning_tokens": 4}}),
    ]);
    let id = prop::sample::select(vec![json!(null), json!(""), json!("c1"), json!("c2")]);
    (delta, finish, usage, id, 0..20_u8).prop_map(|(delta, finish, usage, id, kind)| match kind {
        0 => json!({"error": {"message": "no"}}),
        1 => json!({"id": "", "choices": [], "prompt_filter_results": []}),
        2 => json!({"id": "c1", "choices": [], "usage": usage}),
        _ => json!({"id": id, "created": 7, "model": "m", "vendor": 1, "usage": usage,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}),
    })
}

proptest! {
    // The same inputs each time: what fails for one fails for all.
    #![proptest_config(ProptestConfig {
        cases: 2000,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_261_122),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn requests_of_any_shape_are_translated_or_refused(value in prop_oneof![request(), any_json()]) {
        let body = value.to_string();
        let Ok(object) = Object::from_body(body.as_bytes()) else { return Ok(()) };
        for model in ["claude-haiku-4-5", "claude-opus-5-5", "claude-sonnet-5-5", "gemini-3-pro", "unknown"] {
            for provider in &PROVIDERS {
                let dialect = provider.dialect();
                if let ChatApi::Chat(chat) = provider.chat_api {
                    let mut edited = object.clone();
                    let mut report = TranslationReport::default();
                    match chat.edit(&mut edited, model, &NoReasoningCache, &mut report) {
                        Ok(_) => prop_assert!(serde_json::to_string(&edited).is_ok()),
                        Err(error) => told(&error),
                    }
                }
                match openai::read_request(object.clone(), model.into())
                    .and_then(|mut request| dialect.encode_request(&mut request, &NoReasoningCache))
                {
                    Ok(out) => prop_assert!(serde_json::from_slice::<Value>(&out.body).is_ok()),
                    Err(error) => told(&error),
                }
                match responses::read_request(object.clone(), model.into(), "groq", dialect, stamp())
                    .and_then(|(mut request, client)| {
                        let out = dialect.encode_request(&mut request, &NoReasoningCache)?;
                        client.encode_response(ai_gateway::dialect::hub::Response::empty(
                            ai_gateway::dialect::hub::FinishReason::Length,
                        ));
                        Ok(out)
                    })
                {
                    Ok(out) => prop_assert!(serde_json::from_slice::<Value>(&out.body).is_ok()),
                    Err(error) => told(&error),
                }
            }
        }
    }

    #[test]
    fn answers_of_any_shape_are_read_or_refused(value in any_json(), status in 0..1000_u16) {
        let body = value.to_string();
        for dialect in [&MessagesProvider as &dyn ProviderDialect, &CHAT] {
            for client in clients() {
                if let Ok(answer) = dialect.decode_response(body.as_bytes()) {
                    let mut out = Vec::new();
                    let mut stream = client.stream_encoder();
                    for event in answer.clone().into_events() {
                        stream.push(event, &mut out);
                    }
                    prop_assert!(std::str::from_utf8(&out).is_ok());
                    let text = client.encode_response(answer);
                    prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
                }
            }
            told(&Error::Provider(Box::new(dialect.decode_error(status, body.as_bytes()))));
        }
        told(&Error::Provider(Box::new(read_error(status, body.as_bytes()))));
        let _ = whole_error(body.as_bytes());
        let _ = models::read(body.as_bytes(), "x", "models/", Some("language"));
    }

    #[test]
    fn streams_of_any_events_end_once_and_with_an_end(
        values in prop::collection::vec(any_json(), 0..8),
        noise in prop::collection::vec(any::<u8>(), 0..40),
        cut in 1..60_usize,
    ) {
        let mut bytes = Vec::new();
        for value in &values {
            sse::write(&mut bytes, value["type"].as_str().filter(|t| !t.contains('\n')), &value.to_string());
        }
        bytes.extend_from_slice(&noise);
        for dialect in [&MessagesProvider as &dyn ProviderDialect, &CHAT] {
            for client in clients() {
                let mut framer = Framer::new(1 << 20);
                let (mut from, mut to) = (dialect.stream_decoder("groq"), client.stream_encoder());
                let (mut steps, mut out) = (Vec::new(), Vec::new());
                for piece in bytes.chunks(cut) {
                    let whole = framer.push(Bytes::copy_from_slice(piece)).unwrap();
                    dialect.decode_stream_error(&whole);
                    for event in sse::events(&whole) {
                        from.push(&event, &mut steps);
                    }
                }
                from.finish(&mut steps);
                for step in steps {
                    to.push(step, &mut out);
                }
                let ends = sse::events(&out)
                    .filter(|event| {
                        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
                        let kind = data["type"].as_str().unwrap_or_default();
                        event.data == "[DONE]"
                            || (data["error"].is_object() && kind != "error")
                            || ["response.completed", "response.incomplete", "response.failed"].contains(&kind)
                    })
                    .count();
                prop_assert_eq!(ends, 1, "{}", String::from_utf8_lossy(&out));
            }
        }
        let mut framer = Framer::new(1 << 20);
        let whole = framer.push(Bytes::from(bytes)).unwrap();
        for relay in relays() {
            let mut relay = relay();
            let mut out = relay.pass(whole.clone()).to_vec();
            if relay.failure_code().is_none() {
                match relay.end(true) {
                    Ok(rest) => out.extend(rest),
                    Err(error) => out.extend(relay.failure(&error)),
                }
            }
            let ends = |event: &sse::Event<'_>| {
                event.data == "[DONE]" || event.data.contains("\"error\"") || event.data.contains("\"response.")
            };
            prop_assert!(sse::events(&out).any(|event| ends(&event)));
        }
    }

    #[test]
    fn relayed_chunks_keep_the_contract_whatever_comes(
        chunks in prop::collection::vec(any_chunk(), 0..12),
        cut in 1..60_usize,
        done in any::<bool>(),
    ) {
        let mut bytes = Vec::new();
        for chunk in &chunks {
            sse::write(&mut bytes, None, &chunk.to_string());
        }
        if done {
            bytes.extend_from_slice(b"data: [DONE]\n\n");
        }
        for provider in &PROVIDERS {
            let ChatApi::Chat(chat) = provider.chat_api else { continue };
            let mut relay = ChatRelay::new(chat, "groq", chat_client());
            let mut framer = Framer::new(1 << 20);
            let mut out = Vec::new();
            for piece in bytes.chunks(cut) {
                let whole = framer.push(Bytes::copy_from_slice(piece)).unwrap();
                out.extend_from_slice(&relay.pass(whole));
            }
            if relay.failure_code().is_none() {
                match relay.end(true) {
                    Ok(rest) => out.extend(rest),
                    Err(error) => out.extend(relay.failure(&error)),
                }
            }
            stream_contract::chat(&out);
        }
    }

    #[test]
    fn bodies_of_any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = Object::from_body(&bytes) {
            told(&error);
        }
        told(&Error::Provider(Box::new(read_error(500, &bytes))));
    }
}

/// Arrays in arrays, deeper than a JSON parser reads as a tree.
fn deep(levels: usize) -> String {
    format!("{}{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn depth_is_no_way_to_a_panic() {
    for levels in [100, 120, 124, 125, 126, 127, 200, 5000] {
        let nest = deep(levels);
        let inside = serde_json::to_string(&nest).unwrap();
        for body in [
            format!(
                r#"{{"messages":[{{"role":"user","content":"x"}},{{"role":"assistant","tool_calls":[{{"id":"a","type":"function","function":{{"name":"f","arguments":{inside}}}}}]}},{{"role":"tool","tool_call_id":"a","content":"r"}}],"metadata":{nest},"tools":[{{"type":"function","function":{{"name":"f","parameters":{{"x":{nest}}}}}}}]}}"#
            ),
            format!(
                r#"{{"input":"x","metadata":{nest},"tools":[{{"type":"function","name":"f","parameters":{{"x":{nest}}}}}],"instructions":"i"}}"#
            ),
            format!(
                r#"{{"messages":[{{"role":"user","content":"x"}}],"response_format":{{"type":"json_schema","json_schema":{{"schema":{{"x":{nest}}}}}}}}}"#
            ),
        ] {
            let Ok(object) = Object::from_body(body.as_bytes()) else {
                continue;
            };
            for dialect in [&MessagesProvider as &dyn ProviderDialect, &CHAT] {
                if let Ok(mut request) =
                    openai::read_request(object.clone(), "claude-opus-5-5".into())
                {
                    let _ = dialect.encode_request(&mut request, &NoReasoningCache);
                }
                if let Ok((mut request, client)) =
                    responses::read_request(object.clone(), "m".into(), "groq", &CHAT, stamp())
                {
                    let _ = dialect.encode_request(&mut request, &NoReasoningCache);
                    let mut out = Vec::new();
                    let mut stream = client.stream_encoder();
                    for event in ai_gateway::dialect::hub::Response::empty(
                        ai_gateway::dialect::hub::FinishReason::Stop,
                    )
                    .into_events()
                    {
                        stream.push(event, &mut out);
                    }
                    assert!(!out.is_empty());
                }
            }
        }
        for body in [
            format!(
                r#"{{"content":[{{"type":"wonder","x":{nest}}},{{"type":"text","text":"t","citations":[{{"url":"u","x":{nest}}}]}},{{"type":"tool_use","id":"a","name":"f","input":{{"x":{nest}}}}}],"stop_reason":"end_turn"}}"#
            ),
            format!(
                r#"{{"choices":[{{"message":{{"content":"c","annotations":[{{"type":"url_citation","url_citation":{{"x":{nest}}}}}],"tool_calls":[{{"id":"a","function":{{"name":"f","arguments":{{"x":{nest}}}}}}}]}},"logprobs":{{"content":[{nest}]}},"finish_reason":"stop"}}]}}"#
            ),
            format!(r#"{{"error":{{"message":"m","details":{nest}}}}}"#),
        ] {
            for dialect in [&MessagesProvider as &dyn ProviderDialect, &CHAT] {
                for client in clients() {
                    if let Ok(answer) = dialect.decode_response(body.as_bytes()) {
                        let mut out = Vec::new();
                        let mut stream = client.stream_encoder();
                        for event in answer.clone().into_events() {
                            stream.push(event, &mut out);
                        }
                        client.encode_response(answer);
                    }
                }
                told(&Error::Provider(Box::new(
                    dialect.decode_error(500, body.as_bytes()),
                )));
            }
        }
    }
}

#[test]
fn counts_are_no_way_to_a_panic() {
    let body = format!(
        r#"{{"content":[],"stop_reason":"end_turn","usage":{{"input_tokens":{0},"cache_read_input_tokens":{0},"output_tokens":{0},"iterations":[{{"type":"message","input_tokens":{0},"output_tokens":{0}}},{{"type":"compaction","input_tokens":5,"output_tokens":5}}]}}}}"#,
        u64::MAX
    );
    for client in clients() {
        let answer = MessagesProvider.decode_response(body.as_bytes()).unwrap();
        assert!(
            client
                .encode_response(answer)
                .contains(&u64::MAX.to_string())
        );
    }
}
