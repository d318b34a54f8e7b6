//! Where it ends: without descriptors, and on SIGTERM.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use crate::client::{self, Outcome, Wire, chat, millis};
use crate::gateway::{Gateway, PATIENCE, until};
use crate::load::{all, status};
use crate::report::{Plan, Report};
use crate::upstream::Upstream;

/// Descriptors of the gateway that shall run out of them.
const FEW: usize = 128;

/// Promise 18: out of descriptors it degrades, and recovers.
pub async fn descriptors(_: &Plan, upstream: &Upstream, report: &mut Report) {
    const NAME: &str = "Out of descriptors";
    const CALLERS: usize = 300;
    let mut gateway = Gateway::start(upstream, FEW);
    let idle = gateway.warm_up(upstream).await;
    let held = join_all((0..CALLERS).map(|_| Wire::open(gateway.address))).await;
    let connected = held.iter().flatten().count();
    let mut most = 0;
    let out = until(PATIENCE, || {
        most = most.max(gateway.used().descriptors);
        most + 1 >= FEW
    });
    let out = out.await;
    // What it does meanwhile is watched for a second: it must not spin, nor fill the log.
    let (busy, lines) = (gateway.busy(), gateway.log.lines.load(Ordering::Relaxed));
    sleep(Duration::from_secs(1)).await;
    let busy = gateway.busy().saturating_sub(busy);
    let lines = gateway.log.lines.load(Ordering::Relaxed) - lines;
    report.note(
        NAME,
        format!(
            "{connected} connections to a gateway with {FEW} descriptors: {most} used{}; in a second of that {} on the processor, {lines} lines logged",
            if out { "" } else { " (it did not run out)" },
            millis(busy)
        ),
    );
    drop(held);
    let closed = Instant::now();
    let outcome = client::ask(gateway.address, &chat("groq/whole-0", false), PATIENCE).await;
    let took = closed.elapsed();
    let lives = gateway.lives();
    report.row(
        NAME,
        format!(
            "they close; a new call: {} after {}, process {}",
            status(&outcome),
            millis(took),
            if lives { "alive" } else { "dead" }
        ),
        "200 within 2 s, alive".to_owned(),
        out && lives
            && outcome.is_ok_and(|answer| answer.status == 200)
            && took <= Duration::from_secs(2),
    );
    // A call takes two: its own, and one to the provider, which may not be had.
    let calls = (0..CALLERS).map(|_| chat("groq/whole-100", false));
    let (tally, _) = all(&gateway, calls).await;
    report.row(
        NAME,
        format!("as many calls at once: {tally}"),
        "each answered".to_owned(),
        tally.answers.values().sum::<usize>() == CALLERS,
    );
    let closed = until(PATIENCE, || gateway.own_descriptors(upstream) <= idle).await;
    report.row(
        NAME,
        format!(
            "{} descriptors at the end, but for those to the provider",
            gateway.own_descriptors(upstream)
        ),
        format!("{idle} as before"),
        closed,
    );
    report.log(NAME, &gateway);
}

/// Promise 19: deploys lose nothing.
pub async fn shutdown(plan: &Plan, upstream: &Upstream, report: &mut Report) {
    const NAME: &str = "Shutdown";
    let streams = plan.calls(100, 100);
    let mut gateway = Gateway::start(upstream, plan.descriptors);
    let address = gateway.address;
    // Kept connections without a call must not hold it up.
    let idle = join_all((0..20).map(|_| async {
        let mut wire = Wire::open(address).await?;
        wire.ask(&chat("groq/whole-0", false), PATIENCE).await?;
        Ok::<_, client::Lost>(wire)
    }));
    let idle = idle.await;
    let kept = idle.iter().flatten().count();
    let call = chat("groq/stream-30-100", true);
    let callers = join_all((0..streams).map(|_| async {
        let outcome = client::ask(address, &call, PATIENCE * 2).await;
        (outcome, Instant::now())
    }));
    let (mut told, mut ended) = (None, None);
    let stop = async {
        let open = until(PATIENCE, || upstream.streaming() == streams).await;
        gateway.terminate();
        told = Some(Instant::now());
        until(PATIENCE * 2, || {
            ended = gateway.ended().map(|status| (status, Instant::now()));
            ended.is_some()
        })
        .await;
        open
    };
    let (outcomes, open): (Vec<(Outcome, Instant)>, bool) = tokio::join!(callers, stop);
    let done = outcomes
        .iter()
        .filter(|(outcome, _)| outcome.as_ref().is_ok_and(client::Answer::is_done))
        .count();
    let last = outcomes.iter().map(|(_, at)| *at).max();
    report.row(
        NAME,
        format!(
            "SIGTERM during {streams} streams of 3 s{}: {done} end with `[DONE]`",
            if open { "" } else { " (not all were open)" }
        ),
        "all".to_owned(),
        open && done == streams,
    );
    let (Some(told), Some(last), Some((status, ended))) = (told, last, ended) else {
        let figure = "it did not exit".to_owned();
        report.row(NAME, figure, "exit code 0".to_owned(), false);
        return;
    };
    let (after, all) = (ended.saturating_duration_since(last), ended - told);
    report.row(
        NAME,
        format!(
            "{}, {} after the last stream's end, {} after SIGTERM; {kept} idle connections were open",
            status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}")),
            millis(after),
            millis(all)
        ),
        "exit code 0, ≤ 1 s, ≤ 32 s".to_owned(),
        status.code() == Some(0) && after <= Duration::from_secs(1) && all <= Duration::from_secs(32),
    );
    report.log(NAME, &gateway);
    cut_off(plan, upstream, report, NAME).await;
}

/// What does not end by itself does not hold it up for longer than it was told.
async fn cut_off(plan: &Plan, upstream: &Upstream, report: &mut Report, name: &'static str) {
    let patient = [("SHUTDOWN_TIMEOUT_SECS", "2")];
    let mut gateway = Gateway::start_with(upstream, plan.descriptors, &patient);
    let mut wire = Wire::open(gateway.address).await.expect("a connection");
    let hang = chat("groq/hang", false);
    wire.send(&hang).await.expect("it takes a request");
    let hangs = until(PATIENCE, || upstream.under_way() == 1).await;
    let told = Instant::now();
    gateway.terminate();
    let mut ended = None;
    until(PATIENCE, || {
        ended = gateway.ended();
        ended.is_some()
    })
    .await;
    let took = told.elapsed();
    report.row(
        name,
        format!(
            "SIGTERM during a call that hangs, `SHUTDOWN_TIMEOUT_SECS=2`: {} after {}",
            ended.map_or_else(|| "it did not exit".to_owned(), |status| status.to_string()),
            millis(took)
        ),
        "exit code 0, ≤ 4 s".to_owned(),
        hangs && ended.is_some_and(|status| status.success()) && took <= Duration::from_secs(4),
    );
}
