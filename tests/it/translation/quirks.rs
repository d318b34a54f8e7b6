//! What each provider is known to refuse or misread, end to end: what it is sent instead, and that
//! the client is told.

use crate::rig::gateway;
use serde_json::{Value, json};

/// The request that the provider got, and the two headers that say what was done.
async fn sent(model: &str, more: Value) -> (Value, Option<String>, Option<String>) {
    let (server, gateway) = gateway();
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "Hi"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let answer = gateway.chat(body).await;
    assert_eq!(answer.status, 200, "{model}: {}", answer.text());
    let header = |name: &str| answer.header(name).map(str::to_owned);
    (
        server.requests().pop().unwrap().json(),
        header("x-gateway-dropped-params"),
        header("x-gateway-changed-params"),
    )
}

/// A body without its messages and model.
fn rest(mut body: Value) -> Value {
    let fields = body.as_object_mut().unwrap();
    fields.remove("messages");
    fields.remove("model");
    body
}

/// A history with one call and its result.
fn history(id: &str) -> Value {
    json!([
        {"role": "user", "content": "What is the weather?"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": id, "type": "function", "function": {"name": "weather", "arguments": "{}"}},
        ]},
        {"role": "tool", "tool_call_id": id, "content": "Sunny"},
    ])
}

/// Trap E2.
#[actix_web::test]
async fn the_limit_has_the_name_that_each_provider_reads() {
    for (model, name) in [
        ("openai/gpt-5.1", "max_completion_tokens"),
        ("openai/o3", "max_completion_tokens"),
        ("azure/gpt-5", "max_completion_tokens"),
        ("kimi-k2", "max_tokens"),
        ("deepseek/deepseek-chat", "max_tokens"),
        ("mistral/mistral-large-latest", "max_tokens"),
        ("bedrock/openai.gpt-oss-120b-1:0", "max_completion_tokens"),
    ] {
        let other = if name == "max_tokens" {
            "max_completion_tokens"
        } else {
            "max_tokens"
        };
        let (body, dropped, changed) = sent(model, json!({other: 5})).await;
        assert_eq!(rest(body), json!({name: 5}), "{model}");
        assert_eq!(
            (dropped, changed.as_deref()),
            (None, Some(other)),
            "{model}"
        );
        // Said both ways the newer name counts, and only one is sent.
        let both = json!({"max_tokens": 7, "max_completion_tokens": 5});
        let (body, _, _) = sent(model, both).await;
        assert_eq!(rest(body), json!({name: 5}), "{model}");
    }
    for model in [
        "openai/gpt-4o",
        "groq/llama",
        "vertex/gemini-3-pro",
        "cohere/command-a",
    ] {
        for name in ["max_tokens", "max_completion_tokens"] {
            let (body, dropped, changed) = sent(model, json!({name: 5})).await;
            assert_eq!(rest(body), json!({name: 5}), "{model}");
            assert_eq!((dropped, changed), (None, None), "{model}");
        }
    }
}

/// Trap E19.
#[actix_web::test]
async fn what_a_provider_refuses_is_left_out_and_named() {
    let sink = json!({
        "store": true, "seed": 7, "frequency_penalty": 0.5, "presence_penalty": 0.5,
        "logprobs": true, "top_logprobs": 2, "logit_bias": {"1": 2}, "user": "u",
        "metadata": {"a": "b"}, "service_tier": "flex", "stop": "x", "prompt_cache_key": "k",
        "foo_vendor": {"x": 1},
    });
    for (model, left) in [
        ("openai/gpt-4o", ""),
        ("azure/some", ""),
        ("openrouter/meta/llama", ""),
        ("vercel/meta/llama", ""),
        ("vertex/gemini-3-pro", ""),
        (
            "gemini/gemini-3-pro",
            "frequency_penalty,logit_bias,logprobs,metadata,presence_penalty,prompt_cache_key,seed,store,top_logprobs",
        ),
        (
            "groq/llama",
            "logit_bias,logprobs,prompt_cache_key,top_logprobs",
        ),
        ("deepseek/deepseek-chat", ""),
        ("xai/grok-4.3", "frequency_penalty,presence_penalty,stop"),
        ("xai/grok-3", ""),
        (
            "mistral/mistral-large",
            "logit_bias,service_tier,store,user",
        ),
        (
            "cohere/command-a",
            "logit_bias,metadata,service_tier,store,top_logprobs",
        ),
        ("bedrock/openai.gpt-oss-120b-1:0", "logit_bias"),
        (
            "bedrock/global.xai.grok-4",
            "frequency_penalty,presence_penalty",
        ),
    ] {
        let (body, dropped, _) = sent(model, sink.clone()).await;
        assert_eq!(dropped.unwrap_or_default(), left, "{model}");
        for name in sink.as_object().unwrap().keys() {
            let gone = left.split(',').any(|one| one == name);
            let renamed = model.starts_with("mistral/") && name == "seed";
            assert_eq!(body.get(name).is_none(), gone || renamed, "{model}: {name}");
        }
        if model.starts_with("mistral/") {
            assert_eq!(body["random_seed"], 7);
        }
        // A field that nobody knows is the provider's to judge.
        assert_eq!(body["foo_vendor"], json!({"x": 1}), "{model}");
    }
}

