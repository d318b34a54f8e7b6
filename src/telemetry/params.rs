//! The name under which a request parameter is counted in the metrics. Pure.

/// The parameters with a counter of their own. All others share one, because clients choose the
/// names and could create counters without end.
const PARAMS: [&str; 62] = [
    "cache_control",
    "frequency_penalty",
    "function_call",
    "functions",
    "include",
    "input",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens",
    "max_tool_calls",
    "messages",
    "messages.annotations",
    "messages.audio",
    "messages.cache_control",
    "messages.extra_content",
    "messages.name",
    "messages.prefill",
    "messages.reasoning",
    "messages.reasoning_content",
    "messages.reasoning_details",
    "messages.refusal",
    "messages.role",
    "messages.tool_calls",
    "messages.tool_calls.extra_content",
    "metadata",
    "modalities",
    "moderation",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "reasoning.context",
    "reasoning.effort",
    "reasoning.mode",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "search_parameters",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream_options",
    "temperature",
    "text.format",
    "text.verbosity",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
    "verbosity",
    "web_search_options",
    "n",
];

/// The counted name of a parameter: its own without list indices, that of its top-level field, or
/// `other`.
pub(super) fn param(name: &str) -> &'static str {
    let mut plain = String::with_capacity(name.len());
    let mut inside = false;
    for c in name.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ if inside => {}
            c => plain.push(c),
        }
    }
    let known = |name: &str| PARAMS.iter().find(|known| **known == name).copied();
    let first = plain.split('.').next().unwrap_or_default();
    known(&plain).or_else(|| known(first)).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_clients_make_no_counters() {
        assert_eq!(param("seed"), "seed");
        assert_eq!(param("tools[3].function.parameters"), "tools");
        assert_eq!(
            param("messages.tool_calls.extra_content"),
            "messages.tool_calls.extra_content"
        );
        assert_eq!(param("x\"}\n"), "other");
    }
}
