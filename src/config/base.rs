//! A provider's base URL, parsed once. Pure.

use url::{Host, Url};

/// A parsed base URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    /// Whether the connection is TLS.
    pub tls: bool,
    /// The host name or IP address; IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path before that of an endpoint, with the version segment and without a trailing `/`.
    pub path: String,
}

impl BaseUrl {
    /// Parses a base URL. Drops a trailing `/`; appends `version` (as in `/v1`) if it is missing.
    ///
    /// # Errors
    /// Says what is wrong with the URL. The text does not contain the URL, which may hold a
    /// password.
    pub fn parse(text: &str, version: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text.trim()).map_err(|_| "is no URL")?;
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err("must begin with http:// or https://"),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not carry a user name or a password");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("must not have a query or a fragment");
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err("names no host"),
        };
        let path = url.path().trim_end_matches('/');
        let of_endpoint = [
            "/chat/completions",
            "/completions",
            "/responses",
            "/messages",
            "/models",
        ];
        if of_endpoint.iter().any(|end| path.ends_with(end)) {
            return Err(
                "must be the address before the endpoint, without /chat/completions or the like",
            );
        }
        let path = path.strip_suffix(version).unwrap_or(path);
        Ok(Self {
            tls,
            host,
            port: url.port_or_known_default().ok_or("names no port")?,
            path: format!("{}{version}", path.trim_end_matches('/')),
        })
    }

    /// The host as written in a URL or header: an IPv6 address has brackets.
    #[must_use]
    pub fn host_text(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }

    /// The value of the `Host` header; without the port if it is the scheme's default.
    #[must_use]
    pub fn host_header(&self) -> String {
        let host = self.host_text();
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// Whether the host is this machine, judged by its name or address alone.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.ends_with(".localhost")
            || self
                .host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

impl std::fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.host_header(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::PROVIDERS;

    #[test]
    fn a_slash_and_a_version_at_the_end_are_tolerated() {
        for text in [
            "https://api.openai.com",
            "https://api.openai.com/",
            "https://api.openai.com/v1",
            "https://api.openai.com/v1/",
            " https://api.openai.com//",
        ] {
            let base = BaseUrl::parse(text, "/v1").unwrap();
            assert_eq!(base.to_string(), "https://api.openai.com/v1", "{text}");
        }
        let base = BaseUrl::parse("http://[::1]:8080/a/b/", "").unwrap();
        assert_eq!(base.to_string(), "http://[::1]:8080/a/b");
        assert!(base.is_loopback());
    }

    #[test]
    fn what_is_no_base_url_is_said_without_repeating_it() {
        for text in [
            "api.openai.com",
            "ftp://x",
            "https://",
            "https://user:hunter2@x.example",
            "https://x.example?key=hunter2",
            "https://x.example#hunter2",
        ] {
            let error = BaseUrl::parse(text, "").unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_tables_own_urls_are_urls() {
        for provider in &PROVIDERS {
            let base = BaseUrl::parse(provider.base_url, provider.version).unwrap();
            assert!(base.tls, "{}", provider.name);
            let shown = base.to_string();
            assert_eq!(shown, format!("{}{}", provider.base_url, provider.version));
        }
    }
}
