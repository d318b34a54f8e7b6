//! Requests of Chat Completions that grow.

use super::grown::grown;
use super::schemas::SCHEMAS;
use super::{Shape, row};

/// A request with these members and a message.
fn with(members: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{members}}}"#)
}

/// A request with these messages, before one of the user's.
fn talk(messages: &str) -> String {
    format!(r#"{{"model":"m","messages":[{messages},{{"role":"user","content":"x"}}]}}"#)
}

fn tool(name: &str) -> String {
    format!(r#"{{"type":"function","function":{{"name":"{name}"}}}}"#)
}

fn call(id: &str) -> String {
    format!(r#"{{"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}"#)
}

fn result(id: &str) -> String {
    format!(r#"{{"role":"tool","tool_call_id":"{id}","content":"x"}}"#)
}

fn assistant(members: &str) -> String {
    format!(r#"{{"role":"assistant",{members}}}"#)
}

fn message(role: &str, content: &str) -> String {
    format!(r#"{{"role":"{role}","content":{content}}}"#)
}

/// Calls in one message and their results behind it, in the order that `nth` tells.
fn calls(n: usize, id: impl Fn(usize) -> String, nth: impl Fn(usize) -> usize) -> String {
    let made = row(n, |i| call(&id(i)));
    let results = row(n, |i| result(&id(nth(i))));
    talk(&format!(
        "{},{results}",
        assistant(&format!(r#""tool_calls":[{made}]"#))
    ))
}

fn detail(format: &str, i: usize) -> String {
    format!(
        r#"{{"type":"reasoning.text","text":"t","signature":"s","data":"d","format":"{format}","id":"call_{i}","index":{i}}}"#
    )
}

/// A message with so many details of its reasoning, and as many calls.
fn reasoned(n: usize, format: &str) -> String {
    let made = row(n, |i| call(&format!("call_{i}")));
    let details = row(n, |i| detail(format, i));
    let results = row(n, |i| result(&format!("call_{i}")));
    talk(&format!(
        "{},{results}",
        assistant(&format!(
            r#""reasoning_details":[{details}],"tool_calls":[{made}]"#
        ))
    ))
}

/// A usual conversation: what others are measured against.
pub fn plain() -> Shape {
    Shape::body("a usual conversation", |n| {
        let text = "Say \\\"what\\\" the gateway costs.\\n".repeat(3);
        let turns = row(n, |i| {
            format!(
                "{},{},{},{}",
                message("user", &format!("\"{text}\"")),
                assistant(&format!(
                    r#""content":"{text}","tool_calls":[{}]"#,
                    call(&format!("call_{i}_abcdefgh"))
                )),
                result(&format!("call_{i}_abcdefgh")),
                assistant(&format!(r#""content":"{text}""#)),
            )
        });
        let tools = row(n / 8 + 1, |i| {
            format!(
                r#"{{"type":"function","function":{{"name":"look_up_{i}","description":"{text}","parameters":{{"type":"object","required":["place"],"properties":{{"place":{{"type":"string","description":"{text}"}},"days":{{"type":"integer"}}}}}}}}}}"#
            )
        });
        format!(
            r#"{{"model":"m","max_tokens":500,"tools":[{tools}],"messages":[{turns},{}]}}"#,
            message("user", "\"x\"")
        )
    })
}

fn tools() -> Vec<Shape> {
    let allowed = |n: usize, name: &str| {
        let tools = row(n, |i| tool(&format!("a{i}")));
        let names = row(n, |i| tool(&format!("{name}{i}")));
        with(&format!(
            r#""tools":[{tools}],"tool_choice":{{"type":"allowed_tools","allowed_tools":{{"mode":"auto","tools":[{names}]}}}}"#
        ))
    };
    vec![
        Shape::body("tools", |n| {
            with(&format!(
                r#""tools":[{}]"#,
                row(n, |i| tool(&format!("a{i}")))
            ))
        }),
        Shape::body("tools of one name", |n| {
            with(&format!(r#""tools":[{}]"#, row(n, |_| tool("a"))))
        }),
        Shape::body("tools that are no functions", |n| {
            let one = |_| r#"{"type":"web_20250305","name":"a"}"#.to_owned();
            with(&format!(r#""tools":[{}]"#, row(n, one)))
        }),
        Shape::body("tools with a cache marker each", |n| {
            let one = |i| {
                format!(
                    r#"{{"type":"function","cache_control":{{"type":"ephemeral"}},"function":{{"name":"a{i}"}}}}"#
                )
            };
            with(&format!(r#""tools":[{}]"#, row(n, one)))
        }),
        Shape::body("functions", |n| {
            with(&format!(
                r#""functions":[{}]"#,
                row(n, |i| format!(r#"{{"name":"a{i}"}}"#))
            ))
        }),
        Shape::body("unknown members of a tool", |n| {
            let members = row(n, |i| format!("\"x{i}\":0"));
            with(&format!(
                r#""tools":[{{"type":"function","function":{{"name":"a"}},{members}}}]"#
            ))
        }),
        Shape::body("tools and as many allowed ones", move |n| allowed(n, "a")),
        Shape::body("tools and as many others that are allowed", move |n| {
            allowed(n, "b")
        }),
    ]
}

fn of_schemas() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for (name, schema) in SCHEMAS {
        for strict in [false, true] {
            let strictly = if strict { " of a strict tool" } else { "" };
            shapes.push(Shape::body(&format!("schema{strictly}: {name}"), move |n| {
                with(&format!(
                    r#""tools":[{{"type":"function","function":{{"name":"a","strict":{strict},"parameters":{}}}}}]"#,
                    schema(n)
                ))
            }));
        }
        shapes.push(Shape::body(&format!("schema of the answer: {name}"), move |n| {
            with(&format!(
                r#""response_format":{{"type":"json_schema","json_schema":{{"name":"a","schema":{}}}}}"#,
                schema(n)
            ))
        }));
    }
    shapes
}

fn roles() -> Vec<Shape> {
    let mut shapes: Vec<_> = ["user", "assistant", "system", "developer"]
        .into_iter()
        .map(|role| {
            Shape::body(&format!("messages of the role {role}"), move |n| {
                talk(&row(n, |_| message(role, "\"x\"")))
            })
        })
        .collect();
    for role in ["system", "developer", "assistant"] {
        shapes.push(Shape::body(&format!("{role} and user in turn"), move |n| {
            let first = message("user", "\"x\"");
            let pair = |_| format!("{},{}", message(role, "\"x\""), message("user", "\"x\""));
            talk(&format!("{first},{}", row(n, pair)))
        }));
    }
    let called = |name: &str| {
        assistant(&format!(
            r#""content":null,"function_call":{{"name":"{name}","arguments":"{{}}"}}"#
        ))
    };
    let legacy = |name: &str| format!(r#"{{"role":"function","name":"{name}","content":"x"}}"#);
    shapes.push(Shape::body(
        "function results, each behind its call",
        move |n| {
            let pair = |i| format!("{},{}", called(&format!("f{i}")), legacy(&format!("f{i}")));
            talk(&row(n, pair))
        },
    ));
    shapes.push(Shape::body(
        "function results of one name behind all calls",
        move |n| {
            talk(&format!(
                "{},{}",
                row(n, |_| called("f")),
                row(n, |_| legacy("f"))
            ))
        },
    ));
    shapes.push(Shape::body(
        "function results without their calls",
        move |n| {
            talk(&format!(
                "{},{}",
                row(n, |_| called("f")),
                row(n, |_| legacy("g"))
            ))
        },
    ));
    shapes.push(Shape::body(
        "system messages between a call and its result",
        |n| {
            let call = assistant(&format!(r#""tool_calls":[{}]"#, call("a")));
            let row = row(n, |_| message("system", "\"x\""));
            talk(&format!("{call},{row},{}", result("a")))
        },
    ));
    shapes.push(Shape::body("messages with a name", |n| {
        talk(&row(n, |i| {
            format!(r#"{{"role":"user","name":"n{i}","content":"x"}}"#)
        }))
    }));
    shapes.push(Shape::body("messages with a cache marker", |n| {
        talk(&row(n, |_| {
            r#"{"role":"user","cache_control":{"type":"ephemeral"},"content":"x"}"#.to_owned()
        }))
    }));
    shapes.push(Shape::body("messages with nulls", |n| {
        talk(&row(n, |_| {
            assistant(r#""content":null,"refusal":null,"audio":null,"tool_calls":null"#)
        }))
    }));
    shapes.push(Shape::body("elements of messages that are none", |n| {
        talk(&row(n, |_| "0".to_owned()))
    }));
    shapes
}

fn of_calls() -> Vec<Shape> {
    let long = |i: usize| format!("call_{i}_{}", "x".repeat(80));
    vec![
        Shape::body("calls of one message, and their results", |n| {
            calls(n, |i| format!("call_{i}"), |i| i)
        }),
        Shape::body("calls of one message, and their results from behind", |n| {
            calls(n, |i| format!("call_{i}"), |i| n - 1 - i)
        }),
        Shape::body("calls of one message with one id, and their results", |n| {
            calls(n, |_| "a".to_owned(), |i| i)
        }),
        Shape::body("calls of one message with ids that are alike", |n| {
            let id = |i| {
                let mark = [":", ".", "/", "+"].get(i % 4).copied().unwrap_or_default();
                format!("a{mark}{}", if i % 2 == 0 { 2 } else { 3 })
            };
            calls(n, id, |i| i)
        }),
        Shape::body("ids that stand where others are made", |n| {
            let id = |i: usize| {
                if i < n / 2 {
                    format!("a_{}", i + 2)
                } else {
                    "a".to_owned()
                }
            };
            calls(n, id, |i| i)
        }),
        Shape::body("calls of one message with long ids", move |n| {
            calls(n, long, |i| i)
        }),
        Shape::body("calls of one message, and no results", |n| {
            let made = row(n, |i| call(&format!("call_{i}")));
            talk(&assistant(&format!(r#""tool_calls":[{made}]"#)))
        }),
        Shape::body("messages with a call each, and its result", |n| {
            talk(&row(n, |i| {
                let call = call(&format!("call_{i}"));
                let call = assistant(&format!(r#""tool_calls":[{call}]"#));
                format!("{call},{}", result(&format!("call_{i}")))
            }))
        }),
        Shape::body("messages with a call of one id each, and its result", |n| {
            talk(&row(n, |_| {
                let call = assistant(&format!(r#""tool_calls":[{}]"#, call("a")));
                format!("{call},{}", result("a"))
            }))
        }),
        Shape::body("results without calls", |n| {
            talk(&row(n, |i| result(&format!("call_{i}"))))
        }),
        Shape::body("unknown members of a call", |n| {
            let members = row(n, |i| format!("\"x{i}\":0"));
            let call = format!(r#"{{"id":"a","function":{{"name":"f"}},{members}}}"#);
            let call = assistant(&format!(r#""tool_calls":[{call}]"#));
            talk(&format!("{call},{}", result("a")))
        }),
        Shape::body("arguments that are long", |n| {
            let call = format!(
                r#"{{"id":"a","function":{{"name":"f","arguments":"{{\"a\":[{}]}}"}}}}"#,
                row(n, |_| "0".to_owned())
            );
            let call = assistant(&format!(r#""tool_calls":[{call}]"#));
            talk(&format!("{call},{}", result("a")))
        }),
        Shape::body("arguments that are no JSON", |n| {
            let text = "\\\\\\\"".repeat(n);
            let call = format!(r#"{{"id":"a","function":{{"name":"f","arguments":"{text}"}}}}"#);
            let call = assistant(&format!(r#""tool_calls":[{call}]"#));
            talk(&format!("{call},{}", result("a")))
        }),
    ]
}

fn reasoning() -> Vec<Shape> {
    let formats = [
        "anthropic-claude-v1",
        "google-gemini-v1",
        "openai-responses-v1",
        "reasoning-content-v1",
        "unknown",
    ];
    let mut shapes = Vec::new();
    for format in formats {
        shapes.push(Shape::body(
            &format!("details of {format}, and as many calls"),
            move |n| reasoned(n, format),
        ));
        shapes.push(Shape::body(
            &format!("messages with a detail of {format}"),
            move |n| {
                talk(&row(n, |i| {
                    let call = call(&format!("call_{i}"));
                    let said = format!(
                        r#""reasoning_details":[{}],"tool_calls":[{call}]"#,
                        detail(format, i)
                    );
                    format!("{},{}", assistant(&said), result(&format!("call_{i}")))
                }))
            },
        ));
    }
    shapes.push(Shape::body("thinking blocks", |n| {
        let one = |_| r#"{"type":"thinking","thinking":"t","signature":"s"}"#.to_owned();
        talk(&assistant(&format!(
            r#""content":"x","thinking_blocks":[{}]"#,
            row(n, one)
        )))
    }));
    shapes.push(Shape::body("blocks of another answer", |n| {
        let one = |_| r#"{"type":"text","text":"t"}"#.to_owned();
        let own = format!(r#"{{"anthropic":{{"content":[{}]}}}}"#, row(n, one));
        let text = "t".repeat(n);
        talk(&assistant(&format!(
            r#""content":"{text}","provider_specific_fields":{own}"#
        )))
    }));
    shapes.push(Shape::body("long reasoning", |n| {
        let text = "r".repeat(n);
        let said = format!(
            r#""reasoning_content":"{text}","tool_calls":[{}]"#,
            call("a")
        );
        talk(&format!("{},{}", assistant(&said), result("a")))
    }));
    // The id is one of those that the memory of the ways knows.
    shapes.push(Shape::body(
        "messages with one call that is remembered",
        |n| {
            talk(&row(n, |_| {
                let call = call(super::ways::REMEMBERED);
                let call = assistant(&format!(r#""tool_calls":[{call}]"#));
                format!("{call},{}", result(super::ways::REMEMBERED))
            }))
        },
    ));
    shapes
}

fn parts() -> Vec<Shape> {
    let parts: [(&str, &str); 9] = [
        ("texts", r#"{"type":"text","text":"x"}"#),
        ("blank texts", r#"{"type":"text","text":" "}"#),
        (
            "texts with a cache marker",
            r#"{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}"#,
        ),
        (
            "images",
            r#"{"type":"image_url","image_url":{"url":"https://x.example/a"}}"#,
        ),
        (
            "images in themselves",
            r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","detail":"low"}}"#,
        ),
        (
            "files",
            r#"{"type":"file","file":{"filename":"a","file_data":"data:application/pdf;base64,AAAA"}}"#,
        ),
        (
            "files of text",
            r#"{"type":"file","file":{"file_data":"data:text/plain;base64,AAAA"}}"#,
        ),
        (
            "Anthropic's own",
            r#"{"type":"document","source":{"type":"text","data":"x"}}"#,
        ),
        ("unknown", r#"{"type":"unknown","x":1}"#),
    ];
    let mut shapes = Vec::new();
    for (name, part) in parts {
        shapes.push(Shape::body(&format!("parts: {name}"), move |n| {
            talk(&message(
                "user",
                &format!("[{}]", row(n, |_| part.to_owned())),
            ))
        }));
    }
    for role in ["system", "assistant"] {
        shapes.push(Shape::body(&format!("parts of {role}"), move |n| {
            let parts = row(n, |_| r#"{"type":"text","text":"x"}"#.to_owned());
            talk(&message(role, &format!("[{parts}]")))
        }));
    }
    shapes.push(Shape::body("parts of a result", |n| {
        let parts = row(n, |_| r#"{"type":"text","text":"x"}"#.to_owned());
        let call = assistant(&format!(r#""tool_calls":[{}]"#, call("a")));
        talk(&format!(
            r#"{call},{{"role":"tool","tool_call_id":"a","content":[{parts}]}}"#
        ))
    }));
    shapes.push(Shape::body("unknown members of a part", |n| {
        let members = row(n, |i| format!("\"x{i}\":0"));
        talk(&message(
            "user",
            &format!(r#"[{{"type":"text","text":"x",{members}}}]"#),
        ))
    }));
    shapes.push(Shape::body("unknown members of a message", |n| {
        let members = row(n, |i| format!("\"x{i}\":0"));
        talk(&format!(r#"{{"role":"user","content":"x",{members}}}"#))
    }));
    shapes.push(Shape::body(
        "one member of a message, again and again",
        |n| {
            let members = row(n, |_| "\"x\":0".to_owned());
            talk(&format!(r#"{{"role":"user","content":"x",{members}}}"#))
        },
    ));
    shapes
}

fn parameters() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for (name, open, close) in [
        ("metadata", r#""metadata":{"#, "}"),
        ("logit_bias", r#""logit_bias":{"#, "}"),
        (
            "thinking",
            r#""thinking":{"type":"enabled","budget_tokens":2000,"#,
            "}",
        ),
        ("the request", "", ""),
        (
            "web_search_options",
            r#""web_search_options":{"user_location":{"type":"approximate","approximate":{"#,
            "}}}",
        ),
        (
            "response_format",
            r#""response_format":{"type":"json_object","#,
            "}",
        ),
    ] {
        shapes.push(Shape::body(&format!("members of {name}"), move |n| {
            with(&format!(
                "{open}{}{close}",
                row(n, |i| format!("\"k{i:05}\":0"))
            ))
        }));
    }
    for name in ["stop", "modalities", "include"] {
        shapes.push(Shape::body(&format!("texts of {name}"), move |n| {
            let list = row(n, |i| format!("\"s{i:06}\""));
            with(&format!(r#""{name}":[{list}]"#))
        }));
        shapes.push(Shape::body(
            &format!("texts of {name} that are alike"),
            move |n| {
                let list = row(n, |_| "\"text\"".to_owned());
                with(&format!(r#""{name}":[{list}]"#))
            },
        ));
    }
    shapes.push(Shape::body(
        "long texts of stop that differ at their end",
        |n| {
            let list = row(n, |i| format!("\"{}{i:06}\"", "s".repeat(60)));
            with(&format!(r#""stop":[{list}]"#))
        },
    ));
    shapes.push(Shape::body("messages before a JSON object", |n| {
        let talk = row(n, |_| message("system", "\"x\""));
        format!(
            r#"{{"model":"m","response_format":{{"type":"json_object"}},"messages":[{talk},{}]}}"#,
            message("user", "\"x\"")
        )
    }));
    shapes
}

fn texts() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for (name, piece) in [
        ("letters", "x"),
        ("quotes", "\\\""),
        ("backslashes", "\\\\"),
        ("line ends", "\\n"),
        ("control characters", "\\u0001"),
        ("escaped letters", "\\u0078"),
        ("pairs of surrogates", "\\ud83e\\udd80"),
        ("characters of four bytes", "\u{1f980}"),
    ] {
        for role in ["user", "system"] {
            shapes.push(Shape::body(
                &format!("{name} in a message of {role}"),
                move |n| talk(&message(role, &format!("\"{}\"", piece.repeat(n)))),
            ));
        }
        shapes.push(Shape::body(&format!("{name} in `user`"), move |n| {
            with(&format!(r#""user":"{}""#, piece.repeat(n)))
        }));
    }
    shapes.push(Shape::body("letters, and half of a pair at the end", |n| {
        talk(&message("user", &format!("\"{}\\ud83e\"", "x".repeat(n))))
    }));
    shapes.push(Shape::body("spaces between tokens", |n| {
        format!("{}{}", " ".repeat(n), talk(&message("user", "\"x\"")))
    }));
    shapes.push(Shape::body("digits of a number", |n| {
        with(&format!(r#""temperature":0.{}"#, "1".repeat(n)))
    }));
    shapes.push(Shape::body("brackets that never close", |n| {
        format!(r#"{{"model":"m","messages":{}"#, "[".repeat(n))
    }));
    shapes
}

/// A request in which there is something of everything: what grows is each list, each text and each
/// object of it.
const EVERYTHING: &str = r#"{"model":"m","max_tokens":500,"temperature":1,"stop":["stop #"],"user":"u",
"metadata":{"user_id":"m"},"reasoning_effort":"low","service_tier":"auto","parallel_tool_calls":true,
"tools":[{"type":"function","function":{"name":"f#","description":"d","strict":true,"parameters":{"type":"object",
"properties":{"a":{"type":"string","enum":["e#"],"description":"d"},"b":{"anyOf":[{"type":"string"},{"type":"null"}]},
"c":{"type":"array","items":{"type":"integer","minimum":1}}},"required":["a#"],"additionalProperties":false}}}],
"messages":[
{"role":"system","content":[{"type":"text","text":"t"}]},
{"role":"user","content":[{"type":"text","text":"t","cache_control":{"type":"ephemeral"}},
{"type":"image_url","image_url":{"url":"https://x.example/a","detail":"low"}},
{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},
{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,AAAA"}}]},
{"role":"assistant","content":"c","refusal":"r","reasoning_content":"t","reasoning_details":[
{"type":"reasoning.text","text":"t","signature":"s","format":"anthropic-claude-v1","index":0}],
"tool_calls":[{"id":"call_#","type":"function","function":{"name":"f","arguments":"{\"a\":\"b\"}"},
"extra_content":{"google":{"thought_signature":"s"}}}]},
{"role":"tool","tool_call_id":"call_#","content":[{"type":"text","text":"t"}]},
{"role":"system","content":"s"},
{"role":"user","name":"n","content":"u"}]}"#;

/// All of them.
pub fn shapes() -> Vec<Shape> {
    let mut shapes = tools();
    shapes.extend(of_schemas());
    shapes.extend(roles());
    shapes.extend(of_calls());
    shapes.extend(reasoning());
    shapes.extend(parts());
    shapes.extend(parameters());
    shapes.extend(texts());
    shapes
}

/// Those that are made of one request.
pub fn grown_shapes() -> Vec<Shape> {
    grown(EVERYTHING)
}
