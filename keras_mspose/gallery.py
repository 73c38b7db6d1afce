"""Which persons a report shows, and their pictures: prediction beside truth, and the heatmaps of every head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_mspose import geometry, strips, visualization
from keras_mspose.evaluation import Evaluation
from keras_mspose.metrics import THRESHOLDS, normalised_distances
from keras_mspose.model import answer_name
from keras_mspose.records import RecordSet
from keras_mspose.saved_model import Facts
from keras_mspose.tiles import GAP, contact_sheet

if TYPE_CHECKING:
    import keras

PHOTO = 224  # pixels a side of a person in the sheet
TILE = 224  # of a heatmap strip's tiles


@dataclass(frozen=True)
class Shown:
    """One person of the sheet.

    Attributes:
        place: number in the split, from 0.
        name: the photograph's name in the data set.
        error: mean distance of the counted joints over the reference length.
        right, counted: how many of them are within the threshold, and how many there are.
        group: `best`, `median`, `worst` or `random`.
    """

    place: int
    name: str
    error: float
    right: int
    counted: int
    group: str


def choose(found: Evaluation, data: RecordSet, each: int = 6) -> list[Shown]:
    """The persons with the smallest, the middle and the largest error, each of them once.

    Args:
        found: a split, measured.
        data: its record folder.
        each: how many of a group; fewer where the split is small.

    Returns:
        Best, median and worst, each group from small error to large.
    """
    error, right, counted, order = _errors(found, data)
    each = min(each, len(order) // 3)
    middle = (len(order) - each) // 2
    groups = {"best": order[:each], "median": order[middle : middle + each], "worst": order[len(order) - each :]}
    return _shown(found, groups, error, right, counted)


def worst_and_random(found: Evaluation, data: RecordSet, each: int = 12, seed: int = 0) -> list[Shown]:
    """The persons with the largest errors, the worst first, and as many others at random.

    Args:
        each: how many of a group; fewer where the split is small.
        seed: of the drawing.
    """
    error, right, counted, order = _errors(found, data)
    worst = order[::-1][: min(each, max(1, len(order) // 2))]
    others = np.setdiff1d(order, worst)
    drawn = np.random.default_rng(seed).permutation(others)[:each]
    return _shown(found, {"worst": worst, "random": np.sort(drawn)}, error, right, counted)


def _errors(found: Evaluation, data: RecordSet) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Per person mean distance, right and counted joints (P,); and the places of those who count, from small error."""
    distances = normalised_distances(found.predicted, found.truth, found.reference)[:, data.skeleton.scored_indices]
    counted = (~np.isnan(distances)).sum(axis=1)
    error = np.divide(np.nansum(distances, axis=1), counted, out=np.full(len(counted), np.nan), where=counted > 0)
    right = (np.nan_to_num(distances, nan=np.inf) <= THRESHOLDS[data.metric]).sum(axis=1)
    order = np.argsort(error, kind="stable")[: int((counted > 0).sum())]  # NaN sorts to the end
    return error, right, counted, order


def _shown(found: Evaluation, groups: dict, error: np.ndarray, right: np.ndarray, counted: np.ndarray) -> list[Shown]:
    return [
        Shown(int(i), found.image_names[i], float(error[i]), int(right[i]), int(counted[i]), group)
        for group, places in groups.items()
        for i in places
    ]


def crops(data: RecordSet, split: str, box: str, places: list[int], size: tuple[int, int]) -> dict[int, dict]:
    """Person crops by their number in the split.

    Args:
        size: (height, width) in pixels.

    Returns:
        For each of `places` a dict of `crop` (H, W, 3) uint8 and `matrix` (2, 3), photograph to crop.
    """
    from keras_mspose import pipeline

    wanted, start, found = set(places), 0, {}
    for batch in pipeline.evaluation_batches(data, split, size, box, 32, persons=max(places, default=0) + 1):
        held = range(start, start + len(batch["crop"]))
        for place in wanted.intersection(held):
            found[place] = {key: batch[key][place - start].numpy() for key in ("crop", "matrix")}
        start = held.stop
    return found


