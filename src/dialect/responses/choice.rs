//! Decodes `tool_choice` into the hub's form, as far as its tools are available. Pure.

use std::borrow::Cow;

use super::tools::{Tools, function_name, is_hosted, text};
use crate::codec::json::{self, Object, Raw};
use crate::dialect::common::report::name_members;
use crate::dialect::common::tool_choice::read_word;
use crate::dialect::hub::ToolChoice;
use crate::error::Error;

/// Decodes `tool_choice`; `tools` are those that the provider is sent. What is left out is added to
/// `dropped`.
pub(super) fn read_tool_choice<'a>(
    choice: &Raw<'a>,
    tools: &Tools<'_>,
    provider: &str,
    dropped: &mut Vec<String>,
) -> Result<Option<ToolChoice<'a>>, Error> {
    let choice = read(choice, tools, provider, dropped)?;
    if !tools.tools.is_empty() {
        return Ok(Some(choice));
    }
    match (choice, &tools.left_out) {
        // Without tools there is nothing to choose, and providers refuse `tool_choice`.
        (
            ToolChoice::Auto
            | ToolChoice::None
            | ToolChoice::Allowed {
                required: false, ..
            },
            _,
        ) => Ok(None),
        (
            ToolChoice::Required
            | ToolChoice::Function(_)
            | ToolChoice::Allowed { required: true, .. },
            Some(kind),
        ) => Err(forced("tool_choice", kind, provider)),
        (choice, None) => Ok(Some(choice)),
    }
}

/// The error for a forced call of a tool that the provider lacks.
fn forced(param: &str, kind: &str, provider: &str) -> Error {
    Error::unsupported_value(
        param,
        format!(
            "a call is asked for, but the tool '{kind}' is not available for provider '{provider}'; use 'auto', or offer a function."
        ),
    )
}

fn read<'a>(
    choice: &Raw<'a>,
    tools: &Tools<'_>,
    provider: &str,
    dropped: &mut Vec<String>,
) -> Result<ToolChoice<'a>, Error> {
    if choice.get().starts_with('"') {
        return read_word(choice);
    }
    let mut object = json::object(choice, &"tool_choice")
        .map_err(|_| Error::wrong_type("tool_choice", "a string or an object"))?;
    let kind: Option<String> = object.read("tool_choice.", "type")?;
    match kind.as_deref() {
        Some("function" | "custom") => {
            let name = text(&mut object, "tool_choice", "name")?;
            let namespace: Option<String> = object.read("tool_choice.", "namespace")?;
            name_members(&object, "tool_choice", dropped);
            Ok(ToolChoice::Function(match namespace {
                Some(namespace) => Cow::Owned(function_name(Some(&namespace), &name)),
                None => name,
            }))
        }
        Some("allowed_tools") => allowed(&mut object, tools, provider, dropped),
        Some(kind) if is_hosted(kind) => Err(forced("tool_choice.type", kind, provider)),
        Some(other) => Err(Error::unsupported_value(
            "tool_choice.type",
            format!(
                "'{other}' is not available for this provider; use function, custom or allowed_tools."
            ),
        )),
        None => Err(Error::Missing {
            param: "tool_choice.type".to_owned(),
        }),
    }
}

fn allowed<'a>(
    object: &mut Object<'a>,
    tools: &Tools<'_>,
    provider: &str,
    dropped: &mut Vec<String>,
) -> Result<ToolChoice<'a>, Error> {
    let mode: Option<String> = object.read("tool_choice.", "mode")?;
    let required = mode.as_deref() == Some("required");
    let list = object.take("tools").ok_or_else(|| Error::Missing {
        param: "tool_choice.tools".to_owned(),
    })?;
    name_members(object, "tool_choice", dropped);
    let mut names = Vec::new();
    let mut lacking = None;
    for (i, raw) in json::array(&list, &"tool_choice.tools")?.iter().enumerate() {
        let at = format!("tool_choice.tools[{i}].");
        let mut tool = json::object(raw, &at)?;
        let kind: Option<String> = tool.read(&at, "type")?;
        if let Some(kind) = kind.filter(|kind| is_hosted(kind)) {
            if tools.searches && kind.starts_with("web_search") {
                names.push("web_search".to_owned());
            } else {
                dropped.push(format!("tool_choice.tools[{i}]"));
                lacking.get_or_insert(kind);
            }
            continue;
        }
        let name: Option<String> = tool.read(&at, "name")?;
        let name = name.ok_or_else(|| Error::Missing {
            param: format!("{at}name"),
        })?;
        let namespace: Option<String> = tool.read(&at, "namespace")?;
        names.push(function_name(namespace.as_deref(), &name));
    }
    match lacking {
        Some(kind) if names.is_empty() && required => Err(forced("tool_choice", &kind, provider)),
        // None of the allowed tools is available.
        Some(_) if names.is_empty() => Ok(ToolChoice::None),
        _ => Ok(ToolChoice::Allowed { required, names }),
    }
}
