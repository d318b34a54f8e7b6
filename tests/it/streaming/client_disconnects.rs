//! Promises 5 and 9 where no provider tells that a caller left: the gateway's own waits. No timer of
//! these tests is short enough to end what the caller's leaving must end.

use std::time::Duration;

use crate::rig::faults::{
    at_rest, completion, gateway, hello, in_turn, metric, open, read_until, status, until,
    until_metric,
};
use crate::rig::{Gateway, PATIENCE, config};
use ai_gateway::config::{BaseUrl, Config};
use ai_gateway::scripted::{Script, Scripted, Step};
use socket2::{Domain, Socket, Type};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

/// What a timer has that must not be the one that ends a call.
const LONG: Duration = Duration::from_secs(60);

/// How soon a caller's leaving is noticed.
const SOON: Duration = Duration::from_secs(1);

const IN_FLIGHT: &str = "gateway_in_flight{provider=\"openai\"}";
const WAITING: &str = "gateway_waiting{provider=\"openai\"}";

fn patient(server: &Scripted) -> Config {
    let mut config = config(server);
    config.calls.connect_timeout = LONG;
    config.calls.wait_timeout = LONG;
    config
}

/// The outcomes of all attempts so far, as in `client_left"} 1`.
async fn attempts(gateway: &Gateway) -> Vec<String> {
    let answer = gateway.get("/metrics", Some("metrics-key")).await;
    let outcome = |line: &str| Some(line.split_once("outcome=\"")?.1.to_owned());
    let lines = answer.text().lines();
    lines
        .filter(|line| line.starts_with("gateway_attempts_total{"))
        .filter_map(outcome)
        .collect()
}

/// That the caller left is what the request is counted under.
async fn counted_as_left(gateway: &Gateway, what: &str) {
    let reason = "gateway_errors_total{provider=\"openai\",reason=\"client_left\"}";
    let left = metric(gateway, reason).await;
    assert_eq!(left, Some(1), "{what}: {reason}");
}

