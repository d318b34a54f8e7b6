//! The fields of a chunk that the stream contract covers, borrowed from its text. Pure.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::codec::json::Word;

/// `chat.completion.chunk`.
#[derive(Deserialize)]
pub(super) struct ChunkView<'a> {
    #[serde(borrow, default)]
    pub id: Word<'a>,
    #[serde(borrow, default)]
    pub object: Word<'a>,
    #[serde(borrow, default)]
    pub created: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub model: Word<'a>,
    #[serde(borrow, default)]
    pub choices: Option<Vec<ChoiceView<'a>>>,
    #[serde(borrow, default)]
    pub usage: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub x_groq: Option<GroqExtension<'a>>,
}

/// The extra place where Groq writes usage.
#[derive(Deserialize)]
pub(super) struct GroqExtension<'a> {
    #[serde(borrow, default)]
    pub usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct ChoiceView<'a> {
    #[serde(default)]
    pub index: Option<u64>,
    #[serde(borrow, default)]
    pub delta: Option<DeltaView<'a>>,
    #[serde(borrow, default)]
    pub finish_reason: Word<'a>,
    #[serde(borrow, default)]
    pub error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub usage: Option<&'a RawValue>,
}

impl ChoiceView<'_> {
    /// Whether the delta has text, reasoning or tool calls.
    pub(super) fn says_something(&self) -> bool {
        let text = |text: &Word<'_>| text.get().is_some_and(|text| !text.is_empty());
        self.delta.as_ref().is_some_and(|delta| {
            let content = delta.content.map_or("null", RawValue::get);
            !matches!(content, "null" | "\"\"" | "[]")
                || text(&delta.reasoning)
                || text(&delta.reasoning_content)
                || delta
                    .tool_calls
                    .as_ref()
                    .is_some_and(|calls| !calls.is_empty())
        })
    }
}

#[derive(Deserialize)]
pub(super) struct DeltaView<'a> {
    #[serde(borrow, default)]
    pub role: Word<'a>,
    #[serde(borrow, default)]
    pub content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub reasoning: Word<'a>,
    #[serde(borrow, default)]
    pub reasoning_content: Word<'a>,
    #[serde(borrow, default)]
    pub tool_calls: Option<Vec<CallView<'a>>>,
}

#[derive(Deserialize)]
pub(super) struct CallView<'a> {
    #[serde(default)]
    pub index: Option<u64>,
    #[serde(borrow, default)]
    pub id: Member<'a>,
    #[serde(borrow, default, rename = "type")]
    pub kind: Member<'a>,
    #[serde(borrow, default)]
    pub function: Option<FunctionView<'a>>,
    #[serde(default)]
    pub custom: Option<IgnoredAny>,
    #[serde(borrow, default)]
    pub extra_content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct FunctionView<'a> {
    #[serde(borrow, default)]
    pub name: Member<'a>,
    #[serde(borrow, default)]
    pub arguments: Option<&'a RawValue>,
}

/// A string if the value is one, and whether the field is present: null is not the same as absent.
#[derive(Default)]
pub(super) struct Member<'a> {
    word: Word<'a>,
    pub is_there: bool,
}

impl Member<'_> {
    /// The string, if the value is one.
    pub(super) fn get(&self) -> Option<&str> {
        self.word.get()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Member<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = Word::deserialize(deserializer)?;
        Ok(Self {
            word,
            is_there: true,
        })
    }
}
