// Fills the start page: the address it was loaded from, and the providers as the gateway lists them.
"use strict";

const example = document.getElementById("example");
example.textContent = example.textContent.replace("http://localhost:3000", location.origin);

function cell(row, ...children) {
  const td = row.insertCell();
  td.append(...children);
}

function code(text) {
  const element = document.createElement("code");
  element.textContent = text;
  return element;
}

// What a caller sends as the key depends on how the gateway was started.
const MODES = {
  gateway_keys: ["$GATEWAY_API_KEY", "This gateway has keys of its own: send the one that its operator gave you as the bearer."],
  pass_through: ["$OPENAI_API_KEY", "Send the key of the provider that the model belongs to as the bearer."],
  demo: ["demo-key-0123456789", "This is a demo: its providers are scripted and take any key."],
};

function tell(mode) {
  const [key, sentence] = MODES[mode];
  example.textContent = example.textContent.replace("$OPENAI_API_KEY", key);
  document.getElementById("key").textContent = sentence;
  document.getElementById("set-up").hidden = mode !== "gateway_keys";
}

async function show() {
  const rows = document.getElementById("rows");
  try {
    const answer = await fetch("/providers");
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const { data, mode, catalogue_date } = await answer.json();
    tell(mode);
    document.getElementById("date").textContent = catalogue_date;
    rows.replaceChildren();
    for (const provider of data) {
      const row = rows.insertRow();
      cell(row, provider.title);
      const names = [...provider.patterns, `${provider.prefix}…`];
      const shown = names.flatMap((name, i) => (i ? [", ", code(name)] : [code(name)]));
      cell(row, ...shown, provider.takes_the_rest ? ", and all others" : "");
      cell(row, provider.endpoints.chat_completions);
      cell(row, provider.endpoints.responses);
    }
  } catch (error) {
    document.getElementById("state").textContent = `The list could not be loaded (${error.message}).`;
  }
}

show();
