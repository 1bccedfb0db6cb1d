// The panel on which a digit is drawn: asks while the pen moves, and shows what came back. The page of
// `edgemnist export --format web` has it as well.

import { compare, fact, percent } from "./answer.js";
import { Pad } from "./pad.js";

const PAUSE = 60; // milliseconds between two questions while the pen moves

// What is said beside a digit that the picture does not show.
const REFUSED = { "no-digit": "no digit", several: "several digits" };

const SIDE = `<div class="pad-side">
<div class="pad-frame">
<canvas id="pad" tabindex="0" role="application" aria-label="Drawing pad" aria-describedby="pad-help"></canvas>
<p id="invitation" aria-hidden="true">Draw one digit here</p>
</div>
<div id="pad-row" class="row">
<button id="undo" disabled>Undo</button>
<button id="clear" disabled>Clear</button>
<span class="spacer"></span>
</div>
<details id="pad-help">
<summary>Drawing with the keyboard</summary>
<p>Go to the pad with Tab. The arrow keys move the pen, Space puts it down and lifts it (its ring is dashed while it is up), Backspace or Ctrl+Z takes back a stroke, and Escape clears the pad.</p>
</details>
<p id="pen" class="hidden" role="status"></p>
</div>`;

const element = (id) => document.getElementById(id);

export class DrawPanel {
  constructor({ predict, artifacts, say, fail, answered = () => {} }) {
    this.predict = predict; // (canvas, names) → what /v1/predict answers
    this.artifacts = artifacts; // () → names, the one that answers first
    this.say = say;
    this.fail = fail;
    this.answered = answered; // (what /v1/predict answers to what was drawn, or null; whether that is refused) → nothing
    this.asking = false;
    this.stale = false;
    this.version = 0;
    const panel = Object.assign(element("panel"), { id: "panel-draw", ariaLabel: "Draw a digit", hidden: false });
    panel.insertAdjacentHTML("afterbegin", SIDE);
    element("pad-row").append(...document.querySelectorAll("#compare-label"));
    element("bars").setAttribute("aria-label", "Probability of each digit");
    this.pad = new Pad(
      element("pad"),
      (complete) => this.changed(complete),
      // Beside the answer, which would take its place before it was read out.
      (down) => (element("pen").textContent = down ? "Pen down." : "Pen up."),
    );
    element("undo").addEventListener("click", () => this.pad.undo());
    element("clear").addEventListener("click", () => this.pad.clear());
    this.reset();
  }

  changed(complete) {
    this.version += 1;
    this.complete = complete;
    this.answered(null);
    element("invitation").classList.toggle("gone", !this.pad.empty);
    element("undo").disabled = element("clear").disabled = this.pad.empty;
    if (this.pad.empty) this.reset();
    else this.refresh();
  }

  async refresh() {
    this.stale = true;
    if (this.asking) return;
    this.asking = true;
    if (!this.shown) element("confidence").textContent = "reading …";
    while (this.stale && !this.pad.empty) {
      this.stale = false;
      const { version } = this;
      try {
        const started = performance.now();
        const result = await this.predict(this.pad.picture(), this.artifacts());
        // What was cleared meanwhile is not answered any more.
        if (!this.pad.empty) this.show(result, performance.now() - started);
        if (this.complete && version === this.version) {
          this.tell(result);
          this.answered(result, result.predictions[0].verdict in REFUSED);
        }
        this.fail(null);
      } catch (error) {
        this.fail(error);
        // An earlier answer is not about what is drawn now.
        this.reset();
        if (!this.pad.empty) element("confidence").textContent = "no answer";
        break;
      }
      if (this.stale) await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
    this.asking = false;
  }

  reset() {
    this.shown = false;
    element("answer").textContent = "–";
    element("answer").classList.remove("doubtful");
    element("confidence").textContent = "not drawn yet";
    for (const id of ["fact-classify", "fact-normalize", "fact-trip"]) fact(id, "–");
    const seen = element("seen");
    seen.getContext("2d").clearRect(0, 0, seen.width, seen.height);
    seen.setAttribute("aria-label", "What the model saw: nothing yet");
    element("comparison").hidden = true;
    bars([..."0123456789"], new Array(10).fill(0));
  }

  show(result, milliseconds) {
    const [prediction] = result.predictions;
    this.shown = true;
    element("answer").textContent = prediction.answer;
    const refused = REFUSED[prediction.verdict];
    element("answer").classList.toggle("doubtful", Boolean(refused));
    element("confidence").textContent = refused ?? `${percent(prediction.confidence)} sure`;
    bars(result.labels, prediction.probabilities);
    picture(prediction.image);
    element("seen").setAttribute("aria-label", `What the model saw, read as ${prediction.answer}`);
    fact("fact-classify", `${result.microseconds.classify.toFixed(0)} µs`);
    fact("fact-normalize", `${(result.microseconds.normalize / 1000).toFixed(1)} ms`);
    fact("fact-trip", `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`);
    compare(result);
  }

  tell(result) {
    const [prediction] = result.predictions;
    const differing = result.compared.filter((other) => !other.agrees).map((other) => other.artifact);
    const others = !result.compared.length ? "" : differing.length ? ` ${differing.join(", ")} differ.` : " All agree.";
    const refused = REFUSED[prediction.verdict];
    this.say(`Read as ${prediction.answer}, ${refused ? `but this looks like ${refused}` : `${percent(prediction.confidence)} sure`}.${others}`);
  }
}

function bars(labels, probabilities) {
  const list = element("bars");
  if (list.children.length !== labels.length) list.replaceChildren(...labels.map(bar));
  const best = Math.max(...probabilities);
  probabilities.forEach((share, index) => {
    const item = list.children[index];
    item.classList.toggle("best", share > 0 && share === best);
    item.querySelector(".label").textContent = labels[index];
    item.querySelector(".share").textContent = share >= 0.005 ? `${Math.round(100 * share)}` : "";
    item.querySelector(".hidden").textContent = best > 0 ? `${labels[index]}: ${percent(share)}` : labels[index];
    item.querySelector(".fill").style.setProperty("--share", `${100 * share}%`);
  });
}

function bar() {
  const item = document.createElement("li");
  const parts = ["share", "track", "label"].map((name) => {
    const part = document.createElement("span");
    part.className = name;
    part.ariaHidden = "true";
    return part;
  });
  // For those who do not see how high a bar is: the others have a share and a label far apart, or none.
  const text = document.createElement("span");
  text.className = "hidden";
  const fill = document.createElement("span");
  fill.className = "fill";
  parts[1].append(fill);
  item.append(...parts, text);
  return item;
}

function picture(rows) {
  const pixels = new ImageData(rows[0].length, rows.length);
  rows.flat().forEach((value, index) => pixels.data.set([value, value, value, 255], 4 * index));
  const seen = Object.assign(element("seen"), { width: pixels.width, height: pixels.height });
  seen.getContext("2d").putImageData(pixels, 0, 0);
}
