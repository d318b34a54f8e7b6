//! Promise 19 for who replaces one instance after the other: clients with kept connections, under
//! load all the time, lose nothing when one of two instances is told to stop.

#![cfg(unix)]

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use crate::rig::faults::{DELTA, DONE, FINISH, completion, hello, in_turn, open, read_until};
use crate::rig::process::Served;
use crate::rig::{Gateway, PATIENCE, config};
use ai_gateway::scripted::{ReceivedRequest, Script, Scripted, Step};
use ai_gateway::shutdown::Stage;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const CLIENTS: usize = 24;

/// Requests that each client makes before, and after, the first instance is told to stop.
const EACH: usize = 40;

/// Answers that take a moment, so that some are always under way.
fn provider() -> Scripted {
    Scripted::start(|request: &ReceivedRequest| {
        let pause = Step::Pause(Duration::from_millis(5));
        if request.json()["stream"] == true {
            let stream = Script::stream()
                .chunk(DELTA)
                .then(pause.clone())
                .chunk(DELTA);
            return stream.then(pause).chunk(FINISH).chunk(DONE).end();
        }
        let mut slow = Script::default().then(pause);
        slow.steps.extend(completion().steps);
        slow
    })
    .unwrap()
}

/// Why a request was not answered.
#[derive(Debug)]
enum Lost {
    /// No connection.
    Refused,
    /// The connection ended before a byte of an answer.
    Closed,
    /// An answer came, and not as a whole.
    Cut(String),
}

/// A client with one connection, which it keeps for as long as it may.
#[derive(Default)]
struct Client {
    connection: Option<TcpStream>,
    /// Whether it wants a new connection for each request instead.
    fresh: bool,
}

impl Client {
    async fn ask(&mut self, address: &str, id: &str, stream: bool) -> Result<String, Lost> {
        let mut io = match self.connection.take() {
            Some(connection) => connection,
            None => TcpStream::connect(address)
                .await
                .map_err(|_| Lost::Refused)?,
        };
        let body = hello("gpt-4o", stream).to_string();
        let keep = if self.fresh { "close" } else { "keep-alive" };
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\nX-Request-Id: {id}\r\nConnection: {keep}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let sent = io.write_all(request.as_bytes()).await;
        sent.map_err(|_| Lost::Closed)?;
        let mut said = Vec::new();
        while !is_whole(&String::from_utf8_lossy(&said)) {
            match io.read_buf(&mut said).await {
                Ok(1..) => {}
                Ok(0) | Err(_) if said.is_empty() => return Err(Lost::Closed),
                Ok(0) | Err(_) => return Err(Lost::Cut(String::from_utf8_lossy(&said).into())),
            }
        }
        let said = String::from_utf8(said).unwrap();
        if !is_last(&said) {
            self.connection = Some(io);
        }
        Ok(said)
    }
}

/// Whether an answer says that its connection ends with it.
fn is_last(said: &str) -> bool {
    said.contains("\r\nconnection: close\r\n")
}

/// Whether an answer is there from its head to the end that its head tells.
fn is_whole(said: &str) -> bool {
    let Some((head, body)) = said.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    match length {
        Some(length) => body.len() >= length.parse::<usize>().unwrap(),
        None => body.ends_with("0\r\n\r\n"),
    }
}

/// What befell the requests of all clients.
#[derive(Default)]
struct Seen {
    answered: Cell<usize>,
    by_second: Cell<usize>,
    refused: Cell<usize>,
    closed: Cell<usize>,
    told_to_close: Cell<usize>,
    told_to_stop: Cell<bool>,
}

fn count(cell: &Cell<usize>) {
    cell.set(cell.get() + 1);
}

