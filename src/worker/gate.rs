//! The limits of one provider: slots for calls under way and a line before them, a circuit, and a
//! budget for trying again.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::breaker::{Breakers, Circuit, Ticket};
use super::budget::Budget;
use crate::config::Config;

/// When a refused caller may try again.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Admits calls to one provider; shared by its workers on all threads.
#[derive(Debug)]
pub struct Gate {
    slots: Arc<Semaphore>,
    all_slots: usize,
    waiting: AtomicUsize,
    places: usize,
    failures: AtomicU64,
    budget: Budget,
    /// Taken twice for an attempt, for a few instructions each.
    breakers: Mutex<Breakers>,
    started: Instant,
}

/// How a provider is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// Calls under way.
    pub in_flight: usize,
    /// Calls that wait for a slot.
    pub waiting: usize,
    /// Attempts in a row that the provider failed, up to now.
    pub failures_in_a_row: u64,
    /// What the circuit of the model lets through that is doing worst.
    pub circuit: Circuit,
}

/// A slot. It is free again when this is dropped, however the call ended.
#[derive(Debug)]
pub(super) struct Permit(
    #[expect(dead_code, reason = "it is held, not read")] OwnedSemaphorePermit,
);

struct Waiting<'g>(&'g AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Gate {
    /// The limits that the configuration sets each provider.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let slots = config.max_in_flight.min(Semaphore::MAX_PERMITS);
        Self {
            slots: Arc::new(Semaphore::new(slots)),
            all_slots: slots,
            waiting: AtomicUsize::new(0),
            places: config.max_waiting,
            failures: AtomicU64::new(0),
            budget: Budget::new(config.retry_percent, config.retry_floor),
            breakers: Mutex::new(Breakers::new(config.breaker)),
            started: Instant::now(),
        }
    }

    /// A call came, which earns a share of a retry.
    pub(super) fn earn(&self) {
        self.budget.earn();
    }

    /// Takes a retry from the budget; `false` where none is left.
    pub(super) fn may_retry(&self) -> bool {
        self.budget.spend(self.started.elapsed())
    }

    /// Asks the circuit of a model.
    ///
    /// # Errors
    /// How long it stays open.
    pub(super) fn admit(&self, model: &str) -> Result<Ticket, Duration> {
        self.breakers().admit(model, || self.started.elapsed())
    }

    /// An attempt ended. `failed`: the provider did not answer, or answered that it cannot. What the
    /// model's circuit lets through, where that changed.
    pub(super) fn ended(&self, model: &str, ticket: Ticket, failed: bool) -> Option<Circuit> {
        if failed {
            self.failures.fetch_add(1, Ordering::Relaxed);
        } else if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        let at = || self.started.elapsed();
        self.breakers().ended(model, ticket, failed, at)
    }

    fn breakers(&self) -> MutexGuard<'_, Breakers> {
        // Nothing that holds it can panic, and its state is whole at every step.
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A slot, where one is free.
    pub(super) fn try_enter(&self) -> Option<Permit> {
        let permit = Arc::clone(&self.slots).try_acquire_owned();
        permit.ok().map(Permit)
    }

    /// A slot: at once where one is free, else in turn. `None` at once where the line is full, and
    /// at `until`.
    pub(super) async fn enter(&self, until: Instant) -> Option<Permit> {
        if let Some(permit) = self.try_enter() {
            return Some(permit);
        }
        let before = self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waiting = Waiting(&self.waiting);
        if before >= self.places {
            return None;
        }
        let permit = timeout_at(until, Arc::clone(&self.slots).acquire_owned()).await;
        Some(Permit(permit.ok()?.ok()?))
    }

    /// The models whose circuits are not closed, sorted.
    #[must_use]
    pub fn failing(&self) -> Vec<String> {
        self.breakers().failing()
    }

    /// How the provider is doing.
    #[must_use]
    pub fn state(&self) -> State {
        State {
            in_flight: self
                .all_slots
                .saturating_sub(self.slots.available_permits()),
            waiting: self.waiting.load(Ordering::Acquire),
            failures_in_a_row: self.failures.load(Ordering::Relaxed),
            circuit: self.breakers().worst(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use futures_util::future::join_all;

    fn gate(slots: usize, places: usize) -> Gate {
        Gate::new(&Config {
            max_in_flight: slots,
            max_waiting: places,
            ..Config::default()
        })
    }

    #[actix_web::test]
    async fn four_slots_and_eight_places_admit_twelve_of_twenty() {
        let gate = gate(4, 8);
        let later = Instant::now() + Duration::from_secs(60);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(gate.enter(later).await.unwrap());
        }
        let mut calls = Box::pin(join_all(
            (0..16).map(|_| gate.enter(later).map(|p| p.is_some())),
        ));
        assert!(calls.as_mut().now_or_never().is_none());
        assert_eq!(gate.state().in_flight, 4);
        assert_eq!(gate.state().waiting, 8, "the others were refused at once");
        drop(held);
        let admitted = calls.await;
        assert_eq!(admitted.iter().filter(|admitted| **admitted).count(), 8);
        assert_eq!(gate.state().waiting, 0);
        assert_eq!(gate.state().in_flight, 0);
    }

    #[actix_web::test]
    async fn a_caller_who_leaves_the_line_leaves_no_trace() {
        let gate = gate(1, 1);
        let later = Instant::now() + Duration::from_secs(60);
        let held = gate.enter(later).await.unwrap();
        let mut waiting = Box::pin(gate.enter(later));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(gate.state().waiting, 1);
        drop(waiting);
        assert_eq!(gate.state().waiting, 0);
        drop(held);
        assert!(gate.enter(later).await.is_some());
        assert_eq!(gate.state().in_flight, 0);
    }

    #[actix_web::test]
    async fn waiting_ends_with_its_time() {
        let gate = gate(1, 1);
        let _held = gate.enter(Instant::now()).await.unwrap();
        assert!(gate.enter(Instant::now()).await.is_none());
        assert_eq!(gate.state().waiting, 0);
    }
}
