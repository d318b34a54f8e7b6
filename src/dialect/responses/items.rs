//! Input items -> the messages of a conversation. Pure.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::value::RawValue;

use super::SEALED;
use super::tools::function_name;
use crate::codec::json::{self, Object, Raw, fields, raw};
use crate::dialect::hub::{CallIn, Message, Part, Place, Role};
use crate::error::Error;

/// Items of hosted tools; their results are no part of what another provider can read.
const HOSTED: [&str; 16] = [
    "web_search_call",
    "file_search_call",
    "computer_call",
    "computer_call_output",
    "image_generation_call",
    "code_interpreter_call",
    "local_shell_call",
    "local_shell_call_output",
    "shell_call",
    "shell_call_output",
    "apply_patch_call",
    "apply_patch_call_output",
    "mcp_list_tools",
    "mcp_call",
    "mcp_approval_request",
    "compaction",
];

/// Reads `input`: a text, or a list of items.
pub(super) fn read_input<'a>(
    input: &Raw<'a>,
    messages: &mut Vec<Message<'a>>,
    dropped: &mut Vec<String>,
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
    for (i, item) in items.iter().enumerate() {
        read_item(item, Place("input", i), messages, dropped)?;
    }
    Ok(())
}

fn read_item<'a>(
    item: &Raw<'a>,
    at: Place,
    messages: &mut Vec<Message<'a>>,
    dropped: &mut Vec<String>,
) -> Result<(), Error> {
    let mut item = json::object(item, &at)?;
    let missing = |name: &str| Error::Missing {
        param: format!("{at}.{name}"),
    };
    let text = |item: &mut Object<'a>, name: &str| {
        item.take(name)
            .ok_or_else(|| missing(name))
            .and_then(|raw| json::text(&raw, &format_args!("{at}.{name}")))
    };
    let kind = match item.take("type") {
        Some(kind) => json::text(&kind, &format_args!("{at}.type"))?,
        None => Cow::Borrowed("message"),
    };
    match &*kind {
        "message" => {
            let message = read_message(&mut item, at)?;
            match messages.last_mut() {
                // What an assistant thought, said and called is one message to a chat provider.
                Some(last)
                    if message.role == Role::Assistant
                        && last.role == Role::Assistant
                        && last.content.is_empty()
                        && last.tool_calls.is_empty() =>
                {
                    last.content = message.content;
                    last.refusal = message.refusal;
                    last.plain = message.plain;
                }
                _ => messages.push(message),
            }
        }
        "function_call" => {
            let call = CallIn {
                at: Some(at),
                id: text(&mut item, "call_id")?,
                name: read_name(&mut item, at)?,
                arguments: text(&mut item, "arguments")?,
                other: Object::default(),
            };
            assistant(messages, at).tool_calls.push(call);
        }
        // A tool that takes any text stands as a function with one text.
        "custom_tool_call" => {
            let input = text(&mut item, "input")?;
            let call = CallIn {
                at: Some(at),
                id: text(&mut item, "call_id")?,
                name: read_name(&mut item, at)?,
                arguments: Cow::Owned(raw(&fields!({"input": input})).get().to_owned()),
                other: Object::default(),
            };
            assistant(messages, at).tool_calls.push(call);
        }
        "function_call_output" | "custom_tool_call_output" => {
            let mut message = Message::new(at, Role::Tool);
            message.tool_call_id = Some(text(&mut item, "call_id")?);
            let output = item.take("output").ok_or_else(|| missing("output"))?;
            message.plain = output.get().starts_with('"');
            message.content = read_content(&output, &format!("{at}.output"))?.0;
            messages.push(message);
        }
        "reasoning" => {
            if let Some(sealed) = item.take("encrypted_content") {
                let sealed = json::text(&sealed, &format_args!("{at}.encrypted_content"))?;
                // What another gateway or provider sealed means nothing here.
                if let Some(details) = unseal(&sealed) {
                    let message = assistant_before(messages, at);
                    add_details(message, details);
                }
            } else if let Some(text) = read_reasoning(&mut item) {
                let message = assistant_before(messages, at);
                let before = message.reasoning.take().map(Cow::into_owned);
                let joined = before.map_or(text.clone(), |before| format!("{before}\n\n{text}"));
                message.reasoning = Some(Cow::Owned(joined));
            }
        }
        "item_reference" => {
            return Err(Error::unsupported_value(
                format!("{at}.type"),
                "the gateway keeps no items for this provider; send the item itself.",
            ));
        }
        hosted if HOSTED.contains(&hosted) => dropped.push(format!("input.{hosted}")),
        other => {
            return Err(Error::invalid(
                format!("{at}.type"),
                format!("items of type '{other}' cannot be sent to this provider."),
            ));
        }
    }
    Ok(())
}

