// Two-turn tool loops with reasoning, through the OpenAI SDK and the AI SDK, against gateways before
// the providers of upstreams.py. loops.py starts all of them and runs this:
//
//     node loops.mjs <gateway> <gateway without memory> <upstreams>

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";
import { z } from "zod";

// Notes of the AI SDK about settings that a model might not have.
globalThis.AI_SDK_LOG_WARNINGS = false;

const [remembers, forgets, upstreams] = process.argv.slice(2).map((url) => url.replace(/\/$/, ""));
const script = await (await fetch(`${upstreams}/script`)).json();
const KEY = "some-key";

const MODELS = {
  anthropic: "claude-opus-5-5",
  redacted: "claude-sonnet-5-5",
  gemini: "gemini-3-pro",
  deepseek: "deepseek/deepseek-v4-pro",
  kimi: "kimi-for-coding",
  openai: "gpt-5.6",
};
// Where a conversation with tools has to end up.
const PATHS = {
  anthropic: "/anthropic/v1/messages",
  redacted: "/anthropic/v1/messages",
  gemini: "/gemini/chat/completions",
  deepseek: "/deepseek/chat/completions",
  kimi: "/kimi/chat/completions",
  openai: "/openai/v1/responses",
};
const CALLS = script.calls.map((call) => [call.name, call.arguments]);

/** A conversation that no provider has seen before. */
class Talk {
  constructor(provider, gateway) {
    this.provider = provider;
    this.model = MODELS[provider];
    this.baseURL = `${gateway}/v1`;
    this.client = new OpenAI({ baseURL: this.baseURL, apiKey: KEY, maxRetries: 0, timeout: 30_000 });
    this.name = `case-${randomUUID().replaceAll("-", "").slice(0, 12)}`;
    this.question = `Weather and people of Köln? (${this.name})`;
    this.ask = [{ role: "user", content: this.question }];
    // Gemini has signatures, and no text that it would show.
    this.thought = provider === "gemini" ? "" : script.thought.replace("{case}", this.name);
  }

  /** No request was refused on the way, and each turn was one. */
  async reached() {
    const log = await (await fetch(`${upstreams}/log`)).json();
    const asked = log.filter((entry) => JSON.stringify(entry.body).includes(this.name));
    const turn = [PATHS[this.provider], 200];
    assert.deepEqual(asked.map((entry) => [entry.path, entry.status]), [turn, turn]);
  }
}

const tests = [];

/** A test of the providers, all where nothing else is said. */
function test(name, run, { providers = Object.keys(MODELS), gateway = remembers } = {}) {
  const where = gateway === forgets ? ", no memory" : "";
  for (const provider of providers) {
    tests.push([`${name} [${provider}${where}]`, () => run(new Talk(provider, gateway))]);
  }
}

function declared(name, properties) {
  const parameters = { type: "object", properties, required: Object.keys(properties), additionalProperties: false };
  return { name, description: `The ${name} of a city`, parameters, strict: true };
}

const FUNCTIONS = [
  declared("weather", { city: { type: "string" } }),
  declared("population", { city: { type: "string" }, year: { type: "integer" } }),
];
const CHAT_TOOLS = FUNCTIONS.map((given) => ({ type: "function", function: given }));
const RESPONSES_TOOLS = FUNCTIONS.map((given) => ({ type: "function", ...given }));
const COUNTED = { stream_options: { include_usage: true } };

function checkCalls(calls) {
  assert.deepEqual(calls.map(({ name, given }) => [name, given]), CALLS);
  const ids = calls.map((call) => call.id);
  assert.ok(ids.every(Boolean) && new Set(ids).size === 2, `the ids are ${ids}`);
}

function checkUsage(spent, received, total) {
  assert.ok(spent > 0 && received > 0, `the usage is ${spent} + ${received}`);
  assert.equal(total, spent + received);
}

// The OpenAI SDK, Chat Completions.

