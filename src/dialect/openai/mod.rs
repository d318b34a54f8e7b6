//! OpenAI Chat Completions (API of August 2026): spoken by clients and by most providers. Pure.

mod calls;
mod conversation;
mod decode_request;
mod encode_request;
mod encode_response;
mod error;
mod error_in_success;
mod fence;
mod lenient;
mod provider;
mod relay;
mod request_quirks;
mod results;
mod stream_decoder;
mod stream_encoder;
mod tags;

use serde_json::value::RawValue;

use crate::dialect::hub::{Response, Usage};
use crate::dialect::{ClientDialect, Stamp, StreamEncoder};

pub use decode_request::{left_out, older_name, read_message, read_request, read_tool_choice};
pub use error::{envelope, read_error};
pub use error_in_success::{chat_error, choice_error, error_member, responses_error, whole_error};
pub(super) use fence::{Fence, without_fence};
pub use provider::{
    CallIds, ChatProvider, Effort, Forced, Members, Names, Nulls, ReasoningReplay, Silence,
};
pub use relay::{ChatRelay, conformance, repair};
pub(super) use request_quirks::Ids;
pub use request_quirks::{Edited, gemini_schema, kimi_schema, without_empty_tools};
pub(super) use results::results_of_calls;

/// The `format` of reasoning that its provider gives and takes as plain `reasoning_content`.
pub const REASONING_FORMAT: &str = "reasoning-content-v1";

/// Longest id or model of an answer, in bytes: they are repeated in each chunk.
pub(super) const MAX_NAME: usize = 1024;

/// The `format` of thought signatures, each with the id of its call.
pub const GEMINI_FORMAT: &str = "google-gemini-v1";

/// Chat Completions as a client speaks it; holds what its answer repeats of the request.
#[derive(Debug, Clone)]
pub struct ChatClient {
    /// Times and ids.
    pub stamp: Stamp,
    /// The model of the request, for a provider that names none in its answer.
    pub model: String,
    /// Whether the client asked for a last chunk with the tokens.
    pub include_usage: bool,
    /// Whether it offered `functions`, and so knows `function_call` and not `tool_calls`.
    pub functions: bool,
    /// Whether it asked for a JSON object that the provider was only told to write.
    pub json_object: bool,
}

impl ClientDialect for ChatClient {
    fn encode_response(&self, answer: Response) -> String {
        encode_response::answer(self, &answer)
    }

    fn stream_encoder(&self) -> Box<dyn StreamEncoder> {
        Box::new(stream_encoder::ToChat::new(self.clone()))
    }
}

/// Reads `usage` of a completion or of a chunk.
pub(crate) fn read_usage(raw: &RawValue) -> Option<Usage> {
    check_usage(raw).map(|(usage, _)| usage)
}

/// The same, and whether it stands there in just that arithmetic.
pub(crate) fn check_usage(raw: &RawValue) -> Option<(Usage, bool)> {
    serde_json::from_str::<WireUsage>(raw.get()).ok()?.read()
}

/// `usage` of a completion or of a chunk.
#[derive(Default, serde::Deserialize)]
struct WireUsage {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    total_tokens: Option<u64>,
    #[serde(default)]
    cached_tokens: Option<u64>,
    /// DeepSeek's.
    #[serde(default)]
    prompt_cache_hit_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<UsageDetails>,
    #[serde(default)]
    completion_tokens_details: Option<UsageDetails>,
}

#[derive(Default, serde::Deserialize)]
struct UsageDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
    #[serde(default)]
    cache_write_tokens: Option<u64>,
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

impl WireUsage {
    /// The count, and whether it stands there in just OpenAI's arithmetic.
    fn read(self) -> Option<(Usage, bool)> {
        let prompt = self.prompt_tokens?;
        let of_prompt = self.prompt_tokens_details.unwrap_or_default();
        let of_completion = self.completion_tokens_details.unwrap_or_default();
        let mut completion = self.completion_tokens.unwrap_or(0);
        // Some providers leave reasoning out of the completion and count it in the total only.
        if let Some(total) = self.total_tokens
            && total > prompt.saturating_add(completion)
        {
            completion = total.saturating_sub(prompt);
        }
        // Several members count the same; one that is not zero was counted.
        let cached = [
            of_prompt.cached_tokens,
            self.cached_tokens,
            self.prompt_cache_hit_tokens,
        ]
        .into_iter()
        .flatten()
        .find(|&count| count > 0)
        .unwrap_or(0);
        let usage = Usage {
            prompt,
            completion,
            cached,
            cache_write: of_prompt.cache_write_tokens.unwrap_or(0),
            reasoning: of_completion.reasoning_tokens.unwrap_or(0),
        };
        let exact = self.completion_tokens == Some(completion)
            && self.total_tokens == Some(usage.total())
            && (usage.cached == 0 || of_prompt.cached_tokens == Some(usage.cached));
        Some((usage, exact))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::json::raw;

    fn usage(value: &serde_json::Value) -> Usage {
        read_usage(&raw(value)).unwrap()
    }

    #[test]
    fn reasoning_left_out_of_the_completion_is_added() {
        let read = usage(&serde_json::json!({
            "prompt_tokens": 307, "completion_tokens": 26, "total_tokens": 560,
            "prompt_tokens_details": {"cached_tokens": 306},
            "completion_tokens_details": {"reasoning_tokens": 227}
        }));
        let Usage {
            prompt,
            completion,
            cached,
            reasoning,
            ..
        } = read;
        assert_eq!(
            (prompt, completion, read.total(), cached, reasoning),
            (307, 253, 560, 306, 227)
        );
    }

    #[test]
    fn reasoning_inside_the_completion_stays() {
        let read = usage(&serde_json::json!({
            "prompt_tokens": 339, "completion_tokens": 83, "total_tokens": 422,
            "completion_tokens_details": {"reasoning_tokens": 39}
        }));
        assert_eq!(
            (read.completion, read.total(), read.reasoning),
            (83, 422, 39)
        );
    }

    #[test]
    fn cached_tokens_at_the_top_level_count() {
        let read = usage(&serde_json::json!({
            "prompt_tokens": 50, "completion_tokens": 10, "total_tokens": 60, "cached_tokens": 32
        }));
        assert_eq!(read.cached, 32);
    }
}
