"""The official Python SDK and LangChain against a gateway that runs `ai-gateway demo`.

    python clients.py http://127.0.0.1:3000
"""

import asyncio
import json
import os
import sys
import traceback

# A proxy of the environment has no business between this and loopback.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"
os.environ["LANGSMITH_TRACING"] = "false"

import httpx
import openai
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

BASE = (sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:3000").rstrip("/")
KEY = "some-key"
HEADERS = {"Authorization": f"Bearer {KEY}"}

client = OpenAI(base_url=f"{BASE}/v1", api_key=KEY, max_retries=0, timeout=30)
http = httpx.Client(base_url=BASE, timeout=30)

# A model of every provider.
MODELS = {
    "openai": "gpt-4o-mini",
    "anthropic": "claude-haiku-4-5",
    "gemini": "gemini-3.8-flash",
    "kimi": "kimi-for-coding",
    "openrouter": "openrouter/x",
    "vercel": "vercel/x",
    "groq": "groq/x",
    "deepseek": "deepseek/x",
    "xai": "xai/x",
    "mistral": "mistral/x",
    "cohere": "cohere/x",
    "azure": "azure/x",
    "bedrock": "bedrock/x",
    "vertex": "vertex/x",
}
HELLO = "Hello! I am a scripted model, and you said: “Hello”"
ASK = [{"role": "user", "content": "Hello"}]
CSV = "Write a Rust function to parse CSV lines."


def each(*cases):
    """Runs a test once for every case."""

    def mark(test):
        test.cases = cases
        return test

    return mark


every_provider = each(*MODELS)


def same(got, expected):
    assert got == expected, f"expected {expected!r}, got {got!r}"


def raises(kind, call):
    """The error of the SDK that a call has to raise."""
    try:
        answer = call()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}, got an answer: {answer!r}")


def is_envelope(answer, status, code, param=None):
    same(answer.status_code, status)
    same(answer.headers["content-type"], "application/json")
    body = answer.json()
    same(set(body), {"error"})
    error = body["error"]
    same(set(error), {"message", "type", "param", "code"})
    assert isinstance(error["message"], str) and error["message"], error
    same((error["type"], error["code"], error["param"]), ("invalid_request_error", code, param))


def chat(model, messages=ASK, **more):
    return client.chat.completions.create(model=model, messages=messages, **more)


class Streamed:
    """What the chunks of a chat stream add up to."""

    def __init__(self, chunks):
        self.chunks = list(chunks)
        self.text, self.calls, self.finishes, self.usages, self.roles = "", [], [], [], []
        assert self.chunks, "the stream is empty"
        first = self.chunks[0]
        assert first.id and first.created > 0, first
        for chunk in self.chunks:
            same(chunk.object, "chat.completion.chunk")
            same((chunk.id, chunk.model, chunk.created), (first.id, first.model, first.created))
            if chunk.usage is not None:
                self.usages.append(chunk)
            for choice in chunk.choices:
                assert not self.finishes, "there is more after the finish_reason"
                same(choice.index, 0)
                if choice.delta.role:
                    self.roles.append(choice.delta.role)
                self.text += choice.delta.content or ""
                for part in choice.delta.tool_calls or []:
                    if part.index == len(self.calls):
                        same(part.type, "function")
                        self.calls.append({"id": part.id, "name": part.function.name, "arguments": ""})
                    same(part.index, len(self.calls) - 1)
                    self.calls[-1]["arguments"] += part.function.arguments or ""
                if choice.finish_reason:
                    self.finishes.append(choice.finish_reason)
        same(self.roles, ["assistant"])


# The three calls of the README.


def test_example_streams_chat_completions_from_kimi():
    got = Streamed(chat("kimi-for-coding", [{"role": "user", "content": CSV}], stream=True))
    assert got.text.startswith("Here is one that knows quoted fields:"), got.text
    assert "fn parse_csv_line(line: &str) -> Vec<String> {\n" in got.text, got.text
    assert len(got.chunks) > 20, "it does not come in pieces"
    same(got.finishes, ["stop"])


def test_example_streams_a_response_from_openai():
    events = list(client.responses.create(model="gpt-4o-mini", input=CSV, stream=True))
    same(events[0].type, "response.created")
    same(events[-1].type, "response.completed")
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(deltas) > 20, "it does not come in pieces"
    assert "fn parse_csv_line(line: &str) -> Vec<String> {\n" in "".join(deltas)
    same(events[-1].response.output_text, "".join(deltas))


