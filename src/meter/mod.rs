//! Counters, and their text for Prometheus.

use std::fmt::Write as _;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::dialect::Report;

/// Counts what the gateway did. Shared by all threads; each counter is an atomic of its own.
pub struct Meter {
    registry: Registry,
    params: Family<Param, Counter>,
    repairs: Family<Of, Counter>,
    broken: Family<Broken, Counter>,
    retried: Family<Second, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Param {
    provider: &'static str,
    /// `dropped` or `changed`.
    effect: &'static str,
    param: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    provider: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Broken {
    provider: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Second {
    provider: &'static str,
    reason: &'static str,
}

/// Names that have a counter of their own. Clients choose the names of what they send: all others
/// are counted together, so that nobody can make counters without end.
const PARAMS: [&str; 62] = [
    "cache_control",
    "frequency_penalty",
    "function_call",
    "functions",
    "include",
    "input",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens",
    "max_tool_calls",
    "messages",
    "messages.annotations",
    "messages.audio",
    "messages.cache_control",
    "messages.extra_content",
    "messages.name",
    "messages.prefill",
    "messages.reasoning",
    "messages.reasoning_content",
    "messages.reasoning_details",
    "messages.refusal",
    "messages.role",
    "messages.tool_calls",
    "messages.tool_calls.extra_content",
    "metadata",
    "modalities",
    "moderation",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "reasoning.context",
    "reasoning.effort",
    "reasoning.mode",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "search_parameters",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream_options",
    "temperature",
    "text.format",
    "text.verbosity",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
    "verbosity",
    "web_search_options",
    "n",
];

impl Meter {
    /// All counters at 0.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("gateway");
        let params = Family::default();
        let repairs = Family::default();
        let broken = Family::default();
        let retried = Family::default();
        registry.register(
            "translation_params",
            "Parameters of requests that were left out (dropped) or put otherwise (changed)",
            params.clone(),
        );
        registry.register(
            "stream_repairs",
            "Events of providers' streams that broke the contract and were repaired",
            repairs.clone(),
        );
        registry.register(
            "streams_broken",
            "Streams that ended with an error event",
            broken.clone(),
        );
        registry.register(
            "second_tries",
            "Requests sent once more in another form after a refusal whose reason is known",
            retried.clone(),
        );
        Self {
            registry,
            params,
            repairs,
            broken,
            retried,
        }
    }

    /// Counts what a translation did to a request.
    pub fn report(&self, provider: &'static str, report: &Report) {
        for (effect, names) in [("dropped", &report.dropped), ("changed", &report.changed)] {
            for name in names {
                let param = param(name);
                self.params
                    .get_or_create(&Param {
                        provider,
                        effect,
                        param,
                    })
                    .inc();
            }
        }
    }

    /// Counts events that were repaired.
    pub fn repaired(&self, provider: &'static str, events: u64) {
        if events > 0 {
            self.repairs.get_or_create(&Of { provider }).inc_by(events);
        }
    }

    /// Counts a stream that ended with an error. `code` is one of the gateway's own.
    pub fn broken(&self, provider: &'static str, code: &'static str) {
        self.broken.get_or_create(&Broken { provider, code }).inc();
    }

    /// Counts a request that was sent once more in another form.
    pub fn second_try(&self, provider: &'static str, reason: &'static str) {
        self.retried
            .get_or_create(&Second { provider, reason })
            .inc();
    }

    /// All counters in the `OpenMetrics` text format 1.0.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        if encode(&mut out, &self.registry).is_err() {
            out.clear();
            let _ = writeln!(out, "# EOF");
        }
        out
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

/// The name under which a parameter is counted.
fn param(name: &str) -> &'static str {
    let mut plain = String::with_capacity(name.len());
    let mut inside = false;
    for c in name.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ if inside => {}
            c => plain.push(c),
        }
    }
    let known = |name: &str| PARAMS.iter().find(|known| **known == name).copied();
    let first = plain.split('.').next().unwrap_or_default();
    known(&plain).or_else(|| known(first)).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_clients_make_no_counters() {
        assert_eq!(param("seed"), "seed");
        assert_eq!(param("tools[3].function.parameters"), "tools");
        assert_eq!(
            param("messages.tool_calls.extra_content"),
            "messages.tool_calls.extra_content"
        );
        assert_eq!(param("x\"}\n"), "other");
    }

    #[test]
    fn what_was_done_is_counted() {
        let meter = Meter::new();
        let report = Report {
            dropped: vec!["seed".to_owned()],
            changed: vec!["tools[0].function.parameters".to_owned()],
        };
        meter.report("groq", &report);
        meter.report("groq", &report);
        meter.repaired("xai", 3);
        meter.broken("xai", "upstream_stream_truncated");
        let text = meter.text();
        for line in [
            "gateway_translation_params_total{provider=\"groq\",effect=\"dropped\",param=\"seed\"} 2",
            "gateway_translation_params_total{provider=\"groq\",effect=\"changed\",param=\"tools\"} 2",
            "gateway_stream_repairs_total{provider=\"xai\"} 3",
            "gateway_streams_broken_total{provider=\"xai\",code=\"upstream_stream_truncated\"} 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|had| had == line), "{line} in {text}");
        }
    }
}
