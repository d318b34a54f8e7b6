//! Work that would hold a server thread for too long, done on threads of its own.
//!
//! A server thread serves many callers, so work for one of them may hold it for a few milliseconds and no
//! longer. Of the work that is done elsewhere no more runs at once than there are processors, so
//! that the server's threads get their share of them.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, SendError, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;

use tokio::sync::oneshot;

/// Largest text that is worked on where it came in, in bytes: with the slowest translation of the
/// most crowded text that takes some milliseconds.
pub const LARGE: usize = 128 << 10;

type Job = Box<dyn FnOnce() + Send>;

/// The threads, one for each processor, and no more: an allocator keeps some of what a thread took, so that
/// work spread over many threads would hold its memory many times.
static WORKERS: LazyLock<Sender<Job>> = LazyLock::new(|| {
    let (jobs, queue) = channel::<Job>();
    let queue = Arc::new(Mutex::new(queue));
    let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for n in 0..processors {
        let queue = Arc::clone(&queue);
        let worker = thread::Builder::new().name(format!("large-{n}"));
        if let Err(error) = worker.spawn(move || work_off(&queue)) {
            log::error!("a thread for large bodies does not start: {error}");
        }
    }
    jobs
});

fn work_off(queue: &Mutex<Receiver<Job>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

/// Does work on a text of this length, elsewhere where it is large. The work is done to its end even
/// where nobody waits for it any more.
pub async fn work_on<T: Send + 'static>(
    length: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    if length <= LARGE {
        return work();
    }
    let (tell, told) = oneshot::channel::<Result<T, Box<dyn Any + Send>>>();
    let job = Box::new(move || {
        let done = catch_unwind(AssertUnwindSafe(work));
        // Who asked may have left.
        drop(tell.send(done));
    });
    // Where the system gives no threads, it is done here.
    if let Err(SendError(job)) = WORKERS.send(job) {
        job();
    }
    let done = told.await.expect("a job tells what became of it");
    done.unwrap_or_else(|panic| resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn large_texts_are_worked_on_elsewhere_and_small_ones_are_not() {
        let here = std::thread::current().id();
        for (length, same) in [(LARGE, true), (LARGE + 1, false)] {
            let worked = work_on(length, || std::thread::current().id()).await;
            assert_eq!(worked == here, same, "{length}");
        }
    }

    #[actix_web::test]
    async fn work_that_panics_leaves_its_thread_for_others() {
        for _ in 0..100 {
            let work = AssertUnwindSafe(work_on(LARGE + 1, || panic!("on purpose")));
            let panicked = futures_util::FutureExt::catch_unwind(work).await;
            assert!(panicked.is_err());
        }
        assert_eq!(work_on(LARGE + 1, || 7).await, 7);
    }
}
