//! Encodes a hub request as a Messages request. Pure.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::Value;

use super::family::{self, Family, Thinks};
use super::messages::{self, Conversation};
use super::schema;
use super::thinking::{plan_thinking, read_effort};
use super::tools::tools;
use super::wire::{Block, Body, Metadata, OutputConfig, OutputFormat};
use crate::codec::json::{self, Object, Raw, raw};
use crate::dialect::common::report::TranslationReport;
use crate::dialect::hub::{Request, ToolChoice as Choice, is_default};
use crate::dialect::traits::EncodedRequest;
use crate::error::Error;

/// Anthropic's own parameters, which a client may send.
const EXTENSIONS: [&str; 6] = [
    "cache_control",
    "container",
    "context_management",
    "mcp_servers",
    "inference_geo",
    "speed",
];

pub(super) fn request(request: &mut Request<'_>) -> Result<EncodedRequest, Error> {
    let family = family::of(&request.model);
    let mut fields = std::mem::take(&mut request.fields);
    let mut report = TranslationReport {
        dropped: std::mem::take(&mut request.dropped),
        changed: std::mem::take(&mut request.changed),
    };
    refuse(&mut fields)?;

    let max_tokens = max_tokens(&mut fields, &family, &mut report)?;
    let own_budget = fields.get("thinking").is_some();
    let mut effort = read_effort(&mut fields, &mut report)?;
    let forced = matches!(
        request.tool_choice,
        Some(Choice::Required | Choice::Function(_) | Choice::Allowed { required: true, .. })
    );
    // A forced tool call and a thinking budget exclude each other; the forced call wins.
    let thinks = effort.as_ref().is_some_and(|effort| effort.word != "none");
    if family.budgeted() && forced && thinks {
        let lost = effort.take().map(|effort| effort.name.to_owned());
        report.dropped.extend(lost);
    }
    let plan = plan_thinking(
        &mut fields,
        &family,
        effort.as_ref(),
        max_tokens,
        &mut report,
    )?;
    let mut thinking = plan.thinking;
    // The provider refuses both together, also if the client set the budget itself.
    let budget = thinking
        .as_ref()
        .is_some_and(|raw| raw.get().contains("\"enabled\""));
    if budget && forced && family.forced_tool && thinking.take().is_some() {
        report.dropped.push("thinking".to_owned());
    }
    let thinks = thinking
        .as_deref()
        .map_or(family.thinks != Thinks::WhenAsked, |raw| {
            !raw.get().contains("\"disabled\"")
        });

    let mut conversation = messages::write(&mut request.messages, &family, thinks)?;
    report.dropped.append(&mut conversation.report.dropped);
    report.changed.append(&mut conversation.report.changed);
    // With a thinking budget, a turn with tool calls must begin with its thinking block. If that
    // block is missing, the request goes without thinking.
    if family.budgeted() && conversation.calls_without_thinking && thinking.take().is_some() {
        let by_effort = effort.as_ref().filter(|_| !own_budget);
        let name = by_effort.map_or("thinking", |effort| effort.name);
        report.dropped.push(name.to_owned());
    }

    let mut budget = schema::Budget::default();
    let format = output_format(&mut fields, &mut conversation, &mut budget, &mut report)?;
    let (mut tools, tool_choice) = tools(
        request,
        &family,
        &mut fields,
        &conversation,
        &mut budget,
        &mut report,
    )?;
    let output_config = (plan.effort.is_some() || format.is_some()).then_some(OutputConfig {
        effort: plan.effort,
        format,
    });
    let thinking_now = thinking.is_some() && thinks;
    let sampling = sampling(&mut fields, &family, thinking_now, &mut report)?;

    let marked = usize::from(fields.get("cache_control").is_some());
    limit_cache_markers(&mut tools, &mut conversation, marked, &mut report);
    let extensions = extensions(&mut fields);
    let body = Body {
        model: &request.model,
        max_tokens,
        stream: request.stream,
        temperature: sampling.temperature,
        top_p: sampling.top_p,
        top_k: sampling.top_k,
        stop_sequences: stop(&mut fields, &mut report)?,
        service_tier: service_tier(&mut fields, &mut report)?,
        metadata: user_id(&mut fields, &mut report)?,
        thinking,
        output_config,
        extensions,
        tools,
        tool_choice,
        system: conversation.system,
        messages: conversation.turns,
    };
    let body = json::to_vec(&body).map_err(|error| Error::InvalidJson {
        param: None,
        message: error.to_string(),
    })?;
    report.dropped.extend(
        fields
            .fields
            .iter()
            .filter(|field| !is_default(&field.name, &field.value))
            .map(|field| field.name.to_string()),
    );
    report.dedup();
    Ok(EncodedRequest {
        body,
        report,
        conversation_hash: 0,
    })
}

