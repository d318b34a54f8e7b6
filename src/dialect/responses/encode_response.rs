//! Encodes a hub response as a response object. Pure.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::client::ResponsesClient;
use super::tools::ClientTool;
use super::wire::SEALED;
use super::wire::{
    Choice, Failure, Incomplete, Item, Metadata, Number, Part, Reasoning, WireResponse, WireUsage,
};
use crate::codec::json::{Object, fields, raw};
use crate::dialect::common::fence::without_fence;
use crate::dialect::common::reasoning_format;
use crate::dialect::hub::{FinishReason, Piece, ReasoningDetail, Response, Usage};
use crate::error::Error;

/// Generates the ids of the items of one response.
#[derive(Default)]
pub(super) struct Ids {
    items: u64,
}

impl Ids {
    pub(super) fn next(&mut self, client: &ResponsesClient, prefix: &str) -> String {
        self.items += 1;
        client.stamp.id(prefix, self.items)
    }
}

/// What differs between the states of a response.
pub(super) struct State<'a> {
    pub id: &'a str,
    pub model: &'a str,
    pub created: u64,
    pub status: &'static str,
    pub error: Option<Failure<'a>>,
    pub incomplete: Option<&'static str>,
    pub output: &'a [&'a Item],
    pub usage: Option<Usage>,
    pub service_tier: Option<&'a str>,
    pub finished: bool,
}

/// Encodes the response object in one of its states.
pub(super) fn response(client: &ResponsesClient, state: State<'_>) -> Box<RawValue> {
    let echo = &client.echo;
    let asked = echo.service_tier.as_deref().filter(|tier| *tier != "auto");
    let tier = state.service_tier.or(asked).unwrap_or("default");
    raw(&WireResponse {
        id: state.id,
        object: "response",
        created_at: state.created,
        status: state.status,
        background: false,
        error: state.error,
        incomplete_details: state.incomplete.map(|reason| Incomplete { reason }),
        instructions: echo.instructions.as_deref(),
        max_output_tokens: echo.max_output_tokens,
        max_tool_calls: echo.max_tool_calls,
        model: state.model,
        output: state.output,
        parallel_tool_calls: echo.parallel_tool_calls,
        previous_response_id: None,
        reasoning: Reasoning {
            effort: echo.effort.as_deref(),
            summary: echo.summary.as_deref(),
        },
        service_tier: tier,
        store: false,
        temperature: echo
            .temperature
            .as_deref()
            .map_or(Number::Default(1), Number::Given),
        text: &echo.text,
        tool_choice: echo
            .tool_choice
            .as_deref()
            .map_or(Choice::Default("auto"), Choice::Given),
        tools: &echo.tools,
        top_logprobs: echo.top_logprobs,
        top_p: echo
            .top_p
            .as_deref()
            .map_or(Number::Default(1), Number::Given),
        truncation: echo.truncation.as_deref().unwrap_or("disabled"),
        metadata: echo
            .metadata
            .as_deref()
            .map_or(Metadata::Empty {}, Metadata::Given),
        user: echo.user.as_deref(),
        usage: state.usage.map(WireUsage::from),
        completed_at: state.finished.then(|| (client.stamp.now)()),
    })
}

/// The status of a finished response, and the reason if it is incomplete.
pub(super) fn outcome(finish: FinishReason, refused: bool) -> (&'static str, Option<&'static str>) {
    match finish {
        FinishReason::Length => ("incomplete", Some("max_output_tokens")),
        FinishReason::ContentFilter if !refused => ("incomplete", Some("content_filter")),
        FinishReason::Stop | FinishReason::ToolCalls | FinishReason::ContentFilter => {
            ("completed", None)
        }
    }
}

/// The fields of an `error` event, twice: flat as in the specification, and nested where SDKs look
/// for them.
pub(super) fn error_fields(error: &Error) -> Object<'static> {
    fields!({
        "code": failure_code(error),
        "message": error.to_string(),
        "param": error.param(),
        "error": fields!({
            "type": error.kind(),
            "code": error.code(),
            "message": error.to_string(),
            "param": error.param(),
        }),
    })
}

/// The error code of a failed response, from the specification's closed list.
pub(super) fn failure_code(error: &Error) -> &'static str {
    match error.status() {
        429 => "rate_limit_exceeded",
        400 | 413 | 422 => "invalid_prompt",
        _ => "server_error",
    }
}

