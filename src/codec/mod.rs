//! Framing only: JSON objects that keep their original text, and server-sent events. Pure.

pub mod json;
pub mod scan;
mod spliced;
pub mod sse;

pub use spliced::Spliced;
