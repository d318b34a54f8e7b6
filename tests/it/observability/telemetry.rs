//! What the gateway tells of itself: the state of a stream, log lines, ids, counters, traces.

use std::time::Duration;

use crate::rig::faults::{DELTA, DONE, FINISH, completion, gateway, hello, in_turn, status, until};
use crate::rig::process::Served;
use crate::rig::{Answer, Gateway, PATIENCE, client, config};
use ai_gateway::config::Config;
use ai_gateway::scripted::{self, ReceivedRequest, Script, Scripted, Step};
use ai_gateway::shutdown::Stage;
use serde_json::{Value, json};
use tokio::time::timeout;

const KEEPALIVE: &str = ": keepalive\n\n";

/// How often a silent stream is spoken in, in these tests.
const INTERVAL: Duration = Duration::from_millis(60);

fn lively(server: &Scripted) -> Config {
    let mut config = config(server);
    config.server.keepalive = INTERVAL;
    config
}

/// Trap B10.
#[actix_web::test]
async fn a_silent_stream_is_kept_alive_before_and_after_its_first_event() {
    let silence = Step::Pause(INTERVAL * 6);
    let more = DELTA.replace("\"role\":\"assistant\",", "");
    let (half, rest) = more.split_at(40);
    let script = Script::default()
        .then(silence.clone())
        .then(Script::stream().steps.remove(0))
        .then(silence.clone())
        .chunk(DELTA)
        .then(silence.clone())
        .chunk(half)
        .then(silence)
        .chunk(rest)
        .chunk(FINISH)
        .chunk(DONE)
        .end();
    let server = in_turn(vec![script]);
    let answer = Gateway::start(lively(&server))
        .chat(hello("gpt-4o", true))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-gateway-provider"), Some("openai"));
    let text = answer.text();
    let (before, after) = text.split_once(DELTA).expect("the first event is whole");
    let (between, after) = after.split_once(&more).expect("the second event is whole");
    assert_eq!(after, format!("{FINISH}{DONE}"));
    let counts = [before, between].map(|part| part.matches(KEEPALIVE).count());
    assert!(
        counts.iter().all(|count| (6..=12).contains(count)),
        "{counts:?} comments in twice twelve intervals, one for each at most"
    );
    // They are all that is not the provider's.
    assert_eq!(
        text.replace(KEEPALIVE, ""),
        format!("{DELTA}{more}{FINISH}{DONE}")
    );
}

/// Trap B10.
#[actix_web::test]
async fn the_gate_lets_an_early_error_be_one_of_http_and_a_late_one_an_event() {
    let failing = |pause: Duration| {
        let mut script = Script::default().then(Step::Pause(pause));
        script.steps.extend(status(400, &[]).steps);
        script
    };
    for (path, model) in [
        ("/v1/chat/completions", "gpt-4o"),
        ("/v1/chat/completions", "claude-opus-5-5"),
        ("/v1/responses", "gpt-4o"),
        ("/v1/responses", "deepseek/x"),
        ("/v1/responses", "claude-opus-5-5"),
    ] {
        let mut body = hello(model, true);
        body["input"] = json!("Hello");
        let server = in_turn(vec![failing(Duration::ZERO)]);
        let early = gateway(&server).post(path, body.to_string()).await;
        assert_eq!(early.status, 400, "{path} {model}");

        let server = in_turn(vec![failing(INTERVAL * 4)]);
        let late = Gateway::start(lively(&server))
            .post(path, body.to_string())
            .await;
        assert_eq!(late.status, 200, "{path} {model}");
        let content_type = late.header("content-type");
        assert_eq!(content_type, Some("text/event-stream; charset=utf-8"));
        let text = late.text();
        assert!(text.starts_with(KEEPALIVE), "{path} {model}: {text}");
        assert!(text.contains("busy"), "{path} {model}: {text}");
        assert!(!text.contains("[DONE]"), "{path} {model}: {text}");
        let events = late.events();
        let last = events.last().unwrap();
        let told = last["error"]["message"] == "busy"
            || last["type"] == "error"
            || last["type"] == "response.failed";
        assert!(told, "{path} {model}: {last}");
    }
}

