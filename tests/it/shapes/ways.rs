//! The ways: what the gateway does with a request, a stream and a whole answer, without its network.

use std::cell::Cell;

use ai_gateway::codec::json::Object;
use ai_gateway::codec::sse::{self, Framer};
use ai_gateway::dialect::hub::{
    Contract, Event, ReasoningCollector, ReasoningDetail, ReasoningLookup, ReasoningState, Sequence,
};
use ai_gateway::dialect::openai::{self, ChatClient, ChatProvider, ChatRelay};
use ai_gateway::dialect::responses::{self, ResponsesClient, ResponsesProvider, ResponsesRelay};
use ai_gateway::dialect::{
    ClientDialect, ProviderDialect, Relay, ResponseDecoder, Stamp, StreamDecoder,
    TranslationReport, models,
};
use ai_gateway::error::Error;
use ai_gateway::providers::{ChatApi, PROVIDERS, Provider, by_name};
use serde_json::value::RawValue;

use super::{Input, Run, Way, answers, chat as chats, responses as requests, streams};

/// The id of a call that is remembered.
pub const REMEMBERED: &str = "call_that_is_remembered_01";

/// What is remembered of it, in bytes, about.
pub const KEPT: usize = 512;

/// Remembers one answer, and tells it once in a request, as the store does.
#[derive(Default)]
struct Remembers(Cell<bool>);

impl ReasoningLookup for Remembers {
    fn recall(&self, call_id: &str, _talk: u64) -> Option<ReasoningState> {
        (call_id == REMEMBERED && !self.0.replace(true)).then(|| ReasoningState {
            reasoning: Some("r".repeat(KEPT)),
            details: ["anthropic-claude-v1", "openai-responses-v1"]
                .into_iter()
                .map(|format| ReasoningDetail {
                    kind: "reasoning.text".to_owned(),
                    text: Some("r".repeat(KEPT / 2)),
                    signature: Some("s".to_owned()),
                    data: format.starts_with("openai").then(|| "d".repeat(KEPT / 2)),
                    format: Some(format.to_owned()),
                    id: None,
                    index: 0,
                })
                .collect(),
            raw_blocks: None,
            extras: vec![(
                REMEMBERED.to_owned(),
                RawValue::from_string(format!("\"{}\"", "e".repeat(KEPT))).unwrap(),
            )],
            sequence: Sequence::default(),
        })
    }
}

/// A model of each provider of which most is known; of some a second that differs.
const MODELS: &[(&str, &str)] = &[
    ("anthropic", "claude-haiku-4-5"),
    ("gemini", "gemini-3-pro"),
    ("kimi", "kimi-for-coding"),
    ("groq", "llama"),
    ("mistral", "mistral-large"),
    ("anthropic", "claude-opus-5-5"),
    ("openai", "gpt-5"),
    ("openrouter", "x/y"),
    ("vercel", "x/y"),
    ("deepseek", "deepseek-reasoner"),
    ("xai", "grok-4"),
    ("cohere", "command"),
    ("azure", "gpt-5"),
    ("bedrock", "openai.gpt-oss-120b"),
    ("vertex", "google/gemini-3-pro"),
];

/// How many of them, the first, have an edit or a translation that others do not have.
pub const LEADING: usize = 5;

fn provider(name: &str) -> &'static Provider {
    by_name(name).expect("it is one of the table")
}

fn chat_of(name: &str) -> &'static ChatProvider {
    match provider(name).chat_api {
        ChatApi::Chat(chat) => chat,
        ChatApi::Other { .. } => unreachable!("{name} speaks Chat Completions"),
    }
}

fn messages_of() -> &'static dyn ProviderDialect {
    provider("anthropic").dialect()
}

fn stamp() -> Stamp {
    Stamp {
        created: 1,
        seed: 1,
        now: || 2,
    }
}

fn client() -> ChatClient {
    ChatClient {
        stamp: stamp(),
        model: "m".to_owned(),
        include_usage: true,
        functions: false,
        json_object: false,
    }
}

