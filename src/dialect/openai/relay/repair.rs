//! Repairs a complete response: adds what is missing and corrects what is wrong. Pure.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::usage;
use crate::codec::json::{self, Object, Raw, fields, put, raw};
use crate::dialect::hub::{FinishReason, ReasoningState, Usage};
use crate::dialect::openai::calls::is_position;
use crate::dialect::openai::client::ChatClient;
use crate::dialect::openai::decode_response::{OUT_OF_RESOURCES, finish, is_fault};
use crate::dialect::openai::lenient::{Content, call_id};
use crate::dialect::openai::provider::{ChatProvider, ReasoningReplay};
use crate::dialect::openai::tags::Tags;
use crate::dialect::openai::usage::read_usage;

/// The result of a repair.
pub struct RepairedBody {
    /// The rewritten response; `None` if it was correct.
    pub body: Option<Vec<u8>>,
    /// The ids of its tool calls, and the reasoning that the provider requires with them.
    pub kept: Option<(Vec<String>, ReasoningState)>,
    /// The usage that the provider reported.
    pub usage: Option<Usage>,
}

/// Repairs a complete response.
///
/// # Errors
/// What is wrong and cannot be repaired.
pub fn repair(
    body: &[u8],
    provider: &ChatProvider,
    client: &ChatClient,
) -> Result<RepairedBody, String> {
    let mut untouched = RepairedBody {
        body: None,
        kept: None,
        usage: None,
    };
    let text = std::str::from_utf8(body).map_err(|_| "it is not UTF-8".to_owned())?;
    let none = || "it is no completion".to_owned();
    let mut completion: Object<'_> = serde_json::from_str(text).map_err(|_| none())?;
    let list = completion.get("choices").cloned().ok_or_else(none)?;
    let list = json::array(&list, &"choices").map_err(|_| none())?;
    if list.is_empty() {
        return Err("its list of choices is empty".to_owned());
    }
    let mut changed = who(&mut completion, client);
    let id = completion
        .get("id")
        .and_then(|id| json::text(id, &"id").ok())
        .unwrap_or_default()
        .into_owned();
    let keeps_reasoning =
        (provider.requires_reasoning_replay)(&client.model) != ReasoningReplay::Nothing;
    let mut kept = ReasoningState::default();
    let mut ids = Vec::new();
    let mut count = None;
    let mut choices: Vec<Raw<'_>> = Vec::with_capacity(list.len());
    let mut any = false;
    for (i, text) in list.into_iter().enumerate() {
        let mut choice = json::lenient_object(&text, &"choices")
            .map_err(|_| "a choice in it cannot be read".to_owned())?;
        let mut repair = Choice {
            provider,
            answer: &id,
            changed: false,
            ids: Vec::new(),
            kept: ReasoningState::default(),
        };
        repair.repair(&mut choice, i)?;
        count = count.or_else(|| choice.get("usage").cloned().map(Cow::into_owned));
        if i == 0 && keeps_reasoning {
            ids = std::mem::take(&mut repair.ids);
            kept = std::mem::take(&mut repair.kept);
        }
        any |= repair.changed;
        choices.push(if repair.changed {
            Cow::Owned(raw(&choice))
        } else {
            text
        });
    }
    if any {
        changed = true;
        let choices = raw(&choices);
        put(&mut completion, "choices", choices);
    }
    changed |= tokens(&mut completion, count.as_deref());
    untouched.usage = completion.get("usage").and_then(|usage| read_usage(usage));
    if !ids.is_empty() && !kept.is_empty() {
        untouched.kept = Some((ids, kept));
    }
    if changed {
        untouched.body = serde_json::to_vec(&completion).ok();
    }
    Ok(untouched)
}

/// Adds missing id, type, creation time and model; returns whether anything was missing.
fn who(completion: &mut Object<'_>, client: &ChatClient) -> bool {
    let missing = |completion: &Object<'_>, name: &str| {
        completion
            .get(name)
            .is_none_or(|value| matches!(value.get(), "\"\"" | "0"))
    };
    let mut changed = false;
    for (name, value) in [
        ("id", raw(&client.stamp.id("chatcmpl-", 1))),
        ("object", raw("chat.completion")),
        ("created", raw(&client.stamp.created)),
        ("model", raw(&client.model)),
    ] {
        if missing(completion, name) {
            put(completion, name, value);
            changed = true;
        }
    }
    changed
}

