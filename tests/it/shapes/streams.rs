//! Streams of providers that grow.

use super::ways::event;
use super::{Shape, row};

fn chunk(members: &str, delta: &str, more: &str) -> String {
    event(
        None,
        &format!(
            r#"{{{members}"object":"chat.completion.chunk","created":7,"model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":null{more}}}]}}"#
        ),
    )
}

/// A chunk in which nothing is wrong.
fn said(delta: &str) -> String {
    chunk(r#""id":"c","#, delta, "")
}

fn completed(mut events: Vec<String>, reason: &str) -> Vec<String> {
    events.insert(0, said(r#"{"role":"assistant","content":""}"#));
    events.push(event(
        None,
        &format!(
            r#"{{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}]}}"#
        ),
    ));
    events.push(event(None, "[DONE]"));
    events
}

/// A stream of chunks, each made of its number.
fn chunks(name: &str, one: impl Fn(usize) -> String + 'static) -> Shape {
    Shape::stream(name, move |n| completed((0..n).map(&one).collect(), "stop"))
}

/// One chunk with all of them.
fn in_one(name: &str, chunk: impl Fn(usize) -> String + 'static) -> Shape {
    Shape::stream(name, move |n| completed(vec![chunk(n)], "stop"))
}

/// What others are measured against.
pub fn plain_chat() -> Shape {
    chunks("pieces of text", |i| {
        said(&format!(r#"{{"content":" word{i}"}}"#))
    })
}

fn call(index: usize, id: &str, name: &str, arguments: &str) -> String {
    format!(
        r#"{{"index":{index},"id":"{id}","type":"function","function":{{"name":"{name}","arguments":"{arguments}"}}}}"#
    )
}

fn calls_of_chat() -> Vec<Shape> {
    let of = |calls: &str| said(&format!(r#"{{"tool_calls":[{calls}]}}"#));
    vec![
        chunks("calls", move |i| {
            of(&call(i, &format!("call_{i}"), "f", "{}"))
        }),
        chunks("calls of one index", move |i| {
            of(&call(0, &format!("call_{i}"), "f", "{}"))
        }),
        chunks("calls of one id", move |i| of(&call(i, "call", "f", "{}"))),
        chunks("calls without an id", move |i| {
            of(&format!(
                r#"{{"index":{i},"function":{{"name":"f","arguments":"{{}}"}}}}"#
            ))
        }),
        chunks("calls without a name", move |i| {
            of(&format!(
                r#"{{"index":{i},"function":{{"arguments":"{{}}"}}}}"#
            ))
        }),
        chunks("calls without arguments", move |i| {
            of(&call(i, &format!("call_{i}"), "f", ""))
        }),
        chunks("pieces of arguments", move |i| {
            if i == 0 {
                of(&call(0, "call_0", "f", ""))
            } else {
                of(r#"{"index":0,"function":{"arguments":"[\"a\"]"}}"#)
            }
        }),
        chunks("pieces of arguments of many calls", move |i| {
            if i < 500 {
                of(&call(i, &format!("call_{i}"), "f", ""))
            } else {
                of(&format!(
                    r#"{{"index":{},"function":{{"arguments":"x"}}}}"#,
                    i % 500
                ))
            }
        }),
        chunks("signatures of one call", move |i| {
            let call = call(0, if i == 0 { "call_0" } else { "" }, "", "");
            let call = call.trim_end_matches('}');
            of(&format!(
                r#"{call}}},"extra_content":{{"google":{{"thought_signature":"{i}"}}}}}}"#
            ))
        }),
        chunks("calls and texts in turn", move |i| {
            if i % 2 == 0 {
                of(&call(i / 2, &format!("call_{i}"), "f", "{}"))
            } else {
                // Of calls there may be a thousand.
                said(&format!(r#"{{"content":"{}"}}"#, "x".repeat(1200)))
            }
        }),
        in_one("calls in one chunk", move |n| {
            of(&row(n, |i| call(i, &format!("call_{i}"), "f", "{}")))
        }),
    ]
}

/// Streams of Chat Completions.
pub fn chat() -> Vec<Shape> {
    let mut shapes = calls_of_chat();
    shapes.extend([
        plain_chat(),
        chunks("pieces of text that differ otherwise too", |i| {
            chunk(r#""id":"c","#, &format!(r#"{{"content":"x{i}"}}"#), &format!(",\"x\":{i}"))
        }),
        chunks("pieces of reasoning", |i| {
            said(&format!(r#"{{"reasoning_content":" word{i}"}}"#))
        }),
        chunks("pieces of reasoning of another name", |_| said(r#"{"reasoning":"x"}"#)),
        chunks("reasoning and text in turn", |i| {
            said(if i % 2 == 0 { r#"{"reasoning_content":"x"}"# } else { r#"{"content":"x"}"# })
        }),
        chunks("refusal and text in turn", |i| {
            said(if i % 2 == 0 { r#"{"refusal":"x"}"# } else { r#"{"content":"x"}"# })
        }),
        chunks("beginnings of an end of a tag", |i| {
            said(if i == 0 {
                r#"{"content":"<reasoning>"}"#
            } else {
                r#"{"content":"</reason"}"#
            })
        }),
        chunks("citations", |i| {
            said(&format!(
                r#"{{"annotations":[{{"type":"url_citation","url_citation":{{"url":"u{i}"}}}}]}}"#
            ))
        }),
        chunks("roles", |_| said(r#"{"role":"assistant","content":"x"}"#)),
        chunks("counts", |i| {
            event(
                None,
                &format!(
                    r#"{{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[],"usage":{{"prompt_tokens":{i},"completion_tokens":1,"total_tokens":{}}}}}"#,
                    i + 1
                ),
            )
        }),
        chunks("chunks of nothing but members that nobody knows", |i| {
            event(None, &format!(r#"{{"id":"c","choices":[],"x{i}":1}}"#))
        }),
        chunks("chunks without an id", |_| chunk("", r#"{"content":"x"}"#, "")),
        chunks("chunks with another id each", |i| {
            chunk(&format!(r#""id":"c{i}","#), r#"{"content":"x"}"#, "")
        }),
        chunks("choices in turn", |i| {
            let choice = format!(
                r#"{{"index":{},"delta":{{"content":"x"}},"finish_reason":null}}"#,
                i % 200
            );
            event(
                None,
                &format!(
                    r#"{{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{choice}]}}"#
                ),
            )
        }),
        chunks("events in a shape that nobody knows", |i| event(None, &format!(r#"{{"choices":{i}}}"#))),
        chunks("comments", |_| ": ping\n\n".to_owned()),
        chunks("events without data", |_| "event: x\n\n".to_owned()),
        // The first chunk has a long id and the others have none: each of them is given it.
        Shape::stream("a long id, and chunks without one", |n| {
            let first = format!(r#""id":"{}","#, "c".repeat(n * 100));
            let mut events = vec![chunk(&first, r#"{"role":"assistant","content":"x"}"#, "")];
            events.extend((0..n).map(|_| chunk("", r#"{"content":"x"}"#, "")));
            let mut all = completed(events, "stop");
            all.remove(0);
            all
        }),
        Shape::stream("a long id, and calls without one", |n| {
            let first = format!(r#""id":"{}","#, "c".repeat(n * 100));
            let mut events = vec![chunk(&first, r#"{"role":"assistant","content":"x"}"#, "")];
            events.extend((0..n).map(|i| {
                let call = format!(r#"{{"index":{i},"function":{{"name":"f","arguments":"{{}}"}}}}"#);
                said(&format!(r#"{{"tool_calls":[{call}]}}"#))
            }));
            let mut all = completed(events, "tool_calls");
            all.remove(0);
            all
        }),
        in_one("choices in one chunk", |n| {
            let one = |i| format!(r#"{{"index":{i},"delta":{{"content":"x"}},"finish_reason":null}}"#);
            event(
                None,
                &format!(
                    r#"{{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","choices":[{}]}}"#,
                    row(n, one)
                ),
            )
        }),
        in_one("parts of a content", |n| {
            let parts = row(n, |_| r#"{"type":"text","text":"x"}"#.to_owned());
            said(&format!(r#"{{"content":[{parts}]}}"#))
        }),
        in_one("unknown members of a chunk", |n| {
            let members = row(n, |i| format!("\"x{i}\":0"));
            event(
                None,
                &format!(
                    r#"{{{members},"choices":[{{"index":0,"delta":{{"content":"x"}}}}]}}"#
                ),
            )
        }),
        in_one("unknown members of a chunk without choices", |n| {
            let members = row(n, |i| format!("\"x{i}\":0"));
            event(None, &format!(r#"{{{members},"choices":[]}}"#))
        }),
        in_one("unknown members of a delta", |n| {
            let members = row(n, |i| format!("\"x{i}\":0"));
            said(&format!(r#"{{"content":"x",{members}}}"#))
        }),
        in_one("lines of an event", |n| format!("{}\n", "data: \n".repeat(n))),
        in_one("a long text of escapes", |n| {
            said(&format!(r#"{{"content":"{}"}}"#, "\\u0001".repeat(n)))
        }),
        Shape::stream("pieces of one event", |n| {
            let text = said(&format!(r#"{{"content":"{}"}}"#, "x".repeat(n * 8)));
            let mut pieces: Vec<String> = Vec::new();
            for piece in text.as_bytes().chunks(8) {
                pieces.push(String::from_utf8_lossy(piece).into_owned());
            }
            completed(pieces, "stop")
        }),
        Shape::stream("chunks behind the end", |n| {
            let mut events = completed(Vec::new(), "stop");
            let done = events.pop();
            events.extend((0..n).map(|_| said("{}")));
            events.extend(done);
            events
        }),
    ]);
    shapes
}

fn named(kind: &str, members: &str) -> String {
    event(Some(kind), &format!(r#"{{"type":"{kind}"{members}}}"#))
}

fn message(blocks: Vec<String>, id: &str) -> Vec<String> {
    let mut events = vec![named(
        "message_start",
        &format!(
            r#","message":{{"id":"{id}","type":"message","role":"assistant","model":"m","content":[],"usage":{{"input_tokens":1,"output_tokens":1}}}}"#
        ),
    )];
    events.extend(blocks);
    events.push(named(
        "message_delta",
        r#","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}"#,
    ));
    events.push(named("message_stop", ""));
    events
}

fn open(index: usize, block: &str) -> String {
    named(
        "content_block_start",
        &format!(r#","index":{index},"content_block":{block}"#),
    )
}

fn delta(index: usize, delta: &str) -> String {
    named(
        "content_block_delta",
        &format!(r#","index":{index},"delta":{delta}"#),
    )
}

fn close(index: usize) -> String {
    named("content_block_stop", &format!(r#","index":{index}"#))
}

const TEXT: &str = r#"{"type":"text","text":""}"#;
const WORD: &str = r#"{"type":"text_delta","text":"x"}"#;

fn tool_use(i: usize) -> String {
    format!(r#"{{"type":"tool_use","id":"toolu_{i}","name":"f","input":{{}}}}"#)
}

/// A stream of Messages with so many blocks, each in one row of events.
fn blocks(name: &str, one: impl Fn(usize) -> String + 'static) -> Shape {
    Shape::stream(name, move |n| message((0..n).map(&one).collect(), "msg_1"))
}

/// One block with so many deltas.
fn deltas(name: &str, block: &'static str, one: fn(usize) -> String) -> Shape {
    Shape::stream(name, move |n| {
        let mut events = vec![open(0, block)];
        events.extend((0..n).map(|i| delta(0, &one(i))));
        events.push(close(0));
        message(events, "msg_1")
    })
}

/// What others are measured against.
pub fn plain_messages() -> Shape {
    deltas("pieces of text", TEXT, |i| {
        format!(r#"{{"type":"text_delta","text":" word{i}"}}"#)
    })
}

/// Streams of Messages.
pub fn messages() -> Vec<Shape> {
    const THINKING: &str = r#"{"type":"thinking","thinking":"","signature":""}"#;
    vec![
        plain_messages(),
        deltas("pieces of thinking", THINKING, |_| {
            r#"{"type":"thinking_delta","thinking":"x"}"#.to_owned()
        }),
        deltas("signatures", THINKING, |_| {
            r#"{"type":"signature_delta","signature":"x"}"#.to_owned()
        }),
        deltas(
            "pieces of arguments",
            r#"{"type":"tool_use","id":"a","name":"f","input":{}}"#,
            |_| r#"{"type":"input_json_delta","partial_json":"[\"x\"]"}"#.to_owned(),
        ),
        deltas("citations", TEXT, |i| {
            format!(r#"{{"type":"citations_delta","citation":{{"url":"https://x.example/{i}"}}}}"#)
        }),
        deltas("unknown deltas", TEXT, |_| {
            r#"{"type":"unknown_delta"}"#.to_owned()
        }),
        blocks("blocks of text", |i| {
            format!("{}{}{}", open(i, TEXT), delta(i, WORD), close(i))
        }),
        blocks("blocks of thinking", |i| {
            let thought = r#"{"type":"thinking_delta","thinking":"x"}"#;
            format!("{}{}{}", open(i, THINKING), delta(i, thought), close(i))
        }),
        blocks("redacted blocks", |i| {
            let block = r#"{"type":"redacted_thinking","data":"x"}"#;
            format!("{}{}", open(i, block), close(i))
        }),
        blocks("calls", |i| {
            format!("{}{}", open(i, &tool_use(i)), close(i))
        }),
        blocks("calls and texts in turn", |i| {
            if i % 2 == 0 {
                format!("{}{}", open(i, &tool_use(i)), close(i))
            } else {
                format!("{}{}{}", open(i, TEXT), delta(i, WORD), close(i))
            }
        }),
        blocks("thinking and texts in turn", |i| {
            if i % 2 == 0 {
                let thought = r#"{"type":"thinking_delta","thinking":"x"}"#;
                format!("{}{}{}", open(i, THINKING), delta(i, thought), close(i))
            } else {
                format!("{}{}{}", open(i, TEXT), delta(i, WORD), close(i))
            }
        }),
        blocks("unknown blocks", |i| {
            format!("{}{}", open(i, r#"{"type":"unknown"}"#), close(i))
        }),
        blocks("unknown events", |_| named("unknown", "")),
        blocks("pings", |_| named("ping", "")),
        blocks("counts", |i| {
            named(
                "message_delta",
                &format!(r#","delta":{{}},"usage":{{"output_tokens":{i}}}"#),
            )
        }),
        Shape::stream("blocks that are not closed", |n| {
            message((0..n).map(|i| open(i, TEXT)).collect(), "msg_1")
        }),
        Shape::stream("calls that are not closed", |n| {
            message((0..n).map(|i| open(i, &tool_use(i))).collect(), "msg_1")
        }),
        Shape::stream("blocks that are closed in their order behind all", |n| {
            let opened = (0..n).map(|i| open(i, TEXT));
            message(opened.chain((0..n).map(close)).collect(), "msg_1")
        }),
        Shape::stream("pieces of the first of many open blocks", |n| {
            let opened = (0..n).map(|i| open(i, TEXT));
            let words = (0..n).map(|_| delta(0, WORD));
            message(opened.chain(words).collect(), "msg_1")
        }),
        Shape::stream("passes of one answer", |n| {
            let passes = row(n, |_| {
                r#"{"type":"message","input_tokens":1,"output_tokens":1}"#.to_owned()
            });
            let counted =
                format!(r#","delta":{{}},"usage":{{"output_tokens":1,"iterations":[{passes}]}}"#);
            message(vec![named("message_delta", &counted)], "msg_1")
        }),
        Shape::stream("a long id, and pieces of text", |n| {
            let mut events = vec![open(0, TEXT)];
            events.extend((0..n).map(|_| delta(0, WORD)));
            events.push(close(0));
            message(events, &"m".repeat(n * 100))
        }),
        Shape::stream("a long text of escapes", |n| {
            let word = format!(
                r#"{{"type":"text_delta","text":"{}"}}"#,
                "\\u0001".repeat(n)
            );
            message(vec![open(0, TEXT), delta(0, &word), close(0)], "msg_1")
        }),
    ]
}

fn response(kind: &str, output: &str) -> String {
    named(
        kind,
        &format!(
            r#","response":{{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m","output":[{output}],"usage":{{"input_tokens":1,"output_tokens":1,"total_tokens":2}}}}"#
        ),
    )
}

fn item(i: usize, text: &str) -> String {
    format!(
        r#"{{"type":"message","id":"msg_{i}","status":"completed","role":"assistant","content":[{{"type":"output_text","text":"{text}","annotations":[]}}]}}"#
    )
}

fn function(i: usize) -> String {
    format!(
        r#"{{"type":"function_call","id":"fc_{i}","call_id":"call_{i}","name":"f","arguments":"{{}}"}}"#
    )
}

fn added(i: usize, item: &str) -> String {
    named(
        "response.output_item.added",
        &format!(r#","output_index":{i},"item":{item}"#),
    )
}

fn done(i: usize, item: &str) -> String {
    named(
        "response.output_item.done",
        &format!(r#","output_index":{i},"item":{item}"#),
    )
}

fn word(i: usize, id: &str) -> String {
    named(
        "response.output_text.delta",
        &format!(r#","item_id":"{id}","output_index":{i},"content_index":0,"delta":"x""#),
    )
}

/// A stream of Responses: its events, and the output of its last one.
fn answered(events: Vec<String>, output: &str) -> Vec<String> {
    let mut all = vec![response("response.created", "")];
    all.extend(events);
    all.push(response("response.completed", output));
    all
}

/// What others are measured against.
pub fn plain_responses() -> Shape {
    Shape::stream("pieces of text", |n| {
        let mut events = vec![added(0, &item(0, ""))];
        events.extend((0..n).map(|_| word(0, "msg_0")));
        events.push(done(0, &item(0, &"x".repeat(n))));
        answered(events, &item(0, &"x".repeat(n)))
    })
}

/// Streams of Responses.
pub fn responses() -> Vec<Shape> {
    let items = |n: usize, item: fn(usize) -> String, closes: bool| {
        let mut events = Vec::new();
        for i in 0..n {
            events.push(added(i, &item(i)));
            if closes {
                events.push(done(i, &item(i)));
            }
        }
        answered(events, &row(n, item))
    };
    let texts: fn(usize) -> String = |i| item(i, "x");
    vec![
        plain_responses(),
        Shape::stream("messages", move |n| items(n, texts, true)),
        Shape::stream("messages that are not closed", move |n| {
            items(n, texts, false)
        }),
        Shape::stream("calls", move |n| items(n, function, true)),
        Shape::stream("calls that are not closed", move |n| {
            items(n, function, false)
        }),
        Shape::stream("calls and texts in turn", move |n| {
            items(
                n,
                |i| {
                    if i % 2 == 0 {
                        function(i)
                    } else {
                        item(i, "x")
                    }
                },
                true,
            )
        }),
        Shape::stream("reasoning", move |n| {
            items(
                n,
                |i| {
                    format!(
                        r#"{{"type":"reasoning","id":"rs_{i}","summary":[{{"type":"summary_text","text":"t"}}],"encrypted_content":"x"}}"#
                    )
                },
                true,
            )
        }),
        Shape::stream("messages that change their ids at the end", |n| {
            let opened = (0..n).map(|i| added(i, &item(i, ""))).collect();
            answered(opened, &row(n, |i| item(i + 1_000_000, "x")))
        }),
        Shape::stream("events with all items so far", |n| {
            let mut events: Vec<_> = (0..n).map(|i| added(i, &item(i, "x"))).collect();
            events.push(response("response.in_progress", &row(n, |i| item(i, "x"))));
            answered(events, &row(n, |i| item(i, "x")))
        }),
        Shape::stream("pieces of the last of many items", |n| {
            let mut events: Vec<_> = (0..n).map(|i| added(i, &item(i, ""))).collect();
            let last = n.saturating_sub(1);
            events.extend((0..n).map(|_| word(last, &format!("msg_{last}"))));
            answered(events, &row(n, |i| item(i, "x")))
        }),
        Shape::stream("pieces of items that were not opened", |n| {
            let events = (0..n).map(|i| word(i, &format!("msg_{i}"))).collect();
            answered(events, &row(n, |i| item(i, "x")))
        }),
        Shape::stream("pieces of an item that is told otherwise each time", |n| {
            let mut events = vec![added(0, &item(0, ""))];
            events.extend((0..n).map(|i| word(0, &format!("other_{i}"))));
            answered(events, &item(0, "x"))
        }),
        Shape::stream("pieces of arguments", |n| {
            let mut events = vec![added(0, &function(0))];
            events.extend((0..n).map(|_| {
                named(
                    "response.function_call_arguments.delta",
                    r#","item_id":"fc_0","output_index":0,"delta":"x""#,
                )
            }));
            events.push(done(0, &function(0)));
            answered(events, &function(0))
        }),
        Shape::stream("citations", |n| {
            let mut events = vec![added(0, &item(0, ""))];
            events.extend((0..n).map(|i| {
                named(
                    "response.output_text.annotation.added",
                    &format!(
                        r#","item_id":"msg_0","output_index":0,"content_index":0,"annotation":{{"type":"url_citation","url":"u{i}"}}"#
                    ),
                )
            }));
            answered(events, &item(0, "x"))
        }),
        Shape::stream("unknown events", |n| {
            answered(
                (0..n).map(|_| named("response.unknown", "")).collect(),
                &item(0, "x"),
            )
        }),
        Shape::stream("parts of a message", |n| {
            let parts = row(n, |_| r#"{"type":"output_text","text":"x"}"#.to_owned());
            let item = format!(r#"{{"type":"message","id":"msg_0","content":[{parts}]}}"#);
            answered(vec![added(0, &item), done(0, &item)], &item)
        }),
    ]
}
