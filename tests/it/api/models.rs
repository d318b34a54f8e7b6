//! `GET /v1/models`, end to end.

use std::time::Duration;

use crate::rig::{Answer, Gateway, config, keyed};
use ai_gateway::providers::{PROVIDERS, catalogue};
use ai_gateway::scripted::{self, ReceivedRequest, Script, Scripted, Step};
use serde_json::{Value, json};

fn ids(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let list = answer.json();
    assert_eq!(list["object"], "list");
    let data = list["data"].as_array().unwrap();
    for entry in data {
        assert_eq!(entry["object"], "model");
        assert!(entry["created"].is_u64(), "{entry}");
        assert!(entry["owned_by"].is_string(), "{entry}");
    }
    data.iter()
        .map(|entry| entry["id"].as_str().unwrap().to_owned())
        .collect()
}

#[actix_web::test]
async fn every_listed_id_can_be_sent_back_and_arrives() {
    let server = scripted::all_providers().unwrap();
    for config in [config(&server), keyed(&server)] {
        let key = if config.requires_gateway_key() {
            "team-key"
        } else {
            "caller-key"
        };
        let gateway = Gateway::start(config);
        for provider in &PROVIDERS {
            let path = format!("/v1/models?provider={}", provider.name);
            let listed = ids(&gateway.get(&path, Some(key)).await);
            assert!(
                !listed.is_empty() || provider.name == "azure",
                "{}",
                provider.name
            );
            for (id, model) in listed.iter().zip(catalogue(provider)).step_by(4) {
                let body = json!({"model": id, "messages": [{"role": "user", "content": "Hello"}]});
                let answer = gateway
                    .send("/v1/chat/completions", Some(key), &[], body.to_string())
                    .await;
                assert_eq!(answer.status, 200, "{id}: {}", answer.text());
                assert_eq!(
                    answer.header("x-gateway-provider"),
                    Some(provider.name),
                    "{id}"
                );
                let seen = server.requests().pop().unwrap().json();
                assert_eq!(seen["model"], provider.model_name(&model.id).as_ref());
            }
        }
    }
}

/// Trap I8.
#[actix_web::test]
async fn a_callers_key_is_never_sent_around() {
    let server = scripted::all_providers().unwrap();
    let gateway = Gateway::start(config(&server));
    let listed = gateway.get("/v1/models", Some("whose-key-is-this")).await;
    assert_eq!(
        server.counts().connections,
        0,
        "nobody knows whose key it is"
    );
    let all: usize = PROVIDERS
        .iter()
        .map(|provider| catalogue(provider).len())
        .sum();
    assert_eq!(ids(&listed).len(), all);
    let data = listed.json()["data"].clone();
    assert!(
        data.as_array()
            .unwrap()
            .iter()
            .all(|entry| entry["source"] == "catalogue")
    );

    let listed = gateway.get("/v1/models", Some("gsk_0123456789")).await;
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].path, "/groq/models");
    assert_eq!(
        requests[0].header("authorization"),
        Some("Bearer gsk_0123456789")
    );
    for entry in listed.json()["data"].as_array().unwrap() {
        let live = entry["source"].is_null();
        assert_eq!(live, entry["owned_by"] == "groq", "{entry}");
    }

    let listed = gateway
        .get("/v1/models?provider=mistral", Some("some-key"))
        .await;
    assert!(ids(&listed).iter().all(|id| id.starts_with("mistral/")));
    assert_eq!(server.requests().pop().unwrap().path, "/mistral/models");
    assert_eq!(server.counts().requests, 2);

    assert_eq!(
        gateway.get("/v1/models", None).await.refusal().2,
        "invalid_api_key"
    );
}

#[actix_web::test]
async fn a_provider_without_a_list_is_listed_from_the_catalogue() {
    let server = scripted::all_providers().unwrap();
    let gateway = Gateway::start(keyed(&server));
    for name in ["bedrock", "vertex"] {
        let answer = gateway
            .get(&format!("/v1/models?provider={name}"), Some("team-key"))
            .await;
        assert!(!ids(&answer).is_empty());
        assert!(
            answer.json()["data"]
                .as_array()
                .unwrap()
                .iter()
                .all(|e| e["source"] == "catalogue")
        );
    }
    assert_eq!(server.counts().requests, 2, "they were asked");
}

#[actix_web::test]
async fn anthropics_pages_are_turned() {
    let server = scripted::all_providers().unwrap();
    let gateway = Gateway::start(config(&server));
    let answer = gateway
        .get("/v1/models?provider=anthropic", Some("k"))
        .await;
    let expected: Vec<_> = PROVIDERS
        .iter()
        .filter(|provider| provider.name == "anthropic")
        .flat_map(|provider| catalogue(provider).iter().map(|model| model.id.clone()))
        .collect();
    assert_eq!(ids(&answer), expected);
    let paths: Vec<_> = server
        .requests()
        .into_iter()
        .map(|request| request.path)
        .collect();
    assert_eq!(paths.len(), 2);
    assert_eq!(paths[0], "/anthropic/v1/models?limit=1000");
    assert!(paths[1].contains("&after_id=claude-"), "{}", paths[1]);
    assert_eq!(answer.json()["data"][0]["created"], 1_771_459_200);
}

