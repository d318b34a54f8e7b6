//! Reads and writes server-sent events (WHATWG HTML, section "Parsing an event stream"). Pure.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// Splits a byte stream at event boundaries.
///
/// The result of [`Framer::push`] always ends at the end of an event, so that it can be relayed,
/// and followed by an event of the gateway, at any time.
#[derive(Debug)]
pub struct Framer {
    tail: BytesMut,
    limit: usize,
}

/// An event is larger than the limit.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLong;

impl Framer {
    /// `limit` is the largest number of bytes that are buffered for an incomplete event.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            tail: BytesMut::new(),
            limit,
        }
    }

    /// Takes the next bytes; returns all events that are complete now, possibly none.
    ///
    /// Copies nothing unless an event is split over several inputs.
    ///
    /// # Errors
    /// [`TooLong`] if the buffered bytes exceed the limit.
    pub fn push(&mut self, mut input: Bytes) -> Result<Bytes, TooLong> {
        if self.tail.is_empty() {
            let whole = input.split_to(complete_len(&input, 0));
            self.keep(&input)?;
            return Ok(whole);
        }
        let scanned = self.tail.len().saturating_sub(2);
        self.keep(&input)?;
        let len = complete_len(&self.tail, scanned);
        let whole = self.tail.split_to(len).freeze();
        if self.tail.is_empty() {
            // Free the memory of a large event while the stream is idle.
            self.tail = BytesMut::new();
        }
        Ok(whole)
    }

    /// Whether an event has begun and is not complete.
    #[must_use]
    pub fn has_partial(&self) -> bool {
        !self.tail.trim_ascii().is_empty()
    }

    /// The incomplete event at the end of the stream, for providers that omit the last blank line.
    #[must_use]
    pub fn finish(&mut self) -> Bytes {
        self.tail.split().freeze()
    }

    fn keep(&mut self, input: &[u8]) -> Result<(), TooLong> {
        if self.tail.len() + input.len() > self.limit {
            return Err(TooLong);
        }
        self.tail.extend_from_slice(input);
        Ok(())
    }
}

/// Whether the byte at `at` ends an empty line, and so an event.
fn ends_event(bytes: &[u8], at: usize) -> bool {
    let byte = |back: usize| at.checked_sub(back).and_then(|i| bytes.get(i)).copied();
    let is_end = |b: Option<u8>| matches!(b, None | Some(b'\n' | b'\r'));
    match byte(0) {
        Some(b'\n') if byte(1) == Some(b'\r') => is_end(byte(2)),
        Some(b'\n' | b'\r') => is_end(byte(1)),
        _ => false,
    }
}

/// The length of the prefix that consists of complete events. Does not search before `from`.
fn complete_len(bytes: &[u8], from: usize) -> usize {
    let mut end = bytes.len();
    while let Some(at) = bytes
        .get(from..end)
        .and_then(|part| memchr::memrchr2(b'\n', b'\r', part))
    {
        if ends_event(bytes, from + at) {
            return from + at + 1;
        }
        end = from + at;
    }
    0
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// The `event:` line, if any.
    pub name: Option<Cow<'a, str>>,
    /// The `data:` lines, joined by line feeds.
    pub data: Cow<'a, str>,
}

/// The events in bytes that [`Framer::push`] returned. Comments and events without data are
/// skipped, as the specification requires.
pub fn events(bytes: &[u8]) -> impl Iterator<Item = Event<'_>> {
    blocks(bytes).filter_map(|(_, event)| event)
}

/// The blocks in bytes that [`Framer::push`] returned, each with its empty line, and the event of
/// the block; `None` for comments and events without data.
#[must_use]
pub fn blocks(bytes: &[u8]) -> Blocks<'_> {
    Blocks { bytes, at: 0 }
}

