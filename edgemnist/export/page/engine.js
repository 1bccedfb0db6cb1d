// The engine in WebAssembly: finds the digit on a picture, and answers images with the model's scores.

const PIXELS = 784; // 28 × 28
const FIT = ["found", "blank", "uneven"]; // what edgemnist_find returns

export class Engine {
  // `code` is the WebAssembly module, `model` what edgemnist_open takes, and `about` what the scores stand for.
  static async open(code, model, about) {
    const { instance } = await WebAssembly.instantiate(code);
    return new Engine(instance.exports, model, about);
  }

  constructor(functions, model, about) {
    this.functions = functions;
    this.about = about;
    this.end = functions.__heap_base.value;
    this.model = this.room(model.length);
    this.bytes(this.model, model.length).set(model);
    this.scratch = this.room(functions.edgemnist_open(this.model));
    this.image = this.room(PIXELS);
    this.scores = this.room(about.labels.length);
    this.found = this.room(28); // edgemnist_found
    this.start = this.end; // of what only one call needs
  }

  // Take memory that nobody else has.
  room(size) {
    const place = Math.ceil(this.end / 64) * 64;
    this.end = place + size;
    const missing = this.end - this.functions.memory.buffer.byteLength;
    if (missing > 0) this.functions.memory.grow(Math.ceil(missing / 65536));
    return place;
  }

  bytes(place, size) {
    return new Uint8Array(this.functions.memory.buffer, place, size);
  }

  // Find the digit on a picture of grey levels, a byte a pixel; `kind` is one of FIT.
  fit(grey, width, height) {
    this.end = this.start;
    const picture = this.room(grey.length);
    const scratch = this.room(this.functions.edgemnist_fit_bytes(width, height));
    this.bytes(picture, grey.length).set(grey);
    const kind = FIT[this.functions.edgemnist_find(picture, width, height, this.image, this.found, scratch)];
    const [left, top, wide, high, side, inverted, several] = new Uint32Array(this.functions.memory.buffer, this.found, 7);
    const box = { left, top, width: wide, height: high, side };
    return { kind, image: this.bytes(this.image, PIXELS).slice(), box, inverted: inverted > 0, several: several > 0 };
  }

  // Return the scores of images, 784 bytes each, as the model has them: a byte for each class.
  answer(images) {
    const classes = this.about.labels.length;
    const count = images.length / PIXELS;
    this.end = this.start;
    const place = this.room(images.length);
    const scores = this.room(count * classes);
    this.bytes(place, images.length).set(images);
    this.functions.edgemnist_run(this.model, place, count, scores, this.scratch);
    return this.bytes(scores, count * classes).slice();
  }

  // Return how long one image takes, in microseconds: of so many calls that a clock of milliseconds can tell.
  time(image) {
    this.bytes(this.image, PIXELS).set(image);
    for (let calls = 16; ; calls *= 2) {
      const started = performance.now();
      for (let i = 0; i < calls; i += 1) {
        this.functions.edgemnist_run(this.model, this.image, 1, this.scores, this.scratch);
      }
      const milliseconds = performance.now() - started;
      if (milliseconds >= 3) return (1000 * milliseconds) / calls;
    }
  }

  // Return what scores of one image stand for: probabilities, by a softmax where the model ends without one.
  probabilities(scores) {
    const { scale, zero_point: zero, logits } = this.about;
    const values = Array.from(scores, (score) => Math.fround(scale * (score - zero)));
    if (!logits) return values;
    const most = Math.max(...values);
    const powers = values.map((value) => Math.exp(value - most));
    const total = powers.reduce((sum, power) => sum + power, 0);
    return powers.map((power) => power / total);
  }
}