#[actix_web::test]
async fn attempts_go_on_behind_the_first_comments() {
    let mut busy = Script::default().then(Step::Pause(INTERVAL * 3));
    busy.steps.extend(status(503, &[]).steps);
    let good = Script::stream()
        .chunk(DELTA)
        .chunk(FINISH)
        .chunk(DONE)
        .end();
    let server = in_turn(vec![busy, good]);
    let answer = Gateway::start(lively(&server))
        .chat(hello("gpt-4o", true))
        .await;
    assert!(answer.text().starts_with(KEEPALIVE), "{}", answer.text());
    assert!(answer.text().ends_with(DONE), "{}", answer.text());
    assert_eq!(server.counts().requests, 2);
}

#[actix_web::test]
async fn without_keepalives_the_status_waits_for_the_first_event() {
    let mut late = Script::default().then(Step::Pause(INTERVAL * 4));
    late.steps.extend(status(400, &[]).steps);
    let server = in_turn(vec![late]);
    let mut config = config(&server);
    config.server.keepalive = Duration::ZERO;
    let answer = Gateway::start(config).chat(hello("gpt-4o", true)).await;
    assert_eq!(answer.status, 400);
}

#[actix_web::test]
async fn readyz_fails_as_soon_as_it_is_told_to_stop() {
    let server = scripted::all_providers().unwrap();
    let gateway = gateway(&server);
    let ready = gateway.get("/readyz", None).await;
    assert_eq!(
        (ready.status, ready.json()),
        (200, json!({"status": "ready"}))
    );
    gateway.shutdown.go_to(Stage::Stopping);
    let ready = gateway.get("/readyz", None).await;
    assert_eq!(
        (ready.status, ready.json()),
        (503, json!({"status": "stopping"}))
    );
    assert_eq!(gateway.get("/healthz", None).await.status, 200, "it lives");
    assert_eq!(server.counts().requests, 0, "no provider is asked");
}

#[actix_web::test]
async fn a_request_has_one_id_everywhere() {
    let server = in_turn(vec![
        status(400, &[("x-request-id", "theirs-1")]),
        completion(),
    ]);
    let gateway = gateway(&server);
    let ask = async |id: &str| {
        let body = hello("gpt-4o", false).to_string();
        let headers = [("x-request-id", id)];
        gateway
            .send("/v1/chat/completions", Some("k"), &headers, body)
            .await
    };
    let answer = ask("mine.1:a_b-c").await;
    assert_eq!(answer.header("x-request-id"), Some("mine.1:a_b-c"));
    assert_eq!(answer.header("x-upstream-request-id"), Some("theirs-1"));
    let sent = server.requests();
    assert_eq!(sent[0].header("x-request-id"), Some("mine.1:a_b-c"));
    let long = "x".repeat(129);
    for bad in ["", "two words", "a\"b", long.as_str()] {
        let answer = ask(bad).await;
        let made = answer.header("x-request-id").unwrap().to_owned();
        assert_eq!(made.len(), 32, "{bad:?} is replaced by {made}");
        let sent = server.requests();
        assert_eq!(
            sent.last().unwrap().header("x-request-id"),
            Some(made.as_str())
        );
    }
    let mut made = Vec::new();
    for path in ["/healthz", "/nowhere", "/v1/models", "/"] {
        let answer = gateway.get(path, None).await;
        made.push(answer.header("x-request-id").unwrap().to_owned());
    }
    made.dedup();
    assert_eq!(made.len(), 4, "each has its own, whatever became of it");
}

