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

async function show() {
  const rows = document.getElementById("rows");
  try {
    const answer = await fetch("/providers");
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const { data } = await answer.json();
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
