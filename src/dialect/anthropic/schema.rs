//! Reduces JSON Schemas for tools and structured output to what Anthropic accepts. Pure.

use std::collections::{HashMap, HashSet};

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::Error;

/// Keywords for which the provider refuses a schema. They become a note in the description.
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

/// Keywords that combine schemas. The provider refuses them at the root of a tool's input.
pub(super) const UNIONS: [&str; 3] = ["allOf", "anyOf", "oneOf"];

/// Maximum nesting of unions that are expanded, in levels.
const MAX_UNIONS: usize = 8;

/// Longest union that is quoted to the model, in bytes.
const MAX_NOTE: usize = 2000;

/// What is left of the limits for all strict tools and the output format of one request.
#[derive(Debug)]
pub(super) struct Budget {
    tools: usize,
    optional: usize,
    unions: usize,
}

impl Default for Budget {
    fn default() -> Self {
        // From Anthropic's documentation: Structured outputs, limits of a request.
        Self {
            tools: 20,
            optional: 24,
            unions: 16,
        }
    }
}

impl Budget {
    /// Takes one strict tool from the budget; `false` if none is left.
    pub(super) fn tool(&mut self) -> bool {
        let left = self.tools.checked_sub(1);
        self.tools = left.unwrap_or(0);
        left.is_some()
    }

    /// Takes what a schema needs from the budget. If that is too much, takes nothing and returns
    /// `false`.
    fn schema(&mut self, schema: &Value) -> bool {
        let (mut optional, mut unions) = (0, 0);
        count(schema, &mut optional, &mut unions);
        let left = self
            .optional
            .checked_sub(optional)
            .zip(self.unions.checked_sub(unions));
        if let Some((optional, unions)) = left {
            self.optional = optional;
            self.unions = unions;
        }
        left.is_some()
    }
}

/// Counts optional members and unions.
fn count(node: &Value, optional: &mut usize, unions: &mut usize) {
    let Value::Object(object) = node else {
        if let Value::Array(list) = node {
            for one in list {
                count(one, optional, unions);
            }
        }
        return;
    };
    if object.get("anyOf").is_some_and(Value::is_array)
        || object.get("type").is_some_and(Value::is_array)
    {
        *unions += 1;
    }
    if let Some(Value::Object(members)) = object.get("properties") {
        let required: HashSet<&str> = match object.get("required") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => HashSet::new(),
        };
        *optional += members
            .keys()
            .filter(|name| !required.contains(name.as_str()))
            .count();
    }
    for value in object.values() {
        count(value, optional, unions);
    }
}

/// Parses a schema; `at` is its field in the request.
pub(super) fn read(schema: &RawValue, at: &str) -> Result<Value, Error> {
    serde_json::from_str(schema.get())
        .map_err(|_| Error::invalid(at, "it holds a number that is too large to be read."))
}

/// Whether a schema refers to another document, which the provider does not fetch.
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

/// Whether a schema is recursive, through its own `$ref` or a chain of them.
fn is_recursive(root: &Value) -> bool {
    enum Step<'v> {
        Enter(&'v Value),
        Leave(&'v Value),
    }
    // Nodes that were visited; the value is true once all nodes below were visited too.
    let mut done: HashMap<*const Value, bool> = HashMap::new();
    let mut steps = vec![Step::Enter(root)];
    while let Some(step) = steps.pop() {
        let node = match step {
            Step::Leave(node) => {
                done.insert(std::ptr::from_ref(node), true);
                continue;
            }
            Step::Enter(node) => node,
        };
        if !matches!(node, Value::Object(_) | Value::Array(_)) {
            continue;
        }
        match done.get(&std::ptr::from_ref(node)) {
            Some(true) => continue,
            Some(false) => return true,
            None => {}
        }
        done.insert(std::ptr::from_ref(node), false);
        steps.push(Step::Leave(node));
        match node {
            Value::Object(object) => {
                steps.extend(object.values().map(Step::Enter));
                steps.extend(referred(object, root).map(Step::Enter));
            }
            Value::Array(list) => steps.extend(list.iter().map(Step::Enter)),
            _ => {}
        }
    }
    false
}

/// The target of a `$ref` within the document.
fn referred<'v>(object: &Map<String, Value>, root: &'v Value) -> Option<&'v Value> {
    let to = object.get("$ref")?.as_str()?;
    root.pointer(to.strip_prefix('#')?)
}

