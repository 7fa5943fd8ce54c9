// Draws answers on canvases. Everything is in pixels of the image; what is written on it is scaled with it.

const DARK = "#1b1f24";

/** The hues of Okabe and Ito (2008), which people with any colour vision tell apart; classes have them in this order. */
const HUES = [[0, 114, 178], [230, 159, 0], [0, 158, 115], [204, 121, 167], [86, 180, 233], [213, 94, 0], [240, 228, 66]];

function css([red, green, blue], alpha = 1) { return `rgb(${red} ${green} ${blue} / ${alpha})`; }

/** Black or white, whichever stands out better from a colour (WCAG 2.2, relative luminance). */
function inkOn(colour) {
  const [r, g, b] = colour.map((v) => (v <= 10 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}

/** "87.5 %"; only exactly 1 reads as 100. */
export function percent(share) {
  const shown = share > 0 && share < 1 ? Math.min(Math.max(share, 0.001), 0.999) : share;
  return `${(100 * shown).toFixed(1)}\u00a0%`;
}

/** The pixels of a PNG in base64, as the server wrote them: [width, height, Uint8 values]. */
export async function greyOf(base64) {
  const blob = new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], { type: "image/png" });
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  const values = new Uint8Array(pixels.length / 4);
  for (let i = 0; i < values.length; i++) values[i] = pixels[4 * i];
  return [bitmap.width, bitmap.height, values];
}

/** A picture [width, height] whose pixels are colours of ids; clear where `colours[id]` is missing. */
function layer([width, height, ids], colours) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  ids.forEach((id, i) => {
    const colour = colours[id];
    if (colour) picture.data.set([...colour, 150], 4 * i);
  });
  context.putImageData(picture, 0, 0);
  return canvas;
}

/** Every 17th colour of the scale of visus's own pictures: from dark violet over magenta to pale yellow. */
const STATIONS = [
  [28, 14, 64], [45, 17, 85], [65, 20, 104], [86, 20, 122], [115, 21, 125], [144, 20, 123], [174, 17, 115], [198, 34, 101],
  [219, 54, 82], [237, 76, 58], [247, 104, 39], [253, 131, 22], [255, 157, 25], [252, 184, 66], [246, 210, 105], [242, 232, 144],
];

/** The colour of a share in 0..1. */
export function heatColour(share) {
  const at = share * (STATIONS.length - 1), low = Math.min(Math.floor(at), STATIONS.length - 2);
  return STATIONS[low].map((value, i) => Math.round(value + (STATIONS[low + 1][i] - value) * (at - low)));
}

const HEAT = Array.from({ length: 256 }, (_, i) => heatColour(i / 255));

/** Draws the image greyed, under a heat map. */
export function drawHeat(canvas, image, grey) {
  const context = fit(canvas, image);
  context.filter = "grayscale(1)";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  context.filter = "none";
  const [width, height, values] = grey;
  const hot = new OffscreenCanvas(width, height), inner = hot.getContext("2d");
  const picture = inner.createImageData(width, height);
  values.forEach((value, i) => picture.data.set([...HEAT[value], 76 + 0.4 * value], 4 * i));
  inner.putImageData(picture, 0, 0);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(hot, 0, 0, canvas.width, canvas.height);
}

/** Draws an answer: the image, then what of it has a place. Objects below `score` are left out. */
export function drawAnswer(canvas, image, answer, classes, score) {
  const context = fit(canvas, image);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  if (!answer || answer.error) return;
  const [height, width] = answer.size ?? [image.height, image.width];
  context.save();
  context.scale(canvas.width / width, canvas.height / height);
  for (const map of answer.layers ?? []) context.drawImage(layer(map.grey, map.colours), 0, 0, width, height);
  const unit = Math.max(width, height) / Math.max(canvas.clientWidth || canvas.width, canvas.clientHeight || 0, 320);
  const objects = shownObjects(answer, score);
  // Where boxes and names would hide too much of what has masks, there are none.
  const crowd = answer.outlines && objects.length * 19 * 100 * unit * unit > 0.15 * width * height;
  for (const [object, i] of [...objects].reverse()) {
    const outline = answer.outlines?.[i];
    // Many objects of one class are told apart by their colours.
    const colour = crowd && classes.length === 1 ? HUES[i % HUES.length] : classes[object.index].colour;
    if (outline) drawOutline(context, outline.rings, colour, unit);
  }
  if (!crowd) {
    for (const [object] of [...objects].reverse()) drawBox(context, object.box, classes[object.index].colour, unit);
    const taken = [];
    for (const [object] of objects) drawTag(context, object, classes[object.index].colour, unit, [width, height], taken);
  }
  for (const point of answer.points ?? []) drawPoint(context, point, classes[point.index].colour, unit, width);
  context.restore();
}

