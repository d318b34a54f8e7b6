//! One attempt at one provider: connect, send, read. The only module that reaches out.

mod body;
mod client;
mod clockless;
mod collector;
mod connect;
mod failure;
mod framing;
mod headers;
mod pool;
mod retry;
mod tls;

pub use body::{Body, BodyError};
pub use client::{Answered, Attempt, Client, Deadline, Method, Outgoing};
pub use collector::Collector;
pub use failure::Failure;
pub use headers::{HeaderName, HeaderValue, Headers};
pub use retry::{Again, LEAST, Policy, Schedule};
pub use tls::Tls;
