//! What the fuzz targets share: the dialects, their clients, and what must hold of all they write.

pub mod mutate;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use ai_gateway::codec::json::{self, Object};
use ai_gateway::codec::sse::{self, Framer};
use ai_gateway::dialect::envelope;
use ai_gateway::dialect::hub::{Contract, Event};
use ai_gateway::dialect::openai::{ChatClient, ChatProvider};
use ai_gateway::dialect::{
    ClientDialect, EncodedRequest, ProviderDialect, Relay, Stamp, responses,
};
use ai_gateway::error::Error;
use ai_gateway::providers::{self, ChatApi};
use ai_gateway::routing::route;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

/// A provider that speaks Chat Completions as OpenAI does, and one that writes reasoning between tags
/// and positions for ids.
pub const CHAT: [&str; 2] = ["groq", "bedrock"];

/// The provider that speaks Messages.
pub const MESSAGES: &str = "anthropic";

/// What the provider of that name speaks.
#[must_use]
pub fn dialect(name: &str) -> &'static dyn ProviderDialect {
    providers::by_name(name)
        .expect("the table has it")
        .dialect()
}

/// How the provider of that name writes Chat Completions.
#[must_use]
pub fn chat(name: &str) -> &'static ChatProvider {
    match providers::by_name(name).expect("the table has it").chat_api {
        ChatApi::Chat(chat) => chat,
        ChatApi::Other { .. } => unreachable!("it speaks Chat Completions"),
    }
}

/// Times and ids that are the same in every run.
#[must_use]
pub fn stamp() -> Stamp {
    Stamp {
        created: 1,
        seed: u128::MAX,
        now: || 2,
    }
}

/// Where the `model` of a request goes, so that an input also chooses whose peculiarities it meets:
/// a provider of Chat Completions, and the model in its words.
#[must_use]
pub fn target(object: &Object<'_>) -> (&'static str, Cow<'static, str>) {
    let raw = object.get("model");
    let model = raw.and_then(|raw| json::text(raw, &"model").ok());
    let model = model.unwrap_or_default();
    let Ok(target) = route(&model) else {
        return (CHAT[0], Cow::Owned(model.into_owned()));
    };
    let provider = match target.provider.chat_api {
        ChatApi::Chat(_) => target.provider.name,
        ChatApi::Other { .. } => CHAT[0],
    };
    (provider, Cow::Owned(target.model.into_owned()))
}

/// Reads what a stream says; whether it was completed.
pub type Judge = fn(&[u8]) -> bool;

/// A client of Chat Completions, one with all that is new or one with all that is old.
#[must_use]
pub fn chat_client(old: bool) -> ChatClient {
    ChatClient {
        stamp: stamp(),
        model: "m".to_owned(),
        include_usage: !old,
        functions: old,
        json_object: old,
    }
}

