//! Connects to a provider: without Nagle's algorithm, through a proxy if one is set, with TLS
//! inside.
//!
//! The HTTP client's own connector reports a body that was cut off as a whole one. Here the end of
//! the connection is an error for every read, and the HTTP client passes it on.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_rt::net::{ActixStream, Ready, TcpStream};
use actix_service::Service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use awc::http::Uri;
use bytes::BytesMut;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Tls;
use super::framing::Framing;
use crate::config::{BaseUrl, Proxy};

/// Maximum size of a proxy's response to `CONNECT`, in bytes.
const MAX_PROXY_HEAD: usize = 8 << 10;

/// Maximum number of bytes of one read. The HTTP client would read 32 KiB, which stay in memory
/// while the gateway's client reads nothing.
const MOST_AT_ONCE: usize = 8 << 10;

/// Connects to one provider, whatever the request's URI says.
#[derive(Clone)]
pub(super) struct Connector(Rc<ConnectRoute>);

struct ConnectRoute {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    proxy: Option<Proxy>,
}

impl Connector {
    /// Builds the connector of a base URL, with the proxy if it serves that URL.
    ///
    /// # Errors
    /// A message if the host is not a name that a certificate can have.
    pub(super) fn new(base: &BaseUrl, tls: &Tls, proxy: Option<&Proxy>) -> Result<Self, String> {
        let tls = if base.tls {
            let name = ServerName::try_from(base.host.clone())
                .map_err(|_| format!("'{}' is no host name", base.host))?;
            Some((TlsConnector::from(tls.config()), name))
        } else {
            None
        };
        Ok(Self(Rc::new(ConnectRoute {
            host: base.host.clone(),
            port: base.port,
            tls,
            proxy: proxy.filter(|proxy| proxy.serves(base)).cloned(),
        })))
    }
}

impl ConnectRoute {
    async fn connect(&self) -> io::Result<ProviderConnection> {
        let stream = match &self.proxy {
            None => TcpStream::connect((self.host.as_str(), self.port)).await?,
            Some(proxy) => self.tunnel(proxy).await?,
        };
        stream.set_nodelay(true)?;
        Ok(match &self.tls {
            None => ProviderConnection::new(ProviderSocket::Plain(stream)),
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await?;
                ProviderConnection::new(ProviderSocket::Tls(Box::new(stream)))
            }
        })
    }

    /// Opens a tunnel through the proxy: RFC 9110, section 9.3.6.
    async fn tunnel(&self, proxy: &Proxy) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect((proxy.host.as_str(), proxy.port)).await?;
        let target = if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        };
        let credential = proxy
            .credential
            .as_ref()
            .map(|secret| format!("Proxy-Authorization: {}\r\n", secret.expose()))
            .unwrap_or_default();
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{credential}\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() >= MAX_PROXY_HEAD {
                return Err(io::Error::other("the proxy's answer is too long"));
            }
            // Byte by byte, because the bytes after the head belong to the tunnel.
            answer.push(stream.read_u8().await?);
        }
        if answer.starts_with(b"HTTP/1.1 200") || answer.starts_with(b"HTTP/1.0 200") {
            Ok(stream)
        } else {
            Err(io::Error::other("the proxy refused the connection"))
        }
    }
}

impl Service<ConnectInfo<Uri>> for Connector {
    type Response = Connection<Uri, ProviderConnection>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>>>>;

    actix_service::always_ready!();

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let route = Rc::clone(&self.0);
        Box::pin(async move {
            let io = route.connect().await.map_err(ConnectError::Io)?;
            Ok(Connection::new(info.request().clone(), io))
        })
    }
}

/// A connection whose end is an error, and on which each request gets its own response.
#[derive(Debug)]
pub(super) struct ProviderConnection {
    socket: ProviderSocket,
    framing: Framing,
    /// Bytes for the HTTP client that did not fit its buffer.
    waiting: BytesMut,
}

#[derive(Debug)]
enum ProviderSocket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl ProviderConnection {
    fn new(socket: ProviderSocket) -> Self {
        Self {
            socket,
            framing: Framing::default(),
            waiting: BytesMut::new(),
        }
    }

    /// The error for a read at the end of the connection.
    fn end(&self) -> io::Error {
        if self.framing.has_begun() {
            // The provider had begun to work, so this is not an idle connection that it closed.
            return io::Error::new(io::ErrorKind::ConnectionAborted, "it ended after it began");
        }
        io::ErrorKind::UnexpectedEof.into()
    }
}

impl AsyncRead for ProviderConnection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        while buf.filled().len() == before {
            if !this.waiting.is_empty() {
                let some = this.waiting.len().min(buf.remaining());
                buf.put_slice(&this.waiting.split_to(some));
                break;
            }
            if this.framing.is_unusable() {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            let mut space = [const { MaybeUninit::uninit() }; MOST_AT_ONCE];
            let room = buf.remaining().min(MOST_AT_ONCE);
            let mut some = ReadBuf::uninit(space.get_mut(..room).unwrap_or_default());
            let polled = match &mut this.socket {
                ProviderSocket::Plain(io) => Pin::new(io).poll_read(cx, &mut some),
                ProviderSocket::Tls(io) => Pin::new(io.as_mut()).poll_read(cx, &mut some),
            };
            ready!(polled)?;
            if room == 0 {
                break;
            }
            if some.filled().is_empty() {
                return Poll::Ready(Err(this.end()));
            }
            let waiting = &mut this.waiting;
            this.framing.received(some.filled(), |bytes| {
                // A head that arrived in pieces is longer than the last read.
                let now = if waiting.is_empty() {
                    buf.remaining()
                } else {
                    0
                };
                let (now, later) = bytes.split_at(now.min(bytes.len()));
                buf.put_slice(now);
                waiting.extend_from_slice(later);
            })?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ProviderConnection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.framing.sending()?;
        match &mut this.socket {
            ProviderSocket::Plain(io) => Pin::new(io).poll_write(cx, buf),
            ProviderSocket::Tls(io) => Pin::new(io.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            ProviderSocket::Plain(io) => Pin::new(io).poll_flush(cx),
            ProviderSocket::Tls(io) => Pin::new(io.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().socket {
            ProviderSocket::Plain(io) => Pin::new(io).poll_shutdown(cx),
            ProviderSocket::Tls(io) => Pin::new(io.as_mut()).poll_shutdown(cx),
        }
    }
}

impl ActixStream for ProviderConnection {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.tcp().poll_read_ready(cx)
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.tcp().poll_write_ready(cx)
    }
}

impl ProviderConnection {
    fn tcp(&self) -> &dyn ActixStream {
        match &self.socket {
            ProviderSocket::Plain(io) => io,
            ProviderSocket::Tls(io) => io.get_ref().0,
        }
    }
}
