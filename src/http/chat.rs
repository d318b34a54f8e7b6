//! The handler of `POST /v1/chat/completions`.

use std::rc::Rc;

use actix_web::{HttpRequest, HttpResponse};

use super::caller::JsonRequest;
use super::error_response::ErrorResponse;
use super::response;
use super::schema::{ChatCompletion, ChatRequest, Errors};
use super::state::state;
use crate::flow;

/// Answers a conversation. The model's name decides which provider does.
#[utoipa::path(
    post,
    path = "/v1/chat/completions",
    tag = "Models",
    operation_id = "createChatCompletion",
    summary = "Chat Completions",
    request_body(
        content = ChatRequest,
        description = "OpenAI Chat Completions. Fields that are not listed here are passed on to providers that speak this dialect; where a translation has to leave one out, the answer's `x-gateway-dropped-params` header names it.",
        examples(
            ("1-whole" = (summary = "A whole answer", value = json!({
                "model": "gpt-5.4-mini",
                "messages": [{"role": "user", "content": "Hello"}]
            }))),
            ("2-streamed" = (summary = "A streamed answer from Kimi", value = json!({
                "model": "kimi-for-coding",
                "stream": true,
                "messages": [{"role": "user", "content": "Write a Rust function to parse CSV lines."}]
            }))),
            ("3-translated" = (summary = "Anthropic, translated", value = json!({
                "model": "claude-haiku-4-5",
                "max_completion_tokens": 200,
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "What is the weather in Rome?"}
                ],
                "tools": [{"type": "function", "function": {
                    "name": "forecast",
                    "description": "Weather forecast for a city",
                    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
                }}]
            })))
        )
    ),
    responses(
        (status = 200, description = "The answer; with `stream: true` as `chat.completion.chunk` events that end with `data: [DONE]`.", content(
            (ChatCompletion = "application/json", example = json!({
                "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt-5.4-mini",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello! How can I help?", "refusal": null}, "logprobs": null, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 8, "completion_tokens": 7, "total_tokens": 15}
            })),
            (String = "text/event-stream", example = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"gpt-5.4-mini\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"},\"finish_reason\":null}]}\n\ndata: [DONE]\n\n")
        )),
        Errors
    ),
    security(("bearer" = []))
)]
pub async fn create(
    asked: JsonRequest,
    request: HttpRequest,
) -> Result<HttpResponse, ErrorResponse> {
    let state = Rc::clone(state(&request));
    let reply = flow::chat(state, asked.of(&request)).await?;
    Ok(response::send(reply))
}
