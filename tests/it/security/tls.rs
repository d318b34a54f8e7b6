//! TLS towards providers, straight and through a proxy.

use std::sync::{Arc, Mutex};

use crate::rig::{Gateway, PATIENCE};
use ai_gateway::config::{BaseUrl, Config, Proxy};
use ai_gateway::upstream::Tls;
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const ANSWER: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"safe","refusal":null},"logprobs":null,"finish_reason":"stop"}]}"#;

/// A provider behind TLS, whose certificate is for `provider.test` and `localhost`.
struct Provider {
    port: u16,
    roots: RootCertStore,
    authority: String,
    requests: Arc<Mutex<Vec<String>>>,
}

async fn provider(length: usize) -> Provider {
    provider_that_speaks(length, &[]).await
}

/// One that takes these protocols only (ALPN, RFC 7301), or any where there are none.
async fn provider_that_speaks(length: usize, protocols: &[&[u8]]) -> Provider {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let names = vec!["provider.test".to_owned(), "localhost".to_owned()];
    let leaf_key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(names)
        .unwrap()
        .signed_by(&leaf_key, &issuer)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();

    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::from(PrivatePkcs8KeyDer::from(leaf_key.serialize_der())),
        )
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    actix_web::rt::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = Vec::new();
            while !String::from_utf8_lossy(&request).ends_with("}]}") {
                if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            seen.lock()
                .unwrap()
                .push(String::from_utf8(request).unwrap());
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(ANSWER.as_bytes()).await.unwrap();
            // An orderly end of the TLS session: no proof that the body is whole.
            let _ = stream.shutdown().await;
        }
    });
    Provider {
        port,
        roots,
        authority: authority.pem(),
        requests,
    }
}

fn config(base: &str) -> Config {
    let mut config = Config::default();
    "127.0.0.1".clone_into(&mut config.server.host);
    config.server.port = 0;
    config.server.http_workers = 1;
    config.retries.max_retries = 1;
    config.retries.base_delay = std::time::Duration::from_millis(1);
    config.server.shutdown_timeout = std::time::Duration::ZERO;
    for entry in &mut config.providers {
        entry.base = BaseUrl::parse(base, entry.provider.version).unwrap();
    }
    config
}

async fn ask(gateway: &Gateway) -> crate::rig::Answer {
    gateway
        .chat(json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]}))
        .await
}

#[actix_web::test]
async fn a_certificate_that_is_trusted_and_fits_is_accepted() {
    let provider = provider(ANSWER.len()).await;
    let base = format!("https://localhost:{}", provider.port);
    let gateway = Gateway::start_with(config(&base), Tls::with_roots(provider.roots));
    let answer = ask(&gateway).await;
    assert_eq!(answer.text(), ANSWER);
    let request = provider.requests.lock().unwrap()[0].clone();
    assert!(
        request.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains(&format!("host: localhost:{}\r\n", provider.port)),
        "{request}"
    );
}

/// The HTTP client brings an HTTP/2 with known flaws (RUSTSEC-2026-0258). It is never spoken: it is
/// not offered to providers, whatever they would take.
#[actix_web::test]
async fn http_2_is_never_spoken() {
    for (protocols, expected) in [
        (vec![&b"h2"[..]], 502),
        (vec![&b"h2"[..], &b"http/1.1"[..]], 200),
    ] {
        let provider = provider_that_speaks(ANSWER.len(), &protocols).await;
        let base = format!("https://localhost:{}", provider.port);
        let gateway = Gateway::start_with(config(&base), Tls::with_roots(provider.roots));
        assert_eq!(ask(&gateway).await.status, expected, "{protocols:?}");
        for request in provider.requests.lock().unwrap().iter() {
            assert!(request.contains(" HTTP/1.1\r\n"), "{request}");
        }
    }
}

