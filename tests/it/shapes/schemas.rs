//! JSON Schemas that grow.

use super::row;

/// A name, and what is made of a number: a schema with so many elements, or one of many.
pub type Schema = (&'static str, fn(usize) -> String);

/// Levels of nesting that are within what a body may have.
const DEEP: usize = 45;

fn properties(n: usize, one: impl Fn(usize) -> String) -> String {
    row(n, |i| format!(r#""p{i}":{}"#, one(i)))
}

fn object(members: &str) -> String {
    format!(r#"{{"type":"object",{members}}}"#)
}

fn nested(n: usize, open: &str, close: &str) -> String {
    let leaf = format!(r#"{{"type":"string","description":"{}"}}"#, "d".repeat(n));
    let inside = format!("{}{leaf}{}", open.repeat(DEEP), close.repeat(DEEP));
    object(&format!(r#""properties":{{"a":{inside}}}"#))
}

fn with_definition(n: usize, definition: &str) -> String {
    let refs = properties(n, |_| r##"{"$ref":"#/$defs/a"}"##.to_owned());
    object(&format!(
        r#""$defs":{{"a":{definition}}},"properties":{{{refs}}}"#
    ))
}

fn many(keyword: &str, n: usize, one: impl Fn(usize) -> String) -> String {
    let list = row(n, one);
    object(&format!(
        r#""properties":{{"a":{{"type":"string","{keyword}":[{list}]}}}}"#
    ))
}

/// Every keyword that one provider or another does not take.
const REFUSED: &str = r#""$schema":"x","$id":"x","$comment":"x","$anchor":"x","additionalProperties":{"a":1},"unevaluatedProperties":1,"unevaluatedItems":1,"patternProperties":{"a":1},"propertyNames":1,"dependentRequired":1,"dependentSchemas":1,"contains":1,"minContains":1,"maxContains":1,"uniqueItems":1,"multipleOf":1,"if":1,"then":1,"else":1,"not":1,"contentEncoding":1,"contentMediaType":1,"minimum":1,"maximum":1,"minLength":1,"maxLength":1,"maxItems":1,"minProperties":1,"maxProperties":1,"format":"x","pattern":"(?x)","exclusiveMinimum":1,"exclusiveMaximum":1"#;

/// All of them.
pub const SCHEMAS: &[Schema] = &[
    ("properties", |n| {
        let list = properties(n, |_| r#"{"type":"string"}"#.to_owned());
        object(&format!(r#""properties":{{{list}}}"#))
    }),
    ("references to one long description", |n| {
        let text = format!(
            r#"{{"type":"string","description":"{}"}}"#,
            "d".repeat(n * 10)
        );
        with_definition(n, &text)
    }),
    ("references to one long text that is no schema", |n| {
        with_definition(n, &format!("\"{}\"", "d".repeat(n * 10)))
    }),
    ("references to one long list that is no schema", |n| {
        with_definition(n, &format!("[{}]", row(n * 5, |_| "0".to_owned())))
    }),
    ("references to one schema with many properties", |n| {
        let list = properties(n, |_| "{}".to_owned());
        with_definition(n, &object(&format!(r#""properties":{{{list}}}"#)))
    }),
    ("definitions that each refer to the next", |n| {
        let list = row(n, |i| {
            format!(
                r##""d{i}":{{"$ref":"#/$defs/d{}","description":"d"}}"##,
                i + 1
            )
        });
        object(&format!(
            r##""$defs":{{{list}}},"properties":{{"a":{{"$ref":"#/$defs/d0"}}}}"##
        ))
    }),
    (
        "definitions that refer to the next twice, the last one long",
        |n| {
            let list = row(12, |i| {
                let next = format!(r##"{{"$ref":"#/$defs/d{}"}}"##, i + 1);
                format!(r#""d{i}":{{"properties":{{"a":{next},"b":{next}}}}}"#)
            });
            let last = format!(r#""d6":{{"description":"{}"}}"#, "d".repeat(n));
            object(&format!(
                r##""$defs":{{{list},{last}}},"properties":{{"a":{{"$ref":"#/$defs/d0"}}}}"##
            ))
        },
    ),
    (
        "a definition that refers to itself twice, beside a long text",
        |n| {
            let own = r##"{"$ref":"#/$defs/a"}"##;
            let text = "d".repeat(n);
            with_definition(
                1,
                &format!(r#"{{"properties":{{"l":{own},"r":{own}}},"description":"{text}"}}"#),
            )
        },
    ),
    ("deep anyOf", |n| nested(n, r#"{"anyOf":["#, "]}")),
    ("deep oneOf", |n| nested(n, r#"{"oneOf":["#, "]}")),
    ("deep prefixItems", |n| {
        nested(n, r#"{"type":"array","prefixItems":["#, "]}")
    }),
    ("deep items", |n| {
        nested(n, r#"{"type":"array","items":"#, "}")
    }),
    ("deep not", |n| nested(n, r#"{"not":"#, "}")),
    ("deep properties", |n| {
        nested(n, r#"{"type":"object","properties":{"a":"#, "}}")
    }),
    ("branches of anyOf", |n| {
        many("anyOf", n, |_| r#"{"type":"null"}"#.to_owned())
    }),
    ("branches of oneOf", |n| {
        many("oneOf", n, |i| format!(r#"{{"const":{i}}}"#))
    }),
    ("branches of allOf", |n| {
        many("allOf", n, |i| format!(r#"{{"minimum":{i}}}"#))
    }),
    ("texts of enum", |n| {
        many("enum", n, |i| format!("\"e{i}\""))
    }),
    ("numbers of enum", |n| many("enum", n, |_| "0".to_owned())),
    ("objects of enum", |n| {
        many("enum", n, |_| r#"{"a":0}"#.to_owned())
    }),
    ("names of required", |n| {
        let list = row(n, |i| format!("\"p{i}\""));
        object(&format!(r#""properties":{{"a":{{}}}},"required":[{list}]"#))
    }),
    ("types", |n| {
        let list = row(n, |_| "\"string\"".to_owned());
        object(&format!(r#""properties":{{"a":{{"type":[{list}]}}}}"#))
    }),
    ("examples", |n| many("examples", n, |i| i.to_string())),
    ("prefixItems", |n| {
        many("prefixItems", n, |_| r#"{"type":"string"}"#.to_owned())
    }),
    ("properties of which each is bounded", |n| {
        let list = properties(n, |_| r#"{"type":"integer","minimum":1}"#.to_owned());
        object(&format!(r#""properties":{{{list}}}"#))
    }),
    ("unknown keywords, behind all that are refused", |n| {
        let list = row(n, |i| format!("\"x{i}\":0"));
        object(&format!(
            r#""properties":{{"a":{{"type":"string",{REFUSED},{list}}}}}"#
        ))
    }),
    ("a long description", |n| {
        object(&format!(
            r#""properties":{{"a":{{}}}},"description":"{}""#,
            "d".repeat(n)
        ))
    }),
    ("a long text in a keyword that is refused", |n| {
        let quotes = "\\\"".repeat(n);
        object(&format!(
            r#""properties":{{"a":{{"not":{{"const":"{quotes}"}}}}}}"#
        ))
    }),
];
