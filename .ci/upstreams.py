"""Scripted providers that demand their reasoning back, for loops.py and loops.mjs.

    python upstreams.py

Prints {"url": …} when it listens. Each provider calls two tools first and answers the results in the
second turn, but only where the history holds what it thought before, unchanged. What it thinks
follows from the name of the conversation, `case-` and twelve digits in the first message: the
reasoning of any other conversation is refused too.

GET /log has what was asked, DELETE /log forgets it, GET /script has what the providers say.
"""

import base64
import hashlib
import json
import re
import sys
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Whatever an escape, a trim or a cut in the wrong place would change.
THOUGHT = "Köln – “two” calls:\n\t<weather> \\ & \"population\" 🌦️\u2028for {case}. "
SAYS = "Let me look, één moment. "
ANSWER = "It is sunny."
FORECAST = {"city": "Köln", "sunny": True}
CALLS = [("weather", {"city": "Köln"}), ("population", {"city": "Köln", "year": 2024})]
RESULTS = {"weather": "sunny, 31 degrees", "population": "1 087 353"}
SCRIPT = {
    "thought": THOUGHT,
    "answer": ANSWER,
    "forecast": FORECAST,
    "calls": [{"name": name, "arguments": arguments} for name, arguments in CALLS],
    "results": RESULTS,
}

# Bytes of one write of a stream: few and odd, so that characters and events are cut.
PIECE = 61

# The top-level fields that Gemini knows; it refuses all others.
GEMINI_KNOWS = """model messages stream stream_options temperature top_p max_tokens max_completion_tokens n stop tools
    tool_choice response_format reasoning_effort service_tier extra_body modalities audio""".split()

log = []
# Reasoning items by id, of requests that let the provider store them.
stored = {}


class Refused(Exception):
    def __init__(self, status, body):
        super().__init__(status)
        self.status, self.body = status, body


def case_of(body):
    """The name of the conversation."""
    found = re.search(r"case-[0-9a-f]{12}", json.dumps(body.get("messages", body.get("input"))))
    return found[0] if found else "case-none"


def seal(what, case):
    """What only the provider can read. Base64 as a rule, and nobody promised that."""
    digest = hashlib.sha512(f"{what} {case}".encode()).digest()
    return f'{what}+/{base64.b64encode(digest).decode()}== "é\\\u2028'


def short(text, length):
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def pieces(text, length=7):
    return [text[at : at + length] for at in range(0, len(text), length)]


