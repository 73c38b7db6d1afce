"""Which persons a report shows, and their pictures: prediction beside truth, and the heatmaps of every head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_mspose import geometry, visualization
from keras_mspose.evaluation import Evaluation
from keras_mspose.metrics import THRESHOLDS, normalised_distances
from keras_mspose.model import answer_name, head_scale
from keras_mspose.records import RecordSet
from keras_mspose.saved_model import Facts

if TYPE_CHECKING:
    import keras

PHOTO = 224  # pixels a side of a person in the sheet
TILE = 160  # of a heatmap strip's tiles


@dataclass(frozen=True)
class Shown:
    """One person of the sheet.

    Attributes:
        place: number in the split, from 0.
        name: the photograph's name in the data set.
        error: mean distance of the counted joints over the reference length.
        right, counted: how many of them are within the threshold, and how many there are.
        group: `best`, `median` or `worst`.
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
    distances = normalised_distances(found.predicted, found.truth, found.reference)[:, data.skeleton.scored_indices]
    counted = (~np.isnan(distances)).sum(axis=1)
    error = np.divide(np.nansum(distances, axis=1), counted, out=np.full(len(counted), np.nan), where=counted > 0)
    right = (np.nan_to_num(distances, nan=np.inf) <= THRESHOLDS[data.metric]).sum(axis=1)
    order = np.argsort(error, kind="stable")[: int((counted > 0).sum())]  # NaN sorts to the end
    each = min(each, len(order) // 3)
    middle = (len(order) - each) // 2
    groups = {"best": order[:each], "median": order[middle : middle + each], "worst": order[len(order) - each :]}
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
        gap = np.full((PHOTO, visualization.GAP, 3), 128, np.uint8)
        pictures[place] = np.concatenate([halves[0], gap, halves[1]], axis=1)
    return pictures


def draw_strips(
    model: keras.Model, facts: Facts, data: RecordSet, found: Evaluation, places: list[int]
) -> dict[int, np.ndarray]:
    """One strip a person: the crop, and every head's heatmaps over it, from coarse to fine, the answer last.

    Args:
        model: the training network, with all its heads.

    Returns:
        uint8 RGB by the person's number in the split.
    """
    own = crops(data, found.split, found.box, places, facts.config.model.input_size)
    large = crops(data, found.split, found.box, places, (TILE, TILE))
    answer = answer_name(model)
    heads = sorted(model.output_names, key=lambda name: (name == answer, name.split("_")[0], -head_scale(name)))
    strips = {}
    for place in places:
        maps = model(own[place]["crop"][None], training=False)
        named = {name.replace("_gt1", "_gt"): maps[name][0].numpy() for name in heads}
        strips[place] = visualization.scale_strip(large[place]["crop"], named)
    return strips
