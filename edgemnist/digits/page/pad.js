// The pad: strokes of finger, pen, mouse or keyboard, and the picture that is made of them.

const PEN = 0.07; // width of a stroke, as a share of the pad's side: of MNIST's digits it is about as much
const STEP = 0.04; // of the keyboard's pen
const PICTURE = 112; // side of the picture that is sent: four times what the model takes
const MARGIN = 0.18; // of that picture, on each side of the ink
const LEAST = 0.4; // of the pad that fills the picture: the first dot of a digit is a dot there, too

export class Pad {
  constructor(canvas, onChange, onPen) {
    this.canvas = canvas;
    this.onChange = onChange; // called with true when a stroke is complete
    this.onPen = onPen; // called with whether the keyboard's pen is down, when it is put down or lifted
    this.strokes = [];
    this.active = new Map(); // pointer id → its stroke: two fingers draw two
    this.cursor = { x: 0.5, y: 0.3, down: null, shown: false };
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.end(event));
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => this.lift());
    new ResizeObserver(() => this.paint()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  get empty() {
    return this.strokes.length === 0;
  }

  clear() {
    this.strokes = [];
    this.active.clear();
    this.put(null);
    this.changed(true);
  }

  undo() {
    const stroke = this.strokes.pop();
    // Whatever still draws it would draw into nothing.
    if (stroke && stroke === this.cursor.down) this.put(null);
    for (const [pointer, active] of this.active) if (active === stroke) this.active.delete(pointer);
    this.changed(true);
  }

  // Put the keyboard's pen down, into a stroke, or lift it with null.
  put(stroke) {
    if (stroke === this.cursor.down) return;
    this.cursor.down = stroke;
    this.onPen(stroke !== null);
  }

  begin(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.cursor.shown = false;
    const stroke = [this.place(event)];
    this.active.set(event.pointerId, stroke);
    this.strokes.push(stroke);
    this.changed(false);
  }

  move(event) {
    const stroke = this.active.get(event.pointerId);
    if (!stroke) return;
    // What the pen did between two frames is told as well: curves stay round.
    const events = event.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [event]) stroke.push(this.place(one));
    this.changed(false);
  }

  end(event) {
    if (this.active.delete(event.pointerId)) this.changed(true);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      if (event.key === "z" && !event.altKey) this.undo();
      return;
    }
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const pen = this.cursor;
    const wasDown = pen.down !== null;
    if (ways[event.key]) {
      pen.x = Math.min(0.95, Math.max(0.05, pen.x + STEP * ways[event.key][0]));
      pen.y = Math.min(0.95, Math.max(0.05, pen.y + STEP * ways[event.key][1]));
      pen.down?.push({ x: pen.x, y: pen.y });
    } else if (event.key === " ") {
      this.put(wasDown ? null : [{ x: pen.x, y: pen.y }]);
      if (pen.down) this.strokes.push(pen.down);
    } else if (event.key === "Backspace") {
      this.undo();
    } else if (event.key === "Escape") {
      this.clear();
    } else {
      return;
    }
    event.preventDefault();
    pen.shown = true;
    this.changed(wasDown && !pen.down);
  }

  lift() {
    if (!this.cursor.down) return;
    this.put(null);
    this.changed(true);
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
  }

  changed(complete) {
    this.paint();
    this.onChange(complete);
  }

  paint() {
    const side = Math.round(this.canvas.clientWidth * devicePixelRatio);
    if (this.canvas.width !== side) this.canvas.width = this.canvas.height = side;
    const style = getComputedStyle(this.canvas);
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, side, side);
    draw(context, this.strokes, style.color, (point) => [point.x * side, point.y * side], PEN * side);
    if (!this.cursor.shown) return;
    context.strokeStyle = style.getPropertyValue("--accent");
    context.lineWidth = (this.cursor.down ? 3 : 2) * devicePixelRatio;
    context.beginPath();
    // Dashed while it only hovers.
    context.setLineDash(this.cursor.down ? [] : [4 * devicePixelRatio, 4 * devicePixelRatio]);
    context.arc(this.cursor.x * side, this.cursor.y * side, (PEN * side) / 1.5, 0, 2 * Math.PI);
    context.stroke();
    context.setLineDash([]);
  }

  // The ink alone, black on white, on a canvas: small drawings are as sharp as large ones.
  picture() {
    const points = this.strokes.flat();
    const [left, right] = bounds(points.map((point) => point.x));
    const [top, bottom] = bounds(points.map((point) => point.y));
    const scale = (PICTURE * (1 - 2 * MARGIN)) / (Math.max(right - left, bottom - top, LEAST) + PEN);
    const place = (point) => [
      PICTURE / 2 + (point.x - (left + right) / 2) * scale,
      PICTURE / 2 + (point.y - (top + bottom) / 2) * scale,
    ];
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = PICTURE;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#fff";
    context.fillRect(0, 0, PICTURE, PICTURE);
    draw(context, this.strokes, "#000", place, PEN * scale);
    return canvas;
  }
}

function bounds(values) {
  return [Math.min(...values), Math.max(...values)];
}

function draw(context, strokes, color, place, width) {
  context.strokeStyle = color;
  context.lineWidth = width;
  context.lineCap = context.lineJoin = "round";
  for (const stroke of strokes) {
    const [x, y] = place(stroke[0]);
    context.beginPath();
    context.moveTo(x, y);
    // A line without length has no caps, and so would not be a dot.
    context.lineTo(x + 0.01, y);
    for (const point of stroke.slice(1)) context.lineTo(...place(point));
    context.stroke();
  }
}
