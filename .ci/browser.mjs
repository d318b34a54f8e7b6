// The start page and Swagger UI of a gateway that runs `ai-gateway demo`, in Debian's Chromium.
//
//     node browser.mjs http://127.0.0.1:3000 [directory for screenshots]

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const base = new URL(process.argv[2] ?? "http://127.0.0.1:3000").origin;
const shots = process.argv[3];
const KEY = "some-key";
const PATHS = ["/healthz", "/readyz", "/metrics", "/doc", "/providers", "/v1/models", "/v1/chat/completions", "/v1/responses"];
const TITLES = [
  "OpenAI", "Anthropic", "Gemini", "Kimi", "OpenRouter", "Vercel AI Gateway", "Groq",
  "DeepSeek", "xAI", "Mistral", "Cohere", "Azure OpenAI", "AWS Bedrock", "Vertex AI",
];

if (shots) mkdirSync(shots, { recursive: true });
const profile = mkdtempSync(join(tmpdir(), "browser-"));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: "/usr/bin/chromium",
  headless: true,
  viewport: { width: 1280, height: 900 },
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
  ],
});
browser.setDefaultTimeout(15_000);

/** What went wrong in the page since it was last asked, and where it sent requests. */
const seen = { wrong: [], requests: [] };
browser.on("request", (request) => seen.requests.push(request));
browser.on("requestfailed", (request) => seen.wrong.push(`${request.url()}: ${request.failure()?.errorText}`));
browser.on("response", (response) => {
  if (response.status() >= 400) seen.wrong.push(`${response.url()}: ${response.status()}`);
});
browser.on("console", (message) => {
  if (["error", "warning"].includes(message.type())) seen.wrong.push(`console: ${message.text()}`);
});
browser.on("weberror", (error) => seen.wrong.push(`uncaught: ${error.error()}`));
await browser.addInitScript(() => {
  addEventListener("securitypolicyviolation", (event) => {
    console.error(`policy: ${event.violatedDirective} blocked ${event.blockedURI || event.sample}`);
  });
});

const page = browser.pages()[0] ?? (await browser.newPage());

/** Opens a page, and waits until it has nothing more to load. */
async function open(path) {
  seen.wrong = [];
  seen.requests = [];
  const answer = await page.goto(base + path, { waitUntil: "networkidle" });
  assert.equal(answer.status(), 200);
  return answer;
}

async function nothingWrong() {
  await page.waitForLoadState("networkidle");
  assert.deepEqual(seen.wrong, []);
  assert.ok(seen.requests.length > 0);
  const foreign = seen.requests.map((request) => request.url()).filter((url) => {
    return !url.startsWith("data:") && new URL(url).origin !== base;
  });
  assert.deepEqual(foreign, [], "requests to another origin");
}

async function shot(name, target = page) {
  if (shots) await target.screenshot({ path: join(shots, `${name}.png`), ...(target === page && { fullPage: true }) });
}

const tests = [];
const test = (name, run) => tests.push([name, run]);

test("the start page lists the 14 providers", async () => {
  await open("/");
  await page.waitForFunction(() => document.querySelectorAll("#rows tr").length === 14);
  const rows = await page.$$eval("#rows tr", (all) => all.map((row) => [...row.cells].map((cell) => cell.innerText)));
  assert.deepEqual(rows.map((row) => row[0]), TITLES);
  for (const row of rows) {
    assert.equal(row.length, 4);
    assert.match(row[1], /^[a-z*/…, ]+$/);
    assert.match(row[2], /^(native|translated)/);
    assert.match(row[3], /^(native|translated)/);
  }
  assert.equal(rows[1][1], "claude*, anthropic/…");
  assert.equal(rows[1][2], "translated");
  await nothingWrong();
  await shot("start");
});

test("the start page's example is this gateway's address, and works", async () => {
  await open("/");
  const example = await page.innerText("#example");
  assert.ok(example.startsWith(`curl ${base}/v1/chat/completions`), example);
  const body = example.match(/-d '(.*)'/s)[1];
  const answer = await fetch(`${base}/v1/chat/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${KEY}` },
    body,
  });
  assert.equal(answer.status, 200);
});

