//! Decides who is calling, and with which key the provider is called. Pure.

use crate::config::Config;
use crate::error::Error;
use crate::providers::{Provider, by_key};
use crate::secret::{CallerId, Secret};

/// An authenticated caller.
#[derive(Debug, Clone)]
pub enum Caller {
    /// The bearer is the gateway key at this position in the list; providers are called with the
    /// gateway's keys.
    GatewayKey(usize),
    /// The bearer is the key of the provider that the request goes to.
    PassThrough(Secret),
}

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLevel {
    /// Everyone.
    Everyone,
    /// Callers, and the holder of the metrics key.
    Metrics,
    /// Callers: holders of a gateway key, or in pass-through mode everyone who sends a key.
    Callers,
}

/// How a request was authenticated.
#[derive(Debug, Clone)]
pub enum AuthOutcome {
    /// Without authentication; `true` if it has a valid gateway key anyway.
    Anyone(bool),
    /// As a reader of the metrics; `true` with a gateway key or the metrics key. Only these see the
    /// load of the providers: in pass-through mode any text is accepted as a bearer.
    MetricsReader(bool),
    /// As a caller.
    Caller(Caller),
}

/// Authenticates a request by its bearer; the one place that does.
///
/// # Errors
/// `MissingApiKey` if a key is required and none was sent; `WrongKey` or `ProviderKeySent` if it is
/// not a gateway key.
pub fn authenticate(
    config: &Config,
    access_level: AccessLevel,
    bearer: Option<&str>,
) -> Result<AuthOutcome, Error> {
    let watches = |key: &str| {
        let own = config.access.metrics_key.as_ref();
        own.is_some_and(|own| bool::from(own.matches(key.trim())))
    };
    let caller = match bearer {
        Some(key) if watches(key) => Err(Error::WrongKey),
        _ => admit(config, bearer),
    };
    match (access_level, caller) {
        (AccessLevel::Everyone, caller) => Ok(AuthOutcome::Anyone(matches!(
            caller,
            Ok(Caller::GatewayKey(_))
        ))),
        (AccessLevel::Metrics, _) if bearer.is_some_and(watches) => {
            Ok(AuthOutcome::MetricsReader(true))
        }
        (AccessLevel::Metrics, caller) => Ok(AuthOutcome::MetricsReader(matches!(
            caller?,
            Caller::GatewayKey(_)
        ))),
        (AccessLevel::Callers, caller) => Ok(AuthOutcome::Caller(caller?)),
    }
}

fn admit(config: &Config, bearer: Option<&str>) -> Result<Caller, Error> {
    let bearer = bearer.map(str::trim).filter(|key| !key.is_empty());
    let Some(bearer) = bearer else {
        return Err(Error::MissingApiKey);
    };
    if !config.requires_gateway_key() {
        return Ok(Caller::PassThrough(Secret::new(bearer)));
    }
    // All keys are compared, so that the response time does not reveal which one nearly matches.
    let mut known = None;
    for (place, key) in config.access.gateway_keys.iter().enumerate() {
        if bool::from(key.matches(bearer)) {
            known = Some(place);
        }
    }
    known
        .map(Caller::GatewayKey)
        .ok_or_else(|| match by_key(bearer) {
            Some(provider) => Error::ProviderKeySent {
                title: provider.title,
            },
            None => Error::WrongKey,
        })
}

impl Caller {
    /// The identity of this caller, for limits and caches.
    #[must_use]
    pub fn id(&self) -> CallerId {
        match self {
            Self::GatewayKey(place) => CallerId::of_gateway_key(*place),
            Self::PassThrough(key) => CallerId::of(key.expose()),
        }
    }

