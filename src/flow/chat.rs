//! `POST /v1/chat/completions`.

use std::rc::Rc;
use std::sync::Arc;

use memchr::memmem;

use super::alive::carry_out;
use super::ask::{Ask, Asked, relayed, rewritten, stamp, target, wants_stream};
use super::plan::{Answer, Plan};
use super::{AppState, Refused, Reply};
use crate::codec::json::{self, Object, Raw};
use crate::dialect::hub::{Memory, Tool};
use crate::dialect::openai::{ChatClient, older_name, read_request};
use crate::dialect::responses::ResponsesProvider;
use crate::dialect::{Egress, Report};
use crate::error::Error;
use crate::providers::{Bridge, Speaks};
use crate::routing::Target;

/// Answers a Chat Completions request.
///
/// # Errors
/// Why there is no answer.
pub async fn chat(state: Rc<AppState>, ask: Ask) -> Result<Reply, Refused> {
    let plan = Plan::of(&ask, &state, plan).await?;
    carry_out(plan, state, ask).await
}

fn plan(asked: &Asked) -> Result<Plan, Error> {
    let mut object = Object::from_body(&asked.body)?;
    let (model, target) = target(&object)?;
    let stream = wants_stream(&object)?;
    check_messages(&object)?;
    let provider = target.provider;
    let own_name = own_name(&object);
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
    let (body, report, answer, talk) = match provider.speaks {
        Speaks::Chat(chat) if chat.functions || !client.functions => {
            let mut report = Report::default();
            let edited = chat.edit(&mut object, &target.model, &memory, &mut report)?;
            let body = if edited.anew {
                rewritten(&object, &target.model)
            } else {
                relayed(&asked.body, &object, &model, &target.model)
            };
            report.settle();
            let client = Arc::new(client);
            (body, report, Answer::Chat { chat, client }, edited.talk)
        }
        Speaks::Chat(_) | Speaks::Other { .. } => {
            let from = provider.dialect();
            let keeps = from.wants_back(&target.model);
            let halves = object.make_whole();
            let mut request = read_request(object, target.model)?;
            request.changed.extend(halves);
            let mut translated = from
                .request(&mut request, &memory)
                .map_err(|error| error.renamed(own_name))?;
            translated.report.rename(own_name);
            let body = translated.body.into();
            let answer = Answer::Translated {
                from,
                client: Arc::new(client),
                keeps,
            };
            (body, translated.report, answer, translated.talk)
        }
    };
    Ok(Plan {
        provider,
        model,
        path: provider.chat_path(),
        body,
        headers: Vec::new(),
        stream,
        report,
        answer,
        talk,
        mends: Some(provider.dialect()),
        own_name: Some(own_name),
        instead: None,
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
    memory: &dyn Memory,
) -> Option<Result<Plan, Error>> {
    let effort = object.get("reasoning_effort").map(|effort| effort.get());
    let needed = match (target.provider.bridges)(&target.model) {
        Bridge::Never => false,
        Bridge::WhenReasoning => effort.is_some_and(|effort| effort != "\"none\""),
        Bridge::UnlessOff => effort != Some("\"none\""),
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
    let own_name = own_name(object);
    Some(
        ResponsesProvider
            .request(&mut request, memory)
            .map_err(|error| error.renamed(own_name))
            .map(|mut translated| {
                translated.report.rename(own_name);
                translated
            })
            .map(|translated| Plan {
                provider: target.provider,
                model: Arc::clone(asked),
                path: "/responses",
                body: translated.body.into(),
                headers: Vec::new(),
                stream,
                report: translated.report,
                answer: Answer::Translated {
                    from: &ResponsesProvider,
                    client: Arc::new(client.clone()),
                    keeps: true,
                },
                talk: 0,
                mends: Some(&ResponsesProvider),
                own_name: Some(own_name),
                instead: None,
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
