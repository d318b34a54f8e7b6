//! JSON Schemas for structured output, cut down to what Anthropic accepts. Pure.

use serde_json::{Map, Value};

/// Keywords that make the provider refuse the schema; they become a note for the model.
const REFUSED: [&str; 25] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "prefixItems",
    "minProperties",
    "maxProperties",
    "patternProperties",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "unevaluatedProperties",
    "if",
    "then",
    "else",
    "not",
    "unevaluatedItems",
];

const FORMATS: [&str; 9] = [
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "uri",
    "ipv4",
    "ipv6",
];

/// Whether a schema refers to something outside itself, which the provider does not fetch.
pub(super) fn refers_outside(schema: &Value) -> bool {
    match schema {
        Value::Object(object) => object
            .iter()
            .any(|(name, value)| match (name.as_str(), value) {
                ("$ref", Value::String(to)) => !to.starts_with('#'),
                (_, value) => refers_outside(value),
            }),
        Value::Array(list) => list.iter().any(refers_outside),
        _ => false,
    }
}

/// The schema as the provider takes it, or `None` where it holds an open object: that would
/// come out as "only an empty object is allowed".
pub(super) fn accepted(mut schema: Value) -> Option<Value> {
    rewrite(&mut schema)?;
    Some(schema)
}

fn rewrite(node: &mut Value) -> Option<()> {
    let Value::Object(object) = node else {
        return Some(());
    };
    let mut notes = Vec::new();
    for keyword in REFUSED {
        if let Some(value) = object.shift_remove(keyword) {
            notes.push(format!("{keyword}: {value}"));
        }
    }
    if object
        .get("minItems")
        .is_some_and(|n| !matches!(n.as_u64(), Some(0 | 1)))
        && let Some(value) = object.shift_remove("minItems")
    {
        notes.push(format!("minItems: {value}"));
    }
    if object
        .get("format")
        .and_then(Value::as_str)
        .is_some_and(|format| format != "uuid" && !FORMATS.contains(&format))
        && let Some(value) = object.shift_remove("format")
    {
        notes.push(format!("format: {value}"));
    }
    if object
        .get("pattern")
        .and_then(Value::as_str)
        .is_some_and(|pattern| pattern.contains("(?"))
        && let Some(value) = object.shift_remove("pattern")
    {
        notes.push(format!("pattern: {value}"));
    }
    if let Some(one) = object.shift_remove("oneOf") {
        match object.shift_remove("anyOf") {
            // Both must hold; neither may be lost.
            Some(any) => {
                let both = serde_json::json!([{"anyOf": any}, {"anyOf": one}]);
                object.insert("allOf".to_owned(), both);
            }
            None => {
                object.insert("anyOf".to_owned(), one);
            }
        }
    }
    if is_object(object) {
        let open = object
            .get("properties")
            .is_none_or(|p| p.as_object().is_some_and(Map::is_empty))
            || object
                .get("additionalProperties")
                .is_some_and(|extra| extra != &Value::Bool(false));
        if open {
            return None;
        }
        object.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    if !notes.is_empty() {
        let note = format!("Note: {}", notes.join(", "));
        let text = match object.get("description").and_then(Value::as_str) {
            Some(text) => format!("{text} {note}"),
            None => note,
        };
        object.insert("description".to_owned(), Value::String(text));
    }
    for (name, value) in object.iter_mut() {
        match (name.as_str(), value) {
            ("properties" | "$defs" | "definitions", Value::Object(members)) => {
                for member in members.values_mut() {
                    rewrite(member)?;
                }
            }
            ("anyOf" | "allOf", Value::Array(branches)) => {
                for branch in branches {
                    rewrite(branch)?;
                }
            }
            ("items", item) => rewrite(item)?,
            _ => {}
        }
    }
    Some(())
}

fn is_object(schema: &Map<String, Value>) -> bool {
    match schema.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        _ => schema.contains_key("properties"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refused_keywords_become_a_note_and_objects_are_closed() {
        let schema = json!({
            "type": "object",
            "properties": {
                "n": {"type": "integer", "minimum": 1, "description": "How many."},
                "tags": {"type": "array", "minItems": 2, "items": {"oneOf": [
                    {"type": "string", "format": "color"},
                    {"type": "string", "format": "uuid", "pattern": "^(?=x)"}
                ]}}
            },
            "required": ["n"]
        });
        assert_eq!(
            accepted(schema).unwrap(),
            json!({
                "type": "object",
                "properties": {
                    "n": {"type": "integer", "description": "How many. Note: minimum: 1"},
                    "tags": {"type": "array", "items": {"anyOf": [
                        {"type": "string", "description": "Note: format: \"color\""},
                        {"type": "string", "format": "uuid", "description": "Note: pattern: \"^(?=x)\""}
                    ]}, "description": "Note: minItems: 2"}
                },
                "required": ["n"],
                "additionalProperties": false
            })
        );
    }

    #[test]
    fn two_lists_of_branches_both_hold() {
        let schema = json!({"oneOf": [{"type": "string"}], "anyOf": [{"type": "integer"}]});
        assert_eq!(
            accepted(schema).unwrap(),
            json!({"allOf": [{"anyOf": [{"type": "integer"}]}, {"anyOf": [{"type": "string"}]}]})
        );
    }

    #[test]
    fn references_to_elsewhere_are_found() {
        assert!(refers_outside(
            &json!({"items": [{"$ref": "https://x.example/s"}]})
        ));
        assert!(!refers_outside(&json!({"items": {"$ref": "#/$defs/a"}})));
    }

    #[test]
    fn a_property_named_like_a_keyword_stays() {
        let schema = json!({"type": "object", "properties": {"not": {"type": "string"}}});
        assert!(accepted(schema).unwrap()["properties"]["not"].is_object());
    }

    #[test]
    fn an_open_object_anywhere_cannot_be_expressed() {
        for schema in [
            json!({"type": "object"}),
            json!({"type": "object", "properties": {"a": {"type": "object", "additionalProperties": true, "properties": {"b": {}}}}}),
            json!({"type": "array", "items": {"type": ["object", "null"]}}),
        ] {
            assert!(accepted(schema.clone()).is_none(), "{schema}");
        }
    }
}
