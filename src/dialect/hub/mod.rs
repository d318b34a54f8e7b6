//! The shape all dialects meet in: request, answer, stream events, usage. Pure.

mod answer;
mod contract;
mod request;
mod sequence;

pub use answer::{Answer, Detail, Event, Finish, Keeping, Kept, Memory, NoMemory, ToolCall, Usage};
pub use contract::Contract;
pub use request::{CallIn, Message, Part, Place, Request, Role, Tool, ToolChoice, is_default};
pub use sequence::{Piece, Sequence};
