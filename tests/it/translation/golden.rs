//! Golden files, one a case: what goes in, and what comes out of a translation or a relay.
//!
//! `UPDATE_GOLDEN=1` writes what the code gives; the difference is to be read against the
//! specification.

use std::fs;
use std::path::{Path, PathBuf};

use crate::rig::stream_contract;
use ai_gateway::codec::json::Object;
use ai_gateway::codec::sse;
use ai_gateway::dialect::hub::NoReasoningCache;
use ai_gateway::dialect::openai::{ChatClient, ChatRelay, read_request, repair};
use ai_gateway::dialect::responses::{self, ResponsesProvider};
use ai_gateway::dialect::{ClientDialect, ProviderDialect, Relay, Stamp, TranslationReport};
use ai_gateway::providers::{ChatApi, Provider, by_name};
use bytes::Bytes;
use serde_json::{Value, json};

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

fn cases(folder: &str, kind: &str) -> Vec<(PathBuf, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(folder);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(kind)
        })
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no {kind} in {}", folder.display());
    paths
        .into_iter()
        .map(|path| {
            let case = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            (path, case)
        })
        .collect()
}

/// Compares what came out, or writes it down.
fn settle(path: &Path, mut case: Value, out: &Value) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        case["out"] = out.clone();
        fs::write(path, serde_json::to_string_pretty(&case).unwrap() + "\n").unwrap();
        return;
    }
    let name = path.file_stem().unwrap().to_str().unwrap();
    assert_eq!(&case["out"], out, "{name}: {out:#}");
}

fn provider(case: &Value) -> &'static Provider {
    by_name(case["provider"].as_str().unwrap_or("groq")).unwrap()
}

/// The events of a recorded input, as bytes.
fn written(events: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events.as_array().unwrap() {
        match event.as_str() {
            Some(text) => sse::write(&mut out, None, text),
            None => sse::write(&mut out, event["type"].as_str(), &event.to_string()),
        }
    }
    out
}

/// The data of events, as JSON where it is.
fn read(out: &[u8]) -> Value {
    sse::events(out)
        .map(|event| {
            serde_json::from_str(&event.data).unwrap_or_else(|_| Value::String(event.data.into()))
        })
        .collect()
}

fn translated(from: &dyn ProviderDialect, client: &dyn ClientDialect, events: &Value) -> Vec<u8> {
    let (mut from, mut to) = (from.stream_decoder("groq"), client.stream_encoder());
    let (mut steps, mut out) = (Vec::new(), Vec::new());
    for event in sse::events(&written(events)) {
        from.push(&event, &mut steps);
    }
    from.finish(&mut steps);
    for step in steps {
        to.push(step, &mut out);
    }
    out
}

fn report(body: &[u8], report: &TranslationReport) -> Value {
    json!({
        "body": serde_json::from_slice::<Value>(body).unwrap(),
        "dropped": report.dropped,
        "changed": report.changed,
    })
}

#[test]
fn responses_requests_become_chat_requests() {
    for (path, case) in cases("responses", "request_") {
        let text = case["in"].to_string();
        let object = Object::from_body(text.as_bytes()).unwrap();
        let provider = provider(&case);
        let model = case["in"]["model"].as_str().unwrap().to_owned();
        let to = provider.dialect();
        let (mut request, _) =
            responses::read_request(object, model.into(), provider.name, to, stamp()).unwrap();
        let done = to.encode_request(&mut request, &NoReasoningCache).unwrap();
        settle(&path, case, &report(&done.body, &done.report));
    }
}

#[test]
fn chunks_become_responses_events() {
    for (path, case) in cases("responses", "stream_") {
        let text = case["request"].to_string();
        let object = Object::from_body(text.as_bytes()).unwrap();
        let provider = provider(&case);
        let to = provider.dialect();
        let (_, client) =
            responses::read_request(object, "asked".into(), provider.name, to, stamp()).unwrap();
        let out = translated(to, &client, &case["in"]);
        stream_contract::responses(&out);
        settle(&path, case, &read(&out));
    }
}

#[test]
fn chat_requests_become_responses_requests() {
    for (path, case) in cases("bridge", "request_") {
        let text = case["in"].to_string();
        let object = Object::from_body(text.as_bytes()).unwrap();
        let mut request = read_request(object, "gpt-5.6".into()).unwrap();
        let done = ResponsesProvider
            .encode_request(&mut request, &NoReasoningCache)
            .unwrap();
        settle(&path, case, &report(&done.body, &done.report));
    }
}

#[test]
fn responses_events_become_chunks() {
    for (path, case) in cases("bridge", "stream_") {
        let out = translated(&ResponsesProvider, &chat_client(), &case["in"]);
        stream_contract::chat(&out);
        settle(&path, case, &read(&out));
    }
}

#[test]
fn chat_requests_are_edited_for_their_provider() {
    for (path, case) in cases("relay", "request_") {
        let text = case["in"].to_string();
        let mut object = Object::from_body(text.as_bytes()).unwrap();
        let ChatApi::Chat(chat) = provider(&case).chat_api else {
            panic!("{path:?} names no chat provider")
        };
        let mut done = TranslationReport::default();
        let model = case["in"]["model"].as_str().unwrap().to_owned();
        chat.edit(&mut object, &model, &NoReasoningCache, &mut done)
            .unwrap();
        done.dedup();
        let body = serde_json::to_vec(&object).unwrap();
        settle(&path, case, &report(&body, &done));
    }
}

#[test]
fn streams_are_repaired_on_their_way() {
    for (path, case) in cases("relay", "stream_") {
        let provider = provider(&case);
        let ChatApi::Chat(chat) = provider.chat_api else {
            panic!("{path:?} names no chat provider")
        };
        let mut relay = ChatRelay::new(chat, provider.name, chat_client());
        let mut out = relay.pass(Bytes::from(written(&case["in"]))).to_vec();
        if relay.failure_code().is_none() {
            match relay.end(true) {
                Ok(rest) => out.extend(rest),
                Err(error) => out.extend(relay.failure(&error)),
            }
        }
        stream_contract::chat(&out);
        settle(&path, case, &read(&out));
    }
}

#[test]
fn whole_answers_are_repaired_on_their_way() {
    for (path, case) in cases("relay", "answer_") {
        let ChatApi::Chat(chat) = provider(&case).chat_api else {
            panic!("{path:?} names no chat provider")
        };
        let body = case["in"].to_string();
        let mended = repair(body.as_bytes(), chat, &chat_client()).unwrap();
        let out = mended.body.unwrap_or_else(|| body.into_bytes());
        let out: Value = serde_json::from_slice(&out).unwrap();
        settle(&path, case, &out);
    }
}