/// A schema that the provider accepts.
#[derive(Debug)]
pub(super) struct Accepted {
    pub schema: Value,
    /// Whether it differs from the client's schema in meaning.
    pub changed: bool,
}

/// Reduces a schema to what the provider accepts. `None` if it holds an open object, which would
/// come out as "only an empty object is allowed", if it is recursive, or if it exceeds the limits
/// of a request.
pub(super) fn accepted(mut schema: Value, budget: &mut Budget) -> Option<Accepted> {
    if is_recursive(&schema) {
        return None;
    }
    let mut changed = false;
    rewrite(&mut schema, &mut changed)?;
    budget
        .schema(&schema)
        .then_some(Accepted { schema, changed })
}

fn rewrite(node: &mut Value, changed: &mut bool) -> Option<()> {
    let Value::Object(object) = node else {
        return Some(());
    };
    if !expressible(object) {
        return None;
    }
    let notes = take_refused(object);
    *changed |= !notes.is_empty();
    if let Some(one) = object.shift_remove("oneOf") {
        *changed = true;
        match object.shift_remove("anyOf") {
            // Both must hold, so they are joined by `allOf`.
            Some(any) => {
                let both = [any, one].map(|branches| joined("anyOf", branches));
                let mut all = match object.shift_remove("allOf") {
                    Some(Value::Array(all)) => all,
                    _ => Vec::new(),
                };
                all.extend(both);
                object.insert("allOf".to_owned(), Value::Array(all));
            }
            None => {
                object.insert("anyOf".to_owned(), one);
            }
        }
    }
    if is_object(object)
        && object
            .insert("additionalProperties".to_owned(), Value::Bool(false))
            .is_none()
    {
        *changed = true;
    }
    note(object, &notes);
    for (name, value) in object.iter_mut() {
        match (name.as_str(), value) {
            ("properties" | "$defs" | "definitions", Value::Object(members)) => {
                for member in members.values_mut() {
                    rewrite(member, changed)?;
                }
            }
            ("anyOf" | "allOf", Value::Array(branches)) => {
                for branch in branches {
                    rewrite(branch, changed)?;
                }
            }
            ("items", item) => rewrite(item, changed)?,
            _ => {}
        }
    }
    Some(())
}

/// Whether the provider can express a node: it is not an open object, has no objects or arrays in
/// `enum`, and has no `$ref` in `allOf`.
fn expressible(object: &Map<String, Value>) -> bool {
    let is_closed = object.get("additionalProperties") == Some(&Value::Bool(false));
    let is_empty = object
        .get("properties")
        .is_none_or(|p| p.as_object().is_some_and(Map::is_empty));
    let is_open = object
        .get("additionalProperties")
        .is_some_and(|extra| extra != &Value::Bool(false))
        || (is_empty && !is_closed);
    if is_object(object) && is_open {
        return false;
    }
    let holds = |name: &str, what: fn(&Value) -> bool| {
        object
            .get(name)
            .and_then(Value::as_array)
            .is_some_and(|list| list.iter().any(what))
    };
    !holds("enum", |value| value.is_object() || value.is_array())
        && !holds("allOf", |branch| branch.get("$ref").is_some())
}

/// Removes what the provider refuses, and returns it as notes for the model.
fn take_refused(object: &mut Map<String, Value>) -> Vec<String> {
    let text = |object: &Map<String, Value>, name: &str| {
        object.get(name).and_then(Value::as_str).map(str::to_owned)
    };
    let some_items = object
        .get("minItems")
        .is_some_and(|n| !matches!(n.as_u64(), Some(0 | 1)));
    let by_place = object.get("items").is_some_and(Value::is_array);
    let format = text(object, "format")
        .is_some_and(|format| format != "uuid" && !FORMATS.contains(&format.as_str()));
    let pattern = text(object, "pattern").is_some_and(|pattern| pattern.contains("(?"));
    let also = [
        ("minItems", some_items),
        ("items", by_place),
        ("format", format),
        ("pattern", pattern),
    ];
    let also = also.iter().filter(|(_, refused)| *refused);
    let mut notes = Vec::new();
    for keyword in REFUSED.iter().chain(also.map(|(name, _)| name)) {
        if let Some(value) = object.shift_remove(*keyword) {
            notes.push(format!("{keyword}: {value}"));
        }
    }
    notes
}