const CHAT = {
  async whole(talk, messages) {
    const answer = await talk.client.chat.completions.create({ model: talk.model, messages, tools: CHAT_TOOLS });
    return { ...answer.choices[0], usage: answer.usage };
  },
  // The helper puts the message together; of a member that it does not know, the last piece is what stays.
  async helper(talk, messages) {
    const given = { model: talk.model, messages, tools: CHAT_TOOLS, ...COUNTED };
    const stream = talk.client.chat.completions.stream(given);
    let thought = "";
    stream.on("chunk", (chunk) => (thought += chunk.choices[0]?.delta.reasoning_content ?? ""));
    const answer = await stream.finalChatCompletion();
    return { ...answer.choices[0], usage: answer.usage, thought };
  },
  async byHand(talk, messages) {
    const message = { role: "assistant", content: "" };
    const got = { message, usage: null, finish_reason: null };
    const given = { model: talk.model, messages, tools: CHAT_TOOLS, stream: true, ...COUNTED };
    for await (const chunk of await talk.client.chat.completions.create(given)) {
      got.usage = chunk.usage ?? got.usage;
      for (const { delta, finish_reason } of chunk.choices) {
        message.content += delta.content ?? "";
        if (delta.reasoning_content) {
          message.reasoning_content = (message.reasoning_content ?? "") + delta.reasoning_content;
        }
        for (const { index, ...part } of delta.tool_calls ?? []) {
          message.tool_calls ??= [];
          const known = message.tool_calls[index];
          if (known) known.function.arguments += part.function.arguments ?? "";
          else message.tool_calls[index] = part;
        }
        got.finish_reason = finish_reason ?? got.finish_reason;
      }
    }
    return got;
  },
};

const CHAT_KEPT = {
  everything: (message) => message,
  known: ({ role, content, tool_calls }) => ({
    role,
    content,
    tool_calls: tool_calls.map((call) => ({
      id: call.id,
      type: "function",
      function: { name: call.function.name, arguments: call.function.arguments },
    })),
  }),
};

function chatLoop(way, kept) {
  return async (talk) => {
    const first = await CHAT[way](talk, talk.ask);
    const { message } = first;
    assert.equal(first.finish_reason, "tool_calls");
    assert.equal(first.thought ?? message.reasoning_content ?? "", talk.thought);
    checkUsage(first.usage.prompt_tokens, first.usage.completion_tokens, first.usage.total_tokens);
    checkCalls(
      message.tool_calls.map((call) => ({
        id: call.id,
        name: call.function.name,
        given: JSON.parse(call.function.arguments),
      })),
    );
    const results = message.tool_calls.map((call) => ({
      role: "tool",
      tool_call_id: call.id,
      content: script.results[call.function.name],
    }));
    const second = await CHAT[way](talk, [...talk.ask, CHAT_KEPT[kept](message), ...results]);
    assert.equal(second.message.content, script.answer);
    assert.equal(second.finish_reason, "stop");
    checkUsage(second.usage.prompt_tokens, second.usage.completion_tokens, second.usage.total_tokens);
    await talk.reached();
  };
}

for (const way of Object.keys(CHAT)) {
  for (const kept of Object.keys(CHAT_KEPT)) test(`chat, ${way}, ${kept} kept`, chatLoop(way, kept));
}
test("chat, whole, everything kept", chatLoop("whole", "everything"), { gateway: forgets });

for (const stream of [false, true]) {
  test(`chat, run by the SDK${stream ? ", streamed" : ""}`, async (talk) => {
    const asked = [];
    const tools = FUNCTIONS.map((given) => ({
      type: "function",
      function: {
        ...given,
        parse: JSON.parse,
        function: (parsed) => {
          asked.push([given.name, parsed]);
          return script.results[given.name];
        },
      },
    }));
    const counted = stream ? COUNTED : {};
    const runner = talk.client.chat.completions.runTools({
      model: talk.model,
      messages: talk.ask,
      tools,
      stream,
      ...counted,
    });
    assert.equal(await runner.finalContent(), script.answer);
    assert.deepEqual(asked, CALLS);
    const usage = await runner.totalUsage();
    checkUsage(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens);
    await talk.reached();
  });
}

// The OpenAI SDK, Responses.

const RESPONSES = {
  async whole(talk, given) {
    const response = await talk.client.responses.create(given);
    return { response, output: response.output };
  },
  async helper(talk, given) {
    const response = await talk.client.responses.stream(given).finalResponse();
    return { response, output: response.output };
  },
  async byHand(talk, given) {
    const output = [];
    let last;
    for await (const event of await talk.client.responses.create({ ...given, stream: true })) {
      if (event.type === "response.output_item.done") output.push(event.item);
      last = event;
    }
    assert.equal(last.type, "response.completed");
    return { response: last.response, output };
  },
};

const RESPONSES_KEPT = {
  everything: (output) => output,
  // What a client writes that has models of its own for these items.
  calls: (output) =>
    output
      .filter((item) => item.type === "function_call")
      .map(({ type, call_id, name, arguments: given }) => ({ type, call_id, name, arguments: given })),
};

