//! Decodes the `usage` of a response or chunk. Pure.

use serde_json::value::RawValue;

use crate::dialect::hub::Usage;

/// Decodes `usage`; `None` if it is invalid or has no `prompt_tokens`.
pub(super) fn read_usage(raw: &RawValue) -> Option<Usage> {
    check_usage(raw).map(|(usage, _)| usage)
}

/// Like [`read_usage`]; also whether the fields are already as OpenAI would write them.
pub(super) fn check_usage(raw: &RawValue) -> Option<(Usage, bool)> {
    serde_json::from_str::<WireUsage>(raw.get()).ok()?.read()
}

/// `usage` of a response or chunk.
#[derive(Default, serde::Deserialize)]
pub(super) struct WireUsage {
    #[serde(default)]
    pub prompt_tokens: Option<u64>,
    #[serde(default)]
    pub completion_tokens: Option<u64>,
    #[serde(default)]
    pub total_tokens: Option<u64>,
    #[serde(default)]
    pub cached_tokens: Option<u64>,
    /// DeepSeek's field for cached tokens.
    #[serde(default)]
    pub prompt_cache_hit_tokens: Option<u64>,
    #[serde(default)]
    pub prompt_tokens_details: Option<UsageDetails>,
    #[serde(default)]
    pub completion_tokens_details: Option<UsageDetails>,
}

#[derive(Default, serde::Deserialize)]
pub(super) struct UsageDetails {
    #[serde(default)]
    pub cached_tokens: Option<u64>,
    #[serde(default)]
    pub cache_write_tokens: Option<u64>,
    #[serde(default)]
    pub reasoning_tokens: Option<u64>,
}

impl WireUsage {
    /// The usage, and whether the fields are already as OpenAI would write them.
    pub(super) fn read(self) -> Option<(Usage, bool)> {
        let prompt = self.prompt_tokens?;
        let of_prompt = self.prompt_tokens_details.unwrap_or_default();
        let of_completion = self.completion_tokens_details.unwrap_or_default();
        let mut completion = self.completion_tokens.unwrap_or(0);
        // Some providers leave reasoning out of the completion and count it only in the total.
        if let Some(total) = self.total_tokens
            && total > prompt.saturating_add(completion)
        {
            completion = total.saturating_sub(prompt);
        }
        // Providers use several fields for this count; the first that is not zero is right.
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
