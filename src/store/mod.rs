//! What providers want back of their answers, kept for clients that do not keep it: bounded, in
//! memory, of this process alone.
//!
//! A client that drops what it does not know loses the reasoning of a turn that called tools, and
//! its provider refuses the next turn or thinks worse. What is kept is found by the id of the call,
//! for the same caller only. Where it is gone, after a restart or on another replica, the
//! provider is told what it takes for "there is none".

use std::cell::RefCell;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

use crate::dialect::hub::{Piece, ReasoningLookup, ReasoningState};
use crate::secret::CallerId;

/// How long something is kept that nobody asks for.
const IDLE: Duration = Duration::from_secs(6 * 60 * 60);

/// Least length of an id that is like no other.
const UNIQUE: usize = 12;

/// Most calls of one answer that it is found by.
const MAX_CALLS: usize = 4;

/// The memory of all workers.
pub struct ReasoningCache {
    kept: Option<Cache<Key, Arc<ReasoningState>>>,
    hasher: RandomState,
}

/// Whose call: a provider and a caller, the id, and the conversation where the id alone does not
/// tell.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    credential_hash: u64,
    call: Box<str>,
    conversation_hash: u64,
}

impl ReasoningCache {
    /// `limit` is what may be kept altogether, in bytes; nothing is where it is 0.
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

    /// Whose answers of a provider a caller may recall: nobody else's.
    #[must_use]
    pub fn credential_hash(&self, provider: &str, caller: CallerId) -> u64 {
        self.hasher.hash_one((provider, caller))
    }

    /// Keeps what the answer with these calls wants back. `conversation_hash` stands for the conversation that
    /// was answered.
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
        // A message is found by its first call; further ones are for clients that leave some out.
        for call in calls.into_iter().take(MAX_CALLS) {
            if let Some(key) = key(credential_hash, call, conversation_hash) {
                cache.insert(key, Arc::clone(&kept));
            }
        }
    }

    /// The memory as one owner sees it; who that is, is asked where something is looked for.
    pub fn of<F: Fn() -> u64>(&self, credential_hash: F) -> CallerReasoning<'_, F> {
        CallerReasoning {
            store: self,
            credential_hash,
            told: RefCell::default(),
        }
    }
}

/// See [`ReasoningCache::of`].
pub struct CallerReasoning<'s, F> {
    store: &'s ReasoningCache,
    credential_hash: F,
    /// What was recalled: an answer is given back once, or a small request could ask for one of a megabyte
    /// in each of its messages.
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

/// `None` where nothing tells the call from one of another conversation.
fn key(credential_hash: u64, call: String, conversation_hash: u64) -> Option<Key> {
    // Some providers count their calls, as in `search:0`: the same id in every conversation.
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

/// What something kept takes, in bytes.
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
