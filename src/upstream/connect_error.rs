//! Why a connection to a provider failed. Pure.

use std::io;

use super::retry::Retry;

/// Whether the gateway itself is out of file descriptors: `ENFILE` and `EMFILE`, which are 23 and
/// 24 on every Unix.
pub(super) fn no_descriptor(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24)) && cfg!(unix)
}

/// The reason of a failed connection, and whether to retry. The texts are fixed, because the
/// system's own contain addresses.
pub(super) fn connect_reason(error: &io::Error) -> (&'static str, Retry) {
    let yes = Retry::Yes { after: None };
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ("the connection was refused", yes),
        io::ErrorKind::TimedOut => ("connecting took too long", yes),
        io::ErrorKind::InvalidData => ("its certificate or TLS is not acceptable", Retry::Never),
        _ if error.to_string().contains("lookup") => ("its name cannot be resolved", yes),
        _ if error.to_string().contains("the proxy refused") => {
            ("the proxy refused the connection", yes)
        }
        _ => ("no connection came about", yes),
    }
}
