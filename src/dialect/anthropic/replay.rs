//! What a client took along of an earlier answer -> the blocks it was. Pure.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::Value;

use super::decode_response::compact;
use super::wire::{AnswerBlock, Block};
use crate::codec::json::{self, Object, Raw, fields, put, raw};
use crate::dialect::common::reasoning_format;
use crate::dialect::common::report::TranslationReport;
use crate::dialect::hub::{
    Message, Part, Place, ReasoningDetail, ReasoningLookup, ReasoningState, RequestToolCall, Role,
};
use crate::dialect::traits::RecoveredRequest;
use crate::error::{Error, ProviderError};

/// Members in which a client takes thinking along.
const TAKEN_ALONG: [&str; 3] = [
    "provider_specific_fields",
    "reasoning_details",
    "thinking_blocks",
];

/// Gives messages that called tools the thinking back that their client did not keep; what a client
/// brings is left alone. Returns whether a client brought something that is no thinking of this
/// provider's, in whose place the remembered one goes.
pub(super) fn remember(messages: &mut Vec<Message<'_>>, memory: &dyn ReasoningLookup) -> bool {
    let mut recalled = HashSet::new();
    let mut replaced = false;
    // What an assistant says in one go may have come back in several messages.
    let answers =
        messages.chunk_by_mut(|a, b| a.role == Role::Assistant && b.role == Role::Assistant);
    for answer in answers {
        replaced |= remember_answer(answer, memory, &mut recalled);
    }
    if !recalled.is_empty() {
        messages.retain(|message| message.at != JOINED);
    }
    replaced
}

/// Where a message stands whose content went into the one before it.
const JOINED: Place = Place("", 0);

fn remember_answer(
    answer: &mut [Message<'_>],
    memory: &dyn ReasoningLookup,
    recalled: &mut HashSet<String>,
) -> bool {
    let Some(first) = answer.iter().position(|m| !m.tool_calls.is_empty()) else {
        return false;
    };
    let id = answer.get(first).and_then(|m| m.tool_calls.first());
    let Some(id) = id.map(|call| call.id.to_string()) else {
        return false;
    };
    // A conversation that repeats an id gets the thinking once, whatever that would come to.
    if recalled.contains(&id) {
        return false;
    }
    let Some(kept) = memory.recall(&id, 0).filter(|kept| !holds_nothing(kept)) else {
        return false;
    };
    recalled.insert(id);
    let brought = Brought::of(answer, &kept.details);
    if brought == Brought::Own {
        return false;
    }
    let give = |message: &mut Message<'_>, name: &'static str, value| {
        for name in TAKEN_ALONG {
            message.other.take(name);
        }
        message.other.push(name, Cow::Owned(value));
    };
    if let Some(blocks) = kept.raw_blocks.filter(|blocks| is_said_by(answer, blocks)) {
        let own = fields!({"anthropic": fields!({"content": blocks})});
        join(answer);
        if let Some(message) = answer.first_mut() {
            give(message, "provider_specific_fields", raw(&own));
        }
    } else if brought != Brought::Same
        && !kept.details.is_empty()
        && let Some(message) = answer.get_mut(first)
    {
        give(message, "reasoning_details", raw(&kept.details));
    }
    brought == Brought::Unusable
}

/// Whether there is nothing that this provider wants back.
fn holds_nothing(kept: &ReasoningState) -> bool {
    kept.raw_blocks.is_none() && kept.details.is_empty()
}

/// Whether the provider takes a detail back.
fn is_ours(detail: &ReasoningDetail) -> bool {
    match detail.format.as_deref() {
        Some(format) => {
            format == reasoning_format::ANTHROPIC
                && (detail.signature.is_some() || detail.data.is_some())
        }
        None => detail.signature.is_some(),
    }
}

/// What a client brought of the thinking of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Brought {
    Nothing,
    /// Nothing that the provider takes back.
    Unusable,
    /// What is remembered as well.
    Same,
    /// Something else.
    Own,
}

