//! Reads the parts of a request's head that matter here in one pass over the headers. Requests have
//! few headers, and looking each name up costs more than one pass.

use actix_web::http::header::{HeaderMap, HeaderValue};

use super::connection::BodyLength;
use crate::access;

/// The headers that identify the caller and the request.
#[derive(Debug, Default)]
pub(super) struct CallerHeaders<'r> {
    /// The bearer token. `None` if there are two: a proxy may read the other one.
    pub bearer: Option<&'r str>,
    /// Where a key was found that is not a bearer token.
    pub key_elsewhere: Option<&'static str>,
    /// The header `x-request-id`.
    pub id: Option<&'r str>,
    /// The header `traceparent`.
    pub traceparent: Option<&'r str>,
}

/// What a head says about itself and the body.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeadFacts {
    /// How the body ends.
    pub length: BodyLength,
    /// Whether the content type is `application/json`.
    pub is_json: bool,
    /// Whether the body is compressed.
    pub is_packed: bool,
    /// What makes the head ambiguous, although the server accepts it.
    pub malformed: Option<&'static str>,
    names: u64,
}

impl HeadFacts {
    /// Whether there may be a header of this name. `false` is certain, and is the usual result.
    pub(super) fn may_have(&self, name: &str) -> bool {
        self.names & mark(name) != 0
    }
}

/// One bit of 64 for a name: if the bit is not set, the header is absent.
fn mark(name: &str) -> u64 {
    let last = name.bytes().last().unwrap_or(0);
    1 << ((name.len() * 7 + usize::from(last)) % 64)
}

/// Reads the headers of a request.
pub(super) fn read(headers: &HeaderMap) -> (CallerHeaders<'_>, HeadFacts) {
    let (mut head, mut told) = (CallerHeaders::default(), HeadFacts::default());
    let (mut bearers, mut chunked, mut host, mut upgrades) = (0, false, None, false);
    let (mut length, mut content) = (None, None);
    for (name, value) in headers {
        let name = name.as_str();
        told.names |= mark(name);
        let text = || value.to_str().ok();
        match name {
            "authorization" => {
                bearers += 1;
                head.bearer = text().and_then(access::bearer);
                if head.bearer.is_none() {
                    head.key_elsewhere =
                        Some("the header 'Authorization', without the word Bearer");
                }
            }
            "x-api-key" => head.key_elsewhere = Some("the header 'x-api-key'"),
            "api-key" => head.key_elsewhere = Some("the header 'api-key'"),
            "x-goog-api-key" => head.key_elsewhere = Some("the header 'x-goog-api-key'"),
            "x-request-id" => head.id = head.id.or_else(text),
            "traceparent" => head.traceparent = head.traceparent.or_else(text),
            "host" => _ = host.get_or_insert(value),
            "content-length" => _ = length.get_or_insert(value),
            "content-type" => _ = content.get_or_insert(value),
            "content-encoding" => told.is_packed |= !is(value, "identity"),
            "transfer-encoding" => chunked = true,
            // The server would read the body to the end of the connection, whatever its length: RFC
            // 9112, section 6.3. The gateway has no protocol to upgrade to.
            "upgrade" => upgrades |= is(value, "websocket"),
            _ => {}
        }
    }
    if bearers > 1 {
        head.bearer = None;
        head.key_elsewhere = Some("two headers 'Authorization', of which it must be one");
    }
    let bytes = length.and_then(|length| length.to_str().ok()?.parse().ok());
    told.length = match bytes {
        _ if chunked => BodyLength::Chunks,
        None | Some(0) => BodyLength::None,
        Some(bytes) => BodyLength::Bytes(bytes),
    };
    let content = content.and_then(|value| value.to_str().ok());
    let essence = content.unwrap_or_default().split(';').next();
    let essence = essence.unwrap_or_default().trim();
    told.is_json = essence.eq_ignore_ascii_case("application/json");
    told.malformed = if upgrades {
        Some("there is no protocol to upgrade to")
    } else if host.is_some_and(|host| !host.as_bytes().iter().copied().all(is_of_host)) {
        // RFC 9112, section 3.2.
        Some("its Host is none")
    } else {
        None
    };
    (head, told)
}

fn is(value: &HeaderValue, word: &str) -> bool {
    value.as_bytes().eq_ignore_ascii_case(word.as_bytes())
}

/// Whether a byte may be part of a host: RFC 3986, section 3.2, without user information.
fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderName;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = HeaderName::try_from(*name).unwrap();
            headers.append(name, HeaderValue::try_from(*value).unwrap());
        }
        headers
    }

    #[test]
    fn each_header_counts_as_it_should() {
        let headers = headers(&[
            ("host", "a.example:80"),
            ("authorization", "Bearer k"),
            ("content-type", "application/JSON; charset=utf-8"),
            ("content-encoding", "Identity"),
            ("content-length", "12"),
            ("x-request-id", "r"),
            ("traceparent", "t"),
            ("x-title", "x"),
        ]);
        let (head, told) = read(&headers);
        let said = (head.bearer, head.id, head.traceparent);
        assert_eq!(said, (Some("k"), Some("r"), Some("t")));
        assert_eq!(told.length, BodyLength::Bytes(12));
        assert!(told.is_json && !told.is_packed && told.malformed.is_none());
        assert!(told.may_have("x-title") && !told.may_have("idempotency-key"));
    }

    #[test]
    fn what_is_said_twice_or_wrongly_is_seen() {
        let of = |lines: &[(&str, &str)]| read(&headers(lines)).1;
        let two = headers(&[("authorization", "Bearer a"), ("authorization", "Bearer b")]);
        assert_eq!(read(&two).0.bearer, None);
        let packed = of(&[
            ("content-encoding", "identity"),
            ("content-encoding", "gzip"),
        ]);
        assert!(packed.is_packed);
        let chunked = of(&[("content-length", "5"), ("transfer-encoding", "chunked")]);
        assert_eq!(chunked.length, BodyLength::Chunks);
        assert!(
            of(&[("upgrade", "h2c"), ("upgrade", "WebSocket")])
                .malformed
                .is_some()
        );
        assert!(of(&[("host", "a b")]).malformed.is_some());
        assert!(!of(&[("content-type", "text/plain; application/json")]).is_json);
        assert_eq!(of(&[]).length, BodyLength::None);
    }
}
