//! Describes what is wrong with a chunk, and rewrites the chunk accordingly. Pure.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::super::calls::ClientFragment;
use crate::codec::json::{self, Object, Raw, fields, put, raw};
use crate::codec::sse;

/// The changes to a chunk.
#[derive(Default)]
pub(super) struct Fixes {
    pub identity: bool,
    /// Fields that are added.
    pub held: Vec<(String, Box<RawValue>)>,
    pub choices: Vec<ChoiceFix>,
    pub usage: UsageFix,
}

#[derive(Default)]
pub(super) enum UsageFix {
    #[default]
    Keep,
    Null,
    Set(Box<RawValue>),
}

#[derive(Default)]
pub(super) struct ChoiceFix {
    pub index: Option<u64>,
    /// Whether the delta is missing.
    pub delta: bool,
    /// `true`: the role is added; `false`: it is removed.
    pub role: Option<bool>,
    pub content: Option<String>,
    /// The original parts of a content that is not only text, for `provider_specific_fields`.
    pub parts: Option<Box<RawValue>>,
    pub reasoning: Option<String>,
    /// One for each fragment of a tool call.
    pub calls: Vec<CallFix>,
    pub finish: FinishFix,
}

#[derive(Default)]
pub(super) enum FinishFix {
    #[default]
    Keep,
    Null,
    /// The right finish reason, and the provider's own.
    Word(&'static str, Option<String>),
}

pub(super) enum CallFix {
    Keep,
    Skip,
    Write(ClientFragment),
}

impl Fixes {
    pub(super) fn needed(&self) -> bool {
        self.identity
            || !self.held.is_empty()
            || !matches!(self.usage, UsageFix::Keep)
            || self.choices.iter().any(ChoiceFix::needed)
    }
}

impl ChoiceFix {
    pub(super) fn needed(&self) -> bool {
        self.index.is_some()
            || self.role.is_some()
            || self.content.is_some()
            || self.reasoning.is_some()
            || !matches!(self.finish, FinishFix::Keep)
            || self.delta
            || self.calls.iter().any(|fix| !matches!(fix, CallFix::Keep))
    }
}

/// The fields of a chunk that are not in OpenAI's specification.
pub(super) fn extensions(data: &str) -> Vec<(String, Box<RawValue>)> {
    const KNOWN: [&str; 8] = [
        "id",
        "object",
        "created",
        "model",
        "choices",
        "usage",
        "system_fingerprint",
        "service_tier",
    ];
    let Ok(object) = serde_json::from_str::<Object<'_>>(data) else {
        return Vec::new();
    };
    object
        .fields
        .into_iter()
        .filter(|field| !KNOWN.contains(&&*field.name) && field.name != "obfuscation")
        .map(|field| (field.name.into_owned(), field.value.into_owned()))
        .collect()
}

/// Whether a choice has fields that are not in OpenAI's specification.
pub(super) fn has_members_of_choice(data: &str) -> bool {
    const KNOWN: [&str; 5] = ["index", "delta", "finish_reason", "logprobs", "usage"];
    let Ok(chunk) = serde_json::from_str::<Object<'_>>(data) else {
        return false;
    };
    let choices = chunk
        .get("choices")
        .and_then(|list| json::array(list, &"choices").ok())
        .unwrap_or_default();
    choices.iter().any(|choice| {
        json::lenient_object(choice, &"choices").is_ok_and(|choice| {
            choice.fields.iter().any(|field| {
                !KNOWN.contains(&&*field.name) && !matches!(field.value.get(), "null" | "{}" | "[]")
            })
        })
    })
}

/// Whether a delta has anything besides the role.
pub(super) fn delta_says_more(data: &str) -> bool {
    let Ok(chunk) = serde_json::from_str::<Object<'_>>(data) else {
        return false;
    };
    let choices = chunk
        .get("choices")
        .and_then(|list| json::array(list, &"choices").ok())
        .unwrap_or_default();
    choices.iter().any(|choice| {
        let delta = json::lenient_object(choice, &"choices")
            .ok()
            .and_then(|mut choice| choice.take("delta"));
        let delta = delta.and_then(|delta| json::lenient_object(&delta, &"delta").ok());
        delta.unwrap_or_default().fields.iter().any(|field| {
            field.name != "role" && !matches!(field.value.get(), "null" | "\"\"" | "[]" | "{}")
        })
    })
}

