//! Encodes a hub response as `chat.completion`. Pure.

use serde::Serialize;
use serde_json::value::RawValue;

use super::client::ChatClient;
use crate::codec::json::{self, Object, fields};
use crate::dialect::common::fence::without_fence;
use crate::dialect::hub::{FinishReason, ReasoningDetail, Response, ToolCall, Usage};

/// `usage` of a response or of the last chunk.
#[derive(Serialize)]
pub(super) struct WireUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
}

/// The usage in OpenAI's format.
pub(super) fn usage(usage: &Usage) -> WireUsage {
    WireUsage {
        prompt_tokens: usage.prompt,
        completion_tokens: usage.completion,
        total_tokens: usage.total(),
        prompt_tokens_details: PromptDetails {
            cached_tokens: usage.cached,
            cache_write_tokens: usage.cache_write,
        },
        completion_tokens_details: CompletionDetails {
            reasoning_tokens: usage.reasoning,
        },
    }
}

/// `chat.completion`.
#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [WholeChoice<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<WireUsage>,
}

#[derive(Serialize)]
struct WholeChoice<'a> {
    index: u8,
    message: Message<'a>,
    logprobs: Option<&'a RawValue>,
    finish_reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    native_finish_reason: Option<&'a str>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    reasoning_details: &'a [ReasoningDetail],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    annotations: &'a [Box<RawValue>],
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<Function<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_specific_fields: Option<Object<'static>>,
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

fn function(call: &ToolCall) -> Function<'_> {
    Function {
        name: &call.name,
        arguments: &call.arguments,
    }
}

/// Encodes a complete response.
pub(super) fn answer(client: &ChatClient, answer: &Response) -> String {
    let text = match &answer.text {
        None if answer.tool_calls.is_empty() && answer.refusal.is_none() => Some(""),
        Some(text) if client.json_object => Some(without_fence(text)),
        text => text.as_deref(),
    };
    let as_function = client.functions && answer.tool_calls.len() == 1;
    let first = answer.tool_calls.first().filter(|_| as_function);
    let calls = answer.tool_calls.iter().filter(|_| !as_function);
    let calls = calls.map(|call| Call {
        id: &call.id,
        kind: "function",
        function: function(call),
        extra_content: call.extra.as_deref(),
    });
    let own = if let Some(blocks) = &answer.raw_blocks {
        Some(fields!({"anthropic": fields!({"content": blocks})}))
    } else {
        let stop = answer.stop_sequence.as_ref();
        stop.map(|stop| fields!({"stop_sequence": stop}))
    };
    let message = Message {
        role: "assistant",
        content: text,
        refusal: answer.refusal.as_deref(),
        reasoning_content: answer.reasoning.as_deref(),
        reasoning_details: &answer.details,
        annotations: &answer.annotations,
        function_call: first.map(function),
        tool_calls: calls.collect(),
        provider_specific_fields: own,
    };
    let choice = WholeChoice {
        index: 0,
        message,
        logprobs: answer.logprobs.as_deref(),
        finish_reason: finish_name(answer.finish, as_function),
        native_finish_reason: answer.native_finish.as_deref(),
    };
    let own_id = answer.id.is_none().then(|| client.stamp.id("chatcmpl-", 1));
    let completion = Completion {
        id: answer
            .id
            .as_deref()
            .or(own_id.as_deref())
            .unwrap_or_default(),
        object: "chat.completion",
        created: answer.created.unwrap_or(client.stamp.created),
        model: answer.model.as_ref().unwrap_or(&client.model),
        choices: [choice],
        service_tier: answer.service_tier.as_deref(),
        usage: answer.usage.as_ref().map(usage),
    };
    let written = json::to_vec(&completion).expect("our own types always serialise");
    String::from_utf8(written).expect("JSON is written as UTF-8")
}

/// The `finish_reason`; `function_call` if the call is in the older format.
pub(super) fn finish_name(finish: FinishReason, as_function: bool) -> &'static str {
    match finish {
        FinishReason::ToolCalls if as_function => "function_call",
        other => other.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::common::stamp::Stamp;
    use serde_json::Value;

    fn client() -> ChatClient {
        ChatClient {
            stamp: Stamp {
                created: 1_700_000_000,
                seed: 0,
                now: || 1_700_000_000,
            },
            model: "asked".to_owned(),
            include_usage: false,
            functions: false,
            json_object: false,
        }
    }

    #[test]
    fn an_answer_without_text_has_null_beside_calls_and_an_empty_text_alone() {
        let alone: Value =
            serde_json::from_str(&answer(&client(), &Response::empty(FinishReason::Stop))).unwrap();
        assert_eq!(alone["choices"][0]["message"]["content"], "");
        assert_eq!(alone["id"], "chatcmpl-000000000000000000000001");
        assert_eq!(alone["model"], "asked");
        assert!(alone.get("usage").is_none());
        let mut called = Response::empty(FinishReason::ToolCalls);
        called.tool_calls.push(crate::dialect::hub::ToolCall {
            id: "a".to_owned(),
            name: "f".to_owned(),
            arguments: "{}".to_owned(),
            extra: None,
        });
        let called: Value = serde_json::from_str(&answer(&client(), &called)).unwrap();
        assert_eq!(called["choices"][0]["message"]["content"], Value::Null);
    }
}
