//! Decodes Messages events into hub events, with one state machine per stream. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::decode_response::{REFUSAL, annotation, compact, declined, finish, redacted, usage};
use super::error;
use super::rebuild::{Piece, Rebuild};
use super::wire::{
    AnswerBlock, BLOCKS, Citation, WireUsage, decode_optional, is_server_tool_block,
};
use crate::codec::json::Text;
use crate::codec::sse;
use crate::dialect::common::delta_template::DeltaTemplate;
use crate::dialect::common::reasoning_format;
use crate::dialect::hub::{Event, FinishReason, ReasoningDetail};
use crate::dialect::traits::StreamDecoder;
use crate::error::Error;

/// Any stream event of Anthropic Messages 2023-06-01.
#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    message: Option<Started>,
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    content_block: Option<Box<RawValue>>,
    #[serde(default)]
    delta: Option<Box<RawValue>>,
    #[serde(default)]
    usage: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Started {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    usage: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    thinking: Option<String>,
    #[serde(default)]
    signature: Option<String>,
    #[serde(default)]
    partial_json: Option<String>,
    #[serde(default)]
    citation: Option<Box<RawValue>>,
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(default)]
    stop_details: Option<Box<RawValue>>,
}

/// Event types that are decoded. All others are skipped unread.
const KNOWN: [&str; 8] = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
    "ping",
    "error",
];

/// Delta types that are decoded.
const DELTAS: [&str; 5] = [
    "text_delta",
    "thinking_delta",
    "signature_delta",
    "input_json_delta",
    "citations_delta",
];

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

/// The `type` of an event, a block or a delta.
fn kind_of(json: &str) -> Option<String> {
    let Kind { kind } = serde_json::from_str(json).ok()?;
    Some(kind)
}

/// A text delta, by far the most frequent event. It is decoded in one step.
#[derive(Deserialize)]
struct TextDeltaEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    index: u64,
    #[serde(borrow)]
    delta: TextDelta<'a>,
}

#[derive(Deserialize)]
struct TextDelta<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    text: Text<'a>,
}

/// A marker that almost only text deltas contain.
static TEXT_DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"text_delta\""));

/// An open content block.
enum Block {
    Text {
        start: usize,
        citations: Vec<Citation>,
    },
    Thinking,
    Tool {
        index: usize,
        input: Option<Box<RawValue>>,
        empty: bool,
    },
    /// A block without a counterpart in the client's dialect.
    Other,
}

/// An open block, and its position in [`Rebuild`].
struct Open {
    block: Block,
    at: usize,
}

/// Limit for the number of blocks that are open at once. No provider comes near it.
const MAX_OPEN: usize = 1000;

/// Decodes the events of one stream.
#[expect(clippy::struct_excessive_bools, reason = "each was seen or was not")]
pub(super) struct MessagesStreamDecoder {
    provider: &'static str,
    id: Option<String>,
    started: bool,
    ended: bool,
    /// The open blocks, by their index.
    blocks: BTreeMap<u64, Open>,
    rebuild: Rebuild,
    /// Total size of citations so far, in bytes. They are held until the end of their block.
    cited: usize,
    /// Whether there was a block of an unknown type (`saw_unknown_block`), and one of a known type (`known`).
    saw_unknown_block: bool,
    known: bool,
    calls: usize,
    /// Code points of text so far.
    said: usize,
    usage: WireUsage,
    counted: bool,
    stop_reason: Option<String>,
    /// The template of the last text delta, and the index of its block.
    plain: Option<(u64, DeltaTemplate)>,
}

impl MessagesStreamDecoder {
    pub(super) fn new(provider: &'static str) -> Self {
        Self {
            provider,
            id: None,
            started: false,
            ended: false,
            blocks: BTreeMap::new(),
            rebuild: Rebuild::default(),
            cited: 0,
            saw_unknown_block: false,
            known: false,
            calls: 0,
            said: 0,
            usage: WireUsage::default(),
            counted: false,
            stop_reason: None,
            plain: None,
        }
    }

    fn fail(&mut self, error: Error, out: &mut Vec<Event>) {
        self.ended = true;
        out.push(Event::Failed(error));
    }

