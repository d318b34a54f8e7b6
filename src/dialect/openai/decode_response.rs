//! Decodes a provider's Chat Completions response into the hub's response. Pure.

use serde_json::value::RawValue;

use super::calls::is_position;
use super::lenient::{Content, Function, call_id};
use super::provider::ChatProvider;
use super::tags::Tags;
use super::usage::read_usage;
use crate::dialect::common::provider_error::{position_of, provider_error};
use crate::dialect::hub::{FinishReason, Response, ToolCall};
use crate::error::Error;

/// The longest id or model of a response, in bytes; each chunk repeats them.
pub(super) const MAX_NAME: usize = 1024;

/// The fields of `chat.completion` that other dialects can express.
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
    message: Option<WireMessage<'a>>,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    logprobs: Option<Box<RawValue>>,
}

#[derive(Default, serde::Deserialize)]
struct WireMessage<'a> {
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
    tool_calls: Option<Vec<WireToolCall>>,
}

#[derive(serde::Deserialize)]
struct WireToolCall {
    #[serde(default)]
    id: Option<String>,
    function: Function,
    #[serde(default)]
    extra_content: Option<Box<RawValue>>,
}

/// DeepSeek's finish reason for a response that it had to abort.
pub(super) const OUT_OF_RESOURCES: &str = "insufficient_system_resource";

/// The error for a response that was aborted before it had any content.
pub(super) fn out_of_resources() -> Error {
    let text = "the provider is out of resources";
    Error::Provider(Box::new(provider_error(503, text.to_owned())))
}

/// The meaning of a finish reason that OpenAI does not have; `None` if it stands for a fault of the
/// provider or model. An unknown word counts as a content filter, not as a normal end.
fn nonstandard_finish_reason(word: &str) -> Option<FinishReason> {
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

/// Whether a response with this finish reason was aborted by a fault.
pub(super) fn is_fault(word: &str) -> bool {
    nonstandard_finish_reason(word).is_none()
}

/// Converts a finish reason. The second value is the provider's word if the first says less. The
/// caller must check [`is_fault`] first.
pub(super) fn finish(reason: Option<&str>, called: bool) -> (FinishReason, Option<String>) {
    match reason {
        // Some providers end a turn with tool calls with the finish reason of an ordinary end.
        Some("stop" | "") | None if called => (FinishReason::ToolCalls, None),
        // The client would wait for a tool call that it never got.
        Some(word @ "tool_calls") if !called => (FinishReason::Stop, Some(word.to_owned())),
        Some("tool_calls" | "function_call") => (FinishReason::ToolCalls, None),
        Some("stop" | "") | None => (FinishReason::Stop, None),
        Some("length") => (FinishReason::Length, None),
        Some("content_filter") => (FinishReason::ContentFilter, None),
        Some(word) => {
            let meant = match nonstandard_finish_reason(word) {
                Some(FinishReason::Stop) if called => FinishReason::ToolCalls,
                Some(FinishReason::ToolCalls) if !called => FinishReason::Stop,
                Some(meant) => meant,
                None => FinishReason::ContentFilter,
            };
            (meant, Some(word.to_owned()))
        }
    }
}

/// Decodes a complete response.
pub(super) fn answer(body: &[u8], provider: &ChatProvider) -> Result<Response, String> {
    let completion: Completion = serde_json::from_slice(body)
        .map_err(|error| format!("it is no completion ({})", position_of(&error)))?;
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
    // Some providers send no message if the content was filtered or cut before its first token.
    let said = match choice.message {
        Some(said) => said,
        None if cut => WireMessage::default(),
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
