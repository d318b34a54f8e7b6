//! Decodes Chat Completions chunks into hub events; one state machine per stream. Pure.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::calls::{CallAssembler, ClientFragment, Fragment};
use super::decode_response::MAX_NAME;
use super::decode_response::{OUT_OF_RESOURCES, finish, is_fault, out_of_resources};
use super::lenient::{Content, Function};
use super::provider::ChatProvider;
use super::tags::Tags;
use super::usage::read_usage;
use crate::codec::json::Text;
use crate::codec::sse;
use crate::dialect::common::delta_template::DeltaTemplate;
use crate::dialect::common::error_body::read_error;
use crate::dialect::common::error_in_success::error_member;
use crate::dialect::common::provider_error::position_of;
use crate::dialect::hub::{Event, FinishReason, Usage};
use crate::dialect::traits::StreamDecoder;
use crate::error::Error;

/// The fields of `chat.completion.chunk` that other dialects can express.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    object: Option<Text<'a>>,
    #[serde(borrow, default)]
    model: Option<Text<'a>>,
    #[serde(default)]
    created: Option<serde_json::Number>,
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(default)]
    usage: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<Box<RawValue>>,
    #[serde(default)]
    x_groq: Option<GroqExtension>,
}

/// The extra place where Groq writes usage.
#[derive(Deserialize)]
struct GroqExtension {
    #[serde(default)]
    usage: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    error: Option<Box<RawValue>>,
    #[serde(default)]
    usage: Option<Box<RawValue>>,
}

#[derive(Default, Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<Content<'a>>,
    #[serde(default)]
    reasoning_content: Option<String>,
    #[serde(default)]
    reasoning: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    annotations: Option<Vec<Box<RawValue>>>,
    #[serde(default)]
    tool_calls: Option<Vec<Call>>,
}

#[derive(Deserialize)]
struct Call {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: Option<Function>,
    #[serde(default)]
    extra_content: Option<Box<RawValue>>,
}

/// A tool call whose name may still continue.
struct Begun {
    index: usize,
    id: String,
    name: String,
    extra: Option<Box<RawValue>>,
    arguments: String,
}

/// Decodes the chunks of one stream.
#[expect(clippy::struct_excessive_bools, reason = "each was seen or was not")]
pub(super) struct ChatStreamDecoder {
    provider: &'static str,
    started: bool,
    /// The provider's `finish_reason`, once it has come.
    finish: Option<String>,
    /// Whether an empty `finish_reason` has come.
    blank: bool,
    ended: bool,
    id: Option<String>,
    usage: Option<Usage>,
    calls: CallAssembler,
    /// The last call while its name may continue: clients cannot receive a name in pieces.
    begun: Option<Begun>,
    tags: Option<Tags>,
    positional_ids: bool,
    said: bool,
    /// Template learned from the last chunk that had only text; matching chunks skip JSON parsing.
    plain: Option<DeltaTemplate>,
}

impl ChatStreamDecoder {
    /// `provider` is the provider's name for error messages, `chat` its dialect.
    pub(super) fn new(provider: &'static str, chat: &ChatProvider) -> Self {
        Self {
            provider,
            started: false,
            finish: None,
            blank: false,
            ended: false,
            id: None,
            usage: None,
            calls: CallAssembler::default(),
            begun: None,
            tags: chat.reasoning_tags.then(Tags::default),
            positional_ids: chat.positional_ids,
            said: false,
            plain: None,
        }
    }

    fn fail(&mut self, error: Error, out: &mut Vec<Event>) {
        self.ended = true;
        out.push(Event::Failed(error));
    }

    fn broken(&mut self, reason: &str, out: &mut Vec<Event>) {
        let provider = self.provider;
        let reason = reason.to_owned();
        self.fail(Error::InvalidUpstreamResponse { provider, reason }, out);
    }

