//! Streams of Anthropic, written for every client.

#![no_main]

use ai_gateway_fuzz::mutate::mutate;
use ai_gateway_fuzz::{MESSAGES, dialect, stream};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use serde_json::Value;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed)
});

fuzz_target!(|input: &[u8]| stream(dialect(MESSAGES), input, says_why));

// The members of an object may also stand in an array, by their order; that is not looked into.
fn says_why(event: &Value) -> bool {
    let delta = &event["delta"];
    event.is_array() || delta.is_array() || delta["stop_reason"].is_string()
}