/// A call under the client's name of its tool, without arguments.
pub(super) fn call_item(
    client: &ResponsesClient,
    ids: &mut Ids,
    call_id: String,
    function: &str,
    status: &'static str,
) -> Item {
    let own = client
        .names
        .own(function)
        .cloned()
        .unwrap_or_else(|| ClientTool {
            name: function.to_owned(),
            ..ClientTool::default()
        });
    if own.custom {
        Item::CustomToolCall {
            id: ids.next(client, "ctc_"),
            status,
            call_id,
            namespace: own.namespace,
            name: own.name,
            input: String::new(),
            arguments: String::new(),
        }
    } else {
        Item::FunctionCall {
            id: ids.next(client, "fc_"),
            status,
            call_id,
            namespace: own.namespace,
            name: own.name,
            arguments: String::new(),
        }
    }
}

/// Reasoning that its provider accepts back as plain text.
pub(super) fn plain_detail(text: String) -> ReasoningDetail {
    ReasoningDetail {
        kind: "reasoning.text".to_owned(),
        text: Some(text),
        signature: None,
        data: None,
        format: Some(reasoning_format::PLAIN.to_owned()),
        id: None,
        index: 0,
    }
}

/// The `extra_content` that a provider sent with a call.
pub(super) fn call_detail(call: &str, extra: &RawValue) -> ReasoningDetail {
    ReasoningDetail {
        kind: "reasoning.encrypted".to_owned(),
        text: None,
        signature: None,
        data: Some(extra.get().to_owned()),
        format: Some(reasoning_format::GEMINI.to_owned()),
        id: Some(call.to_owned()),
        index: 0,
    }
}

pub(super) fn seal(details: &[ReasoningDetail]) -> String {
    let json = raw(details);
    format!("{SEALED}{}", URL_SAFE_NO_PAD.encode(json.get()))
}

/// Converts a citation to the flat shape of Responses.
pub(super) fn flat_annotation(nested: &RawValue) -> Option<Box<RawValue>> {
    let mut outer: Map<String, Value> = serde_json::from_str(nested.get()).ok()?;
    let mut flat = Map::new();
    flat.insert("type".to_owned(), outer.remove("type")?);
    if let Some(Value::Object(inner)) = outer.remove("url_citation") {
        flat.extend(inner);
    }
    Some(raw(&flat))
}

/// The entries of log probabilities. Responses has the same entries as Chat Completions, without
/// the object around them.
fn flat_logprobs(logprobs: Option<&RawValue>) -> Vec<Box<RawValue>> {
    #[derive(serde::Deserialize)]
    struct Envelope {
        #[serde(default)]
        content: Option<Vec<Box<RawValue>>>,
    }
    logprobs
        .and_then(|raw| serde_json::from_str::<Envelope>(raw.get()).ok())
        .and_then(|envelope| envelope.content)
        .unwrap_or_default()
}

/// The items of a response in which reasoning, text and calls alternate, in their order. `None` if
/// the order is the usual one, or if citations, log probabilities or a JSON fence refer to the text
/// as a whole.
fn items_in_order(client: &ResponsesClient, ids: &mut Ids, answer: &Response) -> Option<Vec<Item>> {
    let text = answer.text.as_deref().unwrap_or_default();
    let placed = !answer.annotations.is_empty() || answer.logprobs.is_some();
    if !answer.sequence.is_unusual() || placed || client.json_object {
        return None;
    }
    let pieces = answer
        .sequence
        .matching(answer.details.len(), text, answer.tool_calls.len())?;
    let (mut text, mut details) = (text, answer.details.as_slice());
    let mut calls = answer.tool_calls.iter();
    let mut output = Vec::new();
    for turn in pieces.chunk_by(|a, b| (*a, *b) == (Piece::ReasoningDetail, Piece::ReasoningDetail))
    {
        match turn {
            [Piece::Text(length), ..] => {
                let (said, rest) = text.split_at_checked(*length)?;
                text = rest;
                let content = Part::OutputText {
                    text: said.to_owned(),
                    annotations: Vec::new(),
                    logprobs: Vec::new(),
                };
                output.push(Item::Message {
                    id: ids.next(client, "msg_"),
                    status: "completed",
                    role: "assistant",
                    content: vec![content],
                });
            }
            [Piece::Call, ..] => {
                let call = calls.next()?;
                let mut item = call_item(client, ids, call.id.clone(), &call.name, "completed");
                item.set_arguments(call.arguments.clone());
                output.push(item);
            }
            thoughts => {
                let (own, rest) = details.split_at_checked(thoughts.len())?;
                details = rest;
                let texts = own.iter().filter_map(|detail| detail.text.clone());
                let shown: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
                let shown = (client.summary && !shown.is_empty()).then(|| shown.join("\n"));
                output.push(Item::Reasoning {
                    id: ids.next(client, "rs_"),
                    summary: shown
                        .map(|text| Part::SummaryText { text })
                        .into_iter()
                        .collect(),
                    encrypted_content: client.encrypted.then(|| seal(own)),
                });
            }
        }
    }
    if let Some(refusal) = answer.refusal.clone() {
        output.push(Item::Message {
            id: ids.next(client, "msg_"),
            status: "completed",
            role: "assistant",
            content: vec![Part::Refusal { refusal }],
        });
    }
    Some(output)
}

