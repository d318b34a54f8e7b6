//! Requests of Responses that grow.

use super::grown::grown;
use super::schemas::{SCHEMAS, Schema};
use super::{Shape, row};

/// Reasoning that this gateway sealed: a list with one detail.
const SEALED: &str = "gw1.W3sidHlwZSI6InJlYXNvbmluZy50ZXh0IiwidGV4dCI6InQiLCJzaWduYXR1cmUiOiJzIn1d";

/// The same without any.
const SEALED_EMPTY: &str = "gw1.W10";

const USER: &str = r#"{"role":"user","content":"x"}"#;

fn with(members: &str) -> String {
    format!(r#"{{"model":"m","input":"x",{members}}}"#)
}

fn items(items: &str) -> String {
    format!(r#"{{"model":"m","input":[{items},{USER}]}}"#)
}

fn tool(name: &str) -> String {
    format!(r#"{{"type":"function","name":"{name}"}}"#)
}

fn call(id: &str) -> String {
    format!(r#"{{"type":"function_call","call_id":"{id}","name":"f","arguments":"{{}}"}}"#)
}

fn output(id: &str) -> String {
    format!(r#"{{"type":"function_call_output","call_id":"{id}","output":"x"}}"#)
}

/// A usual conversation: what others are measured against.
pub fn plain() -> Shape {
    Shape::body("a usual conversation", |n| {
        let text = "Say \\\"what\\\" the gateway costs.\\n".repeat(3);
        let turns = row(n, |i| {
            let id = format!("call_{i}_abcdefgh");
            format!(
                r#"{{"type":"message","role":"user","content":[{{"type":"input_text","text":"{text}"}}]}},{},{},{{"type":"message","role":"assistant","content":[{{"type":"output_text","text":"{text}"}}]}}"#,
                call(&id),
                output(&id)
            )
        });
        let tools = row(n / 8 + 1, |i| {
            format!(
                r#"{{"type":"function","name":"look_up_{i}","description":"{text}","parameters":{{"type":"object","required":["place"],"properties":{{"place":{{"type":"string","description":"{text}"}},"days":{{"type":"integer"}}}}}}}}"#
            )
        });
        format!(
            r#"{{"model":"m","max_output_tokens":500,"instructions":"{text}","tools":[{tools}],"input":[{turns},{USER}]}}"#
        )
    })
}

fn tools() -> Vec<Shape> {
    let allowed = |n: usize, name: &str| {
        let tools = row(n, |i| tool(&format!("a{i}")));
        let names = row(n, |i| tool(&format!("{name}{i}")));
        with(&format!(
            r#""tools":[{tools}],"tool_choice":{{"type":"allowed_tools","mode":"auto","tools":[{names}]}}"#
        ))
    };
    let mut shapes = vec![
        Shape::body("tools and as many allowed ones", move |n| allowed(n, "a")),
        Shape::body("tools and as many others that are allowed", move |n| {
            allowed(n, "b")
        }),
        Shape::body("tools of a namespace", |n| {
            let tools = row(n, |i| tool(&format!("a{i}")));
            with(&format!(
                r#""tools":[{{"type":"namespace","name":"n","tools":[{tools}]}}]"#
            ))
        }),
        Shape::body("unknown members of a tool", |n| {
            let members = row(n, |i| format!("\"x{i}\":0"));
            with(&format!(
                r#""tools":[{{"type":"function","name":"a",{members}}}]"#
            ))
        }),
    ];
    let one: [Schema; 6] = [
        ("tools", |i| tool(&format!("a{i}"))),
        ("tools of one name", |_| tool("a")),
        ("tools that take any text", |i| {
            format!(r#"{{"type":"custom","name":"c{i}"}}"#)
        }),
        ("namespaces of a tool", |i| {
            format!(
                r#"{{"type":"namespace","name":"n{i}","tools":[{}]}}"#,
                tool("a")
            )
        }),
        ("searches", |_| r#"{"type":"web_search"}"#.to_owned()),
        ("tools with a long name in a namespace", |i| {
            let name = format!("{}{i}", "n".repeat(90));
            format!(
                r#"{{"type":"namespace","name":"{name}","tools":[{}]}}"#,
                tool("a")
            )
        }),
    ];
    for (name, one) in one {
        shapes.push(Shape::body(name, move |n| {
            with(&format!(r#""tools":[{}]"#, row(n, one)))
        }));
    }
    for (name, schema) in SCHEMAS {
        shapes.push(Shape::body(&format!("schema: {name}"), move |n| {
            with(&format!(
                r#""tools":[{{"type":"function","name":"a","parameters":{}}}]"#,
                schema(n)
            ))
        }));
        shapes.push(Shape::body(
            &format!("schema of the answer: {name}"),
            move |n| {
                with(&format!(
                    r#""text":{{"format":{{"type":"json_schema","name":"a","schema":{}}}}}"#,
                    schema(n)
                ))
            },
        ));
    }
    shapes
}

fn of_items() -> Vec<Shape> {
    let one: [(&str, String); 13] = [
        (
            "sealed reasoning",
            format!(r#"{{"type":"reasoning","encrypted_content":"{SEALED}"}}"#),
        ),
        (
            "sealed reasoning without any",
            format!(r#"{{"type":"reasoning","encrypted_content":"{SEALED_EMPTY}"}}"#),
        ),
        (
            "reasoning that another sealed",
            r#"{"type":"reasoning","encrypted_content":"x"}"#.to_owned(),
        ),
        (
            "reasoning",
            format!(
                r#"{{"type":"reasoning","content":[{{"type":"reasoning_text","text":"{}"}}]}}"#,
                "t".repeat(60)
            ),
        ),
        (
            "summaries of reasoning",
            r#"{"type":"reasoning","summary":[{"type":"summary_text","text":"t"}]}"#.to_owned(),
        ),
        ("users", USER.to_owned()),
        (
            "assistants",
            r#"{"role":"assistant","content":"x"}"#.to_owned(),
        ),
        ("systems", r#"{"role":"system","content":"x"}"#.to_owned()),
        (
            "developers",
            r#"{"role":"developer","content":[{"type":"input_text","text":"x"}]}"#.to_owned(),
        ),
        (
            "results of hosted tools",
            r#"{"type":"web_search_call"}"#.to_owned(),
        ),
        ("elements that are none", "0".to_owned()),
        ("unknown items", r#"{"type":"unknown"}"#.to_owned()),
        ("calls of one id", format!("{},{}", call("a"), output("a"))),
    ];
    let mut shapes: Vec<_> = one
        .into_iter()
        .map(|(name, one)| {
            Shape::body(&format!("items: {name}"), move |n| {
                items(&row(n, |_| one.clone()))
            })
        })
        .collect();
    shapes.extend([
        Shape::body("sealed reasoning, each before a call", |n| {
            items(&row(n, |i| {
                let id = format!("call_{i}");
                let sealed = format!(r#"{{"type":"reasoning","encrypted_content":"{SEALED}"}}"#);
                format!("{sealed},{},{}", call(&id), output(&id))
            }))
        }),
        Shape::body("calls, and their results behind them", |n| {
            let calls = row(n, |i| call(&format!("call_{i}")));
            let outputs = row(n, |i| output(&format!("call_{i}")));
            items(&format!("{calls},{outputs}"))
        }),
        Shape::body("calls, and their results behind them from behind", |n| {
            let calls = row(n, |i| call(&format!("call_{i}")));
            let outputs = row(n, |i| output(&format!("call_{}", n - 1 - i)));
            items(&format!("{calls},{outputs}"))
        }),
        Shape::body("calls of tools that take any text", |n| {
            items(&row(n, |i| {
                format!(
                    r#"{{"type":"custom_tool_call","call_id":"call_{i}","name":"f","input":"\"\\"}},{{"type":"custom_tool_call_output","call_id":"call_{i}","output":"x"}}"#
                )
            }))
        }),
        Shape::body("calls of namespaces", |n| {
            items(&row(n, |i| {
                let id = format!("call_{i}");
                format!(
                    r#"{{"type":"function_call","call_id":"{id}","namespace":"n{i}","name":"f","arguments":""}},{}"#,
                    output(&id)
                )
            }))
        }),
        Shape::body("calls with one id that is remembered", |n| {
            let id = super::ways::REMEMBERED;
            items(&row(n, |_| format!("{},{}", call(id), output(id))))
        }),
        Shape::body("parts of reasoning", |n| {
            let parts = row(n, |_| r#"{"type":"reasoning_text","text":"t"}"#.to_owned());
            items(&format!(r#"{{"type":"reasoning","content":[{parts}]}}"#))
        }),
    ]);
    let parts: [(&str, &str); 6] = [
        ("texts", r#"{"type":"input_text","text":"x"}"#),
        (
            "images",
            r#"{"type":"input_image","image_url":"https://x.example/a"}"#,
        ),
        (
            "files",
            r#"{"type":"input_file","file_data":"data:application/pdf;base64,AAAA"}"#,
        ),
        ("sound", r#"{"type":"input_audio","input_audio":{}}"#),
        ("refusals", r#"{"type":"refusal","refusal":"x"}"#),
        ("unknown", r#"{"type":"unknown"}"#),
    ];
    for (name, part) in parts {
        for role in ["user", "assistant"] {
            shapes.push(Shape::body(&format!("parts of {role}: {name}"), move |n| {
                let parts = row(n, |_| part.to_owned());
                items(&format!(r#"{{"role":"{role}","content":[{parts}]}}"#))
            }));
        }
        shapes.push(Shape::body(
            &format!("parts of a result: {name}"),
            move |n| {
                let parts = row(n, |_| part.to_owned());
                items(&format!(
                    r#"{},{{"type":"function_call_output","call_id":"a","output":[{parts}]}}"#,
                    call("a")
                ))
            },
        ));
    }
    shapes
}

fn parameters() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for (name, open, close) in [
        ("metadata", r#""metadata":{"#, "}"),
        ("reasoning", r#""reasoning":{"effort":"low","#, "}"),
        ("text", r#""text":{"verbosity":"low","#, "}"),
        ("the request", "", ""),
    ] {
        shapes.push(Shape::body(&format!("members of {name}"), move |n| {
            with(&format!(
                "{open}{}{close}",
                row(n, |i| format!("\"k{i:05}\":0"))
            ))
        }));
    }
    for piece in ["x", "\\\"", "\\u0001", "\\ud83e\\udd80"] {
        shapes.push(Shape::body(&format!("instructions of {piece}"), move |n| {
            with(&format!(r#""instructions":"{}""#, piece.repeat(n)))
        }));
        shapes.push(Shape::body(&format!("input of {piece}"), move |n| {
            format!(r#"{{"model":"m","input":"{}"}}"#, piece.repeat(n))
        }));
        shapes.push(Shape::body(
            &format!("input of a tool of {piece}"),
            move |n| {
                items(&format!(
                    r#"{{"type":"custom_tool_call","call_id":"a","name":"f","input":"{}"}},{}"#,
                    piece.repeat(n),
                    output("a")
                ))
            },
        ));
    }
    shapes.push(Shape::body("texts of include", |n| {
        with(&format!(
            r#""include":[{}]"#,
            row(n, |i| format!("\"s{i:06}\""))
        ))
    }));
    shapes
}

/// A request in which there is something of everything.
const EVERYTHING: &str = r#"{"model":"m","max_output_tokens":500,"instructions":"i","user":"u","metadata":{"user_id":"m"},
"reasoning":{"effort":"low","summary":"auto"},"text":{"verbosity":"low"},"include":["reasoning.encrypted_content"],
"service_tier":"auto","parallel_tool_calls":true,
"tools":[{"type":"function","name":"f#","description":"d","strict":true,"parameters":{"type":"object",
"properties":{"a":{"type":"string","enum":["e#"]},"b":{"anyOf":[{"type":"string"},{"type":"null"}]}},
"required":["a#"],"additionalProperties":false}},
{"type":"custom","name":"c#","description":"d","format":{"type":"grammar","syntax":"lark","definition":"g"}},
{"type":"namespace","name":"n#","tools":[{"type":"function","name":"g#"}]}],
"input":[
{"type":"message","role":"developer","content":[{"type":"input_text","text":"t"}]},
{"type":"message","role":"user","content":[{"type":"input_text","text":"t"},
{"type":"input_image","image_url":"https://x.example/a","detail":"low"},
{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,AAAA"}]},
{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"t"}],"content":[{"type":"reasoning_text","text":"t"}]},
{"type":"message","role":"assistant","content":[{"type":"output_text","text":"t","annotations":[]}]},
{"type":"function_call","call_id":"call_#","name":"f","arguments":"{\"a\":\"b\"}"},
{"type":"function_call_output","call_id":"call_#","output":[{"type":"input_text","text":"t"}]},
{"type":"custom_tool_call","call_id":"own_#","name":"c","input":"i"},
{"type":"custom_tool_call_output","call_id":"own_#","output":"o"},
{"role":"user","content":"u"}]}"#;

/// All of them.
pub fn shapes() -> Vec<Shape> {
    let mut shapes = tools();
    shapes.extend(of_items());
    shapes.extend(parameters());
    shapes
}

/// Those that are made of one request.
pub fn grown_shapes() -> Vec<Shape> {
    grown(EVERYTHING)
}