def draw_sheet(found: Evaluation, data: RecordSet, shown: list[Shown]) -> dict[int, np.ndarray]:
    """Each person twice in one picture: on the left what the network answers, on the right the truth.

    Joints that score low are faint on the left, joints that are occluded on the right.

    Returns:
        (PHOTO, 2 * PHOTO + GAP, 3) uint8 RGB by the person's number in the split.
    """
    pictures = {}
    photos = crops(data, found.split, found.box, [one.place for one in shown], (PHOTO, PHOTO))
    for place, photo in photos.items():
        halves = []
        truth = found.truth[place] * [1, 1, 0.5]  # visibility 2 is opaque, 1 half so, 0 not drawn
        for keypoints in (found.predicted[place], truth):
            moved = np.column_stack([geometry.apply(photo["matrix"], keypoints[:, :2]), keypoints[:, 2]])
            halves.append(visualization.draw_pose(photo["crop"], moved, data.skeleton, person_size=PHOTO))
        gap = np.full((PHOTO, GAP, 3), 128, np.uint8)
        pictures[place] = np.concatenate([halves[0], gap, halves[1]], axis=1)
    return pictures


def draw_strips(
    model: keras.Model, facts: Facts, data: RecordSet, found: Evaluation, places: list[int]
) -> dict[int, np.ndarray]:
    """One strip a person: every head's heatmaps over the crop, and what they say (`strips.strip`).

    Args:
        model: the training network, with all its heads.

    Returns:
        uint8 RGB by the person's number in the split.
    """
    own = crops(data, found.split, found.box, places, facts.config.model.input_size)
    large = crops(data, found.split, found.box, places, (TILE, TILE))
    size, sigma = facts.config.model.input_size, facts.config.training.sigma
    result = {}
    for place in places:
        maps = model(own[place]["crop"][None], training=False)
        heatmaps = {name: maps[name][0].numpy() for name in strips.in_order(model.output_names)}
        keypoints = strips.read(heatmaps, size, (TILE, TILE), sigma)
        result[place] = strips.strip(large[place]["crop"], heatmaps, keypoints, data.skeleton)
    return result


def draw_cards(
    model: keras.Model, facts: Facts, data: RecordSet, found: Evaluation, places: list[int]
) -> dict[int, np.ndarray]:
    """One picture a person: the answer, the truth, and the heatmaps before and after the regression, where the network
    has one, of a plain pass over the box that was looked at last.

    Args:
        model: the training network, with all its heads.

    Returns:
        uint8 RGB by the person's number in the split.
    """
    answer = answer_name(model)
    before = strips.before(model.output_names)
    shown = [before] if answer == before else [before, answer]
    own = _crops_at(data, found, places, facts.config.model.input_size)
    large = _crops_at(data, found, places, (PHOTO, PHOTO))
    cards = {}
    for place in places:
        crop, matrix = large[place]
        truth = found.truth[place] * [1, 1, 0.5]  # visibility 2 is opaque, 1 half so, 0 not drawn
        tiles = []
        for keypoints, name in ((found.predicted[place], "answer"), (truth, "truth")):
            moved = np.column_stack([geometry.apply(matrix, keypoints[:, :2]), keypoints[:, 2]])
            tiles.append((visualization.draw_pose(crop, moved, data.skeleton, person_size=PHOTO), name))
        maps = model(own[place][0][None], training=False)
        for name in shown:
            alone = "" if len(shown) == 1 else "before regression"
            when = alone if name == before else "after regression"
            tiles.append((visualization.heatmap_overlay(crop, maps[name][0].numpy()), f"heatmaps {when}"))
        cards[place] = contact_sheet(tiles, len(tiles))
    return cards


def _crops_at(
    data: RecordSet, found: Evaluation, places: list[int], size: tuple[int, int]
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Crop (H, W, 3) uint8 and matrix (2, 3), photograph to crop, of the box that was looked at last, by place."""
    import tensorflow as tf

    from keras_mspose import resample

    matrices = geometry.crop_transform(found.boxes[:, :2], found.boxes[:, 2], size)
    wanted = tf.constant(places, tf.int64)

    def cut(place: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        matrix = tf.gather(tf.constant(matrices), place)
        return place, resample.crop_from_jpeg(data.parse(record)["image"], matrix, size), matrix

    persons = tf.data.TFRecordDataset(data.files(found.split)).enumerate().take(max(places, default=-1) + 1)
    chosen = persons.filter(lambda place, _: tf.reduce_any(place == wanted)).map(cut)
    return {int(place): (crop.numpy(), matrix.numpy()) for place, crop, matrix in chosen}
