//! Every path that is served, with its methods. What is not here is not there.

use actix_web::{HttpRequest, HttpResponse, Resource, web};

use super::failure::Failure;
use super::{chat, health, metrics, models, openapi, providers, responses, ui};
use crate::error::Error;

/// A path.
#[derive(Clone, Copy)]
pub struct Route {
    /// The path, with the framework's patterns.
    pub path: &'static str,
    /// The methods it takes, as in an `Allow` header.
    pub allow: &'static str,
    /// Whether it answers callers without a key.
    pub open: bool,
    /// Adds the handler.
    handler: fn(Resource) -> Resource,
}

const GET: &str = "GET, HEAD";
const POST: &str = "POST";

/// A path that answers everyone.
const fn open(path: &'static str, handler: fn(Resource) -> Resource) -> Route {
    Route {
        path,
        allow: GET,
        open: true,
        handler,
    }
}

/// A path for callers with a key.
const fn keyed(
    path: &'static str,
    allow: &'static str,
    handler: fn(Resource) -> Resource,
) -> Route {
    Route {
        path,
        allow,
        open: false,
        handler,
    }
}

/// A handler for `GET`, and for `HEAD`, whose body the framework leaves out.
macro_rules! get {
    ($handler:path) => {
        |resource| {
            resource
                .route(web::get().to($handler))
                .route(web::head().to($handler))
        }
    };
}

/// All paths, those that are asked for most first. What a caller without a key may ask is said here and nowhere else.
pub const ROUTES: [Route; 13] = [
    keyed("/v1/chat/completions", POST, |resource| {
        resource.route(web::post().to(chat::create))
    }),
    keyed("/v1/responses", POST, |resource| {
        resource.route(web::post().to(responses::create))
    }),
    open("/", get!(ui::index)),
    open("/static/{file}", get!(ui::file)),
    open("/healthz", get!(health::check)),
    open("/readyz", get!(health::ready)),
    open("/doc", get!(openapi::serve)),
    open("/docs", get!(ui::to_swagger)),
    open("/swagger-ui", get!(ui::to_swagger)),
    open("/swagger-ui/{file:.*}", get!(ui::swagger)),
    open("/providers", get!(providers::list)),
    keyed("/metrics", GET, get!(metrics::text)),
    keyed("/v1/models", GET, get!(models::list)),
];

/// Registers all paths.
pub(super) fn register(config: &mut web::ServiceConfig) {
    for route in ROUTES {
        let resource = (route.handler)(web::resource(route.path));
        config.service(
            resource.default_service(web::to(move |request: HttpRequest| {
                let failure = Failure::from(Error::MethodNotAllowed {
                    method: request.method().to_string(),
                    path: request.path().to_owned(),
                    allow: route.allow,
                });
                async move { Err::<HttpResponse, _>(failure) }
            })),
        );
    }
    config.default_service(web::to(|request: HttpRequest| {
        let failure = Failure::from(unknown(&request));
        async move { Err::<HttpResponse, _>(failure) }
    }));
}

/// The pattern of the table that serves a path; empty where none does. For telling paths apart, not
/// for serving them.
pub(super) fn endpoint(path: &str) -> &'static str {
    let serves = |pattern: &&str| match pattern.split_once('{') {
        None => *pattern == path,
        Some((folder, _)) => path.starts_with(folder),
    };
    let mut all = ROUTES.iter().map(|route| route.path);
    all.find(serves).unwrap_or_default()
}

/// The error for a path that is not served.
pub(super) fn unknown(request: &HttpRequest) -> Error {
    Error::UnknownPath {
        method: request.method().to_string(),
        path: request.path().to_owned(),
    }
}
