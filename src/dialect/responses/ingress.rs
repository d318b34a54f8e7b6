//! Responses request -> hub request. Pure.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use serde_json::value::RawValue;

use super::wire::Echo;
use super::{ResponsesClient, SEALED};
use crate::codec::json::{self, Object, Raw, raw};
use crate::dialect::Stamp;
use crate::dialect::hub::{CallIn, Message, Part, Place, Request, Role, Tool, ToolChoice};
use crate::error::Error;

/// Parameters that need something the gateway does not have; refused unless null.
const REFUSED: [(&str, &str); 8] = [
    (
        "previous_response_id",
        "the gateway keeps no responses for this provider; send the earlier items in 'input'.",
    ),
    (
        "conversation",
        "the gateway keeps no conversations for this provider; send the items in 'input'.",
    ),
    ("prompt", "this provider has no stored prompts."),
    ("context_management", "it cannot be done for this provider."),
    ("background_options", "it cannot be done for this provider."),
    ("access_programs", "it cannot be done for this provider."),
    ("moderation", "it cannot be done for this provider."),
    ("image", "it cannot be done for this provider."),
];

/// Parameters that Chat Completions has under the same name.
const SAME: [&str; 6] = [
    "temperature",
    "top_p",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "service_tier",
];

/// Items of hosted tools; their results are no part of what another provider can read.
const HOSTED: [&str; 16] = [
    "web_search_call",
    "file_search_call",
    "computer_call",
    "computer_call_output",
    "image_generation_call",
    "code_interpreter_call",
    "local_shell_call",
    "local_shell_call_output",
    "shell_call",
    "shell_call_output",
    "apply_patch_call",
    "apply_patch_call_output",
    "mcp_list_tools",
    "mcp_call",
    "mcp_approval_request",
    "compaction",
];

/// Takes a request apart. `model` is the name for the provider.
///
/// # Errors
/// Names the field that is missing, has the wrong type or cannot be done for this provider.
pub fn read_request<'a>(
    mut body: Object<'a>,
    model: Cow<'a, str>,
    provider: &'static str,
    stamp: Stamp,
) -> Result<(Request<'a>, ResponsesClient), Error> {
    body.take("model");
    refuse(&mut body)?;
    let mut dropped = Vec::new();
    let mut fields = Object::default();
    let stream = body.read("", "stream")?.unwrap_or(false);
    body.take("stream_options");
    if body.read::<bool>("", "store")? == Some(true) {
        dropped.push("store".to_owned());
    }

    let instructions = body.take("instructions");
    let mut messages = Vec::new();
    if let Some(raw) = &instructions {
        let mut message = Message::new(Place("instructions", 0), Role::System);
        message.plain = true;
        message.content = vec![Part::text(json::text(raw, &"instructions")?)];
        messages.push(message);
    }
    let input = body.take("input").ok_or_else(|| Error::Missing {
        param: "input".to_owned(),
    })?;
    read_input(&input, &mut messages, &mut dropped)?;

    let max_output_tokens: Option<u64> = body.read("", "max_output_tokens")?;
    if let Some(limit) = max_output_tokens {
        fields.push("max_completion_tokens", Cow::Owned(raw(&limit)));
    }
    let shared = read_shared(&mut body, &mut fields)?;
    let metadata = body.take("metadata").map(Cow::into_owned);
    let parallel: Option<bool> = body.read("", "parallel_tool_calls")?;
    if let Some(parallel) = parallel {
        fields.push("parallel_tool_calls", Cow::Owned(raw(&parallel)));
    }
    let (top_logprobs, encrypted) = read_include(&mut body, &mut fields)?;
    let text = read_text(&mut body, &mut fields)?;
    let (effort, summary) = read_reasoning(&mut body, &mut fields, &mut dropped)?;
    let (tools, flat) = read_tools(&mut body, provider)?;
    let choice = body.take("tool_choice");
    let tool_choice = choice.as_ref().map(read_tool_choice).transpose()?;
    let max_tool_calls = body.read("", "max_tool_calls")?;
    if max_tool_calls.is_some() {
        dropped.push("max_tool_calls".to_owned());
    }
    let truncation: Option<String> = body.read("", "truncation")?;
    if truncation.as_deref() == Some("auto") {
        dropped.push("truncation".to_owned());
    }
    dropped.extend(
        body.fields
            .iter()
            .filter(|field| field.value.get() != "null")
            .map(|field| field.name.to_string()),
    );

    let client = ResponsesClient {
        stamp,
        provider,
        model: model.to_string(),
        summary: summary.is_some(),
        encrypted,
        echo: Echo {
            instructions: instructions.map(Cow::into_owned),
            max_output_tokens,
            max_tool_calls,
            parallel_tool_calls: parallel.unwrap_or(true),
            effort,
            summary,
            service_tier: shared.service_tier,
            temperature: shared.temperature,
            top_p: shared.top_p,
            top_logprobs,
            text,
            tool_choice: choice.map(Cow::into_owned),
            tools: flat,
            truncation,
            metadata,
            user: shared.user,
        },
    };
    let request = Request {
        model,
        stream,
        include_usage: true,
        messages,
        tools,
        tool_choice,
        fields,
        dropped,
    };
    Ok((request, client))
}