/// Trap E20.
#[actix_web::test]
async fn a_field_nobody_knows_reaches_every_chat_provider() {
    for model in [
        "openai/gpt-4o",
        "mistral/m",
        "gemini/gemini-3-pro",
        "groq/l",
        "cohere/c",
    ] {
        let (body, dropped, changed) = sent(model, json!({"foo_vendor": {"x": [1]}})).await;
        assert_eq!(rest(body), json!({"foo_vendor": {"x": [1]}}));
        assert_eq!((dropped, changed), (None, None));
    }
}

/// Trap E19.
#[actix_web::test]
async fn strict_refuses_what_would_be_changed_and_names_it() {
    let (server, gateway) = gateway();
    let ask = |model: &str, more: Value| {
        let mut body = json!({"model": model, "messages": [{"role": "user", "content": "Hi"}]});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body.to_string()
    };
    for (body, param) in [
        (ask("groq/l", json!({"logit_bias": {"1": 1}})), "logit_bias"),
        (ask("mistral/m", json!({"seed": 1})), "seed"),
        (ask("kimi-k2", json!({"temperature": 0.1})), "temperature"),
    ] {
        let path = "/v1/chat/completions";
        let strict = [("x-gateway-strict", "true")];
        let answer = gateway.send(path, Some("k"), &strict, body).await;
        assert_eq!(
            answer.refusal(),
            (400, param.to_owned(), "unsupported_parameter".to_owned())
        );
    }
    assert_eq!(server.requests().len(), 0);
    // What says no more than the default is taken out without a word.
    let body = ask(
        "groq/l",
        json!({"logprobs": false, "logit_bias": null, "n": 1}),
    );
    let strict = [("x-gateway-strict", "true")];
    let answer = gateway
        .send("/v1/chat/completions", Some("k"), &strict, body)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = server.requests().pop().unwrap().json();
    assert_eq!(rest(seen), json!({}));
}

/// Trap E19.
#[actix_web::test]
async fn more_answers_than_a_provider_gives_are_refused() {
    let (server, gateway) = gateway();
    for model in [
        "groq/l",
        "cohere/c",
        "bedrock/openai.gpt-oss-20b",
        "claude-opus-5-5",
    ] {
        let body = json!({"model": model, "n": 2, "messages": [{"role": "user", "content": "Hi"}]});
        let answer = gateway.chat(body).await;
        assert_eq!(
            answer.refusal(),
            (400, "n".to_owned(), "unsupported_value".to_owned()),
            "{model}"
        );
    }
    assert_eq!(server.requests().len(), 0);
}

#[actix_web::test]
async fn roles_names_and_nulls_are_as_each_provider_knows_them() {
    let messages = json!([
        {"role": "developer", "content": "Be brief.", "name": "d"},
        {"role": "user", "content": "Hi", "name": "u"},
        {"role": "assistant", "content": "Yes", "refusal": null, "tool_calls": null, "function_call": null},
        {"role": "user", "content": "And?"},
    ]);
    for (model, role, names, nulls, changed) in [
        ("openai/gpt-4o", "developer", 2, 3, None),
        ("groq/l", "developer", 0, 0, None),
        ("xai/grok-4.3", "developer", 1, 3, None),
        (
            "deepseek/deepseek-chat",
            "system",
            2,
            1,
            Some("messages.role"),
        ),
        ("mistral/m", "system", 0, 0, Some("messages.role")),
        ("kimi-k2", "system", 2, 3, Some("messages.role")),
        (
            "vertex/gemini-2.5-pro",
            "system",
            2,
            3,
            Some("messages.role"),
        ),
        ("gemini/gemini-2.5-pro", "developer", 2, 0, None),
    ] {
        let (body, dropped, told) = sent(model, json!({"messages": messages})).await;
        let text = body["messages"].to_string();
        assert_eq!(body["messages"][0]["role"], role, "{model}");
        assert_eq!(text.matches("\"name\"").count(), names, "{model}: {text}");
        assert_eq!(text.matches("null").count(), nulls, "{model}: {text}");
        assert_eq!(told.as_deref(), changed, "{model}");
        let lost = (names < 2).then(|| "messages.name".to_owned());
        assert_eq!(dropped, lost, "{model}");
        assert_eq!(body["messages"][3], messages[3], "{model}");
    }
}

#[actix_web::test]
async fn efforts_and_forced_calls_become_words_that_the_provider_knows() {
    let tools =
        json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    for (model, effort, said) in [
        ("groq/l", "minimal", json!("low")),
        ("groq/l", "xhigh", json!("high")),
        ("groq/l", "low", json!("low")),
        ("openrouter/x/y", "max", json!("xhigh")),
        ("gemini/gemini-2.5-pro", "minimal", json!("low")),
        ("cohere/c", "low", json!("high")),
        ("xai/grok-4.20-0309-reasoning", "high", Value::Null),
        ("bedrock/global.xai.grok-4", "none", Value::Null),
        ("deepseek/deepseek-v4-pro", "none", Value::Null),
        ("openai/gpt-5", "minimal", json!("minimal")),
    ] {
        let (body, dropped, changed) = sent(model, json!({"reasoning_effort": effort})).await;
        assert_eq!(body["reasoning_effort"], said, "{model}");
        let told = dropped.or(changed);
        assert_eq!(told.is_some(), said != effort, "{model} {told:?}");
        if model.starts_with("deepseek/") {
            assert_eq!(body["thinking"], json!({"type": "disabled"}));
        }
    }
    let named = json!({"type": "function", "function": {"name": "f"}});
    for (model, choice, said) in [
        ("mistral/m", json!("required"), json!("any")),
        ("mistral/m", named.clone(), named.clone()),
        ("kimi-k2", json!("required"), json!("auto")),
        ("kimi-k2", named.clone(), json!("auto")),
        ("deepseek/deepseek-v4-pro", json!("required"), json!("auto")),
        (
            "deepseek/deepseek-chat",
            json!("required"),
            json!("required"),
        ),
        ("groq/l", json!("required"), json!("required")),
    ] {
        let more = json!({"tools": tools, "tool_choice": choice});
        let (body, _, changed) = sent(model, more).await;
        assert_eq!(body["tool_choice"], said, "{model}");
        let told = (said != choice).then(|| "tool_choice".to_owned());
        assert_eq!(changed, told, "{model}");
    }
    let off = json!({"tools": tools, "tool_choice": "required", "thinking": {"type": "disabled"}});
    let (body, _, changed) = sent("deepseek/deepseek-v4-pro", off).await;
    assert_eq!((&body["tool_choice"], changed), (&json!("required"), None));
}

