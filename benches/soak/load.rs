//! Many at once: overload, streams, one provider beside another, readers that do not read.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, interval, timeout};

use crate::client::{self, CallCounts, Lost, Outcome, Wire, chat, millis};
use crate::gateway::{Gateway, PATIENCE, settled, until};
use crate::report::{Plan, Report};
use crate::upstream::Upstream;

/// Asks for each on a connection of its own, all at once.
pub async fn all(
    gateway: &Gateway,
    calls: impl Iterator<Item = Vec<u8>>,
) -> (CallCounts, Vec<Outcome>) {
    let begun = Instant::now();
    let asked = calls.map(|call| async move {
        let outcome = client::ask(gateway.address, &call, PATIENCE * 3).await;
        (outcome, begun.elapsed())
    });
    let mut tally = CallCounts::default();
    let mut outcomes = Vec::new();
    for (outcome, took) in join_all(asked).await {
        tally.add(&outcome, took);
        outcomes.push(outcome);
    }
    (tally, outcomes)
}

/// Promise 16: overload answers, never resets.
pub async fn overload(plan: &Plan, upstream: &Upstream, report: &mut Report) {
    const NAME: &str = "Overload";
    let gateway = Gateway::start(upstream, plan.descriptors);
    gateway.warm_up(upstream).await;
    let before = gateway.used();
    let calls = plan.calls(2000, 500);
    let (tally, outcomes) = all(&gateway, (0..calls).map(|_| chat("groq/whole-300", false))).await;
    let refused = outcomes.iter().flatten().filter(|answer| {
        answer.status == 503
            && answer
                .header("retry-after")
                .is_some_and(|after| after.parse::<u64>().is_ok())
    });
    let answered = tally.with(200) + refused.count();
    report.row(
        NAME,
        format!("{calls} at once, provider takes 0.3 s: {tally}"),
        "each answered with 200, or with 503 and Retry-After".to_owned(),
        answered == calls,
    );
    let (p99, bound) = (tally.percentile(99), Plan::bound(2, 5));
    report.row(
        NAME,
        format!("p99 {}", millis(p99)),
        format!("≤ {bound} s"),
        p99 <= Duration::from_secs(bound),
    );
    let used = gateway.used();
    report.note(
        NAME,
        format!(
            "RSS {} MB before, {} MB at most; {} threads",
            before.rss >> 10,
            used.highest_rss >> 10,
            used.threads
        ),
    );
    report.log(NAME, &gateway);
}

/// Promise 16: as many streams complete.
pub async fn streams(plan: &Plan, upstream: &Upstream, report: &mut Report) {
    const NAME: &str = "Streams";
    let gateway = Gateway::start(upstream, plan.descriptors);
    gateway.warm_up(upstream).await;
    let before = gateway.used();
    let calls = plan.calls(2000, 500);
    let requests = (0..calls).map(|_| chat("openai/stream-10-200", true));
    let (tally, outcomes) = all(&gateway, requests).await;
    let done = outcomes
        .iter()
        .flatten()
        .filter(|answer| answer.is_done())
        .count();
    report.row(
        NAME,
        format!("{done} of {calls} streams of 2 s at once to one provider with `[DONE]`: {tally}"),
        "all".to_owned(),
        done == calls,
    );
    let added = gateway.used().highest_rss.saturating_sub(before.rss);
    report.note(
        NAME,
        format!("{:.1} KB of RSS added for each", each(added, calls)),
    );
    report.log(NAME, &gateway);
}

/// Promise 8: one provider cannot hurt another.
pub async fn isolation(plan: &Plan, upstream: &Upstream, report: &mut Report) {
    const NAME: &str = "Isolation";
    let gateway = Gateway::start(upstream, plan.descriptors);
    gateway.warm_up(upstream).await;
    let baseline = steady(plan, &gateway).await;
    let hung = plan.calls(600, 300);
    let held = send_all(&gateway, &chat("mistral/hang", false), hung).await;
    let all_hang = until(PATIENCE, || upstream.under_way() == hung).await;
    let beside = steady(plan, &gateway).await;
    let failed = |tally: &CallCounts| tally.calls() - tally.with(200);
    report.row(
        NAME,
        format!(
            "{hung} calls hang at one provider{}; another meanwhile: {beside}",
            if all_hang {
                ""
            } else {
                " (not all arrived there)"
            }
        ),
        "all hang, 0 others fail".to_owned(),
        all_hang && failed(&baseline) + failed(&beside) == 0,
    );
    let (alone, with) = (baseline.percentile(99), beside.percentile(99));
    let slack = Duration::from_millis(Plan::bound(10, 100));
    report.row(
        NAME,
        format!("p99 {}; without them {}", millis(with), millis(alone)),
        format!("without them + {}", millis(slack)),
        with <= alone + slack,
    );
    leave(upstream, held, report, NAME).await;
    report.log(NAME, &gateway);
}

/// Calls at a steady pace on eight kept connections.
async fn steady(plan: &Plan, gateway: &Gateway) -> CallCounts {
    let (each, pace) = (if plan.short { 60 } else { 200 }, Duration::from_millis(40));
    let call = chat("groq/whole-2", false);
    let callers = (0..8).map(|_| async {
        let mut wire = Wire::open(gateway.address).await;
        let mut ticks = interval(pace);
        let mut outcomes = Vec::new();
        for _ in 0..each {
            ticks.tick().await;
            let begun = Instant::now();
            let outcome = match &mut wire {
                Ok(wire) => wire.ask(&call, PATIENCE).await,
                Err(lost) => Err(*lost),
            };
            outcomes.push((outcome, begun.elapsed()));
        }
        outcomes
    });
    let mut tally = CallCounts::default();
    for (outcome, took) in join_all(callers).await.into_iter().flatten() {
        tally.add(&outcome, took);
    }
    tally
}

