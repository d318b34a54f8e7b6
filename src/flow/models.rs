//! The flow of `GET /v1/models`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::inbound::for_caller;
use super::models_cache::CachedList;
use super::redaction;
use super::state::AppState;
use crate::access::Caller;
use crate::codec::Spliced;
use crate::dialect::ResponseDecoder;
use crate::dialect::models::{Entry, read};
use crate::error::{Error, Phase};
use crate::offload;
use crate::providers::{PROVIDERS, Provider, by_key, by_name, catalogue};
use crate::routing::public_name;
use crate::secret::{CallerId, Secret};
use crate::upstream::CallError;
use crate::upstream::{Deadline, Method, UpstreamRequest};
use crate::worker::{Call, UpstreamBody};

/// Maximum number of pages that are read of one provider's list.
const MAX_PAGES: usize = 20;

/// How long a provider's failure is cached, so that a client that polls does not wait for it each
/// time.
const FAILURE_KEPT: Duration = Duration::from_secs(10);

/// The list of models for the client.
pub struct ModelListing {
    /// The models, by provider in the order of the table.
    pub entries: Vec<Entry>,
    /// Names of the providers that gave no list.
    pub failed: Vec<&'static str>,
}

/// Lists the models of one provider, or of all.
///
/// A caller's own key is sent to at most one provider: the one in `only`, or else the one whose key
/// format it has. The other providers are then listed from the bundled catalogue.
///
/// # Errors
/// `InvalidValue` if there is no provider of this name; else why the provider in `only` gave no
/// list.
pub async fn models(
    state: &AppState,
    caller: &Caller,
    only: Option<&str>,
) -> Result<ModelListing, CallError> {
    if let Some(name) = only {
        let provider = by_name(name).ok_or_else(|| {
            let names: Vec<_> = PROVIDERS.iter().map(|provider| provider.name).collect();
            Error::invalid(
                "provider",
                format!("'{name}' is none of {}.", names.join(", ")),
            )
        })?;
        let key = caller.key_for(&state.config, provider)?;
        let entries = match caller {
            Caller::PassThrough(_) => live(state, caller, provider, key).await?,
            Caller::GatewayKey(_) => kept(state, caller, provider, key).await?.to_vec(),
        };
        return Ok(ModelListing {
            entries,
            failed: Vec::new(),
        });
    }
    let mut listing = ModelListing {
        entries: Vec::new(),
        failed: Vec::new(),
    };
    match caller {
        Caller::PassThrough(key) => {
            let key_owner = by_key(key.expose());
            for provider in &PROVIDERS {
                let listed = if key_owner == Some(provider) {
                    live(state, caller, provider, key.clone()).await
                } else {
                    Ok(bundled(provider))
                };
                listing.add(provider, listed.map(Arc::new));
            }
        }
        Caller::GatewayKey(_) => {
            let asked = state
                .config
                .providers
                .iter()
                .filter(|entry| !entry.is_not_configured())
                .filter_map(|entry| Some((entry.provider, entry.key.clone()?)))
                .map(|(provider, key)| async move {
                    (provider, kept(state, caller, provider, key).await)
                });
            for (provider, listed) in join_all(asked).await {
                listing.add(provider, listed);
            }
        }
    }
    Ok(listing)
}

impl ModelListing {
    fn add(&mut self, provider: &'static Provider, listed: CachedList) {
        match listed {
            Ok(entries) => self.entries.extend(entries.iter().cloned()),
            Err(_) => self.failed.push(provider.name),
        }
    }
}

/// A provider's list under the gateway's own key, from the cache if it is fresh enough.
async fn kept(
    state: &AppState,
    caller: &Caller,
    provider: &'static Provider,
    key: Secret,
) -> CachedList {
    let cache = &state.models;
    let slot = PROVIDERS.iter().zip(&cache.slots);
    let Some((_, slot)) = slot.into_iter().find(|(row, _)| *row == provider) else {
        return live(state, caller, provider, key).await.map(Arc::new);
    };
    if cache.keep.is_zero() {
        return live(state, caller, provider, key).await.map(Arc::new);
    }
    let came = Instant::now();
    // The lock is held during the call: other requests for the same list share its result.
    let mut slot = slot.lock().await;
    if let Some((at, listed)) = &*slot {
        // The provider was not called, so this error says nothing about it.
        let unasked =
            |error: &Error| matches!(error, Error::Overloaded { .. } | Error::CircuitOpen { .. });
        let keep = match listed {
            Ok(_) => cache.keep,
            Err(refused) if unasked(&refused.error) => Duration::ZERO,
            Err(_) => cache.keep.min(FAILURE_KEPT),
        };
        if at.elapsed() < keep || *at >= came {
            return listed.clone();
        }
    }
    let listed = live(state, caller, provider, key).await.map(Arc::new);
    *slot = Some((Instant::now(), listed.clone()));
    listed
}

