//! Hub request -> Chat Completions body, and a provider's completion -> hub answer. Pure.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::calls::is_position;
use super::conversation::{DETAILS, joined};
use super::lenient::{Content, Function, call_id};
use super::provider::{ChatProvider, ReasoningReplay};
use super::read_usage;
use super::results::{results_of_calls, text_only};
use super::tags::Tags;
use crate::codec::json::{self, Object, raw};
use crate::dialect::hub::{
    FinishReason, Message, Part, ReasoningLookup, Request, RequestToolCall, Response, Tool,
    ToolCall, ToolChoice,
};
use crate::dialect::{EncodedRequest, TranslationReport, place_of, provider_error};
use crate::error::Error;

/// Writes a request. Nothing is dropped by that: this is the shape the hub is made after. What the
/// provider is known to refuse is edited as in a request that is relayed.
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
    // Without tools, what says no more than that is refused.
    let idle = request.tools.is_empty()
        && matches!(
            request.tool_choice,
            Some(ToolChoice::Auto | ToolChoice::None)
        );
    if let Some(choice) = request.tool_choice.as_ref().filter(|_| !idle) {
        out.push("tool_choice", Cow::Owned(tool_choice(choice)));
    }
    let mut fields = std::mem::take(&mut request.fields);
    // Said both ways, the newer name counts.
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

/// Writes a message. What was thought goes to those that want it back only: others know no such
/// member.
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

/// Chat Completions, the parts of `chat.completion` that mean something elsewhere.
#[derive(serde::Deserialize)]
struct Completion<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    created: Option<serde_json::Number>,
    #[serde(default)]
    service_tier: Option<String>,
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
    #[serde(default)]
    usage: Option<Box<RawValue>>,
}

#[derive(serde::Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    message: Option<Said<'a>>,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    logprobs: Option<Box<RawValue>>,
}

#[derive(Default, serde::Deserialize)]
struct Said<'a> {
    #[serde(borrow, default)]
    content: Option<Content<'a>>,
    #[serde(default)]
    reasoning_content: Option<String>,
    #[serde(default)]
    reasoning: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    annotations: Option<Vec<Box<RawValue>>>,
    #[serde(default)]
    tool_calls: Option<Vec<Called>>,
}

#[derive(serde::Deserialize)]
struct Called {
    #[serde(default)]
    id: Option<String>,
    function: Function,
    #[serde(default)]
    extra_content: Option<Box<RawValue>>,
}

/// DeepSeek's word for an answer that it had to break off.
pub(super) const OUT_OF_RESOURCES: &str = "insufficient_system_resource";

/// The error that an answer is which was broken off before anything was said.
pub(super) fn out_of_resources() -> Error {
    let text = "the provider is out of resources";
    Error::Provider(Box::new(provider_error(503, text.to_owned())))
}

/// What a word for the end of an answer means that is none of OpenAI's; `None` where the answer
/// broke off by a fault of its provider or its model. What nobody knows is no usual end.
fn foreign(word: &str) -> Option<FinishReason> {
    const CUT: [&str; 6] = [
        "length",
        "max_tokens",
        "max_output",
        "token_limit",
        "context_window",
        "error_limit",
    ];
    const FAULTS: [&str; 8] = [
        "error",
        "malformed",
        "fail",
        "cancel",
        "abort",
        "timeout",
        "unexpected",
        "too_many",
    ];
    let word = word.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| word.contains(part));
    match word.as_str() {
        "" | "stop" | "stop_sequence" | "end_turn" | "end" | "eos" | "eos_token" | "complete"
        | "completed" | "done" | "finished" => Some(FinishReason::Stop),
        "tool_calls" | "tool_call" | "tool_use" | "function_call" | "function_calls" => {
            Some(FinishReason::ToolCalls)
        }
        OUT_OF_RESOURCES => Some(FinishReason::Length),
        _ if has(&CUT) => Some(FinishReason::Length),
        _ if has(&FAULTS) && !word.contains("toxic") => None,
        _ => Some(FinishReason::ContentFilter),
    }
}

/// Whether an answer that ends with this word broke off by a fault.
pub(super) fn is_fault(word: &str) -> bool {
    foreign(word).is_none()
}

