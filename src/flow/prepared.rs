//! A call that is ready to be sent to one target, and the forms in which it can be sent.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::inbound::{InboundRequest, Targets, TranslationInput, for_caller};
use super::large_body;
use super::observer::CallObserver;
use super::respond::{ResponseMode, content};
use super::response::GatewayResponse;
use super::state::AppState;
use super::translation_headers::name_changes;
use crate::codec::Spliced;
use crate::dialect::{ProviderDialect, TranslationReport};
use crate::error::Error;
use crate::providers::Provider;
use crate::upstream::{CallError, Headers, Method, UpstreamRequest};
use crate::worker::Call;

/// Prepares a call for the target that the input names.
pub(super) type Prepare = fn(&TranslationInput) -> Result<PreparedCall, Error>;

/// A request for one target, and how its response becomes the client's.
pub(super) struct PreparedCall {
    /// The provider that is called.
    pub provider: &'static Provider,
    /// The model, as the client named it.
    pub model: Arc<str>,
    /// All targets of the request.
    pub targets: Targets,
    /// The path after the provider's base URL.
    pub path: &'static str,
    /// The provider's request body.
    pub body: Spliced,
    /// Headers for the provider that the translation adds.
    pub headers: Vec<(&'static str, String)>,
    /// Whether the client asks for a stream.
    pub stream: bool,
    /// What the translation left out and changed.
    pub report: TranslationReport,
    /// How the provider's response becomes the client's.
    pub mode: ResponseMode,
    /// Hash of the messages so far; the key into the reasoning cache where tool call ids repeat.
    pub conversation_hash: u64,
    /// The dialect that may recover the request after a refusal; `None` once it has.
    pub recovers: Option<&'static dyn ProviderDialect>,
    /// Turns the hub's name of a field into the client's; `None` if they are the same.
    pub client_name: Option<fn(&str) -> String>,
    /// The call in another mode, for a provider that refuses this one.
    pub alternative: Option<Alternative>,
}

/// Prepares a call in another mode.
pub(super) type Alternative = Box<dyn FnOnce() -> Result<PreparedCall, Error> + Send>;

impl PreparedCall {
    /// Prepares a call, on another thread where the body is large; `chosen` as in
    /// [`InboundRequest::translation_input`].
    pub(super) async fn prepare(
        inbound: &InboundRequest,
        state: &AppState,
        prepare: Prepare,
        chosen: Option<(Targets, usize)>,
    ) -> Result<Self, Error> {
        let input = inbound.translation_input(state, chosen);
        let caller = inbound.caller.id();
        let work = move || prepare(&input);
        let mut prepared = large_body::on_body(&inbound.body, &state.bodies, caller, work).await?;
        prepared.name_withheld(inbound);
        Ok(prepared)
    }

    /// Names the headers of the caller that do not go to the provider.
    fn name_withheld(&mut self, inbound: &InboundRequest) {
        let withheld = inbound.withheld(self.provider);
        self.report.dropped.extend(withheld);
        self.report.dedup();
    }

    /// Whether the provider can be called at all: there is a key, and strict mode allows what the
    /// translation did.
    pub(super) fn is_usable(&self, state: &AppState, inbound: &InboundRequest) -> bool {
        let key = inbound.caller.key_for(&state.config, self.provider);
        key.is_ok() && inbound.check_strict(state, &self.report).is_ok()
    }

    /// The headers that say what the translation did to the request.
    pub(super) fn translation_headers(&self) -> Headers {
        let mut headers = Headers::default();
        name_changes(&self.report, &mut headers);
        let translated = matches!(self.mode, ResponseMode::Translated { .. });
        if self.path != self.provider.chat_path() && translated {
            headers.push("x-gateway-bridged", "responses");
        }
        headers
    }

