"""The report of `mspose evaluate --report`: a page that needs nothing beside itself, its pictures as PNG, its figures.

FOLDER/index.html     the page
FOLDER/report.json    every figure that it shows, at full precision
FOLDER/*.png          its charts, and `worst-01.png`, `random-01.png`, ...: the gallery
"""

from __future__ import annotations

import base64
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from keras_mspose import gallery, plots
from keras_mspose.evaluation import Evaluation
from keras_mspose.model import REGRESSION
from keras_mspose.occlusion import KINDS
from keras_mspose.records import RecordSet
from keras_mspose.report import data_uri, template
from keras_mspose.result_file import write_json, write_text
from keras_mspose.result_folder import claim, whole
from keras_mspose.saved_model import Facts

if TYPE_CHECKING:
    import keras

PAGE, FIGURES = "index.html", "report.json"
LENGTHS = {"pckh": "head size", "pck": "torso", "pck_box": "box"}


def check(out: Path, *, overwrite: bool) -> None:
    """See, before long work, that a report may be written.

    Raises:
        MsposeError: the folder is taken, or holds anything but an earlier report.
    """
    claim(
        out.resolve(),  # `.` has no name to write beside
        overwrite=overwrite,
        ours=lambda name: name in (PAGE, FIGURES) or name.endswith(".png"),
        index=FIGURES,
        what="reports of an evaluation",
    )


def write_report(
    out: Path,
    model: keras.Model,
    facts: Facts,
    data: RecordSet,
    found: Evaluation,
    figures: dict[str, Any],
    *,
    each: int = 12,
    seed: int = 0,
) -> Path:
    """Write the folder, whole or not at all; `check` says before whether it may be.

    Args:
        model: the training network that was measured, with all its heads.
        figures: what `mspose evaluate --json` writes, `analysis` among it.
        each: persons of either gallery.
        seed: of the random ones.

    Returns:
        Path of the page.

    Raises:
        MsposeError: the folder cannot be written.
    """
    analysis, metric = figures["analysis"], data.metric
    sizes = [f"{one['from']:.0f} to {one['to']:.0f} px" for one in analysis["by_size"]]
    leans = [one["lean"] for one in analysis["by_lean"]]
    activities = [one["activity"] for one in analysis["by_activity"]]
    charts = {
        "joints": plots.joints(found.accuracy, data.skeleton),
        "curves": plots.curves(analysis["curves"], metric),
        "reliability": plots.reliability(analysis["reliability"]),
        "left_right": plots.left_right(analysis["left_right"]),
        "by_size": plots.kinds(analysis["by_size"], sizes, metric),
    }
    if leans:
        charts["by_lean"] = plots.kinds(analysis["by_lean"], leans, metric)
    if activities:
        charts["by_activity"] = plots.kinds(analysis["by_activity"], activities, metric)
    shown = gallery.worst_and_random(found, data, each, seed)
    cards = gallery.draw_cards(model, facts, data, found, [one.place for one in shown])
    persons = [{**asdict(one), "picture": data_uri(cards[one.place])} for one in shown]
    sides = analysis["left_right"].values()
    swapped = sum(one["other_side"] for one in sides)
    page = template("evaluation.html").render(
        title=f"{figures['model']} on {data.name} {found.split}",
        how=described(found),
        length=LENGTHS[metric],
        found=found.accuracy,
        at_tenth=found.at_tenth,
        answer=found.answer,
        heads=found.heads,
        before=found.answer == REGRESSION,
        protocols=figures.get("protocols"),
        occlusion={
            kind: {"weighted_mean": one.weighted_mean, "scored": one.scored(data.skeleton)}
            for kind, one in found.visibility.items()
        },
        kinds=KINDS,
        choices=figures["choices"],
        charts={"by_activity": None, "by_lean": None, **{name: _png_uri(chart) for name, chart in charts.items()}},
        swapped=swapped,
        wrong=swapped + sum(one["elsewhere"] for one in sides),
        persons=persons,
    )
    with whole(out.resolve()) as partial:
        for name, chart in charts.items():
            (partial / f"{name}.png").write_bytes(chart)
        for group in ("worst", "random"):
            for number, one in enumerate((one for one in shown if one.group == group), 1):
                (partial / f"{group}-{number:02d}.png").write_bytes(_png(cards[one.place]))
        write_json(partial / FIGURES, {**figures, "persons": [asdict(one) for one in shown]})
        write_text(partial / PAGE, page)
    return out / PAGE


def described(found: Evaluation) -> str:
    """How an evaluation was made, in words."""
    parts = [f"Box {found.box}"]
    if found.looks > 1:
        parts.append(f"{found.looks} looks")
    if found.flip:
        parts.append("flip test")
    if len(found.scales) > 1 or found.scales[0] != 1:
        parts.append(f"persons at {', '.join(f'{scale:g}' for scale in found.scales)} of the usual size")
    return ", ".join(parts)


def _png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image[..., ::-1])[1].tobytes()


def _png_uri(chart: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(chart).decode()
