"""Two-turn tool loops with reasoning, through the OpenAI SDK and LangChain, against a gateway before
providers that demand their reasoning back.

    python loops.py target/debug/ai-gateway [--node <folder with loops.mjs and its node_modules>]

Starts the gateway and upstreams.py, and stops both. With --node it runs loops.mjs as well.
"""

import argparse
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import uuid
from pathlib import Path

# A proxy of the environment has no business between this and loopback.
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"
os.environ["LANGSMITH_TRACING"] = "false"
# upstreams.py is imported; the folder stays as it is.
sys.dont_write_bytecode = True

import httpx
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import OpenAI
from pydantic import BaseModel
from upstreams import ANSWER, CALLS, FORECAST, RESULTS, THOUGHT

KEY = "some-key"
MODELS = {
    "anthropic": "claude-opus-5-5",
    "redacted": "claude-sonnet-5-5",
    "gemini": "gemini-3-pro",
    "deepseek": "deepseek/deepseek-v4-pro",
    "kimi": "kimi-for-coding",
    "openai": "gpt-5.6",
}
# Where the last call of a conversation has to end up. With tools, OpenAI reasons on this path only.
PATHS = {
    "anthropic": "/anthropic/v1/messages",
    "redacted": "/anthropic/v1/messages",
    "gemini": "/gemini/chat/completions",
    "deepseek": "/deepseek/chat/completions",
    "kimi": "/kimi/chat/completions",
    "openai": "/openai/v1/responses",
}
# These have signatures, and no text that they would show.
SILENT = {"gemini"}
ENCRYPTED = ["reasoning.encrypted_content"]
REASONING = {"effort": "medium", "summary": "auto"}


def declared(name, properties):
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"name": name, "description": f"The {name} of a city", "parameters": parameters, "strict": True}


FUNCTIONS = [
    declared("weather", {"city": {"type": "string"}}),
    declared("population", {"city": {"type": "string"}, "year": {"type": "integer"}}),
]
CHAT_TOOLS = [{"type": "function", "function": function} for function in FUNCTIONS]
RESPONSES_TOOLS = [{"type": "function", **function} for function in FUNCTIONS]


class Forecast(BaseModel):
    city: str
    sunny: bool


def each(*columns):
    """Runs a test once for every combination."""

    def mark(test):
        test.cases = [*itertools.product(*columns), *getattr(test, "cases", [])]
        return test

    return mark


def same(got, expected):
    assert got == expected, f"expected {expected!r}, got {got!r}"


class Talk:
    """A conversation that no provider has seen before."""

    def __init__(self, provider, gateway="remembers"):
        self.provider, self.model = provider, MODELS[provider]
        self.base = f"{gateways[gateway]}/v1"
        self.client = OpenAI(base_url=self.base, api_key=KEY, max_retries=0, timeout=30)
        self.name = f"case-{uuid.uuid4().hex[:12]}"
        self.ask = [{"role": "user", "content": f"Weather and people of Köln? ({self.name})"}]
        self.thought = "" if provider in SILENT else THOUGHT.format(case=self.name)

    def reached(self, turns=2, paths=None):
        """No request was refused on the way, and each turn was one."""
        asked = [entry for entry in http.get("/log").json() if self.name in json.dumps(entry["body"])]
        same([entry["status"] for entry in asked], [200] * turns)
        taken = {entry["path"] for entry in asked}
        assert taken <= set(paths or [PATHS[self.provider]]), f"it went to {taken}"


def check_calls(calls):
    """`calls` has id, name and arguments of each."""
    same([(name, json.loads(given) if isinstance(given, str) else given) for _, name, given in calls], CALLS)
    ids = [id for id, _, _ in calls]
    assert all(ids) and len(set(ids)) == 2, f"the ids are {ids}"


def check_usage(spent, received, total):
    assert spent > 0 and received > 0, f"the usage is {spent} + {received}"
    same(total, spent + received)


# Chat Completions.


def chat_whole(talk, messages, **more):
    answer = talk.client.chat.completions.create(model=talk.model, messages=messages, tools=CHAT_TOOLS, **more)
    message = answer.choices[0].message
    return message, message.model_dump(), answer.choices[0].finish_reason, answer.usage


