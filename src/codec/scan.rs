//! Scans a JSON text once without building values. Pure.
//!
//! For texts of which only a few members are needed, mostly as they are. It accepts exactly RFC
//! 8259, up to a nesting limit. It does not say what is wrong; another parser has to.

use memchr::memchr2;

/// The deepest nesting that is accepted, in levels.
const MAX_DEPTH: u32 = 100;

/// A position in a JSON text.
pub struct Scan<'t> {
    text: &'t [u8],
    at: usize,
    depth: u32,
}

impl<'t> Scan<'t> {
    /// Starts at the beginning of a text.
    #[must_use]
    pub fn new(text: &'t str) -> Self {
        Self {
            text: text.as_bytes(),
            at: 0,
            depth: 0,
        }
    }

    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Whether only whitespace follows.
    #[must_use]
    pub fn is_at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Reads an object; `member` gets each name and must read its value. A name with an escape is
    /// passed as empty.
    pub fn object(
        &mut self,
        mut member: impl FnMut(&'t [u8], &mut Self) -> Option<()>,
    ) -> Option<()> {
        self.list(b'{', b'}', |scan| {
            let (name, escaped) = scan.string()?;
            scan.eat(b':')?;
            member(if escaped { b"" } else { name }, scan)
        })
    }

    /// Reads an array; `element` must read each value.
    pub fn array(&mut self, element: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.list(b'[', b']', element)
    }

    fn list(
        &mut self,
        open: u8,
        close: u8,
        mut one: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.eat(open)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        if self.peek()? == close {
            self.at += 1;
        } else {
            loop {
                one(self)?;
                match self.peek()? {
                    b',' => self.at += 1,
                    byte if byte == close => {
                        self.at += 1;
                        break;
                    }
                    _ => return None,
                }
            }
        }
        self.depth -= 1;
        Some(())
    }

    /// Reads a null; `false`, and reads nothing, if another value follows.
    pub fn null(&mut self) -> bool {
        self.peek() == Some(b'n') && self.word(b"null").is_some()
    }

    /// Reads a string. Returns the bytes between its quotes, and whether they have an escape.
    pub fn string(&mut self) -> Option<(&'t [u8], bool)> {
        self.eat(b'"')?;
        let start = self.at;
        let (length, escaped) = string(self.text, start)?;
        self.at = start + length + 1;
        Some((self.text.get(start..start + length)?, escaped))
    }

    /// Reads any value; returns its bytes.
    pub fn value(&mut self) -> Option<&'t [u8]> {
        let first = self.peek()?;
        let start = self.at;
        match first {
            b'"' => {
                self.string()?;
            }
            b'{' => self.object(|_, scan| scan.value().map(drop))?,
            b'[' => self.array(|scan| scan.value().map(drop))?,
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => self.word(b"null")?,
            _ => self.number()?,
        }
        self.text.get(start..self.at)
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.text.get(self.at..)?.starts_with(word).then(|| {
            self.at += word.len();
        })
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn number(&mut self) -> Option<()> {
        let next = |scan: &Self| scan.text.get(scan.at).copied();
        if next(self) == Some(b'-') {
            self.at += 1;
        }
        if next(self) == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if next(self) == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(next(self), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(next(self), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }
}

/// The length of the JSON string whose first character is at `start`, without the closing quote,
/// and whether it has an escape. `None` if it is invalid; the encoding is not checked.
#[must_use]
pub fn string(bytes: &[u8], start: usize) -> Option<(usize, bool)> {
    let rest = bytes.get(start..)?;
    let mut length = 0;
    let mut escaped = false;
    loop {
        length += plain(rest.get(length..)?);
        match rest.get(length)? {
            b'"' => return Some((length, escaped)),
            b'\\' => escaped = true,
            // RFC 8259, section 7: control characters must be escaped.
            _ => return None,
        }
        length += match rest.get(length + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            b'u' => {
                let digits = rest.get(length + 2..length + 6)?;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(6)?
            }
            _ => return None,
        };
    }
}

/// The number of bytes that are scanned eight at a time before `memchr` takes over.
const SHORT: usize = 24;

/// The number of bytes before the first quote, backslash or control character.
fn plain(bytes: &[u8]) -> usize {
    let (short, long) = bytes.split_at(bytes.len().min(SHORT));
    let at = few(short);
    if at < short.len() {
        return at;
    }
    let length = memchr2(b'"', b'\\', long).unwrap_or(long.len());
    let text = long.get(..length).unwrap_or_default();
    // A loop without an early exit is vectorized.
    if text.iter().copied().fold(u8::MAX, u8::min) < 0x20 {
        return at + text.iter().take_while(|byte| **byte >= 0x20).count();
    }
    at + length
}

/// Like [`plain`], but faster for short texts.
fn few(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    let mut at = 0;
    for eight in bytes.chunks_exact(8) {
        let eight = u64::from_le_bytes(eight.try_into().unwrap_or_default());
        // Sets the high bit of the first byte below `least`; bytes after it may be set wrongly.
        let below = |bytes: u64, least: u64| bytes.wrapping_sub(ONES * least) & !bytes;
        let found = below(eight ^ (ONES * 0x22), 1) | below(eight ^ (ONES * 0x5c), 1);
        let found = (found | below(eight, 0x20)) & (ONES << 7);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    at + rest.iter().position(special).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    fn looked(text: &str) -> Option<&str> {
        let mut scan = Scan::new(text);
        let value = scan.value()?;
        let value = std::str::from_utf8(value).ok()?;
        scan.is_at_end().then_some(value)
    }

    fn read(text: &str) -> Option<&str> {
        serde_json::from_str::<&RawValue>(text)
            .ok()
            .map(RawValue::get)
    }

    #[test]
    fn what_json_is_it_takes_and_nothing_else() {
        for text in [
            "{}",
            "[]",
            " { \"a\" : [ 1 , -0.5e+3 , \"\\u00fC\\\"\\\\/\" ] }\n",
            "null",
            "true",
            "false",
            "\"\"",
            "0",
            "-0",
            "1E5",
            "\"\u{7f}\u{1f980}\"",
            "\"\\ud83d\"",
            "\u{a0}1",
            "",
            " ",
            "{",
            "[1,]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "[1 2]",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "-",
            "nul",
            "truee",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"a\nb\"",
            "\"a\tb\"",
            "\"",
            "\"\\",
            "\"\\u12\"",
            "1 2",
            "{}x",
        ] {
            assert_eq!(looked(text), read(text), "{text:?}");
        }
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(looked(&deep(100)).is_some());
        assert!(looked(&deep(101)).is_none(), "it is left to others");
    }

    #[test]
    fn members_and_elements_are_given_in_order() {
        let mut scan = Scan::new(r#"{"a\n":[1,{"b":2},"x\"y"],"c":null}"#);
        let mut seen = Vec::new();
        let taken = scan.object(|name, scan| {
            seen.push(name.to_vec());
            if name == b"c" {
                return scan.value().map(drop);
            }
            scan.array(|scan| {
                seen.push(scan.value()?.to_vec());
                Some(())
            })
        });
        assert!(taken.is_some() && scan.is_at_end());
        let expected: [&[u8]; 5] = [b"", b"1", br#"{"b":2}"#, br#""x\"y""#, b"c"];
        assert_eq!(seen, expected);
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_parser(text in "[\\[\\]{}\",:0-9eE.+\\-\\\\ u\\n a-f]{0,24}") {
            prop_assert_eq!(looked(&text), read(&text));
        }

        #[test]
        fn it_takes_what_the_parser_writes(value: Vec<(String, f64, Option<String>)>) {
            let text = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(looked(&text), Some(text.as_str()));
        }
    }
}
