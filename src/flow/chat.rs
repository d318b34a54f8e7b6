//! The flow of `POST /v1/chat/completions`.

use std::rc::Rc;
use std::sync::Arc;

use memchr::memmem;

use super::inbound::{
    InboundRequest, Routed, TranslationInput, relayed, rewritten, stamp, wants_stream,
};
use super::prepared::PreparedCall;
use super::respond::ResponseMode;
use super::response::GatewayResponse;
use super::state::AppState;
use super::targets;
use crate::codec::json::{self, Object, Raw};
use crate::dialect::hub::{ReasoningLookup, Tool};
use crate::dialect::openai::{ChatClient, ChatProvider, older_name, read_request};
use crate::dialect::responses::ResponsesProvider;
use crate::dialect::{ProviderDialect, TranslationReport};
use crate::error::Error;
use crate::providers::{ChatApi, ClientApi, Mode, ResponsesRequired, mode};
use crate::upstream::CallError;

/// Answers a Chat Completions request.
///
/// # Errors
/// Why there is no response: the error of the last target that was called.
pub async fn chat(
    state: Rc<AppState>,
    inbound: InboundRequest,
) -> Result<GatewayResponse, CallError> {
    targets::answer(state, inbound, prepare).await
}

/// The parts of a request that every mode needs.
struct ChatCall {
    routed: Routed,
    stream: bool,
    client: ChatClient,
    client_name: fn(&str) -> String,
}

fn prepare(input: &TranslationInput) -> Result<PreparedCall, Error> {
    let object = Object::from_body(&input.body)?;
    let routed = input.route(&object)?;
    let stream = wants_stream(&object)?;
    check_messages(&object)?;
    let provider = routed.target.provider;
    let client = ChatClient {
        stamp: stamp(),
        model: routed.target.model.to_string(),
        include_usage: stream && wants_usage(&object)?,
        functions: object.get("functions").is_some() && object.get("tools").is_none(),
        json_object: object
            .get("response_format")
            .is_some_and(|format| format.get().contains("\"json_object\"")),
    };
    let call = ChatCall {
        client_name: client_name(&object),
        routed,
        stream,
        client,
    };
    let memory = input.reasoning(provider);
    let mode = mode(
        ClientApi::ChatCompletions,
        provider,
        &call.routed.target.model,
    );
    if let Mode::Bridge(when) = mode
        && let Some(bridged) = bridge(&object, when, &call, &memory)
    {
        return bridged;
    }
    match provider.chat_api {
        ChatApi::Chat(chat) if chat.functions || !call.client.functions => {
            relay(input, object, call, chat, &memory)
        }
        ChatApi::Chat(_) | ChatApi::Other { .. } => translate(object, call, &memory),
    }
}

/// A call that relays the body, changed only where the provider is known to refuse it.
fn relay(
    input: &TranslationInput,
    mut object: Object<'_>,
    call: ChatCall,
    chat: &'static ChatProvider,
    memory: &dyn ReasoningLookup,
) -> Result<PreparedCall, Error> {
    let Routed {
        model,
        target,
        targets,
    } = call.routed;
    let mut report = TranslationReport::default();
    let edited = chat.edit(&mut object, &target.model, memory, &mut report)?;
    let body = if edited.changed {
        rewritten(&object, &target.model)
    } else {
        relayed(&input.body, &object, &model, &target.model)
    };
    report.dedup();
    Ok(PreparedCall {
        provider: target.provider,
        model,
        targets,
        path: target.provider.chat_path(),
        body,
        headers: Vec::new(),
        stream: call.stream,
        report,
        mode: ResponseMode::Chat {
            chat,
            client: Arc::new(call.client),
        },
        conversation_hash: edited.conversation_hash,
        recovers: Some(target.provider.dialect()),
        client_name: Some(call.client_name),
        alternative: None,
    })
}

