//! `GET /healthz`.

use actix_web::HttpResponse;
use serde_json::json;

use super::openapi::Health;
use super::reply;

/// Says that the process answers. Asks no provider.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "Gateway",
    operation_id = "health",
    responses((status = 200, description = "It answers.", body = Health, example = json!({"status": "ok"})))
)]
pub async fn check() -> HttpResponse {
    reply::value(&json!({"status": "ok"}))
}
