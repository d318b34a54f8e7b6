//! A client's connection with the time limits that the HTTP server does not have.
//!
//! The HTTP server limits only the head of the first request on a connection, half a second off,
//! and not the later ones (GHSA-54pm-2wm5-hpmg). It has no limit for a client that reads nothing of
//! its response, or whose chunked body was answered before its end. It busy-loops over a client
//! that keeps sending while its request is in progress. It cannot tell a client that left from one
//! that sent noise after its request. This socket handles all of these below the server, where
//! bytes come in and go out.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::connection::{ClientTimeouts, Connection, Leftover};
use crate::dialect::envelope;
use crate::error::Error;
use crate::idle_timer::IdleTimer;
use crate::telemetry::Metrics;

/// Maximum number of bytes that are handed up in a row, so that a request among them begins before
/// more is read.
const IN_A_ROW: usize = 64 << 10;

/// Maximum number of bytes that are read ahead while a request is in progress: enough to notice
/// that a client left, which an unread byte would hide. A client that sends more waits.
const MAX_AHEAD: usize = 64 << 10;

/// The response to a head that did not arrive in time. RFC 9110, section 15.5.9.
fn too_slow() -> Vec<u8> {
    let body = envelope(&Error::HeaderTimeout);
    format!(
        "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\n\
         x-content-type-options: nosniff\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The first bytes of a client that speaks TLS (RFC 8446, section 5.1), or HTTP/2 without an
/// upgrade (RFC 9113, section 3.4).
const TLS: &[u8] = &[0x16, 0x03];
const HTTP_2: &[u8] = b"PRI * HTTP/2.0";

/// The protocol of a client that begins with these bytes; `None` if it may be HTTP/1.1.
fn foreign(begin: &[u8]) -> Option<&'static str> {
    if begin.starts_with(TLS) {
        Some("TLS (https://)")
    } else if begin.starts_with(HTTP_2) {
        Some("HTTP/2")
    } else {
        None
    }
}

/// The response to a client with another protocol, as far as it can read it.
fn unknown_protocol() -> Vec<u8> {
    let body = envelope(&Error::Malformed {
        reason: "this port speaks HTTP/1.1 without TLS; use http:// and HTTP/1.1",
    });
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n\
         x-content-type-options: nosniff\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The deadline of a head or of an idle connection.
struct HeadTimer {
    due: Instant,
    time: Duration,
    /// Whether the deadline is for a head.
    fresh: bool,
    /// The number of requests that were begun before.
    after: u64,
}

/// The socket under the HTTP server.
pub struct ClientSocket {
    io: TcpStream,
    connection: Rc<Connection>,
    patience: ClientTimeouts,
    metrics: Arc<Metrics>,
    /// The deadline while no request is in progress.
    wait: Option<HeadTimer>,
    idle_timer: IdleTimer,
    /// Runs while the client reads nothing.
    write: Option<Pin<Box<Sleep>>>,
    ahead: BytesMut,
    discarded: usize,
    in_a_row: usize,
    /// Whether the server has read since its last flush; after an error it does not.
    was_read: bool,
    /// Whether any byte was read yet.
    was_greeted: bool,
}

impl ClientSocket {
    /// Wraps an accepted connection. Turns Nagle's algorithm off, so that events leave as they are
    /// written.
    #[must_use]
    pub fn new(io: TcpStream, patience: ClientTimeouts, metrics: Arc<Metrics>) -> Self {
        // A connection that is already gone fails when it is read.
        let _ = io.set_nodelay(true);
        Self {
            io,
            connection: Rc::default(),
            patience,
            metrics,
            wait: None,
            idle_timer: IdleTimer::default(),
            write: None,
            ahead: BytesMut::new(),
            discarded: 0,
            in_a_row: 0,
            was_read: false,
            was_greeted: false,
        }
    }

    /// The state that the socket shares with the server.
    #[must_use]
    pub fn connection(&self) -> Rc<Connection> {
        Rc::clone(&self.connection)
    }

    /// Reads bytes of later requests ahead, to notice the end of the connection: the client then
    /// left, and its request is dropped with the connection.
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
                // Bytes after the last request are discarded.
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

    /// Whether a head or an idle connection has missed its deadline. A response that waits for the
    /// client has its own limit first.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let time = self.connection.time_left_for(&self.patience);
        let Some(time) = time.filter(|_| self.write.is_none()) else {
            self.wait = None;
            return false;
        };
        let after = self.connection.begun.get();
        // An idle connection and a head have different limits, and each head has its own.
        let fresh = self.connection.is_fresh();
        self.wait
            .take_if(|wait| wait.time != time || wait.fresh != fresh || wait.after != after);
        let due = self
            .wait
            .get_or_insert_with(|| HeadTimer {
                due: Instant::now() + time,
                time,
                fresh,
                after,
            })
            .due;
        self.idle_timer.is_due(due, cx)
    }

    /// Ends a connection that missed its deadline; with a 408 response if it is surely a head that
    /// is late and no other response is being written.
    fn too_slow(&mut self) -> io::Error {
        let connection = &self.connection;
        if connection.is_fresh() && connection.rest.get() == Leftover::Nothing {
            let error = Error::HeaderTimeout;
            self.metrics
                .header_timeout(error.status(), error.gateway_code());
            let _ = self.io.try_write(&too_slow());
        }
        io::ErrorKind::TimedOut.into()
    }
}

impl AsyncRead for ClientSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.was_read = true;
        if this.connection.is_ahead() {
            this.in_a_row = 0;
            return this.read_ahead(cx);
        }
        if this.in_a_row >= IN_A_ROW {
            this.in_a_row = 0;
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
        if !std::mem::replace(&mut this.was_greeted, true)
            && let Some(spoken) = foreign(read)
        {
            this.metrics.unknown_protocol(spoken);
            let _ = this.io.try_write(&unknown_protocol());
            buf.set_filled(before);
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        this.in_a_row += read.len();
        this.connection.seen.borrow_mut().read(read);
        Poll::Ready(Ok(()))
    }
}

impl ClientSocket {
    /// Limits how long a write may wait for the client.
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

    /// Checks the limits when the server flushes, which it does at the end of every turn, after
    /// requests that arrived have begun. Also reads ahead where the server has stopped reading,
    /// after an error or the end.
    fn look(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let connection = Rc::clone(&self.connection);
        connection.remember(cx);
        let left = connection.at_end.get() && connection.is_ahead();
        if connection.overrun.get() || left {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let was_read = std::mem::take(&mut self.was_read);
        if connection.at_end.get() {
            return Poll::Ready(Ok(()));
        }
        if connection.is_ahead() {
            if !was_read && let Poll::Ready(Err(error)) = self.read_ahead(cx) {
                return Poll::Ready(Err(error));
            }
        } else if self.is_late(cx) {
            return Poll::Ready(Err(self.too_slow()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientSocket {
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
