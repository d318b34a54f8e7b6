//! The state of a connection that the HTTP server and the socket below it share.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use memchr::memmem;

/// What the server and its socket tell each other about a connection.
#[derive(Debug, Default)]
pub struct Connection {
    /// Number of requests that were ever begun.
    pub(super) begun: Cell<u64>,
    /// Number of requests that are in progress.
    pub(super) under_way: Cell<u32>,
    /// Whether the whole body of the last request was read.
    pub(super) body_taken: Cell<bool>,
    /// The declared length of the last request's body.
    pub(super) length: Cell<BodyLength>,
    /// Whether no request may follow the last one.
    pub(super) last: Cell<bool>,
    /// Whether a request followed the last one, which ends the connection.
    pub(super) overrun: Cell<bool>,
    /// Whether the client has closed its side.
    pub(super) at_end: Cell<bool>,
    /// Whether the client read nothing for the write timeout.
    pub(super) stalled: Cell<bool>,
    /// The bytes that were read since the connection was last idle.
    pub(super) seen: RefCell<BytesSeen>,
    /// What was read beyond the requests that are over.
    pub(super) rest: Cell<Leftover>,
    /// Whether bytes of a later request were read ahead.
    pub(super) ahead: Cell<bool>,
    /// Wakes the reader when a request is over, since the server does not read again by itself.
    pub(super) reader: RefCell<Option<Waker>>,
    /// Wakes the task that serves the connection, which is always the same.
    task: RefCell<Option<Waker>>,
}

/// The connections of one thread.
#[derive(Debug, Default)]
pub(super) struct Connections {
    all: RefCell<Vec<Weak<Connection>>>,
    /// The number of connections at which closed ones are removed next.
    sweep: Cell<usize>,
}

/// Minimum number of connections at which closed ones are removed.
const FEW: usize = 64;

impl Connections {
    pub(super) fn add(&self, connection: &Rc<Connection>) {
        let mut all = self.all.borrow_mut();
        if all.len() >= self.sweep.get().max(FEW) {
            all.retain(|connection| connection.strong_count() > 0);
            self.sweep.set(all.len() * 2);
        }
        all.push(Rc::downgrade(connection));
    }

    /// Wakes the task of every connection.
    pub(super) fn wake(&self) {
        for connection in self.all.borrow().iter().filter_map(Weak::upgrade) {
            if let Some(task) = &*connection.task.borrow() {
                task.wake_by_ref();
            }
        }
    }
}

/// How a request's body ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body.
    #[default]
    None,
    /// After this many bytes.
    Bytes(u64),
    /// With the last chunk.
    Chunks,
}

/// What was read on a connection beyond its requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Leftover {
    /// Nothing: the connection is idle.
    #[default]
    Nothing,
    /// Perhaps part of a head; the bytes cannot be told apart here. The idle timeout applies.
    Perhaps,
    /// Part of a head, to which the head timeout applies.
    Head,
}

/// The bytes that arrived since the connection was last idle.
#[derive(Debug, Default)]
pub(super) struct BytesSeen {
    pub(super) all: u64,
    /// The length of the first request's head, once its end was seen.
    head: Option<u64>,
    /// The last bytes, in which the end of the head may have begun.
    tail: [u8; 3],
    requests: u32,
}

impl BytesSeen {
    pub(super) fn read(&mut self, bytes: &[u8]) {
        const END: &[u8] = b"\r\n\r\n";
        if self.head.is_none() {
            let mut edge = [0; 6];
            edge[..3].copy_from_slice(&self.tail);
            for (to, byte) in edge.iter_mut().skip(3).zip(bytes) {
                *to = *byte;
            }
            let at = match memmem::find(&edge, END) {
                // The edge begins three bytes before `bytes`.
                Some(at) => at.checked_add(1),
                None => memmem::find(bytes, END).map(|at| at + 4),
            };
            self.head = at
                .and_then(|at| u64::try_from(at).ok())
                .map(|at| self.all + at);
            for byte in bytes.iter().skip(bytes.len().saturating_sub(3)) {
                self.tail.rotate_left(1);
                self.tail[2] = *byte;
            }
        }
        self.all += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    }

    /// What was read beyond the one request that is over, whose body had this length.
    fn rest(&self, length: BodyLength) -> Leftover {
        let length = match length {
            BodyLength::None => 0,
            BodyLength::Bytes(length) => length,
            BodyLength::Chunks => return Leftover::Perhaps,
        };
        match self.head.and_then(|head| head.checked_add(length)) {
            _ if self.requests != 1 => Leftover::Perhaps,
            Some(whole) if whole == self.all => Leftover::Nothing,
            Some(_) => Leftover::Head,
            None => Leftover::Perhaps,
        }
    }
}

/// A request in progress on a connection, until this is dropped.
#[derive(Debug)]
pub struct RequestInProgress(Rc<Connection>);

