//! Answers on the wire.

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use futures_util::StreamExt;

use crate::flow::{Content, Reply};

const JSON: (&str, &str) = ("content-type", "application/json");

/// Keeps browsers from taking an answer for something else.
pub(super) const NO_SNIFF: (&str, &str) = ("x-content-type-options", "nosniff");

/// A JSON answer.
pub(super) fn json(status: StatusCode) -> HttpResponseBuilder {
    let mut builder = HttpResponse::build(status);
    builder.insert_header(JSON).insert_header(NO_SNIFF);
    builder
}

/// Any value of ours as JSON.
pub(super) fn value(value: &impl serde::Serialize) -> HttpResponse {
    json(StatusCode::OK).body(crate::codec::json::raw(value).get().to_owned())
}

/// Headers that came with an answer; what is no header is left out.
pub(super) fn headers(builder: &mut HttpResponseBuilder, headers: &[(String, String)]) {
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (
            HeaderName::try_from(name.as_str()),
            HeaderValue::from_str(value),
        ) {
            builder.insert_header((name, value));
        }
    }
}

/// What the gateway did for an answer.
pub(super) fn ours(builder: &mut HttpResponseBuilder, provider: &'static str, attempts: u32) {
    builder.insert_header(("x-gateway-provider", provider));
    if attempts > 1 {
        builder.insert_header(("x-gateway-attempts", attempts.to_string()));
    }
}

/// The answer of a flow: a whole one, or a stream.
pub(super) fn send(reply: Reply) -> HttpResponse {
    let mut builder = json(StatusCode::OK);
    headers(&mut builder, &reply.headers);
    ours(&mut builder, reply.provider.name, reply.attempts);
    match reply.content {
        Content::Json(body) => builder.body(body),
        Content::Events(events) => builder
            .insert_header(("content-type", "text/event-stream; charset=utf-8"))
            .insert_header(("cache-control", "no-cache"))
            // Proxies in front must not collect events.
            .insert_header(("x-accel-buffering", "no"))
            .streaming(events.map(Ok::<Bytes, actix_web::Error>)),
    }
}
