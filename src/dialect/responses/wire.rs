//! Wire types of OpenAI Responses of August 2026, as the gateway writes them to clients.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::dialect::hub::Usage;

/// Prefix of the gateway's own `encrypted_content`.
pub(super) const SEALED: &str = "gw1.";

/// What a response repeats of its request. The defaults of absent parameters are added when the
/// response is written.
#[derive(Debug, Clone)]
pub(super) struct Echo {
    pub instructions: Option<Box<RawValue>>,
    pub max_output_tokens: Option<u64>,
    pub max_tool_calls: Option<u64>,
    pub parallel_tool_calls: bool,
    pub effort: Option<String>,
    pub summary: Option<String>,
    pub service_tier: Option<String>,
    pub temperature: Option<Box<RawValue>>,
    pub top_p: Option<Box<RawValue>>,
    pub top_logprobs: u64,
    pub text: Box<RawValue>,
    pub tool_choice: Option<Box<RawValue>>,
    pub tools: Vec<Box<RawValue>>,
    pub truncation: Option<String>,
    pub metadata: Option<Box<RawValue>>,
    pub user: Option<String>,
}

/// The response object.
#[derive(Serialize)]
pub(super) struct WireResponse<'a> {
    pub id: &'a str,
    pub object: &'static str,
    pub created_at: u64,
    pub status: &'static str,
    pub background: bool,
    pub error: Option<Failure<'a>>,
    pub incomplete_details: Option<Incomplete>,
    pub instructions: Option<&'a RawValue>,
    pub max_output_tokens: Option<u64>,
    pub max_tool_calls: Option<u64>,
    pub model: &'a str,
    pub output: &'a [&'a Item],
    pub parallel_tool_calls: bool,
    pub previous_response_id: Option<()>,
    pub reasoning: Reasoning<'a>,
    pub service_tier: &'a str,
    pub store: bool,
    pub temperature: Number<'a>,
    pub text: &'a RawValue,
    pub tool_choice: Choice<'a>,
    pub tools: &'a [Box<RawValue>],
    pub top_logprobs: u64,
    pub top_p: Number<'a>,
    pub truncation: &'a str,
    pub metadata: Metadata<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<WireUsage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<u64>,
}

/// A number as the client wrote it, or the default of 1.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Number<'a> {
    Given(&'a RawValue),
    Default(u8),
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Choice<'a> {
    Given(&'a RawValue),
    Default(&'static str),
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Metadata<'a> {
    Given(&'a RawValue),
    Empty {},
}

#[derive(Serialize)]
pub(super) struct Failure<'a> {
    pub code: &'static str,
    pub message: &'a str,
}

#[derive(Serialize)]
pub(super) struct Incomplete {
    pub reason: &'static str,
}

#[derive(Serialize)]
pub(super) struct Reasoning<'a> {
    pub effort: Option<&'a str>,
    pub summary: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct WireUsage {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Serialize)]
struct InputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

impl From<Usage> for WireUsage {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.prompt,
            input_tokens_details: InputDetails {
                cached_tokens: usage.cached,
                cache_write_tokens: usage.cache_write,
            },
            output_tokens: usage.completion,
            output_tokens_details: OutputDetails {
                reasoning_tokens: usage.reasoning,
            },
            total_tokens: usage.total(),
        }
    }
}

/// An output item.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item {
    Reasoning {
        id: String,
        summary: Vec<Part>,
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<String>,
    },
    Message {
        id: String,
        status: &'static str,
        role: &'static str,
        content: Vec<Part>,
    },
    FunctionCall {
        id: String,
        status: &'static str,
        call_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        name: String,
        arguments: String,
    },
    CustomToolCall {
        id: String,
        status: &'static str,
        call_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        name: String,
        input: String,
        /// The arguments of the function that stands for the tool, as far as they have come.
        #[serde(skip)]
        arguments: String,
    },
}

impl Item {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Reasoning { id, .. }
            | Self::Message { id, .. }
            | Self::FunctionCall { id, .. }
            | Self::CustomToolCall { id, .. } => id,
        }
    }

    /// Sets the arguments of a call. For a custom tool, the text in them becomes its input.
    pub(super) fn set_arguments(&mut self, whole: String) {
        match self {
            Self::FunctionCall { arguments, .. } => *arguments = whole,
            Self::CustomToolCall {
                input, arguments, ..
            } => {
                #[derive(serde::Deserialize)]
                struct One {
                    input: String,
                }
                *input = serde_json::from_str::<One>(&whole)
                    .map_or_else(|_| whole.clone(), |one| one.input);
                *arguments = whole;
            }
            Self::Reasoning { .. } | Self::Message { .. } => {}
        }
    }

    pub(super) fn set_status(&mut self, new: &'static str) {
        match self {
            Self::Message { status, .. }
            | Self::FunctionCall { status, .. }
            | Self::CustomToolCall { status, .. } => *status = new,
            Self::Reasoning { .. } => {}
        }
    }
}

/// A content part of an output item.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Part {
    OutputText {
        text: String,
        annotations: Vec<Box<RawValue>>,
        logprobs: Vec<Box<RawValue>>,
    },
    Refusal {
        refusal: String,
    },
    SummaryText {
        text: String,
    },
}
