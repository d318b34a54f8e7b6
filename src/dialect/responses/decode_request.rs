//! Decodes a Responses request into a hub request. Pure.

use std::borrow::Cow;

use serde_json::json;
use serde_json::value::RawValue;

use super::choice::read_tool_choice;
use super::client::ResponsesClient;
use super::items::read_input;
use super::tools::{Tools, read_tools};
use super::wire::Echo;
use crate::codec::json::{self, Object, Raw, raw};
use crate::dialect::common::report::TranslationReport;
use crate::dialect::common::report::name_members;
use crate::dialect::common::stamp::Stamp;
use crate::dialect::hub::{Message, Part, Place, Request, Role};
use crate::dialect::traits::ProviderDialect;
use crate::error::Error;

/// Parameters that need something the gateway does not have. They are refused unless null.
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

/// Decodes a request for a provider that speaks `to`. `model` is the provider's name of the model.
///
/// # Errors
/// Names the field that is missing, has the wrong type or is not possible with this provider.
pub fn read_request<'a>(
    mut body: Object<'a>,
    model: Cow<'a, str>,
    provider: &'static str,
    to: &dyn ProviderDialect,
    stamp: Stamp,
) -> Result<(Request<'a>, ResponsesClient), Error> {
    body.take("model");
    refuse(&mut body)?;
    let mut dropped = Vec::new();
    let mut fields = Object::default();
    let stream = body.read("", "stream")?.unwrap_or(false);
    if let Some(options) = body.take("stream_options") {
        let options = json::object(&options, &"stream_options")?;
        name_members(&options, "stream_options", &mut dropped);
    }
    if body.read::<bool>("", "store")? == Some(true) {
        dropped.push("store".to_owned());
    }

    let instructions = body.take("instructions");
    let mut items = TranslationReport::default();
    let messages = read_messages(&mut body, instructions.as_ref(), &mut items)?;
    dropped.append(&mut items.dropped);

    let max_output_tokens: Option<u64> = body.read("", "max_output_tokens")?;
    if let Some(limit) = max_output_tokens {
        fields.push("max_completion_tokens", Cow::Owned(raw(&limit)));
    }
    let shared = read_shared(&mut body, &mut fields)?;
    let metadata = body.get("metadata").map(|raw| (**raw).to_owned());
    if let Some(value) = body.take("metadata") {
        fields.push("metadata", value);
    }
    let parallel: Option<bool> = body.read("", "parallel_tool_calls")?;
    if let Some(parallel) = parallel {
        fields.push("parallel_tool_calls", Cow::Owned(raw(&parallel)));
    }
    let include = read_include(&mut body, &mut fields, stream, &mut dropped)?;
    let text = read_text(&mut body, &mut fields, &mut dropped)?;
    let (effort, summary) = read_reasoning(&mut body, &mut fields, &mut dropped)?;
    let read = read_tools(&mut body, provider, to)?;
    let choice = body.take("tool_choice");
    let tool_choice = match &choice {
        Some(choice) => read_tool_choice(choice, &read, provider, &mut dropped)?,
        None => None,
    };
    // Providers refuse `parallel_tool_calls` if there are no tools.
    if read.left_out.is_some()
        && read.tools.is_empty()
        && fields
            .take("parallel_tool_calls")
            .is_some_and(|value| value.get() == "false")
    {
        dropped.push("parallel_tool_calls".to_owned());
    }
    let Tools {
        tools,
        client_paths,
        flat,
        names,
        mut changed,
        dropped: mut lost,
        ..
    } = read;
    dropped.append(&mut lost);
    changed.append(&mut items.changed);
    let (max_tool_calls, truncation) = read_rest(&mut body, &mut dropped)?;

    let client = ResponsesClient {
        stamp,
        provider,
        model: model.to_string(),
        summary: summary.is_some(),
        encrypted: include.encrypted,
        includes_logprobs: include.logprobs,
        json_object: text.get().contains("\"json_object\""),
        names,
        client_paths,
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
            top_logprobs: include.top_logprobs,
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
        changed,
    };
    Ok((request, client))
}

/// Reads the parameters that a response only repeats. Reports those that no provider is sent, and
/// every parameter that is left.
fn read_rest(
    body: &mut Object<'_>,
    dropped: &mut Vec<String>,
) -> Result<(Option<u64>, Option<String>), Error> {
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
    Ok((max_tool_calls, truncation))
}

/// Reads the instructions and the input items. Reports what no provider is sent.
fn read_messages<'a>(
    body: &mut Object<'a>,
    instructions: Option<&Raw<'a>>,
    report: &mut TranslationReport,
) -> Result<Vec<Message<'a>>, Error> {
    let mut messages = Vec::new();
    if let Some(raw) = instructions {
        let mut message = Message::new(Place("instructions", 0), Role::System);
        message.plain = true;
        message.content = vec![Part::text(json::text(raw, &"instructions")?)];
        messages.push(message);
    }
    let input = body.take("input").ok_or_else(|| Error::Missing {
        param: "input".to_owned(),
    })?;
    read_input(&input, &mut messages, report)?;
    Ok(messages)
}

/// Refuses parameters that need something the gateway does not have.
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

/// What a response repeats of the parameters that are passed on unchanged.
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

/// What the response is to contain beside its items.
struct Include {
    top_logprobs: u64,
    /// Whether `include` asks for log probabilities.
    logprobs: bool,
    /// Whether `include` asks for encrypted reasoning.
    encrypted: bool,
}

/// Reads `include` and `top_logprobs`.
fn read_include<'a>(
    body: &mut Object<'a>,
    fields: &mut Object<'a>,
    stream: bool,
    dropped: &mut Vec<String>,
) -> Result<Include, Error> {
    const LOGPROBS: &str = "message.output_text.logprobs";
    const SEALED: &str = "reasoning.encrypted_content";
    let top_logprobs = body.read("", "top_logprobs")?.unwrap_or(0_u64);
    let include: Vec<String> = body.read("", "include")?.unwrap_or_default();
    let wants = |name: &str| include.iter().any(|entry| entry == name);
    let asked = wants(LOGPROBS);
    // Log probabilities are available only in a response that is not streamed.
    if stream && top_logprobs > 0 {
        dropped.push("top_logprobs".to_owned());
    }
    let unknown = |entry: &String| !matches!(entry.as_str(), LOGPROBS | SEALED);
    if (stream && asked) || include.iter().any(unknown) {
        dropped.push("include".to_owned());
    }
    if !stream && (top_logprobs > 0 || asked) {
        fields.push("logprobs", Cow::Owned(raw(&true)));
    }
    if !stream && top_logprobs > 0 {
        fields.push("top_logprobs", Cow::Owned(raw(&top_logprobs)));
    }
    Ok(Include {
        top_logprobs,
        logprobs: asked,
        encrypted: wants(SEALED),
    })
}

/// Reads `text`, and returns what a response repeats of it.
fn read_text<'a>(
    body: &mut Object<'a>,
    fields: &mut Object<'a>,
    dropped: &mut Vec<String>,
) -> Result<Box<RawValue>, Error> {
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
                    // Responses has flat what Chat Completions nests in `json_schema`.
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
        name_members(&text, "text", dropped);
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
    name_members(&reasoning, "reasoning", dropped);
    Ok((effort, summary.or(older)))
}
