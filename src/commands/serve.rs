//! `ai-gateway`: serves.

use std::process::ExitCode;

use super::{complain, configuration};
use crate::config::{Config, from_environment};
use crate::flow::Shared;
use crate::http;
use crate::upstream::Tls;

/// Libraries that would write headers, and so keys, at the levels below.
const QUIET: [&str; 4] = ["awc", "actix_http", "rustls", "h2"];

/// Starts the log: `RUST_LOG` as usual, `info` without it.
pub(super) fn start_log() {
    let mut builder =
        env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"));
    for library in QUIET {
        builder.filter_module(library, log::LevelFilter::Info);
    }
    builder.filter_module("actix_server", log::LevelFilter::Warn);
    // A second start in one process keeps the first's settings.
    let _ = builder.try_init();
}

/// Serves until told to stop.
pub(super) fn run() -> ExitCode {
    let config = match configuration(from_environment) {
        Ok(config) => config,
        Err(code) => return code,
    };
    start_log();
    let served = actix_web::rt::System::new().block_on(serve(config));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            complain(&wrong);
            ExitCode::FAILURE
        }
    }
}

/// Binds, says what is served, serves.
pub(super) async fn serve(config: Config) -> Result<(), String> {
    let (host, port) = (config.host.clone(), config.port);
    let listener = http::listen(&host, port)
        .map_err(|error| format!("cannot listen on {host}:{port}: {error}"))?;
    let port = listener
        .local_addr()
        .map_err(|error| error.to_string())?
        .port();
    // The roots are read once; without TLS towards any provider they are not needed.
    let tls = if config.providers.iter().any(|entry| entry.base.tls) {
        Tls::system()?
    } else {
        Tls::none()
    };
    announce(&config, port);
    let server =
        http::serve(Shared::new(config, tls), listener).map_err(|error| error.to_string())?;
    server.await.map_err(|error| error.to_string())?;
    log::info!("stopped");
    Ok(())
}

/// The first lines of the log: mode, address, providers, documentation.
fn announce(config: &Config, port: u16) {
    let version = env!("CARGO_PKG_VERSION");
    if config.keyed() {
        let count = config.gateway_keys.len();
        log::info!(
            "ai-gateway {version}, mode: gateway keys ({count}); providers are called with their own keys"
        );
    } else {
        log::info!(
            "ai-gateway {version}, mode: pass-through; every caller brings the provider's key"
        );
    }
    log::info!("listening on http://{}:{port}", config.host);
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
    log::info!("usable providers: {}", or_none(usable));
    if !not.is_empty() {
        log::info!("not usable: {}", or_none(not));
    }
    for warning in config.warnings() {
        log::warn!("{warning}");
    }
    let reached = match config.host.as_str() {
        "0.0.0.0" | "::" => "localhost",
        host => host,
    };
    log::info!("docs at http://{reached}:{port}/swagger-ui/");
}
