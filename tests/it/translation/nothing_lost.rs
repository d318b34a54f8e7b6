//! Nothing that a client says is lost in silence: what it said is compared with what its provider
//! got, value by value, and every difference must be named in a header.
//!
//! Both requests are taken apart into leaves. A leaf of the client must stand upstream at a place
//! that means the same (the tables of renames below, one a pair of dialects), else a name must cover
//! it. A leaf upstream that nobody said must be named as well.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use crate::rig::{Gateway, config};
use ai_gateway::scripted::{self, ReceivedRequest, Scripted};
use serde_json::{Value, json};

// ---------------------------------------------------------------- leaves

/// A step into a document.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Member(String),
    Index(usize),
}

/// A value that holds no others, and where it stands.
#[derive(Debug, Clone)]
struct Leaf {
    path: Vec<Step>,
    value: Value,
    /// Who speaks there, where somebody does.
    voice: Option<String>,
    /// The type of the input item it is a part of.
    item: Option<String>,
}

impl Leaf {
    /// The path without its indices.
    fn place(&self) -> String {
        let names: Vec<_> = self
            .path
            .iter()
            .filter_map(|step| match step {
                Step::Member(name) => Some(name.as_str()),
                Step::Index(_) => None,
            })
            .collect();
        names.join(".")
    }

    fn shown(&self) -> String {
        let mut out = String::new();
        for step in &self.path {
            match step {
                Step::Member(name) if out.is_empty() => out.push_str(name),
                Step::Member(name) => write!(out, ".{name}").unwrap(),
                Step::Index(n) => write!(out, "[{n}]").unwrap(),
            }
        }
        out
    }

    /// The same with its value, cut to fit a line.
    fn line(&self) -> String {
        let value: String = self.value.to_string().chars().take(60).collect();
        format!("{} = {value}", self.shown())
    }
}

/// Puts numbers for the ids of calls, in the order in which they come: which result belongs to which
/// call is said by them, and nothing else.
fn number_ids(value: &mut Value, list: &str, ids: &mut Vec<String>) {
    match value {
        Value::Array(all) => all
            .iter_mut()
            .for_each(|value| number_ids(value, list, ids)),
        Value::Object(members) => {
            let used = members.get("type") == Some(&json!("tool_use"));
            for (name, value) in members.iter_mut() {
                let own = name == "id" && (used || list == "tool_calls");
                let id = own || ["tool_call_id", "tool_use_id", "call_id"].contains(&name.as_str());
                if let (true, Value::String(id)) = (id, &mut *value) {
                    let known = ids.iter().position(|known| known == id);
                    let n = known.unwrap_or_else(|| {
                        ids.push(id.clone());
                        ids.len() - 1
                    });
                    *value = json!(format!("call #{n}"));
                    continue;
                }
                number_ids(value, name, ids);
            }
        }
        _ => {}
    }
}

/// Writes what a schema says in one way: definitions in their places, and null as `nullable`.
fn plain_schema(node: &mut Value, definitions: &Value) {
    let own = node.get("$defs").cloned();
    let definitions = own.as_ref().unwrap_or(definitions);
    if let Some(members) = node.as_object_mut() {
        members.remove("$defs");
        let to = members.get("$ref").and_then(Value::as_str);
        let found = to.and_then(|to| definitions.get(to.strip_prefix("#/$defs/")?));
        if let Some(found) = found.cloned() {
            *node = found;
        }
    }
    let branches = node.get("anyOf").and_then(Value::as_array);
    if let Some([one, null]) = branches.map(Vec::as_slice)
        && null["type"] == "null"
    {
        let mut one = one.clone();
        one["nullable"] = json!(true);
        *node = one;
    }
    match node {
        Value::Object(members) => members
            .values_mut()
            .for_each(|value| plain_schema(value, definitions)),
        Value::Array(list) => list
            .iter_mut()
            .for_each(|value| plain_schema(value, definitions)),
        _ => {}
    }
}

fn leaves(document: &Value) -> Vec<Leaf> {
    let mut document = document.clone();
    for name in [
        "tools",
        "functions",
        "response_format",
        "text",
        "output_config",
    ] {
        if let Some(value) = document.get_mut(name) {
            plain_schema(value, &Value::Null);
        }
    }
    number_ids(&mut document, "", &mut Vec::new());
    let mut out = Vec::new();
    take_apart(&document, &mut Vec::new(), (None, None), &mut out);
    // The model has a name of its own at each provider.
    out.retain(|leaf| leaf.place() != "model");
    out
}

fn top_of(path: &[Step]) -> Option<&str> {
    match path.first() {
        Some(Step::Member(name)) => Some(name),
        _ => None,
    }
}

type Context<'c> = (Option<&'c str>, Option<&'c str>);

/// Who speaks in an object, and the type of the item that it is.
fn context<'c>(
    members: &'c serde_json::Map<String, Value>,
    path: &[Step],
    before: Context<'c>,
) -> Context<'c> {
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let kind = text("type").unwrap_or("message");
    let top = match path {
        [Step::Member(name)] | [Step::Member(name), Step::Index(_)] => Some(name.as_str()),
        _ => None,
    };
    let (mut voice, mut item) = before;
    match top {
        Some("messages") => voice = text("role"),
        Some("system") => voice = Some("system"),
        Some("input") => {
            item = Some(kind);
            voice = text("role").or(if kind.ends_with("_output") {
                Some("tool")
            } else {
                Some("assistant")
            });
        }
        _ if kind == "tool_result" => voice = Some("tool"),
        _ => {}
    }
    (voice, item)
}

fn take_apart(value: &Value, path: &mut Vec<Step>, context: Context<'_>, out: &mut Vec<Leaf>) {
    let mut leaf = |path: Vec<Step>, value: Value| {
        out.push(Leaf {
            path,
            value,
            voice: context.0.map(str::to_owned),
            item: context.1.map(str::to_owned),
        });
    };
    match value {
        // What is empty says nothing.
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        Value::Object(members) => {
            let inner = self::context(members, path, context);
            for (name, value) in members {
                // A type beside other members is the shape of what it says, and a role is judged
                // by who is heard to speak.
                // What a choice comes to is its type alone.
                let chosen = members.contains_key("disable_parallel_tool_use");
                let shape = name == "type" && members.len() > 1 && !chosen;
                let spoken = [Some("messages"), Some("input")].contains(&top_of(path));
                if shape || (name == "role" && path.len() == 2 && spoken) {
                    continue;
                }
                path.push(Step::Member(name.clone()));
                take_apart(value, path, inner, out);
                path.pop();
            }
        }
        Value::Array(list) => {
            for (n, value) in list.iter().enumerate() {
                path.push(Step::Index(n));
                take_apart(value, path, context, out);
                path.pop();
            }
        }
        Value::String(text) => {
            let name = match path.last() {
                Some(Step::Member(name)) => name.as_str(),
                _ => "",
            };
            let object = serde_json::from_str::<Value>(text);
            if let ("arguments", Ok(object @ Value::Object(_))) = (name, object) {
                take_apart(&object, path, context, out);
            } else if let Some((kind, data)) = text
                .strip_prefix("data:")
                .and_then(|rest| rest.split_once(";base64,"))
            {
                for (name, value) in [("media_type", kind), ("data", data)] {
                    let mut path = path.clone();
                    path.push(Step::Member(name.to_owned()));
                    leaf(path, json!(value));
                }
            } else {
                let instructions = matches!(top_of(path), Some("instructions" | "system"));
                let input = *path == [Step::Member("input".to_owned())];
                let mut one = Leaf {
                    path: path.clone(),
                    value: value.clone(),
                    voice: context.0.map(str::to_owned),
                    item: context.1.map(str::to_owned),
                };
                if instructions {
                    one.voice = Some("system".to_owned());
                } else if input {
                    one.voice = Some("user".to_owned());
                }
                out.push(one);
            }
        }
        other => leaf(path.clone(), other.clone()),
    }
}

// ---------------------------------------------------------------- tables

/// Places of one dialect -> places of another that mean the same.
type Renames = &'static [(&'static str, &'static str)];

const CHAT_TO_MESSAGES: Renames = &[
    ("messages.content", "system.text"),
    ("messages.content.text", "system.text"),
    ("messages.content.cache_control", "system.cache_control"),
    ("messages.content", "messages.content.text"),
    ("messages.content", "messages.content.content"),
    ("messages.content", "messages.content.content.text"),
    ("messages.content.image_url.url", "messages.content.source"),
    (
        "messages.content.image_url.url",
        "messages.content.source.url",
    ),
    (
        "messages.content.image_url.url",
        "messages.content.content.source",
    ),
    (
        "messages.content.image_url.url",
        "messages.content.content.source.url",
    ),
    ("messages.content.file.file_data", "messages.content.source"),
    (
        "messages.content.file.file_url",
        "messages.content.source.url",
    ),
    ("messages.content.file.filename", "messages.content.title"),
    ("messages.content.refusal", "messages.content.text"),
    ("messages.refusal", "messages.content.text"),
    ("messages.cache_control", "messages.content.cache_control"),
    ("messages.is_error", "messages.content.is_error"),
    ("messages.tool_calls", "messages.content"),
    ("messages.tool_calls.function", "messages.content"),
    (
        "messages.tool_calls.function.arguments",
        "messages.content.input",
    ),
    ("messages.function_call", "messages.content"),
    ("messages.function_call.arguments", "messages.content.input"),
    ("messages.tool_call_id", "messages.content.tool_use_id"),
    // A result in the older shape names its function, and so its call.
    ("messages.name", "messages.content.name"),
    ("messages.reasoning_details", "messages.content"),
    (
        "messages.reasoning_details.text",
        "messages.content.thinking",
    ),
    ("tools.function", "tools"),
    ("tools.function.parameters", "tools.input_schema"),
    ("functions", "tools"),
    ("functions.parameters", "tools.input_schema"),
    ("tool_choice.function.name", "tool_choice.name"),
    ("function_call.name", "tool_choice.name"),
    (
        "tool_choice.allowed_tools.tools.function.name",
        "tools.name",
    ),
    ("max_completion_tokens", "max_tokens"),
    ("stop", "stop_sequences"),
    ("user", "metadata.user_id"),
    ("safety_identifier", "metadata.user_id"),
    (
        "response_format.json_schema.schema",
        "output_config.format.schema",
    ),
    ("reasoning_effort", "output_config.effort"),
    ("reasoning.effort", "output_config.effort"),
    ("reasoning.max_tokens", "thinking.budget_tokens"),
    (
        "web_search_options.user_location.approximate",
        "tools.user_location",
    ),
];

