"""What is in a record folder: counts, visibility and sizes as tables, and the persons as training will see them.

Pictures come after augmentation, with the left and the right of the person in their colours, because that is where
wrong flips, shifted labels and boxes that cut people off show.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from keras_mspose import geometry, person_truth, records, visualization
from keras_mspose.errors import MsposeError
from keras_mspose.result_file import check_writable, write_json
from tfrecords_tools import sheets

EDGES = tuple(round(32 * 2 ** (k / 2)) for k in range(-2, 15))  # of the histograms: 16, 23, 32, ... 4096 pixels
BAR = 12  # characters of a histogram's longest bar


@dataclass(frozen=True)
class SplitFacts:
    """What one split holds. Lengths in photograph pixels; each of three figures is (5 %, median, 95 %).

    Attributes:
        persons, images: how many.
        bytes: of the split's files.
        joints: by keypoint, how many are `visible`, `occluded`, `unlabelled`, and how many of the labelled ones lie
            `outside` of the photograph.
        labelled_mean: labelled keypoints a person.
        with_box, with_head_box: persons that have one.
        head_size_estimated: persons whose head size is the stand-in from neck and head top.
        without_reference: persons that the data set's metric cannot count.
        image_width, image_height, person_side: the last of the square about the labelled keypoints.
        person_sides, image_sides: how many persons by that side, and photographs by their longer side, in classes that
            reach from the number that names them to that of the next one.
    """

    persons: int
    images: int
    bytes: int
    joints: dict[str, dict[str, int]]
    labelled_mean: float
    with_box: int
    with_head_box: int
    head_size_estimated: int
    without_reference: int
    image_width: tuple[float, float, float]
    image_height: tuple[float, float, float]
    person_side: tuple[float, float, float]
    person_sides: dict[str, int]
    image_sides: dict[str, int]


def inspect(folder: Path, *, sheet: Path | None = None, json_path: Path | None = None, persons: int = 24) -> dict:
    """Print what a record folder holds and draw some of its persons.

    Args:
        folder: record folder.
        sheet: PNG to write; `FOLDER.png` beside the folder where None.
        json_path: where to write the figures as JSON too.
        persons: how many to draw; 0 draws none.

    Returns:
        The content of the JSON file: `name`, `metric`, `skeleton`, `source`, and `splits` as `SplitFacts`.

    Raises:
        MsposeError: not a record folder, a damaged shard, or a file that cannot be written.
    """
    check_writable(json_path)
    check_writable(sheet)
    data = records.RecordSet.load(folder)
    console = Console()
    found = {split: split_facts(data, split) for split in data.splits if data.splits[split]["persons"]}
    if not found:
        raise MsposeError(f"{folder}: no split has a person; convert again")
    _print(data, found, console)
    report = {
        "name": data.name,
        "metric": data.metric,
        "skeleton": data.skeleton.name,
        "source": data.source,
        "splits": {split: asdict(facts) for split, facts in found.items()},
    }
    if json_path:
        write_json(json_path, report)
    if persons:
        path = sheet or data.folder.resolve().with_name(f"{data.folder.resolve().name}.png")
        visualization.save_png(path, sheets.training_sheet(data, next(iter(found)), persons))
        console.print(f"drawn as labelled and as training sees them: {path}", highlight=False, soft_wrap=True)
    return report


def split_facts(data: records.RecordSet, split: str) -> SplitFacts:
    """Count one split by reading all of its records; photographs are not decoded.

    Raises:
        MsposeError: a shard is missing, damaged, or of another schema.
    """

    def facts(record: tf.Tensor) -> dict[str, tf.Tensor]:
        person = records.parse(record, len(data.skeleton))
        _, side = geometry.joints_box(person["keypoints"])
        kept = ("keypoints", "image_size", "box", "head_box", "image_name", "head_size_estimated")
        return {
            **{key: person[key] for key in kept},
            "side": side,
            "reference": person_truth.reference_length(person, data.metric, data.skeleton),
        }

    files = data.files(split)
    source = tf.data.TFRecordDataset(files, num_parallel_reads=1).map(facts, num_parallel_calls=tf.data.AUTOTUNE)
    with records.damage_named(data, split):
        batches = list(source.batch(512).as_numpy_iterator())
    all_ = {key: np.concatenate([b[key] for b in batches]) for key in batches[0]}
    keypoints, size = all_["keypoints"], all_["image_size"]
    visibility = keypoints[..., 2]
    outside = (visibility > 0) & ((keypoints[..., :2] < -0.5) | (keypoints[..., :2] > size[:, None] - 0.5)).any(-1)
    joints = {
        name: {
            "visible": int((visibility[:, k] == 2).sum()),
            "occluded": int((visibility[:, k] == 1).sum()),
            "unlabelled": int((visibility[:, k] == 0).sum()),
            "outside": int(outside[:, k].sum()),
        }
        for k, name in enumerate(data.skeleton.keypoints)
    }
    labelled = (visibility > 0).sum(axis=1)
    return SplitFacts(
        persons=len(keypoints),
        images=len(set(all_["image_name"])),
        bytes=sum(Path(f).stat().st_size for f in files),
        joints=joints,
        labelled_mean=float(labelled.mean()),
        with_box=int((all_["box"][:, 2] > 0).sum()),
        with_head_box=int((all_["head_box"] != 0).any(axis=1).sum()),
        head_size_estimated=int(all_["head_size_estimated"].sum()),
        without_reference=int((all_["reference"] <= 0).sum()),
        image_width=_spread(size[:, 0]),
        image_height=_spread(size[:, 1]),
        person_side=_spread(all_["side"][labelled > 1]),
        person_sides=_histogram(all_["side"][labelled > 1]),
        image_sides=_histogram(size[np.unique(all_["image_name"], return_index=True)[1]].max(axis=1)),
    )


def _spread(values: np.ndarray) -> tuple[float, float, float]:
    values = values[np.isfinite(values)]
    if not len(values):
        return (0.0, 0.0, 0.0)
    return tuple(float(v) for v in np.percentile(values, (5, 50, 95)))


def _histogram(values: np.ndarray) -> dict[str, int]:
    """Counts by the class's lower edge; what lies beyond the outermost edges is in the outermost classes."""
    counts, _ = np.histogram(np.clip(values, EDGES[0], EDGES[-1]), (*EDGES, np.inf))
    return {str(edge): int(count) for edge, count in zip(EDGES, counts, strict=True)}


