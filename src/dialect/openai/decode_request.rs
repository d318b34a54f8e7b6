//! Decodes a Chat Completions request into a hub request. Pure.

use crate::dialect::common::report::name_members;
use crate::dialect::common::tool_choice::read_word;
use std::borrow::Cow;

use crate::codec::json::{self, Object, Raw};
use crate::dialect::hub::{Message, Part, Place, Request, RequestToolCall, Role, Tool, ToolChoice};
use crate::error::Error;

/// Decodes a request. `model` is the provider's name for the model.
///
/// # Errors
/// Names the field that is missing or has the wrong type.
pub fn read_request<'a>(mut body: Object<'a>, model: Cow<'a, str>) -> Result<Request<'a>, Error> {
    body.take("model");
    let messages = body.take("messages").ok_or_else(|| Error::Missing {
        param: "messages".to_owned(),
    })?;
    let messages = json::array(&messages, &"messages")?
        .iter()
        .enumerate()
        .map(|(i, raw)| read_message(raw, Place("messages", i)))
        .collect::<Result<Vec<_>, _>>()?;
    if messages.is_empty() {
        return Err(Error::invalid("messages", "the list is empty."));
    }
    let stream = body.read("", "stream")?.unwrap_or(false);
    let (mut dropped, mut changed) = (Vec::new(), Vec::new());
    let include_usage = match body.take("stream_options") {
        Some(raw) => {
            let mut options = json::object(&raw, &"stream_options")?;
            let usage = options.read("stream_options.", "include_usage")?;
            name_members(&options, "stream_options", &mut dropped);
            usage.unwrap_or(false)
        }
        None => false,
    };
    let mut tools = Vec::new();
    if let Some(raw) = body.take("tools") {
        for (i, raw) in json::array(&raw, &"tools")?.iter().enumerate() {
            tools.push(read_tool(raw, i)?);
        }
    }
    // The older format: `functions` are tools without a wrapper.
    if let Some(raw) = body.take("functions") {
        let list = json::array(&raw, &"functions")?;
        // `function_call` can hold only one call, so parallel calls are turned off.
        if tools.is_empty() && !list.is_empty() {
            let several = body.take("parallel_tool_calls");
            if several.is_some_and(|several| several.get() == "true") {
                changed.push("parallel_tool_calls".to_owned());
            }
            body.push("parallel_tool_calls", Cow::Owned(json::raw(&false)));
        }
        for (i, raw) in list.iter().enumerate() {
            let at = format!("functions[{i}]");
            let function = json::object(raw, &at)?;
            tools.push(read_function(function, Object::default(), &at)?);
        }
    }
    let mut tool_choice = body
        .take("tool_choice")
        .map(|raw| read_tool_choice(&raw, &mut dropped))
        .transpose()?;
    if let Some(raw) = body.take("function_call") {
        tool_choice = Some(read_function_call(&raw, &mut dropped)?);
    }
    Ok(Request {
        model,
        stream,
        include_usage,
        messages,
        tools,
        tool_choice,
        fields: body,
        dropped,
        changed,
    })
}

