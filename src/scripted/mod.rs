//! Scripted providers on loopback: the real wire formats without a model, and any misbehaviour that
//! a script describes. The demo and the tests use them; `serve` never starts one.

mod anthropic;
mod openai;
mod server;
mod text;

use serde_json::Value;

pub use server::{Counts, ReceivedRequest, Script, Scripted, Step};

use crate::providers::{Auth, ChatApi, PROVIDERS, Provider};

/// Starts all providers on one port, each below its own path, as in `/groq/…`.
///
/// # Errors
/// If no loopback port is available.
pub fn all_providers() -> std::io::Result<Scripted> {
    Scripted::start(answer)
}

/// The base URL of one provider of [`all_providers`], for its environment variable.
#[must_use]
pub fn base_url(server: &Scripted, provider: &Provider) -> String {
    format!("{}/{}", server.url(), provider.name)
}

/// The response of the provider to which the request's path belongs; 404 if there is none.
#[must_use]
pub fn answer(request: &ReceivedRequest) -> Script {
    let mut path = request.path.trim_start_matches('/').splitn(2, '/');
    let name = path.next().unwrap_or_default();
    let rest = path.next().unwrap_or_default();
    let rest = rest.split('?').next().unwrap_or_default();
    let Some(provider) = PROVIDERS.iter().find(|provider| provider.name == name) else {
        return Script::json(404, &openai::error("no such provider", None));
    };
    let path = provider
        .version
        .strip_prefix('/')
        .and_then(|version| rest.strip_prefix(version))
        .map_or(rest, |path| path.trim_start_matches('/'));
    provider_response(provider, path, request)
}

/// The response of a provider. `path` is relative to its base URL and version.
#[must_use]
pub fn provider_response(
    provider: &'static Provider,
    path: &str,
    request: &ReceivedRequest,
) -> Script {
    let messages = matches!(provider.chat_api, ChatApi::Other { .. });
    if !has_key(provider, request) {
        let text = "no key, or not where this provider wants it";
        return Script::json(
            401,
            &if messages {
                anthropic::error("authentication_error", text)
            } else {
                openai::error(text, Some("invalid_api_key"))
            },
        );
    }
    if provider.only_model.is_some() && request.header("user-agent") != Some(provider.user_agent) {
        return Script::json(403, &openai::error("this client is not accepted", None));
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    match (request.method.as_str(), path) {
        ("GET", "models") if messages => anthropic::models(request),
        // These two have no list of models at the base URL of their other endpoints.
        ("GET", "models") if matches!(provider.name, "bedrock" | "vertex") => {
            Script::json(404, &openai::error("Not Found", None))
        }
        ("GET", "models") => openai::models(provider),
        ("POST", "messages") if messages => anthropic::message(&body),
        ("POST", "chat/completions") if !messages => {
            let unasked =
                matches!(provider.chat_api, ChatApi::Chat(chat) if chat.always_streams_usage);
            openai::chat(&body, unasked)
        }
        ("POST", "responses") if !messages => openai::response(&body),
        _ => Script::json(404, &openai::error("Not Found", None)),
    }
}

fn has_key(provider: &Provider, request: &ReceivedRequest) -> bool {
    match provider.auth {
        Auth::Bearer => request
            .header("authorization")
            .is_some_and(|value| value.starts_with("Bearer ")),
        Auth::XApiKey => request.header("x-api-key").is_some(),
        Auth::ApiKey => request.header("api-key").is_some(),
    }
}
