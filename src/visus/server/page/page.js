// The page: takes photos, asks the server, and shows what it says. State is in `cards`; nothing leaves this page
// but the photos, which go to the server that it came from.

import { Refused, explain, hasOutlines, models, predict, useToken } from "./asking.js";
import { drawAnswer, drawHeat, greyOf, heatColour, percent, shownObjects } from "./drawing.js";

const LOWEST = 0.05; // objects are asked for down to this score, so that the slider needs no new answer
const LARGEST = 1600; // pixels of the longer side of a picture that is drawn
const byId = (id) => document.getElementById(id);
const served = new Map(); // name -> model
const cards = new Set();

function say(text, wrong = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("error", wrong);
}

// --- the models

async function begin() {
  try {
    const found = await models();
    served.clear();
    for (const model of found) served.set(model.name, model);
  } catch (error) {
    if (error.status === 401) {
      byId("secret").hidden = false;
      byId("serving").textContent = "This server asks for a token.";
      byId("token").focus();
      return;
    }
    byId("serving").textContent = "";
    say(error.message, true);
    return;
  }
  const names = [...served.keys()];
  fill(byId("first"), names, names[0]);
  fill(byId("second"), ["nothing", ...names], "nothing");
  byId("beside").hidden = names.length < 2;
  byId("score").value = Math.max(LOWEST, served.get(names[0]).score);
  tellModel();
}

function fill(select, names, chosen) {
  select.replaceChildren(...names.map((name) => new Option(name, name, false, name === chosen)));
}

function chosen() {
  const names = [byId("first").value, byId("second").value];
  return names.filter((name, i) => served.has(name) && names.indexOf(name) === i).map((name) => served.get(name));
}

function tellModel() {
  const told = chosen().map((model) => `${model.name}: ${model.task.replaceAll("_", " ")}, ${model.model}`);
  byId("serving").textContent = told.join(" · ");
  const placed = ["detection", "instance_segmentation", "localization"];
  byId("threshold").hidden = !chosen().some((model) => placed.includes(model.task));
  tellScore();
}

function tellScore() { byId("shown").textContent = Number(byId("score").value).toFixed(2); }

// --- taking photos

async function take(files) {
  const taken = [...files];
  if (!taken.length) return;
  if (!served.size) { say("There is no model yet.", true); return; }
  for (const file of taken) {
    const card = new Card(file, file.name || "photo.png");
    cards.add(card);
    byId("results").prepend(card.element);
  }
  await askAll([...cards].filter((card) => !card.asked));
}

let busy = 0;
function setBusy(change) {
  busy += change;
  byId("results").setAttribute("aria-busy", String(busy > 0));
}

async function askAll(some) {
  setBusy(1);
  try { await askEach(some); } finally { setBusy(-1); }
}

async function askEach(some) {
  let left = some.length;
  const total = left;
  say(`Asking about ${total} ${total === 1 ? "photo" : "photos"} …`);
  for (const card of some) { // one after the other: the server has a line of its own, and it is not ours alone
    await card.ask();
    left -= 1;
    if (left) say(`${total - left} of ${total} photos answered`);
  }
  const wrong = some.filter((card) => card.wrong).length;
  if (!some.some((card) => cards.has(card))) return;
  if (total === 1) say(some[0].told(), Boolean(wrong));
  else say(`${total - wrong} of ${total} photos answered${wrong ? `; ${wrong} could not be` : ""}.`, Boolean(wrong));
}

/** One photo and what the chosen models say of it. */
class Card {
  constructor(blob, name) {
    this.blob = blob;
    this.name = name;
    this.asked = false;
    this.wrong = false;
    this.panes = [];
    this.aborter = new AbortController();
    this.element = byId("card").content.cloneNode(true).firstElementChild;
    this.element.querySelector("h2").textContent = name;
    this.element.setAttribute("aria-label", name);
    this.element.addEventListener("click", (event) => {
      const what = event.target.dataset?.do;
      if (what === "json") save(JSON.stringify(this.document(), null, 2), `${stem(name)}.json`, "application/json");
      if (what === "picture") this.panes.forEach((pane) => pane.savePicture(stem(name)));
      if (what === "remove") this.remove();
    });
    for (const button of this.element.querySelectorAll(".title button")) {
      button.setAttribute("aria-label", { json: "Save the answer as JSON", picture: "Save the picture", remove: "Remove" }[
        button.dataset.do] + `: ${name}`);
    }
  }

