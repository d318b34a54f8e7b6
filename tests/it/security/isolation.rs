//! Nothing of one caller reaches another, and nobody's requests take a model from somebody else: two
//! callers before providers that frame, stall, cut and repeat as they like.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::rig::faults::{
    DELTA, DONE, FINISH, completion, hello, metric, read_until, status, until,
};
use crate::rig::{Answer, Gateway, PATIENCE, config};
use ai_gateway::config::Config;
use ai_gateway::scripted::{ReceivedRequest, Script, Scripted, Step};
use ai_gateway::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use futures_util::future::join_all;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Whose keys callers bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Their own, which the provider sees.
    Own,
    /// Each a key of the gateway; the provider sees one key for both.
    Team,
}

const MODES: [Mode; 2] = [Mode::Own, Mode::Team];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Alice,
    Bob,
}

impl Who {
    fn key(self) -> &'static str {
        match self {
            Self::Alice => "key-of-alice-0123456789",
            Self::Bob => "key-of-bob-0123456789",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Alice => Self::Bob,
            Self::Bob => Self::Alice,
        }
    }
}

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";

/// A gateway's configuration for the two callers. What a provider did before does not count: circuits
/// are off where a test is not about them.
fn setup(server: &Scripted, mode: Mode) -> Config {
    let mut config = config(server);
    config.retries.max_retries = 0;
    config.breaker.error_percent = 0;
    if mode == Mode::Team {
        config.access.gateway_keys = [Who::Alice, Who::Bob]
            .map(|who| Secret::new(who.key()))
            .to_vec();
        for entry in &mut config.providers {
            entry.key = Some(Secret::new(provider_key(entry.provider.name)));
        }
    }
    config
}

fn provider_key(name: &str) -> String {
    format!("{name}-provider-secret-0123")
}

/// One property test's case on a runtime of its own.
fn block_on(case: impl Future<Output = ()>) {
    actix_web::rt::System::new().block_on(case);
}

// ---------------------------------------------------------------------------------------------
// Answers
// ---------------------------------------------------------------------------------------------

/// One question: its word is in no other.
#[derive(Debug, Clone)]
struct Call {
    who: Who,
    word: String,
    stream: bool,
}

impl Call {
    fn new(who: Who, number: usize, stream: bool) -> Self {
        let word = format!("{who:?}-word-{number:04}");
        Self { who, word, stream }
    }

    fn body(&self) -> Value {
        let mut body = hello("gpt-4o", self.stream);
        body["messages"][0]["content"] = json!(self.word);
        body
    }

    async fn ask(&self, gateway: &Gateway) -> Answer {
        let body = self.body().to_string();
        gateway.send(CHAT, Some(self.who.key()), &[], body).await
    }

    /// The caller got the answer to this question and no other, or is told that there is none. Whether
    /// it is the answer.
    fn check(&self, answer: &Answer, what: &dyn std::fmt::Debug) -> bool {
        self.verdict(answer)
            .unwrap_or_else(|wrong| panic!("{wrong}: {what:?}"))
    }

    /// The same; an error says what the caller should not have got.
    fn verdict(&self, answer: &Answer) -> Result<bool, String> {
        let all = format!("{} {:?} {}", answer.status, answer.headers, answer.text());
        let wrong = |why: &str| Err(format!("{self:?} got {why}: {all}"));
        if all.contains(self.who.other().key()) {
            return wrong("the key of another");
        }
        let own = self.word.rsplit('-').next().unwrap();
        for (at, mark) in all.match_indices("-word-") {
            let whose = all[..at].ends_with(&format!("{:?}", self.who));
            let number = all[at + mark.len()..].starts_with(own);
            if !whose || !number {
                return wrong("the answer to another question");
            }
        }
        if answer.status != 200 {
            let message = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
            let message = message["error"]["message"].as_str().unwrap_or_default();
            if answer.status < 400 || message.is_empty() {
                return wrong("an error without a text");
            }
            return Ok(false);
        }
        if !self.stream {
            let text = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
            let text = text["choices"][0]["message"]["content"].as_str();
            if !text.is_some_and(|text| text.contains(&self.word)) {
                return wrong("an answer of nothing");
            }
            return Ok(true);
        }
        let failed = answer.events().iter().any(|event| {
            let message = event["error"]["message"].as_str();
            message.is_some_and(|message| !message.is_empty())
        });
        // What follows the end of the stream in a body without a length, clients do not read.
        let whole = answer.text().contains(&self.word) && answer.text().contains(DONE);
        if !failed && !whole {
            return wrong("a stream of nothing");
        }
        Ok(whole && !failed)
    }
}

/// What a provider answers to a question: the word it was asked and the key it was asked with.
struct Said {
    word: String,
    text: String,
    stream: bool,
}

impl Said {
    fn to(request: &ReceivedRequest) -> Self {
        let body = request.json();
        let word = body["messages"][0]["content"].as_str().unwrap_or_default();
        let key = request.header("authorization").unwrap_or_default();
        Self {
            text: format!("{word} {}", key.trim_start_matches("Bearer ")),
            word: word.to_owned(),
            stream: body["stream"] == true,
        }
    }

    fn number(&self) -> usize {
        let digits = self.word.rsplit('-').next().unwrap();
        digits.parse().unwrap_or(0)
    }

    fn content_type(&self) -> &'static str {
        if self.stream {
            "text/event-stream"
        } else {
            "application/json"
        }
    }

    fn body(&self) -> String {
        if self.stream {
            return DELTA.replace("Hi", &self.text) + FINISH + DONE;
        }
        json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": self.text}, "finish_reason": "stop"}]})
        .to_string()
    }

    /// The whole answer as the plainest provider sends it.
    fn plain(&self) -> String {
        let body = self.body();
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {}\r\ncontent-length: {}\r\n\r\n{body}",
            self.content_type(),
            body.len()
        )
    }
}

// ---------------------------------------------------------------------------------------------
// Peers: how an answer is put on the wire
// ---------------------------------------------------------------------------------------------

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    Length,
    LengthThenClose,
    Chunked,
    /// HTTP/1.1 without either: the end of the connection.
    UntilClose,
    /// HTTP/1.0.
    OldLength,
    OldKept,
    OldUntilClose,
}

const FRAMES: [Frame; 7] = [
    Frame::Length,
    Frame::LengthThenClose,
    Frame::Chunked,
    Frame::UntilClose,
    Frame::OldLength,
    Frame::OldKept,
    Frame::OldUntilClose,
];

impl Frame {
    fn head(self, said: &Said, length: usize) -> String {
        let version = match self {
            Self::OldLength | Self::OldKept | Self::OldUntilClose => "HTTP/1.0",
            Self::Length | Self::LengthThenClose | Self::Chunked | Self::UntilClose => "HTTP/1.1",
        };
        let told = match self {
            Self::Length | Self::OldLength => format!("content-length: {length}\r\n"),
            Self::LengthThenClose => format!("content-length: {length}\r\nconnection: close\r\n"),
            Self::OldKept => format!("content-length: {length}\r\nconnection: keep-alive\r\n"),
            Self::Chunked => "transfer-encoding: chunked\r\n".to_owned(),
            Self::UntilClose | Self::OldUntilClose => String::new(),
        };
        let kind = said.content_type();
        format!("{version} 200 OK\r\ncontent-type: {kind}\r\n{told}\r\n")
    }

    fn body(self, body: &str) -> String {
        if self != Self::Chunked {
            return body.to_owned();
        }
        let (first, second) = body.split_at(body.len() / 2);
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        chunk(first) + &chunk(second) + "0\r\n\r\n"
    }

    fn until_close(self) -> bool {
        matches!(self, Self::UntilClose | Self::OldUntilClose)
    }
}

/// Heads that come before the answer's own, in order.
const INTERIMS: [&[&str]; 7] = [
    &[],
    &["100 Continue"],
    &["102 Processing"],
    &["103 Early Hints\r\nlink: </x>; rel=preload"],
    &["100 Continue", "103 Early Hints\r\nlink: </x>"],
    &["103 Early Hints", "103 Early Hints", "102 Processing"],
    &["199 Something"],
];

/// Such as tell of a body that they cannot have, or of another protocol.
const ODD_INTERIMS: [&[&str]; 4] = [
    &["102 Processing\r\ncontent-length: 0"],
    &["103 Early Hints\r\ncontent-length: 5"],
    &["103 Early Hints\r\ntransfer-encoding: chunked"],
    &["101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade"],
];

/// In what pieces an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writes {
    All,
    /// Each interim answer, the head and the body, with a pause between.
    Parts,
    /// So many bytes at a time, with a pause between.
    Bytes(usize),
}

/// What a peer says behind its answer though nobody asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Nothing,
    Answer,
    HalfAnswer,
    Newline,
    Byte,
    Word,
    LastChunk,
    Interim,
    /// As servers do that close an idle connection.
    TooLate,
}

const RESTS: [Rest; 9] = [
    Rest::Nothing,
    Rest::Answer,
    Rest::HalfAnswer,
    Rest::Newline,
    Rest::Byte,
    Rest::Word,
    Rest::LastChunk,
    Rest::Interim,
    Rest::TooLate,
];

impl Rest {
    fn bytes(self, said: &Said) -> Vec<u8> {
        let text = match self {
            Self::Nothing => String::new(),
            Self::Answer => said.plain(),
            Self::HalfAnswer => {
                let whole = said.plain();
                whole[..whole.find(&said.word).unwrap() + said.word.len()].to_owned()
            }
            Self::Newline => "\r\n".to_owned(),
            Self::Byte => "x".to_owned(),
            Self::Word => said.word.clone(),
            Self::LastChunk => "0\r\n\r\n".to_owned(),
            Self::Interim => "HTTP/1.1 100 Continue\r\n\r\n".to_owned(),
            Self::TooLate => {
                let head = "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: ";
                format!("{head}{}\r\n\r\n{}", said.word.len(), said.word)
            }
        };
        text.into_bytes()
    }
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    ReasoningState,
    Closed,
    Reset,
    /// In the middle of the body.
    CutClosed,
    CutReset,
}

