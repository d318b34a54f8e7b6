//! Runs work that would block a server thread for too long on separate threads.
//!
//! A server thread serves many callers, so that work for one of them may block it for a few
//! milliseconds at most. There are as many separate threads as processors, so that the server
//! threads still get their share of CPU time.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, SendError, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread;

use tokio::sync::oneshot;

/// The largest text that is processed on the server thread, in bytes: some milliseconds for the
/// slowest translation of the densest text.
pub const LARGE: usize = 128 << 10;

type Job = Box<dyn FnOnce() + Send>;

/// The queue of the separate threads, one for each processor. More threads would hold more memory,
/// because an allocator keeps some of what each thread used.
static WORKERS: LazyLock<Sender<Job>> = LazyLock::new(|| {
    let (jobs, queue) = channel::<Job>();
    let queue = Arc::new(Mutex::new(queue));
    let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for n in 0..processors {
        let queue = Arc::clone(&queue);
        let worker = thread::Builder::new().name(format!("large-{n}"));
        if let Err(error) = worker.spawn(move || run_jobs(&queue)) {
            log::error!("a thread for large bodies does not start: {error}");
        }
    }
    jobs
});

fn run_jobs(queue: &Mutex<Receiver<Job>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

/// Runs `work` on a text of this length, on a separate thread if it is above [`LARGE`]. The work is
/// completed even if the caller stops waiting.
pub async fn run<T: Send + 'static>(length: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    if length <= LARGE {
        return work();
    }
    let (tell, told) = oneshot::channel::<Result<T, Box<dyn Any + Send>>>();
    let job = Box::new(move || {
        let done = catch_unwind(AssertUnwindSafe(work));
        // The caller may have stopped waiting.
        drop(tell.send(done));
    });
    // If no thread could be started, the work runs here.
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
            let worked = run(length, || std::thread::current().id()).await;
            assert_eq!(worked == here, same, "{length}");
        }
    }

    #[actix_web::test]
    async fn work_that_panics_leaves_its_thread_for_others() {
        for _ in 0..100 {
            let work = AssertUnwindSafe(run(LARGE + 1, || panic!("on purpose")));
            let panicked = futures_util::FutureExt::catch_unwind(work).await;
            assert!(panicked.is_err());
        }
        assert_eq!(run(LARGE + 1, || 7).await, 7);
    }
}
