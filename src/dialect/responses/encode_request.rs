//! Encodes a hub request as a Responses request, for models that offer some features only there.
//! Pure.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::codec::json::{self, Object, Raw, fields, put, raw};
use crate::dialect::common::call_ids::CallIds;
use crate::dialect::common::call_ids::Ids;
use crate::dialect::common::reasoning_format;
use crate::dialect::common::report::TranslationReport;
use crate::dialect::common::tool_results::results_of_calls;
use crate::dialect::hub::{
    Message, Part, Piece, ReasoningDetail, ReasoningLookup, Request, RequestToolCall, Role, Tool,
    ToolChoice, is_default,
};
use crate::dialect::traits::EncodedRequest;
use crate::dialect::traits::RecoveredRequest;
use crate::error::{Error, ProviderError};

/// Parameters that Responses lacks.
const UNSUPPORTED: [&str; 9] = [
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "prediction",
    "modalities",
    "audio",
    "web_search_options",
];

/// Encodes a request.
pub(super) fn request(
    request: &mut Request<'_>,
    memory: &dyn ReasoningLookup,
) -> Result<EncodedRequest, Error> {
    let mut report = TranslationReport {
        dropped: std::mem::take(&mut request.dropped),
        changed: std::mem::take(&mut request.changed),
    };
    let mut fields = std::mem::take(&mut request.fields);
    if fields.read::<u64>("", "n")?.is_some_and(|n| n != 1) {
        return Err(Error::unsupported_value(
            "n",
            "this model gives one answer where functions are offered.",
        ));
    }
    let mut out = Object::default();
    out.push("model", Cow::Owned(raw(&request.model)));
    results_of_calls(&mut request.messages);
    let mut rest = request.messages.as_slice();
    // JSON output needs the word "json" in the input. It does not count in the instructions.
    let json_object = fields
        .get("response_format")
        .is_some_and(|format| format.get().contains("\"json_object\""));
    if let [first, others @ ..] = rest
        && !json_object
        && let (Role::System | Role::Developer, [Part::Text { text, .. }]) =
            (first.role, first.content.as_slice())
        && others
            .first()
            .is_none_or(|next| !matches!(next.role, Role::System | Role::Developer))
    {
        report.dropped.extend(left_out(first));
        out.push("instructions", Cow::Owned(raw(text)));
        rest = others;
    }
    let mut items = Vec::new();
    let mut ids = Ids::default();
    for message in rest {
        report.dropped.extend(left_out(message));
        write_message(message, memory, &mut ids, &mut items, &mut report)?;
    }
    out.push("input", Cow::Owned(raw(&items)));
    if request.stream {
        out.push("stream", Cow::Owned(raw(&true)));
    }
    if !request.tools.is_empty() {
        for (i, tool) in request.tools.iter().enumerate() {
            left_out_of_tool(tool, i, &mut report);
        }
        let tools: Vec<_> = request.tools.iter().map(tool).collect();
        out.push("tools", Cow::Owned(raw(&tools)));
    }
    if let Some(choice) = &request.tool_choice {
        out.push("tool_choice", Cow::Owned(tool_choice(choice)));
    }
    if request.stream && fields.read::<bool>("", "logprobs")? == Some(true) {
        // Log probabilities are available only in a response that is not streamed.
        fields.take("top_logprobs");
        report.dropped.push("logprobs".to_owned());
    }
    parameters(&mut fields, &mut out, &mut report)?;
    report.dedup();
    Ok(EncodedRequest {
        body: serde_json::to_vec(&out).map_err(|e| Error::InvalidJson {
            param: None,
            message: e.to_string(),
        })?,
        report,
        conversation_hash: 0,
    })
}

