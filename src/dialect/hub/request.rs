//! The hub request: a Chat Completions request, with messages, parts and tools decoded. Pure.

use std::borrow::Cow;
use std::fmt;

use serde_json::value::RawValue;

use crate::codec::json::{Object, Raw};

/// A request for one response.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The provider's name of the model.
    pub model: Cow<'a, str>,
    /// Whether the response is to be streamed.
    pub stream: bool,
    /// Whether a streamed response ends with its token usage.
    pub include_usage: bool,
    /// The conversation.
    pub messages: Vec<Message<'a>>,
    /// The tools that the model may call.
    pub tools: Vec<Tool<'a>>,
    /// Whether the model must call a tool, and which.
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Every other parameter, under its Chat Completions name and in the client's order.
    pub fields: Object<'a>,
    /// Names of the client's parameters that no provider is sent.
    pub dropped: Vec<String>,
    /// Names of the client's parameters that are expressed differently for every provider.
    pub changed: Vec<String>,
}

/// Position in the client's request: the name of a list and an index, as in `messages[2]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(pub &'static str, pub usize);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.0, self.1)
    }
}

/// The author of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions.
    System,
    /// Instructions, under OpenAI's newer name.
    Developer,
    /// The end user.
    User,
    /// The model.
    Assistant,
    /// The result of a tool call.
    Tool,
    /// The result of a function call, in OpenAI's older format.
    Function,
}

impl Role {
    /// The value of `role` in Chat Completions.
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
    /// Position in the client's request.
    pub at: Place,
    /// The author.
    pub role: Role,
    /// The content.
    pub content: Vec<Part<'a>>,
    /// Whether the client wrote the content as a string, not as a list of parts.
    pub plain: bool,
    /// The name of the author, or of the function whose result this is.
    pub name: Option<Cow<'a, str>>,
    /// The tool calls of an assistant message.
    pub tool_calls: Vec<RequestToolCall<'a>>,
    /// The id of the call whose result a tool message is.
    pub tool_call_id: Option<Cow<'a, str>>,
    /// The refusal of an assistant message.
    pub refusal: Option<Cow<'a, str>>,
    /// The readable reasoning of an assistant message.
    pub reasoning: Option<Cow<'a, str>>,
    /// All other fields.
    pub other: Object<'a>,
}

impl Message<'_> {
    /// Creates a message without content.
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

/// A content part of a message.
#[derive(Debug, Clone)]
pub enum Part<'a> {
    /// Text.
    Text {
        /// The text.
        text: Cow<'a, str>,
        /// Other fields, such as `cache_control`.
        other: Object<'a>,
    },
    /// An image.
    Image {
        /// The URL as the client wrote it, normally `data:` or `https:`.
        url: Cow<'a, str>,
        /// `low`, `high` or `auto`.
        detail: Option<Cow<'a, str>>,
        /// Other fields of Chat Completions' `image_url`.
        image: Object<'a>,
        /// Other fields of the part.
        other: Object<'a>,
    },
    /// A file, with the fields of Chat Completions' `file`.
    File {
        /// `file_data`, `filename`, `file_id`, `file_url`.
        file: Object<'a>,
        /// Other fields of the part.
        other: Object<'a>,
    },
    /// An assistant's refusal.
    Refusal {
        /// The text.
        text: Cow<'a, str>,
        /// Other fields of the part.
        other: Object<'a>,
    },
    /// Any other part, unchanged.
    Other {
        /// The part's `type`.
        kind: Cow<'a, str>,
        /// The whole part.
        value: Raw<'a>,
    },
}

impl<'a> Part<'a> {
    /// Creates a text part.
    #[must_use]
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text {
            text: text.into(),
            other: Object::default(),
        }
    }
}

/// A tool call of an earlier assistant message.
#[derive(Debug, Clone)]
pub struct RequestToolCall<'a> {
    /// Position in the client's request if the call has one of its own; `None` if it is inside its
    /// message.
    pub at: Option<Place>,
    /// The id of the call.
    pub id: Cow<'a, str>,
    /// The function's name.
    pub name: Cow<'a, str>,
    /// The arguments, as the model wrote them.
    pub arguments: Cow<'a, str>,
    /// Other fields of Chat Completions' `function`.
    pub function: Object<'a>,
    /// Whether the client wrote it as `function_call`, OpenAI's older format.
    pub older: bool,
    /// Other fields of the call, such as `extra_content`.
    pub other: Object<'a>,
}

impl RequestToolCall<'_> {
    /// The path of the call's function, for reports.
    #[must_use]
    pub fn function_at(&self) -> &'static str {
        if self.older {
            "messages.function_call"
        } else {
            "messages.tool_calls.function"
        }
    }
}

/// A tool that the model may call.
#[derive(Debug, Clone)]
pub enum Tool<'a> {
    /// A function that the client runs.
    Function {
        /// The function's name.
        name: Cow<'a, str>,
        /// The description.
        description: Option<Cow<'a, str>>,
        /// JSON Schema of the arguments, unchanged.
        parameters: Option<Raw<'a>>,
        /// Whether the arguments must follow the schema exactly.
        strict: Option<bool>,
        /// Other fields of Chat Completions' `function`.
        function: Object<'a>,
        /// Other fields of the tool.
        other: Object<'a>,
    },
    /// Any other tool, unchanged.
    Other {
        /// The tool's `type`.
        kind: Cow<'a, str>,
        /// The whole tool.
        value: Raw<'a>,
    },
}

/// Whether the model must call a tool, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice<'a> {
    /// The model decides.
    Auto,
    /// The model must not call a tool.
    None,
    /// The model must call at least one tool.
    Required,
    /// The model must call this function.
    Function(Cow<'a, str>),
    /// The model may call these functions only.
    Allowed {
        /// Whether it must call one of them.
        required: bool,
        /// The names of the functions.
        names: Vec<String>,
    },
}

/// Whether a parameter has the default value of Chat Completions, so that leaving it out changes
/// nothing.
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
