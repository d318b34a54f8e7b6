//! The soak: good calls among every abuse, for as long as it is told to.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::client::{
    self, Answer, CallCounts, Lost, Outcome, Wire, chat, post, request, responses,
};
use crate::gateway::{Gateway, PATIENCE, until};
use crate::load::status;
use crate::report::{Plan, Report};
use crate::upstream::Upstream;

const NAME: &str = "Soak";

/// Callers that go on at once.
const CALLERS: u64 = 32;

/// How often each begins something: slow enough for RSS before and after to have seen the same load.
const PACE: Duration = Duration::from_millis(25);

/// How long all may take to be over once nothing is asked for.
const QUIET: Duration = Duration::from_secs(10);

/// How much RSS may grow beside the share, in KiB: what an allocator may keep.
const SLACK: usize = 2 << 10;

/// Good calls too, but their time is their callers'.
const SLOW_BODY: &str = "slow body";

/// What was seen.
#[derive(Default)]
struct Seen {
    good: CallCounts,
    slow_bodies: CallCounts,
    failed: usize,
    /// How often each abuse was tried.
    abuses: BTreeMap<&'static str, usize>,
    odd: usize,
    /// The first of what was not as it should be.
    samples: Vec<String>,
}

impl Seen {
    fn wrong(&mut self, what: &str, outcome: &Outcome) {
        if self.samples.len() < 10 {
            let body = outcome.as_ref().map_or(&[][..], |answer| &answer.body);
            let body = String::from_utf8_lossy(body);
            let start: String = body.chars().take(200).collect();
            self.samples
                .push(format!("{what}: {} {start}", status(outcome)));
        }
    }

    fn good(&mut self, what: &str, outcome: &Outcome, took: Duration, whole: bool) {
        let slow = what == SLOW_BODY;
        let tally = if slow {
            &mut self.slow_bodies
        } else {
            &mut self.good
        };
        tally.add(outcome, took);
        if !whole {
            self.failed += 1;
            self.wrong(what, outcome);
        }
    }

    fn abuse(&mut self, kind: &'static str, what: &str, outcome: &Outcome, expected: bool) {
        *self.abuses.entry(kind).or_default() += 1;
        if !expected {
            self.odd += 1;
            self.wrong(what, outcome);
        }
    }

    fn left(&mut self, kind: &'static str) {
        *self.abuses.entry(kind).or_default() += 1;
    }
}

/// The same choices in every run.
struct Choices(u64);

impl Choices {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn one<'l, T>(&mut self, list: &'l [T]) -> &'l T {
        let at = usize::try_from(self.next() >> 33).unwrap() % list.len();
        &list[at]
    }
}

/// Promise 17: steady under mixed abuse.
pub async fn soak(plan: &Plan, upstream: &Upstream, report: &mut Report) {
    let gateway = Gateway::start(upstream, plan.descriptors);
    let idle = gateway.warm_up(upstream).await;
    let warm_up = Duration::from_secs((plan.seconds / 4).clamp(3, 30));
    traffic(&gateway, warm_up).await;
    let before_is_quiet = quiet(&gateway, upstream, idle).await;
    let before = gateway.used();
    let lasts = Duration::from_secs(plan.seconds);
    let seen = traffic(&gateway, lasts).await;
    let after_is_quiet = quiet(&gateway, upstream, idle).await;
    let after = gateway.used();

    let good = &seen.good;
    report.row(
        NAME,
        format!(
            "{} s, good ones: {good}; {} failed",
            plan.seconds, seen.failed
        ),
        "0 failed".to_owned(),
        seen.failed == 0 && good.calls() > 0,
    );
    let abuses: Vec<_> = seen
        .abuses
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    report.row(
        NAME,
        format!(
            "{}: {} answered otherwise than they should be",
            abuses.join(", "),
            seen.odd
        ),
        "0".to_owned(),
        seen.odd == 0,
    );
    let bound = before.rss + before.rss / 20 + SLACK;
    report.row(
        NAME,
        format!(
            "RSS {:.1} MB after the warm-up, {:.1} MB at the end, {:.1} MB at most; {} threads",
            megabytes(before.rss),
            megabytes(after.rss),
            megabytes(after.highest_rss),
            after.threads
        ),
        format!("≤ {:.1} MB: + 5 % + {} MB", megabytes(bound), SLACK >> 10),
        after.rss <= bound,
    );
    report.row(
        NAME,
        format!(
            "{} descriptors at the end, but for {} to the provider",
            gateway.own_descriptors(upstream),
            upstream.connections()
        ),
        format!("{idle} as before, within {} s", QUIET.as_secs()),
        before_is_quiet && after_is_quiet,
    );
    report.row(
        NAME,
        format!("{} calls left at the provider", upstream.under_way()),
        "0".to_owned(),
        upstream.under_way() == 0,
    );
    in_flight(&gateway, report).await;
    for sample in &seen.samples {
        eprintln!("    {sample}");
    }
    report.log(NAME, &gateway);
}

