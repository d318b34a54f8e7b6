//! `ai-gateway demo`: runs the gateway with scripted providers and shows three calls.

use std::process::ExitCode;

use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::terminal::{configuration, print, print_error};
use crate::codec::sse::{self, Framer};
use crate::config::{BaseUrl, Config, port_from_environment};
use crate::gateway::Gateway;
use crate::http::Signals;
use crate::providers::PROVIDERS;
use crate::scripted;

/// The API key of the demo's calls; the scripted providers accept any.
const KEY: &str = "demo-key";

/// The largest event of a response, in bytes.
const MAX_EVENT: usize = 1 << 20;

/// Shows the calls, then serves until it is stopped.
pub(super) fn run() -> ExitCode {
    let config = match configuration(port_from_environment) {
        Ok(config) => config,
        Err(code) => return code,
    };
    match actix_web::rt::System::new().block_on(demo(&config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            print_error(&wrong);
            ExitCode::FAILURE
        }
    }
}

async fn demo(asked: &Config) -> Result<(), String> {
    let providers = scripted::all_providers().map_err(|error| error.to_string())?;
    // Only the port of the real configuration is used: no key and no address of a real provider.
    let mut config = Config::default();
    "127.0.0.1".clone_into(&mut config.server.host);
    config.server.port = asked.server.port;
    config.demo = true;
    for entry in &mut config.providers {
        let base = scripted::base_url(&providers, entry.provider);
        entry.base = BaseUrl::parse(&base, entry.provider.version)?;
        entry.base_is_default = false;
    }
    let signals = Signals::new().map_err(|error| error.to_string())?;
    let gateway = match Gateway::builder(config.clone()).bind() {
        Ok(gateway) => gateway,
        Err(_) => {
            print(&format!(
                "Port {} is taken; using a free one.\n",
                config.server.port
            ));
            config.server.port = 0;
            Gateway::builder(config).bind()?
        }
    };
    let url = format!("http://{}", gateway.address());
    let running = actix_web::rt::spawn(gateway.run(signals));
    print(&format!(
        "ai-gateway demo on {url}, before {} scripted providers. No key, no network, no model.\n",
        PROVIDERS.len()
    ));
    for (title, path, body) in calls() {
        show(&url, title, path, &body).await?;
    }
    print(&format!(
        "\nThe gateway goes on serving. Try it:\n  start page    {url}/\n  Swagger UI    {url}/swagger-ui/   (Authorize with any key)\n  models        curl {url}/v1/models -H 'Authorization: Bearer {KEY}'\nStop it with Ctrl-C.\n"
    ));
    running.await.map_err(|error| error.to_string())?
}

/// The three calls that `docs/quickstart.md` explains.
fn calls() -> [(&'static str, &'static str, Value); 3] {
    [
        (
            "1. Chat Completions, streamed (Kimi)",
            "/v1/chat/completions",
            json!({
                "model": "kimi-for-coding",
                "stream": true,
                "messages": [{"role": "user", "content": "Write a Rust function to parse CSV lines."}],
            }),
        ),
        (
            "2. Responses, streamed (OpenAI)",
            "/v1/responses",
            json!({
                "model": "gpt-5.4-mini",
                "stream": true,
                "input": "Write a Rust function to parse CSV lines.",
            }),
        ),
        (
            "3. Chat Completions, whole (OpenAI)",
            "/v1/chat/completions",
            json!({
                "model": "gpt-5.4-mini",
                "messages": [{"role": "user", "content": "Hello"}],
            }),
        ),
    ]
}

/// Makes one call as any client would, and prints the response as it arrives.
async fn show(url: &str, title: &str, path: &str, body: &Value) -> Result<(), String> {
    print(&format!(
        "\n{title}\n$ curl -N {url}{path} -H 'Authorization: Bearer {KEY}' \\\n    -H 'Content-Type: application/json' -d '{body}'\n\n"
    ));
    let sent = awc::Client::new()
        .post(format!("{url}{path}"))
        .bearer_auth(KEY)
        .content_type("application/json")
        .send_body(body.to_string())
        .await;
    let mut answer = sent.map_err(|error| error.to_string())?;
    if !answer.status().is_success() {
        return Err(format!("{path} answered {}", answer.status()));
    }
    if body.get("stream").is_none() {
        let whole: Bytes = answer.body().await.map_err(|error| error.to_string())?;
        print(&format!("{}\n", String::from_utf8_lossy(&whole)));
        return Ok(());
    }
    let mut framer = Framer::new(MAX_EVENT);
    while let Some(bytes) = answer.next().await {
        let bytes = bytes.map_err(|error| error.to_string())?;
        let events = framer
            .push(bytes)
            .map_err(|_| "an event is too long".to_owned())?;
        for event in sse::events(&events) {
            print(&text_of(&event.data));
        }
    }
    print("\n");
    Ok(())
}

/// The text that an event adds to the response; empty for all other events.
fn text_of(data: &str) -> String {
    let event: Value = serde_json::from_str(data).unwrap_or_default();
    let path = match event.get("type").and_then(Value::as_str) {
        Some("response.output_text.delta") => "/delta",
        Some(_) => return String::new(),
        None => "/choices/0/delta/content",
    };
    let text = event.pointer(path).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}
