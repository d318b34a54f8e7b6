//! The handler of `POST /v1/responses`.

use std::rc::Rc;

use actix_web::{HttpRequest, HttpResponse};

use super::caller::JsonRequest;
use super::error_response::ErrorResponse;
use super::response;
use super::schema::{Errors, ResponseObject, ResponsesRequest};
use super::state::state;
use crate::flow;

/// Answers with OpenAI's Responses, on every provider.
#[utoipa::path(
    post,
    path = "/v1/responses",
    tag = "Models",
    operation_id = "createResponse",
    summary = "Responses",
    request_body(
        content = ResponsesRequest,
        description = "OpenAI Responses. Providers that have them are given the request as it is; for the others it is translated, and what needs a store or a hosted tool is refused by name.",
        examples(
            ("1-streamed" = (summary = "A streamed answer", value = json!({
                "model": "gpt-5.4-mini",
                "stream": true,
                "input": "Write a Rust function to parse CSV lines."
            }))),
            ("2-translated" = (summary = "Anthropic, translated", value = json!({
                "model": "claude-haiku-4-5",
                "instructions": "Be brief.",
                "input": [{"role": "user", "content": "Hello"}]
            })))
        )
    ),
    responses(
        (status = 200, description = "The response; with `stream: true` as events that end with `response.completed`, `response.incomplete` or `response.failed`.", content(
            (ResponseObject = "application/json", example = json!({
                "id": "resp_1", "object": "response", "created_at": 1_700_000_000, "status": "completed", "model": "gpt-5.4-mini",
                "output": [{"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": "Hello!", "annotations": []}]}],
                "usage": {"input_tokens": 8, "output_tokens": 7, "total_tokens": 15}
            })),
            (String = "text/event-stream", example = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"delta\":\"Hello\",\"logprobs\":[]}\n\n")
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
    let reply = flow::responses(state, asked.of(&request)).await?;
    Ok(response::send(reply))
}
