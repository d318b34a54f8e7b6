//! Relays the stream of a provider that speaks Responses to a Responses client. Pure.
//!
//! An event without a fault is passed on as the same bytes. An event that breaks the contract of
//! the stream is rewritten if the correct value is known; otherwise the stream ends with an error.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::encode_response::{error_fields, failure_code};
use crate::codec::json::{self, Object, Raw, Word, fields, put, raw};
use crate::codec::sse::{self, Verdict};
use crate::dialect::common::error_in_success::whole_error;
use crate::dialect::common::provider_error::position_of;
use crate::dialect::hub::{ReasoningState, Usage};
use crate::dialect::traits::Relay;
use crate::error::Error;

/// Longest item id, in bytes. The id is repeated in each event of the item.
const MAX_ID: usize = 4096;

/// The content of an `error` event.
struct ProviderErrorEvent {
    code: String,
    message: String,
}

impl ProviderErrorEvent {
    /// Decodes an `error` event. Its fields are in `error` or in the event itself.
    fn read(data: &str) -> Self {
        let event: Value = serde_json::from_str(data).unwrap_or_default();
        let inner = event.get("error").filter(|inner| inner.is_object());
        let text = |name: &str| {
            let member = inner.unwrap_or(&event).get(name)?;
            member
                .as_str()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        Self {
            code: text("code").unwrap_or_else(|| "server_error".to_owned()),
            message: text("message")
                .unwrap_or_else(|| "The provider ended its stream with an error.".to_owned()),
        }
    }
}

/// Enforces the contract of a streamed response: one response id, items with dense indexes and
/// constant ids that are opened once and closed, sequence numbers without a gap, and one last
/// event.
#[derive(Default)]
pub struct ResponsesRelay {
    provider: &'static str,
    next: Option<u64>,
    id: Option<String>,
    /// The response object of the first event, from which `response.failed` is made.
    begun: Option<Box<RawValue>>,
    items: Vec<Item>,
    by_index: HashMap<u64, usize>,
    complete: bool,
    /// Positions in `items`, by id.
    by_id: HashMap<String, usize>,
    /// Size of the item ids, in bytes.
    names: usize,
    /// An `error` event of the provider. `response.failed` may still follow it.
    erred: Option<ProviderErrorEvent>,
    failed: Option<&'static str>,
    /// `provider_error` if the provider reported an error in the stream.
    told: Option<&'static str>,
    counted: Option<Usage>,
    repaired: u64,
}

struct Item {
    id: Option<String>,
    open: bool,
}

#[derive(Deserialize)]
struct EventView<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Word<'a>,
    #[serde(default)]
    sequence_number: Option<u64>,
    #[serde(default)]
    output_index: Option<u64>,
    #[serde(borrow, default)]
    item_id: Word<'a>,
    #[serde(borrow, default)]
    item: Option<ItemView<'a>>,
    #[serde(borrow, default)]
    response: Option<ResponseView<'a>>,
}

#[derive(Deserialize)]
struct ItemView<'a> {
    #[serde(borrow, default)]
    id: Word<'a>,
}

#[derive(Deserialize)]
struct ResponseView<'a> {
    #[serde(borrow, default)]
    id: Word<'a>,
    #[serde(borrow, default)]
    output: Option<Vec<ItemView<'a>>>,
}

const FAILED: &str = "response.failed";

/// The corrections that an event needs.
#[derive(Default)]
struct Fixes {
    sequence: Option<u64>,
    index: Option<usize>,
    item_id: Option<String>,
    item: Option<String>,
    response: Option<String>,
    /// Whether item ids in `response.output` must be corrected.
    output: bool,
}

impl ResponsesRelay {
    /// `provider` is used in error messages.
    #[must_use]
    pub fn new(provider: &'static str) -> Self {
        Self {
            provider,
            ..Self::default()
        }
    }

