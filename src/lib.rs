//! A gateway between programs that speak OpenAI's API and 14 LLM providers.
//!
//! The modules stand in rows; each may use those of the rows above it, here in the order of the
//! rows, and none of its own row:
//!
//! | row | modules | what they are |
//! | --- | --- | --- |
//! | 0 | [`error`], [`secret`] | the one error type; keys that cannot be printed |
//! | 1 | [`codec`], [`fair_share`] | JSON kept as it was written, server-sent events; a limit that callers share; pure |
//! | 2 | [`dialect`] | the wire formats and the hub they meet in; pure |
//! | 3 | [`providers`] | the static table, one row per provider |
//! | 4 | [`idle_timer`], [`config`], [`shutdown`], [`offload`], [`routing`], [`store`] | a timer; the environment; stopping; long work; model name to provider; what providers want back |
//! | 5 | [`telemetry`] | metrics, the record of each request, spans |
//! | 6 | [`upstream`], [`scripted`] | one attempt at a provider; scripted ones for demo and tests |
//! | 7 | [`access`], [`worker`] | who may call; the actor that owns one provider |
//! | 8 | [`flow`] | the one way through, a function per endpoint |
//! | 9 | [`http`] | routes, extractors, answers, documentation |
//! | 10 | [`commands`] | what the binary can be told to do |
//!
//! `tests/it/house/mod.rs` holds the rows to this.

pub mod error;
pub mod secret;

pub mod codec;
pub mod fair_share;

pub mod dialect;

pub mod providers;

pub mod config;
pub mod idle_timer;
pub mod offload;
pub mod routing;
pub mod shutdown;
pub mod store;

pub mod telemetry;

pub mod scripted;
pub mod upstream;

pub mod access;
pub mod worker;

pub mod flow;

pub mod http;

pub mod commands;
