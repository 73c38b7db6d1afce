// What a person sees and does; the network is in worker.js.

import { dragSquare, drawBox, drawHeatmaps, drawSkeleton } from "./drawing.js";

const at = (id) => document.getElementById(id);
const view = at("view");
const context = view.getContext("2d", { alpha: false });
const LOOKS_LIVE = 2; // of a webcam's frame: the whole of it, then the person

const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
const waiting = new Map();
let model = null;
let shown = null; // {source, found}: what is on the canvas
let box = null; // [cx, cy, side], or null for the whole photograph
let camera = null;
let count = 0;

worker.onmessage = ({ data }) => {
  if (data.id !== undefined) {
    const { resolve, reject } = waiting.get(data.id);
    waiting.delete(data.id);
    return data.error ? reject(new Error(data.error)) : resolve(data.found);
  }
  if (data.error) return say(`the network cannot be loaded: ${data.error}`, true);
  model = data.model;
  document.title = at("name").textContent = model.name;
  say(`ready: ${data.threads} thread${data.threads > 1 ? "s" : ""}`);
  at("file").disabled = false;
  at("webcam").disabled = !navigator.mediaDevices;
};
worker.onerror = (event) => say(`the network cannot be loaded: ${event.message ?? "worker.js failed"}`, true);

function say(text, bad = false) {
  at("state").textContent = text;
  at("state").classList.toggle("bad", bad);
  document.body.dataset.state = bad ? "failed" : text.split(":")[0];
}

/** Keypoints of a picture that the canvas can draw. */
async function estimate(source, looks) {
  const { width, height } = source;
  const pixels = new OffscreenCanvas(width, height).getContext("2d", { alpha: false, willReadFrequently: true });
  pixels.drawImage(source, 0, 0);
  const { data } = pixels.getImageData(0, 0, width, height);
  const id = count++;
  const answer = new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
  worker.postMessage({ id, image: { data, width, height }, box, looks }, [data.buffer]);
  return answer;
}

async function show(source, looks) {
  const started = performance.now();
  const found = await estimate(source, looks);
  const total = performance.now() - started;
  if (shown && shown.source !== source) shown.source.close();
  shown = { source, found };
  report(found, total, box ? 1 : looks);
  draw();
}

function report(found, total, looks) {
  const milliseconds = { total, crop: found.times.crop, network: found.times.network };
  for (const [id, value] of Object.entries(milliseconds)) at(id).textContent = value.toFixed(1);
  at("looks").textContent = looks;
  const cells = (k) => [model.skeleton.keypoints[k], ...found.keypoints[k].map((v, i) => v.toFixed(i < 2 ? 1 : 2))];
  at("keypoints").replaceChildren(
    ...found.keypoints.map((_, k) => {
      const row = document.createElement("tr");
      row.append(...cells(k).map((text) => Object.assign(document.createElement("td"), { textContent: text })));
      return row;
    }),
  );
  const { width, height } = shown.source;
  const named = found.keypoints.map(([x, y, score], k) => ({ name: model.skeleton.keypoints[k], x, y, score }));
  window.pose = { width, height, box: found.box, keypoints: named, milliseconds };
  const file = new Blob([JSON.stringify(window.pose, null, 1)], { type: "application/json" });
  URL.revokeObjectURL(at("save").href);
  Object.assign(at("save"), { href: URL.createObjectURL(file), download: "keypoints.json", hidden: false });
}

function draw() {
  if (!shown) return;
  const { source, found } = shown;
  [view.width, view.height] = [source.width, source.height];
  context.drawImage(source, 0, 0);
  if (at("heatmaps").checked) {
    context.fillStyle = "rgba(0, 0, 0, 0.35)";
    context.fillRect(0, 0, view.width, view.height);
    drawHeatmaps(context, found.heatmaps, found.box);
  }
  if (at("skeleton").checked) drawSkeleton(context, found.keypoints, model.skeleton, found.box[2]);
  if (box) drawBox(context, box, false);
  if (dragged()) drawBox(context, dragged(), true);
  at("hint").hidden = true;
}

async function open(file) {
  if (!file || !model) return;
  stopCamera();
  setBox(null);
  say("looking");
  try {
    // As it lies in the file: colours not converted, but turned upright
    const options = { colorSpaceConversion: "none", premultiplyAlpha: "none", imageOrientation: "from-image" };
    const source = await createImageBitmap(file, options);
    await show(source, model.look.looks);
    say(`done: ${file.name}, ${source.width} x ${source.height}`);
  } catch (error) {
    say(`${file.name}: ${error.name === "InvalidStateError" ? "not an image that this browser reads" : error.message}`, true);
  }
}

async function again() {
  if (camera || !shown) return;
  say("looking");
  try {
    await show(shown.source, model.look.looks);
    say("done");
  } catch (error) {
    say(error.message, true);
  }
}

function setBox(square) {
  box = square;
  at("whole").disabled = !box;
  const numbers = box?.map((v) => v.toFixed(0));
  at("box").textContent = box
    ? `Box about ${numbers[0]}, ${numbers[1]}, side ${numbers[2]} pixels.`
    : "Whole photograph. Draw a box with the mouse to choose a person.";
}

async function startCamera() {
  if (camera) return stopCamera();
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 }, audio: false });
    const video = Object.assign(document.createElement("video"), { srcObject: stream, muted: true, playsInline: true });
    await video.play();
    camera = { stream, video };
    setBox(null);
    at("webcam").textContent = "Stop";
    say("webcam");
    while (camera?.video === video) {
      await show(await createImageBitmap(video), LOOKS_LIVE);
      await new Promise(requestAnimationFrame);
    }
  } catch (error) {
    stopCamera();
    say(`webcam: ${error.message}`, true);
  }
}

function stopCamera() {
  camera?.stream.getTracks().forEach((track) => track.stop());
  camera = null;
  at("webcam").textContent = "Webcam";
}

/** Where on the photograph the mouse is, in its pixels; the canvas is letterboxed into its element. */
function place({ clientX, clientY }) {
  const { left, top, width, height } = view.getBoundingClientRect();
  const scale = Math.min(width / view.width, height / view.height);
  const x = (clientX - left - (width - scale * view.width) / 2) / scale - 0.5;
  return [x, (clientY - top - (height - scale * view.height) / 2) / scale - 0.5];
}

const dragged = dragSquare(view, {
  allowed: () => shown,
  place,
  draw,
  done: (square) => {
    setBox(square);
    again();
  },
});
at("whole").addEventListener("click", () => {
  setBox(null);
  again();
});
for (const id of ["skeleton", "heatmaps"]) at(id).addEventListener("change", draw);
at("file").addEventListener("change", ({ target }) => {
  open(target.files[0]);
  target.value = "";
});
at("webcam").addEventListener("click", startCamera);
for (const kind of ["dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    at("stage").classList.toggle("over", kind === "dragover");
    if (kind === "drop") open(event.dataTransfer.files[0]);
  });
}
