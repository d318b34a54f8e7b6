// The official Node SDK against a gateway that runs `ai-gateway demo`.
//
//     node clients.mjs http://127.0.0.1:3000

import assert from "node:assert/strict";
import OpenAI from "openai";

const base = (process.argv[2] ?? "http://127.0.0.1:3000").replace(/\/$/, "");
const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: "some-key", maxRetries: 0, timeout: 30_000 });

const MODELS = { openai: "gpt-4o-mini", anthropic: "claude-haiku-4-5" };
const HELLO = "Hello! I am a scripted model, and you said: “Hello”";
const ASK = [{ role: "user", content: "Hello" }];
const QUESTION = [{ role: "user", content: "Weather and people of Rome?" }];
const RESULTS = { forecast: "sunny, 31 degrees", population: "2748109" };
// Which result the scripted provider repeats: Anthropic's takes the first of the message, OpenAI's the last message.
const REPEATED = { openai: "population", anthropic: "forecast" };

function declared(name, properties) {
  return {
    type: "function",
    function: { name, parameters: { type: "object", properties, required: Object.keys(properties) } },
  };
}

const TOOLS = [
  declared("forecast", { city: { type: "string" } }),
  declared("population", { city: { type: "string" }, year: { type: "integer" } }),
];

const tests = [];

/** A test of both providers. */
function test(name, run) {
  for (const [provider, model] of Object.entries(MODELS)) {
    tests.push([`${name} [${provider}]`, () => run(model, provider)]);
  }
}

function checkCalls(calls) {
  assert.deepEqual(calls.map((call) => [call.type, call.function.name]), [
    ["function", "forecast"],
    ["function", "population"],
  ]);
  assert.deepEqual(JSON.parse(calls[0].function.arguments), { city: "Rome" });
  assert.deepEqual(JSON.parse(calls[1].function.arguments), { city: "Rome", year: 1 });
  assert.ok(calls[0].id && calls[1].id && calls[0].id !== calls[1].id);
}

function results(calls) {
  return calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: RESULTS[call.function.name] }));
}

test("chat", async (model, provider) => {
  const { data, response } = await client.chat.completions.create({ model, messages: ASK }).withResponse();
  assert.equal(response.headers.get("x-gateway-provider"), provider);
  assert.equal(data.object, "chat.completion");
  assert.equal(data.choices.length, 1);
  assert.equal(data.choices[0].message.role, "assistant");
  assert.equal(data.choices[0].message.content, HELLO);
  assert.equal(data.choices[0].finish_reason, "stop");
  assert.ok(data.usage.prompt_tokens > 0 && data.usage.completion_tokens > 0);
  assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
});

test("chat, streamed", async (model) => {
  for (const counted of [false, true]) {
    const options = counted ? { stream_options: { include_usage: true } } : {};
    const chunks = [];
    for await (const chunk of await client.chat.completions.create({ model, messages: ASK, stream: true, ...options })) {
      chunks.push(chunk);
    }
    const choices = chunks.flatMap((chunk) => chunk.choices);
    assert.equal(choices.map((choice) => choice.delta.content ?? "").join(""), HELLO);
    assert.ok(chunks.length > 5, "it does not come in pieces");
    assert.deepEqual(choices.map((choice) => choice.finish_reason).filter(Boolean), ["stop"]);
    assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
    const usages = chunks.filter((chunk) => chunk.usage);
    assert.equal(usages.length, counted ? 1 : 0);
    if (counted) {
      const whole = await client.chat.completions.create({ model, messages: ASK });
      assert.deepEqual(chunks.at(-1).choices, []);
      assert.deepEqual(chunks.at(-1).usage, whole.usage);
    }
  }
});

test("chat, with the stream helper", async (model) => {
  const stream = client.chat.completions.stream({ model, messages: ASK });
  let text = "";
  stream.on("content", (delta) => (text += delta));
  const final = await stream.finalChatCompletion();
  assert.equal(final.choices[0].message.content, HELLO);
  assert.equal(text, HELLO);
});

test("tools", async (model, provider) => {
  const first = await client.chat.completions.create({ model, messages: QUESTION, tools: TOOLS });
  const { message, finish_reason } = first.choices[0];
  assert.equal(finish_reason, "tool_calls");
  checkCalls(message.tool_calls);
  const messages = [...QUESTION, message, ...results(message.tool_calls)];
  const second = await client.chat.completions.create({ model, messages, tools: TOOLS });
  assert.equal(second.choices[0].finish_reason, "stop");
  assert.equal(second.choices[0].message.content, `The tool says: ${RESULTS[REPEATED[provider]]}`);
});