/// Decodes the message at position `at`.
///
/// # Errors
/// Names the field that is missing or has the wrong type.
pub fn read_message<'a>(raw: &Raw<'a>, at: Place) -> Result<Message<'a>, Error> {
    let mut object = json::object(raw, &at)?;
    let role = object.take("role").ok_or_else(|| Error::Missing {
        param: format!("{at}.role"),
    })?;
    let role = json::text(&role, &format_args!("{at}.role"))?;
    let role = match &*role {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        "function" => Role::Function,
        other => {
            return Err(Error::invalid(
                format!("{at}.role"),
                format!("'{other}' is none of system, developer, user, assistant, tool, function."),
            ));
        }
    };
    let mut message = Message::new(at, role);
    match object.take("content") {
        Some(content) => {
            message.plain = content.get().starts_with('"');
            message.content = read_content(&content, at)?;
        }
        None if matches!(role, Role::Assistant | Role::Function) => {}
        None => {
            return Err(Error::Missing {
                param: format!("{at}.content"),
            });
        }
    }
    let text = |object: &mut Object<'a>, name: &str| {
        object
            .take(name)
            .map(|raw| json::text(&raw, &format_args!("{at}.{name}")))
            .transpose()
    };
    message.name = text(&mut object, "name")?;
    message.tool_call_id = text(&mut object, "tool_call_id")?;
    message.refusal = text(&mut object, "refusal")?;
    message.reasoning = text(&mut object, "reasoning_content")?;
    if role == Role::Tool && message.tool_call_id.is_none() {
        return Err(Error::Missing {
            param: format!("{at}.tool_call_id"),
        });
    }
    if let Some(calls) = object.take("tool_calls") {
        for (i, raw) in json::array(&calls, &format_args!("{at}.tool_calls"))?
            .iter()
            .enumerate()
        {
            message
                .tool_calls
                .push(read_call(raw, &format!("{at}.tool_calls[{i}]"))?);
        }
    }
    if let Some(raw) = object.take("function_call") {
        let at = format!("{at}.function_call");
        let mut function = json::object(&raw, &at)?;
        let mut call = read_called(&mut function, &at)?;
        call.id = Cow::Owned(format!("call_fn_{}", message.at.1));
        call.function = function;
        call.older = true;
        message.tool_calls.push(call);
    }
    message.other = object;
    Ok(message)
}

fn read_content<'a>(raw: &Raw<'a>, at: Place) -> Result<Vec<Part<'a>>, Error> {
    match raw.get().as_bytes().first() {
        Some(b'"') => Ok(vec![Part::text(json::text(
            raw,
            &format_args!("{at}.content"),
        )?)]),
        Some(b'[') => json::array(raw, &format_args!("{at}.content"))?
            .iter()
            .enumerate()
            .map(|(j, raw)| read_part(raw, &format!("{at}.content[{j}]")))
            .collect(),
        _ => Err(Error::wrong_type(
            format!("{at}.content"),
            "a string or an array of parts",
        )),
    }
}

fn read_part<'a>(raw: &Raw<'a>, at: &str) -> Result<Part<'a>, Error> {
    let mut part = json::object(raw, &at)?;
    let kind = part.take("type").ok_or_else(|| Error::Missing {
        param: format!("{at}.type"),
    })?;
    let kind = json::text(&kind, &format_args!("{at}.type"))?;
    let missing = |name: &str| Error::Missing {
        param: format!("{at}.{name}"),
    };
    Ok(match &*kind {
        "text" => {
            let text = part.take("text").ok_or_else(|| missing("text"))?;
            Part::Text {
                text: json::text(&text, &format_args!("{at}.text"))?,
                other: part,
            }
        }
        "refusal" => {
            let text = part.take("refusal").ok_or_else(|| missing("refusal"))?;
            Part::Refusal {
                text: json::text(&text, &format_args!("{at}.refusal"))?,
                other: part,
            }
        }
        "image_url" => {
            let image = part.take("image_url").ok_or_else(|| missing("image_url"))?;
            if image.get().starts_with('"') {
                return Ok(Part::Image {
                    url: json::text(&image, &format_args!("{at}.image_url"))?,
                    detail: None,
                    image: Object::default(),
                    other: part,
                });
            }
            let mut image = json::object(&image, &format_args!("{at}.image_url"))?;
            let url = image.take("url").ok_or_else(|| missing("image_url.url"))?;
            let url = json::text(&url, &format_args!("{at}.image_url.url"))?;
            let detail = image
                .take("detail")
                .map(|raw| json::text(&raw, &format_args!("{at}.image_url.detail")))
                .transpose()?;
            Part::Image {
                url,
                detail,
                image,
                other: part,
            }
        }
        "file" => {
            let file = part.take("file").ok_or_else(|| missing("file"))?;
            Part::File {
                file: json::object(&file, &format_args!("{at}.file"))?,
                other: part,
            }
        }
        _ => Part::Other {
            kind,
            value: raw.clone(),
        },
    })
}

