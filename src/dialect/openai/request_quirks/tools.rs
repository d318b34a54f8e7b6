//! Edits of a request's tools. Pure.

use std::borrow::Cow;

use serde_json::Value;

use super::Edit;
use crate::codec::json::{self, Object, Raw, put, raw};
use crate::error::Error;

impl<'a> Edit<'_> {
    pub(super) fn tools(&mut self, request: &mut Object<'a>) -> Result<(), Error> {
        self.no_tools(request);
        let provider = self.provider;
        let untouched =
            !provider.only_functions && provider.schema.is_none() && provider.members.is_none();
        let Some(list) = request.get("tools").filter(|_| !untouched) else {
            return Ok(());
        };
        self.room = list.get().len().saturating_mul(REPEATED) + SOME_ROOM;
        let list = json::array(list, &"tools")?;
        let mut kept: Vec<Raw<'a>> = Vec::with_capacity(list.len());
        let before = self.edited;
        self.edited = false;
        for (i, tool) in list.into_iter().enumerate() {
            match self.tool(&tool, i)? {
                Changed::Not => kept.push(tool),
                Changed::To(tool) => kept.push(tool),
                Changed::Out => {}
            }
        }
        if self.edited {
            put(request, "tools", raw(&kept));
            self.no_tools(request);
            // `tool_choice` without tools is rejected.
            if kept.is_empty() && request.take("tool_choice").is_some() {
                self.report.dropped.push("tool_choice".to_owned());
            }
        }
        self.edited |= before;
        Ok(())
    }

    fn no_tools(&mut self, request: &mut Object<'a>) {
        self.edited |= without_empty_tools(request);
    }

    fn tool(&mut self, tool: &Raw<'a>, i: usize) -> Result<Changed<'a>, Error> {
        let at = format!("tools[{i}]");
        let mut tool = json::object(tool, &at)?;
        let is_function = tool
            .get("type")
            .is_none_or(|kind| kind.get() == "\"function\"");
        if !is_function {
            if !self.provider.only_functions {
                return Ok(Changed::Not);
            }
            self.edited = true;
            self.report.dropped.push(at);
            return Ok(Changed::Out);
        }
        let mut changed = false;
        // A tool in another format is left for the provider to judge.
        if let Some(members) = self.provider.members
            && tool.get("function").is_some()
        {
            changed = self.strip(&mut tool, members.tools, &at);
        }
        if let Some(function) = tool.get("function") {
            let mut function = json::object(function, &at)?;
            if self.function(&mut function, &at)? {
                changed = true;
                put(&mut tool, "function", raw(&function));
            }
        }
        if !changed {
            return Ok(Changed::Not);
        }
        self.edited = true;
        Ok(Changed::To(Cow::Owned(raw(&tool))))
    }

    /// Edits the function of the tool at `tool`; returns whether it was changed.
    fn function(&mut self, function: &mut Object<'a>, tool: &str) -> Result<bool, Error> {
        let mut changed = false;
        if let Some(members) = self.provider.members {
            changed = self.strip(
                function,
                members.functions,
                &format_args!("{tool}.function"),
            );
        }
        let (Some(clean), Some(parameters)) = (self.provider.schema, function.get("parameters"))
        else {
            return Ok(changed);
        };
        let at = || format!("{tool}.function.parameters");
        // Functions converted from other tools all have the same schema; the last result is reused.
        let cleaned = match self.last_schema.take() {
            Some((known, cleaned)) if *known == *parameters.get() => cleaned,
            _ => {
                let mut schema: Value = serde_json::from_str(parameters.get()).unwrap_or_default();
                let before = schema.clone();
                clean(&mut schema, &mut self.room)
                    .map_err(|wrong| Error::unsupported_value(at(), wrong))?;
                (schema != before).then(|| raw(&schema))
            }
        };
        let known = parameters.get();
        if known.len() <= SHORT && !known.contains("$ref") {
            self.last_schema = Some((known.into(), cleaned.clone()));
        }
        if let Some(cleaned) = cleaned {
            changed = true;
            put(function, "parameters", cleaned);
            self.report.changed.push(at());
        }
        Ok(changed)
    }
}

/// The longest schema that is remembered for the next function, in bytes.
const SHORT: usize = 1 << 10;

/// The budget of duplicated bytes in the schemas of a request: this many times the length of its
/// tools, plus a constant.
const REPEATED: usize = 16;
const SOME_ROOM: usize = 64 << 10;

/// The result of editing a tool.
enum Changed<'a> {
    Not,
    To(Raw<'a>),
    Out,
}

/// Removes empty lists of tools, and then the fields that depend on tools; returns whether a list
/// was removed. An empty list means the same as none, but providers reject it.
pub fn without_empty_tools(request: &mut Object<'_>) -> bool {
    let is_empty = |list: &Raw<'_>| {
        list.get()
            .strip_prefix('[')
            .is_some_and(|rest| rest.trim_start().starts_with(']'))
    };
    let mut any = false;
    for name in ["tools", "functions"] {
        if request.get(name).is_some_and(is_empty) {
            request.take(name);
            any = true;
        }
    }
    if !any || request.get("tools").is_some() || request.get("functions").is_some() {
        return any;
    }
    request.take("parallel_tool_calls");
    for name in ["tool_choice", "function_call"] {
        let idle = |choice: &Raw<'_>| matches!(choice.get(), "\"auto\"" | "\"none\"");
        if request.get(name).is_some_and(idle) {
            request.take(name);
        }
    }
    true
}