/// Trap A14.
#[actix_web::test]
async fn ids_of_calls_are_ones_that_the_provider_takes() {
    for (model, id, kept) in [
        ("mistral/m", "functions.get:0", false),
        ("mistral/m", "abcDEF123", true),
        ("openai/gpt-4o", "call_0", true),
        ("azure/d", "functions.get:0", true),
        ("groq/l", "functions.get:0", true),
    ] {
        let (body, _, _) = sent(model, json!({"messages": history(id)})).await;
        let call = body["messages"][1]["tool_calls"][0]["id"].as_str().unwrap();
        assert_eq!(body["messages"][2]["tool_call_id"], call, "{model}");
        assert_eq!(call == id, kept, "{model}: {call}");
    }
    let long = "x".repeat(200);
    for model in ["openai/gpt-4o", "azure/d", "mistral/m"] {
        let (body, dropped, changed) = sent(model, json!({"messages": history(&long)})).await;
        let call = body["messages"][1]["tool_calls"][0]["id"].as_str().unwrap();
        assert!(call.len() <= 40, "{model}: {call}");
        assert_eq!(body["messages"][2]["tool_call_id"], call, "{model}");
        assert_eq!((dropped, changed), (None, None), "{model}");
    }
    // Two calls that came with the same positional id stay two.
    let mut twice = history("call_0");
    let more = history("call_0");
    twice
        .as_array_mut()
        .unwrap()
        .extend(more.as_array().unwrap().clone());
    let (body, _, _) = sent("mistral/m", json!({"messages": twice})).await;
    let id = |at: usize| body["messages"][at]["tool_calls"][0]["id"].clone();
    assert_ne!(id(1), id(4));
    assert_eq!(body["messages"][2]["tool_call_id"], id(1));
    assert_eq!(body["messages"][5]["tool_call_id"], id(4));
}

/// Trap E12.
#[actix_web::test]
async fn an_edited_history_keeps_its_prefix() {
    let (server, gateway) = gateway();
    let mut messages = history("functions.get:0");
    messages
        .as_array_mut()
        .unwrap()
        .insert(0, json!({"role": "developer", "content": "Be brief."}));
    for model in [
        "mistral/m",
        "kimi-k2",
        "gemini/gemini-3-pro",
        "deepseek/deepseek-v4-pro",
        "groq/l",
    ] {
        let mut sent = Vec::new();
        for turn in 0..2 {
            let mut history = messages.clone();
            for _ in 0..turn {
                let list = history.as_array_mut().unwrap();
                list.push(json!({"role": "assistant", "content": "It is sunny."}));
                list.push(json!({"role": "user", "content": "Thanks"}));
            }
            let body = json!({"model": model, "temperature": 0.5, "tools": [
                {"type": "function", "function": {"name": "weather", "parameters": {
                    "$schema": "x", "type": "object", "additionalProperties": false,
                    "properties": {"a": {"const": 1}}}}}], "messages": history});
            assert_eq!(gateway.chat(body).await.status, 200);
            sent.push(String::from_utf8(server.requests().pop().unwrap().body).unwrap());
        }
        let whole = sent[0].strip_suffix("]}").unwrap();
        assert!(
            sent[1].starts_with(whole),
            "{model}:\n{}\n{}",
            sent[0],
            sent[1]
        );
    }
}

/// The keywords of a schema, properties' own names aside.
fn keywords(node: &Value, out: &mut Vec<String>) {
    for (name, value) in node.as_object().into_iter().flatten() {
        out.push(name.clone());
        match (name.as_str(), value) {
            ("properties", Value::Object(members)) => {
                members.values().for_each(|member| keywords(member, out));
            }
            ("anyOf", Value::Array(list)) => list.iter().for_each(|one| keywords(one, out)),
            ("items", item) => keywords(item, out),
            _ => {}
        }
    }
}

