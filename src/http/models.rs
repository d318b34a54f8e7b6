//! The handler of `GET /v1/models`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::caller::AuthenticatedCaller;
use super::error_response::ErrorResponse;
use super::response;
use super::schema::{ListErrors, ModelList};
use super::state::state;
use crate::codec::json::raw;
use crate::error::Error;
use crate::flow;
use crate::offload;

/// The query of the request.
#[derive(Debug, Deserialize)]
pub struct ModelsQuery {
    provider: Option<String>,
}

/// About what an entry of a list takes as JSON, in bytes.
const ENTRY: usize = 128;

/// Lists the models that can be asked for; every id can be sent back unchanged.
///
/// With gateway keys all usable providers are asked at once. Callers with keys of their own see the
/// bundled catalogue, and the live list of the provider whose key they have.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "Models",
    operation_id = "listModels",
    summary = "List models",
    params((
        "provider" = Option<String>, Query,
        description = "Only the models of this provider (as in openai), always its live list."
    )),
    responses(
        (status = 200, description = "The models. Providers that gave no list are named in `x-gateway-models-errors`.", body = ModelList, headers(
            ("x-gateway-models-errors" = String, description = "Names of providers that gave no list, separated by commas.")
        ), example = json!({
            "object": "list",
            "data": [
                {"id": "gpt-5.4-mini", "object": "model", "created": 1_721_172_741, "owned_by": "system"},
                {"id": "groq/openai/gpt-oss-120b", "object": "model", "created": 0, "owned_by": "groq", "context_window": 131_072, "source": "catalogue"}
            ]
        })),
        ListErrors
    ),
    security(("bearer" = []))
)]
pub async fn list(
    caller: AuthenticatedCaller,
    request: HttpRequest,
) -> Result<HttpResponse, ErrorResponse> {
    let AuthenticatedCaller(caller) = caller;
    let query = web::Query::<ModelsQuery>::from_query(request.query_string())
        .map_err(|_| Error::invalid("provider", "the query cannot be read; use provider once."))?;
    let only = query.provider.as_deref().filter(|name| !name.is_empty());
    let listing = flow::models(state(&request), &caller, only).await?;
    let mut builder = response::json(StatusCode::OK);
    if !listing.failed.is_empty() {
        builder.insert_header(("x-gateway-models-errors", listing.failed.join(",")));
    }
    let (length, data) = (listing.entries.len() * ENTRY, listing.entries);
    let encode = move || {
        let object = "list";
        String::from(Box::<str>::from(raw(&ModelList { object, data })))
    };
    Ok(builder.body(offload::run(length, encode).await))
}
