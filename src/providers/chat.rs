//! How each provider's Chat Completions differs from OpenAI's, one row for each provider. Pure.
//!
//! An entry is here because the provider is known to reject or misread something; the comment gives
//! the observed behaviour. What is merely undocumented has no entry: the client gets the provider's
//! own error.

use super::members;
use super::row::ResponsesRequired;
use crate::dialect::CallIds;
use crate::dialect::openai::{
    ChatProvider, Effort, EmptyContent, ForcedToolChoice, Names, Nulls, ReasoningReplay,
    gemini_schema, kimi_schema,
};

const PLAIN: ChatProvider = ChatProvider::PLAIN;

/// For providers that know only OpenAI's older name of the output token limit.
const OLD_LIMIT: &[(&str, &str)] = &[("max_completion_tokens", "max_tokens")];

/// The newer name of the output token limit; reasoning models require it.
const NEW_LIMIT: &[(&str, &str)] = &[("max_tokens", "max_completion_tokens")];

/// OpenAI and Azure: reasoning models answer 400 `unsupported_parameter` to `max_tokens`. Tool-call
/// ids longer than 40 characters are rejected.
pub(super) static OPENAI: ChatProvider = ChatProvider {
    renames: |model| {
        if openai_reasons(model) {
            NEW_LIMIT
        } else {
            &[]
        }
    },
    call_ids: CallIds::UpTo(40),
    ..PLAIN
};

/// Gemini answers 400 `Unknown name` to an unknown parameter, observed for each in this list. It
/// also rejects unknown keywords of a schema, and null. Gemini 2.5 rejects the effort `minimal`.
/// Gemini 3 and later reject earlier tool calls without thought signatures.
pub(super) static GEMINI: ChatProvider = ChatProvider {
    refuses: |_| {
        &[
            "store",
            "seed",
            "frequency_penalty",
            "presence_penalty",
            "logprobs",
            "top_logprobs",
            "logit_bias",
            "metadata",
            "prompt_cache_key",
            "safety_identifier",
            "web_search_options",
        ]
    },
    nulls: Nulls::Refused,
    effort: |model, effort| match effort {
        "minimal" if model.contains("gemini-2") => Effort::Replace("low"),
        "xhigh" | "max" => Effort::Replace("high"),
        _ => Effort::Keep,
    },
    schema: Some(gemini_schema),
    members: Some(&members::GEMINI),
    functions: false,
    requires_reasoning_replay: signs,
    ..PLAIN
};

/// Kimi's coding endpoint allows one temperature, no forced tool calls and only the older token
/// limit. It answers 400 to an assistant message with tool calls but without `reasoning_content`,
/// to an empty text beside tool calls, and to a schema without types or with a type beside
/// branches.
pub(super) static KIMI: ChatProvider = ChatProvider {
    renames: |_| OLD_LIMIT,
    refuses: |_| &["temperature"],
    developer: false,
    forced_choice: |_| ForcedToolChoice::Refused,
    functions: false,
    empty_content: EmptyContent::Null,
    schema: Some(kimi_schema),
    requires_reasoning_replay: |_| ReasoningReplay::Reasoning,
    ..PLAIN
};

/// OpenRouter does not know the effort `max` and reads cache markers only inside content parts.
pub(super) static OPENROUTER: ChatProvider = ChatProvider {
    effort: |_, effort| match effort {
        "max" => Effort::Replace("xhigh"),
        _ => Effort::Keep,
    },
    cache_markers_in_parts: true,
    ..PLAIN
};

pub(super) static VERCEL: ChatProvider = PLAIN;

/// Groq answers 400 to these parameters, to `n` other than 1, to null fields in assistant messages,
/// and to unknown fields of messages, parts and tool calls. It knows three efforts.
pub(super) static GROQ: ChatProvider = ChatProvider {
    refuses: |_| &["logprobs", "logit_bias", "top_logprobs", "prompt_cache_key"],
    members: Some(&members::GROQ),
    single_choice: true,
    nulls: Nulls::Content,
    effort: |_, effort| match effort {
        "minimal" => Effort::Replace("low"),
        "xhigh" | "max" => Effort::Replace("high"),
        _ => Effort::Keep,
    },
    ..PLAIN
};

