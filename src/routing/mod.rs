//! Turns the name of a model into the targets that a request is sent to, in order. Pure.

use std::borrow::Cow;

use strsim::damerau_levenshtein;

use crate::error::Error;
use crate::providers::{PROVIDERS, Provider, by_name};

/// The longest model name, in bytes.
const MAX_MODEL: usize = 256;

/// The provider of models that no prefix and no pattern matches.
#[must_use]
pub fn fallback() -> &'static Provider {
    let [first, ..] = &PROVIDERS;
    first
}

/// A provider and a model that a request is sent to.
#[derive(Debug, Clone, PartialEq)]
pub struct Target<'m> {
    /// The provider.
    pub provider: &'static Provider,
    /// The provider's name for the model.
    pub model: Cow<'m, str>,
}

impl Target<'_> {
    /// The same target, independent of the request's text.
    #[must_use]
    pub fn into_owned(self) -> Target<'static> {
        Target {
            provider: self.provider,
            model: self.model.into_owned().into(),
        }
    }
}

/// Decides which targets a request is sent to.
pub trait RoutingPolicy: Send + Sync {
    /// The targets for a model name, in the order in which they are tried; never none. The policy is
    /// asked once for each request.
    ///
    /// # Errors
    /// `InvalidValue` naming `model` where the name cannot be a model's.
    fn resolve(&self, model: &str) -> Result<Vec<Target<'static>>, Error>;
}

/// The default policy: one target, by the rules of [`route`].
#[derive(Debug, Clone, Copy, Default)]
pub struct PrefixRouting;

impl RoutingPolicy for PrefixRouting {
    fn resolve(&self, model: &str) -> Result<Vec<Target<'static>>, Error> {
        Ok(vec![route(model)?.into_owned()])
    }
}

/// Routes a model name. A provider's name before the first `/` decides and is removed once. Else a
/// pattern of a provider decides. Else the provider is OpenAI. In both cases the name stays.
///
/// # Errors
/// `InvalidValue` for `model` if the name is empty, a bare prefix, longer than 256 bytes, or has
/// control characters.
pub fn route(model: &str) -> Result<Target<'_>, Error> {
    if model.len() > MAX_MODEL {
        return Err(Error::invalid(
            "model",
            format!("the name is longer than {MAX_MODEL} bytes."),
        ));
    }
    if model.chars().any(char::is_control) {
        return Err(Error::invalid(
            "model",
            "the name holds control characters.",
        ));
    }
    if model.trim().is_empty() {
        return Err(Error::invalid("model", "the name is empty."));
    }
    let (provider, name) = match model.split_once('/') {
        Some((prefix, rest)) => match by_name(prefix) {
            Some(provider) => (provider, rest),
            None => (by_pattern(model), model),
        },
        None => (by_pattern(model), model),
    };
    if name.trim().is_empty() {
        return Err(Error::invalid(
            "model",
            format!(
                "'{model}' is a provider's prefix without a model; add one, as in '{model}some-model'."
            ),
        ));
    }
    Ok(Target {
        provider,
        model: provider.model_name(name),
    })
}

/// The provider whose prefix was probably misspelled in `model`. Such a name is routed as one
/// without a prefix; this explains an error that follows.
#[must_use]
pub fn mistyped(model: &str) -> Option<&'static Provider> {
    /// The largest edit distance of a misspelling.
    const NEAR: usize = 2;
    let (prefix, _) = model.split_once('/')?;
    if by_name(prefix).is_some() || prefix.len() <= NEAR || prefix.len() > MAX_MODEL {
        return None;
    }
    let near = PROVIDERS
        .iter()
        .map(|row| (damerau_levenshtein(row.name, prefix), row))
        .min_by_key(|(distance, _)| *distance)?;
    (near.0 <= NEAR).then_some(near.1)
}

fn by_pattern(model: &str) -> &'static Provider {
    PROVIDERS
        .iter()
        .find(|provider| {
            provider
                .patterns
                .iter()
                .any(|start| model.starts_with(start))
        })
        .unwrap_or_else(fallback)
}