/** [object, its number] of those that are shown, the surest first. */
export function shownObjects(answer, score) {
  return (answer.objects ?? []).map((object, i) => [object, i]).filter(([o]) => (o.score ?? 1) >= score);
}

function fit(canvas, image) {
  // Small pictures are enlarged by a whole factor, so that names fit on them.
  const longer = Math.max(image.width, image.height);
  const factor = longer < 400 ? Math.ceil(400 / longer) : 1;
  canvas.width = image.width * factor;
  canvas.height = image.height * factor;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = longer > 64;
  return context;
}

function drawOutline(context, rings, colour, unit) {
  context.beginPath();
  for (const ring of rings) {
    ring.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
  }
  context.fillStyle = css(colour, 0.4);
  context.fill("evenodd");
  context.strokeStyle = css(colour);
  context.lineWidth = 1.5 * unit;
  context.stroke();
}

function drawBox(context, [x1, y1, x2, y2], colour, unit) {
  for (const [style, width] of [[DARK, 4], [css(colour), 2]]) { // between dark lines it stands out on any ground
    context.strokeStyle = style;
    context.lineWidth = width * unit;
    context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  }
}

function drawTag(context, object, colour, unit, [width, height], taken) {
  const text = object.score === undefined ? object.label : `${object.label} ${percent(object.score)}`;
  const size = 13 * unit, pad = 3 * unit;
  context.font = `600 ${size}px system-ui, sans-serif`;
  const long = context.measureText(text).width + 2 * pad, high = size + 2 * pad;
  const [x1, y1, , y2] = object.box;
  const x = Math.min(Math.max(x1 - unit, 0), Math.max(0, width - long));
  const hidden = (y) => taken.reduce((sum, [a, b, c, d]) =>
    sum + Math.max(0, Math.min(x + long, c) - Math.max(x, a)) * Math.max(0, Math.min(y + high, d) - Math.max(y, b)), 0);
  const rows = [y1 - high, y1, y2, y2 - high].filter((y) => y >= 0 && y <= height - high);
  if (!rows.length) rows.push(Math.max(0, Math.min(y1, height - high)));
  const y = rows.reduce((best, row) => (hidden(row) < hidden(best) ? row : best));
  if (hidden(y) > 0.6 * long * high) return; // the table below has it
  taken.push([x, y, x + long, y + high]);
  context.fillStyle = css(colour);
  context.fillRect(x, y, long, high);
  context.fillStyle = inkOn(colour);
  context.textBaseline = "middle";
  context.fillText(text, x + pad, y + high / 2);
}

function drawPoint(context, point, colour, unit, width) {
  context.beginPath();
  context.arc(point.x, point.y, 4 * unit, 0, 2 * Math.PI);
  context.fillStyle = css(colour);
  context.fill();
  context.strokeStyle = DARK;
  context.lineWidth = unit;
  context.stroke();
  context.font = `${12 * unit}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  const long = context.measureText(point.name).width;
  const x = point.x + 7 * unit + long < width ? point.x + 7 * unit : point.x - 7 * unit - long;
  context.strokeStyle = DARK;
  context.lineWidth = 3 * unit;
  context.strokeText(point.name, x, point.y);
  context.fillStyle = "#fff";
  context.fillText(point.name, x, point.y);
}
