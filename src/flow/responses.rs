//! The flow of `POST /v1/responses`.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::inbound::{
    InboundRequest, Routed, TranslationInput, relayed, rewritten, stamp, wants_stream,
};
use super::prepared::{Alternative, PreparedCall};
use super::respond::ResponseMode;
use super::response::GatewayResponse;
use super::state::AppState;
use super::targets;
use crate::codec::json::{Object, raw};
use crate::dialect::TranslationReport;
use crate::dialect::hub::ReasoningLookup;
use crate::dialect::openai::without_empty_tools;
use crate::dialect::responses::{ResponsesProvider, own_name, read_request};
use crate::error::Error;
use crate::providers::{ChatApi, ClientApi, Mode, mode};
use crate::upstream::CallError;

/// Answers a Responses request: relayed to a provider that has the Responses API, translated for
/// others.
///
/// # Errors
/// Why there is no response: the error of the last target that was called.
pub async fn responses(
    state: Rc<AppState>,
    inbound: InboundRequest,
) -> Result<GatewayResponse, CallError> {
    targets::answer(state, inbound, prepare).await
}

fn prepare(input: &TranslationInput) -> Result<PreparedCall, Error> {
    let object = Object::from_body(&input.body)?;
    let routed = input.route(&object)?;
    let stream = wants_stream(&object)?;
    if object.get("messages").is_some() && object.get("input").is_none() {
        return Err(Error::unsupported(
            "messages",
            "this is a request of Chat Completions; send it to POST /v1/chat/completions, or send the conversation as 'input'.",
        ));
    }
    let provider = routed.target.provider;
    match mode(ClientApi::Responses, provider, &routed.target.model) {
        Mode::Relay => Ok(relay(input, object, routed, stream)),
        Mode::RelayFirst => {
            let input = input.clone();
            let again = routed.clone();
            let mut call = relay(&input, object, routed, stream);
            call.alternative = Some(Box::new(move || {
                let object = Object::from_body(&input.body)?;
                translate(object, again, stream, &input.reasoning(provider))
            }) as Alternative);
            Ok(call)
        }
        Mode::Translate | Mode::Bridge(_) => {
            translate(object, routed, stream, &input.reasoning(provider))
        }
    }
}

/// A call that relays the body.
fn relay(
    input: &TranslationInput,
    mut object: Object<'_>,
    routed: Routed,
    stream: bool,
) -> PreparedCall {
    let Routed {
        model,
        target,
        targets,
    } = routed;
    let provider = target.provider;
    let mut report = TranslationReport::default();
    let is_strict = matches!(provider.chat_api, ChatApi::Chat(chat) if chat.members.is_some());
    let mut edited = is_strict && without_empty_tools(&mut object);
    // A request without `store` asks that the response be kept, which such a provider refuses.
    if provider.stateless && object.get("store").is_none() {
        report.changed.push("store".to_owned());
        object.take("store");
        object.push("store", Cow::Owned(raw(&false)));
        edited = true;
    }
    let body = if edited {
        rewritten(&object, &target.model)
    } else {
        relayed(&input.body, &object, &model, &target.model)
    };
    PreparedCall {
        provider,
        model,
        targets,
        path: "/responses",
        body,
        headers: Vec::new(),
        stream,
        report,
        mode: ResponseMode::Responses,
        conversation_hash: 0,
        recovers: Some(&ResponsesProvider),
        client_name: Some(own_name),
        alternative: None,
    }
}

/// A call that is translated into the provider's chat dialect.
fn translate(
    mut object: Object<'_>,
    routed: Routed,
    stream: bool,
    memory: &dyn ReasoningLookup,
) -> Result<PreparedCall, Error> {
    let Routed {
        model,
        target,
        targets,
    } = routed;
    let provider = target.provider;
    let from = provider.dialect();
    let keeps_reasoning = from.requires_reasoning_replay(&target.model);
    let halves = object.replace_lone_surrogates();
    let (mut request, client) = read_request(object, target.model, provider.name, from, stamp())?;
    request.changed.extend(halves);
    if request.messages.is_empty() {
        return Err(Error::invalid("input", "it holds nothing to answer."));
    }
    // These names are already the client's own.
    let mut dropped = std::mem::take(&mut request.dropped);
    let mut changed = std::mem::take(&mut request.changed);
    let mut encoded = from
        .encode_request(&mut request, memory)
        .map_err(|error| error.renamed(|name| client.own_name(name)))?;
    encoded.report.rename(|name| client.own_name(name));
    // A tool without a schema becomes a function with a schema that the client did not send.
    let is_made_up = |name: &String| {
        changed.iter().any(|tool| {
            let member = name.strip_prefix(tool.as_str());
            tool.ends_with(']') && member.is_some_and(|rest| rest.starts_with(".parameters"))
        })
    };
    encoded.report.changed.retain(|name| !is_made_up(name));
    encoded.report.dropped.append(&mut dropped);
    encoded.report.changed.append(&mut changed);
    encoded.report.dedup();
    Ok(PreparedCall {
        provider,
        model,
        targets,
        path: provider.chat_path(),
        body: encoded.body.into(),
        headers: Vec::new(),
        stream,
        report: encoded.report,
        mode: ResponseMode::Translated {
            from,
            client: Arc::new(client),
            keeps_reasoning,
        },
        conversation_hash: encoded.conversation_hash,
        recovers: Some(from),
        client_name: Some(own_name),
        alternative: None,
    })
}
