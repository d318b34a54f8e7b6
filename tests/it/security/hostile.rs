//! Hostile callers and hostile providers, byte by byte on raw sockets.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use crate::rig::{Gateway, PATIENCE, config, keyed};
use ai_gateway::http::ROUTES;
use ai_gateway::providers::{Auth, PROVIDERS};
use ai_gateway::scripted::{self, ReceivedRequest, Script, Scripted, Step};
use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

// The client: it says exactly the bytes it is given, and reads answers strictly.

/// What is asked at last on every connection: whoever answers it has kept the connection.
const LAST: &str = "GET /last HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n";

/// An answer of the gateway.
#[derive(Debug, Clone)]
struct Heard {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Heard {
    fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key == name);
        found.next().map(|(_, value)| value.as_str())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn refuses(&self) -> bool {
        matches!(self.status, 400..=499 | 501 | 505)
    }

    /// Whether the body is an error in OpenAI's shape.
    fn is_error(&self) -> bool {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let error = &body["error"];
        self.header("content-type") == Some("application/json")
            && error["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
            && error["type"].is_string()
            && error.get("param").is_some()
            && error.get("code").is_some()
    }
}

/// What was heard on one connection.
#[derive(Debug, Default)]
struct Talk {
    /// The final answers, without that to [`LAST`].
    answers: Vec<Heard>,
    /// Whether [`LAST`] was answered.
    kept: bool,
    /// Whether the gateway closed in time.
    closed: bool,
    /// All bytes that came.
    bytes: usize,
    /// Where what came is no HTTP.
    wrong: Option<String>,
}

impl Talk {
    fn statuses(&self) -> Vec<u16> {
        self.answers.iter().map(|answer| answer.status).collect()
    }

    fn said(&self) -> String {
        let bodies: Vec<_> = self.answers.iter().map(Heard::text).collect();
        format!(
            "statuses {:?}, kept: {}, closed: {}, {} bytes, wrong: {:?}, bodies: {bodies:.300?}",
            self.statuses(),
            self.kept,
            self.closed,
            self.bytes,
            self.wrong
        )
    }
}

/// Takes the next whole answer off `bytes`; `None` where more must come.
fn take(bytes: &mut Vec<u8>, without_body: bool) -> Result<Option<Heard>, String> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|error| error.to_string())?;
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first
        .strip_prefix("HTTP/1.1 ")
        .or_else(|| first.strip_prefix("HTTP/1.0 "))
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .ok_or_else(|| format!("no status line: {first:?}"))?;
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .filter(|(name, _)| !name.is_empty() && !name.contains([' ', '\t', '\r', '\n']))
            .filter(|(_, value)| !value.contains(['\r', '\n', '\0']))
            .ok_or_else(|| format!("no header line: {line:?}"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let lengths: Vec<_> = headers
        .iter()
        .filter(|(name, _)| name == "content-length")
        .collect();
    let chunked = headers.iter().any(|(name, _)| name == "transfer-encoding");
    let length: usize = match lengths.as_slice() {
        _ if without_body || (100..200).contains(&status) || matches!(status, 204 | 304) => 0,
        [(_, length)] if !chunked => length.parse().map_err(|_| format!("length {length:?}"))?,
        other => return Err(format!("framed by {other:?}, chunked: {chunked}")),
    };
    if bytes.len() < end + 4 + length {
        return Ok(None);
    }
    let body = bytes[end + 4..end + 4 + length].to_vec();
    bytes.drain(..end + 4 + length);
    Ok(Some(Heard {
        status,
        headers,
        body,
    }))
}

/// Says `bytes`, after the first answer `later` and [`LAST`], and hears all until the close.
async fn talk(gateway: &Gateway, bytes: &[u8], later: &[u8]) -> Talk {
    let stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let (answered, first_answer) = oneshot::channel::<()>();
    let says = async move {
        // What is not read any more cannot be written; the answer tells whether that is right.
        let _ = writer.write_all(bytes).await;
        if first_answer.await.is_ok() {
            let _ = writer.write_all(later).await;
            let _ = writer.write_all(LAST.as_bytes()).await;
        }
        // Kept until the reader is done: a client that closes its side has left.
        writer
    };
    let without_body = bytes.starts_with(b"HEAD ");
    let hears = async move {
        let mut talk = Talk::default();
        let mut answered = Some(answered);
        let mut buffer = Vec::new();
        let reading = async {
            loop {
                match take(&mut buffer, without_body && talk.answers.is_empty()) {
                    Err(wrong) => {
                        talk.wrong = Some(wrong);
                        return;
                    }
                    Ok(Some(answer)) if (100..200).contains(&answer.status) => {}
                    Ok(Some(answer)) if answer.text().contains("GET /last.") => talk.kept = true,
                    Ok(Some(answer)) => {
                        talk.answers.push(answer);
                        if let Some(answered) = answered.take() {
                            let _ = answered.send(());
                        }
                    }
                    Ok(None) => match reader.read_buf(&mut buffer).await {
                        Ok(0) | Err(_) => {
                            talk.closed = true;
                            return;
                        }
                        Ok(read) => talk.bytes += read,
                    },
                }
            }
        };
        let _ = timeout(PATIENCE, reading).await;
        if talk.closed && !buffer.is_empty() && talk.wrong.is_none() {
            talk.wrong = Some(format!("{} bytes of half an answer", buffer.len()));
        }
        drop(answered);
        talk
    };
    join(says, hears).await.1
}

/// The bytes of a text whose characters are bytes.
fn latin1(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect()
}

/// Fails with all that went wrong.
fn none_of(failures: &[String], cases: usize) {
    assert!(
        failures.is_empty(),
        "{} of {cases} cases:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

// The providers.

fn hello(model: &str) -> String {
    json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]}).to_string()
}

fn says(text: &str) -> Value {
    json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]})
}

/// A provider that answers each request with the name of the model it was asked for.
fn echo() -> Scripted {
    Scripted::start(|request: &ReceivedRequest| {
        let model = request.json()["model"].clone();
        Script::json(200, &says(model.as_str().unwrap_or("none")))
    })
    .unwrap()
}

/// Answers at once where a body does not come.
fn strict(server: &Scripted) -> ai_gateway::config::Config {
    let mut config = config(server);
    config.server.body_timeout = Duration::from_secs(1);
    config.retries.max_retries = 0;
    config
}

// Requests that are framed in more than one way, or in none.

/// What must become of the first request and of the one behind it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    /// One refusal, then the close.
    Refused,
    /// The same where the body does not end, so that 408 is right.
    Late,
    /// The first is good and answered; then the close, with one refusal at most.
    First,
    /// The framing is doubtful: refused, or answered, but in both cases closed then.
    Once,
    /// Both are good: two answers.
    Both,
    /// A recipient may refuse, or read it in the one way there is.
    Either,
    /// Well framed but not served; the one behind it is its own request, or the close comes.
    Declined,
    /// As `Both` or as `Declined`.
    Any,
    /// What is behind is no request: whatever is answered is a refusal, but for the first.
    Never,
    /// No HTTP: closed, with one refusal at most.
    Junk,
}

use Fate::{Any, Both, Declined, Either, First, Junk, Late, Never, Once, Refused};

impl Fate {
    /// Whether this may be: what was heard, and how often both requests came to the provider.
    fn allows(self, talk: &Talk, good: usize, other: usize) -> bool {
        let refusals = talk.answers.iter().filter(|a| a.refuses()).count();
        let one_refusal = talk.answers.len() == 1 && refusals == 1 && good == 0 && other == 0;
        let refused = one_refusal && !talk.kept;
        let both = talk.statuses() == [200, 200] && good == 1 && other == 1;
        // What came whole is not late.
        let declined = refusals == 1
            && good == 0
            && talk.answers[0].refuses()
            && talk.answers[0].status != 408
            && (talk.answers.len() == 1 && other == 0
                || talk.statuses()[1..] == [200] && other == 1);
        talk.closed
            && talk.wrong.is_none()
            && match self {
                Refused | Late => refused,
                First => {
                    let more = talk.answers.len().saturating_sub(1);
                    let first = talk.answers.first().is_some_and(|a| a.status == 200);
                    first && more == refusals && more <= 1 && !talk.kept && good == 1 && other == 0
                }
                Once => {
                    refused || talk.statuses() == [200] && !talk.kept && good == 1 && other == 0
                }
                Both => both,
                Either => refused || both,
                Declined => declined,
                Any => both || declined,
                Never => {
                    other == 0
                        && good <= 1
                        && (1..=2).contains(&talk.answers.len())
                        && refusals + good == talk.answers.len()
                }
                Junk => talk.answers.len() <= 1 && refusals == talk.answers.len() && !talk.kept,
            }
    }
}

const HOST: &str = "Host: gateway\r\n";
const KEY: &str = "Authorization: Bearer caller\r\n";
const TYPE: &str = "Content-Type: application/json\r\n";
const TE: &str = "Transfer-Encoding: chunked\r\n";

/// The case's number stands where `000` is; all lengths hold with it.
fn good() -> String {
    hello("good-000")
}

fn other() -> String {
    let body = hello("other-000");
    let length = body.len();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\n{HOST}{KEY}{TYPE}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// A request with a length and these headers before it, and one behind it.
fn sized(extra: &str) -> String {
    let (b, s) = (good(), other());
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\n{HOST}{KEY}{TYPE}{extra}Content-Length: {}\r\n\r\n{b}{s}",
        b.len()
    )
}

/// The same with these lines instead of the length.
fn framed(lines: &str) -> String {
    let (b, s) = (good(), other());
    format!("POST /v1/chat/completions HTTP/1.1\r\n{HOST}{KEY}{TYPE}{lines}\r\n{b}{s}")
}

/// The same with another first line.
fn line(first: &str) -> String {
    sized("").replacen("POST /v1/chat/completions HTTP/1.1\r\n", first, 1)
}

/// A request in chunks with this text as its body and these lines before it.
fn chunks(lines: &str, body: &str) -> String {
    let s = other();
    format!("POST /v1/chat/completions HTTP/1.1\r\n{HOST}{KEY}{TYPE}{lines}\r\n{body}{s}")
}

