//! Opens the record of a request when its head arrives, and closes it with the last byte of the
//! response.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_http::ConnectionType;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode, Version};
use actix_web::{HttpMessage, HttpRequest};
use bytes::Bytes;

use super::connection::{Connection, RequestInProgress};
use super::error_response::ErrorResponse;
use super::request_head::{self, HeadFacts};
use super::response::no_sniff;
use super::routes::{self, Route};
use super::state::state;
use crate::access::{self, AccessLevel, AuthOutcome};
use crate::error::Error;
use crate::shutdown::Stage;
use crate::telemetry::{RequestArrival, RequestRecord};

/// The state of a request from its head to the end of its response.
pub struct RequestContext {
    /// The record of the request.
    pub record: Rc<RequestRecord>,
    /// The request's place on its connection.
    pub under_way: RequestInProgress,
    /// The route; `None` if the path is not served.
    route: Option<&'static Route>,
    /// What the request's head says about itself and the body.
    pub told: HeadFacts,
    /// The result of authentication, or why the request is rejected.
    pub entry: Result<AuthOutcome, Error>,
}

/// The context of this request.
pub(super) fn of(request: &HttpRequest) -> Rc<RequestContext> {
    request
        .extensions()
        .get::<Rc<RequestContext>>()
        .cloned()
        .expect("every request is opened before its handler is called")
}

/// Opens the context of a request when its head arrives.
pub(super) fn open(request: &ServiceRequest) -> Rc<RequestContext> {
    let http = request.request();
    let state = state(http);
    let route = routes::find(
        request.match_info().as_str(),
        state.config.server.serve_docs,
    );
    let access_level = route.map_or(AccessLevel::Everyone, |route| route.access_level);
    let (head, told) = request_head::read(http.headers());
    let arrival = RequestArrival {
        method: method(http.method()),
        path: http.path(),
        endpoint: route.map_or("", |route| route.path),
        id: head.id,
        traceparent: head.traceparent,
        is_probe: route.is_some_and(|route| route.is_probe),
    };
    let last = http.head().connection_type() == ConnectionType::Close;
    let open = Rc::new(RequestContext {
        record: RequestRecord::open(&state.metrics, &arrival),
        under_way: connection(http).begin(told.length, last),
        entry: access::authenticate(&state.config, access_level, head.bearer).map_err(
            |error| match (error, head.key_elsewhere) {
                (Error::MissingApiKey, Some(place)) => Error::ApiKeyNotBearer { place },
                (error, _) => error,
            },
        ),
        route,
        told,
    });
    request.extensions_mut().insert(Rc::clone(&open));
    open
}

/// Why a request does not reach its handler. Rejects the request unless the route's access level
/// allows this caller.
pub(super) fn refused(request: &ServiceRequest, open: &RequestContext) -> Option<ErrorResponse> {
    if let Some(reason) = open.told.malformed {
        return Some(ErrorResponse::from(Error::Malformed { reason }));
    }
    let route = open.route?;
    // A method that the path does not take is reported to everyone.
    if !route.takes(request.method().as_str()) {
        return Some(ErrorResponse::from(Error::MethodNotAllowed {
            method: request.method().to_string(),
            path: request.path().to_owned(),
            allow: route.allow,
        }));
    }
    let error = open.entry.as_ref().err()?;
    Some(ErrorResponse::from(error.clone()))
}

fn connection(request: &HttpRequest) -> Rc<Connection> {
    let connection = request.conn_data::<Rc<Connection>>();
    connection.cloned().unwrap_or_default()
}

/// Whether the client had said that the previous request was its last. This one is not processed.
pub(super) fn is_too_late(request: &ServiceRequest) -> bool {
    connection(request.request()).is_overrun()
}

/// The error of a request that is still running when the time for shutdown is over.
pub(super) fn ended(open: &RequestContext) -> actix_web::Error {
    let failure = ErrorResponse::from(Error::ShuttingDown);
    open.record.answered(Error::ShuttingDown.status());
    open.record.failed(failure.gateway_code());
    open.record.complete();
    failure.into()
}

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Completes the head of the response, and closes the record with the last byte of the body.
pub(super) fn close(
    answer: ServiceResponse<BoxBody>,
    open: Rc<RequestContext>,
) -> ServiceResponse<BoxBody> {
    let mut answer = answer;
    let record = &open.record;
    record.answered(answer.status().as_u16());
    if let Some(failure) = answer
        .response()
        .error()
        .and_then(|error| error.as_error::<ErrorResponse>())
    {
        record.failed(failure.gateway_code());
        failure.log(record);
    }
    if let Ok(id) = HeaderValue::from_maybe_shared(record.id_bytes().clone()) {
        answer.headers_mut().insert(REQUEST_ID.clone(), id);
    }
    let (name, value) = no_sniff();
    if !answer.headers().contains_key(&name) {
        answer.headers_mut().insert(name, value);
    }
    if state(answer.request()).shutdown.is_at(Stage::Stopping) {
        let head = answer.response_mut().head_mut();
        head.set_connection_type(ConnectionType::Close);
    }
    if answer.request().version() < Version::HTTP_11 {
        // RFC 9112, section 6.1: an HTTP/1.0 client does not know chunks, so the end of the
        // connection ends the body.
        let sized = matches!(
            answer.response().body().size(),
            BodySize::Sized(_) | BodySize::None
        );
        let head = answer.response_mut().head_mut();
        if !sized {
            head.no_chunking(true);
            head.set_connection_type(ConnectionType::Close);
        }
    }
    if answer.response().head().connection_type() == ConnectionType::Close {
        open.under_way.is_last();
    }
    let bodyless = answer.request().method() == Method::HEAD
        || answer.status() == StatusCode::NO_CONTENT
        || matches!(
            answer.response().body().size(),
            BodySize::None | BodySize::Sized(0)
        );
    if bodyless {
        record.complete();
    }
    answer.map_body(|_, body| BoxBody::new(RecordedBody { body, open }))
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        // Clients may send any word, and the metrics must not have a label for each.
        _ => "other",
    }
}

/// A response body that reports its bytes and its end to the record.
struct RecordedBody {
    body: BoxBody,
    open: Rc<RequestContext>,
}

impl MessageBody for RecordedBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        let polled = this.body.as_pin_mut().poll_next(cx);
        match &polled {
            Poll::Ready(None) => this.open.record.complete(),
            Poll::Ready(Some(Ok(bytes))) => this.open.record.sent(bytes.len()),
            _ => {}
        }
        polled
    }

    /// A body that is taken as a whole would be recorded as complete before any byte is written.
    fn try_into_bytes(self) -> Result<Bytes, Self> {
        Err(self)
    }
}

impl Drop for RecordedBody {
    fn drop(&mut self) {
        if self.open.under_way.has_stalled() {
            self.open.record.stalled();
        }
    }
}
