//! One caller's retry budget at one provider, so that retries do not multiply an outage. Pure.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Maximum number of deposited retries: what a good hour deposits must not become a storm of
/// retries in a bad minute.
const MOST_EARNED: u64 = 100;

/// Parts of one retry; a request deposits some of them.
const WHOLE: u64 = 100;

/// The retry budget of one caller at one provider, over all threads. Each request deposits a share
/// of a retry. In addition, some retries per second are free; the callers of the provider share
/// them.
#[derive(Debug)]
pub struct RetryBudget {
    percent: u64,
    earned: AtomicU64,
    /// Nanoseconds until one free retry is available again; 0 if none are free.
    interval: u64,
    /// When all free retries are available again, in nanoseconds since the start.
    full: AtomicU64,
}

impl RetryBudget {
    /// Allows retries for `percent` of the requests, and `floor` free retries per second.
    #[must_use]
    pub fn new(percent: u32, floor: u32) -> Self {
        Self {
            percent: u64::from(percent),
            earned: AtomicU64::new(0),
            interval: 1_000_000_000_u64.checked_div(u64::from(floor)).unwrap_or(0),
            full: AtomicU64::new(0),
        }
    }

    /// Deposits the share of one request.
    pub fn deposit(&self) {
        let most = MOST_EARNED * WHOLE;
        // A race may lose or add a few parts, which does not matter; a lock would cost more.
        if self.earned.load(Ordering::Relaxed) < most {
            self.earned.fetch_add(self.percent, Ordering::Relaxed);
        }
    }

    /// Takes one retry at `at`, a time since any fixed moment; `false` if none is left. This caller
    /// has one part in `callers` of the free retries.
    pub fn withdraw(&self, at: Duration, callers: u64) -> bool {
        self.withdraw_deposited() || self.withdraw_floor(at, callers)
    }

    fn withdraw_deposited(&self) -> bool {
        let less = |earned: u64| earned.checked_sub(WHOLE);
        self.earned
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }

    /// Takes a free retry, at most one second's worth at once: the generic cell rate algorithm.
    fn withdraw_floor(&self, at: Duration, callers: u64) -> bool {
        if self.interval == 0 {
            return false;
        }
        let interval = self.interval.saturating_mul(callers.max(1));
        // Every caller may use one retry, however small its part is.
        let most = interval.max(1_000_000_000);
        let now = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        let take = |full: u64| {
            let after = full.max(now).saturating_add(interval);
            (after <= now.saturating_add(most)).then_some(after)
        };
        self.full
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(budget: &RetryBudget, tries: usize, at: Duration) -> usize {
        (0..tries).filter(|_| budget.withdraw(at, 1)).count()
    }

    #[test]
    fn requests_earn_their_share_and_no_more_than_the_most() {
        let budget = RetryBudget::new(20, 0);
        assert_eq!(spent(&budget, 5, Duration::ZERO), 0);
        for _ in 0..50 {
            budget.deposit();
        }
        assert_eq!(spent(&budget, 50, Duration::ZERO), 10);
        for _ in 0..10_000 {
            budget.deposit();
        }
        assert_eq!(spent(&budget, 10_000, Duration::ZERO), 100);
    }

    #[test]
    fn some_a_second_are_free() {
        let budget = RetryBudget::new(0, 10);
        assert_eq!(spent(&budget, 50, Duration::ZERO), 10);
        assert_eq!(spent(&budget, 50, Duration::from_millis(99)), 0);
        assert_eq!(spent(&budget, 50, Duration::from_millis(300)), 3);
        assert_eq!(
            spent(&budget, 50, Duration::from_secs(60)),
            10,
            "not six hundred"
        );
        assert_eq!(spent(&RetryBudget::new(0, 0), 5, Duration::from_secs(9)), 0);
    }

    #[test]
    fn callers_have_the_free_ones_together_and_none_has_nothing() {
        let budget = RetryBudget::new(0, 10);
        let tries = |at| (0..50).filter(|_| budget.withdraw(at, 5)).count();
        assert_eq!(tries(Duration::ZERO), 2);
        assert_eq!(tries(Duration::from_secs(9)), 2);
        let rare = RetryBudget::new(0, 1);
        assert!(rare.withdraw(Duration::ZERO, 10));
        assert!(!rare.withdraw(Duration::from_secs(9), 10));
        assert!(rare.withdraw(Duration::from_secs(10), 10));
    }

    /// Promise 7.
    #[test]
    fn an_outage_costs_no_more_than_the_share_and_the_floor() {
        let budget = RetryBudget::new(20, 10);
        let mut attempts = 0_u32;
        // 100 requests per second for ten seconds, each of which would be retried twice.
        for n in 0..1000_u64 {
            let at = Duration::from_millis(n * 10);
            budget.deposit();
            attempts += 1;
            attempts += u32::try_from(spent(&budget, 2, at)).unwrap();
        }
        assert!(attempts <= 1310, "{attempts} attempts for 1000 requests");
    }
}
