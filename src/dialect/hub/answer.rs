//! Responses, whole and streamed. Pure.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Piece, Sequence};
use crate::error::Error;

/// Token usage as OpenAI counts it: the prompt includes tokens read from and written to a cache,
/// the completion includes reasoning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt: u64,
    /// Tokens of the completion.
    pub completion: u64,
    /// Prompt tokens read from a cache.
    pub cached: u64,
    /// Prompt tokens written to a cache.
    pub cache_write: u64,
    /// Completion tokens spent on reasoning.
    pub reasoning: u64,
}

impl Usage {
    /// Tokens of prompt and completion together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}

/// Why generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model finished, or met a stop sequence.
    Stop,
    /// The token limit was reached.
    Length,
    /// The model made tool calls.
    ToolCalls,
    /// The response was withheld.
    ContentFilter,
}

impl FinishReason {
    /// The value of `finish_reason` in Chat Completions.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }
}

/// A call of a function.
#[derive(Debug, Clone)]
pub struct ToolCall {
    /// The provider's id of the call.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// The arguments, as JSON text; `{}` if there are none.
    pub arguments: String,
    /// The `extra_content` that the provider requires back with the call.
    pub extra: Option<Box<RawValue>>,
}

/// A piece of reasoning, with what its provider needs to accept it back. The shape is that of
/// OpenRouter's `reasoning_details`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasoningDetail {
    /// `reasoning.text` or `reasoning.encrypted`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The text, or a fragment of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The provider's signature of the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Encrypted reasoning that only the provider can read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The reasoning format, which says who made it, as in `anthropic-claude-v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The provider's id of the block, or the id of the tool call that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Position of the block in the response.
    #[serde(default)]
    pub index: u64,
}

/// The parts of a response that the provider requires back, kept for clients that do not send them
/// back.
#[derive(Debug, Clone, Default)]
pub struct ReasoningState {
    /// The readable reasoning.
    pub reasoning: Option<String>,
    /// The reasoning in the form that the provider accepts back.
    pub details: Vec<ReasoningDetail>,
    /// All content blocks as the provider sent them.
    pub raw_blocks: Option<Box<RawValue>>,
    /// Call ids, each with the `extra_content` that the provider sent with the call.
    pub extras: Vec<(String, Box<RawValue>)>,
    /// The order of reasoning, text and tool calls.
    pub sequence: Sequence,
}

impl ReasoningState {
    /// Whether there is nothing that a provider requires back. An unusual order counts as
    /// something.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reasoning.as_deref().is_none_or(str::is_empty)
            && self.details.is_empty()
            && self.raw_blocks.is_none()
            && self.extras.is_empty()
            && !self.sequence.is_unusual()
    }
}

/// Limit for the state of one response, in bytes. A larger state is not kept at all.
const MAX_STATE_BYTES: usize = 2 << 20;

/// Collects the [`ReasoningState`] of a streamed response.
#[derive(Debug, Default)]
pub struct ReasoningCollector {
    calls: Vec<String>,
    kept: ReasoningState,
    size: usize,
}

impl ReasoningCollector {
    /// Counts `more` bytes and returns whether they fit. If they do not, everything is discarded,
    /// because half of the reasoning would be taken for all of it.
    fn fits(&mut self, more: usize) -> bool {
        self.size = self.size.saturating_add(more);
        if self.size > MAX_STATE_BYTES {
            self.calls = Vec::new();
            self.kept = ReasoningState::default();
        }
        self.size <= MAX_STATE_BYTES
    }

    /// Appends readable reasoning.
    pub fn think(&mut self, text: &str) {
        if self.fits(text.len()) {
            self.kept.reasoning.get_or_insert_default().push_str(text);
        }
    }

    /// Adds the `extra_content` of a tool call.
    pub fn extra(&mut self, id: &str, extra: &RawValue) {
        if self.fits(id.len() + extra.get().len()) {
            self.kept.extras.push((id.to_owned(), extra.to_owned()));
        }
    }