    fn complete(&mut self, out: &mut Vec<Event>) {
        if self.finish.as_deref().is_some_and(is_fault) {
            return self.broken("it ended with an error", out);
        }
        if self.finish.as_deref() == Some(OUT_OF_RESOURCES) && !self.said {
            return self.fail(out_of_resources(), out);
        }
        self.begin(out);
        let (reason, native) = finish(self.finish.as_deref(), !self.calls.is_empty());
        // A length limit or content filter may cut off a tool call before its name.
        let cut = matches!(reason, FinishReason::Length | FinishReason::ContentFilter);
        if !cut && self.calls.has_nameless() {
            return self.broken("a call in it has no name", out);
        }
        self.ended = true;
        for index in self.calls.without_arguments() {
            out.push(Event::Arguments {
                index,
                fragment: "{}".to_owned(),
            });
        }
        out.push(Event::Finish { reason, native });
        if let Some(usage) = self.usage {
            out.push(Event::Usage(usage));
        }
        out.push(Event::End);
    }

    fn choice(&mut self, choice: Choice<'_>, out: &mut Vec<Event>) {
        if choice.index.unwrap_or(0) != 0 {
            return;
        }
        let delta = choice.delta.unwrap_or_default();
        let ends = choice
            .finish_reason
            .as_deref()
            .is_some_and(|word| !word.is_empty());
        let (said, thought) = self.split(delta.content, ends);
        let calls = delta.tool_calls.unwrap_or_default();
        if calls.is_empty() || !said.is_empty() || !thought.is_empty() {
            self.begin(out);
        }
        let some = |text: &String| !text.is_empty();
        let reasoning = delta
            .reasoning_content
            .filter(some)
            .or(delta.reasoning.filter(some));
        for text in [reasoning.unwrap_or_default(), thought] {
            if !text.is_empty() {
                out.push(Event::Reasoning(text));
            }
        }
        if !said.is_empty() {
            self.said = true;
            out.push(Event::Text(said));
        }
        if let Some(text) = delta.refusal.filter(|text| !text.is_empty()) {
            out.push(Event::Refusal(text));
        }
        if let Some(list) = delta.annotations.filter(|list| !list.is_empty()) {
            out.push(Event::Annotations(list));
        }
        for call in calls {
            self.said = true;
            self.call(call, out);
            if self.ended {
                return;
            }
        }
        if let Some(usage) = choice.usage.as_deref().and_then(read_usage) {
            self.usage = Some(usage);
        }
        match choice.finish_reason {
            // An empty `finish_reason` counts only if `[DONE]` follows.
            Some(word) if word.is_empty() => self.blank = true,
            Some(word) => self.finish = Some(word),
            None => {}
        }
    }

    fn call(&mut self, call: Call, out: &mut Vec<Event>) {
        let function = call.function.unwrap_or_default();
        let Some(arguments) = function.arguments() else {
            return self.broken("the arguments of a call cannot be read", out);
        };
        let fragment = Fragment {
            index: call.index,
            id: call.id.as_deref(),
            name: function.name.as_deref(),
            arguments: &arguments,
        };
        let told = match self
            .calls
            .take(fragment, self.id.as_deref(), self.positional_ids)
        {
            Ok(Some(told)) => told,
            Ok(None) => return,
            Err(reason) => return self.broken(reason, out),
        };
        let ClientFragment {
            index,
            begins,
            name,
            arguments,
            whole,
        } = told;
        if let Some(piece) = name {
            match &mut self.begun {
                Some(begun) if begun.index == index => {
                    begun.name.push_str(&piece);
                    begun.arguments.push_str(&arguments);
                }
                _ => return self.broken("the name of a call in it goes on too late", out),
            }
        } else {
            let of_begun = self
                .begun
                .as_ref()
                .is_some_and(|begun| begun.index == index);
            if !of_begun || begins.is_some() || !arguments.is_empty() {
                self.begin(out);
            }
            if let Some((id, name)) = begins {
                self.begun = Some(Begun {
                    index,
                    id,
                    name,
                    extra: call.extra_content.filter(|raw| raw.get() != "null"),
                    arguments,
                });
            } else if !arguments.is_empty() {
                out.push(Event::Arguments {
                    index,
                    fragment: arguments,
                });
            }
        }
        if whole {
            self.begin(out);
        }
    }

