//! The table of providers, in the order of `docs/providers.md`; `.env.example` has their variables.

use super::chat;
use super::row::{Auth, ChatApi, Provider, ResponsesRequired, ResponsesSupport};
use crate::dialect::anthropic::MessagesProvider;

/// The gateway's `User-Agent`, unless a provider requires another one.
const USER_AGENT: &str = concat!("ai-gateway/", env!("CARGO_PKG_VERSION"));

/// The defaults of a row; most providers share them.
const OPENAI_COMPATIBLE: Provider = Provider {
    name: "",
    title: "",
    gen_ai_name: None,
    base_url: "",
    base_url_env: "",
    base_is_example: false,
    key_env: "",
    patterns: &[],
    key_starts: &[],
    auth: Auth::Bearer,
    version: "",
    chat_api: ChatApi::Chat(&chat::OPENAI),
    responses: ResponsesSupport::Translated,
    responses_required: |_| ResponsesRequired::Never,
    stateless: false,
    only_model: None,
    publisher: None,
    user_agent: USER_AGENT,
    forwards: &[],
    account_headers: &[],
    bare_429_is_final: false,
    lists_models: true,
    list_is_paged: false,
    list_prefix: "",
    list_type: None,
};

/// All providers, one row each.
pub static PROVIDERS: [Provider; 14] = [
    Provider {
        name: "openai",
        title: "OpenAI",
        base_url: "https://api.openai.com",
        base_url_env: "OPENAI_BASE_URL",
        key_env: "OPENAI_API_KEY",
        key_starts: &["sk-proj-", "sk-svcacct-", "sk-admin-"],
        account_headers: &["openai-organization", "openai-project"],
        version: "/v1",
        responses: ResponsesSupport::Native,
        responses_required: chat::responses_required,
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "anthropic",
        title: "Anthropic",
        base_url: "https://api.anthropic.com",
        base_url_env: "ANTHROPIC_BASE_URL",
        key_env: "ANTHROPIC_API_KEY",
        patterns: &["claude"],
        key_starts: &["sk-ant-"],
        forwards: &["anthropic-beta"],
        bare_429_is_final: true,
        list_is_paged: true,
        auth: Auth::XApiKey,
        version: "/v1",
        chat_api: ChatApi::Other {
            path: "/messages",
            dialect: &MessagesProvider,
            // Newer API versions reject sampling parameters on every model.
            headers: &[("anthropic-version", "2023-06-01")],
        },
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "gemini",
        title: "Gemini",
        gen_ai_name: Some("gcp.gemini"),
        chat_api: ChatApi::Chat(&chat::GEMINI),
        base_url: "https://generativelanguage.googleapis.com/v1beta/openai",
        base_url_env: "GEMINI_BASE_URL",
        key_env: "GEMINI_API_KEY",
        patterns: &["gemini"],
        key_starts: &["AIza"],
        list_prefix: "models/",
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "kimi",
        title: "Kimi",
        chat_api: ChatApi::Chat(&chat::KIMI),
        base_url: "https://api.kimi.com/coding/v1",
        base_url_env: "KIMI_BASE_URL",
        key_env: "KIMI_API_KEY",
        patterns: &["kimi"],
        key_starts: &["sk-kimi-"],
        // Kimi serves one model, and only to clients with this `User-Agent`.
        only_model: Some("kimi-for-coding"),
        user_agent: "KimiCLI/1.3",
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "openrouter",
        title: "OpenRouter",
        chat_api: ChatApi::Chat(&chat::OPENROUTER),
        base_url: "https://openrouter.ai/api/v1",
        base_url_env: "OPENROUTER_BASE_URL",
        key_env: "OPENROUTER_API_KEY",
        key_starts: &["sk-or-"],
        forwards: &["http-referer", "x-title", "x-openrouter-title"],
        responses: ResponsesSupport::Native,
        stateless: true,
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "vercel",
        title: "Vercel AI Gateway",
        chat_api: ChatApi::Chat(&chat::VERCEL),
        base_url: "https://ai-gateway.vercel.sh/v1",
        base_url_env: "VERCEL_AI_GATEWAY_BASE_URL",
        key_env: "VERCEL_AI_GATEWAY_API_KEY",
        key_starts: &["vck_"],
        responses: ResponsesSupport::Native,
        list_type: Some("language"),
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "groq",
        title: "Groq",
        chat_api: ChatApi::Chat(&chat::GROQ),
        base_url: "https://api.groq.com/openai/v1",
        base_url_env: "GROQ_BASE_URL",
        key_env: "GROQ_API_KEY",
        key_starts: &["gsk_"],
        responses: ResponsesSupport::NativeAtFirst,
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "deepseek",
        title: "DeepSeek",
        chat_api: ChatApi::Chat(&chat::DEEPSEEK),
        base_url: "https://api.deepseek.com/v1",
        base_url_env: "DEEPSEEK_BASE_URL",
        key_env: "DEEPSEEK_API_KEY",
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "xai",
        title: "xAI",
        gen_ai_name: Some("x_ai"),
        chat_api: ChatApi::Chat(&chat::XAI),
        base_url: "https://api.x.ai/v1",
        base_url_env: "XAI_BASE_URL",
        key_env: "XAI_API_KEY",
        key_starts: &["xai-"],
        responses: ResponsesSupport::Native,
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "mistral",
        title: "Mistral",
        gen_ai_name: Some("mistral_ai"),
        chat_api: ChatApi::Chat(&chat::MISTRAL),
        base_url: "https://api.mistral.ai/v1",
        base_url_env: "MISTRAL_BASE_URL",
        key_env: "MISTRAL_API_KEY",
        responses: ResponsesSupport::Native,
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "cohere",
        title: "Cohere",
        chat_api: ChatApi::Chat(&chat::COHERE),
        base_url: "https://api.cohere.com/compatibility/v1",
        base_url_env: "COHERE_BASE_URL",
        key_env: "COHERE_API_KEY",
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "azure",
        title: "Azure OpenAI",
        gen_ai_name: Some("azure.ai.openai"),
        base_url: "https://example-resource.openai.azure.com/openai/v1",
        base_url_env: "AZURE_OPENAI_BASE_URL",
        base_is_example: true,
        key_env: "AZURE_OPENAI_API_KEY",
        auth: Auth::ApiKey,
        responses: ResponsesSupport::Native,
        responses_required: chat::responses_required,
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "bedrock",
        lists_models: false,
        title: "AWS Bedrock",
        gen_ai_name: Some("aws.bedrock"),
        chat_api: ChatApi::Chat(&chat::BEDROCK),
        base_url: "https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1",
        base_url_env: "AWS_BEDROCK_BASE_URL",
        key_env: "AWS_BEDROCK_API_KEY",
        key_starts: &["ABSK", "bedrock-api-key-"],
        responses: ResponsesSupport::NativeFor(bedrock_has_responses),
        ..OPENAI_COMPATIBLE
    },
    Provider {
        name: "vertex",
        lists_models: false,
        title: "Vertex AI",
        gen_ai_name: Some("gcp.vertex_ai"),
        chat_api: ChatApi::Chat(&chat::VERTEX),
        base_url: "https://us-central1-aiplatform.googleapis.com/v1/projects/PROJECT/locations/us-central1/endpoints/openapi",
        base_url_env: "VERTEX_AI_BASE_URL",
        base_is_example: true,
        key_env: "VERTEX_AI_API_KEY",
        key_starts: &["ya29."],
        publisher: Some("google/"),
        ..OPENAI_COMPATIBLE
    },
];

/// Per Bedrock's documentation, Responses exist for OpenAI's GPT models, not for open-weight ones.
fn bedrock_has_responses(model: &str) -> bool {
    model.contains("openai.gpt-") && !model.contains("gpt-oss")
}