  async ask() {
    this.asked = true;
    this.wrong = false;
    this.aborter.abort();
    this.aborter = new AbortController();
    this.image ??= await pictureOf(this.blob);
    this.panes = chosen().map((model) => new Pane(this, model));
    this.element.querySelector(".panes").replaceChildren(...this.panes.map((pane) => pane.element));
    for (const pane of this.panes) pane.draw();
    for (const pane of this.panes) await pane.ask(this.aborter.signal);
    this.wrong = this.panes.some((pane) => pane.wrong);
  }

  told() { return `${this.name}: ${this.panes.map((pane) => pane.said).join("; ")}`; }

  /** What is saved: the server's own answer, of several models by their names; objects as the slider shows them. */
  document() {
    const entries = this.panes.map((pane) => [pane.model.name, { predictions: [pane.plain()] }]);
    return entries.length === 1 ? entries[0][1] : Object.fromEntries(entries);
  }

  remove() {
    this.aborter.abort();
    const next = this.element.nextElementSibling?.querySelector("button") ?? byId("files");
    cards.delete(this);
    this.element.remove();
    next.focus();
    say(`${this.name} removed.`);
  }
}

/** What one model says of one photo. */
class Pane {
  constructor(card, model) {
    this.card = card;
    this.model = model;
    this.answer = null;
    this.heat = null;
    this.element = byId("pane").content.cloneNode(true).firstElementChild;
    this.canvas = this.element.querySelector(".frame canvas");
    this.canvas.setAttribute("role", "img");
    this.button = this.element.querySelector("button");
    this.button.hidden = true;
    this.button.addEventListener("click", () => this.why());
    const scale = this.element.querySelector(".scale canvas").getContext("2d");
    for (let x = 0; x < 128; x++) {
      scale.fillStyle = `rgb(${heatColour(x / 127).join(" ")})`;
      scale.fillRect(x, 0, 1, 10);
    }
    this.tell("…");
  }

  get title() { return chosen().length > 1 ? `${this.model.name}: ` : ""; }

  async ask(signal) {
    try {
      const answer = await predict(this.model, this.card.blob, this.card.name, LOWEST, signal);
      if (answer.error) throw new Refused(200, { problem: answer.error });
      answer.layers = await layersOf(answer, this.model);
      this.answer = answer;
      this.button.hidden = !this.model.explains;
      this.draw();
    } catch (error) {
      if (error.name === "AbortError") return;
      this.wrong = true;
      this.tell(error.message);
      this.element.querySelector(".says").classList.add("error");
      this.draw();
    }
  }

  tell(text) {
    this.said = text;
    this.element.querySelector(".says").textContent = this.title + text;
    this.canvas.setAttribute("aria-label", `${this.card.name}. ${this.title}${text}`);
  }

  draw() {
    const { image } = this.card, score = Number(byId("score").value);
    if (!image) { this.element.querySelector(".frame").hidden = true; }
    else if (this.heat) drawHeat(this.canvas, image, this.heat.grey);
    else drawAnswer(this.canvas, image, this.answer, this.model.classes, score);
    this.element.querySelector(".frame").classList.toggle("small", image && Math.max(image.width, image.height) <= 64);
    if (!this.answer || this.wrong) return;
    const summary = summarise(this.answer, this.model, score);
    this.tell(this.heat ? `${summary.says}; where it looked for ${this.heat.label}` : summary.says);
    this.element.querySelector(".legend").replaceChildren(...summary.legend.map(legendEntry));
    const details = this.element.querySelector("details");
    details.hidden = !summary.rows.length;
    details.querySelector("summary").textContent = summary.title;
    details.querySelector("table").replaceChildren(...tableOf(summary));
  }

  async why() {
    if (this.heat) { this.heat = null; }
    else {
      this.button.disabled = true;
      setBusy(1);
      say("Looking where it looked …");
      try {
        const [found] = await explain(this.model, this.card.blob, this.card.name, this.card.aborter.signal);
        this.heat = { label: found.label, grey: await greyOf(found.heat) };
        say(`${this.card.name}: the heat map shows what speaks for ${found.label}.`);
      } catch (error) {
        if (error.name !== "AbortError") say(error.message, true);
      }
      setBusy(-1);
      this.button.disabled = false;
      this.button.focus();
    }
    this.button.setAttribute("aria-pressed", String(Boolean(this.heat)));
    this.element.querySelector(".scale").hidden = !this.heat;
    this.draw();
  }

