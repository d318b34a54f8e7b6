//! Flat tools and choices -> the hub's, and the names that go back. Pure.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::value::RawValue;

use crate::codec::json::{self, Object, Raw, fields, raw};
use crate::dialect::Egress;
use crate::dialect::hub::{Tool, ToolChoice};
use crate::error::Error;

/// Longest name of a function that every provider takes.
const MAX_NAME: usize = 64;

/// What a client calls its tools, by the name of the function that stands for each.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(HashMap<String, Own>);

/// A tool in the client's words.
#[derive(Debug, Clone, Default)]
pub(super) struct Own {
    pub namespace: Option<String>,
    pub name: String,
    /// Whether it takes any text, and not JSON.
    pub custom: bool,
}

impl Names {
    /// The client's tool that stands behind a function; `None` where the function is the tool.
    pub(super) fn own(&self, function: &str) -> Option<&Own> {
        self.0.get(function)
    }
}

/// What was read of `tools`.
#[derive(Default)]
pub(super) struct Tools<'a> {
    pub tools: Vec<Tool<'a>>,
    /// As a response repeats them.
    pub flat: Vec<Box<RawValue>>,
    pub names: Names,
    /// Those that are put otherwise.
    pub changed: Vec<String>,
}

/// The function that stands for a tool of a namespace.
pub(super) fn function_name(namespace: Option<&str>, name: &str) -> String {
    let Some(namespace) = namespace else {
        return name.to_owned();
    };
    let whole = format!("{namespace}__{name}");
    if whole.len() <= MAX_NAME {
        return whole;
    }
    // Cut to fit, names are told apart by what the whole says.
    let mut hasher = DefaultHasher::new();
    whole.hash(&mut hasher);
    let mut cut = MAX_NAME - 9;
    while !whole.is_char_boundary(cut) {
        cut -= 1;
    }
    let start = whole.get(..cut).unwrap_or_default();
    format!("{start}_{:08x}", hasher.finish() & 0xffff_ffff)
}

/// Reads `tools` for a provider that speaks `to`.
pub(super) fn read_tools<'a>(
    body: &mut Object<'a>,
    provider: &str,
    to: &dyn Egress,
) -> Result<Tools<'a>, Error> {
    let mut out = Tools::default();
    let Some(list) = body.take("tools") else {
        return Ok(out);
    };
    let reader = Reader { provider, to };
    for (i, entry) in json::array(&list, &"tools")?.iter().enumerate() {
        reader.tool(entry, &format!("tools[{i}]"), None, &mut out)?;
        // A call could not be told to be of one or the other.
        let names: Vec<&str> = out.tools.iter().filter_map(tool_name).collect();
        let mut seen = HashSet::new();
        if let Some(twice) = names.into_iter().find(|name| !seen.insert(*name)) {
            return Err(Error::invalid(
                format!("tools[{i}].name"),
                format!("two tools are called '{twice}' once their namespaces are written out."),
            ));
        }
    }
    Ok(out)
}

fn tool_name<'t>(tool: &'t Tool<'_>) -> Option<&'t str> {
    match tool {
        Tool::Function { name, .. } => Some(name),
        Tool::Other { .. } => None,
    }
}

struct Reader<'r> {
    provider: &'r str,
    to: &'r dyn Egress,
}

impl Reader<'_> {
    fn tool<'a>(
        &self,
        entry: &Raw<'a>,
        at: &str,
        namespace: Option<&str>,
        out: &mut Tools<'a>,
    ) -> Result<(), Error> {
        let mut tool = json::object(entry, &at)?;
        let kind: String = tool
            .read(&format!("{at}."), "type")?
            .ok_or_else(|| Error::Missing {
                param: format!("{at}.type"),
            })?;
        match (kind.as_str(), namespace) {
            ("function", _) => function(tool, at, namespace, out),
            ("custom", _) => custom(tool, entry, at, namespace, out),
            ("namespace", None) => {
                let name = text(&mut tool, at, "name")?;
                let list = tool.take("tools").ok_or_else(|| Error::Missing {
                    param: format!("{at}.tools"),
                })?;
                out.flat.push((**entry).to_owned());
                out.changed.push(at.to_owned());
                let echoed = out.flat.len();
                for (j, entry) in json::array(&list, &format_args!("{at}.tools"))?
                    .iter()
                    .enumerate()
                {
                    self.tool(entry, &format!("{at}.tools[{j}]"), Some(&name), out)?;
                }
                // They are repeated inside their namespace.
                out.flat.truncate(echoed);
                Ok(())
            }
            (kind, None) if kind.starts_with("web_search") => {
                let Some(tool) = self.to.web_search(&tool) else {
                    return Err(self.refused(at, kind));
                };
                out.flat.push((**entry).to_owned());
                out.changed.push(at.to_owned());
                out.tools.push(tool);
                Ok(())
            }
            (kind, _) => Err(self.refused(at, kind)),
        }
    }

    fn refused(&self, at: &str, kind: &str) -> Error {
        let provider = self.provider;
        Error::unsupported_value(
            format!("{at}.type"),
            format!(
                "tool type '{kind}' is not available for provider '{provider}'; supported: function, custom, namespace."
            ),
        )
    }
}

fn text<'a>(tool: &mut Object<'a>, at: &str, name: &str) -> Result<Cow<'a, str>, Error> {
    let param = format!("{at}.{name}");
    let value = tool.take(name).ok_or_else(|| Error::Missing {
        param: param.clone(),
    })?;
    json::text(&value, &param)
}

