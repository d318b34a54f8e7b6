//! Detects in one scan that a complete response is correct and needs no repair. Pure.
//!
//! Everything that is not recognized here goes to [`super::repair`]. A property test checks that
//! `repair` would leave unchanged what is accepted here.

use crate::codec::scan::Scan;
use crate::dialect::common::conformant::Conformant;
use crate::dialect::openai::decode_response::finish;
use crate::dialect::openai::provider::ChatProvider;
use crate::dialect::openai::usage::{UsageDetails, WireUsage};

/// The usage of a response that can be relayed unchanged; `None` if it may need a repair.
#[must_use]
pub fn conformance(
    body: &[u8],
    provider: &ChatProvider,
    keeps_reasoning: bool,
) -> Option<Conformant> {
    // Stored reasoning and tags need the parsed response.
    if keeps_reasoning || provider.reasoning_tags {
        return None;
    }
    let mut scan = Scan::new(std::str::from_utf8(body).ok()?);
    let mut completion = Completion::default();
    scan.object(|name, scan| completion.member(name, scan))?;
    if !scan.is_at_end() || completion.has & Completion::ALL != Completion::ALL {
        return None;
    }
    match completion.usage.map(WireUsage::read) {
        // Groq writes usage elsewhere.
        None => (!completion.counts_elsewhere).then(Conformant::default),
        Some(Some((usage, exact))) => exact.then_some(Conformant { usage: Some(usage) }),
        Some(None) => Some(Conformant::default()),
    }
}

/// Marks a field as seen; `None` if it is there twice, because it is unclear which value counts.
fn once(has: &mut u8, member: u8) -> Option<()> {
    (*has & member == 0).then(|| *has |= member)
}

#[derive(Default)]
struct Completion {
    has: u8,
    usage: Option<WireUsage>,
    counts_elsewhere: bool,
}

impl Completion {
    /// The fields that every response must have.
    const ALL: u8 = 0b1_1111;

    fn member(&mut self, name: &[u8], scan: &mut Scan<'_>) -> Option<()> {
        let member = match name {
            b"" => return None,
            b"id" => 1,
            b"object" => 2,
            b"created" => 4,
            b"model" => 8,
            b"choices" => {
                once(&mut self.has, 16)?;
                let mut any = false;
                scan.array(|scan| {
                    any = true;
                    choice(scan)
                })?;
                return any.then_some(());
            }
            b"usage" => {
                once(&mut self.has, 32)?;
                return count(scan, &mut self.usage);
            }
            b"x_groq" => {
                self.counts_elsewhere |= scan.value()? != b"null";
                return Some(());
            }
            b"error" => return (scan.value()? == b"null").then_some(()),
            _ => return scan.value().map(drop),
        };
        once(&mut self.has, member)?;
        let value = scan.value()?;
        let is_named = !matches!(value, b"null" | b"\"\"" | b"0");
        is_named.then_some(())
    }
}

/// Reads a choice; `None` if something is missing or may need a repair.
fn choice(scan: &mut Scan<'_>) -> Option<()> {
    let mut has = 0;
    scan.object(|name, scan| match name {
        b"index" => {
            once(&mut has, 1)?;
            (scan.value()? != b"null").then_some(())
        }
        b"logprobs" => {
            once(&mut has, 2)?;
            scan.value().map(drop)
        }
        b"message" => {
            once(&mut has, 4)?;
            message(scan)
        }
        b"finish_reason" => {
            once(&mut has, 8)?;
            let word = std::str::from_utf8(scan.string()?.0).ok()?;
            (finish(Some(word), false).0.name() == word).then_some(())
        }
        b"" | b"usage" => None,
        _ => scan.value().map(drop),
    })?;
    (has == 0b1111).then_some(())
}

fn message(scan: &mut Scan<'_>) -> Option<()> {
    let mut has = 0;
    scan.object(|name, scan| match name {
        b"role" => {
            once(&mut has, 1)?;
            (scan.value()? != b"null").then_some(())
        }
        b"content" => {
            once(&mut has, 2)?;
            let content = scan.value()?;
            (content.starts_with(b"\"") || content == b"null").then_some(())
        }
        b"refusal" => {
            once(&mut has, 4)?;
            scan.value().map(drop)
        }
        b"" | b"reasoning" | b"tool_calls" | b"function_call" => None,
        _ => scan.value().map(drop),
    })?;
    (has == 0b111).then_some(())
}

