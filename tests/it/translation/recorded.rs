//! Real providers' answers, where the recordings lie beside the project: translated, and compared
//! with the recording and with the official schemas. Without the folder these tests say so and pass.

use std::fs;
use std::path::{Path, PathBuf};

use crate::rig::schema::Schema;
use crate::rig::stream_contract;
use ai_gateway::codec::json::Object;
use ai_gateway::codec::sse::{self, Framer};
use ai_gateway::dialect::anthropic::MessagesProvider;
use ai_gateway::dialect::openai::{ChatClient, ChatProvider, ChatRelay, repair};
use ai_gateway::dialect::read_error;
use ai_gateway::dialect::responses::{
    ResponsesClient, ResponsesProvider, ResponsesRelay, read_request,
};
use ai_gateway::dialect::{ClientDialect, ProviderDialect, Relay, Stamp};
use ai_gateway::providers::{ChatApi, by_name};
use bytes::Bytes;
use serde_json::{Value, json};

static CHAT: ChatProvider = ChatProvider::PLAIN;

fn recordings() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/recorded");
    let there = folder.join("openai-schemas.json").exists();
    if !there {
        eprintln!("no recordings beside the project: nothing compared");
    }
    there.then_some(folder)
}

fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut out: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(end))
        .collect();
    out.sort();
    out
}

/// The events of a recording, up to the end of its first message where it holds several.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let mut events: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    if let Some(end) = events
        .iter()
        .position(|event| event["type"] == "message_stop")
    {
        events.truncate(end + 1);
    }
    events
}

fn schema(folder: &Path, name: &str) -> Schema {
    let text = fs::read_to_string(folder.join("openai-schemas.json")).unwrap();
    Schema::new(serde_json::from_str(&text).unwrap(), name)
}

fn assert_valid(schema: &Schema, value: &Value, what: &str) {
    let errors = schema.errors(value);
    assert!(errors.is_empty(), "{what}: {errors:#?}\n{value}");
}

fn stamp() -> Stamp {
    Stamp {
        created: 1_700_000_000,
        seed: 0,
        now: || 1_700_000_002,
    }
}

fn chat_client() -> ChatClient {
    ChatClient {
        stamp: stamp(),
        model: "asked".to_owned(),
        include_usage: true,
        functions: false,
        json_object: false,
    }
}

fn responses_client() -> ResponsesClient {
    let body = json!({"model": "asked", "input": "x", "include": ["reasoning.encrypted_content"],
        "reasoning": {"summary": "auto"}, "tools": [{"type": "function", "name": "f"}]});
    let body = body.to_string();
    let object = Object::from_body(body.as_bytes()).unwrap();
    read_request(object, "asked".into(), "groq", &CHAT, stamp())
        .unwrap()
        .1
}

