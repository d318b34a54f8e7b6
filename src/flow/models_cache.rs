//! The cache of the lists of models that providers gave under the gateway's own keys.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::dialect::models::Entry;
use crate::providers::PROVIDERS;
use crate::upstream::CallError;

pub(super) type CachedList = Result<Arc<Vec<Entry>>, CallError>;

/// The lists under the gateway's own keys, one slot per provider in the order of the table. Callers
/// with keys of their own never read it.
pub struct ModelsCache {
    pub(super) keep: Duration,
    pub(super) slots: Vec<Mutex<Option<(Instant, CachedList)>>>,
}

impl ModelsCache {
    /// `keep` is how long a list stays fresh; zero turns the cache off.
    #[must_use]
    pub fn new(keep: Duration) -> Self {
        Self {
            keep,
            slots: PROVIDERS.iter().map(|_| Mutex::new(None)).collect(),
        }
    }
}
