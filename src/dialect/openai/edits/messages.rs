//! Messages as a provider takes them. Pure.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};

use memchr::memmem;
use serde_json::Value;
use serde_json::value::RawValue;

use super::ids::{Ids, has_long};
use super::{Edit, thinking_is_off};
use crate::codec::json::{self, Object, Raw, fields, put, raw};
use crate::dialect::hub::{Detail, Kept};
use crate::dialect::openai::provider::{CallIds, ChatProvider, Names, Nulls, WantsBack};
use crate::dialect::openai::{GEMINI_FORMAT, REASONING_FORMAT};
use crate::error::Error;

/// What Google takes for a thought signature that a history of another model does not have.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

impl<'a> Edit<'_> {
    pub(super) fn messages(&mut self, request: &mut Object<'a>) -> Result<(), Error> {
        let mut wants = (self.provider.wants_back)(self.model);
        // Reasoning that is turned off is not asked for.
        if thinking_is_off(request) {
            wants = WantsBack::Nothing;
        }
        let Some(list) = request
            .get("messages")
            .filter(|list| wants != WantsBack::Nothing || concerns(self.provider, list.get()))
        else {
            return Ok(());
        };
        let list = json::array(list, &"messages")?;
        let last = list.len().saturating_sub(1);
        let mut ids = Ids::default();
        let mut out: Vec<Raw<'a>> = Vec::with_capacity(list.len());
        let before = self.edited;
        let mut any = false;
        for (i, text) in list.into_iter().enumerate() {
            // What is no object is the provider's to name.
            let Ok(mut message) = json::object(&text, &"messages") else {
                out.push(text);
                continue;
            };
            self.edited = false;
            self.message(&mut message, wants, &mut ids, i == last)?;
            if wants != WantsBack::Nothing {
                text.get().hash(&mut self.talk);
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

    fn message(
        &mut self,
        message: &mut Object<'a>,
        wants: WantsBack,
        ids: &mut Ids,
        last: bool,
    ) -> Result<(), Error> {
        let provider = self.provider;
        let role = message
            .get("role")
            .and_then(|role| json::text(role, &"role").ok())
            .unwrap_or_default()
            .into_owned();
        if !provider.developer && role == "developer" {
            put(message, "role", raw("system"));
            self.change("messages.role");
        }
        let named = match provider.names {
            Names::All => true,
            Names::OfUsers => role == "user",
            Names::OfTools => role == "tool" || role == "function",
            Names::None => false,
        };
        if !named {
            self.take_out(message, "name");
        }
        if provider.nulls != Nulls::Taken && role == "assistant" {
            let count = message.fields.len();
            let content = provider.nulls == Nulls::Content;
            message.fields.retain(|field| {
                (content && field.name == "content") || field.value.get() != "null"
            });
            self.edited |= message.fields.len() != count;
        }
        if provider.markers_in_parts && message.get("cache_control").is_some() {
            self.marker_into_part(message);
        }
        if wants != WantsBack::Nothing && role == "assistant" {
            self.give_back(message, wants)?;
        }
        for name in provider.refuses_in_messages {
            self.take_out(message, name);
        }
        if provider.call_ids != CallIds::Any || !provider.refuses_in_calls.is_empty() {
            self.calls(message, ids)?;
        }
        if provider.prefix && last && role == "assistant" && message.get("prefix").is_none() {
            message.take("prefix");
            message.push("prefix", Cow::Owned(raw(&true)));
            self.change("messages.prefill");
        }
        Ok(())
    }

    fn take_out(&mut self, message: &mut Object<'a>, name: &str) {
        if let Some(at) = message.fields.iter().position(|field| field.name == name) {
            let field = message.fields.remove(at);
            self.edited = true;
            if !matches!(field.value.get(), "null" | "[]") {
                self.report.dropped.push(format!("messages.{name}"));
            }
        }
    }

    /// Moves a cache marker from the message to its last part, where the provider looks for it.
    fn marker_into_part(&mut self, message: &mut Object<'a>) {
        let Some(content) = message.get("content") else {
            return;
        };
        let mut parts = if content.get().starts_with('"') {
            let part = fields!({"type": "text", "text": content});
            vec![Cow::Owned(raw(&part))]
        } else {
            json::array(content, &"content").unwrap_or_default()
        };
        let Some(Ok(mut part)) = parts.last().map(|part| json::object(part, &"content")) else {
            return;
        };
        let Some(marker) = message.take("cache_control") else {
            return;
        };
        if part.get("cache_control").is_none() {
            part.push("cache_control", marker);
        }
        if let Some(last) = parts.last_mut() {
            *last = Cow::Owned(raw(&part));
        }
        put(message, "content", raw(&parts));
        self.change("messages.cache_control");
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
            for name in self.provider.refuses_in_calls {
                if call.fields.iter().any(|field| field.name == *name) {
                    changed = true;
                    if call.take(name).is_some() && *name != "index" {
                        let name = format!("messages.tool_calls.{name}");
                        self.report.dropped.push(name);
                    }
                }
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

    /// Gives back what of its reasoning the model wants: from the message itself, else from what
    /// the gateway remembers, else what the provider takes for "there is none".
    fn give_back(&mut self, message: &mut Object<'a>, wants: WantsBack) -> Result<(), Error> {
        let called = message
            .get("tool_calls")
            .is_some_and(|calls| calls.get() != "[]");
        match wants {
            WantsBack::Nothing => Ok(()),
            _ if !called => Ok(()),
            WantsBack::Reasoning => self.reasoning(message),
            WantsBack::Signatures => self.signatures(message),
        }
    }

    /// What is remembered is the provider's own; what a client brings may have been put together
    /// wrongly from a stream.
    fn reasoning(&mut self, message: &mut Object<'a>) -> Result<(), Error> {
        const NAME: &str = "reasoning_content";
        let member = |message: &Object<'a>, name: &str| {
            message
                .get(name)
                .filter(|text| text.get().starts_with('"') && text.get() != "\"\"")
                .map(|text| json::text(text, &format_args!("messages.{name}")).map(Cow::into_owned))
                .transpose()
        };
        let kept = first_id(message)
            .and_then(|id| self.memory.recall(&id, self.talk.finish()))
            .and_then(|kept| kept.reasoning)
            .filter(|text| !text.is_empty());
        let own = member(message, NAME)?;
        if own.is_some() && (kept.is_none() || kept == own) {
            return Ok(());
        }
        if own.is_some() {
            self.report.changed.push(format!("messages.{NAME}"));
        }
        let text = kept.or(member(message, "reasoning")?).or_else(|| {
            let text = text_of_details(message)?;
            // They became what the provider knows.
            message.take("reasoning_details");
            Some(text)
        });
        message.take(NAME);
        let text = text.unwrap_or_else(|| {
            self.report.changed.push(format!("messages.{NAME}"));
            // An empty text counts as none.
            " ".to_owned()
        });
        message.push(NAME, Cow::Owned(raw(&text)));
        self.edited = true;
        Ok(())
    }

    fn signatures(&mut self, message: &mut Object<'a>) -> Result<(), Error> {
        const NAME: &str = "extra_content";
        let Some(list) = message.get("tool_calls") else {
            return Ok(());
        };
        if memmem::find(list.get().as_bytes(), b"\"thought_signature\"").is_some() {
            return Ok(());
        }
        let mut calls = json::array(list, &"messages.tool_calls")?;
        let kept = first_id(message).and_then(|id| self.memory.recall(&id, self.talk.finish()));
        let mut signed = false;
        for slot in &mut calls {
            let mut call = json::object(slot, &"messages.tool_calls")?;
            let id = call
                .get("id")
                .and_then(|id| json::text(id, &"messages.tool_calls.id").ok())
                .unwrap_or_default();
            let Some(extra) = extra_of(message, kept.as_ref(), &id) else {
                continue;
            };
            call.take(NAME);
            call.push(NAME, Cow::Owned(extra));
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

/// The members of a call that Google sent with it.
fn extra_of(message: &Object<'_>, kept: Option<&Kept>, id: &str) -> Option<Box<RawValue>> {
    let told = details(message)
        .into_iter()
        .find(|detail| {
            detail.format.as_deref() == Some(GEMINI_FORMAT) && detail.id.as_deref() == Some(id)
        })
        .and_then(|detail| detail.data);
    if let Some(signature) = told {
        // All that came along with the call, or the signature alone.
        if signature.starts_with('{')
            && let Ok(extra) = RawValue::from_string(signature.clone())
        {
            return Some(extra);
        }
        let google = fields!({"thought_signature": signature});
        return Some(raw(&fields!({"google": google})));
    }
    let (_, extra) = kept?.extras.iter().find(|(call, _)| call == id)?;
    Some(extra.clone())
}

fn details(message: &Object<'_>) -> Vec<Detail> {
    message
        .get("reasoning_details")
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default()
}

/// The readable reasoning among the details of a message.
fn text_of_details(message: &Object<'_>) -> Option<String> {
    let text: String = details(message)
        .into_iter()
        .filter(|detail| {
            detail
                .format
                .as_deref()
                .is_none_or(|format| format == REASONING_FORMAT)
        })
        .filter_map(|detail| detail.text)
        .collect();
    (!text.is_empty()).then_some(text)
}

/// The id of the first call of a message.
fn first_id(message: &Object<'_>) -> Option<String> {
    let calls: Value = serde_json::from_str(message.get("tool_calls")?.get()).ok()?;
    Some(calls.get(0)?.get("id")?.as_str()?.to_owned())
}

/// Whether a list of messages may hold something to edit; reads no JSON.
fn concerns(provider: &ChatProvider, messages: &str) -> bool {
    let has = |word: &str| memmem::find(messages.as_bytes(), word.as_bytes()).is_some();
    (!provider.developer && has("developer\""))
        || (provider.names != Names::All && has("\"name\""))
        || (provider.nulls != Nulls::Taken && has("null"))
        || (provider.markers_in_parts && has("\"cache_control\""))
        || (provider.prefix && has("\"assistant\""))
        || provider.refuses_in_messages.iter().any(|name| has(name))
        || provider.refuses_in_calls.iter().any(|name| has(name))
        || match provider.call_ids {
            CallIds::Any => false,
            CallIds::UpTo(most) => has_long(messages, most),
            CallIds::Nine => has("\"tool_call"),
        }
}
