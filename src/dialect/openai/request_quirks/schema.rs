//! JSON Schemas of tools, cut down to what a provider accepts. Pure.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::kimi::kind_of;

/// Keywords of Google's `Schema` (ai.google.dev/api/caching, August 2026). A request with any other is
/// refused as "Unknown name".
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

/// Keywords that say nothing about what is allowed.
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

/// Takes out of a schema what Gemini refuses, and says it otherwise where that can be done. `room` is
/// how many bytes definitions may still take that are put in the place of references.
///
/// # Errors
/// A text where the references in it make it too large or too deep.
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

/// Deepest row of references that is followed; schemas that refer to themselves have no end.
const MAX_REFERENCES: usize = 8;

/// Most members and elements of a schema with its definitions in place: a small text can refer to
/// itself so often that it would fill any memory.
const MAX_NODES: usize = 20_000;

/// Deepest nesting of a schema with its definitions in place.
const MAX_DEPTH: usize = 100;

/// What putting definitions in place may still cost.
struct Budget<'b> {
    definitions: &'b [Option<Value>; 2],
    nodes: usize,
    room: &'b mut usize,
    /// The length of each definition as text, by its name.
    weights: HashMap<String, usize>,
}

impl Budget<'_> {
    /// Puts definitions in the place of the references to them, which Gemini does not follow.
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
                        // What stands beside a reference holds as well.
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
    only_texts(object, &mut notes);
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
        // They are written once, where they stand now.
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

/// `["string", "null"]` and `anyOf` with null -> `nullable`.
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

/// Says to the model what the schema can no longer say.
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

/// An enum lists texts only, of a type that says so; of any other the model is told in words.
fn only_texts(object: &mut Map<String, Value>, notes: &mut Vec<String>) {
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
    // Gemini refuses an empty text among them.
    let empty = said().any(|value| value.as_str() == Some(""));
    let texts = kind == Some("string") && alike && !empty;
    if texts && object.get("type").and_then(Value::as_str) == Some("string") {
        values.retain(|value| !value.is_null());
        object.insert("enum".to_owned(), Value::Array(values));
    } else {
        notes.push(format!("enum: {}", Value::Array(values)));
    }
}
