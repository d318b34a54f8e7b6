//! Every path that is served, with its methods. What is not here is not there.

use actix_web::{HttpRequest, HttpResponse, Resource, web};

use super::error_response::ErrorResponse;
use super::{chat, health, metrics, models, openapi, providers, responses, ui};
use crate::access::AccessLevel;
use crate::error::Error;

/// A path.
#[derive(Clone, Copy)]
pub struct Route {
    /// The path, with the framework's patterns.
    pub path: &'static str,
    /// The methods it takes, as in an `Allow` header. What `HEAD` is answered the framework sends
    /// without its body.
    pub allow: &'static str,
    /// Whom it answers. Nobody else comes to the handler, and nothing with another method.
    pub audience: AccessLevel,
    /// Whether it only tells how the gateway is doing, and is asked by monitors all the time.
    pub(super) is_probe: bool,
    /// Whether it is a page for people, which `SERVE_DOCS` turns off.
    page: bool,
    /// Adds the handler.
    handler: fn(Resource) -> Resource,
}

impl Route {
    /// Whether it answers callers without a key.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.audience == AccessLevel::Everyone
    }

    /// Whether it takes a method.
    pub(super) fn takes(&self, method: &str) -> bool {
        self.allow.split(", ").any(|own| own == method)
    }
}

const GET: &str = "GET, HEAD";
const POST: &str = "POST";

/// A path that answers everyone.
const fn open(path: &'static str, handler: fn(Resource) -> Resource) -> Route {
    Route {
        path,
        allow: GET,
        audience: AccessLevel::Everyone,
        is_probe: false,
        page: false,
        handler,
    }
}

/// A path for monitors, which answers everyone.
const fn probe(path: &'static str, handler: fn(Resource) -> Resource) -> Route {
    Route {
        is_probe: true,
        ..open(path, handler)
    }
}

/// A page for people.
const fn page(path: &'static str, handler: fn(Resource) -> Resource) -> Route {
    Route {
        page: true,
        ..open(path, handler)
    }
}

/// A path for callers with a key.
const fn keyed(
    path: &'static str,
    allow: &'static str,
    handler: fn(Resource) -> Resource,
) -> Route {
    Route {
        allow,
        audience: AccessLevel::Callers,
        ..open(path, handler)
    }
}

/// A path for who reads the counters.
const fn watched(path: &'static str, handler: fn(Resource) -> Resource) -> Route {
    Route {
        audience: AccessLevel::Watchers,
        ..probe(path, handler)
    }
}

/// All paths, those that are asked for most first. What a caller without a key may ask is said here and nowhere else.
pub const ROUTES: [Route; 13] = [
    keyed("/v1/chat/completions", POST, |resource| {
        resource.to(chat::create)
    }),
    keyed("/v1/responses", POST, |resource| {
        resource.to(responses::create)
    }),
    page("/", |resource| resource.to(ui::index)),
    page("/static/{file}", |resource| resource.to(ui::file)),
    probe("/healthz", |resource| resource.to(health::check)),
    probe("/readyz", |resource| resource.to(health::ready)),
    page("/doc", |resource| resource.to(openapi::serve)),
    page("/docs", |resource| resource.to(ui::to_swagger)),
    page("/swagger-ui", |resource| resource.to(ui::to_swagger)),
    page("/swagger-ui/{file:.*}", |resource| resource.to(ui::swagger)),
    open("/providers", |resource| resource.to(providers::list)),
    watched("/metrics", |resource| resource.to(metrics::text)),
    keyed("/v1/models", GET, |resource| resource.to(models::list)),
];

/// Registers all paths; those for people where `pages` says so. Methods and keys are looked at before,
/// see [`find`].
pub(super) fn register(config: &mut web::ServiceConfig, pages: bool) {
    for route in ROUTES.into_iter().filter(|route| pages || !route.page) {
        config.service((route.handler)(web::resource(route.path)));
    }
    config.default_service(web::to(|request: HttpRequest| {
        let failure = ErrorResponse::from(unknown(&request));
        async move { Err::<HttpResponse, _>(failure) }
    }));
}

/// The row of the table that serves a path; nothing where none does. `path` is as the framework
/// reads it; `pages` says whether those for people are served.
pub(super) fn find(path: &str, pages: bool) -> Option<&'static Route> {
    static TABLE: [Route; ROUTES.len()] = ROUTES;
    let serves = |route: &&Route| match route.path.split_once('{') {
        None => route.path == path,
        Some((folder, pattern)) => path.strip_prefix(folder).is_some_and(|file| {
            // Without a pattern it is one segment.
            pattern.contains(':') || !file.is_empty() && !file.contains('/')
        }),
    };
    let mut served = TABLE.iter().filter(|route| pages || !route.page);
    served.find(serves)
}

/// The error for a path that is not served.
pub(super) fn unknown(request: &HttpRequest) -> Error {
    Error::UnknownPath {
        method: request.method().to_string(),
        path: request.path().to_owned(),
        hint: hint(request.path()),
    }
}

/// What to ask for instead of a path that is not served.
fn hint(path: &str) -> String {
    let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let joined = segments.join("/");
    let nearest = ROUTES.iter().find_map(|route| {
        let own = route.path.trim_start_matches('/');
        let without_version = own.strip_prefix("v1/");
        // A version may be missing, or stand there twice; something may stand before it.
        let means = !own.is_empty()
            && !own.contains('{')
            && (joined == own
                || without_version == Some(joined.as_str())
                || joined.ends_with(&format!("/{own}")));
        means.then_some(route.path)
    });
    if let Some(path) = nearest {
        return format!("Did you mean {path}?");
    }
    let served: Vec<&str> = ROUTES
        .iter()
        .filter(|route| route.audience == AccessLevel::Callers)
        .map(|route| route.path)
        .collect();
    format!("Served are {}.", served.join(", "))
}
