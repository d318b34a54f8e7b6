//! TLS to providers: always verified, with the configured roots or the system's.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

use crate::config::Config;

/// The TLS settings of all outgoing connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Loads the configured roots, or the system's if none are configured.
    ///
    /// # Errors
    /// A message if no root can be loaded: no connection would succeed then.
    pub fn load(config: &Config) -> Result<Self, String> {
        let (file, folder) = (
            config.tls.cert_file.as_deref(),
            config.tls.cert_dir.as_deref(),
        );
        let loaded = if file.is_none() && folder.is_none() {
            rustls_native_certs::load_native_certs()
        } else {
            rustls_native_certs::load_certs_from_paths(file, folder)
        };
        let mut roots = RootCertStore::empty();
        let (accepted, _) = roots.add_parsable_certificates(loaded.certs);
        if accepted == 0 {
            let why = loaded
                .errors
                .first()
                .map(|error| format!(": {error}"))
                .unwrap_or_default();
            return Err(format!(
                "no root certificates found{why}; install ca-certificates or set SSL_CERT_FILE"
            ));
        }
        Ok(Self::with_roots(roots))
    }

    /// Trusts no certificate: for providers that are all reached without TLS.
    #[must_use]
    pub fn none() -> Self {
        Self::with_roots(RootCertStore::empty())
    }

    /// Trusts these roots and no others.
    #[must_use]
    pub fn with_roots(roots: RootCertStore) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self(Arc::new(config))
    }

    /// The settings, for a handshake.
    pub(super) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}
