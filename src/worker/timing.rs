//! Timers and counters of a call that report when dropped, also when its client leaves.

use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry::{CLIENT_LEFT_REASON, Metrics, RequestRecord};
use crate::upstream::UpstreamRequest;

/// Adds the time that a call waits to the record of its request when dropped.
pub(super) struct WaitTimer<'c> {
    record: Option<&'c RequestRecord>,
    pub begun: Instant,
    into: fn(&RequestRecord, Duration),
}

impl<'c> WaitTimer<'c> {
    pub(super) fn new(request: &'c UpstreamRequest, into: fn(&RequestRecord, Duration)) -> Self {
        Self {
            record: request.record.as_deref(),
            begun: Instant::now(),
            into,
        }
    }
}

impl Drop for WaitTimer<'_> {
    fn drop(&mut self) {
        if let Some(record) = self.record {
            (self.into)(record, self.begun.elapsed());
        }
    }
}

/// Counts an attempt when it is dropped. The outcome is `client_left` until it is known.
pub(super) struct AttemptCounter<'m> {
    metrics: &'m Metrics,
    provider: &'static str,
    pub outcome: &'static str,
}

impl<'m> AttemptCounter<'m> {
    pub(super) fn new(metrics: &'m Metrics, provider: &'static str) -> Self {
        Self {
            metrics,
            provider,
            outcome: CLIENT_LEFT_REASON,
        }
    }
}

impl Drop for AttemptCounter<'_> {
    fn drop(&mut self) {
        self.metrics.attempt(self.provider, self.outcome);
    }
}
