//! In which points the Chat Completions of each provider differ from OpenAI's: one row each. Pure.
//!
//! An entry stands here because the provider is known to refuse or misread something: the comment
//! says how it shows. What is merely undocumented is not here; the provider's own error speaks.

use super::members;
use super::row::ResponsesRequired;
use crate::dialect::CallIds;
use crate::dialect::openai::{
    ChatProvider, Effort, Forced, Names, Nulls, ReasoningReplay, Silence, gemini_schema,
    kimi_schema,
};

const PLAIN: ChatProvider = ChatProvider::PLAIN;

/// Those that know only OpenAI's older name of the limit on an answer's length.
const OLD_LIMIT: &[(&str, &str)] = &[("max_completion_tokens", "max_tokens")];

/// The newer name of the limit, which reasoning models insist on.
const NEW_LIMIT: &[(&str, &str)] = &[("max_tokens", "max_completion_tokens")];

/// OpenAI and Azure: reasoning models answer 400 `unsupported_parameter` to `max_tokens`; ids of
/// calls longer than 40 characters are refused as too long.
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

/// Gemini: an unknown parameter is 400 `Unknown name`, seen for each of these, and so is an unknown
/// keyword of a schema, and null; 2.5 refuses the effort `minimal`; 3 and later refuse a history of
/// calls without signatures.
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
        "minimal" if model.contains("gemini-2") => Effort::Say("low"),
        "xhigh" | "max" => Effort::Say("high"),
        _ => Effort::Keep,
    },
    schema: Some(gemini_schema),
    members: Some(&members::GEMINI),
    functions: false,
    requires_reasoning_replay: signs,
    ..PLAIN
};

/// Kimi's coding endpoint: one temperature only, no forced calls, the older limit, and a turn that
/// called tools without `reasoning_content` is 400; so are an empty text beside calls, and a schema
/// without types or with a type beside branches.
pub(super) static KIMI: ChatProvider = ChatProvider {
    renames: |_| OLD_LIMIT,
    refuses: |_| &["temperature"],
    developer: false,
    forced_choice: |_| Forced::Refused,
    functions: false,
    silence: Silence::Null,
    schema: Some(kimi_schema),
    requires_reasoning_replay: |_| ReasoningReplay::Reasoning,
    ..PLAIN
};

/// OpenRouter: knows no effort `max`; looks for cache markers inside content parts only.
pub(super) static OPENROUTER: ChatProvider = ChatProvider {
    effort: |_, effort| match effort {
        "max" => Effort::Say("xhigh"),
        _ => Effort::Keep,
    },
    markers_in_parts: true,
    ..PLAIN
};

pub(super) static VERCEL: ChatProvider = PLAIN;

/// Groq: 400 for these parameters, for `n` other than 1, for null members of an assistant's message
/// and for members of messages, parts and calls that it does not have; three efforts.
pub(super) static GROQ: ChatProvider = ChatProvider {
    refuses: |_| &["logprobs", "logit_bias", "top_logprobs", "prompt_cache_key"],
    members: Some(&members::GROQ),
    one_answer: true,
    nulls: Nulls::Content,
    effort: |_, effort| match effort {
        "minimal" => Effort::Say("low"),
        "xhigh" | "max" => Effort::Say("high"),
        _ => Effort::Keep,
    },
    ..PLAIN
};

/// DeepSeek: `unknown variant` for the role `developer` and for tools that are no functions, no
/// schema output, ignores the newer name of the limit without a word; what others than users say is
/// one text (`invalid type: sequence, expected a string`). While it thinks, which it does unless told
/// otherwise, it refuses forced calls and wants the reasoning of earlier ones.
pub(super) static DEEPSEEK: ChatProvider = ChatProvider {
    renames: |_| OLD_LIMIT,
    developer: false,
    thinking_switch: true,
    only_functions: true,
    json_schema: false,
    functions: false,
    members: Some(&members::DEEPSEEK),
    one_text: true,
    forced_choice: |model| {
        if deepseek_thinks(model) {
            Forced::RefusedThinking
        } else {
            Forced::Taken
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

/// xAI: reasoning models refuse penalties, even of 0, and `stop`; which efforts a model takes is
/// known by its version; the retired search parameters are refused, and so are names of others
/// than users; a message needs a content, if only an empty text.
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
    names: Names::OfUsers,
    silence: Silence::Text,
    effort: grok_effort,
    ..PLAIN
};

/// Mistral: 422 `extra_forbidden` for everything outside its own schema, of which these are
/// OpenAI's; it counts the tokens of a stream unasked; ids of calls are nine letters and digits;
/// forced calls are `any`; files are documents at a URL; the assistant must speak between a result
/// and a user.
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
    answers_results: true,
    counts_always: true,
    developer: false,
    nulls: Nulls::Content,
    forced_choice: |_| Forced::Word("any"),
    call_ids: CallIds::Nine,
    prefix: true,
    ..PLAIN
};

/// Cohere: 422 for each of the parameters that its documentation lists as unsupported, for `n`
/// even as 1, and for the `index` of a call; two efforts.
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
    one_answer: true,
    effort: |_, effort| match effort {
        "none" | "high" => Effort::Keep,
        _ => Effort::Say("high"),
    },
    ..PLAIN
};

