//! Extractors for handlers: the authenticated caller and the JSON body.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::connection::{BodyLength, RequestInProgress};
use super::error_response::ErrorResponse;
use super::request_context::{self, RequestContext};
use super::request_head::HeadFacts;
use super::state::{state, text};
use crate::access::{AuthOutcome, Caller};
use crate::config::Config;
use crate::error::Error;
use crate::flow::{BodyReservation, InboundRequest};
use crate::telemetry::RequestRecord;

/// A caller that may use the route.
pub struct AuthenticatedCaller(pub Caller);

impl FromRequest for AuthenticatedCaller {
    type Error = ErrorResponse;
    type Future = std::future::Ready<Result<Self, ErrorResponse>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = caller(&request_context::of(request));
        std::future::ready(caller.map(Self).map_err(ErrorResponse::from))
    }
}

/// Whether the caller holds a gateway key, on a route that is open to everyone.
pub struct KeyHolder(pub bool);

impl FromRequest for KeyHolder {
    type Error = ErrorResponse;
    type Future = std::future::Ready<Result<Self, ErrorResponse>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let known = matches!(
            request_context::of(request).entry,
            Ok(AuthOutcome::Anyone(true))
        );
        std::future::ready(Ok(Self(known)))
    }
}

/// A caller that may read the metrics; `true` if it may also see the load of the providers.
pub struct MetricsReader(pub bool);

impl FromRequest for MetricsReader {
    type Error = ErrorResponse;
    type Future = std::future::Ready<Result<Self, ErrorResponse>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(match &request_context::of(request).entry {
            Ok(AuthOutcome::MetricsReader(all)) => Ok(Self(*all)),
            Ok(_) => Err(Error::MissingApiKey.into()),
            Err(error) => Err(error.clone().into()),
        })
    }
}

/// The caller that the request was authenticated as.
fn caller(open: &RequestContext) -> Result<Caller, Error> {
    match &open.entry {
        Ok(AuthOutcome::Caller(caller)) => Ok(caller.clone()),
        Ok(_) => Err(Error::MissingApiKey),
        Err(error) => Err(error.clone()),
    }
}

/// An authenticated caller and its JSON body. The body is not read unless the caller may use the
/// route.
pub struct JsonRequest {
    /// The caller.
    pub caller: Caller,
    /// What the request's head says about the body.
    pub told: HeadFacts,
    /// When all of the request had arrived.
    pub arrived: Instant,
    /// The JSON text, not parsed yet.
    pub body: Bytes,
    /// The memory that is reserved for the body.
    pub held: BodyReservation,
    /// The record of the request.
    pub record: Rc<RequestRecord>,
}

impl JsonRequest {
    /// The request in the form that `flow` takes.
    pub(super) fn of(self, request: &HttpRequest) -> InboundRequest {
        let request = request.clone();
        let told = self.told;
        InboundRequest {
            caller: self.caller,
            header: Rc::new(move |name| {
                let may_be = told.may_have(name);
                let value = may_be.then(|| text(&request, name)).flatten()?;
                Some(value.to_owned())
            }),
            arrived: self.arrived,
            body: self.body,
            held: self.held,
            record: self.record,
        }
    }
}

impl FromRequest for JsonRequest {
    type Error = ErrorResponse;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ErrorResponse>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let state = state(&request);
            let open = request_context::of(&request);
            let caller = caller(&open)?;
            check_type(&open.told)?;
            let mut held = state.bodies.hold(caller.id());
            let body = read(payload, &state.config, &open, &mut held).await?;
            open.under_way.body_taken();
            let arrived = open.record.received(body.len()).into();
            Ok(Self {
                caller,
                arrived,
                told: open.told,
                body,
                held,
                record: Rc::clone(&open.record),
            })
        })
    }
}

/// A body must be declared as JSON: a page of another site cannot send that without a CORS
/// preflight. A compressed body is not decompressed.
fn check_type(told: &HeadFacts) -> Result<(), Error> {
    if told.is_packed {
        return Err(Error::UnsupportedEncoding);
    }
    if told.is_json {
        Ok(())
    } else {
        Err(Error::UnsupportedMediaType)
    }
}

async fn read(
    mut payload: Payload,
    config: &Config,
    open: &RequestContext,
    held: &mut BodyReservation,
) -> Result<Bytes, Error> {
    let limit = config.server.max_body;
    let told = match open.told.length {
        BodyLength::Bytes(bytes) => Some(usize::try_from(bytes).unwrap_or(usize::MAX)),
        _ => None,
    };
    if told.is_some_and(|told| told > limit) {
        return Err(Error::TooLarge { limit });
    }
    let mut pace = BodyPace::new(config, &open.under_way, open.record.begun().into());
    let Some(first) = pace.next(&mut payload).await? else {
        return Ok(Bytes::new());
    };
    held.grow(first.len())?;
    if told == Some(first.len()) {
        return Ok(first);
    }
    // The declared length may be false, but memory that is never written to is not allocated by the
    // system.
    let capacity = told.unwrap_or(first.len() * 2);
    let mut body = BytesMut::with_capacity(capacity);
    body.extend_from_slice(&first);
    while let Some(more) = pace.next(&mut payload).await? {
        if body.len() + more.len() > limit {
            return Err(Error::TooLarge { limit });
        }
        held.grow(more.len())?;
        body.extend_from_slice(&more);
    }
    if body.len() > limit {
        return Err(Error::TooLarge { limit });
    }
    Ok(body.freeze())
}

/// The minimum speed of a body: it arrives within the body timeout, or it keeps a minimum rate in
/// each period of that length. A rate over the whole body would let a client that sent much in one
/// second hold the rest back for an hour.
struct BodyPace<'r> {
    under_way: &'r RequestInProgress,
    /// When the current period began, and the bytes that arrived in it.
    begun: Instant,
    received: u64,
    time: Duration,
    /// Minimum number of bytes in each period; `None`: the whole body must arrive in the first.
    least: Option<u64>,
}

impl<'r> BodyPace<'r> {
    fn new(config: &Config, under_way: &'r RequestInProgress, begun: Instant) -> Self {
        let millis = u64::try_from(config.server.body_timeout.as_millis()).unwrap_or(u64::MAX);
        let least = config.server.body_rate.saturating_mul(millis) / 1000;
        Self {
            under_way,
            begun,
            received: 0,
            time: config.server.body_timeout,
            least: (config.server.body_rate > 0).then_some(least),
        }
    }

    /// The next piece; `None` at the end of the body.
    async fn next(&mut self, payload: &mut Payload) -> Result<Option<Bytes>, Error> {
        let piece = loop {
            // The body usually arrives with its head, and then no timer is needed.
            if let Some(piece) = payload.next().now_or_never() {
                break piece;
            }
            let until = self.begun + self.time;
            if let Ok(piece) = timeout_at(until, payload.next()).await {
                break piece;
            }
            if self.least.is_none_or(|least| self.received < least) {
                return Err(Error::IncompleteBody);
            }
            self.begun = Instant::now();
            self.received = 0;
        };
        let piece = piece.transpose().map_err(|_| {
            if self.under_way.is_at_end() {
                return Error::IncompleteBody;
            }
            let reason = "the chunks of its body are malformed";
            Error::Malformed { reason }
        })?;
        let bytes = piece.as_ref().map_or(0, Bytes::len);
        self.received += u64::try_from(bytes).unwrap_or(u64::MAX);
        Ok(piece)
    }
}
