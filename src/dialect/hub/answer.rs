//! Answers, whole and streamed. Pure.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Piece, Sequence};
use crate::error::Error;

/// Tokens, in OpenAI's arithmetic: the prompt includes cached and cache-write tokens, the
/// completion includes reasoning.
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
    /// Prompt and completion together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}

/// Why generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model was done, or met a stop sequence.
    Stop,
    /// The token limit was reached.
    Length,
    /// The model called tools.
    ToolCalls,
    /// The answer was withheld.
    ContentFilter,
}

impl FinishReason {
    /// Chat Completions, `finish_reason`.
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

/// A call of a function tool.
#[derive(Debug, Clone)]
pub struct ToolCall {
    /// The provider's id of the call.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// The arguments: JSON text, `{}` where there are none.
    pub arguments: String,
    /// What the provider sent along with the call, to have it back: `extra_content`.
    pub extra: Option<Box<RawValue>>,
}

/// A piece of reasoning with what its provider needs to take it back.
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
    /// What only the provider can read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Whose it is, as in `anthropic-claude-v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The provider's id of the block, or of the call that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Position of the block in the answer.
    #[serde(default)]
    pub index: u64,
}

/// What a provider wants back of an answer, kept for clients that do not.
#[derive(Debug, Clone, Default)]
pub struct ReasoningState {
    /// The readable reasoning.
    pub reasoning: Option<String>,
    /// The reasoning, for taking back.
    pub details: Vec<ReasoningDetail>,
    /// The blocks as the provider sent them.
    pub raw_blocks: Option<Box<RawValue>>,
    /// Ids of calls, and what the provider sent along with them: `extra_content`.
    pub extras: Vec<(String, Box<RawValue>)>,
    /// In which order it came.
    pub sequence: Sequence,
}

impl ReasoningState {
    /// Whether there is nothing to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reasoning.as_deref().is_none_or(str::is_empty)
            && self.details.is_empty()
            && self.raw_blocks.is_none()
            && self.extras.is_empty()
            && !self.sequence.is_unusual()
    }
}

/// Most of one answer that is kept, in bytes; of more nothing is kept at all.
const MAX_KEPT: usize = 2 << 20;

/// What is kept of a streamed answer, as far as it has come.
#[derive(Debug, Default)]
pub struct ReasoningCollector {
    calls: Vec<String>,
    kept: ReasoningState,
    size: usize,
}

impl ReasoningCollector {
    /// Whether there is room for so much more. Half of what was said would be taken for the whole,
    /// so that without room nothing is kept any more.
    fn fits(&mut self, more: usize) -> bool {
        self.size = self.size.saturating_add(more);
        if self.size > MAX_KEPT {
            self.calls = Vec::new();
            self.kept = ReasoningState::default();
        }
        self.size <= MAX_KEPT
    }

    /// Appends readable reasoning.
    pub fn think(&mut self, text: &str) {
        if self.fits(text.len()) {
            self.kept.reasoning.get_or_insert_default().push_str(text);
        }
    }

    /// Adds what the provider sent along with a call.
    pub fn extra(&mut self, id: &str, extra: &RawValue) {
        if self.fits(id.len() + extra.get().len()) {
            self.kept.extras.push((id.to_owned(), extra.to_owned()));
        }
    }

    /// Takes a step of a stream in.
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

    /// What was kept of the whole answer.
    pub fn take(&mut self) -> ReasoningState {
        std::mem::take(&mut self.kept)
    }

    /// The ids of its calls and what is kept of it, where there are both.
    pub fn whole(&mut self) -> Option<(Vec<String>, ReasoningState)> {
        let (calls, kept) = (std::mem::take(&mut self.calls), self.take());
        (!calls.is_empty() && !kept.is_empty()).then_some((calls, kept))
    }
}

impl ReasoningDetail {
    /// How much memory it takes, in bytes.
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

