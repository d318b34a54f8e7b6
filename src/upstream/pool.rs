//! The connection pool of one provider, with separate connections for each caller.
//!
//! A provider that responds twice, or late, writes into a connection whatever request is sent next
//! on it. No check can tell such a response from the right one, so a connection that one caller has
//! used is never used for another.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::connect::Connector;
use crate::secret::CallerId;

/// How long an idle connection is kept. Providers close theirs after 60 s or more.
const KEEP_ALIVE: Duration = Duration::from_secs(50);

/// Maximum age of a connection, so that a provider's new addresses are found.
const LIFETIME: Duration = Duration::from_secs(600);

/// Maximum number of callers whose idle connections are kept. Anyone can make up keys, so beyond it
/// those of the caller that was seen longest ago are closed.
const MOST_CALLERS: usize = 256;

/// How often the connections of absent callers are looked for.
const SWEEP: Duration = Duration::from_secs(10);

/// The connections of one provider on one thread.
pub(super) struct Pool {
    connector: Connector,
    connect_timeout: Duration,
    of: Rc<RefCell<Callers>>,
    /// The HTTP client for connections that are not kept.
    once: awc::Client,
}

#[derive(Default)]
struct Callers {
    clients: HashMap<CallerId, (awc::Client, Instant)>,
    /// Whether the task that removes absent callers is running.
    is_swept: bool,
}

impl Pool {
    /// `connect_timeout` is the limit on connecting, TLS included.
    pub(super) fn new(connector: Connector, connect_timeout: Duration) -> Self {
        Self {
            once: client(&connector, connect_timeout),
            connector,
            connect_timeout,
            of: Rc::default(),
        }
    }

    /// The HTTP client for a request on a connection of its own. The request must close the
    /// connection.
    pub(super) fn once(&self) -> awc::Client {
        self.once.clone()
    }

    /// The HTTP client with the connections of one caller.
    pub(super) fn of(&self, caller: CallerId) -> awc::Client {
        let now = Instant::now();
        let mut callers = self.of.borrow_mut();
        if !std::mem::replace(&mut callers.is_swept, true) {
            actix_rt::spawn(sweep(Rc::downgrade(&self.of)));
        }
        if let Some((client, used)) = callers.clients.get_mut(&caller) {
            *used = now;
            return client.clone();
        }
        if callers.clients.len() >= MOST_CALLERS {
            let oldest = callers.clients.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(oldest) = oldest.map(|(caller, _)| *caller) {
                callers.clients.remove(&oldest);
            }
        }
        let client = client(&self.connector, self.connect_timeout);
        callers.clients.insert(caller, (client.clone(), now));
        client
    }
}

/// Closes the connections of absent callers, until no caller is left. The HTTP client itself checks
/// its idle connections only when it is asked for one.
async fn sweep(callers: Weak<RefCell<Callers>>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(callers) = callers.upgrade() else {
            return;
        };
        let mut callers = callers.borrow_mut();
        let now = Instant::now();
        callers
            .clients
            .retain(|_, (_, used)| now - *used < KEEP_ALIVE);
        if callers.clients.is_empty() {
            callers.is_swept = false;
            return;
        }
    }
}

fn client(connector: &Connector, connect_timeout: Duration) -> awc::Client {
    let connector = awc::Connector::new()
        .connector(connector.clone())
        .timeout(connect_timeout)
        .conn_keep_alive(KEEP_ALIVE)
        .conn_lifetime(LIFETIME)
        // The worker's limit is the only one: this limit would queue requests invisibly.
        .limit(0);
    awc::Client::builder()
        .connector(connector)
        .disable_timeout()
        // A redirect would send the provider's key to another host.
        .disable_redirects()
        .no_default_headers()
        .finish()
}