def chat_helped(talk, messages, **more):
    """With the SDK's helper, which puts the message together."""
    options = {"include_usage": True}
    with talk.client.chat.completions.stream(
        model=talk.model, messages=messages, tools=CHAT_TOOLS, stream_options=options, **more
    ) as stream:
        answer = stream.get_final_completion()
    message = answer.choices[0].message
    return message, message.model_dump(), answer.choices[0].finish_reason, answer.usage


def chat_by_hand(talk, messages, **more):
    """With a client that puts the message together itself, every member that a chunk may have."""
    message, finishes, usages = {"role": "assistant", "content": "", "tool_calls": []}, [], []
    options = {"include_usage": True}
    for chunk in talk.client.chat.completions.create(
        model=talk.model, messages=messages, tools=CHAT_TOOLS, stream=True, stream_options=options, **more
    ):
        if chunk.usage:
            usages.append(chunk.usage)
        for choice in chunk.choices:
            delta = choice.delta.model_dump(exclude_unset=True)
            for name in ["content", "reasoning_content"]:
                if delta.get(name):
                    message[name] = message.get(name, "") + delta[name]
            for part in delta.get("reasoning_details") or []:
                details = message.setdefault("reasoning_details", [])
                known = next((detail for detail in details if detail.get("index") == part.get("index")), None)
                if known is None:
                    details.append(part)
                    continue
                text = known.get("text", "") + part.get("text", "")
                known.update(part)
                known["text"] = text
            for part in delta.get("tool_calls") or []:
                if part["index"] == len(message["tool_calls"]):
                    message["tool_calls"].append({**part, "function": {"arguments": "", **part["function"]}})
                    continue
                call = message["tool_calls"][part["index"]]
                call["function"]["arguments"] += part["function"].get("arguments") or ""
                call.update({name: value for name, value in part.items() if name not in {"function", "index"}})
            for name, value in delta.items():
                if name not in {"role", "content", "reasoning_content", "reasoning_details", "tool_calls"}:
                    message[name] = value
            if choice.finish_reason:
                finishes.append(choice.finish_reason)
    same(len(finishes), 1)
    same(len(usages), 1)
    for call in message["tool_calls"]:
        call.pop("index", None)
    if not message["tool_calls"]:
        del message["tool_calls"]
    return message, message, finishes[0], usages[0]


CHAT = {"whole": chat_whole, "helper": chat_helped, "by hand": chat_by_hand}


def kept_of(kept, message, dumped):
    """What a client takes along of a message."""
    if kept == "object":
        return message
    if kept == "everything":
        return dumped
    calls = [
        {
            "id": call["id"],
            "type": "function",
            "function": {"name": call["function"]["name"], "arguments": call["function"]["arguments"]},
        }
        for call in dumped["tool_calls"]
    ]
    known = {"role": "assistant", "content": dumped["content"], "tool_calls": calls}
    if kept == "known and reasoning":
        known["reasoning_content"] = dumped.get("reasoning_content")
    return known


def chat_loop(talk, way, kept, paths=None, **more):
    """Returns the message of the first turn."""
    message, dumped, finish, usage = CHAT[way](talk, talk.ask, **more)
    same(finish, "tool_calls")
    calls = [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in dumped["tool_calls"]]
    check_calls(calls)
    check_usage(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)
    results = [{"role": "tool", "tool_call_id": id, "content": RESULTS[name]} for id, name, _ in calls]
    history = [*talk.ask, kept_of(kept, message, dumped), *results]
    _, last, finish, usage = CHAT[way](talk, history, **more)
    same((last["content"], finish), (ANSWER, "stop"))
    assert not last.get("tool_calls"), last
    check_usage(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)
    talk.reached(paths=paths)
    return dumped


@each(MODELS, CHAT, ["object", "everything", "known", "known and reasoning"], ["remembers"])
@each(MODELS, CHAT, ["object", "everything"], ["forgets"])
@each(["deepseek", "kimi"], CHAT, ["known and reasoning"], ["forgets"])
def test_chat(provider, way, kept, gateway):
    talk = Talk(provider, gateway)
    dumped = chat_loop(talk, way, kept)
    same(dumped.get("reasoning_content") or "", talk.thought)


