//! Decodes input items into the messages of a conversation. Pure.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::value::RawValue;

use super::parts::{Content, join_texts, read_content, report_rest};
use super::tools::function_name;
use super::turn_order::{order_results, without_empty};
use super::wire::SEALED;
use crate::codec::json::{self, Object, Raw, fields, raw};
use crate::dialect::common::report::TranslationReport;
use crate::dialect::hub::{Message, Part, Place, RequestToolCall, Role};
use crate::error::Error;

/// Types of items that belong to hosted tools. Other providers cannot read them.
const HOSTED: [&str; 23] = [
    "additional_tools",
    "apply_patch_call",
    "apply_patch_call_output",
    "code_interpreter_call",
    "compaction",
    "compaction_trigger",
    "computer_call",
    "computer_call_output",
    "file_search_call",
    "image_generation_call",
    "local_shell_call",
    "local_shell_call_output",
    "mcp_approval_request",
    "mcp_approval_response",
    "mcp_call",
    "mcp_list_tools",
    "program",
    "program_output",
    "shell_call",
    "shell_call_output",
    "tool_search_call",
    "tool_search_output",
    "web_search_call",
];

/// Whether an item of this type belongs to a hosted tool.
pub(super) fn is_of_hosted_tool(kind: &str) -> bool {
    HOSTED.contains(&kind)
}

/// Decodes `input`, a string or a list of items. Reports what other providers cannot be sent.
pub(super) fn read_input<'a>(
    input: &Raw<'a>,
    messages: &mut Vec<Message<'a>>,
    report: &mut TranslationReport,
) -> Result<(), Error> {
    if input.get().starts_with('"') {
        let mut message = Message::new(Place("input", 0), Role::User);
        message.plain = true;
        message.content = vec![Part::text(json::text(input, &"input")?)];
        messages.push(message);
        return Ok(());
    }
    let items = json::array(input, &"input")
        .map_err(|_| Error::wrong_type("input", "a string or an array of items"))?;
    if items.is_empty() {
        return Err(Error::invalid("input", "the list is empty."));
    }
    let mut reader = Reader {
        messages: Vec::with_capacity(items.len()),
        details: Vec::new(),
        thought: String::new(),
        report,
    };
    for (i, item) in items.iter().enumerate() {
        reader.item(item, Place("input", i))?;
    }
    reader.settle();
    let (ordered, moved) = order_results(reader.messages);
    if moved {
        report.changed.push("input".to_owned());
    }
    messages.extend(without_empty(ordered, report));
    Ok(())
}

/// The messages that were decoded so far.
struct Reader<'a, 'r> {
    messages: Vec<Message<'a>>,
    /// Reasoning details of the last message, which is an assistant message.
    details: Vec<Box<RawValue>>,
    /// Readable reasoning of the same message.
    thought: String,
    report: &'r mut TranslationReport,
}

