//! A checker for the part of JSON Schema (as in OpenAPI 3.1) that OpenAI's published schemas use.
//!
//! A general validator took a ninth of the time that all tests take to compile. A keyword that is not
//! known here is a panic. Patterns, formats, the names of members and their number are not checked.

use serde_json::{Map, Value};

/// A document of schemas, and the name of the one that values are checked against.
pub struct Schema {
    document: Value,
    root: Value,
}

impl Schema {
    pub fn new(document: Value, name: &str) -> Self {
        let root = serde_json::json!({"$ref": format!("#/components/schemas/{name}")});
        Self { document, root }
    }

    /// What is wrong with a value, one line each.
    pub fn errors(&self, value: &Value) -> Vec<String> {
        let mut out = Vec::new();
        self.check(&self.root, value, "$", &mut out);
        out
    }

    fn holds(&self, schema: &Value, value: &Value) -> bool {
        let mut out = Vec::new();
        self.check(schema, value, "", &mut out);
        out.is_empty()
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, out: &mut Vec<String>) {
        let Some(schema) = schema.as_object() else {
            if schema == &Value::Bool(false) {
                out.push(format!("{at}: nothing may stand here"));
            }
            return;
        };
        if value.is_null() && schema.get("nullable") == Some(&Value::Bool(true)) {
            return;
        }
        for (keyword, expected) in schema {
            match keyword.as_str() {
                "$ref" => {
                    let pointer = expected.as_str().unwrap().trim_start_matches('#');
                    let target = self.document.pointer(pointer);
                    self.check(
                        target.unwrap_or_else(|| panic!("{pointer}")),
                        value,
                        at,
                        out,
                    );
                }
                "type" if !is_of_type(expected, value) => {
                    out.push(format!("{at}: {value} is not {expected}"));
                }
                "enum" if !expected.as_array().unwrap().contains(value) => {
                    out.push(format!("{at}: {value} is none of {expected}"));
                }
                "const" if expected != value => {
                    out.push(format!("{at}: {value} is not {expected}"));
                }
                "allOf" => {
                    for one in expected.as_array().unwrap() {
                        self.check(one, value, at, out);
                    }
                }
                "anyOf" | "oneOf" => {
                    let all = expected.as_array().unwrap();
                    let count = all.iter().filter(|one| self.holds(one, value)).count();
                    if count == 0 || (keyword == "oneOf" && count > 1) {
                        out.push(format!("{at}: {count} of {keyword} hold for {value}"));
                    }
                }
                "required" => {
                    for name in expected.as_array().unwrap() {
                        let name = name.as_str().unwrap();
                        if value.as_object().is_some_and(|own| !own.contains_key(name)) {
                            out.push(format!("{at}: {name} is missing"));
                        }
                    }
                }
                "items" => {
                    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(expected, item, &format!("{at}[{i}]"), out);
                    }
                }
                "minimum"
                    if value
                        .as_f64()
                        .is_some_and(|own| own < expected.as_f64().unwrap()) =>
                {
                    out.push(format!("{at}: {value} is below {expected}"));
                }
                "maximum"
                    if value
                        .as_f64()
                        .is_some_and(|own| own > expected.as_f64().unwrap()) =>
                {
                    out.push(format!("{at}: {value} is above {expected}"));
                }
                "minItems"
                    if value
                        .as_array()
                        .is_some_and(|own| (own.len() as u64) < expected.as_u64().unwrap()) =>
                {
                    out.push(format!("{at}: fewer than {expected}"));
                }
                "maxItems"
                    if value
                        .as_array()
                        .is_some_and(|own| own.len() as u64 > expected.as_u64().unwrap()) =>
                {
                    out.push(format!("{at}: more than {expected}"));
                }
                "minLength"
                    if value.as_str().is_some_and(|own| {
                        (own.chars().count() as u64) < expected.as_u64().unwrap()
                    }) =>
                {
                    out.push(format!("{at}: shorter than {expected}"));
                }
                "maxLength"
                    if value.as_str().is_some_and(|own| {
                        own.chars().count() as u64 > expected.as_u64().unwrap()
                    }) =>
                {
                    out.push(format!("{at}: longer than {expected}"));
                }
                "properties"
                | "additionalProperties"
                | "type"
                | "enum"
                | "const"
                | "minimum"
                | "maximum"
                | "minItems"
                | "maxItems"
                | "minLength"
                | "maxLength"
                | "nullable"
                | "description"
                | "title"
                | "default"
                | "example"
                | "examples"
                | "deprecated"
                | "format"
                | "discriminator"
                | "readOnly"
                | "propertyNames"
                | "pattern"
                | "maxProperties" => {}
                other if other.starts_with("x-") => {}
                other => panic!("the schema has {other} at {at}"),
            }
        }
        if let Some(own) = value.as_object() {
            self.check_members(schema, own, at, out);
        }
    }

    fn check_members(
        &self,
        schema: &Map<String, Value>,
        own: &Map<String, Value>,
        at: &str,
        out: &mut Vec<String>,
    ) {
        let known = schema.get("properties").and_then(Value::as_object);
        let rest = schema.get("additionalProperties");
        for (name, member) in own {
            let place = format!("{at}.{name}");
            match (known.and_then(|known| known.get(name)), rest) {
                (Some(expected), _) | (None, Some(expected)) => {
                    self.check(expected, member, &place, out);
                }
                (None, None) => {}
            }
        }
    }
}

fn is_of_type(expected: &Value, value: &Value) -> bool {
    match expected {
        Value::Array(any) => any.iter().any(|one| is_of_type(one, value)),
        _ => match expected.as_str().unwrap() {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "integer" => {
                value.is_i64()
                    || value.is_u64()
                    || value.as_f64().is_some_and(|own| own.fract() == 0.0)
            }
            "number" => value.is_number(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("the schema has the type {other}"),
        },
    }
}
