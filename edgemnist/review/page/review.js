// The review: one sample after the other, labels that are stored at once, and a way back.

import { ask, useToken } from "./api.js";

const SIDE = 28;
const NOT_A_DIGIT = "not-a-digit";
const element = (id) => document.getElementById(id);

let queue = []; // samples to show, the first one now
let skipped = [];
let history = []; // what was done: { sample, label }, or { sample, skipped: true }
let classes = [];
let total = 0;
let busy = false;

function fail(error) {
  element("alert").hidden = !error;
  element("token-form").hidden = error?.status !== 401;
  element("alert").textContent = error ? `${error.message} ${error.hint ?? ""}`.trim() : "";
}

function paint(sample) {
  const bytes = Uint8Array.from(atob(sample.image), (one) => one.charCodeAt(0));
  const pixels = new ImageData(SIDE, SIDE);
  bytes.forEach((grey, at) => pixels.data.set([grey, grey, grey, 255], 4 * at));
  element("sample").getContext("2d").putImageData(pixels, 0, 0);
}

function words(label) {
  return label === NOT_A_DIGIT ? "not a digit" : label;
}

function show() {
  const [sample] = queue;
  element("review").hidden = !sample;
  element("done").hidden = Boolean(sample);
  element("progress").textContent = `${total - queue.length - skipped.length} of ${total}`;
  element("undo").disabled = element("undo-last").disabled = history.length === 0;
  if (!sample) {
    const left = skipped.length ? `, ${skipped.length} skipped` : "";
    element("done-words").textContent = total ? `All ${total} are done${left}.` : "There is nothing to review.";
    element("again").hidden = skipped.length === 0;
    return;
  }
  paint(sample);
  element("answer").textContent = "";
  element("reveal").hidden = false;
  const differ = new Set(sample.labels.map((one) => one.label)).size > 1;
  element("differ").hidden = !differ;
  element("differ").textContent = differ
    ? `The labels differ: ${sample.labels.map((one) => `${words(one.label)} (${one.writer})`).join(", ")}. What is it?`
    : "";
}

function reveal() {
  if (!queue.length) return;
  const { answer, confidence, source, reason } = queue[0];
  const said = answer === null ? "no answer" : `answered ${answer}, ${Math.round(confidence * 100)} %`;
  element("answer").textContent = `${said} · ${reason} · ${source}`;
  element("reveal").hidden = true;
}

function say(text) {
  element("status").textContent = text;
}

// One after the other: a key that is held down gives one label for each picture that was seen.
async function alone(work) {
  if (busy) return;
  busy = true;
  try {
    await work();
    fail(null);
  } catch (error) {
    fail(error);
  } finally {
    busy = false;
  }
}

function send(sample, label) {
  const body = JSON.stringify({ label });
  return ask(`/v1/samples/${sample.id}`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
}

function label(given) {
  return alone(async () => {
    if (!queue.length) return;
    const [sample] = queue;
    const after = await send(sample, given);
    queue.shift();
    history.push({ sample, again: after.disputed });
    if (after.disputed) {
      queue.push({ ...sample, labels: after.labels });
      total += 1;
    }
    say(`Labelled ${words(given)}${after.disputed ? "; others say something else, so it is shown again" : ""}`);
    show();
  });
}

function skip() {
  return alone(async () => {
    if (!queue.length) return;
    const sample = queue.shift();
    skipped.push(sample);
    history.push({ sample, skipped: true });
    say("Skipped");
    show();
  });
}

function undo() {
  return alone(async () => {
    const last = history.at(-1);
    if (!last) return;
    if (last.skipped) {
      skipped = skipped.filter((one) => one.id !== last.sample.id);
      queue = queue.filter((one) => one.id !== last.sample.id);
    } else {
      await send(last.sample, null);
      if (last.again) {
        queue = queue.filter((one) => one.id !== last.sample.id);
        total -= 1;
      }
    }
    history.pop();
    queue.unshift(last.sample);
    say("Taken back");
    show();
  });
}

function keys() {
  element("keys").replaceChildren(
    ...classes.map((name) => {
      const button = document.createElement("button");
      button.textContent = name;
      button.addEventListener("click", () => label(name));
      return button;
    }),
  );
}

document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT") return;
  const actions = { n: () => label(NOT_A_DIGIT), s: skip, u: undo, Backspace: undo, a: reveal };
  const action = classes.includes(event.key) ? () => label(event.key) : actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
});

element("reveal").addEventListener("click", reveal);
element("skip").addEventListener("click", skip);
element("undo").addEventListener("click", undo);
element("undo-last").addEventListener("click", undo);
element("none").addEventListener("click", () => label(NOT_A_DIGIT));
element("again").addEventListener("click", () => {
  [queue, skipped] = [skipped, []];
  show();
});
element("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useToken(element("token").value.trim());
  start();
});

function start() {
  return alone(async () => {
    const found = await ask("/v1/samples");
    [queue, skipped, history, classes] = [found.samples, [], [], found.classes];
    total = queue.length;
    element("about").textContent = `as ${found.writer}`;
    keys();
    show();
  });
}

start();
