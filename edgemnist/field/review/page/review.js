// The review: one sample after the other, labels that are stored at once, and a way back.

import { ask, useToken } from "./api.js";
import { curve, isPicture, picture } from "./inputs.js";

const MOST_KEYS = 20; // more classes are chosen from a list
const NONE_OF_THESE = "none-of-these";
const OBJECTOR = "edgemnist learn";
const element = (id) => document.getElementById(id);

let queue = []; // samples to show, the first one now
let skipped = [];
let history = []; // what was done: { sample, label }, or { sample, skipped: true }
let classes = [];
let takes = null; // shape and type of the samples
let total = 0;
let busy = false;

function fail(error) {
  element("alert").hidden = !error;
  element("token-form").hidden = error?.status !== 401;
  element("alert").textContent = error ? `${error.message} ${error.hint ?? ""}`.trim() : "";
}

function paint(sample) {
  const bytes = Uint8Array.from(atob(sample.image), (one) => one.charCodeAt(0));
  const canvas = element("sample");
  element("values").textContent = "";
  if (isPicture(takes)) {
    picture(canvas, bytes, takes.shape);
    return;
  }
  const values = takes.dtype === "uint8" ? [...bytes] : [...new Float32Array(bytes.buffer)];
  curve(canvas, values);
  element("values").textContent = values.slice(0, MOST_KEYS).map((one) => one.toPrecision(4)).join("  ") + (values.length > MOST_KEYS ? " …" : "");
}

function words(label) {
  return label === NONE_OF_THESE ? "none of these" : label;
}

// Whether the names of the classes are keys, none of which does something else.
function areKeys() {
  return classes.every(isKey);
}

function isKey(name) {
  return name.length === 1 && !"nsua".includes(name);
}

// The key of a class: its name if that is one, else its place, 1 to 9 and 0, if no class is named by such a key.
function keyOf(name, index) {
  if (areKeys() || classes.some((one) => /^\d$/.test(one))) return isKey(name) ? name : "";
  return index < 10 ? String((index + 1) % 10) : "";
}

// "0–9", or each of them if they are no such range.
function keyWords() {
  const keys = classes.map(keyOf).filter(Boolean);
  const follow = keys.every((one, index) => one.charCodeAt(0) === keys[0].charCodeAt(0) + index);
  return follow && keys.length > 2 ? `${keys[0]}–${keys.at(-1)}` : keys.join(" ");
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
  const question = asked(sample.labels);
  element("differ").hidden = !question;
  element("differ").textContent = question;
}

// What to look at, in words; nothing if nobody has said anything yet, or all agree.
function asked(labels) {
  const given = (wanted) => labels.filter(wanted).map((one) => `${words(one.label)} (${one.writer})`).join(", ");
  const objection = labels.find((one) => one.writer === OBJECTOR);
  if (objection) {
    const said = given((one) => one !== objection);
    return `Labelled ${said}, but it reads like ${words(objection.label)}. What is it?`;
  }
  if (new Set(labels.map((one) => one.label)).size > 1) return `The labels differ: ${given(() => true)}. What is it?`;
  return labels.length ? "Somebody corrected this one. What is it?" : "";
}

function reveal() {
  if (!queue.length) return;
  const { answer, confidence, source, reason, labels } = queue[0];
  const said = answer === null ? "no answer" : `answered ${answer}, ${Math.round(confidence * 100)} %`;
  const given = labels.map((one) => ` · ${words(one.label)} (${one.writer})`).join("");
  element("answer").textContent = `${said} · ${reason} · ${source}${given}`;
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
  const single = areKeys();
  element("keys").classList.toggle("named", !single);
  if (classes.length > MOST_KEYS) {
    const input = document.createElement("input");
    const list = document.createElement("datalist");
    list.id = "classes";
    list.replaceChildren(...classes.map((name) => new Option(name)));
    input.setAttribute("list", list.id);
    input.placeholder = "type a class";
    input.setAttribute("aria-label", "Its class");
    input.addEventListener("change", () => {
      if (classes.includes(input.value)) label(input.value);
      input.value = "";
    });
    element("keys").replaceChildren(input, list);
    return;
  }
  element("keys").replaceChildren(
    ...classes.map((name, index) => {
      const button = document.createElement("button");
      button.textContent = name;
      const key = keyOf(name, index);
      if (key && key !== name) {
        const hint = document.createElement("kbd");
        hint.textContent = key;
        button.prepend(hint, " ");
      }
      button.addEventListener("click", () => label(name));
      return button;
    }),
  );
}

document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT") return;
  const actions = { n: () => label(NONE_OF_THESE), s: skip, u: undo, Backspace: undo, a: reveal };
  const known = classes.length <= MOST_KEYS ? classes.find((name, index) => keyOf(name, index) === event.key) : undefined;
  const action = known === undefined ? actions[event.key] : () => label(known);
  if (!action) return;
  event.preventDefault();
  action();
});

element("reveal").addEventListener("click", reveal);
element("skip").addEventListener("click", skip);
element("undo").addEventListener("click", undo);
element("undo-last").addEventListener("click", undo);
element("none").addEventListener("click", () => label(NONE_OF_THESE));
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
    takes = found.takes;
    element("key-words").textContent = classes.length > MOST_KEYS ? "a list of classes" : keyWords();
    element("about").textContent = `as ${found.writer}`;
    keys();
    show();
  });
}

start();