def dumps(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def same_json(text, value):
    try:
        return json.loads(text) == value
    except (TypeError, ValueError):
        return False


def flat(content):
    """The text of a content, which may come as parts."""
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return content or ""


# Anthropic.


def anthropic(body, headers):
    def refuse(message, status=400, kind="invalid_request_error"):
        error = {"type": kind, "message": message}
        raise Refused(status, {"type": "error", "error": error, "request_id": "req_scripted"})

    if not (headers.get("x-api-key") or headers.get("authorization")):
        refuse("x-api-key header is required", 401, "authentication_error")
    if not headers.get("anthropic-version"):
        refuse("anthropic-version: header is required")
    if not isinstance(body.get("max_tokens"), int):
        refuse("max_tokens: Field required")

    case, model = case_of(body), body["model"]
    # The newest models keep their thinking to themselves unless asked for it.
    shown = (body.get("thinking") or {}).get("display") == "summarized"
    thinking = THOUGHT.format(case=case) if shown else ""
    thought = [{"type": "thinking", "thinking": thinking, "signature": seal("signature", case)}]
    if model.startswith("claude-sonnet"):
        thought.append({"type": "redacted_thinking", "data": seal("redacted", case)})
    calls = [
        {"type": "tool_use", "id": f"toolu_01{short(case + name, 22)}", "name": name, "input": given}
        for name, given in CALLS
    ]

    turns = body["messages"]
    called = False
    for at, turn in enumerate(turns):
        blocks = turn["content"] if isinstance(turn["content"], list) else []
        uses = [block for block in blocks if block["type"] == "tool_use"]
        if turn["role"] != "assistant" or not uses:
            continue
        called = True
        if blocks[: len(thought)] != thought:
            refuse(
                f"messages.{at}.content.0: `thinking` or `redacted_thinking` blocks in the assistant message cannot "
                f"be modified. Expected {dumps(thought)}, got {dumps(blocks)}"
            )
        if [{key: use.get(key) for key in calls[0]} for use in uses] != calls:
            refuse(f"messages.{at}: expected the tool_use blocks {dumps(calls)}, got {dumps(uses)}")
        after = turns[at + 1] if at + 1 < len(turns) else {"role": "nobody", "content": []}
        results = after["content"][: len(calls)] if isinstance(after["content"], list) else []
        got = [(block["type"], block.get("tool_use_id"), flat(block.get("content"))) for block in results]
        if after["role"] != "user" or got != [("tool_result", call["id"], RESULTS[call["name"]]) for call in calls]:
            refuse(f"messages.{at + 1}: `tool_use` ids without `tool_result` blocks right after: {dumps(after)}")

    form = (body.get("output_config") or {}).get("format")
    if form:
        if form["schema"].get("additionalProperties") is not False:
            refuse("output_config.format.schema: For 'object' type, 'additionalProperties' must be set to false")
        blocks, stop = [*thought, {"type": "text", "text": dumps(FORECAST)}], "end_turn"
    elif body.get("tools") and not called:
        blocks, stop = [*thought, {"type": "text", "text": SAYS}, *calls], "tool_use"
    else:
        blocks, stop = [{"type": "text", "text": ANSWER}], "end_turn"

    head = {"id": f"msg_01{short(case + stop, 22)}", "type": "message", "role": "assistant", "model": model}
    read = {"input_tokens": 21, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 5}
    usage = {**read, "output_tokens": 40, "output_tokens_details": {"thinking_tokens": 30}}
    end = {"stop_reason": stop, "stop_sequence": None}
    if not body.get("stream"):
        return {**head, "content": blocks, **end, "usage": {**usage, "service_tier": "standard"}}

    none = {"stop_reason": None, "stop_sequence": None}
    message = {**head, "content": [], **none, "usage": {**read, "output_tokens": 1}}
    events = [{"type": "message_start", "message": message}]
    for index, block in enumerate(blocks):
        start, deltas = block, []
        if block["type"] == "thinking":
            start = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        elif block["type"] == "text":
            start = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
        elif block["type"] == "tool_use":
            start = {**block, "input": {}}
            given = ["", *pieces(json.dumps(block["input"], ensure_ascii=False))]
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in given]
        events.append({"type": "content_block_start", "index": index, "content_block": start})
        if index == 0:
            events.append({"type": "ping"})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": end, "usage": usage})
    events.append({"type": "message_stop"})
    return [(event["type"], event) for event in events]


# The providers with Chat Completions.

USAGE = {"prompt_tokens": 26, "completion_tokens": 40, "total_tokens": 66}


def openai_error(message, param=None, code=None, kind="invalid_request_error", status=400):
    return Refused(status, {"error": {"message": message, "type": kind, "param": param, "code": code}})


def chat_history(body, calls, complain):
    """The assistant messages with calls, after a look at the calls and their results."""
    messages, said = body["messages"], []
    for at, message in enumerate(messages):
        if not message.get("tool_calls"):
            continue
        said.append((at, message))
        got = message["tool_calls"]
        whole = len(got) == len(calls) and all(
            (one["id"], one["type"], one["function"]["name"]) == (call["id"], "function", call["function"]["name"])
            and same_json(one["function"]["arguments"], json.loads(call["function"]["arguments"]))
            for one, call in zip(got, calls)
        )
        if not whole:
            complain(f"messages[{at}].tool_calls: expected {dumps(calls)}, got {dumps(got)}")
        results = messages[at + 1 : at + 1 + len(calls)]
        expected = [("tool", call["id"], RESULTS[call["function"]["name"]]) for call in calls]
        if [(one["role"], one.get("tool_call_id"), flat(one.get("content"))) for one in results] != expected:
            complain(f"messages[{at}]: tool_calls must be followed by their tool messages, not by {dumps(results)}")
    return said


def called(ids):
    return [
        {"id": id, "type": "function", "function": {"name": name, "arguments": dumps(given)}}
        for id, (name, given) in zip(ids, CALLS)
    ]


