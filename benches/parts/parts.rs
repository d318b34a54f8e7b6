//! The parts, each with its input.

use std::hint::black_box;

use ai_gateway::codec::json::{self, Object};
use ai_gateway::codec::sse::{self, Framer};
use ai_gateway::dialect::hub::NoReasoningCache;
use ai_gateway::dialect::openai::{self, ChatClient, ChatProvider, ChatRelay};
use ai_gateway::dialect::responses::{self, ResponsesProvider, ResponsesRelay};
use ai_gateway::dialect::{
    ClientDialect, DecodedBody, ProviderDialect, Relay, ResponseDecoder, Stamp,
};
use ai_gateway::providers::{self, ChatApi};
use ai_gateway::routing::route;
use bytes::Bytes;

use crate::inputs;

/// Something that is measured.
pub struct Part {
    /// The size of its input.
    pub bytes: usize,
    /// Does it once.
    pub run: Box<dyn Fn()>,
}

/// What makes a part.
type Make = fn(&'static str) -> Part;

const PARTS: &[(&str, Make)] = &[
    ("route a model's name", |name| {
        part(name, "openrouter/openai/gpt-4o-mini".to_owned(), |model| {
            route(model).is_ok()
        })
    }),
    ("read a request", |name| {
        part(name, inputs::chat("m", 1, 0), |body| {
            Object::from_body(body.as_bytes()).is_ok()
        })
    }),
    ("read a request with an image of 1 MB", |name| {
        part(name, inputs::image("m"), |body| {
            Object::from_body(body.as_bytes()).is_ok()
        })
    }),
    ("read and splice `model`", |name| {
        part(
            name,
            Bytes::from(inputs::chat("openai/gpt-4o-mini", 1, 0)),
            |body| {
                let object = Object::from_body(body).unwrap();
                let model = object.get("model").unwrap();
                json::splice(body, model, Bytes::from_static(b"\"gpt-4o-mini\"")).is_some()
            },
        )
    }),
    ("see that a completion is in order", |name| {
        part(name, inputs::completion(), |body| {
            let reads = ResponseDecoder::Chat {
                provider: chat(),
                keeps_reasoning: false,
            };
            matches!(reads.decode(body.as_bytes()), DecodedBody::Conformant(_))
        })
    }),
    ("frame and read the events of a stream", |name| {
        part(name, stream(inputs::chunks()), |chunks| {
            let mut framer = Framer::new(1 << 20);
            chunks.iter().all(|chunk| {
                let whole = framer.push(chunk.clone()).unwrap();
                sse::events(&whole).count() == 1
            })
        })
    }),
    ("write the events of a stream", |name| {
        part(name, inputs::chunks(), |chunks| {
            let mut out = Vec::new();
            for chunk in chunks {
                sse::write(&mut out, None, chunk.trim_end());
            }
            !out.is_empty()
        })
    }),
    ("relay a chat stream", |name| {
        part(name, stream(inputs::chunks()), |chunks| {
            relay(&mut ChatRelay::new(chat(), "openai", client()), chunks)
        })
    }),
    ("relay a Responses stream", |name| {
        part(name, stream(inputs::response_events()), |chunks| {
            relay(&mut ResponsesRelay::new("openai"), chunks)
        })
    }),
    ("request: chat to Messages", |name| {
        part(name, inputs::chat("m", 1, 0), |body| {
            request(body, messages())
        })
    }),
    (
        "request: chat to Messages, 30 messages and 20 tools",
        |name| {
            part(name, inputs::chat("m", 31, 20), |body| {
                request(body, messages())
            })
        },
    ),
    ("request: chat to Responses", |name| {
        part(name, inputs::chat("m", 1, 0), |body| {
            request(body, &ResponsesProvider)
        })
    }),
    ("request: Responses to chat", |name| {
        part(name, inputs::responses("m"), |body| {
            from_responses(body, chat())
        })
    }),
    ("request: Responses to Messages", |name| {
        part(name, inputs::responses("m"), |body| {
            from_responses(body, messages())
        })
    }),
    ("answer: Messages to chat", |name| {
        part(name, inputs::message(), |body| {
            answer(body, messages(), &client())
        })
    }),
    ("answer: Responses to chat", |name| {
        part(name, inputs::response(), |body| {
            answer(body, &ResponsesProvider, &client())
        })
    }),
    ("answer: chat to Responses", |name| {
        let to = responses_client();
        part(name, inputs::completion(), move |body| {
            answer(body, chat(), &to)
        })
    }),
    ("stream: Messages to chat", |name| {
        part(name, stream(inputs::message_events()), |chunks| {
            translate(messages(), &client(), chunks)
        })
    }),
    ("stream: Responses to chat", |name| {
        part(name, stream(inputs::response_events()), |chunks| {
            translate(&ResponsesProvider, &client(), chunks)
        })
    }),
    ("stream: chat to Responses", |name| {
        let to = responses_client();
        part(name, stream(inputs::chunks()), move |chunks| {
            translate(chat(), &to, chunks)
        })
    }),
];

/// The size of an input, in bytes.
trait Measured {
    fn bytes(&self) -> usize;
}

impl Measured for String {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl Measured for Bytes {
    fn bytes(&self) -> usize {
        self.len()
    }
}

impl<T: Measured> Measured for Vec<T> {
    fn bytes(&self) -> usize {
        self.iter().map(Measured::bytes).sum()
    }
}

/// A part that takes `input` and says whether it did what it is measured for.
fn part<I: Measured + 'static>(
    name: &'static str,
    input: I,
    run: impl Fn(&I) -> bool + 'static,
) -> Part {
    assert!(run(&input), "{name} does not do it");
    Part {
        bytes: input.bytes(),
        run: Box::new(move || {
            black_box(run(black_box(&input)));
        }),
    }
}

/// All names.
pub fn names() -> Vec<&'static str> {
    PARTS.iter().map(|(name, _)| *name).collect()
}

