//! What the bodies of requests take together: without a limit over all of them, as many callers as
//! there are descriptors could each hold the largest.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::fair_share::FairShare;
use crate::secret::CallerId;

/// Bytes of bodies that are held, over all threads, and by whom.
#[derive(Debug)]
pub struct BodyMemory {
    held: Mutex<FairShare>,
    most: usize,
}

impl BodyMemory {
    /// `most` bytes may be held.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            held: Mutex::new(FairShare::new(most)),
            most,
        })
    }

    /// How many bytes may be held.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Nothing yet of a body of this caller.
    #[must_use]
    pub fn hold(self: &Arc<Self>, caller: CallerId) -> BodyReservation {
        BodyReservation {
            bodies: Arc::clone(self),
            caller,
            bytes: 0,
        }
    }

    fn shares(&self) -> MutexGuard<'_, FairShare> {
        // Nothing that holds it can panic, and its state is whole at every step.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What of a body is held, until this is dropped.
#[derive(Debug)]
pub struct BodyReservation {
    bodies: Arc<BodyMemory>,
    caller: CallerId,
    bytes: usize,
}

impl BodyReservation {
    /// So many bytes more came.
    ///
    /// # Errors
    /// `Full` where they are too many.
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
