//! Edits of a request's messages. Pure.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use memchr::memmem;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Edit, thinking_is_off};
use crate::codec::json::{self, Object, Raw, fields, put, raw};
use crate::dialect::common::call_ids::CallIds;
use crate::dialect::common::call_ids::Ids;
use crate::dialect::common::call_ids::has_long;
use crate::dialect::common::reasoning_format;
use crate::dialect::hub::{ReasoningDetail, ReasoningState};
use crate::dialect::openai::provider::ChatProvider;
use crate::dialect::openai::provider::EmptyContent;
use crate::dialect::openai::provider::Names;
use crate::dialect::openai::provider::Nulls;
use crate::dialect::openai::provider::ReasoningReplay;
use crate::error::Error;

/// The placeholder that Google accepts for a missing thought signature.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

impl<'a> Edit<'_> {
    pub(super) fn messages(&mut self, request: &mut Object<'a>) -> Result<(), Error> {
        let mut wants = (self.provider.requires_reasoning_replay)(self.model);
        // With thinking off, no reasoning has to be sent back.
        if thinking_is_off(request) {
            wants = ReasoningReplay::Nothing;
        }
        let Some(list) = request.get("messages").filter(|list| {
            wants != ReasoningReplay::Nothing || concerns(self.provider, list.get())
        }) else {
            return Ok(());
        };
        let list = json::array(list, &"messages")?;
        let last = list.len().saturating_sub(1);
        let mut ids = Ids::default();
        let mut out: Vec<Raw<'a>> = Vec::with_capacity(list.len());
        let before = self.edited;
        let mut any = false;
        let mut after_result = false;
        for (i, text) in list.into_iter().enumerate() {
            // Anything but an object is left for the provider to reject.
            if !text.get().starts_with('{') {
                out.push(text);
                continue;
            }
            let mut message = json::object(&text, &"messages")?;
            self.edited = false;
            let role = self.role(&mut message);
            if after_result && self.provider.assistant_after_tool_result && prompts_model(&role) {
                any = true;
                self.report.changed.push("messages".to_owned());
                let word = fields!({"role": "assistant", "content": "OK."});
                out.push(Cow::Owned(raw(&word)));
            }
            after_result = role == "tool" || role == "function";
            self.message(&mut message, &role, wants, &mut ids, i == last)?;
            if wants != ReasoningReplay::Nothing {
                text.get().hash(&mut self.conversation_hash);
            }
            if self.edited {
                any = true;
                out.push(Cow::Owned(raw(&message)));
            } else {
                out.push(text);
            }
        }
        self.edited = before || any;
        if any {
            put(request, "messages", raw(&out));
        }
        Ok(())
    }

    /// The message's role, changed to one that the provider knows.
    fn role(&mut self, message: &mut Object<'a>) -> String {
        let role = message
            .get("role")
            .and_then(|role| json::text(role, &"role").ok())
            .unwrap_or_default()
            .into_owned();
        if self.provider.developer || role != "developer" {
            return role;
        }
        put(message, "role", raw("system"));
        self.change("messages.role");
        "system".to_owned()
    }

    fn message(
        &mut self,
        message: &mut Object<'a>,
        role: &str,
        wants: ReasoningReplay,
        ids: &mut Ids,
        last: bool,
    ) -> Result<(), Error> {
        let provider = self.provider;
        if provider.names == Names::UserOnly && role != "user" {
            self.drop_field(message, "name");
        }
        if provider.nulls != Nulls::Accepted && role == "assistant" {
            let count = message.fields.len();
            let content = provider.nulls == Nulls::Content;
            message.fields.retain(|field| {
                (content && field.name == "content") || field.value.get() != "null"
            });
            self.edited |= message.fields.len() != count;
        }
        if provider.cache_markers_in_parts && message.get("cache_control").is_some() {
            self.marker_into_part(message);
        }
        // Before unknown fields are removed, because the reasoning may be in them.
        if wants != ReasoningReplay::Nothing && role == "assistant" {
            self.restore_reasoning(message, wants)?;
        }
        if let Some(members) = provider.members {
            self.strip_message(message, role, members)?;
        }
        self.content(message, role)?;
        if provider.call_ids != CallIds::Any || provider.members.is_some() {
            self.calls(message, ids)?;
        }
        if provider.prefix && last && role == "assistant" && message.get("prefix").is_none() {
            message.take("prefix");
            message.push("prefix", Cow::Owned(raw(&true)));
            self.change("messages.prefill");
        }
        Ok(())
    }

