//! Chat Completions requests, translated for Anthropic.

#![no_main]

use ai_gateway::codec::json::Object;
use ai_gateway::dialect::hub::NoReasoningCache;
use ai_gateway::dialect::openai::read_request;
use ai_gateway_fuzz::mutate::mutate;
use ai_gateway_fuzz::{MESSAGES, dialect, target, twice};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed)
});

fuzz_target!(|body: &[u8]| twice(|| {
    let object = Object::from_body(body)?;
    let (_, model) = target(&object);
    dialect(MESSAGES).encode_request(&mut read_request(object, model)?, &NoReasoningCache)
}));
