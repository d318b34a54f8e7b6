//! The circuit breakers of one caller at one provider, one for each model. Pure.
//!
//! Providers fail by model, so a failing model must not shut out the others. A caller's own
//! requests may also cause the failures, so each caller has circuits of its own. A circuit learns
//! only from the attempts of live traffic. While it is open, one call in each interval is let
//! through as a probe; the first that succeeds closes the circuit. A new probe does not wait for
//! the last one: a model may think for a minute, and a probe that hangs must not keep the circuit
//! open.
//!
//! Callers that share a key are one caller here. So a circuit also tracks which requests failed. If
//! it was the same request each time, other requests have a probe of their own; once that succeeds,
//! only the failing request is kept out.

use std::collections::HashMap;
use std::time::Duration;

use crate::config::BreakerConfig as Settings;

/// The state of a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Circuit {
    /// Every call is let through.
    Closed,
    /// A probe is running.
    HalfOpen,
    /// No call is let through until the next interval.
    Open,
}

/// Maximum number of circuits of one caller. Clients choose the model names, so beyond it no
/// circuit is added until an old one is idle.
const MOST: usize = 32;

/// The outcome of an attempt, as a circuit counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The provider responded.
    Answered,
    /// The provider did not respond, or responded that it cannot serve the request.
    Failed,
    /// The outcome says nothing about the provider: the request may be at fault, or the caller
    /// left.
    Unknown,
}

/// The circuits of one caller at one provider, by model.
#[derive(Debug)]
pub struct CircuitBreakers {
    settings: Settings,
    of: HashMap<Box<str>, CircuitBreaker>,
}

impl CircuitBreakers {
    /// Starts with every circuit closed.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            of: HashMap::new(),
        }
    }

    /// Lets a call for `model` through. `request` computes its fingerprint and `at` the time; both
    /// are called only if needed.
    ///
    /// # Errors
    /// How long until the next call is let through.
    pub fn admit(
        &mut self,
        model: &str,
        request: impl FnOnce() -> u64,
        at: impl FnOnce() -> Duration,
    ) -> Result<Ticket, Duration> {
        if self.of.is_empty() {
            return Ok(Ticket(0));
        }
        let Some(breaker) = self.of.get_mut(model) else {
            return Ok(Ticket(0));
        };
        let at = at();
        if breaker.is_idle(at) {
            self.of.remove(model);
            return Ok(Ticket(0));
        }
        breaker.admit(request(), at)
    }

    /// Records the outcome of a call that was let through; `at` gives the time. Returns the
    /// circuit's state if it opened or closed.
    pub fn ended(
        &mut self,
        model: &str,
        ticket: Ticket,
        outcome: Outcome,
        request: impl FnOnce() -> u64,
        at: impl FnOnce() -> Duration,
    ) -> Option<Circuit> {
        if self.of.is_empty() && outcome != Outcome::Failed {
            return None;
        }
        let at = at();
        if !self.of.contains_key(model) {
            // A model without failures needs no circuit.
            if outcome != Outcome::Failed || self.settings.error_percent == 0 {
                return None;
            }
            if self.of.len() >= MOST {
                self.of.retain(|_, breaker| !breaker.is_idle(at));
            }
            if self.of.len() >= MOST {
                return None;
            }
            self.of
                .insert(model.into(), CircuitBreaker::new(self.settings));
        }
        let breaker = self.of.get_mut(model)?;
        let changed = breaker.ended(ticket, outcome, request(), at);
        changed.then(|| breaker.circuit())
    }

    /// The state of the worst circuit at `at`.
    #[must_use]
    pub fn worst(&self, at: Duration) -> Circuit {
        let awake = self.of.values().filter(|breaker| !breaker.is_idle(at));
        let worst = awake.map(CircuitBreaker::circuit).max();
        worst.unwrap_or(Circuit::Closed)
    }

    /// The models whose circuits are not closed at `at`.
    pub fn failing(&self, at: Duration) -> impl Iterator<Item = &str> {
        self.of
            .iter()
            .filter(move |(_, breaker)| {
                breaker.circuit() != Circuit::Closed && !breaker.is_idle(at)
            })
            .map(|(name, _)| name.as_ref())
    }
}

/// A call that was let through. Its outcome counts only while the circuit has not changed since: a
/// response that took long says nothing about a provider that failed meanwhile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticket(u64);

/// One circuit. Times are durations since any fixed moment.
#[derive(Debug)]
pub struct CircuitBreaker {
    settings: Settings,
    /// Counts the changes between open and closed.
    epoch: u64,
    /// When the next call is let through, while open.
    next: Option<Duration>,
    probing: bool,
    /// The requests that failed.
    failure_source: FailureSource,
    /// The same as `next`, for every request except the one that failed each time.
    next_other: Duration,
    /// Whether a request other than that one succeeded, so that others are let through.
    spares_others: bool,
    /// The attempts that ended, and how many of them failed, in the current half of the window and
    /// in the one before. The error rate is taken over both.
    current: WindowHalf,
    previous: WindowHalf,
    half: u128,
}

