//! One attempt at one provider: connect, send, read. The only module that calls out.

mod body;
mod call_error;
mod client;
mod collector;
mod connect;
mod connect_error;
mod framing;
mod headers;
mod pool;
mod request;
mod retry;
mod tls;
mod without_date_task;

pub use body::{Body, BodyError};
pub use call_error::CallError;
pub use client::{AttemptResponse, AttemptResult, Client, ContentKind, ResponseOutcome};
pub use collector::Collector;
pub use headers::{HeaderName, HeaderValue, Headers};
pub use request::{AttemptOptions, Deadline, Method, UpstreamRequest};
pub use retry::{MIN_ATTEMPT_TIME, Retry, RetryPolicy, RetrySchedule};
pub use tls::Tls;