/// Within Chat Completions: what is newer for what is older, and where a marker is looked for.
const CHAT_TO_CHAT: Renames = &[
    ("messages.content", "messages.content.text"),
    // One text in a list of parts, and the text alone.
    ("messages.content.text", "messages.content"),
    ("messages.cache_control", "messages.content.cache_control"),
    ("messages.function_call", "messages.tool_calls.function"),
    ("messages.name", "messages.tool_calls.function.name"),
    ("functions", "tools.function"),
    ("function_call", "tool_choice.function"),
];

const CHAT_TO_RESPONSES: Renames = &[
    ("messages.content", "instructions"),
    ("messages.content.text", "instructions"),
    ("messages.content", "input.content"),
    ("messages.content", "input.content.text"),
    ("messages.content", "input.output"),
    ("messages.content.image_url", "input.content"),
    ("messages.content.image_url", "input.output"),
    ("messages.content.image_url.url", "input.content.image_url"),
    ("messages.content.image_url.url", "input.output.image_url"),
    ("messages.content.file", "input.content"),
    ("messages.refusal", "input.content.refusal"),
    ("messages.tool_calls", "input"),
    ("messages.tool_calls.id", "input.call_id"),
    ("messages.tool_calls.function", "input"),
    ("messages.function_call", "input"),
    ("messages.tool_call_id", "input.call_id"),
    ("messages.name", "input.name"),
    ("messages.reasoning_details.data", "input.encrypted_content"),
    ("messages.reasoning_details.id", "input.id"),
    ("tools.function", "tools"),
    ("functions", "tools"),
    ("tool_choice.function", "tool_choice"),
    ("tool_choice.allowed_tools", "tool_choice"),
    (
        "tool_choice.allowed_tools.tools.function",
        "tool_choice.tools",
    ),
    ("function_call.name", "tool_choice.name"),
    ("max_completion_tokens", "max_output_tokens"),
    ("max_tokens", "max_output_tokens"),
    ("reasoning_effort", "reasoning.effort"),
    ("verbosity", "text.verbosity"),
    ("response_format", "text.format"),
    ("response_format.json_schema", "text.format"),
];

const RESPONSES_TO_CHAT: Renames = &[
    ("instructions", "messages.content"),
    ("input", "messages.content"),
    ("input", "messages"),
    ("input.content.text", "messages.content"),
    ("input.content.refusal", "messages.refusal"),
    ("input.content.image_url", "messages.content.image_url.url"),
    ("input.content.detail", "messages.content.image_url.detail"),
    ("input.output.image_url", "messages.content.image_url.url"),
    ("input.output.detail", "messages.content.image_url.detail"),
    ("input.content", "messages.content.file"),
    ("input.output", "messages.content"),
    ("input.output.text", "messages.content"),
    ("input.call_id", "messages.tool_calls.id"),
    ("input.call_id", "messages.tool_call_id"),
    ("input", "messages.tool_calls.function"),
    ("input.namespace", "messages.tool_calls.function.name"),
    (
        "input.input",
        "messages.tool_calls.function.arguments.input",
    ),
    ("input.summary.text", "messages.reasoning_content"),
    ("input.content.text", "messages.reasoning_content"),
    ("tools", "tools.function"),
    ("tools.tools", "tools.function"),
    ("tools.format.definition", "tools.function.description"),
    ("tools.format.syntax", "tools.function.description"),
    ("tool_choice.name", "tool_choice.function.name"),
    ("tool_choice.mode", "tool_choice.allowed_tools.mode"),
    (
        "tool_choice.tools",
        "tool_choice.allowed_tools.tools.function",
    ),
    ("max_output_tokens", "max_completion_tokens"),
    ("max_output_tokens", "max_tokens"),
    ("reasoning.effort", "reasoning_effort"),
    ("text.verbosity", "verbosity"),
    ("text.format", "response_format"),
    ("text.format", "response_format.json_schema"),
];

/// What one dialect says by one value another says by another: where and what, there and what.
const SAME_MEANING: &[(&str, &str, &str, &str)] = &[
    ("tool_choice", "\"required\"", "tool_choice.type", "\"any\""),
    ("tool_choice", "\"none\"", "tool_choice.type", "\"none\""),
    ("tool_choice", "\"auto\"", "tool_choice.type", "\"auto\""),
    (
        "tool_choice.mode",
        "\"required\"",
        "tool_choice.type",
        "\"any\"",
    ),
    (
        "tool_choice.allowed_tools.mode",
        "\"required\"",
        "tool_choice.type",
        "\"any\"",
    ),
    (
        "messages.content.prompt_cache_breakpoint.mode",
        "\"explicit\"",
        "messages.content.cache_control.type",
        "\"ephemeral\"",
    ),
    (
        "input.content.prompt_cache_breakpoint.mode",
        "\"explicit\"",
        "messages.content.cache_control.type",
        "\"ephemeral\"",
    ),
    (
        "parallel_tool_calls",
        "false",
        "tool_choice.disable_parallel_tool_use",
        "true",
    ),
    (
        "reasoning_effort",
        "\"low\"",
        "thinking.budget_tokens",
        "2048",
    ),
    (
        "reasoning.effort",
        "\"low\"",
        "thinking.budget_tokens",
        "2048",
    ),
    (
        "web_search_options.search_context_size",
        "\"high\"",
        "tools.max_uses",
        "10",
    ),
    (
        "tools.search_context_size",
        "\"high\"",
        "tools.max_uses",
        "10",
    ),
    (
        "tools.filters.allowed_domains",
        "",
        "tools.allowed_domains",
        "",
    ),
    (
        "logprobs",
        "true",
        "include",
        "\"message.output_text.logprobs\"",
    ),
    (
        "include",
        "\"message.output_text.logprobs\"",
        "logprobs",
        "true",
    ),
];

/// What the gateway does itself, and what says nothing to a model.
const DONE_HERE: &[(&str, &str)] = &[
    ("include", "\"reasoning.encrypted_content\""),
    ("reasoning.summary", ""),
    ("reasoning.generate_summary", ""),
    // The name of a schema is needed by some dialects and read by no model.
    ("response_format.json_schema.name", ""),
    ("text.format.name", ""),
    ("input.id", ""),
    ("input.status", ""),
    // Of reasoning, whose it is and which it was: the gateway reads it.
    ("messages.reasoning_details.format", ""),
    ("messages.reasoning_details.index", ""),
    // Where no schema can be asked for loosely, and no tool is bound to its schema unasked.
    ("response_format.json_schema.strict", "true"),
    ("text.format.strict", "true"),
    ("tools.strict", "false"),
];

/// The same, also where the client's own dialect is spoken upstream.
const SAYS_NOTHING: &[(&str, &str)] = &[
    // What is done with an image where nothing is said of it.
    ("input.content.detail", "\"auto\""),
    ("input.output.detail", "\"auto\""),
    // A provider that counts unasked refuses to be asked.
    ("stream_options.include_usage", "true"),
    // Of a call, its place in a list in which it stands there.
    ("messages.tool_calls.index", ""),
    // A model that is held to the schema of a tool writes no members that are not in it.
    ("tools.function.parameters.additionalProperties", "false"),
    (
        "tools.function.parameters.properties.nested.additionalProperties",
        "false",
    ),
    ("tools.parameters.additionalProperties", "false"),
    (
        "tools.parameters.properties.nested.additionalProperties",
        "false",
    ),
];

/// What a dialect needs said, whatever the client said: a place and a value, or any.
const NEEDED: &[(&str, &str)] = &[
    ("tool_choice.type", "\"auto\""),
    ("tool_choice.type", "\"tool\""),
    // Who says `top_logprobs` says this, and who says `functions` can be told of one call at a time.
    ("logprobs", "true"),
    ("parallel_tool_calls", "false"),
    ("tool_choice.disable_parallel_tool_use", "true"),
    ("max_tokens", ""),
    ("thinking.display", "\"summarized\""),
    ("tools.input_schema.type", "\"object\""),
    ("tools.max_uses", "5"),
    ("tools.name", "\"web_search\""),
    ("messages.content.source.media_type", "\"text/plain\""),
    ("reasoning.summary", "\"auto\""),
    ("include", "\"reasoning.encrypted_content\""),
    ("store", "false"),
    ("tools.strict", "false"),
    ("stream_options.include_usage", "true"),
];

