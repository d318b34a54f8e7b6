//! A planned call, carried out in the same way for every endpoint.

use bytes::Bytes;

use super::ask::Ask;
use super::stream::{Relayed, Translated};
use super::{AppState, Content, Refused, Reply};
use crate::dialect::openai::Watch;
use crate::dialect::{Egress, Ingress, Report};
use crate::error::Error;
use crate::providers::Provider;
use crate::secret::Secret;
use crate::worker;

/// What is sent to whom, and how its answer becomes the client's.
pub(super) struct Plan {
    /// Whom.
    pub provider: &'static Provider,
    /// The path after the base URL.
    pub path: &'static str,
    /// The provider's request.
    pub body: Bytes,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// What a translation did.
    pub report: Report,
    /// What becomes of the answer.
    pub answer: Answer,
}

/// What becomes of a provider's answer.
pub(super) enum Answer {
    /// Its bytes go through.
    Relayed {
        /// Sees whether a stream is complete.
        watch: Box<dyn Watch>,
        /// Writes the stream that was asked for where one whole answer came.
        otherwise: Option<Box<dyn Ingress>>,
    },
    /// It is written anew.
    Translated(Box<dyn Ingress>),
}

impl Plan {
    /// Calls the provider and answers the client.
    pub(super) async fn carry_out(self, state: &AppState, ask: &Ask<'_>) -> Result<Reply, Refused> {
        ask.check_strict(state, &self.report)?;
        let Self {
            provider,
            path,
            body,
            stream,
            report,
            answer,
        } = self;
        let (reply, key) = ask.call(state, provider, path, body, stream).await?;
        let (attempts, mut headers) = (reply.attempts, reply.headers);
        match content(provider, answer, reply.content, stream, key) {
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

/// The client's answer, or why the provider's cannot be used.
fn content(
    provider: &'static Provider,
    answer: Answer,
    content: worker::Content,
    stream: bool,
    key: Secret,
) -> Result<Content, String> {
    let dialect = provider.dialect();
    match (content, stream, answer) {
        (worker::Content::Whole(body), false, Answer::Relayed { .. }) => Ok(Content::Json(body)),
        (worker::Content::Whole(body), false, Answer::Translated(client)) => {
            let text = client.answer(dialect.answer(&body)?);
            Ok(Content::Json(Bytes::from(text)))
        }
        (
            worker::Content::Whole(body),
            true,
            Answer::Translated(client)
            | Answer::Relayed {
                otherwise: Some(client),
                ..
            },
        ) => as_stream(&*client, dialect, &body),
        (worker::Content::Whole(_), true, Answer::Relayed { .. }) => {
            Err("it is one object, where a stream was asked for".to_owned())
        }
        (worker::Content::Events(_), false, _) => {
            Err("it is a stream, which was not asked for".to_owned())
        }
        (worker::Content::Events(events), true, Answer::Relayed { watch, .. }) => {
            Ok(Content::Events(Box::pin(Relayed::new(events, watch, key))))
        }
        (worker::Content::Events(events), true, Answer::Translated(client)) => {
            let (from, to) = (dialect.stream(provider.name), client.stream());
            let stream = Translated::new(events, from, to, key);
            Ok(Content::Events(Box::pin(stream)))
        }
    }
}

/// One whole answer as the stream that was asked for.
fn as_stream(client: &dyn Ingress, dialect: &dyn Egress, body: &[u8]) -> Result<Content, String> {
    let mut out = Vec::new();
    let mut writer = client.stream();
    for event in dialect.answer(body)?.into_events() {
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
