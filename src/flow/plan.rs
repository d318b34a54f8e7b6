//! A planned call, carried out in the same way for every endpoint.

use std::sync::Arc;

use bytes::Bytes;

use super::ask::Ask;
use super::stream::{Relayed, Translated};
use super::{AppState, Content, Refused, Reply};
use crate::dialect::hub::Kept;
use crate::dialect::openai::{ChatClient, ChatProvider, ChatRelay, mend};
use crate::dialect::{Egress, Ingress, Relay, Report};
use crate::error::{Error, ProviderError};
use crate::meter::Meter;
use crate::providers::Provider;
use crate::secret::Secret;
use crate::store::Store;
use crate::worker;

/// What is sent to whom, and how its answer becomes the client's.
pub(super) struct Plan {
    /// Whom.
    pub provider: &'static Provider,
    /// The path after the base URL.
    pub path: &'static str,
    /// The provider's request.
    pub body: Bytes,
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
    /// What else to try, once, where the provider refuses for a reason that is known.
    pub second: Option<Second>,
}

/// What else to try, and why, given the provider's refusal.
pub(super) type Second = Box<dyn FnOnce(&ProviderError) -> Option<(Plan, &'static str)>>;

/// What becomes of a provider's answer.
pub(super) enum Answer {
    /// Chat Completions both ways: its bytes go through, repaired where something is wrong.
    Chat {
        /// How the provider writes.
        chat: &'static ChatProvider,
        /// How the client reads.
        client: ChatClient,
    },
    /// Responses both ways: its bytes go through, repaired where something is wrong.
    Responses(Box<dyn Relay>),
    /// It is read in one dialect and written in another.
    Translated {
        /// How the provider writes.
        from: &'static dyn Egress,
        /// How the client reads.
        client: Box<dyn Ingress>,
        /// Whether the provider wants something of it back.
        keeps: bool,
    },
}

impl Plan {
    /// Calls the provider and answers the client.
    pub(super) async fn carry_out(self, state: &AppState, ask: &Ask<'_>) -> Result<Reply, Refused> {
        let mut plan = self;
        let mut before = 0;
        loop {
            ask.check_strict(state, &plan.report)?;
            state.meter.report(plan.provider.name, &plan.report);
            let second = plan.second.take();
            let provider = plan.provider;
            match plan.attempt(state, ask).await {
                Ok(mut reply) => {
                    reply.attempts += before;
                    return Ok(reply);
                }
                Err(mut refused) => {
                    let next = match &refused.error {
                        Error::Provider(theirs) => second.and_then(|second| second(theirs)),
                        _ => None,
                    };
                    let Some((next, reason)) = next else {
                        refused.attempts += before;
                        return Err(refused);
                    };
                    log::info!(
                        "{}: {}; trying another form ({reason})",
                        provider.name,
                        refused.error
                    );
                    state.meter.second_try(provider.name, reason);
                    before += refused.attempts;
                    plan = next;
                }
            }
        }
    }

    async fn attempt(self, state: &AppState, ask: &Ask<'_>) -> Result<Reply, Refused> {
        let Self {
            provider,
            path,
            body,
            headers,
            stream,
            report,
            answer,
            talk,
            second: _,
        } = self;
        let (reply, key) = ask
            .call(state, provider, path, body, headers, stream)
            .await?;
        let (attempts, mut headers) = (reply.attempts, reply.headers);
        let aside = Aside {
            meter: Arc::clone(&state.meter),
            store: Arc::clone(&state.store),
            provider: provider.name,
            owner: state.store.owner(provider.name, &key),
            talk,
        };
        match content(answer, reply.content, stream, key, aside) {
            Ok(content) => {
                tell(&report, &mut headers);
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

/// What is done beside answering: counting, and keeping what the provider wants back.
pub(super) struct Aside {
    meter: Arc<Meter>,
    store: Arc<Store>,
    provider: &'static str,
    owner: u64,
    talk: u64,
}

impl Aside {
    pub(super) fn keep(&self, kept: Option<(Vec<String>, Kept)>) {
        if let Some((calls, kept)) = kept {
            self.store.keep(self.owner, self.talk, calls, kept);
        }
    }

    pub(super) fn repaired(&self, events: u64) {
        self.meter.repaired(self.provider, events);
    }

    pub(super) fn broken(&self, code: &'static str) {
        self.meter.broken(self.provider, code);
    }

    pub(super) fn provider(&self) -> &'static str {
        self.provider
    }
}

/// The client's answer, or why the provider's cannot be used.
fn content(
    answer: Answer,
    content: worker::Content,
    stream: bool,
    key: Secret,
    aside: Aside,
) -> Result<Content, String> {
    match (content, stream, answer) {
        (worker::Content::Whole(body), false, Answer::Chat { chat, client }) => {
            let mended = mend(&body, chat, &client)?;
            aside.keep(mended.kept);
            aside.repaired(u64::from(mended.body.is_some()));
            Ok(Content::Json(mended.body.map_or(body, Bytes::from)))
        }
        (worker::Content::Whole(body), false, Answer::Responses(_)) => Ok(Content::Json(body)),
        (
            worker::Content::Whole(body),
            false,
            Answer::Translated {
                from,
                client,
                keeps,
            },
        ) => {
            let answer = from.answer(&body)?;
            if keeps {
                aside.keep(answer.kept());
            }
            Ok(Content::Json(Bytes::from(client.answer(answer))))
        }
        (worker::Content::Whole(body), true, Answer::Chat { chat, client }) => {
            as_stream(&client, chat, &body, &aside)
        }
        (worker::Content::Whole(body), true, Answer::Translated { from, client, .. }) => {
            as_stream(&*client, from, &body, &aside)
        }
        (worker::Content::Whole(_), true, Answer::Responses(_)) => {
            Err("it is one object, where a stream was asked for".to_owned())
        }
        (worker::Content::Events(_), false, _) => {
            Err("it is a stream, which was not asked for".to_owned())
        }
        (worker::Content::Events(events), true, Answer::Chat { chat, client }) => {
            let relay = Box::new(ChatRelay::new(chat, aside.provider, client));
            let stream = Relayed::new(events, relay, key, aside);
            Ok(Content::Events(Box::pin(stream)))
        }
        (worker::Content::Events(events), true, Answer::Responses(relay)) => {
            let stream = Relayed::new(events, relay, key, aside);
            Ok(Content::Events(Box::pin(stream)))
        }
        (
            worker::Content::Events(events),
            true,
            Answer::Translated {
                from,
                client,
                keeps,
            },
        ) => {
            let (from, to) = (from.stream(aside.provider), client.stream());
            let stream = Translated::new(events, from, to, key, aside, keeps);
            Ok(Content::Events(Box::pin(stream)))
        }
    }
}

/// One whole answer as the stream that was asked for.
fn as_stream(
    client: &dyn Ingress,
    from: &dyn Egress,
    body: &[u8],
    aside: &Aside,
) -> Result<Content, String> {
    let mut out = Vec::new();
    let mut writer = client.stream();
    let answer = from.answer(body)?;
    aside.keep(answer.kept());
    aside.repaired(1);
    for event in answer.into_events() {
        writer.push(event, &mut out);
    }
    let once = futures_util::stream::iter([Bytes::from(out)]);
    Ok(Content::Events(Box::pin(once)))
}

/// Longest list of names in a header, in bytes.
const MAX_NAMES: usize = 2000;

/// Names what a translation left out and changed.
fn tell(report: &Report, headers: &mut Vec<(String, String)>) {
    for (header, names) in [
        ("x-gateway-dropped-params", &report.dropped),
        ("x-gateway-changed-params", &report.changed),
    ] {
        if !names.is_empty() {
            headers.push((header.to_owned(), list(names)));
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