/// Reads a usage object, or null.
fn count(scan: &mut Scan<'_>, into: &mut Option<WireUsage>) -> Option<()> {
    if scan.null() {
        return Some(());
    }
    let usage = into.insert(WireUsage::default());
    let mut has = 0;
    scan.object(|name, scan| {
        let (member, number) = match name {
            b"" => return None,
            b"prompt_tokens" => (1, &mut usage.prompt_tokens),
            b"completion_tokens" => (2, &mut usage.completion_tokens),
            b"total_tokens" => (4, &mut usage.total_tokens),
            b"cached_tokens" => (8, &mut usage.cached_tokens),
            b"prompt_cache_hit_tokens" => (64, &mut usage.prompt_cache_hit_tokens),
            b"prompt_tokens_details" => {
                once(&mut has, 16)?;
                return details(scan, &mut usage.prompt_tokens_details);
            }
            b"completion_tokens_details" => {
                once(&mut has, 32)?;
                return details(scan, &mut usage.completion_tokens_details);
            }
            _ => return scan.value().map(drop),
        };
        once(&mut has, member)?;
        tokens(scan, number)
    })
}

fn details(scan: &mut Scan<'_>, into: &mut Option<UsageDetails>) -> Option<()> {
    if scan.null() {
        return Some(());
    }
    let details = into.insert(UsageDetails::default());
    let mut has = 0;
    scan.object(|name, scan| {
        let (member, number) = match name {
            b"" => return None,
            b"cached_tokens" => (1, &mut details.cached_tokens),
            b"cache_write_tokens" => (2, &mut details.cache_write_tokens),
            b"reasoning_tokens" => (4, &mut details.reasoning_tokens),
            _ => return scan.value().map(drop),
        };
        once(&mut has, member)?;
        tokens(scan, number)
    })
}

