// What a model takes, drawn: a picture in grey or colour, or a curve of numbers.

const CURVE = [240, 84]; // pixels

export function isPicture({ dtype, shape }) {
  return dtype === "uint8" && (shape.length === 2 || (shape.length === 3 && (shape[2] === 3 || shape[2] === 4)));
}

export function picture(canvas, levels, [height, width, channels = 1]) {
  [canvas.width, canvas.height] = [width, height];
  const pixels = new ImageData(width, height);
  for (let at = 0; at < width * height; at += 1) {
    for (let channel = 0; channel < 4; channel += 1) {
      const own = channels === 1 ? at : at * channels + channel;
      pixels.data[4 * at + channel] = channel === 3 && channels < 4 ? 255 : levels[own];
    }
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

export function curve(canvas, values) {
  const [width, height] = ([canvas.width, canvas.height] = CURVE);
  const low = values.reduce((one, other) => Math.min(one, other), Infinity);
  const high = values.reduce((one, other) => Math.max(one, other), -Infinity);
  const context = canvas.getContext("2d");
  context.strokeStyle = "#fff";
  context.beginPath();
  values.forEach((value, at) => {
    const x = 2 + ((width - 4) * at) / Math.max(1, values.length - 1);
    context.lineTo(x, height - 4 - ((height - 8) * (value - low)) / (high - low || 1));
  });
  context.stroke();
}