/// DeepSeek answers `unknown variant` to the role `developer` and to tools that are not functions.
/// It has no structured output by JSON Schema, and silently ignores the newer token limit. The
/// content of all but user messages must be one string (`invalid type: sequence, expected a
/// string`). While it thinks, which is the default, it rejects forced tool calls and requires the
/// reasoning of earlier ones.
pub(super) static DEEPSEEK: ChatProvider = ChatProvider {
    renames: |_| OLD_LIMIT,
    developer: false,
    thinking_switch: true,
    only_functions: true,
    json_schema: false,
    functions: false,
    members: Some(&members::DEEPSEEK),
    string_content_only: true,
    forced_choice: |model| {
        if deepseek_thinks(model) {
            ForcedToolChoice::RefusedThinking
        } else {
            ForcedToolChoice::Accepted
        }
    },
    requires_reasoning_replay: |model| {
        if deepseek_thinks(model) {
            ReasoningReplay::Reasoning
        } else {
            ReasoningReplay::Nothing
        }
    },
    ..PLAIN
};

/// xAI: reasoning models reject penalties, even of 0, and `stop`. The accepted efforts depend on
/// the model's version. The retired search parameters are rejected, and so is `name` in messages
/// that are not the user's. A message needs a content, if only an empty string.
pub(super) static XAI: ChatProvider = ChatProvider {
    refuses: |model| {
        if grok_reasons(model) {
            &[
                "presence_penalty",
                "frequency_penalty",
                "stop",
                "web_search_options",
                "search_parameters",
            ]
        } else {
            &["web_search_options", "search_parameters"]
        }
    },
    names: Names::UserOnly,
    empty_content: EmptyContent::Text,
    effort: grok_effort,
    ..PLAIN
};

/// Mistral answers 422 `extra_forbidden` to everything outside its schema; `refuses` lists OpenAI's
/// parameters among these. It always reports the usage of a stream. Tool-call ids are nine letters
/// and digits, forced tool calls are `any`, and files are documents at a URL. An assistant message
/// must stand between a tool result and a user message.
pub(super) static MISTRAL: ChatProvider = ChatProvider {
    renames: |_| {
        &[
            ("max_completion_tokens", "max_tokens"),
            ("seed", "random_seed"),
        ]
    },
    refuses: |_| {
        &[
            "audio",
            "logit_bias",
            "modalities",
            "moderation",
            "prompt_cache_options",
            "prompt_cache_retention",
            "safety_identifier",
            "service_tier",
            "store",
            "user",
            "verbosity",
            "web_search_options",
        ]
    },
    members: Some(&members::MISTRAL),
    documents: true,
    functions: false,
    assistant_after_tool_result: true,
    always_streams_usage: true,
    developer: false,
    nulls: Nulls::Content,
    forced_choice: |_| ForcedToolChoice::Word("any"),
    call_ids: CallIds::Nine,
    prefix: true,
    ..PLAIN
};

/// Cohere answers 422 to each of the parameters that its documentation lists as unsupported, to `n`
/// even if it is 1, and to the `index` of a tool call. It knows two efforts.
pub(super) static COHERE: ChatProvider = ChatProvider {
    refuses: |_| {
        &[
            "store",
            "metadata",
            "logit_bias",
            "top_logprobs",
            "modalities",
            "prediction",
            "audio",
            "service_tier",
            "parallel_tool_calls",
        ]
    },
    members: Some(&members::COHERE),
    functions: false,
    single_choice: true,
    effort: |_, effort| match effort {
        "none" | "high" => Effort::Keep,
        _ => Effort::Replace("high"),
    },
    ..PLAIN
};

/// Bedrock: every model takes the newer name of the token limit, some only that. gpt-oss rejects
/// `logit_bias`; Grok rejects the effort `none` and answers 503 to the penalties. gpt-oss writes
/// its reasoning between tags. Tool-call ids are numbered from zero in each response.
pub(super) static BEDROCK: ChatProvider = ChatProvider {
    renames: |_| NEW_LIMIT,
    refuses: |model| {
        if model.contains("gpt-oss") {
            &["logit_bias"]
        } else if model.contains("grok") {
            &["presence_penalty", "frequency_penalty"]
        } else {
            &[]
        }
    },
    single_choice: true,
    effort: |model, effort| match effort {
        "none" if model.contains("grok") => Effort::Drop,
        _ => Effort::Keep,
    },
    reasoning_tags: true,
    positional_ids: true,
    ..PLAIN
};

/// Vertex AI: Google's models behave as in Gemini.
pub(super) static VERTEX: ChatProvider = ChatProvider {
    developer: false,
    requires_reasoning_replay: signs,
    ..PLAIN
};

/// Whether an OpenAI model reasons: the o-series, and GPT-5 and later except chat models.
fn openai_reasons(model: &str) -> bool {
    let o_series = model
        .strip_prefix('o')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    o_series
        || (gpt_version(model).is_some_and(|(major, _)| major >= 5) && !model.contains("-chat"))
}

