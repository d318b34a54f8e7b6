//! Decodes a provider's response object into a hub response. Pure.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::items::is_of_hosted_tool;
use crate::codec::json::{Object, fields, raw};
use crate::dialect::common::error_in_success::error_member;
use crate::dialect::common::provider_error::position_of;
use crate::dialect::common::reasoning_format;
use crate::dialect::hub::{FinishReason, Piece, ReasoningDetail, Response, ToolCall, Usage};
use crate::error::ProviderError;

/// The response object, with the fields that are needed here.
#[derive(Deserialize)]
pub(super) struct WireResponse {
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub model: Option<String>,
    #[serde(default)]
    pub created_at: Option<f64>,
    #[serde(default)]
    pub status: Option<String>,
    #[serde(default)]
    pub error: Option<Box<RawValue>>,
    #[serde(default)]
    pub incomplete_details: Option<Incomplete>,
    #[serde(default)]
    pub output: Vec<Lenient<Item>>,
    #[serde(default)]
    pub usage: Option<WireUsage>,
    #[serde(default)]
    pub service_tier: Option<String>,
}

/// A field that is `None` if it has another shape. Other events and items use the same name for
/// values that are not needed here.
pub(super) struct Lenient<T>(pub Option<T>);

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(serde_json::from_str(text.get()).ok()))
    }
}

#[derive(Deserialize)]
pub(super) struct Incomplete {
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Item {
    #[serde(rename = "type", default)]
    pub kind: String,
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub call_id: Option<String>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub arguments: Option<String>,
    #[serde(default)]
    pub encrypted_content: Option<String>,
    #[serde(default)]
    summary: Option<Vec<Part>>,
    #[serde(default)]
    content: Option<Vec<Part>>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    annotations: Option<Vec<Box<RawValue>>>,
    #[serde(default)]
    logprobs: Option<Vec<Box<RawValue>>>,
}

#[derive(Deserialize)]
pub(super) struct WireUsage {
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
    #[serde(default)]
    input_tokens_details: Option<Details>,
    #[serde(default)]
    output_tokens_details: Option<Details>,
}

#[derive(Default, Deserialize)]
struct Details {
    #[serde(default)]
    cached_tokens: Option<u64>,
    #[serde(default)]
    cache_write_tokens: Option<u64>,
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

impl From<WireUsage> for Usage {
    fn from(wire: WireUsage) -> Self {
        let of_input = wire.input_tokens_details.unwrap_or_default();
        let of_output = wire.output_tokens_details.unwrap_or_default();
        Self {
            prompt: wire.input_tokens,
            completion: wire.output_tokens,
            cached: of_input.cached_tokens.unwrap_or(0),
            cache_write: of_input.cache_write_tokens.unwrap_or(0),
            reasoning: of_output.reasoning_tokens.unwrap_or(0),
        }
    }
}

impl Item {
    /// The encrypted reasoning of a reasoning item; `None` if it has none.
    pub(super) fn detail(&self, index: u64) -> Option<ReasoningDetail> {
        Some(ReasoningDetail {
            kind: "reasoning.encrypted".to_owned(),
            text: None,
            signature: None,
            data: Some(self.encrypted_content.clone()?),
            format: Some(reasoning_format::RESPONSES.to_owned()),
            id: self.id.clone(),
            index,
        })
    }

    /// The text and the refusal of a message.
    pub(super) fn said(&self) -> (Option<String>, Option<String>) {
        let parts = || self.content.iter().flatten();
        let text: String = parts().filter_map(|part| part.text.as_deref()).collect();
        let refusal: String = parts().filter_map(|part| part.refusal.as_deref()).collect();
        let some = |text: String| (!text.is_empty()).then_some(text);
        (some(text), some(refusal))
    }

    /// The readable reasoning.
    pub(super) fn thought(&self) -> String {
        let texts: Vec<_> = [&self.summary, &self.content]
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|part| part.text.clone())
            .collect();
        texts.join("\n\n")
    }
}

/// The finish reason. The second value is the provider's own reason, if it says more.
pub(super) fn finish(response: &WireResponse, called: bool) -> (FinishReason, Option<String>) {
    let reason = response
        .incomplete_details
        .as_ref()
        .and_then(|details| details.reason.as_deref());
    match (response.status.as_deref(), reason) {
        (Some("incomplete") | None, Some("content_filter")) => (FinishReason::ContentFilter, None),
        (Some("incomplete") | None, Some("max_output_tokens")) | (Some("incomplete"), None) => {
            (FinishReason::Length, None)
        }
        (Some("incomplete") | None, Some(other)) => (FinishReason::Length, Some(other.to_owned())),
        _ if called => (FinishReason::ToolCalls, None),
        _ => (FinishReason::Stop, None),
    }
}

/// What is wrong with the status of a response that should have ended; `None` if nothing is.
pub(super) fn unfinished(response: &WireResponse) -> Option<&'static str> {
    match response.status.as_deref() {
        None | Some("completed" | "incomplete") => None,
        Some("failed") => Some("it failed"),
        Some("cancelled") => Some("it was cancelled"),
        Some("queued" | "in_progress") => Some("it is not finished"),
        Some(_) => Some("its status is not known"),
    }
}

