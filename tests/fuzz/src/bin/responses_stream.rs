//! Streams of Responses, written for every client, and relayed.

#![no_main]

use ai_gateway::dialect::responses::{ResponsesProvider, ResponsesRelay};
use ai_gateway_fuzz::mutate::mutate;
use ai_gateway_fuzz::{relay, stream};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use serde_json::Value;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed)
});

fuzz_target!(|input: &[u8]| {
    stream(&ResponsesProvider, input, says_why);
    relay(|| Box::new(ResponsesRelay::new("x")), input);
});

// The members of an object may also stand in an array, by their order; that is not looked into.
fn says_why(event: &Value) -> bool {
    event.is_array()
        || ["response.completed", "response.incomplete"]
            .contains(&event["type"].as_str().unwrap_or(""))
}