/// Refuses what needs something the gateway does not have.
fn refuse(body: &mut Object<'_>) -> Result<(), Error> {
    for (name, why) in REFUSED {
        if body.take(name).is_some() {
            return Err(Error::unsupported(name, why));
        }
    }
    if body.read::<bool>("", "background")? == Some(true) {
        return Err(Error::unsupported(
            "background",
            "responses of this provider cannot run in the background.",
        ));
    }
    Ok(())
}

/// What a response repeats of the parameters that go through unchanged.
struct Shared {
    temperature: Option<Box<RawValue>>,
    top_p: Option<Box<RawValue>>,
    user: Option<String>,
    service_tier: Option<String>,
}

fn read_shared<'a>(body: &mut Object<'a>, fields: &mut Object<'a>) -> Result<Shared, Error> {
    let text = |name: &str| {
        body.get(name)
            .map(|raw| json::text(raw, &name).map(Cow::into_owned))
            .transpose()
    };
    let raw_of = |name: &str| body.get(name).map(|raw| (**raw).to_owned());
    let shared = Shared {
        temperature: raw_of("temperature"),
        top_p: raw_of("top_p"),
        user: text("user")?,
        service_tier: text("service_tier")?,
    };
    for name in ["temperature", "top_p"] {
        if let Some(value) = body.get(name) {
            json::read::<f64>(value, &name)?;
        }
    }
    for name in SAME {
        if let Some(value) = body.take(name) {
            fields.push(name, value);
        }
    }
    Ok(shared)
}

/// Reads `include` and `top_logprobs`: how many log probabilities, and whether reasoning is given
/// for taking back.
fn read_include<'a>(body: &mut Object<'a>, fields: &mut Object<'a>) -> Result<(u64, bool), Error> {
    let top_logprobs = body.read("", "top_logprobs")?.unwrap_or(0_u64);
    let include: Vec<String> = body.read("", "include")?.unwrap_or_default();
    let wants = |name: &str| include.iter().any(|entry| entry == name);
    if top_logprobs > 0 || wants("message.output_text.logprobs") {
        fields.push("logprobs", Cow::Owned(raw(&true)));
    }
    if top_logprobs > 0 {
        fields.push("top_logprobs", Cow::Owned(raw(&top_logprobs)));
    }
    Ok((top_logprobs, wants("reasoning.encrypted_content")))
}

fn read_input<'a>(
    input: &Raw<'a>,
    messages: &mut Vec<Message<'a>>,
    dropped: &mut Vec<String>,
) -> Result<(), Error> {
    if input.get().starts_with('"') {
        let mut message = Message::new(Place("input", 0), Role::User);
        message.plain = true;
        message.content = vec![Part::text(json::text(input, &"input")?)];
        messages.push(message);
        return Ok(());
    }
    let items = json::array(input, &"input")
        .map_err(|_| Error::wrong_type("input", "a string or an array of items"))?;
    if items.is_empty() {
        return Err(Error::invalid("input", "the list is empty."));
    }
    for (i, raw) in items.iter().enumerate() {
        read_item(raw, Place("input", i), messages, dropped)?;
    }
    Ok(())
}

