//! The signals that stop the server.

use std::io;
use std::time::Duration;

#[cfg(unix)]
use tokio::signal::unix::{self, SignalKind};
use tokio::time::timeout;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: stop in good order.
    Terminate,
    /// SIGINT: stop now.
    Interrupt,
}

/// The signals as they come.
pub struct Signals {
    #[cfg(unix)]
    terminate: unix::Signal,
    #[cfg(unix)]
    interrupt: unix::Signal,
    #[cfg(unix)]
    hangup: unix::Signal,
}

impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// Where the system refuses.
    #[cfg(unix)]
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            hangup: unix::signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    #[cfg(unix)]
    pub async fn next(&mut self) -> Signal {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Signal::Terminate,
                _ = self.interrupt.recv() => return Signal::Interrupt,
                // Others read their configuration anew then, or end with their terminal.
                _ = self.hangup.recv() => {
                    log::info!("SIGHUP is ignored; restart the gateway to read its configuration anew");
                }
            }
        }
    }

    /// Catches Ctrl-C from now on; there is no SIGTERM here.
    ///
    /// # Errors
    /// None here.
    #[cfg(not(unix))]
    pub fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    /// The next one.
    #[cfg(not(unix))]
    pub async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Signal::Interrupt
    }

    /// Whether another one comes within this time, which it ends.
    pub async fn within(&mut self, time: Duration) -> bool {
        !time.is_zero() && timeout(time, self.next()).await.is_ok()
    }
}
