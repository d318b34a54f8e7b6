//! `GET /providers`.

use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::caller::{KeyHolder, state};
use super::openapi::ProviderList;
use super::response;
use crate::flow::AppState;
use crate::providers::{CATALOGUE_DATE, ChatApi, PROVIDERS, Provider, ResponsesSupport};
use crate::routing;
use crate::worker::Circuit;

#[derive(Serialize)]
struct List {
    object: &'static str,
    /// Which keys callers bring: `gateway_keys`, `pass_through` (the provider's) or `demo` (any).
    mode: &'static str,
    /// When the bundled list of models was made.
    catalogue_date: &'static str,
    data: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: &'static str,
    title: &'static str,
    prefix: String,
    patterns: Vec<String>,
    /// Whether every other name comes here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    takes_the_rest: bool,
    endpoints: Endpoints,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

#[derive(Serialize)]
struct Endpoints {
    chat_completions: &'static str,
    responses: &'static str,
}

/// What only holders of a gateway key see.
#[derive(Serialize)]
struct Status {
    key_configured: bool,
    base_url: String,
    base_url_is_example: bool,
    in_flight: usize,
    waiting: usize,
    failures_in_a_row: u64,
    /// `closed`, `half_open` or `open`.
    circuit: &'static str,
    failing_models: Vec<String>,
}

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
    response::value(&List {
        object: "list",
        mode: match &state.config {
            config if config.demo => "demo",
            config if config.keyed() => "gateway_keys",
            _ => "pass_through",
        },
        catalogue_date: CATALOGUE_DATE,
        data,
    })
}

fn row(provider: &'static Provider, state: Option<&AppState>) -> Row {
    Row {
        name: provider.name,
        title: provider.title,
        prefix: format!("{}/", provider.name),
        patterns: provider
            .patterns
            .iter()
            .map(|start| format!("{start}*"))
            .collect(),
        takes_the_rest: routing::fallback() == provider,
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
            Status {
                key_configured: entry.key.is_some(),
                base_url: entry.base.to_string(),
                base_url_is_example: entry.is_not_configured(),
                in_flight: doing.in_flight,
                waiting: doing.waiting,
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