/// Whether all that was opened is closed again, but for kept connections to the provider.
async fn quiet(gateway: &Gateway, upstream: &Upstream, idle: usize) -> bool {
    until(QUIET, || {
        upstream.under_way() == 0 && gateway.own_descriptors(upstream) <= idle
    })
    .await
}

/// What the gateway itself counts as under way, per provider.
async fn in_flight(gateway: &Gateway, report: &mut Report) {
    let call = request("GET", "/metrics", "", "");
    let end = Instant::now() + QUIET;
    let (providers, held) = loop {
        let answer = client::ask(gateway.address, &call, PATIENCE).await;
        let text = answer.map(|answer| String::from_utf8_lossy(&answer.body).into_owned());
        let text = text.unwrap_or_default();
        let gauge = text
            .lines()
            .filter(|line| line.starts_with("gateway_in_flight") && line.contains("provider="));
        let held = gauge.clone().filter(|line| !line.ends_with(" 0")).count();
        if held == 0 || Instant::now() > end {
            break (gauge.count(), held);
        }
        sleep(PACE).await;
    };
    if providers == 0 {
        report.note(NAME, "no `gateway_in_flight` on `/metrics`".to_owned());
        return;
    }
    report.row(
        NAME,
        format!("`gateway_in_flight` of {providers} providers: {held} not 0"),
        "all 0".to_owned(),
        held == 0,
    );
}

/// All callers, for a time.
async fn traffic(gateway: &Gateway, lasts: Duration) -> Seen {
    let seen = RefCell::new(Seen::default());
    let end = Instant::now() + lasts;
    join_all((1..=CALLERS).map(|number| caller(gateway, number, end, &seen))).await;
    seen.into_inner()
}