def test_example_answers_chat_completions_from_openai():
    answer = chat("gpt-4o-mini")
    same(answer.choices[0].message.content, HELLO)
    same(answer.choices[0].finish_reason, "stop")


# Every provider, both endpoints, whole and streamed.


@every_provider
def test_chat_whole(provider):
    raw = client.chat.completions.with_raw_response.create(model=MODELS[provider], messages=ASK)
    same(raw.headers["x-gateway-provider"], provider)
    same(raw.headers["content-type"], "application/json")
    answer = raw.parse()
    same(answer.object, "chat.completion")
    assert answer.id and answer.created > 0
    same(answer.model.split("/")[-1], MODELS[provider].split("/")[-1])
    same(len(answer.choices), 1)
    choice = answer.choices[0]
    same((choice.index, choice.finish_reason), (0, "stop"))
    same((choice.message.role, choice.message.content, choice.message.tool_calls), ("assistant", HELLO, None))
    usage = answer.usage
    assert usage.prompt_tokens > 0 and usage.completion_tokens > 0, usage
    same(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)


@every_provider
def test_chat_streamed(provider):
    whole = chat(MODELS[provider])
    got = Streamed(chat(MODELS[provider], stream=True))
    same(got.text, whole.choices[0].message.content)
    assert len(got.chunks) > 5, "it does not come in pieces"
    same(got.finishes, ["stop"])
    # Mistral counts unasked, on its last chunk.
    same(len(got.usages), 1 if provider == "mistral" else 0)
    same(got.chunks[0].model, whole.model)


@every_provider
def test_chat_streamed_with_usage(provider):
    whole = chat(MODELS[provider])
    got = Streamed(chat(MODELS[provider], stream=True, stream_options={"include_usage": True}))
    same(got.text, whole.choices[0].message.content)
    same(got.finishes, ["stop"])
    same(len(got.usages), 1)
    last = got.chunks[-1]
    same((last.choices, last.usage), ([], whole.usage))


@every_provider
def test_chat_on_the_wire(provider):
    body = {"model": MODELS[provider], "messages": ASK, "stream": True}
    answer = http.post("/v1/chat/completions", headers=HEADERS, json=body)
    same(answer.status_code, 200)
    same(answer.headers["x-gateway-provider"], provider)
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.headers
    lines = [line for line in answer.text.split("\n") if line and not line.startswith(":")]
    assert all(line.startswith("data: ") for line in lines), lines
    same([line for line in lines if line == "data: [DONE]"], ["data: [DONE]"])
    assert answer.text.endswith("\n\ndata: [DONE]\n\n"), answer.text[-80:]
    for line in lines[:-1]:
        chunk = json.loads(line.removeprefix("data: "))
        # Mistral counts unasked, on its last chunk; what it says there is left to stand.
        counted = provider == "mistral" and chunk["choices"][0]["finish_reason"]
        assert counted or "usage" not in chunk, line


@every_provider
def test_responses_whole(provider):
    raw = client.responses.with_raw_response.create(model=MODELS[provider], input="Hello")
    same(raw.headers["x-gateway-provider"], provider)
    response = raw.parse()
    same((response.object, response.status, response.error), ("response", "completed", None))
    assert response.id.startswith("resp_") and response.created_at > 0, response
    same(response.output_text, HELLO)
    same([item.type for item in response.output], ["message"])
    same((response.output[0].role, response.output[0].status), ("assistant", "completed"))
    usage = response.usage
    assert usage.input_tokens > 0 and usage.output_tokens > 0, usage
    same(usage.total_tokens, usage.input_tokens + usage.output_tokens)


@every_provider
def test_responses_streamed(provider):
    with client.responses.stream(model=MODELS[provider], input="Hello") as stream:
        events = list(stream)
        final = stream.get_final_response()
    same([event.sequence_number for event in events], list(range(len(events))))
    kinds = [event.type for event in events]
    same(kinds[:2], ["response.created", "response.in_progress"])
    same(kinds[-1], "response.completed")
    for part in ["output_item.added", "content_part.added", "output_text.done", "content_part.done", "output_item.done"]:
        same((part, kinds.count(f"response.{part}")), (part, 1))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(deltas) > 5, "it does not come in pieces"
    same(final.output_text, "".join(deltas))
    same(final.output_text, HELLO)
    same({event.response.id for event in events if hasattr(event, "response")}, {final.id})
    items = {event.item.id for event in events if hasattr(event, "item")}
    items |= {event.item_id for event in events if hasattr(event, "item_id")}
    same(items, {final.output[0].id})
    same((final.status, final.usage.total_tokens), ("completed", final.usage.input_tokens + final.usage.output_tokens))


