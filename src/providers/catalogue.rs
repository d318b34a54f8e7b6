//! The bundled catalogue of models; it stands in for the list of a provider that has none.

use std::sync::LazyLock;

use serde::Deserialize;

use super::row::Provider;

/// A model of the catalogue.
#[derive(Debug, Clone, Deserialize)]
pub struct CatalogueModel {
    /// The model's id at the provider.
    pub id: String,
    /// The longest input, in tokens; `None` if unknown.
    #[serde(default)]
    pub context_window: Option<u64>,
    /// The longest output, in tokens; `None` if unknown.
    #[serde(default)]
    pub max_output_tokens: Option<u64>,
}

/// The date when the catalogue was compiled.
pub const CATALOGUE_DATE: &str = "2026-11-27";

static CATALOGUE: LazyLock<Vec<(String, Vec<CatalogueModel>)>> = LazyLock::new(|| {
    let all: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(include_str!("catalogue.json")).unwrap_or_default();
    all.into_iter()
        .map(|(name, list)| (name, serde_json::from_value(list).unwrap_or_default()))
        .collect()
});

/// The catalogue's models of a provider; empty if its models are the customer's deployments.
#[must_use]
pub fn catalogue(provider: &Provider) -> &'static [CatalogueModel] {
    CATALOGUE
        .iter()
        .find(|(name, _)| name == provider.name)
        .map_or(&[], |(_, models)| models)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::PROVIDERS;

    #[test]
    fn every_provider_has_its_place_and_no_id_twice() {
        let names: Vec<_> = CATALOGUE.iter().map(|(name, _)| name.as_str()).collect();
        let rows: Vec<_> = PROVIDERS.iter().map(|provider| provider.name).collect();
        assert_eq!(names, rows);
        for (name, models) in CATALOGUE.iter() {
            assert!(!models.is_empty() || name == "azure", "{name}");
            assert!(
                models.windows(2).all(|pair| pair[0].id < pair[1].id),
                "{name} is not sorted or has an id twice"
            );
        }
    }
}
