//! A body in which one piece is replaced, without copying the rest. Pure.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::{Bytes, BytesMut};

/// A request body: the original, or with one piece replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spliced([Bytes; 3]);

impl From<Bytes> for Spliced {
    fn from(whole: Bytes) -> Self {
        Self([whole, Bytes::new(), Bytes::new()])
    }
}

impl From<Vec<u8>> for Spliced {
    fn from(whole: Vec<u8>) -> Self {
        Bytes::from(whole).into()
    }
}

impl Spliced {
    /// `body` with `piece` replaced by `replacement`. `piece` must be a part of `body` in memory;
    /// `None` if it is not.
    #[must_use]
    pub fn new(body: &Bytes, piece: &str, replacement: Bytes) -> Option<Self> {
        let start = (piece.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
        let end = start.checked_add(piece.len())?;
        (end <= body.len()).then(|| Self([body.slice(..start), replacement, body.slice(end..)]))
    }

    /// The length, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// Whether the body is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Bytes::is_empty)
    }

    /// Removes up to `most` bytes from the front; `None` if nothing is left.
    pub fn take(&mut self, most: usize) -> Option<Bytes> {
        let part = self.0.iter_mut().find(|part| !part.is_empty())?;
        Some(part.split_to(part.len().min(most)))
    }

    /// A hash of the length and of the beginning and end of each part, so that long texts need not
    /// be read.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        const BEGINNING: usize = 1 << 10;
        const END: usize = 4 << 10;
        let mut hasher = DefaultHasher::new();
        self.len().hash(&mut hasher);
        for part in &self.0 {
            let beginning = part.get(..BEGINNING).unwrap_or(part);
            let end = part.get(part.len().saturating_sub(END)..);
            (beginning, end).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// The whole body in one piece.
    #[must_use]
    pub fn whole(&self) -> Bytes {
        match &self.0 {
            [whole, middle, end] if middle.is_empty() && end.is_empty() => whole.clone(),
            parts => {
                let mut out = BytesMut::with_capacity(self.len());
                for part in parts {
                    out.extend_from_slice(part);
                }
                out.freeze()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_piece_is_replaced_and_the_rest_is_shared() {
        let body = Bytes::from_static(b" {\"model\" : \"groq/x\",\"e\":1.0e2} ");
        let text = std::str::from_utf8(&body).unwrap();
        let piece = text.matches("\"groq/x\"").next().unwrap();
        let mut spliced = Spliced::new(&body, piece, Bytes::from_static(b"\"x\"")).unwrap();
        assert_eq!(&spliced.whole()[..], b" {\"model\" : \"x\",\"e\":1.0e2} ");
        assert_eq!(spliced.len(), spliced.whole().len());
        let mut out = Vec::new();
        while let Some(some) = spliced.take(4) {
            assert!(!some.is_empty() && some.len() <= 4);
            out.extend_from_slice(&some);
        }
        assert_eq!(out, b" {\"model\" : \"x\",\"e\":1.0e2} ");
        assert!(spliced.is_empty());
    }

    #[test]
    fn a_piece_from_elsewhere_is_not_replaced() {
        let body = Bytes::from(vec![b'a'; 8]);
        for other in ["x".to_owned(), String::new(), "y".repeat(100)] {
            let found = Spliced::new(&body, &other, Bytes::new());
            assert!(found.is_none_or(|spliced| other.is_empty() && spliced.len() == 8));
        }
    }
}
