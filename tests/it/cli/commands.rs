//! The binary: its commands, its exit codes, its first words.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::rig::PATIENCE;
use crate::rig::process::{Running, gateway, port, run, serve, text};
use ai_gateway::providers::PROVIDERS;
use serde_json::json;

#[test]
fn the_first_words_say_mode_address_providers_and_docs() {
    let (_child, lines) = serve(&[("OPENAI_API_KEY", "sk-hunter2")], "docs at");
    let log = lines.join("\n");
    let port = port(&lines);
    assert!(log.contains("mode: pass-through"), "{log}");
    assert!(
        log.contains(&format!("listening on http://127.0.0.1:{port}")),
        "{log}"
    );
    assert!(
        log.contains("usable providers: openai, anthropic, gemini,"),
        "{log}"
    );
    assert!(
        log.contains("not usable: azure (its base URL is an example), vertex"),
        "{log}"
    );
    assert!(log.contains("OPENAI_API_KEY set but not used"), "{log}");
    assert!(
        log.contains(&format!("docs at http://127.0.0.1:{port}/swagger-ui/")),
        "{log}"
    );
    assert!(!log.contains("hunter2"), "{log}");

    let (_child, lines) = serve(
        &[
            ("GATEWAY_API_KEYS", "team-hunter2-0123456789"),
            ("GROQ_API_KEY", "gsk_hunter2"),
        ],
        "docs at",
    );
    let log = lines.join("\n");
    assert!(log.contains("mode: gateway keys (1)"), "{log}");
    assert!(log.contains("usable providers: groq\n"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn a_wrong_configuration_stops_the_start_with_every_mistake() {
    for command in [&[][..], &["check"], &["healthcheck"]] {
        let out = run(
            command,
            &[
                ("PORT", "abc"),
                ("GROQ_BASE_URL", "groq.example"),
                ("XAI_BASE_URL", "https://me:hunter2@x.ai"),
                ("GATEWAY_API_KEYS", ","),
            ],
        );
        assert_eq!(out.status.code(), Some(2), "{command:?}");
        let said = text(&out.stderr);
        for name in ["PORT", "GROQ_BASE_URL", "XAI_BASE_URL", "GATEWAY_API_KEYS"] {
            assert!(
                said.contains(name),
                "{command:?} does not name {name}: {said}"
            );
        }
        assert!(!said.contains("hunter2"), "{said}");
        assert!(out.stdout.is_empty());
    }
    // The demo uses nothing of it but the port.
    let out = run(&["demo"], &[("PORT", "abc")]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("PORT"));
}

#[test]
fn check_prints_what_would_be_served_and_no_secret() {
    let out = run(
        &["check"],
        &[
            ("GATEWAY_API_KEYS", "hunter2-a,hunter2-b"),
            ("ANTHROPIC_API_KEY", "hunter2-c"),
            ("MISTRAL_BASE_URL", "http://127.0.0.1:9/v1/"),
        ],
    );
    let said = text(&out.stdout);
    assert_eq!(out.status.code(), Some(0), "{said}{}", text(&out.stderr));
    for provider in &PROVIDERS {
        assert!(said.contains(provider.name), "{said}");
    }
    assert!(said.contains("gateway keys (2)"), "{said}");
    assert!(said.contains("key ********"), "{said}");
    assert!(
        said.contains("no key        http://127.0.0.1:9/v1\n"),
        "{said}"
    );
    assert!(
        said.contains("endpoints/openapi  (an example; set your own)\n"),
        "{said}"
    );
    assert!(said.contains("shorter than 16"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn the_env_file_is_read_and_the_environment_wins() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("with-env-file");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(
        folder.join(".env"),
        "PORT=4001\nHOST=127.0.0.9\n# a comment\n",
    )
    .unwrap();
    let out = gateway(&["check"], &[("PORT", "4002")])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(
        text(&out.stdout).contains("127.0.0.9:4002"),
        "{}",
        text(&out.stdout)
    );

    let broken = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("with-broken-env-file");
    std::fs::create_dir_all(&broken).unwrap();
    std::fs::write(broken.join(".env"), "OPENAI_API_KEY hunter2\n").unwrap();
    let out = gateway(&["check"], &[])
        .current_dir(&broken)
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2));
    assert!(!text(&out.stderr).contains("hunter2"));
}

#[test]
fn the_example_file_changes_nothing() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/.env.example");
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("with-example-file");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(example, folder.join(".env")).unwrap();
    let with = gateway(&["check"], &[])
        .current_dir(&folder)
        .output()
        .unwrap();
    let without = run(&["check"], &[]);
    assert_eq!(text(&with.stdout), text(&without.stdout));

    // Uncommented, every line with a value is one that the gateway takes.
    let example = std::fs::read_to_string(example).unwrap();
    let all: Vec<_> = example
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| {
            line.split_once('=').is_some_and(|(name, value)| {
                let is_variable = name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
                let is_example = matches!(
                    name,
                    "GATEWAY_API_KEYS"
                        | "SSL_CERT_FILE"
                        | "SSL_CERT_DIR"
                        | "HTTPS_PROXY"
                        | "NO_PROXY"
                );
                is_variable && !value.is_empty() && !is_example
            })
        })
        .collect();
    assert!(all.len() > 25, "{all:?}");
    let all = all.join("\n");
    std::fs::write(folder.join(".env"), all).unwrap();
    let out = gateway(&["check"], &[])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert_eq!(
        text(&out.stdout),
        text(&without.stdout),
        "{}",
        text(&out.stderr)
    );
}

#[test]
fn healthcheck_tells_whether_the_gateway_answers() {
    let (child, lines) = serve(&[], "docs at");
    let port = port(&lines).to_string();
    // The address is said before the first request is served.
    let healthy = |port: &str| run(&["healthcheck"], &[("PORT", port)]).status.code();
    let begun = Instant::now();
    while healthy(&port) != Some(0) {
        assert!(begun.elapsed() < PATIENCE, "it never answered");
    }
    drop(child);
    assert_eq!(healthy(&port), Some(1));
}

#[test]
fn a_taken_port_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let out = run(&[], &[("HOST", "127.0.0.1"), ("PORT", &port)]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains(&format!("cannot listen on 127.0.0.1:{port}")));
}