def chat_answer(body, model, message, finish, usage, place, whole_calls=False):
    """A Chat Completions answer; `place` is where its stream has the usage."""
    head = {"id": f"chatcmpl-{short(case_of(body) + finish, 24)}", "created": 1790000000, "model": model}
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return {**head, "object": "chat.completion", "choices": [choice], "usage": usage}

    deltas = [{"role": "assistant", "content": ""}]
    for piece in pieces(message.get("reasoning_content") or ""):
        deltas.append({"content": None, "reasoning_content": piece})
    for piece in pieces(message.get("content") or ""):
        deltas.append({"content": piece})
    for index, call in enumerate(message.get("tool_calls") or []):
        if whole_calls:
            # Every call has index 0 here; ids tell them apart.
            deltas.append({"role": "assistant", "tool_calls": [{"index": 0, **call}]})
            continue
        opened = {**call, "function": {**call["function"], "arguments": ""}}
        deltas.append({"tool_calls": [{"index": index, **opened}]})
        for piece in pieces(call["function"]["arguments"]):
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})

    def chunk(choices, **more):
        return None, {**head, "object": "chat.completion.chunk", "choices": choices, **more}

    def choice(delta, finish=None, **more):
        return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish, **more}

    wanted = (body.get("stream_options") or {}).get("include_usage")
    empty = {"usage": None} if place == "always" or (place == "last" and wanted) else {}
    out = [chunk([choice(delta)], **empty) for delta in deltas]
    if place == "choice":
        out.append(chunk([choice({}, finish, usage=usage)]))
    elif place == "always" or (place == "finish" and wanted):
        out.append(chunk([choice({}, finish)], usage=usage))
    else:
        out.append(chunk([choice({}, finish)], **empty))
        if wanted:
            out.append(chunk([], usage=usage))
    return [*out, (None, "[DONE]")]