fn function<'a>(
    mut tool: Object<'a>,
    at: &str,
    namespace: Option<&str>,
    out: &mut Tools<'a>,
) -> Result<(), Error> {
    let name = text(&mut tool, at, "name")?;
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
    // Absent means true to Responses and false to Chat Completions, where few schemas that were
    // not written for it qualify: nothing is said then, and the echo says what was done.
    let strict: Option<bool> = tool.read(&format!("{at}."), "strict")?;
    out.flat.push(raw(&fields!({
        "type": "function",
        "name": name,
        "description": description,
        "parameters": parameters,
        "strict": strict.unwrap_or(false),
    })));
    let name = named(name, namespace, false, &mut out.names);
    out.tools.push(Tool::Function {
        name,
        description,
        parameters,
        strict,
        other: tool,
    });
    Ok(())
}

/// A tool that takes any text becomes a function with one text.
fn custom<'a>(
    mut tool: Object<'a>,
    entry: &Raw<'a>,
    at: &str,
    namespace: Option<&str>,
    out: &mut Tools<'a>,
) -> Result<(), Error> {
    let name = text(&mut tool, at, "name")?;
    let description = tool
        .take("description")
        .map(|raw| json::text(&raw, &format_args!("{at}.description")))
        .transpose()?;
    let mut told = description.map(Cow::into_owned).unwrap_or_default();
    if let Some(format) = tool.take("format") {
        let mut format = json::object(&format, &format_args!("{at}.format"))?;
        let grammar: Option<String> = format.read(&format!("{at}.format."), "definition")?;
        let syntax: Option<String> = format.read(&format!("{at}.format."), "syntax")?;
        if let Some(grammar) = grammar {
            let syntax = syntax.unwrap_or_default();
            if !told.is_empty() {
                told.push_str("\n\n");
            }
            let _ = write!(
                told,
                "The input must follow this {syntax} grammar:\n{grammar}"
            );
        }
    }
    out.flat.push((**entry).to_owned());
    out.changed.push(at.to_owned());
    let name = named(name, namespace, true, &mut out.names);
    let input = fields!({"type": "string", "description": "The input of the tool, as it is."});
    let parameters = fields!({
        "type": "object",
        "properties": fields!({"input": input}),
        "required": ["input"],
        "additionalProperties": false,
    });
    out.tools.push(Tool::Function {
        name,
        description: (!told.is_empty()).then_some(Cow::Owned(told)),
        parameters: Some(Cow::Owned(raw(&parameters))),
        strict: None,
        other: Object::default(),
    });
    Ok(())
}

/// The name of the function that stands for a tool; notes what the client calls it.
fn named<'a>(
    name: Cow<'a, str>,
    namespace: Option<&str>,
    custom: bool,
    names: &mut Names,
) -> Cow<'a, str> {
    if namespace.is_none() && !custom {
        return name;
    }
    let function = function_name(namespace, &name);
    let own = Own {
        namespace: namespace.map(str::to_owned),
        name: name.into_owned(),
        custom,
    };
    names.0.insert(function.clone(), own);
    Cow::Owned(function)
}

/// Reads `tool_choice`.
pub(super) fn read_tool_choice<'a>(choice: &Raw<'a>) -> Result<ToolChoice<'a>, Error> {
    if choice.get().starts_with('"') {
        return crate::dialect::openai::read_tool_choice(choice, &mut Vec::new());
    }
    let mut object = json::object(choice, &"tool_choice")
        .map_err(|_| Error::wrong_type("tool_choice", "a string or an object"))?;
    let kind: Option<String> = object.read("tool_choice.", "type")?;
    let missing = |name: &str| Error::Missing {
        param: format!("tool_choice.{name}"),
    };
    match kind.as_deref() {
        Some("function" | "custom") => {
            let name = text(&mut object, "tool_choice", "name")?;
            let namespace: Option<String> = object.read("tool_choice.", "namespace")?;
            Ok(ToolChoice::Function(match namespace {
                Some(namespace) => Cow::Owned(function_name(Some(&namespace), &name)),
                None => name,
            }))
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
                let mut tool = json::object(raw, &at)?;
                let name: Option<String> = tool.read(&at, "name")?;
                let name = name.ok_or_else(|| missing(&format!("tools[{i}].name")))?;
                let namespace: Option<String> = tool.read(&at, "namespace")?;
                names.push(function_name(namespace.as_deref(), &name));
            }
            Ok(ToolChoice::Allowed {
                required: mode.as_deref() == Some("required"),
                names,
            })
        }
        Some(other) => Err(Error::unsupported_value(
            "tool_choice.type",
            format!(
                "'{other}' is not available for this provider; use function, custom or allowed_tools."
            ),
        )),
        None => Err(missing("type")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_namespaces_fit_and_stay_apart() {
        assert_eq!(function_name(None, "get"), "get");
        assert_eq!(function_name(Some("files"), "get"), "files__get");
        let long = "n".repeat(70);
        let (a, b) = (
            function_name(Some(&long), "a"),
            function_name(Some(&long), "b"),
        );
        assert_eq!((a.len(), b.len()), (64, 64));
        assert_ne!(a, b);
        let tool = "t".repeat(62);
        let (a, b) = (
            function_name(Some("alpha"), &tool),
            function_name(Some("beta"), &tool),
        );
        assert_ne!(a, b);
    }
}