/// The fields of a line of text.
fn fields(line: &str) -> Vec<(String, String)> {
    let (_, rest) = line.split_once("access] ").unwrap();
    rest.split(' ')
        .map(|field| {
            let (name, value) = field.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

fn usage_stream() -> Script {
    let usage = FINISH.replace("\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]", "\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":22,\"total_tokens\":33,\"prompt_tokens_details\":{\"cached_tokens\":5},\"completion_tokens_details\":{\"reasoning_tokens\":9}}");
    Script::stream()
        .chunk(DELTA)
        .chunk(FINISH)
        .chunk(usage)
        .chunk(DONE)
        .end()
}

#[actix_web::test]
async fn each_request_leaves_one_line() {
    let server = Scripted::start(|request: &ReceivedRequest| {
        let body = request.json();
        match body["model"].as_str() {
            Some("cut") => Script::stream().chunk(DELTA).then(Step::Close),
            Some("refused") => status(
                429,
                &[("x-should-retry", "false"), ("x-request-id", "up-9")],
            ),
            _ if body["stream"] == true => usage_stream(),
            _ => completion(),
        }
    })
    .unwrap();
    for format in ["text", "json"] {
        let mut served = Served::before(
            &server,
            &[
                ("LOG_FORMAT", format),
                ("UPSTREAM_MAX_RETRIES", "0"),
                ("ACCESS_LOG", "all"),
            ],
        );
        let mut asked = Vec::new();
        for (n, (method, path, body, expected)) in [
            ("POST", "/v1/chat/completions", Some(hello("gpt-4o", false)), json!({"status": 200, "model": "gpt-4o", "provider": "openai", "stream": false, "attempts": 1})),
            ("POST", "/v1/chat/completions", Some({
                let mut body = hello("gpt-4o", true);
                body["stream_options"] = json!({"include_usage": true});
                body
            }), json!({"status": 200, "stream": true, "prompt_tokens": 11, "completion_tokens": 22, "cached_tokens": 5, "reasoning_tokens": 9})),
            ("POST", "/v1/chat/completions", Some(hello("cut", true)), json!({"status": 200, "error": "upstream_stream_truncated"})),
            ("POST", "/v1/chat/completions", Some(hello("refused", false)), json!({"status": 429, "error": "provider_error", "attempts": 1, "upstream_request_id": "up-9"})),
            ("POST", "/v1/chat/completions", Some(json!({})), json!({"status": 400, "error": "missing_required_parameter"})),
            ("GET", "/nowhere", None, json!({"status": 404, "error": "unknown_url"})),
            ("GET", "/healthz", None, json!({"status": 200})),
            ("GET", "/readyz", None, json!({"status": 200})),
        ]
        .into_iter()
        .enumerate()
        {
            let id = format!("line-{format}-{n}");
            let url = format!("{}{path}?key=hidden", served.url());
            let request = client()
                .request(method.parse().unwrap(), url)
                .bearer_auth("k")
                .content_type("application/json")
                .insert_header(("x-request-id", id.as_str()));
            let sent = match body {
                Some(body) => request.send_body(body.to_string()).await,
                None => request.send().await,
            };
            Answer::read(sent.unwrap()).await;
            let line = served.log_until(&id);
            assert!(!line.contains("hidden"), "{line}");
            let had: Value = if format == "json" {
                serde_json::from_str(&line).unwrap()
            } else {
                let number = |value: &String| value.parse::<u64>().map(Value::from);
                let flag = |value: &String| value.parse::<bool>().map(Value::from);
                fields(&line)
                    .iter()
                    .map(|(name, value)| {
                        let value = number(value).ok().or_else(|| flag(value).ok());
                        let text = fields(&line).iter().find(|(had, _)| had == name).unwrap().1.clone();
                        (name.clone(), value.unwrap_or(Value::String(text)))
                    })
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            };
            let mut expected = expected.as_object().unwrap().clone();
            expected.insert("method".into(), json!(method));
            expected.insert("path".into(), json!(path));
            expected.insert("request_id".into(), json!(id));
            for (name, value) in &expected {
                assert_eq!(&had[name], value, "{name} in {line}");
            }
            assert!(had["total_ms"].is_u64(), "{line}");
            for phase in ["receive_ms", "wait_ms", "pause_ms"] {
                assert_eq!(had[phase].is_u64(), had.get("provider").is_some(), "{phase} in {line}");
            }
            asked.push(id);
        }
        served.signal("TERM");
        let (_, log) = served.end();
        for id in asked {
            let lines = log.lines().filter(|line| line.contains(&id)).count();
            assert_eq!(lines, 1, "{id} has {lines} lines");
        }
        if format == "json" {
            for line in log.lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                assert!(
                    line["time"].is_string() && line["level"].is_string(),
                    "{line}"
                );
            }
        }
    }
    let served = Served::before(&server, &[("ACCESS_LOG", "false")]);
    let answer = client()
        .get(format!("{}/healthz", served.url()))
        .send()
        .await;
    assert_eq!(answer.unwrap().status(), 200);
    served.signal("TERM");
    let (_, log) = served.end();
    assert!(!log.contains("/healthz"), "{log}");
}

#[actix_web::test]
async fn the_counters_count() {
    let server = in_turn(vec![
        status(503, &[]),
        completion(),
        usage_stream(),
        status(400, &[]),
    ]);
    let gateway = gateway(&server);
    gateway.chat(hello("gpt-4o", false)).await;
    gateway.chat(hello("gpt-4o", true)).await;
    gateway.chat(hello("gpt-4o", false)).await;
    gateway.get("/nowhere", None).await;
    let text = gateway.get("/metrics", Some("metrics-key")).await;
    let chat = "endpoint=\"/v1/chat/completions\",provider=\"openai\"";
    for line in [
        format!("gateway_requests_total{{{chat},status=\"200\"}} 2"),
        format!("gateway_requests_total{{{chat},status=\"400\"}} 1"),
        "gateway_requests_total{endpoint=\"\",provider=\"\",status=\"404\"} 1".to_owned(),
        "gateway_attempts_total{provider=\"openai\",outcome=\"ok\"} 2".to_owned(),
        "gateway_attempts_total{provider=\"openai\",outcome=\"provider_error\"} 2".to_owned(),
        "gateway_errors_total{provider=\"openai\",reason=\"provider_error\"} 1".to_owned(),
        "gateway_errors_total{provider=\"\",reason=\"unknown_url\"} 1".to_owned(),
        "gateway_tokens_total{provider=\"openai\",kind=\"prompt\"} 11".to_owned(),
        "gateway_tokens_total{provider=\"openai\",kind=\"completion\"} 22".to_owned(),
        "gateway_tokens_total{provider=\"openai\",kind=\"cached\"} 5".to_owned(),
        "gateway_tokens_total{provider=\"openai\",kind=\"reasoning\"} 9".to_owned(),
        format!("gateway_request_duration_seconds_count{{{chat}}} 3"),
        format!("gateway_first_byte_seconds_count{{{chat}}} 2"),
        "gateway_requests_in_flight 1".to_owned(),
        "gateway_in_flight{provider=\"openai\"} 0".to_owned(),
        "gateway_waiting{provider=\"openai\"} 0".to_owned(),
        "gateway_circuit{provider=\"openai\"} 0".to_owned(),
        format!(
            "gateway_build_info{{version=\"{}\"}} 1",
            env!("CARGO_PKG_VERSION")
        ),
        "# EOF".to_owned(),
    ] {
        assert!(
            text.text().lines().any(|had| had == line),
            "{line} in {}",
            text.text()
        );
    }
    assert_eq!(gateway.get("/metrics", None).await.status, 401);
}

/// The spans that a collector was sent so far.
fn spans(collector: &Scripted) -> Vec<Value> {
    let mut out = Vec::new();
    for request in collector.requests() {
        assert_eq!(request.path, "/v1/traces");
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert_eq!(request.header("api-key"), Some("se cret"));
        let body = request.json();
        let resource = &body["resourceSpans"][0];
        let name = &resource["resource"]["attributes"][0];
        assert_eq!(
            *name,
            json!({"key": "service.name", "value": {"stringValue": "my gateway"}})
        );
        let of_scope = resource["scopeSpans"][0]["spans"].as_array().unwrap();
        out.extend(of_scope.iter().cloned());
    }
    out
}

fn attribute<'s>(span: &'s Value, key: &str) -> Option<&'s Value> {
    let attributes = span["attributes"].as_array().unwrap();
    let found = attributes
        .iter()
        .find(|attribute| attribute["key"] == key)?;
    found["value"].as_object().unwrap().values().next()
}

