//! `POST /v1/responses`.

use bytes::Bytes;

use super::ask::{Ask, relayed, stamp, target, wants_stream};
use super::plan::{Answer, Plan};
use super::{AppState, Refused, Reply};
use crate::codec::json::Object;
use crate::dialect::Report;
use crate::dialect::hub::Memory;
use crate::dialect::responses::{ResponsesRelay, own_name, read_request};
use crate::error::Error;
use crate::routing::Target;

/// Answers a Responses request: relayed to a provider that has them, translated for the others.
///
/// # Errors
/// Why there is no answer.
pub async fn responses(state: &AppState, ask: Ask<'_>) -> Result<Reply, Refused> {
    plan(state, &ask)?.carry_out(state, &ask).await
}

fn plan(state: &AppState, ask: &Ask<'_>) -> Result<Plan, Error> {
    let object = Object::from_body(&ask.body)?;
    let (asked, target) = target(&object)?;
    let stream = wants_stream(&object)?;
    let provider = target.provider;
    if provider.responses.native(&target.model) {
        return Ok(Plan {
            provider,
            path: "/responses",
            body: relayed(&ask.body, &object, &asked, &target.model),
            headers: Vec::new(),
            stream,
            report: Report::default(),
            answer: Answer::Responses(Box::new(ResponsesRelay::new(provider.name))),
            talk: 0,
            second: None,
        });
    }
    let owner = ask.owner(state, provider);
    translated(object, target, stream, &state.store.of(owner))
}

/// A plan that answers by Chat Completions or another dialect.
fn translated(
    object: Object<'_>,
    target: Target<'static>,
    stream: bool,
    memory: &dyn Memory,
) -> Result<Plan, Error> {
    let provider = target.provider;
    let from = provider.dialect();
    let keeps = from.wants_back(&target.model);
    let (mut request, client) = read_request(object, target.model, provider.name, stamp())?;
    if request.messages.is_empty() {
        return Err(Error::invalid("input", "it holds nothing to answer."));
    }
    // These names are the client's own already.
    let mut own = std::mem::take(&mut request.dropped);
    let mut translated = from
        .request(&mut request, memory)
        .map_err(|error| error.renamed(own_name))?;
    translated.report.rename(own_name);
    translated.report.dropped.append(&mut own);
    translated.report.settle();
    Ok(Plan {
        provider,
        path: provider.chat_path(),
        body: Bytes::from(translated.body),
        headers: Vec::new(),
        stream,
        report: translated.report,
        answer: Answer::Translated {
            from,
            client: Box::new(client),
            keeps,
        },
        talk: translated.talk,
        second: None,
    })
}
