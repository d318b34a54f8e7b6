//! The binary: its commands and its start.

mod commands;
