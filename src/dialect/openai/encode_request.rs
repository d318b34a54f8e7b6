//! Encodes a hub request as a Chat Completions body. Pure.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::conversation::{DETAILS, joined};
use super::provider::{ChatProvider, ReasoningReplay};
use crate::codec::json::{self, Object, raw};
use crate::dialect::common::report::TranslationReport;
use crate::dialect::common::tool_results::results_of_calls;
use crate::dialect::common::tool_results::text_only;
use crate::dialect::hub::{
    Message, Part, ReasoningLookup, Request, RequestToolCall, Tool, ToolChoice,
};
use crate::dialect::traits::EncodedRequest;
use crate::error::Error;

/// Encodes a request. Nothing is lost in this step, because the hub has the structure of Chat
/// Completions. Then the provider's quirks are applied, as in a relayed request.
pub(super) fn request(
    request: &mut Request<'_>,
    provider: &ChatProvider,
    memory: &dyn ReasoningLookup,
) -> Result<EncodedRequest, Error> {
    let token_limit = provider.token_limit(&request.model);
    let mut out = Object::default();
    out.push("model", Cow::Owned(raw(&request.model)));
    if !provider.functions {
        results_of_calls(&mut request.messages);
    }
    request.messages = joined(std::mem::take(&mut request.messages));
    text_only(request);
    let wants = (provider.requires_reasoning_replay)(&request.model);
    let has = |what: fn(&Message<'_>) -> bool| request.messages.iter().any(what);
    if wants != ReasoningReplay::Reasoning && has(|message| message.reasoning.is_some()) {
        let name = "messages.reasoning_content";
        request.dropped.push(name.to_owned());
    }
    if wants == ReasoningReplay::Nothing && has(|message| message.other.get(DETAILS).is_some()) {
        request.dropped.push(format!("messages.{DETAILS}"));
    }
    let messages: Vec<_> = request
        .messages
        .iter()
        .map(|one| message(one, wants))
        .collect();
    out.push("messages", Cow::Owned(raw(&messages)));
    if request.stream {
        out.push("stream", Cow::Owned(raw(&true)));
        if request.include_usage {
            let options = serde_json::json!({"include_usage": true});
            out.push("stream_options", Cow::Owned(raw(&options)));
        }
    }
    if !request.tools.is_empty() {
        let tools: Vec<_> = request.tools.iter().map(tool).collect();
        out.push("tools", Cow::Owned(raw(&tools)));
    }
    // Without tools, `auto` and `none` mean nothing, and providers reject them.
    let idle = request.tools.is_empty()
        && matches!(
            request.tool_choice,
            Some(ToolChoice::Auto | ToolChoice::None)
        );
    if let Some(choice) = request.tool_choice.as_ref().filter(|_| !idle) {
        out.push("tool_choice", Cow::Owned(tool_choice(choice)));
    }
    let mut fields = std::mem::take(&mut request.fields);
    // If both names are given, the newer one counts.
    if fields.get("max_completion_tokens").is_some() && fields.take("max_tokens").is_some() {
        request.dropped.push("max_tokens".to_owned());
    }
    for mut field in fields.fields {
        if matches!(&*field.name, "max_tokens" | "max_completion_tokens") {
            if field.value.get() == "null" {
                continue;
            }
            field.name = Cow::Borrowed(token_limit);
        }
        out.fields.push(field);
    }
    let mut report = TranslationReport {
        dropped: std::mem::take(&mut request.dropped),
        changed: std::mem::take(&mut request.changed),
    };
    let conversation_hash = provider
        .edit(&mut out, &request.model, memory, &mut report)?
        .conversation_hash;
    report.dedup();
    Ok(EncodedRequest {
        body: serde_json::to_vec(&out).map_err(|e| Error::InvalidJson {
            param: None,
            message: e.to_string(),
        })?,
        report,
        conversation_hash,
    })
}

/// Encodes a message. Reasoning is only sent to providers that require it; others do not know the
/// field.
fn message(message: &Message<'_>, wants: ReasoningReplay) -> Box<RawValue> {
    let reasoning = message
        .reasoning
        .as_ref()
        .filter(|_| wants == ReasoningReplay::Reasoning);
    let mut out = Object::default();
    out.push("role", Cow::Owned(raw(message.role.name())));
    match message.content.as_slice() {
        [] if !message.tool_calls.is_empty() || message.refusal.is_some() => {
            out.push("content", Cow::Owned(raw(&None::<()>)));
        }
        [] => out.push("content", Cow::Owned(raw(""))),
        [Part::Text { text, .. }] if message.plain => {
            out.push("content", Cow::Owned(raw(text)));
        }
        parts => {
            let parts: Vec<_> = parts.iter().map(part).collect();
            out.push("content", Cow::Owned(raw(&parts)));
        }
    }
    for (name, value) in [
        ("name", message.name.as_ref()),
        ("tool_call_id", message.tool_call_id.as_ref()),
        ("refusal", message.refusal.as_ref()),
        ("reasoning_content", reasoning),
    ] {
        if let Some(value) = value {
            out.push(name, Cow::Owned(raw(value)));
        }
    }
    if !message.tool_calls.is_empty() {
        let calls: Vec<_> = message.tool_calls.iter().map(call).collect();
        out.push("tool_calls", Cow::Owned(raw(&calls)));
    }
    let known = |field: &&json::Field<'_>| {
        wants != ReasoningReplay::Nothing || field.name != "reasoning_details"
    };
    let other = message.other.fields.iter().filter(known);
    out.fields.extend(other.cloned());
    raw(&out)
}