/// Fetches a provider's list, or uses the catalogue for a provider that has no such endpoint.
async fn live(
    state: &AppState,
    caller: &Caller,
    provider: &'static Provider,
    key: Secret,
) -> Result<Vec<Entry>, CallError> {
    match pages(state, provider, &key, caller.id()).await {
        Ok(entries) => Ok(entries),
        Err(failed) if failed.error.status() == 404 && !provider.lists_models => {
            Ok(bundled(provider))
        }
        Err(failed) => {
            log::warn!("{} gave no list of models: {}", provider.name, failed.error);
            Err(for_caller(failed, provider, caller, ""))
        }
    }
}

async fn pages(
    state: &AppState,
    provider: &'static Provider,
    key: &Secret,
    caller: CallerId,
) -> Result<Vec<Entry>, CallError> {
    let after = state.config.models.timeout;
    let deadline = Deadline {
        at: Instant::now() + after,
        phase: Phase::Answer,
        after,
    };
    let mut entries: Vec<Entry> = Vec::new();
    let mut after: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let path = match (&after, provider.list_is_paged) {
            (_, false) => "/models".to_owned(),
            (None, true) => "/models?limit=1000".to_owned(),
            (Some(id), true) => format!("/models?limit=1000&after_id={}", escaped(id)),
        };
        let request = UpstreamRequest {
            method: Method::Get,
            path: path.into(),
            // The empty name selects the circuit of the list of models.
            model: "".into(),
            body: Spliced::default(),
            key: key.clone(),
            caller,
            stream: false,
            headers: Vec::new(),
            deadline,
            record: None,
        };
        let call = Call {
            request: &request,
            decoder: ResponseDecoder::Json(provider.dialect()),
            prior_attempts: 0,
        };
        let reply = state.worker(provider).call(call).await?;
        let page = match reply.content {
            UpstreamBody::Whole(body, _) => {
                let (key, length) = (key.clone(), body.len());
                let read = move || {
                    read(
                        &redaction::whole(body, &key),
                        provider.name,
                        provider.list_prefix,
                        provider.list_type,
                    )
                };
                offload::run(length, read).await
            }
            UpstreamBody::Events(_) => Err("it is a stream".to_owned()),
        };
        let page = page.map_err(|reason| CallError {
            attempts: reply.attempts,
            provider: Some(provider),
            ..CallError::from(Error::InvalidUpstreamResponse {
                provider: provider.name,
                reason,
            })
        })?;
        entries.extend(
            page.entries
                .into_iter()
                .filter_map(|entry| named(provider, entry)),
        );
        match page.after {
            Some(next) if provider.list_is_paged && after.as_ref() != Some(&next) => {
                after = Some(next);
            }
            _ => break,
        }
    }
    Ok(entries)
}

/// The entry with the name that clients use for it.
fn named(provider: &'static Provider, mut entry: Entry) -> Option<Entry> {
    entry.id = public_name(provider, &entry.id)?;
    Some(entry)
}

/// A provider's models from the catalogue, marked with that source.
fn bundled(provider: &'static Provider) -> Vec<Entry> {
    catalogue(provider)
        .iter()
        .filter_map(|model| {
            named(
                provider,
                Entry {
                    id: model.id.clone(),
                    object: "model",
                    created: 0,
                    owned_by: provider.name.to_owned(),
                    display_name: None,
                    context_window: model.context_window,
                    max_output_tokens: model.max_output_tokens,
                    source: Some("catalogue"),
                },
            )
        })
        .collect()
}

/// Percent-encodes an id for a query.
fn escaped(id: &str) -> String {
    url::form_urlencoded::byte_serialize(id.as_bytes()).collect()
}
