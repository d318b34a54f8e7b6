//! What a client took along of an earlier answer -> the blocks it was. Pure.

use std::borrow::Cow;

use super::DETAIL_FORMAT;
use super::wire::{AnswerBlock, Block};
use crate::codec::json::{self, Object, fields, put, raw};
use crate::dialect::Mended;
use crate::dialect::hub::{Detail, Memory, Message, Part, Place};
use crate::error::{Error, ProviderError};

/// Members in which a client takes thinking along.
const TAKEN_ALONG: [&str; 3] = [
    "provider_specific_fields",
    "reasoning_details",
    "thinking_blocks",
];

/// Gives a message that called tools the thinking back that its client did not keep. What is
/// remembered is the provider's own; what a client brings may have been put together wrongly from
/// a stream. Returns whether it brought something else.
pub(super) fn remember(message: &mut Message<'_>, memory: &dyn Memory) -> bool {
    let kept = message
        .tool_calls
        .first()
        .and_then(|call| memory.recall(&call.id, 0));
    let Some(kept) = kept.filter(|kept| kept.raw_blocks.is_some() || !kept.details.is_empty())
    else {
        return false;
    };
    let brought = message
        .other
        .get("reasoning_details")
        .map(|raw| serde_json::from_str::<Vec<Detail>>(raw.get()));
    let other = brought.is_some_and(|own| own.ok().as_ref() != Some(&kept.details));
    for name in TAKEN_ALONG {
        message.other.take(name);
    }
    if let Some(blocks) = kept.raw_blocks {
        let own = fields!({"anthropic": fields!({"content": blocks})});
        message
            .other
            .push("provider_specific_fields", Cow::Owned(raw(&own)));
    }
    if !kept.details.is_empty() {
        message
            .other
            .push("reasoning_details", Cow::Owned(raw(&kept.details)));
    }
    other
}

/// Blocks that a client kept as Anthropic sent them, where they still say what the message says.
pub(super) fn verbatim_blocks<'a>(
    message: &mut Message<'a>,
    at: Place,
) -> Result<Option<Vec<Block<'a>>>, Error> {
    let Some(fields) = message.other.take("provider_specific_fields") else {
        return Ok(None);
    };
    let param = format!("{at}.provider_specific_fields");
    let Some(own) = json::object(&fields, &param)?.take("anthropic") else {
        return Ok(None);
    };
    let Some(content) = json::object(&own, &param)?.take("content") else {
        return Ok(None);
    };
    let blocks = json::array(&content, &param)?;
    let mut text = String::new();
    let mut ids = Vec::new();
    for block in &blocks {
        let Ok(block) = serde_json::from_str::<AnswerBlock>(block.get()) else {
            return Ok(None);
        };
        match block.kind.as_str() {
            "text" => text.push_str(&block.text.unwrap_or_default()),
            "tool_use" => ids.push(block.id.unwrap_or_default()),
            _ => {}
        }
    }
    let said: String = message
        .content
        .iter()
        .filter_map(|part| match part {
            Part::Text { text, .. } => Some(text.as_ref()),
            _ => None,
        })
        .collect();
    let same = said == text
        && ids
            .iter()
            .eq(message.tool_calls.iter().map(|call| &*call.id));
    Ok(same.then(|| blocks.into_iter().map(Block::Verbatim).collect()))
}

/// The thinking blocks that a client took along, in the order they came.
pub(super) fn thinking_blocks<'a>(
    message: &mut Message<'a>,
    at: Place,
) -> Result<Vec<Block<'a>>, Error> {
    if let Some(raw) = message.other.take("reasoning_details") {
        let mut blocks = Vec::new();
        let param = format!("{at}.reasoning_details");
        for raw in json::array(&raw, &param)? {
            let Ok(detail) = serde_json::from_str::<Detail>(raw.get()) else {
                return Err(Error::wrong_type(param, "an array of reasoning details"));
            };
            let ours = detail
                .format
                .as_deref()
                .is_none_or(|format| format == DETAIL_FORMAT);
            match (detail.signature, detail.data) {
                (Some(signature), _) if ours => {
                    blocks.push(Block::Thinking {
                        thinking: detail.text.unwrap_or_default(),
                        signature,
                    });
                }
                (None, Some(data)) if ours && detail.format.is_some() => {
                    blocks.push(Block::RedactedThinking { data });
                }
                _ => {}
            }
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
pub(super) fn mend(body: &[u8], refusal: &ProviderError) -> Option<Mended> {
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
    Some(Mended {
        body: serde_json::to_vec(&request).ok()?,
        headers: vec![("anthropic-beta", "thinking-binding-controls-2026-08-01")],
        dropped: "messages.reasoning_details",
        reason: "thinking_of_another_conversation",
    })
}