fn part(part: &Part<'_>) -> Box<RawValue> {
    let mut out = Object::default();
    let other = match part {
        Part::Text { text, other } => {
            out.push("type", Cow::Owned(raw("text")));
            out.push("text", Cow::Owned(raw(text)));
            other
        }
        Part::Image {
            url,
            detail,
            image: more,
            other,
        } => {
            out.push("type", Cow::Owned(raw("image_url")));
            let mut image = Object::default();
            image.push("url", Cow::Owned(raw(url)));
            if let Some(detail) = detail {
                image.push("detail", Cow::Owned(raw(detail)));
            }
            image.fields.extend(more.fields.iter().cloned());
            out.push("image_url", Cow::Owned(raw(&image)));
            other
        }
        Part::File { file, other } => {
            out.push("type", Cow::Owned(raw("file")));
            out.push("file", Cow::Owned(raw(file)));
            other
        }
        Part::Refusal { text, other } => {
            out.push("type", Cow::Owned(raw("refusal")));
            out.push("refusal", Cow::Owned(raw(text)));
            other
        }
        Part::Other { value, .. } => return (**value).to_owned(),
    };
    out.fields.extend(other.fields.iter().cloned());
    raw(&out)
}

fn call(call: &RequestToolCall<'_>) -> Box<RawValue> {
    let mut out = Object::default();
    out.push("id", Cow::Owned(raw(&call.id)));
    out.push("type", Cow::Owned(raw("function")));
    let arguments = if call.arguments.trim().is_empty() {
        "{}"
    } else {
        &call.arguments
    };
    let mut function = Object::default();
    function.push("name", Cow::Owned(raw(&call.name)));
    function.push("arguments", Cow::Owned(raw(arguments)));
    function.fields.extend(call.function.fields.iter().cloned());
    out.push("function", Cow::Owned(raw(&function)));
    out.fields.extend(call.other.fields.iter().cloned());
    raw(&out)
}

fn tool(tool: &Tool<'_>) -> Box<RawValue> {
    match tool {
        Tool::Function {
            name,
            description,
            parameters,
            strict,
            function: more,
            other,
        } => {
            let mut function = Object::default();
            function.push("name", Cow::Owned(raw(name)));
            if let Some(description) = description {
                function.push("description", Cow::Owned(raw(description)));
            }
            if let Some(parameters) = parameters {
                function.push("parameters", Cow::Borrowed(parameters));
            }
            if let Some(strict) = strict {
                function.push("strict", Cow::Owned(raw(strict)));
            }
            function.fields.extend(more.fields.iter().cloned());
            let mut out = Object::default();
            out.push("type", Cow::Owned(raw("function")));
            out.push("function", Cow::Owned(raw(&function)));
            out.fields.extend(other.fields.iter().cloned());
            raw(&out)
        }
        Tool::Other { value, .. } => (**value).to_owned(),
    }
}

fn tool_choice(choice: &ToolChoice<'_>) -> Box<RawValue> {
    use serde_json::json;
    match choice {
        ToolChoice::Auto => raw("auto"),
        ToolChoice::None => raw("none"),
        ToolChoice::Required => raw("required"),
        ToolChoice::Function(name) => raw(&json!({"type": "function", "function": {"name": name}})),
        ToolChoice::Allowed { required, names } => {
            let tools: Vec<_> = names
                .iter()
                .map(|name| json!({"type": "function", "function": {"name": name}}))
                .collect();
            raw(&json!({
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": if *required { "required" } else { "auto" },
                    "tools": tools,
                },
            }))
        }
    }
}
