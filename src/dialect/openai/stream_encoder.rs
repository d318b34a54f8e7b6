//! Encodes hub events as `chat.completion.chunk`. Pure.

use std::borrow::Cow;

use memchr::memmem;
use serde::Serialize;
use serde_json::{Value, json};

use super::client::ChatClient;
use super::decode_response::MAX_NAME;
use super::encode_response::{WireUsage, finish_name, usage};
use super::error_in_success::failure_event;
use crate::codec::json::{self, fields, raw};
use crate::codec::sse;
use crate::dialect::common::fence::Fence;
use crate::dialect::hub::{Event, FinishReason, ReasoningDetail, Usage};
use crate::dialect::traits::StreamEncoder;
use crate::error::Error;

/// Encodes the chunks of one stream.
pub(super) struct ChatStreamEncoder {
    client: ChatClient,
    id: String,
    model: String,
    created: u64,
    started: bool,
    ended: bool,
    usage: Option<Usage>,
    /// Reasoning details that the client has to send back. They are sent only when complete,
    /// because clients merge unknown deltas in different ways.
    details: Vec<ReasoningDetail>,
    /// The size of `details`, in bytes.
    held: usize,
    /// Removes a code fence; set if the provider got JSON mode only as an instruction.
    fence: Option<Fence>,
    /// The bytes before and after the text of a chunk that has nothing else. They are reused,
    /// because id and model no longer change.
    around: Option<(Vec<u8>, Vec<u8>)>,
}

/// A placeholder text, to find the bytes before and after it.
const SOME_TEXT: &str = "\u{1}";

impl ChatStreamEncoder {
    pub(super) fn new(client: ChatClient) -> Self {
        Self {
            id: client.stamp.id("chatcmpl-", 1),
            model: client.model.clone(),
            created: client.stamp.created,
            fence: client.json_object.then(Fence::default),
            client,
            started: false,
            ended: false,
            usage: None,
            details: Vec::new(),
            held: 0,
            around: None,
        }
    }

    /// Writes a chunk with text; the same bytes as [`Self::delta`] writes, but faster.
    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        self.start(out);
        if self.around.is_none() {
            let mut chunk = Vec::new();
            self.delta(&json!({"content": SOME_TEXT}), &mut chunk);
            let quoted = raw(SOME_TEXT);
            self.around = memmem::rfind(&chunk, quoted.get().as_bytes()).and_then(|at| {
                let (before, rest) = chunk.split_at_checked(at)?;
                Some((before.to_vec(), rest.get(quoted.get().len()..)?.to_vec()))
            });
        }
        match &self.around {
            Some((before, behind)) => {
                out.reserve(before.len() + text.len() + behind.len() + 16);
                out.extend_from_slice(before);
                json::write(text, out);
                out.extend_from_slice(behind);
            }
            None => self.delta(&json!({"content": text}), out),
        }
    }

    fn chunk(&self, choices: &impl Serialize, tokens: Option<&Usage>, out: &mut Vec<u8>) {
        #[derive(Serialize)]
        #[expect(
            clippy::option_option,
            reason = "absent, null and given are three things on the wire"
        )]
        struct Chunk<'a, C> {
            id: &'a str,
            object: &'static str,
            created: u64,
            model: &'a str,
            choices: &'a C,
            #[serde(skip_serializing_if = "Option::is_none")]
            usage: Option<Option<WireUsage>>,
        }
        let chunk = Chunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.model,
            choices,
            usage: self.client.include_usage.then(|| tokens.map(usage)),
        };
        sse::write(out, None, raw(&chunk).get());
    }

    /// Writes a chunk with one choice, and before the first one a chunk with the role.
    fn delta(&mut self, delta: &impl Serialize, out: &mut Vec<u8>) {
        self.start(out);
        let choice = fields!({"index": 0, "delta": delta, "finish_reason": None::<()>});
        self.chunk(&[choice], None, out);
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !self.started {
            self.started = true;
            let choices = json!([{
                "index": 0,
                "delta": {"role": "assistant", "content": ""},
                "finish_reason": null,
            }]);
            self.chunk(&choices, None, out);
        }
    }

    fn finish(&mut self, reason: FinishReason, native: Option<String>, out: &mut Vec<u8>) {
        self.start(out);
        let reason = finish_name(reason, self.client.functions);
        let mut choice = json!({"index": 0, "delta": {}, "finish_reason": reason});
        if let (Some(native), Value::Object(choice)) = (native, &mut choice) {
            choice.insert("native_finish_reason".to_owned(), Value::String(native));
        }
        self.chunk(&json!([choice]), None, out);
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        self.ended = true;
        out.extend_from_slice(&failure_event(error));
    }
}

impl StreamEncoder for ChatStreamEncoder {
    fn held(&self) -> usize {
        self.held
    }

