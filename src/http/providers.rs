//! The handler of `GET /providers`.

use super::caller::KeyHolder;
use super::response;
use super::schema::{Endpoints, ProviderEntry, ProviderList, ProviderStatus};
use super::state::state;
use crate::flow::AppState;
use crate::providers::{CATALOGUE_DATE, ChatApi, PROVIDERS, Provider, ResponsesSupport};
use crate::routing;
use crate::worker::Circuit;
use actix_web::{HttpRequest, HttpResponse};

/// Lists the providers: how their models are named and what is relayed or translated.
///
/// Holders of a gateway key also see how each is configured and doing.
#[utoipa::path(
    get,
    path = "/providers",
    tag = "Gateway",
    operation_id = "listProviders",
    summary = "List providers",
    responses((status = 200, description = "The providers, in the order of the README.", body = ProviderList, example = json!({
        "object": "list",
        "mode": "pass_through",
        "catalogue_date": "2026-11-27",
        "data": [
            {"name": "anthropic", "title": "Anthropic", "prefix": "anthropic/", "patterns": ["claude*"], "endpoints": {"chat_completions": "translated", "responses": "translated"}},
            {"name": "groq", "title": "Groq", "prefix": "groq/", "patterns": [], "endpoints": {"chat_completions": "native", "responses": "native"}}
        ]
    }))),
    security((), ("bearer" = []))
)]
pub async fn list(known: KeyHolder, request: HttpRequest) -> HttpResponse {
    let state = state(&request);
    let data = PROVIDERS
        .iter()
        .map(|provider| row(provider, known.0.then_some(state)))
        .collect();
    response::value(&ProviderList {
        object: "list",
        mode: match &state.config {
            config if config.demo => "demo",
            config if config.requires_gateway_key() => "gateway_keys",
            _ => "pass_through",
        },
        catalogue_date: CATALOGUE_DATE,
        data,
    })
}

fn row(provider: &'static Provider, state: Option<&AppState>) -> ProviderEntry {
    ProviderEntry {
        name: provider.name,
        title: provider.title,
        prefix: format!("{}/", provider.name),
        patterns: provider
            .patterns
            .iter()
            .map(|start| format!("{start}*"))
            .collect(),
        takes_the_rest: (routing::fallback() == provider).then_some(true),
        endpoints: Endpoints {
            chat_completions: match provider.chat_api {
                ChatApi::Chat(_) => "native",
                ChatApi::Other { .. } => "translated",
            },
            responses: match provider.responses {
                ResponsesSupport::Native | ResponsesSupport::NativeAtFirst => "native",
                ResponsesSupport::NativeFor(_) => "native or translated, by model",
                ResponsesSupport::Translated => "translated",
            },
        },
        status: state.map(|state| {
            let entry = state.config.of(provider);
            let doing = state.worker(provider).state();
            ProviderStatus {
                key_configured: entry.key.is_some(),
                base_url: entry.base.to_string(),
                base_url_is_example: entry.is_not_configured(),
                in_flight: doing.in_flight as u64,
                waiting: doing.waiting as u64,
                failures_in_a_row: doing.failures_in_a_row,
                circuit: match doing.circuit {
                    Circuit::Closed => "closed",
                    Circuit::HalfOpen => "half_open",
                    Circuit::Open => "open",
                },
                failing_models: state.worker(provider).failing(),
            }
        }),
    }
}
