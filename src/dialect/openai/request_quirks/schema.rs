//! Simplifies tools' JSON Schemas to what Gemini accepts. Pure.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::kimi::kind_of;

/// Keywords of Google's `Schema` (ai.google.dev/api/caching, August 2026). A request with any other
/// is rejected as "Unknown name".
const IN_GEMINI: [&str; 22] = [
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "maxItems",
    "minItems",
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "anyOf",
    "propertyOrdering",
    "default",
    "items",
    "minimum",
    "maximum",
];

/// Keywords that can be dropped without a note, because they do not restrict values or were
/// inlined.
const SILENT: [&str; 11] = [
    "$schema",
    "$id",
    "$comment",
    "$anchor",
    "$defs",
    "additionalProperties",
    "definitions",
    "deprecated",
    "examples",
    "readOnly",
    "writeOnly",
];

/// Removes what Gemini rejects from a schema, or rewrites it where possible. `room` is the
/// remaining budget of bytes for definitions that replace references.
///
/// # Errors
/// If its references make the schema too large or too deep.
pub fn gemini_schema(schema: &mut Value, room: &mut usize) -> Result<(), &'static str> {
    let definitions = ["$defs", "definitions"].map(|name| {
        schema
            .as_object_mut()
            .and_then(|object| object.shift_remove(name))
    });
    let mut budget = Budget {
        definitions: &definitions,
        nodes: MAX_NODES,
        room,
        weights: HashMap::new(),
    };
    budget.inline(schema, 0, 0)?;
    rewrite(schema);
    Ok(())
}

/// The longest chain of references that is followed; recursive schemas have no end.
const MAX_REFERENCES: usize = 8;

/// The largest number of nodes of a schema with its definitions inlined: a small schema can refer
/// to itself so often that it would fill any memory.
const MAX_NODES: usize = 20_000;

/// The deepest nesting of a schema with its definitions inlined.
const MAX_DEPTH: usize = 100;

/// The remaining budget for inlining definitions.
struct Budget<'b> {
    definitions: &'b [Option<Value>; 2],
    nodes: usize,
    room: &'b mut usize,
    /// The length of each definition as text, by its reference.
    weights: HashMap<String, usize>,
}