/// The rewritten chunk as an event.
pub(super) fn apply(
    data: &str,
    fixes: &Fixes,
    who: Option<[(&'static str, Box<RawValue>); 4]>,
) -> Vec<u8> {
    let mut out = Vec::new();
    let Ok(mut chunk) = serde_json::from_str::<Object<'_>>(data) else {
        sse::write(&mut out, None, data);
        return out;
    };
    if fixes.identity {
        for (name, value) in who.into_iter().flatten() {
            put(&mut chunk, name, value);
        }
    }
    // The chunk's own fields are newer than the held ones.
    for (name, value) in &fixes.held {
        if !chunk.fields.iter().any(|field| field.name == *name) {
            chunk.push(name.clone(), Cow::Owned(value.clone()));
        }
    }
    match &fixes.usage {
        UsageFix::Keep => {}
        UsageFix::Null => put(&mut chunk, "usage", raw(&None::<()>)),
        UsageFix::Set(usage) => put(&mut chunk, "usage", usage.clone()),
    }
    if fixes.choices.iter().any(ChoiceFix::needed)
        && let Some(list) = chunk.get("choices")
        && let Ok(list) = json::array(list, &"choices")
    {
        let written: Vec<Raw<'_>> = list
            .into_iter()
            .zip(&fixes.choices)
            .map(
                |(text, fix)| match json::lenient_object(&text, &"choices") {
                    Ok(choice) if fix.needed() => Cow::Owned(raw(&fixed_choice(choice, fix))),
                    _ => text,
                },
            )
            .collect();
        let written = raw(&written);
        put(&mut chunk, "choices", written);
    }
    sse::write(&mut out, None, raw(&chunk).get());
    out
}

fn fixed_choice<'a>(mut choice: Object<'a>, fix: &ChoiceFix) -> Object<'a> {
    if let Some(index) = fix.index {
        put(&mut choice, "index", raw(&index));
    }
    match &fix.finish {
        FinishFix::Keep => {}
        FinishFix::Null => put(&mut choice, "finish_reason", raw(&None::<()>)),
        FinishFix::Word(reason, native) => {
            put(&mut choice, "finish_reason", raw(*reason));
            if let Some(native) = native {
                put(&mut choice, "native_finish_reason", raw(native));
            }
        }
    }
    let delta = choice.get("delta").cloned();
    let mut delta = delta
        .as_ref()
        .and_then(|delta| json::lenient_object(delta, &"delta").ok())
        .unwrap_or_default();
    match fix.role {
        Some(true) => {
            delta.fields.retain(|field| field.name != "role");
            let role = json::Field {
                name: Cow::Borrowed("role"),
                value: Cow::Owned(raw("assistant")),
            };
            delta.fields.insert(0, role);
        }
        Some(false) => {
            delta.fields.retain(|field| field.name != "role");
        }
        None => {}
    }
    if let Some(text) = &fix.content {
        put(&mut delta, "content", raw(text));
    }
    if let Some(parts) = &fix.parts
        && delta.get("provider_specific_fields").is_none()
    {
        let beside = raw(&fields!({"content": parts}));
        put(&mut delta, "provider_specific_fields", beside);
    }
    if let Some(text) = &fix.reasoning {
        put(&mut delta, "reasoning_content", raw(text));
    }
    if fix.calls.iter().any(|fix| !matches!(fix, CallFix::Keep)) {
        let list = delta.get("tool_calls").cloned();
        let list = list
            .as_ref()
            .and_then(|list| json::array(list, &"tool_calls").ok())
            .unwrap_or_default();
        let calls: Vec<Raw<'_>> = list
            .into_iter()
            .zip(&fix.calls)
            .filter_map(|(text, fix)| match fix {
                CallFix::Keep => Some(text),
                CallFix::Skip => None,
                CallFix::Write(told) => Some(Cow::Owned(raw(&fixed_call(&text, told)))),
            })
            .collect();
        if calls.is_empty() {
            delta.fields.retain(|field| field.name != "tool_calls");
        } else {
            let calls = raw(&calls);
            put(&mut delta, "tool_calls", calls);
        }
    }
    let delta = raw(&delta);
    put(&mut choice, "delta", delta);
    choice
}

fn fixed_call<'a>(text: &Raw<'a>, told: &ClientFragment) -> Object<'a> {
    let mut call = json::lenient_object(text, &"tool_calls").unwrap_or_default();
    put(&mut call, "index", raw(&told.index));
    let function = call.get("function").cloned();
    let mut function = function
        .as_ref()
        .and_then(|function| json::lenient_object(function, &"function").ok())
        .unwrap_or_default();
    match &told.begins {
        Some((id, name)) => {
            put(&mut call, "id", raw(id));
            put(&mut call, "type", raw("function"));
            put(&mut function, "name", raw(name));
        }
        // Clients concatenate fields that are repeated.
        None => {
            call.fields.retain(|field| match &*field.name {
                "id" => false,
                "type" => field.value.get() == "\"function\"",
                _ => true,
            });
            function.fields.retain(|field| field.name != "name");
            if let Some(piece) = &told.name {
                put(&mut function, "name", raw(piece));
            }
        }
    }
    put(&mut function, "arguments", raw(&told.arguments));
    let function = raw(&function);
    put(&mut call, "function", function);
    call
}
