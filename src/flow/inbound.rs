//! An inbound request to a model: its caller, its target, and what it sends to the provider.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::time::Instant;

use super::body_memory::BodyReservation;
use super::state::AppState;
use crate::access::Caller;
use crate::codec::Spliced;
use crate::codec::json::{self, Object, raw};
use crate::config::Config;
use crate::dialect::hub::ReasoningLookup;
use crate::dialect::{Stamp, TranslationReport};
use crate::error::{Error, Phase};
use crate::providers::{ALWAYS_FORWARDED, Provider};
use crate::routing::{RoutingPolicy, Target, mistyped};
use crate::secret::CallerId;
use crate::store::ReasoningCache;
use crate::telemetry::{RequestRecord, seed};
use crate::upstream::{CallError, Deadline};

/// Looks a request header up by its lower-case name; `None` if it is absent or not text.
pub type Header = Rc<dyn Fn(&str) -> Option<String>>;

/// A request as it arrived. It borrows nothing, because its call may outlive the handler: a stream
/// can begin before the provider's response arrives.
pub struct InboundRequest {
    /// The caller.
    pub caller: Caller,
    /// Looks a header of the request up.
    pub header: Header,
    /// When all of the request had arrived.
    pub arrived: Instant,
    /// The body.
    pub body: Bytes,
    /// The memory that is reserved for the body; released when the request is dropped.
    #[expect(dead_code, reason = "it is held, not read")]
    pub held: BodyReservation,
    /// The record of the request.
    pub record: Rc<RequestRecord>,
}

/// The targets of a request, in the order in which they are tried.
pub(super) type Targets = Arc<[Target<'static>]>;

/// The input for preparing a call, which may happen on another thread.
#[derive(Clone)]
pub(super) struct TranslationInput {
    /// The client's body.
    pub body: Bytes,
    store: Arc<ReasoningCache>,
    caller: CallerId,
    routing: Arc<dyn RoutingPolicy>,
    /// The targets and the position of the one that the call is for; `None` for the first call of a
    /// request, which asks the policy.
    chosen: Option<(Targets, usize)>,
}

/// The target that a call is prepared for.
#[derive(Clone)]
pub(super) struct Routed {
    /// The model, as the client named it.
    pub model: Arc<str>,
    /// The target.
    pub target: Target<'static>,
    /// All targets of the request. The policy is asked once for a request.
    pub targets: Targets,
}

impl TranslationInput {
    /// The reasoning that the gateway remembers of a provider's responses to this caller.
    pub(super) fn reasoning(&self, provider: &'static Provider) -> impl ReasoningLookup {
        let credential_hash = || self.store.credential_hash(provider.name, self.caller);
        self.store.of(credential_hash)
    }

    /// The target for the request's `model`.
    pub(super) fn route(&self, object: &Object<'_>) -> Result<Routed, Error> {
        let model = object.get("model").ok_or_else(|| Error::Missing {
            param: "model".to_owned(),
        })?;
        let model: Arc<str> = json::text(model, &"model")?.into();
        let (targets, position) = match &self.chosen {
            Some((targets, position)) => (Arc::clone(targets), *position),
            None => (self.routing.resolve(&model)?.into(), 0),
        };
        let target = targets
            .get(position)
            .cloned()
            .ok_or_else(|| Error::invalid("model", format!("no provider serves '{model}'.")))?;
        Ok(Routed {
            model,
            target,
            targets,
        })
    }
}

/// Whether the client asks for a stream.
pub(super) fn wants_stream(object: &Object<'_>) -> Result<bool, Error> {
    match object.get("stream") {
        Some(value) => json::read(value, &"stream"),
        None => Ok(false),
    }
}

/// The body for a provider with the client's dialect: only the model's name changes.
pub(super) fn relayed(body: &Bytes, object: &Object<'_>, asked: &str, model: &str) -> Spliced {
    if asked == model {
        return body.clone().into();
    }
    // The exact length, unless the name needs escapes.
    let mut name = Vec::with_capacity(model.len() + 2);
    json::write(model, &mut name);
    object
        .get("model")
        .and_then(|value| json::splice(body, value, name.into()))
        .unwrap_or_else(|| body.clone().into())
}

/// The body of a request that was changed, with the provider's name of the model.
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

/// The source of the times and ids in a translated response.
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
    /// Refuses the request if the translation loses something and the caller or the operator wants
    /// strict mode.
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
        if strict {
            report.require_lossless()
        } else {
            Ok(())
        }
    }

    /// What the preparation of a call reads. `chosen` has the targets and a position among them for
    /// every call of a request but the first.
    pub(super) fn translation_input(
        &self,
        state: &AppState,
        chosen: Option<(Targets, usize)>,
    ) -> TranslationInput {
        TranslationInput {
            body: self.body.clone(),
            store: Arc::clone(&state.store),
            caller: self.caller.id(),
            routing: Arc::clone(&state.routing),
            chosen,
        }
    }

    /// The caller's headers that are not forwarded, because they would apply to the gateway's own
    /// account at the provider.
    pub(super) fn withheld(&self, provider: &'static Provider) -> impl Iterator<Item = String> {
        let names = match self.caller {
            Caller::PassThrough(_) => &[],
            Caller::GatewayKey(_) => provider.account_headers,
        };
        let sent = names.iter().filter(|name| (self.header)(name).is_some());
        sent.map(|name| (*name).to_owned())
    }

    /// The deadline for the response, or for the first event of a stream.
    pub(super) fn deadline(&self, config: &Config, stream: bool) -> Deadline {
        let (phase, after) = if stream {
            (Phase::FirstEvent, config.first_event_timeout())
        } else {
            (Phase::Answer, config.calls.request_timeout)
        };
        Deadline {
            at: self.arrived + after,
            phase,
            after,
        }
    }

    /// The headers for the provider: the client's forwarded ones, and `own`. The values of a header
    /// that is in both are joined with a comma.
    pub(super) fn forwarded(
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
            // Two callers may send the same text for different requests under one gateway key.
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

    /// The key of this caller's part of the reasoning cache for a provider.
    pub(super) fn credential_hash(&self, state: &AppState, provider: &'static Provider) -> u64 {
        state.store.credential_hash(provider.name, self.caller.id())
    }
}

/// Rewrites a provider's error for the caller: whose key was rejected, and which prefix was meant.
pub(super) fn for_caller(
    mut failed: CallError,
    provider: &'static Provider,
    caller: &Caller,
    model: &str,
) -> CallError {
    if let (Caller::GatewayKey(_), Error::Provider(theirs)) = (caller, &failed.error)
        && matches!(theirs.status, 401 | 403)
    {
        // The caller's own key is valid, so the error must not blame it.
        log::error!("{} rejected {}: {theirs}", provider.name, provider.key_env);
        let provider = provider.name;
        failed.error = Error::CredentialRejected { provider };
    }
    if let Error::Provider(theirs) = &mut failed.error
        && theirs.status == 404
    {
        if theirs.code.is_none() {
            // The error may be due to a wrong base URL instead of the model.
            theirs.message = format!("'{}' answered 404: {}", provider.name, theirs.message);
        }
        if let Some(meant) = mistyped(model) {
            let prefix = meant.name;
            theirs.message = format!("{} Did you mean '{prefix}/...'?", theirs.message);
        }
    }
    failed
}