    /// Collects what one event of the stream contributes.
    pub fn see(&mut self, event: &Event) {
        match event {
            Event::Reasoning(text) => self.think(text),
            Event::ReasoningDetail(detail) => {
                if let Some(text) = &detail.text {
                    self.think(text);
                }
                if self.fits(detail.size()) {
                    self.kept.sequence.add(Piece::ReasoningDetail);
                    ReasoningDetail::join(&mut self.kept.details, detail.clone());
                }
            }
            Event::ToolCall { id, extra, .. } => {
                if self.fits(id.len() + size_of::<Piece>()) {
                    self.kept.sequence.add(Piece::Call);
                    self.calls.push(id.clone());
                }
                if let Some(extra) = extra {
                    self.extra(id, extra);
                }
            }
            Event::Text(text) => self.kept.sequence.add(Piece::Text(text.len())),
            Event::Blocks(blocks) if self.fits(blocks.get().len()) => {
                self.kept.raw_blocks = Some(blocks.clone());
            }
            _ => {}
        }
    }

    /// Takes the collected state.
    pub fn take(&mut self) -> ReasoningState {
        std::mem::take(&mut self.kept)
    }

    /// Takes the ids of the tool calls and the collected state; `None` if either is empty.
    pub fn whole(&mut self) -> Option<(Vec<String>, ReasoningState)> {
        let (calls, kept) = (std::mem::take(&mut self.calls), self.take());
        (!calls.is_empty() && !kept.is_empty()).then_some((calls, kept))
    }
}

impl ReasoningDetail {
    /// Memory taken, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let texts = [
            &self.text,
            &self.signature,
            &self.data,
            &self.format,
            &self.id,
        ];
        let texts = texts.into_iter().flatten().map(String::len);
        texts.sum::<usize>() + self.kind.len() + size_of::<Self>()
    }

    /// Appends a fragment to a list. Fragments of one block are joined into one entry.
    pub fn join(list: &mut Vec<Self>, fragment: Self) {
        match list.last_mut() {
            Some(last)
                if last.index == fragment.index
                    && last.kind == fragment.kind
                    && last.data.is_none()
                    && fragment.data.is_none() =>
            {
                if let Some(text) = fragment.text {
                    last.text.get_or_insert_default().push_str(&text);
                }
                last.signature = fragment.signature.or(last.signature.take());
            }
            _ => list.push(fragment),
        }
    }
}

/// Looks up reasoning of earlier responses that clients may not have sent back.
pub trait ReasoningLookup {
    /// The state of the response that made the tool call with this id. `conversation_hash` is the
    /// hash of the conversation before that response. It tells equal call ids of different
    /// conversations apart; if it is 0, only ids that are unique by themselves are found.
    fn recall(&self, call_id: &str, conversation_hash: u64) -> Option<ReasoningState>;
}

/// A lookup that finds nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoReasoningCache;

impl ReasoningLookup for NoReasoningCache {
    fn recall(&self, _call_id: &str, _talk: u64) -> Option<ReasoningState> {
        None
    }
}

/// A whole response.
#[derive(Debug, Clone)]
pub struct Response {
    /// The provider's id of the response.
    pub id: Option<String>,
    /// The provider's name of the model that answered.
    pub model: Option<String>,
    /// Creation time, in seconds since 1970.
    pub created: Option<u64>,
    /// The text; `None` if there was no text at all.
    pub text: Option<String>,
    /// The readable reasoning.
    pub reasoning: Option<String>,
    /// The reasoning in the form that the provider accepts back.
    pub details: Vec<ReasoningDetail>,
    /// The text of the model's refusal.
    pub refusal: Option<String>,
    /// Citations in Chat Completions shape.
    pub annotations: Vec<Box<RawValue>>,
    /// Log probabilities of the text, in Chat Completions shape.
    pub logprobs: Option<Box<RawValue>>,
    /// Tool calls, in order.
    pub tool_calls: Vec<ToolCall>,
    /// Why generation ended.
    pub finish: FinishReason,
    /// The provider's own finish reason, if [`FinishReason`] is less specific.
    pub native_finish: Option<String>,
    /// Token usage; `None` if the provider reported none.
    pub usage: Option<Usage>,
    /// The service tier, under OpenAI's name.
    pub service_tier: Option<String>,
    /// All content blocks as the provider sent them, if they cannot be rebuilt from the fields
    /// above.
    pub raw_blocks: Option<Box<RawValue>>,
    /// The order of reasoning, text and tool calls; empty if it is not known.
    pub sequence: Sequence,
    /// The stop sequence that the model met.
    pub stop_sequence: Option<String>,
}