/// Reads an unsigned integer, or null.
fn tokens(scan: &mut Scan<'_>, into: &mut Option<u64>) -> Option<()> {
    if !scan.null() {
        let number = std::str::from_utf8(scan.value()?).ok()?;
        *into = Some(number.parse().ok()?);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::common::error_in_success::whole_error;
    use crate::dialect::common::stamp::Stamp;
    use crate::dialect::hub::Usage;
    use crate::dialect::openai::ChatClient;
    use crate::dialect::openai::repair;
    use proptest::prelude::*;

    const USUAL: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini",
        "choices":[{"index":0,"message":{"role":"assistant","content":"Hello! How can I help?","refusal":null,
        "annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":12,
        "total_tokens":21,"prompt_tokens_details":{"cached_tokens":3,"audio_tokens":0},"completion_tokens_details":
        {"reasoning_tokens":4}},"service_tier":"default","system_fingerprint":"fp_1"}"#;

    fn usual(text: &str) -> Option<Conformant> {
        conformance(text.as_bytes(), &ChatProvider::PLAIN, false)
    }

    #[test]
    fn the_usual_completion_is_in_order_and_its_tokens_are_read() {
        let usage = usual(USUAL).unwrap().usage.unwrap();
        let Usage {
            prompt,
            completion,
            cached,
            reasoning,
            ..
        } = usage;
        assert_eq!((prompt, completion, cached, reasoning), (9, 12, 3, 4));
        assert!(conformance(USUAL.as_bytes(), &ChatProvider::PLAIN, true).is_none());
    }

    #[test]
    fn what_is_to_be_mended_or_told_otherwise_is_not() {
        for (from, to) in [
            ("\"chatcmpl-1\"", "\"\""),
            ("\"created\":1700000000,", ""),
            ("\"created\":1700000000,", "\"created\":1,\"created\":2,"),
            ("\"index\":0", "\"index\":null"),
            ("\"role\":\"assistant\",", ""),
            ("\"refusal\":null,", ""),
            ("\"logprobs\":null,", ""),
            ("\"stop\"", "\"end_turn\""),
            ("\"stop\"", "\"tool_calls\""),
            ("\"stop\"", "null"),
            (
                "\"Hello! How can I help?\"",
                "[{\"type\":\"text\",\"text\":\"Hi\"}]",
            ),
            ("\"annotations\"", "\"tool_calls\""),
            ("\"annotations\"", "\"reasoning\""),
            ("\"total_tokens\":21", "\"total_tokens\":30"),
            (
                "\"service_tier\":\"default\"",
                "\"error\":{\"message\":\"x\"}",
            ),
            ("}]", "}"),
            ("\"fp_1\"}", "\"fp_1\"} x"),
            (
                USUAL,
                r#"["c","chat.completion",1,"m",[],{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3},null,null]"#,
            ),
        ] {
            let text = USUAL.replacen(from, to, 1);
            assert_ne!(text, USUAL, "{from}");
            assert!(usual(&text).is_none(), "{from} -> {to}");
        }
        assert!(conformance(b"\xff", &ChatProvider::PLAIN, false).is_none());
    }

    fn client() -> ChatClient {
        ChatClient {
            stamp: Stamp {
                created: 1,
                seed: 1,
                now: || 1,
            },
            model: "m".to_owned(),
            include_usage: false,
            functions: false,
            json_object: false,
        }
    }

    /// A field that is correct, wrong, or absent.
    fn member(name: &'static str, right: &'static str) -> impl Strategy<Value = String> {
        let odd = prop::sample::select(vec![
            "null",
            "\"\"",
            "0",
            "1",
            "\"x\"",
            "[]",
            "{}",
            "[{\"type\":\"text\",\"text\":\"a\"}]",
            "\"\\ud83d\"",
            "\"stop\"",
            "\"length\"",
            "\"error\"",
            "\"insufficient_system_resource\"",
        ]);
        prop_oneof![
            24 => Just(format!("\"{name}\":{right}")),
            1 => odd.prop_map(move |odd| format!("\"{name}\":{odd}")),
            1 => Just("\"other\":[{\"error\":1}]".to_owned()),
        ]
    }

    /// A field that should not be there; mostly absent.
    fn stranger(name: &'static str) -> impl Strategy<Value = String> {
        let odd = prop::sample::select(vec![
            "null",
            "\"\"",
            "\"x\"",
            "[]",
            "{}",
            "{\"usage\":{\"prompt_tokens\":1}}",
        ]);
        prop_oneof![
            12 => Just("\"nothing\":0".to_owned()),
            1 => odd.prop_map(move |odd| format!("\"{name}\":{odd}")),
        ]
    }

    fn completion() -> impl Strategy<Value = String> {
        let message = (
            member("role", "\"assistant\""),
            member("content", "\"Hi\""),
            member("refusal", "null"),
            stranger("reasoning"),
            stranger("reasoning_content"),
            stranger("tool_calls"),
            stranger("function_call"),
        );
        let message =
            message.prop_map(|(a, b, c, d, e, f, g)| format!("{{{a},{b},{c},{d},{e},{f},{g}}}"));
        let choice = (
            member("index", "0"),
            member("logprobs", "null"),
            member("finish_reason", "\"stop\""),
            stranger("usage"),
            message,
        );
        let choice = choice
            .prop_map(|(a, b, c, d, message)| format!("{{{a},{b},{c},{d},\"message\":{message}}}"));
        let usage = prop::sample::select(vec![
            "null",
            "{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}",
            "{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":9}",
            "{\"prompt_tokens\":1,\"completion_tokens\":2}",
            "{\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7,\"cached_tokens\":3}",
            "{\"completion_tokens\":2}",
            "{}",
            "[]",
        ]);
        let top = (
            member("id", "\"c\""),
            member("object", "\"chat.completion\""),
            member("created", "7"),
            member("model", "\"m\""),
            stranger("x_groq"),
            stranger("error"),
            stranger("detail"),
        );
        let choices = prop::collection::vec(choice, 0..3);
        (top, choices, usage).prop_map(|((a, b, c, d, e, f, g), choices, usage)| {
            format!(
                "{{{a},{b},{c},{d},{e},{f},{g},\"choices\":[{}],\"usage\":{usage}}}",
                choices.join(",")
            )
        })
    }

    proptest! {
        /// What counts as conformant is left unchanged by `repair`.
        #[test]
        fn what_is_in_order_needs_no_mending(text in completion()) {
            if let Some(Conformant { usage }) = usual(&text) {
                prop_assert!(whole_error(text.as_bytes()).is_none());
                let mended = repair(text.as_bytes(), &ChatProvider::PLAIN, &client());
                let mended = mended.map_err(TestCaseError::fail)?;
                prop_assert_eq!(mended.body, None);
                prop_assert_eq!(mended.usage, usage);
                prop_assert!(mended.kept.is_none());
            }
        }
    }
}