/// By what other means the effect of a changed or dropped parameter is sought: its name, the place.
const INSTEAD: &[(&str, &str)] = &[
    ("response_format", "messages.content"),
    ("response_format", "system.text"),
    ("text.format", "messages.content"),
    ("text.format", "system.text"),
    ("reasoning_effort", "thinking"),
    ("reasoning_effort", "output_config.effort"),
    ("reasoning.effort", "thinking"),
    ("reasoning.effort", "output_config.effort"),
    ("messages.prefill", "messages.prefix"),
    ("messages.prefill", "messages.content.text"),
    ("messages.cache_control", "messages.content"),
    ("input.reasoning", "messages.reasoning_content"),
    ("input.reasoning", "messages.tool_calls.extra_content"),
    ("input.output", "messages.content"),
    ("function_call", "tool_choice"),
];

/// How a provider is spoken to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Spoken {
    Chat,
    Messages,
    Responses,
}

fn tables(client: Spoken, provider: Spoken) -> &'static [Renames] {
    match (client, provider) {
        (Spoken::Chat, Spoken::Messages) => &[CHAT_TO_MESSAGES],
        (Spoken::Chat, Spoken::Responses) => &[CHAT_TO_RESPONSES],
        (Spoken::Responses, Spoken::Chat) => &[RESPONSES_TO_CHAT],
        (Spoken::Responses, Spoken::Messages) => &[RESPONSES_TO_CHAT, CHAT_TO_MESSAGES],
        (Spoken::Chat, Spoken::Chat) => &[CHAT_TO_CHAT],
        _ => &[],
    }
}

/// Every place that means the same as one.
fn places(place: &str, tables: &[Renames]) -> Vec<String> {
    let mut out = vec![place.to_owned()];
    for table in tables {
        let mut more = Vec::new();
        for known in &out {
            for (from, to) in *table {
                if let Some(rest) = below(known, from) {
                    more.push(format!("{to}{rest}"));
                }
            }
        }
        out.append(&mut more);
    }
    out
}

/// What follows `start` in a place that is it or stands below it.
fn below<'p>(place: &'p str, start: &str) -> Option<&'p str> {
    let rest = place.strip_prefix(start)?;
    (rest.is_empty() || rest.starts_with('.')).then_some(rest)
}

/// Whether one value says the other: it is it, or it holds its words.
fn says(upstream: &Value, client: &Value) -> bool {
    match (upstream, client) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::String(a), Value::String(b)) => a == b || (b.len() >= 8 && a.contains(b.as_str())),
        (a, b) => a == b,
    }
}

/// Whether two speak with the same voice, in the words of two dialects.
fn same_voice(client: Option<&str>, upstream: Option<&str>, relayed: bool) -> bool {
    let plain = |voice: Option<&str>| match voice {
        Some("developer") if !relayed => Some("system".to_owned()),
        Some("function") if !relayed => Some("tool".to_owned()),
        voice => voice.map(str::to_owned),
    };
    plain(client) == plain(upstream)
}

/// Reads `tools[1].function.strict`.
fn steps(name: &str) -> Vec<Step> {
    let mut out = Vec::new();
    for piece in name.split('.') {
        let mut rest = piece.split('[');
        out.push(Step::Member(rest.next().unwrap_or_default().to_owned()));
        for index in rest {
            match index.trim_end_matches(']').parse() {
                Ok(n) => out.push(Step::Index(n)),
                Err(_) => out.push(Step::Member(format!("[{index}"))),
            }
        }
    }
    out
}

/// Whether a name speaks of a path: it begins it, indices left out or not.
fn covers(name: &str, path: &[Step]) -> bool {
    let mut path = path.iter();
    for step in steps(name) {
        loop {
            match path.next() {
                Some(had) if *had == step => break,
                Some(Step::Index(_)) if matches!(step, Step::Member(_)) => {}
                _ => return false,
            }
        }
    }
    true
}

/// Whether a name speaks of a leaf of the client.
fn names(name: &str, leaf: &Leaf) -> bool {
    if covers(name, &leaf.path) {
        return true;
    }
    // Input items are also named by their type, as in `input.web_search_call`.
    let (Some(item), Some([_, _, rest @ ..])) = (&leaf.item, leaf.path.get(..)) else {
        return false;
    };
    let mut path = steps("input");
    path.push(Step::Member(item.clone()));
    path.extend_from_slice(rest);
    covers(name, &path)
}

// ---------------------------------------------------------------- comparing

/// What was said on both sides, and what was named.
struct Compared {
    client: Vec<Leaf>,
    upstream: Vec<Leaf>,
    tables: &'static [Renames],
    relayed: bool,
    named: Vec<String>,
}

fn in_table(table: &[(&str, &str)], place: &str, value: &Value) -> bool {
    let value = value.to_string();
    table
        .iter()
        .any(|(known, what)| below(place, known).is_some() && (what.is_empty() || *what == value))
}

/// Whether a leaf is a part of what `tools` took the place of.
fn is_older(leaf: &Leaf) -> bool {
    top_of(&leaf.path) == Some("functions")
}

impl Compared {
    fn is_said(&self, upstream: &Leaf, client: &Leaf) -> bool {
        let (there, here) = (upstream.place(), client.place());
        let (written, read) = (upstream.value.to_string(), client.value.to_string());
        let same = SAME_MEANING.iter().any(|(from, said, to, saying)| {
            let values = said.is_empty() && says(&upstream.value, &client.value)
                || *said == read && *saying == written;
            *to == there && *from == here && values
        });
        same || (says(&upstream.value, &client.value)
            && places(&here, self.tables).contains(&there))
    }

    fn is_named(&self, leaf: &Leaf) -> bool {
        self.named.iter().any(|name| names(name, leaf))
    }

    /// The leaves of the client that went nowhere, and those that somebody else is heard to say.
    fn lost(&self) -> Vec<String> {
        let mut out = Vec::new();
        for leaf in &self.client {
            let found: Vec<_> = self
                .upstream
                .iter()
                .filter(|upstream| self.is_said(upstream, leaf))
                .collect();
            if found.is_empty() {
                let here = in_table(SAYS_NOTHING, &leaf.place(), &leaf.value)
                    || (!self.relayed && in_table(DONE_HERE, &leaf.place(), &leaf.value));
                if !here && !self.is_named(leaf) {
                    out.push(format!("lost: {}", leaf.line()));
                }
                continue;
            }
            let heard = |upstream: &&&Leaf| {
                same_voice(
                    leaf.voice.as_deref(),
                    upstream.voice.as_deref(),
                    self.relayed,
                )
            };
            // A result in the older shape is named as its call is, which somebody else made.
            let older = leaf.voice.as_deref() == Some("function");
            if leaf.voice.is_some() && !older && !found.iter().any(|one| heard(&one)) {
                let mut role = leaf.clone();
                role.path.truncate(2);
                role.path.push(Step::Member("role".to_owned()));
                // A result has no role of its own that could be named.
                let item = leaf.item.as_ref();
                let result = item.is_some_and(|item| item.ends_with("_output"));
                if !(self.is_named(&role) || result && self.is_named(leaf)) {
                    let other = found.first().and_then(|found| found.voice.clone());
                    out.push(format!("said by {other:?} now: {}", leaf.line()));
                }
            }
        }
        out
    }

    /// The leaves upstream that nobody said.
    fn invented(&self) -> Vec<String> {
        let mut out = Vec::new();
        for leaf in &self.upstream {
            let place = leaf.place();
            let said = self.client.iter().any(|client| self.is_said(leaf, client));
            let id = leaf.value.as_str().is_some_and(|v| v.starts_with("call #"));
            let translated = !self.relayed || self.client.iter().any(is_older);
            let needed = id || (translated && in_table(NEEDED, &place, &leaf.value));
            // A changed parameter may stand under the provider's own name for it.
            let moved = self
                .client
                .iter()
                .any(|client| self.is_named(client) && says(&leaf.value, &client.value));
            let named = self.named.iter().any(|name| {
                let plain = Leaf {
                    path: steps(name),
                    ..leaf.clone()
                };
                let instead = INSTEAD.iter().filter(|(from, _)| from == name);
                covers(name, &leaf.path)
                    || places(&plain.place(), self.tables)
                        .iter()
                        .any(|known| below(&place, known).is_some())
                    || instead
                        .into_iter()
                        .any(|(_, to)| below(&place, to).is_some())
            });
            if !said && !needed && !moved && !named {
                out.push(format!("invented: {}", leaf.line()));
            }
        }
        out
    }
}

// ---------------------------------------------------------------- asking

/// A gateway before providers of which the last request is kept.
struct Rig {
    gateway: Gateway,
    last: Arc<Mutex<Option<ReceivedRequest>>>,
    _server: Scripted,
}

/// What became of a request.
enum Outcome {
    /// It went out so, to this path, with these names.
    Sent {
        body: Value,
        path: String,
        dropped: Vec<String>,
        changed: Vec<String>,
        /// Whether a header had no room for all of them.
        cut: bool,
    },
    /// It was refused for this parameter.
    Refused {
        param: String,
        code: String,
        message: String,
    },
}

fn rig() -> Rig {
    let last = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&last);
    let server = Scripted::start(move |request| {
        *kept.lock().unwrap() = Some(request.clone());
        scripted::answer(request)
    })
    .unwrap();
    let gateway = Gateway::start(config(&server));
    Rig {
        gateway,
        last,
        _server: server,
    }
}

