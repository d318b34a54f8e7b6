//! Work on a large chunk of a stream: done on another thread, with the state of the stream.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::offload;

/// How long to wait for the end of a provider's body after its last event, so that the connection
/// can be reused.
pub(super) const LINGER: Duration = Duration::from_millis(250);

/// Work that gives the state back with its result.
pub(super) type Work<S, O> = Pin<Box<dyn Future<Output = (Box<S>, O)>>>;

/// Works with `state` on `length` bytes.
pub(super) fn work_on<S: Send + 'static, O: Send + 'static>(
    length: usize,
    mut state: Box<S>,
    work: impl FnOnce(&mut S) -> O + Send + 'static,
) -> Work<S, O> {
    Box::pin(offload::run(length, move || {
        let out = work(&mut state);
        (state, out)
    }))
}