fn read_item<'a>(
    raw: &Raw<'a>,
    at: Place,
    messages: &mut Vec<Message<'a>>,
    dropped: &mut Vec<String>,
) -> Result<(), Error> {
    let mut item = json::object(raw, &at)?;
    let missing = |name: &str| Error::Missing {
        param: format!("{at}.{name}"),
    };
    let text = |item: &mut Object<'a>, name: &str| {
        item.take(name)
            .ok_or_else(|| missing(name))
            .and_then(|raw| json::text(&raw, &format_args!("{at}.{name}")))
    };
    let kind = match item.take("type") {
        Some(kind) => json::text(&kind, &format_args!("{at}.type"))?,
        None => Cow::Borrowed("message"),
    };
    match &*kind {
        "message" => {
            let message = read_message(&mut item, at)?;
            match messages.last_mut() {
                // What an assistant thought, said and called is one message to a chat provider.
                Some(last)
                    if message.role == Role::Assistant
                        && last.role == Role::Assistant
                        && last.content.is_empty()
                        && last.tool_calls.is_empty() =>
                {
                    last.content = message.content;
                    last.refusal = message.refusal;
                    last.plain = message.plain;
                }
                _ => messages.push(message),
            }
        }
        "function_call" => {
            let call = CallIn {
                id: text(&mut item, "call_id")?,
                name: text(&mut item, "name")?,
                arguments: text(&mut item, "arguments")?,
                other: Object::default(),
            };
            assistant(messages, at).tool_calls.push(call);
        }
        "function_call_output" => {
            let mut message = Message::new(at, Role::Tool);
            message.tool_call_id = Some(text(&mut item, "call_id")?);
            let output = item.take("output").ok_or_else(|| missing("output"))?;
            message.plain = output.get().starts_with('"');
            message.content = read_content(&output, &format!("{at}.output"))?.0;
            messages.push(message);
        }
        "reasoning" => {
            if let Some(sealed) = item.take("encrypted_content") {
                let sealed = json::text(&sealed, &format_args!("{at}.encrypted_content"))?;
                // What another gateway or provider sealed means nothing here.
                if let Some(details) = unseal(&sealed) {
                    let message = assistant_before(messages, at);
                    message.other.push("reasoning_details", Cow::Owned(details));
                }
            }
        }
        "item_reference" => {
            return Err(Error::unsupported_value(
                format!("{at}.type"),
                "the gateway keeps no items for this provider; send the item itself.",
            ));
        }
        hosted if HOSTED.contains(&hosted) => dropped.push(format!("input.{hosted}")),
        other => {
            return Err(Error::invalid(
                format!("{at}.type"),
                format!("items of type '{other}' cannot be sent to this provider."),
            ));
        }
    }
    Ok(())
}

/// The assistant message that a call belongs to: the last one, or a new one.
fn assistant<'m, 'a>(messages: &'m mut Vec<Message<'a>>, at: Place) -> &'m mut Message<'a> {
    if messages
        .last()
        .is_none_or(|last| last.role != Role::Assistant)
    {
        messages.push(Message::new(at, Role::Assistant));
    }
    messages.last_mut().expect("one was just pushed")
}

/// The assistant message that a reasoning item opens.
fn assistant_before<'m, 'a>(messages: &'m mut Vec<Message<'a>>, at: Place) -> &'m mut Message<'a> {
    if messages.last().is_none_or(|last| {
        last.role != Role::Assistant || !last.tool_calls.is_empty() || !last.content.is_empty()
    }) {
        messages.push(Message::new(at, Role::Assistant));
    }
    messages.last_mut().expect("one was just pushed")
}

fn unseal(sealed: &str) -> Option<Box<RawValue>> {
    let bytes = URL_SAFE_NO_PAD.decode(sealed.strip_prefix(SEALED)?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn read_message<'a>(item: &mut Object<'a>, at: Place) -> Result<Message<'a>, Error> {
    let missing = |name: &str| Error::Missing {
        param: format!("{at}.{name}"),
    };
    let role = item.take("role").ok_or_else(|| missing("role"))?;
    let role = json::text(&role, &format_args!("{at}.role"))?;
    let role = match &*role {
        "user" => Role::User,
        // No provider that lacks Responses knows the newer word.
        "system" | "developer" => Role::System,
        "assistant" => Role::Assistant,
        other => {
            return Err(Error::invalid(
                format!("{at}.role"),
                format!("'{other}' is none of user, assistant, system, developer."),
            ));
        }
    };
    let content = item.take("content").ok_or_else(|| missing("content"))?;
    let mut message = Message::new(at, role);
    let (parts, refusal) = read_content(&content, &format!("{at}.content"))?;
    message.content = parts;
    message.refusal = refusal;
    message.plain = content.get().starts_with('"');
    if role != Role::User && !message.plain {
        join_texts(&mut message);
    }
    Ok(message)
}

/// Text parts of a message that is no user's become one string, which every provider takes.
fn join_texts(message: &mut Message<'_>) {
    if message
        .content
        .iter()
        .all(|part| matches!(part, Part::Text { .. }))
    {
        let joined: String = message
            .content
            .iter()
            .filter_map(|part| match part {
                Part::Text { text, .. } => Some(text.as_ref()),
                _ => None,
            })
            .collect();
        message.plain = true;
        message.content = if joined.is_empty() {
            Vec::new()
        } else {
            vec![Part::text(joined)]
        };
    }
}

type Content<'a> = (Vec<Part<'a>>, Option<Cow<'a, str>>);

