//! `POST /v1/chat/completions`.

use std::rc::Rc;
use std::sync::Arc;

use memchr::memmem;

use super::inbound::{
    InboundRequest, TranslationInput, relayed, rewritten, stamp, target, wants_stream,
};
use super::keepalive::with_keepalive;
use super::prepared::{PreparedCall, ResponseMode};
use super::response::{CallError, GatewayResponse};
use super::state::AppState;
use crate::codec::json::{self, Object, Raw};
use crate::dialect::hub::{ReasoningLookup, Tool};
use crate::dialect::openai::{ChatClient, older_name, read_request};
use crate::dialect::responses::ResponsesProvider;
use crate::dialect::{ProviderDialect, TranslationReport};
use crate::error::Error;
use crate::providers::{ChatApi, ResponsesRequired};
use crate::routing::Target;

/// Answers a Chat Completions request.
///
/// # Errors
/// Why there is no answer.
pub async fn chat(
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
    check_messages(&object)?;
    let provider = target.provider;
    let client_name = own_name(&object);
    let client = ChatClient {
        stamp: stamp(),
        model: target.model.to_string(),
        include_usage: stream && wants_usage(&object)?,
        functions: object.get("functions").is_some() && object.get("tools").is_none(),
        json_object: object
            .get("response_format")
            .is_some_and(|format| format.get().contains("\"json_object\"")),
    };
    let memory = asked.memory(provider);
    if let Some(plan) = bridged(&object, (&model, &target), stream, &client, &memory) {
        return plan;
    }
    let (body, report, answer, conversation_hash) = match provider.chat_api {
        ChatApi::Chat(chat) if chat.functions || !client.functions => {
            let mut report = TranslationReport::default();
            let edited = chat.edit(&mut object, &target.model, &memory, &mut report)?;
            let body = if edited.anew {
                rewritten(&object, &target.model)
            } else {
                relayed(&asked.body, &object, &model, &target.model)
            };
            report.dedup();
            let client = Arc::new(client);
            (
                body,
                report,
                ResponseMode::Chat { chat, client },
                edited.conversation_hash,
            )
        }
        ChatApi::Chat(_) | ChatApi::Other { .. } => {
            let from = provider.dialect();
            let keeps_reasoning = from.requires_reasoning_replay(&target.model);
            let halves = object.make_whole();
            let mut request = read_request(object, target.model)?;
            request.changed.extend(halves);
            let mut translated = from
                .encode_request(&mut request, &memory)
                .map_err(|error| error.renamed(client_name))?;
            translated.report.rename(client_name);
            let body = translated.body.into();
            let answer = ResponseMode::Translated {
                from,
                client: Arc::new(client),
                keeps_reasoning,
            };
            (
                body,
                translated.report,
                answer,
                translated.conversation_hash,
            )
        }
    };
    Ok(PreparedCall {
        provider,
        model,
        path: provider.chat_path(),
        body,
        headers: Vec::new(),
        stream,
        report,
        answer,
        conversation_hash,
        recovers: Some(provider.dialect()),
        client_name: Some(client_name),
        alternative: None,
    })
}

/// What the client calls a field: who says `functions` is told of these, not of tools.
fn own_name(object: &Object<'_>) -> fn(&str) -> String {
    if object.get("functions").is_none() || object.get("tools").is_some() {
        str::to_owned
    } else if object.get("parallel_tool_calls").is_some() {
        |name| match name {
            "parallel_tool_calls" => name.to_owned(),
            name => older_name(name),
        }
    } else {
        older_name
    }
}

/// A plan for what the model takes as Responses only: functions together with reasoning.
fn bridged(
    object: &Object<'_>,
    (asked, target): (&Arc<str>, &Target<'static>),
    stream: bool,
    client: &ChatClient,
    memory: &dyn ReasoningLookup,
) -> Option<Result<PreparedCall, Error>> {
    let effort = object.get("reasoning_effort").map(|effort| effort.get());
    let needed = match (target.provider.responses_required)(&target.model) {
        ResponsesRequired::Never => false,
        ResponsesRequired::WhenReasoning => effort.is_some_and(|effort| effort != "\"none\""),
        ResponsesRequired::UnlessOff => effort != Some("\"none\""),
    };
    let offers = object.get("tools").or_else(|| object.get("functions"));
    if !needed || offers.is_none_or(|tools| tools.get() == "[]") {
        return None;
    }
    // What cannot be read is relayed, so that the provider says what is wrong with it.
    let mut whole = object.clone();
    let halves = whole.make_whole();
    let mut request = read_request(whole, target.model.clone()).ok()?;
    request.changed.extend(halves);
    let functions = |tool: &Tool<'_>| matches!(tool, Tool::Function { .. });
    if !request.tools.iter().all(functions) {
        return None;
    }
    let client_name = own_name(object);
    Some(
        ResponsesProvider
            .encode_request(&mut request, memory)
            .map_err(|error| error.renamed(client_name))
            .map(|mut translated| {
                translated.report.rename(client_name);
                translated
            })
            .map(|translated| PreparedCall {
                provider: target.provider,
                model: Arc::clone(asked),
                path: "/responses",
                body: translated.body.into(),
                headers: Vec::new(),
                stream,
                report: translated.report,
                answer: ResponseMode::Translated {
                    from: &ResponsesProvider,
                    client: Arc::new(client.clone()),
                    keeps_reasoning: true,
                },
                conversation_hash: 0,
                recovers: Some(&ResponsesProvider),
                client_name: Some(client_name),
                alternative: None,
            }),
    )
}

/// A relayed body is not taken apart; that it has messages is seen without.
fn check_messages(object: &Object<'_>) -> Result<(), Error> {
    let Some(messages) = object.get("messages") else {
        if object.get("input").is_some() {
            return Err(Error::unsupported(
                "input",
                "this is a request of Responses; send it to POST /v1/responses, or send the conversation as 'messages'.",
            ));
        }
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
    // Each of those names has this in it, and hardly anything else.
    if memmem::find(messages.get().as_bytes(), b"put_").is_some() {
        check_parts(messages)?;
    }
    Ok(())
}

/// What Responses calls its parts, and Chat Completions.
const PARTS: [(&str, &str); 4] = [
    ("input_text", "text"),
    ("output_text", "text"),
    ("input_image", "image_url"),
    ("input_file", "file"),
];

/// Refuses parts that Responses has and Chat Completions calls otherwise.
fn check_parts(messages: &Raw<'_>) -> Result<(), Error> {
    for (i, message) in json::array(messages, &"messages")?.iter().enumerate() {
        let Ok(message) = json::object(message, &"messages") else {
            continue;
        };
        let Some(Ok(parts)) = message
            .get("content")
            .map(|content| json::array(content, &"content"))
        else {
            continue;
        };
        for (j, part) in parts.iter().enumerate() {
            let Ok(part) = json::object(part, &"content") else {
                continue;
            };
            let kind = part
                .get("type")
                .and_then(|kind| json::text(kind, &"type").ok())
                .unwrap_or_default();
            if let Some((word, own)) = PARTS.iter().find(|(word, _)| *word == kind) {
                return Err(Error::unsupported_value(
                    format!("messages[{i}].content[{j}].type"),
                    format!("'{word}' is a part of Responses; in Chat Completions use '{own}'."),
                ));
            }
        }
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
