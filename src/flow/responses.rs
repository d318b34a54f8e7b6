//! `POST /v1/responses`.

use bytes::Bytes;

use super::ask::{Ask, relayed, stamp, target, wants_stream};
use super::plan::{Answer, Plan};
use super::{AppState, Refused, Reply};
use crate::codec::json::Object;
use crate::dialect::Report;
use crate::dialect::hub::NoMemory;
use crate::dialect::openai::ResponsesWatch;
use crate::dialect::responses::{own_name, read_request};
use crate::error::Error;

/// Answers a Responses request: relayed to a provider that has them, translated for the others.
///
/// # Errors
/// Why there is no answer.
pub async fn responses(state: &AppState, ask: Ask<'_>) -> Result<Reply, Refused> {
    plan(&ask)?.carry_out(state, &ask).await
}

fn plan(ask: &Ask<'_>) -> Result<Plan, Error> {
    let object = Object::from_body(&ask.body)?;
    let (asked, target) = target(&object)?;
    let stream = wants_stream(&object)?;
    let provider = target.provider;
    if provider.responses.native(&target.model) {
        return Ok(Plan {
            provider,
            path: "/responses",
            body: relayed(&ask.body, &object, &asked, &target.model),
            stream,
            report: Report::default(),
            answer: Answer::Relayed {
                watch: Box::<ResponsesWatch>::default(),
                otherwise: None,
            },
        });
    }
    let (mut request, client) = read_request(object, target.model, provider.name, stamp())?;
    if request.messages.is_empty() {
        return Err(Error::invalid("input", "it holds nothing to answer."));
    }
    // These names are the client's own already.
    let mut own = std::mem::take(&mut request.dropped);
    let mut translated = provider
        .dialect()
        .request(&mut request, &NoMemory)
        .map_err(|error| error.renamed(own_name))?;
    translated.report.rename(own_name);
    translated.report.dropped.append(&mut own);
    translated.report.settle();
    Ok(Plan {
        provider,
        path: provider.chat_path(),
        body: Bytes::from(translated.body),
        stream,
        report: translated.report,
        answer: Answer::Translated(Box::new(client)),
    })
}
