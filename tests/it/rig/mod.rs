//! The built app on a real socket, before scripted providers, and a client for it.

pub mod faults;
pub mod process;
pub mod schema;
pub mod stream_contract;

use std::sync::Arc;
use std::time::Duration;

use ai_gateway::GatewayHandle;
use ai_gateway::config::{BaseUrl, Config};
use ai_gateway::routing::{PrefixRouting, RoutingPolicy};
use ai_gateway::scripted::{self, Script, Scripted};
use ai_gateway::secret::Secret;
use ai_gateway::shutdown::Shutdown;
use ai_gateway::upstream::Tls;
use awc::http::header::HeaderMap;
use bytes::Bytes;
use serde_json::Value;

/// How long a test waits for what must happen; only a failing test waits that long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A configuration that knows only the scripted server: each provider below its own path.
pub fn config(server: &Scripted) -> Config {
    let mut config = Config::default();
    "127.0.0.1".clone_into(&mut config.server.host);
    config.server.port = 0;
    config.server.http_workers = 1;
    config.retries.base_delay = Duration::from_millis(1);
    config.server.shutdown_timeout = Duration::ZERO;
    config.access.metrics_key = Some(Secret::new("metrics-key"));
    for entry in &mut config.providers {
        let url = format!("{}/{}", server.url(), entry.provider.name);
        entry.base = BaseUrl::parse(&url, entry.provider.version).unwrap();
        entry.base_is_default = false;
    }
    config
}

/// The same with a gateway key, `team-key`, and a key for each provider, `<name>-secret-key`.
pub fn keyed(server: &Scripted) -> Config {
    let mut config = config(server);
    config.access.gateway_keys = vec![Secret::new("team-key")];
    for entry in &mut config.providers {
        entry.key = Some(Secret::new(format!("{}-secret-key", entry.provider.name)));
    }
    config
}

/// A running gateway.
pub struct Gateway {
    pub url: String,
    handle: GatewayHandle,
    pub shutdown: Shutdown,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Gateway {
    pub fn start(config: Config) -> Self {
        Self::start_with(config, Tls::none())
    }

    pub fn start_with(config: Config, tls: Tls) -> Self {
        Self::start_routed(config, tls, Arc::new(PrefixRouting))
    }

    pub fn start_routed(config: Config, tls: Tls, routing: Arc<dyn RoutingPolicy>) -> Self {
        let gateway = ai_gateway::Gateway::builder(config)
            .tls(tls)
            .routing(routing)
            .bind()
            .unwrap();
        let address = gateway.address();
        let (send, receive) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let running = gateway.start().unwrap();
                send.send(running.handle()).unwrap();
                running.wait().await.unwrap();
            });
        });
        let handle = receive.recv().unwrap();
        let shutdown = handle.shutdown().clone();
        Self {
            url: format!("http://{address}"),
            handle,
            shutdown,
            thread: Some(thread),
        }
    }

    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send(path, Some("caller-key"), &[], body).await
    }

    pub async fn send(
        &self,
        path: &str,
        key: Option<&str>,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = client()
            .post(format!("{}{path}", self.url))
            .insert_header(("content-type", "application/json"));
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        for (name, value) in headers {
            request = request.insert_header((*name, *value));
        }
        Answer::read(request.send_body(body.into()).await.unwrap()).await
    }

    pub async fn get(&self, path: &str, key: Option<&str>) -> Answer {
        let mut request = client().get(format!("{}{path}", self.url));
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        Answer::read(request.send().await.unwrap()).await
    }

    pub async fn chat(&self, body: Value) -> Answer {
        self.post("/v1/chat/completions", body.to_string()).await
    }

    pub async fn responses(&self, body: Value) -> Answer {
        self.post("/v1/responses", body.to_string()).await
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A gateway before all scripted providers.
pub fn gateway() -> (Scripted, Gateway) {
    let server = scripted::all_providers().unwrap();
    let gateway = Gateway::start(config(&server));
    (server, gateway)
}

/// A gateway before a server whose every answer is `script`.
pub fn always(script: Script) -> (Scripted, Gateway) {
    let server = Scripted::start(move |_| script.clone()).unwrap();
    let gateway = Gateway::start(config(&server));
    (server, gateway)
}

pub fn client() -> awc::Client {
    awc::Client::builder()
        .timeout(PATIENCE)
        .disable_redirects()
        .finish()
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub async fn read(mut response: awc::ClientResponse) -> Self {
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.body().limit(128 << 20).await.unwrap(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The error object; all of its four members must be there.
    pub fn error(&self) -> Value {
        let error = self.json()["error"].clone();
        for member in ["message", "type", "param", "code"] {
            assert!(error.get(member).is_some(), "no {member} in {error}");
        }
        assert!(!error["message"].as_str().unwrap().is_empty(), "{error}");
        error
    }

    /// Status, param and code of an error.
    pub fn refusal(&self) -> (u16, String, String) {
        let error = self.error();
        let text = |name: &str| error[name].as_str().unwrap_or("null").to_owned();
        (self.status, text("param"), text("code"))
    }

    /// The data of each event.
    pub fn events(&self) -> Vec<Value> {
        ai_gateway::codec::sse::events(&self.body)
            .filter(|event| event.data != "[DONE]")
            .map(|event| serde_json::from_str(&event.data).unwrap())
            .collect()
    }
}
