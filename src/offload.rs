//! Work that would hold a server thread for too long, done on threads of its own.
//!
//! A server thread serves many callers, so work for one of them may hold it for a few milliseconds and no
//! longer. Of the work that is done elsewhere no more runs at once than there are processors, so
//! that the server's threads get their share of them.

use std::panic::resume_unwind;
use std::sync::LazyLock;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Largest text that is worked on where it came in, in bytes: with the slowest translation of the
/// most crowded text that takes some milliseconds.
pub const LARGE: usize = 128 << 10;

/// One for each processor.
static TURNS: LazyLock<Semaphore> = LazyLock::new(|| {
    let processors = std::thread::available_parallelism();
    Semaphore::new(processors.map_or(1, std::num::NonZero::get))
});

/// Does work on a text of this length, elsewhere where it is large. The work is done to its end even
/// where nobody waits for it any more.
pub async fn work_on<T: Send + 'static>(
    length: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    if length <= LARGE {
        return work();
    }
    let turn = TURNS.acquire().await.expect("it is never closed");
    let worked = spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    match worked.await {
        Ok(done) => done,
        // Nothing cancels it.
        Err(error) => resume_unwind(error.into_panic()),
    }
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
}
