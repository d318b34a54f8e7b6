//! The handlers of `GET /healthz` and `GET /readyz`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::response;
use super::schema::Health;
use super::state::state;
use crate::codec::json::raw;
use crate::shutdown::Stage;

/// Says that the process answers. Asks no provider.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "Gateway",
    operation_id = "health",
    summary = "Liveness",
    responses((status = 200, description = "It answers.", body = Health, example = json!({"status": "ok"})))
)]
pub async fn check() -> HttpResponse {
    response::value(&json!({"status": "ok"}))
}

/// Says whether requests should be sent here: not once the gateway was told to stop. Asks no
/// provider, and a provider that fails does not make it fail: all replicas have the same providers.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "Gateway",
    operation_id = "ready",
    summary = "Readiness",
    responses(
        (status = 200, description = "Send requests.", body = Health, example = json!({"status": "ready"})),
        (status = 503, description = "It stops: send requests elsewhere.", body = Health, example = json!({"status": "stopping"}))
    )
)]
pub async fn ready(request: HttpRequest) -> HttpResponse {
    let (status, word) = if state(&request).shutdown.is_at(Stage::Stopping) {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else {
        (StatusCode::OK, "ready")
    };
    let body = raw(&json!({"status": word})).get().to_owned();
    response::json(status).body(body)
}
