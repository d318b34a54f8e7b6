//! Edits of a message's content. Pure.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Edit;
use crate::codec::json::{self, Object, fields, put, raw};
use crate::dialect::openai::provider::EmptyContent;
use crate::error::Error;

impl<'a> Edit<'_> {
    pub(super) fn content(&mut self, message: &mut Object<'a>, role: &str) -> Result<(), Error> {
        if self.provider.documents {
            self.documents(message)?;
        }
        if self.provider.string_content_only && role != "user" {
            self.string_content_only(message, role);
        }
        if role == "assistant" {
            self.empty_content(message);
        }
        Ok(())
    }

    /// Joins parts into one string if all are text.
    fn string_content_only(&mut self, message: &mut Object<'a>, role: &str) {
        let Some(texts) = message.get("content").and_then(|content| texts(content)) else {
            return;
        };
        // An assistant's text was one string before it was split into parts.
        let between = if role == "assistant" { "" } else { "\n" };
        put(message, "content", raw(&texts.join(between)));
        self.edited = true;
        if texts.len() > 1 {
            self.change("messages.content");
        }
    }

    /// Writes empty content in the form that the provider accepts.
    fn empty_content(&mut self, message: &mut Object<'a>) {
        let content = message.get("content");
        match self.provider.empty_content {
            EmptyContent::Any => {}
            EmptyContent::Null => {
                let called = message
                    .get("tool_calls")
                    .is_some_and(|calls| calls.get() != "[]");
                let empty = content.is_some_and(|content| {
                    content.get() == "\"\""
                        || texts(content).is_some_and(|all| all.iter().all(String::is_empty))
                });
                if called && empty {
                    put(message, "content", raw(&None::<()>));
                    self.edited = true;
                }
            }
            EmptyContent::Text => {
                if content.is_none_or(|content| content.get() == "[]") {
                    put(message, "content", raw(""));
                    self.edited = true;
                }
            }
        }
    }

    /// Replaces files by documents at a URL, which may be a data URL.
    fn documents(&mut self, message: &mut Object<'a>) -> Result<(), Error> {
        let Some(content) = message
            .get("content")
            .filter(|content| content.get().starts_with('['))
            .filter(|content| content.get().contains("\"file\""))
        else {
            return Ok(());
        };
        let mut parts = json::array(content, &"messages.content")?;
        let mut any = false;
        for slot in &mut parts {
            let document = json::object(slot, &"messages.content").ok();
            if let Some(document) = document.and_then(|part| document_of(&part)) {
                *slot = Cow::Owned(document);
                any = true;
            }
        }
        if any {
            put(message, "content", raw(&parts));
            self.change("messages.content.file");
        }
        Ok(())
    }

    pub(super) fn drop_field(&mut self, message: &mut Object<'a>, name: &str) {
        if let Some(at) = message.fields.iter().position(|field| field.name == name) {
            let field = message.fields.remove(at);
            self.edited = true;
            if !matches!(field.value.get(), "null" | "[]") {
                self.report.dropped.push(format!("messages.{name}"));
            }
        }
    }

    /// Moves a cache marker from the message to its last part, where the provider reads it.
    pub(super) fn marker_into_part(&mut self, message: &mut Object<'a>) {
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
}

/// The texts of a list of parts; `None` if it is no list or has other parts.
fn texts(content: &RawValue) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Part {
        #[serde(rename = "type")]
        kind: String,
        text: String,
    }
    if !content.get().starts_with('[') {
        return None;
    }
    let parts: Vec<Part> = serde_json::from_str(content.get()).ok()?;
    parts
        .into_iter()
        .map(|part| (part.kind == "text").then_some(part.text))
        .collect()
}

/// Mistral's equivalent of OpenAI's `file` part; `None` if there is none.
fn document_of(part: &Object<'_>) -> Option<Box<RawValue>> {
    if part.get("type")?.get() != "\"file\"" {
        return None;
    }
    let file = json::object(part.get("file")?, &"file").ok()?;
    let member = |name: &str| {
        let value = file.get(name)?;
        json::text(value, &name).ok()
    };
    if let Some(id) = member("file_id") {
        return Some(raw(&fields!({"type": "file", "file_id": id})));
    }
    let url = match (member("file_data"), member("file_url")) {
        (Some(data), _) if data.starts_with("data:") => data,
        // Data without a media type is a PDF, the only type that OpenAI accepts in this form.
        (Some(data), _) => Cow::Owned(format!("data:application/pdf;base64,{data}")),
        (None, Some(url)) => url,
        (None, None) => return None,
    };
    let mut document = fields!({"type": "document_url", "document_url": url});
    if let Some(name) = member("filename") {
        document.push("document_name", Cow::Owned(raw(&name)));
    }
    Some(raw(&document))
}
