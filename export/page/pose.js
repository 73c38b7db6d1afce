// From a photograph's pixels to keypoints in them: what keras_mspose/pose_estimator.py does.

import { cropTransform, cutOut, roundEven } from "./crops.js";

/** The whole photograph as a square box: centre x, centre y, side. */
export function imageBox(width, height) {
  return [(width - 1) / 2, (height - 1) / 2, Math.max(width, height)];
}

/** The square to look at next, about the certain keypoints [x, y, score] of a wide look; see geometry.narrowed_box. */
export function narrowedBox(keypoints, first, { certain, smallest, margin }) {
  const best = Math.max(...keypoints.map(([, , score]) => score));
  const seen = keypoints.filter(([, , score]) => score >= certain * best);
  if (!seen.length) return first;
  const [xs, ys] = [seen.map(([x]) => x), seen.map(([, y]) => y)];
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const side = margin * Math.max(right - left, bottom - top);
  const box = [(left + right) / 2, (top + bottom) / 2, Math.min(Math.max(side, smallest * first[2]), first[2])];
  return box.map((value) => roundEven(4 * value) / 4);
}

/**
 * Find one person.
 * @param image {data, width, height}, RGBA.
 * @param {number[] | null} box taken as it stands; where null, looks go from the whole photograph to the person.
 * @param {number} looks how many, where there is no box.
 * @param network (Uint8Array crop) => Promise of {keypoints, heatmaps}, x and y in crop pixels.
 * @param model what model.json says.
 * @returns keypoints [x, y, score] in photograph pixels, heatmaps of the last look, its box, and milliseconds.
 */
export async function estimate(image, box, looks, network, model) {
  const first = box ?? imageBox(image.width, image.height);
  const times = { crop: 0, network: 0 };
  let at = first;
  for (let left = box ? 1 : looks; ; left--) {
    const started = performance.now();
    const crop = cutOut(image, at, model.input_size);
    const cut = performance.now();
    const found = await network(crop);
    times.crop += cut - started;
    times.network += performance.now() - cut;
    const { scale, x, y } = cropTransform(at, model.input_size);
    const keypoints = found.keypoints.map(([u, v, score]) => [(u - x) / scale, (v - y) / scale, score]);
    if (left <= 1) return { keypoints, heatmaps: found.heatmaps, box: at, times };
    at = narrowedBox(keypoints, first, model.look);
  }
}