/// Adds to the description what the schema cannot express.
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

fn joined(word: &str, schemas: Value) -> Value {
    Value::Object(Map::from_iter([(word.to_owned(), schemas)]))
}

/// Expands the unions at the root of an object's schema: it gets the members of all branches, and a
/// member of alternatives is required if every branch requires it. Returns whether there were any.
pub(super) fn expand_unions(schema: &mut Value) -> bool {
    if !UNIONS.iter().any(|word| schema.get(word).is_some()) {
        return false;
    }
    let root: &Value = schema;
    let seen = HashSet::new();
    let members = MemberReader { root, seen }.read(root, MAX_UNIONS);
    let Value::Object(object) = schema else {
        return false;
    };
    let mut notes = Vec::new();
    for word in UNIONS {
        if let Some(union) = object.shift_remove(word) {
            let text = union.to_string();
            notes.push(if text.len() <= MAX_NOTE {
                format!("{word}: {text}")
            } else {
                format!("{word}: the members belong to several alternatives")
            });
        }
    }
    object.insert("type".to_owned(), Value::String("object".to_owned()));
    object.insert("properties".to_owned(), Value::Object(members.properties));
    if members.required.is_empty() {
        object.shift_remove("required");
    } else {
        let names = members.required.into_iter().map(|(name, _)| name);
        object.insert("required".to_owned(), names.map(Value::String).collect());
    }
    note(object, &notes);
    true
}

/// The members that an object's schema describes.
#[derive(Default)]
struct Members {
    properties: Map<String, Value>,
    /// Names in their order; the values are unused.
    required: Map<String, Value>,
}

impl Members {
    /// Merges members that apply as well (`allOf`).
    fn both(&mut self, other: Self) {
        self.required.extend(other.required);
        for (name, schema) in other.properties {
            match self.properties.get_mut(&name) {
                None => {
                    self.properties.insert(name, schema);
                }
                Some(own) if *own == schema => {}
                Some(own) => match own {
                    Value::Object(join) if join.len() == 1 && join.contains_key("allOf") => {
                        if let Some(Value::Array(list)) = join.get_mut("allOf") {
                            list.push(schema);
                        }
                    }
                    own => *own = joined("allOf", Value::Array(vec![own.take(), schema])),
                },
            }
        }
    }

    /// Merges branches of which one applies (`anyOf`, `oneOf`).
    fn either(branches: Vec<Self>) -> Self {
        let count = branches.len();
        let mut out = Self::default();
        let mut seen = HashSet::new();
        let mut wanted: HashMap<String, usize> = HashMap::new();
        for branch in branches {
            for (name, schema) in branch.properties {
                if seen.insert((name.clone(), schema.to_string())) {
                    let list = out.properties.entry(name);
                    if let Value::Array(list) = list.or_insert_with(|| Value::Array(Vec::new())) {
                        list.push(schema);
                    }
                }
            }
            for (name, _) in branch.required {
                let times = wanted.entry(name.clone()).or_default();
                *times += 1;
                if *times == count {
                    out.required.insert(name, Value::Null);
                }
            }
        }
        for schema in out.properties.values_mut() {
            *schema = match schema.take() {
                Value::Array(mut list) if list.len() == 1 => list.pop().unwrap_or_default(),
                list => joined("anyOf", list),
            };
        }
        out
    }
}

struct MemberReader<'v> {
    root: &'v Value,
    /// Targets of references. Each is read once, however often it is referred to.
    seen: HashSet<*const Value>,
}

