//! A planned call, carried out in the same way for every endpoint.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::aside::Aside;
use super::ask::{Ask, Asked, Sent};
use super::stream::{Relayed, Translated};
use super::{AppState, Content, Refused, Reply};
use super::{hide, large};
use crate::codec::Spliced;
use crate::dialect::hub::{self, Event, Kept, Usage};
use crate::dialect::openai::{ChatClient, ChatProvider, ChatRelay, mend};
use crate::dialect::responses::{self, ResponsesRelay};
use crate::dialect::{Egress, InOrder, Ingress, Reads, Relay, Report, Whole};
use crate::error::Error;
use crate::offload;
use crate::providers::Provider;
use crate::secret::Secret;
use crate::upstream::Headers;
use crate::worker;

/// What is sent to whom, and how its answer becomes the client's.
pub(super) struct Plan {
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
    pub report: Report,
    /// What becomes of the answer.
    pub answer: Answer,
    /// Stands for the conversation in the memory of reasoning.
    pub talk: u64,
    /// Whose dialect the request is in, where it can be mended after a refusal.
    pub mends: Option<&'static dyn Egress>,
    /// The client's own names of fields, where they are not the hub's.
    pub own_name: Option<fn(&str) -> String>,
    /// What to try instead, where the provider cannot do what was asked in this way.
    pub instead: Option<Instead>,
}

/// What to try instead.
pub(super) type Instead = Box<dyn FnOnce() -> Result<Plan, Error> + Send>;

/// What becomes of a provider's answer.
#[derive(Clone)]
pub(super) enum Answer {
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
        from: &'static dyn Egress,
        /// How the client reads.
        client: Arc<dyn Ingress>,
        /// Whether the provider wants something of it back.
        keeps: bool,
    },
}

impl Answer {
    /// Whether the provider wants something of it back.
    fn keeps(&self) -> bool {
        match self {
            Self::Chat { chat, client } => chat.wants_back(&client.model),
            Self::Responses => false,
            Self::Translated { keeps, .. } => *keeps,
        }
    }

    /// How the provider's answer is read.
    fn reads(&self) -> Reads {
        match self {
            Self::Chat { chat, .. } => Reads::Chat {
                provider: chat,
                keeps: self.keeps(),
            },
            Self::Responses => Reads::Responses,
            Self::Translated { from, .. } => Reads::Translated(*from),
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
                client.stream().push(Event::Failed(error.clone()), &mut out);
                out
            }
        }
    }
}

impl Plan {
    /// Plans a call, on another thread where the body is large.
    pub(super) async fn of(
        ask: &Ask,
        state: &AppState,
        plan: fn(&Asked) -> Result<Self, Error>,
    ) -> Result<Self, Error> {
        let asked = ask.asked(state);
        let caller = ask.caller.id();
        let planned = large::on_body(&ask.body, &state.bodies, caller, move || plan(&asked));
        let mut plan = planned.await?;
        plan.report.dropped.extend(ask.withheld(plan.provider));
        plan.report.settle();
        Ok(plan)
    }

    /// Headers that tell what the plan does to the request.
    pub(super) fn told(&self) -> Headers {
        let mut headers = Headers::default();
        tell(&self.report, &mut headers);
        let translated = matches!(self.answer, Answer::Translated { .. });
        if self.path != self.provider.chat_path() && translated {
            headers.push("x-gateway-bridged", "responses");
        }
        headers
    }

