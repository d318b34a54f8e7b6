//! Hub request -> Messages request. Pure.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::json;

use super::family::{self, Family, Thinks};
use super::messages::{self, Conversation};
use super::schema;
use super::wire::{Block, Body, Metadata, OutputConfig, OutputFormat, ToolChoice};
use crate::codec::json::{self, Object, Raw, raw};
use crate::dialect::hub::{Request, Tool, ToolChoice as Choice, is_default};
use crate::dialect::{Report, Translated};
use crate::error::Error;

/// Anthropic's own parameters, which a client may send along.
const EXTENSIONS: [&str; 6] = [
    "cache_control",
    "container",
    "context_management",
    "mcp_servers",
    "inference_geo",
    "speed",
];

/// Members of a tool that Anthropic knows beyond OpenAI's.
const TOOL_EXTENSIONS: [&str; 4] = [
    "cache_control",
    "defer_loading",
    "eager_input_streaming",
    "input_examples",
];

/// Tokens for thinking by effort, on families with a budget.
const BUDGETS: [(&str, u64); 5] = [
    ("minimal", 1024),
    ("low", 2048),
    ("medium", 8192),
    ("high", 24_576),
    ("xhigh", 32_768),
];

/// Smallest budget the provider takes, in tokens.
const MIN_BUDGET: u64 = 1024;