test("tools, streamed", async (model, provider) => {
  const first = await client.chat.completions.stream({ model, messages: QUESTION, tools: TOOLS }).finalChatCompletion();
  const { message, finish_reason } = first.choices[0];
  assert.equal(finish_reason, "tool_calls");
  checkCalls(message.tool_calls);
  const messages = [...QUESTION, message, ...results(message.tool_calls)];
  const second = await client.chat.completions.stream({ model, messages, tools: TOOLS }).finalChatCompletion();
  assert.equal(second.choices[0].finish_reason, "stop");
  assert.equal(second.choices[0].message.content, `The tool says: ${RESULTS[REPEATED[provider]]}`);
});

test("tools, run by the SDK", async (model, provider) => {
  for (const stream of [false, true]) {
    const asked = [];
    const tools = TOOLS.map((tool) => ({
      type: "function",
      function: {
        ...tool.function,
        parse: JSON.parse,
        function: (given) => {
          asked.push([tool.function.name, given]);
          return RESULTS[tool.function.name];
        },
      },
    }));
    const runner = client.chat.completions.runTools({ model, messages: QUESTION, tools, stream });
    assert.equal(await runner.finalContent(), `The tool says: ${RESULTS[REPEATED[provider]]}`);
    assert.deepEqual(asked, [
      ["forecast", { city: "Rome" }],
      ["population", { city: "Rome", year: 1 }],
    ]);
  }
});

test("responses", async (model, provider) => {
  const { data, response } = await client.responses.create({ model, input: "Hello" }).withResponse();
  assert.equal(response.headers.get("x-gateway-provider"), provider);
  assert.equal(data.object, "response");
  assert.equal(data.status, "completed");
  assert.equal(data.output_text, HELLO);
  assert.deepEqual(data.output.map((item) => item.type), ["message"]);
  assert.equal(data.usage.total_tokens, data.usage.input_tokens + data.usage.output_tokens);
});

test("responses, streamed", async (model) => {
  const stream = client.responses.stream({ model, input: "Hello" });
  const events = [];
  for await (const event of stream) events.push(event);
  const final = await stream.finalResponse();
  assert.deepEqual(events.map((event) => event.sequence_number), [...events.keys()]);
  assert.equal(events[0].type, "response.created");
  assert.equal(events.at(-1).type, "response.completed");
  const deltas = events.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta);
  assert.ok(deltas.length > 5, "it does not come in pieces");
  assert.equal(deltas.join(""), HELLO);
  assert.equal(final.output_text, HELLO);
  const items = events.flatMap((event) => event.item?.id ?? event.item_id ?? []);
  assert.deepEqual([...new Set(items)], [final.output[0].id]);
});

test("responses, events without the helper", async (model) => {
  let text = "";
  let last;
  for await (const event of await client.responses.create({ model, input: "Hello", stream: true })) {
    if (event.type === "response.output_text.delta") text += event.delta;
    last = event;
  }
  assert.equal(text, HELLO);
  assert.equal(last.type, "response.completed");
  assert.equal(last.response.output[0].content[0].text, HELLO);
});

test("models", async (model, provider) => {
  const all = [];
  for await (const listed of client.models.list()) all.push(listed.id);
  assert.equal(new Set(all).size, all.length);
  const own = [];
  for await (const listed of client.models.list({ query: { provider } })) own.push(listed.id);
  assert.ok(own.includes(model), `${model} is not in the list of ${provider}`);
  assert.ok(all.includes(model), `${model} is not in the list`);
});

test("errors", async (model) => {
  const refused = (param) => (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError, String(error));
    assert.equal(error.status, 400);
    assert.equal(error.type, "invalid_request_error");
    assert.equal(error.param, param);
    return true;
  };
  await assert.rejects(client.chat.completions.create({ model: "", messages: ASK }), refused("model"));
  await assert.rejects(client.chat.completions.create({ model, messages: [] }), refused("messages"));
  await assert.rejects(client.models.list({ query: { provider: "nope" } }), refused("provider"));
  const nobody = client.chat.completions.create({ model, messages: ASK }, { headers: { Authorization: null } });
  await assert.rejects(nobody, (error) => {
    assert.ok(error instanceof OpenAI.AuthenticationError, String(error));
    assert.equal(error.code, "invalid_api_key");
    return true;
  });
});

let passed = 0;
let failed = 0;
for (const [name, run] of tests) {
  try {
    await run();
    passed += 1;
    console.log(`ok   ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}: ${error.stack}`);
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