/// `gpt-5.4-mini` -> 5 and 4.
fn gpt_version(model: &str) -> Option<(u32, u32)> {
    version(model.strip_prefix("gpt-")?)
}

/// OpenAI's models since GPT-5.4 reject functions together with reasoning on Chat Completions.
/// Since 5.6 they reason unless it is turned off.
pub(super) fn responses_required(model: &str) -> ResponsesRequired {
    match gpt_version(model) {
        _ if model.contains("-chat") => ResponsesRequired::Never,
        Some(version) if version >= (5, 6) => ResponsesRequired::UnlessOff,
        Some(version) if version >= (5, 4) => ResponsesRequired::WhenReasoning,
        _ => ResponsesRequired::Never,
    }
}

fn version(text: &str) -> Option<(u32, u32)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let number = end.and_then(|end| text.get(..end)).unwrap_or(text);
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    Some((major.parse().ok()?, minor.parse().unwrap_or(0)))
}

/// Gemini 3 and later sign their tool calls and require the signatures in later requests.
fn signs(model: &str) -> ReasoningReplay {
    let name = model.rsplit('/').next().unwrap_or(model);
    match name.strip_prefix("gemini-").and_then(version) {
        Some((major, _)) if major >= 3 => ReasoningReplay::Signatures,
        _ => ReasoningReplay::Nothing,
    }
}

/// Grok models that reason: all since 4 unless named `non-reasoning`, and `grok-3-mini`.
fn grok_reasons(model: &str) -> bool {
    let since_4 = model
        .strip_prefix("grok-")
        .and_then(version)
        .is_some_and(|(major, _)| major >= 4);
    (since_4 && !model.contains("non-reasoning")) || model.contains("grok-3-mini")
}

/// All DeepSeek models think, except those whose name ends in `-chat`.
fn deepseek_thinks(model: &str) -> bool {
    !model.ends_with("-chat")
}

/// Models before 4.3 reject every effort, except `grok-3-mini` and the multi-agent models. `xhigh`
/// came with 4.6. Models from 4.5 on reject `none`.
fn grok_effort(model: &str, effort: &str) -> Effort {
    let version = model.strip_prefix("grok-").and_then(version);
    let agents = model.contains("multi-agent");
    let takes = match version {
        Some((4, 20)) => agents,
        Some(version) => version >= (4, 3) || model.contains("3-mini"),
        // The name has no version, so the provider decides.
        None => !model.contains("code-fast-1"),
    };
    if !takes {
        return Effort::Drop;
    }
    let newest = agents || version.is_none_or(|version| version >= (4, 6));
    match effort {
        "none" if version.is_some_and(|version| version >= (4, 5)) => Effort::Drop,
        "minimal" => Effort::Replace("low"),
        "xhigh" | "max" if !newest => Effort::Replace("high"),
        "max" => Effort::Replace("xhigh"),
        _ => Effort::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_told_by_their_version() {
        for (model, reasons) in [
            ("gpt-4o", false),
            ("gpt-4.1", false),
            ("gpt-5", true),
            ("gpt-5-chat-latest", false),
            ("gpt-5.4-mini", true),
            ("gpt-6", true),
            ("o3-mini", true),
            ("o1", true),
            ("omni-moderation", false),
            ("meta-llama/Llama-3", false),
        ] {
            assert_eq!(openai_reasons(model), reasons, "{model}");
        }
        for (model, signed) in [
            ("gemini-3.8-flash", true),
            ("google/gemini-3-pro", true),
            ("models/gemini-3-pro", true),
            ("gemini-2.5-pro", false),
            ("meta/llama-4-maas", false),
        ] {
            assert_eq!(
                signs(model) == ReasoningReplay::Signatures,
                signed,
                "{model}"
            );
        }
    }

    #[test]
    fn efforts_of_grok() {
        for (model, effort, said) in [
            ("grok-4.20-0309-reasoning", "high", Effort::Drop),
            ("grok-4.20-multi-agent", "xhigh", Effort::Keep),
            ("grok-4-0709", "high", Effort::Drop),
            ("grok-4-fast", "low", Effort::Drop),
            ("grok-3-mini", "low", Effort::Keep),
            ("grok-4.6", "none", Effort::Drop),
            ("grok-4.3", "none", Effort::Keep),
            ("grok-4.3", "xhigh", Effort::Replace("high")),
            ("grok-4.6", "xhigh", Effort::Keep),
            ("grok-4.3", "minimal", Effort::Replace("low")),
            ("grok-4.3", "low", Effort::Keep),
        ] {
            assert_eq!(grok_effort(model, effort), said, "{model} {effort}");
        }
    }
}