/// Clients that differ in all that changes what they are written, each with its judge.
#[must_use]
pub fn clients() -> [(Box<dyn ClientDialect>, Judge); 4] {
    let responses = |body: &'static str| {
        let object = Object::from_body(body.as_bytes()).expect("it is an object");
        let read = responses::read_request(object, "m".into(), CHAT[0], dialect(CHAT[0]), stamp());
        Box::new(read.expect("it is a request").1)
    };
    [
        (Box::new(chat_client(false)), judge_chunks),
        (Box::new(chat_client(true)), judge_chunks),
        (responses(r#"{"input":"x"}"#), judge_responses),
        (
            responses(
                r#"{"input":"x","reasoning":{"summary":"auto"},"include":["reasoning.encrypted_content"]}"#,
            ),
            judge_responses,
        ),
    ]
}

/// The JSON text must be well-formed. Reading it as a tree would ask for more: providers may nest
/// deeper than a tree bears, and write half characters.
pub fn valid(text: &[u8]) {
    let text = std::str::from_utf8(text).expect("it is UTF-8");
    assert!(serde_json::from_str::<IgnoredAny>(text).is_ok(), "{text}");
}

/// An error must say something, in OpenAI's envelope.
pub fn told(error: &Error) {
    #[derive(Deserialize)]
    struct Envelope {
        error: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        message: String,
    }
    let text = envelope(error);
    let Envelope { error } = serde_json::from_str(&text).expect("it is an envelope");
    assert!(!error.message.is_empty(), "{text}");
}

/// A translation must give JSON or say why not, and the same once more: a provider's cache knows
/// a conversation by its bytes.
pub fn twice(translate: impl Fn() -> Result<EncodedRequest, Error>) {
    let first = translate();
    match &first {
        Ok(translated) => {
            valid(&translated.body);
            if let Err(error) = translated.report.require_lossless() {
                told(&error);
            }
        }
        Err(error) => told(error),
    }
    assert_eq!(first, translate());
}

/// A provider's stream must be read and written whatever it holds, end once, and be called complete
/// only where one of its events, as `says_why` tells, has a reason for the end.
pub fn stream(dialect: &dyn ProviderDialect, input: &[u8], says_why: fn(&Value) -> bool) {
    let (steps, before) = read(dialect, input, input.len());
    let (pieces, _) = read(dialect, input, 5);
    assert_eq!(
        format!("{steps:?}"),
        format!("{pieces:?}"),
        "read in pieces, it says something else"
    );
    // Where only its end completed the stream, it may as well have been cut there.
    let cut = (before < steps.len()).then(|| {
        let mut cut = steps[..before].to_vec();
        cut.push(Event::Failed(Error::Truncated));
        cut
    });
    for (client, judge) in clients() {
        for steps in [Some(&steps), cut.as_ref()].into_iter().flatten() {
            let complete = judge(&write(&*client, steps));
            assert_eq!(complete, matches!(steps.last(), Some(Event::End)));
            assert!(
                !complete || has_reason(input, says_why),
                "a stream without a reason for its end was completed"
            );
        }
    }
}

/// A stream must go through to a client that speaks what the provider does whatever it holds, the
/// same in every chunking. Gives the data of the events that the client gets.
pub fn relay(new: impl Fn() -> Box<dyn Relay>, input: &[u8]) -> Vec<String> {
    let said = |size: usize| {
        let (mut relay, mut out) = (new(), Vec::new());
        for events in whole_events(input, size) {
            if relay.failure_code().is_none() {
                out.extend_from_slice(&relay.pass(events));
            }
        }
        if relay.failure_code().is_none() {
            let rest = relay.end(true);
            out.extend(rest.unwrap_or_else(|error| relay.failure(&error)));
        }
        let data = sse::events(&out).map(|event| event.data.into_owned());
        data.collect::<Vec<_>>()
    };
    let whole = said(input.len());
    assert_eq!(whole, said(5), "read in pieces, it says something else");
    assert!(!whole.is_empty(), "it ended without a word");
    whole
}

/// Whether an event says, as `says_why` tells, why the stream ends.
#[must_use]
pub fn has_reason(input: &[u8], says_why: fn(&Value) -> bool) -> bool {
    sse::events(input).any(|event| match serde_json::from_str(&event.data) {
        Ok(value) => says_why(&value),
        // JSON that is no tree; it cannot be told from here.
        Err(_) => serde_json::from_str::<IgnoredAny>(&event.data).is_ok(),
    })
}

/// The events of a stream as they become whole, where it arrives in pieces of that size.
fn whole_events(input: &[u8], size: usize) -> Vec<Bytes> {
    let mut framer = Framer::new(1 << 20);
    // The last event is to be whole as well.
    let pieces = input.chunks(size.max(1)).chain([b"\n\n".as_slice()]);
    let events = pieces.map(|piece| framer.push(Bytes::copy_from_slice(piece)));
    let events = events.collect::<Result<_, _>>().expect("none is too long");
    assert!(!framer.has_partial());
    events
}

/// Reads a stream that arrives in pieces of that size, as far as it keeps the contract; also how
/// many steps came before its end.
fn read(dialect: &dyn ProviderDialect, input: &[u8], size: usize) -> (Vec<Event>, usize) {
    let (mut from, mut steps) = (dialect.stream_decoder("x"), Vec::new());
    for events in whole_events(input, size) {
        if let Some(error) = dialect.decode_stream_error(&events) {
            told(&Error::Provider(Box::new(error)));
        }
        for event in sse::events(&events) {
            from.push(&event, &mut steps);
        }
    }
    let before = steps.len();
    from.finish(&mut steps);
    from.finish(&mut steps);
    let ends = steps.iter().filter(|step| is_end(step)).count();
    assert!(ends == 1 && steps.last().is_some_and(is_end), "{steps:?}");
    let mut contract = Contract::default();
    if let Some(at) = steps.iter().position(|step| contract.check(step).is_err()) {
        steps.truncate(at);
        steps.push(Event::Failed(Error::Truncated));
    }
    let before = before.min(steps.len());
    (steps, before)
}

fn is_end(step: &Event) -> bool {
    matches!(step, Event::End | Event::Failed(_))
}

/// Writes the steps of a stream, and tries to go on after its end.
#[must_use]
pub fn write(client: &dyn ClientDialect, steps: &[Event]) -> Vec<u8> {
    let (mut to, mut out) = (client.stream_encoder(), Vec::new());
    for step in steps {
        to.push(step.clone(), &mut out);
    }
    let len = out.len();
    for more in [
        Event::Ping,
        Event::Text("more".to_owned()),
        Event::End,
        Event::Failed(Error::Truncated),
    ] {
        to.push(more, &mut out);
    }
    assert_eq!(out.len(), len, "something follows the end");
    out
}

/// `chat.completion.chunk` events: of one answer, and one end after them.
fn judge_chunks(out: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Chunk {
        id: Option<String>,
        object: Option<String>,
        choices: Option<IgnoredAny>,
        error: Option<IgnoredAny>,
    }
    let mut end = None;
    let mut first = None;
    for event in sse::events(out) {
        assert!(end.is_none(), "something follows the end");
        if event.data == "[DONE]" {
            end = Some(true);
            continue;
        }
        let chunk: Chunk = serde_json::from_str(&event.data).expect("it is a chunk");
        if chunk.error.is_some() {
            end = Some(false);
            continue;
        }
        assert_eq!(chunk.object.as_deref(), Some("chat.completion.chunk"));
        assert!(chunk.choices.is_some());
        let id = chunk.id.expect("a chunk has an id");
        assert_eq!(*first.get_or_insert_with(|| id.clone()), id);
    }
    end.expect("a stream has an end")
}

/// An event of a Responses stream, as far as it is looked at here.
#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "type")]
    kind: String,
    sequence_number: usize,
    item_id: Option<String>,
    output_index: Option<usize>,
    content_index: Option<usize>,
    delta: Option<String>,
    text: Option<String>,
    refusal: Option<String>,
    arguments: Option<String>,
    item: Option<Box<RawValue>>,
    response: Option<Response>,
}

