//! Finds a provider by its name or by the format of an API key.

use super::row::Provider;
use super::table::PROVIDERS;

/// The provider with this name; `None` if there is none.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| provider.name == name)
}

/// The provider whose documented key format matches `key`; the longest matching prefix wins.
#[must_use]
pub fn by_key(key: &str) -> Option<&'static Provider> {
    PROVIDERS
        .iter()
        .flat_map(|provider| {
            provider
                .key_starts
                .iter()
                .map(move |start| (provider, *start))
        })
        .filter(|(_, start)| key.starts_with(start))
        .max_by_key(|(_, start)| start.len())
        .map(|(provider, _)| provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_provider_only_where_the_format_is_documented() {
        for (key, name) in [
            ("sk-ant-api03-x", Some("anthropic")),
            ("sk-proj-x", Some("openai")),
            ("sk-or-v1-x", Some("openrouter")),
            ("gsk_x", Some("groq")),
            ("xai-x", Some("xai")),
            ("AIzaSy", Some("gemini")),
            ("sk-0123456789abcdef", None),
            ("whatever", None),
        ] {
            assert_eq!(by_key(key).map(|provider| provider.name), name, "{key}");
        }
    }

    #[test]
    fn models_are_named_as_the_provider_knows_them() {
        let name =
            |provider: &str, model: &str| by_name(provider).unwrap().model_name(model).into_owned();
        assert_eq!(name("kimi", "kimi-k9"), "kimi-for-coding");
        assert_eq!(
            name("vertex", "gemini-3.8-flash"),
            "google/gemini-3.8-flash"
        );
        assert_eq!(name("vertex", "meta/llama-maas"), "meta/llama-maas");
        assert_eq!(name("openai", "gpt-4o-mini"), "gpt-4o-mini");
    }
}