fn parameters<'a>(
    fields: &mut Object<'a>,
    out: &mut Object<'a>,
    report: &mut TranslationReport,
) -> Result<(), Error> {
    let older = fields.take("max_tokens");
    if let Some(limit) = fields.take("max_completion_tokens").or(older) {
        out.push("max_output_tokens", limit);
    }
    let own = |fields: &mut Object<'a>, name: &'static str| match fields.take(name) {
        Some(value) => json::object(&value, &name),
        None => Ok(Object::default()),
    };
    let mut reasoning = own(fields, "reasoning")?;
    if let Some(effort) = fields.take("reasoning_effort") {
        reasoning.take("effort");
        reasoning.push("effort", effort);
    }
    if reasoning.get("summary").is_none() {
        reasoning.take("summary");
        reasoning.push("summary", Cow::Owned(raw("auto")));
    }
    out.push("reasoning", Cow::Owned(raw(&reasoning)));
    let mut text = own(fields, "text")?;
    if let Some(format) = fields.take("response_format") {
        text.push("format", flat_format(&format, report)?);
    }
    if let Some(verbosity) = fields.take("verbosity") {
        text.push("verbosity", verbosity);
    }
    if !text.fields.is_empty() {
        out.push("text", Cow::Owned(raw(&text)));
    }
    let mut include: Vec<String> = fields.read("", "include")?.unwrap_or_default();
    let mut also = vec!["reasoning.encrypted_content"];
    if fields.read::<bool>("", "logprobs")? == Some(true) {
        also.push("message.output_text.logprobs");
    }
    for entry in also {
        if !include.iter().any(|known| known == entry) {
            include.push(entry.to_owned());
        }
    }
    out.push("include", Cow::Owned(raw(&include)));
    // Chat Completions stores nothing unless asked to.
    let store = fields.read::<bool>("", "store")?.unwrap_or(false);
    out.push("store", Cow::Owned(raw(&store)));
    for name in UNSUPPORTED {
        if let Some(value) = fields.take(name)
            && !is_default(name, &value)
        {
            report.dropped.push(name.to_owned());
        }
    }
    let ours = out.fields.len();
    for field in std::mem::take(&mut fields.fields) {
        let mut own = out.fields.iter().take(ours);
        if own.any(|own| own.name == field.name) {
            // The provider would receive the field twice, and could use either.
            report.dropped.push(field.name.into_owned());
        } else if field.value.get() != "null" {
            out.fields.push(field);
        }
    }
    Ok(())
}

/// Chat Completions nests in `json_schema` what Responses has flat.
fn flat_format<'a>(format: &Raw<'a>, report: &mut TranslationReport) -> Result<Raw<'a>, Error> {
    const AT: &str = "response_format";
    let mut nested = json::object(format, &AT)?;
    let Some(schema) = nested.take("json_schema") else {
        return Ok(format.clone());
    };
    let mut flat = Object::default();
    flat.push("type", Cow::Owned(raw("json_schema")));
    nested.take("type");
    report.drop_members(&nested, AT);
    let inner = json::object(&schema, &"response_format.json_schema")?;
    flat.fields.extend(inner.fields);
    Ok(Cow::Owned(raw(&flat)))
}

/// The call ids that the provider accepts.
const CALL_IDS: CallIds = CallIds::UpTo(64);

/// Fields of a message that have no counterpart.
fn left_out(message: &Message<'_>) -> Vec<String> {
    const CONTENT: &str = "messages.content";
    let mut out = TranslationReport::default();
    let mut other = message.other.clone();
    // These are handled where the reasoning items are written.
    other.take("reasoning_details");
    out.drop_members(&other, "messages");
    for part in &message.content {
        match part {
            Part::Image { image, other, .. } => {
                out.drop_members(image, "messages.content.image_url");
                out.drop_members(other, CONTENT);
            }
            Part::Text { other, .. } | Part::File { other, .. } | Part::Refusal { other, .. } => {
                out.drop_members(other, CONTENT);
            }
            Part::Other { .. } => {}
        }
    }
    for call in &message.tool_calls {
        out.drop_members(&call.other, "messages.tool_calls");
        out.drop_members(&call.function, call.function_at());
    }
    if message.name.is_some() {
        out.dropped.push("messages.name".to_owned());
    }
    if message
        .reasoning
        .as_ref()
        .is_some_and(|text| !text.is_empty())
    {
        out.dropped.push("messages.reasoning_content".to_owned());
    }
    out.dropped
}

/// Reports the fields of a tool that have no counterpart.
fn left_out_of_tool(tool: &Tool<'_>, i: usize, report: &mut TranslationReport) {
    if let Tool::Function {
        function, other, ..
    } = tool
    {
        report.drop_members(other, &format!("tools[{i}]"));
        report.drop_members(function, &format!("tools[{i}].function"));
    }
}