    /// Emits the buffered tool call.
    fn begin(&mut self, out: &mut Vec<Event>) {
        let Some(call) = self.begun.take() else {
            return;
        };
        let index = call.index;
        out.push(Event::ToolCall {
            index,
            id: call.id,
            name: call.name,
            extra: call.extra,
        });
        if !call.arguments.is_empty() {
            out.push(Event::Arguments {
                index,
                fragment: call.arguments,
            });
        }
    }

    /// The text of a chunk that has nothing else and changes no other state.
    fn plain_text<'c>(&self, choices: &'c [Choice<'_>]) -> Option<&'c str> {
        let [choice] = choices else {
            return None;
        };
        let delta = choice.delta.as_ref()?;
        let says_more = choice.index.unwrap_or(0) != 0
            || choice.finish_reason.is_some()
            || choice.usage.is_some()
            || delta.reasoning_content.is_some()
            || delta.reasoning.is_some()
            || delta.refusal.is_some()
            || delta.annotations.is_some()
            || delta.tool_calls.is_some()
            || self.tags.is_some()
            || !self.said;
        delta
            .content
            .as_ref()?
            .borrowed()
            .filter(|text| !says_more && !text.is_empty())
    }

    /// Splits content into text and reasoning, also by tags if the model writes them.
    fn split(&mut self, content: Option<Content<'_>>, ends: bool) -> (String, String) {
        let (said, thought) = content.map(Content::split).unwrap_or_default();
        let Some(tags) = &mut self.tags else {
            return (said, thought);
        };
        let (mut said, more) = tags.push(&said);
        let mut thought = thought + &more;
        if ends {
            let (rest, more) = tags.finish();
            said.push_str(&rest);
            thought.push_str(&more);
        }
        (said, thought)
    }
}

impl StreamDecoder for ChatStreamDecoder {
    fn held(&self) -> usize {
        let begun = self.begun.as_ref();
        self.calls.held() + begun.map_or(0, |call| call.name.len() + call.arguments.len())
    }

    fn push(&mut self, event: &sse::Event<'_>, out: &mut Vec<Event>) {
        if self.ended {
            return;
        }
        let plain = self.plain.as_ref().filter(|_| event.name.is_none());
        if let Some(text) = plain.and_then(|plain| plain.text(&event.data)) {
            let text = text.into_owned();
            self.begin(out);
            out.push(Event::Text(text));
            return;
        }
        if event.data.trim().is_empty() {
            return;
        }
        if event.data.trim() == "[DONE]" {
            if self.finish.is_some() || self.blank {
                self.complete(out);
            } else {
                self.fail(Error::Truncated, out);
            }
            return;
        }
        let chunk: Chunk<'_> = match serde_json::from_str(&event.data) {
            Ok(chunk) => chunk,
            Err(error) => {
                let reason = format!(
                    "an event of its stream is no chunk ({})",
                    position_of(&error)
                );
                return self.broken(&reason, out);
            }
        };
        let named = event.name.as_deref() == Some("error") && chunk.choices.is_none();
        let is_error = named || chunk.object.as_deref() == Some("error");
        if is_error || chunk.error.is_some_and(|raw| raw.get() != "null") {
            let error = read_error(200, event.data.as_bytes());
            return self.fail(Error::Provider(Box::new(error)), out);
        }
        let choices = chunk.choices.unwrap_or_default();
        if let Some(error) = choices.iter().find_map(|choice| choice.error.as_deref()) {
            let error = error_member(error);
            return self.fail(Error::Provider(Box::new(error)), out);
        }
        if !self.started && (chunk.id.is_some() || !choices.is_empty()) {
            // A first chunk without choices is a content filter report; a later chunk has the id
            // and model.
            if choices.is_empty() && chunk.usage.is_none() {
                return;
            }
            self.started = true;
            self.id = chunk
                .id
                .filter(|id| !id.is_empty() && id.len() <= MAX_NAME)
                .map(|id| id.0.into_owned());
            out.push(Event::Start {
                id: self.id.clone(),
                model: chunk
                    .model
                    .filter(|model| !model.is_empty())
                    .map(|model| model.0.into_owned()),
                created: chunk
                    .created
                    .and_then(|at| at.as_u64())
                    .filter(|&at| at > 0),
            });
        }
        if let Some(text) = self.plain_text(&choices)
            && chunk.usage.is_none()
            && chunk.x_groq.is_none()
            && event.name.is_none()
        {
            self.plain = DeltaTemplate::learn_from(&event.data, text);
        }
        for choice in choices {
            self.choice(choice, out);
        }
        let elsewhere = chunk.x_groq.and_then(|own| own.usage);
        if let Some(usage) = chunk.usage.or(elsewhere).as_deref().and_then(read_usage) {
            self.usage = Some(usage);
        }
    }

