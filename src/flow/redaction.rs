//! Removes keys from what a provider sends in a successful response. Pure.
//!
//! The key of the call is removed everywhere, unless it is so short that it may be an ordinary
//! word. Text that only looks like a key is removed from errors alone: in a model's output it
//! belongs to the caller.

use std::borrow::Cow;
use std::sync::LazyLock;

use bytes::Bytes;
use memchr::memmem::{self, Finder};
use serde_json::Value;

use super::split_key::SplitKeyScanner;
use crate::codec::sse;
use crate::error::ProviderError;
use crate::secret::{Secret, redact, without_key};

/// Prepared once, because every chunk is searched for them.
static WORD: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("error"));
static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"error\""));
static SLASH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\\/"));
static ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\\u"));

/// A whole response without keys, however its JSON spells them.
pub(super) fn whole(body: Bytes, key: &Secret) -> Bytes {
    let exposed = key.expose().as_bytes();
    let body = if key.is_redactable() && memmem::find(&body, exposed).is_some() {
        let text = String::from_utf8_lossy(&body);
        Bytes::from(without_key(&text, key).into_owned())
    } else {
        body
    };
    // The key may be spelled with escapes. Serializing the value again gives one spelling.
    let spelt = key.is_redactable() && may_spell(&body, key);
    if !spelt && !has_error(&body) {
        return body;
    }
    match serde_json::from_slice(&body) {
        Ok(value) => clean(None, value, key).map_or(body, Bytes::from),
        Err(_) => body,
    }
}

/// Whether a JSON text may spell the key with escapes, which no encoder does without need.
fn may_spell(text: &[u8], key: &Secret) -> bool {
    let key = key.expose().as_bytes();
    let spelt = ESCAPE.find_iter(text).any(|at| {
        let digits = text
            .get(at + 2..at + 6)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        code.is_some_and(|code| key.contains(&code))
    });
    spelt || (key.contains(&b'/') && SLASH.find(text).is_some())
}

/// Removes the key of a stream's call from each chunk.
pub(super) struct Redactor {
    key: Secret,
    /// `None` for a key that may be an ordinary word.
    finder: Option<Finder<'static>>,
    /// `None` for such a key.
    spread: Option<SplitKeyScanner>,
}

impl Redactor {
    pub(super) fn new(key: Secret) -> Self {
        Self {
            finder: key
                .is_redactable()
                .then(|| Finder::new(key.expose()).into_owned()),
            spread: SplitKeyScanner::of(&key),
            key,
        }
    }

    /// Removes everything that looks like a key from an error.
    pub(super) fn error(&self, error: &mut ProviderError) {
        crate::dialect::redact_error(error, &self.key);
    }

    /// A provider's events without keys, including a key that is split over several deltas.
    pub(super) fn of_provider(&mut self, events: Bytes) -> Bytes {
        let events = self.events(events);
        match &mut self.spread {
            Some(spread) => spread.events(events),
            None => events,
        }
    }

    /// Events without keys that stand in one event.
    pub(super) fn events(&self, events: Bytes) -> Bytes {
        // The event name `error` has no quotes, so the bare word is searched for.
        let has_key = |finder: &Finder<'_>| finder.find(&events).is_some();
        let spells = || self.key.is_redactable() && may_spell(&events, &self.key);
        if WORD.find(&events).is_none() && !self.finder.as_ref().is_some_and(has_key) && !spells() {
            return events;
        }
        clean_events(events, &self.key)
    }
}

fn clean_events(events: Bytes, key: &Secret) -> Bytes {
    let mut out = Vec::new();
    let mut found = false;
    for event in sse::events(&events) {
        let name = event.name.as_deref();
        let cleaned = match serde_json::from_str::<Value>(&event.data) {
            Ok(value) => clean(name, value, key),
            Err(_) => match redact(&event.data, Some(key)) {
                Cow::Owned(text) if text != event.data => Some(text.replace(['\n', '\r'], " ")),
                _ => None,
            },
        };
        found = found || cleaned.is_some();
        sse::write(&mut out, name, cleaned.as_deref().unwrap_or(&event.data));
    }
    if found { Bytes::from(out) } else { events }
}

/// The JSON text of a value without keys; `None` if the value has none.
fn clean(event: Option<&str>, mut value: Value, key: &Secret) -> Option<String> {
    let is_error = event == Some("error")
        || value.get("type").and_then(Value::as_str) == Some("error")
        || value.get("object").and_then(Value::as_str) == Some("error");
    let places = if is_error {
        [""].as_slice()
    } else {
        &["/error", "/response/error"]
    };
    let mut cleaned = false;
    for place in places {
        if let Some(error) = value.pointer_mut(place) {
            cleaned |= redact_key_shapes(error, key);
        }
    }
    let text = value.to_string();
    match without_key(&text, key) {
        Cow::Owned(text) if key.is_redactable() => Some(text),
        _ => cleaned.then_some(text),
    }
}

