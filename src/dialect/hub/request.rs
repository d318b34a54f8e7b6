//! Requests: Chat Completions with its parts taken apart. Pure.

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

use crate::codec::json::{Object, Raw};

/// A request for one answer.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The model, in the provider's words.
    pub model: Cow<'a, str>,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// Whether a streamed answer ends with a count of its tokens.
    pub include_usage: bool,
    /// The conversation.
    pub messages: Vec<Message<'a>>,
    /// What the model may call.
    pub tools: Vec<Tool<'a>>,
    /// Whether it must.
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Every other parameter under its Chat Completions name, in the client's order.
    pub fields: Object<'a>,
    /// Parameters of the client that no provider is given.
    pub dropped: Vec<String>,
    /// Parameters of the client that are put otherwise for every provider.
    pub changed: Vec<String>,
}

/// Where something stands in the client's request, as in `messages[2]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(pub &'static str, pub usize);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.0, self.1)
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions.
    System,
    /// Instructions, in OpenAI's newer word.
    Developer,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// The result of a tool call.
    Tool,
    /// The result of a function call, in OpenAI's older shape.
    Function,
}

impl Role {
    /// Chat Completions, `role`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Developer => "developer",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
            Self::Function => "function",
        }
    }
}

/// A message of the conversation.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// Where the client wrote it.
    pub at: Place,
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Vec<Part<'a>>,
    /// Whether the content was written as a plain string, not as parts.
    pub plain: bool,
    /// The name of the speaker, or of the function.
    pub name: Option<Cow<'a, str>>,
    /// The calls an assistant made.
    pub tool_calls: Vec<RequestToolCall<'a>>,
    /// The call that a tool message answers.
    pub tool_call_id: Option<Cow<'a, str>>,
    /// What an assistant said when it declined.
    pub refusal: Option<Cow<'a, str>>,
    /// Readable reasoning of an assistant.
    pub reasoning: Option<Cow<'a, str>>,
    /// Every other member.
    pub other: Object<'a>,
}

impl Message<'_> {
    /// A message without content.
    #[must_use]
    pub fn new(at: Place, role: Role) -> Self {
        Self {
            at,
            role,
            content: Vec::new(),
            plain: false,
            name: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
            refusal: None,
            reasoning: None,
            other: Object::default(),
        }
    }
}

/// A part of what is said.
#[derive(Debug, Clone)]
pub enum Part<'a> {
    /// Text.
    Text {
        /// The text.
        text: Cow<'a, str>,
        /// Further members, as in `cache_control`.
        other: Object<'a>,
    },
    /// An image.
    Image {
        /// A `data:` or `https:` URL.
        url: Cow<'a, str>,
        /// `low`, `high` or `auto`.
        detail: Option<Cow<'a, str>>,
        /// Further members of Chat Completions' `image_url`.
        image: Object<'a>,
        /// Further members of the part.
        other: Object<'a>,
    },
    /// A file: the members of Chat Completions' `file`.
    File {
        /// `file_data`, `filename`, `file_id`, `file_url`.
        file: Object<'a>,
        /// Further members.
        other: Object<'a>,
    },
    /// An assistant's refusal.
    Refusal {
        /// The text.
        text: Cow<'a, str>,
        /// Further members.
        other: Object<'a>,
    },
    /// Anything else, as written.
    Other {
        /// The part's `type`.
        kind: Cow<'a, str>,
        /// The whole part.
        value: Raw<'a>,
    },
}

impl<'a> Part<'a> {
    /// Plain text.
    #[must_use]
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text {
            text: text.into(),
            other: Object::default(),
        }
    }
}

/// A call that an assistant made earlier.
#[derive(Debug, Clone)]
pub struct RequestToolCall<'a> {
    /// Where the client wrote it, where that is no part of its message.
    pub at: Option<Place>,
    /// The id of the call.
    pub id: Cow<'a, str>,
    /// The function's name.
    pub name: Cow<'a, str>,
    /// The arguments, as the model wrote them.
    pub arguments: Cow<'a, str>,
    /// Further members of Chat Completions' `function`.
    pub function: Object<'a>,
    /// Whether it was written as `function_call`, in OpenAI's older shape.
    pub older: bool,
    /// Further members of the call, as in `extra_content`.
    pub other: Object<'a>,
}

impl RequestToolCall<'_> {
    /// Where a message has the function of such a call.
    #[must_use]
    pub fn function_at(&self) -> &'static str {
        if self.older {
            "messages.function_call"
        } else {
            "messages.tool_calls.function"
        }
    }
}

/// Something the model may call.
#[derive(Debug, Clone)]
pub enum Tool<'a> {
    /// A function of the client.
    Function {
        /// Its name.
        name: Cow<'a, str>,
        /// What it does.
        description: Option<Cow<'a, str>>,
        /// JSON Schema of its arguments, as written.
        parameters: Option<Raw<'a>>,
        /// Whether arguments must follow the schema exactly.
        strict: Option<bool>,
        /// Further members of Chat Completions' `function`.
        function: Object<'a>,
        /// Further members of the tool.
        other: Object<'a>,
    },
    /// Anything else, as written.
    Other {
        /// The tool's `type`.
        kind: Cow<'a, str>,
        /// The whole tool.
        value: Raw<'a>,
    },
}

/// Whether the model must call, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice<'a> {
    /// As it likes.
    Auto,
    /// Not at all.
    None,
    /// At least one tool.
    Required,
    /// This function.
    Function(Cow<'a, str>),
    /// One of these functions; `required` as in [`ToolChoice::Required`].
    Allowed {
        /// Whether one must be called.
        required: bool,
        /// Their names.
        names: Vec<String>,
    },
}

/// Whether a parameter says what Chat Completions does anyway, so that leaving it out loses nothing.
#[must_use]
pub fn is_default(name: &str, value: &RawValue) -> bool {
    let value = value.get();
    match name {
        _ if value == "null" => true,
        "presence_penalty" | "frequency_penalty" | "top_logprobs" => {
            matches!(value, "0" | "0.0")
        }
        "logprobs" | "store" => value == "false",
        "logit_bias" | "metadata" => value == "{}",
        "parallel_tool_calls" => value == "true",
        "service_tier" => matches!(value, "\"auto\"" | "\"default\""),
        _ => false,
    }
}