  plain() {
    if (!this.answer) return { image: this.card.name, error: this.said };
    const { layers: _layers, maps: _maps, outlines: _outlines, ...plain } = this.answer;
    const score = Number(byId("score").value);
    if (plain.objects) plain.objects = plain.objects.filter((object) => (object.score ?? 1) >= score);
    return plain;
  }

  savePicture(name) {
    const ending = chosen().length > 1 ? `-${this.model.name}` : "";
    this.canvas.toBlob((blob) => blob && save(blob, `${name}${ending}.png`, "image/png"));
  }
}

// --- what an answer says

/** {says: a line, legend: [{colour, text}], title, header, rows}. */
function summarise(answer, { classes }, score) {
  const empty = { legend: [], rows: [], header: [], title: "" };
  if (answer.label !== undefined) {
    const ranked = Object.entries(answer.scores ?? {}).sort((a, b) => b[1] - a[1]);
    return { ...empty, says: answer.score === undefined ? answer.label : `${answer.label} ${percent(answer.score)}`,
      title: `${Math.min(ranked.length, 20)} most probable classes`, header: ["class", "probability"],
      rows: ranked.slice(0, 20).map(([name, share]) => [name, percent(share), share]) };
  }
  if (answer.labels) {
    const ranked = Object.entries(answer.scores ?? {}).sort((a, b) => b[1] - a[1]);
    return { ...empty, says: answer.labels.join(", ") || "none of the classes", title: "Probabilities",
      header: ["class", "probability"], rows: ranked.map(([name, share]) => [name, percent(share), share]) };
  }
  if (answer.objects) {
    const objects = shownObjects(answer, score).map(([object]) => object);
    const counts = classes.map((kind, i) => [kind, objects.filter((object) => object.index === i).length]);
    const present = counts.filter(([, count]) => count);
    return { says: present.map(([kind, count]) => `${count} ${kind.name}`).join(", ") || "nothing found",
      legend: present.length > 1 ? present.map(([kind]) => ({ colour: kind.colour, text: kind.name })) : [],
      title: `${objects.length} ${objects.length === 1 ? "object" : "objects"}`,
      header: ["class", "score", "left", "top", "right", "bottom"],
      rows: objects.map((o) => [o.label, o.score === undefined ? "" : percent(o.score), ...o.box.map(Math.round)]) };
  }
  if (answer.points) {
    return { ...empty, says: `${answer.points.length} points`, title: "Points", header: ["point", "x", "y"],
      rows: answer.points.map((point) => [point.name, Math.round(point.x), Math.round(point.y)]) };
  }
  if (answer.fractions) {
    const shares = classes.map((kind) => [kind, answer.fractions[kind.name] ?? 0]).filter(([, share]) => share > 0);
    shares.sort((a, b) => b[1] - a[1]);
    const [most, largest] = shares[0] ?? [];
    return { says: largest > 0.5 ? `mostly ${most.name}` : `${shares.length} classes`,
      legend: shares.map(([kind, share]) => (
        { colour: kind.background ? null : kind.colour, text: `${kind.name} ${percent(share)}` })),
      title: "Shares", header: ["class", "share", "pixels"],
      rows: shares.map(([kind, share]) => [kind.name, percent(share), answer.areas[kind.name]]) };
  }
  return { ...empty, says: "answered" };
}

/** The maps of an answer with a colour for each id: one map of classes, or one a class. */
async function layersOf(answer, { classes, task }) {
  if (!answer.maps || hasOutlines(task)) return [];
  const layers = [];
  for (const [name, base64] of Object.entries(answer.maps)) {
    const own = classes.find((kind) => kind.name === name);
    const colours = own ? { 255: own.colour, 1: own.colour }
      : Object.fromEntries(classes.flatMap((kind, i) => (kind.background ? [] : [[i, kind.colour]])));
    layers.push({ grey: await greyOf(base64), colours });
  }
  return layers;
}

