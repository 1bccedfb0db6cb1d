// The panel on which a page is read: a picture in, boxes over it, and its tables and numbers as text.

import { ask } from "./api.js";

const SVG = "http://www.w3.org/2000/svg";

const PANEL = `<section id="panel-read" role="tabpanel" aria-labelledby="tab-read" hidden>
<label id="drop" class="drop" for="file">
<strong>A page with digits on it</strong>
<span>dropped here, pasted, or</span>
<span class="button">Photograph or choose one</span>
<input id="file" class="hidden" type="file" accept="image/*">
</label>
<p id="reading" class="muted" hidden>Reading…</p>
<div id="page" class="page" hidden>
<figure class="card"><div class="sheet" id="sheet"></div><figcaption id="page-facts"></figcaption></figure>
<div class="card numbers"><h2>What it says</h2><div id="tables" class="tables" role="region" aria-label="Tables" tabindex="0"></div><ol id="lines"></ol>
<p class="legend"><span class="key answered">read</span> <span class="key refused">? not sure enough</span></p></div>
</div>
</section>`;

const element = (id) => document.getElementById(id);

function read(picture, artifact) {
  const query = new URLSearchParams({ artifact });
  const type = picture.type.startsWith("image/") ? picture.type : "application/octet-stream";
  return ask(`/v1/read?${query}`, { method: "POST", headers: { "Content-Type": type }, body: picture });
}

export class ReadPanel {
  constructor({ artifacts, say, fail, open }) {
    this.artifacts = artifacts;
    this.say = say;
    this.fail = fail;
    element("panel-draw").insertAdjacentHTML("afterend", PANEL);
    const drop = element("drop");
    element("file").addEventListener("change", (event) => this.take(event.target.files[0]));
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
    for (const name of ["dragleave", "drop"]) document.addEventListener(name, () => drop.classList.remove("over"));
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      this.dropped(event.dataTransfer.files, open);
    });
    document.addEventListener("paste", (event) => this.dropped(event.clipboardData.files, open));
  }

  dropped(files, open) {
    if (!files.length) return;
    open();
    this.take(files[0]);
  }

  async take(file) {
    if (!file) return;
    this.file = file;
    element("reading").hidden = false;
    element("page").hidden = true;
    try {
      const started = performance.now();
      const result = await read(file, this.artifacts()[0]);
      if (file !== this.file) return;
      this.show(result, performance.now() - started);
      this.fail(null);
    } catch (error) {
      this.fail(error);
    } finally {
      element("reading").hidden = true;
    }
  }

  again() {
    this.take(this.file);
  }

  show(result, milliseconds) {
    const picture = new Image(result.width, result.height);
    picture.alt = `The page, with ${result.digits.length} digits found on it`;
    picture.src = URL.createObjectURL(this.file);
    picture.addEventListener("load", () => URL.revokeObjectURL(picture.src));
    element("sheet").replaceChildren(picture, overlay(result));
    const times = Object.values(result.milliseconds).reduce((sum, time) => sum + time, 0);
    const refused = result.digits.filter((digit) => digit.digit === null).length;
    element("page-facts").textContent =
      `${result.digits.length} digits, ${refused} of them not sure enough · ` +
      `read in ${times.toFixed(0)} ms by ${result.artifact} · round trip ${milliseconds.toFixed(0)} ms` +
      (result.turned ? ` · turned by ${result.turned}° to be read` : "") +
      (result.complete ? "" : " · more ink than on any page of digits: not all of it was tried") +
      (result.sharp ? "" : " · out of focus: photograph it again, sharp");
    element("tables").replaceChildren(...result.tables.map(table));
    element("lines").replaceChildren(...lines(result));
    element("page").hidden = false;
    this.say(result.numbers.length ? `Read: ${result.numbers.map((number) => number.text).join(", ")}.` : "No digits found.");
  }
}

function overlay(result) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `0 0 ${result.width} ${result.height}`);
  // The numbers stand beside it as text.
  drawing.setAttribute("aria-hidden", "true");
  for (const { cells } of result.tables) {
    for (const { box: [x, y, width, height] } of cells) {
      const cell = document.createElementNS(SVG, "rect");
      for (const [name, value] of Object.entries({ x, y, width, height, class: "cell" })) cell.setAttribute(name, value);
      drawing.append(cell);
    }
  }
  for (const { digit, box } of result.digits) {
    const [x, y, width, height] = box;
    const group = document.createElementNS(SVG, "g");
    if (digit === null) group.setAttribute("class", "refused");
    const frame = document.createElementNS(SVG, "rect");
    const margin = height * 0.06;
    for (const [name, value] of Object.entries({
      x: x - margin, y: y - margin, width: width + 2 * margin, height: height + 2 * margin, rx: margin,
    })) frame.setAttribute(name, value);
    const label = document.createElementNS(SVG, "text");
    label.setAttribute("x", x - margin);
    label.setAttribute("y", y - 2 * margin);
    label.setAttribute("font-size", height * 0.55);
    label.textContent = digit ?? "?";
    group.append(frame, label);
    drawing.append(group);
  }
  return drawing;
}

// A table of the page as one that a spreadsheet takes from the clipboard; merged cells stay merged.
function table({ rows, columns, cells }, index) {
  const drawn = document.createElement("table");
  const caption = drawn.createCaption();
  caption.textContent = `Table ${index + 1}: ${rows} × ${columns}`;
  const body = drawn.createTBody();
  for (let row = 0; row < rows; row += 1) {
    const line = body.insertRow();
    for (const cell of cells.filter((one) => one.row === row)) {
      const place = line.insertCell();
      place.rowSpan = cell.rows;
      place.colSpan = cell.columns;
      if (cell.text) place.append(word(cell.text));
    }
  }
  return drawn;
}

function lines(result) {
  const found = new Map();
  // What stands in tables is shown there.
  const outside = new Set(result.digits.filter((digit) => digit.table === null).map((digit) => digit.line));
  if (!outside.size && result.tables.length) return [];
  for (const number of result.numbers.filter(({ line }) => outside.has(line))) found.set(number.line, [...(found.get(number.line) ?? []), number]);
  if (!found.size) {
    const item = document.createElement("li");
    item.textContent = "No digits were found.";
    return [item];
  }
  return [...found.values()].map((numbers) => {
    const item = document.createElement("li");
    item.append(...numbers.flatMap((number) => [word(number.text), " "]));
    return item;
  });
}

function word(text) {
  const bold = document.createElement("b");
  for (const character of text) {
    if (character !== "?") {
      bold.append(character);
      continue;
    }
    const doubt = document.createElement("i");
    doubt.textContent = "?";
    bold.append(doubt);
  }
  return bold;
}
