//! `POST /v1/chat/completions`.

use bytes::Bytes;

use super::ask::{Ask, relayed, stamp, target, wants_stream};
use super::stream::{Came, Relayed, Translated, UNASKED};
use super::{AppState, Content, Refused, Reply};
use crate::codec::json::{self, Object};
use crate::dialect::openai::{ChatClient, ChatWatch, read_request};
use crate::dialect::{Egress, Ingress};
use crate::error::Error;
use crate::providers::Speaks;
use crate::worker;

/// Answers a Chat Completions request.
///
/// # Errors
/// Why there is no answer.
pub async fn chat(state: &AppState, ask: Ask<'_>) -> Result<Reply, Refused> {
    let object = Object::from_body(&ask.body)?;
    let (asked, target) = target(&object)?;
    let stream = wants_stream(&object)?;
    check_messages(&object)?;
    let provider = target.provider;
    let client = ChatClient {
        stamp: stamp(),
        model: target.model.to_string(),
        include_usage: stream && wants_usage(&object)?,
    };
    let (body, dropped) = match provider.speaks {
        Speaks::Chat(_) => (
            relayed(&ask.body, &object, &asked, &target.model),
            Vec::new(),
        ),
        Speaks::Other { dialect, .. } => {
            let mut request = read_request(object, target.model)?;
            let translated = dialect.request(&mut request)?;
            (Bytes::from(translated.body), translated.dropped)
        }
    };
    let relay = matches!(provider.speaks, Speaks::Chat(_));
    let (reply, key) = ask
        .call(state, provider, provider.chat_path(), body, stream)
        .await?;
    let came = Came {
        provider,
        attempts: reply.attempts,
        headers: reply.headers.clone(),
    };
    let content = match (reply.content, stream) {
        (worker::Content::Whole(body), false) if relay => Content::Json(body),
        (worker::Content::Whole(body), stream) => {
            whole(&client, provider.dialect(), &body, stream).map_err(|e| came.unusable(&e))?
        }
        (worker::Content::Events(events), true) if relay => Content::Events(Box::pin(
            Relayed::new(events, Box::<ChatWatch>::default(), key),
        )),
        (worker::Content::Events(events), true) => {
            let (from, to) = (provider.dialect().stream(provider.name), client.stream());
            Content::Events(Box::pin(Translated::new(events, from, to, key)))
        }
        (worker::Content::Events(_), false) => return Err(came.unusable(UNASKED)),
    };
    let mut headers = reply.headers;
    super::stream::report(&dropped, &mut headers);
    Ok(Reply {
        provider,
        attempts: reply.attempts,
        headers,
        content,
    })
}

/// A whole answer for a client, as the stream it asked for where it did.
pub(super) fn whole(
    client: &dyn Ingress,
    dialect: &dyn Egress,
    body: &[u8],
    stream: bool,
) -> Result<Content, String> {
    let answer = dialect.answer(body)?;
    if !stream {
        let text = client.answer(answer).map_err(|error| error.to_string())?;
        return Ok(Content::Json(Bytes::from(text)));
    }
    let mut out = Vec::new();
    let mut writer = client.stream();
    for event in answer.into_events() {
        writer.push(event, &mut out);
    }
    let once = futures_util::stream::iter([Bytes::from(out)]);
    Ok(Content::Events(Box::pin(once)))
}

/// A relayed body is not taken apart; that it has messages is seen without.
fn check_messages(object: &Object<'_>) -> Result<(), Error> {
    let Some(messages) = object.get("messages") else {
        return Err(Error::Missing {
            param: "messages".to_owned(),
        });
    };
    let inside = messages
        .get()
        .strip_prefix('[')
        .ok_or_else(|| Error::wrong_type("messages", "an array"))?;
    if inside.trim_start().starts_with(']') {
        return Err(Error::invalid("messages", "the list is empty."));
    }
    // A wrong element is named here, where the provider's own words may not name it.
    if !inside.trim_start().starts_with('{') {
        return Err(Error::wrong_type("messages[0]", "an object"));
    }
    Ok(())
}

/// Whether a stream is to end with a count of its tokens.
fn wants_usage(object: &Object<'_>) -> Result<bool, Error> {
    let Some(options) = object.get("stream_options") else {
        return Ok(false);
    };
    let usage =
        json::object(options, &"stream_options")?.read("stream_options.", "include_usage")?;
    Ok(usage.unwrap_or(false))
}