fn tokens(completion: &mut Object<'_>, of_choice: Option<&RawValue>) -> bool {
    let own = completion.get("usage").cloned();
    let elsewhere = || {
        let groq = completion.get("x_groq")?;
        json::lenient_object(groq, &"x_groq").ok()?.take("usage")
    };
    let (count, moved) = match own {
        Some(count) => (count.into_owned(), false),
        None => match of_choice
            .map(ToOwned::to_owned)
            .or_else(|| elsewhere().map(Cow::into_owned))
        {
            Some(count) => (count, true),
            None => return false,
        },
    };
    match usage::fixed(&count) {
        Some(fixed) => put(completion, "usage", fixed),
        None if moved => put(completion, "usage", count),
        None => return false,
    }
    true
}

struct Choice<'p> {
    provider: &'p ChatProvider,
    answer: &'p str,
    changed: bool,
    ids: Vec<String>,
    kept: ReasoningState,
}

impl Choice<'_> {
    fn repair(&mut self, choice: &mut Object<'_>, i: usize) -> Result<(), String> {
        if choice.get("index").is_none() {
            put(choice, "index", raw(&i));
            self.changed = true;
        }
        if !choice.fields.iter().any(|field| field.name == "logprobs") {
            put(choice, "logprobs", raw(&None::<()>));
            self.changed = true;
        }
        let word = choice
            .get("finish_reason")
            .and_then(|word| json::text(word, &"finish_reason").ok())
            .map(Cow::into_owned);
        if word.as_deref().is_some_and(is_fault) {
            return Err("it ended with an error".to_owned());
        }
        let (said, called) = self.message(choice, word.as_deref())?;
        if word.as_deref() == Some(OUT_OF_RESOURCES) && !said && !called {
            return Err("the provider is out of resources".to_owned());
        }
        let (reason, native) = finish(word.as_deref(), called);
        let right = reason.name();
        if word.as_deref() != Some(right) && word.as_deref() != Some("function_call") {
            put(choice, "finish_reason", raw(right));
            if let Some(native) = native {
                put(choice, "native_finish_reason", raw(&native));
            }
            self.changed = true;
        }
        Ok(())
    }

    /// Repairs the message; returns whether it has text, and whether it has tool calls.
    fn message(
        &mut self,
        choice: &mut Object<'_>,
        word: Option<&str>,
    ) -> Result<(bool, bool), String> {
        let Some(message) = choice.get("message").cloned() else {
            // Some providers send no message if the content was filtered or cut before its first
            // token.
            if !matches!(
                finish(word, false).0,
                FinishReason::Length | FinishReason::ContentFilter
            ) {
                return Err("a choice in it has no message".to_owned());
            }
            let message = fields!({
                "role": "assistant", "content": None::<()>, "refusal": None::<()>,
            });
            put(choice, "message", raw(&message));
            self.changed = true;
            return Ok((false, false));
        };
        let mut message = json::lenient_object(&message, &"message")
            .map_err(|_| "a message in it cannot be read".to_owned())?;
        let before = std::mem::take(&mut self.changed);
        let said = self.text(&mut message)?;
        let called = self.calls(&mut message)?;
        if self.changed {
            let message = raw(&message);
            put(choice, "message", message);
        }
        self.changed |= before;
        Ok((said, called))
    }

    /// Repairs text and reasoning; returns whether there is text.
    fn text(&mut self, message: &mut Object<'_>) -> Result<bool, String> {
        if message.get("role").is_none() {
            put(message, "role", raw("assistant"));
            self.changed = true;
        }
        let content = message.get("content").map(|content| (**content).to_owned());
        let written = content.as_ref().map_or("null", |content| content.get());
        let mut thought = String::new();
        let mut said = !matches!(written, "null" | "\"\"");
        if written == "null" {
            if !message.fields.iter().any(|field| field.name == "content") {
                put(message, "content", raw(&None::<()>));
                self.changed = true;
            }
        } else if !written.starts_with('"') || self.provider.reasoning_tags {
            let read: Content<'_> = serde_json::from_str(written)
                .map_err(|_| "a text in it cannot be read".to_owned())?;
            let beside = (!read.is_plain()).then(|| fields!({"content": &content}));
            let (mut text, own) = read.split();
            thought = own;
            if self.provider.reasoning_tags {
                let (rest, tagged) = Tags::split(&text);
                text = rest;
                thought.push_str(&tagged);
            }
            said = !text.is_empty() || beside.is_some();
            if raw(&text).get() != written {
                put(message, "content", raw(&text));
                self.changed = true;
            }
            // Clients expect a string there; other parts go into `provider_specific_fields`.
            if let Some(beside) = beside
                && message.get("provider_specific_fields").is_none()
            {
                put(message, "provider_specific_fields", raw(&beside));
            }
        }
        let member = |message: &Object<'_>, name: &str| {
            message
                .get(name)
                .filter(|text| text.get().starts_with('"'))
                .and_then(|text| json::text(text, &name).ok().map(Cow::into_owned))
                .filter(|text| !text.is_empty())
        };
        let own = member(message, "reasoning_content");
        let text = own
            .clone()
            .or_else(|| member(message, "reasoning"))
            .unwrap_or_default()
            + &thought;
        if !text.is_empty() && own.as_deref() != Some(&text) {
            put(message, "reasoning_content", raw(&text));
            self.changed = true;
        }
        self.kept.reasoning = Some(text);
        // Strict clients require the field, even if it is null.
        if !message.fields.iter().any(|field| field.name == "refusal") {
            put(message, "refusal", raw(&None::<()>));
            self.changed = true;
        }
        let count = message.fields.len();
        message.fields.retain(|field| {
            field.value.get() != "null" || !matches!(&*field.name, "tool_calls" | "function_call")
        });
        self.changed |= message.fields.len() != count;
        Ok(said)
    }

    /// Repairs the tool calls; returns whether there are any.
    fn calls(&mut self, message: &mut Object<'_>) -> Result<bool, String> {
        let Some(list) = message.get("tool_calls").cloned() else {
            return Ok(false);
        };
        let Ok(mut list) = json::array(&list, &"tool_calls") else {
            return Ok(false);
        };
        let mut any = false;
        for (i, slot) in list.iter_mut().enumerate() {
            let Ok(mut call) = json::lenient_object(slot, &"tool_calls") else {
                continue;
            };
            let id = call
                .get("id")
                .and_then(|id| json::text(id, &"id").ok())
                .filter(|id| !id.is_empty() && id != "null")
                .filter(|id| !(self.provider.positional_ids && is_position(id)));
            let new = match id {
                Some(id) => {
                    self.ids.push(id.into_owned());
                    false
                }
                None => {
                    let id = call_id(Some(self.answer), i);
                    put(&mut call, "id", raw(&id));
                    self.ids.push(id);
                    true
                }
            };
            if let (Some(extra), Some(id)) = (call.get("extra_content"), self.ids.last()) {
                let extra = (**extra).to_owned();
                self.kept.extras.push((id.clone(), extra));
            }
            let mut changed = new;
            if call.get("type").is_none() {
                put(&mut call, "type", raw("function"));
                changed = true;
            }
            changed |= arguments(&mut call)?;
            if changed {
                any = true;
                *slot = Cow::Owned(raw(&call));
            }
        }
        if any {
            let list = raw(&list);
            put(message, "tool_calls", list);
            self.changed = true;
        }
        Ok(!list.is_empty())
    }
}

/// Makes the arguments of a tool call a string with JSON text; returns whether that changed them.
fn arguments(call: &mut Object<'_>) -> Result<bool, String> {
    #[derive(Deserialize)]
    struct Function {
        #[serde(default)]
        arguments: Option<Box<RawValue>>,
    }
    let Some(function) = call.get("function").cloned() else {
        return Ok(false);
    };
    let Ok(read) = serde_json::from_str::<Function>(function.get()) else {
        return Ok(false);
    };
    let written = read.arguments.as_ref().map_or("null", |raw| raw.get());
    let right = if written.starts_with('"') {
        let text: String = serde_json::from_str(written)
            .map_err(|_| "the arguments of a call cannot be read".to_owned())?;
        if !text.trim().is_empty() {
            return Ok(false);
        }
        "{}".to_owned()
    } else if written == "null" {
        "{}".to_owned()
    } else {
        written.to_owned()
    };
    let mut function = json::lenient_object(&function, &"function").unwrap_or_default();
    put(&mut function, "arguments", raw(&right));
    let function = raw(&function);
    put(call, "function", function);
    Ok(true)
}