    /// Calls the provider, and again with another form of the request if the provider refuses this
    /// one and another form is known.
    pub(super) async fn execute(
        mut self,
        state: &AppState,
        inbound: &InboundRequest,
    ) -> Result<GatewayResponse, CallError> {
        inbound.check_strict(state, &self.report)?;
        let mut prior_attempts = 0;
        loop {
            let name = self.provider.name;
            match self.call(state, inbound, prior_attempts).await {
                Ok(mut response) => {
                    state.metrics.report(name, &self.report);
                    response.attempts += prior_attempts;
                    return Ok(response);
                }
                Err(mut failed) => {
                    // Another form loses something; strict mode passes the refusal on instead.
                    let reason = self.next_form(&failed.error, inbound);
                    let allowed = inbound.check_strict(state, &self.report).is_ok();
                    let Some(reason) = reason.filter(|_| allowed) else {
                        state.metrics.report(name, &self.report);
                        failed.attempts += prior_attempts;
                        return Err(failed);
                    };
                    log::info!("{name} refused a request; trying another form ({reason})");
                    state.metrics.recovered(name, reason);
                    prior_attempts += failed.attempts;
                }
            }
        }
    }

    /// Changes the call to another form, where the provider refused it for a known reason. Gives the
    /// reason in a word. Each form is tried once.
    fn next_form(&mut self, error: &Error, inbound: &InboundRequest) -> Option<&'static str> {
        let Error::Provider(theirs) = error else {
            return None;
        };
        if let Some(dialect) = self.recovers
            && let Some(recovered) = dialect.recover(&self.body.whole(), theirs)
        {
            self.recovers = None;
            self.body = recovered.body.into();
            let headers = recovered.headers.into_iter();
            self.headers
                .extend(headers.map(|(name, value)| (name, value.to_owned())));
            let dropped = self
                .client_name
                .map_or(recovered.dropped.to_owned(), |own| own(recovered.dropped));
            self.report.dropped.push(dropped);
            self.report.dedup();
            return Some(recovered.reason);
        }
        if matches!(theirs.upstream_status, 400 | 404)
            && let Some(alternative) = self.alternative.take()
            && let Ok(call) = alternative()
        {
            *self = call;
            self.name_withheld(inbound);
            return Some("responses_not_taken");
        }
        None
    }

    /// Calls the provider with the current form.
    async fn call(
        &self,
        state: &AppState,
        inbound: &InboundRequest,
        prior_attempts: u32,
    ) -> Result<GatewayResponse, CallError> {
        let provider = self.provider;
        let key = inbound.caller.key_for(&state.config, provider)?;
        let request = UpstreamRequest {
            method: Method::Post,
            path: Cow::Borrowed(self.path),
            model: Arc::clone(&self.model),
            body: self.body.clone(),
            key: key.clone(),
            caller: inbound.caller.id(),
            stream: self.stream,
            headers: inbound.forwarded(provider, self.headers.clone()),
            deadline: inbound.deadline(&state.config, self.stream),
            record: Some(Rc::clone(&inbound.record)),
        };
        let call = Call {
            request: &request,
            decoder: self.mode.decoder(),
            prior_attempts,
        };
        let response = state
            .worker(provider)
            .call(call)
            .await
            .map_err(|failed| for_caller(failed, provider, &inbound.caller, &self.model))?;
        let (attempts, mut headers) = (response.attempts, response.headers);
        let keeps_reasoning = self.mode.keeps_reasoning();
        let observer = CallObserver {
            metrics: Arc::clone(&state.metrics),
            store: Arc::clone(&state.store),
            provider: provider.name,
            credential_hash: keeps_reasoning.then(|| inbound.credential_hash(state, provider)),
            conversation_hash: self.conversation_hash,
            record: Rc::clone(&inbound.record),
            shutdown: state.shutdown.clone(),
            limit: state.config.calls.max_answer,
        };
        let mode = self.mode.clone();
        match content(mode, response.content, self.stream, key, observer).await {
            Ok(content) => {
                headers.append(self.translation_headers());
                Ok(GatewayResponse {
                    provider,
                    attempts,
                    headers,
                    content,
                })
            }
            Err(reason) => Err(CallError {
                attempts,
                headers,
                provider: Some(provider),
                ..CallError::from(Error::InvalidUpstreamResponse {
                    provider: provider.name,
                    reason,
                })
            }),
        }
    }
}
