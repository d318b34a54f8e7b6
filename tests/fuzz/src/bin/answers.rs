//! Whole answers and errors of every dialect, written for every client, and relayed.

#![no_main]

use ai_gateway::dialect::openai::repair;
use ai_gateway::dialect::responses::ResponsesProvider;
use ai_gateway::dialect::whole_error;
use ai_gateway::dialect::{ProviderDialect, models};
use ai_gateway::error::Error;
use ai_gateway_fuzz::mutate::mutate;
use ai_gateway_fuzz::{CHAT, MESSAGES, chat, chat_client, clients, dialect, told, valid, write};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutate(data, size, max_size, seed)
});

fuzz_target!(|body: &[u8]| {
    let dialects: [&dyn ProviderDialect; 4] = [
        chat(CHAT[0]),
        chat(CHAT[1]),
        dialect(MESSAGES),
        &ResponsesProvider,
    ];
    for dialect in dialects {
        if let Ok(answer) = dialect.decode_response(body) {
            for (client, judge) in clients() {
                valid(client.encode_response(answer.clone()).as_bytes());
                let steps = answer.clone().into_events();
                assert!(judge(&write(&*client, &steps)), "it is complete");
            }
        }
        for status in [200, 400, 429, 529] {
            told(&Error::Provider(Box::new(
                dialect.decode_error(status, body),
            )));
        }
    }
    for provider in CHAT {
        if let Ok(mended) = repair(body, chat(provider), &chat_client(false))
            && let Some(body) = mended.body
        {
            valid(&body);
        }
    }
    let _ = whole_error(body);
    let _ = models::read(body, "owner", "models/", Some("language"));
});
