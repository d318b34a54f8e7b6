//! Finds where the responses on one connection to a provider begin and end. Pure.
//!
//! The HTTP client takes an interim response for the final one, takes a response without a length
//! for an empty one, and drops the bytes after a response. Each of these can give one caller the
//! response of another once the connection is reused. So the bytes of a connection pass through
//! here on their way to the HTTP client: interim responses are removed, a response that ends with
//! the connection is marked as such, and a connection on which anything follows a response is never
//! reused. RFC 9112, sections 6 and 9; RFC 9110, section 15.2.

use std::io;

use memchr::memchr;

/// Maximum size of a response's head, in bytes: as much as the HTTP client accepts.
const MAX_HEAD: usize = 128 << 10;

/// Maximum number of interim responses before the final one.
const MAX_INTERIM: usize = 100;

/// Maximum length of the line with a chunk's size, extensions included, in bytes.
const MAX_CHUNK_LINE: usize = 16 << 10;

/// Follows the responses on one connection, one request after the other.
#[derive(Debug, Default)]
pub(super) struct Framing {
    state: FramingState,
    /// The part of a head that has arrived. Usually a head arrives at once, and this stays empty.
    head: Vec<u8>,
    interim: usize,
    /// Whether the connection ends with this response, although the response has an end of its own.
    is_last: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum FramingState {
    /// The head of a response is awaited.
    #[default]
    Head,
    /// This many bytes of a body are due.
    Length(u64),
    /// A body in chunks.
    Chunked(ChunkState),
    /// A body that ends with the connection.
    UntilClose,
    /// The response is complete.
    Ended,
    /// Nothing more may be read or sent: bytes followed the response.
    Spoiled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChunkState {
    /// The line with the size: its value, whether a digit was read, whether the digits have ended,
    /// and the length of the line.
    Size {
        size: u64,
        digits: bool,
        over: bool,
        length: usize,
    },
    /// This many bytes of data are due, and the line end after them.
    Data(u64),
    /// A line of the trailer: the length of the line and of the whole trailer.
    Trailer { line: usize, length: usize },
}

const SIZE: ChunkState = ChunkState::Size {
    size: 0,
    digits: false,
    over: false,
    length: 0,
};

/// What the head of a response says about the body.
struct ResponseHead {
    status: u16,
    /// Whether the version is HTTP/1.1, and not HTTP/1.0.
    is_1_1: bool,
    /// Whether the head has `Connection: keep-alive`, which HTTP/1.0 requires for reuse: RFC 9112,
    /// section 9.3.
    keeps_alive: bool,
    body: FramingState,
}

impl Framing {
    /// Notes that a request is being sent.
    ///
    /// # Errors
    /// If bytes arrived that no request asked for, or the last response is not over: the connection
    /// cannot be reused.
    pub(super) fn sending(&mut self) -> io::Result<()> {
        match self.state {
            FramingState::Ended if !self.is_last => {
                self.state = FramingState::Head;
                self.interim = 0;
                Ok(())
            }
            FramingState::Head => Ok(()),
            FramingState::Ended
            | FramingState::Spoiled
            | FramingState::Length(_)
            | FramingState::Chunked(_)
            | FramingState::UntilClose => Err(spoiled()),
        }
    }

    /// Takes the bytes that were read, and gives `pass` those that the HTTP client may see.
    ///
    /// # Errors
    /// If the bytes are not a valid response, or no request asked for them.
    pub(super) fn received(
        &mut self,
        mut bytes: &[u8],
        mut pass: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            let taken = match self.state {
                FramingState::Spoiled => return Err(spoiled()),
                FramingState::Ended => {
                    self.state = FramingState::Spoiled;
                    // The bytes before these, from the same read, are still a valid response.
                    return Ok(());
                }
                FramingState::Head => self.head(bytes, &mut pass)?,
                FramingState::UntilClose => {
                    pass(bytes);
                    bytes.len()
                }
                FramingState::Length(due) => {
                    let taken = usize::try_from(due).unwrap_or(usize::MAX).min(bytes.len());
                    pass(bytes.get(..taken).unwrap_or_default());
                    self.state = after(due, taken);
                    taken
                }
                FramingState::Chunked(chunk) => {
                    let taken = self.chunked(chunk, bytes)?;
                    pass(bytes.get(..taken).unwrap_or_default());
                    taken
                }
            };
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// Whether bytes followed the response, or it was the last: the connection cannot be reused.
    pub(super) fn is_unusable(&self) -> bool {
        self.state == FramingState::Spoiled || (self.state == FramingState::Ended && self.is_last)
    }

    /// Whether an interim response arrived and the final one is awaited: the provider has begun to
    /// work.
    pub(super) fn has_begun(&self) -> bool {
        self.interim > 0 && self.state == FramingState::Head
    }

    /// Reads a head; returns how many bytes it took.
    fn head(&mut self, bytes: &[u8], pass: &mut impl FnMut(&[u8])) -> io::Result<usize> {
        if !self.may_be_http(bytes) {
            // The HTTP client reports what is wrong with it, without waiting for more.
            self.state = FramingState::UntilClose;
            pass(&std::mem::take(&mut self.head));
            pass(bytes);
            return Ok(bytes.len());
        }
        if self.head.is_empty()
            && let Some(end) = end_of_head(bytes, 0)
        {
            let (head, _) = bytes.split_at(end);
            self.passed_head(head, pass)?;
            return Ok(end);
        }
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        let Some(end) = end_of_head(&self.head, before) else {
            return if self.head.len() > MAX_HEAD {
                Err(wrong("the head of the answer is too long"))
            } else {
                Ok(bytes.len())
            };
        };
        let mut head = std::mem::take(&mut self.head);
        head.truncate(end);
        self.passed_head(&head, pass)?;
        Ok(end - before)
    }

    /// Whether the bytes so far, with these, begin like an HTTP/1 response.
    fn may_be_http(&self, bytes: &[u8]) -> bool {
        let mut begin = self.head.iter().chain(bytes).zip(VERSION);
        begin
            .by_ref()
            .take(VERSION.len() - 1)
            .all(|(byte, own)| byte == own)
    }

    fn passed_head(&mut self, bytes: &[u8], pass: &mut impl FnMut(&[u8])) -> io::Result<()> {
        let Some(head) = read(bytes)? else {
            // The HTTP client reports what is wrong with it, and nothing after it is trusted.
            self.state = FramingState::UntilClose;
            pass(bytes);
            return Ok(());
        };
        match head.status {
            // RFC 9110, section 15.2. Status 101 is not interim: the gateway asks for no upgrade.
            100 | 102..=199 => {
                self.interim += 1;
                return if self.interim > MAX_INTERIM {
                    Err(wrong("too many interim answers"))
                } else {
                    Ok(())
                };
            }
            _ => {
                self.state = head.body;
                self.is_last = !head.is_1_1 && !head.keeps_alive;
            }
        }
        // For the HTTP client, only an HTTP/1.0 response may end with the connection.
        let (version, rest) = bytes.split_at(bytes.len().min(VERSION.len()));
        if head.is_1_1 && head.body == FramingState::UntilClose && version == VERSION {
            pass(b"HTTP/1.0");
        } else {
            pass(version);
        }
        pass(rest);
        Ok(())
    }

    /// Reads chunks up to the end of the body; returns how many bytes they took.
    fn chunked(&mut self, mut chunk: ChunkState, bytes: &[u8]) -> io::Result<usize> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at).copied() {
            match &mut chunk {
                ChunkState::Data(due) => {
                    let left = u64::try_from(bytes.len() - at).unwrap_or(u64::MAX);
                    let taken = left.min(*due);
                    at += usize::try_from(taken).unwrap_or(usize::MAX);
                    *due -= taken;
                    if *due == 0 {
                        chunk = SIZE;
                    }
                    continue;
                }
                ChunkState::Size {
                    size,
                    digits,
                    over,
                    length,
                } => {
                    *length += 1;
                    if *length > MAX_CHUNK_LINE {
                        return Err(wrong("the size of a chunk is too long"));
                    }
                    match (byte, char::from(byte).to_digit(16)) {
                        (b'\n', _) if *digits => {
                            chunk = if *size == 0 {
                                ChunkState::Trailer { line: 0, length: 0 }
                            } else {
                                // The line end after the data is read as the start of the next size
                                // line.
                                ChunkState::Data(*size)
                            };
                        }
                        // The line end after the data, before the next size.
                        (b'\r' | b'\n', _) if !*digits && *length <= 2 => {}
                        (_, Some(digit)) if !*over => {
                            *digits = true;
                            *size = size
                                .checked_mul(16)
                                .and_then(|size| size.checked_add(u64::from(digit)))
                                .ok_or_else(|| wrong("a chunk is too long"))?;
                        }
                        _ if *digits => *over = true,
                        _ => return Err(wrong("the chunks of the answer are malformed")),
                    }
                }
                ChunkState::Trailer { line, length } => {
                    *length += 1;
                    match byte {
                        b'\n' if *line == 0 => {
                            self.state = FramingState::Ended;
                            return Ok(at + 1);
                        }
                        b'\n' => *line = 0,
                        b'\r' => {}
                        _ => *line += 1,
                    }
                    if *length > MAX_HEAD {
                        return Err(wrong("the trailer of the answer is too long"));
                    }
                }
            }
            at += 1;
        }
        self.state = FramingState::Chunked(chunk);
        Ok(bytes.len())
    }
}

const VERSION: &[u8] = b"HTTP/1.1";

fn after(due: u64, taken: usize) -> FramingState {
    match due - u64::try_from(taken).unwrap_or(due) {
        0 => FramingState::Ended,
        left => FramingState::Length(left),
    }
}

fn wrong(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn spoiled() -> io::Error {
    wrong("something followed the last answer")
}

/// The position after a head's empty line; `None` if it has not arrived. The first `seen` bytes do
/// not contain it.
fn end_of_head(bytes: &[u8], seen: usize) -> Option<usize> {
    // The two line ends may be on both sides of the border.
    let mut at = seen.saturating_sub(3);
    while let Some(found) = memchr(b'\n', bytes.get(at..)?) {
        at += found + 1;
        match bytes.get(at..)? {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// What a whole head says about its body; `None` if the bytes are not a head.
///
/// # Errors
/// If the body has a transfer coding that was not asked for.
fn read(head: &[u8]) -> io::Result<Option<ResponseHead>> {
    let mut lines = head.split(|byte| *byte == b'\n');
    let Some((minor, status)) = lines.next().and_then(status_line) else {
        return Ok(None);
    };
    let (mut length, mut coding): (Option<u64>, Option<&[u8]>) = (None, None);
    let mut keeps_alive = false;
    for line in lines {
        // Only three headers count here, and they begin with these letters.
        if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T')) {
            continue;
        }
        let Some(colon) = memchr(b':', line) else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            let number = std::str::from_utf8(value)
                .ok()
                .and_then(|text| text.parse().ok());
            let Some(number) = number else {
                return Ok(None);
            };
            length = Some(number);
        } else if name.eq_ignore_ascii_case(b"connection") {
            let mut words = value.split(|byte| *byte == b',');
            keeps_alive |= words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"keep-alive"));
        } else if name.eq_ignore_ascii_case(b"transfer-encoding")
            && !value.eq_ignore_ascii_case(b"identity")
        {
            coding = Some(value);
        }
    }
    let body = match (status, coding, length) {
        (101, _, _) => FramingState::UntilClose,
        (100..=199 | 204 | 304, _, _) | (_, None, Some(0)) => FramingState::Ended,
        (_, Some(coding), _) if coding.eq_ignore_ascii_case(b"chunked") => {
            FramingState::Chunked(SIZE)
        }
        (_, Some(_), _) => return Err(wrong("a transfer coding that was not asked for")),
        (_, None, None) => FramingState::UntilClose,
        (_, None, Some(length)) => FramingState::Length(length),
    };
    Ok(Some(ResponseHead {
        status,
        is_1_1: minor == b'1',
        keeps_alive,
        body,
    }))
}

/// The minor version, as its digit, and the status.
fn status_line(line: &[u8]) -> Option<(u8, u16)> {
    let minor = line.strip_prefix(b"HTTP/1.")?.first()?;
    let status = std::str::from_utf8(line.get(9..12)?).ok()?;
    Some((*minor, status.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use proptest::prelude::*;

    const OK: &str = "HTTP/1.1 200 OK\r\n";

    /// What the HTTP client sees of a response that arrives in pieces of these lengths, and its
    /// framing; an error as its text.
    fn seen(answer: &str, pieces: &[usize]) -> Result<(String, Framing), String> {
        let mut framing = Framing::default();
        let mut out = Vec::new();
        let mut rest = answer.as_bytes();
        let mut pieces = pieces.iter().copied().cycle();
        while !rest.is_empty() {
            let length = pieces.next().unwrap_or(rest.len()).clamp(1, rest.len());
            let (piece, more) = rest.split_at(length);
            rest = more;
            framing
                .received(piece, |bytes| out.extend_from_slice(bytes))
                .map_err(|error| error.to_string())?;
        }
        Ok((String::from_utf8(out).unwrap(), framing))
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let last = format!("{OK}Content-Length: 2\r\n\r\nok");
        let early = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
        for pieces in [vec![1], vec![7, 3], vec![1000]] {
            let (out, framing) = seen(&format!("{early}{last}"), &pieces).unwrap();
            assert_eq!(out, last);
            assert_eq!(framing.state, FramingState::Ended);
        }
        let many = "HTTP/1.1 102 Processing\r\n\r\n".repeat(MAX_INTERIM + 1);
        assert!(seen(&many, &[4096]).is_err());
    }

    #[test]
    fn an_answer_without_a_length_ends_with_its_connection() {
        let head = "Content-Type: application/json\r\n\r\n{}";
        let (out, framing) = seen(&format!("{OK}{head}"), &[5]).unwrap();
        assert_eq!(out, format!("HTTP/1.0 200 OK\r\n{head}"));
        assert_eq!(framing.state, FramingState::UntilClose);
    }

    #[test]
    fn the_end_of_each_kind_of_answer_is_known() {
        for (answer, ended) in [
            ("HTTP/1.1 204 No Content\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", false),
            ("HTTP/1.1 200 OK\ncontent-length: 2\n\nab", true),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n",
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
                false,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
                true,
            ),
        ] {
            for pieces in [[1], [2], [3], [500]] {
                let (out, framing) = seen(answer, &pieces).unwrap();
                assert_eq!(out, answer);
                assert_eq!(framing.state == FramingState::Ended, ended, "{answer}");
            }
        }
    }

    #[test]
    fn whatever_follows_an_answer_is_not_seen_and_spoils_the_connection() {
        let good = format!("{OK}Content-Length: 2\r\n\r\nok");
        for rest in ["x", "\r\n", good.as_str()] {
            for pieces in [[1000], [3]] {
                let framing = match seen(&format!("{good}{rest}"), &pieces) {
                    Ok((out, framing)) => {
                        assert_eq!(out, good);
                        framing
                    }
                    Err(_) => continue,
                };
                let mut framing = framing;
                assert!(framing.is_unusable());
                assert!(framing.sending().is_err());
            }
        }
        let (_, mut framing) = seen(&good, &[1000]).unwrap();
        framing.sending().unwrap();
        assert_eq!(framing.state, FramingState::Head);
    }

    proptest! {
        #[test]
        fn the_same_is_seen_however_an_answer_is_cut(
            bodies in proptest::collection::vec("[a-z\r\n:]{1,20}", 0..5),
            interim in 0_usize..3,
            rest in "[A-Z]{0,9}",
            pieces in proptest::collection::vec(1_usize..40, 1..6),
        ) {
            let mut answer = format!("{OK}Transfer-Encoding: chunked\r\n\r\n");
            for body in &bodies {
                let _ = write!(answer, "{:x}\r\n{body}\r\n", body.len());
            }
            answer += "0\r\n\r\n";
            let early = "HTTP/1.1 100 Continue\r\n\r\n".repeat(interim);
            let mut framing = Framing::default();
            let mut out = Vec::new();
            let all = format!("{early}{answer}{rest}");
            let (mut left, mut n) = (all.as_bytes(), 0);
            let mut failed = false;
            while !left.is_empty() && !failed {
                let length = pieces[n % pieces.len()].min(left.len());
                n += 1;
                let (piece, more) = left.split_at(length);
                left = more;
                failed = framing.received(piece, |bytes| out.extend_from_slice(bytes)).is_err();
            }
            prop_assert_eq!(String::from_utf8(out).unwrap(), answer);
            prop_assert_eq!(framing.is_unusable(), !rest.is_empty());
        }
    }

    #[test]
    fn an_answer_of_the_old_version_is_the_last_unless_it_says_otherwise() {
        for (header, reused) in [("", false), ("Connection: Keep-Alive\r\n", true)] {
            let answer = format!("HTTP/1.0 200 OK\r\n{header}Content-Length: 2\r\n\r\nok");
            let (out, mut framing) = seen(&answer, &[1000]).unwrap();
            assert_eq!(out, answer);
            assert_eq!(framing.is_unusable(), !reused);
            assert_eq!(framing.sending().is_ok(), reused);
        }
    }
}
