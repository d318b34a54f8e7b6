//! The contracts of the two kinds of streams, checked independently of the code that keeps them.

use ai_gateway::codec::sse;
use serde_json::Value;

/// What a stream of chunks said, after its contract was checked.
#[derive(Debug, Default, PartialEq)]
pub struct Said {
    pub text: String,
    pub reasoning: String,
    /// Id, name, arguments.
    pub calls: Vec<(String, String, String)>,
    pub finish: Option<String>,
    pub usage: Option<(u64, u64, u64)>,
    /// The code of the error that ended it.
    pub error: Option<String>,
}

/// Checks a whole stream of Chat Completions chunks of one choice.
pub fn chat(out: &[u8]) -> Said {
    let mut said = Said::default();
    let mut first: Option<Value> = None;
    let (mut done, mut role) = (false, false);
    for event in sse::events(out) {
        let data = event.data.as_ref();
        assert!(!done && said.error.is_none(), "after the end: {data}");
        if data == "[DONE]" {
            assert!(said.finish.is_some(), "[DONE] without a finish");
            done = true;
            continue;
        }
        let chunk: Value = serde_json::from_str(data).unwrap();
        if chunk["error"].is_object() {
            for member in ["message", "type", "param", "code"] {
                assert!(chunk["error"].get(member).is_some(), "{chunk}");
            }
            let code = chunk["error"]["code"].as_str().unwrap_or("null");
            said.error = Some(code.to_owned());
            continue;
        }
        assert_eq!(chunk["object"], "chat.completion.chunk", "{chunk}");
        let first = first.get_or_insert_with(|| chunk.clone());
        for member in ["id", "created", "model"] {
            assert_eq!(chunk[member], first[member], "{chunk}");
        }
        assert!(!chunk["id"].as_str().unwrap().is_empty());
        assert!(chunk["created"].as_u64().unwrap() > 0);
        let choices = chunk["choices"].as_array().unwrap();
        if choices.is_empty() {
            let usage = &chunk["usage"];
            // Only for what a vendor said beside, and nothing follows it.
            if usage.is_null() {
                assert!(chunk.as_object().unwrap().len() > 5, "{chunk}");
                assert!(said.finish.is_some(), "{chunk}");
                continue;
            }
            assert!(said.usage.is_none(), "the tokens twice: {chunk}");
            let number = |name: &str| usage[name].as_u64().unwrap();
            assert!(said.finish.is_some(), "the tokens before the finish");
            said.usage = Some((
                number("prompt_tokens"),
                number("completion_tokens"),
                number("total_tokens"),
            ));
            continue;
        }
        assert!(said.usage.is_none(), "after the tokens: {chunk}");
        for choice in choices {
            assert_eq!(choice["index"], 0, "{chunk}");
            let delta = &choice["delta"];
            assert!(delta.is_object(), "{chunk}");
            assert_eq!(delta.get("role").is_some(), !role, "role in {chunk}");
            role = true;
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let content = delta.get("content").unwrap_or(&Value::Null);
            assert!(content.is_null() || content.is_string(), "{chunk}");
            said.text += &text(content);
            said.reasoning += &text(&delta["reasoning_content"]);
            for call in delta["tool_calls"].as_array().into_iter().flatten() {
                let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
                let function = &call["function"];
                if index == said.calls.len() {
                    assert_eq!(call["type"], "function", "{chunk}");
                    let (id, name) = (text(&call["id"]), text(&function["name"]));
                    assert!(!id.is_empty() && !name.is_empty(), "{chunk}");
                    assert!(
                        said.calls.iter().all(|(known, _, _)| *known != id),
                        "{chunk}"
                    );
                    said.calls.push((id, name, String::new()));
                } else {
                    assert!(call.get("id").is_none(), "{chunk}");
                    if let Some(more) = function.get("name") {
                        // A name may come in pieces.
                        let more = text(more);
                        let name = &mut said.calls[index].1;
                        assert!(!more.is_empty() && more != *name, "{chunk}");
                        name.push_str(&more);
                    }
                }
                said.calls[index].2 += function["arguments"].as_str().unwrap();
            }
            if let Some(reason) = choice["finish_reason"].as_str() {
                assert!(said.finish.is_none(), "a second finish: {chunk}");
                let known = ["stop", "length", "tool_calls", "content_filter"];
                assert!(known.contains(&reason), "{chunk}");
                said.finish = Some(reason.to_owned());
            }
        }
    }
    assert!(done || said.error.is_some(), "it ended without a word");
    // A limit or a filter may leave calls.
    if done && !matches!(said.finish.as_deref(), Some("length" | "content_filter")) {
        assert_eq!(
            said.finish.as_deref() == Some("tool_calls"),
            !said.calls.is_empty()
        );
    }
    said
}

/// Checks a whole stream of Responses events; gives its last response, if it has one.
pub fn responses(out: &[u8]) -> Value {
    let mut open: Vec<(u64, Value)> = Vec::new();
    let mut ids: Vec<Value> = Vec::new();
    let mut number: Option<u64> = None;
    let mut last = Value::Null;
    let mut id = Value::Null;
    let (mut over, mut erred) = (false, false);
    for event in sse::events(out) {
        if event.data == "[DONE]" {
            assert!(over);
            continue;
        }
        let data: Value = serde_json::from_str(&event.data).unwrap();
        let kind = data["type"].as_str().unwrap();
        assert_eq!(event.name.as_deref(), Some(kind));
        let now = data["sequence_number"].as_u64().unwrap();
        assert!(number.is_none_or(|number| now == number + 1), "{data}");
        number = Some(now);
        assert!(
            !over && (!erred || kind == "response.failed"),
            "after the end: {data}"
        );
        if data["response"].is_object() {
            if id.is_null() {
                id = data["response"]["id"].clone();
            }
            assert_eq!(data["response"]["id"], id);
            last = data["response"].clone();
        }
        let at = data["output_index"].as_u64();
        match kind {
            "response.output_item.added" => {
                let at = at.unwrap();
                assert_eq!(
                    usize::try_from(at).unwrap(),
                    ids.len(),
                    "indexes are dense: {data}"
                );
                ids.push(data["item"]["id"].clone());
                open.push((at, data["item"]["id"].clone()));
            }
            "response.output_item.done" => {
                let item = &data["item"]["id"];
                let known = open.iter().position(|(i, id)| Some(*i) == at && id == item);
                open.remove(known.unwrap_or_else(|| panic!("not open: {data}")));
            }
            "response.completed" | "response.incomplete" => {
                assert!(open.is_empty(), "still open at {kind}: {open:?}");
                let output = data["response"]["output"].as_array().unwrap();
                let told: Vec<_> = output.iter().map(|item| item["id"].clone()).collect();
                assert_eq!(told, ids, "{data}");
                over = true;
            }
            "response.failed" => over = true,
            "error" => erred = true,
            _ => {
                if let Some(item) = data.get("item_id") {
                    assert!(
                        open.iter().any(|(i, id)| Some(*i) == at && id == item),
                        "not open: {data}"
                    );
                }
            }
        }
    }
    assert!(over || erred, "it ended without a word");
    last
}
