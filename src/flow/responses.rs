//! `POST /v1/responses`.

use bytes::Bytes;

use super::ask::{Ask, relayed, stamp, target, wants_stream};
use super::chat::whole;
use super::stream::{Came, Relayed, Translated, UNASKED, report};
use super::{AppState, Content, Refused, Reply};
use crate::codec::json::Object;
use crate::dialect::Ingress;
use crate::dialect::openai::ResponsesWatch;
use crate::dialect::responses::read_request;
use crate::error::Error;
use crate::worker;

/// Answers a Responses request: relayed to a provider that has them, translated for the others.
///
/// # Errors
/// Why there is no answer.
pub async fn responses(state: &AppState, ask: Ask<'_>) -> Result<Reply, Refused> {
    let object = Object::from_body(&ask.body)?;
    let (asked, target) = target(&object)?;
    let stream = wants_stream(&object)?;
    let provider = target.provider;
    if provider.responses.native(&target.model) {
        let body = relayed(&ask.body, &object, &asked, &target.model);
        let (reply, key) = ask
            .call(state, provider, "/responses", body, stream)
            .await?;
        let came = Came {
            provider,
            attempts: reply.attempts,
            headers: reply.headers.clone(),
        };
        let content = match (reply.content, stream) {
            (worker::Content::Whole(body), false) => Content::Json(body),
            (worker::Content::Whole(_), true) => {
                let what = "it is one object, where a stream was asked for";
                return Err(came.unusable(what));
            }
            (worker::Content::Events(events), true) => {
                let watch = Box::<ResponsesWatch>::default();
                Content::Events(Box::pin(Relayed::new(events, watch, key)))
            }
            (worker::Content::Events(_), false) => return Err(came.unusable(UNASKED)),
        };
        return Ok(Reply {
            provider,
            attempts: reply.attempts,
            headers: reply.headers,
            content,
        });
    }

    let dialect = provider.dialect();
    let (mut request, client) = read_request(object, target.model, provider.name, stamp())?;
    if request.messages.is_empty() {
        return Err(Error::invalid("input", "it holds nothing to answer.").into());
    }
    let translated = dialect.request(&mut request)?;
    let body = Bytes::from(translated.body);
    let (reply, key) = ask
        .call(state, provider, provider.chat_path(), body, stream)
        .await?;
    let came = Came {
        provider,
        attempts: reply.attempts,
        headers: reply.headers.clone(),
    };
    let content = match (reply.content, stream) {
        (worker::Content::Whole(body), stream) => {
            whole(&client, dialect, &body, stream).map_err(|e| came.unusable(&e))?
        }
        (worker::Content::Events(events), true) => {
            let (from, to) = (dialect.stream(provider.name), client.stream());
            Content::Events(Box::pin(Translated::new(events, from, to, key)))
        }
        (worker::Content::Events(_), false) => return Err(came.unusable(UNASKED)),
    };
    let mut headers = reply.headers;
    report(&translated.dropped, &mut headers);
    Ok(Reply {
        provider,
        attempts: reply.attempts,
        headers,
        content,
    })
}
