//! The OpenAPI document and the pages.

use crate::rig::{Gateway, config};
use ai_gateway::http::{ROUTES, document};
use ai_gateway::scripted;
use serde_json::Value;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/openapi.json");

/// A change of the API shows in this file. `UPDATE_GOLDEN=1 cargo test --test it openapi` rewrites it.
#[test]
fn the_document_is_its_golden_file() {
    let document: Value = serde_json::from_str(&document()).unwrap();
    let text = format!("{document:#}\n");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, &text).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap_or_default();
    assert!(
        golden == text,
        "the API changed: see the diff after UPDATE_GOLDEN=1 cargo test --test it openapi"
    );
}

#[test]
fn the_document_has_every_route_that_is_no_page() {
    let document: Value = serde_json::from_str(&document()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let paths = document["paths"].as_object().unwrap();
    let pages = [
        "/",
        "/static/{file}",
        "/docs",
        "/swagger-ui",
        "/swagger-ui/{file:.*}",
    ];
    let mut served: Vec<_> = ROUTES
        .iter()
        .map(|r| r.path)
        .filter(|p| !pages.contains(p))
        .collect();
    let mut documented: Vec<_> = paths.keys().map(String::as_str).collect();
    served.sort_unstable();
    documented.sort_unstable();
    assert_eq!(served, documented);
    for route in ROUTES.iter().filter(|route| paths.contains_key(route.path)) {
        let method = if route.allow == "POST" { "post" } else { "get" };
        let operation = &paths[route.path][method];
        let needs_key = operation["security"] == serde_json::json!([{"bearer": []}]);
        assert_eq!(needs_key, !route.is_open(), "{}", route.path);
        assert!(operation["summary"].is_string(), "{}", route.path);
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(
                !response["description"].as_str().unwrap().is_empty(),
                "{} {status}",
                route.path
            );
        }
        if !route.is_open() {
            for status in ["400", "401", "429", "502", "503", "504"] {
                assert!(
                    operation["responses"][status].is_object(),
                    "{} {status}",
                    route.path
                );
            }
        }
    }
}

#[actix_web::test]
async fn pages_are_served_from_the_binary_and_load_nothing_from_elsewhere() {
    let server = scripted::all_providers().unwrap();
    let gateway = Gateway::start(config(&server));
    for (path, kind, words) in [
        ("/", "text/html; charset=utf-8", "ai-gateway"),
        ("/static/style.css", "text/css; charset=utf-8", "body"),
        (
            "/static/page.js",
            "text/javascript; charset=utf-8",
            "/providers",
        ),
        ("/swagger-ui/", "text/html", "swagger"),
        (
            "/swagger-ui/swagger-initializer.js",
            "text/javascript",
            "/doc",
        ),
        ("/doc", "application/json", "openapi"),
    ] {
        let answer = gateway.get(path, None).await;
        assert_eq!(answer.status, 200, "{path}");
        let shown = answer.header("content-type").unwrap();
        assert!(shown.starts_with(kind), "{path}: {shown}");
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        if path != "/doc" {
            let policy = answer.header("content-security-policy").unwrap();
            assert!(policy.starts_with("default-src 'self'"), "{path}");
            assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        }
        if answer.header("content-encoding").is_none() {
            let text = answer.text();
            assert!(text.contains(words), "{path}");
            let elsewhere = ["src=\"http", "href=\"http", "url(http", "import \"http"];
            assert!(!elsewhere.iter().any(|link| text.contains(link)), "{path}");
        }
    }
    for path in ["/docs", "/swagger-ui"] {
        let answer = gateway.get(path, None).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (308, Some("/swagger-ui/")),
            "{path}"
        );
    }
    for path in [
        "/static/../Cargo.toml",
        "/static/nothing",
        "/swagger-ui/nothing",
    ] {
        assert_eq!(gateway.get(path, None).await.refusal().0, 404, "{path}");
    }
}