const ENDINGS: [Ending; 5] = [
    Ending::ReasoningState,
    Ending::Closed,
    Ending::Reset,
    Ending::CutClosed,
    Ending::CutReset,
];

#[derive(Debug, Clone, Copy)]
struct Peer {
    interims: &'static [&'static str],
    writes: Writes,
    frame: Frame,
    rest: Rest,
    /// Whether the rest is sent in one write with the answer; else a moment later, before the next
    /// request.
    at_once: bool,
    ending: Ending,
}

const PLAIN: Peer = Peer {
    interims: &[],
    writes: Writes::All,
    frame: Frame::Length,
    rest: Rest::Nothing,
    at_once: true,
    ending: Ending::ReasoningState,
};

/// Long enough for what was written before to be read alone, mostly.
const MOMENT: Duration = Duration::from_millis(1);

impl Peer {
    fn is_cut(&self) -> bool {
        matches!(self.ending, Ending::CutClosed | Ending::CutReset)
    }

    fn is_odd(&self) -> bool {
        ODD_INTERIMS.contains(&self.interims)
    }

    /// Whether the answer is one, and nothing more.
    fn is_good(&self) -> bool {
        let ends = match self.ending {
            Ending::ReasoningState | Ending::Closed => true,
            Ending::Reset | Ending::CutClosed | Ending::CutReset => false,
        };
        ends && self.rest == Rest::Nothing && !self.is_odd()
    }

    /// Whether the connection may carry another request.
    fn leaves_it_usable(&self) -> bool {
        let kept = match self.frame {
            Frame::Length | Frame::Chunked | Frame::OldKept => true,
            Frame::LengthThenClose
            | Frame::UntilClose
            | Frame::OldLength
            | Frame::OldUntilClose => false,
        };
        // Of an interim answer that tells of a body, it is the reader's affair what to make.
        kept && self.rest == Rest::Nothing && self.ending == Ending::ReasoningState
    }

    fn script(&self, said: &Said) -> Script {
        let whole = said.body();
        let mut body = self.frame.body(&whole).into_bytes();
        if self.is_cut() {
            body.truncate(body.len() / 2);
        }
        let interim = |text: &&str| format!("HTTP/1.1 {text}\r\n\r\n").into_bytes();
        let mut parts: Vec<Vec<u8>> = self.interims.iter().map(interim).collect();
        parts.push(self.frame.head(said, whole.len()).into_bytes());
        parts.push(body);
        let mut pieces = match self.writes {
            Writes::All => vec![parts.concat()],
            Writes::Parts => parts,
            Writes::Bytes(size) => parts.concat().chunks(size).map(<[u8]>::to_vec).collect(),
        };
        let rest = if self.is_cut() {
            Vec::new()
        } else {
            self.rest.bytes(said)
        };
        if self.at_once {
            pieces.last_mut().unwrap().extend_from_slice(&rest);
        } else if !rest.is_empty() {
            pieces.push(rest);
        }
        let mut script = Script::default();
        for (n, piece) in pieces.into_iter().enumerate() {
            if n > 0 {
                script = script.then(Step::Pause(MOMENT));
            }
            script = script.then(Step::Write(piece));
        }
        match self.ending {
            Ending::Reset | Ending::CutReset => script.then(Step::Reset),
            Ending::Closed | Ending::CutClosed => script.then(Step::Close),
            Ending::ReasoningState if self.frame.until_close() => script.then(Step::Close),
            Ending::ReasoningState => script,
        }
    }
}

/// A provider that treats the n-th question as the n-th peer says, and begins again after the last.
fn provider(peers: Vec<Peer>) -> Scripted {
    Scripted::start(move |request: &ReceivedRequest| {
        let said = Said::to(request);
        peers[said.number() % peers.len()].script(&said)
    })
    .unwrap()
}

/// Waits until the provider has done all that its scripts say.
async fn quiet(server: &Scripted) {
    let ended =
        |counts: &ai_gateway::scripted::Counts| counts.answered + counts.left == counts.requests;
    // One that waits for its peer to leave is not waited for.
    until(server, "the end of the scripts", ended).await;
}

/// The requests that came on the connection of an earlier one, though what was said there forbids it.
fn reused(server: &Scripted, peers: &[Peer]) -> Vec<String> {
    let mut last: HashMap<usize, Said> = HashMap::new();
    let mut out = Vec::new();
    for request in server.requests() {
        let said = Said::to(&request);
        if let Some(before) = last.get(&request.connection) {
            let peer = peers[before.number() % peers.len()];
            if !peer.leaves_it_usable() {
                out.push(format!("{} after {}, {peer:?}", said.word, before.word));
            }
        }
        last.insert(request.connection, said);
    }
    out
}

// ---------------------------------------------------------------------------------------------
// Whose answer it is
// ---------------------------------------------------------------------------------------------

/// The rig is sound: a plain provider's answers are right, and its connections are used again, without
/// which nothing could come to the wrong question.
#[actix_web::test]
async fn a_plain_providers_answers_are_right_and_its_connections_are_used_again() {
    for mode in MODES {
        let server = provider(vec![PLAIN]);
        let gateway = Gateway::start(setup(&server, mode));
        for number in 0..8 {
            let who = [Who::Alice, Who::Bob][number % 2];
            let call = Call::new(who, number, number % 4 > 1);
            assert!(call.check(&call.ask(&gateway).await, &mode), "{mode:?}");
            quiet(&server).await;
        }
        let connections = server.counts().connections;
        assert!(connections <= 2, "{mode:?}: {connections} for two callers");
        let seen = server.requests();
        let keys = seen
            .iter()
            .filter_map(|request| request.header("authorization"));
        let bobs = keys.filter(|key| key.contains(Who::Bob.key())).count();
        assert_eq!(bobs, if mode == Mode::Own { 4 } else { 0 }, "{mode:?}");
    }
}

/// Every framing behind every row of interim answers, in whatever pieces it comes.
#[actix_web::test]
async fn interim_answers_are_passed_over_and_every_framing_is_read_to_its_end() {
    let mut peers = Vec::new();
    for interims in INTERIMS {
        for frame in FRAMES {
            for writes in [Writes::All, Writes::Parts, Writes::Bytes(70)] {
                peers.push(Peer {
                    interims,
                    writes,
                    frame,
                    ..PLAIN
                });
            }
        }
    }
    let mut wrong = Vec::new();
    for mode in MODES {
        let server = provider(peers.clone());
        let gateway = Gateway::start(setup(&server, mode));
        for (number, peer) in peers.iter().enumerate() {
            let who = [Who::Alice, Who::Bob][number % 2];
            for stream in [false, true] {
                let call = Call::new(who, number, stream);
                let answer = call.ask(&gateway).await;
                match call.verdict(&answer) {
                    Ok(true) => {}
                    Ok(false) => {
                        wrong.push(format!("{mode:?} {stream} {peer:?}: {}", answer.text()));
                    }
                    Err(other) => wrong.push(format!("{mode:?} {stream} {peer:?}: {other}")),
                }
                quiet(&server).await;
            }
        }
        wrong.extend(reused(&server, &peers));
    }
    let all = peers.len() * 4;
    assert!(
        wrong.is_empty(),
        "{} of {all}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn any_peer() -> impl Strategy<Value = Peer> {
    let interims: Vec<_> = INTERIMS.into_iter().chain(ODD_INTERIMS).collect();
    let writes = prop_oneof![
        Just(Writes::All),
        Just(Writes::Parts),
        (40..200_usize).prop_map(Writes::Bytes)
    ];
    (
        prop::sample::select(interims),
        writes,
        prop::sample::select(FRAMES.to_vec()),
        prop::sample::select(RESTS.to_vec()),
        any::<bool>(),
        // Most keep the connection: what another is given by mistake comes over those.
        prop_oneof![3 => Just(Ending::ReasoningState), 1 => prop::sample::select(ENDINGS.to_vec())],
    )
        .prop_map(|(interims, writes, frame, rest, at_once, ending)| Peer {
            interims,
            writes,
            frame,
            rest,
            at_once,
            ending,
        })
}

async fn ask_in_turn(peers: Vec<Peer>, mode: Mode, streams: Vec<bool>) {
    let server = provider(peers.clone());
    let gateway = Gateway::start(setup(&server, mode));
    // Twice, so that each is followed by all kinds of others.
    for number in 0..peers.len() * 2 {
        let who = [Who::Alice, Who::Bob][number % 2];
        let call = Call::new(who, number, streams[number % streams.len()]);
        let peer = &peers[number % peers.len()];
        let answer = call.ask(&gateway).await;
        let had = call.check(&answer, &peers);
        assert!(
            had || !peer.is_good(),
            "{mode:?} {call:?}: {}",
            answer.text()
        );
        quiet(&server).await;
    }
    assert_eq!(reused(&server, &peers), Vec::<String>::new(), "{mode:?}");
}

async fn ask_at_the_same_time(mut peers: Vec<Peer>, mode: Mode, streams: Vec<bool>) {
    for peer in &mut peers {
        // What is sent after another's request has come nobody can tell from its answer.
        peer.at_once = true;
    }
    let server = provider(peers.clone());
    let gateway = Gateway::start(setup(&server, mode));
    for round in 0..3 {
        let calls = (0..6).map(|n| {
            let number = round * 6 + n;
            let who = [Who::Alice, Who::Bob][number % 2];
            let call = Call::new(who, number, streams[number % streams.len()]);
            let gateway = &gateway;
            async move {
                let answer = call.ask(gateway).await;
                (call, answer)
            }
        });
        for (call, answer) in join_all(calls).await {
            call.check(&answer, &peers);
        }
    }
    quiet(&server).await;
    assert_eq!(reused(&server, &peers), Vec::<String>::new(), "{mode:?}");
}

proptest! {
    // The same inputs each time: what fails for one fails for all.
    #![proptest_config(ProptestConfig {
        cases: 96,
        max_shrink_iters: 64,
        rng_seed: proptest::test_runner::RngSeed::Fixed(20_261_127),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn who_asks_in_turn_gets_the_own_answer_or_an_error(
        peers in prop::collection::vec(any_peer(), 1..6),
        mode in prop::sample::select(MODES.to_vec()),
        streams in prop::collection::vec(any::<bool>(), 1..6),
    ) {
        block_on(ask_in_turn(peers, mode, streams));
    }

    #[test]
    fn who_asks_at_the_same_time_gets_the_own_answer_or_an_error(
        peers in prop::collection::vec(any_peer(), 1..6),
        mode in prop::sample::select(MODES.to_vec()),
        streams in prop::collection::vec(any::<bool>(), 1..6),
    ) {
        block_on(ask_at_the_same_time(peers, mode, streams));
    }
}

/// Beginnings of an answer, and what of it comes when the caller has been told that it is too late and
/// the next one asks.
fn unfinished(said: &Said) -> Vec<(&'static str, String, String)> {
    let plain = said.plain();
    let body = said.body();
    let cut = |at: usize| (plain[..at].to_owned(), plain[at..].to_owned());
    let (head_begun, head_rest) = cut(30);
    let (head, behind_head) = cut(plain.len() - body.len());
    let (half, half_rest) = cut(plain.len() - body.len() / 2);
    let open_head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {}\r\n\r\n",
        said.content_type()
    );
    let old_head = open_head.replace("HTTP/1.1", "HTTP/1.0");
    let chunked = open_head.replace("\r\n\r\n", "\r\ntransfer-encoding: chunked\r\n\r\n");
    let chunks = Frame::Chunked.body(&body);
    let (chunks_begun, chunks_rest) = chunks.split_at(chunks.len() / 2);
    let mut out = vec![
        ("nothing", String::new(), plain.clone()),
        ("half a head", head_begun, head_rest),
        ("a head", head, behind_head),
        ("half a body", half, half_rest),
        (
            "half of the chunks",
            chunked + chunks_begun,
            chunks_rest.to_owned(),
        ),
        ("a head without a length", open_head.clone(), plain.clone()),
        ("an old head without a length", old_head, plain.clone()),
        (
            "no length and half a body",
            open_head + &body[..body.len() / 2],
            plain.clone(),
        ),
        (
            "half an interim answer",
            "HTTP/1.1 103 Ea".to_owned(),
            format!("rly\r\n\r\n{plain}"),
        ),
    ];
    for interims in INTERIMS
        .into_iter()
        .chain(ODD_INTERIMS)
        .filter(|row| !row.is_empty())
    {
        let heads = interims
            .iter()
            .map(|text| format!("HTTP/1.1 {text}\r\n\r\n"));
        out.push((interims[0], heads.collect(), plain.clone()));
    }
    out
}

