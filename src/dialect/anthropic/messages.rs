//! Encodes the conversation: hub messages become `system` and turns. Pure.

use std::borrow::Cow;

use super::blocks::{arguments, parts, text_block, texts};
use super::calls::Calls;
use super::family::Family;
use super::replay::{thinking_blocks, verbatim_blocks};
use super::wire::{Block, ResultContent, Speaker, Turn};
use crate::codec::json::Object;
use crate::dialect::common::report::TranslationReport;
use crate::dialect::hub::{Message, Place, RequestToolCall, Role};
use crate::error::Error;

/// The conversation in Anthropic's format, with a report of what was left out or changed.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    pub system: Vec<Block<'a>>,
    pub turns: Vec<Turn<'a>>,
    pub report: TranslationReport,
    /// Names of the tools that were called, in order of first use.
    pub called: Vec<String>,
    /// Whether the last assistant turn makes tool calls but does not begin with a thinking block.
    pub calls_without_thinking: bool,
}

#[derive(Default)]
struct Writer<'a> {
    out: Conversation<'a>,
    calls: Calls<'a>,
    /// Tool results with the positions of their calls, until all results of the turn are there.
    results: Vec<(usize, Block<'a>)>,
    /// Content that came between a call and its result.
    held: Vec<Block<'a>>,
}

/// Encodes the conversation. `thinking` says whether thinking blocks are allowed.
pub(super) fn write<'a>(
    messages: &mut Vec<Message<'a>>,
    family: &Family,
    thinking: bool,
) -> Result<Conversation<'a>, Error> {
    let mut writer = Writer::default();
    let mut messages = std::mem::take(messages).into_iter().peekable();
    while let Some(message) = messages.next_if(|m| matches!(m.role, Role::System | Role::Developer))
    {
        let blocks = writer.texts(message)?;
        writer.out.system.extend(blocks);
    }
    while let Some(message) = messages.next() {
        match message.role {
            Role::System | Role::Developer => {
                let before_answer = messages
                    .peek()
                    .is_none_or(|next| next.role == Role::Assistant);
                writer.system(message, family, before_answer)?;
            }
            Role::User => writer.user(message)?,
            Role::Assistant => {
                // Consecutive assistant messages form one turn, with no results in between.
                if !writer.in_answer() {
                    writer.all_answered()?;
                }
                writer.assistant(message, thinking)?;
            }
            Role::Tool | Role::Function => writer.result(message)?,
        }
    }
    writer.all_answered()?;
    writer.finish(family)
}

