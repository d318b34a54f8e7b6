//! The conversation: hub messages -> `system` and turns. Pure.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::value::RawValue;

use super::DETAIL_FORMAT;
use super::family::Family;
use super::wire::{Block, ResultContent, Source, Speaker, Turn};
use crate::codec::json::{self, Object, Raw};
use crate::dialect::hub::{CallIn, Detail, Message, Part, Place, Role};
use crate::error::Error;

/// The conversation in Anthropic's shape, and what was left out on the way.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    pub system: Vec<Block<'a>>,
    pub turns: Vec<Turn<'a>>,
    pub dropped: Vec<String>,
    /// Names of the tools that were called, in order of appearance.
    pub called: Vec<String>,
    /// Whether the last assistant turn calls tools without a thinking block before them.
    pub unthought_calls: bool,
}

/// A call of the history, with the id that Anthropic accepts.
struct Call<'a> {
    given: Cow<'a, str>,
    id: String,
    at: String,
    answered: bool,
}

struct Writer<'a> {
    out: Conversation<'a>,
    calls: Vec<Call<'a>>,
    /// Calls before this position were answered or refused already.
    open_from: usize,
    /// System texts that came between a call and its result.
    held: Vec<Block<'a>>,
}

/// Writes the conversation. `thinking` says whether thinking blocks may stand in it.
pub(super) fn write<'a>(
    messages: &mut Vec<Message<'a>>,
    family: &Family,
    thinking: bool,
) -> Result<Conversation<'a>, Error> {
    let mut writer = Writer {
        out: Conversation::default(),
        calls: Vec::new(),
        open_from: 0,
        held: Vec::new(),
    };
    let mut messages = std::mem::take(messages).into_iter().peekable();
    while let Some(message) = messages.next_if(|m| matches!(m.role, Role::System | Role::Developer))
    {
        writer.note_name(&message);
        let blocks = texts(message)?;
        writer.out.system.extend(blocks);
    }
    while let Some(message) = messages.next() {
        writer.note_name(&message);
        match message.role {
            Role::System | Role::Developer => {
                let before_answer = messages
                    .peek()
                    .is_none_or(|next| next.role == Role::Assistant);
                writer.system(message, family, before_answer)?;
            }
            Role::User => {
                writer.all_answered()?;
                let blocks = parts(message.content, message.at)?;
                writer.push(Speaker::User, blocks);
            }
            Role::Assistant => {
                writer.all_answered()?;
                writer.assistant(message, thinking)?;
            }
            Role::Tool | Role::Function => {
                let mut results = vec![writer.result(message)?];
                while let Some(next) =
                    messages.next_if(|m| matches!(m.role, Role::Tool | Role::Function))
                {
                    results.push(writer.result(next)?);
                }
                // The provider wants the results in the order of the calls.
                results.sort_by_key(|(order, _)| *order);
                let blocks = results.into_iter().map(|(_, block)| block).collect();
                writer.push(Speaker::User, blocks);
                if writer.calls.iter().all(|call| call.answered) {
                    let held = std::mem::take(&mut writer.held);
                    writer.push(Speaker::User, held);
                }
            }
        }
    }
    writer.all_answered()?;
    writer.finish(family)
}

impl<'a> Writer<'a> {
    fn note_name(&mut self, message: &Message<'_>) {
        if message.name.is_some() && message.role != Role::Function {
            self.out.dropped.push("messages.name".to_owned());
        }
    }

    fn push(&mut self, role: Speaker, mut blocks: Vec<Block<'a>>) {
        if blocks.is_empty() {
            return;
        }
        match self.out.turns.last_mut() {
            Some(turn) if turn.role == role => turn.content.append(&mut blocks),
            _ => self.out.turns.push(Turn {
                role,
                content: blocks,
            }),
        }
    }

