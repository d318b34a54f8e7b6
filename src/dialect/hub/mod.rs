//! The hub: the internal format of requests, responses, stream events and token usage. Pure.

mod answer;
mod contract;
mod request;
mod sequence;

pub use answer::{
    Event, FinishReason, NoReasoningCache, ReasoningCollector, ReasoningDetail, ReasoningLookup,
    ReasoningState, Response, ToolCall, Usage,
};
pub use contract::Contract;
pub use request::{
    Message, Part, Place, Request, RequestToolCall, Role, Tool, ToolChoice, is_default,
};
pub use sequence::{Piece, Sequence};