#[actix_web::test]
async fn a_team_sees_all_usable_providers_and_the_list_is_kept() {
    let server = scripted::all_providers().unwrap();
    let mut config = keyed(&server);
    for entry in &mut config.providers {
        if entry.provider.name == "xai" {
            entry.key = None;
        }
    }
    let gateway = Gateway::start(config.clone());
    let listed = ids(&gateway.get("/v1/models", Some("team-key")).await);
    assert!(listed.contains(&"gpt-4o-mini".to_owned()));
    assert!(listed.contains(&"kimi-for-coding".to_owned()));
    assert!(
        listed.iter().any(|id| id.starts_with("gemini-")),
        "no `models/` before them"
    );
    assert!(
        !listed.iter().any(|id| id.starts_with("xai/")),
        "xAI has no key"
    );
    let asked = server.counts().requests;
    assert_eq!(asked, 14, "thirteen providers, one of which has two pages");
    assert_eq!(
        ids(&gateway.get("/v1/models", Some("team-key")).await),
        listed
    );
    assert_eq!(server.counts().requests, asked, "kept");
    drop(gateway);

    config.models.cache = Duration::ZERO;
    let gateway = Gateway::start(config);
    for _ in 0..2 {
        assert_eq!(
            ids(&gateway.get("/v1/models", Some("team-key")).await),
            listed
        );
    }
    assert_eq!(server.counts().requests, asked * 3, "not kept");
}

/// Trap H4.
#[actix_web::test]
async fn a_provider_that_fails_or_hangs_is_named_and_the_others_are_listed() {
    let server = Scripted::start(|request: &ReceivedRequest| {
        if request.path.starts_with("/azure") {
            return Script::default().then(Step::Hang);
        }
        if request.path.starts_with("/cohere") {
            return Script::json(500, &json!({"message": "no"}));
        }
        scripted::answer(request)
    })
    .unwrap();
    let mut config = keyed(&server);
    config.models.timeout = Duration::from_millis(500);
    let gateway = Gateway::start(config);
    let answer = gateway.get("/v1/models", Some("team-key")).await;
    assert_eq!(
        answer.header("x-gateway-models-errors"),
        Some("cohere,azure")
    );
    assert!(ids(&answer).len() > 80);
    let asked = server.counts().requests;
    let again = gateway.get("/v1/models", Some("team-key")).await;
    assert_eq!(
        again.header("x-gateway-models-errors"),
        Some("cohere,azure")
    );
    assert_eq!(
        server.counts().requests,
        asked,
        "a poll does not wait for them again"
    );

    let only = gateway
        .get("/v1/models?provider=cohere", Some("team-key"))
        .await;
    assert_eq!(only.status, 500, "asked for by name, the error is told");
}

#[actix_web::test]
async fn an_unknown_provider_is_refused_with_the_names_of_the_known() {
    let server = scripted::all_providers().unwrap();
    let gateway = Gateway::start(config(&server));
    let answer = gateway.get("/v1/models?provider=acme", Some("k")).await;
    assert_eq!(
        answer.refusal(),
        (400, "provider".into(), "invalid_value".into())
    );
    for provider in &PROVIDERS {
        assert!(answer.text().contains(provider.name), "{}", provider.name);
    }
}

#[actix_web::test]
async fn odd_lists_are_read_as_far_as_they_can_be_asked_for() {
    let list = json!({"object": "list", "data": [
        {"id": "models/gemini-x"}, {"id": "a\nb"}, {"id": ""}, {"id": "x".repeat(300)}, {"id": "groq/y", "created": 3}]});
    let server = Scripted::start(move |_| Script::json(200, &list)).unwrap();
    let gateway = Gateway::start(config(&server));
    let listed = |name: &str| {
        let path = format!("/v1/models?provider={name}");
        let gateway = &gateway;
        async move { ids(&gateway.get(&path, Some("k")).await) }
    };
    assert_eq!(listed("gemini").await, ["gemini-x", "gemini/groq/y"]);
    assert_eq!(listed("openai").await, ["models/gemini-x", "openai/groq/y"]);
    assert_eq!(
        listed("vertex").await,
        ["vertex/models/gemini-x", "vertex/groq/y"]
    );

    let server = Scripted::start(|_| Script::json(200, &Value::Null)).unwrap();
    let gateway = Gateway::start(config(&server));
    let answer = gateway.get("/v1/models?provider=openai", Some("k")).await;
    assert_eq!(answer.refusal().2, "upstream_invalid_response");
}