    fn all_answered(&mut self) -> Result<(), Error> {
        match self.calls.iter().skip(self.open_from).find(|c| !c.answered) {
            Some(call) => Err(Error::invalid(
                call.at.clone(),
                format!(
                    "the call '{}' has no tool message that answers it.",
                    call.given
                ),
            )),
            None => {
                self.open_from = self.calls.len();
                Ok(())
            }
        }
    }

    fn system(
        &mut self,
        message: Message<'a>,
        family: &Family,
        before_answer: bool,
    ) -> Result<(), Error> {
        let after_user = self
            .out
            .turns
            .last()
            .is_some_and(|turn| turn.role != Speaker::Assistant);
        let blocks = texts(message)?;
        if family.system_inside && after_user && before_answer && self.held.is_empty() {
            self.push(Speaker::System, blocks);
            return Ok(());
        }
        let marked = blocks.into_iter().map(|block| match block {
            Block::Text {
                text,
                cache_control,
            } => Block::Text {
                text: Cow::Owned(format!("[system] {text}")),
                cache_control,
            },
            other => other,
        });
        if self.calls.iter().skip(self.open_from).any(|c| !c.answered) {
            self.held.extend(marked);
        } else {
            let marked = marked.collect();
            self.push(Speaker::User, marked);
        }
        Ok(())
    }

    fn assistant(&mut self, mut message: Message<'a>, thinking: bool) -> Result<(), Error> {
        let at = message.at;
        if let Some(blocks) = verbatim_blocks(&mut message, at)? {
            // The ids in these blocks are the provider's own; the results must find them.
            for (k, call) in message.tool_calls.iter().enumerate() {
                self.remember(call, at, k, Some(call.id.to_string()));
            }
            self.out.unthought_calls = false;
            self.push(Speaker::Assistant, blocks);
            return Ok(());
        }
        let mut blocks = thinking_blocks(&mut message, at)?;
        if !thinking {
            blocks.clear();
        }
        let thought = !blocks.is_empty();
        if message.other.take("audio").is_some() {
            self.out.dropped.push("messages.audio".to_owned());
        }
        let refusal = message.refusal.take();
        let said = !message.content.is_empty();
        blocks.append(&mut parts(message.content, at)?);
        if let Some(text) = refusal
            && !said
        {
            blocks.extend(text_block(text, Object::default()));
        }
        self.out.unthought_calls = !message.tool_calls.is_empty() && !thought;
        for (k, mut call) in message.tool_calls.into_iter().enumerate() {
            let id = self.remember(&call, at, k, None);
            let cache_control = call.other.take("cache_control");
            blocks.push(Block::ToolUse {
                id,
                name: call.name,
                input: arguments(&call.arguments),
                cache_control,
            });
        }
        self.push(Speaker::Assistant, blocks);
        Ok(())
    }