    fn finish(&mut self, out: &mut Vec<Event>) {
        if self.ended {
            return;
        }
        // Not every provider sends `[DONE]`; a finish reason and a clean end of the stream are
        // enough.
        if self.finish.is_some() {
            self.complete(out);
        } else {
            self.fail(Error::Truncated, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(lines: &[&str]) -> String {
        let mut stream = ChatStreamDecoder::new("groq", &ChatProvider::PLAIN);
        let mut out = Vec::new();
        for data in lines {
            let event = sse::Event {
                name: None,
                data: (*data).into(),
            };
            stream.push(&event, &mut out);
        }
        stream.finish(&mut out);
        out.iter().map(short).collect::<Vec<_>>().join(" ")
    }

    fn short(event: &Event) -> String {
        match event {
            Event::Start { id, .. } => format!("start({})", id.as_deref().unwrap_or("-")),
            Event::Text(text) => format!("text({text})"),
            Event::Reasoning(text) => format!("think({text})"),
            Event::ToolCall {
                index, id, name, ..
            } => format!("call{index}({id},{name})"),
            Event::Arguments { index, fragment } => format!("args{index}({fragment})"),
            Event::Finish { reason, native } => {
                format!("{}{}", reason.name(), native.as_deref().unwrap_or(""))
            }
            Event::Usage(usage) => format!("usage({},{})", usage.prompt, usage.completion),
            Event::End => "end".to_owned(),
            Event::Failed(error) => format!("failed({})", error.code().unwrap_or("-")),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn text_then_usage_then_done() {
        assert_eq!(
            read(&[
                r#"{"id":"c1","model":"m","created":5,"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
                r#"{"id":"c1","choices":[{"index":0,"delta":{"content":"Hi"}}]}"#,
                r#"{"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
                r#"{"id":"c1","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}"#,
                "[DONE]",
            ]),
            "start(c1) text(Hi) stop usage(3,1) end"
        );
    }

    /// Trap A1.
    #[test]
    fn interleaved_calls_stay_apart() {
        assert_eq!(
            read(&[
                r#"{"id":"c","choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]}}]}"#,
                r#"{"id":"c","choices":[{"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":""}}]}}]}"#,
                r#"{"id":"c","choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\""}}]}}]}"#,
                r#"{"id":"c","choices":[{"delta":{"tool_calls":[{"index":1,"function":{"arguments":"{\"y\""}}]}}]}"#,
                r#"{"id":"c","choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}},{"index":1,"function":{"arguments":":2}"}}]},"finish_reason":"tool_calls"}]}"#,
                "[DONE]",
            ]),
            "start(c) call0(a,f) call1(b,g) args0({\"x\") args1({\"y\") args0(:1}) args1(:2}) tool_calls end"
        );
    }

    /// Trap A2.
    #[test]
    fn index_zero_for_every_call_still_gives_two_calls() {
        assert_eq!(
            read(&[
                r#"{"id":"c","choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}}]}"#,
                r#"{"id":"c","choices":[{"delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"stop"}]}"#,
            ]),
            "start(c) call0(a,f) args0({}) call1(b,f) args1({}) tool_calls end"
        );
    }

    /// Trap A4.
    #[test]
    fn a_fragment_without_id_and_index_belongs_to_the_last_call() {
        assert_eq!(
            read(&[
                r#"{"id":"c","choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"1"}}]}}]}"#,
                r#"{"id":"c","choices":[{"delta":{"tool_calls":[{"id":"b","function":{"name":"g"}}]}}]}"#,
                r#"{"id":"c","choices":[{"delta":{"tool_calls":[{"function":{"arguments":"2"}}]},"finish_reason":"tool_calls"}]}"#,
            ]),
            "start(c) call0(a,f) args0(1) call1(b,g) args1(2) tool_calls end"
        );
    }

    /// Trap A7.
    #[test]
    fn a_call_without_arguments_has_an_empty_object() {
        assert_eq!(
            read(&[
                r#"{"id":"c","choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]}}]}"#,
                r#"{"id":"c","choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#,
                "[DONE]",
            ]),
            "start(c) call0(a,f) args0({}) tool_calls end"
        );
    }

    #[test]
    fn a_stream_without_a_finish_is_cut_however_it_ends() {
        let head = r#"{"id":"c","choices":[{"delta":{"content":"Hi"}}]}"#;
        let cut = "start(c) text(Hi) failed(upstream_stream_truncated)";
        assert_eq!(read(&[head]), cut);
        assert_eq!(read(&[head, "[DONE]"]), cut);
    }

    #[test]
    fn an_error_in_the_stream_ends_it() {
        assert_eq!(
            read(&[
                r#"{"id":"c","choices":[{"delta":{"content":"Hi"}}]}"#,
                r#"{"error":{"code":502,"message":"boom"},"choices":[{"delta":{},"finish_reason":"error"}]}"#,
                "[DONE]",
            ]),
            "start(c) text(Hi) failed(502)"
        );
    }

    #[test]
    fn a_name_that_comes_late_is_waited_for() {
        assert_eq!(
            read(&[
                r#"{"id":"c-1","choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}}]}"#,
                r#"{"id":"c-1","choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":":1}"}}]},"finish_reason":"tool_calls"}]}"#,
            ]),
            "start(c-1) call0(call_c1_0,f) args0({\"a\":1}) tool_calls end"
        );
        assert_eq!(
            read(&[
                r#"{"id":"c","choices":[{"delta":{"tool_calls":[{"index":0,"id":"a"}]},"finish_reason":"tool_calls"}]}"#,
            ]),
            "start(c) failed(upstream_invalid_response)"
        );
        assert_eq!(
            read(&[
                r#"{"id":"c","choices":[{"delta":{"tool_calls":[{"index":0,"id":"a"}]},"finish_reason":"length"}]}"#,
            ]),
            "start(c) length end"
        );
    }

    #[test]
    fn another_name_or_complete_arguments_begin_another_call() {
        for (first, second) in [
            (r#""index":0,"id":"x""#, r#""index":1,"id":"x""#),
            (r#""index":0"#, r#""index":0"#),
            (r#""index":0,"id":"""#, r#""index":0,"id":"""#),
            (r#""type":"function""#, r#""type":"function""#),
        ] {
            for name in ["f", "g"] {
                let call = |place: &str, name: &str| {
                    format!(
                        r#"{{"id":"c","choices":[{{"delta":{{"tool_calls":[{{{place},"function":{{"name":"{name}","arguments":"{{}}"}}}}]}}}}]}}"#
                    )
                };
                let end = r#"{"id":"c","choices":[{"delta":{},"finish_reason":"tool_calls"}]}"#;
                let said = read(&[&call(first, "f"), &call(second, name), end]);
                assert_eq!(said.matches("args").count(), 2, "{first} {second}: {said}");
                assert!(said.contains("call0(") && said.contains("call1("), "{said}");
            }
        }
    }

    #[test]
    fn tolerable_oddities_are_tolerated() {
        assert_eq!(
            read(&[
                r#"{"id":"c","created":1.5,"choices":[{"index":null,"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm"}]},{"type":"text","text":"Hi"}]}}]}"#,
                r#"{"id":"c","choices":null}"#,
                r#"{"id":"c","choices":[{"delta":null,"finish_reason":"stop"}]}"#,
            ]),
            "start(c) think(Hm) text(Hi) stop end"
        );
        assert_eq!(
            read(&[r#"{"id":"c","choices":[{"delta":{},"finish_reason":"error"}]}"#]),
            "start(c) failed(upstream_invalid_response)"
        );
    }

    #[test]
    fn a_first_chunk_without_choices_says_nothing() {
        assert_eq!(
            read(&[
                r#"{"id":"","model":"","created":0,"choices":[],"prompt_filter_results":[]}"#,
                r#"{"id":"c","choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}"#,
            ]),
            "start(c) text(Hi) stop end"
        );
    }

    fn usual(more: &'static str) -> impl Strategy<Value = String> {
        let content = prop_oneof![
            4 => any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
            4 => "[a-z ]{1,6}".prop_map(|text| format!("\"{text}\"")),
            1 => prop::sample::select(vec!["\"\"", "null", "\"\\ud83d\"", "[{\"type\":\"text\",\"text\":\"a\"}]"])
                .prop_map(str::to_owned),
        ];
        let rest = prop::sample::select(vec![
            "}}]}",
            "},\"finish_reason\":null}]}",
            ",\"reasoning\":\"r\"}}]}",
            ",\"content_2\":\"x\"}}]}",
            "}}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}",
            "},\"finish_reason\":\"stop\"}]}",
            "},\"index\":1}]}",
        ]);
        (content, rest).prop_map(move |(content, rest)| {
            format!("{{\"id\":\"c\"{more},\"choices\":[{{\"delta\":{{\"content\":{content}{rest}")
        })
    }

    proptest! {
        /// A template learned from one chunk never changes the meaning of the next.
        #[test]
        fn a_usual_chunk_is_read_as_if_it_were_taken_apart(
            chunks in prop::collection::vec(
                prop_oneof![usual(""), usual(",\"obfuscation\":\"abc\"")],
                1..16,
            ),
        ) {
            let streams = || ChatStreamDecoder::new("groq", &ChatProvider::PLAIN);
            let (mut quick, mut slow) = (streams(), streams());
            let (mut read, mut expected) = (Vec::new(), Vec::new());
            for data in &chunks {
                // Each chunk is sent twice, so that there is a template to apply.
                for _ in 0..2 {
                    let event = sse::Event {
                        name: None,
                        data: data.into(),
                    };
                    quick.push(&event, &mut read);
                    slow.plain = None;
                    slow.push(&event, &mut expected);
                }
            }
            quick.finish(&mut read);
            slow.finish(&mut expected);
            let said = |events: &[Event]| events.iter().map(short).collect::<Vec<_>>();
            prop_assert_eq!(said(&read), said(&expected));
        }
    }

    #[test]
    fn a_usual_chunk_is_learned() {
        let mut stream = ChatStreamDecoder::new("groq", &ChatProvider::PLAIN);
        let mut out = Vec::new();
        for text in ["a", "b", "other words"] {
            let data = format!(r#"{{"id":"c","choices":[{{"delta":{{"content":"{text}"}}}}]}}"#);
            let fits = stream
                .plain
                .as_ref()
                .is_some_and(|plain| plain.fits(data.as_bytes()));
            assert_eq!(
                fits,
                text == "other words",
                "the first began, the second is usual"
            );
            let event = sse::Event {
                name: None,
                data: data.into(),
            };
            stream.push(&event, &mut out);
        }
    }
}
