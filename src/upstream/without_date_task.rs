//! Sends requests without the date tasks of the HTTP client.
//!
//! For each request, the HTTP client's codec (`actix_http::h1::ClientCodec`) starts a task that
//! renews a server's response date twice a second. A client never uses the date, but pays for it:
//! the task's first timer is due before all others, so the runtime wakes itself through the kernel,
//! and an open stream is woken for nothing. Here such tasks start in a task set that is never run,
//! and are dropped with it.
//!
//! Nothing else may start there. The HTTP client starts no other task to send a request: the
//! connections never speak HTTP/2, and all of them are `http:` to the HTTP client, which drops old
//! ones without a task.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;

use tokio::task::{LocalEnterGuard, LocalSet};

/// Maximum number of requests whose date tasks are kept before all are dropped; about 400 bytes
/// each.
const KEPT: u32 = 32;

thread_local! {
    static DATE_TASKS: RefCell<DateTasks> = RefCell::default();
}

#[derive(Default)]
struct DateTasks {
    set: LocalSet,
    requests: u32,
}

impl DateTasks {
    fn begin(&mut self) {
        if self.requests == KEPT {
            *self = Self::default();
        }
        self.requests += 1;
    }
}

/// Runs a future that sends a request, without its date task.
pub(super) async fn without_date_task<F: Future>(sending: F) -> F::Output {
    DATE_TASKS.with_borrow_mut(DateTasks::begin);
    let mut sending = pin!(sending);
    poll_fn(|cx| {
        let _within: LocalEnterGuard = DATE_TASKS.with_borrow(|clocks| clocks.set.enter());
        sending.as_mut().poll(cx)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    #[actix_web::test]
    async fn what_is_started_while_sending_never_runs_and_is_let_go() {
        let token = Rc::new(Cell::new(0));
        for sent in 1..=KEPT {
            let held = Rc::clone(&token);
            let sending = async { drop(actix_web::rt::spawn(async move { held.set(1) })) };
            without_date_task(sending).await;
            actix_web::rt::task::yield_now().await;
            assert_eq!(token.get(), 0, "it ran");
            assert_eq!(Rc::strong_count(&token), 1 + sent as usize);
        }
        without_date_task(async {}).await;
        assert_eq!(Rc::strong_count(&token), 1, "all are let go at once");
        let run = Rc::clone(&token);
        actix_web::rt::spawn(async move { run.set(2) })
            .await
            .unwrap();
        assert_eq!(token.get(), 2, "what is started otherwise runs");
    }
}