    fn broken(&mut self, reason: &str, out: &mut Vec<Event>) {
        let provider = self.provider;
        let reason = reason.to_owned();
        self.fail(Error::InvalidUpstreamResponse { provider, reason }, out);
    }

    /// Merges token usage. Counts are cumulative, so a later value replaces an earlier one.
    fn count(&mut self, new: WireUsage) {
        self.counted = true;
        let old = &mut self.usage;
        old.input_tokens = new.input_tokens.or(old.input_tokens);
        old.cache_creation_input_tokens = new
            .cache_creation_input_tokens
            .or(old.cache_creation_input_tokens);
        old.cache_read_input_tokens = new.cache_read_input_tokens.or(old.cache_read_input_tokens);
        old.output_tokens = new.output_tokens.or(old.output_tokens);
        old.output_tokens_details = new
            .output_tokens_details
            .or(old.output_tokens_details.take());
        old.iterations = new.iterations.or(old.iterations.take());
    }

    fn open(&mut self, index: u64, raw: &RawValue, block: AnswerBlock, out: &mut Vec<Event>) {
        let kind = block.kind.clone();
        self.known = true;
        let opened = match block.kind.as_str() {
            "text" => {
                let start = self.said;
                if let Some(text) = block.text.filter(|text| !text.is_empty()) {
                    self.said += text.chars().count();
                    out.push(Event::Text(text));
                }
                Block::Text {
                    start,
                    citations: Vec::new(),
                }
            }
            "thinking" => {
                if let Some(text) = block.thinking.filter(|text| !text.is_empty()) {
                    out.push(Event::ReasoningDetail(thought(index, Some(text), None)));
                }
                Block::Thinking
            }
            "redacted_thinking" => {
                out.push(Event::ReasoningDetail(redacted(
                    block.data.unwrap_or_default(),
                    index,
                )));
                Block::Thinking
            }
            "tool_use" => {
                let (Some(id), Some(name)) = (block.id, block.name) else {
                    return self.broken("a call in it has no id or no name", out);
                };
                let call = self.calls;
                self.calls += 1;
                out.push(Event::ToolCall {
                    index: call,
                    id,
                    name,
                    extra: None,
                });
                Block::Tool {
                    index: call,
                    input: block.input,
                    empty: true,
                }
            }
            _ => Block::Other,
        };
        let at = self.rebuild.begin(&kind, raw);
        self.begin(index, opened, at, out);
    }

    /// Registers an open block. An open block with the same index is closed first.
    fn begin(&mut self, index: u64, block: Block, at: usize, out: &mut Vec<Event>) {
        if self.blocks.contains_key(&index) {
            self.close(index, out);
        }
        if self.blocks.len() >= MAX_OPEN {
            return self.broken("too many blocks of it are open", out);
        }
        self.blocks.insert(index, Open { block, at });
    }

    fn delta(&mut self, index: u64, delta: Delta, out: &mut Vec<Event>) {
        let Some(Open { block, at }) = self.blocks.get_mut(&index) else {
            return self.broken("a delta belongs to no open block", out);
        };
        let (at, rebuild) = (*at, &mut self.rebuild);
        match (delta.kind.as_deref(), block) {
            (Some("text_delta"), Block::Text { .. }) => {
                if let Some(text) = delta.text.filter(|text| !text.is_empty()) {
                    rebuild.add(at, &Piece::Text(&text));
                    self.said += text.chars().count();
                    out.push(Event::Text(text));
                }
            }
            (Some("thinking_delta"), Block::Thinking) => {
                if let Some(text) = delta.thinking.filter(|text| !text.is_empty()) {
                    rebuild.add(at, &Piece::Thinking(&text));
                    out.push(Event::ReasoningDetail(thought(index, Some(text), None)));
                }
            }
            (Some("signature_delta"), Block::Thinking) => {
                if let Some(signature) = delta.signature.filter(|text| !text.is_empty()) {
                    rebuild.add(at, &Piece::Signature(&signature));
                    out.push(Event::ReasoningDetail(thought(
                        index,
                        None,
                        Some(signature),
                    )));
                }
            }
            (Some("input_json_delta"), block) => {
                if let Some(fragment) = delta.partial_json.filter(|text| !text.is_empty()) {
                    rebuild.add(at, &Piece::Input(&fragment));
                    if let Block::Tool { index, empty, .. } = block {
                        *empty = false;
                        out.push(Event::Arguments {
                            index: *index,
                            fragment,
                        });
                    }
                }
            }
            (Some("citations_delta"), Block::Text { citations, .. }) => {
                if let Some(citation) = delta.citation {
                    rebuild.add(at, &Piece::Citation(&citation));
                    self.cited += citation.get().len();
                    citations.extend(decode_optional::<Citation>(&citation));
                }
            }
            _ => {}
        }
    }

