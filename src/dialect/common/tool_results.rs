//! Brings tool results into the current form of Chat Completions: named by call id, and text only.
//! Pure.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use crate::dialect::hub::{Message, Part, Request, Role};

/// The tool calls of a turn that have no result yet.
#[derive(Default)]
struct UnansweredCalls {
    /// Call ids in the order of the calls; `None` once a call has its result.
    ids: Vec<Option<String>>,
    /// Positions in `ids`, by function name and by call id.
    by_name: HashMap<String, VecDeque<usize>>,
    by_id: HashMap<String, VecDeque<usize>>,
}

impl UnansweredCalls {
    fn of(message: &Message<'_>) -> Self {
        let mut out = Self::default();
        for (i, call) in message.tool_calls.iter().enumerate() {
            out.ids.push(Some(call.id.to_string()));
            out.by_name
                .entry(call.name.to_string())
                .or_default()
                .push_back(i);
            out.by_id
                .entry(call.id.to_string())
                .or_default()
                .push_back(i);
        }
        out
    }

    /// Marks the first unanswered call with this id as answered.
    fn answer(&mut self, id: &str) {
        let at = self.by_id.get_mut(id).and_then(VecDeque::pop_front);
        if let Some(slot) = at.and_then(|at| self.ids.get_mut(at)) {
            *slot = None;
        }
    }

    /// Takes the id of the first unanswered call of this function. If there is none, the latest
    /// unanswered call is taken.
    fn take(&mut self, name: &str) -> Option<String> {
        let Self { ids, by_name, .. } = self;
        if let Some(places) = by_name.get_mut(name) {
            while let Some(at) = places.pop_front() {
                if let Some(id) = ids.get_mut(at).and_then(Option::take) {
                    return Some(id);
                }
            }
        }
        while let Some(last) = ids.pop() {
            if last.is_some() {
                return last;
            }
        }
        None
    }
}

/// Converts results in OpenAI's older format, which name a function, to results of a call id. A
/// result without a matching call is left unchanged.
pub(in crate::dialect) fn results_of_calls(messages: &mut [Message<'_>]) {
    let mut waiting = UnansweredCalls::default();
    for message in messages {
        match message.role {
            Role::Assistant if !message.tool_calls.is_empty() => {
                waiting = UnansweredCalls::of(message);
            }
            Role::Tool => {
                if let Some(id) = &message.tool_call_id {
                    waiting.answer(id);
                }
            }
            Role::Function => {
                let name = message.name.as_deref().unwrap_or_default();
                if let Some(id) = waiting.take(name) {
                    message.role = Role::Tool;
                    message.name = None;
                    message.tool_call_id = Some(Cow::Owned(id));
                }
            }
            Role::System | Role::Developer | Role::User | Role::Assistant => {}
        }
    }
}

/// Moves images, files and other non-text parts of tool results into a user message after the
/// results of the turn, because a Chat Completions tool result holds text only.
pub(in crate::dialect) fn text_only<'a>(request: &mut Request<'a>) {
    if !request.messages.iter().any(has_more) {
        return;
    }
    let mut out: Vec<Message<'a>> = Vec::with_capacity(request.messages.len() + 1);
    let mut attached: Option<Message<'a>> = None;
    for mut message in std::mem::take(&mut request.messages) {
        if message.role != Role::Tool {
            out.extend(attached.take());
        }
        if has_more(&message) {
            let (more, texts): (Vec<_>, Vec<_>) = std::mem::take(&mut message.content)
                .into_iter()
                .partition(is_more);
            let id = message.tool_call_id.as_deref().unwrap_or_default();
            let behind = attached.get_or_insert_with(|| Message::new(message.at, Role::User));
            let whose = format!("Attached to the result of the call {id}:");
            behind.content.push(Part::text(whose));
            behind.content.extend(more);
            message.content = texts;
            message.plain |= matches!(message.content.as_slice(), [Part::Text { other, .. }] if other.fields.is_empty());
            if message.content.is_empty() {
                // An empty result would mean that the call returned nothing.
                message.plain = true;
                message.content = vec![Part::text("The result is in the next message.")];
            }
            let of_items = message.at.0 == "input";
            let name = if of_items {
                "input.output"
            } else {
                "messages.content"
            };
            request.changed.push(name.to_owned());
        }
        out.push(message);
    }
    out.extend(attached);
    request.messages = out;
}

fn has_more(message: &Message<'_>) -> bool {
    message.role == Role::Tool && message.content.iter().any(is_more)
}

fn is_more(part: &Part<'_>) -> bool {
    match part {
        Part::Text { .. } | Part::Refusal { .. } => false,
        Part::Image { .. } | Part::File { .. } | Part::Other { .. } => true,
    }
}
