//! Builds HTTP responses.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use futures_util::StreamExt;

use crate::flow::{GatewayBody, GatewayResponse};
use crate::upstream::Headers;

/// The header that keeps browsers from guessing another content type.
pub(super) fn no_sniff() -> (HeaderName, HeaderValue) {
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
}

/// A builder of a JSON response.
pub(super) fn json(status: StatusCode) -> HttpResponseBuilder {
    let mut builder = HttpResponse::build(status);
    builder
        .insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json")))
        .insert_header(no_sniff());
    builder
}

/// Any serializable value as a JSON response with status 200.
pub(super) fn value(value: &impl serde::Serialize) -> HttpResponse {
    json(StatusCode::OK).body(crate::codec::json::raw(value).get().to_owned())
}

/// Adds the headers that a provider's response or error brought.
pub(super) fn headers(builder: &mut HttpResponseBuilder, headers: &Headers) {
    for (name, value) in headers.iter() {
        builder.insert_header((name.clone(), value.clone()));
    }
}

/// Adds the headers for the provider and, if there were several, the number of attempts.
pub(super) fn ours(builder: &mut HttpResponseBuilder, provider: &'static str, attempts: u32) {
    static PROVIDER: HeaderName = HeaderName::from_static("x-gateway-provider");
    builder.insert_header((PROVIDER.clone(), HeaderValue::from_static(provider)));
    if attempts > 1 {
        builder.insert_header(("x-gateway-attempts", attempts.to_string()));
    }
}

/// The HTTP response for a flow's response: JSON, or a stream of events.
pub(super) fn send(reply: GatewayResponse) -> HttpResponse {
    let mut builder = json(StatusCode::OK);
    headers(&mut builder, &reply.headers);
    ours(&mut builder, reply.provider.name, reply.attempts);
    match reply.content {
        GatewayBody::Json(body) => builder.body(body),
        GatewayBody::Events(events) => builder
            .insert_header((
                CONTENT_TYPE,
                HeaderValue::from_static("text/event-stream; charset=utf-8"),
            ))
            .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-cache")))
            // Proxies in front must not buffer events.
            .insert_header((
                HeaderName::from_static("x-accel-buffering"),
                HeaderValue::from_static("no"),
            ))
            .streaming(events.map(Ok::<Bytes, actix_web::Error>)),
    }
}
