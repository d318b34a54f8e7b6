//! Edits a Chat Completions request to what a provider is known to accept. Pure.
//!
//! Only what a column of the provider covers is edited. Everything that is dropped or changed is
//! reported.

mod content;
mod kimi;
mod members;
mod messages;
mod schema;
mod tools;

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hasher};

use serde_json::value::RawValue;

use super::provider::{ChatProvider, Effort, ForcedToolChoice, Nulls};
use crate::codec::json::{self, Object, Raw, fields, put, raw};
use crate::dialect::common::report::TranslationReport;
use crate::dialect::hub::{ReasoningLookup, is_default};
use crate::error::Error;

pub use kimi::kimi_schema;
pub use schema::gemini_schema;
pub use tools::without_empty_tools;

/// The state of editing one request.
struct Edit<'e> {
    provider: &'e ChatProvider,
    model: &'e str,
    memory: &'e dyn ReasoningLookup,
    report: &'e mut TranslationReport,
    /// Whether anything has been changed.
    edited: bool,
    /// The remaining budget of bytes that the tools' schemas may duplicate.
    room: usize,
    /// The last schema, and what it was changed to; `None` if it was not changed.
    last_schema: Option<(Box<str>, Option<Box<RawValue>>)>,
    /// Hash of the messages so far; part of the key into the reasoning cache.
    conversation_hash: DefaultHasher,
}

/// The result of editing a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edited {
    /// Whether anything was changed; if not, the original body can be sent.
    pub changed: bool,
    /// Hash of the conversation, for the reasoning cache; only meaningful if the model requires
    /// reasoning in later requests.
    pub conversation_hash: u64,
}

impl ChatProvider {
    /// Edits a request for `model`. `memory` has the reasoning that clients did not send back.
    ///
    /// # Errors
    /// Names the field that this provider does not support.
    pub fn edit(
        &self,
        request: &mut Object<'_>,
        model: &str,
        memory: &dyn ReasoningLookup,
        report: &mut TranslationReport,
    ) -> Result<Edited, Error> {
        let mut edit = Edit {
            provider: self,
            model,
            memory,
            report,
            edited: false,
            room: 0,
            last_schema: None,
            conversation_hash: DefaultHasher::new(),
        };
        edit.nulls(request);
        edit.single_choice(request)?;
        edit.rename(request);
        edit.drop_rejected(request);
        edit.effort(request)?;
        edit.response_format(request)?;
        edit.tool_choice(request);
        edit.tools(request)?;
        edit.messages(request)?;
        Ok(Edited {
            changed: edit.edited,
            conversation_hash: edit.conversation_hash.finish(),
        })
    }
}

impl<'a> Edit<'_> {
    fn single_choice(&mut self, request: &mut Object<'a>) -> Result<(), Error> {
        if !self.provider.single_choice {
            return Ok(());
        }
        let had = request.fields.iter().any(|field| field.name == "n");
        match request.read::<u64>("", "n")? {
            None | Some(1) => {}
            Some(_) => {
                return Err(Error::unsupported_value(
                    "n",
                    "this provider gives one answer.",
                ));
            }
        }
        self.edited |= had;
        Ok(())
    }

    fn rename(&mut self, request: &mut Object<'a>) {
        for (from, to) in (self.provider.renames)(self.model) {
            let Some(at) = request.fields.iter().position(|field| field.name == *from) else {
                continue;
            };
            self.edited = true;
            let is_null = |field: &json::Field<'_>| field.value.get() == "null";
            let field = request.fields.remove(at);
            let other = request.fields.iter().position(|field| field.name == *to);
            if is_null(&field) {
                continue;
            }
            match other {
                // If both are given, the newer name of the token limit wins, else the provider's
                // own name.
                Some(other) => {
                    let Some(own) = request.fields.get_mut(other) else {
                        continue;
                    };
                    let wins = *from == "max_completion_tokens" || is_null(own);
                    if wins {
                        self.report.changed.push((*from).to_owned());
                    }
                    if !is_null(own) && own.value.get() != field.value.get() {
                        let lost = if wins { to } else { from };
                        self.report.dropped.push((*lost).to_owned());
                    }
                    if wins {
                        own.value = field.value;
                    }
                    continue;
                }
                None => request.fields.insert(
                    at,
                    json::Field {
                        name: Cow::Borrowed(to),
                        value: field.value,
                    },
                ),
            }
            self.report.changed.push((*from).to_owned());
        }
    }

