//! Encodes tools and the tool choice. Pure.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::{Value, json};

use super::family::Family;
use super::messages::Conversation;
use super::schema::{self, Budget};
use super::wire::ToolChoice;
use crate::codec::json::{self, Object, Raw, raw};
use crate::dialect::common::report::TranslationReport;
use crate::dialect::hub::{Request, Tool, ToolChoice as Choice};
use crate::error::Error;

/// Anthropic's own fields of a tool, beyond those of OpenAI.
const TOOL_EXTENSIONS: [&str; 4] = [
    "cache_control",
    "defer_loading",
    "eager_input_streaming",
    "input_examples",
];

/// The type of Anthropic's web search tool.
const WEB_SEARCH: &str = "web_search_20250305";

/// The limit of searches for OpenAI's `search_context_size`.
fn max_uses(size: Option<&str>) -> u64 {
    match size {
        Some("low") => 1,
        Some("high") => 10,
        _ => 5,
    }
}

/// Encodes the tools and the tool choice.
pub(super) fn tools<'a>(
    request: &mut Request<'a>,
    family: &Family,
    fields: &mut Object<'a>,
    conversation: &Conversation<'a>,
    budget: &mut Budget,
    report: &mut TranslationReport,
) -> Result<(Vec<Raw<'a>>, Option<ToolChoice<'a>>), Error> {
    let parallel = fields
        .read::<bool>("", "parallel_tool_calls")?
        .unwrap_or(true);
    let mut listed: Vec<_> = std::mem::take(&mut request.tools)
        .into_iter()
        .enumerate()
        .collect();
    let choice = match request.tool_choice.take() {
        Some(Choice::Allowed { required, names }) => {
            Some(allowed(required, &names, &mut listed, report)?)
        }
        choice => choice,
    };
    let mut tools = Vec::with_capacity(listed.len());
    for (i, tool) in listed {
        tools.push(write_tool(tool, i, budget, report)?);
    }
    web_search(fields, &mut tools, report)?;
    if tools.is_empty() {
        if matches!(choice, Some(Choice::Required | Choice::Function(_))) {
            report.dropped.push("tool_choice".to_owned());
        }
        // Without tools, the provider refuses a conversation that contains tool calls.
        for name in &conversation.called {
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

/// Applies `allowed_tools`. The provider has no counterpart, so the other tools are not sent.
fn allowed<'a>(
    required: bool,
    names: &[String],
    listed: &mut Vec<(usize, Tool<'a>)>,
    report: &mut TranslationReport,
) -> Result<Choice<'a>, Error> {
    const AT: &str = "tool_choice.allowed_tools.tools";
    let mut unmet: HashSet<&str> = names.iter().map(String::as_str).collect();
    let wanted = unmet.clone();
    let before = listed.len();
    listed.retain(|(_, tool)| match tool {
        Tool::Function { name, .. } => {
            unmet.remove(&**name);
            wanted.contains(&**name)
        }
        Tool::Other { .. } => false,
    });
    if required && listed.is_empty() {
        return Err(Error::invalid(
            AT,
            "one of these must be called, and none of them is among 'tools'.",
        ));
    }
    if !unmet.is_empty() {
        report.dropped.push(AT.to_owned());
    }
    if listed.len() < before {
        report.changed.push("tools".to_owned());
    }
    Ok(if required {
        Choice::Required
    } else {
        Choice::Auto
    })
}

/// Returns `kind`, or `auto` if the family does not accept a forced call.
fn force(kind: &'static str, family: &Family, report: &mut TranslationReport) -> &'static str {
    if family.forced_tool {
        return kind;
    }
    report.dropped.push("tool_choice".to_owned());
    "auto"
}

fn write_tool<'a>(
    tool: Tool<'a>,
    i: usize,
    budget: &mut Budget,
    report: &mut TranslationReport,
) -> Result<Raw<'a>, Error> {
    let (name, description, parameters, strict, mut function, mut other) = match tool {
        Tool::Function {
            name,
            description,
            parameters,
            strict,
            function,
            other,
        } => (name, description, parameters, strict, function, other),
        Tool::Other { kind, value } => {
            // The types of Anthropic's own tools end in a date.
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
    let at = format!("tools[{i}].function");
    let strict = strict == Some(true);
    let (schema, kept) = input_schema(parameters, strict, &at, budget, report)?;
    out.push("input_schema", schema);
    if kept {
        out.push("strict", Cow::Owned(raw(&true)));
    } else if strict {
        report.dropped.push(format!("{at}.strict"));
    }
    for name in TOOL_EXTENSIONS {
        let outer = other.take(name);
        let inner = match &outer {
            Some(_) => None,
            None => function.take(name),
        };
        if let Some(value) = outer.or(inner) {
            out.push(name, value);
        }
    }
    report.drop_members(&other, &format!("tools[{i}]"));
    report.drop_members(&function, &at);
    Ok(Cow::Owned(raw(&out)))
}

/// Encodes the schema of a tool's input. The flag says whether the tool can be strict.
fn input_schema<'a>(
    parameters: Option<Raw<'a>>,
    strict: bool,
    at: &str,
    budget: &mut Budget,
    report: &mut TranslationReport,
) -> Result<(Raw<'a>, bool), Error> {
    let Some(given) = parameters else {
        let strict = strict && budget.tool();
        let mut schema = json!({"type": "object", "properties": {}});
        if let (true, Value::Object(schema)) = (strict, &mut schema) {
            schema.insert("additionalProperties".to_owned(), Value::Bool(false));
        }
        return Ok((Cow::Owned(raw(&schema)), strict));
    };
    let at = format!("{at}.parameters");
    let mut object = json::object(&given, &at)?;
    let has_union = schema::UNIONS.iter().any(|word| object.get(word).is_some());
    let mut loose = if object.get("type").is_none() {
        let name = Cow::Borrowed("type");
        let value = Cow::Owned(raw("object"));
        object.fields.insert(0, json::Field { name, value });
        Cow::Owned(raw(&object))
    } else {
        given.clone()
    };
    if !has_union && !strict {
        return Ok((loose, false));
    }
    let mut value = schema::read(&given, &at)?;
    if schema::expand_unions(&mut value) {
        report.changed.push(at.clone());
        loose = Cow::Owned(raw(&value));
    }
    // The tool budget is charged last, so that a tool that cannot be strict takes none of it.
    let accepted = strict.then(|| schema::accepted(value, budget)).flatten();
    match accepted.filter(|_| budget.tool()) {
        Some(accepted) => {
            if accepted.changed {
                report.changed.push(at);
            }
            Ok((Cow::Owned(raw(&accepted.schema)), true))
        }
        None => Ok((loose, false)),
    }
}

fn web_search<'a>(
    fields: &mut Object<'a>,
    tools: &mut Vec<Raw<'a>>,
    report: &mut TranslationReport,
) -> Result<(), Error> {
    const AT: &str = "web_search_options";
    let Some(options) = fields.take(AT) else {
        return Ok(());
    };
    // The context size is converted to a number of searches.
    report.changed.push(AT.to_owned());
    let mut options = json::object(&options, &AT)?;
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
    report.drop_members(&options, AT);
    Ok(())
}

/// Anthropic's search tool for a `web_search` or `web_search_preview` tool of Responses.
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
