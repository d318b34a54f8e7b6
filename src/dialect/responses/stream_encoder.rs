//! Encodes hub events as Responses events, with one state machine per stream. Pure.

use serde::Serialize;
use serde_json::value::RawValue;

use super::client::ResponsesClient;
use super::encode_response::{
    Ids, State, call_detail, call_item, error_fields, failure_code, flat_annotation, outcome,
    plain_detail, response, seal,
};
use super::wire::{Failure, Item, Part};
use crate::codec::json::fields;
use crate::codec::sse;
use crate::dialect::common::fence::Fence;
use crate::dialect::hub::{Event, FinishReason, ReasoningDetail, Usage};
use crate::dialect::traits::StreamEncoder;
use crate::error::Error;

/// How often the closing events repeat the text: for the text itself, its part, its item and the
/// response.
const REPEATS: usize = 4;

/// Text deltas have this field even if the client did not ask for log probabilities.
const NO_LOGPROBS: [(); 0] = [];

/// An output item of the stream.
struct Slot {
    item: Item,
    open: bool,
}

/// Encodes the events of one stream.
pub(super) struct ResponsesStreamEncoder {
    client: ResponsesClient,
    ids: Ids,
    id: String,
    model: String,
    created: u64,
    sequence: u64,
    started: bool,
    ended: bool,
    slots: Vec<Slot>,
    /// Positions in `slots` of the open message (`open_message`) and the open reasoning item
    /// (`open_reasoning`).
    open_message: Option<usize>,
    open_reasoning: Option<usize>,
    /// Size of what is kept of the stream, in bytes.
    held: usize,
    /// Set if the client asked for `json_object`, because the provider may only have been asked for
    /// JSON in the prompt.
    fence: Option<Fence>,
    /// Positions of the calls in `slots`, by the hub's index of the call.
    calls: Vec<usize>,
    /// Reasoning details of the open reasoning item.
    details: Vec<ReasoningDetail>,
    /// Readable reasoning of that item. It is sealed too, unless `details` contain text.
    thought: String,
    /// A call whose arguments are complete. It is closed at the next event, because only a finish
    /// reason says whether it was cut off.
    ending: Option<usize>,
    finish: Option<FinishReason>,
    refused: bool,
    usage: Option<Usage>,
}

impl ResponsesStreamEncoder {
    pub(super) fn new(client: ResponsesClient) -> Self {
        Self {
            ids: Ids::default(),
            id: client.stamp.id(&format!("resp_{}_", client.provider), 1),
            model: client.model.clone(),
            created: client.stamp.created,
            fence: client.json_object.then(Fence::default),
            client,
            sequence: 0,
            started: false,
            ended: false,
            slots: Vec::new(),
            open_message: None,
            open_reasoning: None,
            held: 0,
            calls: Vec::new(),
            details: Vec::new(),
            thought: String::new(),
            ending: None,
            finish: None,
            refused: false,
            usage: None,
        }
    }