fn read_content<'a>(content: &Raw<'a>, at: &str) -> Result<Content<'a>, Error> {
    if content.get().starts_with('"') {
        return Ok((vec![Part::text(json::text(content, &at)?)], None));
    }
    let parts = json::array(content, &at)
        .map_err(|_| Error::wrong_type(at, "a string or an array of parts"))?;
    let mut out = Vec::new();
    let mut refusal = None;
    for (j, raw) in parts.iter().enumerate() {
        let at = format!("{at}[{j}]");
        let mut part = json::object(raw, &at)?;
        let missing = |name: &str| Error::Missing {
            param: format!("{at}.{name}"),
        };
        let optional = |part: &mut Object<'a>, name: &str| {
            part.take(name)
                .map(|raw| json::text(&raw, &format_args!("{at}.{name}")))
                .transpose()
        };
        let kind = optional(&mut part, "type")?.ok_or_else(|| missing("type"))?;
        match &*kind {
            "input_text" | "output_text" | "text" => {
                let text = optional(&mut part, "text")?.ok_or_else(|| missing("text"))?;
                out.push(Part::text(text));
            }
            "refusal" => {
                refusal = Some(optional(&mut part, "refusal")?.ok_or_else(|| missing("refusal"))?);
            }
            "input_image" => {
                let url = optional(&mut part, "image_url")?.ok_or_else(|| {
                    Error::unsupported_value(
                        format!("{at}.file_id"),
                        "this provider does not know OpenAI's files; send an image_url.",
                    )
                })?;
                let detail = optional(&mut part, "detail")?.map(|detail| match &*detail {
                    "original" => Cow::Borrowed("high"),
                    _ => detail,
                });
                out.push(Part::Image {
                    url,
                    detail,
                    other: Object::default(),
                });
            }
            "input_file" => {
                if part.take("file_id").is_some() {
                    return Err(Error::unsupported_value(
                        format!("{at}.file_id"),
                        "this provider does not know OpenAI's files; send file_data.",
                    ));
                }
                let mut file = Object::default();
                for name in ["file_data", "filename", "file_url"] {
                    if let Some(value) = part.take(name) {
                        file.push(name, value);
                    }
                }
                out.push(Part::File {
                    file,
                    other: Object::default(),
                });
            }
            "input_audio" => out.push(Part::Other {
                kind,
                value: raw.clone(),
            }),
            other => {
                return Err(Error::unsupported_value(
                    format!("{at}.type"),
                    format!("parts of type '{other}' cannot be sent to this provider."),
                ));
            }
        }
    }
    Ok((out, refusal))
}

/// Reads `text`; gives back what a response repeats of it.
fn read_text<'a>(body: &mut Object<'a>, fields: &mut Object<'a>) -> Result<Box<RawValue>, Error> {
    let mut echo = Object::default();
    let mut format_echo: Raw<'_> = Cow::Owned(raw(&json!({"type": "text"})));
    let mut verbosity = None;
    if let Some(text) = body.take("text") {
        let mut text = json::object(&text, &"text")?;
        if let Some(format) = text.take("format") {
            let mut flat = json::object(&format, &"text.format")?;
            let kind: String =
                flat.read("text.format.", "type")?
                    .ok_or_else(|| Error::Missing {
                        param: "text.format.type".to_owned(),
                    })?;
            match kind.as_str() {
                "text" => {}
                "json_object" => {
                    let nested = json!({"type": "json_object"});
                    fields.push("response_format", Cow::Owned(raw(&nested)));
                }
                "json_schema" => {
                    for name in ["name", "schema"] {
                        if flat.get(name).is_none() {
                            return Err(Error::Missing {
                                param: format!("text.format.{name}"),
                            });
                        }
                    }
                    // Flat here, nested there.
                    let mut nested = Object::default();
                    nested.push("type", Cow::Owned(raw("json_schema")));
                    nested.push("json_schema", Cow::Owned(raw(&flat)));
                    fields.push("response_format", Cow::Owned(raw(&nested)));
                }
                other => {
                    return Err(Error::invalid(
                        "text.format.type",
                        format!("'{other}' is none of text, json_object, json_schema."),
                    ));
                }
            }
            format_echo = format;
        }
        verbosity = text.take("verbosity");
    }
    echo.push("format", format_echo);
    if let Some(verbosity) = verbosity {
        fields.push("verbosity", verbosity.clone());
        echo.push("verbosity", verbosity);
    }
    Ok(raw(&echo))
}

type Reasoning = (Option<String>, Option<String>);