    /// Gives a call an id that Anthropic accepts and that no other call of the request has.
    fn remember(
        &mut self,
        call: &CallIn<'a>,
        at: Place,
        k: usize,
        as_is: Option<String>,
    ) -> String {
        let id = as_is.unwrap_or_else(|| {
            let mut wanted: String = call
                .id
                .chars()
                .map(|c| {
                    if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') {
                        c
                    } else {
                        '_'
                    }
                })
                .collect();
            if wanted.is_empty() {
                wanted = format!("call_{}", self.calls.len());
            }
            let taken = |id: &str| self.calls.iter().any(|known| known.id == id);
            let mut id = wanted.clone();
            let mut n = 2;
            while taken(&id) {
                id = format!("{wanted}_{n}");
                n += 1;
            }
            id
        });
        if !self.out.called.iter().any(|name| **name == *call.name) {
            self.out.called.push(call.name.to_string());
        }
        self.calls.push(Call {
            given: call.id.clone(),
            id: id.clone(),
            at: format!("{at}.tool_calls[{k}].id"),
            answered: false,
        });
        id
    }

    /// A tool's result, with the position of its call.
    fn result(&mut self, mut message: Message<'a>) -> Result<(usize, Block<'a>), Error> {
        let at = message.at;
        let given = match (message.role, &message.tool_call_id) {
            (Role::Function, _) => self
                .calls
                .iter()
                .rev()
                .find(|call| !call.answered)
                .map(|call| call.given.clone()),
            (_, id) => id.clone(),
        };
        let found = self
            .calls
            .iter_mut()
            .enumerate()
            .rev()
            .find(|(_, call)| !call.answered && Some(&call.given) == given.as_ref());
        let Some((order, call)) = found else {
            return Err(Error::invalid(
                format!("{at}.tool_call_id"),
                "no call before this message has this id, or it was answered already.",
            ));
        };
        call.answered = true;
        let tool_use_id = call.id.clone();
        let is_error = message
            .other
            .read(&format!("{at}."), "is_error")?
            .unwrap_or(false);
        let cache_control = message.other.take("cache_control");
        let plain = message.plain;
        let mut blocks = parts(message.content, at)?;
        let content = match blocks.pop() {
            None => None,
            Some(Block::Text {
                text,
                cache_control: None,
            }) if blocks.is_empty() && plain => Some(ResultContent::Text(text)),
            Some(last) => {
                blocks.push(last);
                Some(ResultContent::Blocks(blocks))
            }
        };
        let block = Block::ToolResult {
            tool_use_id,
            content,
            is_error,
            cache_control,
        };
        Ok((order, block))
    }

    fn finish(mut self, family: &Family) -> Result<Conversation<'a>, Error> {
        let held = std::mem::take(&mut self.held);
        self.push(Speaker::User, held);
        let mut out = self.out;
        if out.turns.is_empty() {
            return Err(Error::invalid(
                "messages",
                "messages must contain at least one non-empty message.",
            ));
        }
        let plain = |text: &'static str| {
            vec![Block::Text {
                text: Cow::Borrowed(text),
                cache_control: None,
            }]
        };
        if out
            .turns
            .first()
            .is_some_and(|turn| turn.role == Speaker::Assistant)
        {
            out.turns.insert(
                0,
                Turn {
                    role: Speaker::User,
                    content: plain("."),
                },
            );
        }
        if let Some(last) = out.turns.last_mut()
            && last.role == Speaker::Assistant
        {
            if family.prefill {
                // The provider refuses white space at the end of what it is to continue.
                if let Some(Block::Text { text, .. }) = last.content.last_mut() {
                    *text = Cow::Owned(text.trim_end().to_owned());
                }
            } else {
                out.turns.push(Turn {
                    role: Speaker::User,
                    content: plain("Continue."),
                });
                out.dropped.push("messages.prefill".to_owned());
            }
        }
        Ok(out)
    }
}

