"""Real crops for an export: some of the training persons to calibrate by, some of the others to compare on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_mspose import mixing, pipeline
from keras_mspose.records import RecordSet, damage_named
from keras_mspose.saved_model import Facts

CALIBRATION = 128
COMPARED = 8


def read(folder: Path, facts: Facts) -> tuple[np.ndarray, np.ndarray]:
    """The first persons of the run's splits, by the run's box rule.

    Returns:
        (N, H, W, 3) uint8 of the validation split, to compare on; and of the training split, to calibrate by.

    Raises:
        MsposeError: no record folder, another skeleton than the run trained with, or a split is not there.
    """
    data = mixing.of_network(RecordSet.load(folder), facts)
    splits = facts.config.data
    return _first(data, splits.val_split, COMPARED, facts), _first(data, splits.train_split, CALIBRATION, facts)


def _first(data: RecordSet, split: str, count: int, facts: Facts) -> np.ndarray:
    size, box = facts.config.model.input_size, facts.config.data.box
    with damage_named(data, split):
        batches = pipeline.evaluation_batches(data, split, size, box, 32, persons=count)
        return np.concatenate([batch["crop"].numpy() for batch in batches])
