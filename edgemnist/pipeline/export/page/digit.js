// The page of digits by itself: what `edgemnist serve` asks its service for is computed here.

import { DrawPanel } from "./draw.js";
import { start } from "./engine.js";

class Unreadable extends Error {}

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
    const answer = { digit: labels[best], confidence: probabilities[best], probabilities, image: rows };
    return {
      artifact: name,
      labels,
      predictions: [{ ...answer, verdict: several ? "several" : "digit" }],
      microseconds: { classify: engine.time(image), normalize },
      compared: [],
    };
  };
}

start((engine, shared) => new DrawPanel({ ...shared, predict: predictor(engine) }));
