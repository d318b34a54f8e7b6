//! Framing only: JSON objects that keep their original text, and server-sent events. Pure.

mod depth;
pub mod json;
pub mod scan;
mod spliced;
pub mod sse;
mod text;

pub use spliced::Spliced;