/// The assistant message that a call belongs to: the last one, or a new one.
fn assistant<'m, 'a>(messages: &'m mut Vec<Message<'a>>, at: Place) -> &'m mut Message<'a> {
    if messages
        .last()
        .is_none_or(|last| last.role != Role::Assistant)
    {
        messages.push(Message::new(at, Role::Assistant));
    }
    messages.last_mut().expect("one was just pushed")
}

/// The assistant message that a reasoning item opens.
fn assistant_before<'m, 'a>(messages: &'m mut Vec<Message<'a>>, at: Place) -> &'m mut Message<'a> {
    if messages.last().is_none_or(|last| {
        last.role != Role::Assistant || !last.tool_calls.is_empty() || !last.content.is_empty()
    }) {
        messages.push(Message::new(at, Role::Assistant));
    }
    messages.last_mut().expect("one was just pushed")
}

/// Adds what an item sealed to what others before it did.
fn add_details(message: &mut Message<'_>, details: Box<RawValue>) {
    const NAME: &str = "reasoning_details";
    let list = |raw: &RawValue| json::array(&Cow::Owned(raw.to_owned()), &NAME).unwrap_or_default();
    let joined = match message.other.take(NAME) {
        Some(before) => {
            let mut all = list(&before);
            all.append(&mut list(&details));
            raw(&all)
        }
        None => details,
    };
    message.other.push(NAME, Cow::Owned(joined));
}

/// The name of the function that stands for the tool which an item names.
fn read_name<'a>(item: &mut Object<'a>, at: Place) -> Result<Cow<'a, str>, Error> {
    let name = item.take("name").ok_or_else(|| Error::Missing {
        param: format!("{at}.name"),
    })?;
    let name = json::text(&name, &format_args!("{at}.name"))?;
    let namespace: Option<String> = item.read(&format!("{at}."), "namespace")?;
    Ok(match namespace {
        Some(namespace) => Cow::Owned(function_name(Some(&namespace), &name)),
        None => name,
    })
}

/// The readable reasoning of an item: all of it, or else its summary.
fn read_reasoning(item: &mut Object<'_>) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Part {
        #[serde(default)]
        text: String,
    }
    ["content", "summary"].iter().find_map(|name| {
        let parts: Vec<Part> = serde_json::from_str(item.take(name)?.get()).ok()?;
        let text: String = parts.into_iter().map(|part| part.text).collect();
        (!text.is_empty()).then_some(text)
    })
}

