// The page as a whole: tabs, the choice of the artifact, messages, and the token.

import { ask, predict, useToken } from "./api.js";
import { AskPanel } from "./ask.js";
import { CorrectPanel } from "./correct.js";
import { DrawPanel } from "./draw.js";
import { ReadPanel } from "./read.js";

const element = (id) => document.getElementById(id);
const tabs = [...document.querySelectorAll("[role=tab]")];
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

function open(tab) {
  for (const one of tabs) {
    const selected = one === tab;
    one.setAttribute("aria-selected", selected);
    one.tabIndex = selected ? 0 : -1;
    element(one.getAttribute("aria-controls")).hidden = !selected;
  }
  fail(null);
}

for (const [index, tab] of tabs.entries()) {
  tab.addEventListener("click", () => open(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(index + step + tabs.length) % tabs.length];
    open(next);
    next.focus();
  });
}

const shared = { artifacts, say, fail };
const correctPanel = new CorrectPanel(shared);
const drawPanel = new DrawPanel({ ...shared, predict, answered: (result) => correctPanel.answered(result) });
const readPanel = new ReadPanel({ ...shared, open: () => open(element("tab-read")) });
let askPanel = null; // in place of the two, where the task is not digits

function send(body, type, names) {
  const query = new URLSearchParams([["show", "true"], ["collect", "false"], ...names.map((name) => ["artifact", name])]);
  return ask(`/v1/predict?${query}`, { method: "POST", headers: { "Content-Type": type }, body });
}

function again() {
  if (askPanel) {
    askPanel.again();
    return;
  }
  if (!drawPanel.pad.empty) drawPanel.refresh();
  if (!element("panel-read").hidden) readPanel.again();
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
    if (!["", "digits"].includes(task) && !askPanel) {
      readPanel.off = true;
      askPanel = new AskPanel({ ...shared, send, answered: (result) => correctPanel.answered(result) }, takes);
      correctPanel.none = "none of these";
    }
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