@every_provider
def test_responses_on_the_wire(provider):
    body = {"model": MODELS[provider], "input": "Hello", "stream": True}
    answer = http.post("/v1/responses", headers=HEADERS, json=body)
    same(answer.status_code, 200)
    same(answer.headers["x-gateway-provider"], provider)
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.headers
    frames = [frame for frame in answer.text.split("\n\n") if frame and not frame.startswith(":")]
    for frame in frames:
        name, data = frame.split("\n")
        same(name, f"event: {json.loads(data.removeprefix('data: '))['type']}")


# Tools.

FORECAST = {
    "type": "function",
    "function": {
        "name": "forecast",
        "description": "Weather forecast for a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
POPULATION = {
    "type": "function",
    "function": {
        "name": "population",
        "description": "Inhabitants of a city in a year",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "year": {"type": "integer"}},
            "required": ["city", "year"],
        },
    },
}
TOOLS = [FORECAST, POPULATION]
QUESTION = [{"role": "user", "content": "Weather and people of Rome?"}]
RESULTS = {"forecast": "sunny, 31 degrees", "population": "2748109"}
# Which result the scripted provider repeats: Anthropic's takes the first of the message, the others the last message.
REPEATED = {"openai": "population", "anthropic": "forecast", "groq": "population"}


def check_calls(calls):
    same([call["name"] for call in calls], ["forecast", "population"])
    same(json.loads(calls[0]["arguments"]), {"city": "Rome"})
    same(json.loads(calls[1]["arguments"]), {"city": "Rome", "year": 1})
    ids = [call["id"] for call in calls]
    assert all(ids) and len(set(ids)) == 2, ids


def results(calls):
    return [{"role": "tool", "tool_call_id": call["id"], "content": RESULTS[call["name"]]} for call in calls]