impl Rig {
    async fn ask(&self, client: Spoken, body: &Value, strict: bool) -> Outcome {
        let path = match client {
            Spoken::Chat => "/v1/chat/completions",
            _ => "/v1/responses",
        };
        *self.last.lock().unwrap() = None;
        let strict = [("x-gateway-strict", if strict { "true" } else { "false" })];
        let answer = self
            .gateway
            .send(path, Some("caller-key"), &strict, body.to_string())
            .await;
        let sent = self.last.lock().unwrap().take();
        let Some(sent) = sent else {
            let (status, param, code) = answer.refusal();
            assert_eq!(status, 400, "{}", answer.text());
            let message = answer.error()["message"].as_str().unwrap().to_owned();
            return Outcome::Refused {
                param,
                code,
                message,
            };
        };
        assert_eq!(answer.status, 200, "{}", answer.text());
        let list = |name: &str| {
            let names = answer.header(name).unwrap_or_default();
            let names = names.split(',').filter(|name| !name.is_empty());
            names.map(str::to_owned).collect::<Vec<_>>()
        };
        let is_cut = |name: &String| name.starts_with("and-") && name.ends_with("-more");
        Outcome::Sent {
            body: sent.json(),
            path: sent.path.clone(),
            cut: [DROPPED, CHANGED]
                .iter()
                .any(|name| list(name).iter().any(is_cut)),
            dropped: list(DROPPED),
            changed: list(CHANGED),
        }
    }

    /// All the names that a request gives, also those for which a header has no room: a strict
    /// refusal tells them.
    async fn all_names(&self, client: Spoken, body: &Value) -> Vec<String> {
        match self.ask(client, body, true).await {
            Outcome::Refused { param, message, .. } => {
                let others = message
                    .split("The same holds for ")
                    .nth(1)
                    .unwrap_or_default();
                let others = others
                    .trim_end_matches('.')
                    .split(", ")
                    .filter(|one| !one.is_empty());
                std::iter::once(param)
                    .chain(others.map(str::to_owned))
                    .collect()
            }
            Outcome::Sent { .. } => Vec::new(),
        }
    }
}

const DROPPED: &str = "x-gateway-dropped-params";
const CHANGED: &str = "x-gateway-changed-params";

/// Every provider, and further models where the model decides what is done.
const MODELS: [&str; 22] = [
    "openai/gpt-4o",
    "openai/gpt-5.6",
    "anthropic/claude-opus-5-5",
    "anthropic/claude-sonnet-4-5",
    "anthropic/claude-opus-4-6",
    "gemini/gemini-2.5-pro",
    "gemini/gemini-3-pro",
    "kimi/kimi-k2",
    "openrouter/meta/llama",
    "vercel/meta/llama",
    "groq/llama",
    "deepseek/deepseek-chat",
    "deepseek/deepseek-reasoner",
    "xai/grok-4.3",
    "xai/grok-3",
    "mistral/mistral-large-latest",
    "cohere/command-a",
    "azure/some-deployment",
    "azure/gpt-5.4",
    "bedrock/openai.gpt-oss-120b-1:0",
    "bedrock/global.xai.grok-4",
    "vertex/gemini-3-pro",
];

/// A member that a client may say, and what it takes to say it: where, and what stands there then. A
/// pointer that ends in `-` adds to a list; one that begins with `!` takes out.
struct Member {
    name: &'static str,
    parts: Vec<(&'static str, Value)>,
}

fn member(name: &'static str, parts: Vec<(&'static str, Value)>) -> Member {
    Member { name, parts }
}

/// A member whose name is the pointer to it.
fn at(pointer: &'static str, value: Value) -> Member {
    member(pointer, vec![(pointer, value)])
}

fn put(document: &mut Value, pointer: &str, new: Value) {
    if let Some(gone) = pointer.strip_prefix("!/") {
        document.as_object_mut().unwrap().remove(gone);
        return;
    }
    let mut here = document;
    for name in pointer.trim_start_matches('/').split('/') {
        here = if name == "-" {
            if here.is_null() {
                *here = json!([]);
            }
            let list = here.as_array_mut().unwrap();
            list.push(Value::Null);
            list.last_mut().unwrap()
        } else if let Ok(n) = name.parse::<usize>() {
            &mut here[n]
        } else {
            &mut here[name]
        };
    }
    *here = new;
}

fn said(base: &Value, members: &[&Member]) -> Value {
    let mut out = base.clone();
    for (pointer, value) in members.iter().flat_map(|member| &member.parts) {
        put(&mut out, pointer, value.clone());
    }
    out
}

/// What one request shows to be wrong, and whether it went out at all.
async fn compare(
    rig: &Rig,
    client: Spoken,
    body: &Value,
    wrong: fn(&Compared) -> Vec<String>,
) -> Result<Vec<String>, (String, String)> {
    match rig.ask(client, body, false).await {
        Outcome::Refused { param, message, .. } => Err((param, message)),
        Outcome::Sent {
            body: sent,
            path,
            dropped,
            changed,
            cut,
        } => {
            let provider = match &path {
                path if path.ends_with("/messages") => Spoken::Messages,
                path if path.ends_with("/responses") => Spoken::Responses,
                _ => Spoken::Chat,
            };
            let named = if cut {
                rig.all_names(client, body).await
            } else {
                [dropped, changed].concat()
            };
            Ok(wrong(&Compared {
                client: leaves(body),
                upstream: leaves(&sent),
                tables: tables(client, provider),
                relayed: client == provider,
                named,
            }))
        }
    }
}

/// The differences of each member said alone.
async fn alone(
    client: Spoken,
    base: &Value,
    members: &[Member],
    wrong: fn(&Compared) -> Vec<String>,
) -> Vec<String> {
    let rig = rig();
    let mut out = Vec::new();
    for model in MODELS {
        let mut base = base.clone();
        base["model"] = json!(model);
        let plain = match compare(&rig, client, &base, wrong).await {
            Ok(plain) => plain,
            Err(refused) => vec![format!("the plain request is refused: {refused:?}")],
        };
        out.extend(plain.iter().map(|one| format!("{model} in all: {one}")));
        for member in members {
            let body = said(&base, &[member]);
            match compare(&rig, client, &body, wrong).await {
                Ok(found) => {
                    let new = found.iter().filter(|one| !plain.contains(one));
                    out.extend(new.map(|one| format!("{model} with {}: {one}", member.name)));
                }
                Err((param, message)) => {
                    let own = leaves(&body).into_iter().filter(|leaf| {
                        !leaves(&base)
                            .iter()
                            .any(|had| had.path == leaf.path && had.value == leaf.value)
                    });
                    let mut own = own.collect::<Vec<_>>().into_iter();
                    let whole = steps(&param);
                    // The refusal names it, something in it, or what it lacks.
                    let told = own.any(|leaf| {
                        names(&param, &leaf)
                            || whole.starts_with(&leaf.path[..leaf.path.len().min(2)])
                    });
                    if !told {
                        let name = member.name;
                        out.push(format!(
                            "{model} with {name}: refused for {param}: {message}"
                        ));
                    }
                }
            }
        }
    }
    out
}

/// The differences of a request with every member that the provider is not known to refuse.
async fn together(
    client: Spoken,
    base: &Value,
    members: &[Member],
    wrong: fn(&Compared) -> Vec<String>,
) -> Vec<String> {
    let rig = rig();
    let mut out = Vec::new();
    for model in MODELS {
        let mut base = base.clone();
        base["model"] = json!(model);
        // Those that put another shape in the place of all others are said alone only.
        let shape = |pointer: &str| pointer == "/input" || pointer.starts_with('!');
        let mut groups: Vec<Vec<&Member>> = vec![
            members
                .iter()
                .filter(|member| !member.parts.iter().any(|(pointer, _)| shape(pointer)))
                .collect(),
        ];
        // What is refused, and what excludes another, is found by halves.
        let mut taken: Vec<&Member> = Vec::new();
        while let Some(mut group) = groups.pop() {
            let with = [taken.as_slice(), group.as_slice()].concat();
            match rig.ask(client, &said(&base, &with), false).await {
                Outcome::Sent { .. } => taken = with,
                Outcome::Refused { .. } if group.len() > 1 => {
                    let second = group.split_off(group.len() / 2);
                    groups.push(second);
                    groups.push(group);
                }
                Outcome::Refused { .. } => {}
            }
        }
        assert!(
            taken.len() * 2 > members.len(),
            "{model}: too few are taken"
        );
        let body = said(&base, &taken);
        let found = compare(&rig, client, &body, wrong).await.unwrap();
        out.extend(found.iter().map(|one| format!("{model} in all: {one}")));
    }
    out
}

/// Fails with the differences, each once with the models that show it.
fn settle(wrong: &[String]) {
    let mut by_difference: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for one in wrong {
        let (model, what) = one.split_once(' ').unwrap();
        let models = by_difference.entry(what).or_default();
        if !models.contains(&model) {
            models.push(model);
        }
    }
    let lines: Vec<_> = by_difference
        .iter()
        .map(|(what, models)| format!("{what}\n    for {}", models.join(" ")))
        .collect();
    assert!(
        lines.is_empty(),
        "{} differences that nothing names:\n{}",
        lines.len(),
        lines.join("\n")
    );
}

// ---------------------------------------------------------------- what a client may say

const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const PDF: &str = "data:application/pdf;base64,JVBERi0xLjQKJcfsj6IK";

fn schema() -> Value {
    json!({"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"],
        "additionalProperties": false})
}

