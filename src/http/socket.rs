//! A client's connection: what it may not do for long.
//!
//! The HTTP server has a deadline for the head of the first request on a connection, half a second
//! off, and for none of the later ones (GHSA-54pm-2wm5-hpmg), none for a client that takes nothing
//! of its answer or whose chunked body was answered before its end, it spins over a client that
//! sends on and on while its request is under way, and it cannot tell a client that left from one
//! that sent noise behind its request. All of that is seen to here, below it, where bytes come in
//! and go out.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use bytes::{Buf, BytesMut};
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes that are handed up in a row, so that a request among them is begun before more is read.
const IN_A_ROW: usize = 64 << 10;

/// Bytes of later requests that are read ahead while one is under way: enough to notice that a
/// client left, which an unread byte would hide. A client that sends more waits.
const MAX_AHEAD: usize = 64 << 10;

/// The answer to a head that did not arrive in its time. RFC 9110, section 15.5.9.
const TOO_SLOW: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// What the server knows of a connection and its socket does not, and the other way.
#[derive(Debug, Default)]
pub struct Connection {
    /// Whether a request was ever begun.
    served: Cell<bool>,
    /// Requests that were begun and are not over.
    under_way: Cell<u32>,
    /// Whether all of the last one's body was taken.
    body_taken: Cell<bool>,
    /// How long the last one's body was said to be.
    length: Cell<Length>,
    /// Whether the last one said that it is the last.
    last: Cell<bool>,
    /// Whether one came after the last, which ends the connection.
    overrun: Cell<bool>,
    /// Whether the client sends no more.
    at_end: Cell<bool>,
    /// Whether the client took nothing for its time.
    stalled: Cell<bool>,
    /// The socket's bytes since the connection was last at rest.
    seen: RefCell<Seen>,
    /// What is left behind the requests that are over.
    rest: Cell<Rest>,
    /// Whether bytes of a later request were read ahead.
    ahead: Cell<bool>,
    /// Whom to wake when a request is over: the server does not read again by itself.
    reader: RefCell<Option<Waker>>,
}

