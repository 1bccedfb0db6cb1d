// The page of digits by itself: what `edgemnist serve` asks its service for is computed here.

import { DrawPanel } from "./draw.js";
import { Engine, start } from "./engine.js";

const FIT = ["found", "blank", "uneven"]; // what edgemnist_find returns

class Unreadable extends Error {}

class Finder extends Engine {
  constructor(functions, model, about) {
    super(functions, model, about);
    this.found = this.room(28); // edgemnist_found
    this.start = this.end;
  }

  // Find the digit on a picture of grey levels, a byte a pixel; `kind` is one of FIT.
  fit(grey, width, height) {
    this.end = this.start;
    const picture = this.room(grey.length);
    const scratch = this.room(this.functions.edgemnist_fit_bytes(width, height));
    this.bytes(picture, grey.length).set(grey);
    const kind = FIT[this.functions.edgemnist_find(picture, width, height, this.input, this.found, scratch)];
    const [left, top, wide, high, side, inverted, several] = new Uint32Array(this.functions.memory.buffer, this.found, 7);
    const box = { left, top, width: wide, height: high, side };
    return { kind, image: this.bytes(this.input, this.inputs).slice(), box, inverted: inverted > 0, several: several > 0 };
  }
}

// Answer a drawing as the service does.
function predictor(engine) {
  const { labels, name } = engine.about;
  return (canvas) => {
    const { width, height } = canvas;
    const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    const started = performance.now();
    const grey = Uint8Array.from({ length: width * height }, (_, index) => pixels[4 * index]);
    const { kind, image, several } = engine.fit(grey, width, height);
    const normalize = 1000 * (performance.now() - started);
    if (kind !== "found") throw new Unreadable("There is nothing to read on the pad. Write larger.");
    const probabilities = engine.probabilities(engine.answer(image));
    const best = probabilities.indexOf(Math.max(...probabilities));
    const side = Math.sqrt(image.length);
    const rows = Array.from({ length: side }, (_, y) => Array.from(image.subarray(side * y, side * y + side)));
    const prediction = { answer: labels[best], confidence: probabilities[best], probabilities, image: rows };
    return {
      artifact: name,
      labels,
      predictions: [{ ...prediction, verdict: several ? "several" : "digit" }],
      microseconds: { classify: engine.time(image), normalize },
      compared: [],
    };
  };
}

start((engine, shared) => new DrawPanel({ ...shared, predict: predictor(engine) }), Finder);