    /// Calls the provider and answers the client.
    pub(super) async fn carry_out(self, state: &AppState, ask: &Ask) -> Result<Reply, Refused> {
        ask.check_strict(state, &self.report)?;
        let mut plan = self;
        let mut before = 0;
        loop {
            let name = plan.provider.name;
            match plan.attempt(state, ask, before).await {
                Ok(mut reply) => {
                    state.meter.report(name, &plan.report);
                    reply.attempts += before;
                    return Ok(reply);
                }
                Err(mut refused) => {
                    // Another form loses something: who wants nothing lost gets the refusal.
                    let reason = plan.other_form(&refused.error);
                    let allowed = ask.check_strict(state, &plan.report).is_ok();
                    let Some(reason) = reason.filter(|_| allowed) else {
                        state.meter.report(name, &plan.report);
                        refused.attempts += before;
                        return Err(refused);
                    };
                    log::info!("{name} refused a request; trying another form ({reason})");
                    state.meter.second_try(name, reason);
                    before += refused.attempts;
                }
            }
        }
    }

    /// Puts the plan in another form, where the provider refused it for a reason that is known;
    /// why, in a word. Each form is tried once.
    fn other_form(&mut self, error: &Error) -> Option<&'static str> {
        let Error::Provider(theirs) = error else {
            return None;
        };
        if let Some(dialect) = self.mends
            && let Some(mended) = dialect.mend(&self.body.whole(), theirs)
        {
            self.mends = None;
            self.body = mended.body.into();
            let headers = mended.headers.into_iter();
            self.headers
                .extend(headers.map(|(name, value)| (name, value.to_owned())));
            let dropped = self
                .own_name
                .map_or(mended.dropped.to_owned(), |own| own(mended.dropped));
            self.report.dropped.push(dropped);
            self.report.settle();
            return Some(mended.reason);
        }
        if matches!(theirs.upstream_status, 400 | 404)
            && let Some(instead) = self.instead.take()
            && let Ok(plan) = instead()
        {
            *self = plan;
            return Some("responses_not_taken");
        }
        None
    }

    async fn attempt(&self, state: &AppState, ask: &Ask, before: u32) -> Result<Reply, Refused> {
        let Self {
            provider,
            stream,
            talk,
            ..
        } = self;
        let answer = self.answer.clone();
        let sent = Sent {
            path: self.path,
            model: &self.model,
            body: self.body.clone(),
            headers: self.headers.clone(),
            stream: *stream,
            reads: answer.reads(),
            before,
        };
        let (reply, key) = ask.call(state, provider, sent).await?;
        let (attempts, mut headers) = (reply.attempts, reply.headers);
        let aside = Aside {
            meter: Arc::clone(&state.meter),
            store: Arc::clone(&state.store),
            provider: provider.name,
            owner: answer.keeps().then(|| ask.owner(state, provider)),
            talk: *talk,
            tally: Rc::clone(&ask.tally),
            drain: state.drain.clone(),
            limit: state.config.max_answer,
        };
        match content(answer, reply.content, *stream, key, aside).await {
            Ok(content) => {
                headers.append(self.told());
                Ok(Reply {
                    provider,
                    attempts,
                    headers,
                    content,
                })
            }
            Err(reason) => Err(Refused {
                error: Error::BadAnswer {
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
    answer: Answer,
    content: worker::Content,
    stream: bool,
    key: Secret,
    aside: Aside,
) -> Result<Content, String> {
    let events = match content {
        worker::Content::Whole(body, found) => {
            let length = body.len();
            let made = move || whole(answer, body, found, stream, &key);
            let made = offload::work_on(length, made).await?;
            aside.used(made.usage);
            aside.keep(made.kept);
            aside.repaired(u64::from(made.repaired));
            return Ok(if stream {
                let events = futures_util::stream::iter([made.out]);
                Content::Events(Box::pin(events))
            } else {
                Content::Json(made.out)
            });
        }
        worker::Content::Events(_) if !stream => {
            return Err("it is a stream, which was not asked for".to_owned());
        }
        worker::Content::Events(events) => events,
    };
    Ok(Content::Events(match answer {
        Answer::Chat { chat, client } => {
            let relay = Box::new(ChatRelay::new(chat, aside.provider, (*client).clone()));
            Box::pin(Relayed::new(events, relay, key, aside))
        }
        Answer::Responses => {
            let relay = Box::new(ResponsesRelay::new(aside.provider));
            Box::pin(Relayed::new(events, relay, key, aside))
        }
        Answer::Translated {
            from,
            client,
            keeps,
        } => {
            let (from, to) = (from.stream(aside.provider), client.stream());
            Box::pin(Translated::new(events, from, to, key, aside, keeps))
        }
    }))
}

/// What a whole answer became.
struct Made {
    /// The client's JSON, or its events.
    out: Bytes,
    /// The tokens that the provider counted.
    usage: Option<Usage>,
    /// Ids of its calls and what the provider wants back with them.
    kept: Option<(Vec<String>, Kept)>,
    /// Whether something was wrong with it.
    repaired: bool,
}

/// Makes the client's answer of a whole one. Pure.
fn whole(
    answer: Answer,
    body: Bytes,
    found: Whole,
    stream: bool,
    key: &Secret,
) -> Result<Made, String> {
    // The key must not get into what is made of the answer, as sealed reasoning is.
    let before = (body.as_ptr(), body.len());
    let body = hide::whole(body, key);
    let same = (body.as_ptr(), body.len()) == before;
    let found = if same { found } else { Whole::Json };
    match (stream, answer) {
        (false, Answer::Chat { chat, client }) => {
            if let Whole::InOrder(InOrder { usage }) = found {
                return Ok(Made {
                    out: body,
                    usage,
                    kept: None,
                    repaired: false,
                });
            }
            let mended = mend(&body, chat, &client)?;
            let repaired = mended.body.is_some();
            Ok(Made {
                out: mended.body.map_or(body, Bytes::from),
                usage: mended.usage,
                kept: mended.kept,
                repaired,
            })
        }
        (false, Answer::Responses) => {
            let usage = match found {
                Whole::InOrder(InOrder { usage }) => usage,
                _ if !responses::is_response(&body) => {
                    return Err("it is no response".to_owned());
                }
                _ => responses::usage(&body),
            };
            Ok(Made {
                out: body,
                usage,
                kept: None,
                repaired: false,
            })
        }
        (
            false,
            Answer::Translated {
                from,
                client,
                keeps,
            },
        ) => {
            let answer = read(from, &body, found)?;
            Ok(Made {
                usage: answer.usage,
                kept: keeps.then(|| answer.kept()).flatten(),
                out: client.answer(answer).into(),
                repaired: false,
            })
        }
        (true, Answer::Chat { chat, client }) => {
            if choices(&body) > 1 {
                let reason = "it is one object, where a stream of several answers was asked for";
                return Err(reason.to_owned());
            }
            let keeps = chat.wants_back(&client.model);
            Ok(as_stream(&*client, chat.answer(&body)?, keeps))
        }
        (
            true,
            Answer::Translated {
                from,
                client,
                keeps,
            },
        ) => Ok(as_stream(&*client, read(from, &body, found)?, keeps)),
        (true, Answer::Responses) => {
            Err("it is one object, where a stream was asked for".to_owned())
        }
    }
}

/// A whole answer that is to be translated, read; or what is wrong with its shape.
fn read(from: &dyn Egress, body: &[u8], found: Whole) -> Result<hub::Answer, String> {
    match found {
        Whole::Read(answer) => Ok(*answer),
        _ => from.answer(body),
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
fn as_stream(client: &dyn Ingress, answer: hub::Answer, keeps: bool) -> Made {
    let mut out = Vec::new();
    let mut writer = client.stream();
    let usage = answer.usage;
    let kept = keeps.then(|| answer.kept()).flatten();
    for event in answer.into_events() {
        writer.push(event, &mut out);
    }
    Made {
        out: out.into(),
        usage,
        kept,
        repaired: true,
    }
}

/// Longest list of names in a header, in bytes.
const MAX_NAMES: usize = 2000;

/// Names what a translation left out and changed.
fn tell(report: &Report, headers: &mut Headers) {
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