fn read_call<'a>(raw: &Raw<'a>, at: &str) -> Result<RequestToolCall<'a>, Error> {
    let mut object = json::object(raw, &at)?;
    let missing = |name: &str| Error::Missing {
        param: format!("{at}.{name}"),
    };
    let id = object.take("id").ok_or_else(|| missing("id"))?;
    let id = json::text(&id, &format_args!("{at}.id"))?;
    if let Some(kind) = object.take("type") {
        let kind = json::text(&kind, &format_args!("{at}.type"))?;
        if kind != "function" {
            return Err(Error::unsupported_value(
                format!("{at}.type"),
                format!("calls of type '{kind}' cannot be translated for this provider."),
            ));
        }
    }
    let function = object.take("function").ok_or_else(|| missing("function"))?;
    let at = format!("{at}.function");
    let mut function = json::object(&function, &at)?;
    let mut call = read_called(&mut function, &at)?;
    call.id = id;
    call.function = function;
    call.other = object;
    Ok(call)
}

fn read_called<'a>(function: &mut Object<'a>, at: &str) -> Result<RequestToolCall<'a>, Error> {
    let name = function.take("name").ok_or_else(|| Error::Missing {
        param: format!("{at}.name"),
    })?;
    Ok(RequestToolCall {
        at: None,
        id: Cow::Borrowed(""),
        name: json::text(&name, &format_args!("{at}.name"))?,
        arguments: match function.take("arguments") {
            Some(raw) => json::text(&raw, &format_args!("{at}.arguments"))?,
            None => Cow::Borrowed(""),
        },
        function: Object::default(),
        older: false,
        other: Object::default(),
    })
}

fn read_tool<'a>(raw: &Raw<'a>, i: usize) -> Result<Tool<'a>, Error> {
    let at = format!("tools[{i}]");
    let mut tool = json::object(raw, &at)?;
    let kind = tool.take("type").ok_or_else(|| Error::Missing {
        param: format!("{at}.type"),
    })?;
    let kind = json::text(&kind, &format_args!("{at}.type"))?;
    if kind != "function" {
        return Ok(Tool::Other {
            kind,
            value: raw.clone(),
        });
    }
    let at = format!("{at}.function");
    let function = tool
        .take("function")
        .ok_or_else(|| Error::Missing { param: at.clone() })?;
    read_function(json::object(&function, &at)?, tool, &at)
}

fn read_function<'a>(
    mut function: Object<'a>,
    tool: Object<'a>,
    at: &str,
) -> Result<Tool<'a>, Error> {
    let name = function.take("name").ok_or_else(|| Error::Missing {
        param: format!("{at}.name"),
    })?;
    let name = json::text(&name, &format_args!("{at}.name"))?;
    let description = function
        .take("description")
        .map(|raw| json::text(&raw, &format_args!("{at}.description")))
        .transpose()?;
    let parameters = function.take("parameters");
    if let Some(schema) = &parameters
        && !schema.get().starts_with('{')
    {
        return Err(Error::wrong_type(
            format!("{at}.parameters"),
            "a JSON Schema object",
        ));
    }
    let strict = if function.fields.iter().any(|field| field.name == "strict") {
        function.read(&format!("{at}."), "strict")?
    } else {
        None
    };
    Ok(Tool::Function {
        name,
        description,
        parameters,
        strict,
        function,
        other: tool,
    })
}

