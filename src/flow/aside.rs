//! What is done beside answering.

use std::rc::Rc;
use std::sync::Arc;

use crate::dialect::hub::{Kept, Usage};
use crate::drain::{Drain, Stage};
use crate::error::Error;
use crate::meter::{Meter, Tally};
use crate::store::Store;

/// What is done beside answering: counting, and keeping what the provider wants back.
pub(super) struct Aside {
    pub meter: Arc<Meter>,
    pub store: Arc<Store>,
    pub provider: &'static str,
    /// Whose answers they are; none of those of which nothing is kept.
    pub owner: Option<u64>,
    pub talk: u64,
    pub tally: Rc<Tally>,
    pub drain: Drain,
    /// Most that may be kept of a stream, in bytes.
    pub limit: usize,
}

impl Aside {
    /// The error of a stream of which more would have to be kept than may be, if it is one.
    pub(super) fn too_much(&self, held: usize) -> Option<Error> {
        (held > self.limit).then(|| Error::BadAnswer {
            provider: self.provider,
            reason: "more of its stream has to be kept than MAX_ANSWER_BYTES allows".to_owned(),
        })
    }

    /// Whether the time for what is under way is over.
    pub(super) fn is_over(&self) -> bool {
        self.drain.is_at(Stage::Ending)
    }

    /// Remembers the tokens that the provider counted.
    pub(super) fn used(&self, usage: Option<Usage>) {
        self.tally.used(usage);
    }

    pub(super) fn keep(&self, kept: Option<(Vec<String>, Kept)>) {
        if let (Some((calls, kept)), Some(owner)) = (kept, self.owner) {
            self.store.keep(owner, self.talk, calls, kept);
        }
    }

    pub(super) fn repaired(&self, events: u64) {
        self.meter.repaired(self.provider, events);
    }

    pub(super) fn broken(&self, code: &'static str) {
        self.tally.failed(code);
        self.meter.broken(self.provider, code);
    }

    pub(super) fn provider(&self) -> &'static str {
        self.provider
    }
}