fn rich_schema() -> Value {
    json!({
        "type": "object", "title": "title-of-schema", "description": "Description of the schema.",
        "$defs": {"kind": {"type": "string", "enum": ["kind-one", "kind-two"]}},
        "properties": {
            "place": {"type": "string", "minLength": 3, "pattern": "^[A-Z].*place$", "default": "default-place"},
            "kind": {"$ref": "#/$defs/kind"},
            "count": {"type": "integer", "minimum": 4, "maximum": 44, "description": "Count of the things."},
            "list": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 22},
            "either": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
            "nested": {"type": "object", "properties": {"inner": {"type": "boolean"}},
                "required": ["inner"], "additionalProperties": false},
        },
        "required": ["place", "kind", "count", "list", "either", "nested"],
        "additionalProperties": false, "x-vendor": "keyword-of-vendor",
    })
}

fn chat_base() -> Value {
    json!({
        "messages": [
            {"role": "system", "content": "Instruction said first."},
            {"role": "user", "content": [{"type": "text", "text": "Question said in parts."}]},
            {"role": "assistant", "content": "Answer said earlier."},
            {"role": "user", "content": "Question said next."},
            {"role": "assistant", "content": "Thought said before the call.", "tool_calls": [
                {"id": "call_base1", "type": "function", "function": {"name": "weather_of", "arguments": "{\"place\":\"Rome-of-call\"}"}}]},
            {"role": "tool", "tool_call_id": "call_base1", "content": "Result said by the tool."},
            {"role": "user", "content": "Question said at last."},
        ],
        "tools": [{"type": "function", "function": {"name": "weather_of", "parameters": schema()}}],
    })
}

fn chat_parameters() -> Vec<Member> {
    vec![
        at("/temperature", json!(0.31)),
        at("/top_p", json!(0.41)),
        at("/top_k", json!(17)),
        at("/frequency_penalty", json!(0.51)),
        at("/presence_penalty", json!(0.61)),
        at("/n", json!(2)),
        at("/seed", json!(70_707)),
        at("/stop", json!(["stop-sequence-one", "stop-sequence-two"])),
        at("/max_tokens", json!(1111)),
        at("/max_completion_tokens", json!(2222)),
        at("/logit_bias", json!({"50256": -7})),
        at("/logprobs", json!(true)),
        member(
            "top_logprobs",
            vec![("/logprobs", json!(true)), ("/top_logprobs", json!(3))],
        ),
        at("/user", json!("user-of-client")),
        at("/safety_identifier", json!("safety-of-client")),
        at("/metadata", json!({"trace": "trace-of-client"})),
        at("/store", json!(true)),
        at("/service_tier", json!("flex")),
        at("/reasoning_effort", json!("low")),
        at("/verbosity", json!("low")),
        member(
            "audio",
            vec![
                ("/modalities", json!(["text", "audio"])),
                (
                    "/audio",
                    json!({"voice": "voice-of-answer", "format": "mp3"}),
                ),
            ],
        ),
        at(
            "/prediction",
            json!({"type": "content", "content": "Predicted text of answer."}),
        ),
        at("/parallel_tool_calls", json!(false)),
        at("/prompt_cache_key", json!("cache-key-of-client")),
        at("/prompt_cache_retention", json!("24h")),
        at(
            "/prompt_cache_options",
            json!({"mode": "explicit", "ttl": "30m"}),
        ),
        at("/moderation", json!({"model": "omni-moderation-latest"})),
        at(
            "/web_search_options",
            json!({"search_context_size": "high", "vendor_search": "unknown-of-search",
                "user_location": {"type": "approximate", "vendor_location": "unknown-of-location",
                    "approximate": {"city": "City-of-client", "country": "IT", "region": "Region-of-client", "timezone": "Europe/Rome"}}}),
        ),
        member(
            "stream",
            vec![
                ("/stream", json!(true)),
                ("/stream_options", json!({"include_usage": true})),
            ],
        ),
        member(
            "stream_options",
            vec![
                ("/stream", json!(true)),
                (
                    "/stream_options",
                    json!({"include_obfuscation": true, "vendor_stream": "unknown-of-stream"}),
                ),
            ],
        ),
        at("/response_format", json!({"type": "json_object"})),
        at(
            "/response_format",
            json!({"type": "json_schema", "vendor_format": "unknown-of-format", "json_schema":
                {"name": "name_of_schema", "description": "Description of the format.", "strict": true,
                    "schema": rich_schema(), "vendor_schema": "unknown-of-json-schema"}}),
        ),
        member(
            "an open schema of the answer",
            vec![(
                "/response_format",
                json!({"type": "json_schema", "json_schema": {"name": "open", "schema":
                {"type": "object", "properties": {"inner_member": {"type": "string"}}}}}),
            )],
        ),
        at(
            "/tool_choice",
            json!({"type": "allowed_tools", "vendor_outer": "unknown-of-outer", "allowed_tools": {"mode": "required",
                "vendor_allowed": "unknown-of-allowed", "tools": [{"type": "function", "function": {"name": "weather_of"}}]}}),
        ),
        at("/tool_choice", json!("required")),
        at("/tool_choice", json!("none")),
        at(
            "/tool_choice",
            json!({"type": "function", "function": {"name": "weather_of", "vendor_choice": "unknown-of-choice"}}),
        ),
        member(
            "functions",
            vec![
                ("!/tools", Value::Null),
                (
                    "/functions",
                    json!([{"name": "weather_of", "description": "Description of function.", "parameters": schema(), "vendor_function": "unknown-of-functions"}]),
                ),
                (
                    "/function_call",
                    json!({"name": "weather_of", "vendor_call": "unknown-of-function-call"}),
                ),
            ],
        ),
        at(
            "/thinking",
            json!({"type": "enabled", "budget_tokens": 1234}),
        ),
        at(
            "/reasoning",
            json!({"effort": "low", "vendor_reasoning": "unknown-of-reasoning"}),
        ),
        at("/vendor_top", json!({"deep": [{"er": "unknown-at-top"}]})),
    ]
}

