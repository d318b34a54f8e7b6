//! The fields that messages, parts, tool calls and tools may have, for providers that reject
//! unknown fields. Each list comes from the provider's own API reference. Pure.

use crate::dialect::openai::Members;

const SAID: &[&str] = &["role", "content"];
const NAMED: &[&str] = &["role", "content", "name"];
const RESULT: &[&str] = &["role", "content", "tool_call_id"];
const NAMED_RESULT: &[&str] = &["role", "content", "tool_call_id", "name"];
const CALL: &[&str] = &["id", "type", "function"];
const TOOL: &[&str] = &["type", "function"];
const FUNCTION: &[&str] = &["name", "description", "parameters", "strict"];
const TEXT: (&str, &[&str]) = ("text", &["type", "text"]);
const IMAGE: (&str, &[&str]) = ("image_url", &["type", "image_url"]);
/// An assistant message in OpenAI's specification.
const ASSISTANT: &[&str] = &[
    "role",
    "content",
    "name",
    "refusal",
    "audio",
    "tool_calls",
    "function_call",
];

/// Google's OpenAI-compatible endpoint: OpenAI's fields and Google's own.
pub(super) static GEMINI: Members = Members {
    messages: &[
        ("system", NAMED),
        ("developer", NAMED),
        ("user", NAMED),
        (
            "assistant",
            &[
                "role",
                "content",
                "name",
                "refusal",
                "audio",
                "tool_calls",
                "function_call",
                "extra_content",
            ],
        ),
        ("tool", NAMED_RESULT),
    ],
    parts: &[
        TEXT,
        IMAGE,
        ("input_audio", &["type", "input_audio"]),
        ("file", &["type", "file"]),
    ],
    calls: &["id", "type", "function", "extra_content"],
    tools: TOOL,
    functions: FUNCTION,
};

/// Groq: `name` only for the role `function`; reasoning is in `reasoning`.
pub(super) static GROQ: Members = Members {
    messages: &[
        ("system", SAID),
        ("developer", SAID),
        ("user", SAID),
        (
            "assistant",
            &[
                "role",
                "content",
                "tool_calls",
                "function_call",
                "reasoning",
            ],
        ),
        ("tool", RESULT),
        ("function", NAMED),
    ],
    parts: &[TEXT, IMAGE],
    calls: CALL,
    tools: TOOL,
    functions: FUNCTION,
};

/// DeepSeek.
pub(super) static DEEPSEEK: Members = Members {
    messages: &[
        ("system", NAMED),
        ("user", NAMED),
        (
            "assistant",
            &[
                "role",
                "content",
                "name",
                "prefix",
                "reasoning_content",
                "tool_calls",
            ],
        ),
        ("tool", RESULT),
    ],
    parts: &[TEXT],
    calls: CALL,
    tools: TOOL,
    functions: FUNCTION,
};

/// Mistral: `name` only for tool results; a tool call has an `index`.
pub(super) static MISTRAL: Members = Members {
    messages: &[
        ("system", SAID),
        ("user", SAID),
        ("assistant", &["role", "content", "tool_calls", "prefix"]),
        ("tool", NAMED_RESULT),
    ],
    parts: &[
        TEXT,
        IMAGE,
        ("document_url", &["type", "document_url", "document_name"]),
        ("file", &["type", "file", "file_id"]),
        ("input_audio", &["type", "input_audio"]),
        ("reference", &["type", "reference_ids"]),
        ("thinking", &["type", "thinking", "closed"]),
    ],
    calls: &["id", "type", "function", "index"],
    tools: TOOL,
    functions: FUNCTION,
};

/// Cohere: a function has no `strict`.
pub(super) static COHERE: Members = Members {
    messages: &[
        ("system", NAMED),
        ("developer", NAMED),
        ("user", NAMED),
        ("assistant", ASSISTANT),
        ("tool", RESULT),
    ],
    parts: &[TEXT, IMAGE],
    calls: CALL,
    tools: TOOL,
    functions: &["name", "description", "parameters"],
};
