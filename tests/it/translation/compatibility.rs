//! The documentation's table of what survives where, made by translating one request for each cell.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use ai_gateway::codec::json::Object;
use ai_gateway::dialect::hub::NoReasoningCache;
use ai_gateway::dialect::openai::ReasoningReplay;
use ai_gateway::dialect::{Stamp, TranslationReport, openai, responses};
use ai_gateway::error::Error;
use ai_gateway::providers::{
    ChatApi, ClientApi, Mode, PROVIDERS, Provider, ResponsesRequired, catalogue, mode,
};
use serde_json::{Value, json};

/// A model of each provider that shows what it does.
fn model(provider: &Provider) -> &'static str {
    match provider.name {
        "openai" | "azure" => "gpt-5.2",
        "anthropic" => "claude-opus-5-5",
        "gemini" => "gemini-3-pro",
        "vertex" => "google/gemini-3-pro",
        "kimi" => "kimi-for-coding",
        "openrouter" | "vercel" => "meta/llama-4",
        "groq" => "openai/gpt-oss-120b",
        "deepseek" => "deepseek-v4-pro",
        "xai" => "grok-4.3",
        "mistral" => "mistral-large-latest",
        "cohere" => "command-a-03-2025",
        "bedrock" => "openai.gpt-oss-120b-1:0",
        other => panic!("no model for {other}"),
    }
}