@each(CHAT)
def test_chat_without_reasoning(way):
    # Only reasoning keeps OpenAI's tools from Chat Completions.
    paths = ["/openai/v1/chat/completions", "/openai/v1/responses"]
    chat_loop(Talk("openai"), way, "known", paths, reasoning_effort="none")


# The same ids of calls in two conversations at once.
@each(["whole", "by hand"])
def test_chat_tells_conversations_apart(way):
    talks = [Talk("kimi"), Talk("kimi")]
    said = [CHAT[way](talk, talk.ask) for talk in talks]
    for talk, (message, dumped, _, _) in zip(talks, said):
        known = kept_of("known", message, dumped)
        results = [
            {"role": "tool", "tool_call_id": call["id"], "content": RESULTS[call["function"]["name"]]}
            for call in known["tool_calls"]
        ]
        _, last, _, _ = CHAT[way](talk, [*talk.ask, known, *results])
        same(last["content"], ANSWER)
        talk.reached()


# Responses.


def responses_whole(talk, given):
    response = talk.client.responses.create(**given)
    return response, response.output


def responses_helped(talk, given):
    with talk.client.responses.stream(**given) as stream:
        for _ in stream:
            pass
        response = stream.get_final_response()
    return response, response.output


def responses_by_hand(talk, given):
    """With a client that takes each item when it is done."""
    items, last = [], None
    for event in talk.client.responses.create(**given, stream=True):
        if event.type == "response.output_item.done":
            items.append(event.item)
        last = event
    same(last.type, "response.completed")
    return last.response, items


RESPONSES = {"whole": responses_whole, "helper": responses_helped, "by hand": responses_by_hand}


# OpenAI's own are relayed: what of them is kept is between the client and the provider.
@each([name for name in MODELS if name != "openai"], RESPONSES, ["calls"], ["remembers"])
@each(MODELS, RESPONSES, ["everything"], ["remembers", "forgets"])
def test_responses(provider, way, kept, gateway):
    talk = Talk(provider, gateway)

    def turn(items):
        given = {"model": talk.model, "input": items, "tools": RESPONSES_TOOLS, "reasoning": REASONING}
        response, output = RESPONSES[way](talk, {**given, "store": False, "include": ENCRYPTED})
        same((response.status, response.error), ("completed", None))
        check_usage(response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens)
        return response, output

    _, output = turn(talk.ask)
    thought = [part.text for item in output if item.type == "reasoning" for part in item.summary]
    same("".join(thought), talk.thought)
    calls = [item for item in output if item.type == "function_call"]
    check_calls([(call.call_id, call.name, call.arguments) for call in calls])
    if kept == "calls":
        # What a client writes that has models of its own for these items.
        names = ["type", "call_id", "name", "arguments"]
        output = [{name: getattr(call, name) for name in names} for call in calls]
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": RESULTS[call.name]} for call in calls
    ]
    last, _ = turn([*talk.ask, *output, *results])
    same(last.output_text, ANSWER)
    talk.reached()


# Structured outputs.


@each(["anthropic", "redacted", "deepseek"])
def test_chat_parse(provider):
    talk = Talk(provider)
    answer = talk.client.chat.completions.parse(model=talk.model, messages=talk.ask, response_format=Forecast)
    message = answer.choices[0].message
    same(message.parsed, Forecast(**FORECAST))
    same(message.reasoning_content, talk.thought)
    talk.reached(turns=1)


@each(["anthropic", "redacted", "deepseek"])
def test_chat_parse_streamed(provider):
    talk = Talk(provider)
    with talk.client.chat.completions.stream(model=talk.model, messages=talk.ask, response_format=Forecast) as stream:
        answer = stream.get_final_completion()
    same(answer.choices[0].message.parsed, Forecast(**FORECAST))
    talk.reached(turns=1)


@each(["anthropic", "redacted", "deepseek", "openai"])
def test_responses_parse(provider):
    talk = Talk(provider)
    answer = talk.client.responses.parse(model=talk.model, input=talk.ask, text_format=Forecast)
    same(answer.output_parsed, Forecast(**FORECAST))
    talk.reached(turns=1)


# LangChain. Its chat messages have no place for reasoning: it has to be remembered.


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return RESULTS["weather"]


