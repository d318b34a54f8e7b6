//! Responses requests, translated for both dialects, and what their answers repeat of them.

#![no_main]

use ai_gateway::codec::json::Object;
use ai_gateway::dialect::ClientDialect;
use ai_gateway::dialect::hub::{FinishReason, NoReasoningCache, Response};
use ai_gateway::dialect::responses::{own_name, read_request};
use ai_gateway_fuzz::mutate::mutate;
use ai_gateway_fuzz::{MESSAGES, dialect, stamp, target, twice, valid};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed)
});

fuzz_target!(|body: &[u8]| {
    for forced in [None, Some(MESSAGES)] {
        twice(|| {
            let object = Object::from_body(body)?;
            let (provider, model) = target(&object);
            let provider = forced.unwrap_or(provider);
            let to = dialect(provider);
            let (mut request, client) = read_request(object, model, provider, to, stamp())?;
            valid(
                client
                    .encode_response(Response::empty(FinishReason::Length))
                    .as_bytes(),
            );
            let mut translated = to
                .encode_request(&mut request, &NoReasoningCache)
                .map_err(|error| error.renamed(own_name))?;
            translated.report.rename(own_name);
            Ok(translated)
        });
    }
});