fn read_reasoning<'a>(
    body: &mut Object<'a>,
    fields: &mut Object<'a>,
    dropped: &mut Vec<String>,
) -> Result<Reasoning, Error> {
    let Some(reasoning) = body.take("reasoning") else {
        return Ok((None, None));
    };
    let mut reasoning = json::object(&reasoning, &"reasoning")?;
    let effort: Option<String> = reasoning.read("reasoning.", "effort")?;
    let summary: Option<String> = reasoning.read("reasoning.", "summary")?;
    let older: Option<String> = reasoning.read("reasoning.", "generate_summary")?;
    if let Some(effort) = &effort {
        fields.push("reasoning_effort", Cow::Owned(raw(effort)));
    }
    dropped.extend(
        reasoning
            .fields
            .iter()
            .filter(|field| field.value.get() != "null")
            .map(|field| format!("reasoning.{}", field.name)),
    );
    Ok((effort, summary.or(older)))
}

type Tools<'a> = (Vec<Tool<'a>>, Vec<Box<RawValue>>);

/// Reads `tools`; gives back also the flat form that a response repeats.
fn read_tools<'a>(body: &mut Object<'a>, provider: &str) -> Result<Tools<'a>, Error> {
    let mut tools = Vec::new();
    let mut flat = Vec::new();
    let Some(list) = body.take("tools") else {
        return Ok((tools, flat));
    };
    for (i, entry) in json::array(&list, &"tools")?.iter().enumerate() {
        let at = format!("tools[{i}]");
        let mut tool = json::object(entry, &at)?;
        let kind: String = tool
            .read(&format!("{at}."), "type")?
            .ok_or_else(|| Error::Missing {
                param: format!("{at}.type"),
            })?;
        if kind != "function" {
            return Err(Error::unsupported_value(
                format!("{at}.type"),
                format!(
                    "tool type '{kind}' is not available for provider '{provider}'; supported: function."
                ),
            ));
        }
        let name = tool.take("name").ok_or_else(|| Error::Missing {
            param: format!("{at}.name"),
        })?;
        let name = json::text(&name, &format_args!("{at}.name"))?;
        let description = tool
            .take("description")
            .map(|raw| json::text(&raw, &format_args!("{at}.description")))
            .transpose()?;
        let parameters = tool.take("parameters");
        if let Some(schema) = &parameters
            && !schema.get().starts_with('{')
        {
            return Err(Error::wrong_type(
                format!("{at}.parameters"),
                "a JSON Schema object",
            ));
        }
        // Absent means true to Responses and false to Chat Completions, where few schemas that
        // were not written for it qualify: nothing is said then, and the echo says what was done.
        let strict: Option<bool> = tool.read(&format!("{at}."), "strict")?;
        flat.push(raw(&json!({
            "type": "function",
            "name": name,
            "description": description,
            "parameters": parameters,
            "strict": strict.unwrap_or(false),
        })));
        tools.push(Tool::Function {
            name,
            description,
            parameters,
            strict,
            other: tool,
        });
    }
    Ok((tools, flat))
}

fn read_tool_choice<'a>(choice: &Raw<'a>) -> Result<ToolChoice<'a>, Error> {
    if choice.get().starts_with('"') {
        return crate::dialect::openai::read_tool_choice(choice);
    }
    let mut object = json::object(choice, &"tool_choice")
        .map_err(|_| Error::wrong_type("tool_choice", "a string or an object"))?;
    let kind: Option<String> = object.read("tool_choice.", "type")?;
    let missing = |name: &str| Error::Missing {
        param: format!("tool_choice.{name}"),
    };
    match kind.as_deref() {
        Some("function") => {
            let name = object.take("name").ok_or_else(|| missing("name"))?;
            Ok(ToolChoice::Function(json::text(
                &name,
                &"tool_choice.name",
            )?))
        }
        Some("allowed_tools") => {
            let mode: Option<String> = object.read("tool_choice.", "mode")?;
            let tools = object.take("tools").ok_or_else(|| missing("tools"))?;
            let mut names = Vec::new();
            for (i, raw) in json::array(&tools, &"tool_choice.tools")?
                .iter()
                .enumerate()
            {
                let at = format!("tool_choice.tools[{i}].");
                let name: Option<String> = json::object(raw, &at)?.read(&at, "name")?;
                names.push(name.ok_or_else(|| missing(&format!("tools[{i}].name")))?);
            }
            Ok(ToolChoice::Allowed {
                required: mode.as_deref() == Some("required"),
                names,
            })
        }
        Some(other) => Err(Error::unsupported_value(
            "tool_choice.type",
            format!("'{other}' is not available for this provider; use function or allowed_tools."),
        )),
        None => Err(missing("type")),
    }
}