impl Brought {
    fn of(answer: &[Message<'_>], kept: &[ReasoningDetail]) -> Self {
        let mut brought: Vec<ReasoningDetail> = Vec::new();
        let mut any = false;
        for message in answer {
            let other = &message.other;
            let blocks = other.get("provider_specific_fields");
            if blocks.is_some_and(|own| own.get().contains("\"anthropic\""))
                || other.get("thinking_blocks").is_some()
            {
                return Self::Own;
            }
            let Some(details) = other.get("reasoning_details") else {
                continue;
            };
            match serde_json::from_str::<Vec<ReasoningDetail>>(details.get()) {
                Ok(mut details) => {
                    any |= !details.is_empty();
                    brought.append(&mut details);
                }
                Err(_) => return Self::Own,
            }
        }
        let ours = |details: &[ReasoningDetail]| -> Vec<ReasoningDetail> {
            details.iter().filter(|one| is_ours(one)).cloned().collect()
        };
        let (brought, kept) = (ours(&brought), ours(kept));
        if !brought.is_empty() {
            return if brought == kept {
                Self::Same
            } else {
                Self::Own
            };
        }
        if any { Self::Unusable } else { Self::Nothing }
    }
}

/// Puts the messages of one answer together in the first of them.
fn join(answer: &mut [Message<'_>]) {
    let Some((first, others)) = answer.split_first_mut() else {
        return;
    };
    for other in others {
        first.content.append(&mut other.content);
        first.tool_calls.append(&mut other.tool_calls);
        first.refusal = first.refusal.take().or(other.refusal.take());
        first.other.fields.append(&mut other.other.fields);
        other.at = JOINED;
    }
}

/// Whether kept blocks say what the messages of an answer say.
fn is_said_by(answer: &[Message<'_>], blocks: &serde_json::value::RawValue) -> bool {
    let blocks = json::array(&Cow::Borrowed(blocks), &"content").unwrap_or_default();
    let parts = answer.iter().flat_map(|message| &message.content);
    let calls = answer.iter().flat_map(|message| &message.tool_calls);
    say_the_same(&blocks, parts, calls)
}

/// Whether blocks hold these texts and these calls.
fn say_the_same<'m, 'a: 'm>(
    blocks: &[Raw<'_>],
    parts: impl Iterator<Item = &'m Part<'a>>,
    mut calls: impl Iterator<Item = &'m RequestToolCall<'a>>,
) -> bool {
    let mut text = String::new();
    for block in blocks {
        let Ok(block) = serde_json::from_str::<AnswerBlock>(block.get()) else {
            return false;
        };
        match block.kind.as_str() {
            "text" => text.push_str(&block.text.unwrap_or_default()),
            "tool_use" => {
                let same = calls.next().is_some_and(|call| {
                    block.id.as_deref() == Some(&*call.id)
                        && block.name.as_deref() == Some(&*call.name)
                        && is_same(
                            block.input.as_ref().map_or("{}", |input| input.get()),
                            &call.arguments,
                        )
                });
                if !same {
                    return false;
                }
            }
            _ => {}
        }
    }
    let said: String = parts
        .filter_map(|part| match part {
            Part::Text { text, .. } => Some(text.as_ref()),
            Part::Image { .. } | Part::File { .. } | Part::Refusal { .. } | Part::Other { .. } => {
                None
            }
        })
        .collect();
    said == text && calls.next().is_none()
}

/// Whether a call's arguments are the input that its block has.
fn is_same(input: &str, arguments: &str) -> bool {
    let arguments = match arguments.trim() {
        "" => "{}",
        arguments => arguments,
    };
    if compact(input) == compact(arguments) {
        return true;
    }
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    read(input).is_some_and(|input| Some(input) == read(arguments))
}

/// Blocks that a client kept as Anthropic sent them, where they still say what the message says.
pub(super) fn verbatim_blocks<'a>(
    message: &mut Message<'a>,
    at: Place,
    report: &mut TranslationReport,
) -> Result<Option<Vec<Block<'a>>>, Error> {
    const NAME: &str = "provider_specific_fields";
    let Some(fields) = message.other.get(NAME) else {
        return Ok(None);
    };
    let param = format!("{at}.{NAME}");
    let mut fields = json::object(fields, &param)?;
    let Some(own) = fields.take("anthropic") else {
        return Ok(None);
    };
    let Some(content) = json::object(&own, &param)?.take("content") else {
        return Ok(None);
    };
    let blocks = json::array(&content, &param)?;
    if !say_the_same(&blocks, message.content.iter(), message.tool_calls.iter()) {
        return Ok(None);
    }
    report.drop_members(&fields, "messages.provider_specific_fields");
    // What these say, the blocks say as well.
    for name in ["annotations"].iter().chain(&TAKEN_ALONG) {
        message.other.take(name);
    }
    message.reasoning = None;
    // The provider refuses text that is none, also its own.
    let is_blank = |block: &Raw<'_>| {
        serde_json::from_str::<AnswerBlock>(block.get()).is_ok_and(|block| {
            block.kind == "text" && block.text.is_none_or(|text| text.trim().is_empty())
        })
    };
    let blocks: Vec<_> = blocks
        .into_iter()
        .filter(|block| !is_blank(block))
        .map(Block::Verbatim)
        .collect();
    Ok(Some(blocks))
}

