//! What messages, parts, calls and tools may hold for the providers that refuse what they do not
//! know: each from the provider's own reference. Pure.

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
/// An assistant's message in OpenAI's specification.
const ASSISTANT: &[&str] = &[
    "role",
    "content",
    "name",
    "refusal",
    "audio",
    "tool_calls",
    "function_call",
];

/// Google's compatible endpoint: OpenAI's members, and its own beside them.
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

/// Groq: no names but a function's; what the model thought is its own `reasoning`.
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

/// Mistral: names of tools only; a call has its position.
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

/// Cohere: a function knows no `strict`.
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