/// The iterator of [`blocks`].
#[derive(Debug)]
pub struct Blocks<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Blocks<'a> {
    type Item = (&'a [u8], Option<Event<'a>>);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        let mut name = None;
        let mut data: Option<Cow<'a, str>> = None;
        while let Some(line) = self.line() {
            // The stream may begin with a byte order mark. One at the start of any other line is
            // also skipped.
            let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
            if line.is_empty() {
                break;
            }
            let (field, value) = match memchr::memchr(b':', line) {
                Some(at) => {
                    let value = line.get(at + 1..).unwrap_or_default();
                    let value = value.strip_prefix(b" ").unwrap_or(value);
                    (line.get(..at).unwrap_or_default(), value)
                }
                None => (line, &[][..]),
            };
            match field {
                b"data" => {
                    let value = text(value);
                    data = Some(match data {
                        None => value,
                        Some(before) => {
                            let mut before = before.into_owned();
                            before.push('\n');
                            before.push_str(&value);
                            Cow::Owned(before)
                        }
                    });
                }
                b"event" => name = Some(text(value)),
                _ => {}
            }
        }
        let block = self.bytes.get(start..self.at).filter(|b| !b.is_empty())?;
        Some((block, data.map(|data| Event { name, data })))
    }
}

/// A line as text; invalid UTF-8 becomes U+FFFD. Validating first is much cheaper than searching
/// for errors, which are rare.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

impl<'a> Blocks<'a> {
    /// Removes the next line; returns it without its line end.
    fn line(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let end = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let (line, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        let ending = match behind {
            [b'\r', b'\n', ..] => 2,
            [_, ..] => 1,
            [] => 0,
        };
        self.at += end + ending;
        Some(line)
    }
}

/// What happens to an event that is relayed.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The event is relayed unchanged.
    Keep,
    /// These bytes replace the event; empty bytes remove it.
    Replace(Vec<u8>),
}

