//! Chat Completions as a provider speaks it: in which points it is known to differ from OpenAI's. Pure.

use serde_json::Value;

use crate::dialect::common::call_ids::CallIds;

/// Chat Completions as a provider speaks it.
///
/// A column says in which point the provider is known to refuse or misread what OpenAI takes, or
/// to answer otherwise. What no column speaks of goes through: a field nobody knows is the
/// provider's to judge.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a column of a table, none a state"
)]
pub struct ChatProvider {
    /// Parameters of this model that it knows by another name: OpenAI's, its own.
    pub renames: fn(&str) -> &'static [(&'static str, &'static str)],
    /// Parameters that it refuses for this model.
    pub refuses: fn(&str) -> &'static [&'static str],
    /// What messages, parts, calls and tools may hold, where it refuses what it does not know.
    pub members: Option<&'static Members>,
    /// Whether it counts the tokens of every stream unasked, and refuses `stream_options`.
    pub counts_always: bool,
    /// Whether it gives one answer only, and refuses `n`.
    pub one_answer: bool,
    /// Whether it knows the role `developer`.
    pub developer: bool,
    /// Which messages may have a `name`.
    pub names: Names,
    /// Whether the content of others than users must be one text.
    pub one_text: bool,
    /// What an assistant's content may be where it says nothing.
    pub silence: Silence,
    /// Whether files are documents at a URL to it.
    pub documents: bool,
    /// Whether the assistant must speak between a result and what a user says.
    pub answers_results: bool,
    /// Which members of a request and its messages may be null.
    pub nulls: Nulls,
    /// What a `reasoning_effort` is called for this model: model, effort.
    pub effort: fn(&str, &str) -> Effort,
    /// Whether reasoning is turned off by `thinking` and not by an effort.
    pub thinking_switch: bool,
    /// What this model makes of a `tool_choice` that forces a call.
    pub forced_choice: fn(&str) -> Forced,
    /// Whether it knows `functions`, the older shape of tools.
    pub functions: bool,
    /// Whether it refuses tools that are no functions.
    pub only_functions: bool,
    /// Takes out of a tool's JSON Schema what it refuses.
    pub schema: Option<CleanSchema>,
    /// Whether it has structured output by a JSON Schema.
    pub json_schema: bool,
    /// Which ids of tool calls it takes.
    pub call_ids: CallIds,
    /// Whether a last message of the assistant has to be marked as one to go on from.
    pub prefix: bool,
    /// Whether cache markers must stand inside content parts.
    pub markers_in_parts: bool,
    /// What of its reasoning this model wants back.
    pub requires_reasoning_replay: fn(&str) -> ReasoningReplay,
    /// Whether models write their reasoning between tags at the head of their text.
    pub reasoning_tags: bool,
    /// Whether its ids of calls are positions, the same in each answer.
    pub positional_ids: bool,
}

/// Cuts a JSON Schema down; see [`ChatProvider::schema`]. The number is how many bytes it may still
/// write more than once, over all schemas of a request.
pub type CleanSchema = fn(&mut Value, &mut usize) -> Result<(), &'static str>;

/// Which messages may have a `name`, where their members are not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// All.
    All,
    /// A user's.
    OfUsers,
}

/// What objects inside a request may hold. An object of a kind that has no row is the provider's to
/// judge.
#[derive(Debug)]
pub struct Members {
    /// A message, by its role.
    pub messages: Rows,
    /// A part of a content, by its type.
    pub parts: Rows,
    /// A call.
    pub calls: &'static [&'static str],
    /// A tool that is a function.
    pub tools: &'static [&'static str],
    /// The `function` of such a tool.
    pub functions: &'static [&'static str],
}

/// Kinds, and the names of the members that each has.
pub type Rows = &'static [(&'static str, &'static [&'static str])];

/// What an assistant's content may be where it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// Null, absent or empty.
    Any,
    /// Beside calls, null.
    Null,
    /// An empty text.
    Text,
}

/// Which members may be null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// All.
    Taken,
    /// Of an assistant's message, its `content` only.
    Content,
    /// None.
    Refused,
}

/// What a model makes of a `tool_choice` that forces a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forced {
    /// It calls.
    Taken,
    /// It knows `required` by another word.
    Word(&'static str),
    /// It refuses, named or not.
    Refused,
    /// It refuses while it thinks.
    RefusedThinking,
}

/// What becomes of a `reasoning_effort`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// The word is known.
    Keep,
    /// This word is the nearest that is known.
    Say(&'static str),
    /// The parameter is refused.
    Leave,
}

/// What of its reasoning a model wants back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningReplay {
    /// Nothing.
    Nothing,
    /// `reasoning_content` in each message of the assistant that called tools.
    Reasoning,
    /// The thought signatures of tool calls.
    Signatures,
}

impl ChatProvider {
    /// A provider of which no difference is known.
    pub const PLAIN: Self = Self {
        renames: |_| &[],
        refuses: |_| &[],
        members: None,
        counts_always: false,
        one_answer: false,
        developer: true,
        names: Names::All,
        one_text: false,
        silence: Silence::Any,
        documents: false,
        answers_results: false,
        nulls: Nulls::Taken,
        effort: |_, _| Effort::Keep,
        thinking_switch: false,
        forced_choice: |_| Forced::Taken,
        functions: true,
        only_functions: false,
        schema: None,
        json_schema: true,
        call_ids: CallIds::Any,
        prefix: false,
        markers_in_parts: false,
        requires_reasoning_replay: |_| ReasoningReplay::Nothing,
        reasoning_tags: false,
        positional_ids: false,
    };

    /// Its name of the limit on the answer's length.
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
