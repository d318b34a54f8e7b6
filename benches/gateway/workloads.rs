//! What is asked, how often, and what it may cost.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::load::{Call, Round, Streams, clock, closed};
use crate::target::{Kind, Target};

/// How it is asked.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    /// By so many connections, each as soon as it has its answer.
    Closed(usize),
    /// So many times a second.
    Clock(u32),
    /// So many streams are open, and watched for a while.
    Streams(usize),
}

/// What a request holds.
#[derive(Debug, Clone, Copy)]
pub enum Prompt {
    /// Messages of 1 KB.
    Messages,
    /// An image of 1 MB.
    Image,
    /// The input of a Responses call, of 1 KB.
    Input,
}

/// A line of the table.
pub struct Workload {
    pub name: &'static str,
    /// Where the gateway is asked.
    path: &'static str,
    /// Where the provider is asked, and so a proxy.
    provider_path: &'static str,
    model: &'static str,
    prompt: Prompt,
    /// The provider's chunks; `None` for a whole answer.
    chunks: Option<u64>,
    pub load: Load,
    /// Whether a proxy is to hold bodies in memory.
    in_memory: bool,
    /// Of the processor time over nginx's; `None` where nothing is promised.
    pub bound: Option<f64>,
}

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";

const RELAYED: Workload = Workload {
    name: "chat relayed, 1 KB, closed loop",
    path: CHAT,
    provider_path: CHAT,
    model: "openai/whole",
    prompt: Prompt::Messages,
    chunks: None,
    load: Load::Closed(16),
    in_memory: false,
    bound: Some(1.3),
};

/// Paced streams, 16 at once: 200 chunks, 5 ms apart.
const PACED: Workload = Workload {
    name: "chat streamed, chunks 5 ms apart, per chunk",
    model: "openai/stream-200-5000",
    chunks: Some(200),
    bound: Some(1.05),
    ..RELAYED
};

/// All lines that compare processor time.
pub const WORKLOADS: [Workload; 13] = [
    RELAYED,
    Workload {
        name: "chat relayed, 1 KB, 50 requests/s on a clock",
        load: Load::Clock(50),
        bound: Some(1.4),
        ..RELAYED
    },
    PACED,
    Workload {
        name: "chat streamed, back-to-back chunks, per chunk",
        model: "openai/stream-200-0",
        bound: Some(1.5),
        ..PACED
    },
    Workload {
        name: "512 slow streams at once, per chunk",
        model: "openai/stream-1000000-100000",
        load: Load::Streams(512),
        chunks: Some(1_000_000),
        bound: Some(1.15),
        ..PACED
    },
    IMAGE,
    Workload {
        name: "the same image, nginx told to hold it in memory",
        in_memory: true,
        bound: None,
        ..IMAGE
    },
    Workload {
        name: "responses relayed, whole",
        path: RESPONSES,
        provider_path: RESPONSES,
        prompt: Prompt::Input,
        ..RELAYED
    },
    Workload {
        name: "chat translated to Anthropic, whole",
        provider_path: MESSAGES,
        model: "anthropic/whole",
        bound: Some(1.7),
        ..RELAYED
    },
    TO_ANTHROPIC,
    Workload {
        name: "chat translated to Anthropic, back-to-back chunks, per chunk",
        model: "anthropic/stream-200-0",
        bound: None,
        ..TO_ANTHROPIC
    },
    EMULATED,
    Workload {
        name: "responses emulated on a chat provider, back-to-back chunks, per chunk",
        model: "deepseek/stream-200-0",
        bound: None,
        ..EMULATED
    },
];

/// The one whose throughput is compared as well.
pub const IMAGE: Workload = Workload {
    name: "chat with a 1 MB image",
    prompt: Prompt::Image,
    load: Load::Closed(4),
    bound: Some(0.6),
    ..RELAYED
};

const TO_ANTHROPIC: Workload = Workload {
    name: "chat translated to Anthropic, streamed and paced, per chunk",
    provider_path: MESSAGES,
    model: "anthropic/stream-200-5000",
    ..PACED
};

const EMULATED: Workload = Workload {
    name: "responses emulated on a chat provider, streamed and paced, per chunk",
    path: RESPONSES,
    prompt: Prompt::Input,
    model: "deepseek/stream-200-5000",
    bound: Some(1.3),
    ..PACED
};

impl Workload {
    /// The call of this workload to a target.
    pub fn call(&self, target: &Target) -> Call {
        let is_stream = self.chunks.is_some();
        Call {
            address: match (is_stream, self.in_memory) {
                (true, _) => target.streams,
                (false, true) => target.in_memory,
                (false, false) => target.whole,
            },
            request: post(
                match target.kind {
                    Kind::Gateway => self.path,
                    Kind::Proxy => self.provider_path,
                },
                &self.prompt.body(self.model, is_stream),
            ),
            chunks: self.chunks,
        }
    }

    /// One stretch of it. Streams are opened for it, and are closed at its end.
    ///
    /// # Errors
    ///
    /// Where a request failed.
    pub async fn run(&self, target: &Target, time: Duration) -> std::io::Result<Round> {
        let call = self.call(target);
        match self.load {
            Load::Closed(connections) => closed(target, &call, connections, time).await,
            // Few requests: a longer stretch makes up for it.
            Load::Clock(per_second) => clock(target, &call, per_second, time * 2).await,
            Load::Streams(count) => {
                let mut streams = Streams::open(&call, count).await?;
                let round = streams.watch(target, time).await;
                drop(streams);
                settle().await;
                round
            }
        }
    }
}

/// Waits until both sides have seen that streams were closed.
pub async fn settle() {
    tokio::time::sleep(Duration::from_millis(500)).await;
}

/// The bytes of a request.
pub fn post(path: &str, body: &Value) -> Arc<[u8]> {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer sk-caller\r\n\
         user-agent: bench\r\naccept: */*\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
    .into()
}

/// So many bytes of text, about.
pub fn text(bytes: usize) -> String {
    "Say what the gateway costs. ".repeat(bytes / 28 + 1)
}

impl Prompt {
    fn body(self, model: &str, is_stream: bool) -> Value {
        match self {
            Self::Messages => json!({
                "model": model, "stream": is_stream, "max_tokens": 500,
                "messages": [
                    {"role": "system", "content": text(280)},
                    {"role": "user", "content": text(500)},
                ],
            }),
            Self::Image => json!({
                "model": model, "stream": is_stream, "max_tokens": 500,
                "messages": [{"role": "user", "content": [
                    {"type": "text", "text": text(280)},
                    {"type": "image_url", "image_url": {
                        "url": format!("data:image/png;base64,{}", "iVBORw0KGgoA".repeat(87_381)),
                    }},
                ]}],
            }),
            Self::Input => json!({
                "model": model, "stream": is_stream, "store": false, "max_output_tokens": 500,
                "instructions": text(280), "input": text(500),
            }),
        }
    }
}