test("the start page's links lead somewhere", async () => {
  await open("/");
  const links = await page.$$eval("a", (all) => all.map((a) => a.href));
  assert.ok(links.length >= 4, String(links));
  for (const link of links) {
    assert.equal(new URL(link).origin, base);
    assert.equal((await fetch(link)).status, 200, link);
  }
  await page.click("a.button");
  await page.waitForSelector(".opblock");
  assert.equal(page.url(), `${base}/swagger-ui/`);
  await nothingWrong();
});

test("the start page fits a telephone, and the dark", async () => {
  await page.setViewportSize({ width: 375, height: 740 });
  try {
    await open("/");
    await page.waitForFunction(() => document.querySelectorAll("#rows tr").length === 14);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(width <= 375, `the page is ${width} pixels wide`);
    await shot("start-narrow");
  } finally {
    await page.setViewportSize({ width: 1280, height: 900 });
  }
  await page.emulateMedia({ colorScheme: "dark" });
  try {
    const colours = await page.evaluate(() => {
      const style = getComputedStyle(document.body);
      return [style.color, style.backgroundColor].map((text) => Number(text.match(/\d+/)[0]));
    });
    assert.ok(colours[0] > 200 && colours[1] < 50, String(colours));
    await shot("start-dark");
  } finally {
    await page.emulateMedia({ colorScheme: "light" });
  }
  await nothingWrong();
});

test("the start page says so when the providers cannot be loaded", async () => {
  await page.route("**/providers", (route) => route.fulfill({ status: 503, body: "" }));
  try {
    await open("/");
    await page.waitForFunction(() => document.getElementById("state")?.textContent.includes("503"));
  } finally {
    await page.unroute("**/providers");
  }
});

test("/docs ends at Swagger UI", async () => {
  await open("/docs");
  await page.waitForSelector(".opblock");
  assert.equal(page.url(), `${base}/swagger-ui/`);
  await nothingWrong();
});

test("Swagger UI shows every operation", async () => {
  const answer = await open("/swagger-ui/");
  assert.match(answer.headers()["content-security-policy"], /default-src 'self'/);
  await page.waitForSelector(".opblock");
  const paths = await page.$$eval(".opblock-summary-path", (all) => all.map((path) => path.dataset.path));
  assert.deepEqual(paths.toSorted(), PATHS.toSorted());
  assert.match(await page.innerText(".info .title"), /ai-gateway/);
  assert.match(await page.innerText(".info .title"), /OAS 3\.1/);
  assert.equal(await page.locator(".errors-wrapper, .loading-container .failed-config").count(), 0);
  await nothingWrong();
  await shot("swagger");
});

test("Swagger UI unfolds every operation and schema", async () => {
  await open("/swagger-ui/");
  await page.waitForSelector(".opblock");
  for (const operation of await page.locator(".opblock").all()) {
    await operation.locator(".opblock-summary-control").click();
    await operation.locator(".responses-table").waitFor();
  }
  assert.equal(await page.locator(".opblock.is-open").count(), PATHS.length);
  assert.ok(await page.locator(".models").isVisible());
  await nothingWrong();
  await shot("swagger-unfolded");
});

/** Gives the key to Swagger UI, which keeps it for the pages that follow. */
async function authorize() {
  if (await page.locator("button.btn.authorize.locked").count()) {
    return;
  }
  await page.click("button.btn.authorize");
  await page.waitForSelector(".dialog-ux .auth-container input");
  await page.fill(".dialog-ux .auth-container input", KEY);
  await shot("swagger-authorize");
  await page.click(".dialog-ux button.modal-btn.authorize");
  await page.waitForSelector(".dialog-ux .auth-container h6:has-text('Authorized')");
  await page.click(".dialog-ux button.btn-done");
  await page.waitForSelector("button.btn.authorize.locked");
}

