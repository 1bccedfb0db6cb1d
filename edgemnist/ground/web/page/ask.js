// The panel that asks about a picture from disk or the camera, or about numbers, where nothing is drawn. The page of
// `edgemnist export --format web` has it as well.

import { compare, fact, percent } from "./answer.js";
import { curve, isPicture, picture } from "./inputs.js";

const BARS = 10; // of more classes, the most probable ones
const FIRST = 16; // numbers of an answer that are written out

const SIDE = `<div class="pad-side">
<label id="ask-drop" class="drop" for="ask-file">
<strong>A picture</strong>
<span>dropped here, pasted, or</span>
<span class="button">Photograph or choose one</span>
<input id="ask-file" class="hidden" type="file" accept="image/*">
</label>
<button id="ask-camera" type="button" hidden>Use the camera</button>
<video id="ask-video" aria-label="What the camera sees" playsinline muted hidden></video>
<img id="ask-shown" alt="The picture that was sent" hidden>
<form id="ask-form" class="card" hidden>
<label id="ask-words" for="ask-numbers"></label>
<textarea id="ask-numbers" rows="8" spellcheck="false" autocomplete="off" placeholder="1.5, 0.2, …"></textarea>
<div class="row"><button class="primary">Ask</button></div>
</form>
<div id="ask-row" class="row"></div>
</div>`;

const element = (id) => document.getElementById(id);

