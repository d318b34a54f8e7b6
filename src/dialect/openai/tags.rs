//! Separates reasoning in tags at the start of a text from the text. Pure.

const OPEN: &str = "<reasoning>";
const CLOSE: &str = "</reasoning>";

/// The longest whitespace that is buffered in search of the opening tag, in bytes.
const MAX_HEAD: usize = 256;

/// Splits one text, fragment by fragment.
#[derive(Debug, Default)]
pub(super) struct Tags {
    place: Place,
    /// Text that may be the beginning of a tag.
    held: String,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Head,
    Inside,
    Behind,
}

impl Tags {
    /// Processes a fragment; returns its text and its reasoning.
    pub(super) fn push(&mut self, fragment: &str) -> (String, String) {
        let (mut said, mut thought) = (String::new(), String::new());
        if self.place == Place::Behind {
            return (fragment.to_owned(), thought);
        }
        self.held.push_str(fragment);
        if self.place == Place::Head {
            let head = self.held.trim_start();
            if let Some(rest) = head.strip_prefix(OPEN) {
                self.held = rest.to_owned();
                self.place = Place::Inside;
            } else if !OPEN.starts_with(head) || self.held.len() > MAX_HEAD {
                self.place = Place::Behind;
                said = std::mem::take(&mut self.held);
                return (said, thought);
            }
        }
        if self.place == Place::Inside {
            if let Some((inside, behind)) = self.held.split_once(CLOSE) {
                thought.push_str(inside);
                behind.trim_start_matches('\n').clone_into(&mut said);
                self.place = Place::Behind;
                self.held.clear();
            } else {
                // What may be the beginning of the closing tag stays buffered.
                let keep = (1..CLOSE.len())
                    .rev()
                    .find(|&n| {
                        CLOSE
                            .get(..n)
                            .is_some_and(|start| self.held.ends_with(start))
                    })
                    .unwrap_or(0);
                let cut = self.held.len() - keep;
                thought.extend(self.held.drain(..cut));
            }
        }
        (said, thought)
    }

    /// What is still buffered when the text ends: text and reasoning.
    pub(super) fn finish(&mut self) -> (String, String) {
        let held = std::mem::take(&mut self.held);
        match std::mem::replace(&mut self.place, Place::Behind) {
            Place::Inside => (String::new(), held),
            Place::Head | Place::Behind => (held, String::new()),
        }
    }

    /// Splits a complete text into text and reasoning.
    pub(super) fn split(text: &str) -> (String, String) {
        let mut tags = Self::default();
        let (mut said, mut thought) = tags.push(text);
        let (more_said, more_thought) = tags.finish();
        said.push_str(&more_said);
        thought.push_str(&more_thought);
        (said, thought)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_split_alike_however_it_is_cut() {
        for (text, said, thought) in [
            (
                "<reasoning>Hm. <b>\u{e9}</reasoning>\nYes",
                "Yes",
                "Hm. <b>\u{e9}",
            ),
            (
                "Yes <reasoning>no</reasoning>",
                "Yes <reasoning>no</reasoning>",
                "",
            ),
            ("<reasoning>cut </reason", "", "cut </reason"),
            ("<reas", "<reas", ""),
            (
                "  <reasoning>a</reasoning>b</reasoning>",
                "b</reasoning>",
                "a",
            ),
            ("<rest>", "<rest>", ""),
        ] {
            assert_eq!(Tags::split(text), (said.to_owned(), thought.to_owned()));
            for (cut, _) in text.char_indices() {
                let (a, b) = text.split_at(cut);
                let mut tags = Tags::default();
                let mut got = tags.push(a);
                for more in [tags.push(b), tags.finish()] {
                    got.0.push_str(&more.0);
                    got.1.push_str(&more.1);
                }
                // A line end after the closing tag is removed only if it is in the same fragment.
                let got = (got.0.trim_start_matches('\n').to_owned(), got.1);
                assert_eq!(got, (said.to_owned(), thought.to_owned()), "{a:?} {b:?}");
            }
        }
    }
}
