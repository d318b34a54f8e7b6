//! How far the server is on its way to stopping; known to everything that answers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Waker};

use tokio::sync::watch;

/// Where the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It serves.
    Serving,
    /// It was told to stop, and still serves: nothing new should be sent.
    Stopping,
    /// It takes no new connections and rests none; what is under way goes on.
    Closing,
    /// The time of what is under way is over.
    Ending,
}

/// The stage, shared by all threads. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Drain(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The stage as a number, to be looked at without a lock.
    stage: AtomicU8,
    changes: watch::Sender<Stage>,
}

impl Drain {
    /// Serving.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            stage: AtomicU8::new(Stage::Serving as u8),
            changes: watch::Sender::new(Stage::Serving),
        }))
    }

    /// Goes on to `stage`; never back.
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

    /// Whether the server has come to `stage`.
    #[must_use]
    pub fn is_at(&self, stage: Stage) -> bool {
        self.0.stage.load(Ordering::Acquire) >= stage as u8
    }

    /// Resolves when the server comes to `stage`.
    pub fn reached(&self, stage: Stage) -> impl Future<Output = ()> + use<> {
        let mut changes = self.0.changes.subscribe();
        let drain = self.clone();
        async move {
            // The sender lives as long as `drain`, so that waiting cannot fail.
            let _ = changes.wait_for(|now| *now >= stage).await;
            drop(drain);
        }
    }

    /// The end of the time for what is under way, for a stream to look out for.
    #[must_use]
    pub fn end(&self) -> End {
        End {
            drain: self.clone(),
            reached: Box::pin(self.reached(Stage::Ending)),
            told: None,
        }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

/// Looks out for [`Stage::Ending`]. A task is registered once and not at each poll: that takes a
/// lock, and a stream is polled for every chunk.
pub struct End {
    drain: Drain,
    reached: Pin<Box<dyn Future<Output = ()>>>,
    /// Who was registered, and at which stage: each new one uses up the registration.
    told: Option<(Waker, u8)>,
}

impl End {
    /// Whether the end has come; nobody is woken.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.drain.is_at(Stage::Ending)
    }

    /// Whether the end has come; else the task is woken when it does.
    pub fn has_come(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_due() {
            return true;
        }
        let stage = self.drain.0.stage.load(Ordering::Acquire);
        let known = |(told, at): &(Waker, u8)| *at == stage && told.will_wake(cx.waker());
        if self.told.as_ref().is_some_and(known) {
            return false;
        }
        self.told = Some((cx.waker().clone(), stage));
        self.reached.as_mut().poll(cx).is_ready()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::Poll;

    #[actix_web::test]
    async fn the_end_wakes_who_looks_out_for_it() {
        let drain = Drain::new();
        let mut end = drain.end();
        let ended = poll_fn(move |cx| {
            if end.has_come(cx) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        let waiting = actix_web::rt::spawn(ended);
        for stage in [Stage::Stopping, Stage::Closing] {
            drain.go_to(stage);
            actix_web::rt::task::yield_now().await;
            assert!(!waiting.is_finished(), "{stage:?} is not the end");
        }
        drain.go_to(Stage::Ending);
        waiting.await.unwrap();
        drain.go_to(Stage::Serving);
        assert!(drain.is_at(Stage::Ending), "there is no way back");
    }
}