/// Bedrock: every model takes the newer name of the limit, some only that; gpt-oss refuses
/// `logit_bias`, Grok the effort `none` and, with a 503, the penalties. gpt-oss writes its
/// reasoning between tags, and calls are numbered from zero in each answer.
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
    one_answer: true,
    effort: |model, effort| match effort {
        "none" if model.contains("grok") => Effort::Leave,
        _ => Effort::Keep,
    },
    reasoning_tags: true,
    positional_ids: true,
    ..PLAIN
};

/// Vertex AI: as Gemini where the model is Google's.
pub(super) static VERTEX: ChatProvider = ChatProvider {
    developer: false,
    requires_reasoning_replay: signs,
    ..PLAIN
};

/// Whether a model of OpenAI's reasons: the o-series, and GPT-5 and later but for its chat models.
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

/// OpenAI's models since GPT-5.4 refuse functions together with reasoning on Chat Completions; since
/// 5.6 they reason unless told otherwise.
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

/// Gemini 3 and later sign their calls.
fn signs(model: &str) -> ReasoningReplay {
    let name = model.rsplit('/').next().unwrap_or(model);
    match name.strip_prefix("gemini-").and_then(version) {
        Some((major, _)) if major >= 3 => ReasoningReplay::Signatures,
        _ => ReasoningReplay::Nothing,
    }
}

/// Grok models that reason: all since 4 but those named otherwise, and the small ones of 3.
fn grok_reasons(model: &str) -> bool {
    let since_4 = model
        .strip_prefix("grok-")
        .and_then(version)
        .is_some_and(|(major, _)| major >= 4);
    (since_4 && !model.contains("non-reasoning")) || model.contains("grok-3-mini")
}

/// DeepSeek's models think, but for the one that is named after chatting.
fn deepseek_thinks(model: &str) -> bool {
    !model.ends_with("-chat")
}

/// The models before 4.3 refuse every effort, but for the small ones of 3 and those of several
/// agents; `xhigh` came with 4.6, which like 4.5 refuses `none`.
fn grok_effort(model: &str, effort: &str) -> Effort {
    let version = model.strip_prefix("grok-").and_then(version);
    let agents = model.contains("multi-agent");
    let takes = match version {
        Some((4, 20)) => agents,
        Some(version) => version >= (4, 3) || model.contains("3-mini"),
        // A model whose name says no version: the provider knows.
        None => !model.contains("code-fast-1"),
    };
    if !takes {
        return Effort::Leave;
    }
    let newest = agents || version.is_none_or(|version| version >= (4, 6));
    match effort {
        "none" if version.is_some_and(|version| version >= (4, 5)) => Effort::Leave,
        "minimal" => Effort::Say("low"),
        "xhigh" | "max" if !newest => Effort::Say("high"),
        "max" => Effort::Say("xhigh"),
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
            ("grok-4.20-0309-reasoning", "high", Effort::Leave),
            ("grok-4.20-multi-agent", "xhigh", Effort::Keep),
            ("grok-4-0709", "high", Effort::Leave),
            ("grok-4-fast", "low", Effort::Leave),
            ("grok-3-mini", "low", Effort::Keep),
            ("grok-4.6", "none", Effort::Leave),
            ("grok-4.3", "none", Effort::Keep),
            ("grok-4.3", "xhigh", Effort::Say("high")),
            ("grok-4.6", "xhigh", Effort::Keep),
            ("grok-4.3", "minimal", Effort::Say("low")),
            ("grok-4.3", "low", Effort::Keep),
        ] {
            assert_eq!(grok_effort(model, effort), said, "{model} {effort}");
        }
    }
}
