//! Flat tools and choices -> the hub's. Pure.

use serde_json::value::RawValue;

use crate::codec::json::{self, Object, Raw, fields, raw};
use crate::dialect::hub::{Tool, ToolChoice};
use crate::error::Error;

/// Tools, and the flat form that a response repeats.
type Tools<'a> = (Vec<Tool<'a>>, Vec<Box<RawValue>>);

/// Reads `tools`; gives back also the flat form that a response repeats.
pub(super) fn read_tools<'a>(body: &mut Object<'a>, provider: &str) -> Result<Tools<'a>, Error> {
    let mut tools = Vec::new();
    let mut flat = Vec::new();
    let Some(list) = body.take("tools") else {
        return Ok((tools, flat));
    };
    for (i, entry) in json::array(&list, &"tools")?.iter().enumerate() {
        let at = format!("tools[{i}]");
        let mut tool = json::object(entry, &at)?;
        let kind: String = tool
            .read(&format!("{at}."), "type")?
            .ok_or_else(|| Error::Missing {
                param: format!("{at}.type"),
            })?;
        if kind != "function" {
            return Err(Error::unsupported_value(
                format!("{at}.type"),
                format!(
                    "tool type '{kind}' is not available for provider '{provider}'; supported: function."
                ),
            ));
        }
        let name = tool.take("name").ok_or_else(|| Error::Missing {
            param: format!("{at}.name"),
        })?;
        let name = json::text(&name, &format_args!("{at}.name"))?;
        let description = tool
            .take("description")
            .map(|raw| json::text(&raw, &format_args!("{at}.description")))
            .transpose()?;
        let parameters = tool.take("parameters");
        if let Some(schema) = &parameters
            && !schema.get().starts_with('{')
        {
            return Err(Error::wrong_type(
                format!("{at}.parameters"),
                "a JSON Schema object",
            ));
        }
        // Absent means true to Responses and false to Chat Completions, where few schemas that
        // were not written for it qualify: nothing is said then, and the echo says what was done.
        let strict: Option<bool> = tool.read(&format!("{at}."), "strict")?;
        flat.push(raw(&fields!({
            "type": "function",
            "name": name,
            "description": description,
            "parameters": parameters,
            "strict": strict.unwrap_or(false),
        })));
        tools.push(Tool::Function {
            name,
            description,
            parameters,
            strict,
            other: tool,
        });
    }
    Ok((tools, flat))
}

/// Reads `tool_choice`.
pub(super) fn read_tool_choice<'a>(choice: &Raw<'a>) -> Result<ToolChoice<'a>, Error> {
    if choice.get().starts_with('"') {
        return crate::dialect::openai::read_tool_choice(choice);
    }
    let mut object = json::object(choice, &"tool_choice")
        .map_err(|_| Error::wrong_type("tool_choice", "a string or an object"))?;
    let kind: Option<String> = object.read("tool_choice.", "type")?;
    let missing = |name: &str| Error::Missing {
        param: format!("tool_choice.{name}"),
    };
    match kind.as_deref() {
        Some("function") => {
            let name = object.take("name").ok_or_else(|| missing("name"))?;
            Ok(ToolChoice::Function(json::text(
                &name,
                &"tool_choice.name",
            )?))
        }
        Some("allowed_tools") => {
            let mode: Option<String> = object.read("tool_choice.", "mode")?;
            let tools = object.take("tools").ok_or_else(|| missing("tools"))?;
            let mut names = Vec::new();
            for (i, raw) in json::array(&tools, &"tool_choice.tools")?
                .iter()
                .enumerate()
            {
                let at = format!("tool_choice.tools[{i}].");
                let name: Option<String> = json::object(raw, &at)?.read(&at, "name")?;
                names.push(name.ok_or_else(|| missing(&format!("tools[{i}].name")))?);
            }
            Ok(ToolChoice::Allowed {
                required: mode.as_deref() == Some("required"),
                names,
            })
        }
        Some(other) => Err(Error::unsupported_value(
            "tool_choice.type",
            format!("'{other}' is not available for this provider; use function or allowed_tools."),
        )),
        None => Err(missing("type")),
    }
}
