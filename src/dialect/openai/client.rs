//! What the response depends on in the request of a Chat Completions client. Pure.

use crate::dialect::common::stamp::Stamp;

/// Chat Completions as the client dialect, with the parts of the request that the response needs.
#[derive(Debug, Clone)]
pub struct ChatClient {
    /// Time and ids for the response.
    pub stamp: Stamp,
    /// The model of the request, used if the provider's response names none.
    pub model: String,
    /// Whether the client asked for a last chunk with the token usage.
    pub include_usage: bool,
    /// Whether the client sent `functions`, and so expects `function_call` instead of `tool_calls`.
    pub functions: bool,
    /// Whether the client asked for a JSON object but the provider got that only as an instruction.
    pub json_object: bool,
}