#[derive(Deserialize)]
struct Response {
    id: String,
    output: Vec<Box<RawValue>>,
}

/// Responses events: numbered from 0, what is done being the sum of its deltas, all that was begun
/// being done, and one end that repeats it.
fn judge_responses(out: &[u8]) -> bool {
    let mut end = None;
    let mut failing = false;
    let mut first = None;
    let mut deltas: HashMap<_, String> = HashMap::new();
    let mut items = BTreeMap::new();
    for (number, event) in sse::events(out).enumerate() {
        assert!(end.is_none(), "something follows the end");
        let wire: Wire = serde_json::from_str(&event.data).expect("it is an event");
        assert_eq!(event.name.as_deref(), Some(wire.kind.as_str()));
        assert_eq!(wire.sequence_number, number);
        assert!(!failing || wire.kind == "response.failed");
        if let Some(response) = &wire.response {
            assert_eq!(
                *first.get_or_insert_with(|| response.id.clone()),
                response.id
            );
        }
        let kind = wire.kind.strip_prefix("response.").unwrap_or(&wire.kind);
        let (stem, last) = kind.rsplit_once('.').unwrap_or((kind, ""));
        match (stem, last) {
            ("error", _) => failing = true,
            ("completed" | "incomplete" | "failed", _) => {
                let open = items.values().filter(|item| Option::is_none(item)).count();
                assert!(open == 0 || stem == "failed", "an item was not done");
                let done: Vec<String> = items.values().flatten().cloned().collect();
                let response = wire.response.expect("the end has a response");
                let told: Vec<_> = response.output.iter().map(|item| item.get()).collect();
                assert_eq!(told, done);
                end = Some(stem != "failed");
            }
            ("output_item", _) => {
                let index = wire.output_index.expect("an item has an index");
                let item = wire.item.expect("the event has an item").get().to_owned();
                let before = items.insert(index, (last == "done").then_some(item));
                match last {
                    "added" => assert!(before.is_none() && index + 1 == items.len()),
                    _ => assert!(before == Some(None), "an item was done twice"),
                }
            }
            (_, "delta") => deltas
                .entry((stem.to_owned(), wire.item_id, wire.content_index))
                .or_default()
                .push_str(&wire.delta.expect("a delta has one")),
            (_, "done") => {
                let Some(whole) = wire.text.or(wire.refusal).or(wire.arguments) else {
                    continue;
                };
                let key = (stem.to_owned(), wire.item_id, wire.content_index);
                assert_eq!(deltas.remove(&key).unwrap_or_default(), whole, "{key:?}");
            }
            _ => {}
        }
    }
    end.expect("a stream has an end")
}
