//! Fields that providers write in more than one format. Pure.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::codec::json::Word;

/// `content`: a string or parts; Mistral's reasoning models write parts.
pub(super) enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<Part>),
}

// An untagged enum would buffer every text to try both variants.
impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentVisitor;
        impl<'de> Visitor<'de> for ContentVisitor {
            type Value = Content<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or parts")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Content::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Content::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Content::Parts)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let part = Part::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Content::Parts(vec![part]))
            }
        }
        deserializer.deserialize_any(ContentVisitor)
    }
}

/// A content part.
#[derive(Default, Deserialize)]
pub(super) struct Part {
    #[serde(rename = "type", default, deserialize_with = "word")]
    kind: String,
    #[serde(default, deserialize_with = "word")]
    text: String,
    #[serde(default, deserialize_with = "thought")]
    thinking: String,
}

/// A string; empty if the value has another type.
fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let Word(text) = Word::deserialize(deserializer)?;
    Ok(text.map(Cow::into_owned).unwrap_or_default())
}

/// Reasoning: a string or a list of parts with `text`.
fn thought<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    struct Piece {
        #[serde(default, deserialize_with = "word")]
        text: String,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Thought {
        Text(String),
        Pieces(Vec<Piece>),
        Other(IgnoredAny),
    }
    Ok(match Thought::deserialize(deserializer)? {
        Thought::Text(text) => text,
        Thought::Pieces(pieces) => pieces.into_iter().map(|piece| piece.text).collect(),
        Thought::Other(_) => String::new(),
    })
}

impl Content<'_> {
    /// The text, if it is a string without escapes.
    pub(super) fn borrowed(&self) -> Option<&str> {
        match self {
            Self::Text(Cow::Borrowed(text)) => Some(text),
            _ => None,
        }
    }

    /// Whether it has only text and reasoning.
    pub(super) fn is_plain(&self) -> bool {
        match self {
            Self::Text(_) => true,
            Self::Parts(parts) => parts
                .iter()
                .all(|part| matches!(part.kind.as_str(), "" | "text" | "thinking")),
        }
    }

    /// The text and the reasoning.
    pub(super) fn split(self) -> (String, String) {
        let parts = match self {
            Self::Text(text) => return (text.into_owned(), String::new()),
            Self::Parts(parts) => parts,
        };
        let (mut said, mut thought) = (String::new(), String::new());
        for part in parts {
            said.push_str(&part.text);
            thought.push_str(&part.thinking);
        }
        (said, thought)
    }
}

/// The `function` of a tool call or of a fragment of one.
#[derive(Default, Deserialize)]
pub(super) struct Function {
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    arguments: Option<Box<RawValue>>,
}

impl Function {
    /// The arguments as JSON text; some providers send an object instead of a string. `None` if the
    /// string is invalid, as with an unpaired surrogate.
    pub(super) fn arguments(&self) -> Option<String> {
        let text = self.arguments.as_ref().map_or("", |raw| raw.get());
        if text.starts_with('"') {
            serde_json::from_str(text).ok()
        } else {
            Some(text.to_owned())
        }
    }
}

/// An id for a tool call that came without one. It is derived from the response's id, so that it is
/// unique in the conversation if the response has one.
pub(super) fn call_id(answer: Option<&str>, index: usize) -> String {
    let answer: String = answer
        .unwrap_or("x")
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(64)
        .collect();
    format!("call_{answer}_{index}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart() {
        let content: Content = serde_json::from_str(
            r#"[{"type":"thinking","thinking":[{"type":"text","text":"Hm. "},{"type":"text","text":"So."}]},
                {"type":"text","text":"Yes"},{"type":"reference","reference_ids":[1]}]"#,
        )
        .unwrap();
        assert_eq!(content.split(), ("Yes".to_owned(), "Hm. So.".to_owned()));
    }

    #[test]
    fn arguments_are_text_however_they_come() {
        for (json, text) in [
            (r#"{"arguments":"{\"a\":1}"}"#, r#"{"a":1}"#),
            (r#"{"arguments":{"a":1}}"#, r#"{"a":1}"#),
            (r#"{"arguments":null}"#, ""),
            ("{}", ""),
        ] {
            let function: Function = serde_json::from_str(json).unwrap();
            assert_eq!(function.arguments().as_deref(), Some(text), "{json}");
        }
        let half: Function = serde_json::from_str(r#"{"arguments":"\ud83d"}"#).unwrap();
        assert_eq!(half.arguments(), None);
    }
}
