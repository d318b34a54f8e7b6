//! The gateway as a library: built from a configuration, bound to an address, and served.
//!
//! The binary, the tests and other programs all start it here.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::rt;
use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::config::Config;
use crate::flow::SharedState;
use crate::http::{self, Signals};
use crate::routing::RoutingPolicy;
use crate::shutdown::Shutdown;
use crate::telemetry::Span;
use crate::upstream::{Collector, Tls};

/// The time limit for exporting the last spans.
const LAST_SPANS: Duration = Duration::from_secs(1);

/// Builds a [`Gateway`].
pub struct GatewayBuilder {
    config: Config,
    tls: Option<Tls>,
    routing: Option<Arc<dyn RoutingPolicy>>,
}

/// A gateway that is bound to its address and does not serve yet.
pub struct Gateway {
    shared: SharedState,
    spans: Option<mpsc::Receiver<Span>>,
    listener: TcpListener,
    address: SocketAddr,
}

/// A gateway that serves on its own threads.
pub struct RunningGateway {
    server: Server,
    shutdown: Shutdown,
    exporter: Exporter,
}

/// Stops a [`RunningGateway`] from any thread.
#[derive(Clone)]
pub struct GatewayHandle {
    server: ServerHandle,
    shutdown: Shutdown,
}

impl GatewayBuilder {
    /// Routes requests by `policy` instead of by the prefixes and patterns of model names.
    #[must_use]
    pub fn routing(mut self, policy: Arc<dyn RoutingPolicy>) -> Self {
        self.routing = Some(policy);
        self
    }

    /// Trusts these root certificates instead of those of the configuration.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Listens on the configured address, and loads the root certificates where a connection needs
    /// them. Port 0 takes a free port.
    ///
    /// # Errors
    /// A text for the operator where the address is taken or the certificates cannot be loaded.
    pub fn bind(self) -> Result<Gateway, String> {
        let Self {
            config,
            tls,
            routing,
        } = self;
        let (host, port) = (&config.server.host, config.server.port);
        let listener = http::listen(host, port)
            .map_err(|error| format!("cannot listen on {host}:{port}: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let tls = match tls {
            Some(tls) => tls,
            None if needs_tls(&config) => Tls::load(&config)?,
            None => Tls::none(),
        };
        let (shared, spans) = SharedState::new(config, tls);
        let shared = match routing {
            Some(policy) => shared.with_routing(policy),
            None => shared,
        };
        Ok(Gateway {
            shared,
            spans,
            listener,
            address,
        })
    }
}

/// Whether a provider or the collector of traces is reached by TLS.
fn needs_tls(config: &Config) -> bool {
    let collector = config.traces.as_ref().map(|traces| &traces.endpoint);
    let providers = config.providers.iter().map(|entry| &entry.base);
    providers.chain(collector).any(|base| base.tls)
}

impl Gateway {
    /// Starts with a configuration.
    #[must_use]
    pub fn builder(config: Config) -> GatewayBuilder {
        GatewayBuilder {
            config,
            tls: None,
            routing: None,
        }
    }

    /// The address that the gateway listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        self.shared.config()
    }

    /// Starts the server's threads. Call it within an actix system (`actix_web::rt::System`), and
    /// wait for the result there. Spans are exported where traces are collected.
    ///
    /// # Errors
    /// Where a configured host cannot be connected to at all.
    pub fn start(self) -> io::Result<RunningGateway> {
        let exporter = Exporter::start(&self.shared, self.spans).map_err(io::Error::other)?;
        let shutdown = self.shared.shutdown().clone();
        let server = http::serve(self.shared, self.listener)?;
        Ok(RunningGateway {
            server,
            shutdown,
            exporter,
        })
    }

    /// Serves until SIGTERM or SIGINT, in good order.
    ///
    /// # Errors
    /// A text for the operator where the server or the exporter cannot start.
    pub(crate) async fn run(self, signals: Signals) -> Result<(), String> {
        let exporter = Exporter::start(&self.shared, self.spans)?;
        http::serve_until_told(self.shared, self.listener, signals)
            .await
            .map_err(|error| error.to_string())?;
        exporter.finish().await;
        Ok(())
    }
}

/// The task that exports spans; none where no traces are collected.
struct Exporter(Option<(oneshot::Sender<()>, rt::task::JoinHandle<()>)>);

impl Exporter {
    fn start(shared: &SharedState, spans: Option<mpsc::Receiver<Span>>) -> Result<Self, String> {
        let (Some(traces), Some(spans)) = (&shared.config().traces, spans) else {
            return Ok(Self(None));
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let collector = Collector::new(traces, shared.config(), shared.tls())
            .map_err(|wrong| format!("the collector of traces: {wrong}"))?;
        let metrics = Arc::clone(shared.metrics());
        let task = rt::spawn(collector.run(spans, metrics, stopped.map(|_| ())));
        Ok(Self(Some((stop, task))))
    }

    /// Exports what is left.
    async fn finish(self) {
        if let Some((stop, task)) = self.0 {
            drop(stop);
            let _ = timeout(LAST_SPANS, task).await;
        }
    }
}

impl RunningGateway {
    /// What stops the gateway.
    #[must_use]
    pub fn handle(&self) -> GatewayHandle {
        GatewayHandle {
            server: self.server.handle(),
            shutdown: self.shutdown.clone(),
        }
    }

    /// Serves until a handle stops the gateway.
    ///
    /// # Errors
    /// Where the listener fails.
    pub async fn wait(self) -> io::Result<()> {
        let served = self.server.await;
        self.exporter.finish().await;
        served
    }
}

impl GatewayHandle {
    /// Stops at once; requests under way are cut.
    pub fn stop(&self) {
        drop(self.server.stop(false));
    }

    /// The stages of stopping in good order.
    #[must_use]
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }
}
