// What a person sees and does; the network is on the server.

import { dragSquare, drawBox, drawHeatmaps, drawSkeleton } from "./drawing.js";

const at = (id) => document.getElementById(id);
const view = at("view");
const TILE = 224; // pixels of a head's picture

let model = null;
let shown = null; // {file, picture, found}: the photograph and what the network saw
let chosenBox = null; // "CX,CY,SIDE", or null where the network looks for the person
let asked = 0; // the last question's number: an earlier one's answer comes too late

function say(text) {
  at("state").textContent = text;
  at("trouble").hidden = true;
}

function complain(text) {
  at("state").textContent = "";
  at("trouble").textContent = text;
  at("trouble").hidden = false;
  document.body.dataset.state = "failed";
}

async function load() {
  try {
    model = await (await fetch("model.json")).json();
  } catch {
    return complain("The server does not answer: is `mspose app` still running?");
  }
  document.title = at("name").textContent = model.name;
  for (const name of model.skeleton.keypoints) at("keypoint").append(new Option(name.replaceAll("_", " "), name));
  say("ready");
  document.body.dataset.state = "ready";
}

/** Ask the network about a file; where it fails, the page says why and shows what it showed before. */
async function look(file, box) {
  if (!file || !model) return;
  if (file.size > model.max_body) {
    const [has, most] = [file.size, model.max_body].map((bytes) => (bytes / 2 ** 20).toFixed(0));
    return complain(`${file.name}: ${has} MB, more than the ${most} MB that are taken.`);
  }
  const number = ++asked;
  say(`looking at ${file.name}`);
  document.body.dataset.state = "looking";
  try {
    const query = box ? `?box=${encodeURIComponent(box)}` : "";
    const response = await fetch(`look${query}`, { method: "POST", body: file });
    const found = await response.json();
    if (number !== asked) return;
    if (found.error) throw new Error(found.error);
    const picture = new Image();
    picture.src = found.picture;
    await picture.decode();
    if (number !== asked) return;
    chosenBox = box;
    shown = { file, picture, found };
    for (const head of found.heads) head.data = steps(head);
    report();
    say(`${file.name}, ${found.width} x ${found.height} pixels, seen in ${found.seconds.toFixed(2)} s`);
    document.body.dataset.state = "done";
  } catch (error) {
    if (number !== asked) return;
    const lost = error instanceof TypeError; // fetch's own
    complain(`${file.name}: ${lost ? "the server does not answer; is `mspose app` still running?" : error.message}`);
  }
}

/** Heatmaps as numbers, from 255 steps in base64. */
function steps({ heatmaps, peak }) {
  const bytes = atob(heatmaps);
  return Float32Array.from(bytes, (letter) => (letter.charCodeAt(0) * peak) / 255);
}

/** The chosen keypoint's heatmap of a head, or all of them, as drawing.js takes them. */
function mapsOf({ data, rows, columns }) {
  const count = model.skeleton.keypoints.length;
  const k = model.skeleton.keypoints.indexOf(at("keypoint").value);
  if (k < 0) return { data, rows, columns, count };
  return { data: data.filter((_, i) => i % count === k), rows, columns, count: 1 };
}

const headNamed = (name) => shown.found.heads.find((head) => head.name === name);
const threshold = () => Number(at("threshold").value);

function report() {
  const { found, file } = shown;
  const before = at("head").value;
  at("head").replaceChildren(new Option("none", ""), ...found.heads.map((head) => new Option(head.label, head.name)));
  at("head").value = headNamed(before) ? before : "";
  const [x, y, side] = found.box;
  for (const [id, value] of Object.entries({ x, y, side })) at(id).value = Number(value.toFixed(2));
  at("look").disabled = false;
  at("whole").disabled = !chosenBox;
  at("where").textContent = chosenBox
    ? "The square below, as it was chosen."
    : "Looked for in the whole photograph. Draw a square with the mouse to choose another person, or type one.";
  const answer = headNamed(found.answer).keypoints;
  const named = answer.map(([a, b, score], k) => ({ name: model.skeleton.keypoints[k], x: a, y: b, score }));
  const heads = Object.fromEntries(found.heads.map((head) => [head.name, head.keypoints]));
  const { width, height } = found;
  window.pose = { image: file.name, model: model.name, width, height, box: { x, y, side }, keypoints: named, heads };
  URL.revokeObjectURL(at("save").href);
  const json = new Blob([`${JSON.stringify(window.pose, null, 1)}\n`], { type: "application/json" });
  const download = `${file.name.replace(/\.[^.]*$/, "")}.json`;
  Object.assign(at("save"), { href: URL.createObjectURL(json), download, hidden: false });
  at("hint").hidden = true;
  at("every").hidden = at("found").hidden = false;
  makeTiles();
  draw();
}