    fn event(&mut self, data: &str) -> Verdict {
        let data = data.trim();
        if data == "[DONE]" {
            if self.complete {
                // Clients stop reading at `[DONE]`, so what is missing goes before it.
                let mut before = self.closing_events();
                if before.is_empty() {
                    return Verdict::Keep;
                }
                sse::write(&mut before, None, data);
                return Verdict::Replace(before);
            }
            return self.fail(&Error::Truncated);
        }
        if data.is_empty() {
            return Verdict::Replace(Vec::new());
        }
        let probe: EventView = match serde_json::from_str(data) {
            Ok(probe) => probe,
            // JSON of an unexpected shape is left to the client.
            Err(error) if error.is_data() && data.starts_with('{') => return Verdict::Keep,
            Err(error) => {
                let reason = format!(
                    "an event of its stream is no JSON ({})",
                    position_of(&error)
                );
                let provider = self.provider;
                return self.fail(&Error::InvalidUpstreamResponse { provider, reason });
            }
        };
        let kind = probe.kind.get().unwrap_or_default();
        // Nothing follows the last event, except that `response.failed` may follow `error`.
        if self.complete && !(self.erred.is_some() && kind == FAILED) {
            self.repaired += 1;
            return Verdict::Replace(Vec::new());
        }
        if kind.is_empty() {
            // An error in the shape of another dialect ends the stream as well.
            if let Some(error) = whole_error(data.as_bytes()) {
                return self.fail(&Error::Provider(Box::new(error)));
            }
            return Verdict::Keep;
        }
        let mut before = Vec::new();
        let mut fixes = Fixes::default();
        if let Some(response) = &probe.response {
            self.response(response, &mut fixes);
            if self.begun.is_none() {
                self.begun = member(data, "response");
            }
        }
        match self.item(&probe, kind, data, &mut before, &mut fixes) {
            Ok(false) => {}
            Ok(true) => {
                self.repaired += 1;
                return Verdict::Replace(Vec::new());
            }
            Err(error) => return self.fail(&error),
        }
        match kind {
            "response.completed" | "response.incomplete" => {
                self.counted = member(data, "response").and_then(|whole| tokens(&whole));
                self.close_items(&probe, data, &mut before);
                self.complete = true;
            }
            "response.failed" => {
                self.complete = true;
                self.erred = None;
                self.told = Some("provider_error");
            }
            "error" => {
                self.complete = true;
                self.erred = Some(ProviderErrorEvent::read(data));
                self.told = Some("provider_error");
            }
            _ => {}
        }
        let number = self.number(probe.sequence_number);
        if probe.sequence_number != Some(number) {
            fixes.sequence = Some(number);
        }
        if !fixes.needed() {
            if before.is_empty() {
                return Verdict::Keep;
            }
            sse::write(&mut before, Some(kind), data);
            return Verdict::Replace(before);
        }
        self.repaired += 1;
        let name = kind.to_owned();
        let text = self.apply(data, &fixes);
        sse::write(&mut before, Some(&name), &text);
        Verdict::Replace(before)
    }

    /// The closing event of a stream that the provider ended with `error` only. Clients wait for
    /// `response.failed`, and some ignore `error`.
    fn closing_events(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(ProviderErrorEvent { code, message }) = self.erred.take() {
            self.repaired += 1;
            self.failed_response(&code, &message, &mut out);
        }
        out
    }

