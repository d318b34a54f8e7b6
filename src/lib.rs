//! A gateway between programs that speak OpenAI's API and 14 LLM providers.
//!
//! The crate is a binary. [`Gateway`] is its interface for tests and for programs that embed it:
//!
//! ```no_run
//! use ai_gateway::{Gateway, config::from_environment};
//!
//! let config = from_environment().expect("the configuration is valid");
//! actix_web::rt::System::new().block_on(async {
//!     let gateway = Gateway::builder(config).bind().expect("the port is free");
//!     println!("listening on {}", gateway.address());
//!     gateway.start().expect("the hosts are valid").wait().await
//! })
//! # .unwrap();
//! ```
//!
//! The modules stand in rows, from the lowest to the highest. A module uses modules of lower rows only.
//!
//! | Row | Modules | What they are |
//! | --- | --- | --- |
//! | 0 | `error`, `secret` | the error type; keys that cannot be printed |
//! | 1 | `codec`, `fair_share` | JSON kept as it was written and server-sent events; a limit that callers share |
//! | 2 | `dialect` | the wire formats, and the hub they meet in |
//! | 3 | `providers` | the static table, one row for each provider |
//! | 4 | [`config`], `idle_timer`, `offload`, [`routing`], `shutdown`, `store` | the environment; a timer; work on large bodies; model names to targets; stopping; remembered reasoning |
//! | 5 | `telemetry` | metrics, the record of each request, spans |
//! | 6 | `upstream`, `scripted` | one attempt at a provider; the scripted providers of demo and tests |
//! | 7 | `access`, `worker` | who may call; the owner of one provider on one thread |
//! | 8 | `flow` | the one way of a request, a function for each endpoint |
//! | 9 | `http` | routes, extractors, responses, documentation |
//! | 10 | `gateway` | the interface of the library |
//! | 11 | `commands` | what the binary can do |
//!
//! `tests/it/house/mod.rs` checks the rows. `docs/architecture.md` explains the life of a request.

// What is hidden from the documentation is public for the tests and benches of this project alone. It is
// no part of the interface, and changes without notice.
#[doc(hidden)]
pub mod error;
#[doc(hidden)]
pub mod secret;

#[doc(hidden)]
pub mod codec;
mod fair_share;

#[doc(hidden)]
pub mod dialect;

#[doc(hidden)]
pub mod providers;

pub mod config;
mod idle_timer;
mod offload;
pub mod routing;
#[doc(hidden)]
pub mod shutdown;
mod store;

mod telemetry;

#[doc(hidden)]
pub mod scripted;
#[doc(hidden)]
pub mod upstream;

mod access;
mod worker;

mod flow;

#[doc(hidden)]
pub mod http;

mod gateway;

mod commands;

pub use commands::run;
pub use gateway::{Gateway, GatewayBuilder, GatewayHandle, RunningGateway};
