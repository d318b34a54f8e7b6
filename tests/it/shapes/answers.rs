//! Whole answers, errors and lists of providers that grow.

use super::{Shape, row};

fn completion(message: &str, more: &str) -> String {
    format!(
        r#"{{"id":"c","object":"chat.completion","created":7,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant",{message}}},"logprobs":null,"finish_reason":"stop"}}]{more}}}"#
    )
}

/// What others are measured against.
pub fn plain_completion() -> Shape {
    Shape::body("calls of usual size", |n| {
        let text = "Say \\\"what\\\" the gateway costs.\\n".repeat(3);
        let calls = row(n, |i| {
            format!(
                r#"{{"id":"call_{i}","type":"function","function":{{"name":"f","arguments":"{{\"a\":\"{}\"}}"}}}}"#,
                "x".repeat(80)
            )
        });
        completion(
            &format!(r#""content":"{text}","refusal":null,"tool_calls":[{calls}]"#),
            "",
        )
    })
}

/// Whole completions, and errors of those who write them.
pub fn completions() -> Vec<Shape> {
    let mut shapes = vec![
        plain_completion(),
        Shape::body("choices", |n| {
            let one = |i| {
                format!(
                    r#"{{"index":{i},"message":{{"role":"assistant","content":"x"}},"finish_reason":"stop"}}"#
                )
            };
            format!(
                r#"{{"id":"c","object":"chat.completion","created":7,"model":"m","choices":[{}]}}"#,
                row(n, one)
            )
        }),
        Shape::body("a long id, and calls without one", |n| {
            let one =
                |_| r#"{"type":"function","function":{"name":"f","arguments":"{}"}}"#.to_owned();
            format!(
                r#"{{"id":"{}","choices":[{{"index":0,"message":{{"content":null,"tool_calls":[{}]}},"finish_reason":"tool_calls"}}]}}"#,
                "c".repeat(n * 100),
                row(n, one)
            )
        }),
        Shape::body("unknown members", |n| {
            completion(
                r#""content":"x""#,
                &format!(",{}", row(n, |i| format!("\"x{i}\":0"))),
            )
        }),
        Shape::body("unknown members of the message", |n| {
            completion(
                &format!(r#""content":"x",{}"#, row(n, |i| format!("\"x{i}\":0"))),
                "",
            )
        }),
        Shape::body("a long text", |n| {
            completion(&format!(r#""content":"{}""#, "\\u0001".repeat(n)), "")
        }),
        Shape::body("a long text of beginnings of a tag", |n| {
            completion(
                &format!(r#""content":"<reasoning>{}""#, "</reason".repeat(n)),
                "",
            )
        }),
        Shape::body("an error with details", |n| {
            let one = |i| format!(r#"{{"loc":["body","m{i}"],"msg":"m"}}"#);
            format!(r#"{{"detail":[{}]}}"#, row(n, one))
        }),
        Shape::body("an error with a place of many steps", |n| {
            let steps = row(n, |i| format!("\"s{i}\""));
            format!(r#"{{"detail":[{{"loc":[{steps}],"msg":"m"}}]}}"#)
        }),
        Shape::body("an error with unknown members", |n| {
            let members = row(n, |i| format!("\"x{i}\":0"));
            format!(r#"{{"error":{{"message":"m",{members}}}}}"#)
        }),
        Shape::body("an error with a long text", |n| {
            format!(r#"{{"error":{{"message":"{}"}}}}"#, "sk-a ".repeat(n))
        }),
    ];
    for (name, member, one) in [
        (
            "calls",
            "tool_calls",
            r#"{"id":"call","type":"function","function":{"name":"f","arguments":"{}"}}"#,
        ),
        (
            "calls without an id",
            "tool_calls",
            r#"{"function":{"name":"f","arguments":{}}}"#,
        ),
        (
            "calls with a signature",
            "tool_calls",
            r#"{"id":"call","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"s"}}}"#,
        ),
        ("parts", "content", r#"{"type":"text","text":"x"}"#),
        (
            "parts of thinking",
            "content",
            r#"{"type":"thinking","thinking":[{"type":"text","text":"x"}]}"#,
        ),
        (
            "parts of another kind",
            "content",
            r#"{"type":"reference"}"#,
        ),
        (
            "citations",
            "annotations",
            r#"{"type":"url_citation","url_citation":{"url":"u"}}"#,
        ),
    ] {
        shapes.push(Shape::body(name, move |n| {
            completion(
                &format!(r#""{member}":[{}]"#, row(n, |_| one.to_owned())),
                "",
            )
        }));
    }
    shapes
}

fn message(content: &str, more: &str) -> String {
    format!(
        r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{content}],"stop_reason":"end_turn","usage":{{"input_tokens":1,"output_tokens":1{more}}}}}"#
    )
}

/// What others are measured against.
pub fn plain_message() -> Shape {
    Shape::body("calls of usual size", |n| {
        let one = |i| {
            format!(
                r#"{{"type":"tool_use","id":"toolu_{i}","name":"f","input":{{"a":"{}"}}}}"#,
                "x".repeat(80)
            )
        };
        message(&row(n, one), "")
    })
}

/// Whole messages.
pub fn messages() -> Vec<Shape> {
    let mut shapes = vec![plain_message()];
    for (name, one) in [
        ("texts", r#"{"type":"text","text":"x"}"#),
        (
            "texts of some length",
            r#"{"type":"text","text":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#,
        ),
        (
            "texts with a citation",
            r#"{"type":"text","text":"x","citations":[{"url":"u"}]}"#,
        ),
        (
            "thinking",
            r#"{"type":"thinking","thinking":"x","signature":"s"}"#,
        ),
        (
            "redacted thinking",
            r#"{"type":"redacted_thinking","data":"x"}"#,
        ),
        (
            "calls",
            r#"{"type":"tool_use","id":"toolu_1","name":"f","input":{}}"#,
        ),
        ("unknown blocks", r#"{"type":"unknown"}"#),
        (
            "thinking and texts in turn",
            r#"{"type":"thinking","thinking":"x","signature":"s"},{"type":"text","text":"x"}"#,
        ),
        (
            "texts and calls in turn",
            r#"{"type":"text","text":"x"},{"type":"tool_use","id":"toolu_1","name":"f","input":{}}"#,
        ),
    ] {
        shapes.push(Shape::body(name, move |n| {
            message(&row(n, |_| one.to_owned()), "")
        }));
    }
    shapes.extend([
        Shape::body("citations of one text", |n| {
            let list = row(n, |i| format!(r#"{{"url":"u{i}"}}"#));
            message(
                &format!(r#"{{"type":"text","text":"x","citations":[{list}]}}"#),
                "",
            )
        }),
        Shape::body("a long input with spaces", |n| {
            let list = row(n, |_| " 0 ".to_owned());
            message(
                &format!(r#"{{"type":"tool_use","id":"a","name":"f","input":{{"a":[{list}]}}}}"#),
                "",
            )
        }),
        Shape::body("passes of one answer", |n| {
            let one = |_| r#"{"type":"message","input_tokens":1}"#.to_owned();
            message("", &format!(r#","iterations":[{}]"#, row(n, one)))
        }),
        Shape::body("an error with unknown members", |n| {
            let members = row(n, |i| format!("\"x{i}\":0"));
            format!(r#"{{"type":"error","error":{{"type":"x","message":"m",{members}}}}}"#)
        }),
    ]);
    shapes
}

fn response(output: &str) -> String {
    format!(
        r#"{{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m","output":[{output}],"usage":{{"input_tokens":1,"output_tokens":1,"total_tokens":2}}}}"#
    )
}

/// What others are measured against.
pub fn plain_response() -> Shape {
    Shape::body("calls of usual size", |n| {
        let one = |i| {
            format!(
                r#"{{"type":"function_call","id":"fc_{i}","call_id":"call_{i}","name":"f","arguments":"{{\"a\":\"{}\"}}"}}"#,
                "x".repeat(80)
            )
        };
        response(&row(n, one))
    })
}

/// Whole responses.
pub fn responses() -> Vec<Shape> {
    let mut shapes = vec![plain_response()];
    for (name, one) in [
        (
            "messages",
            r#"{"type":"message","id":"m","content":[{"type":"output_text","text":"x"}]}"#,
        ),
        (
            "refusals",
            r#"{"type":"message","id":"m","content":[{"type":"refusal","refusal":"x"}]}"#,
        ),
        (
            "calls",
            r#"{"type":"function_call","call_id":"c","name":"f","arguments":""}"#,
        ),
        (
            "reasoning",
            r#"{"type":"reasoning","id":"r","summary":[{"text":"x"}],"encrypted_content":"x"}"#,
        ),
        ("unknown items", r#"{"type":"unknown"}"#),
        ("items that are none", "0"),
    ] {
        shapes.push(Shape::body(name, move |n| {
            response(&row(n, |_| one.to_owned()))
        }));
    }
    for (name, part) in [
        ("parts", r#"{"type":"output_text","text":"x"}"#),
        (
            "parts with a citation",
            r#"{"type":"output_text","text":"x","annotations":[{"type":"url_citation","url":"u"}]}"#,
        ),
        (
            "parts with a probability",
            r#"{"type":"output_text","text":"x","logprobs":[{"token":"x"}]}"#,
        ),
    ] {
        shapes.push(Shape::body(name, move |n| {
            let parts = row(n, |_| part.to_owned());
            response(&format!(
                r#"{{"type":"message","id":"m","content":[{parts}]}}"#
            ))
        }));
    }
    shapes.push(Shape::body("parts of reasoning", |n| {
        let parts = row(n, |_| r#"{"text":"x"}"#.to_owned());
        response(&format!(
            r#"{{"type":"reasoning","id":"r","summary":[{parts}]}}"#
        ))
    }));
    shapes
}

/// What others are measured against.
pub fn plain_list() -> Shape {
    Shape::body("models", |n| {
        let one =
            |i| format!(r#"{{"id":"models/a{i}","object":"model","created":1,"owned_by":"x"}}"#);
        format!(r#"{{"object":"list","data":[{}]}}"#, row(n, one))
    })
}

/// Lists of models.
pub fn lists() -> Vec<Shape> {
    vec![
        plain_list(),
        Shape::body("models of one id", |n| {
            format!(r#"{{"data":[{}]}}"#, row(n, |_| r#"{"id":"a"}"#.to_owned()))
        }),
        Shape::body("rows that are none", |n| {
            format!(r#"{{"data":[{}]}}"#, row(n, |_| "0".to_owned()))
        }),
        Shape::body("endpoints of one model", |n| {
            let list = row(n, |_| "\"embed\"".to_owned());
            format!(r#"{{"models":[{{"name":"a","endpoints":[{list}]}}]}}"#)
        }),
    ]
}
