//! A request with several targets: a scripted policy gives a list, and the next one is tried where
//! the one before it fails before the client has a byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::rig::faults::{DELTA, DONE, FINISH, hello, status};
use crate::rig::{Gateway, config, keyed};
use ai_gateway::config::Config;
use ai_gateway::error::Error;
use ai_gateway::providers::by_name;
use ai_gateway::routing::{RoutingPolicy, Target};
use ai_gateway::scripted::{self, Script, Scripted, Step};
use ai_gateway::upstream::Tls;
use serde_json::json;

/// Sends every request to these providers, in this order.
struct InOrder(&'static [&'static str]);

impl RoutingPolicy for InOrder {
    fn resolve(&self, model: &str) -> Result<Vec<Target<'static>>, Error> {
        let targets = self.0.iter().map(|name| Target {
            provider: by_name(name).unwrap(),
            model: format!("{name}-{model}").into(),
        });
        Ok(targets.collect())
    }
}

/// A provider and how it answers.
type Scripts = &'static [(&'static str, fn() -> Script)];

/// Each provider answers by its script; those without one answer as the demo's do.
fn providers(scripts: Scripts) -> Scripted {
    Scripted::start(move |request| {
        let name = request.path.split('/').nth(1).unwrap();
        let script = scripts.iter().find(|(provider, _)| *provider == name);
        script.map_or_else(|| scripted::answer(request), |(_, script)| script())
    })
    .unwrap()
}

fn start(config: Config, targets: &'static [&'static str]) -> Gateway {
    Gateway::start_routed(config, Tls::none(), Arc::new(InOrder(targets)))
}

/// A gateway with keys that makes one attempt at each target.
fn gateway(server: &Scripted, targets: &'static [&'static str]) -> Gateway {
    let mut config = keyed(server);
    config.retries.max_retries = 0;
    start(config, targets)
}

fn called(server: &Scripted) -> Vec<String> {
    let requests = server.requests();
    let name = |path: &str| path.split('/').nth(1).unwrap().to_owned();
    requests.iter().map(|request| name(&request.path)).collect()
}

async fn ask(gateway: &Gateway, path: &str, stream: bool) -> crate::rig::Answer {
    let body = match path {
        "/v1/responses" => json!({"model": "m", "input": "Hello", "stream": stream}),
        _ => hello("m", stream),
    };
    gateway
        .send(path, Some("team-key"), &[], body.to_string())
        .await
}

const PATHS: [&str; 2] = ["/v1/chat/completions", "/v1/responses"];

#[actix_web::test]
async fn the_next_target_answers_where_one_fails_whole_and_streamed() {
    for stream in [false, true] {
        for path in PATHS {
            // Another dialect is among them: each target is prepared for its own provider.
            let server = providers(&[
                ("groq", || status(503, &[])),
                ("anthropic", || status(529, &[])),
            ]);
            let gateway = gateway(&server, &["groq", "anthropic", "mistral", "xai"]);
            let answer = ask(&gateway, path, stream).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(called(&server), ["groq", "anthropic", "mistral"]);
            assert_eq!(answer.header("x-gateway-provider"), Some("mistral"));
            assert_eq!(answer.header("x-gateway-attempts"), Some("3"));
            assert!(answer.text().contains("Hello!"), "{}", answer.text());
            let models: Vec<_> = server
                .requests()
                .iter()
                .map(|request| request.json()["model"].clone())
                .collect();
            assert_eq!(models, ["groq-m", "anthropic-m", "mistral-m"]);
        }
    }
}

#[actix_web::test]
async fn the_last_error_is_the_answer_where_all_targets_fail() {
    for stream in [false, true] {
        let server = providers(&[("groq", || status(503, &[])), ("xai", || status(429, &[]))]);
        let gateway = gateway(&server, &["groq", "xai"]);
        let answer = ask(&gateway, PATHS[0], stream).await;
        assert_eq!(answer.status, 429, "{}", answer.text());
        assert_eq!(answer.header("x-gateway-provider"), Some("xai"));
        assert_eq!(called(&server), ["groq", "xai"]);
    }
}

