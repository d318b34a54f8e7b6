//! What a Chat Completions client asked for, as far as its answer depends on it. Pure.

use crate::dialect::common::stamp::Stamp;

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
