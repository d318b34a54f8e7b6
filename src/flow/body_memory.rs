//! The memory that request bodies take, over all callers: without one limit, as many callers as
//! there are descriptors could each hold the largest body.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::fair_share::FairShare;
use crate::secret::CallerId;

/// The bytes of request bodies in memory, over all threads and by caller.
#[derive(Debug)]
pub struct BodyMemory {
    held: Mutex<FairShare>,
    most: usize,
}

impl BodyMemory {
    /// `most` is the limit over all callers, in bytes.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            held: Mutex::new(FairShare::new(most)),
            most,
        })
    }

    /// The limit over all callers, in bytes.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// An empty reservation for a body of this caller.
    #[must_use]
    pub fn hold(self: &Arc<Self>, caller: CallerId) -> BodyReservation {
        BodyReservation {
            bodies: Arc::clone(self),
            caller,
            bytes: 0,
        }
    }

    fn shares(&self) -> MutexGuard<'_, FairShare> {
        // A holder of the lock cannot panic, and the state is consistent at every step.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The memory that one body takes; released when this is dropped.
#[derive(Debug)]
pub struct BodyReservation {
    bodies: Arc<BodyMemory>,
    caller: CallerId,
    bytes: usize,
}

impl BodyReservation {
    /// Reserves `bytes` more.
    ///
    /// # Errors
    /// `BodyMemoryExhausted` if the limit does not allow them.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Error> {
        if !self.bodies.shares().take(self.caller, bytes) {
            return Err(Error::BodyMemoryExhausted);
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for BodyReservation {
    fn drop(&mut self) {
        self.bodies.shares().release(self.caller, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_let_go_can_be_taken_again() {
        let bodies = BodyMemory::new(10);
        let hold = || bodies.hold(CallerId::of("me"));
        let mut first = hold();
        first.grow(4).unwrap();
        first.grow(3).unwrap();
        let mut second = hold();
        second.grow(3).unwrap();
        assert_eq!(second.grow(1), Err(Error::BodyMemoryExhausted));
        assert_eq!(hold().grow(1), Err(Error::BodyMemoryExhausted));
        drop(second);
        first.grow(3).unwrap();
        drop(first);
        hold().grow(10).unwrap();
        assert_eq!(bodies.shares().taken(), 0);
    }

    #[test]
    fn one_caller_cannot_take_what_is_for_all() {
        let bodies = BodyMemory::new(160);
        let mut greedy = bodies.hold(CallerId::of("greedy"));
        greedy.grow(160).unwrap();
        bodies.hold(CallerId::of("other")).grow(10).unwrap();
        assert_eq!(greedy.grow(1), Err(Error::BodyMemoryExhausted));
    }
}
