//! What is done beside answering.

use std::rc::Rc;
use std::sync::Arc;

use crate::dialect::hub::{ReasoningState, Usage};
use crate::error::Error;
use crate::shutdown::{Shutdown, Stage};
use crate::store::ReasoningCache;
use crate::telemetry::{Metrics, RequestRecord};

/// What is done beside answering: counting, and keeping what the provider wants back.
pub(super) struct CallObserver {
    pub metrics: Arc<Metrics>,
    pub store: Arc<ReasoningCache>,
    pub provider: &'static str,
    /// Whose answers they are; none of those of which nothing is kept.
    pub credential_hash: Option<u64>,
    pub conversation_hash: u64,
    pub record: Rc<RequestRecord>,
    pub shutdown: Shutdown,
    /// Most that may be kept of a stream, in bytes.
    pub limit: usize,
}

impl CallObserver {
    /// The error of a stream of which more would have to be kept than may be, if it is one.
    pub(super) fn too_much(&self, held: usize) -> Option<Error> {
        (held > self.limit).then(|| Error::InvalidUpstreamResponse {
            provider: self.provider,
            reason: "more of its stream has to be kept than MAX_ANSWER_BYTES allows".to_owned(),
        })
    }

    /// Whether the time for what is under way is over.
    pub(super) fn is_over(&self) -> bool {
        self.shutdown.is_at(Stage::Ending)
    }

    /// Remembers the tokens that the provider counted.
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
