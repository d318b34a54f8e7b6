//! HTTP/1.1 as both ends of the benchmark read it: heads and bodies, by hand (pure).

use std::io;

/// Where in a body the reader is.
#[derive(Debug, Clone, Copy)]
pub enum Body {
    /// Bytes still to come.
    Sized(usize),
    /// In the line that says how long the next chunk is; its length so far.
    Size(usize),
    /// In what follows the length on that line.
    Extension(usize),
    /// In a chunk; bytes still to come.
    Data(usize),
    /// In the line end after a chunk.
    AfterData,
    /// In the lines after the last chunk; the length of this one so far.
    Trailer(usize),
}

impl Body {
    /// The body that follows `head`; one without a length has none.
    ///
    /// # Errors
    ///
    /// Where the length is no number.
    pub fn of(head: &[u8]) -> io::Result<Self> {
        if let Some(length) = field(head, "content-length") {
            let length = length.parse().map_err(|_| wrong("content-length"))?;
            return Ok(Self::Sized(length));
        }
        let chunked = field(head, "transfer-encoding").is_some_and(|value| value == "chunked");
        Ok(if chunked {
            Self::Size(0)
        } else {
            Self::Sized(0)
        })
    }

    /// Takes what arrived and gives the data in it; the bytes up to the body's end once it is there.
    ///
    /// # Errors
    ///
    /// Where the chunks are malformed.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        data: &mut impl FnMut(&[u8]),
    ) -> io::Result<Option<usize>> {
        let mut at = 0;
        loop {
            if let Self::Sized(0) = self {
                return Ok(Some(at));
            }
            let rest = &bytes[at..];
            let Some(&byte) = rest.first() else {
                return Ok(None);
            };
            match *self {
                Self::Sized(left) | Self::Data(left) => {
                    let length = left.min(rest.len());
                    data(&rest[..length]);
                    at += length;
                    *self = match (*self, left - length) {
                        (Self::Sized(_), left) => Self::Sized(left),
                        (_, 0) => Self::AfterData,
                        (_, left) => Self::Data(left),
                    };
                    continue;
                }
                Self::Size(length) | Self::Extension(length) if byte == b'\n' => {
                    *self = if length == 0 {
                        Self::Trailer(0)
                    } else {
                        Self::Data(length)
                    };
                }
                Self::Size(length) => {
                    *self = match char::from(byte).to_digit(16) {
                        Some(digit) if length < 1 << 40 => Self::Size(length * 16 + digit as usize),
                        None if matches!(byte, b'\r' | b';' | b' ') => Self::Extension(length),
                        _ => return Err(wrong("size of a chunk")),
                    };
                }
                Self::AfterData if byte == b'\n' => *self = Self::Size(0),
                Self::Trailer(0) if byte == b'\n' => return Ok(Some(at + 1)),
                Self::Trailer(_) if byte == b'\n' => *self = Self::Trailer(0),
                Self::Trailer(length) if byte != b'\r' => *self = Self::Trailer(length + 1),
                Self::Extension(_) | Self::AfterData | Self::Trailer(_) => {}
            }
            at += 1;
        }
    }
}

/// The value of a header.
pub fn field<'h>(head: &'h [u8], name: &str) -> Option<&'h str> {
    head.split(|byte| *byte == b'\n').skip(1).find_map(|line| {
        let (before, after) = line.split_at_checked(name.len())?;
        let value = after.strip_prefix(b":")?;
        let named = before.eq_ignore_ascii_case(name.as_bytes());
        named.then(|| std::str::from_utf8(value).map_or("", str::trim))
    })
}

/// One chunk of a body.
pub fn chunk(data: &str) -> Vec<u8> {
    format!("{:x}\r\n{data}\r\n", data.len()).into_bytes()
}

/// What is no HTTP.
pub fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed: {what}"))
}
