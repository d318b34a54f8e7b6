//! Removes a key that is split over the text deltas of a stream, as when a model repeats it token
//! by token. Pure.
//!
//! No text is held back for that. The first characters of a key go out, because every provider's
//! key prefix is public; from then on, each character that continues the key is masked.

use std::collections::HashMap;

use bytes::Bytes;
use memchr::memchr_iter;
use serde_json::Value;

use crate::codec::sse;
use crate::secret::{MASK, Secret};

/// Maximum number of bytes of a key that go out; of a short key at most half.
const SHOWN: usize = 16;

/// Maximum number of texts whose ends are tracked; beyond it, tracking starts over.
const MOST_TEXTS: usize = 64;

/// How many bytes of the key a text ends with, and whether the mask was already written for them.
#[derive(Debug, Clone, Copy, Default)]
struct PartialMatch {
    matched: usize,
    masked: bool,
}

/// Searches the texts that a stream's deltas form for a key.
pub(super) struct SplitKeyScanner {
    key: Secret,
    /// The failure table of Knuth, Morris and Pratt: for each prefix of the key, the length of its
    /// longest proper prefix that is also its suffix.
    shorter: Vec<usize>,
    shown: usize,
    /// The texts that end with a prefix of the key, by the position of their deltas.
    texts: HashMap<String, PartialMatch>,
}

impl SplitKeyScanner {
    /// The scanner for a key; `None` if the key may be an ordinary word.
    pub(super) fn of(key: &Secret) -> Option<Self> {
        if !key.is_redactable() {
            return None;
        }
        let bytes = key.expose().as_bytes();
        let mut shorter = vec![0; bytes.len()];
        for at in 1..bytes.len() {
            let mut matched = *shorter.get(at - 1)?;
            while matched > 0 && bytes.get(matched) != bytes.get(at) {
                matched = *shorter.get(matched - 1)?;
            }
            *shorter.get_mut(at)? = matched + usize::from(bytes.get(matched) == bytes.get(at));
        }
        Some(Self {
            shorter,
            shown: SHOWN.min(bytes.len() / 2),
            key: key.clone(),
            texts: HashMap::new(),
        })
    }

    /// The events, with the parts of a split key masked.
    pub(super) fn events(&mut self, events: Bytes) -> Bytes {
        if self.texts.is_empty() && !self.may_begin(&events) {
            return events;
        }
        let mut out = Vec::new();
        let mut found = false;
        for event in sse::events(&events) {
            let cleaned = serde_json::from_str::<Value>(&event.data)
                .ok()
                .and_then(|mut value| {
                    let changed = self.walk(&mut value, &mut String::new(), false);
                    changed.then(|| value.to_string())
                });
            found |= cleaned.is_some();
            let data = cleaned.as_deref().unwrap_or(&event.data);
            sse::write(&mut out, event.name.as_deref(), data);
        }
        if found { Bytes::from(out) } else { events }
    }

    /// Whether a text in these events may end with a prefix of the key. Does not parse the JSON.
    fn may_begin(&self, events: &[u8]) -> bool {
        let key = self.key.expose().as_bytes();
        let Some(first) = key.first() else {
            return false;
        };
        memchr_iter(*first, events).any(|at| {
            let rest = events.get(at..).unwrap_or_default();
            let matched = rest.iter().zip(key).take_while(|(a, b)| a == b).count();
            // The quote may also end a member name, which a colon follows.
            rest.get(matched) == Some(&b'"') && rest.get(matched + 1) != Some(&b':')
        })
    }

