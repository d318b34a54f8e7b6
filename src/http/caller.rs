//! Who calls and with what: the bearer, the body.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::{FromRequest, HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::failure::Failure;
use crate::access::{self, Caller, admit};
use crate::config::Config;
use crate::error::Error;
use crate::flow::{AppState, Ask};

/// The state of this thread.
pub(super) fn state(request: &HttpRequest) -> &AppState {
    request
        .app_data::<web::Data<AppState>>()
        .expect("every app is built with one")
}

/// A header of the request, where it is text.
pub(super) fn header(request: &HttpRequest, name: &str) -> Option<String> {
    let value = request.headers().get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

/// The token of the request's bearer.
fn bearer(request: &HttpRequest) -> Option<&str> {
    let header = request.headers().get(AUTHORIZATION)?;
    access::bearer(header.to_str().ok()?)
}

/// A caller who may call.
pub struct Admitted(pub Caller);

impl FromRequest for Admitted {
    type Error = Failure;
    type Future = std::future::Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = admit(&state(request).config, bearer(request));
        std::future::ready(caller.map(Self).map_err(Failure::from))
    }
}

/// A caller who holds a key of a keyed gateway, on a path that is open to everyone.
pub struct Known(pub bool);

impl FromRequest for Known {
    type Error = Failure;
    type Future = std::future::Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = admit(&state(request).config, bearer(request));
        std::future::ready(Ok(Self(matches!(caller, Ok(Caller::Team)))))
    }
}

/// A caller who may call, and the JSON that was sent. Nothing is read of a body whose sender may
/// not call.
pub struct Asked {
    /// Who calls.
    pub caller: Caller,
    /// The JSON text, not looked at yet.
    pub body: Bytes,
    /// When the head arrived.
    pub arrived: Instant,
}

impl Asked {
    /// The request as a flow takes it; `header` gives the other headers.
    pub(super) fn with(self, header: &dyn Fn(&str) -> Option<String>) -> Ask<'_> {
        Ask {
            caller: self.caller,
            header,
            arrived: self.arrived,
            body: self.body,
        }
    }
}

impl FromRequest for Asked {
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Failure>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let arrived = Instant::now();
            let config = &state(&request).config;
            let caller = admit(config, bearer(&request))?;
            check_type(&request)?;
            let deadline = arrived + config.body_timeout;
            let body = timeout_at(deadline, read(&request, payload, config))
                .await
                .map_err(|_| Error::IncompleteBody)??;
            Ok(Self {
                caller,
                body,
                arrived,
            })
        })
    }
}

/// A body must say that it is JSON: a page of another site cannot send that unasked.
fn check_type(request: &HttpRequest) -> Result<(), Error> {
    let value = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Error::NotJson)
    }
}

async fn read(
    request: &HttpRequest,
    mut payload: Payload,
    config: &Config,
) -> Result<Bytes, Error> {
    let limit = config.max_body;
    let told = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if told.is_some_and(|told| told > limit) {
        return Err(Error::TooLarge { limit });
    }
    let cut = |_| Error::IncompleteBody;
    let Some(first) = payload.next().await.transpose().map_err(cut)? else {
        return Ok(Bytes::new());
    };
    if told == Some(first.len()) {
        return Ok(first);
    }
    let mut body = BytesMut::with_capacity(told.unwrap_or(first.len() * 2));
    body.extend_from_slice(&first);
    while let Some(more) = payload.next().await.transpose().map_err(cut)? {
        if body.len() + more.len() > limit {
            return Err(Error::TooLarge { limit });
        }
        body.extend_from_slice(&more);
    }
    if body.len() > limit {
        return Err(Error::TooLarge { limit });
    }
    Ok(body.freeze())
}
