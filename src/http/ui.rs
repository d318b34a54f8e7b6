//! The start page and Swagger UI, all served from the binary.

use std::sync::{Arc, LazyLock};

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use utoipa_swagger_ui::Config;

use super::error_response::ErrorResponse;
use super::response::no_sniff;
use super::routes;

/// The content security policy: pages load nothing from elsewhere. Swagger UI sets styles on
/// elements and shows inline icons.
const POLICY: (&str, &str) = (
    "content-security-policy",
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

const FILES: [(&str, &str, &str); 3] = [
    (
        "index.html",
        "text/html; charset=utf-8",
        include_str!("../../static/index.html"),
    ),
    (
        "style.css",
        "text/css; charset=utf-8",
        include_str!("../../static/style.css"),
    ),
    (
        "page.js",
        "text/javascript; charset=utf-8",
        include_str!("../../static/page.js"),
    ),
];

static SWAGGER: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    Arc::new(
        Config::new(["/doc"])
            .try_it_out_enabled(true)
            .display_request_duration(true)
            // Only one document is served, so a field for another would be noise.
            .use_base_layout()
            // A key that is typed in stays in this browser, for this address, until it is removed.
            .persist_authorization(true)
            // Otherwise Swagger UI would send the document to a public validator.
            .validator_url("none"),
    )
});

fn page(content_type: &str, body: impl Into<bytes::Bytes>) -> HttpResponse {
    HttpResponse::build(StatusCode::OK)
        .insert_header(("content-type", content_type))
        .insert_header(no_sniff())
        .insert_header(POLICY)
        .insert_header(("x-frame-options", "DENY"))
        .insert_header(("referrer-policy", "no-referrer"))
        .body(body.into())
}

/// `GET /`: the start page.
pub async fn index() -> HttpResponse {
    let [(_, content_type, body), ..] = FILES;
    page(content_type, body)
}

/// `GET /static/{file}`: the files of the start page.
pub async fn file(
    name: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ErrorResponse> {
    FILES
        .iter()
        .find(|(file, ..)| *file == name.as_str())
        .map(|(_, content_type, body)| page(content_type, *body))
        .ok_or_else(|| routes::unknown(&request).into())
}

/// `GET /docs` and `/swagger-ui`: redirects to the documentation.
pub async fn to_swagger() -> HttpResponse {
    HttpResponse::build(StatusCode::PERMANENT_REDIRECT)
        .insert_header(("location", "/swagger-ui/"))
        .finish()
}

/// Adds the viewport tag that Swagger UI's page lacks, so that it fits narrow screens.
fn for_phones(page: Vec<u8>) -> Vec<u8> {
    const HEAD: &str = "<head>";
    const VIEWPORT: &str =
        r#"<head><meta name="viewport" content="width=device-width, initial-scale=1">"#;
    match String::from_utf8(page) {
        Ok(text) => text.replacen(HEAD, VIEWPORT, 1).into_bytes(),
        Err(error) => error.into_bytes(),
    }
}

/// `GET /swagger-ui/{file}`: the files of Swagger UI.
pub async fn swagger(
    name: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, ErrorResponse> {
    let file = utoipa_swagger_ui::serve(&name, Arc::clone(&SWAGGER))
        .ok()
        .flatten();
    let Some(file) = file else {
        return Err(routes::unknown(&request).into());
    };
    let mut bytes = file.bytes.into_owned();
    if !file.gzpipped && file.content_type.starts_with("text/html") {
        bytes = for_phones(bytes);
    }
    let mut response = page(&file.content_type, bytes);
    if file.gzpipped {
        use actix_web::http::header::{CONTENT_ENCODING, HeaderValue};
        let gzip = HeaderValue::from_static("gzip");
        response.headers_mut().insert(CONTENT_ENCODING, gzip);
    }
    Ok(response)
}