def _print(data: records.RecordSet, found: dict[str, SplitFacts], console: Console) -> None:
    console.print(f"{data.folder}: {data.name}, {data.skeleton.name}, measured by {records.METRICS[data.metric]}")
    table = Table("", *found)
    rows = {
        "persons": lambda f: f"{f.persons:,}",
        "photographs": lambda f: f"{f.images:,}",
        "megabytes": lambda f: f"{f.bytes / 1e6:.1f}",
        "labelled keypoints a person": lambda f: f"{f.labelled_mean:.2f}",
        "persons with a box": lambda f: f"{f.with_box:,}",
        "persons with a head box": lambda f: f"{f.with_head_box:,}",
        "head size estimated": lambda f: f"{f.head_size_estimated:,}",
        f"not counted by {records.METRICS[data.metric]}": lambda f: f"{f.without_reference:,}",
        "photograph width, px": lambda f: _range(f.image_width),
        "photograph height, px": lambda f: _range(f.image_height),
        "person's square, px": lambda f: _range(f.person_side),
    }
    for name, say in rows.items():
        table.add_row(name, *(say(f) for f in found.values()))
    console.print(table)
    console.print("lengths: 5 % | median | 95 %")
    for split, facts in found.items():
        joints = Table("keypoint", "visible", "occluded", "unlabelled", "outside", title=f"split {split}")
        for name, counts in facts.joints.items():
            joints.add_row(name, *(f"{counts[c]:,}" for c in ("visible", "occluded", "unlabelled", "outside")))
        console.print(joints)
        console.print(_sizes(split, facts))


def _sizes(split: str, facts: SplitFacts) -> Table:
    columns = (facts.person_sides, facts.image_sides)
    filled = [i for i, edge in enumerate(EDGES) if any(counts[str(edge)] for counts in columns)]
    table = Table("pixels", "persons, by their square", "photographs, by their longer side", title=f"split {split}")
    for edge in EDGES[filled[0] : filled[-1] + 1] if filled else ():
        bars = []
        for counts in columns:
            length = round(BAR * counts[str(edge)] / max(1, *counts.values()))
            bars.append(f"{'#' * length:{BAR}} {counts[str(edge)]:,}")
        table.add_row(f"from {edge}", *bars)
    return table


def _range(values: tuple[float, float, float]) -> str:
    return " | ".join(f"{v:.0f}" for v in values)