@tool
def population(city: str, year: int) -> str:
    """The population of a city."""
    return RESULTS["population"]


@each(MODELS, ["chat", "responses"], ["invoke", "stream"], ["remembers"])
@each(MODELS, ["responses"], ["invoke", "stream"], ["forgets"])
def test_langchain(provider, api, way, gateway):
    talk = Talk(provider, gateway)
    more = {"stream_usage": True}
    if api == "responses":
        more = {"use_responses_api": True, "store": False, "include": ENCRYPTED, "reasoning": REASONING}
        more["output_version"] = "responses/v1"
    model = ChatOpenAI(model=talk.model, base_url=talk.base, api_key=KEY, max_retries=0, timeout=30, **more)
    model = model.bind_tools([weather, population])

    def turn(messages):
        if way == "invoke":
            answer = model.invoke(messages)
        else:
            answer = None
            for chunk in model.stream(messages):
                answer = chunk if answer is None else answer + chunk
        usage = answer.usage_metadata
        check_usage(usage["input_tokens"], usage["output_tokens"], usage["total_tokens"])
        same(answer.invalid_tool_calls, [])
        return answer

    ask = ("user", talk.ask[0]["content"])
    answer = turn([ask])
    check_calls([(call["id"], call["name"], call["args"]) for call in answer.tool_calls])
    if api == "responses":
        blocks = [block for block in answer.content_blocks if block["type"] == "reasoning"]
        same("".join(block.get("reasoning", "") for block in blocks), talk.thought)
    tools = {"weather": weather, "population": population}
    results = [tools[call["name"]].invoke(call) for call in answer.tool_calls]
    last = turn([ask, answer, *results])
    same((last.text, last.tool_calls), (ANSWER, []))
    talk.reached()


# Starting, running, stopping.


@contextlib.contextmanager
def running(command, **more):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **more)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


@contextlib.contextmanager
def gateway(binary, upstreams, **more):
    port = free_port()
    # Nothing of the caller's environment: its keys and base URLs are not for here, nor is a .env.
    env = {"HOST": "127.0.0.1", "PORT": str(port), "RUST_LOG": "warn", **more}
    for name in ["anthropic", "gemini", "deepseek", "kimi", "openai"]:
        env[f"{name.upper()}_BASE_URL"] = f"{upstreams}/{name}"
    with tempfile.TemporaryDirectory() as folder, open(f"{folder}/log", "w+") as log:
        with running([binary], cwd=folder, env=env, stdout=log, stderr=log) as process:
            url = f"http://127.0.0.1:{port}"
            until = time.monotonic() + 30
            while True:
                try:
                    if httpx.get(f"{url}/healthz", timeout=2).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                if process.poll() is not None or time.monotonic() > until:
                    log.seek(0)
                    sys.exit(f"the gateway does not start: {log.read()}")
                time.sleep(0.05)
            yield url


def run_tests():
    passed = failed = 0
    for name, test in list(globals().items()):
        if not name.startswith("test_"):
            continue
        for arguments in test.cases:
            label = f"{name}[{', '.join(arguments)}]"
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
    print(f"{passed} passed, {failed} failed", flush=True)
    return failed


def main():
    global http, gateways
    parser = argparse.ArgumentParser()
    parser.add_argument("gateway")
    parser.add_argument("--node")
    options = parser.parse_args()
    # Ended from outside, it still ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    script = Path(__file__).resolve().with_name("upstreams.py")
    with contextlib.ExitStack() as stack:
        scripted = stack.enter_context(running([sys.executable, script], stdout=subprocess.PIPE, text=True))
        upstreams = json.loads(scripted.stdout.readline())["url"]
        binary = Path(options.gateway).resolve()
        # The second is like another replica: it knows of a conversation what the client brings along.
        remembers = stack.enter_context(gateway(binary, upstreams))
        forgets = stack.enter_context(gateway(binary, upstreams, REASONING_MEMORY_BYTES="0"))
        gateways = {"remembers": remembers, "forgets": forgets}
        http = httpx.Client(base_url=upstreams, timeout=30)
        failed = run_tests()
        if options.node:
            command = ["node", Path(options.node) / "loops.mjs", remembers, forgets, upstreams]
            failed += stack.enter_context(running(command)).wait() != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
