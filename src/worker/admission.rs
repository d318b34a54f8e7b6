//! The limits of one provider: its slots, the queue for them, and each caller's circuits and retry
//! budget.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::breaker::{Circuit, CircuitBreakers, Outcome, Ticket};
use super::retry_budget::RetryBudget;
use crate::config::{BreakerConfig, Config};
use crate::fair_share::FairShare;
use crate::secret::CallerId;

/// The `retry-after` of a caller that gets no slot.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Maximum number of callers whose state is kept. Anyone can make up keys, so beyond it the caller
/// that was seen longest ago is forgotten.
const MOST_CALLERS: usize = 1024;

/// How long the state of an absent caller is kept once `MOST_CALLERS` is reached.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Maximum number of callers that the free retries are divided among.
const MOST_PARTS: u64 = 10;

/// Admits calls to one provider; shared by its workers on all threads.
#[derive(Debug)]
pub struct AdmissionControl {
    failures: AtomicU64,
    /// Locked a few times per attempt, for a few instructions each.
    inner: Mutex<AdmissionState>,
    settings: AdmissionLimits,
    started: Instant,
}

#[derive(Debug, Clone, Copy)]
struct AdmissionLimits {
    retry_percent: u32,
    retry_floor: u32,
    breaker: BreakerConfig,
}

#[derive(Debug)]
struct AdmissionState {
    slots: FairShare,
    places: FairShare,
    line: WaitQueue,
    callers: HashMap<CallerId, CallerState>,
}

/// The state of one caller.
#[derive(Debug)]
struct CallerState {
    budget: RetryBudget,
    breakers: CircuitBreakers,
    seen: Duration,
}

/// The calls that wait for a slot: first come, first served for each caller, and the callers in
/// turn.
#[derive(Debug, Default)]
struct WaitQueue {
    turns: VecDeque<CallerId>,
    of: HashMap<CallerId, VecDeque<oneshot::Sender<Permit>>>,
}

/// The load and the circuit state of one provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerStatus {
    /// Calls that hold a slot.
    pub in_flight: usize,
    /// Calls that wait for a slot.
    pub waiting: usize,
    /// Consecutive failed attempts up to now.
    pub failures_in_a_row: u64,
    /// The state of the provider's worst circuit, of all callers and models.
    pub circuit: Circuit,
}

/// A slot; released when this is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    admission: Arc<AdmissionControl>,
    caller: CallerId,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.inner().slots.release(self.caller, 1);
        self.admission.wake_next();
    }
}

/// A place in the queue; released when this is dropped.
struct QueuePlace<'g>(&'g AdmissionControl, CallerId);

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        self.0.inner().places.release(self.1, 1);
    }
}