/** A button for each head, stack by stack, the regression with the last. */
function makeTiles() {
  const { heads } = shown.found;
  const last = Math.max(...heads.map((head) => head.stack ?? 0));
  const groups = new Map();
  for (const head of heads) {
    const stack = head.stack ?? last;
    if (!groups.has(stack)) {
      const group = document.createElement("div");
      group.className = "stack";
      group.setAttribute("role", "group");
      group.setAttribute("aria-label", `stack ${stack}`);
      groups.set(stack, group);
    }
    const button = document.createElement("button");
    button.dataset.head = head.name;
    const canvas = Object.assign(document.createElement("canvas"), { width: TILE, height: TILE });
    const words = document.createElement("span");
    words.textContent = `${head.label} (${head.columns} x ${head.rows}), peak ${head.peak.toFixed(2)}`;
    button.append(canvas, words);
    button.addEventListener("click", () => {
      at("head").value = at("head").value === head.name ? "" : head.name;
      draw();
    });
    groups.get(stack).append(button);
  }
  at("heads").replaceChildren(...groups.values());
}

/** Draw photograph, heatmaps and skeleton; the context's unit is a photograph pixel, its edge at 0. */
function paint(context, head, keypoints) {
  const { picture, found } = shown;
  context.drawImage(picture, 0, 0, found.width, found.height);
  if (head) {
    context.fillStyle = "rgba(0, 0, 0, 0.35)";
    context.fillRect(0, 0, found.width, found.height);
    drawHeatmaps(context, mapsOf(head), found.box);
  }
  if (keypoints) drawSkeleton(context, keypoints, model.skeleton, found.box[2], threshold());
}

function draw() {
  if (!shown) return;
  const { found, file } = shown;
  const room = { width: at("stage").clientWidth, height: Math.max(240, 0.78 * innerHeight) };
  const scale = Math.min(room.width / found.width, room.height / found.height);
  const dense = scale * devicePixelRatio;
  [view.width, view.height] = [Math.round(found.width * dense), Math.round(found.height * dense)];
  view.style.width = `${found.width * scale}px`;
  const context = view.getContext("2d", { alpha: false });
  context.setTransform(dense, 0, 0, dense, 0, 0);
  const head = headNamed(at("head").value);
  const { keypoints } = head ?? headNamed(found.answer);
  paint(context, head, at("skeleton").checked ? keypoints : null);
  if (chosenBox) drawBox(context, found.box, false);
  if (dragged()) drawBox(context, dragged(), true);
  const above = keypoints.filter(([, , score]) => score > threshold()).length;
  const what = head ? `${head.label}: ` : "";
  view.setAttribute("aria-label", `${file.name}: ${what}${above} of ${keypoints.length} keypoints above ${at("level").value}`);
  if (!dragged()) drawTiles();
  const cells = ([x, y, score], k) => [
    model.skeleton.keypoints[k].replaceAll("_", " "), x.toFixed(1), y.toFixed(1), score.toFixed(2),
  ];
  at("keypoints").replaceChildren(
    ...keypoints.map((one, k) => {
      const row = document.createElement("tr");
      row.classList.toggle("below", one[2] <= threshold());
      row.append(...cells(one, k).map((text) => Object.assign(document.createElement("td"), { textContent: text })));
      return row;
    }),
  );
}

function drawTiles() {
  const [cx, cy, side] = shown.found.box;
  for (const button of at("heads").querySelectorAll("button")) {
    const head = headNamed(button.dataset.head);
    button.setAttribute("aria-pressed", String(at("head").value === head.name));
    const scale = TILE / side;
    const context = button.firstChild.getContext("2d", { alpha: false });
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "black"; // beyond the photograph's edge, as the network sees it
    context.fillRect(0, 0, TILE, TILE);
    context.setTransform(scale, 0, 0, scale, -(cx + 0.5 - side / 2) * scale, -(cy + 0.5 - side / 2) * scale);
    paint(context, head, at("skeleton").checked ? head.keypoints : null);
  }
}

/** Where on the photograph the mouse is, in its pixels. */
function place({ clientX, clientY }) {
  const { left, top, width } = view.getBoundingClientRect();
  const scale = width / shown.found.width;
  return [(clientX - left) / scale - 0.5, (clientY - top) / scale - 0.5];
}

const dragged = dragSquare(view, {
  allowed: (event) => shown && event.pointerType !== "touch", // a finger scrolls the page
  place,
  draw,
  done: (square) => look(shown.file, square.map((value) => value.toFixed(2)).join()),
});
at("box").addEventListener("submit", (event) => {
  event.preventDefault();
  look(shown?.file, [at("x").value, at("y").value, at("side").value].join());
});
at("whole").addEventListener("click", () => look(shown.file, null));
at("threshold").addEventListener("input", () => {
  at("level").value = threshold().toFixed(2);
  draw();
});
for (const id of ["skeleton", "head", "keypoint"]) at(id).addEventListener("change", draw);
at("file").addEventListener("change", ({ target }) => {
  look(target.files[0], null);
  target.value = "";
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    at("stage").classList.toggle("over", kind === "dragover");
    if (kind === "drop") look(event.dataTransfer.files[0], null);
  });
}
addEventListener("resize", draw);
load();
