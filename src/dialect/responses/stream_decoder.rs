//! Decodes a provider's Responses events into hub events, with one state machine per stream. Pure.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::decode_response::{
    Item, Lenient, NOTHING_KNOWN, WireResponse, finish, nested_annotation, seconds, unfinished,
};
use super::items::is_of_hosted_tool;
use crate::codec::sse;
use crate::dialect::common::error_body::read_error;
use crate::dialect::common::provider_error::position_of;
use crate::dialect::hub::{Event, FinishReason, Usage};
use crate::dialect::traits::StreamDecoder;
use crate::error::Error;

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    output_index: Option<u64>,
    #[serde(default)]
    summary_index: Option<u64>,
    #[serde(default)]
    delta: Lenient<String>,
    #[serde(default)]
    arguments: Lenient<String>,
    #[serde(default)]
    text: Lenient<String>,
    #[serde(default)]
    refusal: Lenient<String>,
    #[serde(default)]
    item: Lenient<Item>,
    #[serde(default)]
    annotation: Option<Box<RawValue>>,
    #[serde(default)]
    response: Option<WireResponse>,
}

/// A tool call of the stream.
#[derive(Default)]
struct Call {
    index: usize,
    /// Whether any of its arguments were emitted.
    told: bool,
    ended: bool,
}

/// Decodes the events of one stream.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a thing that was seen or was not, in any order"
)]
pub(super) struct ResponsesStreamDecoder {
    provider: &'static str,
    started: bool,
    ended: bool,
    calls: HashMap<u64, Call>,
    /// Positions of items of which something was emitted. All other items are emitted when they are
    /// complete.
    told: HashSet<u64>,
    /// Positions of reasoning items that are complete.
    sealed: HashSet<u64>,
    /// Positions of items, by id.
    index_by_id: HashMap<String, u64>,
    /// Whether there was a message (`said`), and an item of an unknown type (`saw_unknown_item`).
    said: bool,
    saw_unknown_item: bool,
    /// Size of the item ids, in bytes.
    named: usize,
}

