//! Whether an attempt is retried, and after how long. Pure.

use std::time::Duration;

/// Maximum pause between attempts, without a wait that the provider asks for.
const MAX_PAUSE: Duration = Duration::from_secs(8);

/// Maximum wait that a provider may ask for; beyond it, the client gets the error instead.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(20);

/// Minimum time before the deadline that is left for an attempt.
pub const MIN_ATTEMPT_TIME: Duration = Duration::from_millis(100);

/// The number of retries and their pauses.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Maximum number of attempts after the first.
    pub max_retries: u32,
    /// Maximum pause before the first retry; it doubles with each retry.
    pub base_delay: Duration,
}

/// Whether a failed attempt may be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Not retried: it would fail again, or it may have been billed.
    Never,
    /// The provider did nothing, or failed for a reason that may pass.
    Yes {
        /// How long the provider asks to wait; `None` if it does not say.
        after: Option<Duration>,
    },
}

/// The retries of one call.
#[derive(Debug)]
pub struct RetrySchedule {
    policy: RetryPolicy,
    retries: u32,
}

impl RetrySchedule {
    /// A schedule before the first attempt. Retries among the `prior_attempts` at another form of
    /// the request count against the limit.
    #[must_use]
    pub fn new(policy: RetryPolicy, prior_attempts: u32) -> Self {
        let spent = prior_attempts.saturating_sub(1);
        let max_retries = policy.max_retries.saturating_sub(spent);
        Self {
            policy: RetryPolicy {
                max_retries,
                ..policy
            },
            retries: 0,
        }
    }

    /// Attempts so far, including the current one.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.retries + 1
    }

    /// The pause before the next attempt, or `None` if there is none.
    ///
    /// `left` is the time to the deadline, `jitter` a random number from 0 to 1. Without a wait
    /// that the provider asks for, the pause is a random part of the doubled delay, so that callers
    /// spread.
    pub fn next(&mut self, retry: Retry, left: Duration, jitter: f64) -> Option<Duration> {
        let Retry::Yes { after } = retry else {
            return None;
        };
        if self.retries >= self.policy.max_retries {
            return None;
        }
        let ceiling = self
            .policy
            .base_delay
            .saturating_mul(2_u32.saturating_pow(self.retries))
            .min(MAX_PAUSE);
        let pause = match after {
            Some(after) if after > MAX_RETRY_AFTER => return None,
            // Callers that were given the same wait must not return together.
            Some(after) => after + ceiling.mul_f64(jitter.clamp(0.0, 1.0)),
            None => ceiling.mul_f64(jitter.clamp(0.0, 1.0)),
        };
        // An attempt without time to finish can only be billed.
        if pause + MIN_ATTEMPT_TIME >= left {
            return None;
        }
        self.retries += 1;
        Some(pause)
    }
}

/// Reads `retry-after-ms`, else `retry-after`: seconds, with or without a fraction, or a date. A
/// value that is negative, past or not a time counts as absent. `now` is seconds since 1970.
#[must_use]
pub(super) fn retry_after(millis: Option<&str>, plain: Option<&str>, now: u64) -> Option<Duration> {
    let seconds = |text: &str| {
        let value: f64 = text.trim().parse().ok()?;
        Duration::try_from_secs_f64(value).ok()
    };
    if let Some(wait) = millis.and_then(seconds) {
        return Some(wait / 1000);
    }
    let text = plain?;
    seconds(text).or_else(|| {
        let at = httpdate::parse_http_date(text.trim()).ok()?;
        let at = at.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
        at.checked_sub(now)
            .filter(|wait| *wait > 0)
            .map(Duration::from_secs)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        max_retries: 2,
        base_delay: Duration::from_millis(150),
    };
    const LONG: Duration = Duration::from_secs(100);

    #[test]
    fn another_form_of_a_request_has_the_retries_that_are_left() {
        for (prior_attempts, left) in [(0, 2), (1, 2), (2, 1), (3, 0), (9, 0)] {
            let mut schedule = RetrySchedule::new(POLICY, prior_attempts);
            let retry = Retry::Yes { after: None };
            let retries = (0..5)
                .filter_map(|_| schedule.next(retry, LONG, 0.5))
                .count();
            assert_eq!(retries, left, "after {prior_attempts} attempts");
        }
    }

    #[test]
    fn the_pause_doubles_and_the_attempts_end() {
        let mut schedule = RetrySchedule::new(POLICY, 0);
        let retry = Retry::Yes { after: None };
        assert_eq!(
            schedule.next(retry, LONG, 1.0),
            Some(Duration::from_millis(150))
        );
        assert_eq!(
            schedule.next(retry, LONG, 1.0),
            Some(Duration::from_millis(300))
        );
        assert_eq!(schedule.next(retry, LONG, 1.0), None);
        assert_eq!(schedule.attempts(), 3);
    }

    #[test]
    fn jitter_spreads_the_pause_over_the_whole_range() {
        let retry = Retry::Yes { after: None };
        for (jitter, millis) in [(0.0, 0), (0.5, 75), (1.0, 150)] {
            let pause = RetrySchedule::new(POLICY, 0).next(retry, LONG, jitter);
            assert_eq!(pause, Some(Duration::from_millis(millis)));
        }
    }

    /// Trap C11.
    #[test]
    fn what_the_provider_asks_is_obeyed_or_passed_on() {
        let retry = |secs| Retry::Yes {
            after: Some(Duration::from_secs(secs)),
        };
        let next = |secs, left| RetrySchedule::new(POLICY, 0).next(retry(secs), left, 0.0);
        assert_eq!(next(2, LONG), Some(Duration::from_secs(2)));
        assert_eq!(next(21, LONG), None, "too long to wait");
        assert_eq!(
            next(2, Duration::from_secs(2)),
            None,
            "the deadline comes first"
        );
    }

    #[test]
    fn what_must_not_be_tried_again_is_not() {
        assert_eq!(
            RetrySchedule::new(POLICY, 0).next(Retry::Never, LONG, 0.0),
            None
        );
    }

    #[test]
    fn every_form_of_retry_after_is_read() {
        let now = 784_111_777; // Sun, 06 Nov 1994 08:49:37 GMT
        let millis = |ms| Some(Duration::from_millis(ms));
        for (ms, plain, expected) in [
            (Some("350"), Some("9"), millis(350)),
            (None, Some("7"), millis(7000)),
            (None, Some(" 0.5 "), millis(500)),
            (None, Some("Sun, 06 Nov 1994 08:49:40 GMT"), millis(3000)),
            (None, Some("Sun, 06 Nov 1994 08:49:00 GMT"), None),
            (Some("junk"), Some("2"), millis(2000)),
            (None, Some("-3"), None),
            (None, Some("soon"), None),
            (None, None, None),
        ] {
            assert_eq!(retry_after(ms, plain, now), expected, "{ms:?} {plain:?}");
        }
    }
}