#[actix_web::test]
async fn traces_reach_the_collector_and_go_on_at_the_provider() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let collector = in_turn(vec![Script::whole(
        200,
        &[("content-type", "application/json")],
        "{}",
    )]);
    let server = in_turn(vec![status(503, &[]), usage_stream(), completion()]);
    let endpoint = collector.url();
    let served = Served::before(
        &server,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=se%20cret"),
            ("OTEL_SERVICE_NAME", "my gateway"),
            ("UPSTREAM_RETRY_BASE_DELAY_MS", "1"),
        ],
    );
    let url = format!("{}/v1/chat/completions", served.url());
    let ask = async |stream: bool, parent: Option<&str>| {
        let mut request = client()
            .post(&url)
            .bearer_auth("k")
            .content_type("application/json");
        if let Some(parent) = parent {
            request = request.insert_header(("traceparent", parent));
        }
        Answer::read(
            request
                .send_body(hello("xai/grok", stream).to_string())
                .await
                .unwrap(),
        )
        .await
    };
    let parent = format!("00-{TRACE}-b7ad6b7169203331-01");
    assert_eq!(ask(true, Some(&parent)).await.status, 200);
    let all = async {
        while spans(&collector).len() < 3 {
            actix_web::rt::task::yield_now().await;
        }
    };
    timeout(PATIENCE, all).await.unwrap();
    let all = spans(&collector);
    let of_request = all.iter().find(|span| span["kind"] == 2).unwrap();
    let attempts: Vec<_> = all.iter().filter(|span| span["kind"] == 3).collect();
    assert_eq!(attempts.len(), 2, "one span for each attempt");
    assert!(all.iter().all(|span| span["traceId"] == TRACE));
    assert_eq!(of_request["name"], "POST /v1/chat/completions");
    assert_eq!(of_request["parentSpanId"], "b7ad6b7169203331");
    assert_eq!(
        attribute(of_request, "http.response.status_code"),
        Some(&json!("200"))
    );
    let sent = server.requests();
    for (attempt, request) in attempts.iter().zip(&sent) {
        assert_eq!(attempt["parentSpanId"], of_request["spanId"]);
        assert_eq!(attempt["name"], "chat xai/grok");
        assert_eq!(
            attribute(attempt, "gen_ai.provider.name"),
            Some(&json!("x_ai"))
        );
        assert_eq!(
            attribute(attempt, "gen_ai.operation.name"),
            Some(&json!("chat"))
        );
        assert_eq!(
            attribute(attempt, "gen_ai.request.model"),
            Some(&json!("xai/grok"))
        );
        let span = attempt["spanId"].as_str().unwrap();
        let told = format!("00-{TRACE}-{span}-01");
        assert_eq!(request.header("traceparent"), Some(told.as_str()));
        let time = |name: &str| attempt[name].as_str().unwrap().parse::<u128>().unwrap();
        assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"));
    }
    assert_eq!(attempts[0]["status"], json!({"code": 2}));
    assert_eq!(
        attribute(attempts[0], "error.type"),
        Some(&json!("provider_error"))
    );
    assert_eq!(attempts[1].get("status"), None);
    assert_eq!(
        attribute(attempts[1], "gen_ai.usage.input_tokens"),
        Some(&json!("11"))
    );
    assert_eq!(
        attribute(attempts[1], "gen_ai.usage.output_tokens"),
        Some(&json!("22"))
    );
    assert!(
        attribute(attempts[1], "gen_ai.response.time_to_first_chunk")
            .unwrap()
            .is_f64()
    );

    // One that the caller does not keep is not kept here, and goes on as it came.
    let unkept = parent.replace("-01", "-00");
    ask(false, Some(&unkept)).await;
    assert_eq!(
        server.requests().last().unwrap().header("traceparent"),
        Some(unkept.as_str())
    );
    // The last spans leave before the process does.
    ask(false, None).await;
    served.signal("TERM");
    let (code, log) = served.end();
    assert_eq!(code, Some(0));
    assert_eq!(
        spans(&collector).len(),
        5,
        "two more of the last request, none of the unkept"
    );
    assert!(!log.contains("se cret"), "{log}");
}

