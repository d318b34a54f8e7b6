//! `ai-gateway` without arguments: serves.

use std::process::ExitCode;

use super::log;
use super::terminal::{configuration, print_error};
use crate::config::{Config, from_environment};
use crate::gateway::Gateway;
use crate::http::Signals;

/// The size of the largest blocks that the allocator keeps for reuse, in bytes.
const LARGE_BLOCK: usize = 4 << 20;

/// Makes the allocator keep the memory of large bodies. glibc returns blocks of 128 KiB and more to
/// the system when they are freed, and the next body pays for their page faults again. Freeing one
/// larger block raises this limit, and the limit for idle memory to twice its size: `mallopt(3)`,
/// `M_MMAP_THRESHOLD`. The block is never touched, so that it takes no memory.
fn keep_large_blocks() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE_BLOCK)));
}

/// Raises the limit of file descriptors to the system's maximum. The default is often 1024, for
/// programs that use `select`; each stream takes two.
pub(super) fn raise_descriptor_limit() {
    // If the limit cannot be raised, requests beyond it are answered with 503.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
}

/// Serves until it is stopped.
pub(super) fn run() -> ExitCode {
    keep_large_blocks();
    raise_descriptor_limit();
    let config = match configuration(from_environment) {
        Ok(config) => config,
        Err(code) => return code,
    };
    log::start(&config);
    let served = actix_web::rt::System::new().block_on(serve(config));
    match served {
        // A DNS lookup that is still running must not keep the process alive.
        Ok(()) => std::process::exit(0),
        Err(wrong) => {
            print_error(&wrong);
            ExitCode::FAILURE
        }
    }
}

/// Binds the port, logs what is served, and serves until it is stopped.
pub(super) async fn serve(config: Config) -> Result<(), String> {
    // A signal that comes right after the first lines of the log must find its handler.
    let signals = Signals::new().map_err(|error| error.to_string())?;
    let gateway = Gateway::builder(config).bind()?;
    announce(gateway.config(), gateway.address().port());
    gateway.run(signals).await?;
    ::log::info!("stopped");
    Ok(())
}

/// Logs the first lines: mode, address, providers, warnings, documentation.
fn announce(config: &Config, port: u16) {
    let version = env!("CARGO_PKG_VERSION");
    if config.requires_gateway_key() {
        let count = config.access.gateway_keys.len();
        ::log::info!(
            "ai-gateway {version}, mode: gateway keys ({count}); providers are called with their own keys"
        );
    } else {
        ::log::info!(
            "ai-gateway {version}, mode: pass-through; every caller brings the provider's key"
        );
    }
    ::log::info!("listening on http://{}:{port}", config.server.host);
    let (mut usable, mut not) = (Vec::new(), Vec::new());
    for (provider, state) in config.usable() {
        match state {
            Ok(()) => usable.push(provider.name.to_owned()),
            Err(why) => not.push(format!("{} ({why})", provider.name)),
        }
    }
    let or_none = |list: Vec<String>| {
        if list.is_empty() {
            "none".to_owned()
        } else {
            list.join(", ")
        }
    };
    ::log::info!("usable providers: {}", or_none(usable));
    if !not.is_empty() {
        ::log::info!("not usable: {}", or_none(not));
    }
    for warning in config.warnings() {
        ::log::warn!("{warning}");
    }
    let reached = match config.server.host.as_str() {
        "0.0.0.0" | "::" => "localhost",
        host => host,
    };
    if config.server.serve_docs {
        ::log::info!("docs at http://{reached}:{port}/swagger-ui/");
    }
}