/// Two requests on one connection and their fate; one case a line.
#[rustfmt::skip]
fn framing() -> Vec<(&'static str, String, Fate)> {
    let (b, s) = (good(), other());
    let n = b.len();
    let x = format!("{n:x}");
    let whole = format!("{x}\r\n{b}\r\n0\r\n\r\n");
    let end = "0\r\n\r\n";
    let length = format!("Content-Length: {n}\r\n");
    let te = |value: &str| chunks(&format!("Transfer-Encoding:{value}\r\n"), &whole);
    let cl = |value: &str| framed(&format!("Content-Length:{value}\r\n"));
    let body = |text: &str| chunks(TE, text);
    vec![
        // RFC 9112, section 6.1: both is an error or an attack; whoever goes on closes after it.
        ("length and chunked, the length covers the second", format!("POST /v1/chat/completions HTTP/1.1\r\n{HOST}{KEY}{TYPE}Content-Length: {}\r\n{TE}\r\n{end}{s}", end.len() + s.len()), Once),
        ("length and chunked, whole in chunks", chunks(&format!("{length}{TE}"), &whole), Once),
        ("chunked and a short length", chunks(&format!("{TE}Content-Length: 4\r\n"), &whole), Once),
        ("chunked and length 0", chunks(&format!("{TE}Content-Length: 0\r\n"), &whole), Once),
        ("the second inside the chunk, a length before it", format!("POST /v1/chat/completions HTTP/1.1\r\n{HOST}{KEY}{TYPE}Content-Length: 4\r\n{TE}\r\n{:x}\r\n{s}\r\n{end}", s.len()), Once),
        ("chunked in two headers", chunks(&format!("{TE}{TE}"), &whole), Refused),
        ("chunked twice", te(" chunked, chunked"), Refused),
        ("chunked, then identity in another header", chunks(&format!("{TE}Transfer-Encoding: identity\r\n"), &whole), Refused),
        ("chunked is not the last", te(" chunked, identity"), Refused),
        ("identity before chunked", te(" identity, chunked"), Refused),
        ("identity and a length", framed(&format!("Transfer-Encoding: identity\r\n{length}")), Refused),
        ("a coding that is not known", te(" gzip, chunked"), Refused),
        ("xchunked", te(" xchunked"), Refused),
        ("xchunked and a length", framed(&format!("Transfer-Encoding: xchunked\r\n{length}")), Refused),
        ("chunkedx", te(" chunkedx"), Refused),
        ("quoted chunked", te(" \"chunked\""), Refused),
        ("chunked with a parameter", te(" chunked;q=1"), Refused),
        ("chunked and a comma", te(" chunked,"), Either),
        ("an empty coding and a length", framed(&format!("Transfer-Encoding:\r\n{length}")), Refused),
        ("chunked after a tab", te("\tchunked"), Both),
        ("chunked in capitals", te(" CHUNKED"), Both),
        ("chunked with space after it", te(" chunked \t "), Both),
        ("chunked after a vertical tab", te("\u{b}chunked"), Refused),
        ("chunked before a NUL", te(" chunked\0"), Refused),
        ("chunked after a no-break space", te(" \u{a0}chunked"), Refused),
        ("chunked on a folded line", te("\r\n chunked"), Either),
        ("chunked across a fold", te(" chun\r\n ked"), Refused),
        ("space before the colon of the coding", chunks("Transfer-Encoding : chunked\r\n", &whole), Refused),
        ("space before the colon of the coding, and a length", framed(&format!("Transfer-Encoding : chunked\r\n{length}")), Refused),
        ("a line end before the colon of the coding", framed(&format!("Transfer-Encoding\r\n : chunked\r\n{length}")), Refused),
        ("another header with an underscore", sized("Transfer_Encoding: chunked\r\n"), Both),
        ("the coding behind a bare CR", sized("X: y\rTransfer-Encoding: chunked\r\n"), Either),
        ("the coding behind a bare LF", sized("X: y\nTransfer-Encoding: chunked\r\n"), Once),
        ("the coding on a folded line", sized("X: y\r\n\tTransfer-Encoding: chunked\r\n"), Either),
        ("chunked in HTTP/1.0", te(" chunked").replacen("HTTP/1.1", "HTTP/1.0", 1), Once),
        ("chunked in HTTP/1.0 that is kept alive", te(" chunked\r\nConnection: keep-alive").replacen("HTTP/1.1", "HTTP/1.0", 1), Once),
        // RFC 9112, section 6.3; RFC 9110, section 8.6.
        ("two lengths that differ", framed(&format!("{length}Content-Length: 5\r\n")), Refused),
        ("two lengths that differ, the right one last", framed(&format!("Content-Length: 0\r\n{length}")), Refused),
        ("two lengths that agree", framed(&format!("{length}{length}")), Either),
        ("a list of lengths that agree", cl(&format!(" {n}, {n}")), Either),
        ("a list of lengths that differ", cl(&format!(" {n}, 0")), Refused),
        ("a length with a plus", cl(&format!(" +{n}")), Refused),
        ("a negative length", cl(" -1"), Refused),
        ("minus zero", cl(" -0"), Refused),
        ("a hexadecimal length", cl(&format!(" 0x{x}")), Refused),
        ("a length in words", cl(" five"), Refused),
        ("a length with a point", cl(&format!(" {n}.0")), Refused),
        ("a length with an exponent", cl(" 1e2"), Refused),
        ("a length in two parts", cl(" 1 0"), Refused),
        ("a length with a separator", cl(&format!(" {n}_000")), Refused),
        ("a length with a parameter", cl(&format!(" {n};x=1")), Refused),
        ("a quoted length", cl(&format!(" \"{n}\"")), Refused),
        ("a superscript length", cl(" \u{b2}\u{b3}"), Refused),
        ("an empty length", cl(""), Refused),
        ("a length with many zeros before it", cl(&format!(" {}{n}", "0".repeat(400))), Either),
        ("a length that wraps to the right one", cl(&format!(" {}", (1_u128 << 64) + n as u128)), Refused),
        ("a length that wraps in 32 bits", cl(&format!(" {}", (1_u64 << 32) + n as u64)), Refused),
        ("the largest length", cl(" 18446744073709551615"), Refused),
        ("a length with space after it", cl(&format!(" {n} \t")), Both),
        ("a folded length", cl(&format!("\r\n {n}")), Either),
        ("space before the colon of the length", framed(&format!("Content-Length : {n}\r\n")), Refused),
        ("a tab before the colon of the length", framed(&format!("Content-Length\t: {n}\r\n")), Refused),
        ("a NUL in the length", framed(&format!("Content-Length: {n}\0\r\n")), Refused),
        ("length 0 and a body", cl(" 0"), Never),
        ("a length that is one short", cl(&format!(" {}", n - 1)), Never),
        ("no length and a body", framed(""), Never),
        ("length 0 and the second at once", format!("POST /v1/chat/completions HTTP/1.1\r\n{HOST}{KEY}{TYPE}Content-Length: 0\r\n\r\n{s}"), Declined),
        ("a length that takes the second for the body", format!("POST /v1/chat/completions HTTP/1.1\r\n{HOST}{KEY}{TYPE}Content-Length: {}\r\n\r\n{b}{s}", n + s.len()), Never),
        ("noise behind a good one", framed(&length).replace(&s, "\0noise\r\n\r\n"), First),
        ("the first line of HTTP/2 behind a good one", framed(&length).replace(&s, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), First),
        ("an empty line behind a good one", framed(&length).replace(&s, &format!("\r\n{s}")), Both),
        // RFC 9112, sections 2.2 and 5; RFC 9110, section 5.5.
        ("bare LF at every line", sized("").replace("\r\n", "\n"), Either),
        ("bare LF after the head", sized("").replacen("\r\n\r\n", "\n\n", 1), Either),
        ("bare CR at every line", sized("").replace("\r\n", "\r"), Junk),
        ("a NUL in a value", sized("X: a\0b\r\n"), Refused),
        ("a NUL in a name", sized("X\0: a\r\n"), Refused),
        ("DEL in a value", sized("X: a\u{7f}b\r\n"), Either),
        ("a bell in a value", sized("X: a\u{7}b\r\n"), Either),
        ("CR CR LF", sized("X: a\r\r\n"), Either),
        ("a header without a colon", sized("nonsense\r\n"), Refused),
        ("a header without a name", sized(": a\r\n"), Refused),
        ("a space in a name", sized("X Y: a\r\n"), Refused),
        ("a name that is not ASCII", sized("X\u{e9}: a\r\n"), Refused),
        ("a name in brackets", sized("X(Y): a\r\n"), Refused),
        ("a folded header", sized("X: a\r\n b\r\n"), Either),
        ("a fold before the first header", line("POST /v1/chat/completions HTTP/1.1\r\n X: a\r\n"), Either),
        // RFC 9112, section 3.2.
        ("no host", sized("").replacen(HOST, "", 1), Refused),
        ("two hosts", sized("Host: gateway\r\n"), Refused),
        ("two hosts that differ", sized("Host: foreign\r\n"), Refused),
        ("a host with a space", sized("").replacen(HOST, "Host: gate way\r\n", 1), Refused),
        ("a host with a path", sized("").replacen(HOST, "Host: gateway/healthz?\r\n", 1), Refused),
        ("a list of hosts", sized("").replacen(HOST, "Host: gateway, foreign\r\n", 1), Either),
        // RFC 9112, sections 2.3 and 3.
        ("HTTP/0.9", line("POST /v1/chat/completions\r\n"), Refused),
        ("HTTP/1.2", line("POST /v1/chat/completions HTTP/1.2\r\n"), Either),
        ("HTTP/2.0", line("POST /v1/chat/completions HTTP/2.0\r\n"), Refused),
        ("HTTP/1.10", line("POST /v1/chat/completions HTTP/1.10\r\n"), Refused),
        ("http/1.1", line("POST /v1/chat/completions http/1.1\r\n"), Refused),
        ("a word after the version", line("POST /v1/chat/completions HTTP/1.1 x\r\n"), Refused),
        ("two spaces before the target", line("POST  /v1/chat/completions HTTP/1.1\r\n"), Either),
        ("tabs in the first line", line("POST\t/v1/chat/completions\tHTTP/1.1\r\n"), Either),
        ("a space in the target", line("POST /v1/chat/completions x HTTP/1.1\r\n"), Refused),
        ("a NUL in the target", line("POST /v1/chat/completions\0 HTTP/1.1\r\n"), Refused),
        ("a bare CR in the target", line("POST /v1/chat/completions\r HTTP/1.1\r\n"), Refused),
        ("no target", line("POST HTTP/1.1\r\n"), Refused),
        ("a space before the method", line(" POST /v1/chat/completions HTTP/1.1\r\n"), Refused),
        ("a NUL before the method", line("\0POST /v1/chat/completions HTTP/1.1\r\n"), Refused),
        ("a method with brackets", line("PO(ST /v1/chat/completions HTTP/1.1\r\n"), Refused),
        ("empty lines before the first", line("\r\n\r\nPOST /v1/chat/completions HTTP/1.1\r\n"), Either),
        ("a fragment", line("POST /v1/chat/completions#x HTTP/1.1\r\n"), Any),
        ("another host in the target", line("POST http://foreign/v1/chat/completions HTTP/1.1\r\n"), Any),
        ("another scheme in the target", line("POST file:///v1/chat/completions HTTP/1.1\r\n"), Any),
        ("an asterisk as target", line("POST * HTTP/1.1\r\n"), Declined),
        ("an authority as target", line("POST gateway:80 HTTP/1.1\r\n"), Declined),
        ("a method in lower case", line("post /v1/chat/completions HTTP/1.1\r\n"), Declined),
        ("TRACE", line("TRACE /v1/chat/completions HTTP/1.1\r\n"), Declined),
        ("CONNECT with a length", line("CONNECT gateway:80 HTTP/1.1\r\n"), Declined),
        ("CONNECT", format!("CONNECT gateway:80 HTTP/1.1\r\n{HOST}\r\n{s}"), Declined),
        // RFC 9110, sections 7.8 and 10.1.1; RFC 9112, section 9.6.
        ("an upgrade to h2c", sized("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"), Both),
        ("an upgrade to WebSocket, with a length", sized("Connection: Upgrade\r\nUpgrade: websocket\r\n"), Any),
        ("an upgrade to WebSocket, in chunks", chunks(&format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{TE}"), &whole), Any),
        // It may be ignored as well, RFC 9110, section 7.8; the server below would not.
        ("an upgrade header alone, with a length", sized("Upgrade: websocket\r\n"), Refused),
        ("an expectation", sized("Expect: 100-continue\r\n"), Both),
        ("an expectation of something else", sized("Expect: 200-ok\r\n"), Any),
        ("the close, and one behind it", sized("Connection: close\r\n"), Once),
        ("HTTP/1.0, and one behind it", sized("").replacen("HTTP/1.1", "HTTP/1.0", 1), Once),
        // RFC 9112, section 7.1.
        ("chunks", body(&whole), Both),
        ("chunks with sizes in capitals and zeros", body(&format!("000{}\r\n{b}\r\n000\r\n\r\n", x.to_uppercase())), Both),
        ("a negative size", body(&format!("-1\r\n{b}\r\n{end}")), Refused),
        ("a size with a plus", body(&format!("+{x}\r\n{b}\r\n{end}")), Refused),
        ("a size with 0x", body(&format!("0x{x}\r\n{b}\r\n{end}")), Refused),
        ("a size with a separator", body(&format!("0_{x}\r\n{b}\r\n{end}")), Refused),
        ("a size over 64 bits", body(&format!("FFFFFFFFFFFFFFFFF\r\n{b}\r\n{end}")), Refused),
        ("a size that wraps to the right one", body(&format!("1{n:016x}\r\n{b}\r\n{end}")), Refused),
        ("the largest size", body(&format!("FFFFFFFFFFFFFFFF\r\n{b}\r\n{end}")), Late),
        ("a size that wraps in 32 bits", body(&format!("1{n:08x}\r\n{b}\r\n{end}")), Late),
        ("no size", body(&format!("\r\n{b}\r\n{end}")), Refused),
        ("a space before the size", body(&format!(" {x}\r\n{b}\r\n{end}")), Refused),
        ("a space after the size", body(&format!("{x} \r\n{b}\r\n{end}")), Either),
        ("a size in two parts", body(&format!("{x} 0\r\n{b}\r\n{end}")), Refused),
        ("a NUL after the size", body(&format!("{x}\0\r\n{b}\r\n{end}")), Refused),
        ("an extension", body(&format!("{x};a=b;c=\"d\"\r\n{b}\r\n0;e\r\n\r\n")), Both),
        ("an extension without a name", body(&format!("{x};\r\n{b}\r\n{end}")), Either),
        ("an extension without an end to its quote", body(&format!("{x};a=\"\r\n{b}\r\n{end}")), Either),
        ("an extension that is long", body(&format!("{x};a={}\r\n{b}\r\n{end}", "y".repeat(40_000))), Either),
        ("an extension that ends with LF", body(&format!("{x};a\n{b}\r\n{end}")), Refused),
        ("an extension with a bare CR", body(&format!("{x};a\rb\r\n{b}\r\n{end}")), Refused),
        ("an extension that hides the second behind LF", body(&format!("2;\n\n{s}\r\n{end}")), Refused),
        ("LF after the size", body(&format!("{x}\n{b}\r\n{end}")), Refused),
        ("CR after the size", body(&format!("{x}\r{b}\r\n{end}")), Refused),
        ("LF after the data", body(&format!("{x}\r\n{b}\n{end}")), Refused),
        ("nothing after the data", body(&format!("{x}\r\n{b}{end}")), Refused),
        ("two other bytes after the data", body(&format!("{x}\r\n{b}XX{end}")), Refused),
        ("more data than the size", body(&format!("{:x}\r\n{b}\r\n{end}", n - 1)), Refused),
        ("less data than the size", body(&format!("{:x}\r\n{b}\r\n{end}", n + 1)), Refused),
        ("an end without its CR", body(&format!("{x}\r\n{b}\r\n0\r\n\n")), Never),
        ("an end of LFs", body(&format!("{x}\r\n{b}\r\n0\n\n")), Refused),
        ("an end without its last line", body(&format!("{x}\r\n{b}\r\n0\r\n")), Never),
        ("trailers", body(&format!("{x}\r\n{b}\r\n0\r\nX: y\r\nZ: \r\n\r\n")), Both),
        ("trailers that frame", body(&format!("{x}\r\n{b}\r\n0\r\nContent-Length: 5\r\nTransfer-Encoding: identity\r\nHost: foreign\r\n\r\n")), Either),
        ("a trailer without an end", body(&format!("{x}\r\n{b}\r\n0\r\nX: y\r\n")), Never),
        ("a trailer that ends with LF", body(&format!("{x}\r\n{b}\r\n0\r\nX: y\n\r\n")), Never),
        ("the second as trailers", format!("POST /v1/chat/completions HTTP/1.1\r\n{HOST}{KEY}{TYPE}{TE}\r\n{x}\r\n{b}\r\n0\r\nX: {}\r\n\r\n", s.replace("\r\n\r\n", "\r\nY: ")), Never),
        // What is no HTTP at all.
        ("TLS", "\u{16}\u{3}\u{1}\u{0}\u{61}\u{1}\u{0}\u{0}\u{5d}\u{3}\u{3}\u{aa}\u{bb}\u{cc}\r\n\r\n".into(), Junk),
        ("SSH", "SSH-2.0-OpenSSH_9.6\r\n".into(), Junk),
        ("HTTP/2 with prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0".into(), Junk),
        ("SMTP", "EHLO gateway\r\n".into(), Junk),
        ("Redis", "*1\r\n$4\r\nPING\r\n".into(), Junk),
        ("the PROXY protocol", format!("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n{}", sized("")), Junk),
        ("the PROXY protocol, version 2", "\r\n\r\n\0\r\nQUIT\n\u{21}\u{11}\0\u{c}\0\0\0\0\0\0\0\0\0\0\0\0".into(), Junk),
        ("high bytes", "\u{ff}".repeat(64), Junk),
        ("NULs", "\0".repeat(64), Junk),
        ("an answer", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".into(), Junk),
    ]
}

/// Promise 14.
#[actix_web::test]
async fn no_request_is_framed_in_two_ways() {
    let server = echo();
    let gateway = Gateway::start(strict(&server));
    let cases = framing();
    let count = cases.len();
    assert!(count >= 45, "{count} cases");
    let told = join_all(
        cases
            .into_iter()
            .enumerate()
            .map(|(i, (what, text, fate))| {
                let gateway = &gateway;
                async move {
                    let bytes = latin1(&text.replace("-000", &format!("-{i:03}")));
                    let talk = talk(gateway, &bytes, b"").await;
                    let after = gateway
                        .post("/v1/chat/completions", hello(&format!("after-{i:03}")))
                        .await
                        .status;
                    (what, fate, talk, after)
                }
            }),
    )
    .await;
    let seen = server.requests();
    let asked = |body: &str| {
        let body: Value = serde_json::from_str(body).unwrap();
        seen.iter().filter(|request| request.json() == body).count()
    };
    let mut failures = Vec::new();
    let mut known = 0;
    for (i, (what, fate, talk, after)) in told.iter().enumerate() {
        let goods = asked(&hello(&format!("good-{i:03}")));
        let others = asked(&hello(&format!("other-{i:03}")));
        known += goods + others + asked(&hello(&format!("after-{i:03}")));
        if !fate.allows(talk, goods, others) {
            failures.push(format!(
                "{what}: not {fate:?}: {}; the provider saw the first {goods} times, the second {others}",
                talk.said()
            ));
        }
        if *after != 200 {
            failures.push(format!(
                "{what}: {after} to a good request on another connection"
            ));
        }
        if let Some(answer) = talk.answers.iter().find(|a| a.text().contains("Bearer")) {
            // RFC 9110, section 9.3.8: TRACE must not reflect credentials.
            if answer.text().contains("Bearer caller") {
                failures.push(format!("{what}: the answer tells the key"));
            }
        }
    }
    if known != seen.len() {
        failures.push(format!(
            "the provider saw {} requests, of which {known} are any case's",
            seen.len()
        ));
    }
    none_of(&failures, count);
}

/// SDKs try a 408 again, and nothing about it will be better then.
/// Promise 14.
#[actix_web::test]
async fn a_body_that_is_malformed_is_not_said_to_be_late() {
    let server = echo();
    let gateway = Gateway::start(strict(&server));
    let mut cases = framing();
    cases.retain(|(.., fate)| *fate == Refused);
    let count = cases.len();
    let talks = cases
        .iter()
        .map(|(_, text, _)| async { talk(&gateway, &latin1(text), b"").await });
    let mut failures = Vec::new();
    for ((what, ..), talk) in cases.iter().zip(join_all(talks).await) {
        if talk.statuses().contains(&408) {
            failures.push(format!("{what}: {:?}", talk.statuses()));
        }
    }
    none_of(&failures, count);
}

/// Promise 14.
#[actix_web::test]
async fn a_body_that_was_not_read_is_no_request() {
    let server = echo();
    let open = Gateway::start(strict(&server));
    let closed_server = echo();
    let mut config = strict(&closed_server);
    config.access.gateway_keys = keyed(&closed_server).access.gateway_keys;
    let closed = Gateway::start(config);
    let post = "POST /v1/chat/completions HTTP/1.1\r\n";
    let cases: Vec<(&str, &Gateway, String)> = vec![
        (
            "not JSON",
            &open,
            format!("{post}{HOST}{KEY}Content-Type: text/plain\r\n"),
        ),
        ("no type", &open, format!("{post}{HOST}{KEY}")),
        ("no key", &open, format!("{post}{HOST}{TYPE}")),
        ("a wrong key", &closed, format!("{post}{HOST}{KEY}{TYPE}")),
        (
            "no such path",
            &open,
            format!("POST /nowhere HTTP/1.1\r\n{HOST}{KEY}{TYPE}"),
        ),
        (
            "no such method",
            &open,
            format!("PUT /v1/chat/completions HTTP/1.1\r\n{HOST}{KEY}{TYPE}"),
        ),
        (
            "DELETE",
            &open,
            format!("DELETE /v1/responses HTTP/1.1\r\n{HOST}{KEY}{TYPE}"),
        ),
        (
            "OPTIONS",
            &open,
            format!("OPTIONS /v1/chat/completions HTTP/1.1\r\n{HOST}{KEY}{TYPE}"),
        ),
        (
            "GET with a body",
            &open,
            format!("GET /healthz HTTP/1.1\r\n{HOST}"),
        ),
        (
            "HEAD with a body",
            &open,
            format!("HEAD /healthz HTTP/1.1\r\n{HOST}"),
        ),
        (
            "a page with a body",
            &open,
            format!("GET / HTTP/1.1\r\n{HOST}"),
        ),
        (
            "an expectation and a wrong key",
            &closed,
            format!("{post}{HOST}{KEY}{TYPE}Expect: 100-continue\r\n"),
        ),
        (
            "an upgrade and a wrong key",
            &closed,
            format!("{post}{HOST}{KEY}{TYPE}Connection: Upgrade\r\nUpgrade: websocket\r\n"),
        ),
    ];
    let hidden = other().replace("Bearer caller", "Bearer team-key");
    let chunk = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    let (begin, end) = hidden.split_at(10);
    let mut talks = Vec::new();
    for (what, gateway, head) in &cases {
        let sized = format!("{head}Content-Length: {}\r\n\r\n", hidden.len());
        let chunked = format!("{head}{TE}\r\n");
        for (how, first, later) in [
            ("at once, with a length", format!("{sized}{hidden}"), ""),
            ("later, with a length", sized.clone(), &*hidden),
            ("at once, in chunks", format!("{chunked}{chunk}"), ""),
            ("later, in chunks", chunked, &chunk),
            ("half at once", format!("{sized}{begin}"), end),
        ] {
            talks.push(async move {
                let talk = talk(gateway, first.as_bytes(), later.as_bytes()).await;
                (format!("{what}, {how}"), talk)
            });
        }
    }
    let count = talks.len();
    let mut failures = Vec::new();
    for (what, talk) in join_all(talks).await {
        // The hidden one has no answer of its own.
        if !talk.closed || talk.wrong.is_some() || talk.answers.len() != 1 {
            failures.push(format!("{what}: {}", talk.said()));
        }
    }
    for server in [&server, &closed_server] {
        let seen = server.counts().requests;
        if seen != 0 {
            failures.push(format!("the provider saw {seen} hidden requests"));
        }
    }
    none_of(&failures, count);
}

/// Promise 15.
#[actix_web::test]
async fn who_was_answered_in_the_middle_of_a_body_is_cut() {
    let server = echo();
    let gateway = Gateway::start(strict(&server));
    let post = "POST /v1/chat/completions HTTP/1.1\r\n";
    let mut failures = Vec::new();
    let mut told = Vec::new();
    for (what, head, status) in [
        ("no key", format!("{post}{HOST}{TYPE}"), 401),
        ("no JSON", format!("{post}{HOST}{KEY}"), 415),
        (
            "no such path",
            format!("POST /nowhere HTTP/1.1\r\n{HOST}"),
            404,
        ),
        (
            "no such method",
            format!("PUT /v1/responses HTTP/1.1\r\n{HOST}"),
            405,
        ),
        ("a page", format!("GET / HTTP/1.1\r\n{HOST}"), 200),
        (
            "a body that is late",
            format!("{post}{HOST}{KEY}{TYPE}"),
            408,
        ),
    ] {
        for (how, rest) in [
            (
                "with a length",
                "Content-Length: 1000\r\n\r\nxxx".to_owned(),
            ),
            ("in chunks", format!("{TE}\r\nffffff\r\nxxx")),
        ] {
            told.push((what, how, status, format!("{head}{rest}")));
        }
    }
    let count = told.len();
    let talks = told
        .iter()
        .map(|(.., bytes)| talk(&gateway, bytes.as_bytes(), b""));
    for ((what, how, status, _), talk) in told.iter().zip(join_all(talks).await) {
        if talk.statuses() != [*status] || talk.wrong.is_some() {
            failures.push(format!("{what}, {how}: not {status}: {}", talk.said()));
        }
        if !talk.closed {
            failures.push(format!("{what}, {how}: still open after {PATIENCE:?}"));
        }
    }
    none_of(&failures, count);
}

// Providers whose answers are framed in more than one way.

/// What the first caller may be told.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Told {
    /// That the answer cannot be used.
    Bad,
    /// The answer.
    Own,
    /// One of both.
    BadOrOwn,
    /// The provider's error.
    Error,
}

/// Answers, what comes after them, and what the first caller may be told; one case a line.
#[rustfmt::skip]
fn answers() -> Vec<(&'static str, String, String, Told)> {
    let own = says("own").to_string();
    let n = own.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let poison = {
        let body = says("POISON").to_string();
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    let in_chunks = format!("{n:x}\r\n{own}\r\n0\r\n\r\n");
    let sized = format!("{head}Content-Length: {n}\r\n\r\n{own}");
    let with = |lines: &str, body: &str| format!("{head}{lines}\r\n{body}");
    let forwards = |lines: &str| format!("{head}{lines}Content-Length: {n}\r\n\r\n{own}");
    let te = "Transfer-Encoding: chunked\r\n";
    let event = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"own\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    vec![
        ("a plain answer", sized.clone(), String::new(), Told::Own),
        // Bytes after the body.
        ("a second answer behind it", format!("{sized}{poison}"), String::new(), Told::BadOrOwn),
        ("two more answers behind it", format!("{sized}{poison}{poison}"), String::new(), Told::BadOrOwn),
        ("a second answer later", sized.clone(), poison.clone(), Told::Own),
        ("half a second answer behind it", format!("{sized}{}", &poison[..60]), String::new(), Told::BadOrOwn),
        ("a second answer behind chunks", with(te, &format!("{in_chunks}{poison}")), String::new(), Told::BadOrOwn),
        ("a second answer later, behind chunks", with(te, &in_chunks), poison.clone(), Told::Own),
        ("line ends behind it", format!("{sized}\r\n\r\n"), String::new(), Told::BadOrOwn),
        ("noise behind it", format!("{sized}\0\0POISON"), String::new(), Told::BadOrOwn),
        ("an interim answer behind it", format!("{sized}HTTP/1.1 100 Continue\r\n\r\n{poison}"), String::new(), Told::BadOrOwn),
        ("length 0 and a body", format!("{head}Content-Length: 0\r\n\r\n{poison}"), String::new(), Told::Bad),
        ("204 and a body", format!("HTTP/1.1 204 No Content\r\n\r\n{poison}"), String::new(), Told::Bad),
        ("304 and a body", format!("HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n{poison}"), String::new(), Told::Bad),
        ("an error and an answer behind it", format!("HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}{poison}"), String::new(), Told::Error),
        ("a redirect and an answer behind it", format!("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n{poison}"), String::new(), Told::Bad),
        ("another type and an answer behind it", format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nxx{poison}"), String::new(), Told::Bad),
        ("events and an answer behind them", format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{te}\r\n{:x}\r\n{event}\r\n0\r\n\r\n{poison}", event.len()), String::new(), Told::BadOrOwn),
        // RFC 9112, section 6.3.
        ("a length and chunks", with(&format!("Content-Length: 5\r\n{te}"), &format!("{in_chunks}{poison}")), String::new(), Told::BadOrOwn),
        ("chunks and a length", with(&format!("{te}Content-Length: {n}\r\n"), &format!("{own}{poison}")), String::new(), Told::Bad),
        ("two lengths that differ", with(&format!("Content-Length: {n}\r\nContent-Length: 5\r\n"), &format!("{own}{poison}")), String::new(), Told::Bad),
        ("two lengths that agree", with(&format!("Content-Length: {n}\r\nContent-Length: {n}\r\n"), &own), String::new(), Told::BadOrOwn),
        ("a list of lengths that differ", with(&format!("Content-Length: {n}, 5\r\n"), &own), String::new(), Told::Bad),
        ("a list of lengths that agree", with(&format!("Content-Length: {n}, {n}\r\n"), &own), String::new(), Told::BadOrOwn),
        ("a negative length", with("Content-Length: -1\r\n", &own), String::new(), Told::Bad),
        ("a length with a plus", with(&format!("Content-Length: +{n}\r\n"), &own), String::new(), Told::Bad),
        ("a hexadecimal length", with(&format!("Content-Length: 0x{n:x}\r\n"), &own), String::new(), Told::Bad),
        ("a length over 64 bits", with(&format!("Content-Length: {}\r\n", (1_u128 << 64) + n as u128), &own), String::new(), Told::Bad),
        ("an empty length", with("Content-Length:\r\n", &own), String::new(), Told::Bad),
        ("chunked twice", with("Transfer-Encoding: chunked, chunked\r\n", &format!("{in_chunks}{poison}")), String::new(), Told::Bad),
        ("chunked in two headers", with(&format!("{te}{te}"), &format!("{in_chunks}{poison}")), String::new(), Told::Bad),
        ("gzip and chunked", with("Transfer-Encoding: gzip, chunked\r\n", &format!("{in_chunks}{poison}")), String::new(), Told::Bad),
        ("xchunked", with("Transfer-Encoding: xchunked\r\n", &format!("{in_chunks}{poison}")), String::new(), Told::Bad),
        ("identity and a length", with(&format!("Transfer-Encoding: identity\r\nContent-Length: {n}\r\n"), &format!("{own}{poison}")), String::new(), Told::BadOrOwn),
        ("a negative size", with(te, &format!("-1\r\n{own}\r\n0\r\n\r\n{poison}")), String::new(), Told::Bad),
        ("a size of letters", with(te, &format!("xyz\r\n{own}\r\n0\r\n\r\n{poison}")), String::new(), Told::Bad),
        ("a size over 64 bits", with(te, &format!("1{n:016x}\r\n{own}\r\n0\r\n\r\n{poison}")), String::new(), Told::Bad),
        ("no size", with(te, &format!("\r\n{own}\r\n0\r\n\r\n{poison}")), String::new(), Told::Bad),
        ("LF after the size", with(te, &format!("{n:x}\n{own}\r\n0\r\n\r\n{poison}")), String::new(), Told::Bad),
        ("LF after the data", with(te, &format!("{n:x}\r\n{own}\n0\r\n\r\n{poison}")), String::new(), Told::Bad),
        ("an extension with LF", with(te, &format!("{n:x};a\n{own}\r\n0\r\n\r\n{poison}")), String::new(), Told::Bad),
        ("trailers with an answer in them", with(te, &format!("{n:x}\r\n{own}\r\n0\r\nX: {}\r\n\r\n", poison.replace("\r\n\r\n", "\r\nY: "))), String::new(), Told::BadOrOwn),
        // RFC 9110, section 15.2: interim answers come before the final one.
        ("100 before it", format!("HTTP/1.1 100 Continue\r\n\r\n{sized}"), String::new(), Told::BadOrOwn),
        ("a flood of 103", format!("{}{sized}", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(2000)), String::new(), Told::BadOrOwn),
        ("103 and two answers", format!("HTTP/1.1 103 Early Hints\r\n\r\n{sized}{poison}"), String::new(), Told::BadOrOwn),
        ("101", format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n{poison}"), String::new(), Told::Bad),
        // Status lines.
        ("no reason", sized.replacen(" OK", "", 1), String::new(), Told::BadOrOwn),
        ("a status of five digits", sized.replacen("200", "20000", 1), String::new(), Told::Bad),
        ("status 000", sized.replacen("200", "000", 1), String::new(), Told::Bad),
        ("HTTP/2", sized.replacen("HTTP/1.1", "HTTP/2", 1), String::new(), Told::Bad),
        ("HTTP/0.9", own.clone(), String::new(), Told::Bad),
        ("an SSH banner", "SSH-2.0-OpenSSH_9.6\r\n\r\n".to_owned(), String::new(), Told::Bad),
        ("a head of 300 KB", forwards(&format!("X: {}\r\n", "y".repeat(300_000))), String::new(), Told::Bad),
        ("2000 headers", forwards(&"X: y\r\n".repeat(2000)), String::new(), Told::Bad),
        // Headers that are forwarded, and those that are not.
        ("CR in a header", forwards("X-RateLimit-A: 1\rSet-Cookie: evil=1\r\n"), String::new(), Told::BadOrOwn),
        ("LF in a header", forwards("X-RateLimit-A: 1\nSet-Cookie: evil=1\r\n"), String::new(), Told::BadOrOwn),
        ("NUL in a header", forwards("X-RateLimit-A: 1\0Set-Cookie: evil=1\r\n"), String::new(), Told::BadOrOwn),
        ("a fold in a header", forwards("X-RateLimit-A: 1\r\n Set-Cookie: evil=1\r\n"), String::new(), Told::BadOrOwn),
        ("high bytes in a header", forwards("X-RateLimit-A: \u{ff}\u{85}\u{a0}evil\r\n"), String::new(), Told::BadOrOwn),
        ("a space in a name", forwards("X-RateLimit-A b: 1\r\n"), String::new(), Told::BadOrOwn),
        ("a space before the colon", forwards("X-RateLimit-A : 1\r\n"), String::new(), Told::BadOrOwn),
        ("a name of its own", forwards("X-RateLimit-: 1\r\nX-RateLimit-Set-Cookie: evil=1\r\n"), String::new(), Told::BadOrOwn),
        ("headers that are not the caller's", forwards("Set-Cookie: evil=1\r\nAccess-Control-Allow-Origin: *\r\nLocation: http://evil\r\nAlt-Svc: h2=\"evil:1\"\r\nWWW-Authenticate: Basic\r\nContent-Disposition: attachment\r\nRefresh: 0\r\nServer: evil\r\nX-Content-Type-Options: evil\r\nX-Gateway-Provider: evil\r\n"), String::new(), Told::Own),
        ("a connection of its own", forwards("Connection: close, x-evil\r\nX-Evil: evil\r\nKeep-Alive: timeout=1\r\nTrailer: X\r\nUpgrade: evil\r\n"), String::new(), Told::Own),
        ("a retry that is no number", forwards("Retry-After: evil\r\n"), String::new(), Told::BadOrOwn),
    ]
}

/// Promise 14.
#[actix_web::test]
async fn response_bytes_of_one_caller_never_reach_the_next() {
    let cases = answers();
    let count = cases.len();
    assert!(count >= 12, "{count} cases");
    let mut failures = Vec::new();
    for (what, bytes, later, told) in cases {
        let bad = Script::raw(latin1(&bytes));
        let bad = if later.is_empty() {
            bad
        } else {
            bad.then(Step::Pause(Duration::from_millis(20)))
                .then(Step::Write(latin1(&later)))
        };
        let server = Scripted::start(move |request: &ReceivedRequest| {
            let model = request.json()["model"]
                .as_str()
                .unwrap_or("none")
                .to_owned();
            if model == "first" {
                bad.clone()
            } else {
                Script::json(200, &says(&model))
            }
        })
        .unwrap();
        let mut config = config(&server);
        config.retries.max_retries = 0;
        config.calls.request_timeout = Duration::from_secs(5);
        let gateway = Gateway::start(config);
        let mut wrong = |text: String| failures.push(format!("{what}: {text}"));
        let events = what.starts_with("events");
        let mut body: Value = serde_json::from_str(&hello("first")).unwrap();
        body["stream"] = json!(events);
        let begun = Instant::now();
        let first = gateway.chat(body).await;
        if begun.elapsed() > Duration::from_secs(4) {
            wrong(format!("the first answer took {:?}", begun.elapsed()));
        }
        let content = |answer: &crate::rig::Answer| {
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            body["choices"][0]["message"]["content"]
                .as_str()
                .map(str::to_owned)
        };
        let owned = first.status == 200
            && if events {
                first.text().contains("own")
            } else {
                content(&first).as_deref() == Some("own")
            };
        let badly = first.status == 502;
        let right = match told {
            Told::Bad => badly,
            Told::Own => owned,
            Told::BadOrOwn => badly || owned,
            Told::Error => first.status == 400,
        };
        if !right {
            wrong(format!(
                "the first was told {} {:.200?}, not {told:?}",
                first.status,
                String::from_utf8_lossy(&first.body)
            ));
        }
        let all = format!(
            "{:?} {}",
            first.headers,
            String::from_utf8_lossy(&first.body)
        );
        if all.contains("POISON") {
            wrong(format!(
                "the first was told what is not its own: {all:.300}"
            ));
        }
        for (name, value) in &first.headers {
            let name = name.as_str();
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            let ours = [
                "content-length",
                "content-type",
                "date",
                "x-content-type-options",
                "x-gateway-provider",
                "x-request-id",
                "retry-after",
                "transfer-encoding",
                "cache-control",
                "x-accel-buffering",
                "x-upstream-status",
                "x-should-retry",
            ];
            if !(ours.contains(&name) || name.starts_with("x-ratelimit-")) {
                wrong(format!("the first was given the header {name}: {value:?}"));
            }
            if !name.starts_with("x-ratelimit-") && value.contains("evil") && name != "retry-after"
            {
                wrong(format!("the first was given {name}: {value:?}"));
            }
        }
        // What comes later has come.
        timeout(
            PATIENCE,
            server.until(|counts| counts.answered + counts.left >= 1),
        )
        .await
        .unwrap();
        for next in ["second", "third", "fourth"] {
            let answer = gateway.post("/v1/chat/completions", hello(next)).await;
            if answer.status != 200 || content(&answer).as_deref() != Some(next) {
                wrong(format!(
                    "the {next} was told {} {:.300?}",
                    answer.status,
                    String::from_utf8_lossy(&answer.body)
                ));
            }
        }
    }
    none_of(&failures, count);
}

// The key check.

/// What a caller without a key tries: what, the first line, the headers, whether it is HTTP.
type Trick = (String, String, String, bool);

#[rustfmt::skip]
fn tricks() -> Vec<Trick> {
    let mut out: Vec<Trick> = Vec::new();
    let bearers: [(&str, String, bool); 58] = [
        ("nothing", String::new(), true),
        ("an empty value", "Authorization: \r\n".into(), true),
        ("a scheme alone", "Authorization: Bearer\r\n".into(), true),
        ("a scheme and spaces", "Authorization: Bearer    \r\n".into(), true),
        ("capitals", "Authorization: Bearer TEAM-KEY\r\n".into(), true),
        ("one capital", "Authorization: Bearer Team-key\r\n".into(), true),
        ("a prefix", "Authorization: Bearer team-ke\r\n".into(), true),
        ("one letter", "Authorization: Bearer t\r\n".into(), true),
        ("a suffix", "Authorization: Bearer eam-key\r\n".into(), true),
        ("one letter more", "Authorization: Bearer team-keyy\r\n".into(), true),
        ("a comma more", "Authorization: Bearer team-key,\r\n".into(), true),
        ("the key twice", "Authorization: Bearer team-keyteam-key\r\n".into(), true),
        ("a list of keys", "Authorization: Bearer team-key,team-key\r\n".into(), true),
        ("a key and a word", "Authorization: Bearer team-key x\r\n".into(), true),
        ("a word and a key", "Authorization: Bearer x team-key\r\n".into(), true),
        ("the scheme twice", "Authorization: Bearer Bearer team-key\r\n".into(), true),
        ("a key and a credential", "Authorization: Bearer team-key, Bearer x\r\n".into(), true),
        ("a credential and a key", "Authorization: Bearer x, Bearer team-key\r\n".into(), true),
        ("Basic", "Authorization: Basic team-key\r\n".into(), true),
        ("Basic as it should be", "Authorization: Basic OnRlYW0ta2V5\r\n".into(), true),
        ("Digest", "Authorization: Digest team-key\r\n".into(), true),
        ("Token", "Authorization: Token team-key\r\n".into(), true),
        ("no scheme", "Authorization: team-key\r\n".into(), true),
        ("no space", "Authorization: Bearerteam-key\r\n".into(), true),
        ("a colon", "Authorization: Bearer: team-key\r\n".into(), true),
        ("an equals sign", "Authorization: Bearer=team-key\r\n".into(), true),
        ("a tab for the space", "Authorization: Bearer\tteam-key\r\n".into(), true),
        ("double quotes", "Authorization: Bearer \"team-key\"\r\n".into(), true),
        ("single quotes", "Authorization: Bearer 'team-key'\r\n".into(), true),
        ("brackets", "Authorization: Bearer <team-key>\r\n".into(), true),
        ("a JSON list", "Authorization: Bearer [\"team-key\"]\r\n".into(), true),
        ("percent codes", "Authorization: Bearer %74eam%2Dkey\r\n".into(), true),
        ("base64", "Authorization: Bearer dGVhbS1rZXk=\r\n".into(), true),
        ("SQL", "Authorization: Bearer ' OR '1'='1\r\n".into(), true),
        ("SQL that ends", "Authorization: Bearer team-key' --\r\n".into(), true),
        ("a wildcard", "Authorization: Bearer *\r\n".into(), true),
        ("a pattern", "Authorization: Bearer .*\r\n".into(), true),
        ("a LIKE", "Authorization: Bearer team%\r\n".into(), true),
        ("null", "Authorization: Bearer null\r\n".into(), true),
        ("undefined", "Authorization: Bearer undefined\r\n".into(), true),
        ("a provider's key", "Authorization: Bearer openai-secret-key\r\n".into(), true),
        ("10 KB", format!("Authorization: Bearer team-key{}\r\n", "y".repeat(10_000)), true),
        ("high bytes", "Authorization: Bearer team-key\u{ff}\r\n".into(), true),
        ("UTF-8", "Authorization: Bearer team\u{c2}\u{ad}-key\r\n".into(), true),
        ("a no-break space", "Authorization: Bearer \u{c2}\u{a0}team-key\r\n".into(), true),
        ("a NUL", "Authorization: Bearer team-key\0\r\n".into(), false),
        ("a control byte", "Authorization: Bearer \u{1}team-key\r\n".into(), false),
        ("a space before the colon", "Authorization : Bearer team-key\r\n".into(), false),
        ("two headers, the bad one first", "Authorization: Bearer bad\r\nAuthorization: Bearer team-key\r\n".into(), true),
        ("two headers, the good one first", "Authorization: Bearer team-key\r\nAuthorization: Bearer bad\r\n".into(), true),
        ("an empty header and a good one", "Authorization:\r\nAuthorization: Bearer team-key\r\n".into(), true),
        ("x-api-key", "X-Api-Key: team-key\r\n".into(), true),
        ("api-key", "Api-Key: team-key\r\nX-Goog-Api-Key: team-key\r\n".into(), true),
        ("a cookie", "Cookie: authorization=Bearer team-key; key=team-key\r\n".into(), true),
        ("the proxy's", "Proxy-Authorization: Bearer team-key\r\n".into(), true),
        ("one with a prefix", "X-Authorization: Bearer team-key\r\nX-Forwarded-Authorization: Bearer team-key\r\n".into(), true),
        ("one with an underscore", "Authorization_: Bearer team-key\r\n_Authorization: Bearer team-key\r\n".into(), true),
        ("who is asked for", "X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nX-Forwarded-User: admin\r\nX-Remote-User: admin\r\nForwarded: for=127.0.0.1\r\n".into(), true),
    ];
    let body = good();
    let json = format!("{TYPE}Content-Length: {}\r\n\r\n{body}", body.len());
    for (what, headers, is_http) in bearers {
        for (first, rest) in [
            ("GET /v1/models HTTP/1.1", "\r\n"),
            ("GET /metrics HTTP/1.1", "\r\n"),
            ("POST /v1/chat/completions HTTP/1.1", &*json),
            ("POST /v1/responses HTTP/1.1", &json),
        ] {
            let lines = format!("{HOST}{headers}{rest}");
            out.push((format!("{what}, {first}"), first.to_owned(), lines, is_http));
        }
    }
    for target in [
        "/v1/models?key=team-key",
        "/v1/models?api_key=team-key&api-key=team-key",
        "/v1/models?access_token=team-key&token=team-key",
        "/v1/models?authorization=Bearer%20team-key",
        "/v1/models?provider=openai",
        "/v1/models#/healthz",
        "/v1/models?/healthz",
        "/v1/models;x",
        "/v1/models;/healthz",
        "/v1/models/",
        "/v1/models//",
        "/v1/models/.",
        "/v1/models/..",
        "/v1/models%00",
        "/v1/models%20",
        "/v1/models%3f",
        "/v1/models%2f",
        "/v1/models.json",
        "/v1/../v1/models",
        "/v1/./models",
        "//v1/models",
        "/v1//models",
        "/V1/MODELS",
        "/v1/Models",
        "/v1%2fmodels",
        "/v1/%6dodels",
        "/%76%31/models",
        "/v1%252fmodels",
        "/v1\\models",
        "/healthz/../v1/models",
        "/healthz/..;/v1/models",
        "/healthz/%2e%2e/v1/models",
        "/healthz%2f..%2fv1%2fmodels",
        "/static/../v1/models",
        "/static/..%2fv1%2fmodels",
        "/static/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/swagger-ui/../v1/models",
        "/swagger-ui/..%2f..%2fmetrics",
        "/doc/../metrics",
        "/metrics/",
        "/metrics?x=/healthz",
        "http://gateway/v1/models",
        "http://foreign/v1/models",
        "https://team-key@gateway/v1/models",
        "http://gateway/healthz/../v1/models",
        "*",
    ] {
        out.push((
            format!("the target {target}"),
            format!("GET {target} HTTP/1.1"),
            format!("{HOST}\r\n"),
            true,
        ));
    }
    for lines in [
        "X-Original-URL: /healthz\r\nX-Rewrite-URL: /healthz\r\n",
        "X-Forwarded-Prefix: /healthz\r\nX-Forwarded-Path: /healthz\r\nX-Forwarded-Uri: /healthz\r\n",
        "X-HTTP-Method-Override: OPTIONS\r\nX-Method-Override: HEAD\r\nX-HTTP-Method: TRACE\r\n",
        "X-Forwarded-Host: localhost\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Server: localhost\r\n",
        "Connection: authorization, host\r\n",
        "Referer: http://gateway/swagger-ui/\r\nOrigin: http://gateway\r\n",
        "Upgrade: websocket\r\nConnection: Upgrade\r\n",
    ] {
        out.push((
            format!("the headers {lines:?}"),
            "GET /v1/models HTTP/1.1".into(),
            format!("{HOST}{lines}\r\n"),
            true,
        ));
    }
    for host in [
        "localhost",
        "127.0.0.1",
        "healthz",
        "gateway/healthz?",
        "gateway/static/x#",
    ] {
        out.push((
            format!("the host {host}"),
            "GET /v1/models HTTP/1.1".into(),
            format!("Host: {host}\r\n\r\n"),
            // RFC 9112, section 3.2: a host that is none may be refused before any route.
            !host.contains('/'),
        ));
    }
    for (method, target) in [
        ("HEAD", "/v1/models"),
        ("HEAD", "/metrics"),
        ("OPTIONS", "/v1/models"),
        ("OPTIONS", "*"),
        ("PUT", "/v1/models"),
        ("DELETE", "/v1/models"),
        ("PATCH", "/v1/models"),
        ("POST", "/v1/models"),
        ("TRACE", "/v1/models"),
        ("PROPFIND", "/v1/models"),
        ("get", "/v1/models"),
        ("X", "/v1/models"),
        ("HEAD", "/v1/chat/completions"),
        ("GET", "/v1/chat/completions"),
        ("OPTIONS", "/v1/chat/completions"),
        ("GET", "/v1/responses"),
    ] {
        out.push((
            format!("{method} {target}"),
            format!("{method} {target} HTTP/1.1"),
            format!("{HOST}\r\n"),
            true,
        ));
    }
    out.push((
        "HTTP/1.0".into(),
        "GET /v1/models HTTP/1.0".into(),
        "\r\n".into(),
        true,
    ));
    out.push((
        "the key in a trailer".into(),
        "POST /v1/chat/completions HTTP/1.1".into(),
        format!(
            "{HOST}{TYPE}{TE}Trailer: Authorization\r\n\r\n{:x}\r\n{body}\r\n0\r\nAuthorization: Bearer team-key\r\n\r\n",
            body.len()
        ),
        true,
    ));
    out.push((
        "the key in the body".into(),
        "POST /v1/chat/completions HTTP/1.1".into(),
        {
            let body = body.replacen('{', "{\"api_key\":\"team-key\",\"key\":\"team-key\",", 1);
            format!("{HOST}{TYPE}Content-Length: {}\r\n\r\n{body}", body.len())
        },
        true,
    ));
    out
}

/// Promise 22.
#[actix_web::test]
async fn the_key_check_cannot_be_tricked() {
    let server = scripted::all_providers().unwrap();
    let mut config = keyed(&server);
    // A list that is kept would hide who asked for it.
    config.models.cache = Duration::ZERO;
    let gateway = Gateway::start(config);
    let cases = tricks();
    let count = cases.len();
    assert!(count >= 43, "{count} cases");
    let mut failures = Vec::new();
    for (what, first, lines, is_http) in cases {
        let before = server.counts().requests;
        let talk = talk(&gateway, &latin1(&format!("{first}\r\n{lines}")), b"").await;
        let mut wrong = |why: &str| failures.push(format!("{what}: {why}: {}", talk.said()));
        let [answer] = talk.answers.as_slice() else {
            wrong("not one answer");
            continue;
        };
        if !(400..500).contains(&answer.status) {
            wrong("no refusal");
        }
        if talk.wrong.is_some() || !talk.closed {
            wrong("no answer to its end");
        }
        let head = first.starts_with("HEAD");
        let silent = answer.body.is_empty() && (head || !is_http);
        if !silent && !answer.is_error() {
            wrong("no error in OpenAI's shape");
        }
        if answer.status == 401 && answer.header("www-authenticate").is_none() {
            // RFC 9110, section 15.5.2.
            wrong("401 without a challenge");
        }
        if !what.contains("target") && answer.text().contains("team-key") {
            wrong("the key is told");
        }
        let seen = server.counts().requests - before;
        if seen > 0 {
            wrong(&format!("the providers saw {seen} requests"));
        }
    }
    let before = server.counts();

    // What is open tells those without a key nothing that is not.
    for lines in [
        "",
        "X-Original-URL: /v1/models\r\nX-Rewrite-URL: /v1/models\r\n",
        "X-HTTP-Method-Override: POST\r\n",
        "Authorization: Bearer bad\r\n",
        "Authorization: Bearer bad\r\nAuthorization: Bearer team-key\r\n",
    ] {
        for target in ["/healthz", "/providers"] {
            let bytes = format!("GET {target} HTTP/1.1\r\n{HOST}{lines}\r\n");
            let talk = talk(&gateway, bytes.as_bytes(), b"").await;
            let text = talk.answers[0].text();
            assert_eq!(talk.statuses(), [200], "{target} with {lines:?}");
            for secret in ["base_url", "key_configured", "127.0.0.1", "\"source\""] {
                assert!(!text.contains(secret), "{target} with {lines:?}: {secret}");
            }
        }
    }
    assert_eq!(server.counts(), before, "what is open asks no provider");

    // The right key in its right place is let in, however the scheme is written.
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let bytes =
            format!("GET /v1/models HTTP/1.1\r\n{HOST}Authorization: {scheme} team-key\r\n\r\n");
        let talk = talk(&gateway, bytes.as_bytes(), b"").await;
        assert_eq!(talk.statuses(), [200], "{scheme}: {}", talk.said());
    }
    assert!(server.counts().requests > before.requests);
    none_of(&failures, count);
}

// Where a request goes.

/// Promise 23.
#[actix_web::test]
async fn the_caller_cannot_choose_the_target() {
    let server = scripted::all_providers().unwrap();
    let foreign = echo();
    let gateway = Gateway::start(keyed(&server));
    let at = foreign.url();
    let address = at.strip_prefix("http://").unwrap().to_owned();
    let key = "Authorization: Bearer team-key\r\n";
    let ask = |first: &str, lines: &str, body: &Value| {
        let body = body.to_string();
        let length = body.len();
        format!("{first}\r\n{key}{TYPE}{lines}Content-Length: {length}\r\n\r\n{body}").into_bytes()
    };
    let first = "POST /v1/chat/completions HTTP/1.1";
    let plain: Value = serde_json::from_str(&hello("gpt-4o")).unwrap();
    let talk_to = |bytes: Vec<u8>| {
        let gateway = &gateway;
        async move { talk(gateway, &bytes, b"").await }
    };
    let baseline = talk_to(ask(first, HOST, &plain)).await;
    assert_eq!(baseline.statuses(), [200], "{}", baseline.said());
    // What the provider is told without any trick, but for the length and what differs each time.
    let told = |request: &ReceivedRequest| {
        let headers = request
            .headers
            .iter()
            .filter(|(name, _)| {
                !["content-length", "date", "x-request-id"].contains(&name.as_str())
            })
            .cloned()
            .collect::<BTreeSet<_>>();
        (request.method.clone(), request.path.clone(), headers)
    };
    let expected = told(&server.requests()[0]);
    assert_eq!(expected.1, "/openai/v1/chat/completions");

    let mut cases: Vec<(String, Vec<u8>, bool)> = Vec::new();
    let members = [
        "base_url",
        "api_base",
        "baseURL",
        "api_url",
        "url",
        "host",
        "endpoint",
        "proxy",
        "custom_host",
        "provider_url",
        "x_base_url",
        "api_version",
        "deployment",
        "resource_name",
        "region",
        "organization",
        "api_key",
        "key",
        "headers",
        "extra_headers",
        "custom_llm_provider",
    ];
    for member in members {
        let mut body = plain.clone();
        body[member] = match member {
            "headers" | "extra_headers" => json!({"Host": address, "X-Evil": "1"}),
            _ => json!(at),
        };
        cases.push((
            format!("the member {member}"),
            ask(first, HOST, &body),
            true,
        ));
    }
    for lines in [
        format!("Host: {address}\r\n"),
        format!(
            "{HOST}X-Forwarded-Host: {address}\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 1\r\n"
        ),
        format!(
            "{HOST}Forwarded: host={address};proto=http\r\nX-Host: {address}\r\nX-Forwarded-Server: {address}\r\n"
        ),
        format!("{HOST}X-Original-URL: {at}/x\r\nX-Rewrite-URL: {at}/x\r\n"),
        format!(
            "{HOST}X-Base-Url: {at}\r\nX-Api-Base: {at}\r\nOpenAI-Base-URL: {at}\r\nX-Portkey-Custom-Host: {at}\r\n"
        ),
        format!(
            "{HOST}X-Upstream: {at}\r\nX-Target: {at}\r\nX-Provider: groq\r\nX-Gateway-Provider: groq\r\n"
        ),
        format!(
            "{HOST}Cookie: a=b\r\nReferer: {at}\r\nOrigin: {at}\r\nVia: 1.1 x\r\nX-Forwarded-For: 1.2.3.4\r\n"
        ),
        format!("{HOST}X-Api-Key: mine\r\nApi-Key: mine\r\nProxy-Authorization: Bearer mine\r\n"),
        format!(
            "{HOST}Connection: host, content-type, authorization\r\nTE: trailers\r\nKeep-Alive: 1\r\n"
        ),
        format!(
            "{HOST}User-Agent: evil\r\nAccept: text/html\r\nAccept-Encoding: gzip\r\nAnthropic-Version: 1\r\n"
        ),
        format!(
            "{HOST}Expect: 100-continue\r\nMax-Forwards: 0\r\nRange: bytes=0-1\r\nIf-None-Match: x\r\n"
        ),
    ] {
        cases.push((
            format!("the lines {lines:?}"),
            ask(first, &lines, &plain),
            true,
        ));
    }
    for target in [
        format!("{at}/v1/chat/completions"),
        "http://user@foreign/v1/chat/completions".to_owned(),
        format!("/v1/chat/completions?base_url={at}&provider=groq&api_base={at}&host={address}"),
        "/v1/chat/completions?a=%0d%0aHost:%20foreign".to_owned(),
    ] {
        let line = format!("POST {target} HTTP/1.1");
        cases.push((
            format!("the target {target}"),
            ask(&line, HOST, &plain),
            true,
        ));
    }
    let count_plain = cases.len();
    let mut failures = Vec::new();
    for (what, bytes, _) in cases {
        let before = server.requests().len();
        let talk = talk_to(bytes).await;
        let seen = server.requests();
        match talk.statuses().as_slice() {
            [200] => {
                let new: Vec<_> = seen[before..].iter().map(told).collect();
                if new != [expected.clone()] {
                    failures.push(format!(
                        "{what}: the provider was told {new:?}, not {expected:?}"
                    ));
                }
            }
            [400..=499] if seen.len() == before => {}
            _ => failures.push(format!(
                "{what}: {} requests, {}",
                seen.len() - before,
                talk.said()
            )),
        }
    }

    let openai = "/openai/v1/chat/completions";
    let long = "m".repeat(257);
    let longest = "m".repeat(256);
    let models: Vec<(String, Option<&str>)> = vec![
        (format!("gpt-4o@{address}"), Some(openai)),
        (format!("{at}/gpt-4o"), Some(openai)),
        (format!("openai/{at}/gpt-4o"), Some(openai)),
        (format!("//{address}/gpt-4o"), Some(openai)),
        (format!("\\\\{address}\\gpt-4o"), Some(openai)),
        (
            format!("openrouter/@{address}"),
            Some("/openrouter/chat/completions"),
        ),
        ("groq/../openai/x".into(), Some("/groq/chat/completions")),
        (
            "groq/..%2f..%2fopenai".into(),
            Some("/groq/chat/completions"),
        ),
        ("groq/%2e%2e/x".into(), Some("/groq/chat/completions")),
        ("../../etc/passwd".into(), Some(openai)),
        ("GROQ/x".into(), Some(openai)),
        ("groq\\x".into(), Some(openai)),
        ("groq%2fx".into(), Some(openai)),
        (" groq/x".into(), Some(openai)),
        ("claude-x#fragment".into(), Some("/anthropic/v1/messages")),
        ("claude-x?beta=true".into(), Some("/anthropic/v1/messages")),
        ("claude-/../../x".into(), Some("/anthropic/v1/messages")),
        (
            "gemini/models/x:generateContent".into(),
            Some("/gemini/chat/completions"),
        ),
        (
            "azure/deployments/../x?api-version=1".into(),
            Some("/azure/chat/completions"),
        ),
        ("bedrock/x/invoke".into(), Some("/bedrock/chat/completions")),
        (
            "vertex/../../publishers/x".into(),
            Some("/vertex/chat/completions"),
        ),
        (
            "vercel/https://foreign".into(),
            Some("/vercel/chat/completions"),
        ),
        ("gpt-4o%0d%0aHost:%20foreign".into(), Some(openai)),
        ("gpt-4o\u{202e}x".into(), Some(openai)),
        (longest, Some(openai)),
        (long, None),
        ("m".repeat(100_000), None),
        ("gpt-4o\r\nHost: foreign".into(), None),
        ("gpt-4o\nx".into(), None),
        ("gpt-4o\0".into(), None),
        ("gpt-4o\u{1b}[2J".into(), None),
        ("gpt-4o\u{7f}".into(), None),
        ("gpt-4o\u{85}".into(), None),
        ("groq/\r\n".into(), None),
        ("groq/".into(), None),
        (String::new(), None),
    ];
    let count = count_plain + models.len();
    for (model, path) in &models {
        let before = server.requests().len();
        let body: Value = serde_json::from_str(&hello(model)).unwrap();
        let talk = talk_to(ask(first, HOST, &body)).await;
        let seen = server.requests();
        let paths: Vec<_> = seen[before..].iter().map(|r| r.path.as_str()).collect();
        let what = format!("the model {model:.60?}");
        if paths != path.iter().copied().collect::<Vec<_>>() {
            failures.push(format!("{what}: asked for at {paths:?}, not {path:?}"));
        }
        let names: Vec<_> = seen[before..]
            .iter()
            .flat_map(|request| &request.headers)
            .filter(|(name, value)| {
                name == "host" && format!("http://{value}") != server.url()
                    || value.contains("foreign")
                    || value.contains(&address)
            })
            .collect();
        if !names.is_empty() {
            failures.push(format!("{what}: the provider was told {names:?}"));
        }
        if path.is_none() {
            let refused = talk.answers.first().is_some_and(|answer| {
                answer.status == 400 && answer.is_error() && answer.text().contains("\"model\"")
            });
            if !refused {
                failures.push(format!("{what}: {}", talk.said()));
            }
        } else if talk.statuses() != [200] {
            failures.push(format!("{what}: {}", talk.said()));
        }
    }

    for provider in [
        &at,
        "../openai",
        "openai/../groq",
        "openai%0d%0a",
        "OPENAI",
        "openai&provider=groq",
        "openai%00",
        "*",
        "%2e",
    ] {
        let before = server.counts().requests;
        let answer = gateway
            .get(&format!("/v1/models?provider={provider}"), Some("team-key"))
            .await;
        if answer.status != 400 || server.counts().requests != before {
            failures.push(format!(
                "?provider={provider}: {}, {} requests",
                answer.status,
                server.counts().requests - before
            ));
        }
    }
    let connections = foreign.counts().connections;
    if connections > 0 {
        failures.push(format!("the foreign server saw {connections} connections"));
    }
    none_of(&failures, count + 9);
}

// Callers' own keys.

/// Promise 25.
#[actix_web::test]
async fn a_callers_key_reaches_one_provider_and_no_other() {
    let servers: Vec<Scripted> = PROVIDERS
        .iter()
        .map(|_| scripted::all_providers().unwrap())
        .collect();
    let mut config = config(&servers[0]);
    // Keys of the gateway's own stand by, and must not be used.
    for (entry, server) in config.providers.iter_mut().zip(&servers) {
        let url = format!("{}/{}", server.url(), entry.provider.name);
        entry.base = ai_gateway::config::BaseUrl::parse(&url, entry.provider.version).unwrap();
        let own = format!("{}-secret-key", entry.provider.name);
        entry.key = Some(ai_gateway::secret::Secret::new(own));
    }
    let gateway = Gateway::start(config);
    // The servers that a key came to, and in which headers.
    let reached = |key: &str| -> Vec<(&str, Vec<String>)> {
        PROVIDERS
            .iter()
            .zip(&servers)
            .filter_map(|(provider, server)| {
                let names: Vec<_> = server
                    .requests()
                    .iter()
                    .flat_map(|request| request.headers.clone())
                    .filter(|(_, value)| value.contains(key))
                    .map(|(name, _)| name)
                    .collect();
                (!names.is_empty()).then_some((provider.name, names))
            })
            .collect()
    };
    let requests = || servers.iter().map(|s| s.counts().requests).sum::<usize>();
    let mut failures = Vec::new();
    let mut count = 0;
    for (i, provider) in PROVIDERS.iter().enumerate() {
        let header = match provider.auth {
            Auth::Bearer => "authorization",
            Auth::XApiKey => "x-api-key",
            Auth::ApiKey => "api-key",
        };
        let model = format!("{}/some-model", provider.name);
        let both = json!({"model": model, "input": "Hello", "messages": [{"role": "user", "content": "Hello"}]});
        for path in ["/v1/chat/completions", "/v1/responses"] {
            for stream in [false, true] {
                count += 1;
                let key = format!("caller-key-{i}-{}-{stream}", path.len());
                let mut body = both.clone();
                body["stream"] = json!(stream);
                if path.ends_with("completions") {
                    body.as_object_mut().unwrap().remove("input");
                } else {
                    body.as_object_mut().unwrap().remove("messages");
                }
                let before = requests();
                let answer = gateway
                    .send(
                        path,
                        Some(&key),
                        &[("x-api-key", "other-key"), ("api-key", "other-key")],
                        body.to_string(),
                    )
                    .await;
                let what = format!("{path} {model}, stream: {stream}");
                if answer.status != 200 {
                    failures.push(format!("{what}: {} {:.200}", answer.status, answer.text()));
                }
                let to = reached(&key);
                if to != [(provider.name, vec![header.to_owned()])] {
                    failures.push(format!("{what}: the key came to {to:?}"));
                }
                if requests() != before + 1 {
                    failures.push(format!("{what}: {} requests", requests() - before));
                }
            }
        }
        count += 1;
        let key = format!("caller-key-{i}-list");
        let answer = gateway
            .get(
                &format!("/v1/models?provider={}", provider.name),
                Some(&key),
            )
            .await;
        let to = reached(&key);
        if answer.status != 200
            || to.len() != 1
            || to[0].0 != provider.name
            || to[0].1.iter().any(|name| name != header)
        {
            failures.push(format!(
                "the list of {}: {}, the key came to {to:?}",
                provider.name, answer.status
            ));
        }
        for start in provider.key_starts {
            count += 1;
            let key = format!("{start}caller-0123456789-{i}");
            let answer = gateway.get("/v1/models", Some(&key)).await;
            let to: Vec<_> = reached(&key).into_iter().map(|(name, _)| name).collect();
            if answer.status != 200 || to != [provider.name] {
                failures.push(format!(
                    "all lists with a key as {start}…: {}, the key came to {to:?}",
                    answer.status
                ));
            }
        }
    }
    for key in [
        "caller-of-nobody",
        "sk-caller-old-format",
        "SK-ANT-caller",
        "eyJcaller.e30.x",
    ] {
        count += 1;
        let before = requests();
        let answer = gateway.get("/v1/models", Some(key)).await;
        if answer.status != 200 || requests() != before || !reached(key).is_empty() {
            failures.push(format!(
                "all lists with {key}: {}, {} requests, the key came to {:?}",
                answer.status,
                requests() - before,
                reached(key)
            ));
        }
    }
    for foreign in ["secret-key", "other-key"] {
        let to = reached(foreign);
        if !to.is_empty() {
            failures.push(format!("{foreign} came to {to:?}"));
        }
    }
    none_of(&failures, count);
}

// Browsers.

/// Promise 26.
#[actix_web::test]
async fn browsers_get_nothing_from_other_pages() {
    let server = scripted::all_providers().unwrap();
    let open = Gateway::start(config(&server));
    let closed = Gateway::start(keyed(&server));
    let origin =
        "Origin: https://evil.example\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: cross-site\r\n";
    let preflight = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization, content-type\r\nAccess-Control-Request-Private-Network: true\r\n";
    let mut paths: Vec<String> = ROUTES
        .iter()
        .map(|route| {
            route
                .path
                .replace("{file:.*}", "index.html")
                .replace("{file}", "page.js")
        })
        .collect();
    paths.extend(
        [
            "/static/style.css",
            "/static/none",
            "/swagger-ui/",
            "/swagger-ui/none",
            "/nowhere",
            "/v1/embeddings",
        ]
        .map(str::to_owned),
    );
    let body = good();
    let mut failures = Vec::new();
    let mut count = 0;
    for (mode, gateway) in [("open", &open), ("keyed", &closed)] {
        for path in &paths {
            for (method, lines, body) in [
                ("GET", "", ""),
                ("GET", "Authorization: Bearer team-key\r\n", ""),
                ("HEAD", "", ""),
                ("OPTIONS", preflight, ""),
                ("OPTIONS", "Authorization: Bearer team-key\r\n", ""),
                ("PUT", "Authorization: Bearer team-key\r\n", ""),
                (
                    "POST",
                    "Authorization: Bearer team-key\r\nContent-Type: application/json\r\n",
                    &*body,
                ),
                (
                    "POST",
                    "Authorization: Bearer team-key\r\nContent-Type: text/plain\r\n",
                    &body,
                ),
                ("POST", "", &body),
            ] {
                count += 1;
                let bytes = format!(
                    "{method} {path} HTTP/1.1\r\n{HOST}{origin}{lines}Content-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let talk = talk(gateway, bytes.as_bytes(), b"").await;
                let mut wrong = |why: &str| {
                    failures.push(format!(
                        "{mode} {method} {path} {lines:?}: {why}: {}",
                        talk.said()
                    ));
                };
                let [answer] = talk.answers.as_slice() else {
                    wrong("not one answer");
                    continue;
                };
                if let Some((name, value)) = answer.headers.iter().find(|(name, value)| {
                    name.starts_with("access-control-")
                        || name == "set-cookie"
                        || value.contains("evil.example")
                }) {
                    wrong(&format!("{name}: {value}"));
                }
                if answer.header("x-content-type-options") != Some("nosniff") {
                    wrong("no nosniff");
                }
                let kind = answer.header("content-type").unwrap_or_default();
                if kind.starts_with("text/html") {
                    let policy = answer.header("content-security-policy").unwrap_or_default();
                    if !policy.contains("default-src 'self'")
                        && !policy.contains("default-src 'none'")
                    {
                        wrong("a page without a policy");
                    }
                    if policy.contains("unsafe-eval")
                        || policy.contains("script-src *")
                        || policy.contains("http")
                    {
                        wrong("a page with a weak policy");
                    }
                    if answer.header("x-frame-options").is_none()
                        && !policy.contains("frame-ancestors")
                    {
                        wrong("a page that can be framed");
                    }
                }
                if method == "OPTIONS" && answer.status < 400 {
                    wrong("a preflight that succeeds");
                }
            }
        }
    }

    let asked = server.counts().requests;
    for kind in [
        None,
        Some(""),
        Some("text/plain"),
        Some("text/plain;charset=UTF-8"),
        Some("text/plain; x=application/json"),
        Some("text/plain, application/json"),
        Some("application/x-www-form-urlencoded"),
        Some("application/x-www-form-urlencoded; application/json"),
        Some("multipart/form-data; boundary=application/json"),
        Some("text/html"),
        Some("*/*"),
        Some("application/*"),
        Some("application/jsonp"),
        Some("application/xjson"),
        Some("xapplication/json"),
        Some("json"),
    ] {
        for path in ["/v1/chat/completions", "/v1/responses"] {
            count += 1;
            let lines = kind.map_or(String::new(), |kind| format!("Content-Type: {kind}\r\n"));
            let bytes = format!(
                "POST {path} HTTP/1.1\r\n{HOST}{origin}{KEY}{lines}Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let talk = talk(&open, bytes.as_bytes(), b"").await;
            let refused = talk
                .answers
                .first()
                .is_some_and(|a| a.status == 415 && a.is_error());
            if !refused {
                failures.push(format!("{path} with the type {kind:?}: {}", talk.said()));
            }
        }
    }
    let more = server.counts().requests - asked;
    if more > 0 {
        failures.push(format!("the providers saw {more} requests of other types"));
    }
    for kind in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json ;x=y",
    ] {
        count += 1;
        let bytes = format!(
            "POST /v1/chat/completions HTTP/1.1\r\n{HOST}{KEY}Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let talk = talk(&open, bytes.as_bytes(), b"").await;
        if talk.statuses() != [200] {
            failures.push(format!("the type {kind}: {}", talk.said()));
        }
    }
    none_of(&failures, count);
}

// Sizes.

/// Promise 13.
#[actix_web::test]
async fn real_requests_fit() {
    let server = echo();
    let gateway = Gateway::start(config(&server));
    let image = "A".repeat(20_000_000);
    let sized = json!({"model": "large", "messages": [{"role": "user", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{image}")}}]}]})
    .to_string();
    let begun = Instant::now();
    let answer = gateway.post("/v1/chat/completions", sized.clone()).await;
    assert_eq!(answer.status, 200, "{:.300}", answer.text());
    assert!(
        server.requests()[0].body == sized.as_bytes(),
        "{} of {} bytes arrived",
        server.requests()[0].body.len(),
        sized.len()
    );

    // The same in chunks of an odd size.
    let mut bytes =
        format!("POST /v1/chat/completions HTTP/1.1\r\n{HOST}{KEY}{TYPE}{TE}\r\n").into_bytes();
    for part in sized.as_bytes().chunks(65_521) {
        bytes.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    let talk = talk(&gateway, &bytes, b"").await;
    assert_eq!(talk.statuses(), [200], "{}", talk.said());
    assert!(
        server.requests()[1].body == sized.as_bytes(),
        "{} of {} bytes arrived",
        server.requests()[1].body.len(),
        sized.len()
    );
    assert!(
        begun.elapsed() < PATIENCE,
        "2 x 20 MB took {:?}",
        begun.elapsed()
    );
}

/// Requests, how they may be refused, and whether the close follows; one case a line.
#[rustfmt::skip]
fn oversized() -> Vec<(&'static str, String, &'static [u16], bool)> {
    let body = good();
    let n = body.len();
    let first = "POST /v1/chat/completions HTTP/1.1\r\n";
    let usual = format!("{HOST}{KEY}{TYPE}");
    let with = |lines: &str| format!("{first}{usual}{lines}Content-Length: {n}\r\n\r\n{body}");
    let post = |body: &str| format!("{first}{usual}Content-Length: {}\r\n\r\n{body}", body.len());
    let chunked = |body: &str| {
        let mut text = format!("{first}{usual}{TE}\r\n");
        for part in body.as_bytes().chunks(60_000) {
            let part = String::from_utf8_lossy(part);
            let _ = write!(text, "{:x}\r\n{part}\r\n", part.len());
        }
        text + "0\r\n\r\n"
    };
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\n{HOST}{KEY}\r\n");
    let large = hello(&"m".repeat(1_000_000));
    let nested = |open: &str, close: &str, depth: usize| {
        format!(
            "{{\"model\":\"gpt-4o\",\"messages\":[{{\"role\":\"user\",\"content\":\"x\"}}],\"x\":{}1{}}}",
            open.repeat(depth),
            close.repeat(depth)
        )
    };
    let y = |times: usize| "y".repeat(times);
    vec![
        ("one header of 200 KB", with(&format!("X: {}\r\n", y(200_000))), &[431, 400], true),
        ("1000 headers of 200 bytes", with(&format!("X: {}\r\n", y(195)).repeat(1000)), &[431, 400], true),
        ("200 headers", with(&"X: y\r\n".repeat(200)), &[431, 400], true),
        ("100,000 headers", with(&"X: y\r\n".repeat(100_000)), &[431, 400], true),
        ("a name of 200 KB", with(&format!("{}: x\r\n", y(200_000))), &[431, 400], true),
        ("a head without an end", format!("{first}{usual}X: {}", y(300_000)), &[431, 400], true),
        ("a method of 200 KB", format!("{} / HTTP/1.1\r\n{HOST}\r\n", y(200_000)), &[400, 431, 501, 414], true),
        ("a target of 100 KB", get(&format!("/{}", y(100_000))), &[414, 400, 431, 404], false),
        ("a target of 200 KB", get(&format!("/{}", y(200_000))), &[414, 400, 431], true),
        ("a query of 100 KB", get(&format!("/v1/models?provider={}", y(100_000))), &[414, 400, 431], false),
        ("a query of 60 KB", get(&format!("/v1/models?provider={}", y(60_000))), &[414, 400], false),
        ("a target of 60 KB", get(&format!("/{}", y(60_000))), &[414, 404], false),
        ("a body over the limit", post(&large), &[413], true),
        ("a body over the limit, in chunks", chunked(&large), &[413], true),
        ("a length over the limit, nothing behind it", format!("{first}{usual}Content-Length: 1000001\r\n\r\n"), &[413], true),
        ("a length of 10 GB", format!("{first}{usual}Content-Length: 10000000000\r\n\r\nx"), &[413], true),
        ("a length over the limit, expected", format!("{first}{usual}Expect: 100-continue\r\nContent-Length: 1000001\r\n\r\n"), &[413, 417], true),
        ("lists 10,000 deep", post(&nested("[", "]", 10_000)), &[400], false),
        ("objects 10,000 deep", post(&nested("{\"a\":", "}", 10_000)), &[400], false),
        ("lists 10,000 deep without an end", post(&"[".repeat(10_000)), &[400], false),
        ("lists 900,000 deep", post(&"[".repeat(900_000)), &[400], false),
        ("a number of 900 KB", post(&format!("{{\"model\":{}}}", "9".repeat(900_000))), &[400], false),
        ("a model of 900 KB", post(&hello(&"m".repeat(900_000))), &[400], false),
        ("a member name of 900 KB", post(&format!("{{\"{}\":1}}", "m".repeat(900_000))), &[400], false),
        ("a role of 900 KB", post(&format!("{{\"model\":\"claude-x\",\"messages\":[{{\"role\":\"{}\",\"content\":\"x\"}}]}}", "m".repeat(900_000))), &[400], false),
        ("no JSON of 900 KB", post(&"x".repeat(900_000)), &[400], false),
        ("a type of 60 KB", format!("{first}{HOST}{KEY}Content-Type: {}\r\nContent-Length: {n}\r\n\r\n{body}", y(60_000)), &[415], false),
        ("chunks of one byte each without an end", format!("{first}{usual}{TE}\r\n{}", "1\r\n \r\n".repeat(1_000_100)), &[413], true),
    ]
}

/// Promise 12.
#[actix_web::test]
async fn what_is_too_large_is_refused_in_a_bounded_answer() {
    let server = echo();
    let mut config = config(&server);
    config.server.max_body = 1_000_000;
    config.server.body_timeout = Duration::from_secs(5);
    let gateway = Gateway::start(config);
    let cases = oversized();
    let count = cases.len();
    let mut failures = Vec::new();
    for (what, text, statuses, closes) in cases {
        let begun = Instant::now();
        let talk = talk(&gateway, text.as_bytes(), b"").await;
        let mut wrong = |why: String| failures.push(format!("{what}: {why}: {}", talk.said()));
        let [answer] = talk.answers.as_slice() else {
            wrong("not one answer".to_owned());
            continue;
        };
        if !statuses.contains(&answer.status) {
            wrong(format!("{} is none of {statuses:?}", answer.status));
        }
        if !talk.closed || talk.wrong.is_some() || (closes && talk.kept) {
            wrong("not closed".to_owned());
        }
        if talk.bytes > 8192 {
            wrong(format!("an answer of {} bytes", talk.bytes));
        }
        if begun.elapsed() > Duration::from_secs(10) {
            wrong(format!("it took {:?}", begun.elapsed()));
        }
    }
    let seen = server.counts().requests;
    if seen > 0 {
        failures.push(format!("the provider saw {seen} requests"));
    }
    let after = gateway.post("/v1/chat/completions", hello("after")).await;
    if after.status != 200 {
        failures.push(format!("{} to a good request", after.status));
    }
    none_of(&failures, count);
}
