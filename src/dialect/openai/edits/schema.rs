//! JSON Schemas of tools, cut down to what a provider accepts. Pure.

use serde_json::{Map, Value, json};

/// Keywords that Gemini's schema does not have; a request with one of them is refused.
const NOT_IN_GEMINI: [&str; 22] = [
    "$schema",
    "$id",
    "$comment",
    "$anchor",
    "additionalProperties",
    "unevaluatedProperties",
    "unevaluatedItems",
    "patternProperties",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "contains",
    "minContains",
    "maxContains",
    "uniqueItems",
    "multipleOf",
    "if",
    "then",
    "else",
    "not",
    "contentEncoding",
    "contentMediaType",
];

/// Keywords that say nothing about what is allowed.
const SILENT: [&str; 5] = [
    "$schema",
    "$id",
    "$comment",
    "$anchor",
    "additionalProperties",
];

/// Takes out of a schema what Gemini refuses, and says it otherwise where that can be done; `lost`
/// tells whether anything could not be kept.
///
/// # Errors
/// A text where the references in it make it too large or too deep.
pub fn gemini_schema(schema: &mut Value, lost: &mut bool) -> Result<(), &'static str> {
    let definitions = ["$defs", "definitions"].map(|name| {
        schema
            .as_object_mut()
            .and_then(|object| object.shift_remove(name))
    });
    let mut budget = Budget {
        definitions: &definitions,
        nodes: MAX_NODES,
        lost,
    };
    budget.inline(schema, 0, 0)?;
    rewrite(schema, lost);
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
    lost: &'b mut bool,
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
                    let target = found.filter(|_| references < MAX_REFERENCES).cloned();
                    *self.lost |= target.is_none();
                    object.shift_remove("$ref");
                    // What stands beside a reference holds as well.
                    if let Some(Value::Object(target)) = target {
                        for (name, value) in target {
                            object.entry(name).or_insert(value);
                        }
                        return self.inline(node, references + 1, depth);
                    }
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

fn rewrite(node: &mut Value, lost: &mut bool) {
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
    // Examples allow and forbid nothing.
    object.shift_remove("examples");
    let mut notes = Vec::new();
    for (exclusive, bound) in [
        ("exclusiveMinimum", "minimum"),
        ("exclusiveMaximum", "maximum"),
    ] {
        if let Some(value) = object.shift_remove(exclusive) {
            notes.push(format!("{exclusive}: {value}"));
            *lost = true;
            object.entry(bound).or_insert(value);
        }
    }
    for keyword in NOT_IN_GEMINI {
        if let Some(value) = object.shift_remove(keyword)
            && (!SILENT.contains(&keyword) || value.is_object())
        {
            notes.push(format!("{keyword}: {value}"));
            *lost = true;
        }
    }
    if let Some(Value::Array(items)) = object.shift_remove("prefixItems") {
        notes.push(format!("prefixItems: {}", Value::Array(items.clone())));
        *lost = true;
        object
            .entry("items")
            .or_insert_with(|| json!({"anyOf": items}));
    }
    note(object, &notes);
    for (name, value) in object.iter_mut() {
        match (name.as_str(), value) {
            ("properties", Value::Object(members)) => {
                for member in members.values_mut() {
                    rewrite(member, lost);
                }
            }
            ("anyOf" | "allOf", Value::Array(branches)) => {
                for branch in branches {
                    rewrite(branch, lost);
                }
            }
            ("items", item) => rewrite(item, lost),
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