/// Decodes `tool_choice`; adds fields without meaning to `dropped`.
///
/// # Errors
/// Names the field that is missing, has the wrong type or cannot be translated.
pub fn read_tool_choice<'a>(
    raw: &Raw<'a>,
    dropped: &mut Vec<String>,
) -> Result<ToolChoice<'a>, Error> {
    const AT: &str = "tool_choice";
    if raw.get().starts_with('"') {
        return read_word(raw);
    }
    let mut choice =
        json::object(raw, &AT).map_err(|_| Error::wrong_type(AT, "a string or an object"))?;
    let missing = |name: &str| Error::Missing {
        param: format!("{AT}.{name}"),
    };
    let kind = choice.take("type").ok_or_else(|| missing("type"))?;
    let kind = json::text(&kind, &"tool_choice.type")?;
    match &*kind {
        "function" => {
            let function = choice.take("function").ok_or_else(|| missing("function"))?;
            let mut function = json::object(&function, &"tool_choice.function")?;
            let name = function
                .take("name")
                .ok_or_else(|| missing("function.name"))?;
            name_members(&choice, AT, dropped);
            name_members(&function, "tool_choice.function", dropped);
            Ok(ToolChoice::Function(json::text(
                &name,
                &"tool_choice.function.name",
            )?))
        }
        "allowed_tools" => {
            let allowed = choice
                .take("allowed_tools")
                .ok_or_else(|| missing("allowed_tools"))?;
            let mut allowed = json::object(&allowed, &"tool_choice.allowed_tools")?;
            let mode: Option<String> = allowed.read("tool_choice.allowed_tools.", "mode")?;
            let tools = allowed
                .take("tools")
                .ok_or_else(|| missing("allowed_tools.tools"))?;
            name_members(&choice, AT, dropped);
            name_members(&allowed, "tool_choice.allowed_tools", dropped);
            let mut names = Vec::new();
            for (i, raw) in json::array(&tools, &"tool_choice.allowed_tools.tools")?
                .iter()
                .enumerate()
            {
                let at = format!("tool_choice.allowed_tools.tools[{i}]");
                let mut tool = json::object(raw, &at)?;
                let name = match tool.take("function") {
                    Some(function) => json::object(&function, &at)?.take("name"),
                    None => tool.take("name"),
                };
                let name = name.ok_or_else(|| Error::Missing {
                    param: format!("{at}.function.name"),
                })?;
                names.push(json::text(&name, &at)?.into_owned());
            }
            Ok(ToolChoice::Allowed {
                required: mode.as_deref() == Some("required"),
                names,
            })
        }
        other => Err(Error::unsupported_value(
            "tool_choice.type",
            format!(
                "'{other}' cannot be translated for this provider; use function or allowed_tools."
            ),
        )),
    }
}

fn read_function_call<'a>(
    raw: &Raw<'a>,
    dropped: &mut Vec<String>,
) -> Result<ToolChoice<'a>, Error> {
    if raw.get().starts_with('"') {
        return read_tool_choice(raw, dropped).map_err(|_| {
            Error::invalid("function_call", "it must be 'auto', 'none' or an object.")
        });
    }
    let mut choice = json::object(raw, &"function_call")?;
    let name = choice.take("name").ok_or_else(|| Error::Missing {
        param: "function_call.name".to_owned(),
    })?;
    name_members(&choice, "function_call", dropped);
    Ok(ToolChoice::Function(json::text(
        &name,
        &"function_call.name",
    )?))
}

/// Converts a field name in a report to the older format of a client that sent `functions`.
#[must_use]
pub fn older_name(name: &str) -> String {
    if let Some(rest) = name.strip_prefix("tools") {
        let rest = rest.replacen("].function", "]", 1);
        return format!("functions{rest}");
    }
    if let Some(rest) = name.strip_prefix("tool_choice") {
        return format!("function_call{}", rest.replacen(".function", "", 1));
    }
    // Turning parallel calls off is part of the older format.
    if name == "parallel_tool_calls" {
        return "functions".to_owned();
    }
    name.to_owned()
}