    /// Decodes an event if it is a plain text delta; returns `false` if it may be anything else.
    fn try_text_delta(&mut self, data: &str, out: &mut Vec<Event>) -> bool {
        if let Some((index, plain)) = &self.plain
            && let Some(text) = plain.text(data)
        {
            let text = text.into_owned();
            return self.text(*index, text, out);
        }
        if TEXT_DELTA.find(data.as_bytes()).is_none() {
            return false;
        }
        let Ok(TextDeltaEvent { kind, index, delta }) = serde_json::from_str(data) else {
            return false;
        };
        if &*kind != "content_block_delta" || &*delta.kind != "text_delta" {
            return false;
        }
        if let Cow::Borrowed(text) = delta.text.0 {
            self.plain = DeltaTemplate::learn_from(data, text).map(|plain| (index, plain));
        }
        self.text(index, delta.text.0.into_owned(), out)
    }

    /// Adds text to an open block; returns `false` if that is not an open text block.
    fn text(&mut self, index: u64, text: String, out: &mut Vec<Event>) -> bool {
        let Some(Open {
            block: Block::Text { .. },
            at,
        }) = self.blocks.get(&index)
        else {
            return false;
        };
        if !text.is_empty() {
            self.rebuild.add(*at, &Piece::Text(&text));
            self.said += text.chars().count();
            out.push(Event::Text(text));
        }
        true
    }

    fn close(&mut self, index: u64, out: &mut Vec<Event>) {
        let Some(Open { block, .. }) = self.blocks.remove(&index) else {
            return self.broken("a block ends that was not open", out);
        };
        match block {
            Block::Tool {
                index,
                input,
                empty,
            } => {
                if empty {
                    let input = input.map_or_else(|| "{}".to_owned(), |raw| compact(raw.get()));
                    out.push(Event::Arguments {
                        index,
                        fragment: input,
                    });
                }
                out.push(Event::ToolCallEnd { index });
            }
            Block::Text { start, citations } => {
                let list: Vec<_> = citations
                    .iter()
                    .filter_map(|citation| annotation(citation, start, self.said))
                    .collect();
                if !list.is_empty() {
                    out.push(Event::Annotations(list));
                }
            }
            Block::Thinking | Block::Other => {}
        }
    }

    fn complete(&mut self, out: &mut Vec<Event>) {
        let (reason, native) = finish(self.stop_reason.as_deref());
        if self.saw_unknown_block && !self.known && reason == FinishReason::Stop {
            return self.broken("it has no block of a kind that is known", out);
        }
        // Blocks that the provider did not close end with the message.
        while let Some((&index, _)) = self.blocks.first_key_value() {
            self.close(index, out);
        }
        self.ended = true;
        if let Some(blocks) = self.rebuild.finish() {
            out.push(Event::Blocks(blocks));
        }
        out.push(Event::Finish { reason, native });
        if self.counted {
            out.push(Event::Usage(usage(&self.usage)));
        }
        out.push(Event::End);
    }
}

fn thought(index: u64, text: Option<String>, signature: Option<String>) -> ReasoningDetail {
    ReasoningDetail {
        kind: "reasoning.text".to_owned(),
        text,
        signature,
        data: None,
        format: Some(reasoning_format::ANTHROPIC.to_owned()),
        id: None,
        index,
    }
}

