//! Chat Completions as the provider dialect: a provider's known differences from OpenAI. Pure.

use serde_json::Value;

use crate::dialect::common::call_ids::CallIds;

/// How a provider's Chat Completions API is known to differ from OpenAI's.
///
/// Each column is something that the provider rejects or misreads although OpenAI accepts it, or
/// answers differently. Everything without a column is sent unchanged, unknown fields included; the
/// provider judges it.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a column of a table, none a state"
)]
pub struct ChatProvider {
    /// Parameters that have another name for this model: OpenAI's name, the provider's name.
    pub renames: fn(&str) -> &'static [(&'static str, &'static str)],
    /// Parameters that the provider rejects for this model.
    pub refuses: fn(&str) -> &'static [&'static str],
    /// The allowed fields of messages, parts, tool calls and tools; `None` if unknown ones are
    /// accepted.
    pub members: Option<&'static Members>,
    /// Whether every stream has usage without being asked, and `stream_options` is rejected.
    pub always_streams_usage: bool,
    /// Whether there is only one choice per response, and `n` is rejected.
    pub single_choice: bool,
    /// Whether the role `developer` is accepted.
    pub developer: bool,
    /// Which messages may have a `name`.
    pub names: Names,
    /// Whether the content of all but user messages must be one string.
    pub string_content_only: bool,
    /// What the content of an assistant message without text must be.
    pub empty_content: EmptyContent,
    /// Whether files must be sent as documents at a URL.
    pub documents: bool,
    /// Whether an assistant message must stand between a tool result and the next user message.
    pub assistant_after_tool_result: bool,
    /// Which fields of a request and its messages may be null.
    pub nulls: Nulls,
    /// How to send a `reasoning_effort`. Arguments: model, effort.
    pub effort: fn(&str, &str) -> Effort,
    /// Whether reasoning is turned off with `thinking` instead of an effort.
    pub thinking_switch: bool,
    /// How this model handles a `tool_choice` that forces a tool call.
    pub forced_choice: fn(&str) -> ForcedToolChoice,
    /// Whether `functions`, the older format of tools, is accepted.
    pub functions: bool,
    /// Whether tools other than functions are rejected.
    pub only_functions: bool,
    /// Removes what the provider rejects from a tool's JSON Schema; `None` if it accepts all.
    pub schema: Option<CleanSchema>,
    /// Whether structured output by JSON Schema is supported.
    pub json_schema: bool,
    /// Which tool-call ids are accepted.
    pub call_ids: CallIds,
    /// Whether a trailing assistant message must be marked with `prefix` to be continued.
    pub prefix: bool,
    /// Whether cache markers are only read inside content parts.
    pub cache_markers_in_parts: bool,
    /// Which reasoning this model requires in later requests.
    pub requires_reasoning_replay: fn(&str) -> ReasoningReplay,
    /// Whether models write their reasoning between tags at the start of the text.
    pub reasoning_tags: bool,
    /// Whether tool-call ids are mere positions, which repeat in every response.
    pub positional_ids: bool,
}

/// Simplifies a JSON Schema; see [`ChatProvider::schema`]. The number is the remaining budget of
/// bytes that may be duplicated, over all schemas of a request. The error says what is wrong.
pub type CleanSchema = fn(&mut Value, &mut usize) -> Result<(), &'static str>;

/// Which messages may have a `name`, if `members` does not list their fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// All messages.
    All,
    /// Only user messages.
    UserOnly,
}

/// The allowed fields of the objects in a request. Objects of a kind without a row are sent
/// unchanged.
#[derive(Debug)]
pub struct Members {
    /// Fields of a message, by its role.
    pub messages: Rows,
    /// Fields of a content part, by its type.
    pub parts: Rows,
    /// Fields of a tool call.
    pub calls: &'static [&'static str],
    /// Fields of a tool that is a function.
    pub tools: &'static [&'static str],
    /// Fields of the `function` in such a tool.
    pub functions: &'static [&'static str],
}

/// Kinds of objects, each with its allowed fields.
pub type Rows = &'static [(&'static str, &'static [&'static str])];

/// What the content of an assistant message without text must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmptyContent {
    /// Null, absent or empty.
    Any,
    /// Null if the message has tool calls.
    Null,
    /// An empty string.
    Text,
}

/// Which fields may be null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// All fields.
    Accepted,
    /// In assistant messages, only `content`.
    Content,
    /// No field.
    Refused,
}

/// How a model handles a `tool_choice` that forces a tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForcedToolChoice {
    /// It accepts it.
    Accepted,
    /// It has another word for `required`.
    Word(&'static str),
    /// It rejects `required` and a named function.
    Refused,
    /// It rejects both while it thinks.
    RefusedThinking,
}

/// How to send a `reasoning_effort`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Unchanged: the provider knows the word.
    Keep,
    /// As this word, the nearest that the provider knows.
    Replace(&'static str),
    /// Not at all: the provider rejects the parameter.
    Drop,
}

/// Which reasoning a model requires in later requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningReplay {
    /// None.
    Nothing,
    /// `reasoning_content` in each assistant message with tool calls.
    Reasoning,
    /// The thought signatures of tool calls.
    Signatures,
}

impl ChatProvider {
    /// A provider without known differences.
    pub const PLAIN: Self = Self {
        renames: |_| &[],
        refuses: |_| &[],
        members: None,
        always_streams_usage: false,
        single_choice: false,
        developer: true,
        names: Names::All,
        string_content_only: false,
        empty_content: EmptyContent::Any,
        documents: false,
        assistant_after_tool_result: false,
        nulls: Nulls::Accepted,
        effort: |_, _| Effort::Keep,
        thinking_switch: false,
        forced_choice: |_| ForcedToolChoice::Accepted,
        functions: true,
        only_functions: false,
        schema: None,
        json_schema: true,
        call_ids: CallIds::Any,
        prefix: false,
        cache_markers_in_parts: false,
        requires_reasoning_replay: |_| ReasoningReplay::Nothing,
        reasoning_tags: false,
        positional_ids: false,
    };

    /// The provider's name of the output token limit.
    pub(super) fn token_limit(&self, model: &str) -> &'static str {
        let renames = (self.renames)(model);
        let old = renames
            .iter()
            .any(|(from, _)| *from == "max_completion_tokens");
        if old {
            "max_tokens"
        } else {
            "max_completion_tokens"
        }
    }
}