/// Trap E14.
#[actix_web::test]
async fn schemas_for_gemini_hold_only_what_it_knows() {
    let parameters = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "x", "$comment": "c",
        "type": "object", "additionalProperties": false, "title": "T", "default": {},
        "properties": {
            "kind": {"const": "a"},
            "n": {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9, "multipleOf": 3},
            "maybe": {"type": ["string", "null"], "minLength": 1, "pattern": "^a"},
            "or": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "one": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
            "list": {"type": "array", "uniqueItems": true, "contains": {"type": "string"},
                     "prefixItems": [{"type": "string"}]},
            "map": {"type": "object", "propertyNames": {"pattern": "x"},
                    "patternProperties": {"^a": {}}, "unevaluatedProperties": false,
                    "dependentRequired": {"a": ["b"]}},
            "ref": {"$ref": "#/$defs/Node", "description": "A node."},
            "examples": {"type": "string", "examples": ["a"]},
            "if": {"not": {"type": "string"}, "if": {}, "then": {}, "else": {}},
        },
        "required": ["kind"],
        "$defs": {"Node": {"type": "object", "properties": {"x": {"const": 1}}}},
    });
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": parameters}}]);
    let (body, dropped, changed) = sent("gemini/gemini-3-pro", json!({"tools": tools})).await;
    let got = &body["tools"][0]["function"]["parameters"];
    let properties = &got["properties"];
    assert_eq!(properties["kind"], json!({"type": "string", "enum": ["a"]}));
    assert_eq!(properties["n"]["minimum"], 0);
    let note = properties["n"]["description"].as_str().unwrap();
    assert!(
        note.contains("exclusiveMinimum: 0") && note.contains("multipleOf: 3"),
        "{note}"
    );
    assert_eq!(
        properties["maybe"],
        json!({"type": "string", "minLength": 1, "pattern": "^a", "nullable": true})
    );
    assert_eq!(
        properties["or"],
        json!({"type": "string", "nullable": true})
    );
    assert_eq!(
        properties["one"],
        json!({"anyOf": [{"type": "string"}, {"type": "integer"}]})
    );
    assert_eq!(
        properties["list"]["items"],
        json!({"anyOf": [{"type": "string"}]})
    );
    assert_eq!(
        properties["ref"],
        json!({"description": "A node.", "type": "object",
            "properties": {"x": {"type": "integer", "description": "Note: enum: [1]"}}})
    );
    // A property may be named like a keyword.
    assert_eq!(properties["examples"], json!({"type": "string"}));
    // Google's `Schema`, as its reference lists it.
    let known = [
        "type",
        "format",
        "title",
        "description",
        "nullable",
        "enum",
        "maxItems",
        "minItems",
        "properties",
        "required",
        "minProperties",
        "maxProperties",
        "minLength",
        "maxLength",
        "pattern",
        "example",
        "anyOf",
        "propertyOrdering",
        "default",
        "items",
        "minimum",
        "maximum",
    ];
    let mut used = Vec::new();
    keywords(got, &mut used);
    for keyword in used {
        assert!(known.contains(&keyword.as_str()), "{keyword} in {got}");
    }
    assert_eq!(dropped, None);
    assert_eq!(changed.as_deref(), Some("tools[0].function.parameters"));
    // The same tools go to others as they are.
    let (body, _, changed) = sent("groq/l", json!({"tools": tools})).await;
    assert_eq!((&body["tools"], changed), (&tools, None));
}

#[actix_web::test]
async fn deepseek_writes_json_after_a_schema_that_it_is_told() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    let tools = json!([{"type": "web_search"}, {"type": "function", "function": {"name": "f"}}]);
    let messages = json!([{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]);
    let more = json!({"response_format": format, "tools": tools, "messages": messages});
    let (body, dropped, changed) = sent("deepseek/deepseek-chat", more).await;
    assert_eq!(body["response_format"], json!({"type": "json_object"}));
    let told = body["messages"][1]["content"].as_str().unwrap();
    assert!(told.contains(&schema.to_string()), "{told}");
    assert_eq!(body["messages"][2], messages[1]);
    assert_eq!(
        body["tools"],
        json!([{"type": "function", "function": {"name": "f"}}])
    );
    assert_eq!(dropped.as_deref(), Some("tools[0]"));
    assert_eq!(changed.as_deref(), Some("response_format"));
}

#[actix_web::test]
async fn a_last_message_of_the_assistant_is_marked_for_mistral() {
    let messages =
        json!([{"role": "user", "content": "Count"}, {"role": "assistant", "content": "1, 2"}]);
    let (body, _, changed) = sent("mistral/m", json!({"messages": messages})).await;
    assert_eq!(
        body["messages"][1],
        json!({"role": "assistant", "content": "1, 2", "prefix": true})
    );
    assert_eq!(changed.as_deref(), Some("messages.prefill"));
}

/// Trap E7.
#[actix_web::test]
async fn a_cache_marker_goes_where_openrouter_looks_for_it() {
    let marker = json!({"type": "ephemeral"});
    let messages = json!([
        {"role": "system", "content": "Long", "cache_control": marker},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
         "cache_control": marker},
    ]);
    let (body, _, changed) =
        sent("openrouter/anthropic/claude", json!({"messages": messages})).await;
    assert_eq!(
        body["messages"],
        json!([
            {"role": "system", "content": [{"type": "text", "text": "Long", "cache_control": marker}]},
            {"role": "user", "content": [{"type": "text", "text": "a"},
                {"type": "text", "text": "b", "cache_control": marker}]},
        ])
    );
    assert_eq!(changed.as_deref(), Some("messages.cache_control"));
}

