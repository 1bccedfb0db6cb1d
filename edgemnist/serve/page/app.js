// The page as a whole: what asks, the choice of the artifact, messages, and the token.

import { ask, useToken } from "./api.js";
import { AskPanel } from "./ask.js";
import { CorrectPanel } from "./correct.js";
import { DigitPanels } from "./digits.js";

const element = (id) => document.getElementById(id);
let usable = [];

function artifacts() {
  const chosen = element("artifact").value;
  const others = element("compare").checked ? usable.filter((name) => name !== chosen) : [];
  return [chosen, ...others];
}

function say(text) {
  element("status").textContent = text;
}

function fail(error) {
  const alert = element("alert");
  alert.hidden = !error;
  element("token-form").hidden = error?.status !== 401;
  alert.textContent = error ? `${error.message} ${error.hint ?? ""}`.trim() : "";
}

const shared = { artifacts, say, fail };
const correctPanel = new CorrectPanel(shared);
let panel = null; // what asks, of digits or of any other task

// What is half drawn is nothing that anybody meant: only corrections are kept.
function send(body, type, names) {
  const query = new URLSearchParams([["show", "true"], ["collect", "false"], ...names.map((name) => ["artifact", name])]);
  return ask(`/v1/predict?${query}`, { method: "POST", headers: { "Content-Type": type }, body });
}

function panelOf(task, takes) {
  const answered = (...told) => correctPanel.answered(...told);
  if (["", "digits"].includes(task)) return new DigitPanels({ ...shared, send, answered });
  return new AskPanel({ ...shared, send, answered }, takes);
}

function again() {
  panel?.again();
}

element("artifact").addEventListener("change", again);
element("compare").addEventListener("change", again);
element("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useToken(element("token").value.trim());
  start();
});

async function start() {
  try {
    const health = await ask("/healthz");
    correctPanel.collects = health.collects;
    element("about").textContent = `edgemnist ${health.version}${health.release ? ` · release ${health.release}` : ""}`;
    const { artifacts: all, task, takes } = await ask("/v1/artifacts");
    panel ??= panelOf(task, takes);
    usable = all.filter((one) => one.usable).map((one) => one.name);
    // An address may name the artifact, and its runtime: ?artifact=tflite-int8@integer.
    const asked = new URLSearchParams(location.search).get("artifact");
    const others = asked && !usable.includes(asked) ? [asked] : [];
    const select = element("artifact");
    select.replaceChildren(...all.filter((one) => one.usable).map(({ name, default: chosen }) => new Option(name, name, chosen, chosen)));
    select.append(...others.map((name) => new Option(name, name)));
    if (asked) select.value = asked;
    select.disabled = false;
    element("compare-label").hidden = usable.length < 2;
    fail(null);
    again();
  } catch (error) {
    fail(error);
  }
}

start();
