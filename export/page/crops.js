// From a photograph's pixels to the crop about a box: what keras_mspose/crops.py does, in the same integers.
// Pixel centres lie at whole numbers: an image w wide spans -0.5 to w - 0.5.

export const RULE = {}; // the numbers of keras_mspose/crop_rule.py, from model.json

const single = Math.fround; // the other ways compute in single precision: the same operations in the same order

/** Scale and shift from photograph to crop pixels: the box's middle falls on the crop's, its side on the longer side. */
export function cropTransform(box, [height, width]) {
  const [cx, cy, side] = box.map(single);
  const scale = single(Math.max(height, width) / side);
  const shift = (length, center) => single((length - 1) / 2 - single(scale * center));
  return { scale, x: shift(width, cx), y: shift(height, cy) };
}

/**
 * Cut out what a square box shows.
 * @param {{data: Uint8ClampedArray, width: number, height: number}} image RGBA, as a canvas gives it.
 * @param {number[]} box centre x, centre y, side in photograph pixels.
 * @param {number[]} size height and width of the crop.
 * @returns {Uint8Array} height x width x 3, RGB; black beyond the photograph.
 */
export function cutOut(image, box, size) {
  const { scale, x, y } = cropTransform(box, size);
  const area = single(scale * scale);
  const mean = reduction(area);
  const back = single(scale / single(area * mean));
  const half = single(single(single(1 / mean) - 1) / 2);
  const columns = axis(back, single(half - single(back * x)), size[1], image.width, mean);
  const rows = axis(back, single(half - single(back * y)), size[0], image.height, mean);
  let seen = averaged(image, rows, columns, mean);
  const beside = Math.max(single(1 - single(1 / back)), 0);
  const weight = Math.min(seen.width, seen.height) > 2 ? roundEven((2 ** RULE.blurBits * beside) / (1 + 2 * beside)) : 0;
  const whole = [seen.height, seen.width];
  if (weight > 0) seen = smoothed(seen, weight);
  return sampled(seen, whole, weight > 0 ? 1 : 0, back, rows.shift, columns.shift, size);
}

/** Pixels to average either way: a decoder's own ratio as far as those go, then whole multiples of it. */
function reduction(area) {
  const largest = Math.max(Math.trunc(single(single(1 / single(Math.sqrt(area))) / single(RULE.finest))), 1);
  const ratio = Math.max(...RULE.ratios.filter((one) => one <= largest));
  return ratio * Math.floor(largest / ratio);
}

/** Along one axis: first pixel and number of pixels that the crop shows, and the shift within them. */
function axis(back, shift, length, whole, mean) {
  const middle = (length - 1) / 2;
  const half = single(back * middle);
  const center = single(half + shift);
  const [low, high] = [single(center - half), single(center + half)];
  let first = (Math.floor(low) - RULE.margin) * mean;
  let behind = (Math.floor(high) + 2 + RULE.margin) * mean;
  first = Math.min(Math.max(first, 0), Math.floor((whole - 1) / mean) * mean);
  behind = Math.min(Math.max(behind, first + 1), whole);
  return { first, count: behind - first, shift: single(shift - first / mean) };
}

/** Mean of each block of mean x mean pixels of a part of the image; its last pixels stand for those missing. */
function averaged(image, rows, columns, mean) {
  const width = Math.ceil(columns.count / mean);
  const height = Math.ceil(rows.count / mean);
  const pixels = new Uint8Array(width * height * 3);
  const area = mean * mean;
  const add = area >> 1;
  for (let row = 0, to = 0; row < height; row++) {
    for (let column = 0; column < width; column++, to += 3) {
      let [red, green, blue] = [add, add, add];
      for (let j = 0; j < mean; j++) {
        const line = (rows.first + Math.min(row * mean + j, rows.count - 1)) * image.width + columns.first;
        for (let i = 0; i < mean; i++) {
          const from = 4 * (line + Math.min(column * mean + i, columns.count - 1));
          red += image.data[from];
          green += image.data[from + 1];
          blue += image.data[from + 2];
        }
      }
      pixels[to] = red / area;
      pixels[to + 1] = green / area;
      pixels[to + 2] = blue / area;
    }
  }
  return { pixels, width, height };
}

