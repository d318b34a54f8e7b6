//! A secret that cannot be printed, and redaction of secrets in texts.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock};

use subtle::{Choice, ConstantTimeEq};

/// An API key or other secret. It has no `Display` and no `Serialize`, and its `Debug` shows
/// nothing, so that it cannot reach a log line or response by accident. Clones share the text.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a key unchanged; the caller trims it.
    #[must_use]
    pub fn new(value: impl Into<Arc<str>>) -> Self {
        Self(value.into())
    }

    /// The key itself. Only for building the one header that carries it, and for comparing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is long enough (8 bytes) to be redacted from texts. Local providers get keys such
    /// as `test` or `ollama`, which are also ordinary words.
    #[must_use]
    pub fn is_redactable(&self) -> bool {
        const SHORTEST: usize = 8;
        self.0.len() >= SHORTEST
    }

    /// The part after a scheme, as in `Bearer token`; `None` if there is no space.
    #[must_use]
    pub fn token(&self) -> Option<Self> {
        let (_, token) = self.0.split_once(' ')?;
        Some(Self::new(token.trim()))
    }

    /// Whether `candidate` equals the key. The time depends only on the lengths, not on how much of
    /// the content matches.
    #[must_use]
    pub fn matches(&self, candidate: &str) -> Choice {
        self.0.as_bytes().ct_eq(candidate.as_bytes())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Identifies a caller without revealing the key: the position of its gateway key, or a hash of its
/// own key with a seed that is random in each process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallerId(u64);

/// The hasher of this process, randomly seeded.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl CallerId {
    /// The caller with this key of its own.
    #[must_use]
    pub fn of(key: &str) -> Self {
        Self(HASHER.hash_one(key))
    }

    /// The caller with the gateway key at this position. It cannot collide with a hash: with
    /// gateway keys, no caller is identified by a key of its own.
    #[must_use]
    pub fn of_gateway_key(place: usize) -> Self {
        Self(u64::try_from(place).unwrap_or(u64::MAX))
    }
}

/// The replacement for a secret in a text.
pub(crate) const MASK: &str = "[redacted]";

/// Prefixes by which a word counts as a key, from the documented formats of providers.
const KEY_STARTS: [&str; 11] = [
    "sk-", "gsk_", "xai-", "AIza", "vck_", "ABSK", "ya29.", "eyJ", "csk-", "sk_", "pk_",
];

/// The shortest word that counts as a key because of its prefix, in bytes.
const KEY_LENGTH: usize = 16;

/// Replaces every occurrence of `key` in `text`, and nothing else.
#[must_use]
pub fn without_key<'t>(text: &'t str, key: &Secret) -> Cow<'t, str> {
    if text.contains(key.expose()) {
        Cow::Owned(text.replace(key.expose(), MASK))
    } else {
        Cow::Borrowed(text)
    }
}

/// Replaces `key`, words shaped like a provider's key, and tokens after `Bearer`. A `key` shorter
/// than 4 bytes is ignored.
#[must_use]
pub fn redact<'t>(text: &'t str, key: Option<&Secret>) -> Cow<'t, str> {
    let mut out = Cow::Borrowed(text);
    if let Some(key) = key.filter(|key| key.expose().len() >= 4) {
        out = without_key(text, key);
    }
    if !may_hold_key(&out) {
        return out;
    }
    let mut clean = String::with_capacity(out.len());
    let mut after_bearer = false;
    for piece in out.split_inclusive(|c: char| !is_key_char(c)) {
        let word = piece.trim_end_matches(|c: char| !is_key_char(c));
        let shaped =
            word.len() >= KEY_LENGTH && KEY_STARTS.iter().any(|start| word.starts_with(start));
        let borne = after_bearer
            && word.len() >= BEARER_LENGTH
            && word.bytes().any(|byte| byte.is_ascii_digit());
        if shaped || borne {
            clean.push_str(MASK);
            clean.extend(piece.strip_prefix(word));
        } else {
            clean.push_str(piece);
        }
        after_bearer = word.eq_ignore_ascii_case("bearer") || (after_bearer && word.is_empty());
    }
    Cow::Owned(clean)
}

/// Whether a text may need redaction: it has a word shaped like a key, or the word `Bearer`. Most
/// texts have neither and are scanned only once.
fn may_hold_key(text: &str) -> bool {
    if text.len() < BEARER_LENGTH {
        return false;
    }
    let bytes = text.as_bytes();
    let mut begin = 0;
    for end in 0..=bytes.len() {
        if bytes.get(end).is_some_and(|byte| is_key_byte(*byte)) {
            continue;
        }
        let word = bytes.get(begin..end).unwrap_or_default();
        let starts = |start: &&str| word.starts_with(start.as_bytes());
        if word.len() >= KEY_LENGTH && KEY_STARTS.iter().any(starts)
            || word.eq_ignore_ascii_case(b"bearer")
        {
            return true;
        }
        begin = end + 1;
    }
    false
}

/// The shortest word after `Bearer` that counts as a token, in bytes. It must also contain a digit,
/// which ordinary words do not.
const BEARER_LENGTH: usize = 8;

fn is_key_char(c: char) -> bool {
    u8::try_from(c).is_ok_and(is_key_byte)
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_nothing_of_itself() {
        assert_eq!(format!("{:?}", Secret::new("sk-live-1")), "Secret(***)");
    }

    #[test]
    fn only_the_whole_key_matches() {
        let key = Secret::new("team-key");
        for (candidate, same) in [
            ("team-key", true),
            ("team-kez", false),
            ("team-ke", false),
            ("team-key ", false),
            ("", false),
        ] {
            assert_eq!(bool::from(key.matches(candidate)), same, "{candidate:?}");
        }
    }

    #[test]
    fn keys_leave_no_trace_in_a_text() {
        let key = Secret::new("plain-looking");
        for (text, clean) in [
            ("wrong key plain-looking.", "wrong key [redacted]."),
            (
                "Incorrect API key provided: sk-proj-abcdefghijkl. See the docs.",
                "Incorrect API key provided: [redacted] See the docs.",
            ),
            ("Bearer gsk_0123456789abcdef!", "Bearer [redacted]!"),
            ("a task-force of sk-1", "a task-force of sk-1"),
            (
                "authorization: Bearer  team-key-1",
                "authorization: Bearer  [redacted]",
            ),
            (
                "send it as a Bearer token, please",
                "send it as a Bearer token, please",
            ),
            ("Grüße", "Grüße"),
        ] {
            assert_eq!(redact(text, Some(&key)), clean);
        }
    }
}