#[test]
fn unknown_words_are_answered_with_the_usage() {
    let out = run(&["sevre"], &[]);
    assert_eq!(out.status.code(), Some(2));
    assert!(text(&out.stderr).contains("Usage: ai-gateway"));
    assert_eq!(run(&["check", "it"], &[]).status.code(), Some(2));
    let out = run(&["--help"], &[]);
    assert_eq!(out.status.code(), Some(0));
    assert!(text(&out.stdout).contains("healthcheck"));
}

#[actix_web::test]
async fn demo_shows_three_answers_and_goes_on_serving() {
    let mut child = gateway(
        &["demo"],
        &[("PORT", "0"), ("OPENAI_BASE_URL", "https://api.openai.com")],
    )
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let _child = Running(child);
    let mut said = String::new();
    while !said.contains("Stop it with Ctrl-C") {
        assert_ne!(reader.read_line(&mut said).unwrap(), 0, "{said}");
    }
    assert_eq!(said.matches("fn parse_csv_line").count(), 2, "{said}");
    assert!(said.contains("\"content\":\"Hello! "), "{said}");
    let url = said
        .split_whitespace()
        .find(|word| word.starts_with("http://127.0.0.1:"))
        .unwrap();
    let url = url.trim_end_matches(',');
    let mut answer = crate::rig::client()
        .post(format!("{url}/v1/chat/completions"))
        .bearer_auth("any")
        .content_type("application/json")
        .send_body(
            json!({"model": "claude-x", "messages": [{"role": "user", "content": "Hi"}]})
                .to_string(),
        )
        .await
        .unwrap();
    let body = answer.body().await.unwrap();
    assert!(String::from_utf8_lossy(&body).contains("you said: “Hi”"));
}

#[test]
fn sigterm_ends_it_with_exit_code_0() {
    let (mut child, lines) = serve(&[], "docs at");
    let port = port(&lines).to_string();
    let begun = Instant::now();
    while run(&["healthcheck"], &[("PORT", &port)]).status.code() != Some(0) {
        assert!(begun.elapsed() < PATIENCE);
    }
    let killed = Command::new("kill")
        .arg(child.0.id().to_string())
        .status()
        .unwrap();
    assert!(killed.success());
    let begun = Instant::now();
    let code = loop {
        if let Some(status) = child.0.try_wait().unwrap() {
            break status.code();
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "it goes on");
        std::thread::yield_now();
    };
    assert_eq!(code, Some(0));
}
