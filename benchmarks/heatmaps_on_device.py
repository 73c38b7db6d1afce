"""Keypoints or heatmaps through the input pipeline? Steps of training a second, both ways, in turns within one run.

    python benchmarks/heatmaps_on_device.py --data data/lsp --preset small --steps 40

A: batches carry keypoints and the loss draws the heatmaps of every head (what the package does).
B: the pipeline draws the heatmaps of every scale, in parallel, and the loss compares with them.
The ratio A / B is what to read; steps a second depend on the machine.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from keras_mspose.quiet import import_tensorflow

import_tensorflow()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from keras_mspose import heatmaps, pipeline  # noqa: E402
from keras_mspose.config import PRESETS, RunConfig  # noqa: E402
from keras_mspose.losses import HeatmapLoss  # noqa: E402
from keras_mspose.model import build_model, head_scale, head_stride  # noqa: E402
from keras_mspose.optimizer import Adam  # noqa: E402
from keras_mspose.records import RecordSet  # noqa: E402


class DrawnLoss(keras.losses.Loss):
    """Equation 1 against heatmaps (B, h, w, K) that the pipeline drew; every keypoint counts."""

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(tf.reduce_sum(tf.math.squared_difference(y_pred, y_true), axis=(1, 2)), axis=-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="record folder")
    parser.add_argument("--preset", default="small", choices=sorted(PRESETS))
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    data, config = RecordSet.load(options.data), RunConfig(model=PRESETS[options.preset])
    model = build_model(config.model, len(data.skeleton))
    heads = list(model.output_names)
    height, width = config.model.input_size

    def drawn(crops: tf.Tensor, targets: dict[str, tf.Tensor]) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        by_scale = {
            s: heatmaps.render(targets[heads[0]], (height // s, width // s), s) for s in {head_stride(h) for h in heads}
        }
        return crops, {h: by_scale[head_stride(h)] for h in heads}

    keypoints, _ = pipeline.training_batches(data, config, heads)
    ways = {
        "A keypoints": (keypoints, {h: HeatmapLoss(head_scale(h)) for h in heads}),
        "B heatmaps": (
            keypoints.map(drawn, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE),
            {h: DrawnLoss() for h in heads},
        ),
    }
    runs = {}
    for name, (batches, losses) in ways.items():
        network = keras.models.clone_model(model)
        network.compile(optimizer=Adam(1e-4), loss=losses)
        network.optimizer.build(network.trainable_variables)
        network.fit(batches, steps_per_epoch=2, shuffle=False, verbose=0)
        runs[name] = (network, batches)
    best = dict.fromkeys(ways, float("inf"))
    for number in range(options.rounds):
        for name, (network, batches) in runs.items():
            started = time.monotonic()
            network.fit(batches, steps_per_epoch=options.steps, shuffle=False, verbose=0)
            seconds = (time.monotonic() - started) / options.steps
            best[name] = min(best[name], seconds)
            print(f"round {number + 1}  {name:12}  {1 / seconds:6.2f} steps/s", flush=True)
    first, second = best.values()
    batch = config.training.batch_size
    print(f"preset {options.preset}, batch {batch}; best of {options.rounds} rounds of {options.steps} steps")
    print(f"A / B step time: {first / second:.3f} (below 1: keypoints through the pipeline are faster)")


if __name__ == "__main__":
    main()