/// Something to count cases by.
fn example() -> Said {
    Said {
        word: "Alice-word-0000".to_owned(),
        text: "Alice-word-0000".to_owned(),
        stream: false,
    }
}

/// Who asks next, and with whose keys: another caller, or the same one with another question.
const NEXT: [(Mode, Who); 3] = [
    (Mode::Own, Who::Bob),
    (Mode::Team, Who::Bob),
    (Mode::Team, Who::Alice),
];

#[actix_web::test]
async fn what_comes_too_late_for_one_question_is_not_the_answer_to_the_next() {
    let mut wrong = Vec::new();
    for stream in [false, true] {
        // All at once: each waits for the end of its time.
        let cases = 0..unfinished(&example()).len();
        let tried = cases.flat_map(|case| NEXT.map(|next| too_late(case, next, stream)));
        wrong.extend(join_all(tried).await.into_iter().flatten());
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is wrong when an answer is begun like this, its caller gives up, and the next question comes.
async fn too_late(case: usize, (mode, next): (Mode, Who), stream: bool) -> Option<String> {
    let owed: Mutex<HashMap<usize, String>> = Mutex::default();
    let server = Scripted::start(move |request: &ReceivedRequest| {
        let said = Said::to(request);
        let mut owed = owed.lock().unwrap();
        if said.number() == 0 {
            let (_, begun, rest) = unfinished(&said).swap_remove(case);
            owed.insert(request.connection, rest);
            return Script::raw(begun);
        }
        let first = owed.remove(&request.connection).unwrap_or_default();
        Script::raw(first + &said.plain())
    })
    .unwrap();
    let mut config = setup(&server, mode);
    config.calls.request_timeout = Duration::from_secs(2);
    let gateway = Gateway::start(config);
    let what = unfinished(&example()).swap_remove(case).0;
    let what = format!("{mode:?}, stream: {stream}, {what}");
    let alice = Call::new(Who::Alice, 0, stream);
    if alice.check(&alice.ask(&gateway).await, &what) {
        return Some(format!("{what}: there was no whole answer"));
    }
    let next = Call::new(next, 1, stream);
    let answer = next.ask(&gateway).await;
    match next.verdict(&answer) {
        Ok(true) => None,
        Ok(false) => Some(format!("{what}: {:?} got {}", next.who, answer.text())),
        Err(wrong) => Some(format!("{what}: {wrong}")),
    }
}

/// A provider that is one answer behind on each connection. On the wire that looks right: only who does
/// not share a connection is safe.
#[actix_web::test]
async fn a_provider_that_answers_twice_does_not_answer_another_caller() {
    for mode in MODES {
        for stream in [false, true] {
            let before: Mutex<HashMap<usize, String>> = Mutex::default();
            let server = Scripted::start(move |request: &ReceivedRequest| {
                let own = Said::to(request).plain();
                let mut before = before.lock().unwrap();
                let last = before.insert(request.connection, own.clone());
                Script::raw(last.unwrap_or(own))
            })
            .unwrap();
            let gateway = Gateway::start(setup(&server, mode));
            for round in 0..6 {
                let calls = [Who::Alice, Who::Bob].map(|who| Call::new(who, round, stream));
                // One after the other, and then both together.
                let answers = if round < 3 {
                    vec![calls[0].ask(&gateway).await, calls[1].ask(&gateway).await]
                } else {
                    join_all(calls.iter().map(|call| call.ask(&gateway))).await
                };
                for (call, answer) in calls.iter().zip(answers) {
                    let all = format!("{:?} {}", answer.headers, answer.text());
                    let other = call.who.other();
                    let word = format!("{other:?}-word-");
                    let has = all.contains(&word) || all.contains(other.key());
                    assert!(!has, "{mode:?}, stream: {stream}: {:?} got {all}", call.who);
                }
                quiet(&server).await;
            }
        }
    }
}

/// What an answer is that no caller gets, its head, and what follows it.
type GivenUp = (&'static str, String);

/// Answers of no use with a well-framed body, which is a whole answer that nobody must be given.
fn unread(said: &Said) -> Vec<GivenUp> {
    let body = said.plain();
    let kind = said.content_type();
    let heads = [
        ("a redirect", "307 Moved\r\nlocation: /x".to_owned()),
        ("a page", "200 OK\r\ncontent-type: text/html".to_owned()),
        ("no type", "200 OK".to_owned()),
        (
            "an error page",
            "502 Bad\r\ncontent-type: text/html".to_owned(),
        ),
        (
            "compressed",
            format!("200 OK\r\ncontent-type: {kind}\r\ncontent-encoding: gzip"),
        ),
    ];
    let length = body.len();
    let whole = |head: &str| format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}");
    heads.map(|(what, head)| (what, whole(&head))).into()
}

/// Answers that end with their head, or soon after, and a whole answer behind it.
fn followed(said: &Said) -> Vec<GivenUp> {
    let rest = said.plain();
    let kind = said.content_type();
    let length = rest.len();
    let rows = [
        ("204 with a body", "204 No Content", length, ""),
        ("304 with a body", "304 Not Modified", length, ""),
        ("204", "204 No Content", 0, ""),
        ("205", "205 Reset Content", 0, ""),
        ("an empty answer", "200 OK", 0, ""),
        ("no such status", "999 What", 0, ""),
        ("status 99", "099 What", 0, ""),
        ("400", "400 Bad", 2, "{}"),
        ("500", "500 Bad", 2, "{}"),
        ("429", "429 Busy\r\nretry-after: 60", 0, ""),
        ("a redirect", "307 Moved\r\nlocation: /x", 0, ""),
    ];
    let mut out: Vec<_> = rows
        .map(|(what, head, length, body)| {
            let head =
                format!("HTTP/1.1 {head}\r\ncontent-type: {kind}\r\ncontent-length: {length}");
            (what, format!("{head}\r\n\r\n{body}{rest}"))
        })
        .into();
    out.push((
        "204 without a length",
        format!("HTTP/1.1 204 No Content\r\n\r\n{rest}"),
    ));
    let upgrade = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x";
    out.push(("another protocol", format!("{upgrade}\r\n\r\n{rest}")));
    out
}

/// Answers whose end is told in two ways, or in none that can be, and a whole answer behind them.
fn framed_twice(said: &Said) -> Vec<GivenUp> {
    let rest = said.plain();
    let good = said.body();
    let chunks = Frame::Chunked.body(&good);
    let (short, long) = (good.len(), good.len() + rest.len());
    let all_chunks = chunks.len() + rest.len();
    let endless = chunks.replacen("\r\n", "0000000000000000\r\n", 1);
    let trailers = chunks.replace("0\r\n\r\n", "0\r\nx-trailer: x\r\n\r\n");
    let encoded = |encoding: &str| format!("transfer-encoding: {encoding}");
    let sized = |length: &str| format!("content-length: {length}");
    let rows = [
        (
            "two lengths",
            format!("content-length: {short}\r\ncontent-length: {long}"),
            &good,
        ),
        (
            "the longer first",
            format!("content-length: {long}\r\ncontent-length: {short}"),
            &good,
        ),
        (
            "a list of lengths",
            sized(&format!("{short}, {long}")),
            &good,
        ),
        ("a length with a sign", sized(&format!("+{short}")), &good),
        ("a length below nothing", sized(&format!("-{short}")), &good),
        (
            "a length beyond all",
            sized(&format!("{short}00000000000000000000")),
            &good,
        ),
        (
            "a length in two words",
            sized(&format!("{short} {long}")),
            &good,
        ),
        ("an unknown encoding", encoded("cow"), &chunks),
        (
            "chunks within another encoding",
            encoded("chunked, gzip"),
            &chunks,
        ),
        ("chunks twice", encoded("chunked, chunked"), &chunks),
        (
            "a length and chunks",
            format!("content-length: {short}\r\ntransfer-encoding: chunked"),
            &chunks,
        ),
        (
            "chunks and a longer length",
            format!("transfer-encoding: chunked\r\ncontent-length: {all_chunks}"),
            &chunks,
        ),
        ("a chunk beyond all", encoded("chunked"), &endless),
        ("chunks with trailers", encoded("chunked"), &trailers),
    ];
    let kind = said.content_type();
    let head = |told: &str| format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{told}\r\n\r\n");
    let mut out: Vec<_> = rows
        .map(|(what, told, body)| (what, head(&told) + body + &rest))
        .into();
    let old = head(&encoded("chunked")).replace("HTTP/1.1", "HTTP/1.0");
    out.push(("chunks of HTTP/1.0", old + &chunks + &rest));
    let lone = head(&sized(&short.to_string())).replacen("\r\n", "\n", 3);
    out.push(("a head with lone newlines", lone + &good + &rest));
    out
}

fn given_up(said: &Said) -> Vec<GivenUp> {
    let mut out = unread(said);
    out.extend(followed(said));
    out.extend(framed_twice(said));
    out
}

#[actix_web::test]
async fn an_answer_that_is_given_up_takes_its_connection_with_it() {
    let cases = given_up(&example()).len();
    let mut wrong = Vec::new();
    for case in 0..cases {
        // Those of a case together: some are waited for until their time is over.
        let tried = [false, true].into_iter();
        let tried = tried.flat_map(|stream| NEXT.map(|next| after_given_up(case, next, stream)));
        wrong.extend(join_all(tried).await.into_iter().flatten());
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is wrong when one question is answered like this, and the next comes.
async fn after_given_up(case: usize, (mode, next): (Mode, Who), stream: bool) -> Option<String> {
    let server = Scripted::start(move |request: &ReceivedRequest| {
        let said = Said::to(request);
        match said.number() {
            0 => Script::raw(given_up(&said).swap_remove(case).1),
            _ => Script::raw(said.plain()),
        }
    })
    .unwrap();
    let mut config = setup(&server, mode);
    config.calls.request_timeout = Duration::from_millis(1500);
    config.calls.idle_timeout = Some(Duration::from_millis(1500));
    let gateway = Gateway::start(config);
    let what = given_up(&example()).swap_remove(case).0;
    let what = format!("{mode:?}, stream: {stream}, {what}");
    let alice = Call::new(Who::Alice, 0, stream);
    if let Err(wrong) = alice.verdict(&alice.ask(&gateway).await) {
        return Some(format!("{what}: {wrong}"));
    }
    quiet(&server).await;
    let next = Call::new(next, 1, stream);
    let answer = next.ask(&gateway).await;
    match next.verdict(&answer) {
        // A body that ends where it says may have been read, and thrown away.
        Ok(true) if server.counts().connections == 2 || case < unread(&example()).len() => None,
        Ok(true) => Some(format!("{what}: the connection was used again")),
        Ok(false) => Some(format!("{what}: {:?} got {}", next.who, answer.text())),
        Err(wrong) => Some(format!("{what}: {wrong}")),
    }
}

/// Opens a request by hand, so that its caller can leave.
async fn open(gateway: &Gateway, who: Who, body: &Value) -> TcpStream {
    let body = body.to_string();
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        who.key(),
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    stream
}

#[actix_web::test]
async fn a_caller_who_leaves_takes_the_connection_along() {
    for case in 0..unfinished(&example()).len() {
        for (mode, next) in NEXT {
            let stream = case % 2 == 0;
            let server = Scripted::start(move |request: &ReceivedRequest| {
                let said = Said::to(request);
                match said.number() {
                    0 => Script::raw(unfinished(&said).swap_remove(case).1).then(Step::Hang),
                    _ => Script::raw(said.plain()),
                }
            })
            .unwrap();
            let what = unfinished(&example()).swap_remove(case).0;
            let gateway = Gateway::start(setup(&server, mode));
            let alice = Call::new(Who::Alice, 0, stream);
            let caller = open(&gateway, Who::Alice, &alice.body()).await;
            until(&server, "the first request", |counts| counts.requests == 1).await;
            drop(caller);
            until(&server, what, |counts| counts.left == 1).await;
            let next = Call::new(next, 1, stream);
            assert!(next.check(&next.ask(&gateway).await, &what), "{what}");
            assert_eq!(server.counts().connections, 2, "{what}");
        }
    }
}

// ---------------------------------------------------------------------------------------------
// Nobody takes a model from another: Alice's requests are good, Bob's are not
// ---------------------------------------------------------------------------------------------

/// Whether a request is one that the provider cannot bear: by its key, or by what it says where all
/// have one key.
fn is_bad(request: &ReceivedRequest) -> bool {
    let names = ["authorization", "x-api-key"];
    let by_key = |name: &str| {
        let value = request.header(name);
        value.is_some_and(|value| value.contains(Who::Bob.key()))
    };
    names.into_iter().any(by_key) || String::from_utf8_lossy(&request.body).contains("poison")
}

fn from_bob(model: &str, mode: Mode, stream: bool) -> Value {
    let mut body = hello(model, stream);
    if mode == Mode::Team {
        body["messages"][0]["content"] = json!("poison");
    }
    body
}

/// A provider that answers Alice, and Bob with this.
fn bad_for_bob(script: Script) -> Scripted {
    Scripted::start(move |request: &ReceivedRequest| {
        if is_bad(request) {
            script.clone()
        } else {
            ai_gateway::scripted::answer(request)
        }
    })
    .unwrap()
}

async fn say(gateway: &Gateway, who: Who, body: &Value) -> Answer {
    gateway
        .send(CHAT, Some(who.key()), &[], body.to_string())
        .await
}

const MODELS: [&str; 2] = ["gpt-4o", "claude-opus-5-5"];

/// Of forty good requests, each beside one of Bob's, the answers that were not good.
async fn forty(gateway: &Gateway, model: &str, bobs: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for _ in 0..40 {
        let good = hello(model, false);
        let bad = say(gateway, Who::Bob, bobs);
        let (good, _) = tokio::join!(say(gateway, Who::Alice, &good), bad);
        if good.status != 200 {
            wrong.push(format!("{} {}", good.status, good.text()));
        }
    }
    wrong
}

#[actix_web::test]
async fn whom_the_provider_fails_shuts_no_circuit_for_another() {
    let kinds: Vec<(&str, Script)> = vec![
        ("500", status(500, &[])),
        ("529", status(529, &[])),
        ("a close", Script::default().then(Step::Close)),
        ("a reset", Script::default().then(Step::Reset)),
        (
            "no HTTP",
            Script::raw("SSH-2.0-x\r\n\r\n").then(Step::Close),
        ),
        (
            "no JSON",
            Script::whole(200, &[("content-type", "application/json")], "<html>"),
        ),
        (
            "a cut body",
            Script::raw(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{",
            )
            .then(Step::Close),
        ),
    ];
    let mut wrong = Vec::new();
    for mode in MODES {
        for (what, script) in &kinds {
            for model in MODELS {
                let server = bad_for_bob(script.clone());
                let mut config = setup(&server, mode);
                config.breaker = Config::default().breaker;
                let gateway = Gateway::start(config);
                let bobs = from_bob(model, mode, false);
                join_all((0..40).map(|_| say(&gateway, Who::Bob, &bobs))).await;
                let failed = forty(&gateway, model, &bobs).await;
                if let Some(first) = failed.first() {
                    wrong.push(format!(
                        "{mode:?}, {model}, {what}: {} of 40 failed: {first}",
                        failed.len()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[actix_web::test]
async fn whom_the_provider_lets_wait_shuts_no_circuit_for_another() {
    let mut wrong = Vec::new();
    for mode in MODES {
        for model in MODELS {
            let server = bad_for_bob(Script::default().then(Step::Hang));
            let mut config = setup(&server, mode);
            config.breaker = Config::default().breaker;
            // Bob's are streams, so that the good ones have all the time there is.
            config.calls.first_event_timeout = Some(Duration::from_millis(100));
            let gateway = Gateway::start(config);
            let bobs = from_bob(model, mode, true);
            join_all((0..40).map(|_| say(&gateway, Who::Bob, &bobs))).await;
            for n in 0..40 {
                let answer = say(&gateway, Who::Alice, &hello(model, false)).await;
                if answer.status != 200 {
                    wrong.push(format!("{mode:?}, {model}, {n}: {}", answer.text()));
                    break;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[actix_web::test]
async fn who_spends_retries_spends_no_one_elses() {
    for mode in MODES {
        let first = AtomicUsize::new(0);
        let server = Scripted::start(move |request: &ReceivedRequest| {
            let is_first = || first.fetch_add(1, Ordering::SeqCst) == 0;
            if is_bad(request) || is_first() {
                status(503, &[])
            } else {
                completion()
            }
        })
        .unwrap();
        let mut config = setup(&server, mode);
        config.retries.max_retries = 2;
        config.retries.budget_percent = 0;
        config.retries.budget_per_sec = 1;
        let gateway = Gateway::start(config);
        let bobs = from_bob("gpt-4o", mode, false);
        join_all((0..20).map(|_| say(&gateway, Who::Bob, &bobs))).await;
        let answer = say(&gateway, Who::Alice, &hello("gpt-4o", false)).await;
        assert_eq!(answer.status, 200, "{mode:?}: {}", answer.text());
        assert_eq!(answer.header("x-gateway-attempts"), Some("2"), "{mode:?}");
    }
}

/// Bob's requests that nobody answers, each in a task that ends with its refusal.
struct Hanging {
    refused: Arc<AtomicUsize>,
    tasks: Vec<actix_web::rt::task::JoinHandle<()>>,
}

impl Hanging {
    async fn open(gateway: &Gateway, bodies: &[Value]) -> Self {
        let refused = Arc::new(AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for body in bodies {
            let mut stream = open(gateway, Who::Bob, body).await;
            let refused = Arc::clone(&refused);
            tasks.push(actix_web::rt::spawn(async move {
                let mut all = Vec::new();
                while stream.read_buf(&mut all).await.is_ok_and(|read| read > 0) {
                    if all.starts_with(b"HTTP/1.1 503") {
                        refused.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                }
            }));
        }
        Self { refused, tasks }
    }

    /// Waits until each is at the provider, in the line, or refused.
    async fn settled(&self, gateway: &Gateway, server: &Scripted) {
        let mut seen = (0, 0, 0);
        let settling = async {
            loop {
                let waiting = metric(gateway, "gateway_waiting{provider=\"openai\"}").await;
                let refused = self.refused.load(Ordering::SeqCst);
                let under_way = server.counts().requests;
                let waiting = usize::try_from(waiting.unwrap_or(0)).unwrap();
                seen = (under_way, waiting, refused);
                if under_way + waiting + refused >= self.tasks.len() {
                    return;
                }
            }
        };
        let settled = timeout(PATIENCE, settling).await;
        assert!(settled.is_ok(), "{seen:?} of {}", self.tasks.len());
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

#[actix_web::test]
async fn who_takes_all_slots_and_the_line_leaves_room_for_another() {
    const SLOTS: usize = 64;
    let mut wrong = Vec::new();
    for mode in MODES {
        // All slots; all slots and some of the line; all of both and more.
        for many in [SLOTS, SLOTS + 10, 3 * SLOTS] {
            for stream in [false, true] {
                let begun = if stream {
                    Script::stream().chunk(DELTA)
                } else {
                    Script::default()
                };
                let server = bad_for_bob(begun.then(Step::Hang));
                let mut config = setup(&server, mode);
                config.calls.max_in_flight = SLOTS;
                config.calls.max_waiting = SLOTS;
                config.calls.wait_timeout = Duration::from_secs(3);
                let gateway = Gateway::start(config);
                let bobs = from_bob("gpt-4o", mode, stream);
                let hanging = Hanging::open(&gateway, &vec![bobs; many]).await;
                hanging.settled(&gateway, &server).await;
                let good = hello("gpt-4o", false);
                let answers = join_all((0..8).map(|_| say(&gateway, Who::Alice, &good))).await;
                let bad = answers.iter().find(|answer| answer.status != 200);
                if let Some(bad) = bad {
                    wrong.push(format!(
                        "{mode:?}, {many}, stream: {stream}: {}",
                        bad.text()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A body of about so many bytes.
fn sized(model: &str, bytes: usize) -> Value {
    let mut body = hello(model, false);
    body["messages"][0]["content"] = json!("x".repeat(bytes));
    body
}

#[actix_web::test]
async fn who_holds_stalled_bodies_leaves_memory_for_another() {
    const EACH: usize = 1_000_000;
    for mode in MODES {
        let server = bad_for_bob(status(500, &[]));
        let mut config = setup(&server, mode);
        config.server.max_body = EACH + EACH / 10;
        config.server.body_memory = 4 * EACH;
        let gateway = Gateway::start(config);
        let mut stalled = Vec::new();
        for _ in 0..8 {
            let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
            let head = format!(
                "POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {EACH}\r\n\r\n",
                Who::Bob.key()
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            // Some may be refused meanwhile, and are not heard any more.
            let _ = stream.write_all(&vec![b' '; EACH - 10]).await;
            stalled.push(stream);
        }
        // What was written is read before a request that comes later, as far as there is room.
        for bytes in [100, 10_000, 100_000] {
            let answer = say(&gateway, Who::Alice, &sized("gpt-4o", bytes)).await;
            assert_eq!(
                answer.status,
                200,
                "{mode:?}, {bytes} bytes: {}",
                answer.text()
            );
        }
        drop(stalled);
    }
}

#[actix_web::test]
async fn who_holds_whole_bodies_in_hanging_calls_leaves_memory_for_another() {
    const EACH: usize = 1_000_000;
    for mode in MODES {
        let server = bad_for_bob(Script::default().then(Step::Hang));
        let mut config = setup(&server, mode);
        config.server.max_body = EACH + EACH / 10;
        config.server.body_memory = 4 * EACH;
        let gateway = Gateway::start(config);
        // Smaller ones fill what the large ones leave.
        let sizes = [EACH, EACH / 3, EACH / 10, EACH / 100, EACH / 1000];
        let bodies = sizes.into_iter().flat_map(|bytes| {
            let mut body = sized("gpt-4o", bytes);
            body["user"] = json!("poison");
            vec![body; 10]
        });
        let hanging = Hanging::open(&gateway, &bodies.collect::<Vec<_>>()).await;
        hanging.settled(&gateway, &server).await;
        for bytes in [100, 10_000, 100_000] {
            let answer = say(&gateway, Who::Alice, &sized("gpt-4o", bytes)).await;
            assert_eq!(
                answer.status,
                200,
                "{mode:?}, {bytes} bytes: {}",
                answer.text()
            );
        }
    }
}

/// A body that rests loses its place, however fast it came before.
#[actix_web::test]
async fn a_body_that_stalls_is_given_up_soon_however_fast_it_began() {
    const EACH: usize = 1_000_000;
    let server = Scripted::start(|_| completion()).unwrap();
    let mut config = setup(&server, Mode::Own);
    config.server.max_body = 2 * EACH;
    config.server.body_timeout = Duration::from_millis(300);
    let gateway = Gateway::start(config);
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\nContent-Length: {EACH}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; EACH - 10]).await.unwrap();
    read_until(&mut stream, "request_timeout").await;
    assert_eq!(server.counts().connections, 0);
}

/// Of a list of models that hangs, another's request for one does not hang too, and nobody gets a list
/// that was made for another key.
#[actix_web::test]
async fn lists_of_models_are_those_of_the_own_key_and_wait_for_nobody() {
    let server = Scripted::start(|request: &ReceivedRequest| {
        if is_bad(request) {
            return Script::default().then(Step::Hang);
        }
        let key = request.header("authorization").unwrap_or_default();
        let id = format!("ft-{}", key.trim_start_matches("Bearer "));
        Script::json(
            200,
            &json!({"object": "list", "data": [{"id": id, "object": "model"}]}),
        )
    })
    .unwrap();
    let gateway = Gateway::start(setup(&server, Mode::Own));
    let path = "/v1/models?provider=openai";
    let mut hanging = Box::pin(gateway.get(path, Some(Who::Bob.key())));
    assert!((&mut hanging).now_or_never().is_none());
    let carol = "key-of-carol-0123456789";
    for key in [Who::Alice.key(), carol] {
        let listed = tokio::select! {
            answer = &mut hanging => panic!("Bob got {}", answer.text()),
            listed = gateway.get(path, Some(key)) => listed,
        };
        assert_eq!(listed.status, 200, "{}", listed.text());
        for other in [Who::Alice.key(), Who::Bob.key(), carol] {
            let has = listed.text().contains(other);
            assert!(!has || other == key, "{key}: {}", listed.text());
        }
    }
}

// ---------------------------------------------------------------------------------------------
// Reasoning that is remembered
// ---------------------------------------------------------------------------------------------

/// A provider whose first turns think and call, and number both; a conversation with a result of a call
/// ends with a text.
struct Thinker {
    model: &'static str,
    call: &'static str,
    /// The answer, for the n-th thought.
    turn: fn(&str, &str) -> Value,
}

fn thought(number: usize) -> String {
    format!("thought-of-turn-{number}-0123456789")
}

fn calling(call: &str) -> Value {
    json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null, "tool_calls": [
            {"id": call, "type": "function", "function": {"name": "x", "arguments": "{}"}}]}}]})
}

const THINKERS: [Thinker; 5] = [
    Thinker {
        model: "kimi/x",
        call: "functions.x:0",
        turn: with_reasoning_content,
    },
    Thinker {
        model: "deepseek/deepseek-reasoner",
        call: "call_0",
        turn: with_reasoning_content,
    },
    Thinker {
        model: "deepseek/deepseek-reasoner",
        call: "call_a_name_that_is_like_no_other",
        turn: with_reasoning_content,
    },
    Thinker {
        model: "gemini-3-pro",
        call: "function-call-1",
        turn: |call, thought| {
            let mut answer = calling(call);
            answer["choices"][0]["message"]["tool_calls"][0]["extra_content"] =
                json!({"google": {"thought_signature": thought}});
            answer
        },
    },
    Thinker {
        model: "claude-opus-5-5",
        call: "toolu_01A09q90qw90lq917835lq9",
        turn: |call, thought| {
            json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": [
                {"type": "thinking", "thinking": thought, "signature": "c2lnbmVk"},
                {"type": "tool_use", "id": call, "name": "x", "input": {}}],
                "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}})
        },
    },
];

fn with_reasoning_content(call: &str, thought: &str) -> Value {
    let mut answer = calling(call);
    answer["choices"][0]["message"]["reasoning_content"] = json!(thought);
    answer
}

/// Leaves of a message what every client knows.
fn forgets(message: &mut Value) {
    let calls = message["tool_calls"].as_array().unwrap().iter();
    let calls: Vec<_> = calls
        .map(|call| json!({"id": call["id"], "type": "function", "function": call["function"]}))
        .collect();
    *message = json!({"role": "assistant", "content": null, "tool_calls": calls});
}

impl Thinker {
    fn provider(&self) -> Scripted {
        let (call, turn) = (self.call, self.turn);
        let next = AtomicUsize::new(1);
        Scripted::start(move |request: &ReceivedRequest| {
            let text = String::from_utf8_lossy(&request.body).into_owned();
            if text.contains("the result") {
                return ai_gateway::scripted::answer(request);
            }
            let number = next.fetch_add(1, Ordering::SeqCst);
            Script::json(200, &turn(call, &thought(number)))
        })
        .unwrap()
    }

    fn opening(&self) -> Value {
        json!({"model": self.model, "messages": [
                {"role": "system", "content": "You are an agent."}, {"role": "user", "content": "Start."}],
            "tools": [{"type": "function", "function": {"name": "x", "parameters": {"type": "object", "properties": {}}}}]})
    }

    async fn begin(&self, gateway: &Gateway, who: Who) -> Value {
        let answer = say(gateway, who, &self.opening()).await;
        assert_eq!(answer.status, 200, "{}: {}", self.model, answer.text());
        answer.json()["choices"][0]["message"].clone()
    }

    /// What the provider was sent when a caller goes on after this message.
    async fn go_on(
        &self,
        gateway: &Gateway,
        server: &Scripted,
        who: Who,
        message: Value,
    ) -> String {
        let id = message["tool_calls"][0]["id"].clone();
        let mut body = self.opening();
        let turns = body["messages"].as_array_mut().unwrap();
        turns.push(message);
        turns.push(json!({"role": "tool", "tool_call_id": id, "content": "the result"}));
        let answer = say(gateway, who, &body).await;
        assert_eq!(answer.status, 200, "{}: {}", self.model, answer.text());
        let sent = server.requests().pop().unwrap();
        String::from_utf8(sent.body).unwrap()
    }
}

#[actix_web::test]
async fn what_a_client_brings_of_its_reasoning_is_what_goes_out() {
    let mut wrong = Vec::new();
    for mode in MODES {
        for thinker in &THINKERS {
            let what = format!("{mode:?}, {}, {}", thinker.model, thinker.call);
            let server = thinker.provider();
            let gateway = Gateway::start(setup(&server, mode));
            let alices = thinker.begin(&gateway, Who::Alice).await;
            let bobs = thinker.begin(&gateway, Who::Bob).await;
            // Her own second conversation, which began alike too.
            let later = thinker.begin(&gateway, Who::Alice).await;
            for (who, message, own) in [
                (Who::Alice, alices, 1),
                (Who::Bob, bobs, 2),
                (Who::Alice, later, 3),
            ] {
                let sent = thinker.go_on(&gateway, &server, who, message).await;
                let had: Vec<_> = (1..=3).filter(|n| sent.contains(&thought(*n))).collect();
                if had != [own] {
                    wrong.push(format!(
                        "{what}: {who:?} brought thought {own}, and {had:?} went out"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[actix_web::test]
async fn remembered_reasoning_goes_with_the_calls_of_its_caller_alone() {
    let mut wrong = Vec::new();
    for mode in MODES {
        for thinker in &THINKERS {
            let what = format!("{mode:?}, {}, {}", thinker.model, thinker.call);
            let server = thinker.provider();
            let gateway = Gateway::start(setup(&server, mode));
            let mut alices = thinker.begin(&gateway, Who::Alice).await;
            forgets(&mut alices);
            let mut expect = async |who: Who, message: &Value, own: &[usize], why: &str| {
                let sent = thinker.go_on(&gateway, &server, who, message.clone()).await;
                let had: Vec<_> = (1..=2).filter(|n| sent.contains(&thought(*n))).collect();
                if had != own {
                    wrong.push(format!("{what}: {why}: {had:?} and not {own:?}"));
                }
            };
            // The id of a call can be guessed, and repeats.
            expect(Who::Bob, &alices, &[], "Bob never had that turn").await;
            expect(Who::Alice, &alices, &[1], "Alice had it").await;
            let mut bobs = thinker.begin(&gateway, Who::Bob).await;
            forgets(&mut bobs);
            expect(
                Who::Alice,
                &alices,
                &[1],
                "Alice, after Bob had a turn like hers",
            )
            .await;
            expect(Who::Bob, &bobs, &[2], "Bob, after Alice").await;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The same for clients of Responses, whose calls the gateway puts together otherwise.
#[actix_web::test]
async fn remembered_reasoning_of_responses_goes_with_the_calls_of_its_caller_alone() {
    let mut wrong = Vec::new();
    for mode in MODES {
        for thinker in &THINKERS {
            let what = format!("{mode:?}, {}, {}", thinker.model, thinker.call);
            let server = thinker.provider();
            let gateway = Gateway::start(setup(&server, mode));
            let tools = json!([{"type": "function", "name": "x", "parameters": {"type": "object", "properties": {}}}]);
            let ask = async |who: Who, input: Value| {
                let body = json!({"model": thinker.model, "input": input, "tools": tools});
                let answer = gateway
                    .send(RESPONSES, Some(who.key()), &[], body.to_string())
                    .await;
                assert_eq!(answer.status, 200, "{what}: {}", answer.text());
                answer.json()
            };
            let opening = json!({"role": "user", "content": "Start."});
            let call_of = |answer: &Value| {
                let items = answer["output"].as_array().unwrap().iter();
                let call = items.clone().find(|item| item["type"] == "function_call");
                let call = call.unwrap();
                json!({"type": "function_call", "call_id": call["call_id"], "name": "x", "arguments": call["arguments"]})
            };
            let alices = call_of(&ask(Who::Alice, json!([opening])).await);
            let bobs = call_of(&ask(Who::Bob, json!([opening])).await);
            for (who, call, own) in [(Who::Alice, &alices, 1), (Who::Bob, &bobs, 2)] {
                let result = json!({"type": "function_call_output", "call_id": call["call_id"], "output": "the result"});
                ask(who, json!([opening, call, result])).await;
                let sent = server.requests().pop().unwrap().body;
                let sent = String::from_utf8(sent).unwrap();
                let had: Vec<_> = (1..=2).filter(|n| sent.contains(&thought(*n))).collect();
                if had != [own] {
                    wrong.push(format!("{what}: {who:?}: {had:?} and not {own}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

// ---------------------------------------------------------------------------------------------
// The provider's key
// ---------------------------------------------------------------------------------------------

/// Where in an answer a provider repeats the key it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Text,
    Thought,
    Arguments,
    CallName,
    Id,
    Model,
    Beside,
}

const PLACES: [Place; 7] = [
    Place::Text,
    Place::Thought,
    Place::Arguments,
    Place::CallName,
    Place::Id,
    Place::Model,
    Place::Beside,
];

/// Ways of an answer: the client's path, the model, the provider.
const WAYS: [(&str, &str, &str); 9] = [
    (CHAT, "gpt-4o", "openai"),
    (CHAT, "gemini-3-pro", "gemini"),
    (CHAT, "kimi/x", "kimi"),
    (CHAT, "claude-opus-5-5", "anthropic"),
    // Answered by Responses.
    (CHAT, "gpt-5.6", "openai"),
    (RESPONSES, "gpt-4o", "openai"),
    (RESPONSES, "gemini-3-pro", "gemini"),
    (RESPONSES, "kimi/x", "kimi"),
    (RESPONSES, "claude-opus-5-5", "anthropic"),
];

fn key_of(request: &ReceivedRequest) -> String {
    let names = ["authorization", "x-api-key", "api-key"];
    let value = names.into_iter().find_map(|name| request.header(name));
    value.unwrap().trim_start_matches("Bearer ").to_owned()
}

/// The answer with a text in one place, whole or as events, in the dialect of its path.
fn repeated(path: &str, stream: bool, place: Place, pieces: &[&str]) -> Vec<Value> {
    let text = pieces.concat();
    let at = |own: Place, usual: &str| {
        if place == own {
            text.clone()
        } else {
            usual.to_owned()
        }
    };
    if path.ends_with("/messages") {
        messages(stream, place, pieces, &at)
    } else if path.ends_with("/responses") {
        responses(stream, place, pieces, &at)
    } else {
        chat(stream, place, pieces, &at)
    }
}

type At<'a> = &'a dyn Fn(Place, &str) -> String;

/// The text of arguments that hold a text, in as many pieces.
fn arguments(pieces: &[&str]) -> Vec<String> {
    let mut out: Vec<String> = pieces.iter().map(|piece| (*piece).to_owned()).collect();
    out[0].insert_str(0, "{\"q\":\"");
    out.last_mut().unwrap().push_str("\"}");
    out
}

fn chat(stream: bool, place: Place, pieces: &[&str], at: At<'_>) -> Vec<Value> {
    let call = |arguments: &str| {
        json!([{"index": 0, "id": "call_0123456789abc", "type": "function",
        "function": {"name": at(Place::CallName, "x"), "arguments": arguments}}])
    };
    let calls = matches!(place, Place::Arguments | Place::CallName);
    let finish = if calls { "tool_calls" } else { "stop" };
    let object = if stream {
        "chat.completion.chunk"
    } else {
        "chat.completion"
    };
    let shell = |choice: Value| {
        json!({"id": at(Place::Id, "c"), "object": object, "created": 1,
        "model": at(Place::Model, "m"), "system_fingerprint": at(Place::Beside, "f"), "choices": [choice]})
    };
    if !stream {
        let mut message = json!({"role": "assistant", "content": at(Place::Text, "ok")});
        match place {
            Place::Arguments => message["tool_calls"] = call(&arguments(pieces).concat()),
            Place::CallName => message["tool_calls"] = call("{}"),
            Place::Thought => message["reasoning_content"] = json!(pieces.concat()),
            Place::Text | Place::Id | Place::Model | Place::Beside => {}
        }
        return vec![shell(
            json!({"index": 0, "message": message, "finish_reason": finish}),
        )];
    }
    let mut deltas = vec![json!({"role": "assistant", "content": ""})];
    match place {
        Place::Text => deltas.extend(pieces.iter().map(|piece| json!({"content": piece}))),
        Place::Thought => deltas.extend(
            pieces
                .iter()
                .map(|piece| json!({"reasoning_content": piece})),
        ),
        Place::CallName => deltas.push(json!({"tool_calls": call("{}")})),
        Place::Arguments => {
            deltas.push(json!({"tool_calls": call("")}));
            deltas.extend(arguments(pieces).iter().map(
                |piece| json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}),
            ));
        }
        Place::Id | Place::Model | Place::Beside => deltas.push(json!({"content": "ok"})),
    }
    let chunk = |delta: Value| shell(json!({"index": 0, "delta": delta, "finish_reason": null}));
    let mut events: Vec<_> = deltas.into_iter().map(chunk).collect();
    events.push(shell(
        json!({"index": 0, "delta": {}, "finish_reason": finish}),
    ));
    events
}

fn messages(stream: bool, place: Place, pieces: &[&str], at: At<'_>) -> Vec<Value> {
    let calls = matches!(place, Place::Arguments | Place::CallName);
    let stop = if calls { "tool_use" } else { "end_turn" };
    let text = pieces.concat();
    let mut content = Vec::new();
    if place == Place::Thought {
        content.push(json!({"type": "thinking", "thinking": text, "signature": "c2lnbmVk"}));
    }
    content.push(json!({"type": "text", "text": at(Place::Text, "ok")}));
    if calls {
        let q = at(Place::Arguments, "q");
        content.push(json!({"type": "tool_use", "id": "toolu_0123456789abc", "name": at(Place::CallName, "x"), "input": {"q": q}}));
    }
    let mut message = json!({"id": at(Place::Id, "msg_1"), "type": "message", "role": "assistant",
        "model": at(Place::Model, "m"), "content": content, "stop_reason": stop, "stop_sequence": at(Place::Beside, "s"),
        "usage": {"input_tokens": 1, "output_tokens": 1}});
    if !stream {
        return vec![message];
    }
    message["content"] = json!([]);
    let mut events = vec![json!({"type": "message_start", "message": message})];
    for (index, block) in content.iter().enumerate() {
        let (opened, deltas): (Value, Vec<Value>) = match block["type"].as_str().unwrap() {
            "thinking" => (
                json!({"type": "thinking", "thinking": "", "signature": ""}),
                pieces
                    .iter()
                    .map(|piece| json!({"type": "thinking_delta", "thinking": piece}))
                    .collect(),
            ),
            "tool_use" => {
                let input = if place == Place::Arguments {
                    arguments(pieces)
                } else {
                    vec!["{}".to_owned()]
                };
                let mut opened = block.clone();
                opened["input"] = json!({});
                (
                    opened,
                    input
                        .iter()
                        .map(|piece| json!({"type": "input_json_delta", "partial_json": piece}))
                        .collect(),
                )
            }
            _ => {
                let text = if place == Place::Text {
                    pieces
                } else {
                    &["ok"]
                };
                (
                    json!({"type": "text", "text": ""}),
                    text.iter()
                        .map(|piece| json!({"type": "text_delta", "text": piece}))
                        .collect(),
                )
            }
        };
        events
            .push(json!({"type": "content_block_start", "index": index, "content_block": opened}));
        events.extend(
            deltas.into_iter().map(
                |delta| json!({"type": "content_block_delta", "index": index, "delta": delta}),
            ),
        );
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 1}}));
    events.push(json!({"type": "message_stop"}));
    events
}

fn responses(stream: bool, place: Place, pieces: &[&str], at: At<'_>) -> Vec<Value> {
    let text = pieces.concat();
    let item = match place {
        Place::Thought => {
            json!({"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": text}]})
        }
        Place::Arguments | Place::CallName => {
            let given = if place == Place::Arguments {
                arguments(pieces).concat()
            } else {
                "{}".to_owned()
            };
            json!({"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_0123456789abc",
                "name": at(Place::CallName, "x"), "arguments": given})
        }
        Place::Text | Place::Id | Place::Model | Place::Beside => {
            json!({"id": "msg_1", "type": "message", "status": "completed",
            "role": "assistant", "content": [{"type": "output_text", "text": at(Place::Text, "ok"), "annotations": []}]})
        }
    };
    let whole = |status: &str, output: Value| {
        json!({"id": at(Place::Id, "resp_1"), "object": "response", "created_at": 1,
        "status": status, "model": at(Place::Model, "m"), "prompt_cache_key": at(Place::Beside, "p"), "output": output,
        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}})
    };
    let done = whole("completed", json!([item]));
    if !stream {
        return vec![done];
    }
    let mut opened = item.clone();
    let (kind, deltas): (&str, Vec<String>) = match place {
        Place::Thought => {
            opened["summary"] = json!([]);
            (
                "reasoning_summary_text",
                pieces.iter().map(|piece| (*piece).to_owned()).collect(),
            )
        }
        Place::Arguments | Place::CallName => {
            opened["arguments"] = json!("");
            let given = if place == Place::Arguments {
                arguments(pieces)
            } else {
                vec!["{}".to_owned()]
            };
            ("function_call_arguments", given)
        }
        Place::Text => {
            opened["content"] = json!([]);
            (
                "output_text",
                pieces.iter().map(|piece| (*piece).to_owned()).collect(),
            )
        }
        Place::Id | Place::Model | Place::Beside => {
            opened["content"] = json!([]);
            ("output_text", vec!["ok".to_owned()])
        }
    };
    let mut events = vec![
        json!({"type": "response.created", "response": whole("in_progress", json!([]))}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": opened}),
    ];
    for delta in deltas {
        events.push(json!({"type": format!("response.{kind}.delta"), "item_id": item["id"], "output_index": 0,
            "content_index": 0, "summary_index": 0, "delta": delta}));
    }
    events.push(json!({"type": "response.output_item.done", "output_index": 0, "item": item}));
    events.push(json!({"type": "response.completed", "response": done}));
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    events
}

/// How the text of an answer spells the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Plain,
    Escaped,
}

impl Spelling {
    fn of(self, json: &Value, key: &str) -> String {
        let text = json.to_string();
        match self {
            Self::Plain => text,
            Self::Escaped => text.replace(key, &key.replace('-', "\\u002d")),
        }
    }
}

/// A provider that repeats its key in one place of every answer.
fn repeats(place: Place, spelling: Spelling) -> Scripted {
    Scripted::start(move |request: &ReceivedRequest| {
        let key = key_of(request);
        let stream = request.json()["stream"] == true;
        let said = format!("authorization: Bearer {key}");
        let answer = repeated(&request.path, stream, place, &[&said]);
        let headers = [
            ("content-type", "application/json"),
            ("x-request-id", key.as_str()),
            ("x-ratelimit-limit-requests", key.as_str()),
            ("openai-version", key.as_str()),
        ];
        if !stream {
            return Script::whole(200, &headers, &spelling.of(&answer[0], &key));
        }
        events(&answer, spelling, &key)
    })
    .unwrap()
}

/// The events of a stream; each is written in two pieces, cut in the key where it has it.
fn events(answer: &[Value], spelling: Spelling, key: &str) -> Script {
    let mut script = Script::stream();
    let mut all: Vec<String> = Vec::new();
    for event in answer {
        let name = event["type"]
            .as_str()
            .map_or(String::new(), |name| format!("event: {name}\n"));
        all.push(format!("{name}data: {}\n\n", spelling.of(event, key)));
    }
    if answer[0].get("choices").is_some() {
        all.push(DONE.to_owned());
    }
    for event in all {
        let middle = event
            .find("-provider-secret")
            .map_or(event.len() / 2, |at| at + 5);
        let (a, b) = event.as_bytes().split_at(middle);
        script = script.chunk(a).then(Step::Pause(MOMENT)).chunk(b);
    }
    script.end()
}

/// Everything that an answer says, in one spelling of JSON, and what the gateway sealed in it.
fn all_of(answer: &Answer) -> String {
    let mut out = format!("{:?}\n{}\n", answer.headers, answer.text());
    let values = match serde_json::from_slice(&answer.body) {
        Ok(value) => vec![value],
        Err(_) => answer.events(),
    };
    for value in values {
        out += &value.to_string();
    }
    let sealed: Vec<_> = out.split("\"gw1.").skip(1).map(str::to_owned).collect();
    for text in sealed {
        let text = text.split('"').next().unwrap();
        out += &String::from_utf8_lossy(&URL_SAFE_NO_PAD.decode(text).unwrap());
    }
    out
}

/// A request in the dialect of a path.
fn question(path: &str, model: &str, stream: bool) -> String {
    let mut body = if path == CHAT {
        hello(model, stream)
    } else {
        json!({"model": model, "stream": stream, "input": "Hello", "include": ["reasoning.encrypted_content"]})
    };
    // Answered by Responses only with tools beside.
    if model == "gpt-5.6" {
        body["tools"] = json!([{"type": "function", "function": {"name": "x", "parameters": {"type": "object", "properties": {}}}}]);
    }
    body.to_string()
}

#[actix_web::test]
async fn the_providers_key_stands_in_no_answer() {
    let mut wrong = Vec::new();
    for place in PLACES {
        for spelling in [Spelling::Plain, Spelling::Escaped] {
            let server = repeats(place, spelling);
            let gateway = Gateway::start(setup(&server, Mode::Team));
            for (path, model, provider) in WAYS {
                for stream in [false, true] {
                    let body = question(path, model, stream);
                    let answer = gateway.send(path, Some(Who::Alice.key()), &[], body).await;
                    let what = format!("{place:?} {spelling:?}, {path} {model}, stream: {stream}");
                    let all = all_of(&answer);
                    assert_eq!(answer.status, 200, "{what}: {all}");
                    if all.contains(&provider_key(provider)) {
                        wrong.push(what);
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// The texts of a stream, each joined over its events: by the names of the members that hold them.
fn joined(answer: &Answer) -> HashMap<String, String> {
    let mut out: HashMap<String, String> = HashMap::new();
    for event in answer.events() {
        let delta = &event["choices"][0]["delta"];
        let kind = event["type"].as_str().unwrap_or_default();
        let texts = [
            ("content", &delta["content"]),
            ("reasoning_content", &delta["reasoning_content"]),
            ("reasoning", &delta["reasoning"]),
            ("details", &delta["reasoning_details"][0]["text"]),
            (
                "arguments",
                &delta["tool_calls"][0]["function"]["arguments"],
            ),
            (kind, &event["delta"]),
        ];
        for (name, text) in texts {
            *out.entry(name.to_owned()).or_default() += text.as_str().unwrap_or_default();
        }
    }
    out
}

#[actix_web::test]
async fn the_providers_key_stands_in_no_text_that_is_joined_of_deltas() {
    let mut wrong = Vec::new();
    for place in [Place::Text, Place::Thought, Place::Arguments] {
        let server = Scripted::start(move |request: &ReceivedRequest| {
            let key = key_of(request);
            let (a, b) = key.split_at(key.len() / 2);
            let (a, b) = (format!("before {a}"), format!("{b} after"));
            let answer = repeated(&request.path, true, place, &[&a, &b]);
            events(&answer, Spelling::Plain, &key)
        })
        .unwrap();
        let gateway = Gateway::start(setup(&server, Mode::Team));
        for (path, model, provider) in WAYS {
            let body = question(path, model, true);
            let answer = gateway.send(path, Some(Who::Alice.key()), &[], body).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let texts = joined(&answer);
            let key = provider_key(provider);
            let around = texts.values().any(|text| text.contains("after"));
            // Of a chat provider's thoughts a client of Responses gets a sealed form alone.
            let is_sealed = place == Place::Thought && path == RESPONSES;
            assert!(
                around || is_sealed,
                "{place:?}, {path} {model}: the text is lost: {}",
                answer.text()
            );
            if texts.values().any(|text| text.contains(&key)) || all_of(&answer).contains(&key) {
                wrong.push(format!("{place:?}, {path} {model}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[actix_web::test]
async fn the_providers_key_stands_in_no_error() {
    let mut wrong = Vec::new();
    for case in 0..7 {
        let server = Scripted::start(move |request: &ReceivedRequest| {
            let key = key_of(request);
            let error = json!({"message": format!("wrong key {key}"), "type": key, "param": key, "code": key, "more": {key.as_str(): [key]}});
            let shaped = |kind: &str| json!({"type": kind, "error": error});
            let whole = |status: u16, kind: &str, body: &str| {
                let headers = [("content-type", kind), ("request-id", key.as_str()), ("anthropic-ratelimit-x", key.as_str())];
                Script::whole(status, &headers, body)
            };
            match case {
                0 => whole(400, "application/json", &shaped("error").to_string()),
                1 => whole(401, "application/json", &shaped("error").to_string()),
                2 => whole(500, "application/json", &Spelling::Escaped.of(&shaped("error"), &key)),
                3 => whole(503, "text/html", &format!("<html>{key}</html>")),
                4 => whole(200, "application/json", &shaped("error").to_string()),
                5 => Script::stream().chunk(format!("event: error\ndata: {}\n\n", shaped("error"))).end(),
                _ => {
                    let mut begun = repeated(&request.path, true, Place::Text, &["ok"]);
                    begun.truncate(2);
                    begun.push(shaped("error"));
                    events(&begun, Spelling::Plain, &key)
                }
            }
        })
        .unwrap();
        let gateway = Gateway::start(setup(&server, Mode::Team));
        for (path, model, provider) in WAYS {
            for stream in [false, true] {
                let body = question(path, model, stream);
                let answer = gateway.send(path, Some(Who::Alice.key()), &[], body).await;
                if all_of(&answer).contains(&provider_key(provider)) {
                    wrong.push(format!(
                        "{case}: {path} {model}, stream: {stream}: {}",
                        all_of(&answer)
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[actix_web::test]
async fn the_providers_key_stands_in_no_list_of_models() {
    let server = Scripted::start(|request: &ReceivedRequest| {
        let key = key_of(request);
        let model = json!({"id": key, "object": "model", "type": "model", "owned_by": key, "display_name": key, key.as_str(): key});
        Script::json(200, &json!({"object": "list", "data": [model], "has_more": false, "last_id": key}))
    })
    .unwrap();
    let gateway = Gateway::start(setup(&server, Mode::Team));
    let mut paths = vec!["/v1/models".to_owned()];
    let named = ["openai", "anthropic", "gemini", "kimi"];
    paths.extend(named.map(|name| format!("/v1/models?provider={name}")));
    for path in paths {
        let listed = gateway.get(&path, Some(Who::Alice.key())).await;
        let all = all_of(&listed);
        assert!(!all.contains("-provider-secret"), "{path}: {all}");
    }
}

// ---------------------------------------------------------------------------------------------
// What goes out under one key for all
// ---------------------------------------------------------------------------------------------

/// The headers of the request that reached the provider last.
async fn sent_with(
    gateway: &Gateway,
    server: &Scripted,
    who: Who,
    model: &str,
    headers: &[(&str, &str)],
) -> ReceivedRequest {
    let body = question(CHAT, model, false);
    let answer = gateway.send(CHAT, Some(who.key()), headers, body).await;
    assert_eq!(answer.status, 200, "{model}: {}", answer.text());
    server.requests().pop().unwrap()
}

const ONCE: &str = "idempotency-key";

#[actix_web::test]
async fn equal_idempotency_keys_of_two_callers_are_two_under_a_shared_key() {
    for model in ["gpt-4o", "claude-opus-5-5", "kimi/x", "gemini-3-pro"] {
        let server = ai_gateway::scripted::all_providers().unwrap();
        let mut seen: HashMap<(&str, &str), String> = HashMap::new();
        // Another gateway before the same provider stands for a restart, and for a replica.
        for _ in 0..2 {
            let gateway = Gateway::start(setup(&server, Mode::Team));
            for who in [Who::Alice, Who::Bob] {
                for value in ["order-7", "order-8"] {
                    let sent = sent_with(&gateway, &server, who, model, &[(ONCE, value)]).await;
                    let sent = sent.header(ONCE).unwrap_or_default().to_owned();
                    assert!(!sent.is_empty() && sent.len() <= 255, "{model}: {sent:?}");
                    assert!(!sent.contains(who.key()), "{model}: {sent}");
                    let before = seen.insert((who.key(), value), sent.clone());
                    let stable = before.is_none_or(|before| before == sent);
                    assert!(
                        stable,
                        "{model}: {who:?} has another than before for {value}"
                    );
                }
            }
        }
        let mut values: Vec<_> = seen.into_values().collect();
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), 4, "{model}: {values:?}");
    }
}

#[actix_web::test]
async fn an_idempotency_key_is_the_same_for_every_attempt() {
    let server = crate::rig::faults::in_turn(vec![status(503, &[]), completion()]);
    let mut config = setup(&server, Mode::Team);
    config.retries.max_retries = 1;
    let gateway = Gateway::start(config);
    sent_with(
        &gateway,
        &server,
        Who::Alice,
        "gpt-4o",
        &[(ONCE, "order-7")],
    )
    .await;
    let seen = server.requests();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].header(ONCE), seen[1].header(ONCE));
    assert!(seen[0].header(ONCE).is_some());
}

const ORGANIZATION: [(&str, &str); 2] = [
    ("openai-organization", "org-of-the-caller"),
    ("openai-project", "proj-of-the-caller"),
];

#[actix_web::test]
async fn a_callers_organization_does_not_go_out_under_a_shared_key() {
    let server = ai_gateway::scripted::all_providers().unwrap();
    let gateway = Gateway::start(setup(&server, Mode::Team));
    for model in ["gpt-4o", "claude-opus-5-5", "azure/x"] {
        let sent = sent_with(&gateway, &server, Who::Alice, model, &ORGANIZATION).await;
        for (name, value) in &sent.headers {
            assert!(
                !value.contains("-of-the-caller"),
                "{model}: {name}: {value}"
            );
            assert!(
                !value.contains(Who::Alice.key()),
                "{model}: {name}: {value}"
            );
        }
    }
}

#[actix_web::test]
async fn under_the_callers_own_key_its_headers_go_out_as_they_came() {
    let server = ai_gateway::scripted::all_providers().unwrap();
    let gateway = Gateway::start(setup(&server, Mode::Own));
    let mut headers = ORGANIZATION.to_vec();
    headers.push((ONCE, "order-7"));
    for who in [Who::Alice, Who::Bob] {
        let sent = sent_with(&gateway, &server, who, "gpt-4o", &headers).await;
        for (name, value) in &headers {
            assert_eq!(sent.header(name), Some(*value), "{who:?}");
        }
        let sent = sent_with(&gateway, &server, who, "claude-opus-5-5", &headers).await;
        assert_eq!(sent.header(ONCE), Some("order-7"), "{who:?}");
        assert_eq!(
            sent.header("openai-organization"),
            None,
            "another company's"
        );
    }
}
