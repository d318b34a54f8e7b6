//! Converts reasoning effort to what each model family accepts. Pure.

use std::borrow::Cow;

use serde_json::json;

use super::family::{Family, Thinks};
use crate::codec::json::{self, Object, Raw, raw};
use crate::dialect::common::report::TranslationReport;
use crate::error::Error;

/// Thinking tokens for each effort level, for families with a budget. `max` is not listed; it gets
/// four fifths of the family's output limit.
const BUDGETS: [(&str, u64); 5] = [
    ("minimal", 1024),
    ("low", 2048),
    ("medium", 8192),
    ("high", 24_576),
    ("xhigh", 32_768),
];

/// Smallest budget that the provider accepts, in tokens.
const MIN_BUDGET: u64 = 1024;

/// The client's `reasoning_effort` or `reasoning`.
pub(super) struct Effort {
    pub word: String,
    /// Thinking tokens, if the client gave a number.
    budget: Option<u64>,
    /// Whether the thinking is to be left out of the response.
    hidden: bool,
    /// The parameter that it was read from.
    pub name: &'static str,
}

pub(super) fn read_effort(
    fields: &mut Object<'_>,
    report: &mut TranslationReport,
) -> Result<Option<Effort>, Error> {
    const WORDS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
    let mut effort = None;
    for name in ["reasoning_effort", "reasoning"] {
        let Some(value) = fields.take(name) else {
            continue;
        };
        if effort.is_some() {
            report.dropped.push(name.to_owned());
            continue;
        }
        if value.get().starts_with('"') {
            effort = Some(Effort {
                word: json::text(&value, &name)?.into_owned(),
                budget: None,
                hidden: false,
                name,
            });
        } else {
            let mut object = json::object(&value, &name)
                .map_err(|_| Error::wrong_type(name, "a string or an object"))?;
            let at = format!("{name}.");
            let word: Option<String> = object.read(&at, "effort")?;
            let budget: Option<u64> = object.read(&at, "max_tokens")?;
            let hidden = object.read(&at, "exclude")?.unwrap_or(false);
            let enabled = object.read::<bool>(&at, "enabled")?;
            let summary: Option<String> = object.read(&at, "summary")?;
            // The provider has one kind of summary only.
            if summary.is_some_and(|summary| summary != "auto") {
                report.changed.push(format!("{name}.summary"));
            }
            report.drop_members(&object, name);
            let by_budget = budget.map(|n| match n {
                0..=2048 => "low",
                2049..=8192 => "medium",
                8193..=24_576 => "high",
                _ => "xhigh",
            });
            let by_switch = enabled.map(|on| if on { "medium" } else { "none" });
            let word = word.or_else(|| by_budget.or(by_switch).map(str::to_owned));
            effort = word.map(|word| Effort {
                word,
                budget,
                hidden,
                name,
            });
        }
        if let Some(Effort { word, .. }) = &effort
            && !WORDS.contains(&word.as_str())
        {
            return Err(Error::invalid(
                name,
                format!("'{word}' is none of {}.", WORDS.join(", ")),
            ));
        }
    }
    Ok(effort)
}

/// How a request sets thinking and effort.
pub(super) struct Plan<'a> {
    pub thinking: Option<Raw<'a>>,
    pub effort: Option<&'static str>,
}

/// Converts what the client asked for to what the family accepts.
pub(super) fn plan_thinking<'a>(
    fields: &mut Object<'a>,
    family: &Family,
    effort: Option<&Effort>,
    max_tokens: u64,
    report: &mut TranslationReport,
) -> Result<Plan<'a>, Error> {
    let hidden = effort.is_some_and(|effort| effort.hidden);
    let adaptive = || {
        let display = if hidden { "omitted" } else { "summarized" };
        Some(Cow::Owned(raw(
            &json!({"type": "adaptive", "display": display}),
        )))
    };
    let word = effort.map(|effort| effort.word.as_str());
    if let Some(word) = word.filter(|word| *word != "none")
        && family.effort(word).is_some_and(|effort| effort != word)
    {
        report.changed.push("reasoning_effort".to_owned());
    }
    if let Some(own) = fields.take("thinking") {
        let kind: Option<String> = json::object(&own, &"thinking")?.read("thinking.", "type")?;
        let kind = kind.unwrap_or_default();
        let effort = word.filter(|w| *w != "none").and_then(|w| family.effort(w));
        if family.types.is_empty() || family.types.contains(&kind.as_str()) {
            return Ok(Plan {
                thinking: Some(own),
                effort,
            });
        }
        report.changed.push("thinking".to_owned());
        if kind != "disabled" {
            return Ok(Plan {
                thinking: adaptive(),
                effort,
            });
        }
        return Ok(no_thinking(family, "thinking", report));
    }
    let plan = match word {
        None if family.types.is_empty() || family.thinks == Thinks::WhenAsked => Plan {
            thinking: None,
            effort: None,
        },
        // Families that think by default return no readable thinking unless a summary is requested.
        None => Plan {
            thinking: adaptive(),
            effort: None,
        },
        Some("none") => no_thinking(family, "reasoning_effort", report),
        Some(word) if family.budgeted() => {
            let wanted = effort.and_then(|effort| effort.budget).unwrap_or_else(|| {
                BUDGETS
                    .iter()
                    .find(|(known, _)| *known == word)
                    .map_or(family.max_output / 5 * 4, |(_, tokens)| *tokens)
            });
            let budget = wanted.min(max_tokens.saturating_sub(1));
            let thinking = (budget >= MIN_BUDGET)
                .then(|| Cow::Owned(raw(&json!({"type": "enabled", "budget_tokens": budget}))));
            if thinking.is_none() {
                report.dropped.push("reasoning_effort".to_owned());
            } else if budget < wanted {
                report.changed.push("reasoning_effort".to_owned());
            }
            Plan {
                thinking,
                effort: family.effort(word),
            }
        }
        Some(word) => {
            if effort.is_some_and(|effort| effort.budget.is_some()) {
                report.changed.push("reasoning_effort".to_owned());
            }
            Plan {
                thinking: if family.types.is_empty() {
                    None
                } else {
                    adaptive()
                },
                effort: family.effort(word),
            }
        }
    };
    Ok(plan)
}

/// Turns thinking off, as far as the family allows it.
fn no_thinking<'a>(family: &Family, asked_by: &str, report: &mut TranslationReport) -> Plan<'a> {
    let kind = match family.thinks {
        Thinks::WhenAsked => None,
        Thinks::Unless if family.types.contains(&"between_tools") => Some("between_tools"),
        Thinks::Unless => Some("disabled"),
        Thinks::Always => {
            report.dropped.push(asked_by.to_owned());
            return Plan {
                thinking: None,
                effort: Some("low"),
            };
        }
    };
    Plan {
        thinking: kind.map(|kind| Cow::Owned(raw(&json!({ "type": kind })))),
        effort: None,
    }
}
