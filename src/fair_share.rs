//! A limit that callers share fairly. Pure.
//!
//! A single caller may take the whole limit. Once it is taken, callers with less than an equal
//! share may still take a little more, so that nobody can shut out the others by taking everything
//! first. At most a sixteenth of the limit is granted beyond it; limits below 16 grant nothing.

use std::collections::HashMap;

use crate::secret::CallerId;

/// The part of the limit that may be granted beyond it is 1/16; 0 for limits below 16.
const BEYOND: usize = 16;

/// How much of a limit is taken, in total and by each caller.
#[derive(Debug)]
pub struct FairShare {
    limit: usize,
    taken: usize,
    of: HashMap<CallerId, usize>,
}

impl FairShare {
    /// A limit of which nothing is taken.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            taken: 0,
            of: HashMap::new(),
        }
    }

    /// Takes `amount` for a caller; `false`, and takes nothing, if that is too much.
    #[must_use]
    pub fn take(&mut self, caller: CallerId, amount: usize) -> bool {
        let mine = self.of.get(&caller).copied().unwrap_or(0);
        let all = self.taken.saturating_add(amount);
        if all > self.limit {
            let callers = self.of.len() + usize::from(mine == 0);
            let share = (self.limit / callers.max(1)).max(1);
            let beyond = self.limit / BEYOND;
            let is_fair = mine.saturating_add(amount) <= share && callers > 1;
            if !is_fair || all > self.limit.saturating_add(beyond) {
                return false;
            }
        }
        self.taken = all;
        *self.of.entry(caller).or_insert(0) += amount;
        true
    }

    /// Returns `amount` that a caller took.
    pub fn release(&mut self, caller: CallerId, amount: usize) {
        self.taken = self.taken.saturating_sub(amount);
        if let Some(mine) = self.of.get_mut(&caller) {
            *mine = mine.saturating_sub(amount);
            if *mine == 0 {
                self.of.remove(&caller);
            }
        }
    }

    /// How much all callers together have taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(name: &str) -> CallerId {
        CallerId::of(name)
    }

    #[test]
    fn one_caller_may_take_all_and_no_more() {
        for limit in [0, 1, 3, 16, 100] {
            let mut shares = FairShare::new(limit);
            let taken = (0..200).filter(|_| shares.take(who("a"), 1)).count();
            assert_eq!(taken, limit);
            for _ in 0..limit {
                shares.release(who("a"), 1);
            }
            assert_eq!(shares.taken(), 0);
            assert!(shares.of.is_empty());
        }
    }

    #[test]
    fn who_has_less_than_a_share_gets_something_after_all_was_taken() {
        for (limit, beyond) in [(1, 0), (15, 0), (16, 1), (64, 4), (1000, 62)] {
            let mut shares = FairShare::new(limit);
            while shares.take(who("greedy"), 1) {}
            let taken = (0..limit).filter(|_| shares.take(who("b"), 1)).count();
            assert_eq!(taken, beyond, "of {limit}");
            assert!(!shares.take(who("greedy"), 1));
            assert!(shares.taken() <= limit + beyond);
        }
    }

    #[test]
    fn a_large_amount_counts_as_what_it_is() {
        let mut shares = FairShare::new(160);
        assert!(shares.take(who("a"), 160));
        assert!(!shares.take(who("b"), 11));
        assert!(shares.take(who("b"), 10));
        assert!(!shares.take(who("c"), 1), "there is nothing more beyond");
    }
}