#[actix_web::test]
async fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let server = in_turn(vec![completion()]);
    let mut served = Served::before(
        &server,
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())],
    );
    let url = format!("{}/v1/chat/completions", served.url());
    let request = client()
        .post(&url)
        .bearer_auth("k")
        .content_type("application/json");
    let answer = request
        .send_body(hello("gpt-4o", false).to_string())
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    served.log_until("the collector of traces did not take spans: it cannot be reached");
    let metrics = client()
        .get(format!("{}/metrics", served.url()))
        .bearer_auth("k");
    let metrics = Answer::read(metrics.send().await.unwrap()).await;
    let lost = metrics
        .text()
        .lines()
        .find(|line| line.starts_with("gateway_spans_lost_total"))
        .unwrap();
    assert_ne!(lost, "gateway_spans_lost_total 0");
}

#[actix_web::test]
async fn a_caller_who_leaves_is_counted_as_one() {
    let server = in_turn(vec![Script::default().then(Step::Hang)]);
    let gateway = gateway(&server);
    let caller = crate::rig::faults::open(&gateway, &hello("gpt-4o", false)).await;
    until(&server, "the call", |counts| counts.requests == 1).await;
    drop(caller);
    let counted = async {
        loop {
            let text = gateway.get("/metrics", Some("metrics-key")).await;
            if text.text().contains("status=\"499\"} 1") {
                return text;
            }
        }
    };
    let text = timeout(PATIENCE, counted).await.unwrap();
    let line = "gateway_errors_total{provider=\"openai\",reason=\"client_left\"} 1";
    assert!(text.text().contains(line), "{}", text.text());
}
