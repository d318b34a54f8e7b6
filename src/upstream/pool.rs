//! The connections to one provider, those of each caller apart.
//!
//! A provider that answers twice, or late, writes into a connection whatever is asked next on it. No
//! check can tell such an answer from the right one, and so no connection that was used for one
//! caller is used for another.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::connect::Connector;
use crate::secret::CallerId;

/// How long an idle connection is kept; providers close theirs at 60 s and later.
const KEEP_ALIVE: Duration = Duration::from_secs(50);

/// How long a connection is used at all, so that a provider's new addresses are found.
const LIFETIME: Duration = Duration::from_secs(600);

/// Most callers whose idle connections are kept. Anyone can make up keys: of more, those are let go
/// that were used longest ago.
const MOST_CALLERS: usize = 256;

/// How often the connections of callers who stay away are looked for.
const SWEEP: Duration = Duration::from_secs(10);

/// The connections of one provider on one thread.
pub(super) struct Pool {
    connector: Connector,
    connect_timeout: Duration,
    of: Rc<RefCell<Callers>>,
    /// Keeps no connections.
    once: awc::Client,
}

#[derive(Default)]
struct Callers {
    clients: HashMap<CallerId, (awc::Client, Instant)>,
    /// Whether someone looks for those who stay away.
    is_swept: bool,
}

impl Pool {
    /// `connect_timeout` is the longest it may take to connect.
    pub(super) fn new(connector: Connector, connect_timeout: Duration) -> Self {
        Self {
            once: client(&connector, connect_timeout),
            connector,
            connect_timeout,
            of: Rc::default(),
        }
    }

    /// A client for a request whose connection is used for nothing else: it must close it.
    pub(super) fn once(&self) -> awc::Client {
        self.once.clone()
    }

    /// The client with the connections of one caller.
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

/// Closes the connections of callers who stay away, until there are none. The HTTP client itself looks at
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
        // The worker's own limit is the only one: this one would queue in silence.
        .limit(0);
    awc::Client::builder()
        .connector(connector)
        .disable_timeout()
        // A redirect to another host would be given the provider's key.
        .disable_redirects()
        .no_default_headers()
        .finish()
}
