//! Orders a conversation as all dialects but Responses require: tool results directly after their
//! calls. Pure.

use std::collections::{HashMap, VecDeque};

use crate::dialect::common::report::TranslationReport;
use crate::dialect::hub::{Message, Role};

/// Moves tool results directly after the assistant's consecutive messages that made the calls.
/// Returns whether anything was moved.
pub(super) fn order_results(messages: Vec<Message<'_>>) -> (Vec<Message<'_>>, bool) {
    let mut results = results_by_message(&messages);
    let count = messages.len();
    let mut slots: Vec<_> = messages.into_iter().map(Some).collect();
    let mut out = Vec::with_capacity(count);
    let mut moved = false;
    let mut at = 0;
    while at < count {
        let Some(message) = slots.get_mut(at).and_then(Option::take) else {
            at += 1;
            continue;
        };
        let is_assistant = message.role == Role::Assistant;
        out.push(message);
        let mut theirs = results.remove(&at).unwrap_or_default();
        at += 1;
        while is_assistant
            && let Some(slot) = slots.get_mut(at)
            && slot
                .as_ref()
                .is_none_or(|next| next.role == Role::Assistant)
        {
            out.extend(slot.take());
            theirs.extend(results.remove(&at).unwrap_or_default());
            at += 1;
        }
        theirs.sort_unstable();
        let mut next = at;
        for result in theirs {
            moved |= result != next;
            next = result + 1;
            out.extend(slots.get_mut(result).and_then(Option::take));
        }
    }
    (out, moved)
}

/// Positions of results, by the position of the message with their call.
fn results_by_message(messages: &[Message<'_>]) -> HashMap<usize, Vec<usize>> {
    let mut waiting: HashMap<&str, VecDeque<usize>> = HashMap::new();
    let mut results: HashMap<usize, Vec<usize>> = HashMap::new();
    for (at, message) in messages.iter().enumerate() {
        for call in &message.tool_calls {
            waiting.entry(&*call.id).or_default().push_back(at);
        }
        let caller = message
            .tool_call_id
            .as_deref()
            .and_then(|id| waiting.get_mut(id)?.pop_front());
        if let Some(caller) = caller {
            results.entry(caller).or_default().push(at);
        }
    }
    results
}

/// Removes assistant messages without content, refusal and calls, which providers refuse. Their
/// reasoning is kept if the next message is the assistant's too, and reported otherwise.
pub(super) fn without_empty<'a>(
    messages: Vec<Message<'a>>,
    report: &mut TranslationReport,
) -> Vec<Message<'a>> {
    let mut kept: Vec<Message<'a>> = Vec::with_capacity(messages.len());
    for message in messages.into_iter().rev() {
        let is_empty = message.role == Role::Assistant
            && message.content.is_empty()
            && message.refusal.is_none()
            && message.tool_calls.is_empty();
        let goes_on = kept.last().is_some_and(|next| next.role == Role::Assistant);
        let thinks = message.reasoning.is_some() || !message.other.fields.is_empty();
        if !is_empty || (thinks && goes_on) {
            kept.push(message);
        } else if thinks {
            report.dropped.push("input.reasoning".to_owned());
        }
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::json::Object;
    use crate::dialect::hub::{Place, RequestToolCall};

    /// `a:x` makes call x, `r:x` is its result, anything else is a user message.
    fn list(words: &str) -> Vec<Message<'_>> {
        let words = words.split(' ').enumerate();
        words
            .map(|(n, word)| {
                let (kind, id) = word.split_once(':').unwrap_or((word, ""));
                let role = match kind {
                    "a" => Role::Assistant,
                    "r" => Role::Tool,
                    _ => Role::User,
                };
                let mut message = Message::new(Place("input", n), role);
                match role {
                    Role::Tool => message.tool_call_id = Some(id.into()),
                    Role::Assistant if !id.is_empty() => message.tool_calls.push(RequestToolCall {
                        at: None,
                        id: id.into(),
                        name: "f".into(),
                        arguments: "{}".into(),
                        function: Object::default(),
                        older: false,
                        other: Object::default(),
                    }),
                    _ => {}
                }
                message
            })
            .collect()
    }

    #[test]
    fn results_stand_behind_their_calls_and_nothing_else_moves() {
        for (before, after) in [
            ("u a:1 r:1 u", "0 1 2 3"),
            ("u a:1 u r:1 u", "0 1 3 2 4"),
            ("a:1 a:2 r:2 r:1", "0 1 2 3"),
            ("a:1 a a:2 r:1 r:2", "0 1 2 3 4"),
            ("a:1 u a:2 r:1 r:2 u", "0 3 1 2 4 5"),
            ("a:1 a:2 r:1 u a:3 r:2 r:3", "0 1 2 5 3 4 6"),
            ("a:1 a:1 r:1 r:1 a:1 u r:1", "0 1 2 3 4 6 5"),
            ("r:1 a:1 u", "0 1 2"),
        ] {
            let (messages, moved) = order_results(list(before));
            let places: Vec<_> = messages.iter().map(|m| m.at.1.to_string()).collect();
            assert_eq!(places.join(" "), after, "{before}");
            assert_eq!(
                moved,
                !places.is_sorted_by_key(|place| place.parse::<usize>().unwrap()),
                "{before}"
            );
        }
    }
}
