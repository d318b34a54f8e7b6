//! A planned call, carried out in the same way for every endpoint.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::inbound::{InboundRequest, OutgoingCall, TranslationInput};
use super::observer::CallObserver;
use super::response::{CallError, GatewayBody, GatewayResponse};
use super::state::AppState;
use super::stream::{RelayedStream, TranslatedStream};
use super::{large_body, redaction};
use crate::codec::Spliced;
use crate::dialect::hub::{self, Event, ReasoningState, Usage};
use crate::dialect::openai::{ChatClient, ChatProvider, ChatRelay, repair};
use crate::dialect::responses::{self, ResponsesRelay};
use crate::dialect::{
    ClientDialect, Conformant, DecodedBody, ProviderDialect, Relay, ResponseDecoder,
    TranslationReport,
};
use crate::error::Error;
use crate::offload;
use crate::providers::Provider;
use crate::secret::Secret;
use crate::upstream::Headers;
use crate::worker;

/// What is sent to whom, and how its answer becomes the client's.
pub(super) struct PreparedCall {
    /// Whom.
    pub provider: &'static Provider,
    /// The model, as the client named it.
    pub model: Arc<str>,
    /// The path after the base URL.
    pub path: &'static str,
    /// The provider's request.
    pub body: Spliced,
    /// Headers that go with it.
    pub headers: Vec<(&'static str, String)>,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// What a translation did.
    pub report: TranslationReport,
    /// What becomes of the answer.
    pub answer: ResponseMode,
    /// Stands for the conversation in the memory of reasoning.
    pub conversation_hash: u64,
    /// Whose dialect the request is in, where it can be mended after a refusal.
    pub recovers: Option<&'static dyn ProviderDialect>,
    /// The client's own names of fields, where they are not the hub's.
    pub client_name: Option<fn(&str) -> String>,
    /// What to try instead, where the provider cannot do what was asked in this way.
    pub alternative: Option<Alternative>,
}

/// What to try instead.
pub(super) type Alternative = Box<dyn FnOnce() -> Result<PreparedCall, Error> + Send>;

/// What becomes of a provider's answer.
#[derive(Clone)]
pub(super) enum ResponseMode {
    /// Chat Completions both ways: its bytes go through, repaired where something is wrong.
    Chat {
        /// How the provider writes.
        chat: &'static ChatProvider,
        /// How the client reads.
        client: Arc<ChatClient>,
    },
    /// Responses both ways: its bytes go through, repaired where something is wrong.
    Responses,
    /// It is read in one dialect and written in another.
    Translated {
        /// How the provider writes.
        from: &'static dyn ProviderDialect,
        /// How the client reads.
        client: Arc<dyn ClientDialect>,
        /// Whether the provider wants something of it back.
        keeps_reasoning: bool,
    },
}

impl ResponseMode {
    /// Whether the provider wants something of it back.
    fn keeps_reasoning(&self) -> bool {
        match self {
            Self::Chat { chat, client } => chat.requires_reasoning_replay(&client.model),
            Self::Responses => false,
            Self::Translated {
                keeps_reasoning, ..
            } => *keeps_reasoning,
        }
    }

    /// How the provider's answer is read.
    fn decoder(&self) -> ResponseDecoder {
        match self {
            Self::Chat { chat, .. } => ResponseDecoder::Chat {
                provider: chat,
                keeps_reasoning: self.keeps_reasoning(),
            },
            Self::Responses => ResponseDecoder::Responses,
            Self::Translated { from, .. } => ResponseDecoder::Translated(*from),
        }
    }

    /// The events by which the client is told that its stream failed before anything came.
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

impl PreparedCall {
    /// Plans a call, on another thread where the body is large.
    pub(super) async fn of(
        inbound: &InboundRequest,
        state: &AppState,
        plan: fn(&TranslationInput) -> Result<Self, Error>,
    ) -> Result<Self, Error> {
        let asked = inbound.asked(state);
        let caller = inbound.caller.id();
        let planned =
            large_body::on_body(&inbound.body, &state.bodies, caller, move || plan(&asked));
        let mut plan = planned.await?;
        plan.report.dropped.extend(inbound.withheld(plan.provider));
        plan.report.dedup();
        Ok(plan)
    }

