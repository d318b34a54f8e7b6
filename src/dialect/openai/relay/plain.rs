//! The usual chunk: the same as the one before, but for its text. Pure.
//!
//! Most chunks of a stream differ in nothing but a few words. One that is byte for byte the last one,
//! which was found in order, with another text where that one had its text, is in order as well: it
//! need not be taken apart again.

use memchr::{memchr2, memmem};
use serde::de::IgnoredAny;

/// What some providers fill up each chunk with, so that its length tells nothing.
const PADDING: &[u8] = b"\"obfuscation\":\"";

/// An event in order, without the texts that may differ in the next.
pub(super) struct Plain {
    /// What stands before, between and after them, quotes included.
    pieces: Vec<Box<[u8]>>,
}

impl Plain {
    /// Learns from the bytes of one event whose text, quotes included, stands at `text`.
    pub(super) fn learn(event: &[u8], text: std::ops::Range<usize>) -> Option<Self> {
        let mut holes = Vec::with_capacity(2);
        holes.push(text.start + 1..text.end.checked_sub(1)?);
        let padding = memmem::find(event, PADDING).map(|at| at + PADDING.len());
        if let Some(start) = padding.filter(|at| !text.contains(at)) {
            holes.push(start..start + string(event, start)?);
            holes.sort_by_key(|hole| hole.start);
        }
        let mut pieces = Vec::with_capacity(holes.len() + 1);
        let mut from = 0;
        for hole in holes {
            pieces.push(event.get(from..hole.start)?.into());
            from = hole.end;
        }
        pieces.push(event.get(from..)?.into());
        Some(Self { pieces })
    }

    /// Whether an event is the same but for its texts, which are not empty.
    pub(super) fn fits(&self, event: &[u8]) -> bool {
        let mut at = 0;
        let mut pieces = self.pieces.iter().peekable();
        while let Some(piece) = pieces.next() {
            if !event.get(at..).is_some_and(|rest| rest.starts_with(piece)) {
                return false;
            }
            at += piece.len();
            if pieces.peek().is_some() {
                match string(event, at) {
                    Some(0) | None => return false,
                    Some(length) => at += length,
                }
            }
        }
        at == event.len()
    }
}

