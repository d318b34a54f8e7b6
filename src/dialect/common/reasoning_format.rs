//! Names of reasoning formats: they say which provider made a piece of reasoning and accepts it
//! back. Where OpenRouter's `reasoning_details` has a name for a format, it is used. Pure.

/// Anthropic's thinking, with its signature or encrypted.
pub(in crate::dialect) const ANTHROPIC: &str = "anthropic-claude-v1";

/// Gemini's thought signatures, each with the id of its tool call.
pub(in crate::dialect) const GEMINI: &str = "google-gemini-v1";

/// Reasoning that the provider returns and accepts as plain `reasoning_content`.
pub(in crate::dialect) const PLAIN: &str = "reasoning-content-v1";

/// Encrypted reasoning of OpenAI's Responses.
pub(in crate::dialect) const RESPONSES: &str = "openai-responses-v1";