fn stream(events: &[Value], done: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events {
        sse::write(&mut out, event["type"].as_str(), &event.to_string());
    }
    if done {
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
    out
}

fn translate<'p>(
    egress: &dyn ProviderDialect,
    client: &dyn ClientDialect,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Vec<u8> {
    let mut framer = Framer::new(1 << 24);
    let (mut from, mut to) = (egress.stream_decoder("groq"), client.stream_encoder());
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
        .filter(|event| event.data != "[DONE]")
        .map(|event| serde_json::from_str(&event.data).unwrap())
        .collect()
}

/// Whole, byte by byte, with CRLF and in odd pieces: always the same.
fn same_however_cut(
    egress: &dyn ProviderDialect,
    client: &dyn ClientDialect,
    bytes: &[u8],
    what: &str,
) -> Vec<u8> {
    let whole = translate(egress, client, [bytes]);
    assert_eq!(
        translate(egress, client, bytes.chunks(1)),
        whole,
        "{what} byte by byte"
    );
    for size in [7, 37, 1000] {
        assert_eq!(
            translate(egress, client, bytes.chunks(size)),
            whole,
            "{what} by {size}"
        );
    }
    let crlf = String::from_utf8(bytes.to_vec())
        .unwrap()
        .replace('\n', "\r\n");
    assert_eq!(
        translate(egress, client, [crlf.as_bytes()]),
        whole,
        "{what} with CRLF"
    );
    whole
}

/// Text, calls and reasoning of a stream of chunks.
#[derive(Debug, Default, PartialEq)]
struct Said {
    text: String,
    reasoning: String,
    calls: Vec<(String, String, String)>,
    finish: Option<String>,
    usage: Option<(u64, u64)>,
}

fn said_in_chunks(chunks: &[Value]) -> Said {
    let mut said = Said::default();
    for chunk in chunks {
        let choice = &chunk["choices"][0];
        let delta = &choice["delta"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        said.text += &text(&delta["content"]);
        // One vendor writes its content in parts, thinking among them.
        for part in delta["content"].as_array().into_iter().flatten() {
            said.text += &text(&part["text"]);
            for thought in part["thinking"].as_array().into_iter().flatten() {
                said.reasoning += &text(&thought["text"]);
            }
        }
        said.reasoning += &text(&delta["reasoning_content"]);
        said.reasoning += &text(&delta["reasoning"]);
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let function = &call["function"];
            if let Some(id) = call["id"].as_str() {
                said.calls
                    .push((id.to_owned(), text(&function["name"]), String::new()));
            }
            let index = usize::try_from(call["index"].as_u64().unwrap_or(0)).unwrap();
            said.calls[index].2 += &text(&function["arguments"]);
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            said.finish = Some(reason.to_owned());
        }
        if let Some(prompt) = chunk["usage"]["prompt_tokens"].as_u64() {
            said.usage = Some((
                prompt,
                chunk["usage"]["completion_tokens"].as_u64().unwrap(),
            ));
        }
    }
    said
}

/// The same, read straight from a recording of Messages.
fn said_in_messages(events: &[Value]) -> Said {
    let mut said = Said::default();
    let mut calls: Vec<(u64, usize)> = Vec::new();
    for event in events {
        let block = &event["content_block"];
        let delta = &event["delta"];
        let index = event["index"].as_u64().unwrap_or(0);
        said.text += block["text"].as_str().unwrap_or_default();
        said.text += delta["text"].as_str().unwrap_or_default();
        said.reasoning += delta["thinking"].as_str().unwrap_or_default();
        if block["type"] == "tool_use" {
            calls.push((index, said.calls.len()));
            let text = |name: &str| block[name].as_str().unwrap().to_owned();
            said.calls.push((text("id"), text("name"), String::new()));
        }
        if let Some(part) = delta["partial_json"].as_str()
            && let Some((_, call)) = calls.iter().rev().find(|(i, _)| *i == index)
        {
            said.calls[*call].2 += part;
        }
    }
    for call in &mut said.calls {
        if call.2.is_empty() {
            call.2.push_str("{}");
        }
    }
    said
}

#[test]
fn recorded_messages_streams_become_valid_chunks_with_the_same_content() {
    let Some(folder) = recordings() else { return };
    let chunk = schema(&folder, "CreateChatCompletionStreamResponse");
    let event = schema(&folder, "ResponseStreamEvent");
    let mut compared = 0;
    for path in files(&folder.join("anthropic/main"), ".chunks.txt") {
        let what = path.file_name().unwrap().to_str().unwrap();
        let recorded = lines(&path);
        let bytes = stream(&recorded, false);
        let out = same_however_cut(&MessagesProvider, &chat_client(), &bytes, what);
        let chunks = events(&out);
        if what.starts_with("spliced") {
            assert!(chunks.last().unwrap()["error"].is_object(), "{what}");
            continue;
        }
        for one in &chunks {
            assert_valid(&chunk, one, what);
            assert_eq!(one["id"], chunks[0]["id"], "{what}");
        }
        let complete = recorded
            .iter()
            .any(|e| e["delta"]["stop_reason"].is_string());
        assert!(complete && out.ends_with(b"data: [DONE]\n\n"), "{what}");
        let (got, expected) = (said_in_chunks(&chunks), said_in_messages(&recorded));
        assert_eq!(got.text, expected.text, "{what}");
        assert_eq!(got.reasoning, expected.reasoning, "{what}");
        assert_eq!(got.calls, expected.calls, "{what}");
        for (_, _, arguments) in &got.calls {
            assert!(
                serde_json::from_str::<Value>(arguments)
                    .unwrap()
                    .is_object(),
                "{what}"
            );
        }
        assert!(got.finish.is_some() && got.usage.is_some(), "{what}");

        let out = same_however_cut(&MessagesProvider, &responses_client(), &bytes, what);
        for (n, one) in events(&out).iter().enumerate() {
            assert_valid(&event, one, what);
            assert_eq!(one["sequence_number"], n, "{what}");
        }
        compared += 1;
    }
    assert!(compared >= 12, "only {compared} streams");
}

#[test]
fn a_recorded_stream_that_ends_early_anywhere_never_looks_complete() {
    let Some(folder) = recordings() else { return };
    for path in files(&folder.join("anthropic/main"), ".chunks.txt") {
        let what = path.file_name().unwrap().to_str().unwrap();
        let recorded = lines(&path);
        let stop = recorded
            .iter()
            .position(|event| event["delta"]["stop_reason"].is_string())
            .unwrap_or(recorded.len());
        for count in 0..stop {
            let out = translate(
                &MessagesProvider,
                &chat_client(),
                [&stream(&recorded[..count], false)[..]],
            );
            let chunks = events(&out);
            assert!(
                chunks.last().unwrap()["error"].is_object(),
                "{what} after {count}"
            );
            assert!(
                !String::from_utf8_lossy(&out).contains("[DONE]"),
                "{what} after {count}"
            );
        }
    }
}

#[test]
fn recorded_messages_become_valid_completions_and_responses() {
    let Some(folder) = recordings() else { return };
    let completion = schema(&folder, "CreateChatCompletionResponse");
    let response = schema(&folder, "Response");
    let mut compared = 0;
    for path in files(&folder.join("anthropic/main"), ".json") {
        let what = path.file_name().unwrap().to_str().unwrap();
        let body = fs::read(&path).unwrap();
        let recorded: Value = serde_json::from_slice(&body).unwrap();
        if !recorded["content"].is_array() {
            continue;
        }
        let answer = MessagesProvider.decode_response(&body).unwrap();
        let out: Value = serde_json::from_str(&chat_client().encode_response(answer)).unwrap();
        assert_valid(&completion, &out, what);
        let text: String = recorded["content"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|block| block["type"] == "text")
            .map(|block| block["text"].as_str().unwrap())
            .collect();
        assert_eq!(
            out["choices"][0]["message"]["content"]
                .as_str()
                .unwrap_or_default(),
            text,
            "{what}"
        );
        let answer = MessagesProvider.decode_response(&body).unwrap();
        let out: Value = serde_json::from_str(&responses_client().encode_response(answer)).unwrap();
        assert_valid(&response, &out, what);
        compared += 1;
    }
    assert!(compared >= 10, "only {compared} answers");
}

/// Chat Completions as several providers write them.
const CHAT_FOLDERS: [&str; 5] = [
    "openai/chat",
    "deepseek/chat",
    "groq/main",
    "moonshotai/main",
    "mistral/main",
];

#[test]
fn recorded_chat_streams_become_valid_responses_with_the_same_content() {
    let Some(folder) = recordings() else { return };
    let event = schema(&folder, "ResponseStreamEvent");
    let mut compared = 0;
    for path in CHAT_FOLDERS
        .iter()
        .flat_map(|name| files(&folder.join(name), ".chunks.txt"))
    {
        let what = path.to_str().unwrap();
        let recorded = lines(&path);
        let bytes = stream(&recorded, true);
        let out = same_however_cut(&CHAT, &responses_client(), &bytes, what);
        let written = events(&out);
        for (n, one) in written.iter().enumerate() {
            assert_valid(&event, one, what);
            assert_eq!(one["sequence_number"], n, "{what}");
        }
        let expected = said_in_chunks(&recorded);
        let last = written.last().unwrap();
        let items = last["response"]["output"].as_array().unwrap();
        let text: String = items
            .iter()
            .filter_map(|item| item["content"][0]["text"].as_str())
            .collect();
        assert_eq!(text, expected.text, "{what}");
        let reasoning: String = items
            .iter()
            .filter_map(|item| item["summary"][0]["text"].as_str())
            .collect();
        assert_eq!(reasoning, expected.reasoning, "{what}");
        let calls: Vec<_> = items
            .iter()
            .filter(|item| item["type"] == "function_call")
            .map(|item| {
                let text = |name: &str| item[name].as_str().unwrap().to_owned();
                (text("call_id"), text("name"), text("arguments"))
            })
            .collect();
        assert_eq!(calls, expected.calls, "{what}");
        let usage = &last["response"]["usage"];
        let usage = usage["input_tokens"]
            .as_u64()
            .zip(usage["output_tokens"].as_u64());
        assert_eq!(usage, expected.usage, "{what}");
        compared += 1;
    }
    assert!(compared >= 6, "only {compared} streams");
}

/// What a relay makes of a stream that comes in these pieces.
fn relayed<'p>(
    mut relay: impl Relay,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> (Vec<u8>, u64) {
    let mut framer = Framer::new(1 << 24);
    let mut out = Vec::new();
    for piece in pieces {
        let events = framer.push(Bytes::copy_from_slice(piece)).unwrap();
        out.extend_from_slice(&relay.pass(events));
    }
    if relay.failure_code().is_none() {
        match relay.end(true) {
            Ok(rest) => out.extend(rest),
            Err(error) => out.extend(relay.failure(&error)),
        }
    }
    (out, relay.repaired())
}

fn is_terminal(event: &Value) -> bool {
    let kind = event["type"].as_str().unwrap_or_default();
    [
        "response.completed",
        "response.failed",
        "response.incomplete",
        "error",
    ]
    .contains(&kind)
}

/// Trap F6.
#[test]
fn recorded_responses_go_through_as_they_came_and_keep_their_ids() {
    let Some(folder) = recordings() else { return };
    let mut seen = 0;
    for path in [
        "openai/responses",
        "azure/main",
        "xai/responses",
        "open-responses/responses",
    ]
    .iter()
    .flat_map(|name| files(&folder.join(name), ".chunks.txt"))
    {
        let what = path.to_str().unwrap();
        let recorded = lines(&path);
        let Some(end) = recorded.iter().position(is_terminal) else {
            continue;
        };
        let bytes = stream(&recorded, false);
        let (out, repaired) = relayed(ResponsesRelay::new("openai"), [&bytes[..]]);
        stream_contract::responses(&out);
        // Some recordings were shortened by hand, or changed their ids when they were made.
        let numbered = recorded
            .iter()
            .enumerate()
            .all(|(n, event)| event["sequence_number"] == n);
        let dense = |event: &&Value| event["type"] == "response.output_item.added";
        let dense = recorded
            .iter()
            .filter(dense)
            .enumerate()
            .all(|(n, event)| event["output_index"] == n);
        let rotates = !numbered || !dense || what.contains("id-rotation");
        assert_eq!(repaired > 0, rotates, "{what}");
        if !rotates {
            assert_eq!(out, bytes, "{what}");
        }
        for size in [1, 7, 1000] {
            let (cut, _) = relayed(ResponsesRelay::new("openai"), bytes.chunks(size));
            assert_eq!(cut, out, "{what} by {size}");
        }
        // Every cut of a short stream, and as many of a long one.
        for n in (1..end).step_by(end / 40 + 1) {
            let part = stream(&recorded[..n], false);
            let (out, _) = relayed(ResponsesRelay::new("openai"), [&part[..]]);
            let last = stream_contract::responses(&out);
            assert_eq!(last["status"], "failed", "{what} cut at {n}");
        }
        seen += 1;
    }
    assert!(seen >= 15, "only {seen} streams");
}

#[test]
fn recorded_chunks_are_relayed_with_the_same_content_and_keep_the_contract() {
    let Some(folder) = recordings() else { return };
    let schema = schema(&folder, "CreateChatCompletionStreamResponse");
    let mut seen = 0;
    for (name, provider) in [
        ("mistral/main", "mistral"),
        ("groq/main", "groq"),
        ("moonshotai/main", "kimi"),
        ("deepseek/chat", "deepseek"),
        ("openai/chat", "azure"),
    ] {
        let ChatApi::Chat(chat) = by_name(provider).unwrap().chat_api else {
            unreachable!()
        };
        for path in files(&folder.join(name), ".chunks.txt") {
            let what = path.to_str().unwrap();
            let recorded = lines(&path);
            let new = || ChatRelay::new(chat, provider, chat_client());
            let bytes = stream(&recorded, true);
            let (out, _) = relayed(new(), [&bytes[..]]);
            let said = stream_contract::chat(&out);
            let expected = said_in_chunks(&recorded);
            assert_eq!(said.text, expected.text, "{what}");
            assert_eq!(said.reasoning, expected.reasoning, "{what}");
            assert_eq!(said.calls.len(), expected.calls.len(), "{what}");
            for (said, expected) in said.calls.iter().zip(&expected.calls) {
                assert_eq!((&said.0, &said.1), (&expected.0, &expected.1), "{what}");
                let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
                assert_eq!(json(&said.2), json(&expected.2), "{what}");
            }
            assert_eq!(said.finish, expected.finish, "{what}");
            let usage = said
                .usage
                .map(|(prompt, completion, _)| (prompt, completion));
            assert_eq!(usage, expected.usage, "{what}");
            for mut chunk in events(&out) {
                // OpenAI itself sends null here, which its schema forbids.
                if chunk["system_fingerprint"].is_null() {
                    chunk.as_object_mut().unwrap().remove("system_fingerprint");
                }
                assert_valid(&schema, &chunk, what);
            }
            for size in [1, 7, 37, 1000] {
                let (cut, _) = relayed(new(), bytes.chunks(size));
                assert_eq!(cut, out, "{what} by {size}");
            }
            let crlf = String::from_utf8(bytes.clone())
                .unwrap()
                .replace('\n', "\r\n");
            let (other, _) = relayed(new(), [crlf.as_bytes()]);
            let clean = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("\r\n", "\n");
            assert_eq!(clean(&other), clean(&out), "{what} with CRLF");
            // Nothing that a vendor says beside is lost.
            let vendor = |chunks: &[Value], name: &str| {
                chunks
                    .iter()
                    .filter(|chunk| chunk.get(name).is_some())
                    .count()
            };
            for name in ["x_groq", "prompt_filter_results"] {
                let told = vendor(&events(&out), name);
                assert_eq!(told, vendor(&recorded, name), "{what}: {name}");
            }
            // A provider's own end is needed.
            let finish = recorded
                .iter()
                .position(|chunk| chunk["choices"][0]["finish_reason"].is_string())
                .unwrap();
            for n in 0..=finish {
                let part = stream(&recorded[..n], false);
                let (out, _) = relayed(new(), [&part[..]]);
                let said = stream_contract::chat(&out);
                let code = Some("upstream_stream_truncated".to_owned());
                assert_eq!(said.error, code, "{what} cut at {n}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 10, "only {seen} streams");
}

/// What a recorded response says in the end.
fn said_in_response(response: &Value) -> Said {
    let mut said = Said::default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut thoughts = Vec::new();
    for item in response["output"].as_array().into_iter().flatten() {
        match item["type"].as_str().unwrap_or_default() {
            "message" => {
                for part in item["content"].as_array().into_iter().flatten() {
                    said.text += &text(&part["text"]);
                }
            }
            "reasoning" => {
                for part in item["summary"].as_array().into_iter().flatten() {
                    thoughts.push(text(&part["text"]));
                }
                for part in item["content"].as_array().into_iter().flatten() {
                    thoughts.push(text(&part["text"]));
                }
            }
            "function_call" => said.calls.push((
                text(&item["call_id"]),
                text(&item["name"]),
                text(&item["arguments"]),
            )),
            _ => {}
        }
    }
    said.reasoning = thoughts.join("\n\n");
    let usage = &response["usage"];
    said.usage = usage["input_tokens"]
        .as_u64()
        .zip(usage["output_tokens"].as_u64());
    said
}

#[test]
fn recorded_responses_become_valid_chunks_with_the_same_content() {
    let Some(folder) = recordings() else { return };
    let chunk = schema(&folder, "CreateChatCompletionStreamResponse");
    let whole = schema(&folder, "CreateChatCompletionResponse");
    let mut seen = 0;
    for path in ["openai/responses", "azure/main", "xai/responses"]
        .iter()
        .flat_map(|name| files(&folder.join(name), ".chunks.txt"))
    {
        let what = path.to_str().unwrap();
        let recorded = lines(&path);
        let last = recorded.iter().find(|event| is_terminal(event));
        let Some(last) = last.filter(|event| event["type"] != "error") else {
            continue;
        };
        // Some recordings were shortened by hand: their deltas are not the whole.
        let numbered = |(n, event): (usize, &Value)| event["sequence_number"] == n;
        if last["type"] == "response.failed" || !recorded.iter().enumerate().all(numbered) {
            continue;
        }
        let bytes = stream(&recorded, false);
        let out = translate(&ResponsesProvider, &chat_client(), [&bytes[..]]);
        let said = stream_contract::chat(&out);
        let expected = said_in_response(&last["response"]);
        assert_eq!(said.text, expected.text, "{what}");
        assert_eq!(said.calls, expected.calls, "{what}");
        let told = |text: &str| text.replace('\n', "");
        assert_eq!(told(&said.reasoning), told(&expected.reasoning), "{what}");
        let usage = said
            .usage
            .map(|(prompt, completion, _)| (prompt, completion));
        assert_eq!(usage, expected.usage, "{what}");
        for one in events(&out) {
            assert_valid(&chunk, &one, what);
        }
        for size in [1, 37] {
            let cut = translate(&ResponsesProvider, &chat_client(), bytes.chunks(size));
            assert_eq!(cut, out, "{what} by {size}");
        }
        let end = recorded.iter().position(is_terminal).unwrap();
        for n in (1..end).step_by(end / 40 + 1) {
            let part = stream(&recorded[..n], false);
            let out = translate(&ResponsesProvider, &chat_client(), [&part[..]]);
            let said = stream_contract::chat(&out);
            let code = Some("upstream_stream_truncated".to_owned());
            assert_eq!(said.error, code, "{what} cut at {n}");
        }
        let answer = ResponsesProvider
            .decode_response(last["response"].to_string().as_bytes())
            .unwrap();
        let answer: Value = serde_json::from_str(&chat_client().encode_response(answer)).unwrap();
        assert_valid(&whole, &answer, what);
        let message = &answer["choices"][0]["message"];
        assert_eq!(
            message["content"].as_str().unwrap_or_default(),
            expected.text,
            "{what}"
        );
        seen += 1;
    }
    assert!(seen >= 12, "only {seen} streams");
}

#[test]
fn recorded_whole_answers_are_mended_into_valid_ones() {
    let Some(folder) = recordings() else { return };
    let schema = schema(&folder, "CreateChatCompletionResponse");
    let mut seen = 0;
    for (name, provider) in [
        ("mistral/main", "mistral"),
        ("groq/main", "groq"),
        ("moonshotai/main", "kimi"),
        ("deepseek/chat", "deepseek"),
        ("openai/chat", "openai"),
    ] {
        let ChatApi::Chat(chat) = by_name(provider).unwrap().chat_api else {
            unreachable!()
        };
        for path in files(&folder.join(name), ".json") {
            let what = path.to_str().unwrap();
            let body = fs::read(&path).unwrap();
            let theirs: Value = serde_json::from_slice(&body).unwrap();
            if theirs.get("choices").is_none() {
                continue;
            }
            let mended = repair(&body, chat, &chat_client()).unwrap();
            let ours = mended.body.map_or(theirs.clone(), |body| {
                serde_json::from_slice::<Value>(&body).unwrap()
            });
            let mut known = ours.clone();
            // A tier of the vendor's own is left as it is.
            if known["service_tier"] == "on_demand" {
                known["service_tier"] = json!("default");
            }
            assert_valid(&schema, &known, what);
            let (was, is) = (&theirs["choices"][0], &ours["choices"][0]);
            let text = |choice: &Value| choice["message"]["content"].as_str().map(str::to_owned);
            if let Some(text_was) = text(was) {
                assert_eq!(text(is), Some(text_was), "{what}");
            } else {
                assert!(
                    is["message"]["content"].is_string() || was["message"]["content"].is_null()
                );
            }
            let mut calls = was["message"]["tool_calls"].clone();
            for call in calls.as_array_mut().into_iter().flatten() {
                call["type"] = json!("function");
            }
            let told = is["message"].get("tool_calls").unwrap_or(&Value::Null);
            assert_eq!(*told, calls, "{what}");
            for (member, value) in theirs.as_object().unwrap() {
                let ours = ours.get(member);
                assert!(ours.is_some(), "{what}: {member} is gone");
                if !["choices", "usage"].contains(&member.as_str()) {
                    assert_eq!(ours, Some(value), "{what}");
                }
            }
            seen += 1;
        }
    }
    assert!(seen >= 10, "only {seen} answers");
}

#[test]
fn recorded_errors_say_what_they_are() {
    let Some(folder) = recordings() else { return };
    let body = fs::read(folder.join("google/main/google-429-retry-info.json")).unwrap();
    let error = read_error(429, &body);
    assert_eq!(error.kind, "rate_limit_error");
    assert!(!error.message.is_empty());
    let body =
        fs::read(folder.join("openai/responses/reasoning-model-temperature-error.json")).unwrap();
    let error = read_error(400, &body);
    assert_eq!(error.param.as_deref(), Some("temperature"));
}