/// Trap D6.
#[actix_web::test]
async fn reasoning_goes_back_where_it_is_demanded_and_not_where_it_is_refused() {
    let mut told = history("call_1");
    told[1]["reasoning_content"] = json!("Hm.");
    for (model, with, without) in [
        ("kimi-k2", json!("Hm."), json!(" ")),
        ("deepseek/deepseek-v4-pro", json!("Hm."), json!(" ")),
        ("deepseek/deepseek-chat", json!("Hm."), Value::Null),
        ("openai/gpt-4o", json!("Hm."), Value::Null),
        ("groq/l", Value::Null, Value::Null),
        ("mistral/m", Value::Null, Value::Null),
    ] {
        let (body, dropped, _) = sent(model, json!({"messages": told})).await;
        assert_eq!(body["messages"][1]["reasoning_content"], with, "{model}");
        let lost = with
            .is_null()
            .then(|| "messages.reasoning_content".to_owned());
        assert_eq!(dropped, lost, "{model}");
        let (body, _, changed) = sent(model, json!({"messages": history("call_1")})).await;
        assert_eq!(body["messages"][1]["reasoning_content"], without, "{model}");
        let made_up = (without == " ").then(|| "messages.reasoning_content".to_owned());
        assert_eq!(changed, made_up, "{model}");
    }
    // Other shapes of the same.
    for (name, value) in [
        ("reasoning", json!("Hm.")),
        (
            "reasoning_details",
            json!([{"type": "reasoning.text", "text": "Hm.", "index": 0}]),
        ),
    ] {
        let mut other = history("call_1");
        other[1][name] = value;
        let (body, _, changed) = sent("kimi-k2", json!({"messages": other})).await;
        assert_eq!(body["messages"][1]["reasoning_content"], "Hm.");
        assert_eq!(changed, None);
    }
}

/// Trap D4.
#[actix_web::test]
async fn a_call_without_a_signature_is_told_as_such_to_gemini() {
    let placeholder = json!({"google": {"thought_signature": "skip_thought_signature_validator"}});
    for model in ["gemini/gemini-3-pro", "vertex/gemini-3-pro"] {
        let (body, _, changed) = sent(model, json!({"messages": history("call_1")})).await;
        let call = &body["messages"][1]["tool_calls"][0];
        assert_eq!(call["extra_content"], placeholder, "{model}");
        assert_eq!(
            changed.as_deref(),
            Some("messages.tool_calls.extra_content")
        );
        let mut signed = history("call_1");
        let own = json!({"google": {"thought_signature": "c2ln"}});
        signed[1]["tool_calls"][0]["extra_content"] = own.clone();
        let (body, _, changed) = sent(model, json!({"messages": signed})).await;
        let call = &body["messages"][1]["tool_calls"][0];
        assert_eq!((&call["extra_content"], changed), (&own, None), "{model}");
    }
    for model in ["gemini/gemini-2.5-pro", "vertex/meta/llama-4"] {
        let (body, _, _) = sent(model, json!({"messages": history("call_1")})).await;
        assert!(
            body["messages"][1]["tool_calls"][0]
                .get("extra_content")
                .is_none()
        );
    }
}

