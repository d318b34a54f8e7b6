//! Turns a provider's response into the client's: relayed and repaired, or translated.

use std::sync::Arc;

use bytes::Bytes;

use super::observer::CallObserver;
use super::redaction;
use super::relayed_stream::RelayedStream;
use super::response::GatewayBody;
use super::translated_stream::TranslatedStream;
use crate::dialect::hub::{self, Event, ReasoningState, Usage};
use crate::dialect::openai::{ChatClient, ChatProvider, ChatRelay, repair};
use crate::dialect::responses::{self, ResponsesRelay};
use crate::dialect::{
    ClientDialect, Conformant, DecodedBody, ProviderDialect, Relay, ResponseDecoder,
};
use crate::error::Error;
use crate::offload;
use crate::secret::Secret;
use crate::worker;

/// How the provider's response becomes the client's.
#[derive(Clone)]
pub(super) enum ResponseMode {
    /// Client and provider speak Chat Completions: the bytes are relayed, and repaired where they
    /// break the contract.
    Chat {
        /// The provider's dialect.
        chat: &'static ChatProvider,
        /// The client's dialect.
        client: Arc<ChatClient>,
    },
    /// Client and provider speak Responses: the bytes are relayed, and repaired where they break
    /// the contract.
    Responses,
    /// The response is decoded from one dialect and encoded in another.
    Translated {
        /// The provider's dialect.
        from: &'static dyn ProviderDialect,
        /// The client's dialect.
        client: Arc<dyn ClientDialect>,
        /// Whether the provider needs the response's reasoning back in the next request.
        keeps_reasoning: bool,
    },
}

impl ResponseMode {
    /// Whether the provider needs the response's reasoning back in the next request.
    pub(super) fn keeps_reasoning(&self) -> bool {
        match self {
            Self::Chat { chat, client } => chat.requires_reasoning_replay(&client.model),
            Self::Responses => false,
            Self::Translated {
                keeps_reasoning, ..
            } => *keeps_reasoning,
        }
    }

    /// The decoder of the provider's response.
    pub(super) fn decoder(&self) -> ResponseDecoder {
        match self {
            Self::Chat { chat, .. } => ResponseDecoder::Chat {
                provider: chat,
                keeps_reasoning: self.keeps_reasoning(),
            },
            Self::Responses => ResponseDecoder::Responses,
            Self::Translated { from, .. } => ResponseDecoder::Translated(*from),
        }
    }

    /// The events that report a failure to the client before the stream had any event.
    pub(super) fn failure(&self, provider: &'static str, error: &Error) -> Vec<u8> {
        match self {
            Self::Chat { chat, client } => {
                ChatRelay::new(chat, provider, (**client).clone()).failure(error)
            }
            Self::Responses => ResponsesRelay::new(provider).failure(error),
            Self::Translated { client, .. } => {
                let mut out = Vec::new();
                client
                    .stream_encoder()
                    .push(Event::Failed(error.clone()), &mut out);
                out
            }
        }
    }
}

/// The client's response, or why the provider's cannot be used.
pub(super) async fn content(
    answer: ResponseMode,
    content: worker::UpstreamBody,
    stream: bool,
    key: Secret,
    observer: CallObserver,
) -> Result<GatewayBody, String> {
    let events = match content {
        worker::UpstreamBody::Whole(body, found) => {
            let length = body.len();
            let made = move || whole(answer, body, found, stream, &key);
            let made = offload::run(length, made).await?;
            observer.used(made.usage);
            observer.keep(made.kept);
            observer.repaired(u64::from(made.repaired));
            return Ok(if stream {
                let events = futures_util::stream::iter([made.out]);
                GatewayBody::Events(Box::pin(events))
            } else {
                GatewayBody::Json(made.out)
            });
        }
        worker::UpstreamBody::Events(_) if !stream => {
            return Err("it is a stream, which was not asked for".to_owned());
        }
        worker::UpstreamBody::Events(events) => events,
    };
    Ok(GatewayBody::Events(match answer {
        ResponseMode::Chat { chat, client } => {
            let relay = Box::new(ChatRelay::new(chat, observer.provider, (*client).clone()));
            Box::pin(RelayedStream::new(events, relay, key, observer))
        }
        ResponseMode::Responses => {
            let relay = Box::new(ResponsesRelay::new(observer.provider));
            Box::pin(RelayedStream::new(events, relay, key, observer))
        }
        ResponseMode::Translated {
            from,
            client,
            keeps_reasoning,
        } => {
            let (from, to) = (
                from.stream_decoder(observer.provider),
                client.stream_encoder(),
            );
            Box::pin(TranslatedStream::new(
                events,
                from,
                to,
                key,
                observer,
                keeps_reasoning,
            ))
        }
    }))
}