fn unseal(sealed: &str) -> Option<Box<RawValue>> {
    let bytes = URL_SAFE_NO_PAD.decode(sealed.strip_prefix(SEALED)?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn read_message<'a>(item: &mut Object<'a>, at: Place) -> Result<Message<'a>, Error> {
    let missing = |name: &str| Error::Missing {
        param: format!("{at}.{name}"),
    };
    let role = item.take("role").ok_or_else(|| missing("role"))?;
    let role = json::text(&role, &format_args!("{at}.role"))?;
    let role = match &*role {
        "user" => Role::User,
        // No provider that lacks Responses knows the newer word.
        "system" | "developer" => Role::System,
        "assistant" => Role::Assistant,
        other => {
            return Err(Error::invalid(
                format!("{at}.role"),
                format!("'{other}' is none of user, assistant, system, developer."),
            ));
        }
    };
    let content = item.take("content").ok_or_else(|| missing("content"))?;
    let mut message = Message::new(at, role);
    let (parts, refusal) = read_content(&content, &format!("{at}.content"))?;
    message.content = parts;
    message.refusal = refusal;
    message.plain = content.get().starts_with('"');
    if role != Role::User && !message.plain {
        join_texts(&mut message);
    }
    Ok(message)
}

/// Text parts of a message that is no user's become one string, which every provider takes.
fn join_texts(message: &mut Message<'_>) {
    if message
        .content
        .iter()
        .all(|part| matches!(part, Part::Text { .. }))
    {
        let joined: String = message
            .content
            .iter()
            .filter_map(|part| match part {
                Part::Text { text, .. } => Some(text.as_ref()),
                _ => None,
            })
            .collect();
        message.plain = true;
        message.content = if joined.is_empty() {
            Vec::new()
        } else {
            vec![Part::text(joined)]
        };
    }
}

type Content<'a> = (Vec<Part<'a>>, Option<Cow<'a, str>>);

fn read_content<'a>(content: &Raw<'a>, at: &str) -> Result<Content<'a>, Error> {
    if content.get().starts_with('"') {
        return Ok((vec![Part::text(json::text(content, &at)?)], None));
    }
    let parts = json::array(content, &at)
        .map_err(|_| Error::wrong_type(at, "a string or an array of parts"))?;
    let mut out = Vec::new();
    let mut refusal = None;
    for (j, raw) in parts.iter().enumerate() {
        let at = format!("{at}[{j}]");
        let mut part = json::object(raw, &at)?;
        let missing = |name: &str| Error::Missing {
            param: format!("{at}.{name}"),
        };
        let optional = |part: &mut Object<'a>, name: &str| {
            part.take(name)
                .map(|raw| json::text(&raw, &format_args!("{at}.{name}")))
                .transpose()
        };
        let kind = optional(&mut part, "type")?.ok_or_else(|| missing("type"))?;
        match &*kind {
            "input_text" | "output_text" | "text" => {
                let text = optional(&mut part, "text")?.ok_or_else(|| missing("text"))?;
                out.push(Part::text(text));
            }
            "refusal" => {
                refusal = Some(optional(&mut part, "refusal")?.ok_or_else(|| missing("refusal"))?);
            }
            "input_image" => {
                let url = optional(&mut part, "image_url")?.ok_or_else(|| {
                    Error::unsupported_value(
                        format!("{at}.file_id"),
                        "this provider does not know OpenAI's files; send an image_url.",
                    )
                })?;
                let detail = optional(&mut part, "detail")?.map(|detail| match &*detail {
                    "original" => Cow::Borrowed("high"),
                    _ => detail,
                });
                out.push(Part::Image {
                    url,
                    detail,
                    other: Object::default(),
                });
            }
            "input_file" => {
                if part.take("file_id").is_some() {
                    return Err(Error::unsupported_value(
                        format!("{at}.file_id"),
                        "this provider does not know OpenAI's files; send file_data.",
                    ));
                }
                let mut file = Object::default();
                for name in ["file_data", "filename", "file_url"] {
                    if let Some(value) = part.take(name) {
                        file.push(name, value);
                    }
                }
                out.push(Part::File {
                    file,
                    other: Object::default(),
                });
            }
            "input_audio" => out.push(Part::Other {
                kind,
                value: raw.clone(),
            }),
            other => {
                return Err(Error::unsupported_value(
                    format!("{at}.type"),
                    format!("parts of type '{other}' cannot be sent to this provider."),
                ));
            }
        }
    }
    Ok((out, refusal))
}