function legendEntry({ colour, text }) {
  const entry = document.createElement("li"), box = document.createElement("span");
  box.className = "box";
  if (colour) box.style.background = `rgb(${colour.join(" ")})`;
  entry.append(box, text);
  return entry;
}

function tableOf({ header, rows }) {
  const cell = (tag, content, i) => {
    const made = document.createElement(tag);
    made.textContent = content;
    if (i) made.className = "number";
    if (tag === "th") made.scope = "col";
    return made;
  };
  const bars = rows.length && rows[0].length > header.length; // a last number that is no column: a bar
  const head = document.createElement("tr");
  head.append(...header.map((text, i) => cell("th", text, i)));
  return [head, ...rows.map((row) => {
    const line = document.createElement("tr");
    line.append(...row.slice(0, header.length).map((content, i) => cell("td", content, i)));
    if (bars) {
      const place = document.createElement("td"), bar = document.createElement("span");
      place.setAttribute("aria-hidden", "true");
      bar.className = "bar";
      bar.style.width = `${8 * row[header.length]}rem`;
      place.append(bar);
      line.append(place);
    }
    return line;
  })];
}

// --- pictures and files

/** What the browser can show of a file, not larger than it is drawn; null if it cannot (a TIFF, an array). */
async function pictureOf(blob) {
  try {
    const whole = await createImageBitmap(blob);
    const factor = LARGEST / Math.max(whole.width, whole.height);
    if (factor >= 1) return whole;
    const size = { resizeWidth: Math.round(whole.width * factor), resizeHeight: Math.round(whole.height * factor) };
    const smaller = await createImageBitmap(whole, { ...size, resizeQuality: "high" });
    whole.close();
    return smaller;
  } catch {
    return null;
  }
}

function stem(name) { return name.replace(/\.[^.]*$/, "") || "answer"; }

function save(content, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// --- the camera

let stream = null;

async function openCamera() {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1920 } } });
  } catch (error) {
    say(error.name === "NotAllowedError" ? "The camera was not allowed." : "There is no camera to be used.", true);
    return;
  }
  byId("video").srcObject = stream;
  byId("finder").hidden = false;
  byId("camera").disabled = true;
  await byId("video").play();
  byId("shoot").focus();
}

function closeCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  byId("finder").hidden = true;
  byId("camera").disabled = false;
  byId("camera").focus();
}

async function shoot() {
  const video = byId("video"), canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
  closeCamera();
  await take([new File([blob], `camera-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.jpg`)]);
}

// --- what the person does

const form = byId("ask");
form.addEventListener("submit", (event) => event.preventDefault());
for (const id of ["files", "shot"]) {
  byId(id).addEventListener("change", (event) => {
    const files = [...event.target.files];
    event.target.value = "";
    take(files);
  });
}
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    form.classList.toggle("over", kind === "dragover");
    if (kind === "drop") take(event.dataTransfer.files);
  });
}
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) take(event.clipboardData.files);
});
for (const id of ["first", "second"]) {
  byId(id).addEventListener("change", () => {
    if (id === "first") byId("score").value = Math.max(LOWEST, served.get(byId("first").value).score);
    tellModel();
    if (cards.size) askAll([...cards]);
  });
}
let frame = 0;
function drawSoon() {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => cards.forEach((card) => card.panes.forEach((pane) => pane.draw())));
}
byId("score").addEventListener("input", () => {
  tellScore();
  drawSoon();
});
byId("score").addEventListener("change", () => { // not at every step: it is read aloud
  if (cards.size) say([...cards].slice(-3).map((card) => card.told()).join(". "));
});
addEventListener("resize", drawSoon); // names are written as large as they can be read
byId("token").addEventListener("change", () => {
  useToken(byId("token").value);
  say("");
  begin();
});
byId("camera").addEventListener("click", openCamera);
byId("stop").addEventListener("click", closeCamera);
byId("shoot").addEventListener("click", shoot);
// Browsers give pages the camera on this machine and over HTTPS only; a phone's own camera works everywhere.
const camera = Boolean(navigator.mediaDevices?.getUserMedia);
byId("camera").hidden = !camera;
byId("capture").hidden = camera || !matchMedia("(pointer: coarse)").matches;
addEventListener("pagehide", () => stream && closeCamera());
begin();