/// The text parts of a system message.
fn texts(message: Message<'_>) -> Result<Vec<Block<'_>>, Error> {
    let at = message.at;
    let mut blocks = Vec::new();
    for (j, part) in message.content.into_iter().enumerate() {
        match part {
            Part::Text { text, other } => blocks.extend(text_block(text, other)),
            _ => {
                return Err(Error::unsupported_value(
                    format!("{at}.content[{j}].type"),
                    "system messages can hold text only.",
                ));
            }
        }
    }
    Ok(blocks)
}

/// A text block; none where there is nothing but white space, which the provider refuses.
fn text_block<'a>(text: Cow<'a, str>, mut other: Object<'a>) -> Option<Block<'a>> {
    if text.trim().is_empty() {
        return None;
    }
    Some(Block::Text {
        text,
        cache_control: other.take("cache_control"),
    })
}

/// Parts of a message, wherever blocks of any kind may stand.
fn parts(parts: Vec<Part<'_>>, at: Place) -> Result<Vec<Block<'_>>, Error> {
    let mut blocks = Vec::with_capacity(parts.len());
    for (j, part) in parts.into_iter().enumerate() {
        blocks.extend(user_part(part, at, j)?);
    }
    Ok(blocks)
}

fn user_part(part: Part<'_>, at: Place, j: usize) -> Result<Option<Block<'_>>, Error> {
    Ok(match part {
        Part::Text { text, other } => text_block(text, other),
        Part::Refusal(text) => text_block(text, Object::default()),
        Part::Image { url, mut other, .. } => Some(Block::Image {
            source: image(url, &format!("{at}.content[{j}].image_url.url"))?,
            cache_control: other.take("cache_control"),
        }),
        Part::File { file, other } => {
            Some(file_block(file, other, &format!("{at}.content[{j}].file"))?)
        }
        Part::Other { kind, value } => {
            let own = matches!(&*kind, "image" | "document" | "search_result")
                && value.get().contains("\"source\"");
            if !own {
                return Err(Error::unsupported_value(
                    format!("{at}.content[{j}].type"),
                    format!("parts of type '{kind}' cannot be sent to Anthropic."),
                ));
            }
            Some(Block::Verbatim(value))
        }
    })
}

fn image<'a>(url: Cow<'a, str>, param: &str) -> Result<Source<'a>, Error> {
    if url.starts_with("https://") {
        return Ok(Source::Url { url });
    }
    let Some((media_type, data)) = data_url(&url) else {
        return Err(Error::unsupported_value(
            param,
            "use an https: URL or a data: URL with base64.",
        ));
    };
    let media_type = match media_type {
        "image/jpg" => "image/jpeg",
        known @ ("image/jpeg" | "image/png" | "image/gif" | "image/webp") => known,
        other => {
            return Err(Error::unsupported_value(
                param,
                format!("'{other}' is none of image/jpeg, image/png, image/gif, image/webp."),
            ));
        }
    };
    Ok(Source::Base64 {
        media_type: media_type.to_owned(),
        data: without_space(data),
    })
}

fn file_block<'a>(
    mut file: Object<'a>,
    mut other: Object<'a>,
    param: &str,
) -> Result<Block<'a>, Error> {
    let mut text = |name: &str| {
        file.take(name)
            .map(|raw| json::text(&raw, &format_args!("{param}.{name}")))
            .transpose()
    };
    let title = text("filename")?;
    let data = text("file_data")?;
    let url = text("file_url")?;
    let id = text("file_id")?;
    let cache_control = other.take("cache_control");
    if id.is_some() {
        return Err(Error::unsupported_value(
            format!("{param}.file_id"),
            "Anthropic does not know OpenAI's files; send the content as file_data.",
        ));
    }
    let link = url.or_else(|| data.clone().filter(|data| data.starts_with("https://")));
    if let Some(url) = link {
        return Ok(Block::Document {
            source: Source::Url { url },
            title,
            cache_control,
        });
    }
    let Some(data) = data else {
        return Err(Error::Missing {
            param: format!("{param}.file_data"),
        });
    };
    let param = format!("{param}.file_data");
    let Some((media_type, payload)) = data_url(&data) else {
        return Err(Error::unsupported_value(
            param,
            "use a data: URL with base64, as in data:application/pdf;base64,….",
        ));
    };
    if media_type.starts_with("image/") {
        return Ok(Block::Image {
            source: image(data, &param)?,
            cache_control,
        });
    }
    let source = match media_type {
        "application/pdf" => Source::Base64 {
            media_type: media_type.to_owned(),
            data: Cow::Owned(without_space(payload).into_owned()),
        },
        kind if kind.starts_with("text/") => {
            let text = BASE64
                .decode(without_space(payload).as_bytes())
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok());
            Source::Text {
                media_type: "text/plain",
                data: text
                    .ok_or_else(|| Error::invalid(param, "it is no base64 of UTF-8 text."))?,
            }
        }
        other => {
            return Err(Error::unsupported_value(
                param,
                format!("files of type '{other}' cannot be sent to Anthropic."),
            ));
        }
    };
    Ok(Block::Document {
        source,
        title,
        cache_control,
    })
}

