//! The label sets of the metrics, and the buckets of the histograms.

use std::hash::{Hash, Hasher};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::MetricConstructor;
use prometheus_client::metrics::histogram::Histogram;

/// Upper bounds of the histogram buckets, in seconds: from a cached response to a model that
/// reasons for minutes.
const BOUNDS: [f64; 14] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
];

#[derive(Clone)]
pub(super) struct Buckets;

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(BOUNDS)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct RequestLabels {
    pub endpoint: &'static str,
    pub provider: &'static str,
    pub status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct RouteLabels {
    pub endpoint: &'static str,
    pub provider: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct ErrorLabels {
    pub provider: &'static str,
    pub reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct AttemptLabels {
    pub provider: &'static str,
    /// `ok`, or the gateway's code for why the attempt failed.
    pub outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct TokenLabels {
    pub provider: &'static str,
    /// `prompt`, `cached` (part of prompt), `completion` or `reasoning` (part of completion).
    pub kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ParamLabels {
    pub provider: &'static str,
    /// `dropped` or `changed`.
    pub effect: &'static str,
    pub param: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ProviderLabels {
    pub provider: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StreamErrorLabels {
    pub provider: &'static str,
    pub code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RecoveryLabels {
    pub provider: &'static str,
    pub reason: &'static str,
}

/// Hashes only a few bytes of the labels that are looked up in each request: hashing the whole
/// texts would cost more than everything else in counting.
macro_rules! few_bytes {
    ($($labels:ident: $($text:ident),+;)+) => {
        $(impl Hash for $labels {
            fn hash<H: Hasher>(&self, state: &mut H) {
                state.write_u64(0 $(* 31 + few(self.$text))+);
            }
        })+
    };
}

few_bytes! {
    RouteLabels: endpoint, provider;
    ErrorLabels: provider, reason;
    AttemptLabels: provider, outcome;
    TokenLabels: provider, kind;
}

impl Hash for RequestLabels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let status = u64::from(self.status);
        state.write_u64((few(self.endpoint) * 31 + few(self.provider)) * 1000 + status);
    }
}

fn few(text: &str) -> u64 {
    let byte = |byte: Option<&u8>| byte.map_or(0, |byte| u64::from(*byte));
    let bytes = text.as_bytes();
    let length = u64::try_from(bytes.len()).unwrap_or(0);
    byte(bytes.first()) << 16 | byte(bytes.last()) << 8 | length & 0xff
}
