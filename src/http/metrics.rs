//! The handler of `GET /metrics`.

use actix_web::{HttpRequest, HttpResponse};

use super::caller::MetricsReader;
use super::response::no_sniff;
use super::schema::ListErrors;
use super::state::state;

/// Counters in the text format of `OpenMetrics`, for Prometheus: requests, attempts, errors,
/// tokens, times, and what translations left out or put otherwise.
///
/// Holders of a gateway key or of `METRICS_KEY` also see how the providers are doing.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "Gateway",
    operation_id = "metrics",
    summary = "Metrics for Prometheus",
    responses(
        (status = 200, description = "OpenMetrics text 1.0.", body = String, content_type = "application/openmetrics-text",
         example = json!("gateway_translation_params_total{provider=\"groq\",effect=\"dropped\",param=\"seed\"} 2\n# EOF\n")),
        ListErrors
    ),
    security(("bearer" = []))
)]
pub async fn text(watcher: MetricsReader, request: HttpRequest) -> HttpResponse {
    let state = state(&request);
    let loads = watcher.0.then(|| state.provider_loads());
    HttpResponse::Ok()
        .insert_header((
            "content-type",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ))
        .insert_header(no_sniff())
        .body(state.metrics.text(loads.as_deref()))
}