/// What a stream that nobody reads offers, in bytes.
const FLOOD: usize = 100 << 20;

/// Promise 10: slow readers cost little.
pub async fn slow_readers(plan: &Plan, upstream: &Upstream, report: &mut Report) {
    const NAME: &str = "Slow readers";
    // As a proxy before it may collect what a model wrote, and as a model writes.
    for events in [14, 1] {
        let gateway = Gateway::start(upstream, plan.descriptors);
        let mut held = stall(plan, &gateway, upstream, events, report, NAME).await;
        let (outcome, took) = neighbour(&gateway).await;
        report.row(
            NAME,
            format!(
                "another call to the same provider: {} in {}",
                status(&outcome),
                millis(took)
            ),
            "200 within 1 s".to_owned(),
            outcome.is_ok_and(|answer| answer.status == 200) && took <= Duration::from_secs(1),
        );
        // One reads on: what was held back is still whole.
        let mut reader = held.pop().expect("a reader");
        let read = timeout(PATIENCE * 2, reader.answer()).await;
        let read = read.unwrap_or(Err(Lost::Late));
        let figure = match &read {
            Ok(answer) if answer.is_done() => {
                format!("{} MB and `[DONE]`", answer.body.len() >> 20)
            }
            Ok(answer) => format!("{} MB without `[DONE]`", answer.body.len() >> 20),
            Err(lost) => format!("{lost:?}"),
        };
        report.row(
            NAME,
            format!("one reads after all: {figure}"),
            "complete".to_owned(),
            read.is_ok_and(|answer| answer.is_done() && answer.body.len() >= FLOOD),
        );
        leave(upstream, held, report, NAME).await;
        report.log(NAME, &gateway);
    }
}

/// Opens streams whose pieces have so many events each, and reads none of them.
async fn stall(
    plan: &Plan,
    gateway: &Gateway,
    upstream: &Upstream,
    events: usize,
    report: &mut Report,
    name: &'static str,
) -> Vec<Wire> {
    gateway.warm_up(upstream).await;
    // Code that is read for the first time counts as memory too, and not for each stream.
    let short = chat(&format!("groq/flood-{}-{events}", 4 << 20), true);
    all(gateway, std::iter::repeat_n(short, 4)).await;
    let before = gateway.used();
    let readers = plan.calls(100, 50);
    let call = chat(&format!("groq/flood-{FLOOD}-{events}"), true);
    let written = upstream.flooded();
    let held = send_all(gateway, &call, readers).await;
    let (outcome, took) = neighbour(gateway).await;
    report.note(
        name,
        format!(
            "another call while {readers} of them run as fast as they can: {} in {}",
            status(&outcome),
            millis(took)
        ),
    );
    // They stall when nothing is written any more, and nothing is done with what was.
    let stalled = settled(PATIENCE * 2, || (upstream.flooded(), gateway.busy())).await;
    let stalled = stalled && until(PATIENCE, || upstream.under_way() == readers).await;
    let written = usize::try_from(upstream.flooded() - written).unwrap_or_default() >> 10;
    let added = gateway.used().rss.saturating_sub(before.rss);
    let each = each(added, readers);
    report.row(
        name,
        format!(
            "{readers} streams of 100 MB in pieces of {events} KB that nobody reads{}, each stops after {:.1} MB: {each:.0} KB of RSS added for each",
            if stalled { "" } else { " (they did not stall)" },
            self::each(written, readers) / 1024.0
        ),
        "≤ 128 KB".to_owned(),
        stalled && each <= 128.0,
    );
    held
}

/// A short call beside what else goes on.
async fn neighbour(gateway: &Gateway) -> (Outcome, Duration) {
    let begun = Instant::now();
    let call = chat("groq/whole-0", false);
    let outcome = client::ask(gateway.address, &call, PATIENCE).await;
    (outcome, begun.elapsed())
}

/// Sends a call on so many connections, and reads nothing.
async fn send_all(gateway: &Gateway, call: &[u8], connections: usize) -> Vec<Wire> {
    let opened = join_all((0..connections).map(|_| Wire::open(gateway.address))).await;
    let mut held = Vec::new();
    for wire in opened {
        let mut wire = wire.expect("the gateway takes connections");
        wire.send(call).await.expect("it takes a request");
        held.push(wire);
    }
    held
}

/// Promise 9: a caller that leaves ends its call to the provider.
async fn leave(upstream: &Upstream, held: Vec<Wire>, report: &mut Report, name: &'static str) {
    let callers = held.len();
    // A call beside them may have its answer before the provider's side of it is over.
    until(PATIENCE, || upstream.under_way() == callers).await;
    let before = upstream.under_way();
    let left = Instant::now();
    drop(held);
    let gone = until(PATIENCE, || upstream.under_way() == 0).await;
    let took = left.elapsed();
    report.row(
        name,
        format!(
            "{callers} callers leave: of {before} calls at the provider {} are left after {}",
            upstream.under_way(),
            millis(took)
        ),
        "0 within 5 s".to_owned(),
        before == callers && gone && took <= Duration::from_secs(5),
    );
}

/// An outcome as it is shown.
pub fn status(outcome: &Outcome) -> String {
    match outcome {
        Ok(answer) => answer.status.to_string(),
        Err(lost) => format!("{lost:?}"),
    }
}

/// What one of so many has.
#[expect(clippy::cast_precision_loss, reason = "a figure to be shown")]
fn each(all: usize, count: usize) -> f64 {
    all as f64 / count as f64
}