    /// Adds a fragment to a list of details: fragments of one block become one entry again.
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

/// Knows of earlier answers what clients may not have kept.
pub trait ReasoningLookup {
    /// What was kept of the answer with the call of this id. `conversation_hash` stands for the conversation
    /// before it, for ids that are not like no other.
    fn recall(&self, call_id: &str, conversation_hash: u64) -> Option<ReasoningState>;
}

/// Knows nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoReasoningCache;

impl ReasoningLookup for NoReasoningCache {
    fn recall(&self, _call_id: &str, _talk: u64) -> Option<ReasoningState> {
        None
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The provider's id of the answer.
    pub id: Option<String>,
    /// The model that answered, in the provider's words.
    pub model: Option<String>,
    /// When, in seconds since 1970.
    pub created: Option<u64>,
    /// The text; `None` where there was none at all.
    pub text: Option<String>,
    /// The reasoning, readable.
    pub reasoning: Option<String>,
    /// The reasoning, for taking back.
    pub details: Vec<ReasoningDetail>,
    /// Why the model declined.
    pub refusal: Option<String>,
    /// Citations in Chat Completions shape.
    pub annotations: Vec<Box<RawValue>>,
    /// Log probabilities of the text in Chat Completions shape.
    pub logprobs: Option<Box<RawValue>>,
    /// Tool calls, in order.
    pub tool_calls: Vec<ToolCall>,
    /// Why it ended.
    pub finish: FinishReason,
    /// The provider's own word for that, where ours says less.
    pub native_finish: Option<String>,
    /// Tokens, where the provider counted them.
    pub usage: Option<Usage>,
    /// OpenAI's name of the service tier.
    pub service_tier: Option<String>,
    /// The blocks as the provider sent them, where the members above cannot give them back.
    pub raw_blocks: Option<Box<RawValue>>,
    /// In which order it came, where that is told.
    pub sequence: Sequence,
    /// The stop sequence that was met.
    pub stop_sequence: Option<String>,
}

impl Response {
    /// An answer without content.
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
    /// The ids of its calls, and what its provider wants back with them.
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

    /// The answer as the steps of a stream, for a client that asked for one.
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

/// A step of a streamed answer.
#[derive(Debug, Clone)]
pub enum Event {
    /// The first event: who answers.
    Start {
        /// The provider's id of the answer.
        id: Option<String>,
        /// The model that answers.
        model: Option<String>,
        /// When, in seconds since 1970.
        created: Option<u64>,
    },
    /// A fragment of the text.
    Text(String),
    /// A fragment of the readable reasoning.
    Reasoning(String),
    /// A fragment of the reasoning for taking back.
    ReasoningDetail(ReasoningDetail),
    /// A fragment of a refusal.
    Refusal(String),
    /// Citations of what was said so far, in Chat Completions shape.
    Annotations(Vec<Box<RawValue>>),
    /// A call begins. Indexes are dense from 0.
    ToolCall {
        /// Position among the calls.
        index: usize,
        /// The provider's id of the call.
        id: String,
        /// The function's name.
        name: String,
        /// What the provider sent along with the call, to have it back: `extra_content`.
        extra: Option<Box<RawValue>>,
    },
    /// A fragment of a call's arguments.
    Arguments {
        /// Position among the calls.
        index: usize,
        /// JSON text, cut anywhere.
        fragment: String,
    },
    /// The arguments of a call are complete.
    ToolCallEnd {
        /// Position among the calls.
        index: usize,
    },
    /// All blocks as the provider sent them, where the other steps cannot give them back.
    Blocks(Box<RawValue>),
    /// Why it ended.
    Finish {
        /// In OpenAI's words.
        reason: FinishReason,
        /// In the provider's word, where ours says less.
        native: Option<String>,
    },
    /// Tokens of the whole answer.
    Usage(Usage),
    /// A sign of life.
    Ping,
    /// The answer is complete.
    End,
    /// The answer will not be completed.
    Failed(Error),
}
