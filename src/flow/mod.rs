//! The one way through: route, key, worker, answer. One function for each endpoint.

mod alive;
mod aside;
mod ask;
mod bodies;
mod chat;
mod hide;
mod large;
mod models;
mod plan;
mod responses;
mod spread;
mod stream;

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::mpsc;

pub use ask::Ask;
pub use bodies::{Bodies, Held};
pub use chat::chat;
pub use models::{Listing, ModelsCache, models};
pub use responses::responses;

use crate::config::Config;
use crate::drain::Drain;
use crate::error::Error;
use crate::meter::{Meter, Now, Span};
use crate::providers::{PROVIDERS, Provider};
use crate::store::Store;
use crate::upstream::{Headers, Tls};
use crate::worker::{Circuit, Gate, Handle};

/// What the server's threads share.
#[derive(Clone)]
pub struct Shared {
    config: Arc<Config>,
    tls: Tls,
    gates: Arc<Vec<Arc<Gate>>>,
    models: Arc<ModelsCache>,
    meter: Arc<Meter>,
    store: Arc<Store>,
    bodies: Arc<Bodies>,
    drain: Drain,
}

impl Shared {
    /// Prepares the limits of every provider. With [`Config::traces`] spans come out of the
    /// receiver.
    #[must_use]
    pub fn new(config: Config, tls: Tls) -> (Self, Option<mpsc::Receiver<Span>>) {
        let gates = PROVIDERS
            .iter()
            .map(|_| Arc::new(Gate::new(&config)))
            .collect();
        let (meter, spans) = Meter::new(&config);
        let shared = Self {
            models: Arc::new(ModelsCache::new(config.models_cache)),
            meter: Arc::new(meter),
            store: Arc::new(Store::new(config.reasoning_memory)),
            bodies: Bodies::new(config.body_memory),
            config: Arc::new(config),
            tls,
            gates: Arc::new(gates),
            drain: Drain::new(),
        };
        (shared, spans)
    }

    /// What is counted.
    #[must_use]
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// The TLS settings towards others.
    #[must_use]
    pub fn tls(&self) -> &Tls {
        &self.tls
    }

    /// How far the server is on its way to stopping.
    #[must_use]
    pub fn drain(&self) -> &Drain {
        &self.drain
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }
}

/// What a request finds: the workers of its thread, registered from the table.
pub struct AppState {
    /// The configuration.
    pub config: Arc<Config>,
    /// What is counted.
    pub meter: Arc<Meter>,
    /// How far the server is on its way to stopping.
    pub drain: Drain,
    /// What the bodies of requests may take.
    pub bodies: Arc<Bodies>,
    handles: Vec<Handle>,
    models: Arc<ModelsCache>,
    pub(crate) store: Arc<Store>,
}

impl AppState {
    /// Starts this thread's workers.
    ///
    /// # Errors
    /// A text where a configured host cannot be connected to at all.
    pub fn start(shared: &Shared) -> Result<Self, String> {
        let handles = shared
            .config
            .providers
            .iter()
            .zip(shared.gates.iter())
            .map(|(entry, gate)| {
                let (gate, meter) = (Arc::clone(gate), Arc::clone(&shared.meter));
                Handle::start(entry, &shared.config, &shared.tls, gate, meter)
                    .map_err(|wrong| format!("{}: {wrong}", entry.provider.base_url_env))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            config: Arc::clone(&shared.config),
            handles,
            models: Arc::clone(&shared.models),
            meter: Arc::clone(&shared.meter),
            store: Arc::clone(&shared.store),
            drain: shared.drain.clone(),
            bodies: Arc::clone(&shared.bodies),
        })
    }

    /// How the providers are doing, seen from all threads.
    #[must_use]
    pub fn now(&self) -> Vec<Now> {
        let now = |handle: &Handle| {
            let state = handle.state();
            Now {
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
    pub fn worker(&self, provider: &Provider) -> &Handle {
        self.handles
            .iter()
            .find(|handle| handle.provider() == provider)
            .expect("there is one for each row of the table")
    }
}

/// An answer for the client.
pub struct Reply {
    /// Who answered.
    pub provider: &'static Provider,
    /// Attempts it took.
    pub attempts: u32,
    /// Headers of the provider that the client is given, and our own.
    pub headers: Headers,
    /// The answer.
    pub content: Content,
}

/// The body of an answer.
pub enum Content {
    /// JSON.
    Json(Bytes),
    /// Server-sent events.
    Events(Pin<Box<dyn Stream<Item = Bytes>>>),
}

/// Why there is no answer.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Why.
    pub error: Error,
    /// Who refused, when it came so far.
    pub provider: Option<&'static Provider>,
    /// Attempts that were made.
    pub attempts: u32,
    /// Headers of the provider that the client is given.
    pub headers: Headers,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self {
            error,
            provider: None,
            attempts: 0,
            headers: Headers::default(),
        }
    }
}