impl Budget<'_> {
    /// Replaces references by their definitions, because Gemini does not follow references.
    fn inline(
        &mut self,
        node: &mut Value,
        references: usize,
        depth: usize,
    ) -> Result<(), &'static str> {
        if depth > MAX_DEPTH {
            return Err("with its definitions in place the schema is nested too deep.");
        }
        self.nodes = self
            .nodes
            .checked_sub(1)
            .ok_or("with its definitions in place the schema is too large.")?;
        match node {
            Value::Object(object) => {
                if let Some(Value::String(to)) = object.get("$ref") {
                    let name = to
                        .strip_prefix("#/$defs/")
                        .or_else(|| to.strip_prefix("#/definitions/"));
                    let found = name.and_then(|name| {
                        let mut all = self.definitions.iter().flatten();
                        all.find_map(|all| all.get(name))
                    });
                    let target = found
                        .filter(|_| references < MAX_REFERENCES)
                        .and_then(Value::as_object);
                    if let Some(target) = target {
                        let name = to.clone();
                        let length = || serde_json::to_string(target).map_or(0, |text| text.len());
                        let weight = *self.weights.entry(name).or_insert_with(length);
                        *self.room = self
                            .room
                            .checked_sub(weight)
                            .ok_or("with its definitions in place the schema is too large.")?;
                        object.shift_remove("$ref");
                        // Keywords beside a reference also apply.
                        for (name, value) in target {
                            if !object.contains_key(name) {
                                object.insert(name.clone(), value.clone());
                            }
                        }
                        return self.inline(node, references + 1, depth);
                    }
                    object.shift_remove("$ref");
                }
                for value in object.values_mut() {
                    self.inline(value, references, depth + 1)?;
                }
            }
            Value::Array(list) => {
                for value in list {
                    self.inline(value, references, depth + 1)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn rewrite(node: &mut Value) {
    let Value::Object(object) = node else {
        return;
    };
    if let Some(value) = object.shift_remove("const") {
        object.entry("enum").or_insert_with(|| json!([value]));
    }
    if let Some(one) = object.shift_remove("oneOf") {
        object.entry("anyOf").or_insert(one);
    }
    nullable(object);
    let mut notes = Vec::new();
    restrict_enum(object, &mut notes);
    for (exclusive, bound) in [
        ("exclusiveMinimum", "minimum"),
        ("exclusiveMaximum", "maximum"),
    ] {
        if let Some(value) = object.shift_remove(exclusive) {
            notes.push(format!("{exclusive}: {value}"));
            object.entry(bound).or_insert(value);
        }
    }
    if let Some(Value::Array(items)) = object.shift_remove("prefixItems") {
        // The items are not repeated in the note.
        notes.push("prefixItems: in the order of anyOf".to_owned());
        object
            .entry("items")
            .or_insert_with(|| json!({"anyOf": items}));
    }
    let foreign = |keyword: &String| !IN_GEMINI.contains(&keyword.as_str());
    if object.keys().any(foreign) {
        let members = std::mem::take(object);
        for (keyword, value) in members {
            if IN_GEMINI.contains(&keyword.as_str()) {
                object.insert(keyword, value);
            } else if !SILENT.contains(&keyword.as_str())
                || (keyword == "additionalProperties" && value.is_object())
            {
                notes.push(format!("{keyword}: {value}"));
            }
        }
    }
    note(object, &notes);
    for (name, value) in object.iter_mut() {
        match (name.as_str(), value) {
            ("properties", Value::Object(members)) => {
                for member in members.values_mut() {
                    rewrite(member);
                }
            }
            ("anyOf" | "allOf", Value::Array(branches)) => {
                for branch in branches {
                    rewrite(branch);
                }
            }
            ("items", item) => rewrite(item),
            _ => {}
        }
    }
}

/// Converts `["string", "null"]`, and `anyOf` with null, to `nullable`.
fn nullable(object: &mut Map<String, Value>) {
    if let Some(Value::Array(kinds)) = object.get("type").cloned() {
        let some: Vec<Value> = kinds
            .iter()
            .filter(|kind| *kind != "null")
            .cloned()
            .collect();
        if some.len() < kinds.len() {
            object.insert("nullable".to_owned(), Value::Bool(true));
        }
        match <[Value; 1]>::try_from(some) {
            Ok([one]) => {
                object.insert("type".to_owned(), one);
            }
            Err(many) => {
                object.shift_remove("type");
                let branches: Vec<_> = many.iter().map(|kind| json!({"type": kind})).collect();
                object.entry("anyOf").or_insert(Value::Array(branches));
            }
        }
    }
    if let Some(Value::Array(branches)) = object.get_mut("anyOf") {
        let count = branches.len();
        branches.retain(|branch| branch.get("type") != Some(&json!("null")));
        let had_null = branches.len() < count;
        if had_null && let [one] = branches.as_mut_slice() {
            let one = one.take();
            object.shift_remove("anyOf");
            if let Value::Object(one) = one {
                for (name, value) in one {
                    object.entry(name).or_insert(value);
                }
            }
        }
        if had_null {
            object.insert("nullable".to_owned(), Value::Bool(true));
        }
    }
}

/// Adds restrictions that the schema can no longer express to the description.
fn note(object: &mut Map<String, Value>, notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    let note = format!("Note: {}", notes.join(", "));
    let text = match object.get("description").and_then(Value::as_str) {
        Some(text) => format!("{text} {note}"),
        None => note,
    };
    object.insert("description".to_owned(), Value::String(text));
}

/// Keeps an `enum` only if it has nothing but strings and the type is `string`; any other becomes a
/// note.
fn restrict_enum(object: &mut Map<String, Value>, notes: &mut Vec<String>) {
    let Some(Value::Array(mut values)) = object.shift_remove("enum") else {
        return;
    };
    if values.iter().any(Value::is_null) {
        object.insert("nullable".to_owned(), Value::Bool(true));
    }
    let said = || values.iter().filter(|value| !value.is_null());
    let kind = said().next().map(kind_of);
    let alike = said().all(|value| Some(kind_of(value)) == kind);
    if let Some(kind) = kind.filter(|_| alike && !object.contains_key("anyOf")) {
        object.entry("type").or_insert_with(|| kind.into());
    }
    // Gemini rejects an empty string in an enum.
    let empty = said().any(|value| value.as_str() == Some(""));
    let texts = kind == Some("string") && alike && !empty;
    if texts && object.get("type").and_then(Value::as_str) == Some("string") {
        values.retain(|value| !value.is_null());
        object.insert("enum".to_owned(), Value::Array(values));
    } else {
        notes.push(format!("enum: {}", Value::Array(values)));
    }
}
