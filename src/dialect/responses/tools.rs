//! Decodes flat tools into the hub's, and keeps the client's names for the response. Pure.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::value::RawValue;

use crate::codec::json::{self, Object, Raw, fields, raw};
use crate::dialect::hub::Tool;
use crate::dialect::traits::ProviderDialect;
use crate::error::Error;

/// Longest function name that every provider accepts, in bytes.
const MAX_NAME: usize = 64;

/// Types of tools that OpenAI runs itself or describes to its models. A type may have a suffix
/// after `_`, such as a date.
const HOSTED: [&str; 12] = [
    "apply_patch",
    "code_interpreter",
    "computer",
    "file_search",
    "image_generation",
    "local_shell",
    "mcp",
    "programmatic_tool_calling",
    "shell",
    "tool_search",
    "web_search",
    "x_search",
];

/// Whether this is the type of a tool that needs more than the model.
pub(super) fn is_hosted(kind: &str) -> bool {
    HOSTED.iter().any(|hosted| {
        kind.strip_prefix(hosted)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    })
}

/// Longest name of a namespace, in bytes. It becomes part of the name of each of its tools.
const MAX_NAMESPACE: usize = 256;

/// Fields of a function that matter only together with hosted tools.
const HOSTED_ONLY: [&str; 3] = ["allowed_callers", "defer_loading", "output_schema"];

/// The client's names of tools, by the name of the function that represents each.
#[derive(Debug, Clone, Default)]
pub(super) struct ClientToolNames(HashMap<String, ClientTool>);

/// A tool as the client names it.
#[derive(Debug, Clone, Default)]
pub(super) struct ClientTool {
    pub namespace: Option<String>,
    pub name: String,
    /// Whether it is a custom tool, which takes free text instead of JSON.
    pub custom: bool,
}

impl ClientToolNames {
    /// The client's tool that a function represents; `None` if the function itself is the tool.
    pub(super) fn own(&self, function: &str) -> Option<&ClientTool> {
        self.0.get(function)
    }
}

/// The result of decoding `tools`.
#[derive(Default)]
pub(super) struct Tools<'a> {
    pub tools: Vec<Tool<'a>>,
    /// The client's path of each tool in `tools`.
    pub client_paths: Vec<String>,
    /// The tools as a response repeats them.
    pub flat: Vec<Box<RawValue>>,
    pub names: ClientToolNames,
    /// Paths of tools that were converted.
    pub changed: Vec<String>,
    /// Paths of tools, and of fields of tools, that are left out.
    pub dropped: Vec<String>,
    /// Type of the first tool that is left out.
    pub left_out: Option<String>,
    /// Whether the provider's own web search is among the tools.
    pub searches: bool,
}

impl<'a> Tools<'a> {
    fn offer(&mut self, tool: Tool<'a>, at: &str) {
        self.tools.push(tool);
        self.client_paths.push(at.to_owned());
    }
}

/// The name of the function that represents a tool of a namespace.
pub(super) fn function_name(namespace: Option<&str>, name: &str) -> String {
    let Some(namespace) = namespace else {
        return name.to_owned();
    };
    let whole = format!("{namespace}__{name}");
    if whole.len() <= MAX_NAME {
        return whole;
    }
    // Cut names are told apart by a hash of the whole name.
    let mut hasher = DefaultHasher::new();
    whole.hash(&mut hasher);
    let mut cut = MAX_NAME - 9;
    while !whole.is_char_boundary(cut) {
        cut -= 1;
    }
    let start = whole.get(..cut).unwrap_or_default();
    format!("{start}_{:08x}", hasher.finish() & 0xffff_ffff)
}