impl Response {
    /// A response without content.
    #[must_use]
    pub fn empty(finish: FinishReason) -> Self {
        Self {
            id: None,
            model: None,
            created: None,
            text: None,
            reasoning: None,
            details: Vec::new(),
            refusal: None,
            annotations: Vec::new(),
            logprobs: None,
            tool_calls: Vec::new(),
            finish,
            native_finish: None,
            usage: None,
            service_tier: None,
            raw_blocks: None,
            sequence: Sequence::default(),
            stop_sequence: None,
        }
    }
}

impl Response {
    /// The ids of the tool calls and the state that the provider requires back; `None` if either is
    /// empty.
    #[must_use]
    pub fn kept(&self) -> Option<(Vec<String>, ReasoningState)> {
        let calls: Vec<String> = self.tool_calls.iter().map(|call| call.id.clone()).collect();
        let extras = self.tool_calls.iter().filter_map(|call| {
            let extra = call.extra.clone()?;
            Some((call.id.clone(), extra))
        });
        let kept = ReasoningState {
            reasoning: self.reasoning.clone(),
            details: self.details.clone(),
            raw_blocks: self.raw_blocks.clone(),
            extras: extras.collect(),
            sequence: self.sequence.clone(),
        };
        (!calls.is_empty() && !kept.is_empty()).then_some((calls, kept))
    }

    /// Converts the response to stream events, for a client that requested a stream.
    #[must_use]
    pub fn into_events(self) -> Vec<Event> {
        let mut out = vec![Event::Start {
            id: self.id,
            model: self.model,
            created: self.created,
        }];
        if self.details.is_empty() {
            out.extend(self.reasoning.map(Event::Reasoning));
        }
        out.extend(self.details.into_iter().map(Event::ReasoningDetail));
        out.extend(self.text.filter(|text| !text.is_empty()).map(Event::Text));
        if !self.annotations.is_empty() {
            out.push(Event::Annotations(self.annotations));
        }
        out.extend(self.refusal.map(Event::Refusal));
        for (index, call) in self.tool_calls.into_iter().enumerate() {
            out.push(Event::ToolCall {
                index,
                id: call.id,
                name: call.name,
                extra: call.extra,
            });
            out.push(Event::Arguments {
                index,
                fragment: call.arguments,
            });
            out.push(Event::ToolCallEnd { index });
        }
        out.extend(self.raw_blocks.map(Event::Blocks));
        out.push(Event::Finish {
            reason: self.finish,
            native: self.native_finish,
        });
        out.extend(self.usage.map(Event::Usage));
        out.push(Event::End);
        out
    }
}

/// An event of a streamed response.
#[derive(Debug, Clone)]
pub enum Event {
    /// The first event.
    Start {
        /// The provider's id of the response.
        id: Option<String>,
        /// The provider's name of the model that answers.
        model: Option<String>,
        /// Creation time, in seconds since 1970.
        created: Option<u64>,
    },
    /// A fragment of the text.
    Text(String),
    /// A fragment of the readable reasoning.
    Reasoning(String),
    /// A fragment of the reasoning in the form that the provider accepts back.
    ReasoningDetail(ReasoningDetail),
    /// A fragment of a refusal.
    Refusal(String),
    /// Citations for the text so far, in Chat Completions shape.
    Annotations(Vec<Box<RawValue>>),
    /// A tool call begins. Indexes are dense and start at 0.
    ToolCall {
        /// Position among the tool calls.
        index: usize,
        /// The provider's id of the call.
        id: String,
        /// The function's name.
        name: String,
        /// The `extra_content` that the provider requires back with the call.
        extra: Option<Box<RawValue>>,
    },
    /// A fragment of the arguments of a tool call.
    Arguments {
        /// Position among the tool calls.
        index: usize,
        /// JSON text, cut at any byte.
        fragment: String,
    },
    /// The arguments of a tool call are complete.
    ToolCallEnd {
        /// Position among the tool calls.
        index: usize,
    },
    /// All content blocks as the provider sent them, if they cannot be rebuilt from the other
    /// events.
    Blocks(Box<RawValue>),
    /// Generation ended.
    Finish {
        /// The finish reason.
        reason: FinishReason,
        /// The provider's own finish reason, if [`FinishReason`] is less specific.
        native: Option<String>,
    },
    /// Token usage of the whole response.
    Usage(Usage),
    /// A keepalive from the provider.
    Ping,
    /// The response is complete.
    End,
    /// The response failed and will not be completed.
    Failed(Error),
}