#[actix_web::test]
async fn a_target_that_cannot_be_called_is_passed_over() {
    let server = providers(&[("groq", || status(503, &[]))]);
    let mut config = keyed(&server);
    config.retries.max_retries = 0;
    for entry in &mut config.providers {
        if entry.provider.name == "xai" {
            entry.key = None;
        }
    }
    let gateway = start(config.clone(), &["groq", "xai", "mistral"]);
    let answer = ask(&gateway, PATHS[0], false).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(called(&server), ["groq", "mistral"]);
    // Where none is left, the error is that of the target that was called.
    let gateway = start(config, &["groq", "xai"]);
    assert_eq!(ask(&gateway, PATHS[0], false).await.status, 503);
}

/// Gives each request another order of the same two providers, and counts how often it is asked.
#[derive(Default)]
struct Alternating(AtomicUsize);

impl RoutingPolicy for Alternating {
    fn resolve(&self, model: &str) -> Result<Vec<Target<'static>>, Error> {
        let order: &[&str] = match self.0.fetch_add(1, Ordering::SeqCst) % 2 {
            0 => &["groq", "xai"],
            _ => &["xai", "groq"],
        };
        let targets = order.iter().map(|name| Target {
            provider: by_name(name).unwrap(),
            model: model.to_owned().into(),
        });
        Ok(targets.collect())
    }
}

#[actix_web::test]
async fn the_policy_is_asked_once_for_a_request() {
    let policy = Arc::new(Alternating::default());
    // Groq refuses Responses with 404 first, and is asked once more in Chat Completions.
    let server = providers(&[("groq", || status(404, &[])), ("xai", || status(503, &[]))]);
    let mut config = keyed(&server);
    config.retries.max_retries = 0;
    let routing = Arc::clone(&policy) as Arc<dyn RoutingPolicy>;
    let gateway = Gateway::start_routed(config, Tls::none(), routing);
    for (request, expected) in [
        &["groq", "groq"][..],
        &["xai", "groq", "groq"],
        &["groq", "groq"],
    ]
    .iter()
    .enumerate()
    {
        let before = called(&server).len();
        ask(&gateway, PATHS[1], false).await;
        assert_eq!(&called(&server)[before..], *expected, "request {request}");
        assert_eq!(policy.0.load(Ordering::SeqCst), request + 1);
    }
}

#[actix_web::test]
async fn an_error_of_the_request_itself_goes_to_no_other_target() {
    for code in [400, 401, 404, 422] {
        let server = Scripted::start(move |_| status(code, &[])).unwrap();
        let gateway = gateway(&server, &["mistral", "xai"]);
        ask(&gateway, PATHS[0], false).await;
        assert_eq!(called(&server), ["mistral"], "{code}");
    }
}

#[actix_web::test]
async fn a_callers_own_key_goes_to_no_second_provider() {
    let server = providers(&[("groq", || status(503, &[]))]);
    let mut config = config(&server);
    config.retries.max_retries = 0;
    let gateway = start(config, &["groq", "xai"]);
    let answer = gateway.chat(hello("m", false)).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(called(&server), ["groq"]);
}

#[actix_web::test]
async fn no_other_target_follows_after_the_first_byte() {
    // The first target fails only once the client has a comment.
    let server = providers(&[("groq", || {
        let mut script = status(503, &[]);
        script
            .steps
            .insert(0, Step::Pause(Duration::from_millis(300)));
        script
    })]);
    let mut config = keyed(&server);
    config.retries.max_retries = 0;
    config.server.keepalive = Duration::from_millis(20);
    let gateway = start(config, &["groq", "xai"]);
    let answer = ask(&gateway, PATHS[0], true).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains(": keepalive"), "{}", answer.text());
    assert!(answer.text().contains("\"error\""), "{}", answer.text());
    assert_eq!(called(&server), ["groq"]);
}

#[actix_web::test]
async fn a_stream_that_breaks_after_its_first_event_stays_with_its_target() {
    let server = providers(&[("groq", || Script::stream().chunk(DELTA).then(Step::Close))]);
    let gateway = gateway(&server, &["groq", "xai"]);
    let answer = ask(&gateway, PATHS[0], true).await;
    assert!(answer.text().contains("Hi"), "{}", answer.text());
    assert!(answer.text().contains("\"error\""), "{}", answer.text());
    assert_eq!(called(&server), ["groq"]);
    let whole = providers(&[("groq", || {
        Script::stream()
            .chunk(DELTA)
            .chunk(FINISH)
            .chunk(DONE)
            .end()
    })]);
    let gateway = self::gateway(&whole, &["groq", "xai"]);
    let answer = ask(&gateway, PATHS[0], true).await;
    assert!(answer.text().ends_with(DONE), "{}", answer.text());
}
