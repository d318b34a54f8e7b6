//! A timer that is checked often and rarely expires.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Context;

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// Wakes a task at a time that keeps moving later. The timer is not moved each time: one useless
/// wake-up costs less than many resets.
///
/// It must always be polled by the same task.
#[derive(Debug, Default)]
pub struct IdleTimer(Option<Pin<Box<Sleep>>>);

impl IdleTimer {
    /// Whether `due` has passed; if not, the task is woken at `due` or earlier.
    pub fn is_due(&mut self, due: Instant, cx: &mut Context<'_>) -> bool {
        let timer = match &mut self.0 {
            Some(timer) if timer.is_elapsed() => {
                if due <= Instant::now() {
                    return true;
                }
                timer.as_mut().reset(due);
                timer
            }
            Some(timer) if timer.deadline() <= due => return false,
            Some(timer) => {
                timer.as_mut().reset(due);
                timer
            }
            none => none.insert(Box::pin(sleep_until(due))),
        };
        // Without `unconstrained`, a task whose budget is used up would get Pending and no timer.
        pin!(unconstrained(timer.as_mut())).poll(cx).is_ready()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::Duration;

    /// Waits until `due()` has passed; returns how often the task was woken.
    async fn wakings(idle_timer: &mut IdleTimer, due: impl Fn(u32) -> Instant) -> u32 {
        let mut woken = 0;
        poll_fn(|cx| {
            if idle_timer.is_due(due(woken), cx) {
                return Poll::Ready(woken);
            }
            woken += 1;
            Poll::Pending
        })
        .await
    }

    #[actix_web::test]
    async fn it_is_set_by_a_task_that_has_used_up_its_turn() {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..1000 {
            sender.send(()).unwrap();
        }
        let mut idle_timer = IdleTimer::default();
        let due = Instant::now() + Duration::from_millis(20);
        let ringing = actix_web::rt::spawn(poll_fn(move |cx| {
            // Each message uses one unit of the task's budget, which is 128.
            while receiver.poll_recv(cx).is_ready() {}
            if idle_timer.is_due(due, cx) {
                return Poll::Ready(());
            }
            Poll::Pending
        }));
        let rung = tokio::time::timeout(Duration::from_secs(10), ringing).await;
        assert!(rung.is_ok(), "it was never set");
        drop(sender);
    }

    #[actix_web::test]
    async fn it_rings_at_the_moment_that_counts_now() {
        let begun = Instant::now();
        let ms = |ms| begun + Duration::from_millis(ms);
        let mut idle_timer = IdleTimer::default();
        let woken = wakings(
            &mut idle_timer,
            |woken| if woken == 0 { ms(5) } else { ms(40) },
        )
        .await;
        assert!(begun.elapsed() >= Duration::from_millis(40), "not before");
        assert_eq!(woken, 2, "once for nothing");
        // A time earlier than the one that the timer is set to.
        wakings(&mut idle_timer, |_| ms(41)).await;
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        assert!(!idle_timer.is_due(ms(60_000), cx));
        wakings(&mut idle_timer, |_| ms(60)).await;
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(60) && took < Duration::from_secs(30));
        assert!(idle_timer.is_due(ms(0), cx), "the past has come");
    }
}