pub(super) fn request(request: &mut Request<'_>) -> Result<Translated, Error> {
    let family = family::of(&request.model);
    let mut fields = std::mem::take(&mut request.fields);
    let mut report = Report {
        dropped: std::mem::take(&mut request.dropped),
        changed: Vec::new(),
    };
    refuse(&mut fields)?;

    let max_tokens = max_tokens(&mut fields, &family, &mut report)?;
    let mut effort = read_effort(&mut fields)?;
    let forced = matches!(
        request.tool_choice,
        Some(Choice::Required | Choice::Function(_) | Choice::Allowed { required: true, .. })
    );
    // A forced call and a thinking budget exclude each other; the call was asked for by name.
    if family.budgeted() && forced && effort.take().is_some() {
        report.dropped.push("reasoning_effort".to_owned());
    }
    let plan = plan_thinking(
        &mut fields,
        &family,
        effort.as_ref(),
        max_tokens,
        &mut report,
    )?;
    let mut thinking = plan.thinking;
    let thinks = thinking
        .as_deref()
        .map_or(family.thinks != Thinks::WhenAsked, |raw| {
            !raw.get().contains("\"disabled\"")
        });

    let mut talk = messages::write(&mut request.messages, &family, thinks)?;
    report.dropped.append(&mut talk.dropped);
    // With a budget, a turn that called tools must begin with its thinking; it cannot be given back.
    if family.budgeted() && talk.unthought_calls && thinking.take().is_some() {
        report.dropped.push("reasoning_effort".to_owned());
    }

    let (tools, tool_choice) = tools(request, &family, &mut fields, &talk, &mut report)?;
    let format = output_format(&mut fields, &mut talk, &mut report)?;
    let output_config = (plan.effort.is_some() || format.is_some()).then_some(OutputConfig {
        effort: plan.effort,
        format,
    });
    let sampling = sampling(&mut fields, &family, thinking.is_some(), &mut report)?;

    let mut extensions = Object::default();
    for name in EXTENSIONS {
        if let Some(value) = fields.take(name) {
            extensions.push(name, value);
        }
    }
    let body = Body {
        model: &request.model,
        max_tokens,
        stream: request.stream,
        temperature: sampling.temperature,
        top_p: sampling.top_p,
        top_k: sampling.top_k,
        stop_sequences: stop(&mut fields)?,
        service_tier: service_tier(&mut fields, &mut report)?,
        metadata: user_id(&mut fields, &mut report)?,
        thinking,
        output_config,
        extensions,
        tools,
        tool_choice,
        system: talk.system,
        messages: talk.turns,
    };
    let body = serde_json::to_vec(&body).map_err(|error| Error::InvalidJson {
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
    report.settle();
    Ok(Translated { body, report })
}

/// Refuses what would change the kind of the answer.
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

fn max_tokens(fields: &mut Object<'_>, family: &Family, report: &mut Report) -> Result<u64, Error> {
    let newer = fields.read::<i64>("", "max_completion_tokens")?;
    let older = fields.read::<i64>("", "max_tokens")?;
    let (name, wanted) = match (newer, older) {
        (Some(n), _) => ("max_completion_tokens", n),
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
    report: &mut Report,
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
        // 4.5 and later refuse both at once.
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

/// What the client asked for in `reasoning_effort` or `reasoning`.
struct Effort {
    word: String,
    /// Tokens for thinking, where the client named a number.
    budget: Option<u64>,
    /// Whether the thinking is to stay hidden.
    hidden: bool,
}

fn read_effort(fields: &mut Object<'_>) -> Result<Option<Effort>, Error> {
    const WORDS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
    let mut effort = None;
    for name in ["reasoning_effort", "reasoning"] {
        let Some(value) = fields.take(name) else {
            continue;
        };
        if effort.is_some() {
            continue;
        }
        if value.get().starts_with('"') {
            effort = Some(Effort {
                word: json::text(&value, &name)?.into_owned(),
                budget: None,
                hidden: false,
            });
        } else {
            let mut object = json::object(&value, &name)
                .map_err(|_| Error::wrong_type(name, "a string or an object"))?;
            let at = format!("{name}.");
            let word: Option<String> = object.read(&at, "effort")?;
            let budget: Option<u64> = object.read(&at, "max_tokens")?;
            let hidden = object.read(&at, "exclude")?.unwrap_or(false);
            let enabled = object.read::<bool>(&at, "enabled")?;
            let by_budget = budget.map(|n| match n {
                0..=2048 => "low",
                2049..=8192 => "medium",
                8193..=24_576 => "high",
                _ => "xhigh",
            });
            let by_switch = enabled.map(|on| if on { "medium" } else { "none" });
            let word = word.or_else(|| by_budget.or(by_switch).map(str::to_owned));
            effort = word.map(|word| Effort {
                word,
                budget,
                hidden,
            });
        }
        if let Some(Effort { word, .. }) = &effort
            && !WORDS.contains(&word.as_str())
        {
            return Err(Error::invalid(
                name,
                format!("'{word}' is none of {}.", WORDS.join(", ")),
            ));
        }
    }
    Ok(effort)
}

struct Plan<'a> {
    thinking: Option<Raw<'a>>,
    effort: Option<&'static str>,
}

fn plan_thinking<'a>(
    fields: &mut Object<'a>,
    family: &Family,
    effort: Option<&Effort>,
    max_tokens: u64,
    report: &mut Report,
) -> Result<Plan<'a>, Error> {
    let hidden = effort.is_some_and(|effort| effort.hidden);
    let adaptive = || {
        let display = if hidden { "omitted" } else { "summarized" };
        Some(Cow::Owned(raw(
            &json!({"type": "adaptive", "display": display}),
        )))
    };
    let word = effort.map(|effort| effort.word.as_str());
    if let Some(word) = word.filter(|word| *word != "none")
        && family.effort(word).is_some_and(|effort| effort != word)
    {
        report.changed.push("reasoning_effort".to_owned());
    }
    if let Some(own) = fields.take("thinking") {
        let kind: Option<String> = json::object(&own, &"thinking")?.read("thinking.", "type")?;
        let kind = kind.unwrap_or_default();
        let effort = word.filter(|w| *w != "none").and_then(|w| family.effort(w));
        if family.types.is_empty() || family.types.contains(&kind.as_str()) {
            return Ok(Plan {
                thinking: Some(own),
                effort,
            });
        }
        report.changed.push("thinking".to_owned());
        if kind != "disabled" {
            return Ok(Plan {
                thinking: adaptive(),
                effort,
            });
        }
        return Ok(no_thinking(family, "thinking", report));
    }
    let plan = match word {
        None if family.types.is_empty() || family.thinks == Thinks::WhenAsked => Plan {
            thinking: None,
            effort: None,
        },
        // Families that think anyway would hide the text unless asked for a summary.
        None => Plan {
            thinking: adaptive(),
            effort: None,
        },
        Some("none") => no_thinking(family, "reasoning_effort", report),
        Some(word) if family.budgeted() => {
            let wanted = effort.and_then(|effort| effort.budget).unwrap_or_else(|| {
                BUDGETS
                    .iter()
                    .find(|(known, _)| *known == word)
                    .map_or(family.max_output / 5 * 4, |(_, tokens)| *tokens)
            });
            let budget = wanted.min(max_tokens.saturating_sub(1));
            let thinking = (budget >= MIN_BUDGET)
                .then(|| Cow::Owned(raw(&json!({"type": "enabled", "budget_tokens": budget}))));
            if thinking.is_none() {
                report.dropped.push("reasoning_effort".to_owned());
            }
            Plan {
                thinking,
                effort: family.effort(word),
            }
        }
        Some(word) => Plan {
            thinking: if family.types.is_empty() {
                None
            } else {
                adaptive()
            },
            effort: family.effort(word),
        },
    };
    Ok(plan)
}

/// How a family is told not to think, as far as it can be told.
fn no_thinking<'a>(family: &Family, asked_by: &str, report: &mut Report) -> Plan<'a> {
    let kind = match family.thinks {
        Thinks::WhenAsked => None,
        Thinks::Unless if family.types.contains(&"between_tools") => Some("between_tools"),
        Thinks::Unless => Some("disabled"),
        Thinks::Always => {
            report.dropped.push(asked_by.to_owned());
            return Plan {
                thinking: None,
                effort: Some("low"),
            };
        }
    };
    Plan {
        thinking: kind.map(|kind| Cow::Owned(raw(&json!({ "type": kind })))),
        effort: None,
    }
}

fn tools<'a>(
    request: &mut Request<'a>,
    family: &Family,
    fields: &mut Object<'a>,
    talk: &Conversation<'a>,
    report: &mut Report,
) -> Result<(Vec<Raw<'a>>, Option<ToolChoice<'a>>), Error> {
    let parallel = fields
        .read::<bool>("", "parallel_tool_calls")?
        .unwrap_or(true);
    let mut choice = request.tool_choice.take();
    if let Some(Choice::Allowed { names, required }) = &choice {
        request.tools.retain(|tool| match tool {
            Tool::Function { name, .. } => names.iter().any(|n| **n == **name),
            Tool::Other { .. } => false,
        });
        choice = Some(if *required {
            Choice::Required
        } else {
            Choice::Auto
        });
    }
    let mut tools = Vec::new();
    for (i, tool) in std::mem::take(&mut request.tools).into_iter().enumerate() {
        tools.push(write_tool(tool, i, report)?);
    }
    web_search(fields, &mut tools)?;
    if tools.is_empty() {
        // Without tools the provider refuses a history that called some.
        for name in &talk.called {
            let tool = json!({"name": name, "input_schema": {"type": "object"}});
            tools.push(Cow::Owned(raw(&tool)));
        }
        let none = (!tools.is_empty()).then_some(ToolChoice {
            kind: "none",
            name: None,
            disable_parallel_tool_use: false,
        });
        return Ok((tools, none));
    }
    let mut wire = match choice {
        None | Some(Choice::Allowed { .. }) if parallel => return Ok((tools, None)),
        None | Some(Choice::Auto | Choice::Allowed { .. }) => ToolChoice {
            kind: "auto",
            name: None,
            disable_parallel_tool_use: false,
        },
        Some(Choice::None) => ToolChoice {
            kind: "none",
            name: None,
            disable_parallel_tool_use: false,
        },
        Some(Choice::Required) => ToolChoice {
            kind: force("any", family, report),
            name: None,
            disable_parallel_tool_use: false,
        },
        Some(Choice::Function(name)) => {
            let kind = force("tool", family, report);
            ToolChoice {
                kind,
                name: (kind == "tool").then_some(name),
                disable_parallel_tool_use: false,
            }
        }
    };
    wire.disable_parallel_tool_use = !parallel && wire.kind != "none";
    Ok((tools, Some(wire)))
}