    fn calls(&mut self, message: &mut Object<'a>, ids: &mut Ids) -> Result<(), Error> {
        let takes = self.provider.call_ids;
        if let Some(id) = message.get("tool_call_id") {
            let id = json::text(id, &"messages.tool_call_id")?;
            if let Cow::Owned(new) = ids.result(&id, takes) {
                put(message, "tool_call_id", raw(&new));
                self.edited = true;
            }
        }
        let Some(calls) = message.get("tool_calls") else {
            return Ok(());
        };
        ids.begin();
        let mut calls = json::array(calls, &"messages.tool_calls")?;
        let mut any = false;
        for slot in &mut calls {
            let mut call = json::object(slot, &"messages.tool_calls")?;
            let mut changed = false;
            if let Some(id) = call.get("id") {
                let id = json::text(id, &"messages.tool_calls.id")?;
                if let Cow::Owned(new) = ids.call(&id, takes) {
                    changed = true;
                    put(&mut call, "id", raw(&new));
                }
            }
            if let Some(members) = self.provider.members {
                changed |= self.strip_call(&mut call, members);
            }
            if changed {
                any = true;
                *slot = Cow::Owned(raw(&call));
            }
        }
        if any {
            self.edited = true;
            put(message, "tool_calls", raw(&calls));
        }
        Ok(())
    }

    /// Adds the reasoning that the model requires: from the message itself, else from the reasoning
    /// cache, else the placeholder that the provider accepts.
    fn restore_reasoning(
        &mut self,
        message: &mut Object<'a>,
        wants: ReasoningReplay,
    ) -> Result<(), Error> {
        let called = message
            .get("tool_calls")
            .is_some_and(|calls| calls.get() != "[]");
        match wants {
            ReasoningReplay::Nothing => Ok(()),
            _ if !called => Ok(()),
            ReasoningReplay::Reasoning => self.reasoning(message),
            ReasoningReplay::Signatures => self.signatures(message),
        }
    }

    /// Adds `reasoning_content`. The client's own reasoning wins over the cache, because an id that
    /// a provider uses repeatedly may belong to another turn.
    fn reasoning(&mut self, message: &mut Object<'a>) -> Result<(), Error> {
        const NAME: &str = "reasoning_content";
        let member = |message: &Object<'a>, name: &str| {
            message
                .get(name)
                .filter(|text| text.get().starts_with('"') && text.get() != "\"\"")
                .map(|text| json::text(text, &format_args!("messages.{name}")).map(Cow::into_owned))
                .transpose()
        };
        let own = member(message, NAME)?;
        let other = member(message, "reasoning")?;
        if self.provider.members.is_some() && (own.is_none() || own == other) {
            self.edited |= message.take("reasoning").is_some();
        }
        if let Some(own) = &own
            && let Some(whole) = self.complete_reasoning(message, own)
        {
            message.take(NAME);
            message.push(NAME, Cow::Owned(raw(&whole)));
            self.change("messages.reasoning_content");
            return Ok(());
        }
        if own.is_some() {
            if self.provider.members.is_some() && text_of_details(message) == own {
                self.edited |= message.take("reasoning_details").is_some();
            }
            return Ok(());
        }
        let brought = other.or_else(|| {
            let text = text_of_details(message)?;
            // The details were converted into a field that the provider knows.
            message.take("reasoning_details");
            Some(text)
        });
        let text = brought.or_else(|| {
            let kept = self
                .memory
                .recall(&first_id(message)?, self.conversation_hash.finish())?;
            kept.reasoning.filter(|text| !text.is_empty())
        });
        message.take(NAME);
        let text = text.unwrap_or_else(|| {
            self.report.changed.push(format!("messages.{NAME}"));
            // The provider treats an empty string as missing.
            " ".to_owned()
        });
        message.push(NAME, Cow::Owned(raw(&text)));
        self.edited = true;
        Ok(())
    }

    /// The complete reasoning if the client sends only its end: some clients keep only the last
    /// streamed fragment of fields that they do not know.
    fn complete_reasoning(&self, message: &Object<'a>, end: &str) -> Option<String> {
        let kept = self
            .memory
            .recall(&first_id(message)?, self.conversation_hash.finish())?;
        kept.reasoning
            .filter(|whole| whole.len() > end.len() && whole.ends_with(end))
    }

    fn signatures(&mut self, message: &mut Object<'a>) -> Result<(), Error> {
        const NAME: &str = "extra_content";
        let Some(list) = message.get("tool_calls") else {
            return Ok(());
        };
        if memmem::find(list.get().as_bytes(), b"\"thought_signature\"").is_some() {
            // The reasoning details contain the same signatures.
            if self.provider.members.is_some() && !has_foreign_details(message) {
                self.edited |= message.take("reasoning_details").is_some();
            }
            return Ok(());
        }
        let mut calls = json::array(list, &"messages.tool_calls")?;
        let kept = first_id(message)
            .and_then(|id| self.memory.recall(&id, self.conversation_hash.finish()));
        let extras = extras_of(message, kept);
        if has_foreign_details(message) {
            self.report
                .dropped
                .push("messages.reasoning_details".to_owned());
        }
        let mut signed = false;
        for slot in &mut calls {
            let mut call = json::object(slot, &"messages.tool_calls")?;
            let id = call
                .get("id")
                .and_then(|id| json::text(id, &"messages.tool_calls.id").ok())
                .unwrap_or_default();
            let Some(extra) = extras.get(&*id) else {
                continue;
            };
            call.take(NAME);
            call.push(NAME, Cow::Owned(extra.clone()));
            *slot = Cow::Owned(raw(&call));
            signed = true;
        }
        if !signed && let Some(first) = calls.first_mut() {
            let mut call = json::object(first, &"messages.tool_calls")?;
            call.take(NAME);
            let google = fields!({"thought_signature": NO_SIGNATURE});
            call.push(NAME, Cow::Owned(raw(&fields!({"google": google}))));
            *first = Cow::Owned(raw(&call));
            self.report
                .changed
                .push(format!("messages.tool_calls.{NAME}"));
        }
        put(message, "tool_calls", raw(&calls));
        message.take("reasoning_details");
        self.edited = true;
        Ok(())
    }
}

