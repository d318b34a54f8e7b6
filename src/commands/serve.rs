//! `ai-gateway` without arguments: serves.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_web::rt;
use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::log;
use super::terminal::{complain, configuration};
use crate::config::{Config, from_environment};
use crate::flow::SharedState;
use crate::http;
use crate::upstream::{Collector, Tls};

/// The size of the largest blocks that the allocator keeps for reuse, in bytes.
const KEPT: usize = 4 << 20;

/// Makes the allocator keep the memory of large bodies. glibc returns blocks of 128 KiB and more to
/// the system when they are freed, and the next body pays for their page faults again. Freeing one
/// larger block raises this limit, and the limit for idle memory to twice its size: `mallopt(3)`,
/// `M_MMAP_THRESHOLD`. The block is never touched, so that it takes no memory.
fn keep_large_blocks() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(KEPT)));
}

/// Raises the limit of file descriptors to the system's maximum. The default is often 1024, for
/// programs that use `select`; each stream takes two.
pub(super) fn take_descriptors() {
    // If the limit cannot be raised, requests beyond it are answered with 503.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
}

/// Serves until it is stopped.
pub(super) fn run() -> ExitCode {
    keep_large_blocks();
    take_descriptors();
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
            complain(&wrong);
            ExitCode::FAILURE
        }
    }
}

/// Binds the port, logs what is served, and serves until it is stopped.
pub(super) async fn serve(config: Config) -> Result<(), String> {
    let (host, port) = (config.host.clone(), config.port);
    let listener = http::listen(&host, port)
        .map_err(|error| format!("cannot listen on {host}:{port}: {error}"))?;
    let port = listener
        .local_addr()
        .map_err(|error| error.to_string())?
        .port();
    // The root certificates are loaded once, and only if some connection uses TLS.
    let traced = config.traces.as_ref().map(|traces| &traces.endpoint);
    let mut others = config
        .providers
        .iter()
        .map(|entry| &entry.base)
        .chain(traced);
    let tls = if others.any(|base| base.tls) {
        Tls::load(&config)?
    } else {
        Tls::none()
    };
    announce(&config, port);
    let traces = config.traces.clone();
    let (shared, spans) = SharedState::new(config, tls);
    let (stop, stopped) = oneshot::channel::<()>();
    let exporter = match (traces, spans) {
        (Some(traces), Some(spans)) => {
            let collector = Collector::new(&traces, shared.config(), shared.tls())
                .map_err(|wrong| format!("the collector of traces: {wrong}"))?;
            let stopped = stopped.map(|_| ());
            Some(rt::spawn(collector.run(
                spans,
                Arc::clone(shared.metrics()),
                stopped,
            )))
        }
        _ => None,
    };
    http::serve_until_told(shared, listener)
        .await
        .map_err(|error| error.to_string())?;
    drop(stop);
    if let Some(exporter) = exporter {
        let _ = timeout(LAST_SPANS, exporter).await;
    }
    ::log::info!("stopped");
    Ok(())
}

/// The time limit for exporting the last spans.
const LAST_SPANS: Duration = Duration::from_secs(1);

/// Logs the first lines: mode, address, providers, warnings, documentation.
fn announce(config: &Config, port: u16) {
    let version = env!("CARGO_PKG_VERSION");
    if config.keyed() {
        let count = config.gateway_keys.len();
        ::log::info!(
            "ai-gateway {version}, mode: gateway keys ({count}); providers are called with their own keys"
        );
    } else {
        ::log::info!(
            "ai-gateway {version}, mode: pass-through; every caller brings the provider's key"
        );
    }
    ::log::info!("listening on http://{}:{port}", config.host);
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
    let reached = match config.host.as_str() {
        "0.0.0.0" | "::" => "localhost",
        host => host,
    };
    if config.serve_docs {
        ::log::info!("docs at http://{reached}:{port}/swagger-ui/");
    }
}
