// "No, it is …": a key for each class that was misread, or a list of many, where the service keeps samples.

import { correct } from "./api.js";

const NONE_OF_THESE = "none-of-these";
const MOST_KEYS = 20; // more classes are typed

const element = (id) => document.getElementById(id);

export class CorrectPanel {
  constructor({ say, fail }) {
    this.say = say;
    this.fail = fail;
    this.collects = false;
    this.result = null;
  }

  // What was answered to what is complete, or null while there is none.
  answered(result, refused = false) {
    this.result = this.collects ? result : null;
    element("correct").hidden = !this.result;
    if (!this.result) return;
    element("correct-words").textContent = "No, it is …";
    const [{ answer }] = this.result.predictions;
    // The answer itself is no correction, unless it was refused.
    const wrong = this.result.labels.filter((label) => label !== String(answer) || refused);
    const keys = wrong.length > MOST_KEYS ? [this.list(wrong)] : wrong.map((label) => this.key(label, label));
    element("correct-keys").replaceChildren(...keys, this.key(NONE_OF_THESE, "none of these"));
  }

  key(label, words) {
    const button = document.createElement("button");
    button.textContent = words;
    button.className = label === NONE_OF_THESE ? "none" : "";
    button.addEventListener("click", () => this.send(label, words));
    return button;
  }

  list(labels) {
    const select = document.createElement("select");
    select.setAttribute("aria-label", "It is");
    select.replaceChildren(new Option("choose …", ""), ...labels.map((label) => new Option(label)));
    select.addEventListener("change", () => select.value && this.send(select.value, select.value));
    return select;
  }

  async send(label, words) {
    const [{ image }] = this.result.predictions;
    const { result } = this;
    for (const button of element("correct-keys").children) button.disabled = true;
    try {
      await correct(image, label);
      // Something else may have been drawn meanwhile.
      if (result !== this.result) return;
      element("correct-words").textContent = `Kept as ${words}, for the review. Thank you.`;
      element("correct-keys").replaceChildren();
      this.say(`Kept as ${words}`);
      this.fail(null);
    } catch (error) {
      this.fail(error);
      for (const button of element("correct-keys").children) button.disabled = false;
    }
  }
}