/// Promise 24.
#[actix_web::test]
async fn a_certificate_that_is_not_trusted_or_does_not_fit_is_refused() {
    let provider = provider(ANSWER.len()).await;
    for (base, roots) in [
        (
            format!("https://localhost:{}", provider.port),
            RootCertStore::empty(),
        ),
        (
            format!("https://127.0.0.1:{}", provider.port),
            provider.roots.clone(),
        ),
    ] {
        let gateway = Gateway::start_with(config(&base), Tls::with_roots(roots));
        let answer = ask(&gateway).await;
        assert_eq!(
            answer.refusal(),
            (502, "null".into(), "upstream_unreachable".into())
        );
        assert!(answer.text().contains("certificate"), "{}", answer.text());
        assert_eq!(
            answer.header("x-gateway-attempts"),
            None,
            "it is not tried again"
        );
    }
    assert!(
        provider.requests.lock().unwrap().is_empty(),
        "nothing was sent"
    );
}

#[actix_web::test]
async fn a_body_cut_by_an_orderly_end_of_tls_is_cut() {
    let provider = provider(ANSWER.len() + 1).await;
    let base = format!("https://localhost:{}", provider.port);
    let gateway = Gateway::start_with(config(&base), Tls::with_roots(provider.roots));
    let answer = ask(&gateway).await;
    assert_eq!(
        answer.refusal(),
        (502, "null".into(), "upstream_invalid_response".into())
    );
}

/// A proxy that tunnels everything to `to`, and what it was asked.
async fn proxy(to: u16, answer: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    actix_web::rt::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.unwrap());
            }
            seen.lock().unwrap().push(String::from_utf8(head).unwrap());
            client.write_all(answer.as_bytes()).await.unwrap();
            let mut server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            let _ = copy_bidirectional(&mut client, &mut server).await;
        }
    });
    (port, asked)
}

#[actix_web::test]
async fn tls_goes_through_the_proxy_in_a_tunnel() {
    let provider = provider(ANSWER.len()).await;
    let (port, asked) = proxy(
        provider.port,
        "HTTP/1.1 200 Connection established\r\nx: y\r\n\r\n",
    )
    .await;
    let mut config = config("https://provider.test");
    config.proxy = Some(Proxy::parse(&format!("http://me:pass@127.0.0.1:{port}"), "").unwrap());
    let gateway = Gateway::start_with(config, Tls::with_roots(provider.roots));
    assert_eq!(ask(&gateway).await.text(), ANSWER);
    assert_eq!(
        asked.lock().unwrap()[0],
        "CONNECT provider.test:443 HTTP/1.1\r\nHost: provider.test:443\r\nProxy-Authorization: Basic bWU6cGFzcw==\r\n\r\n"
    );
    let request = provider.requests.lock().unwrap()[0].clone();
    assert!(request.contains("host: provider.test\r\n"), "{request}");
    assert!(
        !request.to_lowercase().contains("proxy-authorization"),
        "{request}"
    );
}

#[actix_web::test]
async fn a_proxy_that_refuses_is_said() {
    let provider = provider(ANSWER.len()).await;
    let (port, _) = proxy(
        provider.port,
        "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
    )
    .await;
    let mut config = config("https://provider.test");
    config.proxy = Some(Proxy::parse(&format!("http://127.0.0.1:{port}"), "").unwrap());
    let gateway = Gateway::start_with(config, Tls::with_roots(provider.roots));
    let answer = ask(&gateway).await;
    assert_eq!(
        answer.refusal(),
        (502, "null".into(), "upstream_unreachable".into())
    );
    assert!(
        answer.text().contains("the proxy refused the connection"),
        "{}",
        answer.text()
    );
}

#[actix_web::test]
async fn ssl_cert_file_replaces_the_systems_roots() {
    let provider = provider(ANSWER.len()).await;
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join("authority.pem");
    std::fs::write(&file, &provider.authority).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_ai-gateway"))
        .env_clear()
        .env("SSL_CERT_FILE", &file)
        .env("HOST", "127.0.0.1")
        .env("PORT", port.to_string())
        .env(
            "OPENAI_BASE_URL",
            format!("https://localhost:{}", provider.port),
        )
        .current_dir(&folder)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "it does not listen");
        tokio::task::yield_now().await;
    }
    let body =
        json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]}).to_string();
    let mut answer = crate::rig::client()
        .post(format!("http://127.0.0.1:{port}/v1/chat/completions"))
        .bearer_auth("k")
        .content_type("application/json")
        .send_body(body)
        .await
        .unwrap();
    let text = answer.body().await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(&text[..], ANSWER.as_bytes());
}
