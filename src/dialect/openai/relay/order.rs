//! The usual completion: one in which nothing is to be mended, found so by reading it once. Pure.
//!
//! Whatever is not seen to be in order here is looked at by [`super::mend`]; that this says no more
//! than that does is held by a property test.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny};
use serde_json::value::RawValue;

use crate::codec::json::Word;
use crate::dialect::InOrder;
use crate::dialect::openai::WireUsage;
use crate::dialect::openai::egress::finish;
use crate::dialect::openai::provider::ChatProvider;

/// A completion that goes through as it is; `None` where that is not known.
#[must_use]
pub fn in_order(body: &[u8], provider: &ChatProvider, keeps: bool) -> Option<InOrder> {
    // What is kept of an answer is taken from its parts.
    if keeps || provider.reasoning_tags {
        return None;
    }
    let text = std::str::from_utf8(body).ok()?;
    // A list of the same values would be read as well.
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let completion: Completion<'_> = serde_json::from_str(text).ok()?;
    let named = [
        completion.id,
        completion.object,
        completion.created,
        completion.model,
    ];
    let named = named
        .iter()
        .all(|value| !matches!(value.get(), "null" | "\"\"" | "0"));
    if !named || completion.error.is_some() || !completion.choices.iter().all(Choice::in_order) {
        return None;
    }
    let Some(usage) = completion.usage else {
        // Some providers count elsewhere.
        return completion.x_groq.is_none().then(InOrder::default);
    };
    match usage.read() {
        Some((usage, exact)) => exact.then_some(InOrder { usage: Some(usage) }),
        None => Some(InOrder::default()),
    }
}

#[derive(Deserialize)]
struct Completion<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow)]
    object: &'a RawValue,
    #[serde(borrow)]
    created: &'a RawValue,
    #[serde(borrow)]
    model: &'a RawValue,
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(default)]
    x_groq: Option<IgnoredAny>,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    index: &'a RawValue,
    #[serde(rename = "logprobs")]
    _logprobs: IgnoredAny,
    #[serde(borrow)]
    message: Message<'a>,
    #[serde(borrow)]
    finish_reason: Word<'a>,
    #[serde(default, rename = "usage")]
    _usage: Absent,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: &'a RawValue,
    #[serde(borrow)]
    content: &'a RawValue,
    #[serde(rename = "refusal")]
    _refusal: IgnoredAny,
    #[serde(default, rename = "reasoning")]
    _reasoning: Absent,
    #[serde(default, rename = "tool_calls")]
    _tool_calls: Absent,
    #[serde(default, rename = "function_call")]
    _function_call: Absent,
}

impl Choice<'_> {
    fn in_order(&self) -> bool {
        let content = self.message.content.get();
        let word = self.finish_reason.get();
        let ends = word.is_some_and(|word| finish(Some(word), false).0.name() == word);
        ends && self.index.get() != "null"
            && self.message.role.get() != "null"
            && (content.starts_with('"') || content == "null")
    }
}

/// A member that must not be there.
#[derive(Default)]
struct Absent;

impl<'de> Deserialize<'de> for Absent {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("it must not be there"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Stamp;
    use crate::dialect::hub::Usage;
    use crate::dialect::openai::{ChatClient, mend, whole_error};
    use proptest::prelude::*;

    const USUAL: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o-mini",
        "choices":[{"index":0,"message":{"role":"assistant","content":"Hello! How can I help?","refusal":null,
        "annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":12,
        "total_tokens":21,"prompt_tokens_details":{"cached_tokens":3,"audio_tokens":0},"completion_tokens_details":
        {"reasoning_tokens":4}},"service_tier":"default","system_fingerprint":"fp_1"}"#;

    fn usual(text: &str) -> Option<InOrder> {
        in_order(text.as_bytes(), &ChatProvider::PLAIN, false)
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
        assert!(in_order(USUAL.as_bytes(), &ChatProvider::PLAIN, true).is_none());
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
        assert!(in_order(b"\xff", &ChatProvider::PLAIN, false).is_none());
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

    /// A member that is there as it should be, otherwise, or not at all.
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

    /// A member that has no business there, mostly absent.
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
        /// Whatever is found in order is what the way through would leave as it is.
        #[test]
        fn what_is_in_order_needs_no_mending(text in completion()) {
            if let Some(InOrder { usage }) = usual(&text) {
                prop_assert!(whole_error(text.as_bytes()).is_none());
                let mended = mend(text.as_bytes(), &ChatProvider::PLAIN, &client());
                let mended = mended.map_err(TestCaseError::fail)?;
                prop_assert_eq!(mended.body, None);
                prop_assert_eq!(mended.usage, usage);
                prop_assert!(mended.kept.is_none());
            }
        }
    }
}