/// The extra fields that Google sent with each tool call, by the call's id. Values from the client
/// win over values from the cache.
fn extras_of(message: &Object<'_>, kept: Option<ReasoningState>) -> HashMap<String, Box<RawValue>> {
    let kept = kept.map(|kept| kept.extras).unwrap_or_default();
    let mut extras: HashMap<String, Box<RawValue>> = kept.into_iter().collect();
    let signed = details(message)
        .into_iter()
        .filter(|detail| detail.format.as_deref() == Some(reasoning_format::GEMINI))
        .filter_map(|detail| Some((detail.id?, detail.data?)));
    // If two have the same id, the first one wins.
    for (id, signature) in signed.rev() {
        // Either all extra fields of the call as JSON, or only the signature.
        let all = signature
            .starts_with('{')
            .then(|| RawValue::from_string(signature.clone()));
        let extra = all.and_then(Result::ok).unwrap_or_else(|| {
            let google = fields!({"thought_signature": signature});
            raw(&fields!({"google": google}))
        });
        extras.insert(id, extra);
    }
    extras
}

fn details(message: &Object<'_>) -> Vec<ReasoningDetail> {
    message
        .get("reasoning_details")
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default()
}

/// The readable reasoning among the reasoning details of a message.
fn text_of_details(message: &Object<'_>) -> Option<String> {
    let text: String = details(message)
        .into_iter()
        .filter(|detail| {
            detail
                .format
                .as_deref()
                .is_none_or(|format| format == reasoning_format::PLAIN)
        })
        .filter_map(|detail| detail.text)
        .collect();
    (!text.is_empty()).then_some(text)
}

/// Whether a message has reasoning details other than Google's signatures.
fn has_foreign_details(message: &Object<'_>) -> bool {
    details(message)
        .iter()
        .any(|detail| detail.format.as_deref() != Some(reasoning_format::GEMINI))
}

/// The id of the first tool call of a message.
fn first_id(message: &Object<'_>) -> Option<String> {
    let calls: Value = serde_json::from_str(message.get("tool_calls")?.get()).ok()?;
    Some(calls.get(0)?.get("id")?.as_str()?.to_owned())
}

/// Whether a message with this role is one that the model answers.
fn prompts_model(role: &str) -> bool {
    matches!(role, "user" | "system" | "developer")
}

/// Whether the messages may need an edit; searches for substrings without parsing.
fn concerns(provider: &ChatProvider, messages: &str) -> bool {
    let has = |word: &str| memmem::find(messages.as_bytes(), word.as_bytes()).is_some();
    // Any field may be one that the provider does not know.
    provider.members.is_some()
        || (!provider.developer && has("developer\""))
        || (provider.names != Names::All && has("\"name\""))
        || (provider.nulls != Nulls::Accepted && has("null"))
        || (provider.cache_markers_in_parts && has("\"cache_control\""))
        || (provider.prefix && has("\"assistant\""))
        || (provider.string_content_only && has("["))
        || (provider.empty_content != EmptyContent::Any && has("\"assistant\""))
        || (provider.documents && has("\"file\""))
        || (provider.assistant_after_tool_result && has("\"tool"))
        || match provider.call_ids {
            CallIds::Any => false,
            CallIds::UpTo(most) => has_long(messages, most),
            CallIds::Nine => has("\"tool_call"),
        }
}
