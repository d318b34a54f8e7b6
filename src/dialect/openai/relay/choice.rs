//! One choice of a relayed stream: its state, and what is wrong with the next delta. Pure.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::chunk_view::CallView;
use super::fix::{CallFix, ChoiceFix, FinishFix};
use crate::dialect::hub::FinishReason;
use crate::dialect::openai::calls::{CallAssembler, Fragment};
use crate::dialect::openai::decode_response::finish;
use crate::dialect::openai::lenient::Content;
use crate::dialect::openai::provider::ChatProvider;
use crate::dialect::openai::tags::Tags;
use crate::error::Error;

/// The error for a tool call that never got a name.
pub(super) const NAMELESS: &str = "a call in it has no name";

const UNREADABLE: &str = "the arguments of a call cannot be read";

/// The state of a choice.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each was seen or was not")]
pub(super) struct Choice {
    pub index: u64,
    pub role: bool,
    pub said: bool,
    pub calls: CallAssembler,
    pub tags: Tags,
    pub finished: bool,
    /// Whether the provider wrote an empty string as the finish reason.
    pub blank: bool,
    /// A finish reason that came with content; it is withheld until no more content follows.
    pub ending: Option<String>,
}

impl Choice {
    /// Processes a finish reason; returns the indexes of tool calls that got no arguments.
    pub(super) fn finish(
        &mut self,
        word: &str,
        fix: &mut ChoiceFix,
        broken: &dyn Fn(&str) -> Error,
    ) -> Result<Vec<usize>, Error> {
        if self.finished || word.is_empty() {
            self.blank |= word.is_empty();
            fix.finish = FinishFix::Null;
            return Ok(Vec::new());
        }
        self.finished = true;
        let called = !self.calls.is_empty();
        let (reason, native) = finish(Some(word), called);
        // A length limit or content filter may cut off a tool call before its name.
        let cut = matches!(reason, FinishReason::Length | FinishReason::ContentFilter);
        if self.calls.has_nameless() && !cut {
            return Err(broken(NAMELESS));
        }
        let right = reason.name();
        if right != word && word != "function_call" {
            fix.finish = FinishFix::Word(right, native);
        }
        Ok(if cut {
            Vec::new()
        } else {
            self.calls.without_arguments()
        })
    }
}

/// Checks the content of a delta. Returns whether it has content, and the reasoning in it; `None`
/// if it is invalid.
pub(super) fn content(
    value: Option<&RawValue>,
    provider: &ChatProvider,
    choice: &mut Choice,
    ends: bool,
    fix: &mut ChoiceFix,
) -> Option<(bool, String)> {
    let text = value.map_or("null", RawValue::get);
    let is_text = text == "null" || text.starts_with('"');
    if is_text && !provider.reasoning_tags {
        return Some((!matches!(text, "null" | "\"\""), String::new()));
    }
    let content: Option<Content<'_>> = serde_json::from_str(text).ok()?;
    // Clients concatenate texts; other parts go into `provider_specific_fields`.
    if content.as_ref().is_some_and(|content| !content.is_plain()) {
        fix.parts = value.map(ToOwned::to_owned);
    }
    let (said, mut thought) = content.map(Content::split).unwrap_or_default();
    let mut out = said.clone();
    if provider.reasoning_tags {
        let (text, tagged) = choice.tags.push(&said);
        out = text;
        thought.push_str(&tagged);
        if ends {
            let (text, tagged) = choice.tags.finish();
            out.push_str(&text);
            thought.push_str(&tagged);
        }
    }
    let any = !out.is_empty() || fix.parts.is_some();
    if !is_text || out != said {
        fix.content = Some(out);
    }
    Some((any, thought))
}

/// What is wrong with a fragment of a tool call.
///
/// # Errors
/// Why the fragment is invalid, or why the response cannot continue.
pub(super) fn call_fix(
    call: &CallView<'_>,
    choice: &mut Choice,
    provider: &ChatProvider,
    answer: Option<&str>,
) -> Result<CallFix, &'static str> {
    // Calls of custom tools have other fields and are relayed unchanged.
    if call.custom.is_some() || call.kind.get() == Some("custom") {
        choice.calls.custom(call.index, call.id.get())?;
        return Ok(CallFix::Keep);
    }
    let function = call.function.as_ref();
    let written = function.and_then(|f| f.arguments).map(RawValue::get);
    let arguments: Cow<'_, str> = match written {
        None | Some("null") => Cow::Borrowed(""),
        Some(text) if text.starts_with('"') => {
            Cow::Owned(serde_json::from_str::<String>(text).map_err(|_| UNREADABLE)?)
        }
        Some(object) => Cow::Borrowed(object),
    };
    let name = function.and_then(|f| f.name.get());
    let fragment = Fragment {
        index: call.index,
        id: call.id.get(),
        name,
        arguments: &arguments,
    };
    let Some(told) = choice
        .calls
        .take(fragment, answer, provider.positional_ids)?
    else {
        return Ok(CallFix::Skip);
    };
    let is_text = written.is_none_or(|text| text.starts_with('"'));
    let same = call.index == u64::try_from(told.index).ok()
        && told.arguments == arguments
        && match &told.begins {
            Some((id, new)) => {
                is_text
                    && written.is_some()
                    && call.id.get() == Some(id)
                    && name == Some(new)
                    && call.kind.get() == Some("function")
            }
            None => {
                let name_there = function.is_some_and(|f| f.name.is_there);
                let right_name = match &told.name {
                    Some(piece) => name == Some(piece.as_str()),
                    None => !name_there,
                };
                let right_kind = !call.kind.is_there || call.kind.get() == Some("function");
                is_text && written.is_some() && !call.id.is_there && right_name && right_kind
            }
        };
    Ok(if same {
        CallFix::Keep
    } else {
        CallFix::Write(told)
    })
}
