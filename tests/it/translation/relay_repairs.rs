//! Streams and answers that providers write in ways of their own, and what reaches the client.

use std::fmt::Write as _;

use crate::rig::stream_contract::{self, Said};
use crate::rig::{Answer, Gateway, always, config, gateway, keyed};
use ai_gateway::scripted::{Script, Scripted, Step};
use serde_json::{Value, json};

fn ask(model: &str) -> Value {
    json!({"model": model, "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "Hi"}]})
}

fn chunk(choice: Value) -> Value {
    json!({"id": "c1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m",
        "choices": [choice]})
}

fn delta(delta: Value) -> Value {
    chunk(json!({"index": 0, "delta": delta, "finish_reason": null}))
}

fn finish(reason: &str) -> Value {
    chunk(json!({"index": 0, "delta": {}, "finish_reason": reason}))
}

fn script(chunks: &[Value]) -> Script {
    let mut script = Script::stream();
    for chunk in chunks {
        script = script.chunk(format!("data: {chunk}\n\n"));
    }
    script
}

/// These chunks and the mark of the end, as the provider writes them.
fn written(chunks: &[Value]) -> String {
    let mut out = String::new();
    for chunk in chunks {
        let _ = write!(out, "data: {chunk}\n\n");
    }
    out + "data: [DONE]\n\n"
}

/// What a chat client gets of a provider that streams these chunks.
async fn relayed(model: &str, chunks: &[Value]) -> (Said, Answer) {
    let (_server, gateway) = always(script(chunks).chunk("data: [DONE]\n\n").end());
    let answer = gateway.chat(ask(model)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    (stream_contract::chat(&answer.body), answer)
}

/// The calls that a Responses client gets of the same.
async fn as_response(model: &str, chunks: &[Value]) -> Vec<(String, String, String)> {
    let (_server, gateway) = always(script(chunks).chunk("data: [DONE]\n\n").end());
    let answer = gateway
        .responses(json!({"model": model, "stream": true, "input": "Hi"}))
        .await;
    let response = stream_contract::responses(&answer.body);
    let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
    response["output"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["type"] == "function_call")
        .map(|item| {
            (
                text(item, "call_id"),
                text(item, "name"),
                text(item, "arguments"),
            )
        })
        .collect()
}

fn fragment(call: Value) -> Value {
    delta(json!({"tool_calls": [call]}))
}

fn call(id: &str, name: &str, arguments: &str) -> (String, String, String) {
    (id.to_owned(), name.to_owned(), arguments.to_owned())
}

/// Trap A1.
#[actix_web::test]
async fn interleaved_calls_stay_apart() {
    let chunks = [
        fragment(
            json!({"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}),
        ),
        fragment(
            json!({"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}),
        ),
        fragment(json!({"index": 0, "function": {"arguments": "{\"x\""}})),
        fragment(json!({"index": 1, "function": {"arguments": "{\"y\""}})),
        fragment(json!({"index": 0, "function": {"arguments": ":1}"}})),
        fragment(json!({"index": 1, "function": {"arguments": ":2}"}})),
        finish("tool_calls"),
    ];
    let calls = vec![call("a", "f", "{\"x\":1}"), call("b", "g", "{\"y\":2}")];
    let (said, answer) = relayed("openai/m", &chunks).await;
    assert_eq!(said.calls, calls);
    // Nothing is wrong with these, so every byte is the provider's but for the role.
    assert!(answer.text().contains(&format!("data: {}\n\n", chunks[3])));
    assert_eq!(as_response("gemini/m", &chunks).await, calls);
}

/// Trap A2.
#[actix_web::test]
async fn calls_that_share_an_index_stay_apart() {
    apart(json!(0)).await;
}

/// Trap A3.
#[actix_web::test]
async fn calls_without_an_index_stay_apart() {
    apart(Value::Null).await;
}

/// Two whole calls, each with this index.
async fn apart(index: Value) {
    let whole = |id: &str, name: &str| {
        let mut call = json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{\"x\":1}"}});
        if !index.is_null() {
            call["index"] = index.clone();
        }
        fragment(call)
    };
    for ids in [["a", "b"], ["", ""]] {
        let chunks = [whole(ids[0], "f"), whole(ids[1], "g"), finish("stop")];
        for model in ["gemini/gemini-2.5-pro", "vertex/m", "groq/m"] {
            let (said, _) = relayed(model, &chunks).await;
            assert_eq!(said.calls.len(), 2, "{index} {ids:?}");
            for (got, name) in said.calls.iter().zip(["f", "g"]) {
                assert_eq!((got.1.as_str(), got.2.as_str()), (name, "{\"x\":1}"));
            }
            if ids[0] == "a" {
                assert_eq!(
                    (said.calls[0].0.as_str(), said.calls[1].0.as_str()),
                    ("a", "b")
                );
            }
            assert_eq!(said.finish.as_deref(), Some("tool_calls"));
        }
        assert_eq!(as_response("gemini/m", &chunks).await.len(), 2);
    }
}

/// Trap A4.
#[actix_web::test]
async fn fragments_without_id_and_name_belong_to_the_last_call() {
    let chunks = [
        fragment(
            json!({"id": "a", "type": "function", "function": {"name": "f", "arguments": "{"}}),
        ),
        fragment(json!({"function": {"arguments": "}"}})),
        fragment(
            json!({"id": "b", "type": "function", "function": {"name": "g", "arguments": "{\"y\""}}),
        ),
        fragment(json!({"function": {"name": "", "arguments": ":2}"}})),
        finish("tool_calls"),
    ];
    let calls = vec![call("a", "f", "{}"), call("b", "g", "{\"y\":2}")];
    assert_eq!(relayed("mistral/m", &chunks).await.0.calls, calls);
    assert_eq!(as_response("cohere/m", &chunks).await, calls);
}

/// Trap A7.
#[actix_web::test]
async fn a_call_without_arguments_has_an_empty_object() {
    for arguments in [json!(""), Value::Null] {
        let begin = json!({"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}});
        let mut with_finish = chunk(
            json!({"index": 0, "delta": {"role": "assistant", "tool_calls": [begin.clone()]}, "finish_reason": "tool_calls"}),
        );
        with_finish["usage"] =
            json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2});
        for chunks in [
            vec![fragment(begin), finish("tool_calls")],
            vec![with_finish],
        ] {
            let (said, _) = relayed("groq/m", &chunks).await;
            assert_eq!(said.calls, [call("a", "f", "{}")]);
            assert_eq!(
                as_response("kimi-k2", &chunks).await,
                [call("a", "f", "{}")]
            );
        }
    }
}

/// Trap A9.
#[actix_web::test]
async fn a_turn_of_calls_never_ends_as_an_ordinary_one() {
    for reason in ["stop", "", "STOP"] {
        let chunks = [
            fragment(
                json!({"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}),
            ),
            finish(reason),
        ];
        let (said, answer) = relayed("xai/m", &chunks).await;
        assert_eq!(
            said.finish.as_deref(),
            Some("tool_calls"),
            "{reason}: {}",
            answer.text()
        );
        let whole = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
            "message": {"role": "assistant", "content": null, "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            "finish_reason": reason}]});
        let (_server, gateway) = always(Script::json(200, &whole));
        let mut body = ask("xai/m");
        body["stream"] = json!(false);
        let answer = gateway.chat(body).await.json();
        assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    }
    // And one without calls never as a turn of calls.
    let (said, _) = relayed(
        "xai/m",
        &[delta(json!({"content": "a"})), finish("tool_calls")],
    )
    .await;
    assert_eq!(said.finish.as_deref(), Some("stop"));
}

/// Trap A10.
#[actix_web::test]
async fn a_streamed_tool_use_is_the_same_as_a_whole_one() {
    let (_server, gateway) = gateway();
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]);
    let mut body = ask("claude-opus-5-5");
    body["tools"] = tools;
    let streamed = stream_contract::chat(&gateway.chat(body.clone()).await.body);
    body["stream"] = json!(false);
    let whole = gateway.chat(body).await.json();
    let choice = &whole["choices"][0];
    assert_eq!(choice["finish_reason"], streamed.finish.as_deref().unwrap());
    assert_eq!(streamed.finish.as_deref(), Some("tool_calls"));
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["function"]["name"], streamed.calls[0].1);
    assert_eq!(call["function"]["arguments"], streamed.calls[0].2);
}

/// Trap A12.
#[actix_web::test]
async fn the_first_fragment_of_a_call_says_all_there_is() {
    let chunks = [
        fragment(json!({"index": 0, "function": {"arguments": "{\"x\""}})),
        fragment(json!({"index": 0, "id": "", "function": {"name": "f"}})),
        fragment(json!({"index": 0, "id": "null", "function": {"name": "", "arguments": ":1}"}})),
        fragment(json!({"index": 1, "id": "b", "function": {"name": "g", "arguments": {"y": 2}}})),
        finish("tool_calls"),
    ];
    let (said, _) = relayed("mistral/m", &chunks).await;
    let calls: Vec<_> = said
        .calls
        .iter()
        .map(|c| (c.1.as_str(), c.2.as_str()))
        .collect();
    assert_eq!(calls, [("f", "{\"x\":1}"), ("g", "{\"y\":2}")]);
    assert_eq!(said.calls[1].0, "b");
}

/// Trap B1.
#[actix_web::test]
async fn the_chunk_of_the_tokens_has_no_choices() {
    let (_server, gateway) = gateway();
    for model in ["claude-opus-5-5", "groq/m", "mistral/m"] {
        let answer = gateway.chat(ask(model)).await;
        let said = stream_contract::chat(&answer.body);
        assert!(said.usage.is_some(), "{model}");
        let last = answer.events().pop().unwrap();
        assert_eq!(last["choices"], json!([]), "{model}");
    }
}

const USAGE: fn() -> Value =
    || json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});

/// Trap B2.
#[actix_web::test]
async fn the_tokens_come_once_and_last_wherever_they_came() {
    let mut on_finish = finish("stop");
    on_finish["usage"] = USAGE();
    let mut alone = chunk(json!({}));
    alone["choices"] = json!([]);
    alone["usage"] = USAGE();
    let mut cumulative = delta(json!({"content": "a"}));
    cumulative["usage"] = json!({"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4});
    let in_choice =
        chunk(json!({"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE()}));
    let mut elsewhere = finish("stop");
    elsewhere["x_groq"] = json!({"id": "r", "usage": USAGE()});
    let mut behind = delta(json!({"content": ""}));
    behind["usage"] = USAGE();
    let text = delta(json!({"content": "a"}));
    for (what, chunks) in [
        ("on the finish", vec![text.clone(), on_finish.clone()]),
        ("on each", vec![cumulative.clone(), on_finish.clone()]),
        ("alone", vec![text.clone(), finish("stop"), alone.clone()]),
        (
            "before the finish",
            vec![text.clone(), alone.clone(), finish("stop")],
        ),
        ("in the choice", vec![text.clone(), in_choice]),
        ("in a vendor's member", vec![text.clone(), elsewhere]),
        (
            "behind the finish",
            vec![text.clone(), finish("stop"), behind],
        ),
    ] {
        let (said, answer) = relayed("groq/m", &chunks).await;
        assert_eq!(said.usage, Some((3, 2, 5)), "{what}: {}", answer.text());
        assert_eq!(
            (said.text.as_str(), said.finish.as_deref()),
            ("a", Some("stop")),
            "{what}"
        );
        assert_eq!(
            answer.text().matches("\"prompt_tokens\":3").count(),
            if what.starts_with("in") { 2 } else { 1 }
        );
    }
    // Nobody asked: no chunk of tokens alone.
    let (_server, gateway) = always(
        script(&[text, finish("stop"), alone])
            .chunk("data: [DONE]\n\n")
            .end(),
    );
    let mut body = ask("groq/m");
    body.as_object_mut().unwrap().remove("stream_options");
    let answer = gateway.chat(body).await;
    assert_eq!(stream_contract::chat(&answer.body).usage, None);
}

/// Trap B3.
#[actix_web::test]
async fn reasoning_that_was_left_out_of_the_count_is_in_it() {
    let mut last = finish("stop");
    last["usage"] = json!({"prompt_tokens": 307, "completion_tokens": 26, "total_tokens": 560,
        "prompt_tokens_details": {"cached_tokens": 306}, "completion_tokens_details": {"reasoning_tokens": 227}});
    let (said, _) = relayed("xai/m", &[delta(json!({"content": "a"})), last.clone()]).await;
    assert_eq!(said.usage, Some((307, 253, 560)));
    let mut whole = chunk(
        json!({"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}),
    );
    whole["object"] = json!("chat.completion");
    whole["usage"] = last["usage"].clone();
    let (_server, gateway) = always(Script::json(200, &whole));
    let mut body = ask("xai/m");
    body["stream"] = json!(false);
    assert_eq!(
        gateway.chat(body).await.json()["usage"]["completion_tokens"],
        253
    );
}

/// Trap B4.
#[actix_web::test]
async fn a_stream_without_tokens_or_mark_has_its_end() {
    for (model, done) in [("openai/m", false), ("groq/m", true)] {
        let mut script = script(&[delta(json!({"content": "a"})), finish("stop")]);
        if done {
            script = script.chunk("data: [DONE]\n\n");
        }
        let (_server, gateway) = always(script.end());
        let said = stream_contract::chat(&gateway.chat(ask(model)).await.body);
        assert_eq!(
            (said.finish.as_deref(), said.usage, said.error),
            (Some("stop"), None, None)
        );
    }
}

/// Trap B5.
#[actix_web::test]
async fn reasoning_is_closed_before_the_text_opens() {
    for name in ["reasoning_content", "reasoning"] {
        let chunks = [
            delta(json!({name: "Hm"})),
            delta(json!({name: ".", "content": null})),
            delta(json!({"content": "Yes"})),
            finish("stop"),
        ];
        let (said, answer) = relayed("groq/m", &chunks).await;
        assert_eq!(
            (said.reasoning.as_str(), said.text.as_str()),
            ("Hm.", "Yes")
        );
        // The vendor's own member stays beside ours.
        assert_eq!(answer.text().matches(&format!("\"{name}\"")).count(), 2);
        let (_server, gateway) = always(script(&chunks).chunk("data: [DONE]\n\n").end());
        let answer = gateway
            .responses(json!({"model": "kimi-k2", "stream": true, "input": "Hi", "reasoning": {"summary": "auto"}}))
            .await;
        let response = stream_contract::responses(&answer.body);
        assert_eq!(response["output"][0]["summary"][0]["text"], "Hm.");
        let kinds: Vec<_> = answer
            .events()
            .iter()
            .map(|event| event["type"].as_str().unwrap().to_owned())
            .collect();
        let at = |kind: &str| kinds.iter().position(|k| k == kind).unwrap();
        assert!(at("response.output_item.done") < at("response.content_part.added"));
    }
}

/// Trap D8.
#[actix_web::test]
async fn reasoning_is_in_one_member_whoever_wrote_it() {
    for (model, message, text) in [
        (
            "openrouter/x/y",
            json!({"content": "Yes", "reasoning": "Hm."}),
            "Yes",
        ),
        (
            "deepseek/m",
            json!({"content": "Yes", "reasoning_content": "Hm."}),
            "Yes",
        ),
        (
            "mistral/m",
            json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Yes"}]}),
            "Yes",
        ),
        (
            "bedrock/openai.gpt-oss-20b",
            json!({"content": "<reasoning>Hm.</reasoning>Yes"}),
            "Yes",
        ),
    ] {
        let mut whole = message.clone();
        whole["role"] = json!("assistant");
        let mut body = chunk(json!({"index": 0, "message": whole, "finish_reason": "stop"}));
        body["object"] = json!("chat.completion");
        let (_server, gateway) = always(Script::json(200, &body));
        let mut request = ask(model);
        request["stream"] = json!(false);
        let answer = gateway.chat(request).await.json();
        let got = &answer["choices"][0]["message"];
        assert_eq!(
            (&got["reasoning_content"], &got["content"]),
            (&json!("Hm."), &json!(text)),
            "{model}"
        );
        let (said, _) = relayed(model, &[delta(message), finish("stop")]).await;
        assert_eq!(
            (said.reasoning.as_str(), said.text.as_str()),
            ("Hm.", text),
            "{model}"
        );
    }
    let cut = [
        delta(json!({"content": "<reas"})),
        delta(json!({"content": "oning>Hm"})),
        delta(json!({"content": ".</reasoning>Ye"})),
        delta(json!({"content": "s"})),
        finish("stop"),
    ];
    let (said, _) = relayed("bedrock/openai.gpt-oss-20b", &cut).await;
    assert_eq!(
        (said.reasoning.as_str(), said.text.as_str()),
        ("Hm.", "Yes")
    );
}

/// Trap B6.
#[actix_web::test]
async fn all_chunks_are_of_one_answer() {
    let mut chunks = [
        delta(json!({"role": "assistant", "content": "a"})),
        delta(json!({"role": "assistant", "content": "b"})),
        finish("stop"),
    ];
    chunks[0]["id"] = json!("");
    chunks[0].as_object_mut().unwrap().remove("created");
    chunks[1]["id"] = json!("c2");
    chunks[1]["created"] = json!(1_700_000_009);
    chunks[1]["vendor"] = json!({"x": 9_007_199_254_740_993_u64});
    chunks[2]["model"] = json!("another");
    let report = json!({"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": [1]});
    let mut all = vec![report];
    all.extend(chunks);
    let (said, answer) = relayed("azure/m", &all).await;
    assert_eq!(said.text, "ab");
    assert!(answer.text().contains("\"prompt_filter_results\":[1]"));
    assert!(
        answer
            .text()
            .contains("\"vendor\":{\"x\":9007199254740993}")
    );
}

/// Trap B7.
#[actix_web::test]
async fn a_cut_stream_never_looks_complete() {
    let begin = [
        delta(json!({"role": "assistant", "content": "a"})),
        delta(json!({"content": "b"})),
    ];
    for clean in [true, false] {
        let ending = |script: Script| {
            if clean {
                script.end()
            } else {
                script.then(Step::Close)
            }
        };
        for more in [None, Some(finish("stop"))] {
            let mut chunks = begin.to_vec();
            let finished = more.is_some() && clean;
            chunks.extend(more);
            let (_server, gateway) = always(ending(script(&chunks)));
            let answer = gateway.chat(ask("openai/m")).await;
            let said = stream_contract::chat(&answer.body);
            let code = (!finished).then(|| "upstream_stream_truncated".to_owned());
            assert_eq!(said.error, code, "{}", answer.text());
            let (_server, gateway) = always(ending(script(&chunks)));
            let answer = gateway
                .responses(json!({"model": "gemini/m", "stream": true, "input": "Hi"}))
                .await;
            let response = stream_contract::responses(&answer.body);
            let status = if finished { "completed" } else { "failed" };
            assert_eq!(response["status"], status, "{}", answer.text());
        }
    }
    // The provider's own mark does not make an answer of what has no end.
    let (_server, gateway) = always(script(&begin).chunk("data: [DONE]\n\n").end());
    let said = stream_contract::chat(&gateway.chat(ask("openai/m")).await.body);
    assert_eq!(said.error.as_deref(), Some("upstream_stream_truncated"));
}

/// Trap B9.
#[actix_web::test]
async fn an_error_in_a_stream_is_an_error_in_the_clients_words() {
    for (theirs, code) in [
        (
            json!({"error": {"code": 502, "message": "Provider died", "metadata": {"provider_name": "x"}}, "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}),
            "502",
        ),
        (
            json!({"error": {"message": "boom", "type": "server_error", "code": "x"}}),
            "x",
        ),
        (json!({"error": "plain text"}), "null"),
        (finish("error"), "upstream_invalid_response"),
    ] {
        let chunks = [
            delta(json!({"role": "assistant", "content": "a"})),
            theirs,
            delta(json!({"content": "b"})),
        ];
        let (said, answer) = relayed("openrouter/x/y", &chunks).await;
        assert_eq!(said.error.as_deref(), Some(code), "{}", answer.text());
        assert_eq!(said.text, "a");
    }
    let (said, _) = relayed(
        "openai/m",
        &[
            delta(json!({"role": "assistant", "content": "a"})),
            json!("text"),
        ],
    )
    .await;
    assert_eq!(said.error.as_deref(), Some("upstream_invalid_response"));
}

#[actix_web::test]
async fn an_answer_that_was_broken_off_says_so() {
    let over = finish("insufficient_system_resource");
    let (said, _) = relayed(
        "deepseek/m",
        &[
            delta(json!({"role": "assistant", "content": ""})),
            over.clone(),
        ],
    )
    .await;
    assert!(said.error.is_some());
    let (said, answer) = relayed(
        "deepseek/m",
        &[delta(json!({"role": "assistant", "content": "a"})), over],
    )
    .await;
    assert_eq!(said.finish.as_deref(), Some("length"));
    assert!(
        answer
            .text()
            .contains("\"native_finish_reason\":\"insufficient_system_resource\"")
    );
    let (said, _) = relayed(
        "mistral/m",
        &[delta(json!({"content": "a"})), finish("model_length")],
    )
    .await;
    assert_eq!(said.finish.as_deref(), Some("length"));
}

#[actix_web::test]
async fn what_goes_on_after_its_end_fails() {
    let chunks = [
        delta(json!({"content": "a"})),
        finish("stop"),
        delta(json!({"content": "b"})),
    ];
    let (said, _) = relayed("openai/m", &chunks).await;
    assert_eq!(said.error.as_deref(), Some("upstream_invalid_response"));
}

#[actix_web::test]
async fn positional_ids_are_made_like_no_other() {
    let begin = |index: u64| {
        fragment(
            json!({"index": index, "id": format!("call_{index}"), "type": "function", "function": {"name": "f", "arguments": "{}"}}),
        )
    };
    let (said, _) = relayed(
        "bedrock/openai.gpt-oss-20b",
        &[begin(0), begin(1), finish("tool_calls")],
    )
    .await;
    let ids: Vec<_> = said.calls.iter().map(|call| call.0.as_str()).collect();
    assert_eq!(ids, ["call_c1_0", "call_c1_1"]);
}

#[actix_web::test]
async fn repairs_and_broken_streams_are_counted() {
    let chunks = [
        delta(json!({"content": "a"})),
        delta(json!({"content": "b"})),
    ];
    let server = Scripted::start(move |_| script(&chunks).end()).unwrap();
    let gateway = Gateway::start(keyed(&server));
    let path = "/v1/chat/completions";
    let mut body = ask("groq/m");
    body["logit_bias"] = json!({"1": 1});
    body["made_up_name"] = json!(1);
    gateway
        .send(path, Some("team-key"), &[], body.to_string())
        .await;
    let metrics = gateway.get("/metrics", Some("team-key")).await;
    assert_eq!(metrics.status, 200);
    let type_ = metrics.header("content-type").unwrap();
    assert!(
        type_.starts_with("application/openmetrics-text; version=1.0.0"),
        "{type_}"
    );
    for line in [
        "gateway_translation_params_total{provider=\"groq\",effect=\"dropped\",param=\"logit_bias\"} 1",
        "gateway_stream_repairs_total{provider=\"groq\"} 1",
        "gateway_streams_broken_total{provider=\"groq\",code=\"upstream_stream_truncated\"} 1",
    ] {
        assert!(
            metrics.text().lines().any(|had| had == line),
            "{line} in {}",
            metrics.text()
        );
    }
    assert_eq!(gateway.get("/metrics", None).await.status, 401);
}

/// Trap C7.
#[actix_web::test]
async fn how_long_to_wait_is_passed_on() {
    let slow = Script::whole(
        429,
        &[("content-type", "application/json"), ("retry-after", "30")],
        "{\"error\":{\"message\":\"slow down\",\"type\":\"rate_limit_error\",\"code\":null,\"param\":null}}",
    );
    for stream in [false, true] {
        let server = Scripted::start({
            let slow = slow.clone();
            move |_| slow.clone()
        })
        .unwrap();
        let gateway = Gateway::start(config(&server));
        let mut body = ask("groq/m");
        body["stream"] = json!(stream);
        let answer = gateway.chat(body).await;
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (429, Some("30"))
        );
    }
}

/// Trap C10.
#[actix_web::test]
async fn overload_is_not_the_callers_fault() {
    let busy =
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let (_server, gateway) = always(Script::json(529, &busy));
    let answer = gateway.chat(ask("claude-opus-5-5")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("x-upstream-status"), Some("529"));
    assert_eq!(answer.error()["code"], "overloaded");
}

/// Trap E3.
#[actix_web::test]
async fn stop_is_never_lost_in_silence() {
    let (server, gateway) = gateway();
    let body = json!({"model": "gemini-3-pro", "input": "x", "stop": ["END"]});
    let answer = gateway.responses(body.clone()).await;
    assert_eq!(answer.header("x-gateway-dropped-params"), Some("stop"));
    let strict = [("x-gateway-strict", "true")];
    let answer = gateway
        .send("/v1/responses", Some("k"), &strict, body.to_string())
        .await;
    assert_eq!(
        answer.refusal(),
        (400, "stop".to_owned(), "unsupported_parameter".to_owned())
    );
    assert_eq!(server.requests().len(), 1);
}

/// Trap E17.
#[actix_web::test]
async fn images_and_files_in_results_of_tools_arrive() {
    let (server, gateway) = gateway();
    let parts = json!([
        {"type": "text", "text": "Here"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
    ]);
    let body = json!({"model": "claude-opus-5-5", "messages": [
        {"role": "user", "content": "Look"},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": parts}]});
    let answer = gateway.chat(body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = server.requests()[0].json();
    let result = &seen["messages"][2]["content"][0]["content"];
    assert_eq!(
        result[1]["source"],
        json!({"type": "base64", "media_type": "image/png", "data": "AA=="})
    );
    assert_eq!(result[2]["type"], "document");
    assert_eq!(result[2]["source"]["media_type"], "application/pdf");
    // A file without any text is enough of a message.
    let file = parts[2].clone();
    let body =
        json!({"model": "claude-opus-5-5", "messages": [{"role": "user", "content": [file]}]});
    assert_eq!(gateway.chat(body).await.status, 200);
}

/// Trap E21.
#[actix_web::test]
async fn the_callers_betas_reach_anthropic_and_nobody_else() {
    let (server, gateway) = gateway();
    let headers = [("anthropic-beta", "a-2025-01-01,b-2026-01-01")];
    for (model, there) in [("claude-opus-5-5", true), ("gemini-3-pro", false)] {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "Hi"}]});
        gateway
            .send(
                "/v1/chat/completions",
                Some("k"),
                &headers,
                body.to_string(),
            )
            .await;
        let seen = server.requests().pop().unwrap();
        assert_eq!(
            seen.header("anthropic-beta"),
            there.then_some("a-2025-01-01,b-2026-01-01")
        );
    }
}

/// Trap F3.
#[actix_web::test]
async fn every_ending_has_its_one_last_event() {
    let text = delta(json!({"role": "assistant", "content": "a"}));
    for (chunks, last) in [
        (vec![text.clone(), finish("stop")], "response.completed"),
        (vec![text.clone(), finish("length")], "response.incomplete"),
        (
            vec![text.clone(), finish("content_filter")],
            "response.incomplete",
        ),
        (
            vec![text.clone(), json!({"error": {"message": "boom"}})],
            "response.failed",
        ),
        (vec![text], "response.failed"),
    ] {
        let (_server, gateway) = always(script(&chunks).end());
        let answer = gateway
            .responses(json!({"model": "gemini/m", "stream": true, "input": "Hi"}))
            .await;
        stream_contract::responses(&answer.body);
        let kinds: Vec<_> = answer
            .events()
            .iter()
            .map(|event| event["type"].clone())
            .collect();
        assert_eq!(kinds.last().unwrap(), last);
        let terminal = kinds.iter().filter(|kind| {
            [
                "response.completed",
                "response.incomplete",
                "response.failed",
            ]
            .contains(&kind.as_str().unwrap())
        });
        assert_eq!(terminal.count(), 1);
    }
}

/// Trap F4.
#[actix_web::test]
async fn items_and_parts_open_and_close_in_order() {
    let chunks = [
        delta(json!({"role": "assistant", "content": "a"})),
        fragment(
            json!({"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}),
        ),
        fragment(json!({"index": 0, "function": {"arguments": "}"}})),
        finish("tool_calls"),
    ];
    let (_server, gateway) = always(script(&chunks).chunk("data: [DONE]\n\n").end());
    let answer = gateway
        .responses(json!({"model": "gemini/m", "stream": true, "input": "Hi"}))
        .await;
    stream_contract::responses(&answer.body);
    let kinds: Vec<_> = answer
        .events()
        .iter()
        .map(|event| {
            event["type"]
                .as_str()
                .unwrap()
                .trim_start_matches("response.")
                .to_owned()
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "completed",
        ]
    );
}

/// Trap F5.
#[actix_web::test]
async fn events_of_a_call_have_its_item_and_its_call_id() {
    let chunks = [
        fragment(
            json!({"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}),
        ),
        finish("tool_calls"),
    ];
    let (_server, gateway) = always(script(&chunks).chunk("data: [DONE]\n\n").end());
    let answer = gateway
        .responses(json!({"model": "gemini/m", "stream": true, "input": "Hi"}))
        .await;
    let item = stream_contract::responses(&answer.body)["output"][0].clone();
    assert_eq!(
        (&item["call_id"], &item["arguments"]),
        (&json!("c"), &json!("{}"))
    );
    assert!(item["id"].as_str().unwrap().starts_with("fc_"));
    let arguments: Vec<_> = answer
        .events()
        .into_iter()
        .filter(|event| event["type"].as_str().unwrap().contains("arguments"))
        .collect();
    assert_eq!(arguments.len(), 2);
    assert!(arguments.iter().all(|event| event["item_id"] == item["id"]));
}

/// Trap F1.
#[actix_web::test]
async fn a_stored_response_is_refused_where_none_is_kept() {
    let (server, gateway) = gateway();
    for model in ["claude-opus-5-5", "gemini-3-pro", "kimi-k2"] {
        let answer = gateway
            .responses(json!({"model": model, "previous_response_id": "resp_1", "input": "Hi"}))
            .await;
        let (status, param, _) = answer.refusal();
        assert_eq!((status, param.as_str()), (400, "previous_response_id"));
    }
    assert_eq!(server.requests().len(), 0);
}

/// Trap J1.
#[actix_web::test]
async fn absent_and_null_are_told_apart() {
    let whole = json!({"id": "c", "model": "m", "choices": [{"message": {"role": "assistant", "content": "a",
        "tool_calls": null, "function_call": null}, "finish_reason": "stop"}], "vendor": {"x": [null]}});
    let (_server, gateway) = always(Script::json(200, &whole));
    let mut body = ask("openai/m");
    body["stream"] = json!(false);
    let answer = gateway.chat(body).await.json();
    let choice = &answer["choices"][0];
    assert_eq!(choice["index"], 0);
    assert_eq!(
        choice["message"],
        json!({"role": "assistant", "content": "a", "refusal": null})
    );
    assert_eq!(answer["object"], "chat.completion");
    assert!(answer["created"].as_u64().unwrap() > 0);
    assert_eq!(answer["vendor"], json!({"x": [null]}));
}

#[actix_web::test]
async fn calls_of_tools_that_take_any_text_go_through_untouched() {
    let custom = |call: Value| fragment(call);
    let mut begin = custom(
        json!({"index": 0, "id": "call_1", "type": "custom", "custom": {"name": "shell", "input": ""}}),
    );
    begin["choices"][0]["delta"]["role"] = json!("assistant");
    let chunks = [
        begin,
        custom(json!({"index": 0, "custom": {"input": "ls -l"}})),
        fragment(
            json!({"index": 1, "id": "call_2", "type": "function", "function": {"name": "f", "arguments": "{}"}}),
        ),
        finish("tool_calls"),
    ];
    for chunks in [
        &chunks[..],
        &[chunks[0].clone(), chunks[1].clone(), chunks[3].clone()],
    ] {
        let theirs = written(chunks);
        let (_server, gateway) = always(script(chunks).chunk("data: [DONE]\n\n").end());
        assert_eq!(gateway.chat(ask("openai/m")).await.text(), theirs);
    }
}

#[actix_web::test]
async fn a_call_that_is_named_again_stays_one() {
    let named = |arguments: &str| {
        fragment(
            json!({"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}),
        )
    };
    let chunks = [named("{\"x\":1}"), named(""), finish("tool_calls")];
    assert_eq!(
        relayed("groq/m", &chunks).await.0.calls,
        [call("a", "f", "{\"x\":1}")]
    );
    assert_eq!(
        as_response("gemini/m", &chunks).await,
        [call("a", "f", "{\"x\":1}")]
    );
}

#[actix_web::test]
async fn every_choice_needs_its_end() {
    let of = |index: u64, delta: Value, reason: Value| {
        chunk(json!({"index": index, "delta": delta, "finish_reason": reason}))
    };
    let begin = [
        of(0, json!({"role": "assistant", "content": "a"}), Value::Null),
        of(1, json!({"role": "assistant", "content": "b"}), Value::Null),
        of(0, json!({}), json!("stop")),
    ];
    let mut whole = begin.to_vec();
    whole.push(of(1, json!({}), json!("stop")));
    let mut body = ask("openai/m");
    body["n"] = json!(2);
    let (_server, gateway) = always(script(&whole).chunk("data: [DONE]\n\n").end());
    let theirs = written(&whole);
    assert_eq!(gateway.chat(body.clone()).await.text(), theirs);
    for done in [false, true] {
        let mut cut = script(&begin);
        if done {
            cut = cut.chunk("data: [DONE]\n\n");
        }
        let (_server, gateway) = always(cut.end());
        let answer = gateway.chat(body.clone()).await;
        assert!(
            answer.text().contains("upstream_stream_truncated"),
            "{}",
            answer.text()
        );
        assert!(!answer.text().contains("[DONE]"), "{}", answer.text());
    }
}

/// Trap B7.
#[actix_web::test]
async fn an_empty_reason_is_none() {
    let chunks = [
        chunk(
            json!({"index": 0, "delta": {"role": "assistant", "content": "a"}, "finish_reason": ""}),
        ),
        chunk(json!({"index": 0, "delta": {"content": "b"}, "finish_reason": ""})),
    ];
    let (_server, gateway) = always(script(&chunks).end());
    let said = stream_contract::chat(&gateway.chat(ask("deepseek/m")).await.body);
    assert_eq!(said.error.as_deref(), Some("upstream_stream_truncated"));
    let answer = gateway
        .responses(json!({"model": "deepseek/m", "stream": true, "input": "Hi"}))
        .await;
    assert_eq!(stream_contract::responses(&answer.body)["status"], "failed");
    // With the provider's own mark it was the end.
    assert_eq!(
        relayed("deepseek/m", &chunks).await.0.finish.as_deref(),
        Some("stop")
    );
}

#[actix_web::test]
async fn a_content_is_a_text_whatever_its_parts_are() {
    let reference = json!({"type": "reference", "reference_ids": [1, 2]});
    for (content, text, thought, beside) in [
        (
            json!([{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Hi"}]),
            "Hi",
            "Hm",
            false,
        ),
        (
            json!([{"type": "text", "text": "Hi"}, reference]),
            "Hi",
            "",
            true,
        ),
        (json!([reference]), "", "", true),
        (
            json!([{"type": "made_up", "text": 7, "thinking": {"a": 1}}]),
            "",
            "",
            true,
        ),
        (json!({"type": "text", "text": "Hi"}), "Hi", "", false),
        (json!([]), "", "", false),
    ] {
        for model in ["mistral/m", "bedrock/m"] {
            let chunks = [
                delta(json!({"role": "assistant", "content": content})),
                finish("stop"),
            ];
            let (said, answer) = relayed(model, &chunks).await;
            assert_eq!(
                (said.text.as_str(), said.reasoning.as_str()),
                (text, thought),
                "{content}"
            );
            let first = &answer.events()[0]["choices"][0]["delta"];
            assert!(first["content"].is_string());
            assert_eq!(
                first["provider_specific_fields"]["content"] == content,
                beside,
                "{content}"
            );
            let mut whole = chunk(
                json!({"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}),
            );
            whole["object"] = json!("chat.completion");
            let (_server, gateway) = always(Script::json(200, &whole));
            let mut body = ask(model);
            body["stream"] = json!(false);
            let message = gateway.chat(body).await.json()["choices"][0]["message"].clone();
            assert_eq!(message["content"], text);
            assert_eq!(
                message["provider_specific_fields"]["content"] == content,
                beside
            );
        }
    }
    let (said, _) = relayed("mistral/m", &[delta(json!({"content": 7})), finish("stop")]).await;
    assert!(said.error.is_some());
}

#[actix_web::test]
async fn what_a_vendor_says_of_a_choice_after_its_end_goes_through() {
    let mut late = chunk(
        json!({"index": 0, "finish_reason": null, "content_filter_results": {"hate": {"filtered": false}}}),
    );
    late["id"] = json!("");
    let chunks = [
        delta(json!({"role": "assistant", "content": "a"})),
        finish("stop"),
        late,
    ];
    let (said, answer) = relayed("azure/m", &chunks).await;
    assert_eq!(said.text, "a");
    assert!(
        answer.text().contains("content_filter_results"),
        "{}",
        answer.text()
    );
}

#[actix_web::test]
async fn a_numeric_id_or_a_null_role_is_no_reason_to_fail() {
    let mut odd = delta(json!({"role": null, "content": "a"}));
    odd["id"] = json!(7);
    let (said, _) = relayed("openai/m", &[odd, finish("stop")]).await;
    assert_eq!(
        (said.text.as_str(), said.finish.as_deref()),
        ("a", Some("stop"))
    );
}

#[actix_web::test]
async fn tokens_that_stand_in_the_total_only_are_completion() {
    let mut last = finish("stop");
    last["usage"] = json!({"prompt_tokens": 10, "completion_tokens": 26, "total_tokens": 500});
    let (said, _) = relayed("gemini/m", &[delta(json!({"content": "a"})), last]).await;
    assert_eq!(said.usage, Some((10, 490, 500)));
}

/// Trap I5.
#[actix_web::test]
async fn a_whole_answer_never_repeats_the_key() {
    for (path, body) in [
        (
            "/v1/responses",
            json!({"object": "response", "status": "failed", "output": [], "error": {"code": "x", "message": "Bearer openai-secret-key"}}),
        ),
        (
            "/v1/responses",
            json!({"object": "response", "status": "completed", "output": [{"type": "mcp_call", "error": "openai-secret-key"}]}),
        ),
        (
            "/v1/chat/completions",
            json!({"object": "error", "message": "openai-secret-key"}),
        ),
        (
            "/v1/chat/completions",
            json!({"detail": "openai-secret-key"}),
        ),
        (
            "/v1/chat/completions",
            json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "openai-secret-key"}, "finish_reason": "stop"}]}),
        ),
    ] {
        let server = Scripted::start(move |_| Script::json(200, &body)).unwrap();
        let gateway = Gateway::start(keyed(&server));
        let ask = json!({"model": "gpt-4o", "input": "x", "messages": [{"role": "user", "content": "x"}]});
        let answer = gateway
            .send(path, Some("team-key"), &[], ask.to_string())
            .await;
        assert!(
            !answer.text().contains("openai-secret-key"),
            "{path}: {}",
            answer.text()
        );
        if path.ends_with("completions") && !answer.text().contains("choices") {
            assert!(answer.status >= 400, "{}", answer.text());
        }
    }
}

/// What a Responses client gets of a native provider that streams these events.
async fn native(events: &[Value]) -> Answer {
    let mut script = Script::stream();
    for (n, event) in events.iter().enumerate() {
        let mut event = event.clone();
        event["sequence_number"] = json!(n);
        script = script.chunk(format!(
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().unwrap()
        ));
    }
    let (_server, gateway) = always(script.end());
    gateway
        .responses(json!({"model": "gpt-5", "stream": true, "input": "x"}))
        .await
}

/// Trap F6.
#[actix_web::test]
async fn items_are_told_by_their_ids() {
    let created = json!({"type": "response.created", "response": {"id": "r", "output": []}});
    let item = |kind: &str, id: &str| json!({"type": kind, "id": id});
    let event = |kind: &str, at: u64, item: &Value| json!({"type": format!("response.output_item.{kind}"), "output_index": at, "item": item});
    let completed = |output: Value| json!({"type": "response.completed", "response": {"id": "r", "output": output}});
    // The last event leaves an item out.
    let (rs, msg) = (item("reasoning", "rs_1"), item("message", "msg_1"));
    let events = [
        created.clone(),
        event("added", 0, &rs),
        event("done", 0, &rs),
        event("added", 1, &msg),
        event("done", 1, &msg),
        completed(json!([msg])),
    ];
    let answer = native(&events).await;
    assert_eq!(
        answer.events().last().unwrap()["response"]["output"],
        json!([msg])
    );
    // All items have one place.
    let (a, b) = (item("function_call", "fc_1"), item("function_call", "fc_2"));
    let args = |id: &str| json!({"type": "response.function_call_arguments.delta", "output_index": 0, "item_id": id, "delta": id});
    let events = [
        created.clone(),
        event("added", 0, &a),
        event("added", 0, &b),
        args("fc_1"),
        args("fc_2"),
        event("done", 0, &a),
        event("done", 0, &b),
        completed(json!([a, b])),
    ];
    let answer = native(&events).await;
    stream_contract::responses(&answer.body);
    for event in answer.events() {
        if let Some(delta) = event.get("delta") {
            assert_eq!(event["item_id"], *delta);
            assert_eq!(event["output_index"], u64::from(delta == "fc_2"));
        }
    }
    // What comes before its item, and an item that is opened twice.
    let events = [
        created,
        json!({"type": "response.web_search_call.in_progress", "output_index": 0, "item_id": "ws_1"}),
        event("added", 0, &item("web_search_call", "ws_1")),
        event("added", 0, &item("web_search_call", "ws_1")),
        event("done", 0, &item("web_search_call", "ws_1")),
        completed(json!([item("web_search_call", "ws_1")])),
    ];
    let answer = native(&events).await;
    assert!(
        answer.text().contains("response.completed"),
        "{}",
        answer.text()
    );
    assert_eq!(answer.text().matches("output_item.added\"").count(), 1);
}

#[actix_web::test]
async fn a_mark_before_the_last_event_is_no_end() {
    let begin = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r\"}}\n\n";
    let (_server, gateway) = always(
        Script::stream()
            .chunk(begin)
            .chunk("data: [DONE]\n\n")
            .end(),
    );
    let answer = gateway
        .responses(json!({"model": "gpt-5", "stream": true, "input": "x"}))
        .await;
    assert!(!answer.text().contains("[DONE]"), "{}", answer.text());
    assert_eq!(stream_contract::responses(&answer.body)["status"], "failed");
}

#[actix_web::test]
async fn an_event_is_one_line_however_the_request_was_written() {
    let chunks = [
        delta(json!({"role": "assistant", "content": "a"})),
        finish("stop"),
    ];
    let (_server, gateway) = always(script(&chunks).chunk("data: [DONE]\n\n").end());
    let body = json!({"model": "kimi-k2", "stream": true, "input": "Hi", "metadata": {"a": "b"},
        "tools": [{"type": "custom", "name": "run"}]});
    let pretty = serde_json::to_string_pretty(&body).unwrap();
    let answer = gateway.post("/v1/responses", pretty).await;
    stream_contract::responses(&answer.body);
    for line in answer.text().lines() {
        assert!(
            line.is_empty() || line.starts_with("event: ") || line.starts_with("data: "),
            "{line}"
        );
    }
}

#[actix_web::test]
async fn several_answers_in_one_object_are_no_stream_of_one() {
    let choice = |n: u64| json!({"index": n, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"});
    let whole = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice(0), choice(1)]});
    let (_server, gateway) = always(Script::json(200, &whole));
    let answer = gateway.chat(ask("openai/m")).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    let one = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice(0)]});
    let (_server, gateway) = always(Script::json(200, &one));
    assert_eq!(
        stream_contract::chat(&gateway.chat(ask("openai/m")).await.body).text,
        "a"
    );
}

#[actix_web::test]
async fn an_end_that_nobody_knows_is_no_usual_one() {
    for (word, finish_is) in [
        ("content_filter: PROHIBITED_CONTENT", Some("content_filter")),
        ("made_up", Some("content_filter")),
        ("MAX_TOKENS", Some("length")),
        ("MALFORMED_FUNCTION_CALL", None),
    ] {
        let chunks = [
            delta(json!({"role": "assistant", "content": "one, two"})),
            finish(word),
        ];
        let (said, _) = relayed("vertex/m", &chunks).await;
        assert_eq!(said.finish.as_deref(), finish_is, "{word}");
        assert_eq!(said.error.is_some(), finish_is.is_none(), "{word}");
        let whole = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
            "message": {"role": "assistant", "content": "one, two"}, "finish_reason": word}]});
        let (_server, gateway) = always(Script::json(200, &whole));
        let mut body = ask("gemini/m");
        body["stream"] = json!(false);
        let answer = gateway.chat(body).await;
        assert_eq!(
            answer.json()["choices"][0]["finish_reason"].as_str(),
            finish_is,
            "{word}"
        );
        let answer = gateway
            .responses(json!({"model": "gemini/m", "input": "Hi"}))
            .await;
        match finish_is {
            Some(_) => assert_eq!(answer.json()["status"], "incomplete", "{word}"),
            None => assert_eq!(answer.status, 502, "{word}"),
        }
    }
}

#[actix_web::test]
async fn a_good_status_without_a_completion_is_an_error() {
    for theirs in [
        json!({"Output": {"__type": "x#UnknownOperationException"}, "Version": "1.0"}),
        json!({}),
        json!([1]),
        json!("text"),
        json!(null),
        json!({"choices": null}),
        json!({"choices": []}),
        json!({"choices": {}}),
        json!({"choices": ["x"]}),
        json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": []}),
        json!({"choices": [{"index": 0, "finish_reason": "stop"}]}),
        json!({"choices": [{"index": 0, "message": "Hi", "finish_reason": "stop"}]}),
    ] {
        let (_server, gateway) = always(Script::json(200, &theirs));
        for model in ["bedrock/m", "gpt-4o", "claude-opus-5-5"] {
            for stream in [false, true] {
                let mut body = ask(model);
                body["stream"] = json!(stream);
                let answer = gateway.chat(body).await;
                assert_eq!(answer.status, 502, "{model} {theirs}: {}", answer.text());
                let answer = gateway
                    .responses(json!({"model": model, "input": "Hi", "stream": stream}))
                    .await;
                assert_eq!(answer.status, 502, "{model} {theirs}: {}", answer.text());
            }
        }
    }
}

#[actix_web::test]
async fn what_was_withheld_before_its_first_word_is_an_answer() {
    for (word, name) in [
        ("content_filter: PROHIBITED_CONTENT", "content_filter"),
        ("content_filter", "content_filter"),
        ("length", "length"),
    ] {
        for message in [None, Some(Value::Null)] {
            let mut choice = json!({"index": 0, "finish_reason": word});
            if let Some(message) = message {
                choice["message"] = message;
            }
            let whole = json!({"id": "g1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]});
            let (_server, gateway) = always(Script::json(200, &whole));
            let mut body = ask("gemini/m");
            body["stream"] = json!(false);
            let answer = gateway.chat(body).await.json();
            assert_eq!(
                answer["choices"][0]["message"],
                json!({"role": "assistant", "content": null, "refusal": null})
            );
            assert_eq!(answer["choices"][0]["finish_reason"], name);
            let answer = gateway
                .responses(json!({"model": "gemini/m", "input": "Hi"}))
                .await;
            assert_eq!(
                (answer.status, answer.json()["status"].clone()),
                (200, json!("incomplete"))
            );
        }
    }
}

#[actix_web::test]
async fn an_answer_that_broke_off_says_why() {
    let broke = json!({"index": 0, "finish_reason": "error", "message": {"role": "assistant", "content": "Part"}, "delta": {"content": ""},
        "error": {"code": 502, "message": "Upstream idle timeout"}});
    let mut whole = chunk(broke.clone());
    whole["object"] = json!("chat.completion");
    let (server, gateway) = always(Script::json(200, &whole));
    let mut body = ask("openrouter/x/y");
    body["stream"] = json!(false);
    for answer in [
        gateway.chat(body).await,
        gateway
            .responses(json!({"model": "vertex/y", "input": "Hi"}))
            .await,
    ] {
        assert_eq!(answer.status, 502);
        assert!(
            answer.text().contains("Upstream idle timeout"),
            "{}",
            answer.text()
        );
    }
    assert_eq!(server.requests().len(), 2, "it was billed");
    for late in [false, true] {
        let mut chunks = vec![delta(json!({"role": "assistant", "content": "Part"}))];
        if late {
            chunks.push(finish("stop"));
        }
        chunks.push(chunk(broke.clone()));
        let (said, answer) = relayed("openrouter/x/y", &chunks).await;
        assert_eq!(said.error.as_deref(), Some("502"), "{}", answer.text());
        assert!(answer.text().contains("Upstream idle timeout"));
    }
}

#[actix_web::test]
async fn a_name_in_pieces_is_one_name() {
    for more in [
        json!({"id": "call_1", "type": "function"}),
        json!({}),
        json!({"id": null, "type": null}),
        json!({"id": ""}),
    ] {
        for first in ["", "{\"city\":"] {
            let begin = fragment(
                json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "get_", "arguments": first}}),
            );
            let rest = if first.is_empty() {
                "{\"city\":\"Paris\"}"
            } else {
                "\"Paris\"}"
            };
            let mut second =
                json!({"index": 0, "function": {"name": "weather", "arguments": rest}});
            second
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let chunks = [begin, fragment(second), finish("tool_calls")];
            let right = [call("call_1", "get_weather", "{\"city\":\"Paris\"}")];
            assert_eq!(relayed("mistral/m", &chunks).await.0.calls, right, "{more}");
            assert_eq!(as_response("gemini/m", &chunks).await, right, "{more}");
        }
    }
}

#[actix_web::test]
async fn later_pieces_of_a_call_repeat_nothing_not_even_null() {
    for nothing in [json!(""), Value::Null, json!(7)] {
        let later = fragment(
            json!({"index": 0, "id": nothing, "type": nothing, "function": {"name": nothing, "arguments": "{}"}}),
        );
        let begin = fragment(
            json!({"index": 0, "id": "a", "type": "function", "function": {"name": "Glob", "arguments": ""}}),
        );
        let (said, answer) = relayed("deepseek/m", &[begin, later, finish("tool_calls")]).await;
        assert_eq!(said.calls, [call("a", "Glob", "{}")]);
        assert_eq!(
            answer.events()[1]["choices"][0]["delta"]["tool_calls"][0],
            json!({"index": 0, "function": {"arguments": "{}"}})
        );
    }
}

#[actix_web::test]
async fn too_many_calls_or_choices_are_an_error() {
    let calls: Vec<_> = (0..1001).map(|n| fragment(json!({"index": n, "id": format!("c{n}"), "type": "function", "function": {"name": "f", "arguments": "{}"}}))).collect();
    let (said, _) = relayed("groq/m", &calls).await;
    assert!(said.error.is_some());
}

#[actix_web::test]
async fn an_end_on_every_chunk_is_told_once_and_last() {
    let with = |delta: Value, usage: bool| {
        let mut one = chunk(json!({"index": 0, "delta": delta, "finish_reason": "stop"}));
        if usage {
            one["usage"] = USAGE();
        }
        one
    };
    let alone = || {
        let mut one = chunk(json!({}));
        one["choices"] = json!([]);
        one["usage"] = USAGE();
        one
    };
    for usage in [false, true] {
        for tail in [
            vec![],
            vec![finish("stop")],
            vec![alone()],
            vec![finish("stop"), alone()],
        ] {
            let mut chunks = vec![
                with(json!({"role": "assistant", "content": "17 times "}), usage),
                with(json!({"reasoning_content": "Hm"}), usage),
                with(json!({"content": "23"}), usage),
            ];
            chunks.extend(tail);
            for done in [false, true] {
                let mut server = script(&chunks);
                if done {
                    server = server.chunk("data: [DONE]\n\n");
                }
                let (_server, gateway) = always(server.end());
                let answer = gateway.chat(ask("gemini/m")).await;
                let said = stream_contract::chat(&answer.body);
                assert_eq!(
                    (said.text.as_str(), said.finish.as_deref(), said.error),
                    ("17 times 23", Some("stop"), None),
                    "{}",
                    answer.text()
                );
            }
        }
    }
    let whole = |id: &str| {
        chunk(
            json!({"index": 0, "delta": {"tool_calls": [{"index": 0, "id": id, "type": "function",
        "function": {"name": "f", "arguments": "{}"}}]}, "finish_reason": "stop"}),
        )
    };
    let (said, _) = relayed("gemini/m", &[whole("a"), whole("b")]).await;
    assert_eq!(
        (said.calls.len(), said.finish.as_deref()),
        (2, Some("tool_calls"))
    );
    // Without one it goes on after its end.
    let (said, _) = relayed(
        "gemini/m",
        &[
            with(json!({"content": "a"}), false),
            delta(json!({"content": "b"})),
        ],
    )
    .await;
    assert!(said.error.is_some());
}

#[actix_web::test]
async fn what_is_kept_of_a_stream_has_a_bound() {
    let big = "x".repeat(10_000);
    let nameless = fragment(json!({"index": 0, "function": {"arguments": big}}));
    let text = delta(json!({"content": big}));
    let thought = delta(json!({"reasoning_content": big}));
    for (path, model, one, keeps) in [
        ("chat", "gpt-4o", nameless.clone(), true),
        ("responses", "gemini/m", nameless, true),
        ("responses", "gemini/m", text.clone(), true),
        ("responses", "kimi-k2", thought, true),
        ("chat", "gpt-4o", text, false),
    ] {
        let chunks: Vec<_> = std::iter::repeat_n(one, 100)
            .chain([finish("stop")])
            .collect();
        let server =
            Scripted::start(move |_| script(&chunks).chunk("data: [DONE]\n\n").end()).unwrap();
        let mut config = config(&server);
        config.calls.max_answer = 200_000;
        let gateway = Gateway::start(config);
        let answer = match path {
            "chat" => gateway.chat(ask(model)).await,
            _ => {
                gateway
                    .responses(json!({"model": model, "stream": true, "input": "Hi"}))
                    .await
            }
        };
        assert_eq!(
            answer.text().contains("MAX_ANSWER_BYTES"),
            keeps,
            "{path} {model}"
        );
    }
}