/// Removes everything that looks like a key from a value; returns whether there was anything.
fn redact_key_shapes(value: &mut Value, key: &Secret) -> bool {
    let text = value.to_string();
    let Cow::Owned(clean) = redact(&text, Some(key)) else {
        return false;
    };
    if clean == text {
        return false;
    }
    // The mask has no character that JSON would have to escape.
    *value = serde_json::from_str(&clean).unwrap_or(Value::Null);
    true
}

/// Whether the body has an `error` that is not null, as a member or as a type.
fn has_error(body: &[u8]) -> bool {
    ERROR.find_iter(body).any(|at| {
        let after = body.get(at..).unwrap_or_default().get("\"error\"".len()..);
        let after = after.unwrap_or_default().trim_ascii_start();
        let value = after.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        value.is_none_or(|value| !value.starts_with(b"null"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHERS: &str = "sk-proj-abcdefghijklmnop";

    fn key() -> Secret {
        Secret::new("plain-key")
    }

    #[test]
    fn in_an_error_what_is_shaped_like_a_key_is_none_any_more() {
        for body in [
            format!(
                r#"{{"status":"failed","error":{{"message":"no: {OTHERS}"}},"output":["kept"]}}"#
            ),
            format!(
                r#"{{"type":"response.failed","response":{{"error": {{"code":"{OTHERS}"}}}}}}"#
            ),
            format!(r#"{{"error":"{}"}}"#, OTHERS.replace('-', "\\u002d")),
        ] {
            let event = Bytes::from(format!("event: x\ndata: {body}\n\n"));
            for clean in [
                whole(body.clone().into(), &key()),
                Redactor::new(key()).events(event),
            ] {
                let text = String::from_utf8(clean.to_vec()).unwrap();
                assert!(!text.contains("abcdefgh"), "{text}");
                assert!(text.contains("[redacted]"), "{text}");
                assert_eq!(text.contains("kept"), body.contains("kept"));
            }
        }
        for (begin, end) in [
            ("event: error\ndata: {\"m\":\"", "\"}\n\n"),
            ("data: {\"type\":\"error\",\"message\":\"", "\"}\n\n"),
        ] {
            let clean = Redactor::new(key()).events(format!("{begin}{OTHERS}{end}").into());
            assert_eq!(clean, format!("{begin}[redacted]{end}"));
        }
    }

    #[test]
    fn what_a_model_wrote_stays_byte_for_byte() {
        for body in [
            format!(r#"{{"error" : null, "output": "\u00fc {OTHERS}"}}"#),
            format!(r#"{{"output": "the \"error\" {OTHERS}"}}"#),
            format!(r#"{{"item":{{"error": "{OTHERS}"}}}}"#),
        ] {
            let event = Bytes::from(format!("data:{body}\r\n\r\n"));
            assert_eq!(Redactor::new(key()).events(event.clone()), event);
            let body = Bytes::from(body);
            assert_eq!(whole(body.clone(), &key()), body);
        }
    }

    #[test]
    fn the_key_itself_stays_nowhere() {
        for body in [
            format!(r#"{{"output":"plain-key {OTHERS}"}}"#),
            r#"{"detail":"plain-key"}"#.to_owned(),
            r#"{"error":null,"output":"plain\u002dkey"}"#.to_owned(),
            r#"{"item":{"error":"plain\u002dkey"}}"#.to_owned(),
        ] {
            let event = Bytes::from(format!("data: {body}\n\n"));
            for clean in [
                whole(body.clone().into(), &key()),
                Redactor::new(key()).events(event),
            ] {
                let text = String::from_utf8(clean.to_vec()).unwrap();
                assert!(text.contains("[redacted]"), "{body}: {text}");
                assert!(!text.contains("plain"), "{body}: {text}");
                assert_eq!(text.contains(OTHERS), body.contains(OTHERS), "{text}");
            }
        }
        let both = format!(r#"{{"error":"{OTHERS}","response":{{"error":"{OTHERS}"}}}}"#);
        let clean = whole(both.into(), &key());
        assert_eq!(
            clean,
            r#"{"error":"[redacted]","response":{"error":"[redacted]"}}"#
        );
    }

    #[test]
    fn a_key_that_is_a_word_stays_in_what_a_model_wrote() {
        let key = || Secret::new("ollama");
        for body in [
            format!(r#"{{ "output": "run ollama, {OTHERS}" }}"#),
            r#"{"error" : null,"output": "an error of ollama \u00fc"}"#.to_owned(),
        ] {
            let event = Bytes::from(format!("data:{body}\r\n\r\n"));
            assert_eq!(Redactor::new(key()).events(event.clone()), event);
            let body = Bytes::from(body);
            assert_eq!(whole(body.clone(), &key()), body);
        }
        let error = r#"{"error":"wrong key ollama"}"#;
        let clean = whole(error.into(), &key());
        assert_eq!(clean, r#"{"error":"wrong key [redacted]"}"#);
    }
}
