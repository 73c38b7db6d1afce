"""The charts of an evaluation's report as PNG, for pages and for slides alike. Loads no TensorFlow."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from keras_mspose.metrics import Accuracy
from keras_mspose.skeleton import Skeleton
from keras_mspose.visualization import SIDES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 144
WIDTH = 7.2  # inches
GREY, RED = "#8a8f96", "#c0392b"
# Okabe and Ito's colours again, and dashes, so that eight lines are told apart without hue
LINES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7a6a00", "#000000")
LENGTHS = {"pckh": "head sizes", "pck": "torso lengths", "pck_box": "box sides"}
DASHES = ("-", "--", "-.", ":")


def curves(found: dict[str, Any], metric: str) -> bytes:
    """Right joints over the threshold, a line a reporting group; see `analysis.curves`."""
    figure, axes = _axes(4.6)
    for number, (name, line) in enumerate(found["lines"].items()):
        last = name == "Total"
        style = {"color": "#000000", "lw": 2.6} if last else {"color": LINES[number % 7], "lw": 1.6}
        axes.plot(found["thresholds"], line, DASHES[0 if last else number % 4], label=name, **style)
    axes.set(xlabel=f"threshold, in {LENGTHS[metric]}", ylabel="right, %", ylim=(0, 100))
    axes.set_xlim(0, found["thresholds"][-1])
    axes.xaxis.set_major_formatter("{x:g}")
    axes.legend(frameon=False, ncols=2, loc="upper left", fontsize=8)
    return _png(figure)


def joints(found: Accuracy, skeleton: Skeleton) -> bytes:
    """Right ones of every keypoint, as bars in the colour of its side."""
    names = list(found.joints)
    figure, axes = _axes(0.28 * len(names) + 1.0)
    colours = ["#{:02x}{:02x}{:02x}".format(*SIDES[skeleton.side(name)]) for name in names]
    values = [found.joints[name] for name in names]
    bars = axes.barh([_words(name) for name in names], values, color=colours)
    axes.bar_label(bars, [f"{v:.1f}" if v == v else "none labelled" for v in values], padding=3, fontsize=8)
    axes.axvline(found.mean, color=GREY, lw=1, ls="--", zorder=0)
    axes.set(xlabel=f"right, % ({found.metric}@{found.threshold:g}; dashed: mean of joints)", xlim=(0, 109))
    axes.set_xticks(range(0, 101, 20))
    axes.invert_yaxis()
    return _png(figure)


def left_right(found: dict[str, dict[str, int]]) -> bytes:
    """Of keypoints with a left and a right: right, right on the other side, or wrong; see `analysis.left_right`."""
    figure, axes = _axes(0.28 * len(found) + 1.2)
    names = [_words(name) for name in found]
    totals = [max(1, sum(one.values())) for one in found.values()]
    start = [0.0] * len(names)
    parts = (
        ("right", LINES[2], "right"),
        ("other_side", RED, "right on the other side"),
        ("elsewhere", "#c9cdd2", "wrong"),
    )
    for key, colour, label in parts:
        shares = [100 * one[key] / total for one, total in zip(found.values(), totals, strict=True)]
        bars = axes.barh(names, shares, left=start, color=colour, label=label)
        if key == "other_side":
            axes.bar_label(
                bars, [f"{v:.1f}" if v >= 2 else "" for v in shares], label_type="center", fontsize=7, color="w"
            )
        start = [a + b for a, b in zip(start, shares, strict=True)]
    axes.set(xlabel="labelled joints, %", xlim=(0, 100))
    axes.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=8)
    axes.invert_yaxis()
    return _png(figure)


def kinds(found: list[dict[str, Any]], names: list[str], metric: str) -> bytes:
    """Right joints and the median distance of several kinds of persons, side by side; see `analysis.by_size`."""
    figure, axes = _axes(0.34 * len(found) + 1.1, panels=2)
    labels = [f"{name}  (n = {one['persons']})" for name, one in zip(names, found, strict=True)]
    for ax, key, label in zip(
        axes, ("right", "median"), ("right, %", f"median distance, in {LENGTHS[metric]}"), strict=True
    ):
        values = [float("nan") if one[key] is None else one[key] for one in found]
        bars = ax.barh(labels, values, color=LINES[0] if key == "right" else LINES[1])
        ax.bar_label(bars, [f"{v:.1f}" if key == "right" else f"{v:.2f}" for v in values], padding=3, fontsize=8)
        ax.set_xlabel(label)
        ax.margins(x=0.18)
        ax.locator_params(axis="x", nbins=6)
        ax.invert_yaxis()
    axes[1].tick_params(labelleft=False)
    return _png(figure)


def reliability(found: dict[str, Any]) -> bytes:
    """Share of right joints over the score, beside the line where both are the same; see `analysis.reliability`."""
    figure, axes = _axes(4.4, width=5.0)
    axes.plot([0, 100], [0, 100], color=GREY, lw=1, ls="--", label="score = share of right joints")
    score, right = ([one[key] for one in found["bins"]] for key in ("score", "right"))
    axes.plot(score, right, "o-", color=LINES[0], label=f"{len(score)} bins of as many joints")
    error = found["expected_error"]
    axes.set(xlabel="score, %", ylabel="right, %", xlim=(0, 100), ylim=(0, 100), aspect="equal")
    axes.set_title(f"off by {error:.1f} points in the mean" if error is not None else "", fontsize=9)
    axes.legend(frameon=False, loc="lower right", fontsize=8)
    return _png(figure)


def _axes(height: float, *, panels: int = 1, width: float = WIDTH) -> tuple[Any, Axes | Any]:
    from matplotlib.figure import Figure  # not pyplot, which keeps figures and asks for a display

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    found = figure.subplots(1, panels)
    for axes in [found] if panels == 1 else found:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=8)
    return figure, found


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white")
    return buffer.getvalue()


def _words(name: str) -> str:
    return name.replace("_", " ")
