//! The proxy for outgoing connections, from `HTTPS_PROXY` and `NO_PROXY`. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use super::BaseUrl;
use crate::secret::Secret;

/// An HTTP proxy that opens tunnels with `CONNECT`.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// The proxy's host name or IP address; IPv6 without brackets.
    pub host: String,
    /// The proxy's port.
    pub port: u16,
    /// The value of `Proxy-Authorization`; `None` if the proxy needs none.
    pub credential: Option<Secret>,
    except: Vec<String>,
}

impl Proxy {
    /// Parses a proxy's URL, as in `http://user:password@proxy:3128`, and `except`, the hosts that
    /// are reached without it, separated by commas.
    ///
    /// # Errors
    /// Says what is wrong with the URL. The text does not contain the URL, which may hold a
    /// password.
    pub fn parse(url: &str, except: &str) -> Result<Self, &'static str> {
        let text = url.trim();
        let url = if text.contains("://") {
            Url::parse(text)
        } else {
            Url::parse(&format!("http://{text}"))
        }
        .map_err(|_| "is no URL")?;
        if url.scheme() != "http" {
            return Err("must be an http:// proxy");
        }
        let host = url.host_str().ok_or("names no host")?;
        let credential = (!url.username().is_empty()).then(|| {
            let password = decode(url.password().unwrap_or_default());
            let pair = format!("{}:{password}", decode(url.username()));
            Secret::new(format!("Basic {}", STANDARD.encode(pair)))
        });
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(80),
            credential,
            except: except
                .split(',')
                .map(|entry| {
                    let entry = entry.trim().trim_start_matches('.');
                    entry.to_ascii_lowercase()
                })
                .filter(|entry| !entry.is_empty())
                .collect(),
        })
    }

    /// Whether connections to `base` use the proxy: those with TLS to another machine, unless the
    /// host is in `NO_PROXY`.
    #[must_use]
    pub fn serves(&self, base: &BaseUrl) -> bool {
        let host = base.host.to_ascii_lowercase();
        base.tls
            && !base.is_loopback()
            && !self.except.iter().any(|entry| {
                entry == "*"
                    || host == *entry
                    || host
                        .strip_suffix(entry.as_str())
                        .is_some_and(|head| head.ends_with('.'))
            })
    }
}

/// Decodes percent-encoding; invalid escapes stay as they are.
pub(super) fn decode(text: &str) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = digit(after.first()).zip(digit(after.get(1)));
        rest = match (first, code) {
            (b'%', Some((high, low))) => {
                out.extend(u8::try_from(high * 16 + low));
                after.get(2..).unwrap_or_default()
            }
            _ => {
                out.push(*first);
                after
            }
        };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serves(except: &str, url: &str) -> bool {
        let base = BaseUrl::parse(url, "").unwrap();
        Proxy::parse("http://proxy:3128", except)
            .unwrap()
            .serves(&base)
    }

    #[test]
    fn only_tls_to_other_machines_goes_through_the_proxy() {
        assert!(serves("", "https://api.openai.com"));
        assert!(!serves("", "http://api.openai.com"));
        assert!(!serves("", "https://127.0.0.1:8443"));
        assert!(!serves("", "https://localhost:8443"));
    }

    #[test]
    fn exceptions_are_names_and_their_subdomains() {
        assert!(!serves("*", "https://api.openai.com"));
        assert!(!serves("example, .openai.com", "https://api.openai.com"));
        assert!(!serves("API.openai.com", "https://api.openai.com"));
        assert!(serves("penai.com", "https://api.openai.com"));
    }

    #[test]
    fn the_credential_is_decoded_and_does_not_print() {
        let proxy = Proxy::parse("http://us%40er:p%3Aw@proxy", "").unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("proxy", 80));
        let expected = format!("Basic {}", STANDARD.encode("us@er:p:w"));
        assert_eq!(proxy.credential.as_ref().unwrap().expose(), expected);
        assert!(!format!("{proxy:?}").contains(&expected));
        assert!(Proxy::parse("socks5://x", "").is_err());
    }
}
