//! What a Responses client asked for, as far as its answer depends on it. Pure.

use super::names::own_name;
use super::tools::Names;
use super::wire::Echo;
use crate::dialect::common::stamp::Stamp;

/// Responses as a client speaks it; holds what its answer repeats of the request.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a choice of the client's that no other depends on"
)]
pub struct ResponsesClient {
    /// Times and ids.
    pub stamp: Stamp,
    /// The provider's name, part of the response's id.
    pub provider: &'static str,
    /// The model of the request, for a provider that names none in its answer.
    pub model: String,
    /// Whether reasoning is shown as a summary.
    pub summary: bool,
    /// Whether reasoning is given for taking back.
    pub encrypted: bool,
    /// Whether it asked for log probabilities by `include`.
    pub includes_logprobs: bool,
    /// Whether it asked for a JSON object that the provider was only told to write.
    pub json_object: bool,
    pub(super) names: Names,
    /// Where the client wrote each of the hub's tools.
    pub(super) places: Vec<String>,
    pub(super) echo: Echo,
}

impl ResponsesClient {
    /// The client's own name of a field that a translation to a provider named. Tools have other
    /// places in the provider's list where some are of a namespace or were left out.
    #[must_use]
    pub fn own_name(&self, name: &str) -> String {
        if name == "logprobs" && !self.includes_logprobs {
            return "top_logprobs".to_owned();
        }
        let own = own_name(name);
        let place = own.strip_prefix("tools[").and_then(|rest| {
            let (at, member) = rest.split_once(']')?;
            Some((self.places.get(at.parse::<usize>().ok()?)?, member))
        });
        match place {
            Some((place, member)) => format!("{place}{member}"),
            None => own,
        }
    }
}