/** The weighted mean of each pixel with its eight neighbours, of all pixels that have them. */
function smoothed({ pixels, width, height }, side) {
  const middle = 2 ** RULE.blurBits - 2 * side;
  const across = new Uint16Array((width - 2) * height * 3);
  const line = 3 * (width - 2);
  for (let row = 0, to = 0; row < height; row++) {
    for (let i = 0, from = 3 * row * width; i < line; i++, from++, to++) {
      across[to] = ((pixels[from] + pixels[from + 6]) * side + pixels[from + 3] * middle + 8) >> 4;
    }
  }
  const mean = new Uint8Array(line * (height - 2));
  for (let i = 0; i < mean.length; i++) {
    mean[i] = ((across[i] + across[i + 2 * line]) * side + across[i + line] * middle + 128) >> 8;
  }
  return { pixels: mean, width: width - 2, height: height - 2 };
}

/** Bilinear sampling; `whole` is the height and width before smoothing took `border` pixels off on each side. */
function sampled({ pixels, width }, whole, border, back, shiftY, shiftX, [height, wide]) {
  const down = taps(back, shiftY, height, whole[0], border);
  const across = taps(back, shiftX, wide, whole[1], border);
  const crop = new Uint8Array(height * wide * 3);
  const [lost, rest] = [RULE.weightBits - RULE.betweenBits, RULE.weightBits + RULE.betweenBits];
  const [halfLost, halfRest] = [1 << (lost - 1), 1 << (rest - 1)];
  for (let row = 0, to = 0; row < height; row++) {
    const [above, below] = [down.before[row] * width, down.behind[row] * width];
    const [ofAbove, ofBelow] = [down.ofBefore[row], down.ofBehind[row]];
    for (let column = 0; column < wide; column++) {
      const [left, right] = [across.before[column], across.behind[column]];
      const [ofLeft, ofRight] = [across.ofBefore[column], across.ofBehind[column]];
      const from = [3 * (above + left), 3 * (above + right), 3 * (below + left), 3 * (below + right)];
      for (let c = 0; c < 3; c++, to++) {
        const upper = (pixels[from[0] + c] * ofLeft + pixels[from[1] + c] * ofRight + halfLost) >> lost;
        const lower = (pixels[from[2] + c] * ofLeft + pixels[from[3] + c] * ofRight + halfLost) >> lost;
        crop[to] = (upper * ofAbove + lower * ofBelow + halfRest) >> rest;
      }
    }
  }
  return crop;
}

/** Of each crop position: the pixels before and behind it, and their weights. */
function taps(back, shift, length, whole, border) {
  const one = 1 << RULE.weightBits;
  const fixed = (value) => roundEven(Math.min(Math.max(value, -RULE.far), RULE.far) * 2 ** RULE.positionBits);
  const [step, start] = [fixed(back), fixed(shift)];
  const found = { before: [], behind: [], ofBefore: [], ofBehind: [] };
  const index = (i) => Math.min(Math.max(i, border), whole - 1 - border) - border;
  const weight = (i, share) => (i >= 0 && i < whole ? share : 0);
  for (let k = 0; k < length; k++) {
    const position = step * k + start;
    const first = Math.floor(position / 2 ** RULE.positionBits);
    const share = Math.floor(position / 2 ** (RULE.positionBits - RULE.weightBits)) - first * one;
    found.before.push(index(first));
    found.behind.push(index(first + 1));
    found.ofBefore.push(weight(first, one - share));
    found.ofBehind.push(weight(first + 1, share));
  }
  return found;
}

/** Halves go to the even neighbour, as NumPy has it. */
export function roundEven(value) {
  const rounded = Math.round(value);
  return Math.abs(value % 1) === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}