/// Promise 19.
#[actix_web::test]
async fn a_rolling_restart_loses_no_request_that_was_taken() {
    let server = provider();
    let first = Served::before(&server, &[]);
    let second = Served::before(&server, &[]);
    let addresses = [first.address(), second.address()];
    let seen = Rc::new(Seen::default());
    let clients = (0..CLIENTS).map(|client| {
        let (seen, addresses) = (Rc::clone(&seen), addresses.clone());
        async move {
            let new = || Client {
                fresh: client % 4 == 0,
                ..Client::default()
            };
            let (mut at_first, mut at_second) = (new(), new());
            let mut unanswered = Vec::new();
            let (mut after, mut n) = (0, 0);
            while after < EACH {
                after += usize::from(seen.told_to_stop.get());
                n += 1;
                let id = format!("client-{client}-request-{n}");
                let stream = n % 3 == 0;
                // A load balancer goes on with the first, for as long as that takes any.
                let answer = at_first.ask(&addresses[0], &id, stream).await;
                let said = match answer {
                    Ok(said) => said,
                    Err(Lost::Cut(said)) => panic!("{id} was cut: {said}"),
                    Err(lost) => {
                        assert!(seen.told_to_stop.get(), "{id}: {lost:?} while it serves");
                        match lost {
                            Lost::Refused => count(&seen.refused),
                            _ => count(&seen.closed),
                        }
                        let again = format!("{id}-again");
                        unanswered.push(id);
                        count(&seen.by_second);
                        let answer = at_second.ask(&addresses[1], &again, stream).await;
                        answer.unwrap_or_else(|lost| panic!("{again}: {lost:?} by the second"))
                    }
                };
                assert!(
                    said.starts_with("HTTP/1.1 200 OK\r\n"),
                    "request {n} of {client}: {said}"
                );
                let end = if stream { "[DONE]" } else { "\"ok\"" };
                assert!(said.contains(end), "request {n} of {client}: {said}");
                if is_last(&said) && client % 4 != 0 {
                    count(&seen.told_to_close);
                }
                count(&seen.answered);
            }
            unanswered
        }
    });
    let stopping = async {
        while seen.answered.get() < CLIENTS * EACH {
            tokio::task::yield_now().await;
        }
        first.signal("TERM");
        seen.told_to_stop.set(true);
    };
    let all = futures_util::future::join(join_all(clients), stopping);
    let (unanswered, ()) = timeout(PATIENCE * 2, all).await.expect("the load ends");
    let unanswered: Vec<_> = unanswered.into_iter().flatten().collect();
    let Seen {
        answered,
        by_second,
        refused,
        closed,
        told_to_close,
        ..
    } = &*seen;
    let figures = format!(
        "{} answered, {} of them by the second instance; of the first {} connections were refused, {} closed without an answer, {} told to close",
        answered.get(),
        by_second.get(),
        refused.get(),
        closed.get(),
        told_to_close.get()
    );
    // What the first had taken, so that the provider saw it, it answered.
    let mut asked: HashMap<String, usize> = HashMap::new();
    for request in server.requests() {
        let id = request.header("x-request-id").unwrap().to_owned();
        *asked.entry(id).or_default() += 1;
    }
    let taken: Vec<_> = unanswered
        .iter()
        .filter(|id| asked.contains_key(*id))
        .collect();
    assert!(
        taken.is_empty(),
        "{taken:?} were taken and not answered; {figures}"
    );
    let twice: Vec<_> = asked.iter().filter(|(_, times)| **times > 1).collect();
    assert!(
        twice.is_empty(),
        "{twice:?} were asked more than once; {figures}"
    );
    let made = asked.len();
    assert_eq!(
        made,
        answered.get(),
        "the provider saw {made} requests; {figures}"
    );
    assert!(
        by_second.get() > CLIENTS,
        "the restart came in between; {figures}"
    );
    let (code, log) = first.end();
    assert_eq!(code, Some(0), "{figures}; {log}");
    assert!(!log.contains("are ended"), "{figures}; {log}");
    let named = |id: &str| {
        log.contains(&format!("request_id={id} ")) || log.contains(&format!("request_id={id}\n"))
    };
    let taken: Vec<_> = unanswered.iter().filter(|id| named(id)).collect();
    assert!(
        taken.is_empty(),
        "{taken:?} have a line of the first, and no answer; {figures}"
    );
}

/// The provider has said all and leaves the connection open, when the time of what is under way is over.
/// Promise 19.
#[actix_web::test]
async fn a_stream_that_is_complete_does_not_end_in_an_error() {
    let script = Script::stream().chunk(DELTA).chunk(FINISH).chunk(DONE);
    let server = in_turn(vec![script.then(Step::Hang)]);
    let gateway = Gateway::start(config(&server));
    let mut caller = open(&gateway, &hello("gpt-4o", true)).await;
    read_until(&mut caller, "[DONE]").await;
    gateway.shutdown.go_to(Stage::Ending);
    let mut rest = Vec::new();
    let reading = async {
        while !rest.ends_with(b"0\r\n\r\n") && caller.read_buf(&mut rest).await.unwrap() > 0 {}
    };
    let ended = timeout(PATIENCE, reading).await;
    let rest = String::from_utf8_lossy(&rest);
    assert!(ended.is_ok() && !rest.contains("error"), "{rest}");
}