/// What a client says beside a question, and what it is called in the table.
fn features() -> Vec<(&'static str, Value)> {
    let tool = json!([{"type": "function", "function": {"name": "f", "strict": true,
        "parameters": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false}}}]);
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    let user = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let mut list: Vec<(&'static str, Value)> = vec![
        ("`max_tokens`", json!({"max_tokens": 64})),
        (
            "`max_completion_tokens`",
            json!({"max_completion_tokens": 64}),
        ),
        ("`temperature` 0.5", json!({"temperature": 0.5})),
        ("`top_p` 0.5", json!({"top_p": 0.5})),
        ("`stop`", json!({"stop": ["END"]})),
        ("`n` 2", json!({"n": 2})),
        ("`seed`", json!({"seed": 7})),
        ("`frequency_penalty`", json!({"frequency_penalty": 0.5})),
        ("`presence_penalty`", json!({"presence_penalty": 0.5})),
        ("`logit_bias`", json!({"logit_bias": {"1": 2}})),
        ("`logprobs`", json!({"logprobs": true})),
        ("`user`", json!({"user": "u-1"})),
        ("`metadata`", json!({"metadata": {"a": "b"}})),
        ("`store` true", json!({"store": true})),
        ("`service_tier` flex", json!({"service_tier": "flex"})),
        ("`prompt_cache_key`", json!({"prompt_cache_key": "k"})),
        ("`verbosity`", json!({"verbosity": "low"})),
        ("`reasoning_effort` low", json!({"reasoning_effort": "low"})),
        (
            "`reasoning_effort` minimal",
            json!({"reasoning_effort": "minimal"}),
        ),
        (
            "`reasoning_effort` xhigh",
            json!({"reasoning_effort": "xhigh"}),
        ),
        (
            "`reasoning_effort` none",
            json!({"reasoning_effort": "none"}),
        ),
        ("tools, strict", json!({"tools": tool})),
        (
            "`tool_choice` required",
            json!({"tools": tool, "tool_choice": "required"}),
        ),
        (
            "`parallel_tool_calls` false",
            json!({"tools": tool, "parallel_tool_calls": false}),
        ),
        (
            "JSON Schema output",
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}}),
        ),
        (
            "JSON object output",
            json!({"response_format": {"type": "json_object"}}),
        ),
    ];
    list.push(("role `developer`", json!({"messages": [{"role": "developer", "content": "d"}, {"role": "user", "content": "x"}]})));
    list.push((
        "`name` of a user",
        json!({"messages": [{"role": "user", "name": "n", "content": "x"}]}),
    ));
    list.push((
        "image by URL",
        user(json!([{"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}])),
    ));
    list.push((
        "image as data",
        user(json!([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}])),
    ));
    list.push(("PDF as data", user(json!([{"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}}]))));
    list.push((
        "audio",
        user(json!([{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}])),
    ));
    list.push((
        "cache marker on a part",
        user(json!([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}])),
    ));
    list.push(("a field nobody knows", json!({"foo_vendor": {"x": 1}})));
    list
}

fn stamp() -> Stamp {
    Stamp {
        created: 0,
        seed: 0,
        now: || 0,
    }
}

/// What was done to a request, and the body that came of it.
type Done = Result<(TranslationReport, Vec<u8>), Error>;

/// What becomes of a chat request: the report and the body, or the refusal.
fn chat(provider: &Provider, more: &Value) -> Done {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    let text = body.to_string();
    let mut object = Object::from_body(text.as_bytes())?;
    match provider.chat_api {
        ChatApi::Chat(chat) => {
            let mut report = TranslationReport::default();
            chat.edit(&mut object, model(provider), &NoReasoningCache, &mut report)?;
            Ok((report, serde_json::to_vec(&object).unwrap()))
        }
        ChatApi::Other { dialect, .. } => {
            let mut request = openai::read_request(object, model(provider).into())?;
            let done = dialect.encode_request(&mut request, &NoReasoningCache)?;
            Ok((done.report, done.body))
        }
    }
}

/// What Responses call the same; `None` where they have no such thing.
fn as_responses(more: &Value) -> Option<Value> {
    let mut body = json!({"model": "m", "input": "x"});
    for (field, value) in more.as_object().unwrap() {
        match field.as_str() {
            "max_tokens" | "stop" | "n" | "seed" | "frequency_penalty" | "presence_penalty"
            | "logit_bias" => return None,
            "max_completion_tokens" => body["max_output_tokens"] = value.clone(),
            "logprobs" => body["include"] = json!(["message.output_text.logprobs"]),
            "verbosity" => body["text"] = json!({"verbosity": value}),
            "reasoning_effort" => body["reasoning"] = json!({"effort": value}),
            "response_format" => {
                let mut format = value
                    .get("json_schema")
                    .cloned()
                    .unwrap_or_else(|| json!({}));
                format["type"] = value["type"].clone();
                body["text"] = json!({"format": format});
            }
            "tools" => {
                let mut tool = value[0]["function"].clone();
                tool["type"] = json!("function");
                body["tools"] = json!([tool]);
            }
            "messages" => {
                let message = &value[0];
                let content = match &message["content"] {
                    Value::Array(parts) => {
                        let part = &parts[0];
                        let part = match part["type"].as_str().unwrap() {
                            "image_url" => {
                                json!({"type": "input_image", "image_url": part["image_url"]["url"]})
                            }
                            "file" => {
                                let mut file = part["file"].clone();
                                file["type"] = json!("input_file");
                                file
                            }
                            "input_audio" => part.clone(),
                            _ => return None,
                        };
                        json!([part])
                    }
                    text => text.clone(),
                };
                if message.get("name").is_some() {
                    return None;
                }
                body["input"] = json!([{"role": message["role"], "content": content}, {"role": "user", "content": "x"}]);
            }
            _ => body[field] = value.clone(),
        }
    }
    Some(body)
}

fn responses(provider: &Provider, body: &Value) -> Done {
    let dialect = provider.dialect();
    let text = body.to_string();
    let object = Object::from_body(text.as_bytes())?;
    let (mut request, _) = responses::read_request(
        object,
        model(provider).into(),
        provider.name,
        dialect,
        stamp(),
    )?;
    let done = dialect.encode_request(&mut request, &NoReasoningCache)?;
    Ok((done.report, done.body))
}

/// A cell; `plain` is what becomes of a request that says nothing of it.
fn cell(done: &Done, plain: &Done) -> &'static str {
    match done {
        Err(error) => {
            assert!(
                error.param().is_some(),
                "a refusal names the field: {error}"
            );
            "400"
        }
        Ok((report, _)) if !report.dropped.is_empty() => "\u{2013}",
        Ok((report, _)) if !report.changed.is_empty() => "~",
        Ok((_, body)) => {
            let plain = &plain.as_ref().unwrap().1;
            assert_ne!(body, plain, "it is gone, and nobody says so");
            "\u{2713}"
        }
    }
}

fn header(out: &mut String, first: &str, providers: &[&Provider]) {
    let names: Vec<_> = providers.iter().map(|provider| provider.name).collect();
    let _ = writeln!(out, "| {first} | {} |", names.join(" | "));
    let _ = writeln!(out, "| --- |{}", " :-: |".repeat(names.len()));
}

fn table() -> String {
    let mut out = String::new();
    let all: Vec<&Provider> = PROVIDERS.iter().collect();
    header(&mut out, "Chat Completions", &all);
    for (name, more) in features() {
        let cells: Vec<_> = all
            .iter()
            .map(|provider| cell(&chat(provider, &more), &chat(provider, &json!({}))))
            .collect();
        let _ = writeln!(out, "| {name} | {} |", cells.join(" | "));
    }
    let wants: Vec<_> = all
        .iter()
        .map(|provider| match provider.chat_api {
            ChatApi::Other { .. } => "thinking",
            ChatApi::Chat(chat) => match (chat.requires_reasoning_replay)(model(provider)) {
                ReasoningReplay::Nothing => "",
                ReasoningReplay::Reasoning => "text",
                ReasoningReplay::Signatures => "signatures",
            },
        })
        .collect();
    let _ = writeln!(
        out,
        "| reasoning that is given back | {} |",
        wants.join(" | ")
    );
    let translated: Vec<&Provider> = PROVIDERS
        .iter()
        .filter(|provider| !mode(ClientApi::Responses, provider, model(provider)).is_relayed())
        .collect();
    out.push('\n');
    let plain = json!({"model": "m", "input": "x"});
    header(&mut out, "Responses", &translated);
    for (name, more) in features() {
        let Some(body) = as_responses(&more) else {
            continue;
        };
        let name = name
            .replace("max_completion_tokens", "max_output_tokens")
            .replace("reasoning_effort", "reasoning.effort")
            .replace("verbosity", "text.verbosity")
            .replace("`logprobs`", "log probabilities");
        let cells: Vec<_> = translated
            .iter()
            .map(|provider| cell(&responses(provider, &body), &responses(provider, &plain)))
            .collect();
        let _ = writeln!(out, "| {name} | {} |", cells.join(" | "));
    }
    let tools = [
        ("custom tools", json!([{"type": "custom", "name": "c"}])),
        (
            "namespaces of tools",
            json!([{"type": "namespace", "name": "n", "description": "d", "tools": [{"type": "function", "name": "f"}]}]),
        ),
        ("web search", json!([{"type": "web_search"}])),
        ("other hosted tools", json!([{"type": "file_search"}])),
    ];
    for (name, tools) in tools {
        let body = json!({"model": "m", "input": "x", "tools": tools});
        let cells: Vec<_> = translated
            .iter()
            .map(|provider| cell(&responses(provider, &body), &responses(provider, &plain)))
            .collect();
        let _ = writeln!(out, "| {name} | {} |", cells.join(" | "));
    }
    out
}

/// A mode in words, for the table.
fn mode_text(client: ClientApi, provider: &Provider, model: &str) -> &'static str {
    let chat = matches!(provider.chat_api, ChatApi::Chat(_));
    match mode(client, provider, model) {
        Mode::Relay => "relay",
        Mode::RelayFirst => "relay; refused requests are translated to Chat Completions",
        Mode::Translate if chat => "translate to Chat Completions",
        Mode::Translate => "translate to Messages",
        Mode::Bridge(ResponsesRequired::WhenReasoning) => {
            "relay; tools with `reasoning_effort` are translated to Responses"
        }
        Mode::Bridge(ResponsesRequired::UnlessOff) => {
            "relay; tools are translated to Responses unless `reasoning_effort` is `none`"
        }
        Mode::Bridge(ResponsesRequired::Never) => unreachable!("such a model has no bridge"),
    }
}

/// Models of a provider that differ in their modes: those of the catalogue, and one of each kind
/// that a row tells apart.
fn kinds(provider: &'static Provider) -> Vec<String> {
    let known: &[&str] = match provider.name {
        "openai" | "azure" => &[
            "gpt-4o",
            "gpt-5.2",
            "gpt-5.4",
            "gpt-5.4-mini",
            "gpt-5.5",
            "gpt-5.6",
            "gpt-6",
        ],
        "bedrock" => &[
            "openai.gpt-6",
            "openai.gpt-oss-120b",
            "anthropic.claude-x",
            "us.amazon.nova-pro",
        ],
        _ => &[],
    };
    let bundled = catalogue(provider).iter().map(|model| model.id.as_str());
    let mut all: Vec<String> = bundled
        .chain(known.iter().copied())
        .map(str::to_owned)
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn modes() -> String {
    let mut out =
        "| Provider | Models | Chat Completions | Responses |\n| --- | --- | --- | --- |\n"
            .to_owned();
    for provider in &PROVIDERS {
        let mut rows: Vec<([&str; 2], Vec<String>)> = Vec::new();
        for name in kinds(provider) {
            let modes = [ClientApi::ChatCompletions, ClientApi::Responses]
                .map(|client| mode_text(client, provider, &name));
            match rows.iter_mut().find(|(seen, _)| *seen == modes) {
                Some((_, names)) => names.push(name),
                None => rows.push((modes, vec![name])),
            }
        }
        let single = rows.len() < 2;
        if rows.is_empty() {
            let modes = [ClientApi::ChatCompletions, ClientApi::Responses]
                .map(|client| mode_text(client, provider, model(provider)));
            rows.push((modes, Vec::new()));
        }
        for ([chat, responses], names) in rows {
            let names: Vec<_> = names
                .iter()
                .take(4)
                .map(|name| format!("`{name}`"))
                .collect();
            let names = if single {
                "all".to_owned()
            } else {
                format!("as {}", names.join(", "))
            };
            let _ = writeln!(
                out,
                "| {} | {names} | {chat} | {responses} |",
                provider.name
            );
        }
    }
    out
}

/// Holds the part of a page between two marks to what the code does.
fn check_part(mark: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compatibility.md");
    let page = fs::read_to_string(&path).unwrap();
    let begin = format!("<!-- {mark}: made by tests/it/translation/compatibility.rs -->\n");
    let end = format!("<!-- end of {mark} -->\n");
    let (head, rest) = page.split_once(&begin).expect("the page has the table");
    let (had, tail) = rest.split_once(&end).expect("the table has an end");
    let table = format!("\n{made}\n");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, format!("{head}{begin}{table}{end}{tail}")).unwrap();
        return;
    }
    assert_eq!(
        had, table,
        "the code changed: see the diff after UPDATE_GOLDEN=1 cargo test --test it compatibility -- --test-threads 1"
    );
}

#[test]
fn the_table_of_parameters_in_the_page_is_what_the_code_does() {
    check_part("what survives where", &table());
}

#[test]
fn the_table_of_modes_in_the_page_is_what_the_code_does() {
    check_part("modes", &modes());
}
