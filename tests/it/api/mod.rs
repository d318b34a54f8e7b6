//! The endpoints, end to end.

mod chat;
mod error_messages;
mod models;
mod openapi;
mod passed_through;
mod responses;
