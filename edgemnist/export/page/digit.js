// The page by itself: what `edgemnist serve` asks its service for is computed here.

import { DrawPanel } from "./draw.js";
import { Engine } from "./engine.js";

const carried = (id) => Uint8Array.from(atob(document.getElementById(id).textContent), (letter) => letter.charCodeAt(0));

class Unreadable extends Error {}

function fail(error) {
  const alert = document.getElementById("alert");
  alert.hidden = !error;
  alert.textContent = error?.message ?? "";
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
    const rows = Array.from({ length: 28 }, (_, y) => Array.from(image.subarray(28 * y, 28 * y + 28)));
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

async function start() {
  const about = JSON.parse(document.getElementById("carried-about").textContent);
  document.getElementById("about").textContent = `edgemnist ${about.version} · ${about.name} · works without a network`;
  try {
    const engine = await Engine.open(carried("carried-engine"), carried("carried-model"), about);
    const say = (text) => (document.getElementById("status").textContent = text);
    new DrawPanel({ predict: predictor(engine), artifacts: () => [about.name], say, fail });
    globalThis.edgemnist = engine; // for the console, and for whoever runs many images
    document.documentElement.dataset.ready = "true";
  } catch (error) {
    fail(new Error("This browser cannot run the model: it needs WebAssembly with SIMD. Update it."));
    throw error;
  }
}

start();