/// The length of the JSON text that begins at `start`, behind its quote; `None` where it is none.
fn string(bytes: &[u8], start: usize) -> Option<usize> {
    let rest = bytes.get(start..)?;
    let mut length = 0;
    let mut escaped = false;
    loop {
        let at = memchr2(b'"', b'\\', rest.get(length..)?)?;
        length += at;
        if rest.get(length) == Some(&b'"') {
            break;
        }
        escaped = true;
        length += 2;
    }
    let text = rest.get(..length)?;
    // RFC 8259, section 7: characters below the space are escaped.
    if text.iter().any(|byte| *byte < 0x20) || std::str::from_utf8(text).is_err() {
        return None;
    }
    if escaped {
        let quoted = bytes.get(start.checked_sub(1)?..=start + length)?;
        serde_json::from_slice::<IgnoredAny>(quoted).ok()?;
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::super::{ChatRelay, Relay};
    use super::*;
    use crate::dialect::Stamp;
    use crate::dialect::openai::ChatClient;
    use crate::providers::{PROVIDERS, Speaks};
    use bytes::Bytes;
    use proptest::prelude::*;

    fn plain(event: &str, text: &str) -> Plain {
        let start = event.find(text).unwrap();
        Plain::learn(event.as_bytes(), start..start + text.len()).unwrap()
    }

    #[test]
    fn only_another_text_at_the_same_place_fits() {
        let plain = plain(
            "data: {\"a\":1,\"content\":\"Hi\",\"b\":null}\n\n",
            "\"Hi\"",
        );
        for (text, fits) in [
            ("you", true),
            ("\u{fc} \u{1f980}", true),
            ("a \\\" b \\n \\u00e4", true),
            ("", false),
            ("a\" , \"b", false),
            ("\\x", false),
            ("\\", false),
            ("a\nb", false),
            ("a\tb", false),
        ] {
            let event = format!("data: {{\"a\":1,\"content\":\"{text}\",\"b\":null}}\n\n");
            assert_eq!(plain.fits(event.as_bytes()), fits, "{text:?}");
        }
        for other in [
            "data: {\"a\":2,\"content\":\"Hi\",\"b\":null}\n\n",
            "data: {\"a\":1,\"content\":\"Hi\",\"b\":1}\n\n",
            "data: {\"a\":1,\"content\":\"Hi\",\"b\":null}\n\ndata: x\n\n",
            "data: {\"a\":1,\"content\":\"Hi",
            "",
        ] {
            assert!(!plain.fits(other.as_bytes()), "{other}");
        }
        assert!(!plain.fits(b"data: {\"a\":1,\"content\":\"\xff\",\"b\":null}\n\n"));
    }

    #[test]
    fn padding_may_differ_as_well() {
        let plain = plain(
            "data: {\"content\":\"Hi\",\"obfuscation\":\"abc\"}\n\n",
            "\"Hi\"",
        );
        assert!(plain.fits(b"data: {\"content\":\"you\",\"obfuscation\":\"x\"}\n\n"));
        assert!(!plain.fits(b"data: {\"content\":\"you\",\"obfuscation\":1}\n\n"));
    }

    fn relay(include_usage: bool) -> ChatRelay {
        let client = ChatClient {
            stamp: Stamp {
                created: 1,
                seed: 1,
                now: || 1,
            },
            model: "m".to_owned(),
            include_usage,
            functions: false,
            json_object: false,
        };
        let Speaks::Chat(provider) = PROVIDERS[0].speaks else {
            unreachable!()
        };
        ChatRelay::new(provider, "openai", client)
    }

    fn chunk() -> impl Strategy<Value = String> {
        let text = prop_oneof![
            Just("\"Hi\"".to_owned()),
            any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
            Just("\"\"".to_owned()),
            Just("null".to_owned()),
            Just("\"a\\x\"".to_owned()),
            Just("[]".to_owned()),
        ];
        let rest = prop_oneof![
            8 => Just("\"finish_reason\":null}]"),
            1 => Just("\"finish_reason\":\"stop\"}]"),
            1 => Just("\"finish_reason\":null}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}"),
            1 => Just("\"finish_reason\":null}],\"usage\":null"),
            1 => Just("\"finish_reason\":null}],\"error\":{\"message\":\"x\"}"),
        ];
        let more = prop_oneof![
            8 => Just(""),
            1 => Just("\"role\":\"assistant\","),
            1 => Just("\"reasoning_content\":\"r\","),
        ];
        let id = prop_oneof![8 => Just("c"), 1 => Just("d")];
        (id, text, more, rest, 0..2_u8).prop_map(|(id, text, more, rest, index)| {
            format!("data: {{\"id\":\"{id}\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{{\"index\":{index},\"delta\":{{{more}\"content\":{text}}},{rest}}}\n\n")
        })
    }

    proptest! {
        /// What is learned from one event never changes what becomes of the next.
        #[test]
        fn a_usual_chunk_is_judged_as_if_it_were_taken_apart(
            chunks in prop::collection::vec(chunk(), 1..12),
            include_usage: bool,
        ) {
            let (mut quick, mut slow) = (relay(include_usage), relay(include_usage));
            for chunk in chunks {
                // The same text twice, so that there is something to learn from.
                for _ in 0..2 {
                    slow.plain = None;
                    let events = Bytes::from(chunk.clone());
                    prop_assert_eq!(quick.pass(events.clone()), slow.pass(events));
                    prop_assert_eq!(quick.ended(), slow.ended());
                    prop_assert_eq!(quick.repaired(), slow.repaired());
                    prop_assert_eq!(quick.usage(), slow.usage());
                }
            }
            prop_assert_eq!(quick.end(true), slow.end(true));
        }
    }

    #[test]
    fn a_usual_chunk_is_learned() {
        let mut relay = relay(false);
        let chunk = |text: &str, role: &str| {
            Bytes::from(format!(
                "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{{role}\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n"
            ))
        };
        relay.pass(chunk("a", "\"role\":\"assistant\","));
        assert!(relay.plain.is_none(), "a role is said once");
        relay.pass(chunk("b", ""));
        let plain = relay.plain.as_ref().expect("the second is usual");
        assert!(plain.fits(&chunk("other words", "")));
    }
}
