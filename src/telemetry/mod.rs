//! Metrics in the Prometheus text format, the record of each request, and the spans made from it.

mod access_log;
mod id;
mod labels;
mod metrics;
mod params;
mod record;
mod spans;

pub use id::seed;
pub use metrics::{ACCESS, Metrics, ProviderLoad};
pub use record::{CLIENT_LEFT_REASON, RequestArrival, RequestRecord};
pub use spans::{Span, export};
