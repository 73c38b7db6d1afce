// The network, in a thread of its own so that the page stays alive.

import * as ort from "./onnxruntime/ort.wasm.min.mjs";
import { RULE } from "./crops.js";
import { estimate } from "./pose.js";

const ready = start();
let turn = ready; // one photograph at a time

async function start() {
  ort.env.wasm.wasmPaths = new URL("./onnxruntime/", import.meta.url).href;
  // Threads need memory that is shared, which a server has to allow by its headers; without them, one thread.
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  const model = await (await fetched("./model.json")).json();
  Object.assign(RULE, model.rule);
  const bytes = new Uint8Array(await (await fetched("./model.onnx")).arrayBuffer());
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  const [height, width] = model.input_size;
  const network = async (crop) => {
    const answer = await session.run({ crops: new ort.Tensor("uint8", crop, [1, height, width, 3]) });
    const { data, dims } = answer.keypoints;
    const keypoints = Array.from({ length: dims[1] }, (_, k) => Array.from(data.slice(3 * k, 3 * k + 3)));
    const [, rows, columns, count] = answer.heatmaps.dims;
    return { keypoints, heatmaps: { data: answer.heatmaps.data, rows, columns, count } };
  };
  await network(new Uint8Array(height * width * 3)); // the first run sets things up
  return { model, network, threads: ort.env.wasm.numThreads };
}

async function fetched(file) {
  const answer = await fetch(new URL(file, import.meta.url));
  if (!answer.ok) throw new Error(`${file}: ${answer.status} ${answer.statusText}`);
  return answer;
}

self.onmessage = ({ data: { id, image, box, looks } }) => {
  turn = turn
    .catch(() => {})
    .then(async () => {
      const { model, network } = await ready;
      postMessage({ id, found: await estimate(image, box, looks, network, model) });
    })
    .catch((error) => postMessage({ id, error: String(error?.message ?? error) }));
};

ready.then(
  ({ model, threads }) => postMessage({ model, threads }),
  (error) => postMessage({ error: String(error?.message ?? error) }),
);
