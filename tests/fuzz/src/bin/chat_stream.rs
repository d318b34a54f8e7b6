//! Streams of Chat Completions, written for every client, and relayed.

#![no_main]

use ai_gateway::dialect::openai::ChatRelay;
use ai_gateway_fuzz::mutate::mutate;
use ai_gateway_fuzz::{CHAT, chat, chat_client, has_reason, relay, stream};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use serde_json::Value;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed)
});

fuzz_target!(|input: &[u8]| {
    for provider in CHAT {
        stream(chat(provider), input, |chunk| says_why(chunk, Some(0)));
        let new = || ChatRelay::new(chat(provider), provider, chat_client(false));
        let said = relay(|| Box::new(new()), input);
        if let Some(at) = said.iter().position(|data| data.trim() == "[DONE]") {
            assert_eq!(at + 1, said.len(), "something follows the end");
            // Other dialects know one answer, the first; a relay lets all of them through.
            assert!(has_reason(input, |chunk| says_why(chunk, None)));
        }
    }
});

// The members of an object may also stand in an array, by their order; that is not looked into.
fn says_why(chunk: &Value, index: Option<u64>) -> bool {
    let choices = chunk["choices"].as_array();
    chunk.is_array()
        || choices.into_iter().flatten().any(|choice| {
            let meant = index.is_none_or(|index| choice["index"].as_u64().unwrap_or(0) == index);
            choice.is_array() || (meant && choice["finish_reason"].is_string())
        })
}
