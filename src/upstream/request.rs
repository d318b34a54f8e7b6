//! A request to a provider, from the moment it is prepared until its last attempt.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::call_error::CallError;
use super::retry::Retry;
use crate::codec::Spliced;
use crate::error::{Error, Phase};
use crate::secret::{CallerId, Secret};
use crate::telemetry::RequestRecord;

/// The HTTP method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A request without a body.
    Get,
    /// A request with a JSON body.
    Post,
}

/// A request to a provider.
pub struct UpstreamRequest {
    /// The HTTP method.
    pub method: Method,
    /// The path and query after the base URL, as in `/chat/completions`.
    pub path: Cow<'static, str>,
    /// The model, as the client named it. Each model has a circuit; the empty name is that of the
    /// list of models.
    pub model: Arc<str>,
    /// The JSON text; empty with [`Method::Get`].
    pub body: Spliced,
    /// The provider's key.
    pub key: Secret,
    /// The caller. Slots, circuits, retry budgets and connections are kept by caller.
    pub caller: CallerId,
    /// Whether a stream is requested.
    pub stream: bool,
    /// Headers for the provider, besides those that every request has.
    pub headers: Vec<(&'static str, String)>,
    /// When the whole response, or the first event of a stream, must be there.
    pub deadline: Deadline,
    /// The record of the client's request; `None` for a request that the gateway makes for itself.
    pub record: Option<Rc<RequestRecord>>,
}

/// What differs from one attempt at a request to the next.
#[derive(Debug, Clone, Copy, Default)]
pub struct AttemptOptions<'a> {
    /// The span of this attempt, as a W3C `traceparent`; replaces the client's own.
    pub traceparent: Option<&'a str>,
    /// Whether the attempt opens a connection instead of taking an idle one.
    pub force_new_connection: bool,
}

/// A deadline, and the error of a provider that misses it.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// The moment.
    pub at: Instant,
    /// What is waited for.
    pub phase: Phase,
    /// The whole time until `at`, for the error's message.
    pub after: Duration,
}

impl Deadline {
    /// The time that is left; zero once it is over.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// The error of a provider that missed it.
    #[must_use]
    pub fn missed(&self, provider: &'static str) -> Error {
        Error::TimedOut {
            provider,
            phase: self.phase,
            after: self.after,
        }
    }

    /// The error of an attempt that missed it. It is not retried: the provider is at work, and a
    /// second attempt would be billed too.
    pub(super) fn failure(&self, provider: &'static str) -> CallError {
        CallError::new(self.missed(provider), Retry::Never)
    }
}
