//! `POST /v1/responses`.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::inbound::{
    InboundRequest, TranslationInput, relayed, rewritten, stamp, target, wants_stream,
};
use super::keepalive::with_keepalive;
use super::prepared::{Alternative, PreparedCall, ResponseMode};
use super::response::{CallError, GatewayResponse};
use super::state::AppState;
use crate::codec::json::{Object, raw};
use crate::dialect::TranslationReport;
use crate::dialect::hub::ReasoningLookup;
use crate::dialect::openai::without_empty_tools;
use crate::dialect::responses::{ResponsesProvider, own_name, read_request};
use crate::error::Error;
use crate::providers::{ChatApi, ResponsesSupport};
use crate::routing::Target;

/// Answers a Responses request: relayed to a provider that has them, translated for the others.
///
/// # Errors
/// Why there is no answer.
pub async fn responses(
    state: Rc<AppState>,
    inbound: InboundRequest,
) -> Result<GatewayResponse, CallError> {
    let plan = PreparedCall::of(&inbound, &state, plan).await?;
    with_keepalive(plan, state, inbound).await
}

fn plan(asked: &TranslationInput) -> Result<PreparedCall, Error> {
    let mut object = Object::from_body(&asked.body)?;
    let (model, target) = target(&object)?;
    let stream = wants_stream(&object)?;
    if object.get("messages").is_some() && object.get("input").is_none() {
        return Err(Error::unsupported(
            "messages",
            "this is a request of Chat Completions; send it to POST /v1/chat/completions, or send the conversation as 'input'.",
        ));
    }
    let provider = target.provider;
    if !provider.responses.native(&target.model) {
        return translated(object, (model, target), stream, &asked.memory(provider));
    }
    // To say nothing is to ask that the response be kept, which such a provider refuses.
    let mut report = TranslationReport::default();
    let strict = matches!(provider.chat_api, ChatApi::Chat(chat) if chat.members.is_some());
    let mut edited = strict && without_empty_tools(&mut object);
    if provider.stateless && object.get("store").is_none() {
        report.changed.push("store".to_owned());
        object.take("store");
        object.push("store", Cow::Owned(raw(&false)));
        edited = true;
    }
    let body = if edited {
        rewritten(&object, &target.model)
    } else {
        relayed(&asked.body, &object, &model, &target.model)
    };
    let alternative = matches!(provider.responses, ResponsesSupport::NativeAtFirst).then(|| {
        let (asked, target) = (asked.clone(), (Arc::clone(&model), target.clone()));
        Box::new(move || {
            let object = Object::from_body(&asked.body)?;
            translated(object, target, stream, &asked.memory(provider))
        }) as Alternative
    });
    Ok(PreparedCall {
        provider,
        model,
        path: "/responses",
        body,
        headers: Vec::new(),
        stream,
        report,
        answer: ResponseMode::Responses,
        conversation_hash: 0,
        recovers: Some(&ResponsesProvider),
        client_name: Some(own_name),
        alternative,
    })
}

/// A plan that answers by Chat Completions or another dialect.
fn translated(
    mut object: Object<'_>,
    (asked, target): (Arc<str>, Target<'static>),
    stream: bool,
    memory: &dyn ReasoningLookup,
) -> Result<PreparedCall, Error> {
    let provider = target.provider;
    let from = provider.dialect();
    let keeps_reasoning = from.requires_reasoning_replay(&target.model);
    let halves = object.make_whole();
    let (mut request, client) = read_request(object, target.model, provider.name, from, stamp())?;
    request.changed.extend(halves);
    if request.messages.is_empty() {
        return Err(Error::invalid("input", "it holds nothing to answer."));
    }
    // These names are the client's own already.
    let mut own = std::mem::take(&mut request.dropped);
    let mut put_otherwise = std::mem::take(&mut request.changed);
    let mut translated = from
        .encode_request(&mut request, memory)
        .map_err(|error| error.renamed(|name| client.own_name(name)))?;
    translated.report.rename(|name| client.own_name(name));
    // The schema of a function that stands for a tool without one is no member of the client's.
    let own_tool = |name: &String| {
        put_otherwise.iter().any(|tool| {
            let member = name.strip_prefix(tool.as_str());
            tool.ends_with(']') && member.is_some_and(|rest| rest.starts_with(".parameters"))
        })
    };
    translated.report.changed.retain(|name| !own_tool(name));
    translated.report.dropped.append(&mut own);
    translated.report.changed.append(&mut put_otherwise);
    translated.report.dedup();
    Ok(PreparedCall {
        provider,
        model: asked,
        path: provider.chat_path(),
        body: translated.body.into(),
        headers: Vec::new(),
        stream,
        report: translated.report,
        answer: ResponseMode::Translated {
            from,
            client: Arc::new(client),
            keeps_reasoning,
        },
        conversation_hash: translated.conversation_hash,
        recovers: Some(from),
        client_name: Some(own_name),
        alternative: None,
    })
}