#[actix_web::test]
async fn older_functions_are_tools_where_nothing_else_is_known() {
    let (server, gateway) = gateway();
    let functions =
        json!([{"name": "weather", "parameters": {"type": "object", "properties": {}}}]);
    let messages = json!([
        {"role": "user", "content": "What is the weather?"},
        {"role": "assistant", "content": null, "function_call": {"name": "weather", "arguments": "{}"}},
        {"role": "function", "name": "weather", "content": "Sunny"},
    ]);
    let body = json!({"model": "kimi-k2", "functions": functions, "messages": messages});
    let answer = gateway.chat(body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = server.requests().pop().unwrap().json();
    assert_eq!(seen["tools"][0]["function"]["name"], "weather");
    let call = &seen["messages"][1]["tool_calls"][0];
    assert_eq!(call["function"]["name"], "weather");
    assert_eq!(seen["messages"][2]["role"], "tool");
    assert_eq!(seen["messages"][2]["tool_call_id"], call["id"]);
    // And the answer is in the shape that the client knows.
    let body = json!({"model": "kimi-k2", "functions": functions,
        "messages": [{"role": "user", "content": "What is the weather?"}]});
    let answer = gateway.chat(body).await.json();
    assert_eq!(
        answer["choices"][0]["message"]["function_call"]["name"],
        "weather"
    );
    assert_eq!(answer["choices"][0]["finish_reason"], "function_call");
}

#[actix_web::test]
async fn tokens_that_come_unasked_are_not_asked_for() {
    let more = json!({"stream": true, "stream_options": {"include_usage": true}});
    let (body, dropped, changed) = sent("mistral/m", more.clone()).await;
    assert_eq!(rest(body), json!({"stream": true}));
    assert_eq!((dropped, changed), (None, None));
    let (body, _, _) = sent("groq/m", more.clone()).await;
    assert_eq!(rest(body), more);
}

#[actix_web::test]
async fn a_schema_that_refers_to_itself_is_bounded() {
    let (server, gateway) = gateway();
    for width in [1, 4, 12] {
        let own = json!({"$ref": "#/$defs/Node"});
        let properties: serde_json::Map<_, _> =
            (0..width).map(|n| (format!("p{n}"), own.clone())).collect();
        let parameters = json!({"type": "object", "properties": {"root": own},
            "$defs": {"Node": {"type": "object", "properties": properties}}});
        let body = json!({"model": "gemini-3-pro", "messages": [{"role": "user", "content": "x"}],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": parameters}}]});
        let answer = gateway.chat(body).await;
        if width == 1 {
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(server.requests().pop().unwrap().body.len() < 10_000);
        } else {
            let (status, param, _) = answer.refusal();
            assert_eq!(
                (status, param.as_str()),
                (400, "tools[0].function.parameters")
            );
        }
    }
    // Deep definitions in a row are no way to a deeper tree than can be walked.
    let mut definitions = serde_json::Map::new();
    for n in 0..10 {
        let mut node = json!({"$ref": format!("#/$defs/d{}", n + 1)});
        for _ in 0..50 {
            node = json!({"items": node});
        }
        definitions.insert(format!("d{n}"), node);
    }
    let parameters = json!({"$ref": "#/$defs/d0", "$defs": definitions});
    let body = json!({"model": "gemini-3-pro", "messages": [{"role": "user", "content": "x"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": parameters}}]});
    assert_eq!(gateway.chat(body).await.status, 400);
}

#[actix_web::test]
async fn an_empty_list_of_tools_is_no_list() {
    for model in [
        "deepseek/deepseek-chat",
        "mistral/m",
        "openai/gpt-4o",
        "kimi-k2",
        "groq/l",
    ] {
        let more = json!({"tools": [], "functions": [], "tool_choice": "auto", "parallel_tool_calls": true});
        let (body, dropped, changed) = sent(model, more).await;
        assert_eq!(rest(body), json!({}), "{model}");
        assert_eq!((dropped, changed), (None, None), "{model}");
        if model == "kimi-k2" {
            // It cannot be made to call.
            continue;
        }
        // What forces a call stays: the provider says what is wrong with it.
        let (body, _, _) = sent(model, json!({"tools": [], "tool_choice": "required"})).await;
        assert!(
            body.get("tools").is_none() && body.get("tool_choice").is_some(),
            "{model}"
        );
    }
    // Where Responses are relayed, strict providers refuse it as well.
    let (server, gateway) = gateway();
    let body = json!({"model": "mistral/m", "input": "Hi", "tools": [], "tool_choice": "auto"});
    assert_eq!(gateway.responses(body).await.status, 200);
    let seen = server.requests().pop().unwrap().json();
    assert!(
        seen.get("tools").is_none() && seen.get("tool_choice").is_none(),
        "{seen}"
    );
}

#[actix_web::test]
async fn older_results_belong_to_the_calls_of_their_function_in_order() {
    let (server, gateway) = gateway();
    let call = |id: &str, name: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}});
    let result =
        |name: &str, text: &str| json!({"role": "function", "name": name, "content": text});
    let messages = json!([{"role": "user", "content": "x"},
        {"role": "assistant", "content": null, "tool_calls": [call("f1", "f"), call("g1", "g"), call("f2", "f")]},
        result("f", "first"), result("g", "middle"), result("f", "last")]);
    let functions = json!([{"name": "f"}]);
    let body = json!({"model": "kimi-k2", "functions": functions, "messages": messages});
    assert_eq!(gateway.chat(body).await.status, 200);
    let seen = server.requests().pop().unwrap().json();
    for (at, id, text) in [(2, "f1", "first"), (3, "g1", "middle"), (4, "f2", "last")] {
        assert_eq!(seen["messages"][at]["tool_call_id"], id);
        assert_eq!(seen["messages"][at]["content"], text);
    }
}

#[actix_web::test]
async fn a_name_twice_is_refused_wherever_it_is_read() {
    let (server, gateway) = gateway();
    for (model, inside, param) in [
        (
            "groq/l",
            r#""messages":[{"role":"user","content":"x","name":"a","name":"b"}]"#,
            "messages.name",
        ),
        (
            "claude-haiku-4-5",
            r#""messages":[{"role":"user","content":"x","role":"system"}]"#,
            "messages[0].role",
        ),
        (
            "claude-haiku-4-5",
            r#""messages":[{"role":"user","content":[{"type":"text","text":"a","text":"b"}]}]"#,
            "messages[0].content[0].text",
        ),
    ] {
        let body = format!(r#"{{"model":"{model}",{inside}}}"#);
        let answer = gateway
            .send("/v1/chat/completions", Some("k"), &[], body)
            .await;
        assert_eq!(
            answer.refusal(),
            (400, param.to_owned(), "invalid_json".to_owned()),
            "{model}"
        );
    }
    assert_eq!(server.requests().len(), 0);
}

#[actix_web::test]
async fn strict_providers_get_no_member_that_they_do_not_have() {
    let messages = json!([
        {"role": "user", "timestamp": 1, "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": "", "id": "m-2", "unset": null, "tool_calls": [{"id": "abcDEF123", "type": "function",
            "approxNumTokens": 0, "index": 0, "function": {"name": "f", "arguments": "{}", "parsed": {}}}]},
        {"role": "tool", "tool_call_id": "abcDEF123", "content": "a", "status": "done"},
    ]);
    let tools = json!([{"type": "function", "own": 1, "function": {"name": "f", "strict": true, "returns": {}}}]);
    let all = [
        "messages.content.cache_control",
        "messages.id",
        "messages.status",
        "messages.timestamp",
        "messages.tool_calls.approxNumTokens",
        "messages.tool_calls.function.parsed",
        "tools[0].function.returns",
        "tools[0].own",
    ];
    for model in [
        "groq/l",
        "mistral/m",
        "deepseek/deepseek-chat",
        "cohere/c",
        "gemini/gemini-2.5-pro",
    ] {
        let (body, dropped, changed) =
            sent(model, json!({"messages": messages, "tools": tools})).await;
        let mut want: Vec<_> = all.to_vec();
        if model == "cohere/c" {
            want.push("tools[0].function.strict");
            want.sort_unstable();
        }
        assert_eq!(dropped.unwrap_or_default(), want.join(","), "{model}");
        assert_eq!(changed, None, "{model}");
        let text = body.to_string();
        for word in [
            "timestamp",
            "cache_control",
            "m-2",
            "unset",
            "approxNumTokens",
            "parsed",
            "done",
            "own",
            "returns",
        ] {
            assert!(!text.contains(word), "{model}: {word} in {text}");
        }
    }
    for model in [
        "openai/gpt-4o",
        "azure/d",
        "openrouter/x/y",
        "vercel/x/y",
        "vertex/gemini-2.5-pro",
        "bedrock/openai.gpt-oss-20b",
    ] {
        let (body, dropped, _) = sent(model, json!({"messages": messages, "tools": tools})).await;
        assert_eq!((&body["messages"], dropped), (&messages, None), "{model}");
        assert_eq!(body["tools"], tools, "{model}");
    }
}

#[actix_web::test]
async fn contents_are_as_each_provider_takes_them() {
    let mut told = history("abcDEF123");
    for (content, kimi, xai) in [
        (json!(""), Value::Null, json!("")),
        (
            json!([{"type": "text", "text": ""}]),
            Value::Null,
            json!([{"type": "text", "text": ""}]),
        ),
        (Value::Null, Value::Null, json!("")),
        (json!("Hm"), json!("Hm"), json!("Hm")),
    ] {
        told[1]["content"] = content.clone();
        told[1]["reasoning_content"] = json!("I list.");
        for (model, want) in [
            ("kimi-k2", kimi),
            ("xai/grok-4.3", xai),
            ("openai/gpt-4o", content),
        ] {
            let (body, _, changed) = sent(model, json!({"messages": told})).await;
            assert_eq!(
                (&body["messages"][1]["content"], changed),
                (&want, None),
                "{model}"
            );
        }
    }
    let mut parts = history("call_1");
    parts[2]["content"] = json!([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]);
    let (body, _, changed) = sent("deepseek/deepseek-chat", json!({"messages": parts})).await;
    assert_eq!(body["messages"][2]["content"], "one\ntwo");
    assert_eq!(changed.as_deref(), Some("messages.content"));
    parts[2]["content"] = json!([{"type": "text", "text": "one"}]);
    let (body, _, changed) = sent("deepseek/deepseek-chat", json!({"messages": parts})).await;
    assert_eq!(
        (&body["messages"][2]["content"], changed),
        (&json!("one"), None)
    );
}

#[actix_web::test]
async fn mistral_reads_documents_and_an_answer_to_each_result() {
    let data = "data:application/pdf;base64,JVBERi0=";
    for (file, want) in [
        (
            json!({"filename": "a.pdf", "file_data": data}),
            json!({"type": "document_url", "document_url": data, "document_name": "a.pdf"}),
        ),
        (
            json!({"file_data": "JVBERi0="}),
            json!({"type": "document_url", "document_url": data}),
        ),
        (
            json!({"file_url": "https://x.example/a.pdf"}),
            json!({"type": "document_url", "document_url": "https://x.example/a.pdf"}),
        ),
        (
            json!({"file_id": "f1"}),
            json!({"type": "file", "file_id": "f1"}),
        ),
    ] {
        let messages = json!([{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "file", "file": file}]}]);
        let (body, dropped, changed) = sent("mistral/m", json!({"messages": messages})).await;
        assert_eq!(body["messages"][0]["content"][1], want);
        assert_eq!(
            (dropped, changed.as_deref()),
            (None, Some("messages.content.file"))
        );
    }
    for next in ["user", "system", "developer"] {
        let mut broken = history("abcDEF123");
        broken
            .as_array_mut()
            .unwrap()
            .push(json!({"role": next, "content": "Stop"}));
        let (body, _, changed) = sent("mistral/m", json!({"messages": broken})).await;
        assert_eq!(body["messages"][3]["role"], "assistant", "{next}");
        assert!(changed.unwrap().starts_with("messages"), "{next}");
    }
}

#[actix_web::test]
async fn schemas_for_kimi_have_a_type_everywhere_and_none_beside_branches() {
    let parameters = json!({"type": "object", "properties": {
        "op": {"type": "object", "anyOf": [{"properties": {"p": {"type": "string"}}}, {"properties": {"u": {}}}]},
        "task": {"description": "anything"}, "mode": {"enum": ["fast", null]}, "n": {"const": 3}, "x": {"enum": [1, 2.5]},
        "one": {"oneOf": [{"type": "string"}, {"minimum": 1}]}, "list": {"items": {"maximum": 3}}, "any": true,
        "ref": {"$ref": "#/$defs/D"}, "kept": {"type": "string"}},
        "$defs": {"D": {"required": ["a"]}}});
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": parameters}}]);
    let (body, dropped, changed) = sent("kimi-k2", json!({"tools": tools})).await;
    let got = &body["tools"][0]["function"]["parameters"];
    let properties = &got["properties"];
    assert_eq!(got["type"], "object");
    assert_eq!(
        properties["op"],
        json!({"anyOf": [
        {"properties": {"p": {"type": "string"}}, "type": "object"},
        {"properties": {"u": {"type": "string"}}, "type": "object"}]})
    );
    for (name, kind) in [
        ("task", "string"),
        ("mode", "string"),
        ("n", "integer"),
        ("x", "number"),
        ("list", "array"),
        ("any", "string"),
    ] {
        assert_eq!(properties[name]["type"], kind, "{name}");
    }
    assert_eq!(
        properties["one"],
        json!({"anyOf": [{"type": "string"}, {"minimum": 1, "type": "number"}]})
    );
    assert_eq!(properties["ref"], json!({"$ref": "#/$defs/D"}));
    assert_eq!(got["$defs"]["D"]["type"], "object");
    assert_eq!(
        (dropped, changed.as_deref()),
        (None, Some("tools[0].function.parameters"))
    );
    // A schema that is right already goes as it came; the root keeps its type beside branches.
    let right = json!([{"type": "function", "function": {"name": "f", "parameters":
        {"type": "object", "anyOf": [{"type": "object"}], "properties": {"a": {"type": "string"}}}}}]);
    let (body, _, changed) = sent("kimi-k2", json!({"tools": right})).await;
    assert_eq!((&body["tools"], changed), (&right, None));
}

#[actix_web::test]
async fn of_two_limits_of_the_older_shape_the_newer_counts() {
    let (server, gateway) = gateway();
    let functions = json!([{"name": "f", "parameters": {"type": "object", "properties": {}}}]);
    for (limits, want) in [
        (json!({"max_tokens": 7, "max_completion_tokens": 5}), 5),
        (json!({"max_tokens": 7, "max_completion_tokens": null}), 7),
        (json!({"max_tokens": null, "max_completion_tokens": 5}), 5),
    ] {
        let mut body = json!({"model": "kimi-k2", "functions": functions,
            "messages": [{"role": "user", "content": "x"}]});
        body.as_object_mut()
            .unwrap()
            .extend(limits.as_object().unwrap().clone());
        assert_eq!(gateway.chat(body).await.status, 200);
        let text = String::from_utf8(server.requests().pop().unwrap().body).unwrap();
        assert_eq!(text.matches("max_").count(), 1, "{text}");
        assert!(text.contains(&format!("\"max_tokens\":{want}")), "{text}");
    }
}

#[actix_web::test]
async fn enums_of_other_than_texts_are_said_to_gemini() {
    for (schema, sent_as) in [
        (
            json!({"type": "integer", "enum": [0, 1]}),
            json!({"type": "integer", "description": "Note: enum: [0,1]"}),
        ),
        (
            json!({"const": 3}),
            json!({"type": "integer", "description": "Note: enum: [3]"}),
        ),
        (
            json!({"const": true, "description": "D."}),
            json!({"description": "D. Note: enum: [true]", "type": "boolean"}),
        ),
        (
            json!({"enum": ["a", null]}),
            json!({"type": "string", "enum": ["a"], "nullable": true}),
        ),
        (
            json!({"enum": ["", "a"]}),
            json!({"type": "string", "description": "Note: enum: [\"\",\"a\"]"}),
        ),
        (
            json!({"type": "string", "enum": ["a", "b"]}),
            json!({"type": "string", "enum": ["a", "b"]}),
        ),
    ] {
        let parameters = json!({"type": "object", "properties": {"x": schema}});
        let tools =
            json!([{"type": "function", "function": {"name": "f", "parameters": parameters}}]);
        let (body, dropped, changed) = sent("gemini/gemini-3-pro", json!({"tools": tools})).await;
        let got = &body["tools"][0]["function"]["parameters"]["properties"]["x"];
        assert_eq!(got, &sent_as, "{schema}");
        let named = (schema != sent_as).then_some("tools[0].function.parameters");
        assert_eq!((dropped, changed.as_deref()), (None, named), "{schema}");
    }
}

#[actix_web::test]
async fn what_references_make_of_a_schema_is_bounded_by_its_size() {
    let (server, gateway) = gateway();
    let ask = |parameters: Value| {
        json!({"model": "gemini/gemini-3-pro", "messages": [{"role": "user", "content": "x"}],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": parameters}}]})
    };
    let to = |name: String| json!({"$ref": format!("#/$defs/{name}")});
    let many: serde_json::Map<_, _> = (0..2000)
        .map(|n| (format!("p{n}"), to("d".to_owned())))
        .collect();
    let long = json!({"type": "object", "properties": many,
        "$defs": {"d": {"type": "string", "description": "x".repeat(20_000)}}});
    let doubling: serde_json::Map<_, _> = (0..20)
        .map(|n| {
            let next = to(format!("a{}", n + 1));
            (
                format!("a{n}"),
                json!({"type": "object", "properties": {"l": next, "r": next}}),
            )
        })
        .chain([("a20".to_owned(), json!({"type": "string"}))])
        .collect();
    let doubling =
        json!({"type": "object", "properties": {"a": to("a0".to_owned())}, "$defs": doubling});
    let answer = gateway.chat(ask(long)).await;
    let (status, param, _) = answer.refusal();
    assert_eq!(
        (status, param.as_str()),
        (400, "tools[0].function.parameters")
    );
    assert_eq!(server.requests().len(), 0);
    // References are followed so deep and no deeper.
    assert_eq!(gateway.chat(ask(doubling.clone())).await.status, 200);
    let sent = server.requests().pop().unwrap().body.len();
    assert!(
        sent < 16 * doubling.to_string().len() + (64 << 10),
        "{sent}"
    );
    let few: serde_json::Map<_, _> = (0..10)
        .map(|n| (format!("p{n}"), to("d".to_owned())))
        .collect();
    let few = json!({"type": "object", "properties": few, "$defs": {"d": {"type": "string", "description": "here"}}});
    assert_eq!(gateway.chat(ask(few)).await.status, 200);
    let sent = server.requests().pop().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&sent.body).matches("here").count(),
        10
    );
}