    /// Headers that tell what the plan does to the request.
    pub(super) fn translation_headers(&self) -> Headers {
        let mut headers = Headers::default();
        name_changes(&self.report, &mut headers);
        let translated = matches!(self.answer, ResponseMode::Translated { .. });
        if self.path != self.provider.chat_path() && translated {
            headers.push("x-gateway-bridged", "responses");
        }
        headers
    }

    /// Calls the provider and answers the client.
    pub(super) async fn execute(
        self,
        state: &AppState,
        inbound: &InboundRequest,
    ) -> Result<GatewayResponse, CallError> {
        inbound.check_strict(state, &self.report)?;
        let mut plan = self;
        let mut prior_attempts = 0;
        loop {
            let name = plan.provider.name;
            match plan.attempt(state, inbound, prior_attempts).await {
                Ok(mut reply) => {
                    state.metrics.report(name, &plan.report);
                    reply.attempts += prior_attempts;
                    return Ok(reply);
                }
                Err(mut refused) => {
                    // Another form loses something: who wants nothing lost gets the refusal.
                    let reason = plan.next_form(&refused.error);
                    let allowed = inbound.check_strict(state, &plan.report).is_ok();
                    let Some(reason) = reason.filter(|_| allowed) else {
                        state.metrics.report(name, &plan.report);
                        refused.attempts += prior_attempts;
                        return Err(refused);
                    };
                    log::info!("{name} refused a request; trying another form ({reason})");
                    state.metrics.recovered(name, reason);
                    prior_attempts += refused.attempts;
                }
            }
        }
    }

    /// Puts the plan in another form, where the provider refused it for a reason that is known;
    /// why, in a word. Each form is tried once.
    fn next_form(&mut self, error: &Error) -> Option<&'static str> {
        let Error::Provider(theirs) = error else {
            return None;
        };
        if let Some(dialect) = self.recovers
            && let Some(mended) = dialect.recover(&self.body.whole(), theirs)
        {
            self.recovers = None;
            self.body = mended.body.into();
            let headers = mended.headers.into_iter();
            self.headers
                .extend(headers.map(|(name, value)| (name, value.to_owned())));
            let dropped = self
                .client_name
                .map_or(mended.dropped.to_owned(), |own| own(mended.dropped));
            self.report.dropped.push(dropped);
            self.report.dedup();
            return Some(mended.reason);
        }
        if matches!(theirs.upstream_status, 400 | 404)
            && let Some(alternative) = self.alternative.take()
            && let Ok(plan) = alternative()
        {
            *self = plan;
            return Some("responses_not_taken");
        }
        None
    }

