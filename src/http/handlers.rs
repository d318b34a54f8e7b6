//! Registers the handler of each endpoint.

use actix_web::{HttpRequest, HttpResponse, Resource, web};

use super::error_response::ErrorResponse;
use super::routes::{self, Endpoint, ROUTES};
use super::{chat, health, metrics, models, openapi, providers, responses, ui};

/// Registers every route of the table; pages only if `pages` is set. Methods and keys are checked
/// before a handler is called, see [`routes::find`].
pub(super) fn register(config: &mut web::ServiceConfig, pages: bool) {
    for route in ROUTES.into_iter().filter(|route| pages || !route.is_page) {
        config.service(handler(route.endpoint, web::resource(route.path)));
    }
    config.default_service(web::to(|request: HttpRequest| {
        let failure = ErrorResponse::from(routes::unknown(&request));
        async move { Err::<HttpResponse, _>(failure) }
    }));
}

fn handler(endpoint: Endpoint, resource: Resource) -> Resource {
    match endpoint {
        Endpoint::ChatCompletions => resource.to(chat::create),
        Endpoint::Responses => resource.to(responses::create),
        Endpoint::Models => resource.to(models::list),
        Endpoint::Providers => resource.to(providers::list),
        Endpoint::Metrics => resource.to(metrics::text),
        Endpoint::Health => resource.to(health::check),
        Endpoint::Ready => resource.to(health::ready),
        Endpoint::OpenApi => resource.to(openapi::serve),
        Endpoint::StartPage => resource.to(ui::index),
        Endpoint::StaticFile => resource.to(ui::file),
        Endpoint::SwaggerRedirect => resource.to(ui::to_swagger),
        Endpoint::SwaggerFile => resource.to(ui::swagger),
    }
}