fn write_message(
    message: &Message<'_>,
    memory: &dyn ReasoningLookup,
    ids: &mut Ids,
    items: &mut Vec<Box<RawValue>>,
    report: &mut TranslationReport,
) -> Result<(), Error> {
    match message.role {
        Role::Assistant => assistant(message, memory, ids, items, report),
        Role::Tool | Role::Function => {
            let output: Box<RawValue> = match message.content.as_slice() {
                [] => raw(""),
                [Part::Text { text, .. }] if message.plain => raw(text),
                parts => raw(&parts.iter().map(part).collect::<Vec<_>>()),
            };
            items.push(raw(&fields!({
                "type": "function_call_output",
                "call_id": message.tool_call_id.as_ref().map(|id| ids.result(id, CALL_IDS)),
                "output": output,
            })));
            Ok(())
        }
        Role::System | Role::Developer | Role::User => {
            let content: Box<RawValue> = match message.content.as_slice() {
                [Part::Text { text, .. }] if message.plain => raw(text),
                parts => raw(&parts.iter().map(part).collect::<Vec<_>>()),
            };
            items.push(raw(&fields!({
                "type": "message",
                "role": message.role.name(),
                "content": content,
            })));
            Ok(())
        }
    }
}

fn assistant(
    message: &Message<'_>,
    memory: &dyn ReasoningLookup,
    ids: &mut Ids,
    items: &mut Vec<Box<RawValue>>,
    report: &mut TranslationReport,
) -> Result<(), Error> {
    let kept = message
        .tool_calls
        .first()
        .and_then(|call| memory.recall(&call.id, 0))
        .unwrap_or_default();
    let ours = |detail: &ReasoningDetail| {
        detail.format.as_deref() == Some(reasoning_format::RESPONSES) && detail.data.is_some()
    };
    let mut details: Vec<ReasoningDetail> = match message.other.get("reasoning_details") {
        None => Vec::new(),
        Some(raw) => serde_json::from_str(raw.get()).map_err(|_| {
            Error::wrong_type(
                format!("{}.reasoning_details", message.at),
                "an array of reasoning details",
            )
        })?,
    };
    if !details.iter().all(ours) {
        // The provider does not accept reasoning of another provider.
        report.dropped.push("messages.reasoning_details".to_owned());
        details.retain(ours);
    }
    // What the client sends takes precedence over what is remembered.
    if details.is_empty() {
        details = kept.details;
        details.retain(ours);
    }
    let mut details = details.iter().map(sealed).collect::<Vec<_>>().into_iter();
    if let Some(text) = text_alone(message)
        && let Some(pieces) = kept
            .sequence
            .matching(details.len(), &text, message.tool_calls.len())
    {
        let mut text = &*text;
        let mut calls = message.tool_calls.iter();
        for piece in pieces {
            match piece {
                Piece::ReasoningDetail => items.extend(details.next()),
                Piece::Call => items.extend(calls.next().map(|one| call(one, ids))),
                Piece::Text(length) => {
                    let (said, rest) = text.split_at(*length);
                    text = rest;
                    let part = fields!({"type": "output_text", "text": said});
                    items.push(said_by_assistant(&[raw(&part)]));
                }
            }
        }
        return Ok(());
    }
    items.extend(details);
    let mut content: Vec<Box<RawValue>> = Vec::new();
    for part in &message.content {
        match part {
            Part::Text { text, .. } if text.is_empty() => {}
            Part::Text { text, .. } => {
                content.push(raw(&fields!({"type": "output_text", "text": text})));
            }
            Part::Refusal { text, .. } => {
                content.push(raw(&fields!({"type": "refusal", "refusal": text})));
            }
            other => content.push(self::part(other)),
        }
    }
    if let Some(refusal) = &message.refusal {
        content.push(raw(&fields!({"type": "refusal", "refusal": refusal})));
    }
    if !content.is_empty() {
        items.push(said_by_assistant(&content));
    }
    items.extend(message.tool_calls.iter().map(|one| call(one, ids)));
    Ok(())
}

/// A reasoning item with the provider's encrypted reasoning.
fn sealed(detail: &ReasoningDetail) -> Box<RawValue> {
    raw(&fields!({
        "type": "reasoning",
        "id": detail.id,
        "summary": [(); 0],
        "encrypted_content": detail.data,
    }))
}

