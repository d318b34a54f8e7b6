//! Converts tools' JSON Schemas to the subset that Moonshot's models accept. Pure.

use serde_json::{Map, Value, json};

/// Converts a schema to Moonshot's subset: every schema has a type, which below the root is in the
/// branches of `anyOf` and not beside them.
///
/// # Errors
/// Never fails; the signature is that of all schema cleaners.
pub fn kimi_schema(schema: &mut Value, _room: &mut usize) -> Result<(), &'static str> {
    walk(schema, true);
    Ok(())
}

fn walk(node: &mut Value, root: bool) {
    // `true` allows everything, as an empty schema does.
    if *node == Value::Bool(true) {
        *node = json!({});
    }
    let Value::Object(object) = node else {
        return;
    };
    if !object.contains_key("anyOf")
        && let Some(one) = object.shift_remove("oneOf")
    {
        object.insert("anyOf".to_owned(), one);
    }
    let kind = object.get("type").cloned();
    if let Some(Value::Array(branches)) = object.get_mut("anyOf") {
        for branch in branches.iter_mut().filter_map(Value::as_object_mut) {
            if !has_type(branch) {
                let kind = kind.clone().unwrap_or_else(|| implied_type(branch).into());
                branch.insert("type".to_owned(), kind);
            }
        }
        if !root {
            object.shift_remove("type");
        }
    } else if !has_type(object) && !root {
        let kind = implied_type(object);
        object.insert("type".to_owned(), kind.into());
    }
    if root && !object.contains_key("$ref") {
        object
            .entry("type")
            .or_insert_with(|| Value::from("object"));
    }
    for (name, value) in object.iter_mut() {
        match (name.as_str(), value) {
            (
                "properties" | "patternProperties" | "$defs" | "definitions",
                Value::Object(members),
            ) => {
                for member in members.values_mut() {
                    walk(member, false);
                }
            }
            ("anyOf" | "allOf" | "prefixItems" | "items", Value::Array(nodes)) => {
                for one in nodes {
                    walk(one, false);
                }
            }
            ("items", one) | ("additionalProperties", one @ Value::Object(_)) => walk(one, false),
            _ => {}
        }
    }
}

fn has_type(object: &Map<String, Value>) -> bool {
    ["type", "$ref", "anyOf"]
        .iter()
        .any(|name| object.contains_key(*name))
}

/// The type that a schema implies by its listed values, its keywords or its default.
fn implied_type(object: &Map<String, Value>) -> &'static str {
    let listed = object.get("enum").and_then(Value::as_array);
    let values = listed.into_iter().flatten().chain(object.get("const"));
    let mut kinds = values.filter(|value| !value.is_null()).map(kind_of);
    if let Some(first) = kinds.next() {
        return match kinds.find(|kind| *kind != first) {
            None => first,
            Some("integer" | "number") if matches!(first, "integer" | "number") => "number",
            Some(_) => "string",
        };
    }
    for (kind, keywords) in [
        (
            "object",
            &[
                "properties",
                "required",
                "additionalProperties",
                "patternProperties",
            ][..],
        ),
        (
            "array",
            &[
                "items",
                "prefixItems",
                "minItems",
                "maxItems",
                "uniqueItems",
            ],
        ),
        (
            "number",
            &[
                "minimum",
                "maximum",
                "exclusiveMinimum",
                "exclusiveMaximum",
                "multipleOf",
            ],
        ),
    ] {
        if keywords.iter().any(|name| object.contains_key(*name)) {
            return kind;
        }
    }
    match object.get("default") {
        Some(value) if !value.is_null() => kind_of(value),
        _ => "string",
    }
}

/// The JSON Schema type of a value.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
