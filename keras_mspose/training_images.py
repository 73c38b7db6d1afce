"""What the network says of a few validation persons while it trains, as pictures in TensorBoard."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_mspose import heatmaps, pipeline, strips, visualization
from keras_mspose.averaging import Average
from keras_mspose.config import RunConfig
from keras_mspose.model import REGRESSION, answer_name, head_stack, head_stride
from keras_mspose.records import RecordSet
from keras_mspose.tiles import contact_sheet

PERSONS = 4


class TrainingImages(keras.callbacks.Callback):
    """Writes `predictions`, poses on the crops, and `heatmaps`, the answer's and the last stack's, to RUN/tensorboard.

    Args:
        out: run folder.
        network: what is trained.
        average: of its weights, which then are shown.
        data: the first persons of its validation split are shown, always the same.
        config: every `training.images_every` epochs.
        disk_errors_named: see `Board`.
    """

    def __init__(
        self,
        out: Path,
        network: keras.Model,
        average: Average | None,
        data: RecordSet,
        config: RunConfig,
        disk_errors_named: Callable[[], AbstractContextManager[None]],
    ):
        super().__init__()
        self._named = disk_errors_named
        self.network, self.average, self.skeleton, self.sigma = network, average, data.skeleton, config.training.sigma
        self.every, self.folder = config.training.images_every, str(out / "tensorboard" / "validation")
        size, split = config.model.input_size, config.data.val_split
        batches = pipeline.evaluation_batches(data, split, size, config.data.box, PERSONS, persons=PERSONS)
        self.crops = next(iter(batches))["crop"].numpy()
        self.larger = max(1, 224 // size[1])  # so that a strip's captions have room

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if (epoch + 1) % self.every:
            return
        with self.average.in_place() if self.average else nullcontext():
            found = self.network(self.crops, training=False)
        answer = answer_name(self.network)
        supervised = [name for name in self.network.output_names if name != REGRESSION]
        last = max(head_stack(name) for name in supervised)
        heads = dict.fromkeys([answer, *(name for name in supervised if head_stack(name) == last)])
        points = heatmaps.decode(found[answer].numpy(), head_stride(answer), self.sigma)
        poses, rows = [], []
        for number, crop in enumerate(self.crops):
            poses.append((visualization.draw_pose(crop, points[number], self.skeleton), f"{number + 1}"))
            maps = {name: found[name][number].numpy() for name in heads}
            larger = crop.repeat(self.larger, axis=0).repeat(self.larger, axis=1)
            keypoints = strips.read(maps, crop.shape[:2], larger.shape[:2], self.sigma)
            rows.append((strips.strip(larger, maps, keypoints, self.skeleton), f"{number + 1}"))
        pictures = {"predictions": (poses, len(poses)), "heatmaps": (rows, 1)}
        with self._named(), tf.summary.create_file_writer(self.folder).as_default(step=epoch):
            for name, (tiles, columns) in pictures.items():
                tf.summary.image(name, contact_sheet(tiles, columns)[np.newaxis])
