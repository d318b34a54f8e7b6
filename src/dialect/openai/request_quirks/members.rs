//! Removes fields that a strict provider does not know. Pure.

use std::borrow::Cow;
use std::fmt;

use super::Edit;
use crate::codec::json::{self, Field, Object, Raw, put, raw};
use crate::dialect::openai::provider::{Members, Rows};
use crate::error::Error;

impl<'a> Edit<'_> {
    /// Removes the fields of an object that `known` does not list, and reports them below `at`.
    /// Returns whether any was removed.
    pub(super) fn strip(
        &mut self,
        object: &mut Object<'a>,
        known: &[&str],
        at: &dyn fmt::Display,
    ) -> bool {
        let count = object.fields.len();
        let dropped = &mut self.report.dropped;
        object.fields.retain(|field| {
            let keep = known.iter().any(|name| *name == field.name);
            if !keep && !is_lossless_to_drop(field) {
                dropped.push(format!("{at}.{}", field.name));
            }
            keep
        });
        object.fields.len() != count
    }

    /// Removes unknown fields of a message and of its content parts.
    pub(super) fn strip_message(
        &mut self,
        message: &mut Object<'a>,
        role: &str,
        members: &Members,
    ) -> Result<(), Error> {
        if let Some(known) = row(members.messages, role) {
            if role == "assistant" && !known.contains(&"refusal") {
                self.refusal_as_text(message);
            }
            self.edited |= self.strip(message, known, &"messages");
        }
        let Some(content) = message
            .get("content")
            .filter(|content| content.get().starts_with('['))
        else {
            return Ok(());
        };
        let mut parts = json::array(content, &"messages.content")?;
        let mut any = false;
        for slot in &mut parts {
            // Anything but an object is left for the provider to reject.
            if !slot.get().starts_with('{') {
                continue;
            }
            let mut part = json::object(slot, &"messages.content")?;
            let kind = part
                .get("type")
                .and_then(|kind| json::text(kind, &"type").ok());
            let Some(known) = kind.and_then(|kind| row(members.parts, &kind)) else {
                continue;
            };
            if self.strip(&mut part, known, &"messages.content") {
                any = true;
                *slot = Cow::Owned(raw(&part));
            }
        }
        if any {
            self.edited = true;
            put(message, "content", raw(&parts));
        }
        Ok(())
    }

    /// Moves a refusal into the content if that is empty.
    fn refusal_as_text(&mut self, message: &mut Object<'a>) {
        let empty = message
            .get("content")
            .is_none_or(|content| matches!(content.get(), "null" | "\"\"" | "[]"));
        let says = |refusal: &Raw<'_>| refusal.get().starts_with('"') && refusal.get() != "\"\"";
        if empty
            && message.get("refusal").is_some_and(says)
            && let Some(refusal) = message.take("refusal")
        {
            put(message, "content", (*refusal).to_owned());
            self.change("messages.refusal");
        }
    }

    /// Removes unknown fields of a function call; returns whether any was removed.
    pub(super) fn strip_call(&mut self, call: &mut Object<'a>, members: &Members) -> bool {
        const FUNCTION: &[&str] = &["name", "arguments"];
        const AT: &str = "messages.tool_calls";
        let Some(function) = call.get("function") else {
            return false;
        };
        let mut changed = false;
        if let Ok(mut function) = json::object(function, &AT)
            && self.strip(&mut function, FUNCTION, &"messages.tool_calls.function")
        {
            changed = true;
            put(call, "function", raw(&function));
        }
        self.strip(call, members.calls, &AT) || changed
    }
}

/// Whether removing a field loses nothing: it is empty, a position, or a default.
fn is_lossless_to_drop(field: &Field<'_>) -> bool {
    match field.value.get() {
        "null" | "[]" => true,
        "false" => field.name == "strict",
        _ => field.name == "index",
    }
}

fn row(rows: Rows, kind: &str) -> Option<&'static [&'static str]> {
    rows.iter()
        .find(|(name, _)| *name == kind)
        .map(|(_, known)| *known)
}
