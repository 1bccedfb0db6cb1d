// The engine in WebAssembly: answers inputs with the model's scores.

export class Engine {
  // `code` is the WebAssembly module, `model` what edgemnist_open takes, and `about` what it takes and answers.
  static async open(code, model, about) {
    const { instance } = await WebAssembly.instantiate(code);
    return new this(instance.exports, model, about);
  }

  constructor(functions, model, about) {
    this.functions = functions;
    this.about = about;
    this.inputs = about.inputs;
    this.outputs = about.outputs || about.labels.length;
    this.end = functions.__heap_base.value;
    this.model = this.room(model.length);
    this.bytes(this.model, model.length).set(model);
    this.scratch = this.room(functions.edgemnist_open(this.model));
    this.input = this.room(this.inputs);
    this.scores = this.room(this.outputs);
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

  // Return inputs as the model takes them, a byte for each number: numbers become the nearest of 256 steps.
  levels(inputs) {
    if (!(inputs instanceof Float32Array)) return inputs;
    const { step, zero, away, task } = this.about;
    const [scales, offsets] = [task.input.scale, task.input.offset].map((values) => values.map(Math.fround));
    return Uint8Array.from(inputs, (number, index) => {
      // In float32, each operation rounded, as NumPy has it.
      const real = Math.fround(Math.fround(number * scales[index % scales.length]) + offsets[index % offsets.length]);
      const steps = Math.fround(real / Math.fround(step));
      const nearest = away ? Math.sign(steps) * Math.floor(Math.abs(steps) + 0.5) : Math.floor(Math.fround(steps + 0.5));
      return Math.min(Math.max(nearest + zero, 0), 255);
    });
  }

  // Return the scores of inputs, one after the other, as the model has them: a byte for each output.
  answer(inputs) {
    const levels = this.levels(inputs);
    const count = levels.length / this.inputs;
    this.end = this.start;
    const place = this.room(levels.length);
    const scores = this.room(count * this.outputs);
    this.bytes(place, levels.length).set(levels);
    this.functions.edgemnist_run(this.model, place, count, scores, this.scratch);
    return this.bytes(scores, count * this.outputs).slice();
  }

  // Return how long one input takes, in microseconds: of so many calls that a clock of milliseconds can tell.
  time(input) {
    this.bytes(this.input, this.inputs).set(this.levels(input));
    for (let calls = 1; ; calls *= 2) {
      const started = performance.now();
      for (let i = 0; i < calls; i += 1) {
        this.functions.edgemnist_run(this.model, this.input, 1, this.scores, this.scratch);
      }
      const milliseconds = performance.now() - started;
      if (milliseconds >= 3) return (1000 * milliseconds) / calls;
    }
  }

  // Return the numbers that scores of one input stand for.
  values(scores) {
    const { scale, zero_point: zero } = this.about;
    return Array.from(scores, (score) => Math.fround(scale * (score - zero)));
  }

  // Return what they stand for in probabilities, of logits by a softmax, of sigmoids as shares of their sum.
  probabilities(scores) {
    const { logits, sigmoids } = this.about;
    const values = this.values(scores);
    if (this.about.labels.length > values.length) return [Math.fround(1 - values[0]), values[0]]; // one sigmoid, two classes
    if (!logits && !sigmoids) return values;
    const most = Math.max(...values);
    const parts = values.map((value) => (logits ? Math.exp(value - most) : Math.max(value, 0)));
    const total = parts.reduce((sum, part) => sum + part, 0);
    return parts.map((part) => (total ? part / total : 1 / parts.length));
  }
}

const carried = (id) => Uint8Array.from(atob(document.getElementById(id).textContent), (letter) => letter.charCodeAt(0));

export function fail(error) {
  const alert = document.getElementById("alert");
  alert.hidden = !error;
  alert.textContent = error?.message ?? "";
}

// Open an engine of a `kind`, and then the panel that `show` makes of it and of what all panels share.
export async function start(show, kind = Engine) {
  const about = JSON.parse(document.getElementById("carried-about").textContent);
  document.getElementById("about").textContent = `edgemnist ${about.version} · ${about.name} · works without a network`;
  try {
    const engine = await kind.open(carried("carried-engine"), carried("carried-model"), about);
    const say = (text) => (document.getElementById("status").textContent = text);
    show(engine, { artifacts: () => [about.name], say, fail });
    globalThis.edgemnist = engine; // for the console, and for whoever runs many inputs
    document.documentElement.dataset.ready = "true";
  } catch (error) {
    fail(new Error("This browser cannot run the model: it needs WebAssembly with SIMD. Update it."));
    throw error;
  }
}
