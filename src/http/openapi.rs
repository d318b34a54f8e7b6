//! The OpenAPI document: generated from the handlers' annotations, served at `/doc`.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use bytes::Bytes;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::response;
use super::schema::ErrorEnvelope;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "ai-gateway",
        description = "One address for 14 LLM providers, speaking OpenAI's API.\n\nAuthorize with your provider's API key, or with a gateway key where the operator has set `GATEWAY_API_KEYS`."
    ),
    servers((url = "/", description = "This gateway")),
    paths(
        super::chat::create,
        super::responses::create,
        super::models::list,
        super::providers::list,
        super::health::check,
        super::health::ready,
        super::metrics::text,
        serve
    ),
    components(schemas(ErrorEnvelope)),
    tags(
        (name = "Models", description = "OpenAI's API, for the models of every provider."),
        (name = "Gateway", description = "About the gateway itself.")
    ),
    modifiers(&Bearer)
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "The provider's API key; or one of the gateway's, where it has keys of its own.",
            ))
            .build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

static JSON: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(document()));

/// The document as JSON text, OpenAPI 3.1.
#[must_use]
pub fn document() -> String {
    Document::openapi().to_json().unwrap_or_default()
}

/// This document.
#[utoipa::path(
    get,
    path = "/doc",
    tag = "Gateway",
    operation_id = "openapi",
    summary = "OpenAPI document",
    responses((status = 200, description = "OpenAPI 3.1 JSON.", body = Object, example = json!({"openapi": "3.1.0"})))
)]
pub(super) async fn serve() -> HttpResponse {
    response::json(StatusCode::OK).body(JSON.clone())
}
