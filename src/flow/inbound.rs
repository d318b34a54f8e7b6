//! What every request to a model has in common: its caller, its target, its call.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::time::Instant;

use super::body_memory::BodyReservation;
use super::response::CallError;
use super::state::AppState;
use crate::access::Caller;
use crate::codec::Spliced;
use crate::codec::json::{self, Object, raw};
use crate::config::Config;
use crate::dialect::hub::ReasoningLookup;
use crate::dialect::{ResponseDecoder, Stamp, TranslationReport};
use crate::error::{Error, Phase};
use crate::providers::{ALWAYS_FORWARDED, Provider};
use crate::routing::{Target, mistyped, route};
use crate::secret::{CallerId, Secret};
use crate::store::ReasoningCache;
use crate::telemetry::{RequestRecord, seed};
use crate::upstream::{Deadline, Method};
use crate::worker::{UpstreamError, UpstreamRequest, UpstreamResponse};

/// What is sent to a provider.
pub(super) struct OutgoingCall<'p> {
    /// The path after the base URL.
    pub path: &'static str,
    /// The model, as the client named it.
    pub model: &'p Arc<str>,
    /// The provider's request.
    pub body: Spliced,
    /// Headers that go with it.
    pub headers: Vec<(&'static str, String)>,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// How the answer is read.
    pub decoder: ResponseDecoder,
    /// Attempts that were made at another form of it.
    pub prior_attempts: u32,
}

/// Gives a header of a request.
pub type Header = Rc<dyn Fn(&str) -> Option<String>>;

/// A request as it came in. It borrows nothing: its call may outlive the handler, behind a stream
/// that was begun before the provider's answer is there.
pub struct InboundRequest {
    /// Who calls.
    pub caller: Caller,
    /// Gives a header of the request.
    pub header: Header,
    /// When it was there as a whole.
    pub arrived: Instant,
    /// Its body.
    pub body: Bytes,
    /// The body's share of what may be held.
    pub held: BodyReservation,
    /// Its record.
    pub record: Rc<RequestRecord>,
}

/// What of a request its translation needs, on whatever thread that runs.
#[derive(Clone)]
pub(super) struct TranslationInput {
    /// Its body.
    pub body: Bytes,
    store: Arc<ReasoningCache>,
    caller: CallerId,
}

impl TranslationInput {
    /// What the gateway remembers of a provider's answers to this caller.
    pub(super) fn memory(&self, provider: &'static Provider) -> impl ReasoningLookup {
        let credential_hash = || self.store.credential_hash(provider.name, self.caller);
        self.store.of(credential_hash)
    }
}

/// Routes a request by its `model`.
pub(super) fn target(object: &Object<'_>) -> Result<(Arc<str>, Target<'static>), Error> {
    let model = object.get("model").ok_or_else(|| Error::Missing {
        param: "model".to_owned(),
    })?;
    let model: Arc<str> = json::text(model, &"model")?.into();
    let target = route(&model)?;
    let target = Target {
        provider: target.provider,
        model: target.model.into_owned().into(),
    };
    Ok((model, target))
}

/// Whether a stream is asked for.
pub(super) fn wants_stream(object: &Object<'_>) -> Result<bool, Error> {
    match object.get("stream") {
        Some(value) => json::read(value, &"stream"),
        None => Ok(false),
    }
}

/// The body for a provider that speaks what the client does: only the model's name changes.
pub(super) fn relayed(body: &Bytes, object: &Object<'_>, asked: &str, model: &str) -> Spliced {
    if asked == model {
        return body.clone().into();
    }
    // Of a plain name it is the exact length.
    let mut name = Vec::with_capacity(model.len() + 2);
    json::write(model, &mut name);
    object
        .get("model")
        .and_then(|value| json::splice(body, value, name.into()))
        .unwrap_or_else(|| body.clone().into())
}

/// The body of a request that was edited, for the model of this name.
pub(super) fn rewritten(object: &Object<'_>, model: &str) -> Spliced {
    let mut fields = object.fields.iter().map(|field| match &*field.name {
        "model" => (field.name.as_ref(), Cow::Owned(raw(model))),
        name => (name, Cow::Borrowed(&*field.value)),
    });
    let mut out = Vec::with_capacity(1024);
    let mut serializer = serde_json::Serializer::new(&mut out);
    serde::Serializer::collect_map(&mut serializer, &mut fields)
        .expect("texts that were read as JSON are written as they are");
    out.into()
}

