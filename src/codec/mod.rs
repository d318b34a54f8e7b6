//! Framing without meaning: JSON objects kept as they were written, and server-sent events. Pure.

pub mod json;
pub mod scan;
mod spliced;
pub mod sse;

pub use spliced::Spliced;
