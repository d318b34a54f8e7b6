//! Decodes a Messages response into a hub response. Pure.

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::wire::{
    AnswerBlock, BLOCKS, Citation, Iteration, StopDetails, WireUsage, decode_optional,
    is_server_tool_block,
};
use crate::codec::json::raw;
use crate::dialect::common::provider_error::position_of;
use crate::dialect::common::reasoning_format;
use crate::dialect::hub::{FinishReason, Piece, ReasoningDetail, Response, ToolCall, Usage};

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    model: Option<String>,
    content: Vec<Box<RawValue>>,
    #[serde(default)]
    stop_reason: Option<String>,
    #[serde(default)]
    stop_sequence: Option<String>,
    #[serde(default)]
    stop_details: Option<Box<RawValue>>,
    #[serde(default)]
    usage: Option<Box<RawValue>>,
}

/// The refusal text if the provider gives no explanation.
const DECLINED: &str = "The model declined to answer.";

pub(super) fn answer(body: &[u8]) -> Result<Response, String> {
    let message: Message = serde_json::from_slice(body)
        .map_err(|error| format!("it is no message ({})", position_of(&error)))?;
    if message.stop_reason.is_none() {
        return Err("it does not say why it ended".to_owned());
    }
    let (finish, native_finish) = finish(message.stop_reason.as_deref());
    let counted: Option<WireUsage> = message.usage.as_deref().and_then(decode_optional);
    let mut out = Response {
        id: message.id,
        model: message.model,
        native_finish,
        stop_sequence: message.stop_sequence,
        usage: counted.as_ref().map(usage),
        service_tier: counted
            .as_ref()
            .and_then(|usage| tier(usage.service_tier.as_deref())),
        ..Response::empty(finish)
    };
    let mut thoughts: Vec<String> = Vec::new();
    let mut canonical = Order::default();
    // Characters of text so far.
    let mut said = 0_usize;
    let mut strange = 0_usize;
    for (index, block) in message.content.iter().enumerate() {
        let kind: Kind = serde_json::from_str(block.get())
            .map_err(|error| format!("a content block has no type ({})", position_of(&error)))?;
        if !BLOCKS.contains(&kind.kind.as_str()) {
            canonical.saw(&kind.kind);
            strange += usize::from(!is_server_tool_block(&kind.kind));
            continue;
        }
        let block: AnswerBlock = serde_json::from_str(block.get())
            .map_err(|error| format!("a content block cannot be read ({})", position_of(&error)))?;
        canonical.saw(&block.kind);
        let index = index as u64;
        match block.kind.as_str() {
            "text" => {
                let text = block.text.unwrap_or_default();
                let start = said;
                out.sequence.add(Piece::Text(text.len()));
                out.text.get_or_insert_default().push_str(&text);
                said += text.chars().count();
                for citation in block.citations.unwrap_or_default() {
                    out.annotations.extend(annotation(&citation, start, said));
                }
            }
            "thinking" => {
                let text = block.thinking.unwrap_or_default();
                if !text.is_empty() {
                    thoughts.push(text.clone());
                }
                out.sequence.add(Piece::ReasoningDetail);
                out.details.push(ReasoningDetail {
                    kind: "reasoning.text".to_owned(),
                    text: Some(text),
                    signature: block.signature,
                    data: None,
                    format: Some(reasoning_format::ANTHROPIC.to_owned()),
                    id: None,
                    index,
                });
            }
            "redacted_thinking" => {
                out.sequence.add(Piece::ReasoningDetail);
                out.details
                    .push(redacted(block.data.unwrap_or_default(), index));
            }
            "tool_use" => {
                out.sequence.add(Piece::Call);
                out.tool_calls.push(ToolCall {
                    id: block.id.ok_or("a call in it has no id")?,
                    name: block.name.ok_or("a call in it has no name")?,
                    arguments: block
                        .input
                        .map_or_else(|| "{}".to_owned(), |input| compact(input.get())),
                    extra: None,
                });
            }
            _ => {}
        }
    }
    if !thoughts.is_empty() {
        out.reasoning = Some(thoughts.join("\n"));
    }
    if message.stop_reason.as_deref() == Some(REFUSAL) {
        out.refusal = Some(declined(
            message.stop_details.as_deref().and_then(decode_optional),
        ));
    }
    let known = message.content.len() - strange;
    if known == 0 && strange > 0 && out.finish == FinishReason::Stop {
        return Err("it has no block of a kind that is known".to_owned());
    }
    if !canonical.holds {
        out.raw_blocks = Some(raw(&message.content));
    }
    Ok(out)
}