/// The part of a name.
pub fn named(name: &str) -> Option<Part> {
    let (name, make) = PARTS.iter().find(|(own, _)| *own == name)?;
    Some(make(name))
}

fn stream(events: Vec<String>) -> Vec<Bytes> {
    events.into_iter().map(Bytes::from).collect()
}

fn chat() -> &'static ChatProvider {
    match providers::by_name("openai").unwrap().chat_api {
        ChatApi::Chat(chat) => chat,
        ChatApi::Other { .. } => unreachable!("it speaks Chat Completions"),
    }
}

fn messages() -> &'static dyn ProviderDialect {
    providers::by_name("anthropic").unwrap().dialect()
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
        include_usage: false,
        functions: false,
        json_object: false,
    }
}

fn responses_client() -> responses::ResponsesClient {
    let object = Object::from_body(br#"{"input":"x"}"#).unwrap();
    let read = responses::read_request(object, "m".into(), "openai", chat(), stamp());
    read.unwrap().1
}

fn request(body: &str, to: &dyn ProviderDialect) -> bool {
    let object = Object::from_body(body.as_bytes()).unwrap();
    let mut request = openai::read_request(object, "m".into()).unwrap();
    to.encode_request(&mut request, &NoReasoningCache).is_ok()
}

fn from_responses(body: &str, to: &dyn ProviderDialect) -> bool {
    let object = Object::from_body(body.as_bytes()).unwrap();
    let read = responses::read_request(object, "m".into(), "openai", to, stamp());
    to.encode_request(&mut read.unwrap().0, &NoReasoningCache)
        .is_ok()
}

fn answer(body: &str, from: &dyn ProviderDialect, to: &dyn ClientDialect) -> bool {
    let answer = from.decode_response(body.as_bytes()).unwrap();
    !to.encode_response(answer).is_empty()
}

fn relay(relay: &mut dyn Relay, chunks: &[Bytes]) -> bool {
    chunks
        .iter()
        .all(|chunk| relay.pass(chunk.clone()) == *chunk)
        && relay.end(true).is_ok()
}

fn translate(from: &dyn ProviderDialect, to: &dyn ClientDialect, chunks: &[Bytes]) -> bool {
    let (mut reader, mut writer) = (from.stream_decoder("openai"), to.stream_encoder());
    let (mut steps, mut out) = (Vec::new(), Vec::new());
    for chunk in chunks {
        for event in sse::events(chunk) {
            reader.push(&event, &mut steps);
        }
        out.clear();
        for step in steps.drain(..) {
            writer.push(step, &mut out);
        }
    }
    !out.is_empty()
}