@each("openai", "anthropic", "groq")
def test_tools_whole(provider):
    answer = chat(MODELS[provider], QUESTION, tools=TOOLS)
    choice = answer.choices[0]
    same(choice.finish_reason, "tool_calls")
    same([call.type for call in choice.message.tool_calls], ["function", "function"])
    calls = [
        {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
        for call in choice.message.tool_calls
    ]
    check_calls(calls)
    second = chat(MODELS[provider], [*QUESTION, choice.message, *results(calls)], tools=TOOLS)
    same(second.choices[0].finish_reason, "stop")
    same(second.choices[0].message.tool_calls, None)
    same(second.choices[0].message.content, f"The tool says: {RESULTS[REPEATED[provider]]}")


@each("openai", "anthropic", "groq")
def test_tools_streamed(provider):
    got = Streamed(chat(MODELS[provider], QUESTION, tools=TOOLS, stream=True))
    same(got.finishes, ["tool_calls"])
    check_calls(got.calls)
    said = {
        "role": "assistant",
        "content": got.text or None,
        "tool_calls": [
            {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
            for call in got.calls
        ],
    }
    second = Streamed(chat(MODELS[provider], [*QUESTION, said, *results(got.calls)], tools=TOOLS, stream=True))
    same((second.finishes, second.calls), (["stop"], []))
    same(second.text, f"The tool says: {RESULTS[REPEATED[provider]]}")


class Forecast(BaseModel):
    """Weather forecast for a city"""

    city: str
    days: int


@each("openai", "anthropic", "groq")
def test_tools_with_the_stream_helper(provider):
    tools = [openai.pydantic_function_tool(Forecast, name="forecast")]
    with client.chat.completions.stream(model=MODELS[provider], messages=QUESTION, tools=tools) as stream:
        kinds = {event.type for event in stream}
        answer = stream.get_final_completion()
    assert {"chunk", "tool_calls.function.arguments.delta", "tool_calls.function.arguments.done"} <= kinds, kinds
    same(answer.choices[0].finish_reason, "tool_calls")
    (call,) = answer.choices[0].message.tool_calls
    same(call.function.name, "forecast")
    same(call.function.parsed_arguments, Forecast(city="Rome", days=1))


def test_tools_of_responses_on_anthropic():
    model = MODELS["anthropic"]
    tools = [{"type": "function", **declared["function"]} for declared in TOOLS]
    question = [{"role": "user", "content": "Weather and people of Rome?"}]
    with client.responses.stream(model=model, input=question, tools=tools) as stream:
        events = list(stream)
        first = stream.get_final_response()
    same([event.sequence_number for event in events], list(range(len(events))))
    same([item.type for item in first.output], ["message", "function_call", "function_call"])
    calls = [item for item in first.output if item.type == "function_call"]
    check_calls([{"id": call.call_id, "name": call.name, "arguments": call.arguments} for call in calls])
    for index, item in enumerate(first.output):
        ids = {event.item.id for event in events if hasattr(event, "item") and event.output_index == index}
        ids |= {event.item_id for event in events if hasattr(event, "item_id") and event.output_index == index}
        same(ids, {item.id})
        deltas = [
            event.delta
            for event in events
            if event.type == "response.function_call_arguments.delta" and event.output_index == index
        ]
        same("".join(deltas), item.arguments if item.type == "function_call" else "")
    outputs = [
        {"type": "function_call_output", "call_id": call.call_id, "output": RESULTS[call.name]} for call in calls
    ]
    second = client.responses.create(model=model, input=[*question, *first.output, *outputs], tools=tools)
    same(second.output_text, f"The tool says: {RESULTS['forecast']}")


# Structured output.


class City(BaseModel):
    name: str
    inhabitants: int
    capital: bool


ROME = City(name="Rome", inhabitants=1, capital=True)


@each("gpt-4o-mini", "claude-opus-5-5")
def test_structured_output(model):
    answer = client.chat.completions.parse(model=model, messages=ASK, response_format=City)
    message = answer.choices[0].message
    same(answer.choices[0].finish_reason, "stop")
    same(message.parsed, ROME)
    same(City.model_validate_json(message.content), ROME)


@each("gpt-4o-mini", "claude-opus-5-5")
def test_structured_output_streamed(model):
    with client.chat.completions.stream(model=model, messages=ASK, response_format=City) as stream:
        answer = stream.until_done().get_final_completion()
    same(answer.choices[0].message.parsed, ROME)


def test_structured_output_of_responses_on_anthropic():
    response = client.responses.parse(model="claude-opus-5-5", input="Hello", text_format=City)
    same(response.status, "completed")
    same(response.output_parsed, ROME)
    same(response.text.format.type, "json_schema")


# Models.


def provider_of(model):
    """The provider to which the README sends a model name."""
    prefix, slash, _ = model.partition("/")
    if slash and prefix in MODELS:
        return prefix
    starts = {"claude": "anthropic", "gemini": "gemini", "kimi": "kimi"}
    return next((provider for start, provider in starts.items() if model.startswith(start)), "openai")


def test_models_lists_every_provider():
    models = list(client.models.list())
    ids = [model.id for model in models]
    same(len(ids), len(set(ids)))
    for model in models:
        same(model.object, "model")
        assert model.id and isinstance(model.created, int) and model.owned_by, model
    # On Azure a model's name is that of a customer's deployment; none can be known beforehand.
    same({provider_of(model) for model in ids}, set(MODELS) - {"azure"})


def test_models_listed_can_be_asked():
    ids = [model.id for model in client.models.list()]
    sample = {provider_of(model): model for model in ids}
    same(set(sample), set(MODELS) - {"azure"})
    sample = list(sample.values())
    others = [model for model in ids if model not in sample]
    missing = 20 - len(sample)
    sample += others[:: len(others) // missing][:missing]
    same(len(set(sample)), 20)
    for model in sample:
        raw = client.chat.completions.with_raw_response.create(model=model, messages=ASK)
        same((model, raw.headers["x-gateway-provider"]), (model, provider_of(model)))
        same(raw.parse().choices[0].message.content, HELLO)


@every_provider
def test_models_of_one_provider(provider):
    models = list(client.models.list(extra_query={"provider": provider}))
    assert models or provider == "azure", "the list is empty"
    same({provider_of(model.id) for model in models}, {provider} if models else set())
    for model in models[:3]:
        raw = client.chat.completions.with_raw_response.create(model=model.id, messages=ASK)
        same(raw.headers["x-gateway-provider"], provider)


# Errors.


def test_an_unknown_provider_is_named():
    error = raises(openai.BadRequestError, lambda: client.models.list(extra_query={"provider": "nope"}))
    same((error.status_code, error.param, error.code), (400, "provider", "invalid_value"))
    assert "nope" in error.message and "vertex" in error.message, error.message


@each("", " ", "groq/")
def test_a_model_without_a_name_is_refused(model):
    error = raises(openai.BadRequestError, lambda: chat(model))
    same((error.status_code, error.param, error.code), (400, "model", "invalid_value"))
    error = raises(openai.BadRequestError, lambda: client.responses.create(model=model, input="Hello"))
    same((error.status_code, error.param, error.code), (400, "model", "invalid_value"))


@each("gpt-4o-mini", "claude-haiku-4-5")
def test_no_messages_are_refused(model):
    error = raises(openai.BadRequestError, lambda: chat(model, []))
    same((error.param, error.type), ("messages", "invalid_request_error"))
    error = raises(openai.BadRequestError, lambda: chat(model, [], stream=True))
    same(error.param, "messages")
    is_envelope(
        http.post("/v1/chat/completions", headers=HEADERS, json={"model": model}),
        400,
        "missing_required_parameter",
        "messages",
    )


def test_a_missing_model_is_refused():
    for path, body in [("chat/completions", {"messages": ASK}), ("responses", {"input": "Hello"})]:
        answer = http.post(f"/v1/{path}", headers=HEADERS, json=body)
        is_envelope(answer, 400, "missing_required_parameter", "model")


def test_what_cannot_be_translated_is_named():
    error = raises(openai.BadRequestError, lambda: chat("claude-haiku-4-5", n=2))
    same((error.param, error.code), ("n", "unsupported_value"))
    raw = client.chat.completions.with_raw_response.create(
        model="claude-haiku-4-5", messages=ASK, seed=3, logit_bias={"50256": -100}
    )
    same(raw.headers["x-gateway-dropped-params"], "logit_bias,seed")


def test_a_body_that_is_no_json_is_refused():
    headers = HEADERS | {"content-type": "application/json"}
    answer = http.post("/v1/chat/completions", headers=headers, content='{"model": "gpt-4o-mini"')
    is_envelope(answer, 400, "invalid_json")


@each("GET /v1/models", "POST /v1/chat/completions", "POST /v1/responses")
def test_no_key(endpoint):
    method, path = endpoint.split()
    body = {"model": "gpt-4o-mini", "messages": ASK, "input": "Hello"} if method == "POST" else None
    for headers in [{}, {"Authorization": "Bearer"}, {"Authorization": "Basic eDp5"}, {"x-api-key": KEY}]:
        answer = http.request(method, path, headers=headers, json=body)
        is_envelope(answer, 401, "invalid_api_key")
        same(answer.headers["www-authenticate"], "Bearer")


def test_no_key_in_the_sdk():
    nobody = {"Authorization": openai.Omit()}
    error = raises(openai.AuthenticationError, lambda: chat("gpt-4o-mini", extra_headers=nobody))
    same((error.status_code, error.code), (401, "invalid_api_key"))


@each("/nope", "/v1", "/v1/nope", "/v1/chat/completions/", "/static/nope", "/swagger-ui/nope")
def test_unknown_paths(path):
    for headers in [HEADERS, {}]:
        is_envelope(http.get(path, headers=headers), 404, "unknown_url")


@each(
    ("GET", "/v1/chat/completions", "POST"),
    ("DELETE", "/v1/responses", "POST"),
    ("POST", "/v1/models", "GET, HEAD"),
    ("POST", "/healthz", "GET, HEAD"),
    ("PUT", "/providers", "GET, HEAD"),
    ("DELETE", "/doc", "GET, HEAD"),
)
def test_methods_that_are_not_served(case):
    method, path, allow = case
    answer = http.request(method, path, headers=HEADERS)
    is_envelope(answer, 405, "method_not_allowed")
    same(answer.headers["allow"], allow)


@each("/v1/chat/completions", "/v1/responses")
def test_bodies_that_are_not_declared_as_json(path):
    body = json.dumps({"model": "gpt-4o-mini", "messages": ASK, "input": "Hello"})
    for kind in ["text/plain", "application/x-www-form-urlencoded", None]:
        headers = HEADERS | ({"content-type": kind} if kind else {})
        is_envelope(http.post(path, headers=headers, content=body), 415, "unsupported_media_type")
    headers = HEADERS | {"content-type": "Application/JSON; charset=utf-8"}
    same(http.post(path, headers=headers, content=body).status_code, 200)


def test_health():
    answer = http.get("/healthz")
    same((answer.status_code, answer.json()), (200, {"status": "ok"}))
    head = http.head("/healthz")
    same((head.status_code, head.content), (200, b""))
    same(head.headers["content-length"], answer.headers["content-length"])


def test_providers():
    answer = http.get("/providers")
    same(answer.status_code, 200)
    rows = answer.json()["data"]
    same([row["name"] for row in rows], list(MODELS))
    same([row["prefix"] for row in rows], [f"{name}/" for name in MODELS])
    patterns = {row["name"]: row["patterns"] for row in rows if row["patterns"]}
    same(patterns, {"anthropic": ["claude*"], "gemini": ["gemini*"], "kimi": ["kimi*"]})


# Many at once.


def test_all_providers_at_once():
    async def ask():
        async with AsyncOpenAI(base_url=f"{BASE}/v1", api_key=KEY, max_retries=0, timeout=30) as many:

            async def whole(model, text):
                answer = await many.chat.completions.create(model=model, messages=[{"role": "user", "content": text}])
                return answer.choices[0].message.content

            async def streamed(model, text):
                stream = await many.chat.completions.create(
                    model=model, messages=[{"role": "user", "content": text}], stream=True
                )
                return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])

            asked = [(f"call {i} of {model}", model, i) for i in range(8) for model in MODELS.values()]
            calls = [(streamed if i % 2 else whole)(model, text) for text, model, i in asked]
            return asked, await asyncio.gather(*calls)

    asked, got = asyncio.run(ask())
    same(got, [HELLO.replace("“Hello”", f"“{text}”") for text, _, _ in asked])


# LangChain.


def langchain(**more):
    return ChatOpenAI(
        model="claude-haiku-4-5", base_url=f"{BASE}/v1", api_key=KEY, max_retries=0, timeout=30, **more
    )


@tool
def forecast(city: str) -> str:
    """Weather forecast for a city."""
    return RESULTS["forecast"]


@each("chat", "responses")
def test_langchain_invoke(api):
    answer = langchain(use_responses_api=api == "responses").invoke("Hello")
    same(answer.text, HELLO)
    usage = answer.usage_metadata
    assert usage["input_tokens"] > 0 and usage["output_tokens"] > 0, usage
    same(usage["total_tokens"], usage["input_tokens"] + usage["output_tokens"])


@each("chat", "responses")
def test_langchain_stream(api):
    pieces = [chunk.text for chunk in langchain(use_responses_api=api == "responses").stream("Hello")]
    assert len([piece for piece in pieces if piece]) > 5, pieces
    same("".join(pieces), HELLO)


@each("chat", "responses")
def test_langchain_tools(api):
    model = langchain(use_responses_api=api == "responses").bind_tools([forecast])
    answer = model.invoke("Weather in Rome?")
    (call,) = answer.tool_calls
    same((call["name"], call["args"], answer.invalid_tool_calls), ("forecast", {"city": "Rome"}, []))
    result = forecast.invoke(call)
    assert isinstance(result, ToolMessage)
    second = model.invoke([("user", "Weather in Rome?"), answer, result])
    same((second.text, second.tool_calls), ("The tool says: sunny, 31 degrees", []))


def test_langchain_streams_tools():
    whole = None
    for chunk in langchain().bind_tools([forecast]).stream("Weather in Rome?"):
        whole = chunk if whole is None else whole + chunk
    same([(call["name"], call["args"]) for call in whole.tool_calls], [("forecast", {"city": "Rome"})])


def main():
    passed = failed = 0
    for name, test in list(globals().items()):
        if not name.startswith("test_"):
            continue
        cases = getattr(test, "cases", None)
        for arguments in [()] if cases is None else [(case,) for case in cases]:
            label = name + "".join(f"[{case}]" for case in arguments)
            try:
                test(*arguments)
            except Exception as error:
                failed += 1
                frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == __file__]
                where = ", ".join(f"line {frame.lineno}" for frame in frames[1:])
                print(f"FAIL {label}: {type(error).__name__}: {error} ({where})", flush=True)
            else:
                passed += 1
                print(f"ok   {label}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
