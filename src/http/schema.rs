//! The shapes that the OpenAPI document shows. Requests are not read into these: what the gateway
//! does not name here is passed on.

#![expect(
    dead_code,
    reason = "these are read by the documentation, not by the server"
)]

use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoResponses, ToSchema};

use crate::dialect::models::Entry;

/// An error, in OpenAI's envelope. All four members are always present.
#[derive(ToSchema, Serialize)]
#[schema(example = json!({"error": {"message": "Missing required parameter: 'model'.", "type": "invalid_request_error", "param": "model", "code": "missing_required_parameter"}}))]
pub struct ErrorEnvelope {
    /// The error.
    error: ErrorObject,
}

/// What went wrong.
#[derive(ToSchema, Serialize)]
pub struct ErrorObject {
    /// What went wrong, for people.
    message: String,
    /// What kind of error it is.
    #[schema(example = "invalid_request_error")]
    r#type: String,
    /// The field to correct.
    #[schema(required)]
    param: Option<String>,
    /// What went wrong, for programs.
    #[schema(required)]
    code: Option<String>,
}

/// The errors of the endpoints that take a request for a model.
#[derive(IntoResponses)]
pub enum Errors {
    /// The request cannot be used; `param` names the field. Codes: `invalid_json`, `invalid_type`, `invalid_value`, `missing_required_parameter`, `unsupported_parameter`, `unsupported_value`, `context_length_exceeded`, `provider_not_configured`, `provider_key_missing`, or the provider's own.
    #[response(status = 400, example = json!({"error": {"message": "Missing required parameter: 'model'.", "type": "invalid_request_error", "param": "model", "code": "missing_required_parameter"}}))]
    BadRequest(ErrorEnvelope),
    /// No key, or a wrong one (`invalid_api_key`).
    #[response(status = 401, example = json!({"error": {"message": "Incorrect API key.", "type": "invalid_request_error", "param": null, "code": "invalid_api_key"}}))]
    Unauthorized(ErrorEnvelope),
    /// The provider wants to be paid (`insufficient_quota`).
    #[response(status = 402, example = json!({"error": {"message": "Insufficient balance", "type": "insufficient_quota", "param": null, "code": "insufficient_quota"}}))]
    Payment(ErrorEnvelope),
    /// The provider does not allow this to the key.
    #[response(status = 403, example = json!({"error": {"message": "The key may not use this model", "type": "permission_error", "param": null, "code": null}}))]
    Forbidden(ErrorEnvelope),
    /// The provider has no such model (`model_not_found`), or nothing is served here (`unknown_url`).
    #[response(status = 404, example = json!({"error": {"message": "The model does not exist", "type": "invalid_request_error", "param": null, "code": "model_not_found"}}))]
    NotFound(ErrorEnvelope),
    /// The method is not served here; `Allow` names those that are.
    #[response(status = 405, example = json!({"error": {"message": "Method PUT is not allowed for this path; allowed: POST.", "type": "invalid_request_error", "param": null, "code": "method_not_allowed"}}))]
    MethodNotAllowed(ErrorEnvelope),
    /// The request's body did not arrive in time.
    #[response(status = 408, example = json!({"error": {"message": "The request body did not arrive completely.", "type": "invalid_request_error", "param": null, "code": "request_timeout"}}))]
    RequestTimeout(ErrorEnvelope),
    /// The request's body is larger than `MAX_BODY_BYTES`.
    #[response(status = 413, example = json!({"error": {"message": "The request body is larger than the limit of 52428800 bytes.", "type": "invalid_request_error", "param": null, "code": "request_too_large"}}))]
    TooLarge(ErrorEnvelope),
    /// The request's body is not declared as `application/json`.
    #[response(status = 415, example = json!({"error": {"message": "The request body must be sent with 'Content-Type: application/json'.", "type": "invalid_request_error", "param": null, "code": "unsupported_media_type"}}))]
    UnsupportedMediaType(ErrorEnvelope),
    /// The provider understood the request and refused it.
    #[response(status = 422, example = json!({"error": {"message": "body.seed: extra field", "type": "invalid_request_error", "param": "seed", "code": null}}))]
    Unprocessable(ErrorEnvelope),
    /// The provider's limit is reached; `Retry-After` says when to try again.
    #[response(status = 429, example = json!({"error": {"message": "Rate limit reached", "type": "rate_limit_error", "param": null, "code": "rate_limit_exceeded"}}))]
    TooMany(ErrorEnvelope),
    /// The provider failed.
    #[response(status = 500, example = json!({"error": {"message": "Internal error", "type": "server_error", "param": null, "code": null}}))]
    ProviderFailed(ErrorEnvelope),
    /// The provider cannot be reached (`upstream_unreachable`), sent something unusable (`upstream_invalid_response`) or rejected the gateway's own key (`provider_auth_failed`).
    #[response(status = 502, example = json!({"error": {"message": "'groq' cannot be reached: the connection was refused.", "type": "server_error", "param": null, "code": "upstream_unreachable"}}))]
    BadGateway(ErrorEnvelope),
    /// The provider is overloaded, or too many requests to it are under way (`overloaded`); `Retry-After` says when to try again.
    #[response(status = 503, example = json!({"error": {"message": "Too many requests are under way to 'groq'; try again shortly.", "type": "server_error", "param": null, "code": "overloaded"}}))]
    Unavailable(ErrorEnvelope),
    /// The provider did not answer in time (`upstream_timeout`, `upstream_first_event_timeout`).
    #[response(status = 504, example = json!({"error": {"message": "'groq' did not answer within 120 s.", "type": "server_error", "param": null, "code": "upstream_timeout"}}))]
    GatewayTimeout(ErrorEnvelope),
}