/// Which requests failed, since a failure that had no other in the window before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FailureSource {
    None,
    /// The same request each time.
    One(u64),
    Several,
}

impl FailureSource {
    fn with(self, request: u64) -> Self {
        match self {
            Self::None => Self::One(request),
            Self::One(known) if known == request => self,
            Self::One(_) | Self::Several => Self::Several,
        }
    }

    /// Whether a single request failed each time, and it is not `request`.
    fn is_other_than(self, request: u64) -> bool {
        matches!(self, Self::One(known) if known != request)
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct WindowHalf {
    ended: u32,
    failed: u32,
}

impl CircuitBreaker {
    /// Starts closed.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            epoch: 0,
            next: None,
            probing: false,
            failure_source: FailureSource::None,
            next_other: Duration::ZERO,
            spares_others: false,
            current: WindowHalf::default(),
            previous: WindowHalf::default(),
            half: 0,
        }
    }

    /// Lets a call with the fingerprint `request` through at `at`.
    ///
    /// # Errors
    /// How long until the next call is let through.
    pub fn admit(&mut self, request: u64, at: Duration) -> Result<Ticket, Duration> {
        if self.next.is_some() && self.failure_source.is_other_than(request) {
            let wait = self.next_other.saturating_sub(at);
            if !self.spares_others && !wait.is_zero() {
                return Err(wait);
            }
            self.next_other = at + self.settings.open;
        } else if let Some(next) = self.next {
            let wait = next.saturating_sub(at);
            if !wait.is_zero() {
                return Err(wait);
            }
            self.next = Some(at + self.settings.open);
            self.probing = true;
        }
        Ok(Ticket(self.epoch))
    }

    /// Records the outcome of a call that ended at `at`. Returns whether the circuit opened or
    /// closed.
    pub fn ended(&mut self, ticket: Ticket, outcome: Outcome, request: u64, at: Duration) -> bool {
        if ticket.0 != self.epoch || self.settings.error_percent == 0 {
            return false;
        }
        let other = self.failure_source.is_other_than(request);
        if self.next.is_some() && other && !self.spares_others {
            match outcome {
                Outcome::Unknown => {}
                Outcome::Failed => self.failure_source = FailureSource::Several,
                Outcome::Answered => self.spares_others = true,
            }
            return false;
        }
        if self.next.is_some() && !(other && self.spares_others) {
            self.probing = false;
            match outcome {
                Outcome::Unknown => return false,
                Outcome::Failed => {
                    self.next = Some(at + self.settings.open);
                    return false;
                }
                Outcome::Answered => {
                    self.change(None);
                    return true;
                }
            }
        }
        if outcome == Outcome::Unknown {
            return false;
        }
        let failed = outcome == Outcome::Failed;
        self.advance_window(at);
        if failed && !self.spares_others {
            let first = self.current.failed == 0 && self.previous.failed == 0;
            let known = if first {
                FailureSource::None
            } else {
                self.failure_source
            };
            self.failure_source = known.with(request);
        }
        self.current.ended = self.current.ended.saturating_add(1);
        self.current.failed = self.current.failed.saturating_add(u32::from(failed));
        let ended = self.current.ended.saturating_add(self.previous.ended);
        let errors = self.current.failed.saturating_add(self.previous.failed);
        let rate =
            u64::from(errors) * 100 >= u64::from(ended) * u64::from(self.settings.error_percent);
        if failed && rate && ended >= self.settings.min_attempts {
            if self.spares_others {
                // Other requests fail as well.
                self.failure_source = FailureSource::Several;
            }
            let was_open = self.next.is_some();
            self.change(Some(at + self.settings.open));
            return !was_open;
        }
        false
    }

    /// Whether the circuit can be forgotten: it is closed with an empty window, or it is open and
    /// no call came for a whole window after the time of the next probe.
    fn is_idle(&self, at: Duration) -> bool {
        match self.next {
            Some(next) => at > next.saturating_add(self.settings.window),
            None => {
                let halves = at.as_nanos() / (self.settings.window.as_nanos() / 2).max(1);
                halves > self.half + 1
            }
        }
    }

    /// The state of a circuit.
    #[must_use]
    pub fn circuit(&self) -> Circuit {
        match (self.next, self.probing) {
            (None, _) => Circuit::Closed,
            (Some(_), false) => Circuit::Open,
            (Some(_), true) => Circuit::HalfOpen,
        }
    }

