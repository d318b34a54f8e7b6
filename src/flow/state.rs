//! The state that request handlers use: the workers of a thread, and what all threads share.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::body_memory::BodyMemory;
use super::models_cache::ModelsCache;
use crate::config::Config;
use crate::providers::{PROVIDERS, Provider};
use crate::routing::{PrefixRouting, RoutingPolicy};
use crate::shutdown::Shutdown;
use crate::store::ReasoningCache;
use crate::telemetry::{Metrics, ProviderLoad, Span};
use crate::upstream::Tls;
use crate::worker::{AdmissionControl, Circuit, WorkerHandle};

/// The state that all server threads share.
#[derive(Clone)]
pub struct SharedState {
    config: Arc<Config>,
    tls: Tls,
    admissions: Arc<Vec<Arc<AdmissionControl>>>,
    models: Arc<ModelsCache>,
    metrics: Arc<Metrics>,
    store: Arc<ReasoningCache>,
    bodies: Arc<BodyMemory>,
    shutdown: Shutdown,
    routing: Arc<dyn RoutingPolicy>,
}

impl SharedState {
    /// Sets up the limits of every provider. If [`Config::traces`] is set, the receiver yields the
    /// finished spans; otherwise it is `None`.
    #[must_use]
    pub fn new(config: Config, tls: Tls) -> (Self, Option<mpsc::Receiver<Span>>) {
        let admissions = PROVIDERS
            .iter()
            .map(|_| Arc::new(AdmissionControl::new(&config)))
            .collect();
        let (metrics, spans) = Metrics::new(&config);
        let shared = Self {
            models: Arc::new(ModelsCache::new(config.models.cache)),
            metrics: Arc::new(metrics),
            store: Arc::new(ReasoningCache::new(config.reasoning_memory)),
            bodies: BodyMemory::new(config.server.body_memory),
            config: Arc::new(config),
            tls,
            admissions: Arc::new(admissions),
            shutdown: Shutdown::new(),
            routing: Arc::new(PrefixRouting),
        };
        (shared, spans)
    }

    /// Routes by `policy` instead of by prefixes and patterns.
    #[must_use]
    pub fn with_routing(mut self, policy: Arc<dyn RoutingPolicy>) -> Self {
        self.routing = policy;
        self
    }

    /// The metrics.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The TLS settings for outgoing connections.
    #[must_use]
    pub fn tls(&self) -> &Tls {
        &self.tls
    }

    /// The stage of the shutdown.
    #[must_use]
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }
}

/// The state of one server thread: its workers, one for each provider of the table.
pub struct AppState {
    /// The configuration.
    pub config: Arc<Config>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The stage of the shutdown.
    pub shutdown: Shutdown,
    /// The memory for request bodies.
    pub bodies: Arc<BodyMemory>,
    handles: Vec<WorkerHandle>,
    pub(super) models: Arc<ModelsCache>,
    pub(super) store: Arc<ReasoningCache>,
    pub(super) routing: Arc<dyn RoutingPolicy>,
}

impl AppState {
    /// Starts this thread's workers.
    ///
    /// # Errors
    /// A message if a configured host cannot be connected to at all.
    pub fn start(shared: &SharedState) -> Result<Self, String> {
        let handles = shared
            .config
            .providers
            .iter()
            .zip(shared.admissions.iter())
            .map(|(entry, admission)| {
                let (admission, metrics) = (Arc::clone(admission), Arc::clone(&shared.metrics));
                WorkerHandle::start(entry, &shared.config, &shared.tls, admission, metrics)
                    .map_err(|wrong| format!("{}: {wrong}", entry.provider.base_url_env))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            config: Arc::clone(&shared.config),
            handles,
            models: Arc::clone(&shared.models),
            metrics: Arc::clone(&shared.metrics),
            store: Arc::clone(&shared.store),
            shutdown: shared.shutdown.clone(),
            bodies: Arc::clone(&shared.bodies),
            routing: Arc::clone(&shared.routing),
        })
    }

    /// The load and the circuit of each provider, over all threads.
    #[must_use]
    pub fn provider_loads(&self) -> Vec<ProviderLoad> {
        let now = |handle: &WorkerHandle| {
            let state = handle.state();
            ProviderLoad {
                provider: handle.provider().name,
                in_flight: state.in_flight,
                waiting: state.waiting,
                circuit: match state.circuit {
                    Circuit::Closed => 0,
                    Circuit::HalfOpen => 1,
                    Circuit::Open => 2,
                },
            }
        };
        self.handles.iter().map(now).collect()
    }

    /// This thread's worker of `provider`.
    #[must_use]
    pub fn worker(&self, provider: &Provider) -> &WorkerHandle {
        self.handles
            .iter()
            .find(|handle| handle.provider() == provider)
            .expect("there is one for each row of the table")
    }
}
