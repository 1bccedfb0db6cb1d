// The panels of digits on the page of the service: one is drawn, or a page of them is read.

import { DrawPanel } from "./draw.js";
import { ReadPanel } from "./read.js";

const TABS = `<div class="tabs" role="tablist" aria-label="What to read">
<button role="tab" id="tab-draw" aria-controls="panel-draw" aria-selected="true">Draw a digit</button>
<button role="tab" id="tab-read" aria-controls="panel-read" aria-selected="false" tabindex="-1">Read a page</button>
</div>`;

const element = (id) => document.getElementById(id);

export class DigitPanels {
  // `send` is as for AskPanel.
  constructor({ send, ...shared }) {
    const predict = async (canvas, names) => {
      const picture = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
      return send(picture, picture.type, names);
    };
    this.fail = shared.fail;
    this.drawPanel = new DrawPanel({ ...shared, predict });
    this.readPanel = new ReadPanel({ ...shared, open: () => this.open(element("tab-read")) });
    const panel = element("panel-draw");
    panel.role = "tabpanel";
    panel.setAttribute("aria-labelledby", "tab-draw");
    panel.insertAdjacentHTML("beforebegin", TABS);
    this.tabs = [...document.querySelectorAll("[role=tab]")];
    for (const [index, tab] of this.tabs.entries()) {
      tab.addEventListener("click", () => this.open(tab));
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const next = this.tabs[(index + step + this.tabs.length) % this.tabs.length];
        this.open(next);
        next.focus();
      });
    }
  }

  open(tab) {
    for (const one of this.tabs) {
      const selected = one === tab;
      one.setAttribute("aria-selected", selected);
      one.tabIndex = selected ? 0 : -1;
      element(one.getAttribute("aria-controls")).hidden = !selected;
    }
    this.fail(null);
  }

  again() {
    if (!this.drawPanel.pad.empty) this.drawPanel.refresh();
    if (!element("panel-read").hidden) this.readPanel.again();
  }
}