/// A forced choice, on families that can be forced.
fn force(kind: &'static str, family: &Family, report: &mut Report) -> &'static str {
    if family.forced_tool {
        return kind;
    }
    report.dropped.push("tool_choice".to_owned());
    "auto"
}

fn write_tool<'a>(tool: Tool<'a>, i: usize, report: &mut Report) -> Result<Raw<'a>, Error> {
    let (name, description, parameters, strict, mut other) = match tool {
        Tool::Function {
            name,
            description,
            parameters,
            strict,
            other,
        } => (name, description, parameters, strict, other),
        Tool::Other { kind, value } => {
            // Anthropic's own tools carry a date in their type.
            let own = kind
                .rsplit('_')
                .next()
                .is_some_and(|date| date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit()));
            return if own {
                Ok(value)
            } else {
                Err(Error::unsupported_value(
                    format!("tools[{i}].type"),
                    format!(
                        "tools of type '{kind}' cannot be sent to Anthropic; supported: function."
                    ),
                ))
            };
        }
    };
    let mut out = Object::default();
    out.push("name", Cow::Owned(raw(&name)));
    if let Some(description) = description {
        out.push("description", Cow::Owned(raw(&description)));
    }
    let mut strict = strict == Some(true);
    let schema: Raw<'_> = match parameters {
        None => Cow::Owned(raw(&json!({"type": "object", "properties": {}}))),
        Some(schema) => {
            let mut object =
                json::object(&schema, &format_args!("tools[{i}].function.parameters"))?;
            if strict {
                let value: Value = serde_json::from_str(schema.get()).unwrap_or_default();
                match schema::accepted(value) {
                    Some(schema) => Cow::Owned(raw(&schema)),
                    None => {
                        strict = false;
                        report.dropped.push(format!("tools[{i}].function.strict"));
                        schema
                    }
                }
            } else if object.get("type").is_none() {
                object.fields.insert(
                    0,
                    json::Field {
                        name: Cow::Borrowed("type"),
                        value: Cow::Owned(raw("object")),
                    },
                );
                Cow::Owned(raw(&object))
            } else {
                schema
            }
        }
    };
    out.push("input_schema", schema);
    if strict {
        out.push("strict", Cow::Owned(raw(&true)));
    }
    for name in TOOL_EXTENSIONS {
        if let Some(value) = other.take(name) {
            out.push(name, value);
        }
    }
    Ok(Cow::Owned(raw(&out)))
}