fn chat_messages() -> Vec<Member> {
    let call = |more: Value| {
        let mut call = json!({"id": "call_more2", "type": "function", "function":
            {"name": "weather_of", "arguments": "{\"place\":\"Oslo-of-call\"}"}});
        for (name, value) in more.as_object().unwrap() {
            call[name] = value.clone();
        }
        json!({"role": "assistant", "content": "Words before a second call.", "tool_calls": [call]})
    };
    let result = |more: Value| {
        let mut result = json!({"role": "tool", "tool_call_id": "call_more2", "content": "Result of the second call."});
        for (name, value) in more.as_object().unwrap() {
            result[name] = value.clone();
        }
        result
    };
    let next = || {
        (
            "/messages/-",
            json!({"role": "user", "content": "Question after the call."}),
        )
    };
    let called = |name: &'static str, with: Value, then: Value| {
        member(
            name,
            vec![
                ("/messages/-", call(with)),
                ("/messages/-", result(then)),
                next(),
            ],
        )
    };
    let spoken =
        |name: &'static str, message: Value| member(name, vec![("/messages/-", message), next()]);
    vec![
        at("/messages/0/name", json!("name-of-system")),
        at("/messages/1/name", json!("name-of-user")),
        at("/messages/2/name", json!("name-of-assistant")),
        at("/messages/0/vendor_system", json!("unknown-of-system")),
        at("/messages/1/vendor_user", json!("unknown-of-user")),
        at(
            "/messages/2/vendor_assistant",
            json!("unknown-of-assistant"),
        ),
        at("/messages/5/vendor_tool", json!("unknown-of-tool-message")),
        at(
            "/messages/0/cache_control",
            json!({"type": "ephemeral", "ttl": "1h"}),
        ),
        at(
            "/messages/1/cache_control",
            json!({"type": "ephemeral", "ttl": "1h"}),
        ),
        at(
            "/messages/5/cache_control",
            json!({"type": "ephemeral", "ttl": "1h"}),
        ),
        at("/messages/5/name", json!("name-of-tool")),
        at("/messages/5/is_error", json!(true)),
        at("/messages/2/refusal", json!("Refusal of an assistant.")),
        at(
            "/messages/2/reasoning_content",
            json!("Reasoning of an assistant."),
        ),
        at(
            "/messages/4/reasoning_content",
            json!("Reasoning before the call."),
        ),
        at("/messages/2/audio", json!({"id": "audio-of-answer"})),
        at(
            "/messages/2/annotations",
            json!([{"type": "url_citation", "url_citation": {"url": "https://example.com/cited", "title": "Title of citation", "start_index": 1, "end_index": 2}}]),
        ),
        at(
            "/messages/4/reasoning_details",
            json!([{"type": "reasoning.text", "text": "Signed reasoning text.", "signature": "signature-of-it", "format": "anthropic-claude-v1", "index": 0}]),
        ),
        at(
            "/messages/2/reasoning_details",
            json!([{"type": "reasoning.encrypted", "data": "sealed-reasoning-data", "id": "rs_of_detail", "format": "openai-responses-v1", "index": 0}]),
        ),
        at(
            "/messages/2/provider_specific_fields",
            json!({"vendor": {"field": "unknown-of-provider-fields"}}),
        ),
        at(
            "/messages/1/content/0/vendor_part",
            json!("unknown-of-text-part"),
        ),
        at(
            "/messages/1/content/0/cache_control",
            json!({"type": "ephemeral", "ttl": "1h"}),
        ),
        at(
            "/messages/1/content/0/prompt_cache_breakpoint",
            json!({"mode": "explicit"}),
        ),
        at(
            "/messages/1/content/-",
            json!({"type": "image_url", "vendor_image_part": "unknown-of-image-part",
                "image_url": {"url": "https://example.com/image-of-user.png", "detail": "high", "vendor_image": "unknown-of-image"}}),
        ),
        member(
            "an image in the request",
            vec![(
                "/messages/1/content/-",
                json!({"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}}),
            )],
        ),
        at(
            "/messages/1/content/-",
            json!({"type": "input_audio", "input_audio": {"data": "YXVkaW8tb2YtdXNlcg==", "format": "wav"}}),
        ),
        at(
            "/messages/1/content/-",
            json!({"type": "file", "vendor_file_part": "unknown-of-file-part", "file": {"file_data": PDF, "filename": "file-of-user.pdf", "vendor_file": "unknown-of-file"}}),
        ),
        member(
            "a file by its id",
            vec![(
                "/messages/1/content/-",
                json!({"type": "file", "file": {"file_id": "file-id-of-user"}}),
            )],
        ),
        member(
            "a file by its address",
            vec![(
                "/messages/1/content/-",
                json!({"type": "file", "file": {"file_url": "https://example.com/file-of-user.pdf"}}),
            )],
        ),
        member(
            "a part of a vendor",
            vec![(
                "/messages/1/content/-",
                json!({"type": "vendor_kind", "vendor_body": "unknown-kind-of-part"}),
            )],
        ),
        spoken(
            "a refusal part",
            json!({"role": "assistant", "content": [
            {"type": "text", "text": "Text beside the refusal."}, {"type": "refusal", "refusal": "Refusal in a part.", "vendor_refusal": "unknown-of-refusal"}]}),
        ),
        spoken(
            "a refusal alone",
            json!({"role": "assistant", "content": null, "refusal": "Refusal without any text."}),
        ),
        spoken(
            "a developer",
            json!({"role": "developer", "content": "Developer said this late."}),
        ),
        spoken(
            "a late system message",
            json!({"role": "system", "content": [{"type": "text", "text": "System said this late.", "vendor_late": "unknown-of-late"}]}),
        ),
        member(
            "a result in the older shape",
            vec![
                (
                    "/messages/-",
                    json!({"role": "assistant", "content": null, "function_call": {"name": "weather_of", "arguments": "{\"place\":\"Bonn-of-call\"}", "vendor_called": "unknown-of-called"}}),
                ),
                (
                    "/messages/-",
                    json!({"role": "function", "name": "weather_of", "content": "Result in the older shape.", "vendor_result": "unknown-of-older-result"}),
                ),
                next(),
            ],
        ),
        called(
            "members of a call",
            json!({"vendor_call": "unknown-of-call"}),
            json!({}),
        ),
        called("a position of a call", json!({"index": 7}), json!({})),
        called(
            "members of the function of a call",
            json!({"function": {"name": "weather_of", "arguments": "{\"place\":\"Oslo-of-call\"}", "vendor_function": "unknown-of-called-function"}}),
            json!({}),
        ),
        called(
            "what came with a call",
            json!({"extra_content": {"google": {"thought_signature": "signature-of-call"}}}),
            json!({}),
        ),
        called(
            "a long id of a call",
            json!({"id": "call_with_an_id_that_is_longer_than_forty_characters_are"}),
            json!({"tool_call_id": "call_with_an_id_that_is_longer_than_forty_characters_are"}),
        ),
        called(
            "a call of a custom tool",
            json!({"type": "custom", "custom": {"name": "free_text", "input": "Free text of a call."}}),
            json!({}),
        ),
        called(
            "arguments that are no object",
            json!({"function": {"name": "weather_of", "arguments": "[\"argument-in-a-list\"]"}}),
            json!({}),
        ),
        called(
            "arguments that were cut",
            json!({"function": {"name": "weather_of", "arguments": "{\"place\":\"cut-off-argum"}}),
            json!({}),
        ),
        called(
            "a result in parts",
            json!({}),
            json!({"content": [
            {"type": "text", "text": "Result part the first.", "vendor_result": "unknown-of-result-part"}, {"type": "text", "text": "Result part the second."}]}),
        ),
        called(
            "an image as a result",
            json!({}),
            json!({"content": [{"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}}]}),
        ),
        member(
            "the words to go on from",
            vec![(
                "/messages/-",
                json!({"role": "assistant", "content": "Words to go on from."}),
            )],
        ),
    ]
}

fn chat_tools() -> Vec<Member> {
    vec![
        at(
            "/tools/0/function/description",
            json!("Description of the tool."),
        ),
        at("/tools/0/function/strict", json!(true)),
        at(
            "/tools/0/function/vendor_function",
            json!("unknown-of-function"),
        ),
        at("/tools/0/vendor_tool", json!("unknown-of-tool")),
        at(
            "/tools/0/cache_control",
            json!({"type": "ephemeral", "ttl": "1h"}),
        ),
        at(
            "/tools/-",
            json!({"type": "function", "function": {"name": "rich_tool", "parameters": rich_schema()}}),
        ),
        member(
            "a strict tool with an open schema",
            vec![(
                "/tools/-",
                json!({"type": "function", "function": {"name": "open_tool", "strict": true,
            "parameters": {"type": "object", "properties": {"inner_member": {"type": "string"}}}}}),
            )],
        ),
        member(
            "a strict tool with much in its schema",
            vec![(
                "/tools/-",
                json!({"type": "function", "function": {"name": "rich_strict", "strict": true, "parameters": rich_schema()}}),
            )],
        ),
        member(
            "a tool without parameters",
            vec![(
                "/tools/-",
                json!({"type": "function", "function": {"name": "no_parameters"}}),
            )],
        ),
        member(
            "a custom tool",
            vec![(
                "/tools/-",
                json!({"type": "custom", "custom": {"name": "free_text", "description": "Description of custom tool.",
            "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: WORD-of-grammar"}}}}),
            )],
        ),
        member(
            "a hosted tool",
            vec![(
                "/tools/-",
                json!({"type": "code_execution_of_vendor", "vendor_hosted": "unknown-of-hosted"}),
            )],
        ),
    ]
}

fn chat_members() -> Vec<Member> {
    let mut all = chat_parameters();
    all.extend(chat_tools());
    all.extend(chat_messages());
    all
}

fn responses_base() -> Value {
    json!({
        "instructions": "Instruction said first.",
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Question said in parts."}]},
            {"type": "message", "id": "msg_base", "role": "assistant", "status": "completed", "content": [
                {"type": "output_text", "text": "Answer said earlier.", "annotations": [], "logprobs": []}]},
            {"role": "user", "content": "Question said next."},
            {"type": "function_call", "id": "fc_base", "call_id": "call_base1", "name": "weather_of", "arguments": "{\"place\":\"Rome-of-call\"}", "status": "completed"},
            {"type": "function_call_output", "call_id": "call_base1", "output": "Result said by the tool."},
            {"role": "user", "content": "Question said at last."},
        ],
        "tools": [{"type": "function", "name": "weather_of", "parameters": schema(), "strict": false}],
    })
}

fn responses_parameters() -> Vec<Member> {
    vec![
        at("/temperature", json!(0.31)),
        at("/top_p", json!(0.41)),
        at("/max_output_tokens", json!(2222)),
        at("/max_tool_calls", json!(33)),
        at("/top_logprobs", json!(3)),
        at("/user", json!("user-of-client")),
        at("/safety_identifier", json!("safety-of-client")),
        at("/metadata", json!({"trace": "trace-of-client"})),
        at("/store", json!(true)),
        at("/service_tier", json!("flex")),
        at("/truncation", json!("auto")),
        at("/background", json!(true)),
        at("/parallel_tool_calls", json!(false)),
        at("/previous_response_id", json!("resp_of_client")),
        at("/conversation", json!("conv_of_client")),
        at(
            "/prompt",
            json!({"id": "pmpt_of_client", "version": "7", "variables": {"v": "variable-of-prompt"}}),
        ),
        at("/prompt_cache_key", json!("cache-key-of-client")),
        at("/prompt_cache_retention", json!("24h")),
        at(
            "/prompt_cache_options",
            json!({"mode": "explicit", "ttl": "30m"}),
        ),
        at("/moderation", json!({"model": "omni-moderation-latest"})),
        at(
            "/context_management",
            json!([{"type": "compaction", "compact_threshold": 4242}]),
        ),
        at("/include", json!(["message.output_text.logprobs"])),
        member(
            "include of sources",
            vec![(
                "/include",
                json!([
                    "web_search_call.action.sources",
                    "file_search_call.results",
                    "computer_call_output.output.image_url",
                    "code_interpreter_call.outputs",
                    "message.input_image.image_url",
                    "reasoning.encrypted_content"
                ]),
            )],
        ),
        member("stream", vec![("/stream", json!(true))]),
        member(
            "stream_options",
            vec![
                ("/stream", json!(true)),
                (
                    "/stream_options",
                    json!({"include_obfuscation": true, "vendor_stream": "unknown-of-stream"}),
                ),
            ],
        ),
        member(
            "log probabilities of a stream",
            vec![("/stream", json!(true)), ("/top_logprobs", json!(3))],
        ),
        at("/text", json!({"format": {"type": "json_object"}})),
        at(
            "/text",
            json!({"verbosity": "low", "vendor_text": "unknown-of-text"}),
        ),
        at(
            "/text",
            json!({"format": {"type": "json_schema", "name": "name_of_schema", "description": "Description of the format.",
                "strict": true, "schema": rich_schema(), "vendor_schema": "unknown-of-json-schema"}}),
        ),
        at("/reasoning", json!({"effort": "low"})),
        at(
            "/reasoning",
            json!({"summary": "detailed", "generate_summary": "concise"}),
        ),
        at(
            "/reasoning",
            json!({"mode": "pro", "context": "current_turn", "vendor_reasoning": "unknown-of-reasoning"}),
        ),
        at(
            "/tool_choice",
            json!({"type": "allowed_tools", "mode": "required", "vendor_allowed": "unknown-of-allowed", "tools": [{"type": "function", "name": "weather_of"}]}),
        ),
        at("/tool_choice", json!("required")),
        at("/tool_choice", json!("none")),
        at(
            "/tool_choice",
            json!({"type": "function", "name": "weather_of", "vendor_choice": "unknown-of-choice"}),
        ),
        member(
            "an input that is a text",
            vec![("/input", json!("Question that is a text."))],
        ),
        at("/vendor_top", json!({"deep": [{"er": "unknown-at-top"}]})),
    ]
}

fn responses_items() -> Vec<Member> {
    let next = || {
        (
            "/input/-",
            json!({"role": "user", "content": "Question after the item."}),
        )
    };
    let item = |name: &'static str, item: Value| member(name, vec![("/input/-", item), next()]);
    let pair = |name: &'static str, call: Value, output: Value| {
        let mut first = json!({"type": "function_call", "call_id": "call_more2", "name": "weather_of", "arguments": "{\"place\":\"Oslo-of-call\"}"});
        let mut second = json!({"type": "function_call_output", "call_id": "call_more2", "output": "Result of the second call."});
        for (whole, more) in [(&mut first, call), (&mut second, output)] {
            for (name, value) in more.as_object().unwrap() {
                whole[name] = value.clone();
            }
        }
        member(
            name,
            vec![("/input/-", first), ("/input/-", second), next()],
        )
    };
    vec![
        at("/input/0/vendor_user", json!("unknown-of-user")),
        at(
            "/input/0/cache_control",
            json!({"type": "ephemeral", "ttl": "1h"}),
        ),
        at("/input/1/phase", json!("commentary")),
        at("/input/1/vendor_assistant", json!("unknown-of-assistant")),
        at(
            "/input/0/content/0/vendor_part",
            json!("unknown-of-text-part"),
        ),
        at(
            "/input/0/content/0/prompt_cache_breakpoint",
            json!({"mode": "explicit"}),
        ),
        at(
            "/input/1/content/0/vendor_output",
            json!("unknown-of-output-text"),
        ),
        at(
            "/input/1/content/0/annotations",
            json!([{"type": "url_citation", "url": "https://example.com/cited", "title": "Title of citation", "start_index": 1, "end_index": 2}]),
        ),
        at(
            "/input/1/content/0/logprobs",
            json!([{"token": "token-of-logprob", "logprob": -0.17, "bytes": [1], "top_logprobs": []}]),
        ),
        at(
            "/input/1/content/-",
            json!({"type": "refusal", "refusal": "Refusal beside the text.", "vendor_refusal": "unknown-of-refusal"}),
        ),
        at(
            "/input/0/content/-",
            json!({"type": "input_image", "image_url": "https://example.com/image-of-user.png", "detail": "high", "vendor_image": "unknown-of-image"}),
        ),
        member(
            "an image in the request",
            vec![(
                "/input/0/content/-",
                json!({"type": "input_image", "image_url": PIXEL, "detail": "low"}),
            )],
        ),
        member(
            "an image as it is",
            vec![(
                "/input/0/content/-",
                json!({"type": "input_image", "image_url": "https://example.com/image-of-user.png", "detail": "original"}),
            )],
        ),
        member(
            "an image by its id",
            vec![(
                "/input/0/content/-",
                json!({"type": "input_image", "file_id": "file-id-of-image", "detail": "auto"}),
            )],
        ),
        member(
            "an image by address and id",
            vec![(
                "/input/0/content/-",
                json!({"type": "input_image", "file_id": "file-id-of-image", "image_url": "https://example.com/image-of-user.png", "detail": "auto"}),
            )],
        ),
        at(
            "/input/0/content/-",
            json!({"type": "input_file", "file_data": PDF, "filename": "file-of-user.pdf", "detail": "high", "vendor_file": "unknown-of-file"}),
        ),
        member(
            "a file by its id",
            vec![(
                "/input/0/content/-",
                json!({"type": "input_file", "file_id": "file-id-of-user"}),
            )],
        ),
        member(
            "a file by its address",
            vec![(
                "/input/0/content/-",
                json!({"type": "input_file", "file_url": "https://example.com/file-of-user.pdf"}),
            )],
        ),
        at(
            "/input/0/content/-",
            json!({"type": "input_audio", "input_audio": {"data": "YXVkaW8tb2YtdXNlcg==", "format": "wav"}}),
        ),
        member(
            "a part of a vendor",
            vec![(
                "/input/0/content/-",
                json!({"type": "vendor_kind", "vendor_body": "unknown-kind-of-part"}),
            )],
        ),
        item(
            "a developer",
            json!({"role": "developer", "content": "Developer said this late."}),
        ),
        item(
            "a system message in parts",
            json!({"role": "system", "content": [
            {"type": "input_text", "text": "System said this first."}, {"type": "input_text", "text": "System said this second."}]}),
        ),
        item(
            "a refusal alone",
            json!({"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "Refusal without any text."}]}),
        ),
        item(
            "two refusals",
            json!({"type": "message", "role": "assistant", "content": [
            {"type": "refusal", "refusal": "Refusal said as the first."}, {"type": "refusal", "refusal": "Refusal said as the second."}]}),
        ),
        pair(
            "members of a call",
            json!({"vendor_call": "unknown-of-call", "caller": {"type": "direct", "vendor_caller": "unknown-of-caller"}}),
            json!({}),
        ),
        pair(
            "a call in a namespace",
            json!({"namespace": "space_of_tools"}),
            json!({}),
        ),
        pair(
            "members of a result",
            json!({}),
            json!({"name": "name_of_result", "vendor_result": "unknown-of-result"}),
        ),
        pair(
            "a result in parts",
            json!({}),
            json!({"output": [
            {"type": "input_text", "text": "Result part the first.", "vendor_result": "unknown-of-result-part"},
            {"type": "input_text", "text": "Result part the second."},
            {"type": "input_image", "image_url": PIXEL, "detail": "low"}]}),
        ),
        member(
            "a call of a custom tool",
            vec![
                (
                    "/input/-",
                    json!({"type": "custom_tool_call", "call_id": "call_custom3", "name": "free_text", "input": "Free text of a call.", "vendor_custom": "unknown-of-custom-call"}),
                ),
                (
                    "/input/-",
                    json!({"type": "custom_tool_call_output", "call_id": "call_custom3", "output": "Result of the custom tool."}),
                ),
                next(),
            ],
        ),
        item(
            "a summary of reasoning",
            json!({"type": "reasoning", "id": "rs_of_item", "summary": [{"type": "summary_text", "text": "Summary of reasoning."}], "vendor_reasoning": "unknown-of-reasoning-item"}),
        ),
        item(
            "reasoning with its text",
            json!({"type": "reasoning", "id": "rs_of_item", "summary": [{"type": "summary_text", "text": "Summary of reasoning."}],
            "content": [{"type": "reasoning_text", "text": "Whole text of reasoning."}]}),
        ),
        item(
            "sealed reasoning",
            json!({"type": "reasoning", "id": "rs_of_item", "summary": [], "encrypted_content": "sealed-by-somebody-else"}),
        ),
        item(
            "sealed reasoning with a summary",
            json!({"type": "reasoning", "id": "rs_of_item", "summary": [{"type": "summary_text", "text": "Summary of reasoning."}], "encrypted_content": "sealed-by-somebody-else"}),
        ),
        item(
            "a reference",
            json!({"type": "item_reference", "id": "msg_of_reference"}),
        ),
        item(
            "a search of the web",
            json!({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "query-of-search"}}),
        ),
        item(
            "a search of files",
            json!({"type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["query-of-file-search"]}),
        ),
        item(
            "a run of code",
            json!({"type": "code_interpreter_call", "id": "ci_1", "status": "completed", "code": "code-that-was-run", "container_id": "c_1"}),
        ),
        item(
            "an image that was made",
            json!({"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "aW1hZ2UtdGhhdC13YXMtbWFkZQ=="}),
        ),
        member(
            "a shell",
            vec![
                (
                    "/input/-",
                    json!({"type": "shell_call", "id": "sh_1", "call_id": "call_sh", "status": "completed", "action": {"commands": ["command-of-shell"]}}),
                ),
                (
                    "/input/-",
                    json!({"type": "shell_call_output", "call_id": "call_sh", "output": [{"stdout": "output-of-shell", "outcome": {"type": "exit", "exit_code": 3}}]}),
                ),
                next(),
            ],
        ),
        item(
            "a call of a remote tool",
            json!({"type": "mcp_call", "id": "mcp_1", "server_label": "label-of-server", "name": "tool_of_server", "arguments": "{}", "output": "output-of-server"}),
        ),
        item(
            "a compaction",
            json!({"type": "compaction", "id": "cmp_1", "encrypted_content": "sealed-compaction"}),
        ),
        item(
            "a search of tools",
            json!({"type": "tool_search_call", "call_id": null, "execution": "server", "arguments": {"paths": ["path-of-tools"]}}),
        ),
        item(
            "an item of a vendor",
            json!({"type": "vendor_item", "vendor_body": "unknown-kind-of-item"}),
        ),
    ]
}

fn responses_tools() -> Vec<Member> {
    vec![
        at("/tools/0/description", json!("Description of the tool.")),
        at("/tools/0/strict", json!(true)),
        at("/tools/0/vendor_tool", json!("unknown-of-tool")),
        at("/tools/0/defer_loading", json!(true)),
        at(
            "/tools/0/output_schema",
            json!({"type": "object", "description": "Description of the output."}),
        ),
        at(
            "/tools/-",
            json!({"type": "function", "name": "rich_tool", "parameters": rich_schema(), "strict": true}),
        ),
        at(
            "/tools/-",
            json!({"type": "custom", "name": "free_text", "description": "Description of custom tool.", "vendor_custom": "unknown-of-custom-tool",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: WORD-of-grammar"}}),
        ),
        at(
            "/tools/-",
            json!({"type": "namespace", "name": "space_of_tools", "description": "Description of the namespace.",
            "tools": [{"type": "function", "name": "tool_in_space", "description": "Description in the namespace.", "parameters": schema(), "vendor_inner": "unknown-in-namespace"}]}),
        ),
        at(
            "/tools/-",
            json!({"type": "web_search", "search_context_size": "high", "external_web_access": false, "filters": {"allowed_domains": ["domain-that-is-allowed.example"], "vendor_filter": "unknown-of-filter"},
            "user_location": {"type": "approximate", "city": "City-of-client"}}),
        ),
        at(
            "/tools/-",
            json!({"type": "file_search", "vector_store_ids": ["vs_of_client"]}),
        ),
        at(
            "/tools/-",
            json!({"type": "code_interpreter", "container": {"type": "auto", "memory_limit": "4g"}}),
        ),
        at(
            "/tools/-",
            json!({"type": "image_generation", "quality": "quality-of-image"}),
        ),
        at(
            "/tools/-",
            json!({"type": "mcp", "server_label": "label-of-server", "server_url": "https://example.com/mcp-of-client"}),
        ),
        at("/tools/-", json!({"type": "local_shell"})),
        at(
            "/tools/-",
            json!({"type": "shell", "environment": {"type": "local"}}),
        ),
        at("/tools/-", json!({"type": "apply_patch"})),
        at(
            "/tools/-",
            json!({"type": "tool_search", "description": "Description of tool search."}),
        ),
    ]
}

fn responses_members() -> Vec<Member> {
    let mut all = responses_parameters();
    all.extend(responses_tools());
    all.extend(responses_items());
    all
}

// ---------------------------------------------------------------- claims

#[actix_web::test]
async fn a_member_that_a_chat_client_says_alone_is_given_on_or_named() {
    settle(&alone(Spoken::Chat, &chat_base(), &chat_members(), Compared::lost).await);
}

#[actix_web::test]
async fn a_member_that_a_responses_client_says_alone_is_given_on_or_named() {
    let (base, members) = (responses_base(), responses_members());
    settle(&alone(Spoken::Responses, &base, &members, Compared::lost).await);
}

#[actix_web::test]
async fn of_all_that_a_chat_client_can_say_at_once_nothing_is_lost_unnamed() {
    settle(&together(Spoken::Chat, &chat_base(), &chat_members(), Compared::lost).await);
}

#[actix_web::test]
async fn of_all_that_a_responses_client_can_say_at_once_nothing_is_lost_unnamed() {
    let (base, members) = (responses_base(), responses_members());
    settle(&together(Spoken::Responses, &base, &members, Compared::lost).await);
}

#[actix_web::test]
async fn nothing_is_put_into_a_chat_clients_mouth_unnamed() {
    settle(
        &alone(
            Spoken::Chat,
            &chat_base(),
            &chat_members(),
            Compared::invented,
        )
        .await,
    );
}

#[actix_web::test]
async fn nothing_is_put_into_a_responses_clients_mouth_unnamed() {
    let (base, members) = (responses_base(), responses_members());
    settle(&alone(Spoken::Responses, &base, &members, Compared::invented).await);
}

/// Strict mode against what is named without it, and the names against the client's own words.
async fn strict(client: Spoken, base: &Value, members: &[Member]) -> Vec<String> {
    let rig = rig();
    let mut out = Vec::new();
    for model in MODELS {
        let mut base = base.clone();
        base["model"] = json!(model);
        for member in members {
            let what = format!("{model} with {}", member.name);
            let body = said(&base, &[member]);
            let loose = rig.ask(client, &body, false).await;
            let strict = rig.ask(client, &body, true).await;
            match (loose, strict) {
                (Outcome::Refused { param, .. }, Outcome::Refused { param: again, .. }) => {
                    if param != again {
                        out.push(format!(
                            "{what}: refused for {param}, and strictly for {again}"
                        ));
                    }
                }
                (Outcome::Refused { param, .. }, Outcome::Sent { .. }) => {
                    out.push(format!("{what}: refused for {param}, and not strictly"));
                }
                (
                    Outcome::Sent {
                        dropped, changed, ..
                    },
                    strict,
                ) => {
                    let named = [dropped, changed].concat();
                    match (named.first(), strict) {
                        (None, Outcome::Sent { .. }) => {}
                        (Some(first), Outcome::Refused { param, code, .. }) => {
                            if *first != param || code != "unsupported_parameter" {
                                out.push(format!(
                                    "{what}: names {first} first, and refuses {param} ({code})"
                                ));
                            }
                        }
                        (None, Outcome::Refused { param, .. }) => {
                            out.push(format!("{what}: names nothing, and refuses {param}"));
                        }
                        (Some(first), Outcome::Sent { .. }) => {
                            out.push(format!("{what}: names {first}, and does not refuse it"));
                        }
                    }
                }
            }
        }
    }
    out
}

#[actix_web::test]
async fn strict_mode_refuses_a_chat_client_exactly_what_is_named() {
    settle(&strict(Spoken::Chat, &chat_base(), &chat_members()).await);
}

#[actix_web::test]
async fn strict_mode_refuses_a_responses_client_exactly_what_is_named() {
    settle(&strict(Spoken::Responses, &responses_base(), &responses_members()).await);
}

/// The names that are given for a client's members and begin with no member that it said.
async fn foreign_names(client: Spoken, base: &Value, members: &[Member]) -> Vec<String> {
    let rig = rig();
    let mut out = Vec::new();
    for model in MODELS {
        let mut base = base.clone();
        base["model"] = json!(model);
        let mut plain = Vec::new();
        let alone = members.iter().map(Some);
        for member in std::iter::once(None).chain(alone) {
            let body = said(&base, &member.into_iter().collect::<Vec<_>>());
            let names = match rig.ask(client, &body, false).await {
                Outcome::Sent {
                    dropped, changed, ..
                } => [dropped, changed].concat(),
                Outcome::Refused { param, .. } => vec![param],
            };
            for name in names {
                if member.is_none() {
                    plain.push(name.clone());
                } else if plain.contains(&name) {
                    continue;
                }
                let top = name.split(['.', '[']).next().unwrap_or_default();
                // What the gateway says for a client that said nothing has no other name.
                if body.get(top).is_none() && name != "store" {
                    let what = member.map_or("nothing more", |member| member.name);
                    out.push(format!("{model} with {what}: {name}"));
                }
            }
        }
    }
    out
}

#[actix_web::test]
async fn what_is_named_has_the_name_that_the_client_gave_it() {
    let mut wrong = foreign_names(Spoken::Chat, &chat_base(), &chat_members()).await;
    let (base, members) = (responses_base(), responses_members());
    wrong.extend(foreign_names(Spoken::Responses, &base, &members).await);
    settle(&wrong);
}

/// The names of the members of a schema, with those of the schemas that it is put together of.
fn properties(document: &Value, schema: &Value, out: &mut Vec<String>) {
    let reference = schema["$ref"].as_str().and_then(|to| to.get(1..));
    if let Some(other) = reference.and_then(|to| document.pointer(to)) {
        properties(document, other, out);
    }
    let own = schema["properties"].as_object().into_iter().flatten();
    out.extend(own.map(|(name, _)| name.clone()));
    for one in schema["allOf"].as_array().into_iter().flatten() {
        properties(document, one, out);
    }
}

/// The parameters of the official schemas, where they lie beside the project, are all said here.
#[test]
fn every_documented_parameter_is_said() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/recorded/openai-schemas.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("no schemas beside the project: nothing compared");
        return;
    };
    let document: Value = serde_json::from_str(&text).unwrap();
    for (name, base, members) in [
        ("CreateChatCompletionRequest", chat_base(), chat_members()),
        ("CreateResponse", responses_base(), responses_members()),
    ] {
        let mut known = Vec::new();
        let schema = &document["components"]["schemas"][name];
        properties(&document, schema, &mut known);
        assert!(known.len() > 20, "{name}: {known:?}");
        let pointers = members.iter().flat_map(|member| &member.parts);
        let said: Vec<&str> = pointers
            .filter_map(|(pointer, _)| pointer.trim_start_matches('/').split('/').next())
            .chain(base.as_object().unwrap().keys().map(String::as_str))
            .chain(["model"])
            .collect();
        let missing: Vec<_> = known
            .iter()
            .filter(|one| !said.contains(&one.as_str()))
            .collect();
        assert!(missing.is_empty(), "{name}: {missing:?}");
    }
}
