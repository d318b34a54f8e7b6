//! The integration tests, one binary: a folder for each topic, `rig` for what they share, `shapes` for
//! inputs that grow.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::missing_panics_doc,
    clippy::print_stderr,
    clippy::needless_pass_by_value,
    reason = "a test that fails says so by panicking and printing"
)]
#![allow(
    clippy::too_many_lines,
    reason = "tables of cases are as long as what they list"
)]

mod rig;
mod shapes;

mod house;

mod api;
mod cli;
mod limits;
mod observability;
mod reliability;
mod security;
mod streaming;
mod translation;
