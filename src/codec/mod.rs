//! Framing without meaning: JSON objects kept as they were written, and server-sent events. Pure.

pub mod json;
mod spliced;
pub mod sse;

pub use spliced::Spliced;
