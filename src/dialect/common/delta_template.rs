//! Recognizes events that differ from an earlier one in their text only. Pure.
//!
//! Most events of a stream differ in a few words of text. If an event equals the template byte for
//! byte except for its text, its meaning is known, and it need not be parsed.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memmem};

use crate::codec::scan;

/// Random text that some providers add to each chunk, so that its length reveals nothing.
const PADDING: &[u8] = b"\"obfuscation\":\"";

/// An event without the texts that may differ in the next event.
pub(in crate::dialect) struct DeltaTemplate {
    /// The bytes before, between and after the texts. The quotes belong to the pieces.
    pieces: Vec<Box<[u8]>>,
    /// Number of pieces before the text; a value of 2 means that the padding comes first.
    text: usize,
}

impl DeltaTemplate {
    /// Creates a template from the bytes of one event. `text` is the range of its text, with
    /// quotes.
    pub(in crate::dialect) fn learn(event: &[u8], text: Range<usize>) -> Option<Self> {
        let mut holes = Vec::with_capacity(2);
        holes.push(text.start + 1..text.end.checked_sub(1)?);
        let mut before = 1;
        let padding = memmem::find(event, PADDING).map(|at| at + PADDING.len());
        if let Some(start) = padding.filter(|at| !text.contains(at)) {
            let hole = start..start + string(event, start)?;
            if start < text.start {
                holes.insert(0, hole);
                before = 2;
            } else {
                holes.push(hole);
            }
        }
        let mut pieces = Vec::with_capacity(holes.len() + 1);
        let mut from = 0;
        for hole in holes {
            pieces.push(event.get(from..hole.start)?.into());
            from = hole.end;
        }
        pieces.push(event.get(from..)?.into());
        Some(Self {
            pieces,
            text: before,
        })
    }

    /// Creates a template from an event. `text` must be a slice of `event`, without the quotes.
    pub(in crate::dialect) fn learn_from(event: &str, text: &str) -> Option<Self> {
        let start = (text.as_ptr() as usize).checked_sub(event.as_ptr() as usize)?;
        let end = start.checked_add(text.len())?;
        if end >= event.len() {
            return None;
        }
        Self::learn(event.as_bytes(), start.checked_sub(1)?..end + 1)
    }

    /// Whether an event equals the template except for its texts. An empty text does not match.
    pub(in crate::dialect) fn fits(&self, event: &[u8]) -> bool {
        self.place(event).is_some()
    }

    /// The text of an event that equals the template except for its texts. `None` if the event does
    /// not match; an empty text does not match.
    pub(in crate::dialect) fn text<'e>(&self, event: &'e str) -> Option<Cow<'e, str>> {
        let place = self.place(event.as_bytes())?;
        let text = event.get(place.clone())?;
        if memchr(b'\\', text.as_bytes()).is_none() {
            return Some(Cow::Borrowed(text));
        }
        let quoted = event.get(place.start.checked_sub(1)?..=place.end)?;
        // Half of a surrogate pair is no valid string. Such an event is left to the full parser.
        serde_json::from_str(quoted).ok().map(Cow::Owned)
    }

    /// The range of the text in a matching event, without its quotes.
    fn place(&self, event: &[u8]) -> Option<Range<usize>> {
        let mut at = 0;
        let mut place = None;
        for (n, piece) in self.pieces.iter().enumerate() {
            if n > 0 {
                let length = string(event, at).filter(|length| *length > 0)?;
                if n == self.text {
                    place = Some(at..at + length);
                }
                at += length;
            }
            if !event.get(at..)?.starts_with(piece) {
                return None;
            }
            at += piece.len();
        }
        place.filter(|_| at == event.len())
    }
}

/// The length of the JSON string whose content begins at `start`, after its opening quote. `None`
/// if it is not a valid JSON string in UTF-8.
fn string(bytes: &[u8], start: usize) -> Option<usize> {
    let (length, _) = scan::string(bytes, start)?;
    let text = bytes.get(start..start + length)?;
    std::str::from_utf8(text).is_ok().then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(event: &str, text: &str) -> DeltaTemplate {
        let start = event.find(text).unwrap();
        DeltaTemplate::learn(event.as_bytes(), start..start + text.len()).unwrap()
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

    #[test]
    fn its_text_is_read_wherever_the_padding_stands() {
        for event in [
            "{\"text\":\"Hi\",\"obfuscation\":\"abc\"}",
            "{\"obfuscation\":\"abc\",\"text\":\"Hi\"}",
            "{\"text\":\"Hi\"}",
        ] {
            let at = event.find("Hi").unwrap();
            let plain = DeltaTemplate::learn_from(event, event.get(at..at + 2).unwrap()).unwrap();
            for (text, read) in [
                ("you", Some("you")),
                ("a\\n\\u00fc", Some("a\n\u{fc}")),
                ("\\ud83d", None),
                ("", None),
            ] {
                let next = event.replace("Hi", text).replace("abc", "x");
                assert_eq!(plain.text(&next).as_deref(), read, "{next}");
            }
        }
    }
}