/// Where the times and ids of a translated answer come from.
pub(super) fn stamp() -> Stamp {
    Stamp {
        created: now(),
        seed: seed(),
        now,
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl InboundRequest {
    /// Refuses what a translation could not carry over, where the caller or the operator wants
    /// that.
    pub(super) fn check_strict(
        &self,
        state: &AppState,
        report: &TranslationReport,
    ) -> Result<(), Error> {
        let asked = (self.header)("x-gateway-strict");
        let strict = match asked.as_deref().map(str::trim) {
            None | Some("") => state.config.strict_translation,
            Some(word) if word.eq_ignore_ascii_case("true") || word == "1" => true,
            Some(word) if word.eq_ignore_ascii_case("false") || word == "0" => false,
            Some(_) => {
                return Err(Error::invalid(
                    "x-gateway-strict",
                    "it must be true or false.",
                ));
            }
        };
        if strict { report.refuse() } else { Ok(()) }
    }

    /// What its translation needs.
    pub(super) fn asked(&self, state: &AppState) -> TranslationInput {
        TranslationInput {
            body: self.body.clone(),
            store: Arc::clone(&state.store),
            caller: self.caller.id(),
        }
    }

    /// The headers of the caller that do not go to a provider under a key of the gateway.
    pub(super) fn withheld(&self, provider: &'static Provider) -> impl Iterator<Item = String> {
        let names = match self.caller {
            Caller::PassThrough(_) => &[],
            Caller::GatewayKey(_) => provider.account_headers,
        };
        let sent = names.iter().filter(|name| (self.header)(name).is_some());
        sent.map(|name| (*name).to_owned())
    }

    /// Calls the provider.
    pub(super) async fn call(
        &self,
        state: &AppState,
        provider: &'static Provider,
        sent: OutgoingCall<'_>,
    ) -> Result<(UpstreamResponse, Secret), CallError> {
        let OutgoingCall {
            path,
            model,
            body,
            headers,
            stream,
            decoder,
            prior_attempts,
        } = sent;
        let key = self.caller.key_for(&state.config, provider)?;
        let call = UpstreamRequest {
            method: Method::Post,
            path: Cow::Borrowed(path),
            model: Arc::clone(model),
            body,
            key: key.clone(),
            caller: self.caller.id(),
            stream,
            headers: self.forwarded(provider, headers),
            deadline: self.deadline(&state.config, stream),
            record: Some(Rc::clone(&self.record)),
            decoder,
            prior_attempts,
        };
        match state.worker(provider).call(&call).await {
            Ok(reply) => Ok((reply, key)),
            Err(failed) => Err(refused(failed, provider, &self.caller, model)),
        }
    }

    fn deadline(&self, config: &Config, stream: bool) -> Deadline {
        let (phase, after) = if stream {
            (Phase::FirstEvent, config.first_event_timeout())
        } else {
            (Phase::Answer, config.request_timeout)
        };
        Deadline {
            at: self.arrived + after,
            phase,
            after,
        }
    }

    /// Headers of the client that the provider is given, and the plan's own. Of a header that both
    /// have the values are a list.
    fn forwarded(
        &self,
        provider: &Provider,
        mut own: Vec<(&'static str, String)>,
    ) -> Vec<(&'static str, String)> {
        let account = match self.caller {
            Caller::PassThrough(_) => provider.account_headers,
            Caller::GatewayKey(_) => &[],
        };
        let names = ALWAYS_FORWARDED.iter().chain(provider.forwards);
        for name in names.chain(account) {
            let Some(mut theirs) = (self.header)(name) else {
                continue;
            };
            // Under one key of the gateway two callers may mean different requests by one text.
            if let (Caller::GatewayKey(place), &"idempotency-key") = (&self.caller, name) {
                theirs = format!("{place}-{theirs}");
            }
            if *name == "tracestate" && self.record.begins_trace() {
                continue;
            }
            match own.iter_mut().find(|(own, _)| own == name) {
                Some((_, value)) => *value = format!("{theirs},{value}"),
                None => own.push((name, theirs)),
            }
        }
        own
    }

    /// Whose answers of a provider the caller may recall: its own.
    pub(super) fn credential_hash(&self, state: &AppState, provider: &'static Provider) -> u64 {
        state.store.credential_hash(provider.name, self.caller.id())
    }
}

/// A failed call in the caller's terms.
pub(super) fn refused(
    failed: UpstreamError,
    provider: &'static Provider,
    caller: &Caller,
    model: &str,
) -> CallError {
    let mut error = failed.error;
    if let (Caller::GatewayKey(_), Error::Provider(theirs)) = (caller, &error)
        && matches!(theirs.status, 401 | 403)
    {
        // The caller's key was right; it must not be told to throw it away.
        log::error!("{} rejected {}: {theirs}", provider.name, provider.key_env);
        let provider = provider.name;
        error = Error::CredentialRejected { provider };
    }
    if let Error::Provider(theirs) = &mut error
        && theirs.status == 404
    {
        if theirs.code.is_none() {
            // Nothing says that it is about the model: the address may be wrong.
            theirs.message = format!("'{}' answered 404: {}", provider.name, theirs.message);
        }
        if let Some(meant) = mistyped(model) {
            let prefix = meant.name;
            theirs.message = format!("{} Did you mean '{prefix}/...'?", theirs.message);
        }
    }
    CallError {
        error,
        provider: Some(provider),
        attempts: failed.attempts,
        headers: failed.headers,
    }
}
