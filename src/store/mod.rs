//! The reasoning cache: reasoning and signatures that providers require again, kept for clients
//! that do not send them back. Bounded, in memory, and local to this process.
//!
//! A client that discards unknown fields loses the reasoning of a turn with tool calls. The
//! provider then rejects the next turn or reasons worse. An entry is found by the id of the tool
//! call, for the same caller only. If it is gone, after a restart or on another replica, the
//! provider gets the placeholder that it accepts.

use std::cell::RefCell;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use crate::dialect::hub::{Piece, ReasoningLookup, ReasoningState};
use crate::secret::CallerId;

/// How long an entry is kept that nobody looks up.
const IDLE: Duration = Duration::from_secs(6 * 60 * 60);

/// The shortest tool-call id that counts as unique.
const UNIQUE: usize = 12;

/// The number of tool calls of one response that its entry can be found by.
const MAX_CALLS: usize = 4;

/// The reasoning cache that all workers share.
pub struct ReasoningCache {
    kept: Option<Cache<Key, Arc<ReasoningState>>>,
    hasher: RandomState,
}

/// Identifies a tool call: the provider and caller, the id, and the conversation if the id alone is
/// not unique.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    credential_hash: u64,
    call: Box<str>,
    conversation_hash: u64,
}

impl ReasoningCache {
    /// `limit` is the size of all entries together, in bytes; 0 turns the cache off.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        let kept = (limit > 0).then(|| {
            Cache::builder()
                .max_capacity(limit)
                .weigher(|key: &Key, kept: &Arc<ReasoningState>| {
                    u32::try_from(size(kept) + key.call.len()).unwrap_or(u32::MAX)
                })
                .time_to_idle(IDLE)
                .build()
        });
        Self {
            kept,
            hasher: RandomState::new(),
        }
    }

    /// Hash of provider and caller: a caller can look up only its own entries of this provider.
    #[must_use]
    pub fn credential_hash(&self, provider: &str, caller: CallerId) -> u64 {
        self.hasher.hash_one((provider, caller))
    }

    /// Stores the reasoning of the response that has these tool calls. `conversation_hash` is the
    /// hash of the conversation that was answered.
    pub fn keep(
        &self,
        credential_hash: u64,
        conversation_hash: u64,
        calls: Vec<String>,
        kept: ReasoningState,
    ) {
        let Some(cache) = &self.kept else {
            return;
        };
        let kept = Arc::new(kept);
        // A lookup uses the first tool call; more are stored for clients that leave out some calls.
        for call in calls.into_iter().take(MAX_CALLS) {
            if let Some(key) = key(credential_hash, call, conversation_hash) {
                cache.insert(key, Arc::clone(&kept));
            }
        }
    }

    /// The cache as one caller sees it. `credential_hash` is only computed on a lookup.
    pub fn of<F: Fn() -> u64>(&self, credential_hash: F) -> CallerReasoning<'_, F> {
        CallerReasoning {
            store: self,
            credential_hash,
            told: RefCell::default(),
        }
    }
}

/// The reasoning cache of one caller; see [`ReasoningCache::of`].
pub struct CallerReasoning<'s, F> {
    store: &'s ReasoningCache,
    credential_hash: F,
    /// The lookups of this request so far. Each is answered once, or a small request could ask for
    /// an entry of a megabyte in each of its messages.
    told: RefCell<HashSet<(String, u64)>>,
}

impl<F: Fn() -> u64> ReasoningLookup for CallerReasoning<'_, F> {
    fn recall(&self, call_id: &str, conversation_hash: u64) -> Option<ReasoningState> {
        let cache = self.store.kept.as_ref()?;
        let mut told = self.told.borrow_mut();
        if !told.insert((call_id.to_owned(), conversation_hash)) {
            return None;
        }
        let kept = cache.get(&key(
            (self.credential_hash)(),
            call_id.to_owned(),
            conversation_hash,
        )?)?;
        Some((*kept).clone())
    }
}