/// One caller: does one thing after another, chosen by their shares of 128.
async fn caller(gateway: &Gateway, number: u64, end: Instant, seen: &RefCell<Seen>) {
    let mut choices = Choices(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut kept = None;
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < end {
        ticks.tick().await;
        match choices.next() >> 32 & 127 {
            0..76 => good(gateway, &mut choices, &mut kept, seen).await,
            76..83 => slow_body(gateway, seen).await,
            83..96 => abort(gateway, &mut choices, seen).await,
            96..103 => broken(gateway, &mut choices, &ERRORS, "upstream errors", seen).await,
            103..110 => broken(gateway, &mut choices, &FAILURES, "upstream failures", seen).await,
            110..117 => cut(gateway, &mut choices, seen).await,
            117..122 => abandon(gateway, seen).await,
            _ => malformed(gateway, &mut choices, seen).await,
        }
    }
}

/// A good call: its bytes, and how its answer must end.
fn good_call(choices: &mut Choices) -> (&'static str, Vec<u8>, fn(&Answer) -> bool) {
    let is_200 = |answer: &Answer| answer.status == 200 && answer.has("\"choices\"");
    let completed = |answer: &Answer| answer.status == 200 && answer.has("completed");
    match choices.next() >> 32 & 15 {
        0..3 => ("whole", chat("groq/whole-5", false), is_200),
        3..5 => ("whole", chat("openai/whole-40", false), is_200),
        5..7 => ("whole", chat("mistral/whole-0", false), is_200),
        7..9 => ("stream", chat("groq/stream-8-5", true), Answer::is_done),
        9..11 => (
            "stream",
            chat("mistral/stream-20-10", true),
            Answer::is_done,
        ),
        11 => ("translated whole", chat("claude-sonnet", false), is_200),
        12 => (
            "translated stream",
            chat("claude-sonnet", true),
            Answer::is_done,
        ),
        13 => ("Responses", responses("groq/llama", false), completed),
        14 => (
            "Responses, translated",
            responses("deepseek/chat", true),
            completed,
        ),
        _ => (
            "Responses, translated",
            responses("claude-sonnet", true),
            completed,
        ),
    }
}

async fn good(
    gateway: &Gateway,
    choices: &mut Choices,
    kept: &mut Option<Wire>,
    seen: &RefCell<Seen>,
) {
    let (what, call, is_whole) = good_call(choices);
    let begun = Instant::now();
    let mut wire = match kept.take() {
        Some(wire) => wire,
        None => match Wire::open(gateway.address).await {
            Ok(wire) => wire,
            Err(lost) => {
                seen.borrow_mut()
                    .good(what, &Err(lost), begun.elapsed(), false);
                return;
            }
        },
    };
    let outcome = wire.ask(&call, PATIENCE).await;
    let whole = outcome.as_ref().is_ok_and(is_whole);
    seen.borrow_mut()
        .good(what, &outcome, begun.elapsed(), whole);
    // One in four goes with its connection, as callers do that keep none.
    if whole && choices.next() >> 32 & 3 > 0 {
        *kept = Some(wire);
    }
}

/// A good call whose body comes in pieces.
async fn slow_body(gateway: &Gateway, seen: &RefCell<Seen>) {
    let call = chat("groq/whole-5", false);
    let begun = Instant::now();
    let slow = async {
        let mut wire = Wire::open(gateway.address).await?;
        for piece in call.chunks(call.len().div_ceil(6)) {
            wire.send(piece).await?;
            sleep(Duration::from_millis(50)).await;
        }
        wire.answer().await
    };
    let outcome = timeout(PATIENCE, slow).await.unwrap_or(Err(Lost::Late));
    let whole = outcome.as_ref().is_ok_and(|answer| answer.status == 200);
    seen.borrow_mut()
        .good(SLOW_BODY, &outcome, begun.elapsed(), whole);
}

/// A caller that leaves: after the connection, in the head, in the body, before the answer, in it.
async fn abort(gateway: &Gateway, choices: &mut Choices, seen: &RefCell<Seen>) {
    let phase = choices.next() >> 32 & 7;
    let call = match phase {
        0..5 => chat("groq/whole-500", false),
        _ => chat("mistral/stream-40-20", true),
    };
    let part = match phase {
        0 => &[][..],
        1 => &call[..30],
        2 => &call[..call.len() - 20],
        _ => &call[..],
    };
    let leave = async {
        let mut wire = Wire::open(gateway.address).await?;
        wire.send(part).await?;
        if phase >= 5 {
            wire.until("hello").await?;
        } else {
            sleep(Duration::from_millis(20)).await;
        }
        if choices.next() >> 32 & 1 == 0 {
            let _ = wire.stream.set_zero_linger();
        }
        Ok::<_, Lost>(())
    };
    let left = timeout(PATIENCE, leave).await.unwrap_or(Err(Lost::Late));
    let (kind, mut seen) = ("callers that left", seen.borrow_mut());
    match left {
        Ok(()) => seen.left(kind),
        Err(lost) => seen.abuse(kind, "before it left", &Err(lost), false),
    }
}

/// Leaves a call that hangs.
async fn abandon(gateway: &Gateway, seen: &RefCell<Seen>) {
    let call = chat("groq/hang", false);
    let outcome = client::ask(gateway.address, &call, Duration::from_millis(100)).await;
    let late = matches!(outcome, Err(Lost::Late));
    seen.borrow_mut()
        .abuse("hung and left", "hang", &outcome, late);
}

/// A model of a provider, whether it streams, and the status it must be answered with.
type Broken = (&'static str, bool, u16);

const ERRORS: [Broken; 5] = [
    ("groq/fails-400", false, 400),
    ("mistral/fails-401", false, 401),
    ("openai/fails-404", false, 404),
    ("groq/fails-422", true, 422),
    ("mistral/fails-429", true, 429),
];

const FAILURES: [Broken; 6] = [
    ("groq/fails-500", false, 500),
    ("openai/fails-503", true, 503),
    ("mistral/fails-502", false, 502),
    ("groq/reset", false, 502),
    ("openai/reset", true, 502),
    ("mistral/short", false, 502),
];

async fn broken(
    gateway: &Gateway,
    choices: &mut Choices,
    list: &[Broken],
    kind: &'static str,
    seen: &RefCell<Seen>,
) {
    let (model, stream, expected) = *choices.one(list);
    let outcome = client::ask(gateway.address, &chat(model, stream), PATIENCE).await;
    let as_expected = outcome.as_ref().is_ok_and(|answer| {
        // These models do nothing but fail: after some time they are left alone.
        let left_alone = expected >= 500
            && answer.status == 503
            && answer.has("\"circuit_open\"")
            && answer.head.contains("retry-after:");
        (answer.status == expected && answer.has("\"error\"")) || left_alone
    });
    seen.borrow_mut().abuse(kind, model, &outcome, as_expected);
}

/// A stream that breaks off must say so.
async fn cut(gateway: &Gateway, choices: &mut Choices, seen: &RefCell<Seen>) {
    let model = choices.one(&["groq/cut-1", "mistral/cut-5", "openai/cut-20"]);
    let outcome = client::ask(gateway.address, &chat(model, true), PATIENCE).await;
    let said = outcome.as_ref().is_ok_and(|answer| {
        answer.status == 200 && answer.has("upstream_stream_truncated") && !answer.has("[DONE]")
    });
    seen.borrow_mut()
        .abuse("cut streams", model, &outcome, said);
}

async fn malformed(gateway: &Gateway, choices: &mut Choices, seen: &RefCell<Seen>) {
    const CHAT: &str = "/v1/chat/completions";
    const JSON: &str = "content-type: application/json\r\n";
    let head = |headers: &str| {
        format!("POST {CHAT} HTTP/1.1\r\nhost: gateway\r\n{headers}\r\n").into_bytes()
    };
    let (what, call, expected) = match choices.next() >> 32 & 7 {
        0 => ("no JSON", post(CHAT, "{\"model\":"), 400),
        1 => (
            "no model",
            post(CHAT, "{\"model\":\"\",\"messages\":[]}"),
            400,
        ),
        2 => (
            "no HTTP",
            b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n".to_vec(),
            400,
        ),
        3 => (
            "another type",
            request("POST", CHAT, "content-type: text/plain\r\n", "{}"),
            415,
        ),
        4 => ("no key", head(&format!("{JSON}content-length: 0\r\n")), 401),
        5 => ("another path", post("/v1/nothing", "{}"), 404),
        6 => (
            "two lengths",
            head(&format!(
                "{JSON}content-length: 3\r\ntransfer-encoding: chunked\r\n"
            )),
            400,
        ),
        _ => (
            "too long",
            head(&format!(
                "{JSON}authorization: Bearer sk-caller\r\ncontent-length: 99999999999\r\n"
            )),
            413,
        ),
    };
    let outcome = client::ask(gateway.address, &call, PATIENCE).await;
    let refused = outcome
        .as_ref()
        .is_ok_and(|answer| answer.status == expected);
    seen.borrow_mut()
        .abuse("malformed", what, &outcome, refused);
}

/// As it is shown.
#[expect(clippy::cast_precision_loss, reason = "a figure to be shown")]
fn megabytes(kilobytes: usize) -> f64 {
    kilobytes as f64 / 1024.0
}