/// Checks whether blocks come in the order in which they can be rebuilt: thinking, text, tool
/// calls.
#[derive(Debug)]
pub(super) struct Order {
    rank: u8,
    holds: bool,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            rank: 0,
            holds: true,
        }
    }
}

impl Order {
    /// Whether all blocks so far came in that order.
    pub(super) fn holds(&self) -> bool {
        self.holds
    }

    pub(super) fn saw(&mut self, kind: &str) {
        let rank = match kind {
            "thinking" | "redacted_thinking" => 1,
            "text" => 2,
            "tool_use" => 3,
            _ => {
                self.holds = false;
                return;
            }
        };
        self.holds &= rank >= self.rank;
        self.rank = rank;
    }
}

/// The refusal text for the client.
pub(super) fn declined(details: Option<StopDetails>) -> String {
    details
        .and_then(|details| details.explanation)
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| DECLINED.to_owned())
}

pub(super) fn redacted(data: String, index: u64) -> ReasoningDetail {
    ReasoningDetail {
        kind: "reasoning.encrypted".to_owned(),
        text: None,
        signature: None,
        data: Some(data),
        format: Some(reasoning_format::ANTHROPIC.to_owned()),
        id: None,
        index,
    }
}

/// A web citation in Chat Completions shape. Positions count code points of the whole text.
pub(super) fn annotation(citation: &Citation, start: usize, end: usize) -> Option<Box<RawValue>> {
    let url = citation.url.as_ref()?;
    Some(raw(&json!({
        "type": "url_citation",
        "url_citation": {
            "url": url,
            "title": citation.title.as_deref().unwrap_or_default(),
            "start_index": start,
            "end_index": end,
        },
    })))
}

/// Maps `stop_reason` to a finish reason. The second value is the provider's own reason, if it says
/// more. An unknown reason must not look like a complete response.
pub(super) fn finish(reason: Option<&str>) -> (FinishReason, Option<String>) {
    match reason {
        Some("end_turn" | "stop_sequence") => (FinishReason::Stop, None),
        Some("tool_use") => (FinishReason::ToolCalls, None),
        Some("max_tokens") => (FinishReason::Length, None),
        // The response was interrupted and can be continued.
        Some(other @ ("model_context_window_exceeded" | "pause_turn" | "compaction")) => {
            (FinishReason::Length, Some(other.to_owned()))
        }
        Some(REFUSAL) => (FinishReason::ContentFilter, None),
        other => (FinishReason::ContentFilter, other.map(str::to_owned)),
    }
}

/// The `stop_reason` of a refusal.
pub(super) const REFUSAL: &str = "refusal";

/// Converts token usage to OpenAI's way of counting. The provider's totals leave out compaction
/// passes, so these are added.
pub(super) fn usage(wire: &WireUsage) -> Usage {
    let compacted = || {
        let passes = wire.iterations.iter().flatten();
        passes.filter(|pass| pass.kind.as_deref() == Some("compaction"))
    };
    let sum = |top: Option<u64>, of: fn(&Iteration) -> Option<u64>| {
        compacted()
            .filter_map(of)
            .fold(top.unwrap_or(0), u64::saturating_add)
    };
    let input = sum(wire.input_tokens, |pass| pass.input_tokens);
    let cached = sum(wire.cache_read_input_tokens, |pass| {
        pass.cache_read_input_tokens
    });
    let cache_write = sum(wire.cache_creation_input_tokens, |pass| {
        pass.cache_creation_input_tokens
    });
    Usage {
        prompt: input.saturating_add(cached).saturating_add(cache_write),
        completion: sum(wire.output_tokens, |pass| pass.output_tokens),
        cached,
        cache_write,
        reasoning: wire
            .output_tokens_details
            .as_ref()
            .and_then(|details| details.thinking_tokens)
            .unwrap_or(0),
    }
}