impl<'v> MemberReader<'v> {
    fn read(&mut self, node: &'v Value, depth: usize) -> Members {
        let mut out = Members::default();
        let Value::Object(object) = node else {
            return out;
        };
        if let Some(Value::Object(properties)) = object.get("properties") {
            out.properties.clone_from(properties);
        }
        if let Some(Value::Array(names)) = object.get("required") {
            let names = names.iter().filter_map(Value::as_str);
            out.required
                .extend(names.map(|name| (name.to_owned(), Value::Null)));
        }
        let Some(depth) = depth.checked_sub(1) else {
            return out;
        };
        if let Some(target) = referred(object, self.root)
            && self.seen.insert(std::ptr::from_ref(target))
        {
            out.both(self.read(target, depth));
        }
        for word in UNIONS {
            let Some(Value::Array(branches)) = object.get(word) else {
                continue;
            };
            let read = branches.iter().map(|branch| self.read(branch, depth));
            let read: Vec<Members> = read.collect();
            if word == "allOf" {
                for branch in read {
                    out.both(branch);
                }
            } else {
                out.both(Members::either(read));
            }
        }
        out
    }
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
            accepted(schema, &mut Budget::default()).unwrap().schema,
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
            accepted(schema, &mut Budget::default()).unwrap().schema,
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
        assert!(
            accepted(schema, &mut Budget::default()).unwrap().schema["properties"]["not"]
                .is_object()
        );
    }

    #[test]
    fn an_open_object_anywhere_cannot_be_expressed() {
        for schema in [
            json!({"type": "object"}),
            json!({"type": "object", "properties": {"a": {"type": "object", "additionalProperties": true, "properties": {"b": {}}}}}),
            json!({"type": "array", "items": {"type": ["object", "null"]}}),
        ] {
            assert!(
                accepted(schema.clone(), &mut Budget::default()).is_none(),
                "{schema}"
            );
        }
    }

    fn taken(schema: Value) -> Option<Accepted> {
        accepted(schema, &mut Budget::default())
    }

    #[test]
    fn a_schema_that_refers_to_itself_cannot_be_expressed() {
        let node = json!({"type": "object", "properties": {"next": {"$ref": "#/$defs/b"}}});
        let other = json!({"type": "array", "items": {"$ref": "#/$defs/a"}});
        for schema in [
            json!({"type": "object", "properties": {"a": {"$ref": "#"}}}),
            json!({"$ref": "#/$defs/a", "$defs": {"a": node, "b": other}}),
            json!({"type": "object", "properties": {"a": {"anyOf": [{"type": "null"}, {"$ref": "#/properties/a"}]}}}),
        ] {
            assert!(taken(schema.clone()).is_none(), "{schema}");
        }
        let twice = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/s"}, "b": {"$ref": "#/$defs/s"}},
            "$defs": {"s": {"type": "string"}}});
        assert!(taken(twice).is_some());
        // A long chain of references does not overflow the stack.
        let mut defs = Map::new();
        for n in 0..50_000 {
            defs.insert(
                format!("d{n}"),
                json!({"type": "array", "items": {"$ref": format!("#/$defs/d{}", n + 1)}}),
            );
        }
        assert!(!is_recursive(&json!({"$ref": "#/$defs/d0", "$defs": defs})));
    }

    #[test]
    fn a_union_at_the_root_is_written_out() {
        let mut schema = json!({"type": "object", "properties": {"kind": {"type": "string"}},
            "oneOf": [
                {"$ref": "#/$defs/a"},
                {"properties": {"size": {"type": "integer"}, "id": {"type": "integer"}}, "required": ["id", "size"]}],
            "allOf": [{"properties": {"kind": {"minLength": 1}}, "required": ["kind"]}],
            "$defs": {"a": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}}});
        assert!(expand_unions(&mut schema));
        assert_eq!(
            schema["properties"],
            json!({
            "kind": {"allOf": [{"type": "string"}, {"minLength": 1}]},
            "id": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "size": {"type": "integer"}})
        );
        assert_eq!(schema["required"], json!(["kind", "id"]));
        assert!(schema.get("oneOf").is_none() && schema.get("allOf").is_none());
        assert!(schema["description"].as_str().unwrap().contains("oneOf: ["));
        assert!(!expand_unions(
            &mut json!({"type": "object", "properties": {"anyOf": {}}})
        ));
    }

    #[test]
    fn what_a_request_may_hold_is_counted_over_all_schemas() {
        let mut budget = Budget::default();
        let schema = json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}, "b": {"type": "string"}}, "required": ["a"]});
        let taken = (0..30).filter(|_| accepted(schema.clone(), &mut budget).is_some());
        assert_eq!(taken.count(), 16);
        assert_eq!((0..30).filter(|_| budget.tool()).count(), 20);
    }
}
