//! What the HTTP server and the socket below it know of a connection, each for the other.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use memchr::memmem;

/// What the server knows of a connection and its socket does not, and the other way.
#[derive(Debug, Default)]
pub struct Connection {
    /// Requests that were ever begun.
    pub(super) begun: Cell<u64>,
    /// Requests that were begun and are not over.
    pub(super) under_way: Cell<u32>,
    /// Whether all of the last one's body was taken.
    pub(super) body_taken: Cell<bool>,
    /// How long the last one's body was said to be.
    pub(super) length: Cell<BodyLength>,
    /// Whether the last one said that it is the last.
    pub(super) last: Cell<bool>,
    /// Whether one came after the last, which ends the connection.
    pub(super) overrun: Cell<bool>,
    /// Whether the client sends no more.
    pub(super) at_end: Cell<bool>,
    /// Whether the client took nothing for its time.
    pub(super) stalled: Cell<bool>,
    /// The socket's bytes since the connection was last at rest.
    pub(super) seen: RefCell<BytesSeen>,
    /// What is left behind the requests that are over.
    pub(super) rest: Cell<Leftover>,
    /// Whether bytes of a later request were read ahead.
    pub(super) ahead: Cell<bool>,
    /// Whom to wake when a request is over: the server does not read again by itself.
    pub(super) reader: RefCell<Option<Waker>>,
    /// Who serves it, always the same.
    task: RefCell<Option<Waker>>,
}

/// The connections of one thread.
#[derive(Debug, Default)]
pub(super) struct Connections {
    all: RefCell<Vec<Weak<Connection>>>,
    /// So many there are when those that are gone are looked for.
    sweep: Cell<usize>,
}

/// Fewest connections among which those that are gone are looked for.
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

    /// Has each look at what it is doing.
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
    /// There is none.
    #[default]
    None,
    /// After so many bytes.
    Bytes(u64),
    /// With its last chunk.
    Chunks,
}

/// What is left on a connection without a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Leftover {
    /// Nothing: it may rest.
    #[default]
    Nothing,
    /// Perhaps a part of a head: what came cannot be told apart from here. It may rest no longer
    /// than a connection at rest, which the server would let it.
    Perhaps,
    /// A part of a head, which has its time.
    Head,
}

/// Bytes that came since the connection was last at rest.
#[derive(Debug, Default)]
pub(super) struct BytesSeen {
    pub(super) all: u64,
    /// Those of the head of the first request, once its end was seen.
    head: Option<u64>,
    /// The last bytes, where the end of the head may have begun.
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
                // The edge begins three bytes before these.
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

    /// What is left when the request is over whose body had this length.
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

/// A request that is under way on a connection, until this is dropped.
#[derive(Debug)]
pub struct RequestInProgress(Rc<Connection>);

impl RequestInProgress {
    /// The whole body was taken: what comes now belongs to a later request.
    pub fn body_taken(&self) {
        self.0.body_taken.set(true);
    }

    /// Whether the client has closed its side: of a body that broke off, else the server could not
    /// read it.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.0.at_end.get()
    }

    /// The answer says that the connection ends with it.
    pub fn is_last(&self) {
        self.0.last.set(true);
    }

    /// Whether the client was ended because it took nothing of its answer.
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
            // It was answered before its end, which is still to come.
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
    /// Whether the client said that its last request is the last: "a server MUST NOT process any
    /// further requests", RFC 9112, section 9.6. If so the connection ends as soon as what was
    /// answered before is written.
    pub fn is_overrun(&self) -> bool {
        self.overrun.set(self.last.get());
        self.last.get()
    }

    /// A request begins; `last` says that no other may follow it.
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

    /// Remembers who serves the connection.
    pub(super) fn remember(&self, cx: &Context<'_>) {
        let known = |task: &Waker| task.will_wake(cx.waker());
        if !self.task.borrow().as_ref().is_some_and(known) {
            *self.task.borrow_mut() = Some(cx.waker().clone());
        }
    }

    /// Whether bytes that come now belong to a later request.
    pub(super) fn is_ahead(&self) -> bool {
        self.under_way.get() > 0 && self.body_taken.get()
    }

    /// Whether a part of a head came, or the first is still to come.
    pub(super) fn is_fresh(&self) -> bool {
        self.begun.get() == 0 || self.seen.borrow().all > 0
    }

    /// How long what is there may take to become a request, or nothing may rest; `None` while a request
    /// is under way.
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

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub struct ClientTimeouts {
    /// For the head of a request, from its first byte.
    pub head: Duration,
    /// Without a request.
    pub rest: Duration,
    /// Without taking a byte of its answer.
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