    /// Scans the texts of the deltas in a value; returns whether one changed. `place` is the path
    /// to the value, with the indices that tell its siblings apart.
    fn walk(&mut self, value: &mut Value, place: &mut String, in_delta: bool) -> bool {
        let length = place.len();
        let mut changed = false;
        match value {
            Value::String(text) if in_delta => {
                let mut ended = self.texts.remove(place).unwrap_or_default();
                if let Some(clean) = self.go_on(&mut ended, text) {
                    *text = clean;
                    changed = true;
                }
                if ended.matched > 0 {
                    if self.texts.len() >= MOST_TEXTS {
                        self.texts.clear();
                    }
                    self.texts.insert(place.clone(), ended);
                }
            }
            Value::Array(list) => {
                for (n, value) in list.iter_mut().enumerate() {
                    place.push('/');
                    place.push_str(&n.to_string());
                    changed |= self.walk(value, place, in_delta);
                    place.truncate(length);
                }
            }
            Value::Object(members) => {
                for (name, value) in members.iter() {
                    if name.ends_with("index")
                        && let Some(index) = value.as_u64()
                    {
                        place.push('#');
                        place.push_str(&index.to_string());
                    }
                }
                let own = place.len();
                // These are words of the protocol, which each event has whole.
                let words = ["type", "role"];
                for (name, value) in members.iter_mut() {
                    if words.contains(&name.as_str()) {
                        continue;
                    }
                    place.push('/');
                    place.push_str(name);
                    changed |= self.walk(value, place, in_delta || name == "delta");
                    place.truncate(own);
                }
                place.truncate(length);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        changed
    }

    /// Scans the next part of a text. Returns it with the key masked; `None` if nothing changed.
    fn go_on(&self, ended: &mut PartialMatch, text: &str) -> Option<String> {
        let key = self.key.expose().as_bytes();
        let mut out: Vec<u8> = Vec::new();
        let mut changed = false;
        for (at, byte) in text.bytes().enumerate() {
            let before = ended.matched;
            while ended.matched > 0 && key.get(ended.matched) != Some(&byte) {
                ended.matched = self.shorter.get(ended.matched - 1).copied().unwrap_or(0);
            }
            ended.matched += usize::from(key.get(ended.matched) == Some(&byte));
            ended.masked &= ended.matched > before;
            if ended.matched > self.shown {
                if !changed {
                    out.extend(text.bytes().take(at));
                    changed = true;
                }
                if !ended.masked {
                    out.extend_from_slice(MASK.as_bytes());
                    ended.masked = true;
                }
            } else if changed {
                out.push(byte);
            }
            if ended.matched == key.len() {
                *ended = PartialMatch::default();
            }
        }
        changed.then(|| String::from_utf8_lossy(&out).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk-ant-api03-0123456789abcdefghijklmnop";

    type Delta = fn(usize, &str) -> Value;

    const DIALECTS: [Delta; 4] = [
        |n, text| serde_json::json!({"id": "ends-with-s", "choices": [{"index": n, "delta": {"content": text}}]}),
        |n, text| {
            serde_json::json!({"choices": [{"index": 0, "delta":
                {"tool_calls": [{"index": n, "function": {"arguments": text}}]}}]})
        },
        |n, text| serde_json::json!({"type": "response.output_text.delta", "output_index": n, "delta": text}),
        |n, text| {
            serde_json::json!({"type": "content_block_delta", "index": n,
                "delta": {"type": "text_delta", "text": text}})
        },
    ];

    /// The texts of a stream by index, as the client joins them.
    fn joined(
        spread: &mut SplitKeyScanner,
        dialect: Delta,
        pieces: &[(usize, &str)],
    ) -> [String; 2] {
        let mut texts = [String::new(), String::new()];
        for (n, piece) in pieces {
            let event = Bytes::from(format!("data: {}\n\n", dialect(*n, piece)));
            let out = spread.events(event);
            let event = sse::events(&out).next().unwrap();
            let value: Value = serde_json::from_str(&event.data).unwrap();
            let mut list = vec![&value];
            while let Some(value) = list.pop() {
                match value {
                    Value::Object(members) => list.extend(
                        members
                            .iter()
                            .filter(|(name, _)| !["type", "id"].contains(&name.as_str()))
                            .map(|(_, value)| value),
                    ),
                    Value::Array(inner) => list.extend(inner),
                    Value::String(text) => texts[*n].push_str(text),
                    _ => {}
                }
            }
        }
        texts
    }

    #[test]
    fn a_key_in_pieces_is_masked_wherever_it_is_cut() {
        let secret = Secret::new(KEY);
        for dialect in DIALECTS {
            for cut in 1..KEY.len() {
                let (a, b) = KEY.split_at(cut);
                let (begin, end) = (format!("It is {a}"), format!("{b}, they say."));
                let pieces = [
                    (0, begin.as_str()),
                    (1, "sk-"),
                    (0, ""),
                    (0, &end),
                    (1, "ok"),
                ];
                let mut spread = SplitKeyScanner::of(&secret).unwrap();
                let [text, other] = joined(&mut spread, dialect, &pieces);
                assert!(
                    !text.contains(KEY) && !text.contains("0123456"),
                    "{cut}: {text}"
                );
                assert!(text.starts_with("It is sk-ant-api03-"), "{text}");
                assert!(text.ends_with("[redacted], they say."), "{text}");
                assert_eq!(other, "sk-ok");
            }
            let bytes = KEY.split("").filter(|piece| !piece.is_empty());
            let single: Vec<_> = bytes.map(|piece| (0, piece)).collect();
            let mut spread = SplitKeyScanner::of(&secret).unwrap();
            let [text, _] = joined(&mut spread, dialect, &single);
            assert_eq!(text, "sk-ant-api03-012[redacted]");
        }
    }

    #[test]
    fn what_only_begins_like_the_key_stays_and_so_does_every_other_byte() {
        let mut spread = SplitKeyScanner::of(&Secret::new(KEY)).unwrap();
        for pieces in [["sk-ant-api03", "-x"], ["sks", "k-ants"], ["s", "\u{e9}s"]] {
            let pieces = [(0, pieces[0]), (0, pieces[1])];
            let [text, _] = joined(&mut spread, DIALECTS[0], &pieces);
            assert_eq!(text, format!("{}{}", pieces[0].1, pieces[1].1));
        }
        for event in [
            "data:  {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"words\"}}]}\r\n\r\n",
            ": comments\n\ndata: no JSON s\n\n",
            "data: [DONE]\n\n",
        ] {
            let event = Bytes::from(event);
            assert_eq!(spread.events(event.clone()), event);
        }
    }

    #[test]
    fn a_key_that_repeats_itself_is_found() {
        let key = "aabaabaacaabaabaac-aabaabaad";
        let mut spread = SplitKeyScanner::of(&Secret::new(key)).unwrap();
        let text = format!("aab{key}aab");
        for cut in 1..text.len() {
            let (a, b) = text.split_at(cut);
            let [out, _] = joined(&mut spread, DIALECTS[0], &[(0, a), (0, b), (0, ".")]);
            assert!(
                !out.contains(key) && out.contains("[redacted]"),
                "{cut}: {out}"
            );
        }
    }

    #[test]
    fn texts_without_an_end_are_not_remembered_without_end() {
        let mut spread = SplitKeyScanner::of(&Secret::new(KEY)).unwrap();
        for n in 0..1000 {
            let event = format!("data: {}\n\n", DIALECTS[0](n, "ends"));
            spread.events(Bytes::from(event));
            assert!(spread.texts.len() <= MOST_TEXTS);
        }
    }
}
