//! The table of routes: every path that is served, and its methods. A path that is not in it is not
//! served.

use actix_web::HttpRequest;

use crate::access::AccessLevel;
use crate::error::Error;

/// A route.
#[derive(Clone, Copy)]
pub struct Route {
    /// The path, with the framework's patterns.
    pub path: &'static str,
    /// The accepted methods, as in an `Allow` header. The framework sends the response to `HEAD`
    /// without its body.
    pub allow: &'static str,
    /// The callers that may use the route. Other callers, and other methods, do not reach the
    /// handler.
    pub access_level: AccessLevel,
    /// Whether the route only reports the gateway's state, and monitors call it all the time.
    pub(super) is_probe: bool,
    /// Whether the route is a page for people, which `SERVE_DOCS` turns off.
    pub(super) is_page: bool,
    /// The endpoint that answers.
    pub(super) endpoint: Endpoint,
}

/// The endpoint of a route; `handlers` has the function of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    ChatCompletions,
    Responses,
    Models,
    Providers,
    Metrics,
    Health,
    Ready,
    OpenApi,
    StartPage,
    StaticFile,
    SwaggerRedirect,
    SwaggerFile,
}

impl Route {
    /// Whether the route is open to callers without a key.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.access_level == AccessLevel::Everyone
    }

    /// Whether the route accepts a method.
    pub(super) fn takes(&self, method: &str) -> bool {
        self.allow.split(", ").any(|own| own == method)
    }
}

const GET: &str = "GET, HEAD";
const POST: &str = "POST";

/// A route that is open to everyone.
const fn open(path: &'static str, endpoint: Endpoint) -> Route {
    Route {
        path,
        allow: GET,
        access_level: AccessLevel::Everyone,
        is_probe: false,
        is_page: false,
        endpoint,
    }
}

/// A route for monitors, open to everyone.
const fn probe(path: &'static str, endpoint: Endpoint) -> Route {
    Route {
        is_probe: true,
        ..open(path, endpoint)
    }
}

/// A page for people, open to everyone.
const fn page(path: &'static str, endpoint: Endpoint) -> Route {
    Route {
        is_page: true,
        ..open(path, endpoint)
    }
}

/// A route for callers with a key.
const fn keyed(path: &'static str, allow: &'static str, endpoint: Endpoint) -> Route {
    Route {
        allow,
        access_level: AccessLevel::Callers,
        ..open(path, endpoint)
    }
}

/// A route for metrics readers.
const fn watched(path: &'static str, endpoint: Endpoint) -> Route {
    Route {
        access_level: AccessLevel::Metrics,
        ..probe(path, endpoint)
    }
}

/// All routes, the busiest first. This table alone decides what a caller without a key may use.
pub const ROUTES: [Route; 13] = [
    keyed("/v1/chat/completions", POST, Endpoint::ChatCompletions),
    keyed("/v1/responses", POST, Endpoint::Responses),
    page("/", Endpoint::StartPage),
    page("/static/{file}", Endpoint::StaticFile),
    probe("/healthz", Endpoint::Health),
    probe("/readyz", Endpoint::Ready),
    page("/doc", Endpoint::OpenApi),
    page("/docs", Endpoint::SwaggerRedirect),
    page("/swagger-ui", Endpoint::SwaggerRedirect),
    page("/swagger-ui/{file:.*}", Endpoint::SwaggerFile),
    open("/providers", Endpoint::Providers),
    watched("/metrics", Endpoint::Metrics),
    keyed("/v1/models", GET, Endpoint::Models),
];

/// The route that serves a path; `None` if there is none. `path` is as the framework decodes it;
/// `pages` says whether pages for people are served.
pub(super) fn find(path: &str, pages: bool) -> Option<&'static Route> {
    static TABLE: [Route; ROUTES.len()] = ROUTES;
    let serves = |route: &&Route| match route.path.split_once('{') {
        None => route.path == path,
        Some((folder, pattern)) => path.strip_prefix(folder).is_some_and(|file| {
            // A parameter without a pattern matches one segment.
            pattern.contains(':') || !file.is_empty() && !file.contains('/')
        }),
    };
    let mut served = TABLE.iter().filter(|route| pages || !route.is_page);
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

/// What to call instead of a path that is not served.
fn hint(path: &str) -> String {
    let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let joined = segments.join("/");
    let nearest = ROUTES.iter().find_map(|route| {
        let own = route.path.trim_start_matches('/');
        let without_version = own.strip_prefix("v1/");
        // The version may be missing or doubled, and a prefix may precede the path.
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
        .filter(|route| route.access_level == AccessLevel::Callers)
        .map(|route| route.path)
        .collect();
    format!("Served are {}.", served.join(", "))
}
