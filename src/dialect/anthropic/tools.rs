//! Tools and the choice among them. Pure.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::family::Family;
use super::messages::Conversation;
use super::schema;
use super::wire::ToolChoice;
use crate::codec::json::{self, Object, Raw, raw};
use crate::dialect::Report;
use crate::dialect::hub::{Request, Tool, ToolChoice as Choice};
use crate::error::Error;

/// Members of a tool that Anthropic knows beyond OpenAI's.
const TOOL_EXTENSIONS: [&str; 4] = [
    "cache_control",
    "defer_loading",
    "eager_input_streaming",
    "input_examples",
];

/// Anthropic's own tool for searching the web.
const WEB_SEARCH: &str = "web_search_20250305";

/// How often a search may be made, for OpenAI's word for how much context it gives.
fn max_uses(size: Option<&str>) -> u64 {
    match size {
        Some("low") => 1,
        Some("high") => 10,
        _ => 5,
    }
}

/// The tools that the model may call, and whether it must.
pub(super) fn tools<'a>(
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
    let (kind, name) = match choice {
        None if parallel => return Ok((tools, None)),
        None | Some(Choice::Auto | Choice::Allowed { .. }) => ("auto", None),
        Some(Choice::None) => ("none", None),
        Some(Choice::Required) => (force("any", family, report), None),
        Some(Choice::Function(name)) => {
            let kind = force("tool", family, report);
            (kind, (kind == "tool").then_some(name))
        }
    };
    let choice = ToolChoice {
        kind,
        name,
        disable_parallel_tool_use: !parallel && kind != "none",
    };
    Ok((tools, Some(choice)))
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
        "type": WEB_SEARCH,
        "name": "web_search",
        "max_uses": max_uses(size.as_deref()),
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

/// Anthropic's search for one of Responses, as `web_search` or `web_search_preview`.
pub(super) fn hosted_search<'a>(tool: &Object<'_>) -> Tool<'a> {
    let text = |name: &str| {
        tool.get(name)
            .and_then(|value| json::read::<String>(value, &name).ok())
    };
    let value_of = |name: &str| {
        tool.get(name)
            .and_then(|value| serde_json::from_str::<Value>(value.get()).ok())
    };
    let mut out = json!({
        "type": WEB_SEARCH,
        "name": "web_search",
        "max_uses": max_uses(text("search_context_size").as_deref()),
    });
    if let Value::Object(out) = &mut out {
        if let Some(place) = value_of("user_location") {
            out.insert("user_location".to_owned(), place);
        }
        let domains = value_of("filters").and_then(|filters| {
            let domains = filters.get("allowed_domains")?;
            Some(domains.clone())
        });
        if let Some(domains) = domains {
            out.insert("allowed_domains".to_owned(), domains);
        }
    }
    Tool::Other {
        kind: Cow::Borrowed(WEB_SEARCH),
        value: Cow::Owned(raw(&out)),
    }
}
