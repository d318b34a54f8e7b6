//! Tries the targets of a request in order until one responds.

use std::rc::Rc;
use std::sync::Arc;

use super::failover;
use super::inbound::InboundRequest;
use super::keepalive::with_keepalive;
use super::prepared::{Prepare, PreparedCall};
use super::progress::Progress;
use super::response::GatewayResponse;
use super::state::AppState;
use crate::access::Caller;
use crate::upstream::CallError;

/// Answers a request. A stream begins with comments if no response arrives within one keepalive
/// interval.
///
/// # Errors
/// Why there is no response: the error of the last target that was called.
pub(super) async fn answer(
    state: Rc<AppState>,
    inbound: InboundRequest,
    prepare: Prepare,
) -> Result<GatewayResponse, CallError> {
    let call = PreparedCall::prepare(&inbound, &state, prepare, None).await?;
    if !call.stream {
        // The future is large and is moved, so it is boxed.
        return Box::pin(try_targets(call, &state, &inbound, prepare, None)).await;
    }
    let progress = Rc::new(Progress::new(&call));
    let (beside, keepalive) = (Rc::clone(&progress), state.config.server.keepalive);
    let (shared, record) = (Rc::clone(&state), Rc::clone(&inbound.record));
    let call =
        Box::pin(async move { try_targets(call, &shared, &inbound, prepare, Some(&beside)).await });
    with_keepalive(call, progress, &state, record, keepalive).await
}

/// Tries the targets in order; `call` is prepared for the first.
async fn try_targets(
    mut call: PreparedCall,
    state: &AppState,
    inbound: &InboundRequest,
    prepare: Prepare,
    progress: Option<&Progress>,
) -> Result<GatewayResponse, CallError> {
    let first = call.provider;
    let (mut position, mut attempts) = (0, 0);
    loop {
        let (provider, targets) = (call.provider, Arc::clone(&call.targets));
        inbound.record.target(&call.model, provider, call.stream);
        let mut failed = match call.execute(state, inbound).await {
            Ok(mut response) => {
                response.attempts += attempts;
                return Ok(response);
            }
            Err(failed) => failed,
        };
        attempts += failed.attempts;
        failed.attempts = attempts;
        let Some(reason) = failover::reason(&failed.error) else {
            return Err(failed);
        };
        // A target that cannot be given the request is passed over.
        let next = loop {
            position += 1;
            let Some(target) = targets.get(position) else {
                return Err(failed);
            };
            let has_own_key = matches!(inbound.caller, Caller::PassThrough(_));
            if !failover::may_follow(has_own_key, first, target.provider) {
                continue;
            }
            let chosen = Some((Arc::clone(&targets), position));
            match PreparedCall::prepare(inbound, state, prepare, chosen).await {
                Ok(next) if next.is_usable(state, inbound) => break next,
                Ok(_) | Err(_) => {}
            }
        };
        // The client may have received its first byte while the next call was prepared.
        if progress.is_some_and(Progress::is_committed) {
            return Err(failed);
        }
        log::info!(
            "{} failed ({reason:?}); trying {}",
            provider.name,
            next.provider.name
        );
        if let Some(progress) = progress {
            progress.go_on(&next, attempts);
        }
        call = next;
    }
}