    fn change(&mut self, next: Option<Duration>) {
        self.epoch += 1;
        self.next = next;
        self.next_other = Duration::ZERO;
        self.spares_others = false;
        self.probing = false;
        self.current = WindowHalf::default();
        self.previous = WindowHalf::default();
    }

    /// Drops the counts that are older than the window.
    fn advance_window(&mut self, at: Duration) {
        let half = at.as_nanos() / (self.settings.window.as_nanos() / 2).max(1);
        if half == self.half {
            return;
        }
        self.previous = if half == self.half + 1 {
            self.current
        } else {
            WindowHalf::default()
        };
        self.current = WindowHalf::default();
        self.half = half;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings {
        error_percent: 50,
        min_attempts: 4,
        window: Duration::from_secs(10),
        open: Duration::from_secs(1),
    };

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// The fingerprint of all requests in tests that do not tell them apart.
    const SAME: u64 = 7;

    fn same() -> u64 {
        SAME
    }

    fn outcome(failed: bool) -> Outcome {
        if failed {
            Outcome::Failed
        } else {
            Outcome::Answered
        }
    }

    fn run(breaker: &mut CircuitBreaker, at: u64, failed: bool) -> bool {
        let ticket = breaker.admit(SAME, ms(at)).unwrap();
        breaker.ended(ticket, outcome(failed), SAME, ms(at))
    }

    fn opened() -> CircuitBreaker {
        let mut breaker = CircuitBreaker::new(SETTINGS);
        for at in 0..3 {
            assert!(!run(&mut breaker, at, true), "too few to tell");
        }
        assert!(run(&mut breaker, 3, true));
        breaker
    }

    #[test]
    fn it_opens_at_the_rate_and_not_below() {
        let mut breaker = CircuitBreaker::new(SETTINGS);
        for at in 0..100 {
            run(&mut breaker, at, at % 5 >= 3);
            assert_eq!(breaker.circuit(), Circuit::Closed, "40 % at {at}");
        }
        assert_eq!(opened().circuit(), Circuit::Open);
    }

    #[test]
    fn while_open_one_call_in_each_interval_is_let_through() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(SAME, ms(4)), Err(ms(999)));
        let probe = breaker.admit(SAME, ms(1003)).unwrap();
        assert_eq!(breaker.circuit(), Circuit::HalfOpen);
        assert_eq!(breaker.admit(SAME, ms(1004)), Err(ms(999)), "one at a time");
        assert!(!breaker.ended(probe, Outcome::Failed, SAME, ms(1500)));
        assert_eq!(breaker.circuit(), Circuit::Open);
        assert_eq!(
            breaker.admit(SAME, ms(2499)),
            Err(ms(1)),
            "a failure begins a new interval"
        );
        let probe = breaker.admit(SAME, ms(2500)).unwrap();
        assert!(breaker.ended(probe, Outcome::Answered, SAME, ms(2600)));
        assert_eq!(breaker.circuit(), Circuit::Closed);
        assert!(breaker.admit(SAME, ms(2601)).is_ok());
    }

    #[test]
    fn a_probe_that_hangs_does_not_keep_it_open() {
        let mut breaker = opened();
        breaker.admit(SAME, ms(1003)).unwrap();
        let second = breaker.admit(SAME, ms(2003)).unwrap();
        assert!(breaker.ended(second, Outcome::Answered, SAME, ms(2100)));
    }

    #[test]
    fn an_answer_from_before_does_not_close_it() {
        let mut breaker = CircuitBreaker::new(SETTINGS);
        let long = breaker.admit(SAME, ms(0)).unwrap();
        for at in 0..4 {
            run(&mut breaker, at, true);
        }
        assert!(!breaker.ended(long, Outcome::Answered, SAME, ms(5)));
        assert_eq!(breaker.circuit(), Circuit::Open);
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut breaker = CircuitBreaker::new(SETTINGS);
        for at in 0..3 {
            run(&mut breaker, at, true);
        }
        assert!(!run(&mut breaker, 10_000, true), "alone in its window");
        assert_eq!(breaker.circuit(), Circuit::Closed);
    }

    #[test]
    fn a_model_that_fails_shuts_out_no_other_and_names_make_no_circuits_without_end() {
        let mut breakers = CircuitBreakers::new(SETTINGS);
        let mut run = |model: &str, at: u64, failed: bool| {
            let ticket = breakers.admit(model, same, || ms(at)).ok()?;
            breakers.ended(model, ticket, outcome(failed), same, || ms(at))
        };
        for at in 0..3 {
            assert_eq!(run("broken", at, true), None);
            assert_eq!(run("good", at, false), None);
        }
        assert_eq!(run("broken", 3, true), Some(Circuit::Open));
        assert_eq!(breakers.worst(ms(4)), Circuit::Open);
        assert_eq!(breakers.failing(ms(4)).collect::<Vec<_>>(), ["broken"]);
        assert!(breakers.admit("good", same, || ms(4)).is_ok());
        assert!(breakers.admit("broken", same, || ms(4)).is_err());
        for n in 0..1000 {
            let name = format!("made-up-{n}");
            let ticket = breakers.admit(&name, same, || ms(5)).unwrap();
            breakers.ended(&name, ticket, Outcome::Failed, same, || ms(5));
        }
        assert_eq!(breakers.of.len(), MOST);
        let late = || ms(60_000);
        let ticket = breakers.admit("new", same, late).unwrap();
        breakers.ended("new", ticket, Outcome::Failed, same, late);
        assert_eq!(breakers.of.len(), 1, "those that have rested are forgotten");
    }

    #[test]
    fn an_open_circuit_that_nobody_asks_for_is_forgotten() {
        let mut breakers = CircuitBreakers::new(SETTINGS);
        for at in 0..4 {
            let ticket = breakers.admit("broken", same, || ms(at)).unwrap();
            breakers.ended("broken", ticket, Outcome::Failed, same, || ms(at));
        }
        assert_eq!(breakers.worst(ms(11_000)), Circuit::Open);
        assert_eq!(breakers.worst(ms(11_004)), Circuit::Closed);
        assert_eq!(breakers.failing(ms(11_004)).count(), 0);
        assert!(breakers.admit("broken", same, || ms(11_004)).is_ok());
        assert!(breakers.of.is_empty());
    }

    #[test]
    fn what_tells_nothing_neither_opens_nor_closes_it() {
        let mut breaker = CircuitBreaker::new(SETTINGS);
        for at in 0..100 {
            let ticket = breaker.admit(SAME, ms(at)).unwrap();
            assert!(!breaker.ended(ticket, Outcome::Unknown, SAME, ms(at)));
        }
        let mut breaker = opened();
        let probe = breaker.admit(SAME, ms(1003)).unwrap();
        assert!(!breaker.ended(probe, Outcome::Unknown, SAME, ms(1004)));
        assert_eq!(breaker.circuit(), Circuit::Open);
        assert!(breaker.admit(SAME, ms(1005)).is_err());
    }

    #[test]
    fn it_can_be_turned_off() {
        let mut breaker = CircuitBreaker::new(Settings {
            error_percent: 0,
            ..SETTINGS
        });
        for at in 0..100 {
            assert!(!run(&mut breaker, at, true));
        }
    }

    #[test]
    fn one_request_that_fails_each_time_keeps_itself_out_alone() {
        const OTHER: u64 = 8;
        let mut breaker = opened();
        let probe = breaker.admit(OTHER, ms(4)).unwrap();
        assert!(breaker.admit(OTHER, ms(5)).is_err(), "one at a time");
        assert!(!breaker.ended(probe, Outcome::Answered, OTHER, ms(6)));
        for at in 7..500 {
            let ticket = breaker.admit(OTHER + at, ms(at)).unwrap();
            breaker.ended(ticket, Outcome::Answered, OTHER + at, ms(at));
            assert!(breaker.admit(SAME, ms(at)).is_err());
        }
        // When the others fail as well, the provider is to blame.
        let fails = |breaker: &mut CircuitBreaker, at: u64| {
            let ticket = breaker.admit(OTHER + at, ms(at))?;
            breaker.ended(ticket, Outcome::Failed, OTHER + at, ms(at));
            Ok::<_, Duration>(())
        };
        let refused = (500..2000).find(|at| fails(&mut breaker, *at).is_err());
        assert!(refused.is_some_and(|at| at < 1100), "{refused:?}");
        assert!(breaker.admit(SAME, ms(refused.unwrap())).is_err());
    }

    #[test]
    fn another_request_that_fails_as_well_opens_it_for_all() {
        let mut breaker = opened();
        let probe = breaker.admit(8, ms(4)).unwrap();
        breaker.ended(probe, Outcome::Failed, 8, ms(5));
        for request in [SAME, 8, 9] {
            assert!(breaker.admit(request, ms(900)).is_err());
        }
        let probe = breaker.admit(9, ms(1003)).unwrap();
        assert!(breaker.admit(10, ms(1004)).is_err());
        assert!(breaker.ended(probe, Outcome::Answered, 9, ms(1005)));
        assert_eq!(breaker.circuit(), Circuit::Closed);
    }

    #[test]
    fn what_tells_nothing_of_another_request_is_asked_once_in_an_interval() {
        let mut breaker = opened();
        let probe = breaker.admit(8, ms(4)).unwrap();
        breaker.ended(probe, Outcome::Unknown, 8, ms(5));
        assert!(breaker.admit(8, ms(6)).is_err());
        assert_eq!(breaker.circuit(), Circuit::Open);
        assert!(breaker.admit(8, ms(1004)).is_ok());
    }
}