    /// Writes `response.failed`, made from the response of the first event.
    fn failed_response(&mut self, code: &str, message: &str, out: &mut Vec<u8>) {
        let Some(begun) = self.begun.take() else {
            return;
        };
        let Ok(mut response) = serde_json::from_str::<Object<'_>>(begun.get()) else {
            return;
        };
        put(&mut response, "status", raw("failed"));
        put(
            &mut response,
            "error",
            raw(&fields!({"code": code, "message": message})),
        );
        let number = self.number(None);
        let event = fields!({"type": FAILED, "sequence_number": number, "response": response});
        sse::write(out, Some(FAILED), raw(&event).get());
    }

    /// Returns the next sequence number. A stream may begin with any number.
    fn number(&mut self, theirs: Option<u64>) -> u64 {
        let next = self.next.unwrap_or_else(|| theirs.unwrap_or(0));
        self.next = Some(next.saturating_add(1));
        next
    }

    fn response(&mut self, response: &ResponseView<'_>, fixes: &mut Fixes) {
        let Some(id) = response.id.get() else {
            return;
        };
        match &self.id {
            None => self.id = Some(id.to_owned()),
            Some(own) if own != id => fixes.response = Some(own.clone()),
            Some(_) => {}
        }
        // Positions are reliable only if all items are listed.
        let output = response.output.as_deref().unwrap_or_default();
        if output.len() != self.items.len() {
            return;
        }
        for (item, own) in output.iter().zip(&self.items) {
            let (theirs, own) = (item.id.get(), own.id.as_deref());
            let known = theirs.is_some_and(|id| self.by_id.contains_key(id));
            fixes.output |= own.is_some() && theirs.is_some() && theirs != own && !known;
        }
    }

    /// Checks the item of an event. Returns true if the event opens an item a second time and must
    /// be left out.
    fn item(
        &mut self,
        probe: &EventView<'_>,
        kind: &str,
        data: &str,
        before: &mut Vec<u8>,
        fixes: &mut Fixes,
    ) -> Result<bool, Error> {
        let Some(index) = probe.output_index else {
            return Ok(false);
        };
        let item_id = probe.item.as_ref().and_then(|item| item.id.get());
        let id = probe.item_id.get().or(item_id);
        let adds = kind == "response.output_item.added";
        if id.is_some_and(|id| id.len() > MAX_ID) {
            return Err(self.breach("an id in it is too long"));
        }
        let by_id = id.and_then(|id| self.by_id.get(id).copied());
        // An item is matched by its id. If the id is unknown, the provider changes ids from event
        // to event, and the index decides.
        let at = match by_id.or_else(|| self.by_index.get(&index).copied().filter(|_| !adds)) {
            Some(_) if adds => return Ok(true),
            Some(at) => at,
            // An event that comes early, or that belongs to no item, passes.
            None if !adds && !requires_open_item(kind) => return Ok(false),
            None => {
                let at = self.items.len();
                if at >= MAX_ITEMS {
                    return Err(self.breach("it has too many items"));
                }
                self.by_index.insert(index, at);
                if let Some(id) = id {
                    self.names += id.len();
                    self.by_id.insert(id.to_owned(), at);
                }
                self.items.push(Item {
                    id: id.map(str::to_owned),
                    open: true,
                });
                if !adds {
                    self.open(kind, at, id, data, before)?;
                }
                at
            }
        };
        if u64::try_from(at) != Ok(index) {
            fixes.index = Some(at);
        }
        let Some(item) = self.items.get_mut(at) else {
            return Ok(false);
        };
        if kind == "response.output_item.done" {
            item.open = false;
        }
        match (&item.id, id) {
            (None, Some(id)) => {
                item.id = Some(id.to_owned());
                self.names += id.len();
                self.by_id.insert(id.to_owned(), at);
            }
            (Some(own), Some(id)) if own != id => {
                if probe.item_id.get().is_some() {
                    fixes.item_id = Some(own.clone());
                }
                if item_id.is_some() {
                    fixes.item = Some(own.clone());
                }
            }
            _ => {}
        }
        Ok(false)
    }

    /// Opens an item that the provider continues without having opened it.
    fn open(
        &mut self,
        kind: &str,
        at: usize,
        id: Option<&str>,
        data: &str,
        before: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let of_message = ["output_text", "refusal", "content_part"]
            .iter()
            .any(|part| kind.contains(part));
        let item = if kind == "response.output_item.done" {
            member(data, "item")
        } else if of_message {
            Some(raw(&fields!({
                "id": id, "type": "message", "role": "assistant",
                "status": "in_progress", "content": [(); 0],
            })))
        } else {
            None
        };
        let Some(item) = item else {
            return Err(self.breach("it goes on with an item that it did not open"));
        };
        self.emit("response.output_item.added", at, &item, before);
        Ok(())
    }

    /// Closes the items that the provider left open, with their content in the finished response.
    fn close_items(&mut self, probe: &EventView<'_>, data: &str, before: &mut Vec<u8>) {
        let open: Vec<usize> = (0..self.items.len())
            .filter(|&at| self.items.get(at).is_some_and(|item| item.open))
            .collect();
        if open.is_empty() || probe.response.is_none() {
            return;
        }
        let output = member(data, "response")
            .and_then(|response| member(response.get(), "output"))
            .unwrap_or_else(|| raw::<[(); 0]>(&[]));
        let list = json::array(&Cow::Borrowed(&*output), &"output").unwrap_or_default();
        // If two items have the same id, the first one counts.
        let by_id: HashMap<String, usize> = list
            .iter()
            .enumerate()
            .rev()
            .filter_map(|(at, item)| Some((id_of(item)?, at)))
            .collect();
        let whole = list.len() == self.items.len();
        for at in open {
            // Matched by id, or by position if all items are listed.
            let own = self.items.get(at).and_then(|item| item.id.as_deref());
            let named = own.and_then(|own| by_id.get(own)).copied();
            let place = named.or(whole.then_some(at));
            let found = place.and_then(|place| list.get(place)).cloned();
            if let Some(item) = found {
                self.emit("response.output_item.done", at, &item, before);
            }
            if let Some(item) = self.items.get_mut(at) {
                item.open = false;
            }
        }
    }

    /// Writes an event of the gateway's own about an item.
    fn emit(&mut self, kind: &str, at: usize, item: &RawValue, out: &mut Vec<u8>) {
        self.repaired += 1;
        let number = self.number(None);
        let event = fields!({
            "type": kind, "sequence_number": number, "output_index": at, "item": item,
        });
        sse::write(out, Some(kind), raw(&event).get());
    }

    fn apply(&self, data: &str, fixes: &Fixes) -> String {
        let Ok(mut event) = serde_json::from_str::<Object<'_>>(data) else {
            return data.to_owned();
        };
        if let Some(number) = fixes.sequence {
            put(&mut event, "sequence_number", raw(&number));
        }
        if let Some(index) = fixes.index {
            put(&mut event, "output_index", raw(&index));
        }
        if let Some(id) = &fixes.item_id {
            put(&mut event, "item_id", raw(id));
        }
        if let Some(id) = &fixes.item {
            with_id(&mut event, "item", id);
        }
        if let Some(id) = &fixes.response {
            with_id(&mut event, "response", id);
        }
        if fixes.output
            && let Some(response) = event.get("response").cloned()
            && let Ok(mut response) = json::lenient_object(&response, &"response")
        {
            let list = response.get("output").cloned();
            let list = list.map(|list| json::array(&list, &"output").unwrap_or_default());
            let list: Vec<Raw<'_>> = list
                .unwrap_or_default()
                .into_iter()
                .enumerate()
                .map(|(at, text)| {
                    let own = self.items.get(at).and_then(|item| item.id.as_ref());
                    match (own, json::lenient_object(&text, &"output")) {
                        (Some(own), Ok(mut item)) if item.get("id").is_some() => {
                            put(&mut item, "id", raw(own));
                            Cow::Owned(raw(&item))
                        }
                        _ => text,
                    }
                })
                .collect();
            put(&mut response, "output", raw(&list));
            let response = raw(&response);
            put(&mut event, "response", response);
        }
        raw(&event).get().to_owned()
    }

    fn breach(&self, reason: &str) -> Error {
        Error::InvalidUpstreamResponse {
            provider: self.provider,
            reason: reason.to_owned(),
        }
    }

    fn fail(&mut self, error: &Error) -> Verdict {
        self.failed = Some(error.gateway_code());
        Verdict::Replace(self.failure(error))
    }
}