impl MessagesStreamDecoder {
    /// Handles the start of a block.
    fn start(&mut self, index: u64, raw: &RawValue, out: &mut Vec<Event>) {
        let kind = kind_of(raw.get());
        if let Some(kind) = kind.filter(|kind| !BLOCKS.contains(&kind.as_str())) {
            if is_server_tool_block(&kind) {
                self.known = true;
            } else {
                self.saw_unknown_block = true;
            }
            let at = self.rebuild.begin(&kind, raw);
            return self.begin(index, Block::Other, at, out);
        }
        match serde_json::from_str(raw.get()) {
            Ok(block) => self.open(index, raw, block, out),
            Err(_) => self.broken("a block of its stream cannot be read", out),
        }
    }
}

impl StreamDecoder for MessagesStreamDecoder {
    fn held(&self) -> usize {
        self.rebuild.size() + self.cited + self.blocks.len() * size_of::<Open>()
    }

    fn push(&mut self, event: &sse::Event<'_>, out: &mut Vec<Event>) {
        if self.ended || self.try_text_delta(&event.data, out) {
            return;
        }
        if event.data.trim().is_empty()
            || kind_of(&event.data).is_some_and(|kind| !KNOWN.contains(&kind.as_str()))
        {
            return;
        }
        let wire: Wire = match serde_json::from_str(&event.data) {
            Ok(wire) => wire,
            Err(_) => return self.broken("an event of its stream cannot be read", out),
        };
        let index = wire.index.unwrap_or(0);
        match wire.kind.as_str() {
            "message_start" => {
                let Some(message) = wire.message else {
                    return self.broken("its first event names no message", out);
                };
                if self.started {
                    // A repeated start of the same message is harmless. Another message comes from
                    // another stream.
                    if message.id != self.id {
                        self.broken("a second message begins inside its stream", out);
                    }
                    return;
                }
                self.started = true;
                self.id.clone_from(&message.id);
                if let Some(usage) = message.usage.as_deref().and_then(decode_optional) {
                    self.count(usage);
                }
                out.push(Event::Start {
                    id: message.id,
                    model: message.model,
                    created: None,
                });
            }
            "content_block_start" => {
                let Some(raw) = wire.content_block else {
                    return self.broken("a block begins without one", out);
                };
                self.start(index, &raw, out);
            }
            "content_block_delta" => {
                let Some(raw) = wire.delta else {
                    return self.broken("a delta comes without one", out);
                };
                if let Some(kind) =
                    kind_of(raw.get()).filter(|kind| !DELTAS.contains(&kind.as_str()))
                {
                    if let Some(open) = self.blocks.get(&index) {
                        self.rebuild.add_other(open.at, &kind, &raw);
                    }
                    return;
                }
                match serde_json::from_str(raw.get()) {
                    Ok(delta) => self.delta(index, delta, out),
                    Err(_) => self.broken("a delta of its stream cannot be read", out),
                }
            }
            "content_block_stop" => self.close(index, out),
            "message_delta" => {
                if let Some(usage) = wire.usage.as_deref().and_then(decode_optional) {
                    self.count(usage);
                }
                let delta = wire
                    .delta
                    .map(|raw| serde_json::from_str::<Delta>(raw.get()));
                if let Some(Ok(delta)) = delta
                    && delta.stop_reason.is_some()
                {
                    if delta.stop_reason.as_deref() == Some(REFUSAL) {
                        let details = delta.stop_details.as_deref().and_then(decode_optional);
                        out.push(Event::Refusal(declined(details)));
                    }
                    self.stop_reason = delta.stop_reason;
                }
            }
            "message_stop" => {
                if self.stop_reason.is_some() {
                    self.complete(out);
                } else {
                    self.fail(Error::Truncated, out);
                }
            }
            "ping" => out.push(Event::Ping),
            "error" => {
                let error = error::read(200, event.data.as_bytes());
                self.fail(Error::Provider(Box::new(error)), out);
            }
            _ => {}
        }
    }

    fn finish(&mut self, out: &mut Vec<Event>) {
        if self.ended {
            return;
        }
        if self.stop_reason.is_some() {
            self.complete(out);
        } else {
            self.fail(Error::Truncated, out);
        }
    }
}
