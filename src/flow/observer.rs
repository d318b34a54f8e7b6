//! What a response reports while it is relayed or translated: metrics, the record, remembered
//! reasoning.

use std::rc::Rc;
use std::sync::Arc;

use crate::dialect::hub::{ReasoningState, Usage};
use crate::error::Error;
use crate::shutdown::{Shutdown, Stage};
use crate::store::ReasoningCache;
use crate::telemetry::{Metrics, RequestRecord};

/// Records the usage, repairs and failures of one response, and stores the reasoning that the
/// provider needs back.
pub(super) struct CallObserver {
    pub metrics: Arc<Metrics>,
    pub store: Arc<ReasoningCache>,
    pub provider: &'static str,
    /// The caller's part of the reasoning cache; `None` if nothing of this response is stored.
    pub credential_hash: Option<u64>,
    pub conversation_hash: u64,
    pub record: Rc<RequestRecord>,
    pub shutdown: Shutdown,
    /// Maximum number of bytes of a stream that may be buffered.
    pub limit: usize,
}

impl CallObserver {
    /// See [`too_much`].
    pub(super) fn too_much(&self, held: usize) -> Option<Error> {
        too_much(held, self.limit, self.provider)
    }

    /// Whether shutdown has ended the time for running requests.
    pub(super) fn is_over(&self) -> bool {
        self.shutdown.is_at(Stage::Ending)
    }

    /// Records the token usage that the provider reported.
    pub(super) fn used(&self, usage: Option<Usage>) {
        self.record.used(usage);
    }

    pub(super) fn keep(&self, kept: Option<(Vec<String>, ReasoningState)>) {
        if let (Some((calls, kept)), Some(credential_hash)) = (kept, self.credential_hash) {
            self.store
                .keep(credential_hash, self.conversation_hash, calls, kept);
        }
    }

    pub(super) fn repaired(&self, events: u64) {
        self.metrics.repaired(self.provider, events);
    }

    pub(super) fn broken(&self, code: &'static str) {
        self.record.failed(code);
        self.metrics.broken(self.provider, code);
    }

    pub(super) fn provider(&self) -> &'static str {
        self.provider
    }
}

/// The error of a provider's stream of which `held` bytes are buffered; `None` while that is within
/// the limit.
pub(super) fn too_much(held: usize, limit: usize, provider: &'static str) -> Option<Error> {
    (held > limit).then(|| Error::InvalidUpstreamResponse {
        provider,
        reason: "more of its stream has to be kept than MAX_ANSWER_BYTES allows".to_owned(),
    })
}
