"""What the command line prints: tables of accuracy and of cost; and tables of pages."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from keras_mspose.metrics import Accuracy
from keras_mspose.occlusion import KINDS
from keras_mspose.protocols import PROTOCOLS, Score
from keras_mspose.skeleton import Skeleton

if TYPE_CHECKING:
    from keras_mspose.evaluation import Choice, Evaluation
    from keras_mspose.info import Cost  # both load TensorFlow, and `mspose score` does without

console = Console()


def markdown_table(head: list[str], rows: list[list[str]]) -> str:
    """A table for a page."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def print_accuracy(found: Accuracy, title: str) -> None:
    """Two tables: the reporting groups with the total, as in the paper's Table 1; and every keypoint."""
    name = f"{found.metric}@{found.threshold:g}"
    counted = f"{found.persons['counted']} of {found.persons['all']} persons counted"
    table = Table(title=f"{name}, {title} ({counted})", title_justify="left")
    for column in (*found.groups, "Total", "Mean"):
        table.add_column(column, justify="right")
    table.add_row(*(_percent(v) for v in (*found.groups.values(), found.weighted_mean, found.mean)))
    console.print(table)
    console.print("Total: pooled over the joints; Mean: of the joints, unweighted")
    joints = Table("keypoint", "right %", "labelled")
    for keypoint, percent in found.joints.items():
        joints.add_row(keypoint, _percent(percent), str(found.counts[keypoint]))
    console.print(joints)


def print_occlusion(found: dict[str, Accuracy], skeleton: Skeleton) -> None:
    """One row a scored keypoint and the pooled total, for visible keypoints, occluded ones, and those of them that
    have a visible neighbour."""
    first = next(iter(found.values()))
    title = f"by visibility, {first.metric}@{first.threshold:g}, right % (of how many)"
    table = Table("keypoint", title=title, title_justify="left")
    for kind in found:
        table.add_column(KINDS[kind], justify="right")
    for i in skeleton.scored_indices:
        name = skeleton.keypoints[i]
        table.add_row(name, *(f"{_percent(one.joints[name])} ({one.counts[name]})" for one in found.values()))
    counts = [one.scored(skeleton) for one in found.values()]
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


def print_protocols(scores: dict[str, Score]) -> None:
    """The same predictions by each protocol side by side, and the rules in which they differ."""
    table = Table("protocol", "Head", "quoted mean", "unweighted", "pooled", "PCKh@0.1", 'its "0.1"')
    for name, one in scores.items():
        found = one.accuracy
        values = (found.groups["Head"], one.mean, found.mean, found.weighted_mean, one.at_tenth, one.called_tenth)
        table.add_row(name, *(_percent(v) for v in values))
    console.print(table)
    for name in scores:
        console.print(f"{name}: {PROTOCOLS[name].rules}")


def print_findings(found: Evaluation, analysis: dict[str, Any]) -> None:
    """What `analysis.analyse` says in three lines; the report has the rest."""
    fine = found.at_tenth
    tenth = (
        f"; {fine.metric}@0.1: mean of joints {_percent(fine.mean)}, total {_percent(fine.weighted_mean)}"
        if fine
        else ""
    )
    console.print(f"area under the curve up to {found.accuracy.threshold:g}: {_percent(found.accuracy.auc)}{tenth}")
    sides = analysis["left_right"].values()
    swapped = sum(one["other_side"] for one in sides)
    wrong = swapped + sum(one["elsewhere"] for one in sides)
    if wrong:
        console.print(
            f"of {wrong} wrong left or right joints {swapped} ({swapped / wrong:.1%}) are right on the other side"
        )
    error = analysis["reliability"]["expected_error"]
    if error is not None:
        console.print(f"scores are {error:.2f} points off the share of right joints (expected calibration error)")


def print_choices(choices: dict[Choice, Accuracy]) -> None:
    """One row a way of reading heatmaps, with its gain over the plainest: the peak's pixel, of one pass."""
    columns = ("decoding", "flip test", "sizes of the person", "Mean of joints", "gain")
    table = Table(*columns, title="reading heatmaps", title_justify="left")
    plainest = next(iter(choices.values())).mean
    for choice, found in choices.items():
        sizes = ", ".join(f"{scale:g}" for scale in choice.scales)
        gain = "-" if math.isnan(found.mean) else f"{found.mean - plainest:+.2f}"
        table.add_row(choice.decoding, "yes" if choice.flip else "no", sizes, _percent(found.mean), gain)
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
