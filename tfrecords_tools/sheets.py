"""Pictures of the persons in a record folder: as training sees them, and those that look wrongly labelled."""

from __future__ import annotations

import cv2
import numpy as np
import tensorflow as tf

from keras_mspose import geometry, person_truth, pipeline, records, resample, visualization
from keras_mspose.config import AugmentConfig, DataConfig, ModelConfig, RunConfig
from keras_mspose.skeleton import Skeleton
from keras_mspose.tiles import PAPER, contact_sheet

CROP = (192, 192)
COLUMNS = 4
SEEN_ABOUT = 1.25  # of the square about the keypoints: what a suspect is shown with
BOX = (255, 255, 255)


def training_sheet(data: records.RecordSet, split: str, persons: int) -> np.ndarray:
    """Persons of a split, evenly spread over it: in their box as labelled, and beside it augmented as by default.

    Returns:
        uint8 RGB with a legend above; captions are the photographs' names.
    """
    config = RunConfig(model=ModelConfig(input_size=CROP), data=DataConfig(augment=AugmentConfig(translation=0.05)))
    step = max(1, data.persons(split) // persons)
    wanted = tf.data.TFRecordDataset(data.files(split)).shard(step, 0).take(persons)
    tiles = []
    for number, record in enumerate(wanted):
        person = records.parse(record, len(data.skeleton))
        center, side = person_truth.person_box(person, config.data.box)
        labelled = _drawn(*_seen(person, center, side), data.skeleton)
        crop, target = pipeline.as_trained(person, data, config, tf.constant([0, number], tf.int64))
        tiles.append((_beside(labelled, _drawn(crop.numpy(), target.numpy(), data.skeleton)), _name(person)))
    return _under_legend(tiles, "as labelled | as training sees them")


def suspects_sheet(data: records.RecordSet, suspects: list[tuple[str, int, str]]) -> np.ndarray:
    """Persons by file and record number, without and with their keypoints, and their boxes in white.

    Args:
        suspects: (file, record number in it from 0, what is wrong).

    Returns:
        uint8 RGB with a legend above; captions are the photographs' names and what is wrong.
    """
    tiles = []
    for file, number, what in suspects:
        record = next(iter(tf.data.TFRecordDataset(str(data.folder / file)).skip(number)))
        person = records.parse(record, len(data.skeleton))
        center, side = geometry.joints_box(person["keypoints"])
        crop, keypoints = _seen(person, center, side * SEEN_ABOUT / geometry.BOX_MARGIN)
        drawn = _drawn(crop, keypoints, data.skeleton)
        matrix = geometry.crop_transform(center, side * SEEN_ABOUT / geometry.BOX_MARGIN, CROP)
        x, y, half = person["box"][0], person["box"][1], person["box"][2] / 2
        for corners in ((x - half, y - half, x + half, y + half), tuple(person["head_box"])):
            if corners[0] != corners[2]:
                _draw_box(drawn, geometry.apply(matrix, tf.reshape(tf.stack(corners), (2, 2))).numpy())
        tiles.append((_beside(crop, drawn), f"{_name(person)} {what}"))
    return _under_legend(tiles, "photograph | as labelled")


def _seen(person: dict[str, tf.Tensor], center: tf.Tensor, side: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """A square of the photograph as crop (h, w, 3), and the keypoints (K, 3) in its pixels."""
    matrix = geometry.crop_transform(center, side, CROP)
    crop = resample.crop_from_jpeg(person["image"], matrix, CROP).numpy()
    xy = geometry.apply(matrix, person["keypoints"][:, :2])
    return crop, tf.concat([xy, person["keypoints"][:, 2:]], axis=1).numpy()


def _drawn(crop: np.ndarray, keypoints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    # visibility 1, occluded, is drawn faint: draw_pose reads the third number as how opaque to draw
    return visualization.draw_pose(crop, keypoints[:, :3] * [1, 1, 0.5], skeleton)


def _draw_box(image: np.ndarray, corners: np.ndarray) -> None:
    if np.isfinite(corners).all():
        (x1, y1), (x2, y2) = np.clip(np.round(corners), -4096, 4096).astype(int).tolist()
        cv2.rectangle(image, (x1, y1), (x2, y2), BOX, 1)


def _beside(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.concatenate([a, np.full((len(a), 2, 3), PAPER, np.uint8), b], axis=1)


def _name(person: dict[str, tf.Tensor]) -> str:
    return person["image_name"].numpy().decode(errors="replace")


def _under_legend(tiles: list[tuple[np.ndarray, str]], said: str) -> np.ndarray:
    sheet = contact_sheet(tiles, COLUMNS)
    return np.concatenate([visualization.legend(sheet.shape[1], f"faint: occluded   {said}"), sheet], axis=0)
