//! Rewrites tool call ids that a provider does not accept, alike for a call and its result. Pure.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use memchr::memmem::Finder;

/// The tool call ids that a provider accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallIds {
    /// Any id.
    Any,
    /// Ids of at most this many bytes.
    UpTo(usize),
    /// Ids of exactly nine letters and digits, each used for one call only.
    Nine,
}

/// The tool call ids of one conversation.
#[derive(Default)]
pub(in crate::dialect) struct Ids {
    /// Uses of each id. Calls that share an id are told apart, because some providers count from
    /// zero in each response.
    used: HashMap<String, Used>,
    /// Number of messages with tool calls so far.
    turns: usize,
}

/// The uses of one id so far.
#[derive(Default)]
struct Used {
    /// Number of calls with this id.
    calls: usize,
    /// How many of these calls have a result, or will not get one.
    answered: usize,
    /// The last turn with such a call.
    turn: usize,
}

impl Ids {
    /// Starts a message with tool calls. If it uses an id again, earlier calls with that id can get
    /// no result any more.
    pub(in crate::dialect) fn begin(&mut self) {
        self.turns += 1;
    }

    /// Returns the id for a call.
    pub(in crate::dialect) fn call<'i>(&mut self, id: &'i str, takes: CallIds) -> Cow<'i, str> {
        let used = self.used.entry(id.to_owned()).or_default();
        if used.turn != self.turns {
            used.turn = self.turns;
            used.answered = used.calls;
        }
        used.calls += 1;
        accepted_id(id, used.calls, takes)
    }

    /// Returns the id for a result: that of the first call with this id that has no result yet.
    pub(in crate::dialect) fn result<'i>(&mut self, id: &'i str, takes: CallIds) -> Cow<'i, str> {
        let nth = self.used.get_mut(id).map_or(1, |used| {
            used.answered = used.calls.min(used.answered + 1);
            used.answered
        });
        accepted_id(id, nth, takes)
    }
}

fn accepted_id(id: &str, nth: usize, takes: CallIds) -> Cow<'_, str> {
    let fits = match takes {
        CallIds::Any => true,
        CallIds::UpTo(most) => id.len() <= most,
        CallIds::Nine => nth == 1 && id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()),
    };
    if fits {
        Cow::Borrowed(id)
    } else {
        Cow::Owned(nine_char_id(id, nth))
    }
}

/// Derives nine letters and digits from an id.
fn nine_char_id(id: &str, nth: usize) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    // The standard library's `DefaultHasher` starts from fixed keys. The same id gives the same
    // digits in every request, so the provider's prompt cache still matches.
    let mut hasher = DefaultHasher::new();
    (id, nth).hash(&mut hasher);
    let mut rest = hasher.finish();
    let mut out = String::with_capacity(9);
    for _ in 0..9 {
        let digit = usize::try_from(rest % 62).unwrap_or_default();
        out.push(DIGITS.get(digit).copied().map_or('0', char::from));
        rest /= 62;
    }
    out
}

/// Whether a `tool_call_id` in the JSON text of a list of messages has more than `most` bytes. The
/// JSON is not parsed.
pub(in crate::dialect) fn has_long(messages: &str, most: usize) -> bool {
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"tool_call_id\""));
    NAME.find_iter(messages.as_bytes()).any(|at| {
        let value = messages
            .get(at + "\"tool_call_id\"".len()..)
            .and_then(|rest| rest.trim_start().strip_prefix(':'))
            .and_then(|rest| rest.trim_start().strip_prefix('"'));
        value.is_some_and(|rest| memchr::memchr(b'"', rest.as_bytes()).is_none_or(|n| n > most))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trap A14.
    #[test]
    fn an_id_is_rewritten_alike_for_the_call_and_its_result() {
        let long = "x".repeat(200);
        for (takes, id) in [
            (CallIds::Nine, "functions.get:0"),
            (CallIds::Nine, long.as_str()),
            (CallIds::UpTo(40), long.as_str()),
        ] {
            let mut ids = Ids::default();
            let call = ids.call(id, takes).into_owned();
            assert_eq!(call.len(), 9);
            assert!(call.bytes().all(|b| b.is_ascii_alphanumeric()), "{call}");
            assert_eq!(ids.result(id, takes), call);
            assert_eq!(
                Ids::default().call(id, takes),
                call,
                "not the same each time"
            );
        }
        assert_eq!(Ids::default().call("abcDEF123", CallIds::Nine), "abcDEF123");
        assert_eq!(Ids::default().call("call_1", CallIds::UpTo(40)), "call_1");
    }

    #[test]
    fn a_repeated_id_names_two_calls() {
        let mut ids = Ids::default();
        let first = ids.call("call_0", CallIds::Nine).into_owned();
        assert_eq!(ids.result("call_0", CallIds::Nine), first);
        let second = ids.call("call_0", CallIds::Nine).into_owned();
        assert_ne!(first, second);
        assert_eq!(ids.result("call_0", CallIds::Nine), second);
    }

    #[test]
    fn long_ids_are_found_without_reading() {
        let long = format!(r#"[{{"tool_call_id" : "{}"}}]"#, "x".repeat(41));
        assert!(has_long(&long, 40));
        assert!(!has_long(
            r#"[{"tool_call_id":"call_1","content":"y"}]"#,
            40
        ));
    }

    #[test]
    fn results_go_to_the_calls_of_one_id_in_their_order() {
        let mut ids = Ids::default();
        let nine = CallIds::Nine;
        ids.begin();
        let (first, second) = (
            ids.call("a", nine).into_owned(),
            ids.call("a", nine).into_owned(),
        );
        assert_eq!(ids.result("a", nine), first);
        assert_eq!(ids.result("a", nine), second);
        // A missing result does not shift the results of the next turn.
        ids.begin();
        ids.call("a", nine);
        ids.begin();
        let last = ids.call("a", nine).into_owned();
        assert_eq!(ids.result("a", nine), last);
    }
}