/// The items of a response in the usual order: reasoning, one message, calls.
fn items(client: &ResponsesClient, ids: &mut Ids, answer: &mut Response) -> Vec<Item> {
    let mut output = Vec::new();
    let refused = answer.refusal.is_some();
    let mut details = std::mem::take(&mut answer.details);
    if let (Some(text), true) = (&answer.reasoning, details.is_empty()) {
        details.push(plain_detail(text.clone()));
    }
    let signed = answer.tool_calls.iter().filter_map(|call| {
        let extra = call.extra.as_ref()?;
        Some(call_detail(&call.id, extra))
    });
    details.extend(signed);
    if answer.reasoning.is_some() || !details.is_empty() {
        let shown = answer.reasoning.take().filter(|_| client.summary);
        output.push(Item::Reasoning {
            id: ids.next(client, "rs_"),
            summary: shown
                .map(|text| Part::SummaryText { text })
                .into_iter()
                .collect(),
            encrypted_content: (client.encrypted && !details.is_empty()).then(|| seal(&details)),
        });
    }
    let mut content = Vec::new();
    let nothing_else = answer.tool_calls.is_empty() && !refused;
    let text = answer.text.take().map(|text| {
        if client.json_object {
            without_fence(&text).to_owned()
        } else {
            text
        }
    });
    let text = text.filter(|text| !text.is_empty() || nothing_else);
    if let Some(text) = text.or_else(|| nothing_else.then(String::new)) {
        content.push(Part::OutputText {
            text,
            annotations: answer
                .annotations
                .iter()
                .filter_map(|nested| flat_annotation(nested))
                .collect(),
            logprobs: flat_logprobs(answer.logprobs.as_deref()),
        });
    }
    content.extend(
        answer
            .refusal
            .take()
            .map(|refusal| Part::Refusal { refusal }),
    );
    if !content.is_empty() {
        output.push(Item::Message {
            id: ids.next(client, "msg_"),
            status: "completed",
            role: "assistant",
            content,
        });
    }
    for call in std::mem::take(&mut answer.tool_calls) {
        let mut item = call_item(client, ids, call.id, &call.name, "completed");
        item.set_arguments(call.arguments);
        output.push(item);
    }
    output
}

/// Encodes a whole response.
pub(super) fn answer(client: &ResponsesClient, mut answer: Response) -> String {
    let (status, incomplete) = outcome(answer.finish, answer.refusal.is_some());
    let mut ids = Ids::default();
    let mut output = match items_in_order(client, &mut ids, &answer) {
        Some(output) => output,
        None => items(client, &mut ids, &mut answer),
    };
    if incomplete.is_some()
        && let Some(last) = output.last_mut()
    {
        last.set_status("incomplete");
    }
    let model = answer.model.as_deref().unwrap_or(&client.model);
    let id = client.stamp.id(&format!("resp_{}_", client.provider), 1);
    response(
        client,
        State {
            id: &id,
            model,
            created: answer.created.unwrap_or(client.stamp.created),
            status,
            error: None,
            incomplete,
            output: &output.iter().collect::<Vec<_>>(),
            usage: answer.usage,
            service_tier: answer.service_tier.as_deref(),
            finished: true,
        },
    )
    .get()
    .to_owned()
}