/// The errors of the endpoints that take a key and no body.
#[derive(IntoResponses)]
pub enum ListErrors {
    /// The request cannot be used; `param` names the field. Codes: `invalid_json`, `invalid_type`, `invalid_value`, `missing_required_parameter`, `unsupported_parameter`, `unsupported_value`, `context_length_exceeded`, `provider_not_configured`, `provider_key_missing`, or the provider's own.
    #[response(status = 400, example = json!({"error": {"message": "Missing required parameter: 'model'.", "type": "invalid_request_error", "param": "model", "code": "missing_required_parameter"}}))]
    BadRequest(ErrorEnvelope),
    /// No key, or a wrong one (`invalid_api_key`).
    #[response(status = 401, example = json!({"error": {"message": "Incorrect API key.", "type": "invalid_request_error", "param": null, "code": "invalid_api_key"}}))]
    Unauthorized(ErrorEnvelope),
    /// The provider does not allow this to the key.
    #[response(status = 403, example = json!({"error": {"message": "The key may not use this model", "type": "permission_error", "param": null, "code": null}}))]
    Forbidden(ErrorEnvelope),
    /// The method is not served here; `Allow` names those that are.
    #[response(status = 405, example = json!({"error": {"message": "Method PUT is not allowed for this path; allowed: POST.", "type": "invalid_request_error", "param": null, "code": "method_not_allowed"}}))]
    MethodNotAllowed(ErrorEnvelope),
    /// The provider's limit is reached; `Retry-After` says when to try again.
    #[response(status = 429, example = json!({"error": {"message": "Rate limit reached", "type": "rate_limit_error", "param": null, "code": "rate_limit_exceeded"}}))]
    TooMany(ErrorEnvelope),
    /// The provider failed.
    #[response(status = 500, example = json!({"error": {"message": "Internal error", "type": "server_error", "param": null, "code": null}}))]
    ProviderFailed(ErrorEnvelope),
    /// The provider cannot be reached (`upstream_unreachable`), sent something unusable (`upstream_invalid_response`) or rejected the gateway's own key (`provider_auth_failed`).
    #[response(status = 502, example = json!({"error": {"message": "'groq' cannot be reached: the connection was refused.", "type": "server_error", "param": null, "code": "upstream_unreachable"}}))]
    BadGateway(ErrorEnvelope),
    /// The provider is overloaded, or too many requests to it are under way (`overloaded`); `Retry-After` says when to try again.
    #[response(status = 503, example = json!({"error": {"message": "Too many requests are under way to 'groq'; try again shortly.", "type": "server_error", "param": null, "code": "overloaded"}}))]
    Unavailable(ErrorEnvelope),
    /// The provider did not answer in time (`upstream_timeout`, `upstream_first_event_timeout`).
    #[response(status = 504, example = json!({"error": {"message": "'groq' did not answer within 120 s.", "type": "server_error", "param": null, "code": "upstream_timeout"}}))]
    GatewayTimeout(ErrorEnvelope),
}

