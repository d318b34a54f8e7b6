//! What the response to a Responses client depends on. Pure.

use super::names::own_name;
use super::tools::ClientToolNames;
use super::wire::Echo;
use crate::dialect::common::stamp::Stamp;

/// The client dialect Responses, with what a response needs of its request.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a choice of the client's that no other depends on"
)]
pub struct ResponsesClient {
    /// Source of times and ids.
    pub stamp: Stamp,
    /// The provider's name, part of the response's id.
    pub provider: &'static str,
    /// The requested model, used if the provider's response names none.
    pub model: String,
    /// Whether reasoning is shown as a summary.
    pub summary: bool,
    /// Whether the client asked for `encrypted_content`, to send reasoning back.
    pub encrypted: bool,
    /// Whether `include` asks for log probabilities.
    pub includes_logprobs: bool,
    /// Whether the client asked for `json_object`. A Markdown fence around the text is removed
    /// then, because the provider may only have been asked for JSON in the prompt.
    pub json_object: bool,
    pub(super) names: ClientToolNames,
    /// The client's path of each tool in the hub's list.
    pub(super) client_paths: Vec<String>,
    pub(super) echo: Echo,
}

impl ResponsesClient {
    /// Converts a hub field name to the client's. Tools are mapped by position, because the hub's
    /// list has namespaces expanded and some tools left out.
    #[must_use]
    pub fn own_name(&self, name: &str) -> String {
        if name == "logprobs" && !self.includes_logprobs {
            return "top_logprobs".to_owned();
        }
        let own = own_name(name);
        let place = own.strip_prefix("tools[").and_then(|rest| {
            let (at, member) = rest.split_once(']')?;
            Some((self.client_paths.get(at.parse::<usize>().ok()?)?, member))
        });
        match place {
            Some((place, member)) => format!("{place}{member}"),
            None => own,
        }
    }
}
