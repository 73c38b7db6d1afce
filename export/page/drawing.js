// Skeleton and heatmaps over a photograph. A photograph's pixel x lies on the canvas at x + 0.5.

const SIDES = { left: "rgb(0, 114, 178)", right: "rgb(230, 159, 0)", middle: "rgb(0, 158, 115)" }; // Okabe and Ito's
const [RIM, HALO] = ["rgb(20, 20, 20)", "white"]; // seen on light photographs, and on dark ones
const FAINTEST = 0.35;
const WARM = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]]; // dark to bright

/** `left`, `right` or `middle` of every keypoint name. */
export function sides(skeleton) {
  const found = Object.fromEntries(skeleton.keypoints.map((name) => [name, "middle"]));
  for (const [left, right] of skeleton.flip_pairs) Object.assign(found, { [left]: "left", [right]: "right" });
  return found;
}

/** Limbs and keypoints [x, y, score] in photograph pixels, of those that score above a threshold. */
export function drawSkeleton(context, keypoints, skeleton, size, threshold = 0) {
  const side = sides(skeleton);
  const at = Object.fromEntries(skeleton.keypoints.map((name, k) => [name, keypoints[k]]));
  const shown = (name) => at[name][2] > threshold;
  const thick = Math.max(1.5, size / 70);
  const rim = thick / 4;
  const opacity = (...scores) => Math.min(1, Math.max(FAINTEST, Math.min(...scores)));
  context.lineCap = "round";
  for (const [a, b] of skeleton.limbs.filter((pair) => pair.every(shown))) {
    const [from, to] = [at[a], at[b]];
    const found = new Set([side[a], side[b]].filter((one) => one !== "middle"));
    context.globalAlpha = opacity(from[2], to[2]);
    const own = SIDES[found.size === 1 ? [...found][0] : "middle"];
    for (const [colour, width] of [[HALO, thick + 4 * rim], [RIM, thick + 2 * rim], [own, thick]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      context.moveTo(from[0] + 0.5, from[1] + 0.5);
      context.lineTo(to[0] + 0.5, to[1] + 0.5);
      context.stroke();
    }
  }
  for (const name of skeleton.keypoints.filter(shown)) {
    const [x, y, score] = at[name];
    context.globalAlpha = opacity(score);
    for (const [colour, radius] of [[HALO, 1.2 * thick + 2 * rim], [RIM, 1.2 * thick + rim], [SIDES[side[name]], 1.2 * thick]]) {
      context.fillStyle = colour;
      context.beginPath();
      context.arc(x + 0.5, y + 0.5, radius, 0, 2 * Math.PI);
      context.fill();
    }
  }
  context.globalAlpha = 1;
}

/** All keypoints' heatmaps, at each pixel the largest, over what the last look saw. */
export function drawHeatmaps(context, { data, rows, columns, count }, [cx, cy, side]) {
  const strongest = new Float32Array(rows * columns);
  let peak = 0.1; // so that noise stays dark
  for (let i = 0; i < strongest.length; i++) {
    for (let k = 0; k < count; k++) strongest[i] = Math.max(strongest[i], data[i * count + k]);
    peak = Math.max(peak, strongest[i]);
  }
  const tile = new OffscreenCanvas(columns, rows);
  const pixels = new ImageData(columns, rows);
  strongest.forEach((value, i) => {
    const share = Math.min(1, value / peak);
    const place = share * (WARM.length - 1);
    const low = Math.min(Math.floor(place), WARM.length - 2);
    WARM[low].forEach((from, c) => {
      pixels.data[4 * i + c] = from + (WARM[low + 1][c] - from) * (place - low);
    });
    pixels.data[4 * i + 3] = 255 * 0.75 * Math.sqrt(share);
  });
  tile.getContext("2d").putImageData(pixels, 0, 0);
  const unit = side / Math.max(rows, columns);
  context.imageSmoothingEnabled = true;
  context.drawImage(
    tile, cx + 0.5 - (unit * columns) / 2, cy + 0.5 - (unit * rows) / 2, unit * columns, unit * rows,
  );
}

export function drawBox(context, [cx, cy, side], dashed) {
  context.strokeStyle = "white";
  context.lineWidth = Math.max(1, context.canvas.width / 400);
  context.setLineDash(dashed ? [6, 4] : []);
  context.strokeRect(cx + 0.5 - side / 2, cy + 0.5 - side / 2, side, side);
  context.setLineDash([]);
}

const SMALLEST_DRAG = 8; // photograph pixels; less is a click

/**
 * Lets the mouse draw a square about a person.
 *
 * @param view canvas
 * @param allowed (event) whether one may begin
 * @param place (event) [x, y] in photograph pixels
 * @param draw called when what is drawn changes, or comes to nothing
 * @param done (square) called at its end
 * @returns function that gives the square being drawn, null where there is none
 */
export function dragSquare(view, { allowed, place, draw, done }) {
  let corners = null;
  const square = () => {
    if (!corners) return null;
    const [[x1, y1], [x2, y2]] = corners;
    return [(x1 + x2) / 2, (y1 + y2) / 2, Math.max(Math.abs(x2 - x1), Math.abs(y2 - y1))];
  };
  view.addEventListener("pointerdown", (event) => {
    if (!allowed(event)) return;
    view.setPointerCapture(event.pointerId);
    corners = [place(event), place(event)];
  });
  view.addEventListener("pointermove", (event) => {
    if (!corners) return;
    corners[1] = place(event);
    draw();
  });
  view.addEventListener("pointerup", () => {
    if (!corners) return;
    const drawn = square();
    corners = null;
    if (drawn[2] >= SMALLEST_DRAG) done(drawn);
    else draw();
  });
  view.addEventListener("pointercancel", () => {
    corners = null;
    draw();
  });
  return square;
}