/// A Chat Completions request. Further fields of OpenAI's API are taken too.
#[derive(ToSchema)]
pub struct ChatRequest {
    /// Decides the provider: `claude*`, `gemini*`, `kimi*`, a prefix such as `groq/`, else OpenAI.
    #[schema(example = "gpt-5.4-mini", max_length = 256)]
    model: String,
    /// The conversation so far.
    #[schema(min_items = 1)]
    messages: Vec<ChatMessage>,
    /// Whether the answer comes as events.
    #[schema(default = false)]
    stream: Option<bool>,
    /// `{"include_usage": true}` ends a stream with a count of tokens.
    stream_options: Option<StreamOptions>,
    /// The most tokens to write.
    #[schema(minimum = 1)]
    max_completion_tokens: Option<u64>,
    /// How much chance there is in the answer, 0 to 2.
    temperature: Option<f64>,
    /// From how much of the probability is chosen, 0 to 1.
    top_p: Option<f64>,
    /// Where to stop: a text or several.
    stop: Option<Value>,
    /// Functions that the model may call.
    tools: Option<Vec<ChatTool>>,
    /// `auto`, `none`, `required` or one function.
    tool_choice: Option<Value>,
    /// Whether several functions may be called at once.
    #[schema(default = true)]
    parallel_tool_calls: Option<bool>,
    /// `json_schema` makes the answer follow a schema.
    response_format: Option<Value>,
    /// How hard a reasoning model thinks: `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`.
    reasoning_effort: Option<String>,
    /// An opaque id of the person behind the request.
    user: Option<String>,
}

/// What a stream ends with.
#[derive(ToSchema)]
pub struct StreamOptions {
    /// Whether the last chunk counts the tokens.
    include_usage: Option<bool>,
}

/// A message of a conversation.
#[derive(ToSchema)]
pub struct ChatMessage {
    /// `system`, `developer`, `user`, `assistant` or `tool`.
    #[schema(example = "user")]
    role: String,
    /// A text, or parts: text, images, files.
    #[schema(example = "Hello")]
    content: Option<Value>,
    /// The calls an assistant made.
    tool_calls: Option<Vec<ToolCall>>,
    /// The call that a `tool` message answers.
    tool_call_id: Option<String>,
}

/// A function that the model may call.
#[derive(ToSchema)]
pub struct ChatTool {
    /// `function`.
    #[schema(example = "function")]
    r#type: String,
    /// The function.
    function: Function,
}

/// A function.
#[derive(ToSchema)]
pub struct Function {
    /// Its name.
    name: String,
    /// What it does.
    description: Option<String>,
    /// JSON Schema of its arguments.
    parameters: Option<Value>,
    /// Whether the arguments must follow the schema exactly.
    strict: Option<bool>,
}

/// A call of a function.
#[derive(ToSchema)]
pub struct ToolCall {
    /// Its id.
    id: String,
    /// `function`.
    r#type: String,
    /// What is called.
    function: CalledFunction,
}

/// What is called.
#[derive(ToSchema)]
pub struct CalledFunction {
    /// The function's name.
    name: String,
    /// Its arguments: JSON text.
    arguments: String,
}

/// A Chat Completions answer.
#[derive(ToSchema)]
pub struct ChatCompletion {
    /// Its id.
    id: String,
    /// `chat.completion`.
    object: String,
    /// When, in seconds since 1970.
    created: u64,
    /// The model that answered.
    model: String,
    /// The answers; one unless more were asked for.
    choices: Vec<Choice>,
    /// Tokens.
    usage: Option<Usage>,
}

/// An answer.
#[derive(ToSchema)]
pub struct Choice {
    /// Its position.
    index: u64,
    /// What was said.
    message: AnswerMessage,
    /// `stop`, `length`, `tool_calls` or `content_filter`.
    finish_reason: String,
}

/// What was said.
#[derive(ToSchema)]
pub struct AnswerMessage {
    /// `assistant`.
    role: String,
    /// The text.
    #[schema(required)]
    content: Option<String>,
    /// Why the model declined.
    refusal: Option<String>,
    /// What a reasoning model thought, where its provider shows it.
    reasoning_content: Option<String>,
    /// Calls of functions.
    tool_calls: Option<Vec<ToolCall>>,
}

/// Tokens of an answer. The prompt includes cached tokens, the completion includes reasoning.
#[derive(ToSchema)]
pub struct Usage {
    /// Tokens of the prompt.
    prompt_tokens: u64,
    /// Tokens of the answer.
    completion_tokens: u64,
    /// Both.
    total_tokens: u64,
}

