//! Relays Chat Completions responses to a client of the same dialect. Pure.
//!
//! A correct event is relayed byte for byte. An event that breaks the contract of the stream is
//! rewritten if the right content is known, and everything else in it is kept. If it is not known,
//! the stream ends with an error.

mod choice;
mod chunk_view;
mod conformance;
mod fix;
mod repair;
#[cfg(test)]
mod template_tests;
mod usage;

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::client::ChatClient;
use super::decode_response::MAX_NAME;
use super::decode_response::{OUT_OF_RESOURCES, finish, is_fault, out_of_resources};
use super::error_in_success::failure_event;
use super::provider::{ChatProvider, ReasoningReplay};
use super::usage::read_usage;
use crate::codec::json::{fields, raw};
use crate::codec::sse::{self, Verdict};
use crate::dialect::common::delta_template::DeltaTemplate;
use crate::dialect::common::error_body::read_error;
use crate::dialect::common::error_in_success::error_member;
use crate::dialect::common::provider_error::position_of;
use crate::dialect::hub::{ReasoningCollector, ReasoningState, Usage};
use crate::dialect::traits::Relay;
use crate::error::Error;
use choice::{Choice, NAMELESS, call_fix, content};
use chunk_view::{ChoiceView, ChunkView};
use fix::{ChoiceFix, FinishFix, Fixes, UsageFix};

pub use conformance::conformance;
pub use repair::repair;

/// Relays one stream and enforces the contract of a Chat Completions stream: the same id, model and
/// creation time in all chunks, one role, tool calls with dense indexes that start once, one finish
/// reason per choice, usage once and last, then `[DONE]`.
pub struct ChatRelay {
    provider: &'static ChatProvider,
    name: &'static str,
    client: ChatClient,
    keeps_reasoning: bool,
    who: Option<Who>,
    /// Extra fields of chunks that were removed, to be added to a later chunk.
    held: Vec<(String, Box<RawValue>)>,
    choices: Vec<Choice>,
    usage: Option<Box<RawValue>>,
    usage_told: bool,
    counted: Option<Usage>,
    /// Template learned from the last event, if the next may differ only in its text.
    plain: Option<DeltaTemplate>,
    /// The address and length in memory of the text of the last event, if it was correct.
    text: Option<(usize, usize)>,
    done: bool,
    failed: Option<&'static str>,
    repaired: u64,
    kept: ReasoningCollector,
}

/// The largest number of fields that are kept for a later chunk.
const MAX_HELD: usize = 32;

/// The largest number of choices of one response.
const MAX_CHOICES: usize = 128;

/// The fields that are the same in each chunk.
struct Who {
    id: String,
    created: String,
    model: String,
}

impl ChatRelay {
    /// `name` is the provider's name, for error messages.
    #[must_use]
    pub fn new(provider: &'static ChatProvider, name: &'static str, client: ChatClient) -> Self {
        let keeps_reasoning =
            (provider.requires_reasoning_replay)(&client.model) != ReasoningReplay::Nothing;
        Self {
            provider,
            name,
            client,
            keeps_reasoning,
            who: None,
            held: Vec::new(),
            choices: Vec::new(),
            usage: None,
            usage_told: false,
            counted: None,
            plain: None,
            text: None,
            done: false,
            failed: None,
            repaired: 0,
            kept: ReasoningCollector::default(),
        }
    }

    fn event(&mut self, event: &sse::Event<'_>) -> Verdict {
        let data = event.data.trim();
        // Nothing may follow the end, and clients treat an event without data as an error.
        if self.done || data.is_empty() {
            return Verdict::Replace(Vec::new());
        }
        if data == "[DONE]" {
            return match self.close(true) {
                Err(error) => self.fail(&error),
                Ok(more) if more.is_empty() => Verdict::Keep,
                Ok(mut more) => {
                    more.extend_from_slice(b"data: [DONE]\n\n");
                    Verdict::Replace(more)
                }
            };
        }
        let probe: ChunkView = match serde_json::from_str(data) {
            Ok(probe) => probe,
            Err(error) => {
                let reason = format!(
                    "an event of its stream is no chunk ({})",
                    position_of(&error)
                );
                return self.broken(reason);
            }
        };
        let named = event.name.as_deref() == Some("error") && probe.choices.is_none();
        let is_error = named || probe.object.get() == Some("error");
        if is_error || probe.error.is_some_and(|error| error.get() != "null") {
            let error = read_error(200, data.as_bytes());
            return self.fail(&Error::Provider(Box::new(error)));
        }
        self.chunk(&probe, data)
    }

