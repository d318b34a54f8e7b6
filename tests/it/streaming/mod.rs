//! Streams and those who read them.

mod client_disconnects;
