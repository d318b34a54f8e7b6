//! The limits of one provider: slots for calls under way, and a line before them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

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
    /// `slots` calls under way, `places` in the line.
    #[must_use]
    pub fn new(slots: usize, places: usize) -> Self {
        let slots = slots.min(Semaphore::MAX_PERMITS);
        Self {
            slots: Arc::new(Semaphore::new(slots)),
            all_slots: slots,
            waiting: AtomicUsize::new(0),
            places,
            failures: AtomicU64::new(0),
        }
    }

    /// A slot: at once where one is free, else in turn. `None` at once where the line is full, and
    /// at `until`.
    pub(super) async fn enter(&self, until: Instant) -> Option<Permit> {
        if let Ok(permit) = Arc::clone(&self.slots).try_acquire_owned() {
            return Some(Permit(permit));
        }
        let before = self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waiting = Waiting(&self.waiting);
        if before >= self.places {
            return None;
        }
        let permit = timeout_at(until, Arc::clone(&self.slots).acquire_owned()).await;
        Some(Permit(permit.ok()?.ok()?))
    }

    pub(super) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use futures_util::future::join_all;

    #[actix_web::test]
    async fn four_slots_and_eight_places_admit_twelve_of_twenty() {
        let gate = Gate::new(4, 8);
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
        let gate = Gate::new(1, 1);
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
        let gate = Gate::new(1, 1);
        let _held = gate.enter(Instant::now()).await.unwrap();
        assert!(gate.enter(Instant::now()).await.is_none());
        assert_eq!(gate.state().waiting, 0);
    }
}