fn said_by_assistant(content: &[Box<RawValue>]) -> Box<RawValue> {
    raw(&fields!({"type": "message", "role": "assistant", "content": content}))
}

/// The text of a message; `None` if it holds anything but text.
fn text_alone(message: &Message<'_>) -> Option<String> {
    if message.refusal.is_some() {
        return None;
    }
    let texts = message.content.iter().map(|part| match part {
        Part::Text { text, .. } => Some(&**text),
        _ => None,
    });
    texts.collect()
}

fn call(call: &RequestToolCall<'_>, ids: &mut Ids) -> Box<RawValue> {
    raw(&fields!({
        "type": "function_call",
        "call_id": ids.call(&call.id, CALL_IDS),
        "name": call.name,
        "arguments": call.arguments,
    }))
}

fn part(part: &Part<'_>) -> Box<RawValue> {
    match part {
        Part::Text { text, .. } => raw(&fields!({"type": "input_text", "text": text})),
        Part::Image { url, detail, .. } => {
            let mut image = fields!({"type": "input_image", "image_url": url});
            if let Some(detail) = detail {
                image.push("detail", Cow::Owned(raw(detail)));
            }
            raw(&image)
        }
        Part::File { file, .. } => {
            let mut out = fields!({"type": "input_file"});
            out.fields.extend(file.fields.iter().cloned());
            raw(&out)
        }
        Part::Refusal { text, .. } => raw(&fields!({"type": "refusal", "refusal": text})),
        Part::Other { value, .. } => (**value).to_owned(),
    }
}

fn tool(tool: &Tool<'_>) -> Box<RawValue> {
    match tool {
        Tool::Function {
            name,
            description,
            parameters,
            strict,
            ..
        } => {
            let mut out = fields!({"type": "function", "name": name});
            if let Some(description) = description {
                out.push("description", Cow::Owned(raw(description)));
            }
            match parameters {
                Some(schema) => out.push("parameters", Cow::Borrowed(schema)),
                None => out.push("parameters", Cow::Owned(raw(&None::<()>))),
            }
            // Absent `strict` means true in Responses, and false in Chat Completions.
            out.push("strict", Cow::Owned(raw(&strict.unwrap_or(false))));
            raw(&out)
        }
        Tool::Other { value, .. } => (**value).to_owned(),
    }
}

fn tool_choice(choice: &ToolChoice<'_>) -> Box<RawValue> {
    match choice {
        ToolChoice::Auto => raw("auto"),
        ToolChoice::None => raw("none"),
        ToolChoice::Required => raw("required"),
        ToolChoice::Function(name) => raw(&fields!({"type": "function", "name": name})),
        ToolChoice::Allowed { required, names } => {
            let tools: Vec<_> = names
                .iter()
                .map(|name| raw(&fields!({"type": "function", "name": name})))
                .collect();
            raw(&fields!({
                "type": "allowed_tools",
                "mode": if *required { "required" } else { "auto" },
                "tools": tools,
            }))
        }
    }
}

/// Removes reasoning that the provider cannot decrypt because it belongs to another key. `None` if
/// the request was refused for another reason, or has no reasoning.
pub(super) fn recover(body: &[u8], refusal: &ProviderError) -> Option<RecoveredRequest> {
    let told = |text: &str| text.contains("invalid_encrypted_content");
    if !refusal.code.as_deref().is_some_and(told) && !told(&refusal.message) {
        return None;
    }
    let mut request: Object<'_> = serde_json::from_slice(body).ok()?;
    let input = request.get("input")?.clone();
    let items = json::array(&input, &"input").ok()?;
    let count = items.len();
    let kept: Vec<Raw<'_>> = items
        .into_iter()
        .filter(|item| {
            json::object(item, &"input").is_ok_and(|item| {
                item.get("type")
                    .is_none_or(|kind| kind.get() != "\"reasoning\"")
            })
        })
        .collect();
    if kept.len() == count {
        return None;
    }
    let kept = raw(&kept);
    put(&mut request, "input", kept);
    Some(RecoveredRequest {
        body: serde_json::to_vec(&request).ok()?,
        headers: Vec::new(),
        dropped: "messages.reasoning_details",
        reason: "reasoning_of_another_key",
    })
}