/// The thinking blocks that a client took along, in the order they came.
pub(super) fn thinking_blocks<'a>(
    message: &mut Message<'a>,
    at: Place,
    report: &mut TranslationReport,
) -> Result<Vec<Block<'a>>, Error> {
    if let Some(raw) = message.other.take("reasoning_details") {
        let mut blocks = Vec::new();
        let param = format!("{at}.reasoning_details");
        let mut lost = false;
        for raw in json::array(&raw, &param)? {
            let Ok(detail) = serde_json::from_str::<ReasoningDetail>(raw.get()) else {
                return Err(Error::wrong_type(param, "an array of reasoning details"));
            };
            let ours = is_ours(&detail);
            match (detail.signature, detail.data) {
                (Some(signature), _) if ours => blocks.push(Block::Thinking {
                    thinking: detail.text.unwrap_or_default(),
                    signature,
                }),
                (None, Some(data)) if ours => blocks.push(Block::RedactedThinking { data }),
                _ => lost = true,
            }
        }
        if lost {
            report.dropped.push("messages.reasoning_details".to_owned());
        }
        return Ok(blocks);
    }
    if let Some(raw) = message.other.take("thinking_blocks") {
        let param = format!("{at}.thinking_blocks");
        return Ok(json::array(&raw, &param)?
            .into_iter()
            .map(Block::Verbatim)
            .collect());
    }
    Ok(Vec::new())
}

/// What the provider says of a thinking block whose conversation was edited since.
const BOUND_ELSEWHERE: &str = "bound to a different conversation";

/// The request with leave to drop thinking that was bound to another conversation.
pub(super) fn recover(body: &[u8], refusal: &ProviderError) -> Option<RecoveredRequest> {
    if refusal.upstream_status != 400 || !refusal.message.contains(BOUND_ELSEWHERE) {
        return None;
    }
    let mut request: Object<'_> = serde_json::from_slice(body).ok()?;
    let thinking = request.get("thinking")?.clone();
    let mut thinking = json::object(&thinking, &"thinking").ok()?;
    let binding = fields!({"prefix_mismatch_behavior": "drop_block"});
    put(&mut thinking, "block_binding", raw(&binding));
    let thinking = raw(&thinking);
    put(&mut request, "thinking", thinking);
    Some(RecoveredRequest {
        body: serde_json::to_vec(&request).ok()?,
        headers: vec![("anthropic-beta", "thinking-binding-controls-2026-08-01")],
        dropped: "messages.reasoning_details",
        reason: "thinking_of_another_conversation",
    })
}