/// How a request's body ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Length {
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
enum Rest {
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
struct Seen {
    all: u64,
    /// Those of the head of the first request, once its end was seen.
    head: Option<u64>,
    /// The last bytes, where the end of the head may have begun.
    tail: [u8; 3],
    requests: u32,
}

impl Seen {
    fn read(&mut self, bytes: &[u8]) {
        const END: &[u8] = b"\r\n\r\n";
        if self.head.is_none() {
            let mut edge = self.tail.to_vec();
            edge.extend(bytes.iter().take(3));
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
    fn rest(&self, length: Length) -> Rest {
        let length = match length {
            Length::None => 0,
            Length::Bytes(length) => length,
            Length::Chunks => return Rest::Perhaps,
        };
        match self.head.and_then(|head| head.checked_add(length)) {
            _ if self.requests != 1 => Rest::Perhaps,
            Some(whole) if whole == self.all => Rest::Nothing,
            Some(_) => Rest::Head,
            None => Rest::Perhaps,
        }
    }
}

/// A request that is under way on a connection, until this is dropped.
#[derive(Debug)]
pub struct UnderWay(Rc<Connection>);

impl UnderWay {
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

impl Drop for UnderWay {
    fn drop(&mut self) {
        let connection = &self.0;
        let left = connection.under_way.get().saturating_sub(1);
        connection.under_way.set(left);
        if left > 0 {
            return;
        }
        let seen = connection.seen.take();
        let rest = seen.rest(connection.length.get());
        connection.rest.set(rest);
        if (connection.ahead.get() || rest != Rest::Nothing)
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
    pub fn begin(self: &Rc<Self>, length: Length, last: bool) -> UnderWay {
        self.last.set(last);
        self.under_way.set(self.under_way.get() + 1);
        self.body_taken.set(length == Length::None);
        self.length.set(length);
        self.served.set(true);
        self.rest.set(Rest::Nothing);
        self.seen.borrow_mut().requests += 1;
        UnderWay(Rc::clone(self))
    }

    /// Whether bytes that come now belong to a later request.
    fn is_ahead(&self) -> bool {
        self.under_way.get() > 0 && self.body_taken.get()
    }

    /// How long what is there may take to become a request; `None` where nothing is, and the server
    /// lets the connection rest.
    fn time_left_for(&self, patience: &Patience) -> Option<Duration> {
        if self.under_way.get() > 0 {
            return None;
        }
        let fresh = self.seen.borrow().all > 0;
        match self.rest.get() {
            _ if fresh || !self.served.get() => Some(patience.head),
            Rest::Nothing => None,
            Rest::Perhaps => Some(patience.rest),
            Rest::Head => Some(patience.head),
        }
    }
}

/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the head of a request, from its first byte.
    pub head: Duration,
    /// Without a request.
    pub rest: Duration,
    /// Without taking a byte of its answer.
    pub write: Duration,
}

/// The socket under the HTTP server.
pub struct Socket {
    io: TcpStream,
    connection: Rc<Connection>,
    patience: Patience,
    /// Runs while a head is not there as a whole.
    head: Option<Pin<Box<Sleep>>>,
    /// Runs while the client takes nothing.
    write: Option<Pin<Box<Sleep>>>,
    ahead: BytesMut,
    discarded: usize,
    in_a_row: usize,
    /// Whether the server has asked for bytes since it last wrote: after an error it does not.
    was_read: bool,
}

impl Socket {
    /// Events must leave as they are written, so that the socket does not collect them.
    #[must_use]
    pub fn new(io: TcpStream, patience: Patience) -> Self {
        // A connection that is gone already fails when it is read.
        let _ = io.set_nodelay(true);
        Self {
            io,
            connection: Rc::default(),
            patience,
            head: None,
            write: None,
            ahead: BytesMut::new(),
            discarded: 0,
            in_a_row: 0,
            was_read: false,
        }
    }

    /// What the server is to tell the socket.
    #[must_use]
    pub fn connection(&self) -> Rc<Connection> {
        Rc::clone(&self.connection)
    }

    /// Reads ahead what belongs to a later request, to notice the end of the connection: the client
    /// left then, and what it asked for is dropped with the connection.
    fn read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let known = |reader: &Waker| reader.will_wake(cx.waker());
        if !self.connection.reader.borrow().as_ref().is_some_and(known) {
            *self.connection.reader.borrow_mut() = Some(cx.waker().clone());
        }
        while self.ahead.len() + self.discarded < MAX_AHEAD {
            let mut space = [const { MaybeUninit::uninit() }; 2048];
            let mut buf = ReadBuf::uninit(&mut space);
            match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if buf.filled().is_empty() => {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                }
                // What follows the last request is nobody's.
                Poll::Ready(Ok(())) if self.connection.last.get() => {
                    self.discarded += buf.filled().len();
                }
                Poll::Ready(Ok(())) => {
                    self.ahead.extend_from_slice(buf.filled());
                    self.connection.ahead.set(true);
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Pending
    }

    /// Whether a head has taken its time. While an answer is on its way, the client is given that
    /// time first.
    fn head_expired(&mut self, cx: &mut Context<'_>) -> bool {
        let time = self.connection.time_left_for(&self.patience);
        let Some(time) = time.filter(|_| self.write.is_none()) else {
            self.head = None;
            return false;
        };
        let timer = self
            .head
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + time)));
        timer.as_mut().poll(cx).is_ready()
    }

    /// Ends a connection whose head is late; with an answer, where it is surely a head that is late
    /// and no other answer is on its way.
    fn too_slow(&mut self) -> io::Error {
        let connection = &self.connection;
        let fresh = connection.seen.borrow().all > 0 || !connection.served.get();
        if fresh && connection.rest.get() == Rest::Nothing {
            let _ = self.io.try_write(TOO_SLOW);
        }
        io::ErrorKind::TimedOut.into()
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.was_read = true;
        if this.connection.is_ahead() {
            this.in_a_row = 0;
            this.head = None;
            return this.read_ahead(cx);
        }
        if this.connection.time_left_for(&this.patience).is_none() {
            // A timer of a request that is over measures no other.
            this.head = None;
        }
        if this.in_a_row >= IN_A_ROW {
            this.in_a_row = 0;
            if this.head_expired(cx) {
                return Poll::Ready(Err(this.too_slow()));
            }
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        if this.ahead.is_empty() {
            match Pin::new(&mut this.io).poll_read(cx, buf) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    this.in_a_row = 0;
                    if this.head_expired(cx) {
                        return Poll::Ready(Err(this.too_slow()));
                    }
                    return Poll::Pending;
                }
            }
        } else {
            let bytes = this.ahead.len().min(buf.remaining());
            buf.put_slice(this.ahead.get(..bytes).unwrap_or_default());
            this.ahead.advance(bytes);
            this.connection.ahead.set(!this.ahead.is_empty());
        }
        let read = buf.filled().get(before..).unwrap_or_default();
        if read.is_empty() {
            this.connection.at_end.set(true);
        }
        this.in_a_row += read.len();
        this.connection.seen.borrow_mut().read(read);
        Poll::Ready(Ok(()))
    }
}

impl Socket {
    /// Sees that a write which waits does not wait for ever.
    fn watched<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write = None;
            return written;
        }
        let limit = self.patience.write;
        let timer = self
            .write
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        if timer.as_mut().poll(cx).is_ready() {
            self.connection.stalled.set(true);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }

    /// What the server does not look at any more, once it has met an error or the end: it does not
    /// read then, but at the end of every turn it flushes.
    fn look(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let connection = Rc::clone(&self.connection);
        let left = connection.at_end.get() && connection.is_ahead();
        if connection.overrun.get() || left {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if std::mem::take(&mut self.was_read) || connection.at_end.get() {
            return Poll::Ready(Ok(()));
        }
        if connection.is_ahead() {
            if let Poll::Ready(Err(error)) = self.read_ahead(cx) {
                return Poll::Ready(Err(error));
            }
        } else if self.head_expired(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, buf);
        this.watched(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.watched(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.look(cx) {
            Poll::Ready(Ok(())) => Pin::new(&mut this.io).poll_flush(cx),
            other => other,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(reads: &[&str], length: Length) -> Rest {
        let mut seen = Seen {
            requests: 1,
            ..Seen::default()
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
            assert_eq!(rest(&[one, two], Length::Bytes(4)), Rest::Nothing, "{at}");
            assert_eq!(
                rest(&[one, two, "GET"], Length::Bytes(4)),
                Rest::Head,
                "{at}"
            );
        }
        let bytes: Vec<_> = whole.split("").filter(|byte| !byte.is_empty()).collect();
        assert_eq!(rest(&bytes, Length::Bytes(4)), Rest::Nothing);
        assert_eq!(
            rest(&["GET / HTTP/1.1\r\n\r\n"], Length::None),
            Rest::Nothing
        );
        assert_eq!(rest(&[whole], Length::Chunks), Rest::Perhaps);
        assert_eq!(rest(&["GET / HTTP/1.1\n\n"], Length::None), Rest::Perhaps);
    }
}