def gemini(body, headers):
    def refuse(message):
        raise Refused(400, [{"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}])

    for name in body:
        if name not in GEMINI_KNOWS:
            refuse(f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')
    case = case_of(body)
    calls = called([f"function-call-{int(short(case + name, 15), 16)}" for name, _ in CALLS])
    # Only the first of parallel calls has one.
    calls[0] = {"extra_content": {"google": {"thought_signature": seal("gemini", case)}}, **calls[0]}
    said = chat_history(body, calls, refuse)
    for at, message in said:
        got = message["tool_calls"][0].get("extra_content")
        if got != calls[0]["extra_content"]:
            refuse(
                "Function call is missing a thought_signature in functionCall parts. "
                f"messages[{at}]: expected {dumps(calls[0]['extra_content'])}, got {dumps(got)}"
            )
    if body.get("tools") and not said:
        message = {"role": "assistant", "tool_calls": calls}
    else:
        message = {"role": "assistant", "content": ANSWER}
    return chat_answer(body, body["model"], message, "stop", USAGE, "finish", whole_calls=True)


def thinker(body, model, ids, usage, place):
    """DeepSeek and Kimi: plain reasoning, wanted back with the calls it led to."""

    def refuse(message):
        raise openai_error(message)

    case = case_of(body)
    thought = THOUGHT.format(case=case)
    calls = called(ids)
    said = chat_history(body, calls, refuse)
    for at, message in said:
        if message.get("reasoning_content") != thought:
            refuse(
                f"messages[{at}]: the reasoning_content in the thinking mode must be passed back to the API. "
                f"Expected {dumps(thought)}, got {dumps(message.get('reasoning_content'))}"
            )
    form = body.get("response_format") or {"type": "text"}
    if form["type"] == "json_schema":
        refuse("This response_format type is unavailable now")
    if form["type"] == "json_object":
        if "json" not in dumps(body["messages"]).lower():
            refuse("Prompt must contain the word 'json' in some form to use 'response_format' of type 'json_object'.")
        message = {"role": "assistant", "content": dumps(FORECAST), "reasoning_content": thought}
    elif body.get("tools") and not said:
        message = {"role": "assistant", "content": SAYS, "reasoning_content": thought, "tool_calls": calls}
    else:
        message = {"role": "assistant", "content": ANSWER}
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    return chat_answer(body, model, message, finish, usage, place)


def deepseek(body, headers):
    case = case_of(body)
    usage = {
        **USAGE,
        "completion_tokens_details": {"reasoning_tokens": 30},
        "prompt_cache_hit_tokens": 5,
        "prompt_cache_miss_tokens": 21,
    }
    ids = [f"call_0{index}_{short(case + name, 22)}" for index, (name, _) in enumerate(CALLS)]
    return thinker(body, body["model"], ids, usage, "always")


def kimi(body, headers):
    if headers.get("user-agent") != "KimiCLI/1.3":
        message = "Kimi For Coding is currently only available for Coding Agents"
        raise openai_error(message, kind="access_terminated_error", status=403)
    usage = {**USAGE, "cached_tokens": 5}
    # The same in every conversation.
    ids = [f"functions.{name}:{index}" for index, (name, _) in enumerate(CALLS)]
    return thinker(body, "kimi-for-coding", ids, usage, "choice")


# OpenAI.


def openai_ids(case):
    return [f"call_{short(case + name, 24)}" for name, _ in CALLS]


def openai_chat(body, headers):
    def refuse(message):
        raise openai_error(message)

    tools = [tool for tool in body.get("tools") or [] if tool["type"] == "function"]
    if body["model"].startswith("gpt-5.6") and tools and body.get("reasoning_effort") != "none":
        raise openai_error(
            f"Function tools with reasoning_effort are not supported for {body['model']} in /v1/chat/completions. "
            "To use function tools, use /v1/responses or set reasoning_effort to 'none'.",
            "reasoning_effort",
            "unsupported_parameter",
        )
    calls = called(openai_ids(case_of(body)))
    usage = {
        **USAGE,
        "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
    message = {"role": "assistant", "content": ANSWER, "refusal": None, "annotations": []}
    if tools and not chat_history(body, calls, refuse):
        message = {**message, "content": None, "tool_calls": calls}
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    return chat_answer(body, body["model"], message, finish, usage, "last")


def openai_responses(body, headers):
    case = case_of(body)
    for index, tool in enumerate(body.get("tools") or []):
        if not tool.get("name"):
            raise openai_error(f"Missing required parameter: 'tools[{index}].name'.", f"tools[{index}].name")
    sealed = seal("encrypted", case)
    given = body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    items = [stored.get(item.get("id"), item) if item.get("type") == "item_reference" else item for item in items]
    outputs = {item["call_id"]: item["output"] for item in items if item.get("type") == "function_call_output"}
    said = [at for at, item in enumerate(items) if item.get("type") == "function_call"]
    if any(item.get("type") == "item_reference" for item in items):
        raise openai_error("Item not found. Items are not persisted when `store` is set to false.", "input", status=404)
    asks = body.get("reasoning") or {}
    thinks = asks.get("effort") != "none"
    if said and thinks:
        before = items[said[0] - 1] if said[0] else {}
        if before.get("type") != "reasoning" or before.get("encrypted_content") != sealed:
            raise openai_error(
                f"Item {items[said[0]].get('id')!r} of type 'function_call' was provided without its required "
                f"'reasoning' item: expected {dumps(sealed)} before it, got {dumps(before)}",
                "input",
            )
        if not isinstance(before.get("summary"), list):
            raise openai_error("Missing required parameter: 'input[1].summary'.", "input[1].summary")
    if said:
        got = [(items[at]["call_id"], items[at]["name"]) for at in said]
        wanted = list(zip(openai_ids(case), [name for name, _ in CALLS]))
        whole = all(same_json(items[at]["arguments"], given) for at, (_, given) in zip(said, CALLS))
        if got != wanted or not whole:
            raise openai_error(f"expected the calls {wanted}, got {[items[at] for at in said]}", "input")
        for id, name in wanted:
            if flat(outputs.get(id)) != RESULTS[name]:
                raise openai_error(f"No tool output found for function call {id}.", "input")

    if body.get("tools") and not said:
        item = {"id": f"rs_{short(case, 48)}", "type": "reasoning", "summary": []}
        if asks.get("summary"):
            item["summary"] = [{"type": "summary_text", "text": THOUGHT.format(case=case)}]
        kept = {**item, "encrypted_content": sealed}
        shown = kept if "reasoning.encrypted_content" in (body.get("include") or []) else item
        output = [shown] if thinks else []
        for id, (name, arguments) in zip(openai_ids(case), CALLS):
            call = {"id": f"fc_{short(id, 48)}", "type": "function_call", "status": "completed", "call_id": id}
            output.append({**call, "name": name, "arguments": dumps(arguments)})
        if body.get("store") is not False:
            stored.update({item["id"]: item for item in [*output, kept]})
    else:
        form = ((body.get("text") or {}).get("format") or {}).get("type")
        text = dumps(FORECAST) if form == "json_schema" else ANSWER
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        item = {"id": f"msg_{short(case, 48)}", "type": "message", "status": "completed", "role": "assistant"}
        output = [{**item, "content": [part]}]

    base = {
        "id": f"resp_{short(case + str(len(said)), 48)}",
        "object": "response",
        "created_at": 1790000000,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": body["model"],
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": asks.get("effort", "medium"), "summary": asks.get("summary")},
        "service_tier": "default",
        "store": body.get("store") is not False,
        "temperature": 1,
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": body.get("tools") or [],
        "top_logprobs": 0,
        "top_p": 1,
        "truncation": "disabled",
        "metadata": {},
    }
    usage = {
        "input_tokens": 26,
        "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 0},
        "output_tokens": 40,
        "output_tokens_details": {"reasoning_tokens": 30},
        "total_tokens": 66,
    }
    final = {**base, "status": "completed", "output": output, "usage": usage, "completed_at": 1790000002}
    if not body.get("stream"):
        return final

    events = [("created", {"response": base}), ("in_progress", {"response": base})]
    for index, item in enumerate(output):
        at = {"item_id": item["id"], "output_index": index}
        if item["type"] == "reasoning":
            opened, within = {**item, "summary": []}, []
            for number, part in enumerate(item["summary"]):
                here = {**at, "summary_index": number}
                within.append(("reasoning_summary_part.added", {**here, "part": {**part, "text": ""}}))
                within += [("reasoning_summary_text.delta", {**here, "delta": text}) for text in pieces(part["text"])]
                within.append(("reasoning_summary_text.done", {**here, "text": part["text"]}))
                within.append(("reasoning_summary_part.done", {**here, "part": part}))
        elif item["type"] == "function_call":
            opened = {**item, "status": "in_progress", "arguments": ""}
            within = [("function_call_arguments.delta", {**at, "delta": text}) for text in pieces(item["arguments"])]
            done = {**at, "name": item["name"], "arguments": item["arguments"]}
            within.append(("function_call_arguments.done", done))
        else:
            opened, part = {**item, "status": "in_progress", "content": []}, item["content"][0]
            here = {**at, "content_index": 0}
            within = [("content_part.added", {**here, "part": {**part, "text": ""}})]
            for text in pieces(part["text"]):
                within.append(("output_text.delta", {**here, "delta": text, "logprobs": []}))
            within.append(("output_text.done", {**here, "text": part["text"], "logprobs": []}))
            within.append(("content_part.done", {**here, "part": part}))
        events.append(("output_item.added", {"output_index": index, "item": opened}))
        events += within
        events.append(("output_item.done", {"output_index": index, "item": item}))
    events.append(("completed", {"response": final}))
    named = [(f"response.{name}", fields) for name, fields in events]
    return [(name, {"type": name, "sequence_number": n, **fields}) for n, (name, fields) in enumerate(named)]


PROVIDERS = {
    "/anthropic/v1/messages": anthropic,
    "/gemini/chat/completions": gemini,
    "/deepseek/chat/completions": deepseek,
    "/kimi/chat/completions": kimi,
    "/openai/v1/chat/completions": openai_chat,
    "/openai/v1/responses": openai_responses,
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, status, value):
        body = dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, events):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        text = ""
        for name, data in events:
            text += f"event: {name}\n" if name else ""
            text += f"data: {data if isinstance(data, str) else dumps(data)}\n\n"
        text = text.encode()
        for at in range(0, len(text), PIECE):
            piece = text[at : at + PIECE]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def do_GET(self):
        pages = {"/log": log, "/script": SCRIPT}
        self.send(200 if self.path in pages else 404, pages.get(self.path, {}))

    def do_DELETE(self):
        log.clear()
        self.send(200, {})

    def do_POST(self):
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        provider = PROVIDERS.get(self.path)
        if provider is None:
            self.send(404, {"error": {"message": f"nothing is at {self.path}", "type": "invalid_request_error"}})
            return
        entry = {"path": self.path, "user_agent": self.headers.get("User-Agent")}
        log.append(entry)
        try:
            entry["body"] = json.loads(sent)
            answer = provider(entry["body"], self.headers)
            entry["status"] = 200
        except Refused as refused:
            entry.update(status=refused.status, answer=refused.body)
            self.send(refused.status, refused.body)
            return
        except Exception:
            # A shape that the script did not think of is refused with its reason, and not with silence.
            entry.update(status=400, answer=traceback.format_exc())
            self.send(400, {"error": {"message": entry["answer"], "type": "invalid_request_error"}})
            return
        if isinstance(answer, dict):
            self.send(200, answer)
        else:
            self.stream(answer)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        # A caller that left early is not of interest.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Handler)
    print(json.dumps({"url": f"http://127.0.0.1:{server.server_address[1]}"}), flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
