//! Bodies of requests and of responses. A response body is read whole or ends with an error; it is
//! never silently short.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, MessageBody};
use awc::ClientResponse;
use awc::error::PayloadError;
use awc::http::Version;
use awc::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};

use crate::codec::Spliced;

/// Maximum number of request bytes that the HTTP client is given at once. It copies them into a
/// buffer that grows with them, and a small buffer stays in the processor's cache.
const PIECE: usize = 32 << 10;

/// The body of a request.
pub(super) struct RequestBody(pub(super) Spliced);

impl MessageBody for RequestBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        match self.0.len() {
            0 => BodySize::None,
            length => BodySize::Sized(u64::try_from(length).unwrap_or(u64::MAX)),
        }
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(self.get_mut().0.take(PIECE).map(Ok))
    }
}

/// The body of a response.
pub struct Body {
    response: ClientResponse,
    /// Whether the end of the connection is the end of the body. `framing` reports that to the HTTP
    /// client as version HTTP/1.0, whatever version the provider spoke.
    until_close: bool,
    done: bool,
}

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// The connection ended before the body did.
    Cut,
    /// The framing is wrong.
    Malformed,
    /// The body is longer than the limit.
    TooLong,
}

impl Body {
    pub(super) fn new(response: ClientResponse) -> Self {
        let headers = response.headers();
        let until_close = response.version() == Version::HTTP_10
            && !headers.contains_key(CONTENT_LENGTH)
            && !headers.contains_key(TRANSFER_ENCODING);
        Self {
            response,
            until_close,
            done: false,
        }
    }

    /// Reads the rest of the body, up to `limit` bytes.
    ///
    /// # Errors
    /// If the body is cut off, malformed or longer than `limit`.
    pub async fn whole(&mut self, limit: usize) -> Result<Bytes, BodyError> {
        let Some(first) = self.next().await.transpose()? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.next().await.transpose()? else {
            // The usual response arrives in one piece, which is not copied.
            return if first.len() > limit {
                Err(BodyError::TooLong)
            } else {
                Ok(first)
            };
        };
        let mut all = BytesMut::with_capacity((first.len() + second.len()) * 2);
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        while let Some(more) = self.next().await.transpose()? {
            if all.len() + more.len() > limit {
                return Err(BodyError::TooLong);
            }
            all.extend_from_slice(&more);
        }
        if all.len() > limit {
            return Err(BodyError::TooLong);
        }
        Ok(all.freeze())
    }
}

impl Stream for Body {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.done {
            return Poll::Ready(None);
        }
        let item = match Pin::new(&mut self.response).poll_next(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Ok(bytes))) => return Poll::Ready(Some(Ok(bytes))),
            Poll::Ready(None) => None,
            Poll::Ready(Some(Err(error))) => match &error {
                PayloadError::Incomplete(Some(io)) | PayloadError::Io(io)
                    if io.kind() == io::ErrorKind::UnexpectedEof && self.until_close =>
                {
                    None
                }
                PayloadError::Incomplete(Some(io)) if io.kind() == io::ErrorKind::InvalidInput => {
                    Some(Err(BodyError::Malformed))
                }
                _ => Some(Err(BodyError::Cut)),
            },
        };
        self.done = true;
        Poll::Ready(item)
    }
}
