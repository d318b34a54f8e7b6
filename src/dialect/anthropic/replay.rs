//! Restores the thinking and the blocks of earlier responses in a request. Pure.

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

/// The fields in which a client sends thinking back.
const REPLAY_FIELDS: [&str; 3] = [
    "provider_specific_fields",
    "reasoning_details",
    "thinking_blocks",
];

/// Restores remembered thinking in messages with tool calls whose client did not send it back. What
/// a client sends is kept, if the provider accepts it. Returns whether a client sent reasoning that
/// the provider does not accept, which the remembered thinking replaces.
pub(super) fn remember(messages: &mut Vec<Message<'_>>, memory: &dyn ReasoningLookup) -> bool {
    let mut recalled = HashSet::new();
    let mut replaced = false;
    // The client may have split one response into several assistant messages.
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

/// Marks a message whose content was moved into the message before it.
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
    // If call ids repeat, the thinking is restored once only. Otherwise the request could grow
    // without limit.
    if recalled.contains(&id) {
        return false;
    }
    let Some(kept) = memory.recall(&id, 0).filter(|kept| !is_irrelevant(kept)) else {
        return false;
    };
    recalled.insert(id);
    let brought = ClientThinking::of(answer, &kept.details);
    if brought == ClientThinking::Own {
        return false;
    }
    let give = |message: &mut Message<'_>, name: &'static str, value| {
        for name in REPLAY_FIELDS {
            message.other.take(name);
        }
        message.other.push(name, Cow::Owned(value));
    };
    if let Some(blocks) = kept
        .raw_blocks
        .filter(|blocks| blocks_match_messages(answer, blocks))
    {
        let own = fields!({"anthropic": fields!({"content": blocks})});
        join(answer);
        if let Some(message) = answer.first_mut() {
            give(message, "provider_specific_fields", raw(&own));
        }
    } else if brought != ClientThinking::Same
        && !kept.details.is_empty()
        && let Some(message) = answer.get_mut(first)
    {
        give(message, "reasoning_details", raw(&kept.details));
    }
    brought == ClientThinking::Unusable
}

/// Whether the state has nothing that this provider requires back.
fn is_irrelevant(kept: &ReasoningState) -> bool {
    kept.raw_blocks.is_none() && kept.details.is_empty()
}

/// Whether the provider accepts a reasoning detail back.
fn is_ours(detail: &ReasoningDetail) -> bool {
    match detail.format.as_deref() {
        Some(format) => {
            format == reasoning_format::ANTHROPIC
                && (detail.signature.is_some() || detail.data.is_some())
        }
        None => detail.signature.is_some(),
    }
}

/// What a client sent back of the thinking of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientThinking {
    Nothing,
    /// Nothing that the provider accepts.
    Unusable,
    /// The same as what is remembered.
    Same,
    /// Something else.
    Own,
}

impl ClientThinking {
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

/// Moves the content of all messages of one response into the first of them.
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

/// Whether the remembered blocks match the messages of a response.
fn blocks_match_messages(answer: &[Message<'_>], blocks: &serde_json::value::RawValue) -> bool {
    let blocks = json::array(&Cow::Borrowed(blocks), &"content").unwrap_or_default();
    let parts = answer.iter().flat_map(|message| &message.content);
    let calls = answer.iter().flat_map(|message| &message.tool_calls);
    blocks_match(&blocks, parts, calls)
}

/// Whether blocks hold the same text and the same tool calls.
fn blocks_match<'m, 'a: 'm>(
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

/// Whether a call's arguments equal the input of its block.
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

/// Blocks that a client kept as Anthropic sent them; `None` if there are none, or if the message
/// was edited and they no longer match it.
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
    if !blocks_match(&blocks, message.content.iter(), message.tool_calls.iter()) {
        return Ok(None);
    }
    report.drop_members(&fields, "messages.provider_specific_fields");
    // The blocks already contain what these fields hold.
    for name in ["annotations"].iter().chain(&REPLAY_FIELDS) {
        message.other.take(name);
    }
    message.reasoning = None;
    // The provider refuses blank text blocks, even those that it sent.
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

/// The thinking blocks that a client sent back, in their order.
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

/// Part of the provider's message if a thinking block belongs to a conversation that was edited
/// since.
const THINKING_MISMATCH: &str = "bound to a different conversation";

/// Returns the request with permission to drop thinking that belongs to another conversation.
/// `None` if the request was refused for another reason.
pub(super) fn recover(body: &[u8], refusal: &ProviderError) -> Option<RecoveredRequest> {
    if refusal.upstream_status != 400 || !refusal.message.contains(THINKING_MISMATCH) {
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