    fn push(&mut self, event: Event, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        let thinks = matches!(
            event,
            Event::ReasoningDetail(_) | Event::Reasoning(_) | Event::Ping | Event::Failed(_)
        );
        if !thinks && !self.details.is_empty() {
            let details = std::mem::take(&mut self.details);
            self.held = 0;
            self.delta(&fields!({"reasoning_details": details}), out);
        }
        match event {
            // Id and model were already sent with the first chunk.
            Event::Start { .. } if self.started => {}
            Event::Start { id, model, created } => {
                if let Some(id) = id.filter(|id| id.len() <= MAX_NAME) {
                    self.id = id;
                }
                if let Some(model) = model.filter(|model| model.len() <= MAX_NAME) {
                    self.model = model;
                }
                if let Some(created) = created {
                    self.created = created;
                }
                self.start(out);
            }
            Event::Text(text) => {
                let text = match &mut self.fence {
                    Some(fence) => fence.push(&text),
                    None => text,
                };
                if self.fence.is_none() || !text.is_empty() {
                    self.text(&text, out);
                }
            }
            Event::Reasoning(text) => self.delta(&json!({"reasoning_content": text}), out),
            Event::ReasoningDetail(detail) => {
                if let Some(text) = detail.text.as_deref().filter(|text| !text.is_empty()) {
                    self.delta(&json!({"reasoning_content": text}), out);
                }
                self.held += detail.size();
                ReasoningDetail::join(&mut self.details, detail);
            }
            Event::Refusal(text) => self.delta(&json!({"refusal": text}), out),
            Event::Blocks(blocks) => {
                let own = fields!({"anthropic": fields!({"content": blocks})});
                self.delta(&fields!({"provider_specific_fields": own}), out);
            }
            Event::Annotations(list) => self.delta(&fields!({"annotations": list}), out),
            Event::ToolCall { index: 0, name, .. } if self.client.functions => {
                let call = fields!({"name": name, "arguments": ""});
                self.delta(&fields!({"function_call": call}), out);
            }
            Event::Arguments { index: 0, fragment } if self.client.functions => {
                let call = fields!({"arguments": fragment});
                self.delta(&fields!({"function_call": call}), out);
            }
            Event::ToolCall {
                index,
                id,
                name,
                extra,
            } => {
                let mut call = fields!({
                    "index": index,
                    "id": id,
                    "type": "function",
                    "function": json!({"name": name, "arguments": ""}),
                });
                if let Some(extra) = extra {
                    call.push("extra_content", Cow::Owned(extra));
                }
                self.delta(&fields!({"tool_calls": [call]}), out);
            }
            Event::Arguments { index, fragment } => {
                let call = json!({"index": index, "function": {"arguments": fragment}});
                self.delta(&json!({"tool_calls": [call]}), out);
            }
            Event::ToolCallEnd { .. } => {}
            Event::Finish { reason, native } => {
                let rest = self.fence.as_mut().map(Fence::finish).unwrap_or_default();
                if !rest.is_empty() {
                    self.text(&rest, out);
                }
                self.finish(reason, native, out);
            }
            Event::Usage(tokens) => self.usage = Some(tokens),
            Event::Ping => out.extend_from_slice(b": ping\n\n"),
            Event::End => {
                self.ended = true;
                if let Some(tokens) = self.usage
                    && self.client.include_usage
                {
                    self.chunk(&json!([]), Some(&tokens), out);
                }
                out.extend_from_slice(b"data: [DONE]\n\n");
            }
            Event::Failed(error) => self.fail(&error, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::common::error_body::envelope;
    use crate::dialect::common::stamp::Stamp;

    fn client(include_usage: bool) -> ChatClient {
        ChatClient {
            stamp: Stamp {
                created: 1_700_000_000,
                seed: 0,
                now: || 1_700_000_000,
            },
            model: "asked".to_owned(),
            include_usage,
            functions: false,
            json_object: false,
        }
    }

    fn write(include_usage: bool, events: Vec<Event>) -> String {
        let mut stream = ChatStreamEncoder::new(client(include_usage));
        let mut out = Vec::new();
        for event in events {
            stream.push(event, &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_piece_of_text_is_written_as_any_other_delta() {
        for include_usage in [false, true] {
            let mut client = client(include_usage);
            client.model = SOME_TEXT.to_owned();
            let (mut quick, mut slow) = (
                ChatStreamEncoder::new(client.clone()),
                ChatStreamEncoder::new(client),
            );
            let (mut quickly, mut slowly) = (Vec::new(), Vec::new());
            for text in ["Hi", "a \" \\ \n\u{1}\u{1f980}", "", "\u{2028}"] {
                quick.push(Event::Text(text.to_owned()), &mut quickly);
                slow.delta(&json!({"content": text}), &mut slowly);
            }
            assert_eq!(quickly, slowly);
        }
    }

    /// Trap B6.
    #[test]
    fn who_answers_is_said_once() {
        let out = write(
            false,
            vec![
                Event::Text("Hi".to_owned()),
                Event::Start {
                    id: Some("late".to_owned()),
                    model: Some("other".to_owned()),
                    created: Some(7),
                },
                Event::Text("!".to_owned()),
            ],
        );
        assert!(!out.contains("late") && !out.contains("other"), "{out}");
    }

    /// Trap B3.
    #[test]
    fn usage_is_a_key_of_every_chunk_or_of_none() {
        let events = || {
            vec![
                Event::Text("Hi".to_owned()),
                Event::Finish {
                    reason: FinishReason::Stop,
                    native: None,
                },
                Event::Usage(Usage {
                    prompt: 3,
                    completion: 1,
                    ..Usage::default()
                }),
                Event::End,
            ]
        };
        assert!(!write(false, events()).contains("usage"));
        let with = write(true, events());
        let chunks: Vec<Value> = with
            .lines()
            .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
            .collect();
        let (last, others) = chunks.split_last().unwrap();
        assert_eq!(last["choices"], json!([]));
        assert_eq!(last["usage"]["total_tokens"], 4);
        assert!(others.iter().all(|chunk| chunk["usage"].is_null()));
        assert!(with.ends_with("data: [DONE]\n\n"));
    }

    #[test]
    fn nothing_follows_a_failure() {
        let out = write(
            true,
            vec![
                Event::Text("Hi".to_owned()),
                Event::Failed(Error::Truncated),
                Event::End,
            ],
        );
        assert!(out.ends_with(&format!("data: {}\n\n", envelope(&Error::Truncated))));
        assert!(!out.contains("[DONE]"));
    }
}