impl AdmissionControl {
    /// Sets up the limits that the configuration gives to each provider.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            failures: AtomicU64::new(0),
            inner: Mutex::new(AdmissionState {
                slots: FairShare::new(config.calls.max_in_flight),
                places: FairShare::new(config.calls.max_waiting),
                line: WaitQueue::default(),
                callers: HashMap::new(),
            }),
            settings: AdmissionLimits {
                retry_percent: config.retries.budget_percent,
                retry_floor: config.retries.budget_per_sec,
                breaker: config.breaker,
            },
            started: Instant::now(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, AdmissionState> {
        // A holder of the lock cannot panic, and the state is consistent at every step.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Counts a call, which adds its share of a retry to the caller's budget.
    pub(super) fn deposit(&self, caller: CallerId) {
        let now = self.now();
        let mut inner = self.inner();
        let own = inner.own(caller, self.settings, now);
        own.seen = now;
        own.budget.deposit();
    }

    /// Takes a retry from the caller's budget; `false` if none is left.
    pub(super) fn may_retry(&self, caller: CallerId) -> bool {
        let now = self.now();
        let mut inner = self.inner();
        let callers = u64::try_from(inner.callers.len()).unwrap_or(u64::MAX);
        let own = inner.own(caller, self.settings, now);
        own.budget.withdraw(now, callers.min(MOST_PARTS))
    }

    /// Asks the circuit of a caller and a model; `request` computes the fingerprint of the request.
    ///
    /// # Errors
    /// How long until the circuit lets a call through.
    pub(super) fn admit(
        &self,
        caller: CallerId,
        model: &str,
        request: impl FnOnce() -> u64,
    ) -> Result<Ticket, Duration> {
        match self.inner().callers.get_mut(&caller) {
            Some(own) => own.breakers.admit(model, request, || self.now()),
            None => Ok(Ticket::default()),
        }
    }

    /// Records the outcome of an attempt. Returns the circuit's state if it opened or closed.
    pub(super) fn ended(
        &self,
        caller: CallerId,
        model: &str,
        ticket: Ticket,
        outcome: Outcome,
        request: impl FnOnce() -> u64,
    ) -> Option<Circuit> {
        match outcome {
            Outcome::Failed => _ = self.failures.fetch_add(1, Ordering::Relaxed),
            Outcome::Answered if self.failures.load(Ordering::Relaxed) != 0 => {
                self.failures.store(0, Ordering::Relaxed);
            }
            Outcome::Answered | Outcome::Unknown => {}
        }
        let mut inner = self.inner();
        let own = inner.callers.get_mut(&caller)?;
        own.breakers
            .ended(model, ticket, outcome, request, || self.now())
    }

    /// Takes a slot; `None` if none is free.
    pub(super) fn try_enter(self: &Arc<Self>, caller: CallerId) -> Option<Permit> {
        let taken = self.inner().slots.take(caller, 1);
        taken.then(|| Permit {
            admission: Arc::clone(self),
            caller,
        })
    }

    /// Takes a slot, or waits in the queue for one. `None` if the queue is full, or at `until`.
    pub(super) async fn enter(
        self: &Arc<Self>,
        caller: CallerId,
        until: Instant,
    ) -> Option<Permit> {
        let (mine, _place) = {
            let mut inner = self.inner();
            if inner.slots.take(caller, 1) {
                return Some(Permit {
                    admission: Arc::clone(self),
                    caller,
                });
            }
            if !inner.places.take(caller, 1) {
                return None;
            }
            (inner.line.join(caller), QueuePlace(self, caller))
        };
        timeout_at(until, mine).await.ok()?.ok()
    }

    /// Gives a free slot to the next call in the queue.
    fn wake_next(self: &Arc<Self>) {
        loop {
            let mut inner = self.inner();
            let Some((caller, waiter)) = inner.next() else {
                return;
            };
            drop(inner);
            let permit = Permit {
                admission: Arc::clone(self),
                caller,
            };
            // A caller that left drops its permit, and that calls in the next.
            if waiter.send(permit).is_ok() {
                return;
            }
        }
    }

    /// The models whose circuits are not closed, sorted.
    #[must_use]
    pub fn failing(&self) -> Vec<String> {
        let now = self.now();
        let inner = self.inner();
        let failing = inner.callers.values();
        let mut names: Vec<String> = failing
            .flat_map(|own| own.breakers.failing(now))
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The load and the circuit state of the provider.
    #[must_use]
    pub fn state(&self) -> WorkerStatus {
        let now = self.now();
        let inner = self.inner();
        let circuits = inner.callers.values().map(|own| own.breakers.worst(now));
        WorkerStatus {
            in_flight: inner.slots.taken(),
            waiting: inner.places.taken(),
            failures_in_a_row: self.failures.load(Ordering::Relaxed),
            circuit: circuits.max().unwrap_or(Circuit::Closed),
        }
    }
}

impl AdmissionState {
    /// The state of a caller; new if none is kept.
    fn own(
        &mut self,
        caller: CallerId,
        settings: AdmissionLimits,
        now: Duration,
    ) -> &mut CallerState {
        if self.callers.len() >= MOST_CALLERS && !self.callers.contains_key(&caller) {
            self.callers
                .retain(|_, own| now.saturating_sub(own.seen) < REMEMBERED);
            let oldest = self.callers.iter().min_by_key(|(_, own)| own.seen);
            if self.callers.len() >= MOST_CALLERS
                && let Some(oldest) = oldest.map(|(caller, _)| *caller)
            {
                self.callers.remove(&oldest);
            }
        }
        self.callers.entry(caller).or_insert_with(|| CallerState {
            budget: RetryBudget::new(settings.retry_percent, settings.retry_floor),
            breakers: CircuitBreakers::new(settings.breaker),
            seen: now,
        })
    }

    /// The next waiting call that may have a slot; the slot is taken for it.
    fn next(&mut self) -> Option<(CallerId, oneshot::Sender<Permit>)> {
        for _ in 0..self.line.turns.len() {
            let caller = self.line.turns.pop_front()?;
            let Some(waiting) = self.line.of.get_mut(&caller) else {
                continue;
            };
            while waiting.front().is_some_and(oneshot::Sender::is_closed) {
                waiting.pop_front();
            }
            let next = if waiting.is_empty() || !self.slots.take(caller, 1) {
                None
            } else {
                waiting.pop_front()
            };
            if waiting.is_empty() {
                self.line.of.remove(&caller);
            } else {
                self.line.turns.push_back(caller);
            }
            if let Some(next) = next {
                return Some((caller, next));
            }
        }
        None
    }
}

impl WaitQueue {
    fn join(&mut self, caller: CallerId) -> oneshot::Receiver<Permit> {
        let (sender, receiver) = oneshot::channel();
        let waiting = self.of.entry(caller).or_insert_with(|| {
            self.turns.push_back(caller);
            VecDeque::new()
        });
        // Removes calls that were abandoned, so that they do not pile up.
        while waiting.front().is_some_and(oneshot::Sender::is_closed) {
            waiting.pop_front();
        }
        waiting.push_back(sender);
        receiver
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use futures_util::future::join_all;

    fn admission(slots: usize, places: usize) -> Arc<AdmissionControl> {
        let mut config = Config::default();
        config.calls.max_in_flight = slots;
        config.calls.max_waiting = places;
        Arc::new(AdmissionControl::new(&config))
    }

    fn me() -> CallerId {
        CallerId::of("me")
    }

    #[actix_web::test]
    async fn callers_who_wait_are_called_in_by_turns() {
        let admission = admission(2, 100);
        let later = Instant::now() + Duration::from_secs(60);
        let mut held: Vec<_> = (0..2).map(|_| admission.try_enter(me()).unwrap()).collect();
        let mut mine: Vec<_> = (0..20)
            .map(|_| Box::pin(admission.enter(me(), later)))
            .collect();
        for call in &mut mine {
            assert!(call.as_mut().now_or_never().is_none());
        }
        let other = CallerId::of("other");
        assert!(admission.try_enter(other).is_none());
        let mut theirs = Box::pin(admission.enter(other, later));
        assert!(theirs.as_mut().now_or_never().is_none());
        // The first caller in the queue is called in, and then the caller with no slot.
        held.clear();
        let mine = mine.iter_mut().map(|call| call.as_mut().now_or_never());
        let mine: Vec<_> = mine.flatten().flatten().collect();
        let theirs = theirs.as_mut().now_or_never().flatten();
        assert!(theirs.is_some(), "one who came last of twenty has its turn");
        assert_eq!(mine.len(), 1);
    }

    #[actix_web::test]
    async fn one_callers_failures_are_no_others() {
        let admission = admission(10, 10);
        let (bad, good) = (CallerId::of("bad"), CallerId::of("good"));
        for _ in 0..1000 {
            admission.deposit(bad);
            if let Ok(ticket) = admission.admit(bad, "m", || 0) {
                admission.ended(bad, "m", ticket, Outcome::Failed, || 0);
            }
            while admission.may_retry(bad) {}
        }
        assert!(admission.admit(bad, "m", || 0).is_err());
        assert_eq!(admission.failing(), ["m"]);
        admission.deposit(good);
        assert!(admission.admit(good, "m", || 0).is_ok());
        assert!(admission.may_retry(good));
    }

    #[test]
    fn made_up_callers_are_not_remembered_without_end() {
        let admission = admission(1, 1);
        for n in 0..3 * MOST_CALLERS {
            admission.deposit(CallerId::of(&n.to_string()));
        }
        assert_eq!(admission.inner().callers.len(), MOST_CALLERS);
    }

    #[actix_web::test]
    async fn four_slots_and_eight_places_admit_twelve_of_twenty() {
        let admission = admission(4, 8);
        let later = Instant::now() + Duration::from_secs(60);
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(admission.enter(me(), later).await.unwrap());
        }
        let mut calls = Box::pin(join_all(
            (0..16).map(|_| admission.enter(me(), later).map(|p| p.is_some())),
        ));
        assert!(calls.as_mut().now_or_never().is_none());
        assert_eq!(admission.state().in_flight, 4);
        assert_eq!(
            admission.state().waiting,
            8,
            "the others were refused at once"
        );
        drop(held);
        let admitted = calls.await;
        assert_eq!(admitted.iter().filter(|admitted| **admitted).count(), 8);
        assert_eq!(admission.state().waiting, 0);
        assert_eq!(admission.state().in_flight, 0);
    }

    #[actix_web::test]
    async fn a_caller_who_leaves_the_line_leaves_no_trace() {
        let admission = admission(1, 1);
        let later = Instant::now() + Duration::from_secs(60);
        let held = admission.enter(me(), later).await.unwrap();
        let mut waiting = Box::pin(admission.enter(me(), later));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(admission.state().waiting, 1);
        drop(waiting);
        assert_eq!(admission.state().waiting, 0);
        drop(held);
        assert!(admission.enter(me(), later).await.is_some());
        assert_eq!(admission.state().in_flight, 0);
    }

    #[actix_web::test]
    async fn waiting_ends_with_its_time() {
        let admission = admission(1, 1);
        let _held = admission.enter(me(), Instant::now()).await.unwrap();
        assert!(admission.enter(me(), Instant::now()).await.is_none());
        assert_eq!(admission.state().waiting, 0);
    }
}