    fn emit(&mut self, kind: &str, fields: &impl Serialize, out: &mut Vec<u8>) {
        #[derive(Serialize)]
        struct Wire<'a, F> {
            #[serde(rename = "type")]
            kind: &'a str,
            sequence_number: u64,
            #[serde(flatten)]
            fields: &'a F,
        }
        let wire = Wire {
            kind,
            sequence_number: self.sequence,
            fields,
        };
        self.sequence += 1;
        sse::write_value(out, Some(kind), &wire);
    }

    fn whole(
        &mut self,
        kind: &str,
        status: &'static str,
        error: Option<&Error>,
        out: &mut Vec<u8>,
    ) {
        let done: Vec<&Item> = self
            .slots
            .iter()
            .filter(|slot| !slot.open)
            .map(|slot| &slot.item)
            .collect();
        let message = error.map(ToString::to_string);
        let finished = !matches!(status, "in_progress" | "failed");
        let incomplete = self
            .finish
            .and_then(|finish| outcome(finish, self.refused).1)
            .filter(|_| finished);
        let response = response(
            &self.client,
            State {
                id: &self.id,
                model: &self.model,
                created: self.created,
                status,
                error: error
                    .zip(message.as_deref())
                    .map(|(error, message)| Failure {
                        code: failure_code(error),
                        message,
                    }),
                incomplete,
                output: &done,
                usage: self.usage.filter(|_| finished),
                service_tier: None,
                finished,
            },
        );
        self.emit(kind, &fields!({"response": response}), out);
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !self.started {
            self.started = true;
            self.whole("response.created", "in_progress", None, out);
            self.whole("response.in_progress", "in_progress", None, out);
        }
    }

    fn open(&mut self, item: Item, out: &mut Vec<u8>) -> usize {
        self.start(out);
        let index = self.slots.len();
        let fields = fields!({"output_index": index, "item": item});
        self.emit("response.output_item.added", &fields, out);
        match &item {
            Item::Message { .. } => self.open_message = Some(index),
            Item::Reasoning { .. } => self.open_reasoning = Some(index),
            Item::FunctionCall { .. } | Item::CustomToolCall { .. } => {}
        }
        self.held += size_of::<Slot>() + item.id().len();
        self.slots.push(Slot { item, open: true });
        index
    }

    fn close_message(&mut self, out: &mut Vec<u8>) {
        if let Some(index) = self.open_message {
            self.close(index, "completed", out);
        }
    }

    fn close_reasoning(&mut self, out: &mut Vec<u8>) {
        if let Some(index) = self.open_reasoning {
            self.close(index, "completed", out);
        }
    }

    fn close(&mut self, index: usize, status: &'static str, out: &mut Vec<u8>) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        if self.open_message == Some(index) {
            self.open_message = None;
        }
        if self.open_reasoning == Some(index) {
            self.open_reasoning = None;
        }
        slot.open = false;
        slot.item.set_status(status);
        if let Item::CustomToolCall { arguments, .. } = &mut slot.item {
            let whole = std::mem::take(arguments);
            slot.item.set_arguments(whole);
        }
        let mut item = slot.item.clone();
        let id = item.id().to_owned();
        match &mut item {
            Item::Message { content, .. } => {
                if let Some(at) = content.len().checked_sub(1) {
                    self.close_part(&id, index, at, content.get(at), out);
                }
            }
            Item::FunctionCall {
                name, arguments, ..
            } => {
                let fields = fields!({
                    "item_id": id, "output_index": index, "name": name, "arguments": arguments,
                });
                self.emit("response.function_call_arguments.done", &fields, out);
            }
            Item::CustomToolCall { input, .. } => {
                let delta = fields!({"item_id": id, "output_index": index, "delta": input});
                self.emit("response.custom_tool_call_input.delta", &delta, out);
                let done = fields!({"item_id": id, "output_index": index, "input": input});
                self.emit("response.custom_tool_call_input.done", &done, out);
            }
            Item::Reasoning {
                summary,
                encrypted_content,
                ..
            } => {
                if let Some(Part::SummaryText { text }) = summary.first() {
                    let fields = fields!({
                        "item_id": id, "output_index": index, "summary_index": 0, "text": text,
                    });
                    self.emit("response.reasoning_summary_text.done", &fields, out);
                    let fields = fields!({
                        "item_id": id, "output_index": index, "summary_index": 0,
                        "part": summary.first(),
                    });
                    self.emit("response.reasoning_summary_part.done", &fields, out);
                }
                let mut details = std::mem::take(&mut self.details);
                let thought = std::mem::take(&mut self.thought);
                let has_text = details.iter().any(|detail| detail.kind == "reasoning.text");
                if !thought.is_empty() && !has_text {
                    details.insert(0, plain_detail(thought));
                }
                if self.client.encrypted && !details.is_empty() {
                    *encrypted_content = Some(seal(&details));
                }
                if let Some(slot) = self.slots.get_mut(index) {
                    slot.item = item.clone();
                }
            }
        }
        let fields = fields!({"output_index": index, "item": item});
        self.emit("response.output_item.done", &fields, out);
    }

    fn close_part(
        &mut self,
        id: &str,
        index: usize,
        at: usize,
        part: Option<&Part>,
        out: &mut Vec<u8>,
    ) {
        match part {
            Some(Part::OutputText { text, logprobs, .. }) => {
                let fields = fields!({
                    "item_id": id, "output_index": index, "content_index": at,
                    "text": text, "logprobs": logprobs,
                });
                self.emit("response.output_text.done", &fields, out);
            }
            Some(Part::Refusal { refusal }) => {
                let fields = fields!({
                    "item_id": id, "output_index": index, "content_index": at, "refusal": refusal,
                });
                self.emit("response.refusal.done", &fields, out);
            }
            Some(Part::SummaryText { .. }) | None => return,
        }
        let fields = fields!({
            "item_id": id, "output_index": index, "content_index": at, "part": part,
        });
        self.emit("response.content_part.done", &fields, out);
    }

    /// Returns the positions of the open message and of its last part. Starts a message or a part
    /// if the open one is not of the kind of `part`.
    fn message_part(&mut self, part: Part, out: &mut Vec<u8>) -> (usize, usize) {
        self.close_reasoning(out);
        let index = match self.open_message {
            Some(index) => index,
            None => {
                let id = self.ids.next(&self.client, "msg_");
                let item = Item::Message {
                    id,
                    status: "in_progress",
                    role: "assistant",
                    content: Vec::new(),
                };
                self.open(item, out)
            }
        };
        let Some(Item::Message { id, content, .. }) = self.slots.get(index).map(|slot| &slot.item)
        else {
            return (index, 0);
        };
        let count = content.len();
        let kind = std::mem::discriminant(&part);
        let last = content.last();
        if last.is_some_and(|last| std::mem::discriminant(last) == kind) {
            return (index, count.saturating_sub(1));
        }
        let (id, last) = (id.clone(), last.cloned());
        if count > 0 {
            self.close_part(&id, index, count - 1, last.as_ref(), out);
        }
        let fields = fields!({
            "item_id": id, "output_index": index, "content_index": count, "part": part,
        });
        self.emit("response.content_part.added", &fields, out);
        if let Some(Slot {
            item: Item::Message { content, .. },
            ..
        }) = self.slots.get_mut(index)
        {
            content.push(part);
        }
        (index, count)
    }

    /// Writes a text delta, the most frequent event, without an intermediate object.
    fn text_delta(&mut self, index: usize, at: usize, delta: &str, out: &mut Vec<u8>) {
        #[derive(Serialize)]
        struct TextDelta<'a> {
            #[serde(rename = "type")]
            kind: &'static str,
            sequence_number: u64,
            item_id: &'a str,
            output_index: usize,
            content_index: usize,
            delta: &'a str,
            logprobs: [(); 0],
        }
        const KIND: &str = "response.output_text.delta";
        let event = TextDelta {
            kind: KIND,
            sequence_number: self.sequence,
            item_id: self.slots.get(index).map_or("", |slot| slot.item.id()),
            output_index: index,
            content_index: at,
            delta,
            logprobs: NO_LOGPROBS,
        };
        sse::write_value(out, Some(KIND), &event);
        self.sequence += 1;
    }

    fn item_id(&self, index: usize) -> String {
        self.slots
            .get(index)
            .map(|slot| slot.item.id().to_owned())
            .unwrap_or_default()
    }

    fn text(&mut self, fragment: &str, out: &mut Vec<u8>) {
        let (index, at) = self.message_part(empty_text(), out);
        self.text_delta(index, at, fragment, out);
        if let Some(Part::OutputText { text, .. }) = self.part_mut(index, at) {
            text.push_str(fragment);
            self.held += fragment.len();
        }
    }

    fn refusal(&mut self, fragment: &str, out: &mut Vec<u8>) {
        self.refused = true;
        let part = Part::Refusal {
            refusal: String::new(),
        };
        let (index, at) = self.message_part(part, out);
        let fields = fields!({
            "item_id": self.item_id(index), "output_index": index, "content_index": at,
            "delta": fragment,
        });
        self.emit("response.refusal.delta", &fields, out);
        if let Some(Part::Refusal { refusal }) = self.part_mut(index, at) {
            refusal.push_str(fragment);
            self.held += fragment.len();
        }
    }

    fn part_mut(&mut self, index: usize, at: usize) -> Option<&mut Part> {
        match &mut self.slots.get_mut(index)?.item {
            Item::Message { content, .. } => content.get_mut(at),
            Item::Reasoning { summary, .. } => summary.get_mut(at),
            Item::FunctionCall { .. } | Item::CustomToolCall { .. } => None,
        }
    }

    fn annotations(&mut self, list: &[Box<RawValue>], out: &mut Vec<u8>) {
        let (index, at) = self.message_part(empty_text(), out);
        let id = self.item_id(index);
        for nested in list {
            let Some(flat) = flat_annotation(nested) else {
                continue;
            };
            let Some(Part::OutputText { annotations, .. }) = self.part_mut(index, at) else {
                return;
            };
            annotations.push(flat.clone());
            let count = annotations.len();
            self.held += flat.get().len();
            let fields = fields!({
                "item_id": id, "output_index": index, "content_index": at,
                "annotation_index": count - 1, "annotation": flat,
            });
            self.emit("response.output_text.annotation.added", &fields, out);
        }
    }

    fn reasoning(&mut self, fragment: Option<&str>, out: &mut Vec<u8>) {
        let index = match self.open_reasoning {
            Some(index) => index,
            None => {
                self.close_message(out);
                let id = self.ids.next(&self.client, "rs_");
                let item = Item::Reasoning {
                    id,
                    summary: Vec::new(),
                    encrypted_content: None,
                };
                self.open(item, out)
            }
        };
        let Some(fragment) = fragment.filter(|_| self.client.summary) else {
            return;
        };
        let id = self.item_id(index);
        if self.part_mut(index, 0).is_none() {
            let part = Part::SummaryText {
                text: String::new(),
            };
            let fields = fields!({
                "item_id": id, "output_index": index, "summary_index": 0, "part": part,
            });
            self.emit("response.reasoning_summary_part.added", &fields, out);
            if let Some(Slot {
                item: Item::Reasoning { summary, .. },
                ..
            }) = self.slots.get_mut(index)
            {
                summary.push(part);
            }
        }
        let fields = fields!({
            "item_id": id, "output_index": index, "summary_index": 0, "delta": fragment,
        });
        self.emit("response.reasoning_summary_text.delta", &fields, out);
        if let Some(Part::SummaryText { text }) = self.part_mut(index, 0) {
            text.push_str(fragment);
            self.held += fragment.len();
        }
    }

    fn detail(&mut self, detail: ReasoningDetail, out: &mut Vec<u8>) {
        self.reasoning(detail.text.as_deref().filter(|text| !text.is_empty()), out);
        self.held += detail.size();
        ReasoningDetail::join(&mut self.details, detail);
    }

    fn call(&mut self, id: String, name: &str, extra: Option<&RawValue>, out: &mut Vec<u8>) {
        if let Some(extra) = extra.filter(|_| self.client.encrypted) {
            // The `extra_content` of a call is sealed into a reasoning item before the call.
            self.reasoning(None, out);
            self.details.push(call_detail(&id, extra));
        }
        self.close_reasoning(out);
        self.close_message(out);
        let item = call_item(&self.client, &mut self.ids, id, name, "in_progress");
        self.held += name.len();
        let index = self.open(item, out);
        self.calls.push(index);
    }

    fn arguments(&mut self, call: usize, fragment: &str, out: &mut Vec<u8>) {
        let Some(&index) = self.calls.get(call) else {
            return;
        };
        self.held += fragment.len();
        match self.slots.get_mut(index).map(|slot| &mut slot.item) {
            Some(Item::FunctionCall { arguments, .. }) => arguments.push_str(fragment),
            // The input of a custom tool is emitted once it is complete.
            Some(Item::CustomToolCall { arguments, .. }) => {
                arguments.push_str(fragment);
                return;
            }
            _ => return,
        }
        let id = self.item_id(index);
        let fields = fields!({"item_id": id, "output_index": index, "delta": fragment});
        self.emit("response.function_call_arguments.delta", &fields, out);
    }

    fn finish(&mut self, reason: FinishReason, out: &mut Vec<u8>) {
        self.finish = Some(reason);
        self.ending = None;
        let status = outcome(reason, self.refused).0;
        let said = self.slots.iter().any(|slot| !is_reasoning(&slot.item));
        if !said {
            self.message_part(empty_text(), out);
        }
        for index in 0..self.slots.len() {
            if self.slots.get(index).is_some_and(|slot| slot.open) {
                self.close(index, status, out);
            }
        }
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        self.start(out);
        self.ended = true;
        self.emit("error", &error_fields(error), out);
        self.whole("response.failed", "failed", Some(error), out);
    }
}