/// A call that is translated into the provider's own dialect.
fn translate(
    mut object: Object<'_>,
    call: ChatCall,
    memory: &dyn ReasoningLookup,
) -> Result<PreparedCall, Error> {
    let Routed {
        model,
        target,
        targets,
    } = call.routed;
    let provider = target.provider;
    let from = provider.dialect();
    let keeps_reasoning = from.requires_reasoning_replay(&target.model);
    let halves = object.replace_lone_surrogates();
    let mut request = read_request(object, target.model)?;
    request.changed.extend(halves);
    let mut encoded = from
        .encode_request(&mut request, memory)
        .map_err(|error| error.renamed(call.client_name))?;
    encoded.report.rename(call.client_name);
    Ok(PreparedCall {
        provider,
        model,
        targets,
        path: provider.chat_path(),
        body: encoded.body.into(),
        headers: Vec::new(),
        stream: call.stream,
        report: encoded.report,
        mode: ResponseMode::Translated {
            from,
            client: Arc::new(call.client),
            keeps_reasoning,
        },
        conversation_hash: encoded.conversation_hash,
        recovers: Some(from),
        client_name: Some(call.client_name),
        alternative: None,
    })
}

/// A call to the provider's Responses API, for a model that accepts tools together with reasoning
/// only there; `None` for a request that Chat Completions can serve.
fn bridge(
    object: &Object<'_>,
    when: ResponsesRequired,
    call: &ChatCall,
    memory: &dyn ReasoningLookup,
) -> Option<Result<PreparedCall, Error>> {
    let effort = object.get("reasoning_effort").map(|effort| effort.get());
    let needed = match when {
        ResponsesRequired::Never => false,
        ResponsesRequired::WhenReasoning => effort.is_some_and(|effort| effort != "\"none\""),
        ResponsesRequired::UnlessOff => effort != Some("\"none\""),
    };
    let offers = object.get("tools").or_else(|| object.get("functions"));
    if !needed || offers.is_none_or(|tools| tools.get() == "[]") {
        return None;
    }
    let target = &call.routed.target;
    // A request that cannot be read is relayed, so that the provider says what is wrong with it.
    let mut whole = object.clone();
    let halves = whole.replace_lone_surrogates();
    let mut request = read_request(whole, target.model.clone()).ok()?;
    request.changed.extend(halves);
    let is_function = |tool: &Tool<'_>| matches!(tool, Tool::Function { .. });
    if !request.tools.iter().all(is_function) {
        return None;
    }
    let encoded = ResponsesProvider
        .encode_request(&mut request, memory)
        .map_err(|error| error.renamed(call.client_name));
    Some(encoded.map(|mut encoded| {
        encoded.report.rename(call.client_name);
        PreparedCall {
            provider: target.provider,
            model: Arc::clone(&call.routed.model),
            targets: Arc::clone(&call.routed.targets),
            path: "/responses",
            body: encoded.body.into(),
            headers: Vec::new(),
            stream: call.stream,
            report: encoded.report,
            mode: ResponseMode::Translated {
                from: &ResponsesProvider,
                client: Arc::new(call.client.clone()),
                keeps_reasoning: true,
            },
            conversation_hash: 0,
            recovers: Some(&ResponsesProvider),
            client_name: Some(call.client_name),
            alternative: None,
        }
    }))
}

/// Turns the hub's name of a field into the client's: a client that sends `functions` reads about
/// functions, not about tools.
fn client_name(object: &Object<'_>) -> fn(&str) -> String {
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

/// Checks that a request has messages, without parsing them: a relayed body is not parsed further.
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
    // Every name of `PARTS` contains these bytes, and little else does.
    if memmem::find(messages.get().as_bytes(), b"put_").is_some() {
        check_parts(messages)?;
    }
    Ok(())
}

/// The names of content parts in Responses, and their names in Chat Completions.
const PARTS: [(&str, &str); 4] = [
    ("input_text", "text"),
    ("output_text", "text"),
    ("input_image", "image_url"),
    ("input_file", "file"),
];

/// Refuses content parts under the names that they have in Responses.
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

/// Whether the stream ends with its token usage.
fn wants_usage(object: &Object<'_>) -> Result<bool, Error> {
    let Some(options) = object.get("stream_options") else {
        return Ok(false);
    };
    let usage =
        json::object(options, &"stream_options")?.read("stream_options.", "include_usage")?;
    Ok(usage.unwrap_or(false))
}
