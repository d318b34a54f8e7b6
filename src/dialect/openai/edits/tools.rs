//! Tools as a provider takes them. Pure.

use std::borrow::Cow;

use serde_json::Value;

use super::Edit;
use crate::codec::json::{self, Object, Raw, put, raw};
use crate::error::Error;

impl<'a> Edit<'_> {
    pub(super) fn tools(&mut self, request: &mut Object<'a>) -> Result<(), Error> {
        let provider = self.provider;
        let untouched = !provider.only_functions && provider.schema.is_none();
        let Some(list) = request.get("tools").filter(|_| !untouched) else {
            return Ok(());
        };
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
            if kept.is_empty() {
                request.take("tools");
                // Without tools it is refused.
                request.take("tool_choice");
            } else {
                put(request, "tools", raw(&kept));
            }
        }
        self.edited |= before;
        Ok(())
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
        let Some(function) = tool.get("function") else {
            return Ok(Changed::Not);
        };
        let mut function = json::object(function, &at)?;
        let mut changed = false;
        if let Some(clean) = self.provider.schema
            && let Some(parameters) = function.get("parameters")
        {
            let mut schema: Value = serde_json::from_str(parameters.get()).unwrap_or_default();
            let before = schema.clone();
            let mut lost = false;
            let at = || format!("tools[{i}].function.parameters");
            clean(&mut schema, &mut lost).map_err(|wrong| Error::unsupported_value(at(), wrong))?;
            if schema != before {
                changed = true;
                put(&mut function, "parameters", raw(&schema));
                if lost {
                    self.report.changed.push(at());
                }
            }
        }
        if !changed {
            return Ok(Changed::Not);
        }
        self.edited = true;
        put(&mut tool, "function", raw(&function));
        Ok(Changed::To(Cow::Owned(raw(&tool))))
    }
}

/// What became of a tool.
enum Changed<'a> {
    Not,
    To(Raw<'a>),
    Out,
}