    fn drop_rejected(&mut self, request: &mut Object<'a>) {
        // The provider sends usage anyway, so that dropping `include_usage` loses nothing.
        if self.provider.always_streams_usage
            && let Some(options) = request.take("stream_options")
        {
            self.edited = true;
            if let Ok(mut options) = json::object(&options, &"stream_options") {
                options.take("include_usage");
                self.report.drop_members(&options, "stream_options");
            }
        }
        for name in (self.provider.refuses)(self.model) {
            let Some(at) = request.fields.iter().position(|field| field.name == *name) else {
                continue;
            };
            let field = request.fields.remove(at);
            self.edited = true;
            if !is_default(name, &field.value) {
                self.report.dropped.push((*name).to_owned());
            }
        }
    }

    fn effort(&mut self, request: &mut Object<'a>) -> Result<(), Error> {
        const NAME: &str = "reasoning_effort";
        let Some(value) = request.get(NAME) else {
            return Ok(());
        };
        if !value.get().starts_with('"') {
            return Ok(());
        }
        let word = json::text(value, &NAME)?.into_owned();
        if self.provider.thinking_switch && word == "none" {
            request.take(NAME);
            request.take("thinking");
            let off = fields!({"type": "disabled"});
            request.push("thinking", Cow::Owned(raw(&off)));
            self.change(NAME);
            return Ok(());
        }
        match (self.provider.effort)(self.model, &word) {
            Effort::Keep => {}
            Effort::Replace(other) => {
                put(request, NAME, raw(other));
                self.change(NAME);
            }
            Effort::Drop => {
                request.take(NAME);
                self.edited = true;
                self.report.dropped.push(NAME.to_owned());
            }
        }
        Ok(())
    }

    /// Replaces a JSON Schema by JSON mode, with the schema as an instruction in a system message.
    fn response_format(&mut self, request: &mut Object<'a>) -> Result<(), Error> {
        const NAME: &str = "response_format";
        let Some(format) = request.get(NAME) else {
            return Ok(());
        };
        if self.provider.json_schema || !format.get().contains("\"json_schema\"") {
            return Ok(());
        }
        let mut format = json::object(format, &NAME)?;
        let Some(wrapper) = format.take("json_schema") else {
            return Ok(());
        };
        let mut wrapper = json::object(&wrapper, &"response_format.json_schema")?;
        let text = match wrapper.take("schema") {
            Some(schema) => format!(
                "Reply with a single JSON object and nothing else. It must follow this JSON Schema: {}",
                schema.get()
            ),
            None => "Reply with a single JSON object and nothing else.".to_owned(),
        };
        put(request, NAME, raw(&fields!({"type": "json_object"})));
        self.change(NAME);
        let Some(messages) = request.get("messages") else {
            return Ok(());
        };
        let mut list = json::array(messages, &"messages")?;
        let leading = |message: &&Raw<'_>| {
            json::object(message, &"messages").is_ok_and(|message| {
                message
                    .get("role")
                    .is_some_and(|role| matches!(role.get(), "\"system\"" | "\"developer\""))
            })
        };
        // After the instructions, so that the cached prefix of the prompt stays the same.
        let at = list.iter().take_while(leading).count();
        let message = fields!({"role": "system", "content": text});
        list.insert(at, Cow::Owned(raw(&message)));
        put(request, "messages", raw(&list));
        Ok(())
    }

    fn tool_choice(&mut self, request: &mut Object<'a>) {
        const NAME: &str = "tool_choice";
        let Some(choice) = request.get(NAME) else {
            return;
        };
        let required = choice.get() == "\"required\"";
        let named = choice.get().starts_with('{');
        let word = match (self.provider.forced_choice)(self.model) {
            ForcedToolChoice::Word(word) if required => word,
            ForcedToolChoice::Refused if required || named => "auto",
            ForcedToolChoice::RefusedThinking
                if (required || named) && !thinking_is_off(request) =>
            {
                "auto"
            }
            _ => return,
        };
        put(request, NAME, raw(word));
        self.change(NAME);
    }

    fn nulls(&mut self, request: &mut Object<'a>) {
        if self.provider.nulls == Nulls::Refused {
            let count = request.fields.len();
            request.fields.retain(|field| field.value.get() != "null");
            self.edited |= request.fields.len() != count;
        }
    }

    fn change(&mut self, name: &str) {
        self.edited = true;
        self.report.changed.push(name.to_owned());
    }
}

/// Whether the request turns thinking off.
fn thinking_is_off(request: &Object<'_>) -> bool {
    request
        .get("thinking")
        .is_some_and(|thinking| thinking.get().contains("\"disabled\""))
}