function responsesLoop(way, kept) {
  return async (talk) => {
    const turn = async (input) => {
      const { response, output } = await RESPONSES[way](talk, {
        model: talk.model,
        input,
        tools: RESPONSES_TOOLS,
        reasoning: { effort: "medium", summary: "auto" },
        store: false,
        include: ["reasoning.encrypted_content"],
      });
      assert.equal(response.status, "completed");
      checkUsage(response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens);
      return { output, text: response.output.flatMap((item) => item.content ?? []).map((part) => part.text).join("") };
    };
    const { output } = await turn(talk.ask);
    const thoughts = output.filter((item) => item.type === "reasoning").flatMap((item) => item.summary);
    assert.equal(thoughts.map((part) => part.text).join(""), talk.thought);
    const calls = output.filter((item) => item.type === "function_call");
    checkCalls(calls.map((call) => ({ id: call.call_id, name: call.name, given: JSON.parse(call.arguments) })));
    const results = calls.map((call) => ({
      type: "function_call_output",
      call_id: call.call_id,
      output: script.results[call.name],
    }));
    const last = await turn([...talk.ask, ...RESPONSES_KEPT[kept](output), ...results]);
    assert.equal(last.text, script.answer);
    await talk.reached();
  };
}

for (const way of Object.keys(RESPONSES)) {
  for (const kept of Object.keys(RESPONSES_KEPT)) {
    // OpenAI's own are relayed: what of them is kept is between the client and the provider.
    const providers = Object.keys(MODELS).filter((name) => kept === "everything" || name !== "openai");
    test(`responses, ${way}, ${kept} kept`, responsesLoop(way, kept), { providers });
  }
  test(`responses, ${way}, everything kept`, responsesLoop(way, "everything"), { gateway: forgets });
}

// The AI SDK.

const TOOLS = {
  weather: tool({
    description: "The weather of a city",
    inputSchema: z.object({ city: z.string() }),
    execute: () => script.results.weather,
  }),
  population: tool({
    description: "The population of a city",
    inputSchema: z.object({ city: z.string(), year: z.number().int() }),
    execute: () => script.results.population,
  }),
};

const compatible = (name) => (talk) => {
  const made = createOpenAICompatible({ name, baseURL: talk.baseURL, apiKey: KEY, includeUsage: true });
  return made.chatModel(talk.model);
};
const openai = (api) => (talk) => createOpenAI({ baseURL: talk.baseURL, apiKey: KEY })[api](talk.model);
// The SDK knows by name which models reason, and these names are not of OpenAI.
const REASONING = { forceReasoning: true, reasoningEffort: "medium", reasoningSummary: "auto" };
const UNSTORED = { openai: { ...REASONING, store: false, include: ["reasoning.encrypted_content"] } };

function aiLoop(way, model, { shown = true, providerOptions } = {}) {
  return async (talk) => {
    const given = {
      model: model(talk),
      prompt: talk.question,
      tools: TOOLS,
      stopWhen: stepCountIs(3),
      maxRetries: 0,
      abortSignal: AbortSignal.timeout(30_000),
      providerOptions,
    };
    let steps;
    if (way === "generateText") {
      steps = (await generateText(given)).steps;
    } else {
      let failed;
      const onError = ({ error }) => (failed = error);
      const result = streamText({ ...given, onError });
      await result.consumeStream({ onError: (error) => (failed ??= error) });
      if (failed) throw failed;
      steps = await result.steps;
    }
    assert.deepEqual(steps.map((step) => step.finishReason), ["tool-calls", "stop"]);
    checkCalls(
      steps[0].toolCalls.map((call) => ({ id: call.toolCallId, name: call.toolName, given: call.input })),
    );
    if (shown) assert.equal(steps[0].reasoningText ?? "", talk.thought);
    assert.equal(steps[1].text, script.answer);
    for (const { usage } of steps) checkUsage(usage.inputTokens, usage.outputTokens, usage.totalTokens);
    await talk.reached();
  };
}

for (const way of ["generateText", "streamText"]) {
  test(`openai-compatible, ${way}`, aiLoop(way, compatible("gateway")));
  // It takes reasoning along, and the signatures of Gemini for a provider of this name.
  const kept = { providers: ["gemini", "deepseek", "kimi"], gateway: forgets };
  test(`openai-compatible as google, ${way}`, aiLoop(way, compatible("google")), kept);
  // It has no place for reasoning in chat: it has to be remembered.
  test(`openai.chat, ${way}`, aiLoop(way, openai("chat"), { shown: false }));
  for (const gateway of [remembers, forgets]) {
    test(`openai.responses, ${way}`, aiLoop(way, openai("responses"), { providerOptions: UNSTORED }), { gateway });
  }
  // What it does where nothing is said of storing: it refers to the items of a provider that keeps them.
  const stored = { providerOptions: { openai: REASONING } };
  test(`openai.responses, stored, ${way}`, aiLoop(way, openai("responses"), stored), { providers: ["openai"] });
}

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