/// Relays complete events as `judge` decides; comments stay. Copies nothing if all events stay.
pub fn relay_events(events: Bytes, mut judge: impl FnMut(&Event<'_>) -> Verdict) -> Bytes {
    let mut out: Option<Vec<u8>> = None;
    let mut same = 0;
    for (block, event) in blocks(&events) {
        match event.map_or(Verdict::Keep, |event| judge(&event)) {
            Verdict::Keep => match &mut out {
                Some(out) => out.extend_from_slice(block),
                None => same += block.len(),
            },
            Verdict::Replace(bytes) => out
                .get_or_insert_with(|| events.get(..same).unwrap_or_default().to_vec())
                .extend(bytes),
        }
    }
    out.map_or(events, Bytes::from)
}

/// Appends one event with `value` as JSON data on one line.
pub fn write_value<T: serde::Serialize>(out: &mut Vec<u8>, name: Option<&str>, value: &T) {
    out.reserve(256);
    begin(out, name);
    let start = out.len();
    super::json::write(value, out);
    one_line(out, start);
    out.extend_from_slice(b"\n\n");
}

/// Replaces line ends from `start` by spaces; in JSON they occur only between tokens.
fn one_line(out: &mut [u8], start: usize) {
    if let Some(written) = out.get_mut(start..)
        && memchr2(b'\n', b'\r', written).is_some()
    {
        for byte in written {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }
}

/// Appends the lines before the data of an event, and `data: `.
fn begin(out: &mut Vec<u8>, name: Option<&str>) {
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
}

/// Appends one event: `event:` if there is a name, then `data:`.
///
/// `data` is JSON. It is written on one line: line ends between its tokens become spaces.
pub fn write(out: &mut Vec<u8>, name: Option<&str>, data: &str) {
    begin(out, name);
    let start = out.len();
    out.extend_from_slice(data.as_bytes());
    one_line(out, start);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STREAM: &str = "\u{feff}: hello\n\nevent: a\ndata: {\"x\":1}\n\ndata:no space\n\n\
        : ping\n\nid: 7\ndata: two\ndata: lines\n\nevent: lost\n\ndata: Grüße 🦀\n\ndata: [DONE]\n\n";

    fn replay(pieces: &[&[u8]]) -> Vec<(Option<String>, String)> {
        let mut framer = Framer::new(1 << 20);
        let mut out = Vec::new();
        for piece in pieces {
            let whole = framer.push(Bytes::copy_from_slice(piece)).unwrap();
            for event in events(&whole) {
                out.push((event.name.map(Cow::into_owned), event.data.into_owned()));
            }
        }
        let tail = framer.finish();
        for event in events(&tail) {
            out.push((event.name.map(Cow::into_owned), event.data.into_owned()));
        }
        out
    }

    fn expected() -> Vec<(Option<String>, String)> {
        [
            (Some("a"), "{\"x\":1}"),
            (None, "no space"),
            (None, "two\nlines"),
            (None, "Grüße 🦀"),
            (None, "[DONE]"),
        ]
        .map(|(name, data)| (name.map(str::to_owned), data.to_owned()))
        .to_vec()
    }

    /// Trap B20.
    #[test]
    fn every_cut_and_every_line_end_give_the_same_events() {
        for end in ["\n", "\r\n", "\r"] {
            let stream = STREAM.replace('\n', end);
            let bytes = stream.as_bytes();
            for cut in 0..=bytes.len() {
                let (a, b) = bytes.split_at(cut);
                assert_eq!(
                    replay(&[a, b]),
                    expected(),
                    "cut at {cut}, line end {end:?}"
                );
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(replay(&single), expected(), "byte by byte, {end:?}");
        }
    }

    #[test]
    fn what_is_returned_ends_at_an_event() {
        let mut framer = Framer::new(100);
        let push = |framer: &mut Framer, text: &'static str| {
            let out = framer.push(Bytes::from_static(text.as_bytes())).unwrap();
            String::from_utf8(out.to_vec()).unwrap()
        };
        assert_eq!(push(&mut framer, "data: a\n"), "");
        assert!(framer.has_partial());
        assert_eq!(
            push(&mut framer, "\ndata: b\n\nda"),
            "data: a\n\ndata: b\n\n"
        );
        assert_eq!(push(&mut framer, "ta: c\n\n"), "data: c\n\n");
        assert!(!framer.has_partial());
    }

    #[test]
    fn an_endless_event_is_refused_and_a_large_one_is_not() {
        let mut framer = Framer::new(1000);
        assert_eq!(framer.push(Bytes::from(vec![b'x'; 1001])), Err(TooLong));

        let mut framer = Framer::new(1 << 20);
        for _ in 0..100 {
            assert!(
                framer
                    .push(Bytes::from(vec![b'x'; 1000]))
                    .unwrap()
                    .is_empty()
            );
        }
        assert_eq!(
            framer.push(Bytes::from_static(b"\n\n")).unwrap().len(),
            100_002
        );
    }

    proptest! {
        #[test]
        fn any_chunking_of_any_bytes_loses_nothing(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'd'), any::<u8>()], 0..200),
            cuts in proptest::collection::vec(0_usize..200, 0..8),
        ) {
            let mut framer = Framer::new(1 << 20);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let mut joined = Vec::new();
            let mut from = 0;
            for cut in cuts {
                let whole = framer.push(Bytes::copy_from_slice(&bytes[from..cut])).unwrap();
                prop_assert!(whole.is_empty() || ends_event(&whole, whole.len() - 1));
                joined.extend_from_slice(&whole);
                from = cut;
            }
            joined.extend_from_slice(&framer.finish());
            prop_assert_eq!(joined, bytes);
        }

        #[test]
        fn events_survive_any_chunking(cuts in proptest::collection::vec(0_usize..170, 0..10)) {
            let bytes = STREAM.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let mut from = 0;
            let mut pieces = Vec::new();
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            prop_assert_eq!(replay(&pieces), expected());
        }
    }
}
