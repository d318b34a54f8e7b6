//! The order of reasoning, text and tool calls in a response, which Chat Completions cannot
//! express. Pure.

/// One piece of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// One [`ReasoningDetail`](super::ReasoningDetail).
    ReasoningDetail,
    /// Text, with its length in bytes.
    Text(usize),
    /// A tool call.
    Call,
}

/// The pieces of a response, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sequence(Vec<Piece>);

impl Sequence {
    /// Appends a piece. Consecutive texts are joined.
    pub fn add(&mut self, piece: Piece) {
        match (self.0.last_mut(), piece) {
            (_, Piece::Text(0)) => {}
            (Some(Piece::Text(before)), Piece::Text(more)) => *before += more,
            _ => self.0.push(piece),
        }
    }

    /// Whether the order differs from the usual one: reasoning, text, tool calls.
    #[must_use]
    pub fn is_unusual(&self) -> bool {
        let rank = |piece: &Piece| match piece {
            Piece::ReasoningDetail => 0,
            Piece::Text(_) => 1,
            Piece::Call => 2,
        };
        !self.0.is_sorted_by_key(rank)
    }

    /// Number of pieces.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no pieces.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pieces, if they match a message with this number of reasoning details, this text and
    /// this number of tool calls. `None` if they do not, because the client may have edited the
    /// message.
    #[must_use]
    pub fn matching(&self, details: usize, text: &str, calls: usize) -> Option<&[Piece]> {
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
            unusual.matching(0, "ab\u{e9}c", 2),
            Some(&[Text(2), Call, Text(3), Call][..])
        );
        assert_eq!(
            unusual.matching(0, "a\u{e9}bc", 2),
            None,
            "in the middle of a letter"
        );
        assert_eq!(unusual.matching(0, "abcdef", 2), None, "another text");
        assert_eq!(unusual.matching(1, "abcde", 2), None, "more reasoning");
        assert_eq!(unusual.matching(0, "abcde", 1), None, "a call less");
    }
}