/** Unfolds an operation so that it can be executed. */
async function unfold(id) {
  const block = page.locator(`.opblock[id$="-${id}"]`);
  await block.locator(".opblock-summary-control").click();
  const tryIt = block.locator(".try-out__btn");
  await tryIt.waitFor();
  if ((await tryIt.innerText()).trim() === "Try it out") await tryIt.click();
  await block.locator("button.execute").waitFor();
  return block;
}

/** Executes an operation; the answer's text as it is shown, and the request as it was sent. */
async function execute(block, path) {
  const [request] = await Promise.all([
    page.waitForRequest((request) => new URL(request.url()).pathname === path),
    block.locator("button.execute").click(),
  ]);
  const live = block.locator(".live-responses-table");
  await live.waitFor();
  await live.locator("td.response-col_status", { hasText: /^200/ }).first().waitFor();
  return { request, shown: await live.locator("td.response-col_description").first().innerText() };
}

test("Swagger UI asks POST /v1/chat/completions, with each example", async () => {
  await open("/swagger-ui/");
  await page.waitForSelector(".opblock");
  await authorize();
  const block = await unfold("createChatCompletion");
  const choice = block.locator(".opblock-section-request-body .examples-select-element");
  const names = await choice.locator("option").evaluateAll((all) => all.map((option) => option.value));
  assert.equal(names.length, 3);
  for (const name of names) {
    await choice.selectOption(name);
    const { request, shown } = await execute(block, "/v1/chat/completions");
    assert.equal(await request.headerValue("authorization"), `Bearer ${KEY}`);
    const asked = request.postDataJSON();
    const answer = await request.response();
    assert.equal(answer.status(), 200);
    const expected = asked.stream ? "data: [DONE]" : asked.tools ? "tool_calls" : "Hello! I am a scripted model";
    await block.locator(".live-responses-table", { hasText: expected }).waitFor();
    assert.ok(shown.length > 0);
    await shot(`swagger-chat-${name.toLowerCase()}`, block);
    await block.locator("button.btn-clear").click();
    await block.locator(".live-responses-table").waitFor({ state: "detached" });
  }
  await nothingWrong();
});

test("Swagger UI asks POST /v1/responses", async () => {
  await open("/swagger-ui/");
  await page.waitForSelector(".opblock");
  await authorize();
  const block = await unfold("createResponse");
  const { request } = await execute(block, "/v1/responses");
  assert.equal(await request.headerValue("authorization"), `Bearer ${KEY}`);
  const expected = request.postDataJSON().stream ? "response.completed" : "scripted model";
  await block.locator(".live-responses-table", { hasText: expected }).waitFor();
  await shot("swagger-responses", block);
  await nothingWrong();
});

test("Swagger UI asks GET /v1/models", async () => {
  await open("/swagger-ui/");
  await page.waitForSelector(".opblock");
  await authorize();
  const block = await unfold("listModels");
  const { request } = await execute(block, "/v1/models");
  assert.equal(await request.headerValue("authorization"), `Bearer ${KEY}`);
  await block.locator(".live-responses-table", { hasText: "gpt-5.4-mini" }).waitFor();
  await shot("swagger-models", block);
  await nothingWrong();
});

test("Swagger UI keeps the key over a reload, and forgets it at logout", async () => {
  await open("/swagger-ui/");
  await page.waitForSelector(".opblock");
  await authorize();
  await page.reload();
  await page.waitForSelector("button.btn.authorize.locked");
  await page.click("button.btn.authorize");
  await page.locator(".dialog-ux button", { hasText: "Logout" }).click();
  const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
  assert.ok(!stored.includes(KEY), stored);
});

let passed = 0;
let failed = 0;
try {
  for (const [name, run] of tests) {
    try {
      await run();
      passed += 1;
      console.log(`ok   ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL ${name}: ${error.stack}`);
      await shot(`failed-${failed}`).catch(() => {});
    }
  }
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed ? 1 : 0;
