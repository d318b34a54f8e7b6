//! What the bodies of requests take together: without a limit over all of them, as many callers as
//! there are descriptors could each hold the largest.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Error;

/// Bytes of bodies that are held, over all threads.
#[derive(Debug)]
pub struct Bodies {
    held: AtomicUsize,
    most: usize,
}

impl Bodies {
    /// `most` bytes may be held.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            held: AtomicUsize::new(0),
            most,
        })
    }

    /// Nothing yet of a body.
    #[must_use]
    pub fn hold(self: &Arc<Self>) -> Held {
        Held {
            bodies: Arc::clone(self),
            bytes: 0,
        }
    }
}

/// What of a body is held, until this is dropped.
#[derive(Debug)]
pub struct Held {
    bodies: Arc<Bodies>,
    bytes: usize,
}

impl Held {
    /// So many bytes more came.
    ///
    /// # Errors
    /// `Full` where they are too many.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Error> {
        let before = self.bodies.held.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        if before.saturating_add(bytes) > self.bodies.most {
            return Err(Error::Full);
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.bodies.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_let_go_can_be_taken_again() {
        let bodies = Bodies::new(10);
        let mut first = bodies.hold();
        first.grow(4).unwrap();
        first.grow(3).unwrap();
        let mut second = bodies.hold();
        second.grow(3).unwrap();
        assert_eq!(second.grow(1), Err(Error::Full));
        assert_eq!(bodies.hold().grow(1), Err(Error::Full));
        drop(second);
        first.grow(3).unwrap();
        drop(first);
        bodies.hold().grow(10).unwrap();
        assert_eq!(bodies.held.load(Ordering::Relaxed), 0);
    }
}