/// Reads `finish_reason`; the second value is the provider's word where ours says less. Whoever
/// reads it asks [`is_fault`] first.
pub(super) fn finish(reason: Option<&str>, called: bool) -> (FinishReason, Option<String>) {
    match reason {
        // Some providers end a turn of calls with the word for an ordinary end.
        Some("stop" | "") | None if called => (FinishReason::ToolCalls, None),
        // A client would wait for a call that it was not told.
        Some(word @ "tool_calls") if !called => (FinishReason::Stop, Some(word.to_owned())),
        Some("tool_calls" | "function_call") => (FinishReason::ToolCalls, None),
        Some("stop" | "") | None => (FinishReason::Stop, None),
        Some("length") => (FinishReason::Length, None),
        Some("content_filter") => (FinishReason::ContentFilter, None),
        Some(word) => {
            let meant = match foreign(word) {
                Some(FinishReason::Stop) if called => FinishReason::ToolCalls,
                Some(FinishReason::ToolCalls) if !called => FinishReason::Stop,
                Some(meant) => meant,
                None => FinishReason::ContentFilter,
            };
            (meant, Some(word.to_owned()))
        }
    }
}

/// Reads a whole completion of a provider.
pub(super) fn answer(body: &[u8], provider: &ChatProvider) -> Result<Response, String> {
    let completion: Completion = serde_json::from_slice(body)
        .map_err(|error| format!("it is no completion ({})", place_of(&error)))?;
    let Some(choice) = completion.choices.into_iter().next() else {
        return Err("its list of choices is empty".to_owned());
    };
    if choice.finish_reason.as_deref().is_some_and(is_fault) {
        return Err("it ended with an error".to_owned());
    }
    let cut = matches!(
        finish(choice.finish_reason.as_deref(), false).0,
        FinishReason::Length | FinishReason::ContentFilter
    );
    // Of what was withheld or cut before its first word some providers write no message.
    let said = match choice.message {
        Some(said) => said,
        None if cut => Said::default(),
        None => return Err("its choice has no message".to_owned()),
    };
    let id = completion.id.filter(|id| !id.is_empty());
    let mut tool_calls = Vec::new();
    for (i, call) in said.tool_calls.unwrap_or_default().into_iter().enumerate() {
        let arguments = call
            .function
            .arguments()
            .ok_or("the arguments of a call cannot be read")?;
        tool_calls.push(ToolCall {
            id: call
                .id
                .filter(|id| !id.is_empty() && *id != "null")
                .filter(|id| !(provider.positional_ids && is_position(id)))
                .unwrap_or_else(|| call_id(id.as_deref(), i)),
            extra: call.extra_content.filter(|raw| raw.get() != "null"),
            name: call.function.name.ok_or("a call in it has no name")?,
            arguments: if arguments.trim().is_empty() {
                "{}".to_owned()
            } else {
                arguments
            },
        });
    }
    let content = said.content.map(Content::split).map(|(text, thought)| {
        if !provider.reasoning_tags {
            return (text, thought);
        }
        let (text, tagged) = Tags::split(&text);
        (text, thought + &tagged)
    });
    let thought = content.as_ref().map(|(_, thought)| thought.clone());
    let (finish, native_finish) = finish(choice.finish_reason.as_deref(), !tool_calls.is_empty());
    Ok(Response {
        id,
        model: completion.model.filter(|model| !model.is_empty()),
        created: completion.created.and_then(|at| at.as_u64()),
        text: content.map(|(text, _)| text),
        reasoning: [said.reasoning_content, said.reasoning, thought]
            .into_iter()
            .flatten()
            .find(|text| !text.is_empty()),
        refusal: said.refusal.filter(|text| !text.is_empty()),
        annotations: said.annotations.unwrap_or_default(),
        logprobs: choice.logprobs.filter(|raw| raw.get() != "null"),
        tool_calls,
        native_finish,
        usage: completion.usage.as_deref().and_then(read_usage),
        service_tier: completion.service_tier,
        ..Response::empty(finish)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_word_of_ours_says_is_no_usual_end() {
        for (word, called, name) in [
            ("content_filter: RECITATION", false, "content_filter"),
            ("content_filter: OTHER", true, "content_filter"),
            ("SAFETY", true, "content_filter"),
            ("made_up", false, "content_filter"),
            ("MAX_TOKENS", false, "length"),
            ("model_length", true, "length"),
            ("STOP", true, "tool_calls"),
            ("end_turn", false, "stop"),
            ("TOOL_CALL", true, "tool_calls"),
        ] {
            let (reason, native) = finish(Some(word), called);
            assert_eq!((reason.name(), native.as_deref()), (name, Some(word)));
            assert!(!is_fault(word), "{word}");
        }
        for word in [
            "error",
            "ERROR",
            "function_call_filter: MALFORMED_FUNCTION_CALL",
            "cancelled",
            "UNEXPECTED_TOOL_CALL",
        ] {
            assert!(is_fault(word), "{word}");
        }
        for word in [
            "",
            "stop",
            "length",
            "tool_calls",
            "function_call",
            "content_filter",
            "ERROR_TOXIC",
            "ERROR_LIMIT",
        ] {
            assert!(!is_fault(word), "{word}");
        }
    }
}
