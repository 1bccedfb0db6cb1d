// The page of any other model by itself: a picture from disk or the camera, or numbers in, bars with names out.

import { AskPanel } from "./ask.js";
import { start } from "./engine.js";
import { isPicture } from "./inputs.js";

class Unreadable extends Error {}

// Where a picture of `width` and `height` goes on one of `wide` and `high`: what is taken of it, and where it is put.
function placed(prepare, width, height, wide, high) {
  const scale = prepare === "crop" ? Math.min(width / wide, height / high) : Math.max(width / wide, height / high);
  const side = (size) => Math.max(1, Math.round(size));
  if (prepare === "crop") {
    const [across, down] = [side(wide * scale), side(high * scale)];
    return [Math.floor((width - across) / 2), Math.floor((height - down) / 2), across, down, 0, 0, wide, high];
  }
  if (prepare === "letterbox") {
    const [across, down] = [side(width / scale), side(height / scale)];
    return [0, 0, width, height, Math.floor((wide - across) / 2), Math.floor((high - down) / 2), across, down];
  }
  if (prepare === "none" && (width !== wide || height !== high)) {
    throw new Unreadable(`The picture has ${width}×${height} pixels, and the model reads ${wide}×${high}.`);
  }
  return [0, 0, width, height, 0, 0, wide, high];
}

// Return the pixels of a picture file as the model takes them, scaled by the browser.
async function pixelsOf(file, { input, prepare }) {
  const [high, wide, channels = 1] = input.shape;
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Unreadable("This browser cannot read it as a picture.");
  });
  const canvas = Object.assign(document.createElement("canvas"), { width: wide, height: high });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const place = placed(prepare, bitmap.width, bitmap.height, wide, high);
  // What is transparent lies on white, unless the model takes that, too.
  context.fillStyle = "#fff";
  if (channels < 4) context.fillRect(...place.slice(4));
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, ...place);
  if (prepare === "letterbox" && channels < 4) {
    context.globalCompositeOperation = "destination-over";
    context.fillStyle = "#000";
    context.fillRect(0, 0, wide, high);
  }
  const { data } = context.getImageData(0, 0, wide, high);
  if (channels > 1) return Uint8Array.from({ length: wide * high * channels }, (_, at) => data[4 * Math.floor(at / channels) + (at % channels)]);
  return Uint8Array.from({ length: wide * high }, (_, at) => (19595 * data[4 * at] + 38470 * data[4 * at + 1] + 7471 * data[4 * at + 2] + 32768) >> 16);
}

function numbersOf(text, { input }) {
  const [numbers] = JSON.parse(text).inputs;
  if (input.dtype === "float32") return Float32Array.from(numbers);
  if (numbers.some((number) => !Number.isInteger(number) || number < 0 || number > 255)) throw new Unreadable("The model takes whole numbers of 0 to 255.");
  return Uint8Array.from(numbers);
}

// Answer as the service does.
function predictor(engine) {
  const { labels, name, task } = engine.about;
  return async (body, type) => {
    const started = performance.now();
    const input = type === "application/json" ? numbersOf(body, task) : await pixelsOf(body, task);
    const normalize = 1000 * (performance.now() - started);
    const scores = engine.answer(input);
    const values = labels.length ? null : engine.values(scores);
    const probabilities = values ? [] : engine.probabilities(scores);
    const best = probabilities.indexOf(Math.max(...probabilities));
    return {
      artifact: name,
      labels,
      predictions: [{ answer: labels[best], confidence: probabilities[best], probabilities, values, image: [...input] }],
      microseconds: { classify: engine.time(input), normalize },
      compared: [],
    };
  };
}

start((engine, shared) => {
  const { task } = engine.about;
  if (isPicture(task.input)) document.querySelector(".answer figcaption").textContent = "what the model saw, scaled by this browser";
  return new AskPanel({ ...shared, send: predictor(engine) }, task.input);
});