fn web_search<'a>(fields: &mut Object<'a>, tools: &mut Vec<Raw<'a>>) -> Result<(), Error> {
    let Some(options) = fields.take("web_search_options") else {
        return Ok(());
    };
    let mut options = json::object(&options, &"web_search_options")?;
    let size: Option<String> = options.read("web_search_options.", "search_context_size")?;
    let mut tool = json!({
        "type": "web_search_20250305",
        "name": "web_search",
        "max_uses": match size.as_deref() { Some("low") => 1, Some("high") => 10, _ => 5 },
    });
    if let Some(location) = options.take("user_location") {
        let mut location = json::object(&location, &"web_search_options.user_location")?;
        if let Some(place) = location.take("approximate")
            && let Value::Object(tool) = &mut tool
        {
            let mut place: Value = serde_json::from_str(place.get()).unwrap_or_default();
            if let Value::Object(place) = &mut place {
                place.insert("type".to_owned(), Value::String("approximate".to_owned()));
            }
            tool.insert("user_location".to_owned(), place);
        }
    }
    tools.push(Cow::Owned(raw(&tool)));
    Ok(())
}

fn output_format(
    fields: &mut Object<'_>,
    talk: &mut Conversation<'_>,
    report: &mut Report,
) -> Result<Option<OutputFormat>, Error> {
    const AT: &str = "response_format";
    let Some(format) = fields.take(AT) else {
        return Ok(None);
    };
    let mut format = json::object(&format, &AT)?;
    let kind: String = format
        .read("response_format.", "type")?
        .ok_or_else(|| Error::Missing {
            param: "response_format.type".to_owned(),
        })?;
    let ask = |talk: &mut Conversation<'_>, more: String| {
        talk.system.push(Block::Text {
            text: Cow::Owned(format!(
                "Reply with a single JSON object and nothing else.{more}"
            )),
            cache_control: None,
        });
    };
    match kind.as_str() {
        "text" => Ok(None),
        "json_object" => {
            report.changed.push(AT.to_owned());
            ask(talk, String::new());
            Ok(None)
        }
        "json_schema" => {
            let missing = |name: &str| Error::Missing {
                param: format!("response_format.{name}"),
            };
            let wrapper = format
                .take("json_schema")
                .ok_or_else(|| missing("json_schema"))?;
            let mut wrapper = json::object(&wrapper, &"response_format.json_schema")?;
            let schema = wrapper
                .take("schema")
                .ok_or_else(|| missing("json_schema.schema"))?;
            let value: Value = serde_json::from_str(schema.get()).unwrap_or_default();
            if let Some(schema) = schema::accepted(value) {
                return Ok(Some(OutputFormat {
                    kind: "json_schema",
                    schema,
                }));
            }
            report.changed.push(AT.to_owned());
            ask(talk, format!(" It must follow this JSON Schema: {schema}"));
            Ok(None)
        }
        other => Err(Error::invalid(
            "response_format.type",
            format!("'{other}' is none of text, json_object, json_schema."),
        )),
    }
}

