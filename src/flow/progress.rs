//! The current target of a request, and whether the client has received a byte.

use std::cell::{Cell, RefCell};

use super::prepared::PreparedCall;
use super::respond::ResponseMode;
use crate::providers::Provider;
use crate::upstream::Headers;

/// The state of a request that its stream reads when it begins before the response arrives.
pub(super) struct Progress {
    current: RefCell<Current>,
    /// Whether the client has received a byte. From then on no other target is tried.
    committed: Cell<bool>,
    /// Attempts at earlier targets.
    attempts: Cell<u32>,
}

/// The target that is being tried.
#[derive(Clone)]
pub(super) struct Current {
    /// The provider that is called.
    pub provider: &'static Provider,
    /// How the provider's response becomes the client's.
    pub mode: ResponseMode,
    /// The headers that say what the translation did.
    pub headers: Headers,
}

impl Progress {
    pub(super) fn new(call: &PreparedCall) -> Self {
        Self {
            current: RefCell::new(Current::of(call)),
            committed: Cell::new(false),
            attempts: Cell::new(0),
        }
    }

    /// The target that is being tried.
    pub(super) fn current(&self) -> Current {
        self.current.borrow().clone()
    }

    /// Goes on to another target after so many attempts.
    pub(super) fn go_on(&self, call: &PreparedCall, attempts: u32) {
        self.current.replace(Current::of(call));
        self.attempts.set(attempts);
    }

    /// The number of attempts at earlier targets.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts.get()
    }

    /// Whether the client has received a byte.
    pub(super) fn is_committed(&self) -> bool {
        self.committed.get()
    }

    /// Notes that the client receives its first byte.
    pub(super) fn commit(&self) {
        self.committed.set(true);
    }
}

impl Current {
    fn of(call: &PreparedCall) -> Self {
        Self {
            provider: call.provider,
            mode: call.mode.clone(),
            headers: call.translation_headers(),
        }
    }
}
