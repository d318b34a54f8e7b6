//! Rebuilds the blocks of a stream as the provider would have sent them in a whole response. Pure.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::decode_response::Order;
use crate::codec::json::{self, Object, put, raw};

/// Limit for the blocks of one response, in bytes.
const MAX_BLOCKS: usize = 1 << 20;

/// A block as it began, and what its deltas added.
#[derive(Debug)]
struct OpenBlock {
    start: Box<RawValue>,
    text: String,
    thinking: String,
    signature: String,
    input: String,
    citations: Vec<Box<RawValue>>,
    /// Fields that a delta brought complete.
    members: Vec<(String, Box<RawValue>)>,
}

/// A delta of a block.
pub(super) enum Piece<'p> {
    Text(&'p str),
    Thinking(&'p str),
    Signature(&'p str),
    /// JSON text, cut at any byte.
    Input(&'p str),
    Citation(&'p RawValue),
}

/// All blocks of a stream so far.
#[derive(Debug, Default)]
pub(super) struct Rebuild {
    order: Order,
    blocks: Vec<OpenBlock>,
    size: usize,
    /// Whether the limit was exceeded, or a delta was of an unknown kind. Then nothing is rebuilt.
    lost: bool,
}

impl Rebuild {
    /// Adds a block and returns its position.
    pub(super) fn begin(&mut self, kind: &str, start: &RawValue) -> usize {
        self.order.saw(kind);
        if self.has_room(start.get().len() + size_of::<OpenBlock>()) {
            self.blocks.push(OpenBlock {
                start: start.to_owned(),
                text: String::new(),
                thinking: String::new(),
                signature: String::new(),
                input: String::new(),
                citations: Vec::new(),
                members: Vec::new(),
            });
        }
        self.blocks.len().saturating_sub(1)
    }

    /// Appends a delta to a block.
    pub(super) fn add(&mut self, at: usize, piece: &Piece<'_>) {
        let bytes = match piece {
            Piece::Text(text)
            | Piece::Thinking(text)
            | Piece::Signature(text)
            | Piece::Input(text) => text.len(),
            Piece::Citation(citation) => citation.get().len(),
        };
        if !self.has_room(bytes) {
            return;
        }
        let Some(block) = self.blocks.get_mut(at) else {
            return;
        };
        match piece {
            Piece::Text(text) => block.text.push_str(text),
            Piece::Thinking(text) => block.thinking.push_str(text),
            Piece::Signature(text) => block.signature.push_str(text),
            Piece::Input(text) => block.input.push_str(text),
            Piece::Citation(citation) => block.citations.push((*citation).to_owned()),
        }
    }

    /// Handles a delta of another kind. The fields of a compaction come complete; any other kind is
    /// unknown, and the blocks cannot be rebuilt.
    pub(super) fn add_other(&mut self, at: usize, kind: &str, delta: &RawValue) {
        let members = (kind == "compaction_delta" && self.has_room(delta.get().len()))
            .then(|| serde_json::from_str::<Object<'_>>(delta.get()).ok())
            .flatten();
        match (members, self.blocks.get_mut(at)) {
            (Some(members), Some(block)) => {
                let members = members.fields.into_iter().filter(|one| one.name != "type");
                let members = members.map(|one| (one.name.into_owned(), one.value.into_owned()));
                block.members.extend(members);
            }
            _ => self.give_up(),
        }
    }

    /// Memory taken, in bytes.
    pub(super) fn size(&self) -> usize {
        self.size.min(MAX_BLOCKS)
    }

    fn has_room(&mut self, bytes: usize) -> bool {
        self.size = self.size.saturating_add(bytes);
        if self.size > MAX_BLOCKS {
            self.give_up();
        }
        !self.lost
    }

    fn give_up(&mut self) {
        self.lost = true;
        self.blocks = Vec::new();
    }

    /// Returns the blocks. `None` if they came in the usual order, in which the hub can rebuild
    /// them, or if they are incomplete.
    pub(super) fn finish(&mut self) -> Option<Box<RawValue>> {
        if self.order.holds() || self.lost {
            return None;
        }
        let blocks = std::mem::take(&mut self.blocks);
        let blocks: Option<Vec<_>> = blocks.into_iter().map(whole).collect();
        Some(raw(&blocks?))
    }
}

/// Merges a block with its deltas.
fn whole(begun: OpenBlock) -> Option<Box<RawValue>> {
    let start = Cow::Borrowed(&*begun.start);
    let mut block = json::object(&start, &"content_block").ok()?;
    for (name, more) in [
        ("text", begun.text),
        ("thinking", begun.thinking),
        ("signature", begun.signature),
    ] {
        if more.is_empty() {
            continue;
        }
        let before = block.get(name).map(|text| json::text(text, &name));
        let before = before.transpose().ok()?.unwrap_or_default();
        put(&mut block, name, raw(&format!("{before}{more}")));
    }
    if !begun.input.trim().is_empty() {
        put(
            &mut block,
            "input",
            serde_json::from_str(&begun.input).ok()?,
        );
    }
    if !begun.citations.is_empty() {
        let mut list = Vec::new();
        if let Some(before) = block.get("citations") {
            list = json::array(before, &"citations").ok()?;
        }
        list.extend(begun.citations.into_iter().map(Cow::Owned));
        put(&mut block, "citations", raw(&list));
    }
    for (name, value) in begun.members {
        put(&mut block, name, value);
    }
    Some(raw(&block))
}