/// Converts a citation to the nested shape of Chat Completions.
pub(super) fn nested_annotation(flat: &RawValue) -> Option<Box<RawValue>> {
    let mut flat: Object<'_> = serde_json::from_str(flat.get()).ok()?;
    let kind = flat.take("type")?;
    // Chat Completions has citations of web pages only.
    (kind.get() == "\"url_citation\"")
        .then(|| raw(&fields!({"type": "url_citation", "url_citation": flat})))
}

/// Decodes a whole response.
pub(super) fn answer(body: &[u8]) -> Result<Response, String> {
    let response: WireResponse = serde_json::from_slice(body)
        .map_err(|error| format!("it is no response ({})", position_of(&error)))?;
    if response.status.as_deref() == Some("failed") {
        #[derive(Deserialize)]
        struct Failure {
            #[serde(default)]
            code: Lenient<String>,
        }
        let code = response
            .error
            .and_then(|error| serde_json::from_str::<Failure>(error.get()).ok()?.code.0);
        let code = code.filter(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        return Err(format!(
            "it failed ({})",
            code.as_deref().unwrap_or("error")
        ));
    }
    if let Some(reason) = unfinished(&response) {
        return Err(reason.to_owned());
    }
    let mut out = Response::empty(FinishReason::Stop);
    let mut thoughts = Vec::new();
    let mut probable: Vec<Box<RawValue>> = Vec::new();
    let mut strange = false;
    for (index, item) in (0_u64..).zip(&response.output) {
        let Some(item) = &item.0 else {
            continue;
        };
        match item.kind.as_str() {
            "reasoning" => {
                thoughts.push(item.thought());
                if let Some(detail) = item.detail(index) {
                    out.sequence.add(Piece::ReasoningDetail);
                    out.details.push(detail);
                }
            }
            "message" => {
                for part in item.content.iter().flatten() {
                    match part.kind.as_str() {
                        "refusal" => out
                            .refusal
                            .get_or_insert_default()
                            .push_str(part.refusal.as_deref().unwrap_or_default()),
                        _ => {
                            let text = part.text.as_deref().unwrap_or_default();
                            out.sequence.add(Piece::Text(text.len()));
                            out.text.get_or_insert_default().push_str(text);
                        }
                    }
                    let annotations = part.annotations.iter().flatten();
                    out.annotations
                        .extend(annotations.filter_map(|flat| nested_annotation(flat)));
                    probable.extend(part.logprobs.iter().flatten().cloned());
                }
            }
            "function_call" => {
                out.sequence.add(Piece::Call);
                out.tool_calls.push(ToolCall {
                    id: item.call_id.clone().ok_or("a call in it has no id")?,
                    name: item.name.clone().ok_or("a call in it has no name")?,
                    arguments: item
                        .arguments
                        .clone()
                        .filter(|text| !text.trim().is_empty())
                        .unwrap_or_else(|| "{}".to_owned()),
                    extra: None,
                });
            }
            hosted if is_of_hosted_tool(hosted) => {}
            _ => strange = true,
        }
    }
    thoughts.retain(|text| !text.is_empty());
    out.reasoning = (!thoughts.is_empty()).then(|| thoughts.join("\n\n"));
    if !probable.is_empty() {
        out.logprobs = Some(raw(&fields!({"content": probable, "refusal": None::<()>})));
    }
    (out.finish, out.native_finish) = finish(&response, !out.tool_calls.is_empty());
    let says = out.text.is_some() || out.refusal.is_some();
    if strange && !says && out.finish == FinishReason::Stop {
        return Err(NOTHING_KNOWN.to_owned());
    }
    out.id = response.id;
    out.model = response.model;
    out.created = response.created_at.and_then(seconds);
    out.usage = response.usage.map(Usage::from);
    out.service_tier = response.service_tier;
    Ok(out)
}

/// The error for a complete response that has items of unknown types only.
pub(super) const NOTHING_KNOWN: &str = "it has no item of a type that is known";

/// Converts a time, which may have decimals, to whole seconds.
pub(super) fn seconds(at: f64) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time after 1970, and its fraction is left out on purpose"
    )]
    let whole = (at.is_finite() && at > 0.0).then_some(at as u64);
    whole
}

/// The error of a whole response whose status is `failed`.
pub(super) fn failure(body: &[u8]) -> Option<ProviderError> {
    #[derive(Deserialize)]
    struct Failed {
        status: String,
        error: Box<RawValue>,
    }
    let Failed { status, error } = serde_json::from_slice(body).ok()?;
    (status == "failed" && error.get() != "null").then(|| error_member(&error))
}