fn stop(fields: &mut Object<'_>) -> Result<Vec<String>, Error> {
    let Some(stop) = fields.take("stop") else {
        return Ok(Vec::new());
    };
    let mut list = if stop.get().starts_with('"') {
        vec![json::text(&stop, &"stop")?.into_owned()]
    } else {
        json::read::<Vec<String>>(&stop, &"stop")
            .map_err(|_| Error::wrong_type("stop", "a string or an array of strings"))?
    };
    // The provider refuses sequences of white space only.
    list.retain(|sequence| !sequence.trim().is_empty());
    let mut seen = Vec::new();
    list.retain(|sequence| {
        let new = !seen.contains(sequence);
        seen.push(sequence.clone());
        new
    });
    Ok(list)
}

fn service_tier(
    fields: &mut Object<'_>,
    report: &mut Report,
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

/// The opaque id of the person behind the request; the provider asks for no more than that.
fn user_id<'a>(
    fields: &mut Object<'a>,
    report: &mut Report,
) -> Result<Option<Metadata<'a>>, Error> {
    let mut found: Option<(&str, Cow<'a, str>)> = None;
    if let Some(metadata) = fields.take("metadata") {
        let mut metadata = json::object(&metadata, &"metadata")?;
        if let Some(id) = metadata.take("user_id") {
            found = Some(("metadata", json::text(&id, &"metadata.user_id")?));
        }
        if !metadata.fields.is_empty() {
            report.dropped.push("metadata".to_owned());
        }
    }
    for name in ["safety_identifier", "user"] {
        if let Some(id) = fields.take(name) {
            let id = json::text(&id, &name)?;
            if found.is_none() {
                found = Some((name, id));
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