/// Takes Anthropic's own parameters that the client sent.
fn extensions<'a>(fields: &mut Object<'a>) -> Object<'a> {
    let mut out = Object::default();
    for name in EXTENSIONS {
        if let Some(value) = fields.take(name) {
            out.push(name, value);
        }
    }
    out
}

/// The most cache markers that the provider accepts in a request.
const MAX_MARKERS: usize = 4;

/// Removes the first cache markers if there are too many. The last ones are kept because they cover
/// the longest prefix.
fn limit_cache_markers(
    tools: &mut [Raw<'_>],
    conversation: &mut Conversation<'_>,
    others: usize,
    report: &mut TranslationReport,
) {
    let has_marker = |tool: &Raw<'_>| {
        json::object(tool, &"tools").is_ok_and(|tool| tool.get("cache_control").is_some())
    };
    let blocks = conversation.system.iter_mut().chain(
        conversation
            .turns
            .iter_mut()
            .flat_map(|turn| &mut turn.content),
    );
    let mut markers: Vec<&mut Option<Raw<'_>>> = blocks
        .filter_map(Block::marker)
        .filter(|marker| marker.is_some())
        .collect();
    let on_tools = tools.iter().filter(|tool| has_marker(tool)).count();
    let mut surplus = (on_tools + markers.len() + others).saturating_sub(MAX_MARKERS);
    for (i, tool) in tools.iter_mut().enumerate() {
        if surplus == 0 {
            return;
        }
        if has_marker(tool)
            && let Ok(mut object) = json::object(tool, &"tools")
        {
            object.take("cache_control");
            *tool = Cow::Owned(raw(&object));
            surplus -= 1;
            report.dropped.push(format!("tools[{i}].cache_control"));
        }
    }
    for marker in markers.iter_mut().take(surplus) {
        **marker = None;
        let name = "messages.content.cache_control";
        report.dropped.push(name.to_owned());
    }
}

/// Refuses parameters that ask for another kind of response: several choices, or audio.
fn refuse(fields: &mut Object<'_>) -> Result<(), Error> {
    if let Some(n) = fields.read::<u64>("", "n")?
        && n != 1
    {
        return Err(Error::unsupported_value("n", "Anthropic gives one answer."));
    }
    if let Some(modalities) = fields.read::<Vec<String>>("", "modalities")?
        && modalities.iter().any(|kind| kind != "text")
    {
        return Err(Error::unsupported_value(
            "modalities",
            "Anthropic answers in text only.",
        ));
    }
    if fields.take("audio").is_some() {
        return Err(Error::unsupported(
            "audio",
            "Anthropic answers in text only.",
        ));
    }
    Ok(())
}

fn max_tokens(
    fields: &mut Object<'_>,
    family: &Family,
    report: &mut TranslationReport,
) -> Result<u64, Error> {
    let newer = fields.read::<i64>("", "max_completion_tokens")?;
    let older = fields.read::<i64>("", "max_tokens")?;
    let (name, wanted) = match (newer, older) {
        (Some(n), older) => {
            if older.is_some_and(|older| older != n) {
                report.dropped.push("max_tokens".to_owned());
            }
            ("max_completion_tokens", n)
        }
        (None, Some(n)) => ("max_tokens", n),
        (None, None) => return Ok(family.max_output),
    };
    match u64::try_from(wanted) {
        Ok(n) if n > family.max_output => {
            report.changed.push(name.to_owned());
            Ok(family.max_output)
        }
        Ok(n) if n > 0 => Ok(n),
        _ => Err(Error::invalid(name, "it must be at least 1.")),
    }
}

