"""What the command line prints: tables of accuracy and of cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from keras_mspose.metrics import Accuracy
from keras_mspose.occlusion import KINDS
from keras_mspose.skeleton import Skeleton

if TYPE_CHECKING:
    from keras_mspose.info import Cost  # which loads TensorFlow, and `mspose score` does without

console = Console()


def print_accuracy(found: Accuracy, title: str) -> None:
    """Two tables: the reporting groups with the total, as in the paper's Table 1; and every keypoint."""
    name = f"{found.metric}@{found.threshold:g}"
    counted = f"{found.persons['counted']} of {found.persons['all']} persons counted"
    table = Table(title=f"{name}, {title} ({counted})", title_justify="left")
    for column in (*found.groups, "Total, pooled", "Mean of joints"):
        table.add_column(column, justify="right")
    table.add_row(*(_percent(v) for v in (*found.groups.values(), found.weighted_mean, found.mean)))
    console.print(table)
    joints = Table("keypoint", "right %", "labelled")
    for keypoint, percent in found.joints.items():
        joints.add_row(keypoint, _percent(percent), str(found.counts[keypoint]))
    console.print(joints)


def print_occlusion(found: dict[str, Accuracy], skeleton: Skeleton) -> None:
    """One row a scored keypoint and the pooled total, for visible keypoints, occluded ones, and those of them that
    have a visible neighbour."""
    table = Table("keypoint", title="by visibility, right % (of how many)", title_justify="left")
    for kind in found:
        table.add_column(KINDS[kind], justify="right")
    for i in skeleton.scored_indices:
        name = skeleton.keypoints[i]
        table.add_row(name, *(f"{_percent(one.joints[name])} ({one.counts[name]})" for one in found.values()))
    counts = [sum(one.counts[skeleton.keypoints[i]] for i in skeleton.scored_indices) for one in found.values()]
    totals = (f"{_percent(one.weighted_mean)} ({n})" for one, n in zip(found.values(), counts, strict=True))
    table.add_row("total, pooled", *totals, end_section=True)
    console.print(table)


def print_heads(heads: dict[str, Accuracy], answer: str) -> None:
    """One row a supervised head, so that one sees what each scale, each stack and the regression reach."""
    table = Table("head", "Mean of joints", "Total, pooled", title="every supervised head", title_justify="left")
    for name, found in heads.items():
        mark = " (the answer)" if name == answer else ""
        table.add_row(name + mark, _percent(found.mean), _percent(found.weighted_mean))
    console.print(table)


def print_choices(choices: dict[tuple[str, bool], Accuracy]) -> None:
    """One row a way of reading heatmaps, with its gain over the plainest: the peak's pixel, without flip test."""
    table = Table(
        "decoding", "flip test", "Mean of joints", "gain", title="reading the same heatmaps", title_justify="left"
    )
    plainest = choices["argmax", False].mean
    for (decoding, flip), found in choices.items():
        table.add_row(decoding, "yes" if flip else "no", _percent(found.mean), f"{found.mean - plainest:+.2f}")
    console.print(table)


def print_cost(name: str, found: Cost, batch: int) -> None:
    """Parameters, GFLOPs, outputs and the memory of a training step."""
    table = Table("", "training", "inference", title=f"preset {name}", title_justify="left")
    table.add_row("parameters", f"{found.parameters:,}", f"{found.inference_parameters:,}")
    table.add_row("GFLOP an image, forward", f"{found.gflops:.2f}", f"{found.inference_gflops:.2f}")
    console.print(table)
    outputs = Table("output", "height", "width", "keypoints")
    for head, size in found.outputs.items():
        outputs.add_row(head, *(str(s) for s in size))
    console.print(outputs)
    gib = found.training_bytes(batch) / 2**30
    console.print(f"training step of {batch} images, float32: {gib:.2f} GiB by calculation")


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