/// The most items of one response.
const MAX_ITEMS: usize = 10_000;

/// Whether the item of an event must have been opened before.
fn requires_open_item(kind: &str) -> bool {
    [
        "output_text",
        "refusal",
        "content_part",
        "function_call_arguments",
        "output_item",
    ]
    .iter()
    .any(|part| kind.contains(part))
}

impl Fixes {
    fn needed(&self) -> bool {
        self.sequence.is_some()
            || self.index.is_some()
            || self.item_id.is_some()
            || self.item.is_some()
            || self.response.is_some()
            || self.output
    }
}

fn with_id(event: &mut Object<'_>, name: &str, id: &str) {
    if let Some(inner) = event.get(name).cloned()
        && let Ok(mut inner) = json::lenient_object(&inner, &name)
    {
        put(&mut inner, "id", raw(id));
        let inner = raw(&inner);
        put(event, name.to_owned(), inner);
    }
}

/// A field of a JSON object that is given as text.
fn member(text: &str, name: &str) -> Option<Box<RawValue>> {
    let object: Object<'_> = serde_json::from_str(text).ok()?;
    object.get(name).map(|value| (**value).to_owned())
}

/// The token usage of a response object.
fn tokens(response: &RawValue) -> Option<Usage> {
    super::usage(response.get().as_bytes())
}

impl Relay for ResponsesRelay {
    fn is_complete(&self) -> bool {
        self.complete
    }

    fn pass(&mut self, events: Bytes) -> Bytes {
        sse::relay_events(events, |event| {
            if self.failed.is_some() {
                return Verdict::Replace(Vec::new());
            }
            self.event(&event.data)
        })
    }

    fn failure_code(&self) -> Option<&'static str> {
        self.failed
    }

    fn end(&mut self, _clean: bool) -> Result<Vec<u8>, Error> {
        if self.complete {
            Ok(self.closing_events())
        } else {
            Err(Error::Truncated)
        }
    }

    fn failure(&mut self, error: &Error) -> Vec<u8> {
        // An error that the provider reported says more than the failure after it.
        let told = self.closing_events();
        if !told.is_empty() {
            return told;
        }
        let mut out = Vec::new();
        let mut event = fields!({"type": "error", "sequence_number": self.number(None)});
        event.fields.append(&mut error_fields(error).fields);
        sse::write(&mut out, Some("error"), raw(&event).get());
        self.failed_response(failure_code(error), &error.to_string(), &mut out);
        out
    }

    fn held(&self) -> usize {
        let begun = self.begun.as_ref().map_or(0, |begun| begun.get().len());
        2 * self.names + self.items.len() * size_of::<Item>() + begun
    }

    fn provider_error_code(&self) -> Option<&'static str> {
        self.told
    }

    fn usage(&self) -> Option<Usage> {
        self.counted
    }

    fn repaired(&self) -> u64 {
        self.repaired
    }

    fn kept(&mut self) -> Option<(Vec<String>, ReasoningState)> {
        None
    }
}

/// The id of an item that is given as JSON text.
fn id_of(item: &Raw<'_>) -> Option<String> {
    let item = json::lenient_object(item, &"output").ok()?;
    Some(json::text(item.get("id")?, &"id").ok()?.into_owned())
}