/// A Responses request. Further fields of OpenAI's API are taken too.
#[derive(ToSchema)]
pub struct ResponsesRequest {
    /// Decides the provider, as with Chat Completions.
    #[schema(example = "gpt-5.4-mini", max_length = 256)]
    model: String,
    /// A text, or a list of items.
    #[schema(example = "Hello")]
    input: Option<Value>,
    /// What the model is told first.
    instructions: Option<String>,
    /// Whether the answer comes as events.
    #[schema(default = false)]
    stream: Option<bool>,
    /// The most tokens to write.
    #[schema(minimum = 1)]
    max_output_tokens: Option<u64>,
    /// How much chance there is in the answer, 0 to 2.
    temperature: Option<f64>,
    /// From how much of the probability is chosen, 0 to 1.
    top_p: Option<f64>,
    /// Functions that the model may call, in the flat shape of Responses.
    tools: Option<Vec<Value>>,
    /// `auto`, `none`, `required` or one function.
    tool_choice: Option<Value>,
    /// `{"format": {"type": "json_schema", …}}` makes the answer follow a schema.
    text: Option<Value>,
    /// `{"effort": "low", "summary": "auto"}` for reasoning models.
    reasoning: Option<Value>,
}

/// A response.
#[derive(ToSchema)]
pub struct ResponseObject {
    /// Its id.
    id: String,
    /// `response`.
    object: String,
    /// When, in seconds since 1970.
    created_at: u64,
    /// `completed`, `incomplete` or `failed`.
    status: String,
    /// The model that answered.
    model: String,
    /// What was said and called: items of type `message`, `function_call`, `reasoning`.
    output: Vec<Value>,
    /// Tokens.
    usage: Option<Value>,
}

/// Models.
#[derive(ToSchema, Serialize)]
pub struct ModelList {
    /// `list`.
    pub object: &'static str,
    /// The models.
    #[schema(value_type = Vec<Model>)]
    pub data: Vec<Entry>,
}

/// A model.
#[derive(ToSchema)]
pub struct Model {
    /// What to send as `model`.
    id: String,
    /// `model`.
    object: String,
    /// When it was made, in seconds since 1970; 0 where that is not told.
    created: u64,
    /// Whose it is.
    owned_by: String,
    /// Its name for people.
    display_name: Option<String>,
    /// The most tokens it reads.
    context_window: Option<u64>,
    /// The most tokens it writes.
    max_output_tokens: Option<u64>,
    /// `catalogue` where the entry is bundled with the gateway and was not listed by the provider.
    source: Option<String>,
}

/// Providers.
#[derive(ToSchema, Serialize)]
pub struct ProviderList {
    /// `list`.
    pub object: &'static str,
    /// Which keys callers bring: `gateway_keys`, `pass_through` (the provider's) or `demo` (any).
    pub mode: &'static str,
    /// When the bundled list of models was made, which `GET /v1/models` shows as `source: catalogue`.
    pub catalogue_date: &'static str,
    /// The providers.
    pub data: Vec<ProviderEntry>,
}

/// A provider.
#[derive(ToSchema, Serialize)]
pub struct ProviderEntry {
    /// Its name.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What forces it before a model's name.
    #[schema(example = "groq/")]
    pub prefix: String,
    /// Names of models that come here without the prefix.
    #[schema(example = json!(["claude*"]))]
    pub patterns: Vec<String>,
    /// Whether every other name comes here; only where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub takes_the_rest: Option<bool>,
    /// What is relayed (`native`) and what is translated.
    pub endpoints: Endpoints,
    /// How it is configured and doing; only for holders of a gateway key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<ProviderStatus>,
}

/// What is relayed and what is translated.
#[derive(ToSchema, Serialize)]
pub struct Endpoints {
    /// `/v1/chat/completions`.
    pub chat_completions: &'static str,
    /// `/v1/responses`.
    pub responses: &'static str,
}

/// How a provider is configured and doing.
#[derive(ToSchema, Serialize)]
pub struct ProviderStatus {
    /// Whether the gateway has a key for it.
    pub key_configured: bool,
    /// Where it is reached.
    pub base_url: String,
    /// Whether that is still the example that has to be replaced.
    pub base_url_is_example: bool,
    /// Calls under way.
    pub in_flight: u64,
    /// Calls that wait for a slot.
    pub waiting: u64,
    /// Attempts in a row that it failed, up to now.
    pub failures_in_a_row: u64,
    /// Of the model that is doing worst: `closed`; `open` while it is left alone because too many
    /// attempts fail; `half_open` while one call sees whether it is back.
    #[schema(example = "closed")]
    pub circuit: &'static str,
    /// The models whose circuits are not closed; an empty name is the list of models.
    pub failing_models: Vec<String>,
}

/// That the process answers.
#[derive(ToSchema)]
pub struct Health {
    /// `ok`.
    status: String,
}