export class AskPanel {
  // `send` takes a body, its type and the names of artifacts, and returns what /v1/predict answers.
  constructor({ send, artifacts, say, fail, answered = () => {} }, takes) {
    Object.assign(this, { ask: send, artifacts, say, fail, answered, takes });
    this.isPicture = isPicture(takes);
    const panel = Object.assign(element("panel"), { id: "panel-ask", ariaLabel: "Ask the model", hidden: false });
    panel.insertAdjacentHTML("afterbegin", SIDE);
    element("ask-row").append(...document.querySelectorAll("#compare-label"));
    element("ask-drop").hidden = !this.isPicture;
    element("ask-form").hidden = this.isPicture;
    element("ask-words").textContent = `${takes.shape.join("×")} numbers, as JSON or with commas or spaces between them`;
    element("comparison").caption.textContent = "The same, answered by every artifact";
    element("confidence").textContent = "nothing asked yet";
    this.figure = element("seen").closest("figure");
    this.figure.hidden = true;
    element("ask-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.takeNumbers(element("ask-numbers").value);
    });
    element("ask-file").addEventListener("change", (event) => this.take(event.target.files[0]));
    // Browsers offer it to pages from disk, from this machine, and by HTTPS.
    element("ask-camera").hidden = !this.isPicture || !navigator.mediaDevices;
    element("ask-camera").addEventListener("click", () => this.photograph().catch((error) => this.fail(error)));
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      element("ask-drop").classList.add("over");
    });
    for (const name of ["dragleave", "drop"]) document.addEventListener(name, () => element("ask-drop").classList.remove("over"));
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      this.take(event.dataTransfer.files[0]);
    });
    document.addEventListener("paste", (event) => this.take(event.clipboardData.files[0]));
  }

  take(file) {
    if (!file || !this.isPicture) return;
    const shown = element("ask-shown");
    URL.revokeObjectURL(shown.src);
    shown.src = URL.createObjectURL(file);
    shown.hidden = false;
    this.send(file, file.type.startsWith("image/") ? file.type : "application/octet-stream");
  }

  // Show what the camera sees, or ask about it.
  async photograph() {
    const video = element("ask-video");
    if (video.hidden) {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      await video.play();
      video.hidden = false;
      element("ask-camera").textContent = "Take the picture";
      return;
    }
    const canvas = Object.assign(document.createElement("canvas"), { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((picture) => this.take(picture));
  }

  takeNumbers(text) {
    const words = text.replace(/[[\]]/g, " ").split(/[\s,;]+/).filter(Boolean);
    const size = this.takes.shape.reduce((product, side) => product * side, 1);
    const odd = words.find((word) => !Number.isFinite(Number(word)));
    if (odd !== undefined || words.length !== size) {
      const what = odd === undefined ? `There are ${words.length} numbers` : `${odd} is not a number`;
      this.fail(new Error(`${what}, and the model takes ${size}.`));
      return;
    }
    this.send(JSON.stringify({ inputs: [words.map(Number)] }), "application/json");
  }

  again() {
    if (this.sent) this.send(...this.sent);
  }

  async send(body, type) {
    const sent = [body, type];
    this.sent = sent;
    this.answered(null);
    try {
      const started = performance.now();
      const result = await this.ask(body, type, this.artifacts());
      // Something else may have been asked meanwhile.
      if (sent !== this.sent) return;
      this.show(result, performance.now() - started);
      this.fail(null);
    } catch (error) {
      this.reset();
      this.fail(error);
    }
  }

  // An earlier answer is not about what was asked last.
  reset() {
    element("answer").textContent = "–";
    element("confidence").textContent = "no answer";
    element("bars").replaceChildren();
    element("comparison").hidden = true;
    this.figure.hidden = true;
    for (const id of ["fact-classify", "fact-normalize", "fact-trip"]) fact(id, "–");
  }

  show(result, milliseconds) {
    const [{ answer, confidence, probabilities, values, image, told = [] }] = result.predictions;
    const title = !values ? String(answer) : values.length > 1 ? `${values.length} numbers` : numbers(values);
    const sure = !values ? `${percent(confidence)} sure` : values.length > 1 ? numbers(values) : "";
    element("answer").textContent = title;
    element("confidence").textContent = [sure, ...told].filter(Boolean).join("; ");
    element("bars").hidden = Boolean(values);
    const shares = probabilities.map((share, index) => [share, result.labels[index]]);
    element("bars").replaceChildren(...shares.sort((one, other) => other[0] - one[0]).slice(0, BARS).map(bar));
    this.figure.hidden = false;
    if (this.isPicture) picture(element("seen"), image.flat(Infinity), this.takes.shape);
    else curve(element("seen"), image.flat(Infinity));
    element("seen").setAttribute("aria-label", `What the model saw, answered with ${title}`);
    fact("fact-classify", `${result.microseconds.classify.toFixed(result.microseconds.classify < 10 ? 1 : 0)} µs`);
    fact("fact-normalize", `${(result.microseconds.normalize / 1000).toFixed(1)} ms`);
    fact("fact-trip", `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`);
    compare(result);
    const rows = [...element("comparison").tBodies[0].rows];
    const answers = [result, ...result.compared].map((one) => one.predictions[0].values);
    if (values) for (const [at, row] of rows.entries()) [row.cells[1].textContent, row.cells[2].textContent] = [numbers(answers[at].slice(0, 4)), ""];
    this.say(`Answered: ${title}${sure ? `, ${sure}` : ""}.`);
    this.answered(values ? null : result);
  }
}

function numbers(values) {
  const first = values.slice(0, FIRST).map((value) => value.toPrecision(4)).join("  ");
  if (values.length <= FIRST) return first;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const [low, high] = [Math.min(...values), Math.max(...values)].map((value) => value.toPrecision(4));
  return `${low} to ${high}, mean ${mean.toPrecision(4)}: ${first} …`;
}

function bar([share, label], index) {
  const item = document.createElement("li");
  item.className = index === 0 ? "best" : "";
  for (const [name, text] of [["label", label], ["track", ""], ["share", percent(share)]]) {
    const part = document.createElement("span");
    part.className = name;
    part.textContent = text;
    item.append(part);
  }
  const fill = document.createElement("span");
  fill.className = "fill";
  item.children[1].append(fill);
  item.children[0].title = label;
  item.style.setProperty("--share", `${100 * share}%`);
  return item;
}