impl<'a> Writer<'a> {
    /// Handles the fields of a message other than its content.
    fn members(
        &mut self,
        name: Option<&Cow<'_, str>>,
        mut other: Object<'a>,
        blocks: &mut [Block<'a>],
    ) {
        const MARKER: &str = "messages.cache_control";
        let report = &mut self.out.report;
        if name.is_some() {
            report.dropped.push("messages.name".to_owned());
        }
        if let Some(marker) = other.take("cache_control") {
            match blocks.iter_mut().rev().find_map(Block::marker) {
                Some(place) => {
                    if place.is_none() {
                        *place = Some(marker);
                    }
                    report.changed.push(MARKER.to_owned());
                }
                None => report.dropped.push(MARKER.to_owned()),
            }
        }
        if blocks.is_empty() {
            report.dropped.push("messages.content".to_owned());
        }
        report.drop_members(&other, "messages");
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

    /// Whether the assistant's turn is still open.
    fn in_answer(&self) -> bool {
        let last = self.out.turns.last();
        self.results.is_empty()
            && self.held.is_empty()
            && last.is_some_and(|turn| turn.role == Speaker::Assistant)
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

    /// Writes user content. If results are missing, it is held back until they are written.
    fn say(&mut self, mut blocks: Vec<Block<'a>>) {
        if self.calls.first_waiting().is_some() {
            self.out.report.changed.push("messages".to_owned());
            self.held.append(&mut blocks);
        } else {
            self.push(Speaker::User, blocks);
        }
    }

    fn user(&mut self, message: Message<'a>) -> Result<(), Error> {
        let mut blocks = parts(message.content, message.at, &mut self.out.report)?;
        self.members(message.name.as_ref(), message.other, &mut blocks);
        self.say(blocks);
        Ok(())
    }

    fn texts(&mut self, message: Message<'a>) -> Result<Vec<Block<'a>>, Error> {
        let mut blocks = texts(message.content, message.at, &mut self.out.report)?;
        self.members(message.name.as_ref(), message.other, &mut blocks);
        Ok(blocks)
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
        let blocks = self.texts(message)?;
        if family.system_inside && after_user && before_answer && self.held.is_empty() {
            self.push(Speaker::System, blocks);
            return Ok(());
        }
        if !blocks.is_empty() {
            self.out.report.changed.push("messages.role".to_owned());
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
        let marked = marked.collect();
        self.say(marked);
        Ok(())
    }

    fn assistant(&mut self, mut message: Message<'a>, thinking: bool) -> Result<(), Error> {
        let at = message.at;
        if let Some(mut blocks) = verbatim_blocks(&mut message, at, &mut self.out.report)? {
            // These blocks hold the provider's own call ids, which the results must match.
            for (k, call) in message.tool_calls.iter().enumerate() {
                self.calls.add(call, call_param(call, at, k), true);
                let report = &mut self.out.report;
                report.drop_members(&call.other, "messages.tool_calls");
                report.drop_members(&call.function, call.function_at());
            }
            if message.refusal.is_some() {
                self.out.report.dropped.push("messages.refusal".to_owned());
            }
            self.members(message.name.as_ref(), message.other, &mut blocks);
            self.push(Speaker::Assistant, blocks);
            return Ok(());
        }
        let mut blocks = self.thoughts(&mut message, thinking)?;
        let mut words = parts(message.content, at, &mut self.out.report)?;
        let said = !words.is_empty();
        blocks.append(&mut words);
        if let Some(text) = message.refusal {
            let report = &mut self.out.report;
            // If there is text too, the refusal is only the explanation that the gateway added when
            // it decoded the response.
            if said {
                report.dropped.push("messages.refusal".to_owned());
            } else {
                report.changed.push("messages.refusal".to_owned());
                blocks.extend(text_block(text, Object::default(), report));
            }
        }
        for (k, call) in message.tool_calls.into_iter().enumerate() {
            let block = self.call(call, at, k);
            blocks.push(block);
        }
        self.members(message.name.as_ref(), message.other, &mut blocks);
        self.push(Speaker::Assistant, blocks);
        Ok(())
    }

    /// The thinking blocks of a message, as far as the provider accepts them back.
    fn thoughts(
        &mut self,
        message: &mut Message<'a>,
        thinking: bool,
    ) -> Result<Vec<Block<'a>>, Error> {
        let at = message.at;
        let mut blocks = thinking_blocks(message, at, &mut self.out.report)?;
        let report = &mut self.out.report;
        if !thinking && !blocks.is_empty() {
            blocks.clear();
            report.dropped.push("messages.reasoning_details".to_owned());
        }
        // The provider refuses reasoning without its signature.
        let readable = message.reasoning.take();
        if blocks.is_empty() && readable.is_some_and(|text| !text.trim().is_empty()) {
            report.dropped.push("messages.reasoning_content".to_owned());
        }
        Ok(blocks)
    }

    fn call(&mut self, mut call: RequestToolCall<'a>, at: Place, k: usize) -> Block<'a> {
        let id = self.calls.add(&call, call_param(&call, at, k), false);
        let report = &mut self.out.report;
        if id != *call.id {
            report.changed.push("messages.tool_calls.id".to_owned());
        }
        let cache_control = call.other.take("cache_control");
        report.drop_members(&call.other, "messages.tool_calls");
        report.drop_members(&call.function, call.function_at());
        Block::ToolUse {
            id,
            name: call.name,
            input: arguments(&call.arguments, report),
            cache_control,
        }
    }

    /// Takes a tool result. After the last result of a turn, all of them are written.
    fn result(&mut self, mut message: Message<'a>) -> Result<(), Error> {
        let at = message.at;
        let older = message.role == Role::Function;
        let found = match &message.tool_call_id {
            _ if older => self.calls.answer_function(message.name.as_deref()),
            Some(given) => self.calls.answer(given),
            None => None,
        };
        let Some((order, tool_use_id)) = found else {
            let (member, what) = if older {
                ("name", "function")
            } else {
                ("tool_call_id", "id")
            };
            return Err(Error::invalid(
                format!("{at}.{member}"),
                format!("no call before it has this {what}, or the call has its result already."),
            ));
        };
        let is_error = message
            .other
            .read(&format!("{at}."), "is_error")?
            .unwrap_or(false);
        let cache_control = message.other.take("cache_control");
        let plain = message.plain;
        let report = &mut self.out.report;
        if message.name.is_some() && !older {
            report.dropped.push("messages.name".to_owned());
        }
        report.drop_members(&message.other, "messages");
        let mut inner = TranslationReport::default();
        let mut blocks = parts(message.content, at, &mut inner)?;
        if at.0 == "input" {
            // In Responses, tool results are items of their own, and reports name them that way.
            inner.rename(|name| name.replacen("messages.content", "input.output", 1));
        }
        report.dropped.append(&mut inner.dropped);
        report.changed.append(&mut inner.changed);
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
        self.results.push((order, block));
        if self.calls.first_waiting().is_none() {
            self.close_results();
        }
        Ok(())
    }

    /// Writes the results in the order of their calls, then the content that was held back.
    fn close_results(&mut self) {
        let mut results = std::mem::take(&mut self.results);
        results.sort_by_key(|(order, _)| *order);
        let blocks = results.into_iter().map(|(_, block)| block).collect();
        self.push(Speaker::User, blocks);
        let held = std::mem::take(&mut self.held);
        self.push(Speaker::User, held);
    }

    fn finish(self, family: &Family) -> Result<Conversation<'a>, Error> {
        let mut out = self.out;
        out.called = self.calls.into_names();
        let Some(first) = out.turns.first() else {
            return Err(Error::invalid(
                "messages",
                "messages must contain at least one non-empty message.",
            ));
        };
        let plain = |text: &'static str| {
            vec![Block::Text {
                text: Cow::Borrowed(text),
                cache_control: None,
            }]
        };
        if first.role == Speaker::Assistant {
            // The provider requires the conversation to begin with the user.
            let content = plain(".");
            let role = Speaker::User;
            out.turns.insert(0, Turn { role, content });
            out.report.changed.push("messages".to_owned());
        }
        out.calls_without_thinking = calls_without_thinking(&out.turns);
        if let Some(last) = out.turns.last_mut()
            && last.role == Speaker::Assistant
        {
            if family.prefill {
                // The provider refuses white space at the end of text that it is to continue.
                if let Some(Block::Text { text, .. }) = last.content.last_mut()
                    && text.trim_end().len() < text.len()
                {
                    *text = Cow::Owned(text.trim_end().to_owned());
                    out.report.changed.push("messages.content".to_owned());
                }
            } else {
                out.turns.push(Turn {
                    role: Speaker::User,
                    content: plain("Continue."),
                });
                out.report.dropped.push("messages.prefill".to_owned());
            }
        }
        Ok(out)
    }
}

/// Whether the last assistant turn makes tool calls but does not begin with a thinking block.
fn calls_without_thinking(turns: &[Turn<'_>]) -> bool {
    let last = turns.iter().rfind(|turn| turn.role == Speaker::Assistant);
    last.is_some_and(|turn| {
        let calls = turn
            .content
            .iter()
            .any(|block| matches!(block, Block::ToolUse { .. }));
        // Blocks that the client kept unchanged begin as the provider sent them.
        let begun = matches!(
            turn.content.first(),
            Some(Block::Thinking { .. } | Block::RedactedThinking { .. } | Block::Verbatim(_))
        );
        calls && !begun
    })
}

/// The field of the client's request that holds a call's id.
fn call_param(call: &RequestToolCall<'_>, at: Place, k: usize) -> String {
    match call.at {
        Some(own) => format!("{own}.call_id"),
        None => format!("{at}.tool_calls[{k}].id"),
    }
}