struct Sampling {
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<u64>,
}

fn sampling(
    fields: &mut Object<'_>,
    family: &Family,
    thinking: bool,
    report: &mut TranslationReport,
) -> Result<Sampling, Error> {
    let mut temperature = fields.read::<f64>("", "temperature")?;
    let mut top_p = fields.read::<f64>("", "top_p")?;
    let mut top_k = fields.read::<u64>("", "top_k")?;
    if let Some(given) = temperature {
        let kept = family.sampling.then(|| given.clamp(0.0, 1.0));
        let is_one = |t: f64| (t - 1.0).abs() < f64::EPSILON;
        temperature = kept.filter(|&t| !thinking || is_one(t));
        match temperature {
            None if !is_one(given) => report.dropped.push("temperature".to_owned()),
            Some(kept) if (kept - given).abs() > f64::EPSILON => {
                report.changed.push("temperature".to_owned());
            }
            _ => {}
        }
    }
    if let Some(given) = top_p {
        // Models from 4.5 on refuse `temperature` and `top_p` together.
        let kept = family.sampling && temperature.is_none() && (!thinking || given >= 0.95);
        if !kept {
            top_p = None;
            if (given - 1.0).abs() > f64::EPSILON {
                report.dropped.push("top_p".to_owned());
            }
        }
    }
    if top_k.is_some() && (!family.sampling || thinking) {
        top_k = None;
        report.dropped.push("top_k".to_owned());
    }
    Ok(Sampling {
        temperature,
        top_p,
        top_k,
    })
}

/// Adds an instruction to answer with JSON to the system prompt.
fn instruct_json(conversation: &mut Conversation<'_>, more: &str) {
    conversation.system.push(Block::Text {
        text: Cow::Owned(format!(
            "Reply with a single JSON object and nothing else.{more}"
        )),
        cache_control: None,
    });
}

fn output_format(
    fields: &mut Object<'_>,
    conversation: &mut Conversation<'_>,
    budget: &mut schema::Budget,
    report: &mut TranslationReport,
) -> Result<Option<OutputFormat>, Error> {
    const AT: &str = "response_format";
    let Some(format) = fields.take(AT) else {
        return Ok(None);
    };
    let mut format = json::object(&format, &AT)?;
    let missing = |name: &str| Error::Missing {
        param: format!("{AT}.{name}"),
    };
    let kind: String = format
        .read("response_format.", "type")?
        .ok_or_else(|| missing("type"))?;
    let written = match kind.as_str() {
        "text" => None,
        "json_object" => {
            report.changed.push(AT.to_owned());
            instruct_json(conversation, "");
            None
        }
        "json_schema" => {
            let wrapper = format
                .take("json_schema")
                .ok_or_else(|| missing("json_schema"))?;
            let wrapper = json::object(&wrapper, &"response_format.json_schema")?;
            json_schema(wrapper, conversation, budget, report)?
        }
        other => {
            return Err(Error::invalid(
                "response_format.type",
                format!("'{other}' is none of text, json_object, json_schema."),
            ));
        }
    };
    report.drop_members(&format, AT);
    Ok(written)
}

