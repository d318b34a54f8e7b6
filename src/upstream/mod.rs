//! One attempt at one provider: connect, send, read. The only module that reaches out.

mod attempt_error;
mod body;
mod client;
mod collector;
mod connect;
mod framing;
mod headers;
mod pool;
mod retry;
mod tls;
mod without_date_task;

pub use attempt_error::AttemptError;
pub use body::{Body, BodyError};
pub use client::{AttemptRequest, AttemptResponse, AttemptResult, Client, Deadline, Method};
pub use collector::Collector;
pub use headers::{HeaderName, HeaderValue, Headers};
pub use retry::{MIN_ATTEMPT_TIME, Retry, RetryPolicy, RetrySchedule};
pub use tls::Tls;