/// Decodes `tools` for a provider that speaks `to`.
pub(super) fn read_tools<'a>(
    body: &mut Object<'a>,
    provider: &str,
    to: &dyn ProviderDialect,
) -> Result<Tools<'a>, Error> {
    let mut out = Tools::default();
    let Some(list) = body.take("tools") else {
        return Ok(out);
    };
    let reader = Reader { provider, to };
    let mut seen = HashSet::new();
    for (i, entry) in json::array(&list, &"tools")?.iter().enumerate() {
        let known = out.tools.len();
        reader.tool(entry, &format!("tools[{i}]"), None, &mut out)?;
        // A call could not be assigned to one of two tools with the same name.
        let names = out.tools.iter().skip(known).filter_map(tool_name);
        for name in names {
            if !seen.insert(name.to_owned()) {
                return Err(Error::invalid(
                    format!("tools[{i}].name"),
                    format!("two tools are called '{name}' once their namespaces are written out."),
                ));
            }
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
    to: &'r dyn ProviderDialect,
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
            ("namespace", None) => self.namespace(tool, entry, at, out),
            (kind, None) if kind.starts_with("web_search") => {
                let Some(tool) = self.to.web_search(&tool) else {
                    leave_out(kind, at, out);
                    return Ok(());
                };
                out.flat.push((**entry).to_owned());
                out.changed.push(at.to_owned());
                out.searches = true;
                out.offer(tool, at);
                Ok(())
            }
            (kind, _) if is_hosted(kind) => {
                leave_out(kind, at, out);
                Ok(())
            }
            (kind, _) => Err(self.refused(at, kind)),
        }
    }

    fn namespace<'a>(
        &self,
        mut tool: Object<'a>,
        entry: &Raw<'a>,
        at: &str,
        out: &mut Tools<'a>,
    ) -> Result<(), Error> {
        let name = text(&mut tool, at, "name")?;
        if name.len() > MAX_NAMESPACE {
            return Err(Error::invalid(
                format!("{at}.name"),
                format!("the name of a namespace can have {MAX_NAMESPACE} bytes at most."),
            ));
        }
        let list = tool.take("tools").ok_or_else(|| Error::Missing {
            param: format!("{at}.tools"),
        })?;
        out.flat.push((**entry).to_owned());
        out.changed.push(at.to_owned());
        let echoed = out.flat.len();
        let list = json::array(&list, &format_args!("{at}.tools"))?;
        for (j, entry) in list.iter().enumerate() {
            self.tool(entry, &format!("{at}.tools[{j}]"), Some(&name), out)?;
        }
        // The namespace entry already contains them.
        out.flat.truncate(echoed);
        Ok(())
    }

    fn refused(&self, at: &str, kind: &str) -> Error {
        let provider = self.provider;
        Error::unsupported_value(
            format!("{at}.type"),
            format!(
                "'{kind}' is no type of tool that can be given to provider '{provider}'; use function, custom or namespace."
            ),
        )
    }
}

/// Leaves out a tool that the provider lacks; the model answers without it.
fn leave_out(kind: &str, at: &str, out: &mut Tools<'_>) {
    out.dropped.push(at.to_owned());
    out.left_out.get_or_insert_with(|| kind.to_owned());
}

pub(super) fn text<'a>(tool: &mut Object<'a>, at: &str, name: &str) -> Result<Cow<'a, str>, Error> {
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
    // Absent `strict` means true in Responses and false in Chat Completions. Few schemas that were
    // not written for it qualify, so nothing is sent then, and the response repeats `false`.
    let strict: Option<bool> = tool.read(&format!("{at}."), "strict")?;
    for member in HOSTED_ONLY {
        if let Some(value) = tool.take(member)
            && !matches!(value.get(), "false" | "[]")
        {
            out.dropped.push(format!("{at}.{member}"));
        }
    }
    out.flat.push(raw(&fields!({
        "type": "function",
        "name": name,
        "description": description,
        "parameters": parameters,
        "strict": strict.unwrap_or(false),
    })));
    let name = named(name, namespace, false, &mut out.names);
    let function = Tool::Function {
        name,
        description,
        parameters,
        strict,
        function: tool,
        other: Object::default(),
    };
    out.offer(function, at);
    Ok(())
}

/// Converts a custom tool, which takes free text, to a function with one string.
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
    let function = Tool::Function {
        name,
        description: (!told.is_empty()).then_some(Cow::Owned(told)),
        parameters: Some(Cow::Owned(raw(&parameters))),
        strict: None,
        function: Object::default(),
        other: Object::default(),
    };
    out.offer(function, at);
    Ok(())
}

/// Returns the name of the function that represents a tool, and records the client's name.
fn named<'a>(
    name: Cow<'a, str>,
    namespace: Option<&str>,
    custom: bool,
    names: &mut ClientToolNames,
) -> Cow<'a, str> {
    if namespace.is_none() && !custom {
        return name;
    }
    let function = function_name(namespace, &name);
    let own = ClientTool {
        namespace: namespace.map(str::to_owned),
        name: name.into_owned(),
        custom,
    };
    names.0.insert(function.clone(), own);
    Cow::Owned(function)
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