    async fn attempt(
        &self,
        state: &AppState,
        inbound: &InboundRequest,
        prior_attempts: u32,
    ) -> Result<GatewayResponse, CallError> {
        let Self {
            provider,
            stream,
            conversation_hash,
            ..
        } = self;
        let answer = self.answer.clone();
        let sent = OutgoingCall {
            path: self.path,
            model: &self.model,
            body: self.body.clone(),
            headers: self.headers.clone(),
            stream: *stream,
            decoder: answer.decoder(),
            prior_attempts,
        };
        let (reply, key) = inbound.call(state, provider, sent).await?;
        let (attempts, mut headers) = (reply.attempts, reply.headers);
        let observer = CallObserver {
            metrics: Arc::clone(&state.metrics),
            store: Arc::clone(&state.store),
            provider: provider.name,
            credential_hash: answer
                .keeps_reasoning()
                .then(|| inbound.credential_hash(state, provider)),
            conversation_hash: *conversation_hash,
            record: Rc::clone(&inbound.record),
            shutdown: state.shutdown.clone(),
            limit: state.config.max_answer,
        };
        match content(answer, reply.content, *stream, key, observer).await {
            Ok(content) => {
                headers.append(self.translation_headers());
                Ok(GatewayResponse {
                    provider,
                    attempts,
                    headers,
                    content,
                })
            }
            Err(reason) => Err(CallError {
                error: Error::InvalidUpstreamResponse {
                    provider: provider.name,
                    reason,
                },
                provider: Some(provider),
                attempts,
                headers,
            }),
        }
    }
}

/// The client's answer, or why the provider's cannot be used.
async fn content(
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
            let made = offload::work_on(length, made).await?;
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

/// What a whole answer became.
struct ConvertedBody {
    /// The client's JSON, or its events.
    out: Bytes,
    /// The tokens that the provider counted.
    usage: Option<Usage>,
    /// Ids of its calls and what the provider wants back with them.
    kept: Option<(Vec<String>, ReasoningState)>,
    /// Whether something was wrong with it.
    repaired: bool,
}

/// Makes the client's answer of a whole one. Pure.
fn whole(
    answer: ResponseMode,
    body: Bytes,
    found: DecodedBody,
    stream: bool,
    key: &Secret,
) -> Result<ConvertedBody, String> {
    // The key must not get into what is made of the answer, as sealed reasoning is.
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
            let mended = repair(&body, chat, &client)?;
            let repaired = mended.body.is_some();
            Ok(ConvertedBody {
                out: mended.body.map_or(body, Bytes::from),
                usage: mended.usage,
                kept: mended.kept,
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

/// A whole answer that is to be translated, read; or what is wrong with its shape.
fn read(
    from: &dyn ProviderDialect,
    body: &[u8],
    found: DecodedBody,
) -> Result<hub::Response, String> {
    match found {
        DecodedBody::Read(answer) => Ok(*answer),
        _ => from.decode_response(body),
    }
}

/// How many choices a completion has.
fn choices(body: &[u8]) -> usize {
    #[derive(serde::Deserialize)]
    struct Count {
        #[serde(default)]
        choices: Vec<serde::de::IgnoredAny>,
    }
    serde_json::from_slice::<Count>(body).map_or(0, |count| count.choices.len())
}

/// One whole answer as the stream that was asked for.
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

/// Longest list of names in a header, in bytes.
const MAX_NAMES: usize = 2000;

/// Names what a translation left out and changed.
fn name_changes(report: &TranslationReport, headers: &mut Headers) {
    for (header, names) in [
        ("x-gateway-dropped-params", &report.dropped),
        ("x-gateway-changed-params", &report.changed),
    ] {
        if !names.is_empty() {
            headers.push(header, &list(names));
        }
    }
}

/// Names for a header. They are the client's own words: what no name has becomes `_`, and of too
/// many the rest is counted.
fn list(names: &[String]) -> String {
    let mut out = String::new();
    for (n, name) in names.iter().enumerate() {
        if out.len() + name.len() > MAX_NAMES {
            let comma = if out.is_empty() { "" } else { "," };
            let rest = names.len() - n;
            return format!("{out}{comma}and-{rest}-more");
        }
        if n > 0 {
            out.push(',');
        }
        out.extend(name.chars().map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' | '.' | '[' | ']' => c,
            _ => '_',
        }));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_header_are_names_and_not_too_many() {
        let names = ["a.b[0]", "x\ny: z", "\u{fc}"].map(str::to_owned);
        assert_eq!(list(&names), "a.b[0],x_y__z,_");
        let many: Vec<_> = (0..1000).map(|n| format!("name{n}")).collect();
        let shown = list(&many);
        assert!(shown.len() < MAX_NAMES + 30, "{}", shown.len());
        assert!(shown.ends_with("-more"), "{shown}");
        assert_eq!(list(&["x".repeat(5000)]), "and-1-more");
    }
}