impl ResponsesStreamDecoder {
    /// `provider` is used in error messages.
    pub(super) fn new(provider: &'static str) -> Self {
        Self {
            provider,
            started: false,
            ended: false,
            calls: HashMap::new(),
            told: HashSet::new(),
            sealed: HashSet::new(),
            index_by_id: HashMap::new(),
            said: false,
            saw_unknown_item: false,
            named: 0,
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

    fn open(&mut self, at: u64, item: &Item, out: &mut Vec<Event>) {
        if self.calls.contains_key(&at) {
            return;
        }
        let (Some(id), Some(name)) = (item.call_id.clone(), item.name.clone()) else {
            return self.broken("a call in it has no id or no name", out);
        };
        let index = self.calls.len();
        self.calls.insert(
            at,
            Call {
                index,
                ..Call::default()
            },
        );
        out.push(Event::ToolCall {
            index,
            id,
            name,
            extra: None,
        });
    }

    /// Handles the complete arguments of a call, which are emitted unless they came in fragments.
    fn whole(&mut self, at: u64, arguments: Option<String>, out: &mut Vec<Event>) {
        let Some(call) = self.calls.get_mut(&at).filter(|call| !call.told) else {
            return;
        };
        if let Some(fragment) = arguments.filter(|text| !text.is_empty()) {
            call.told = true;
            out.push(Event::Arguments {
                index: call.index,
                fragment,
            });
        }
    }

    fn close(&mut self, at: u64, out: &mut Vec<Event>) {
        let Some(call) = self.calls.get_mut(&at).filter(|call| !call.ended) else {
            return;
        };
        call.ended = true;
        let index = call.index;
        if !std::mem::replace(&mut call.told, true) {
            let fragment = "{}".to_owned();
            out.push(Event::Arguments { index, fragment });
        }
        out.push(Event::ToolCallEnd { index });
    }

    /// Handles a complete item. Emits what was not emitted yet.
    fn item(&mut self, at: u64, mut item: Item, out: &mut Vec<Event>) {
        match item.kind.as_str() {
            "function_call" => {
                self.open(at, &item, out);
                self.whole(at, item.arguments.take(), out);
                self.close(at, out);
            }
            "message" if self.told.insert(at) => {
                self.said = true;
                let (text, refusal) = item.said();
                out.extend(text.map(Event::Text));
                out.extend(refusal.map(Event::Refusal));
            }
            "reasoning" if self.sealed.insert(at) => {
                if self.told.insert(at) {
                    let text = item.thought();
                    out.extend((!text.is_empty()).then_some(Event::Reasoning(text)));
                }
                out.extend(item.detail(at).map(Event::ReasoningDetail));
            }
            "message" | "reasoning" => {}
            hosted if is_of_hosted_tool(hosted) => {}
            _ => self.saw_unknown_item = true,
        }
    }

    fn complete(&mut self, mut response: WireResponse, out: &mut Vec<Event>) {
        let output = std::mem::take(&mut response.output);
        // An item is matched by its id, or by its position if all items are listed, because some
        // providers change the ids. Any other item is new.
        let taken: HashSet<u64> = self.index_by_id.values().copied().collect();
        let whole = taken.len() == output.len();
        for (place, item) in (0_u64..).zip(output) {
            let Some(item) = item.0 else {
                continue;
            };
            let known = item
                .id
                .as_ref()
                .and_then(|id| self.index_by_id.get(id))
                .copied();
            let at = known.or_else(|| (whole || !taken.contains(&place)).then_some(place));
            self.item(at.unwrap_or(u64::MAX - place), item, out);
        }
        if self.ended {
            return;
        }
        self.ended = true;
        let (reason, native) = finish(&response, !self.calls.is_empty());
        if self.saw_unknown_item && !self.said && reason == FinishReason::Stop {
            return self.broken(NOTHING_KNOWN, out);
        }
        // A call that was cut off has no end event.
        let mut open: Vec<u64> = self
            .calls
            .iter()
            .filter(|(_, call)| !call.ended)
            .map(|(at, _)| *at)
            .collect();
        open.sort_unstable();
        for at in open {
            self.close(at, out);
        }
        out.push(Event::Finish { reason, native });
        out.extend(response.usage.map(|usage| Event::Usage(Usage::from(usage))));
        out.push(Event::End);
    }

    fn event(&mut self, wire: Wire, data: &str, out: &mut Vec<Event>) {
        let at = wire.output_index.unwrap_or(0);
        if let (Some(at), Some(item)) = (wire.output_index, &wire.item.0)
            && let Some(id) = &item.id
            && self.index_by_id.insert(id.clone(), at).is_none()
        {
            self.named += id.len();
        }
        let delta = wire.delta.0.filter(|delta| !delta.is_empty());
        match wire.kind.as_str() {
            "response.output_text.delta" => {
                self.said = true;
                self.told.insert(at);
                out.extend(delta.map(Event::Text));
            }
            "response.refusal.delta" => {
                self.said = true;
                self.told.insert(at);
                out.extend(delta.map(Event::Refusal));
            }
            "response.output_text.done" if !self.told.contains(&at) => {
                self.said = true;
                self.told.insert(at);
                let text = wire.text.0.filter(|text| !text.is_empty());
                out.extend(text.map(Event::Text));
            }
            "response.refusal.done" if !self.told.contains(&at) => {
                self.said = true;
                self.told.insert(at);
                out.extend(wire.refusal.0.map(Event::Refusal));
            }
            "response.reasoning_summary_part.added" if wire.summary_index > Some(0) => {
                out.push(Event::Reasoning("\n\n".to_owned()));
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.told.insert(at);
                out.extend(delta.map(Event::Reasoning));
            }
            "response.output_text.annotation.added" => {
                let nested = wire.annotation.and_then(|flat| nested_annotation(&flat));
                out.extend(nested.map(|nested| Event::Annotations(vec![nested])));
            }
            "response.output_item.added" => {
                if let Some(item) = wire.item.0.filter(|item| item.kind == "function_call") {
                    self.open(at, &item, out);
                }
            }
            "response.function_call_arguments.delta" => {
                let Some(call) = self.calls.get_mut(&at) else {
                    return self.broken("it goes on with a call that it did not begin", out);
                };
                if let Some(fragment) = delta {
                    call.told = true;
                    let index = call.index;
                    out.push(Event::Arguments { index, fragment });
                }
            }
            "response.function_call_arguments.done" => self.whole(at, wire.arguments.0, out),
            "response.output_item.done" => {
                if let Some(item) = wire.item.0 {
                    self.item(at, item, out);
                }
            }
            "response.completed" | "response.incomplete" => match wire.response {
                Some(mut response) => {
                    if wire.kind == "response.incomplete" && response.status.is_none() {
                        response.status = Some("incomplete".to_owned());
                    }
                    match unfinished(&response) {
                        Some(reason) => self.broken(reason, out),
                        None => self.complete(response, out),
                    }
                }
                None => self.broken("its last event has no response", out),
            },
            "response.failed" => {
                let error = wire.response.and_then(|response| response.error);
                let text = error.as_ref().map_or(data, |error| error.get());
                let error = read_error(200, format!("{{\"error\":{text}}}").as_bytes());
                self.fail(Error::Provider(Box::new(error)), out);
            }
            "error" => {
                let error = read_error(200, data.as_bytes());
                self.fail(Error::Provider(Box::new(error)), out);
            }
            _ => {}
        }
    }
}

impl StreamDecoder for ResponsesStreamDecoder {
    fn held(&self) -> usize {
        let entries =
            self.calls.len() + self.told.len() + self.sealed.len() + self.index_by_id.len();
        self.named + 64 * entries
    }

    fn push(&mut self, event: &sse::Event<'_>, out: &mut Vec<Event>) {
        let data = event.data.trim();
        if self.ended || data.is_empty() || data == "[DONE]" {
            return;
        }
        let mut wire: Wire = match serde_json::from_str(data) {
            Ok(wire) => wire,
            Err(error) => {
                let reason = format!(
                    "an event of its stream is no event ({})",
                    position_of(&error)
                );
                return self.broken(&reason, out);
            }
        };
        if !self.started
            && let Some(response) = &mut wire.response
        {
            self.started = true;
            out.push(Event::Start {
                id: response.id.take(),
                model: response.model.take(),
                created: response.created_at.and_then(seconds),
            });
        }
        self.event(wire, data, out);
    }

    fn finish(&mut self, out: &mut Vec<Event>) {
        if !self.ended {
            self.fail(Error::Truncated, out);
        }
    }
}
