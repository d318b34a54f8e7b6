//! `POST /v1/responses`.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::alive::carry_out;
use super::ask::{Ask, Asked, relayed, rewritten, stamp, target, wants_stream};
use super::plan::{Answer, Instead, Plan};
use super::{AppState, Refused, Reply};
use crate::codec::json::{Object, raw};
use crate::dialect::Report;
use crate::dialect::hub::Memory;
use crate::dialect::openai::without_empty_tools;
use crate::dialect::responses::{ResponsesProvider, own_name, read_request};
use crate::error::Error;
use crate::providers::{Responses, Speaks};
use crate::routing::Target;

/// Answers a Responses request: relayed to a provider that has them, translated for the others.
///
/// # Errors
/// Why there is no answer.
pub async fn responses(state: Rc<AppState>, ask: Ask) -> Result<Reply, Refused> {
    let plan = Plan::of(&ask, &state, plan).await?;
    carry_out(plan, state, ask).await
}

fn plan(asked: &Asked) -> Result<Plan, Error> {
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
    let mut report = Report::default();
    let strict = matches!(provider.speaks, Speaks::Chat(chat) if chat.members.is_some());
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
    let instead = matches!(provider.responses, Responses::NativeAtFirst).then(|| {
        let (asked, target) = (asked.clone(), (Arc::clone(&model), target.clone()));
        Box::new(move || {
            let object = Object::from_body(&asked.body)?;
            translated(object, target, stream, &asked.memory(provider))
        }) as Instead
    });
    Ok(Plan {
        provider,
        model,
        path: "/responses",
        body,
        headers: Vec::new(),
        stream,
        report,
        answer: Answer::Responses,
        talk: 0,
        mends: Some(&ResponsesProvider),
        own_name: Some(own_name),
        instead,
    })
}

/// A plan that answers by Chat Completions or another dialect.
fn translated(
    mut object: Object<'_>,
    (asked, target): (Arc<str>, Target<'static>),
    stream: bool,
    memory: &dyn Memory,
) -> Result<Plan, Error> {
    let provider = target.provider;
    let from = provider.dialect();
    let keeps = from.wants_back(&target.model);
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
        .request(&mut request, memory)
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
    translated.report.settle();
    Ok(Plan {
        provider,
        model: asked,
        path: provider.chat_path(),
        body: translated.body.into(),
        headers: Vec::new(),
        stream,
        report: translated.report,
        answer: Answer::Translated {
            from,
            client: Arc::new(client),
            keeps,
        },
        talk: translated.talk,
        mends: Some(from),
        own_name: Some(own_name),
        instead: None,
    })
}
