//! The stage of the server's shutdown, for everything that answers requests.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::watch;

/// A stage of the shutdown, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The server accepts and serves requests.
    Serving,
    /// The server was told to stop and still serves; load balancers should send nothing new.
    Stopping,
    /// The server accepts no new connections and closes idle ones; running requests continue.
    Closing,
    /// The time for running requests is over.
    Ending,
}

/// The current stage, shared by all threads. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shutdown(Arc<ShutdownState>);

#[derive(Debug)]
struct ShutdownState {
    /// The stage as a number, for checks without a lock.
    stage: AtomicU8,
    changes: watch::Sender<Stage>,
}

impl Shutdown {
    /// The stage [`Stage::Serving`].
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(ShutdownState {
            stage: AtomicU8::new(Stage::Serving as u8),
            changes: watch::Sender::new(Stage::Serving),
        }))
    }

    /// Moves on to `stage`; never back.
    pub fn go_to(&self, stage: Stage) {
        self.0.stage.fetch_max(stage as u8, Ordering::AcqRel);
        self.0.changes.send_if_modified(|now| {
            let further = stage > *now;
            if further {
                *now = stage;
            }
            further
        });
    }

    /// Whether the server has reached `stage`.
    #[must_use]
    pub fn is_at(&self, stage: Stage) -> bool {
        self.0.stage.load(Ordering::Acquire) >= stage as u8
    }

    /// Resolves when the server reaches `stage`. Running requests need not wait for
    /// [`Stage::Ending`]: the server wakes them then.
    pub fn reached(&self, stage: Stage) -> impl Future<Output = ()> + use<> {
        let mut changes = self.0.changes.subscribe();
        let shutdown = self.clone();
        async move {
            // The sender lives as long as `shutdown`, so that waiting cannot fail.
            let _ = changes.wait_for(|now| *now >= stage).await;
            drop(shutdown);
        }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn who_waits_for_the_end_is_told_then() {
        let shutdown = Shutdown::new();
        let waiting = actix_web::rt::spawn(shutdown.reached(Stage::Ending));
        for stage in [Stage::Stopping, Stage::Closing] {
            shutdown.go_to(stage);
            actix_web::rt::task::yield_now().await;
            assert!(!waiting.is_finished(), "{stage:?} is not the end");
        }
        shutdown.go_to(Stage::Ending);
        waiting.await.unwrap();
        shutdown.go_to(Stage::Serving);
        assert!(shutdown.is_at(Stage::Ending), "there is no way back");
    }
}
