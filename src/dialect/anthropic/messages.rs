//! The conversation: hub messages -> `system` and turns. Pure.

use std::borrow::Cow;

use super::blocks::{arguments, parts, text_block, texts};
use super::calls::Calls;
use super::family::Family;
use super::replay::{thinking_blocks, verbatim_blocks};
use super::wire::{Block, ResultContent, Speaker, Turn};
use crate::codec::json::Object;
use crate::dialect::hub::{CallIn, Message, Place, Role};
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

struct Writer<'a> {
    out: Conversation<'a>,
    calls: Calls<'a>,
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
        calls: Calls::default(),
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
                if writer.calls.first_waiting().is_none() {
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

    fn all_answered(&self) -> Result<(), Error> {
        match self.calls.first_waiting() {
            Some((param, id)) => Err(Error::invalid(
                param,
                format!("the call '{id}' has no result before what follows it."),
            )),
            None => Ok(()),
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
        if self.calls.first_waiting().is_some() {
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
                self.calls.add(call, call_param(call, at, k), true);
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
            let id = self.calls.add(&call, call_param(&call, at, k), false);
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

    /// A tool's result, with the position of its call.
    fn result(&mut self, mut message: Message<'a>) -> Result<(usize, Block<'a>), Error> {
        let at = message.at;
        let found = match (message.role, &message.tool_call_id) {
            (Role::Function, _) => self.calls.answer_latest(),
            (_, Some(given)) => self.calls.answer(given),
            (_, None) => None,
        };
        let Some((order, tool_use_id)) = found else {
            return Err(Error::invalid(
                format!("{at}.tool_call_id"),
                "no call before it has this id, or the call has its result already.",
            ));
        };
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
        out.called = self.calls.into_names();
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

/// The field that holds a call's id in the client's request.
fn call_param(call: &CallIn<'_>, at: Place, k: usize) -> String {
    match call.at {
        Some(own) => format!("{own}.call_id"),
        None => format!("{at}.tool_calls[{k}].id"),
    }
}