impl<'a> Reader<'a, '_> {
    fn item(&mut self, item: &Raw<'a>, at: Place) -> Result<(), Error> {
        let mut item = json::object(item, &at)?;
        let kind = match item.take("type") {
            Some(kind) => json::text(&kind, &format_args!("{at}.type"))?,
            None => Cow::Borrowed("message"),
        };
        match &*kind {
            "message" => self.message(&mut item, at)?,
            "function_call" => {
                let arguments = text(&mut item, at, "arguments")?;
                self.call(&mut item, at, arguments)?;
            }
            // A custom tool takes free text. It is represented as a function with one string.
            "custom_tool_call" => {
                let input = text(&mut item, at, "input")?;
                let arguments = raw(&fields!({"input": input})).get().to_owned();
                self.call(&mut item, at, Cow::Owned(arguments))?;
            }
            "function_call_output" | "custom_tool_call_output" => self.output(&mut item, at)?,
            "reasoning" => self.reasoning(&mut item, at)?,
            "item_reference" => {
                return Err(Error::unsupported_value(
                    format!("{at}.type"),
                    "the gateway keeps no items for this provider; send the item itself.",
                ));
            }
            hosted if is_of_hosted_tool(hosted) => {
                self.report.dropped.push(format!("input.{hosted}"));
                return Ok(());
            }
            other => {
                return Err(Error::invalid(
                    format!("{at}.type"),
                    format!("items of type '{other}' cannot be sent to this provider."),
                ));
            }
        }
        report_rest(&item, "input", self.report);
        Ok(())
    }

    fn push(&mut self, message: Message<'a>) {
        self.settle();
        self.messages.push(message);
    }

    /// Attaches the pending reasoning to the last message.
    fn settle(&mut self) {
        let details = std::mem::take(&mut self.details);
        let thought = std::mem::take(&mut self.thought);
        let Some(last) = self.messages.last_mut() else {
            return;
        };
        if !details.is_empty() {
            let details = Cow::Owned(raw(&details));
            last.other.push("reasoning_details", details);
        }
        if !thought.is_empty() {
            last.reasoning = Some(Cow::Owned(thought));
        }
    }

    /// Whether the last message is an assistant message without content and calls.
    fn begun(&self) -> bool {
        self.messages.last().is_some_and(|last| {
            last.role == Role::Assistant
                && last.content.is_empty()
                && last.refusal.is_none()
                && last.tool_calls.is_empty()
        })
    }

    fn message(&mut self, item: &mut Object<'a>, at: Place) -> Result<(), Error> {
        let message = read_message(item, at, self.report)?;
        if message.role != Role::Assistant || !self.begun() {
            self.push(message);
            return Ok(());
        }
        // Reasoning and the text after it form one message.
        if let Some(last) = self.messages.last_mut() {
            last.content = message.content;
            last.refusal = message.refusal;
            last.plain = message.plain;
        }
        Ok(())
    }

    /// Adds a call to the assistant message before it, or starts a message.
    fn call(
        &mut self,
        item: &mut Object<'a>,
        at: Place,
        arguments: Cow<'a, str>,
    ) -> Result<(), Error> {
        let call = RequestToolCall {
            at: Some(at),
            id: text(item, at, "call_id")?,
            name: read_name(item, at)?,
            arguments,
            function: Object::default(),
            older: false,
            other: Object::default(),
        };
        let goes_on = |last: &Message<'_>| last.role == Role::Assistant;
        if !self.messages.last().is_some_and(goes_on) {
            self.push(Message::new(at, Role::Assistant));
        }
        if let Some(last) = self.messages.last_mut() {
            last.tool_calls.push(call);
        }
        Ok(())
    }

    fn output(&mut self, item: &mut Object<'a>, at: Place) -> Result<(), Error> {
        let mut message = Message::new(at, Role::Tool);
        message.tool_call_id = Some(text(item, at, "call_id")?);
        let output = item.take("output").ok_or_else(|| missing(at, "output"))?;
        message.plain = output.get().starts_with('"');
        let Content { parts, refusal } = read_content(
            &output,
            &format!("{at}.output"),
            "input.output",
            self.report,
        )?;
        message.content = parts;
        message.content.extend(refusal.map(Part::text));
        join_texts(&mut message);
        self.push(message);
        Ok(())
    }

    fn reasoning(&mut self, item: &mut Object<'a>, at: Place) -> Result<(), Error> {
        if let Some(sealed) = item.take("encrypted_content") {
            let sealed = json::text(&sealed, &format_args!("{at}.encrypted_content"))?;
            if let Some(details) = unseal(&sealed) {
                // The sealed details contain these texts.
                item.take("summary");
                item.take("content");
                self.thinking(at);
                self.details.extend(details);
                return Ok(());
            }
            // Only what this gateway sealed can be opened.
            self.report.dropped.push("input.reasoning".to_owned());
        }
        if let Some(text) = read_reasoning(item) {
            self.thinking(at);
            if !self.thought.is_empty() {
                self.thought.push_str("\n\n");
            }
            self.thought.push_str(&text);
        }
        Ok(())
    }

    /// Starts the assistant message to which reasoning belongs, unless it has just been started.
    fn thinking(&mut self, at: Place) {
        if !self.begun() {
            self.push(Message::new(at, Role::Assistant));
        }
    }
}

fn missing(at: Place, name: &str) -> Error {
    Error::Missing {
        param: format!("{at}.{name}"),
    }
}

fn text<'a>(item: &mut Object<'a>, at: Place, name: &str) -> Result<Cow<'a, str>, Error> {
    let value = item.take(name).ok_or_else(|| missing(at, name))?;
    json::text(&value, &format_args!("{at}.{name}"))
}

/// The name of the function that represents the tool of an item.
fn read_name<'a>(item: &mut Object<'a>, at: Place) -> Result<Cow<'a, str>, Error> {
    let name = text(item, at, "name")?;
    let namespace: Option<String> = item.read(&format!("{at}."), "namespace")?;
    Ok(match namespace {
        Some(namespace) => Cow::Owned(function_name(Some(&namespace), &name)),
        None => name,
    })
}

/// The readable reasoning of an item: its content, or else its summary.
fn read_reasoning(item: &mut Object<'_>) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Part {
        #[serde(default)]
        text: String,
    }
    let mut read = |name: &str| {
        let parts: Vec<Part> = serde_json::from_str(item.take(name)?.get()).ok()?;
        let text: String = parts.into_iter().map(|part| part.text).collect();
        (!text.is_empty()).then_some(text)
    };
    let (content, summary) = (read("content"), read("summary"));
    content.or(summary)
}

fn unseal(sealed: &str) -> Option<Vec<Box<RawValue>>> {
    let bytes = URL_SAFE_NO_PAD.decode(sealed.strip_prefix(SEALED)?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn read_message<'a>(
    item: &mut Object<'a>,
    at: Place,
    report: &mut TranslationReport,
) -> Result<Message<'a>, Error> {
    let role = text(item, at, "role")?;
    let role = match &*role {
        "user" => Role::User,
        // Providers that lack Responses do not know the role `developer`.
        "system" | "developer" => Role::System,
        "assistant" => Role::Assistant,
        other => {
            return Err(Error::invalid(
                format!("{at}.role"),
                format!("'{other}' is none of user, assistant, system, developer."),
            ));
        }
    };
    let content = item.take("content").ok_or_else(|| missing(at, "content"))?;
    let mut message = Message::new(at, role);
    message.plain = content.get().starts_with('"');
    let Content { parts, refusal } =
        read_content(&content, &format!("{at}.content"), "input.content", report)?;
    message.content = parts;
    if role == Role::Assistant {
        message.refusal = refusal;
    } else {
        message.content.extend(refusal.map(Part::text));
    }
    // An assistant's empty string becomes no content as well.
    if role != Role::User && (!message.plain || role == Role::Assistant) {
        join_texts(&mut message);
    }
    Ok(message)
}