/// The name by which clients request the model that `provider` calls `id`: the bare id, or with the
/// provider's prefix if the bare id would be routed elsewhere. `None` if no name reaches it.
#[must_use]
pub fn public_name(provider: &'static Provider, id: &str) -> Option<String> {
    let arrives = |name: &str| {
        route(name).is_ok_and(|target| {
            target.provider == provider && target.model == provider.model_name(id)
        })
    };
    if arrives(id) {
        return Some(id.to_owned());
    }
    let prefixed = format!("{}/{id}", provider.name);
    arrives(&prefixed).then_some(prefixed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn routes_as_the_readme_says() {
        for (model, provider, name) in [
            ("gpt-4o-mini", "openai", "gpt-4o-mini"),
            ("claude-opus-5-5", "anthropic", "claude-opus-5-5"),
            ("gemini-3.8-flash", "gemini", "gemini-3.8-flash"),
            ("kimi-for-coding", "kimi", "kimi-for-coding"),
            ("kimi-k9", "kimi", "kimi-for-coding"),
            ("openai/gpt-4o", "openai", "gpt-4o"),
            ("anthropic/claude-x", "anthropic", "claude-x"),
            ("gemini/g", "gemini", "g"),
            ("kimi/anything", "kimi", "kimi-for-coding"),
            (
                "openrouter/anthropic/claude-x",
                "openrouter",
                "anthropic/claude-x",
            ),
            (
                "openrouter/openrouter/auto",
                "openrouter",
                "openrouter/auto",
            ),
            ("vercel/openai/gpt-4o", "vercel", "openai/gpt-4o"),
            ("groq/llama", "groq", "llama"),
            ("deepseek/deepseek-chat", "deepseek", "deepseek-chat"),
            ("xai/grok-4", "xai", "grok-4"),
            ("mistral/large", "mistral", "large"),
            ("cohere/command", "cohere", "command"),
            ("azure/my-deployment", "azure", "my-deployment"),
            ("bedrock/us.openai.gpt-6:0", "bedrock", "us.openai.gpt-6:0"),
            ("vertex/gemini-3", "vertex", "google/gemini-3"),
            ("vertex/google/gemini-3", "vertex", "google/gemini-3"),
            ("meta-llama/Llama-3", "openai", "meta-llama/Llama-3"),
            ("claude-x/y", "anthropic", "claude-x/y"),
            ("Claude-x", "openai", "Claude-x"),
            ("Groq/llama", "openai", "Groq/llama"),
            ("anthropic/gpt-4o", "anthropic", "gpt-4o"),
        ] {
            let target = route(model).unwrap();
            assert_eq!(
                (target.provider.name, &*target.model),
                (provider, name),
                "{model}"
            );
        }
    }

    #[test]
    fn names_without_a_model_name_the_field() {
        let long = "m".repeat(257);
        for model in ["", " ", "groq/", "groq/ ", "a\nb", "a\u{0}", &long] {
            assert_eq!(
                route(model).unwrap_err().param(),
                Some("model"),
                "{model:?}"
            );
        }
        for provider in &PROVIDERS {
            assert!(
                route(&format!("{}/", provider.name)).is_err(),
                "{}",
                provider.name
            );
        }
    }

    proptest! {
        #[test]
        fn every_public_name_comes_back_to_its_provider(
            id in "((openai|anthropic|claude|gemini|kimi|groq|azure|vertex|google|x)[/-]?){0,3}[a-z0-9.:/-]{0,12}",
        ) {
            for provider in &PROVIDERS {
                if let Some(name) = public_name(provider, &id) {
                    let target = route(&name).unwrap();
                    prop_assert_eq!(target.provider.name, provider.name);
                    prop_assert_eq!(target.model, provider.model_name(&id));
                } else {
                    prop_assert!(id.trim().is_empty(), "{} cannot name {:?}", provider.name, id);
                }
            }
        }
    }

    #[test]
    fn a_prefix_that_is_nearly_a_providers_is_known_as_one() {
        for (model, meant) in [
            ("gorq/llama-3", Some("groq")),
            ("antropic/claude-x", Some("anthropic")),
            ("groq/llama-3", None),
            ("meta-llama/llama-3", None),
            ("xi/y", None),
            ("gpt-4o", None),
        ] {
            assert_eq!(mistyped(model).map(|row| row.name), meant, "{model}");
        }
    }
}