/// A whole response, converted for the client.
struct ConvertedBody {
    /// The client's JSON, or its events.
    out: Bytes,
    /// The token usage that the provider reported.
    usage: Option<Usage>,
    /// The ids of the tool calls, and the reasoning that the provider needs back with them.
    kept: Option<(Vec<String>, ReasoningState)>,
    /// Whether the response was repaired.
    repaired: bool,
}

/// Converts a whole response for the client. Pure.
fn whole(
    answer: ResponseMode,
    body: Bytes,
    found: DecodedBody,
    stream: bool,
    key: &Secret,
) -> Result<ConvertedBody, String> {
    // The key must not get into derived data such as sealed reasoning.
    let before = (body.as_ptr(), body.len());
    let body = redaction::whole(body, key);
    let same = (body.as_ptr(), body.len()) == before;
    let found = if same { found } else { DecodedBody::Json };
    match (stream, answer) {
        (false, ResponseMode::Chat { chat, client }) => {
            if let DecodedBody::Conformant(Conformant { usage }) = found {
                return Ok(ConvertedBody {
                    out: body,
                    usage,
                    kept: None,
                    repaired: false,
                });
            }
            let repaired_body = repair(&body, chat, &client)?;
            let repaired = repaired_body.body.is_some();
            Ok(ConvertedBody {
                out: repaired_body.body.map_or(body, Bytes::from),
                usage: repaired_body.usage,
                kept: repaired_body.kept,
                repaired,
            })
        }
        (false, ResponseMode::Responses) => {
            let usage = match found {
                DecodedBody::Conformant(Conformant { usage }) => usage,
                _ if !responses::is_response(&body) => {
                    return Err("it is no response".to_owned());
                }
                _ => responses::usage(&body),
            };
            Ok(ConvertedBody {
                out: body,
                usage,
                kept: None,
                repaired: false,
            })
        }
        (
            false,
            ResponseMode::Translated {
                from,
                client,
                keeps_reasoning,
            },
        ) => {
            let answer = read(from, &body, found)?;
            Ok(ConvertedBody {
                usage: answer.usage,
                kept: keeps_reasoning.then(|| answer.kept()).flatten(),
                out: client.encode_response(answer).into(),
                repaired: false,
            })
        }
        (true, ResponseMode::Chat { chat, client }) => {
            if choices(&body) > 1 {
                let reason = "it is one object, where a stream of several answers was asked for";
                return Err(reason.to_owned());
            }
            let keeps_reasoning = chat.requires_reasoning_replay(&client.model);
            Ok(as_stream(
                &*client,
                chat.decode_response(&body)?,
                keeps_reasoning,
            ))
        }
        (
            true,
            ResponseMode::Translated {
                from,
                client,
                keeps_reasoning,
            },
        ) => Ok(as_stream(
            &*client,
            read(from, &body, found)?,
            keeps_reasoning,
        )),
        (true, ResponseMode::Responses) => {
            Err("it is one object, where a stream was asked for".to_owned())
        }
    }
}

/// The decoded form of a whole response, or what is wrong with its shape.
fn read(
    from: &dyn ProviderDialect,
    body: &[u8],
    found: DecodedBody,
) -> Result<hub::Response, String> {
    match found {
        DecodedBody::Decoded(answer) => Ok(*answer),
        _ => from.decode_response(body),
    }
}

/// The number of choices in a completion.
fn choices(body: &[u8]) -> usize {
    #[derive(serde::Deserialize)]
    struct Count {
        #[serde(default)]
        choices: Vec<serde::de::IgnoredAny>,
    }
    serde_json::from_slice::<Count>(body).map_or(0, |count| count.choices.len())
}

/// A whole response as the stream that the client asked for.
fn as_stream(
    client: &dyn ClientDialect,
    answer: hub::Response,
    keeps_reasoning: bool,
) -> ConvertedBody {
    let mut out = Vec::new();
    let mut writer = client.stream_encoder();
    let usage = answer.usage;
    let kept = keeps_reasoning.then(|| answer.kept()).flatten();
    for event in answer.into_events() {
        writer.push(event, &mut out);
    }
    ConvertedBody {
        out: out.into(),
        usage,
        kept,
        repaired: true,
    }
}