fn tier(name: Option<&str>) -> Option<String> {
    match name {
        Some("standard") => Some("default".to_owned()),
        Some("priority") => Some("priority".to_owned()),
        _ => None,
    }
}

/// Removes the white space between the tokens of a JSON text. Order and numbers stay as written.
pub(super) fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_string = false;
    let mut escaped = false;
    for c in text.chars() {
        if in_string {
            out.push(c);
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => in_string = false,
                _ => {}
            }
        } else if !c.is_ascii_whitespace() {
            in_string = c == '"';
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(value: serde_json::Value) -> (u64, u64, u64, u64, u64) {
        let wire: WireUsage = serde_json::from_value(value).unwrap();
        let u = usage(&wire);
        (u.prompt, u.completion, u.total(), u.cached, u.cache_write)
    }

    /// Trap E13.
    #[test]
    fn cache_tokens_belong_to_the_prompt() {
        assert_eq!(
            counted(
                json!({"input_tokens": 21, "cache_creation_input_tokens": 188_086,
                "cache_read_input_tokens": 0, "output_tokens": 393})
            ),
            (188_107, 393, 188_500, 0, 188_086)
        );
        assert_eq!(
            counted(
                json!({"input_tokens": 10, "output_tokens": 7, "cache_read_input_tokens": null})
            ),
            (10, 7, 17, 0, 0)
        );
    }

    #[test]
    fn the_passes_of_a_compacted_answer_are_added_up() {
        assert_eq!(
            counted(
                json!({"input_tokens": 100, "output_tokens": 50, "cache_read_input_tokens": 10,
                "cache_creation_input_tokens": 5, "iterations": [
                {"type": "compaction", "input_tokens": 1000, "output_tokens": 200,
                    "cache_read_input_tokens": 7000, "cache_creation_input_tokens": 30},
                {"type": "advisor", "input_tokens": 7, "output_tokens": 7},
                {"type": "message", "input_tokens": 100, "output_tokens": 50,
                    "cache_read_input_tokens": 10, "cache_creation_input_tokens": 5}]})
            ),
            (8145, 250, 8395, 7010, 35)
        );
    }

    #[test]
    fn compacting_touches_no_string_and_no_number() {
        assert_eq!(
            compact("{ \"a b\" : [ 1.0 , \"x \\\" y\" ] ,\n\"n\":12345678901234567890 }"),
            "{\"a b\":[1.0,\"x \\\" y\"],\"n\":12345678901234567890}"
        );
    }

    #[test]
    fn an_answer_out_of_the_usual_order_keeps_its_blocks() {
        let body = json!({"id": "msg_1", "model": "m", "stop_reason": "end_turn", "content": [
            {"type": "text", "text": "a"},
            {"type": "thinking", "thinking": "b", "signature": "s"},
            {"type": "text", "text": "c"}
        ]});
        let read = answer(body.to_string().as_bytes()).unwrap();
        assert_eq!(read.text.as_deref(), Some("ac"));
        assert!(read.raw_blocks.is_some());
    }

    #[test]
    fn a_refusal_says_why() {
        let body = json!({"id": "msg_1", "content": [], "stop_reason": "refusal",
            "stop_details": {"type": "refusal", "explanation": "Declined."}});
        let read = answer(body.to_string().as_bytes()).unwrap();
        assert_eq!(read.finish, FinishReason::ContentFilter);
        assert_eq!(read.refusal.as_deref(), Some("Declined."));
        assert_eq!(read.text, None);
    }

    #[test]
    fn an_unknown_end_does_not_look_like_a_complete_answer() {
        for (reason, out) in [
            (json!("end_turn"), Some(FinishReason::Stop)),
            (json!("pause_turn"), Some(FinishReason::Length)),
            (json!("compaction"), Some(FinishReason::Length)),
            (json!("something_new"), Some(FinishReason::ContentFilter)),
            (json!(null), None),
        ] {
            let body = json!({"id": "m", "stop_reason": reason, "content": [{"type": "text", "text": "a"}]});
            let read = answer(body.to_string().as_bytes());
            assert_eq!(read.as_ref().ok().map(|read| read.finish), out, "{reason}");
            assert!(read.is_err() || read.unwrap().refusal.is_none(), "{reason}");
        }
    }
}
