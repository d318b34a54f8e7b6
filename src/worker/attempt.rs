//! One attempt: sends the request, and reads only what the response mode needs.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::time::timeout_at;

use super::admission::Permit;
use super::events::UpstreamEvents;
use super::refusal::{Refusal, error_in_success};
use crate::config::Config;
use crate::dialect::{DecodedBody, ResponseDecoder, redact_error};
use crate::error::Error;
use crate::offload;
use crate::providers::Provider;
use crate::upstream::{
    AttemptOptions, AttemptResponse, Body, BodyError, CallError, Client, ContentKind, Headers,
    ResponseOutcome, Retry, UpstreamRequest,
};

/// Largest body of an error response that is read, in bytes.
const MAX_ERROR: usize = 1 << 20;

/// The body of a response.
pub enum UpstreamBody {
    /// The whole body, and its decoded form.
    Whole(Bytes, DecodedBody),
    /// A stream whose first events were read.
    Events(Box<UpstreamEvents>),
}

/// The parts of the worker that an attempt uses.
pub(super) struct Attempt<'w> {
    pub provider: &'static Provider,
    pub client: &'w Client,
    pub config: &'w Arc<Config>,
    pub decoder: ResponseDecoder,
}

impl Attempt<'_> {
    /// Makes the attempt. A stream keeps the permit until it ends.
    pub(super) async fn make(
        &self,
        request: &UpstreamRequest,
        options: AttemptOptions<'_>,
        permit: Permit,
    ) -> Result<(Headers, UpstreamBody), CallError> {
        let AttemptResponse {
            head,
            headers,
            mut body,
        } = self.client.attempt(request, options).await?;
        let content = match head {
            ResponseOutcome::Failure {
                status,
                retry_after,
                should_retry,
            } => {
                let read = timeout_at(request.deadline.at, body.whole(MAX_ERROR)).await;
                let refusal = Refusal {
                    status,
                    body: read.ok().and_then(Result::ok).unwrap_or_default(),
                    headers,
                    retry_after,
                    should_retry,
                };
                return Err(refusal.into_error(self.provider, self.decoder, &request.key));
            }
            ResponseOutcome::Success(ContentKind::Events) => {
                UpstreamBody::Events(Box::new(self.first_events(request, body, permit).await?))
            }
            ResponseOutcome::Success(ContentKind::Json) => {
                let (body, decoded) = self.whole(request, &mut body).await?;
                UpstreamBody::Whole(body, decoded)
            }
        };
        Ok((headers, content))
    }

    async fn whole(
        &self,
        request: &UpstreamRequest,
        body: &mut Body,
    ) -> Result<(Bytes, DecodedBody), CallError> {
        let provider = self.provider.name;
        let bad = |reason: &str| {
            let error = Error::InvalidUpstreamResponse {
                provider,
                reason: reason.to_owned(),
            };
            // The provider wrote the response, so it was billed.
            CallError::new(error, Retry::Never)
        };
        let mut reading = pin!(body.whole(self.config.calls.max_answer));
        // The body usually arrives with its head, and then no timer is needed.
        let read = match reading.as_mut().now_or_never() {
            Some(read) => Ok(read),
            None => timeout_at(request.deadline.at, reading).await,
        };
        let whole = match read {
            Err(_) => {
                let error = request.deadline.missed(provider);
                return Err(CallError::new(error, Retry::Never));
            }
            Ok(Err(BodyError::Cut)) => return Err(bad("it was cut off")),
            Ok(Err(BodyError::Malformed)) => return Err(bad("its framing is wrong")),
            Ok(Err(BodyError::TooLong)) => return Err(bad("it is too long")),
            Ok(Ok(whole)) => whole,
        };
        let (decoder, body) = (self.decoder, whole.clone());
        match offload::run(whole.len(), move || decoder.decode(&body)).await {
            DecodedBody::NotJson => Err(bad("it is no JSON")),
            DecodedBody::Error(error) => Err(error_in_success(error, &request.key)),
            // The provider began the response, so it was billed.
            DecodedBody::FailedResponse(mut error) => {
                redact_error(&mut error, &request.key);
                Err(CallError::new(
                    Error::Provider(Box::new(error)),
                    Retry::Never,
                ))
            }
            decoded => Ok((whole, decoded)),
        }
    }

    async fn first_events(
        &self,
        request: &UpstreamRequest,
        body: Body,
        permit: Permit,
    ) -> Result<UpstreamEvents, CallError> {
        let mut events =
            UpstreamEvents::new(self.provider, body, permit, self.config.idle_timeout());
        match events.fill(request.deadline.at).await {
            Err(None) => {
                let error = request.deadline.missed(self.provider.name);
                Err(CallError::new(error, Retry::Never))
            }
            Err(Some(error)) => Err(CallError::new(error, Retry::Never)),
            Ok(()) => match self.decoder.decode_stream_error(events.first()) {
                Some(error) => Err(error_in_success(error, &request.key)),
                None => Ok(events),
            },
        }
    }
}