fn json_schema(
    mut wrapper: Object<'_>,
    conversation: &mut Conversation<'_>,
    budget: &mut schema::Budget,
    report: &mut TranslationReport,
) -> Result<Option<OutputFormat>, Error> {
    const AT: &str = "response_format.json_schema";
    const PREFIX: &str = "response_format.json_schema.";
    const SCHEMA: &str = "response_format.json_schema.schema";
    let schema = wrapper.take("schema").ok_or_else(|| Error::Missing {
        param: SCHEMA.to_owned(),
    })?;
    let value = schema::read(&schema, SCHEMA)?;
    if !value.is_object() {
        return Err(Error::wrong_type(SCHEMA, "a JSON Schema object"));
    }
    if schema::refers_outside(&value) {
        return Err(Error::unsupported_value(
            SCHEMA,
            "a $ref to another document is not followed; put the schema itself there.",
        ));
    }
    let name: Option<String> = wrapper.read(PREFIX, "name")?;
    let description: Option<String> = wrapper.read(PREFIX, "description")?;
    // The provider always enforces the schema.
    wrapper.take("strict");
    report.drop_members(&wrapper, AT);
    let Some(mut accepted) = schema::accepted(value, budget) else {
        report.changed.push("response_format".to_owned());
        let about = description
            .map(|text| format!(" {text}"))
            .unwrap_or_default();
        instruct_json(
            conversation,
            &format!("{about} It must follow this JSON Schema: {schema}"),
        );
        return Ok(None);
    };
    if accepted.changed {
        report.changed.push(SCHEMA.to_owned());
    }
    // Name and description have no place of their own; they go into the schema.
    for (own, word, text) in [
        ("name", "title", name),
        ("description", "description", description),
    ] {
        if let (Some(text), Value::Object(schema)) = (text, &mut accepted.schema) {
            let said = Value::String(text);
            if *schema.entry(word).or_insert_with(|| said.clone()) != said {
                report.dropped.push(format!("{PREFIX}{own}"));
            }
        }
    }
    Ok(Some(OutputFormat {
        kind: "json_schema",
        schema: accepted.schema,
    }))
}

fn stop(fields: &mut Object<'_>, report: &mut TranslationReport) -> Result<Vec<String>, Error> {
    let Some(stop) = fields.take("stop") else {
        return Ok(Vec::new());
    };
    let mut list = if stop.get().starts_with('"') {
        vec![json::text(&stop, &"stop")?.into_owned()]
    } else {
        json::read::<Vec<String>>(&stop, &"stop")
            .map_err(|_| Error::wrong_type("stop", "a string or an array of strings"))?
    };
    // The provider refuses blank stop sequences.
    let given = list.len();
    list.retain(|sequence| !sequence.trim().is_empty());
    if list.len() < given {
        report.dropped.push("stop".to_owned());
    }
    let mut seen = HashSet::new();
    list.retain(|sequence| seen.insert(sequence.clone()));
    Ok(list)
}

fn service_tier(
    fields: &mut Object<'_>,
    report: &mut TranslationReport,
) -> Result<Option<&'static str>, Error> {
    Ok(
        match fields.read::<String>("", "service_tier")?.as_deref() {
            None => None,
            Some("auto") => Some("auto"),
            Some("default" | "standard_only") => Some("standard_only"),
            Some(_) => {
                report.dropped.push("service_tier".to_owned());
                None
            }
        },
    )
}

/// Takes the id of the end user from `metadata.user_id`, `safety_identifier` or `user`. The
/// provider wants an opaque id, so mail addresses and phone numbers are dropped.
fn user_id<'a>(
    fields: &mut Object<'a>,
    report: &mut TranslationReport,
) -> Result<Option<Metadata<'a>>, Error> {
    let mut found: Option<(&str, Cow<'a, str>)> = None;
    if let Some(metadata) = fields.take("metadata") {
        let mut metadata = json::object(&metadata, &"metadata")?;
        if let Some(id) = metadata.take("user_id") {
            found = Some(("metadata", json::text(&id, &"metadata.user_id")?));
        }
        if metadata
            .fields
            .iter()
            .any(|field| field.value.get() != "null")
        {
            report.dropped.push("metadata".to_owned());
        }
    }
    for name in ["safety_identifier", "user"] {
        if let Some(id) = fields.take(name) {
            let id = json::text(&id, &name)?;
            if found.is_none() {
                found = Some((name, id));
            } else if found.as_ref().is_some_and(|(_, taken)| *taken != id) {
                report.dropped.push(name.to_owned());
            }
        }
    }
    let Some((name, id)) = found else {
        return Ok(None);
    };
    let phone = id.starts_with('+') && id.chars().any(|c| c.is_ascii_digit());
    if id.is_empty() || id.chars().count() > 256 || id.contains('@') || phone {
        report.dropped.push(name.to_owned());
        return Ok(None);
    }
    Ok(Some(Metadata { user_id: id }))
}
