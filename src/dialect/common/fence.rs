//! Removes the Markdown fence around JSON that a model was told to write. Pure.

const MARK: &str = "```";
const LANGUAGE: &str = "json";

/// How much text is held back at most to find out whether a fence begins or ends, in bytes.
const MAX_HELD: usize = 256;

/// Returns a text without the Markdown fence around it, if there is one.
pub(in crate::dialect) fn without_fence(text: &str) -> &str {
    let inside = text.trim().strip_prefix(MARK).and_then(|rest| {
        let rest = rest.strip_prefix(LANGUAGE).unwrap_or(rest);
        rest.strip_suffix(MARK)
    });
    inside.map_or(text, str::trim)
}

/// Removes the fence from a text that arrives in fragments, wherever it is cut.
#[derive(Debug, Default)]
pub(in crate::dialect) struct Fence {
    place: Place,
    held: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the start: all text so far may be the beginning of a fence.
    #[default]
    Head,
    /// After the opening fence, before the first text.
    Opened,
    /// Inside the fence.
    Inside,
    /// There is no fence; all text is passed on.
    Plain,
}

impl Fence {
    /// Takes a fragment and returns the text that is known to be content.
    pub(in crate::dialect) fn push(&mut self, fragment: &str) -> String {
        if self.place == Place::Plain {
            return fragment.to_owned();
        }
        self.held.push_str(fragment);
        if self.place == Place::Head && !self.open() {
            return if self.place == Place::Plain {
                std::mem::take(&mut self.held)
            } else {
                String::new()
            };
        }
        if self.place == Place::Opened {
            let text = self.held.trim_start();
            if text.is_empty() {
                self.held.clear();
                return String::new();
            }
            self.held = text.to_owned();
            self.place = Place::Inside;
        }
        // Text that may be the closing fence is held back until more text or the end comes.
        let end = self.held.trim_end();
        let text = end
            .strip_suffix(MARK)
            .unwrap_or_else(|| end.trim_end_matches('`'));
        let cut = match text.trim_end().len() {
            cut if self.held.len() - cut > MAX_HELD => self.held.len(),
            cut => cut,
        };
        self.held.drain(..cut).collect()
    }

    /// Checks whether the opening fence is complete.
    fn open(&mut self) -> bool {
        let head = self.held.trim_start();
        let Some(rest) = head.strip_prefix(MARK) else {
            if !MARK.starts_with(head) || self.held.len() > MAX_HELD {
                self.place = Place::Plain;
            }
            return false;
        };
        if rest.len() < LANGUAGE.len() && LANGUAGE.starts_with(rest) {
            return false;
        }
        self.held = rest.strip_prefix(LANGUAGE).unwrap_or(rest).to_owned();
        self.place = Place::Opened;
        true
    }

    /// Called at the end of the text. Returns the text that was held back, unless it is the closing
    /// fence.
    pub(in crate::dialect) fn finish(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        let closes = self.place == Place::Inside && held.trim() == MARK;
        self.place = Place::Plain;
        if closes { String::new() } else { held }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_taken_off_however_the_text_is_cut() {
        for text in [
            "```json\n{\"a\":1}\n```",
            " ```\n[]\n``` ",
            "{\"a\":\"```\"}",
            "```json\n{\"a\":\"``` x\"}```\n",
            "``",
            "",
            "```",
            "```js",
            "a ```",
            "```json{}```",
        ] {
            let whole = without_fence(text);
            for (a, _) in text.char_indices().chain([(text.len(), ' ')]) {
                let mut fence = Fence::default();
                let (left, right) = text.split_at(a);
                let got = fence.push(left) + &fence.push(right) + &fence.finish();
                assert_eq!(got, whole, "{text:?} at {a}");
            }
            let mut fence = Fence::default();
            let mut got: String = text.chars().map(|c| fence.push(&c.to_string())).collect();
            got += &fence.finish();
            assert_eq!(got, whole, "{text:?} byte by byte");
        }
    }
}