    fn chunk(&mut self, probe: &ChunkView<'_>, data: &str) -> Verdict {
        let choices = probe.choices.as_deref().unwrap_or_default();
        let mut before = match self.tell_ends(choices) {
            Ok(before) => before,
            Err(error) => return self.fail(&error),
        };
        let verdict = self.judge(probe, data);
        if before.is_empty() {
            return verdict;
        }
        match verdict {
            Verdict::Keep => sse::write(&mut before, None, data),
            Verdict::Replace(more) => before.extend(more),
        }
        Verdict::Replace(before)
    }

    /// Emits the withheld ends of choices for which these choices bring no more content.
    fn tell_ends(&mut self, choices: &[ChoiceView<'_>]) -> Result<Vec<u8>, Error> {
        let goes_on = |index: u64| {
            choices.iter().any(|choice| {
                let ends = choice
                    .finish_reason
                    .get()
                    .is_some_and(|word| !word.is_empty());
                choice.index.unwrap_or(0) == index && (ends || choice.says_something())
            })
        };
        let provider = self.name;
        let broken = |reason: &str| Error::InvalidUpstreamResponse {
            provider,
            reason: reason.to_owned(),
        };
        let mut ends = Vec::new();
        for choice in &mut self.choices {
            // Each choice may end at another time.
            let named = choices
                .iter()
                .any(|other| other.index.unwrap_or(0) == choice.index);
            if !choices.is_empty() && (!named || goes_on(choice.index)) {
                continue;
            }
            let Some(word) = choice.ending.take() else {
                continue;
            };
            let mut fix = ChoiceFix::default();
            let empty = choice.finish(&word, &mut fix, &broken)?;
            let (reason, native) = match fix.finish {
                FinishFix::Word(reason, native) => (reason.to_owned(), native),
                FinishFix::Keep | FinishFix::Null => (word, None),
            };
            ends.push((choice.index, reason, native, empty));
        }
        let mut out = Vec::new();
        for (index, reason, native, empty) in ends {
            out.extend(self.ending(index, &reason, native.as_deref(), empty));
        }
        Ok(out)
    }

    /// A chunk with the end of a choice, after chunks for its tool calls without arguments.
    fn ending(
        &mut self,
        index: u64,
        reason: &str,
        native: Option<&str>,
        empty: Vec<usize>,
    ) -> Vec<u8> {
        let mut out = Vec::new();
        for call in empty {
            out.extend(self.no_arguments(index, call));
        }
        let mut choice = fields!({
            "index": index, "delta": fields!({}), "finish_reason": reason,
        });
        if let Some(native) = native {
            choice.push("native_finish_reason", Cow::Owned(raw(native)));
        }
        out.extend(self.own_chunk(&raw(&[choice]), None));
        out
    }

    fn judge(&mut self, probe: &ChunkView<'_>, data: &str) -> Verdict {
        let usage = probe.usage.filter(|usage| usage.get() != "null");
        self.count(usage);
        let choices = probe.choices.as_deref().unwrap_or_default();
        if choices.is_empty() && usage.is_none() {
            // Clients expect a choice in each chunk. Extra fields of the vendor, such as a content
            // filter report, go into the next chunk.
            self.hold(fix::extensions(data));
            self.repaired += 1;
            return Verdict::Replace(Vec::new());
        }
        let mut fixes = Fixes {
            identity: self.identify(probe),
            held: std::mem::take(&mut self.held),
            ..Fixes::default()
        };
        if choices.is_empty() {
            return self.tokens(usage, data, fixes);
        }
        if let Some(error) = choices.iter().find_map(|choice| choice.error) {
            return self.fail(&Error::Provider(Box::new(error_member(error))));
        }
        if choices.iter().all(|choice| self.is_over(choice)) {
            return self.late(choices, usage, data, fixes);
        }
        let mut after = Vec::new();
        let mut count = usage;
        for choice in choices {
            match self.choice(choice, &mut after) {
                Ok(fix) => fixes.choices.push(fix),
                Err(error) => return self.fail(&error),
            }
            count = count.or(choice.usage.filter(|usage| usage.get() != "null"));
        }
        let count = count.or_else(|| probe.x_groq.as_ref()?.usage);
        if let Some(count) = count {
            self.count(Some(count));
            let fixed = usage::fixed(count);
            if self.client.include_usage {
                // The last usage is sent once, after the last choice.
                self.usage = Some(fixed.unwrap_or_else(|| count.to_owned()));
                if usage.is_some() {
                    fixes.usage = UsageFix::Null;
                }
            } else if let (Some(fixed), Some(_)) = (fixed, usage) {
                fixes.usage = UsageFix::Set(fixed);
            }
        }
        if !fixes.needed() {
            self.text = self.plain_text(probe);
            return Verdict::Keep;
        }
        self.repaired += 1;
        let who = self.who.as_ref().map(Who::fields);
        let mut out = fix::apply(data, &fixes, who);
        out.append(&mut after);
        Verdict::Replace(out)
    }

    /// The text of a correct chunk that has nothing else and changes no other state.
    fn plain_text(&self, probe: &ChunkView<'_>) -> Option<(usize, usize)> {
        let [choice] = probe.choices.as_deref()? else {
            return None;
        };
        let delta = choice.delta.as_ref()?;
        let says_more = delta.role.get().is_some()
            || delta.reasoning.get().is_some()
            || delta.reasoning_content.get().is_some()
            || delta.tool_calls.is_some()
            || choice.finish_reason.get().is_some()
            || choice
                .usage
                .or(probe.usage)
                .is_some_and(|usage| usage.get() != "null")
            || probe.x_groq.is_some()
            || self.provider.reasoning_tags;
        let text = delta.content?.get();
        let is_text = text.starts_with('"') && text.len() > 2;
        (is_text && !says_more).then_some((text.as_ptr() as usize, text.len()))
    }

    /// Learns a template from an event that was relayed unchanged.
    fn learn(&mut self, event: &[u8]) {
        let Some((address, length)) = self.text.take() else {
            return;
        };
        if let Some(start) = address.checked_sub(event.as_ptr() as usize)
            && start + length <= event.len()
            && sse::blocks(event).count() == 1
        {
            self.plain = DeltaTemplate::learn(event, start..start + length);
        }
    }

    /// Remembers the usage; the last one is complete.
    fn count(&mut self, usage: Option<&RawValue>) {
        self.counted = usage.and_then(read_usage).or(self.counted);
    }

    /// Keeps extra fields of the vendor for the next chunk; a later value replaces an earlier one.
    fn hold(&mut self, members: Vec<(String, Box<RawValue>)>) {
        for (name, value) in members {
            let full = self.held.len() >= MAX_HELD;
            match self.held.iter_mut().find(|(held, _)| *held == name) {
                Some((_, held)) => *held = value,
                None if full => {}
                None => self.held.push((name, value)),
            }
        }
    }

    /// Whether a choice has already ended.
    fn is_over(&self, choice: &ChoiceView<'_>) -> bool {
        let index = choice.index.unwrap_or(0);
        self.choices
            .iter()
            .any(|known| known.index == index && known.finished)
    }

    /// Handles a chunk whose choices have all ended: content is an error, but usage may come.
    fn late(
        &mut self,
        choices: &[ChoiceView<'_>],
        usage: Option<&RawValue>,
        data: &str,
        mut fixes: Fixes,
    ) -> Verdict {
        if choices.iter().any(ChoiceView::says_something) || fix::delta_says_more(data) {
            return self.broken("it goes on after its end".to_owned());
        }
        let fault = |choice: &ChoiceView<'_>| choice.finish_reason.get().is_some_and(is_fault);
        if choices.iter().any(fault) {
            return self.broken("it ended with an error".to_owned());
        }
        self.repaired += 1;
        if fix::has_members_of_choice(data) {
            // Extra fields of the choice are relayed, without the finish reason that was already
            // sent.
            fixes.choices = choices
                .iter()
                .map(|choice| ChoiceFix {
                    finish: FinishFix::Null,
                    delta: choice.delta.is_none(),
                    role: choice
                        .delta
                        .as_ref()
                        .and_then(|delta| delta.role.get().is_some().then_some(false)),
                    ..ChoiceFix::default()
                })
                .collect();
            let who = self.who.as_ref().map(Who::fields);
            return Verdict::Replace(fix::apply(data, &fixes, who));
        }
        self.hold(std::mem::take(&mut fixes.held));
        self.hold(fix::extensions(data));
        if let Some(usage) = usage.filter(|_| self.client.include_usage) {
            self.usage = Some(usage::fixed(usage).unwrap_or_else(|| usage.to_owned()));
        }
        Verdict::Replace(Vec::new())
    }

    /// Handles a chunk that has only usage.
    fn tokens(&mut self, usage: Option<&RawValue>, data: &str, mut fixes: Fixes) -> Verdict {
        let Some(usage) = usage else {
            return Verdict::Keep;
        };
        if !self.client.include_usage || self.usage_told {
            // The client did not ask for usage and might expect a choice in each chunk.
            self.hold(std::mem::take(&mut fixes.held));
            self.hold(fix::extensions(data));
            self.repaired += 1;
            return Verdict::Replace(Vec::new());
        }
        let fixed = usage::fixed(usage);
        // Usage is sent last, whenever the provider sends it.
        if !self.choices.iter().any(|choice| choice.finished) {
            self.usage = Some(fixed.unwrap_or_else(|| usage.to_owned()));
            self.hold(std::mem::take(&mut fixes.held));
            self.hold(fix::extensions(data));
            self.repaired += 1;
            return Verdict::Replace(Vec::new());
        }
        self.usage = None;
        self.usage_told = true;
        if let Some(fixed) = fixed {
            fixes.usage = UsageFix::Set(fixed);
        }
        if !fixes.needed() {
            return Verdict::Keep;
        }
        self.repaired += 1;
        let who = self.who.as_ref().map(Who::fields);
        Verdict::Replace(fix::apply(data, &fixes, who))
    }

    /// Learns id, model and creation time from the first chunk. Returns whether this chunk differs.
    fn identify(&mut self, probe: &ChunkView<'_>) -> bool {
        let id = probe
            .id
            .get()
            .filter(|id| !id.is_empty() && id.len() <= MAX_NAME);
        let model = probe.model.get();
        let model = model.filter(|model| !model.is_empty() && model.len() <= MAX_NAME);
        let created = probe
            .created
            .map(RawValue::get)
            .filter(|at| at.parse::<u64>().is_ok_and(|at| at > 0));
        let object = probe.object.get() == Some("chat.completion.chunk");
        let client = &self.client;
        let who = self.who.get_or_insert_with(|| Who {
            id: id.map_or_else(|| client.stamp.id("chatcmpl-", 1), str::to_owned),
            created: created.map_or_else(|| client.stamp.created.to_string(), str::to_owned),
            model: model.unwrap_or(&client.model).to_owned(),
        });
        !object || id != Some(&who.id) || created != Some(&who.created) || model != Some(&who.model)
    }

    /// The position of the choice with this index, which is added if it is new.
    fn place_of_choice(&mut self, index: u64) -> Result<usize, Error> {
        if let Some(at) = self.choices.iter().position(|choice| choice.index == index) {
            return Ok(at);
        }
        if self.choices.len() >= MAX_CHOICES {
            return Err(Error::InvalidUpstreamResponse {
                provider: self.name,
                reason: "it has too many choices".to_owned(),
            });
        }
        self.choices.push(Choice {
            index,
            ..Choice::default()
        });
        Ok(self.choices.len() - 1)
    }

    /// Checks a choice; adds chunks to `after` that must follow the event.
    fn choice(&mut self, probe: &ChoiceView<'_>, after: &mut Vec<u8>) -> Result<ChoiceFix, Error> {
        let mut fix = ChoiceFix::default();
        let index = probe.index.unwrap_or(0);
        if probe.index.is_none() {
            fix.index = Some(index);
        }
        let at = self.place_of_choice(index)?;
        let broken = |reason: &str| Error::InvalidUpstreamResponse {
            provider: self.name,
            reason: reason.to_owned(),
        };
        let answer_id = self.who.as_ref().map(|who| who.id.clone());
        let Some(choice) = self.choices.get_mut(at) else {
            return Ok(fix);
        };
        let finish_word = probe.finish_reason.get();
        let ends = finish_word.is_some_and(|word| !word.is_empty());
        match &probe.delta {
            None => {
                fix.delta = true;
                fix.role = (!choice.role).then_some(true);
                choice.role = true;
                // Text that looked like the beginning of a tag is sent with the end.
                if let Some((_, thought)) = content(None, self.provider, choice, ends, &mut fix)
                    && !thought.is_empty()
                {
                    fix.reasoning = Some(thought);
                }
            }
            Some(delta) => {
                if delta.role.get().is_some() == choice.role {
                    fix.role = Some(!choice.role);
                }
                choice.role = true;
                let (said, thought) = content(delta.content, self.provider, choice, ends, &mut fix)
                    .ok_or_else(|| broken("a text in it cannot be read"))?;
                choice.said |= said || delta.tool_calls.is_some();
                // Readable reasoning is always in `reasoning_content`, whichever field the provider
                // uses.
                let own = delta.reasoning_content.get().unwrap_or_default();
                let other = delta.reasoning.get().unwrap_or_default();
                let text = match (own.is_empty(), other.is_empty()) {
                    (true, false) => other,
                    _ => own,
                };
                if !thought.is_empty() || (own.is_empty() && !other.is_empty()) {
                    fix.reasoning = Some(format!("{text}{thought}"));
                }
                if self.keeps_reasoning && index == 0 {
                    self.kept.think(text);
                    self.kept.think(&thought);
                }
                for call in delta.tool_calls.iter().flatten() {
                    let fixed = call_fix(call, choice, self.provider, answer_id.as_deref())
                        .map_err(&broken)?;
                    if let (true, Some(extra)) =
                        (self.keeps_reasoning && index == 0, call.extra_content)
                        && let Some(id) = choice.calls.id_at(call.index)
                    {
                        self.kept.extra(id, extra);
                    }
                    fix.calls.push(fixed);
                }
            }
        }
        if let Some(word) = finish_word {
            if is_fault(word) {
                return Err(broken("it ended with an error"));
            }
            if word == OUT_OF_RESOURCES && !choice.said {
                return Err(out_of_resources());
            }
            if ends {
                choice.ending = None;
            }
            if ends && !choice.finished && probe.says_something() {
                // Some servers write a finish reason into every chunk.
                choice.ending = Some(word.to_owned());
                fix.finish = FinishFix::Null;
                return Ok(fix);
            }
            let empty = choice.finish(word, &mut fix, &broken)?;
            if !empty.is_empty() {
                // The `{}` for missing arguments must come after the call and before the end.
                let (reason, native) = match std::mem::replace(&mut fix.finish, FinishFix::Null) {
                    FinishFix::Word(reason, native) => (reason.to_owned(), native),
                    FinishFix::Keep | FinishFix::Null => (word.to_owned(), None),
                };
                after.extend(self.ending(index, &reason, native.as_deref(), empty));
            }
        } else if choice.ending.is_some() && probe.says_something() {
            return Err(broken("it goes on after its end"));
        }
        Ok(fix)
    }

    /// A chunk with `{}` as the arguments of a call that got none.
    fn no_arguments(&mut self, choice: u64, call: usize) -> Vec<u8> {
        let delta = fields!({"tool_calls": [fields!({
            "index": call, "function": fields!({"arguments": "{}"}),
        })]});
        let choices = [fields!({
            "index": choice, "delta": delta, "finish_reason": None::<()>,
        })];
        self.own_chunk(&raw(&choices), None)
    }

    /// A chunk of the gateway, with the extra fields that are still to be sent.
    fn own_chunk(&mut self, choices: &RawValue, usage: Option<&RawValue>) -> Vec<u8> {
        let mut out = Vec::new();
        let mut chunk = crate::codec::json::Object::default();
        if let Some(who) = &self.who {
            for (name, value) in who.fields() {
                chunk.push(name, Cow::Owned(value));
            }
        }
        chunk.push("choices", Cow::Borrowed(choices));
        if let Some(usage) = usage {
            chunk.push("usage", Cow::Borrowed(usage));
        }
        for (name, value) in self.held.drain(..) {
            chunk.push(name, Cow::Owned(value));
        }
        sse::write(&mut out, None, raw(&chunk).get());
        out
    }

    /// The chunks that must still be sent before the end. `marked` says that the provider sent
    /// `[DONE]`.
    fn close(&mut self, marked: bool) -> Result<Vec<u8>, Error> {
        let mut out = self.tell_ends(&[])?;
        let mut late = Vec::new();
        let blank = |choice: &&mut Choice| marked && choice.blank && !choice.finished;
        for choice in self.choices.iter_mut().filter(blank) {
            choice.finished = true;
            let called = !choice.calls.is_empty();
            if choice.calls.has_nameless() {
                return Err(Error::InvalidUpstreamResponse {
                    provider: self.name,
                    reason: NAMELESS.to_owned(),
                });
            }
            let empty = choice.calls.without_arguments();
            late.push((choice.index, finish(None, called).0, empty));
        }
        for (index, reason, empty) in late {
            out.extend(self.ending(index, reason.name(), None, empty));
        }
        let unfinished = self.choices.iter().any(|choice| !choice.finished);
        if unfinished || self.choices.is_empty() {
            return Err(Error::Truncated);
        }
        if !self.client.include_usage {
            // Without usage, the extra fields would need a chunk without a choice.
            self.held.clear();
        }
        let usage = self.usage.take().filter(|_| !self.usage_told);
        if usage.is_some() || !self.held.is_empty() {
            self.usage_told = true;
            out.extend(self.own_chunk(&raw::<[(); 0]>(&[]), usage.as_deref()));
        }
        self.repaired += u64::from(!out.is_empty());
        self.done = true;
        Ok(out)
    }

    fn broken(&mut self, reason: String) -> Verdict {
        let provider = self.name;
        self.fail(&Error::InvalidUpstreamResponse { provider, reason })
    }

    fn fail(&mut self, error: &Error) -> Verdict {
        self.done = true;
        self.failed = Some(error.gateway_code());
        Verdict::Replace(failure_event(error))
    }
}

impl Who {
    fn fields(&self) -> [(&'static str, Box<RawValue>); 4] {
        let number = RawValue::from_string(self.created.clone()).unwrap_or_else(|_| raw(&0));
        [
            ("id", raw(&self.id)),
            ("object", raw("chat.completion.chunk")),
            ("created", number),
            ("model", raw(&self.model)),
        ]
    }
}

impl Relay for ChatRelay {
    fn is_complete(&self) -> bool {
        self.done && self.failed.is_none()
    }

    fn held(&self) -> usize {
        let calls = self.choices.iter().map(|choice| choice.calls.held());
        let members = self
            .held
            .iter()
            .map(|(name, value)| name.len() + value.get().len());
        calls.chain(members).sum()
    }

    fn pass(&mut self, events: Bytes) -> Bytes {
        if self.plain.as_ref().is_some_and(|plain| plain.fits(&events)) {
            return events;
        }
        self.plain = None;
        self.text = None;
        let came = events.clone();
        let out = sse::relay_events(events, |event| {
            if self.failed.is_some() {
                return Verdict::Replace(Vec::new());
            }
            self.event(event)
        });
        if out.as_ptr() == came.as_ptr() && out.len() == came.len() {
            self.learn(&came);
        }
        out
    }

    fn failure_code(&self) -> Option<&'static str> {
        self.failed
    }

    fn end(&mut self, clean: bool) -> Result<Vec<u8>, Error> {
        if self.done {
            return Ok(Vec::new());
        }
        if !clean {
            return Err(Error::Truncated);
        }
        // Not all providers send `[DONE]`; a finish reason and a clean end of the stream are
        // enough.
        let mut out = self.close(false)?;
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.repaired += 1;
        Ok(out)
    }

    fn failure(&mut self, error: &Error) -> Vec<u8> {
        failure_event(error)
    }

    fn usage(&self) -> Option<Usage> {
        self.counted
    }

    fn repaired(&self) -> u64 {
        self.repaired
    }

    fn kept(&mut self) -> Option<(Vec<String>, ReasoningState)> {
        let finished = self.done && self.failed.is_none();
        if !self.keeps_reasoning || !finished {
            return None;
        }
        let first = self.choices.iter().find(|choice| choice.index == 0)?;
        let calls = &first.calls;
        let ids: Vec<String> = calls.ids().map(str::to_owned).collect();
        let kept = self.kept.take();
        (!ids.is_empty() && !kept.is_empty()).then_some((ids, kept))
    }
}
