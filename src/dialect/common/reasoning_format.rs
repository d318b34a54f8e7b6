//! The names of reasoning formats: who made a piece of reasoning, and so who takes it back. The names
//! are those of OpenRouter's `reasoning_details`, as far as it has them. Pure.

/// Thinking that Anthropic signed or sealed.
pub(in crate::dialect) const ANTHROPIC: &str = "anthropic-claude-v1";

/// Thought signatures of Gemini, each with the id of its call.
pub(in crate::dialect) const GEMINI: &str = "google-gemini-v1";

/// Reasoning that its provider gives and takes back as plain `reasoning_content`.
pub(in crate::dialect) const PLAIN: &str = "reasoning-content-v1";

/// Reasoning that OpenAI's Responses sealed.
pub(in crate::dialect) const RESPONSES: &str = "openai-responses-v1";
