//! The signals that stop the server.

use std::io;
use std::time::Duration;

#[cfg(unix)]
use tokio::signal::unix::{self, SignalKind};
use tokio::time::timeout;

/// A request to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: stop after running requests have had their time.
    Terminate,
    /// SIGINT: stop now.
    Interrupt,
}

/// The signals as they arrive.
pub struct Signals {
    #[cfg(unix)]
    terminate: unix::Signal,
    #[cfg(unix)]
    interrupt: unix::Signal,
    #[cfg(unix)]
    hangup: unix::Signal,
}

impl Signals {
    /// Catches SIGTERM, SIGINT and SIGHUP from now on; SIGHUP is ignored.
    ///
    /// # Errors
    /// If the system refuses.
    #[cfg(unix)]
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            hangup: unix::signal(SignalKind::hangup())?,
        })
    }

    /// The next signal.
    #[cfg(unix)]
    pub async fn next(&mut self) -> Signal {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Signal::Terminate,
                _ = self.interrupt.recv() => return Signal::Interrupt,
                // Other programs reload their configuration on SIGHUP, or end with their terminal.
                _ = self.hangup.recv() => {
                    log::info!("SIGHUP is ignored; restart the gateway to read its configuration anew");
                }
            }
        }
    }

    /// Catches Ctrl-C from now on; there is no SIGTERM here.
    ///
    /// # Errors
    /// Never, on this platform.
    #[cfg(not(unix))]
    pub fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    /// The next signal.
    #[cfg(not(unix))]
    pub async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Signal::Interrupt
    }

    /// Waits up to `time` for another signal; returns whether one came.
    pub async fn within(&mut self, time: Duration) -> bool {
        !time.is_zero() && timeout(time, self.next()).await.is_ok()
    }
}
