//! What holds when providers, networks and instances fail.

mod faults;
mod log_reasons;
mod promises;
mod rolling_restart;
mod slow_peers;
mod targets;