impl RequestInProgress {
    /// Notes that the whole body was read: the bytes that follow belong to a later request.
    pub fn body_taken(&self) {
        self.0.body_taken.set(true);
    }

    /// Whether the client has closed its side. If a body broke off and this is false, its framing
    /// is malformed.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.0.at_end.get()
    }

    /// Notes that the response closes the connection.
    pub fn is_last(&self) {
        self.0.last.set(true);
    }

    /// Whether the connection was closed because the client did not read its response.
    #[must_use]
    pub fn has_stalled(&self) -> bool {
        self.0.stalled.get()
    }
}

impl Drop for RequestInProgress {
    fn drop(&mut self) {
        let connection = &self.0;
        let left = connection.under_way.get().saturating_sub(1);
        connection.under_way.set(left);
        if left > 0 {
            return;
        }
        let seen = connection.seen.take();
        let rest = match (connection.length.get(), connection.body_taken.get()) {
            // The response came before the end of the body, which is still to arrive.
            (BodyLength::Chunks, false) => Leftover::Head,
            (length, _) => seen.rest(length),
        };
        connection.rest.set(rest);
        if (connection.ahead.get() || rest != Leftover::Nothing)
            && let Some(reader) = connection.reader.take()
        {
            reader.wake();
        }
    }
}

impl Connection {
    /// Whether no request may follow the last one: "a server MUST NOT process any further
    /// requests", RFC 9112, section 9.6. If so, the connection ends as soon as the earlier
    /// responses are written.
    pub fn is_overrun(&self) -> bool {
        self.overrun.set(self.last.get());
        self.last.get()
    }

    /// Begins a request; `last` says that no other may follow it.
    #[must_use]
    pub fn begin(self: &Rc<Self>, length: BodyLength, last: bool) -> RequestInProgress {
        self.last.set(last);
        self.under_way.set(self.under_way.get() + 1);
        self.body_taken.set(length == BodyLength::None);
        self.length.set(length);
        self.begun.set(self.begun.get() + 1);
        self.rest.set(Leftover::Nothing);
        self.seen.borrow_mut().requests += 1;
        RequestInProgress(Rc::clone(self))
    }

    /// Remembers the task that serves the connection.
    pub(super) fn remember(&self, cx: &Context<'_>) {
        let known = |task: &Waker| task.will_wake(cx.waker());
        if !self.task.borrow().as_ref().is_some_and(known) {
            *self.task.borrow_mut() = Some(cx.waker().clone());
        }
    }

    /// Whether the bytes that arrive now belong to a later request.
    pub(super) fn is_ahead(&self) -> bool {
        self.under_way.get() > 0 && self.body_taken.get()
    }

    /// Whether part of a head arrived, or the first head is awaited.
    pub(super) fn is_fresh(&self) -> bool {
        self.begun.get() == 0 || self.seen.borrow().all > 0
    }

    /// How long the connection may go without a new request; `None` while one is in progress.
    pub(super) fn time_left_for(&self, patience: &ClientTimeouts) -> Option<Duration> {
        if self.under_way.get() > 0 {
            return None;
        }
        match self.rest.get() {
            _ if self.is_fresh() => Some(patience.head),
            Leftover::Nothing | Leftover::Perhaps => Some(patience.rest),
            Leftover::Head => Some(patience.head),
        }
    }
}

/// Limits on the time that a client may take.
#[derive(Debug, Clone, Copy)]
pub struct ClientTimeouts {
    /// For the head of a request, from its first byte.
    pub head: Duration,
    /// For a connection without a request.
    pub rest: Duration,
    /// For a response of which the client reads no byte.
    pub write: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(reads: &[&str], length: BodyLength) -> Leftover {
        let mut seen = BytesSeen {
            requests: 1,
            ..BytesSeen::default()
        };
        for read in reads {
            seen.read(read.as_bytes());
        }
        seen.rest(length)
    }

    #[test]
    fn what_is_left_behind_a_request_is_told_however_it_came() {
        let whole = "POST / HTTP/1.1\r\nA: b\r\n\r\nbody";
        for at in 1..whole.len() {
            let (one, two) = whole.split_at(at);
            assert_eq!(
                rest(&[one, two], BodyLength::Bytes(4)),
                Leftover::Nothing,
                "{at}"
            );
            assert_eq!(
                rest(&[one, two, "GET"], BodyLength::Bytes(4)),
                Leftover::Head,
                "{at}"
            );
        }
        let bytes: Vec<_> = whole.split("").filter(|byte| !byte.is_empty()).collect();
        assert_eq!(rest(&bytes, BodyLength::Bytes(4)), Leftover::Nothing);
        assert_eq!(
            rest(&["GET / HTTP/1.1\r\n\r\n"], BodyLength::None),
            Leftover::Nothing
        );
        assert_eq!(rest(&[whole], BodyLength::Chunks), Leftover::Perhaps);
        assert_eq!(
            rest(&["GET / HTTP/1.1\n\n"], BodyLength::None),
            Leftover::Perhaps
        );
    }
}