fn responses_client() -> ResponsesClient {
    let object = Object::from_body(br#"{"input":"x","reasoning":{"summary":"auto"},"include":["reasoning.encrypted_content"],"tools":[{"type":"custom","name":"c"}]}"#).unwrap();
    let chat = chat_of("openai");
    let read = responses::read_request(object, "m".into(), "openai", chat, stamp());
    read.unwrap().1
}

fn one(input: &Input) -> &[u8] {
    input.first().expect("a body is one piece")
}

/// What came out, or what the refusal says: both are written to somebody.
fn written(done: Result<(usize, TranslationReport), Error>) -> usize {
    match done {
        Ok((bytes, _)) => bytes,
        Err(error) => ai_gateway::dialect::envelope(&error).len(),
    }
}

fn from_chat(
    body: &[u8],
    to: &'static Provider,
    model: &'static str,
) -> Result<(usize, TranslationReport), Error> {
    let mut object = Object::from_body(body)?;
    match to.chat_api {
        ChatApi::Chat(chat) if chat.functions || object.get("functions").is_none() => {
            let mut report = TranslationReport::default();
            let edited = chat.edit(&mut object, model, &Remembers::default(), &mut report)?;
            report.dedup();
            let bytes = if edited.changed {
                serde_json::to_vec(&object).unwrap().len()
            } else {
                body.len()
            };
            Ok((bytes, report))
        }
        ChatApi::Chat(_) | ChatApi::Other { .. } => translated(object, to.dialect(), model),
    }
}

fn translated(
    object: Object<'_>,
    to: &dyn ProviderDialect,
    model: &str,
) -> Result<(usize, TranslationReport), Error> {
    let mut request = openai::read_request(object, model.into())?;
    let done = to.encode_request(&mut request, &Remembers::default())?;
    Ok((done.body.len(), done.report))
}

fn from_responses(
    body: &[u8],
    to: &'static Provider,
    model: &'static str,
) -> Result<(usize, TranslationReport), Error> {
    let object = Object::from_body(body)?;
    let dialect = to.dialect();
    let (mut request, client) =
        responses::read_request(object, model.into(), to.name, dialect, stamp())?;
    let done = dialect.encode_request(&mut request, &Remembers::default())?;
    // What its answer repeats of the request is kept for as long as it takes.
    drop(client);
    let mut report = done.report;
    report.rename(responses::own_name);
    Ok((done.body.len(), report))
}

fn way(name: String, plain: super::Shape, run: impl Fn(&Input) -> usize + 'static) -> Way {
    Way {
        name,
        run: Box::new(run) as Run,
        plain,
    }
}

/// Chat Completions to every provider.
pub fn chat() -> Vec<Way> {
    for provider in &PROVIDERS {
        let known = MODELS.iter().any(|(name, _)| *name == provider.name);
        assert!(known, "no model of {} is named", provider.name);
    }
    let bridge = way("chat to Responses".to_owned(), chats::plain(), |input| {
        let read = Object::from_body(one(input));
        written(read.and_then(|object| translated(object, &ResponsesProvider, "gpt-5.6")))
    });
    let mut ways = vec![bridge];
    ways.extend(MODELS.iter().map(|(name, model)| {
        let to = provider(name);
        way(
            format!("chat to {name}, {model}"),
            chats::plain(),
            move |input| written(from_chat(one(input), to, model)),
        )
    }));
    ways
}

/// Responses to every provider.
pub fn responses() -> Vec<Way> {
    MODELS
        .iter()
        .map(|(name, model)| {
            let to = provider(name);
            way(
                format!("Responses to {name}, {model}"),
                requests::plain(),
                move |input| written(from_responses(one(input), to, model)),
            )
        })
        .collect()
}

fn relayed(relay: &mut dyn Relay, input: &Input) -> usize {
    let mut framer = Framer::new(usize::MAX);
    let mut bytes = 0;
    for piece in input {
        let events = framer.push(piece.clone()).expect("it has no limit");
        bytes += relay.pass(events).len();
        drop(relay.kept());
        if relay.failure_code().is_some() {
            return bytes;
        }
    }
    bytes
        + match relay.end(true) {
            Ok(rest) => rest.len(),
            Err(error) => relay.failure(&error).len(),
        }
}

/// As a stream goes on its way: framed, read, held against the contract, kept, written.
fn translate(mut from: Box<dyn StreamDecoder>, to: &dyn ClientDialect, input: &Input) -> usize {
    let (mut writer, mut framer) = (to.stream_encoder(), Framer::new(usize::MAX));
    let (mut steps, mut contract) = (Vec::new(), Contract::default());
    let mut kept = ReasoningCollector::default();
    let mut bytes = 0;
    let mut write = |steps: &mut Vec<Event>| {
        let mut out = Vec::new();
        for step in steps.drain(..) {
            let broken = contract.check(&step).is_err();
            kept.see(&step);
            writer.push(step, &mut out);
            if broken {
                break;
            }
        }
        bytes += out.len();
    };
    for piece in input {
        let events = framer.push(piece.clone()).expect("it has no limit");
        for event in sse::events(&events) {
            from.push(&event, &mut steps);
        }
        write(&mut steps);
    }
    from.finish(&mut steps);
    write(&mut steps);
    bytes
}

fn streams(of: &str, plain: fn() -> super::Shape, from: &'static dyn ProviderDialect) -> Vec<Way> {
    vec![
        way(format!("stream of {of} to chat"), plain(), move |input| {
            translate(from.stream_decoder("openai"), &client(), input)
        }),
        way(
            format!("stream of {of} to Responses"),
            plain(),
            move |input| translate(from.stream_decoder("openai"), &responses_client(), input),
        ),
        way(
            format!("stream of {of}, looked at for an error"),
            plain(),
            move |input| {
                let found = input
                    .iter()
                    .filter(|piece| from.decode_stream_error(piece).is_some());
                found.count()
            },
        ),
    ]
}

/// Streams of Chat Completions: relayed as two providers write them, and translated.
pub fn chat_streams() -> Vec<Way> {
    let mut ways: Vec<_> = [
        ("openai", "m"),
        ("bedrock", "openai.gpt-oss"),
        ("gemini", "gemini-3-pro"),
    ]
    .into_iter()
    .map(|(name, model)| {
        way(
            format!("stream of {name} relayed"),
            streams::plain_chat(),
            move |input| {
                let mut client = client();
                model.clone_into(&mut client.model);
                relayed(&mut ChatRelay::new(chat_of(name), name, client), input)
            },
        )
    })
    .collect();
    ways.extend(streams("chat", streams::plain_chat, chat_of("openai")));
    ways
}

/// Streams of Messages.
pub fn message_streams() -> Vec<Way> {
    streams("Messages", streams::plain_messages, messages_of())
}

/// Streams of Responses.
pub fn response_streams() -> Vec<Way> {
    let mut ways = vec![way(
        "stream of Responses relayed".to_owned(),
        streams::plain_responses(),
        |input| relayed(&mut ResponsesRelay::new("openai"), input),
    )];
    ways.extend(streams(
        "Responses",
        streams::plain_responses,
        &ResponsesProvider,
    ));
    ways
}

fn whole(of: &str, plain: fn() -> super::Shape, from: &'static dyn ProviderDialect) -> Vec<Way> {
    let read = move |input: &Input| from.decode_response(one(input));
    let events = |answer: ai_gateway::dialect::hub::Response, to: &dyn ClientDialect| {
        let (mut writer, mut out) = (to.stream_encoder(), Vec::new());
        for event in answer.into_events() {
            writer.push(event, &mut out);
        }
        out.len()
    };
    vec![
        way(format!("answer of {of} to chat"), plain(), move |input| {
            read(input).map_or(0, |answer| client().encode_response(answer).len())
        }),
        way(
            format!("answer of {of} to Responses"),
            plain(),
            move |input| {
                read(input).map_or(0, |answer| responses_client().encode_response(answer).len())
            },
        ),
        way(
            format!("answer of {of} as a stream of chat"),
            plain(),
            move |input| read(input).map_or(0, |answer| events(answer, &client())),
        ),
        way(
            format!("answer of {of} as a stream of Responses"),
            plain(),
            move |input| read(input).map_or(0, |answer| events(answer, &responses_client())),
        ),
        way(format!("answer of {of}, kept"), plain(), move |input| {
            let kept = read(input).ok().and_then(|answer| answer.kept());
            kept.map_or(0, |(_, kept)| kept.details.len())
        }),
        way(format!("error of {of}"), plain(), move |input| {
            let error = from.decode_error(400, one(input));
            ai_gateway::dialect::envelope(&Error::Provider(Box::new(error))).len()
        }),
    ]
}

/// Whole completions.
pub fn completions() -> Vec<Way> {
    let mut ways: Vec<_> = [
        ("openai", "m"),
        ("bedrock", "openai.gpt-oss"),
        ("gemini", "gemini-3-pro"),
    ]
    .into_iter()
    .map(|(name, model)| {
        way(
            format!("completion of {name} relayed"),
            answers::plain_completion(),
            move |input| {
                let mut client = client();
                model.clone_into(&mut client.model);
                let provider = chat_of(name);
                let reads = ResponseDecoder::Chat {
                    provider,
                    keeps_reasoning: provider.requires_reasoning_replay(model),
                };
                drop(reads.decode(one(input)));
                let mended = openai::repair(one(input), provider, &client);
                mended.map_or(0, |mended| {
                    mended.body.map_or(one(input).len(), |body| body.len())
                })
            },
        )
    })
    .collect();
    ways.extend(whole("chat", answers::plain_completion, chat_of("openai")));
    ways
}

/// Whole messages.
pub fn messages() -> Vec<Way> {
    whole("Messages", answers::plain_message, messages_of())
}

/// Whole responses.
pub fn whole_responses() -> Vec<Way> {
    let mut ways = vec![way(
        "response relayed".to_owned(),
        answers::plain_response(),
        |input| {
            drop(ResponseDecoder::Responses.decode(one(input)));
            responses::usage(one(input)).map_or(0, |_| one(input).len())
        },
    )];
    ways.extend(whole(
        "Responses",
        answers::plain_response,
        &ResponsesProvider,
    ));
    ways
}

/// Lists of models.
pub fn lists() -> Vec<Way> {
    vec![way(
        "list of models".to_owned(),
        answers::plain_list(),
        |input| {
            let page = models::read(one(input), "openai", "models/", None);
            page.map_or(0, |page| serde_json::to_vec(&page.entries).unwrap().len())
        },
    )]
}

/// An event in one piece.
pub fn event(name: Option<&str>, data: &str) -> String {
    let mut out = Vec::new();
    sse::write(&mut out, name, data);
    String::from_utf8(out).unwrap()
}
