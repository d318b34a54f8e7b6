//! In which order reasoning, text and calls came, which Chat Completions has no place for. Pure.

/// A piece of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// One entry of the reasoning for taking back.
    ReasoningDetail,
    /// So many bytes of text.
    Text(usize),
    /// A call.
    Call,
}

/// The pieces of an answer, as they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sequence(Vec<Piece>);

impl Sequence {
    /// Adds a piece; text that follows text goes on with it.
    pub fn add(&mut self, piece: Piece) {
        match (self.0.last_mut(), piece) {
            (_, Piece::Text(0)) => {}
            (Some(Piece::Text(before)), Piece::Text(more)) => *before += more,
            _ => self.0.push(piece),
        }
    }

    /// Whether it is another than the usual one: reasoning, text, calls.
    #[must_use]
    pub fn is_unusual(&self) -> bool {
        let rank = |piece: &Piece| match piece {
            Piece::ReasoningDetail => 0,
            Piece::Text(_) => 1,
            Piece::Call => 2,
        };
        !self.0.is_sorted_by_key(rank)
    }

    /// How many pieces there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pieces, where they are those of a message with so many entries of reasoning, this text and so
    /// many calls: a client may have changed it.
    #[must_use]
    pub fn of(&self, details: usize, text: &str, calls: usize) -> Option<&[Piece]> {
        let count = |piece| self.0.iter().filter(|one| **one == piece).count();
        if count(Piece::ReasoningDetail) != details || count(Piece::Call) != calls {
            return None;
        }
        let mut at = 0;
        for piece in &self.0 {
            if let Piece::Text(length) = piece {
                at += length;
                if !text.is_char_boundary(at) {
                    return None;
                }
            }
        }
        (at == text.len()).then_some(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(pieces: &[Piece]) -> Sequence {
        let mut out = Sequence::default();
        for piece in pieces {
            out.add(*piece);
        }
        out
    }

    #[test]
    fn an_order_holds_for_the_message_that_it_is_of() {
        use Piece::{Call, ReasoningDetail, Text};
        let usual = sequence(&[ReasoningDetail, Text(1), Text(2), Call, Call]);
        assert!(!usual.is_unusual());
        assert_eq!(usual.len(), 4);
        let unusual = sequence(&[Text(2), Call, Text(0), Text(3), Call]);
        assert!(unusual.is_unusual());
        assert_eq!(
            unusual.of(0, "ab\u{e9}c", 2),
            Some(&[Text(2), Call, Text(3), Call][..])
        );
        assert_eq!(
            unusual.of(0, "a\u{e9}bc", 2),
            None,
            "in the middle of a letter"
        );
        assert_eq!(unusual.of(0, "abcdef", 2), None, "another text");
        assert_eq!(unusual.of(1, "abcde", 2), None, "more reasoning");
        assert_eq!(unusual.of(0, "abcde", 1), None, "a call less");
    }
}
