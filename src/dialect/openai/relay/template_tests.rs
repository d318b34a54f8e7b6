//! Tests of the templates that the relay learns from one chunk for the next.

use super::ChatRelay;
use crate::dialect::common::stamp::Stamp;
use crate::dialect::openai::{ChatClient, ChatProvider};
use crate::dialect::traits::Relay;
use bytes::Bytes;
use proptest::prelude::*;

fn relay(include_usage: bool) -> ChatRelay {
    let client = ChatClient {
        stamp: Stamp {
            created: 1,
            seed: 1,
            now: || 1,
        },
        model: "m".to_owned(),
        include_usage,
        functions: false,
        json_object: false,
    };
    ChatRelay::new(&ChatProvider::PLAIN, "openai", client)
}

fn chunk() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        Just("\"Hi\"".to_owned()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just("\"\"".to_owned()),
        Just("null".to_owned()),
        Just("\"a\\x\"".to_owned()),
        Just("[]".to_owned()),
    ];
    let rest = prop_oneof![
        8 => Just("\"finish_reason\":null}]"),
        1 => Just("\"finish_reason\":\"stop\"}]"),
        1 => Just("\"finish_reason\":null}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}"),
        1 => Just("\"finish_reason\":null}],\"usage\":null"),
        1 => Just("\"finish_reason\":null}],\"error\":{\"message\":\"x\"}"),
    ];
    let more = prop_oneof![
        8 => Just(""),
        1 => Just("\"role\":\"assistant\","),
        1 => Just("\"reasoning_content\":\"r\","),
    ];
    let id = prop_oneof![8 => Just("c"), 1 => Just("d")];
    (id, text, more, rest, 0..2_u8).prop_map(|(id, text, more, rest, index)| {
        format!("data: {{\"id\":\"{id}\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{{\"index\":{index},\"delta\":{{{more}\"content\":{text}}},{rest}}}\n\n")
    })
}

proptest! {
    /// A template learned from one event never changes how the next is relayed.
    #[test]
    fn a_usual_chunk_is_judged_as_if_it_were_taken_apart(
        chunks in prop::collection::vec(chunk(), 1..12),
        include_usage: bool,
    ) {
        let (mut quick, mut slow) = (relay(include_usage), relay(include_usage));
        for chunk in chunks {
            // Each chunk is sent twice, so that there is a template to apply.
            for _ in 0..2 {
                slow.plain = None;
                let events = Bytes::from(chunk.clone());
                prop_assert_eq!(quick.pass(events.clone()), slow.pass(events));
                prop_assert_eq!(quick.failure_code(), slow.failure_code());
                prop_assert_eq!(quick.repaired(), slow.repaired());
                prop_assert_eq!(quick.usage(), slow.usage());
            }
        }
        prop_assert_eq!(quick.end(true), slow.end(true));
    }
}

#[test]
fn a_usual_chunk_is_learned() {
    let mut relay = relay(false);
    let chunk = |text: &str, role: &str| {
        Bytes::from(format!(
            "data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{{role}\"content\":\"{text}\"}},\"finish_reason\":null}}]}}\n\n"
        ))
    };
    relay.pass(chunk("a", "\"role\":\"assistant\","));
    assert!(relay.plain.is_none(), "a role is said once");
    relay.pass(chunk("b", ""));
    let plain = relay.plain.as_ref().expect("the second is usual");
    assert!(plain.fits(&chunk("other words", "")));
}
