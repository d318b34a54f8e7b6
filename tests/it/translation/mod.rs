//! Requests, answers and streams on the way between dialects.

mod arbitrary_input;
mod chat_to_messages;
mod compatibility;
mod golden;
mod history_accepted;
mod nothing_lost;
mod quirks;
mod reasoning;
mod recorded;
mod relay_repairs;
mod round_trips;