/// Media type and payload of a `data:` URL with base64.
fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, payload) = url.strip_prefix("data:")?.split_once(',')?;
    let media_type = head.strip_suffix(";base64")?;
    Some((media_type.split(';').next().unwrap_or_default(), payload))
}

fn without_space(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.chars().filter(|c| !c.is_ascii_whitespace()).collect())
}

/// A call's arguments as an object, whatever the model wrote: a call that was cut off must not
/// make the whole conversation unusable.
fn arguments<'a>(text: &Cow<'a, str>) -> Raw<'a> {
    if text.trim().is_empty() {
        return Cow::Owned(json::raw(&serde_json::json!({})));
    }
    let parsed = match text {
        Cow::Borrowed(text) => serde_json::from_str::<&'a RawValue>(text).map(Cow::Borrowed),
        Cow::Owned(text) => serde_json::from_str::<Box<RawValue>>(text).map(Cow::Owned),
    };
    match parsed {
        Ok(value) if value.get().starts_with('{') => value,
        Ok(value) => Cow::Owned(json::raw(&serde_json::json!({ "value": value }))),
        Err(_) => Cow::Owned(json::raw(&serde_json::json!({ "_invalid_json": text }))),
    }
}

/// Blocks that a client kept as Anthropic sent them, where they still say what the message says.
fn verbatim_blocks<'a>(
    message: &mut Message<'a>,
    at: Place,
) -> Result<Option<Vec<Block<'a>>>, Error> {
    let Some(fields) = message.other.take("provider_specific_fields") else {
        return Ok(None);
    };
    let param = format!("{at}.provider_specific_fields");
    let Some(own) = json::object(&fields, &param)?.take("anthropic") else {
        return Ok(None);
    };
    let Some(content) = json::object(&own, &param)?.take("content") else {
        return Ok(None);
    };
    let blocks = json::array(&content, &param)?;
    let mut text = String::new();
    let mut ids = Vec::new();
    for block in &blocks {
        let Ok(block) = serde_json::from_str::<super::wire::AnswerBlock>(block.get()) else {
            return Ok(None);
        };
        match block.kind.as_str() {
            "text" => text.push_str(&block.text.unwrap_or_default()),
            "tool_use" => ids.push(block.id.unwrap_or_default()),
            _ => {}
        }
    }
    let said: String = message
        .content
        .iter()
        .filter_map(|part| match part {
            Part::Text { text, .. } => Some(text.as_ref()),
            _ => None,
        })
        .collect();
    let same = said == text
        && ids
            .iter()
            .eq(message.tool_calls.iter().map(|call| &*call.id));
    Ok(same.then(|| blocks.into_iter().map(Block::Verbatim).collect()))
}

/// The thinking blocks that a client took along, in the order they came.
fn thinking_blocks<'a>(message: &mut Message<'a>, at: Place) -> Result<Vec<Block<'a>>, Error> {
    if let Some(raw) = message.other.take("reasoning_details") {
        let mut blocks = Vec::new();
        let param = format!("{at}.reasoning_details");
        for raw in json::array(&raw, &param)? {
            let Ok(detail) = serde_json::from_str::<Detail>(raw.get()) else {
                return Err(Error::wrong_type(param, "an array of reasoning details"));
            };
            let ours = detail
                .format
                .as_deref()
                .is_none_or(|format| format == DETAIL_FORMAT);
            match (detail.signature, detail.data) {
                (Some(signature), _) if ours => {
                    blocks.push(Block::Thinking {
                        thinking: detail.text.unwrap_or_default(),
                        signature,
                    });
                }
                (None, Some(data)) if ours && detail.format.is_some() => {
                    blocks.push(Block::RedactedThinking { data });
                }
                _ => {}
            }
        }
        return Ok(blocks);
    }
    if let Some(raw) = message.other.take("thinking_blocks") {
        let param = format!("{at}.thinking_blocks");
        return Ok(json::array(&raw, &param)?
            .into_iter()
            .map(Block::Verbatim)
            .collect());
    }
    Ok(Vec::new())
}