/// A text part without text.
fn empty_text() -> Part {
    Part::OutputText {
        text: String::new(),
        annotations: Vec::new(),
        logprobs: Vec::new(),
    }
}

fn is_reasoning(item: &Item) -> bool {
    matches!(item, Item::Reasoning { .. })
}

impl StreamEncoder for ResponsesStreamEncoder {
    fn held(&self) -> usize {
        self.held.saturating_mul(REPEATS)
    }

    fn push(&mut self, event: Event, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        if !matches!(event, Event::Finish { .. } | Event::Ping)
            && let Some(slot) = self.ending.take()
        {
            self.close(slot, "completed", out);
        }
        match event {
            // The model was already named in the first event.
            Event::Start { .. } if self.started => {}
            Event::Start { model, created, .. } => {
                if let Some(model) = model {
                    self.model = model;
                }
                if let Some(created) = created {
                    self.created = created;
                }
                self.start(out);
            }
            Event::Text(text) => {
                let text = match &mut self.fence {
                    Some(fence) => fence.push(&text),
                    None => text,
                };
                if self.fence.is_none() || !text.is_empty() {
                    self.text(&text, out);
                }
            }
            Event::Reasoning(text) => {
                self.reasoning(Some(&text), out);
                self.held += text.len();
                self.thought.push_str(&text);
            }
            Event::ReasoningDetail(detail) => self.detail(detail, out),
            Event::Refusal(text) => self.refusal(&text, out),
            // The order is kept by the output items.
            Event::Blocks(_) => {}
            Event::Annotations(list) => self.annotations(&list, out),
            Event::ToolCall {
                id, name, extra, ..
            } => self.call(id, &name, extra.as_deref(), out),
            Event::Arguments { index, fragment } => self.arguments(index, &fragment, out),
            Event::ToolCallEnd { index } => {
                self.ending = self.calls.get(index).copied();
            }
            Event::Finish { reason, .. } => {
                let rest = self.fence.as_mut().map(Fence::finish).unwrap_or_default();
                if !rest.is_empty() {
                    self.text(&rest, out);
                }
                self.finish(reason, out);
            }
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::End => {
                self.start(out);
                self.ended = true;
                let finish = self.finish.unwrap_or(FinishReason::Stop);
                let (status, _) = outcome(finish, self.refused);
                let kind = if status == "incomplete" {
                    "response.incomplete"
                } else {
                    "response.completed"
                };
                self.whole(kind, status, None, out);
            }
            Event::Failed(error) => self.fail(&error, out),
        }
    }
}