    /// The API key to call `provider` with.
    ///
    /// # Errors
    /// `ProviderKeyMissing` if the gateway has none; `ForeignKey` if the caller's key is
    /// recognisably another provider's; `ProviderNotConfigured` if the base URL is an example,
    /// whose host may belong to anyone.
    pub fn key_for(&self, config: &Config, provider: &Provider) -> Result<Secret, Error> {
        let entry = config.of(provider);
        if entry.is_not_configured() {
            return Err(Error::ProviderNotConfigured {
                provider: entry.provider.name,
                variable: entry.provider.base_url_env,
            });
        }
        match self {
            // A key that is recognisably another vendor's is never sent to a vendor.
            Self::PassThrough(key) => match by_key(key.expose()) {
                Some(owner) if owner != entry.provider && entry.is_vendor_host() => {
                    Err(Error::ForeignKey {
                        owner: owner.name,
                        owner_title: owner.title,
                        target_title: entry.provider.title,
                    })
                }
                _ => Ok(key.clone()),
            },
            Self::GatewayKey(_) => entry.key.clone().ok_or(Error::ProviderKeyMissing {
                provider: entry.provider.name,
                variable: entry.provider.key_env,
            }),
        }
    }
}

/// The token of an `Authorization` header; `None` if the scheme is not bearer.
#[must_use]
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::PROVIDERS;

    fn keyed() -> Config {
        let mut config = Config::default();
        config.access.gateway_keys = vec![Secret::new("first"), Secret::new("second")];
        config.providers[0].key = Some(Secret::new("provider"));
        config
    }

    #[test]
    fn only_a_gateway_key_opens_a_keyed_gateway() {
        for (key, open) in [
            (Some("first"), true),
            (Some("second"), true),
            (Some("second "), true),
            (Some("secon"), false),
            (Some("secondd"), false),
            (Some("provider"), false),
            (Some("first,second"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(admit(&keyed(), key).is_ok(), open, "{key:?}");
        }
    }

    #[test]
    fn the_key_for_the_counters_opens_nothing_else() {
        use AccessLevel::{Callers, Everyone, Metrics};
        let mut open = {
            let mut config = Config::default();
            config.access.metrics_key = Some(Secret::new("scrape"));
            config
        };
        let mut closed = keyed();
        closed
            .access
            .metrics_key
            .clone_from(&open.access.metrics_key);
        for config in [&open, &closed] {
            let entered = |access_level| authenticate(config, access_level, Some(" scrape"));
            assert!(matches!(
                entered(Metrics),
                Ok(AuthOutcome::MetricsReader(true))
            ));
            assert!(matches!(entered(Everyone), Ok(AuthOutcome::Anyone(false))));
            assert_eq!(entered(Callers).unwrap_err(), Error::WrongKey);
        }
        let watched = |config: &Config, key| authenticate(config, Metrics, key);
        let team = watched(&closed, Some("first"));
        assert!(matches!(team, Ok(AuthOutcome::MetricsReader(true))));
        assert_eq!(watched(&closed, Some("x")).unwrap_err(), Error::WrongKey);
        assert_eq!(watched(&open, None).unwrap_err(), Error::MissingApiKey);
        open.access.metrics_key = None;
        let anyone = watched(&open, Some("x"));
        assert!(matches!(anyone, Ok(AuthOutcome::MetricsReader(false))));
    }

    /// Trap I8.
    #[test]
    fn keys_of_one_mode_are_not_used_in_the_other() {
        let mut open = keyed();
        open.access.gateway_keys.clear();
        let caller = admit(&open, Some("mine")).unwrap();
        for provider in PROVIDERS.iter().filter(|row| !row.base_is_example) {
            assert_eq!(caller.key_for(&open, provider).unwrap().expose(), "mine");
        }
        let config = keyed();
        let caller = admit(&config, Some("first")).unwrap();
        assert_eq!(
            caller.key_for(&config, &PROVIDERS[0]).unwrap().expose(),
            "provider"
        );
        let error = caller.key_for(&config, &PROVIDERS[1]).unwrap_err();
        assert!(error.to_string().contains("ANTHROPIC_API_KEY"), "{error}");
    }

    #[test]
    fn no_key_is_for_an_example() {
        let config = Config::default();
        let caller = admit(&config, Some("mine")).unwrap();
        for provider in PROVIDERS.iter().filter(|row| row.base_is_example) {
            let error = caller.key_for(&config, provider).unwrap_err();
            assert!(error.to_string().contains(provider.base_url_env), "{error}");
        }
    }

    #[test]
    fn a_bearer_is_read_in_any_case() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("Bearer"), None);
    }
}
