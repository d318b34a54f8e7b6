//! Adapts the hub's conversation to the structure of Chat Completions. Pure.

use std::borrow::Cow;

use crate::codec::json::{self, Raw, raw};
use crate::dialect::hub::{Message, Part, Role};

/// The field with reasoning that clients send back.
pub(super) const DETAILS: &str = "reasoning_details";

/// Merges consecutive assistant messages, because tool results must directly follow their calls.
pub(super) fn joined(messages: Vec<Message<'_>>) -> Vec<Message<'_>> {
    let mut out: Vec<Message<'_>> = Vec::with_capacity(messages.len());
    // The merged reasoning details of the last message, if several messages were merged into it.
    let mut details: Option<Vec<Raw<'_>>> = None;
    for mut message in messages {
        match out.last_mut() {
            Some(last) if last.role == Role::Assistant && message.role == Role::Assistant => {
                let all = details.get_or_insert_with(|| take_details(last));
                all.append(&mut take_details(&mut message));
                absorb(last, message);
            }
            _ => {
                settle(out.last_mut(), details.take());
                out.push(message);
            }
        }
    }
    settle(out.last_mut(), details.take());
    out
}

fn settle<'a>(last: Option<&mut Message<'a>>, details: Option<Vec<Raw<'a>>>) {
    if let (Some(last), Some(details)) = (last, details)
        && !details.is_empty()
    {
        last.other.push(DETAILS, Cow::Owned(raw(&details)));
    }
}

fn take_details<'a>(message: &mut Message<'a>) -> Vec<Raw<'a>> {
    let list = message.other.take(DETAILS);
    list.and_then(|list| json::array(&list, &DETAILS).ok())
        .unwrap_or_default()
}

fn absorb<'a>(last: &mut Message<'a>, mut next: Message<'a>) {
    append(&mut last.reasoning, next.reasoning.take());
    append(&mut last.refusal, next.refusal.take());
    match (last.content.as_mut_slice(), next.content.as_mut_slice()) {
        (_, []) => {}
        ([Part::Text { text, .. }], [Part::Text { text: more, .. }])
            if last.plain && next.plain =>
        {
            let text = text.to_mut();
            text.push_str("\n\n");
            text.push_str(more);
        }
        ([], _) => {
            last.content = next.content;
            last.plain = next.plain;
        }
        _ => {
            last.content.append(&mut next.content);
            last.plain = false;
        }
    }
    last.tool_calls.append(&mut next.tool_calls);
    last.name = last.name.take().or(next.name);
    last.other.fields.append(&mut next.other.fields);
}

fn append<'a>(to: &mut Option<Cow<'a, str>>, more: Option<Cow<'a, str>>) {
    match (to.as_mut(), more) {
        (Some(to), Some(more)) => {
            let to = to.to_mut();
            to.push_str("\n\n");
            to.push_str(&more);
        }
        (None, more) => *to = more,
        (Some(_), None) => {}
    }
}