/// The key of an entry; `None` if nothing distinguishes the call from one of another conversation.
fn key(credential_hash: u64, call: String, conversation_hash: u64) -> Option<Key> {
    // Some providers number their calls, as in `search:0`: the same ids in every conversation.
    let counted = call
        .rsplit([':', '_', '-', '.'])
        .next()
        .is_some_and(|end| end.len() < 6 && end.bytes().all(|b| b.is_ascii_digit()));
    let unique = call.len() >= UNIQUE && !counted;
    if !unique && conversation_hash == 0 {
        return None;
    }
    Some(Key {
        credential_hash,
        call: call.into_boxed_str(),
        conversation_hash: if unique { 0 } else { conversation_hash },
    })
}

/// The approximate size of an entry, in bytes.
fn size(kept: &ReasoningState) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let details: usize = kept
        .details
        .iter()
        .map(|d| 128 + text(&d.text) + text(&d.signature) + text(&d.data))
        .sum();
    let extras: usize = kept
        .extras
        .iter()
        .map(|(id, extra)| 64 + id.len() + extra.get().len())
        .sum();
    let blocks = kept.raw_blocks.as_ref().map_or(0, |raw| raw.get().len());
    let pieces = kept.sequence.len() * size_of::<Piece>();
    256 + pieces + text(&kept.reasoning) + details + extras + blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thought(text: &str) -> ReasoningState {
        ReasoningState {
            reasoning: Some(text.to_owned()),
            ..ReasoningState::default()
        }
    }

    fn recalled(
        store: &ReasoningCache,
        credential_hash: u64,
        call: &str,
        conversation_hash: u64,
    ) -> Option<String> {
        store
            .of(|| credential_hash)
            .recall(call, conversation_hash)?
            .reasoning
    }

    #[test]
    fn what_is_kept_is_found_by_the_call_and_by_its_owner_only() {
        let store = ReasoningCache::new(1 << 20);
        let calls = vec![
            "toolu_01A09q90qw90".to_owned(),
            "toolu_01B09q90qw90".to_owned(),
        ];
        store.keep(1, 7, calls, thought("Hm."));
        for call in ["toolu_01A09q90qw90", "toolu_01B09q90qw90"] {
            assert_eq!(recalled(&store, 1, call, 9).as_deref(), Some("Hm."));
            assert_eq!(recalled(&store, 2, call, 7), None);
        }
        assert_eq!(recalled(&store, 1, "toolu_other_id_1", 7), None);
        let one = store.credential_hash("kimi", CallerId::of("a"));
        assert_eq!(one, store.credential_hash("kimi", CallerId::of("a")));
        assert_ne!(one, store.credential_hash("kimi", CallerId::of("b")));
        assert_ne!(one, store.credential_hash("deepseek", CallerId::of("a")));
    }

    #[test]
    fn an_id_that_repeats_is_found_in_its_own_conversation_only() {
        let store = ReasoningCache::new(1 << 20);
        for call in [
            "functions.get_weather:0",
            "call_0",
            "get:12",
            "call_get_weather_12",
            "tool_call_0001",
        ] {
            store.keep(1, 7, vec![call.to_owned()], thought("Hm."));
            assert_eq!(recalled(&store, 1, call, 7).as_deref(), Some("Hm."));
            assert_eq!(recalled(&store, 1, call, 8), None, "{call}");
            assert_eq!(recalled(&store, 1, call, 0), None, "{call}");
        }
    }

    #[test]
    fn the_memory_is_bounded_and_can_be_off() {
        let off = ReasoningCache::new(0);
        off.keep(1, 0, vec!["toolu_01A09q90qw90".to_owned()], thought("x"));
        assert_eq!(recalled(&off, 1, "toolu_01A09q90qw90", 0), None);
        let store = ReasoningCache::new(100_000);
        for n in 0..1000 {
            let calls = vec![format!("toolu_01A09q90qw90{n}")];
            store.keep(1, 0, calls, thought(&"x".repeat(1000)));
        }
        let cache = store.kept.as_ref().unwrap();
        cache.run_pending_tasks();
        assert!(
            cache.weighted_size() <= 100_000,
            "{}",
            cache.weighted_size()
        );
    }
}
