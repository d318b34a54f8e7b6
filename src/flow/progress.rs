//! How far a request with several targets is.

use std::cell::{Cell, RefCell};

use super::prepared::PreparedCall;
use super::respond::ResponseMode;
use crate::providers::Provider;
use crate::upstream::Headers;

/// Where a request is, for the stream that is begun before the request has a response.
pub(super) struct Progress {
    current: RefCell<Current>,
    /// Whether the client has received a byte. From then on no other target is tried.
    committed: Cell<bool>,
    /// Attempts at earlier targets.
    attempts: Cell<u32>,
}

/// The target that is tried at present.
#[derive(Clone)]
pub(super) struct Current {
    /// The provider.
    pub provider: &'static Provider,
    /// What becomes of the provider's response.
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

    /// The target that is tried at present.
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