/// A port of which not even the system takes connections: its line is full.
async fn full() -> (Socket, Vec<TcpStream>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(&any.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut line = Vec::new();
    while let Ok(taken) = timeout(SOON / 4, TcpStream::connect(address)).await {
        line.push(taken.unwrap());
        assert!(line.len() < 100, "the line of {address} does not fill");
    }
    (socket, line)
}

/// Promise 9.
#[actix_web::test]
async fn who_leaves_while_the_gateway_connects_ends_that() {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (closed, _line) = full().await;
    let closed = closed.local_addr().unwrap().as_socket().unwrap();
    for (what, base, stream) in [
        (
            "no handshake",
            format!("https://{}", mute.local_addr().unwrap()),
            false,
        ),
        (
            "no handshake, streamed",
            format!("https://{}", mute.local_addr().unwrap()),
            true,
        ),
        ("no connection", format!("http://{closed}"), false),
        (
            "no connection, behind keepalives",
            format!("http://{closed}"),
            true,
        ),
    ] {
        let server = in_turn(vec![completion()]);
        let mut config = patient(&server);
        if what.ends_with("keepalives") {
            config.server.keepalive = Duration::from_millis(50);
        }
        for entry in &mut config.providers {
            entry.base = BaseUrl::parse(&base, "").unwrap();
        }
        let gateway = Gateway::start(config);
        let mut caller = open(&gateway, &hello("gpt-4o", stream)).await;
        if what.ends_with("keepalives") {
            read_until(&mut caller, ": keepalive").await;
        }
        until_metric(&gateway, IN_FLIGHT, 1).await;
        let mut handshake = None;
        if base.starts_with("https") {
            // It has begun, and goes on for as long as this is held.
            let (connection, _) = timeout(PATIENCE, mute.accept()).await.unwrap().unwrap();
            handshake = Some(connection);
        }
        drop(caller);
        let took = at_rest(&gateway).await;
        assert!(
            took < SOON,
            "{what}: all is at rest {took:?} after the caller left"
        );
        let made = attempts(&gateway).await;
        assert_eq!(
            made,
            ["client_left\"} 1"],
            "{what}: one attempt, and none after it"
        );
        counted_as_left(&gateway, what).await;
        if let Some(mut connection) = handshake {
            let mut hello = Vec::new();
            let closed = timeout(SOON, connection.read_to_end(&mut hello)).await;
            let begun = hello.len();
            assert!(
                closed.is_ok(),
                "{what}: open behind the {begun} bytes that began it"
            );
        }
    }
}

/// Promise 9.
#[actix_web::test]
async fn who_leaves_the_line_gives_its_place_back_while_the_first_goes_on() {
    let server = in_turn(vec![Script::default().then(Step::Hang)]);
    let mut config = patient(&server);
    config.calls.max_in_flight = 1;
    let gateway = Gateway::start(config);
    let first = open(&gateway, &hello("gpt-4o", false)).await;
    until(&server, "the first call", |counts| counts.requests == 1).await;
    for stream in [false, true] {
        let second = open(&gateway, &hello("gpt-4o", stream)).await;
        until_metric(&gateway, WAITING, 1).await;
        let left = Instant::now();
        drop(second);
        until_metric(&gateway, WAITING, 0).await;
        let took = left.elapsed();
        assert!(
            took < SOON,
            "its place is free {took:?} after it left; stream: {stream}"
        );
        assert_eq!(
            metric(&gateway, IN_FLIGHT).await,
            Some(1),
            "the first goes on"
        );
        let counts = server.counts();
        assert_eq!((counts.requests, counts.left), (1, 0), "the first goes on");
    }
    drop(first);
    let took = at_rest(&gateway).await;
    assert!(took < SOON, "all is at rest {took:?} after the first left");
    let made = server.counts().requests;
    assert_eq!(made, 1, "who left the line is not served");
}

/// Promises 5 and 9.
#[actix_web::test]
async fn who_leaves_in_the_pause_before_a_retry_has_none() {
    for (what, stream, keepalive) in [
        ("a whole answer", false, 0),
        ("a stream", true, 0),
        ("behind keepalives", true, 50),
    ] {
        let busy = status(503, &[("retry-after", "10")]);
        let server = in_turn(vec![busy, completion()]);
        let mut config = patient(&server);
        config.server.keepalive = Duration::from_millis(keepalive);
        let gateway = Gateway::start(config);
        let mut caller = open(&gateway, &hello("gpt-4o", stream)).await;
        // It has the refusal, and holds no slot while it pauses.
        let refused = "gateway_attempts_total{provider=\"openai\",outcome=\"provider_error\"}";
        until_metric(&gateway, refused, 1).await;
        if keepalive > 0 {
            read_until(&mut caller, ": keepalive").await;
        }
        assert_eq!(metric(&gateway, IN_FLIGHT).await, Some(0), "{what}");
        assert_eq!(
            metric(&gateway, "gateway_requests_in_flight").await,
            Some(2),
            "{what}"
        );
        drop(caller);
        let took = at_rest(&gateway).await;
        assert!(
            took < SOON,
            "{what}: all is at rest {took:?} after the caller left"
        );
        let made = attempts(&gateway).await;
        assert_eq!(made, ["provider_error\"} 1"], "{what}: no attempt followed");
        assert_eq!(
            server.counts().requests,
            1,
            "{what}: the provider saw one request"
        );
        counted_as_left(&gateway, what).await;
    }
}

/// The same waits end by themselves for who stays.
#[actix_web::test]
async fn who_stays_in_the_pause_before_a_retry_is_answered() {
    let server = in_turn(vec![status(503, &[("retry-after", "1")]), completion()]);
    let begun = Instant::now();
    let answer = gateway(&server).chat(hello("gpt-4o", false)).await;
    let took = begun.elapsed();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(took >= SOON, "the pause of a second took {took:?}");
}
