"""The figures of `mspose verify`, as tables on the terminal and as one HTML page."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from keras_mspose.report import template, tiny

LISTED = 12  # flipped persons that the terminal names; the JSON file and the page have all of them


def show(report: dict) -> None:
    """Print what was found."""
    console = Console(width=None if sys.stdout.isatty() else 130)
    if any(row["timed"] for row in report["files"]):
        _show_speed(report, console)
    keras = report["keras"][0]
    name = f"{keras['metric']}@{keras['threshold']:g}"
    title = f"{report['persons']} persons of {report['data']} {report['split']}, box {report['box']}; Keras has "
    title += ", ".join(f"{two(one['mean'])}{' with the flip test' * one['flip_test']}" for one in report["keras"])
    table = Table(title=f"{name}, {title}", title_justify="left")
    table.add_column("against Keras", overflow="fold")
    for column in ("mean px", "p99.9 px", "largest px", "flipped", "heatmaps", name, "lost", "verdict"):
        table.add_column(column, justify="right")
    for row in report["files"]:
        found = row["differences"]
        pixels = (tiny(found[key]) for key in ("mean_px", "p99_9_px", "largest_px"))
        heatmaps = "-" if found["heatmaps"] is None else tiny(found["heatmaps"])
        score = two(row["accuracy"]["mean"])
        lost = "-" if row["loss"] is None else f"{row['loss']:+.2f}"
        verdict = "good" if row["good"] else f"PAST LIMIT ({row['limit']})"
        table.add_row(label(row), *pixels, str(found["flipped"]), heatmaps, score, lost, verdict)
    console.print(table)
    _show_flips(report, console)


def label(row: dict) -> str:
    """A file's name, and the form where there are two of one file."""
    return {
        "savedmodel": f"SavedModel, {'photographs and boxes' if row['form'] == 'photographs' else 'crops'}",
        "tflite": f"TFLite {row['name']}",
        "onnx": f"ONNX {row['name']}",
    }[row["format"]]


def two(value: float | None) -> str:
    """Two digits; a dash where nothing was counted."""
    return "-" if value is None else f"{value:.2f}"


def render(report: dict) -> str:
    """One HTML page, without any address outside of it.

    Args:
        report: as `verify_run.verify_export` returns it.
    """
    slowest = max((one["median_ms"] for row in report["files"] for one in row["timed"].values()), default=1.0)
    rows = [{**row, "label": label(row)} for row in report["files"]]
    return template("verify.html").render(**{**report, "files": rows}, slowest=slowest)


def _show_speed(report: dict, console: Console) -> None:
    table = Table(title="one crop at a time, median (95th percentile) in milliseconds", title_justify="left")
    table.add_column("file", overflow="fold")
    for column in ("MB", "operations", "load ms", "1 thread", "2 threads"):
        table.add_column(column, justify="right")
    for row in (row for row in report["files"] if row["timed"]):
        one, two = row["timed"]["1"], row["timed"]["2"]
        times = (f"{t['median_ms']:.1f} ({t['p95_ms']:.1f})" for t in (one, two))
        load = f"{one['load_ms']:.0f}"
        table.add_row(label(row), f"{row['bytes'] / 1e6:.2f}", str(row["operations"]), load, *times)
    console.print(table)


def _show_flips(report: dict, console: Console) -> None:
    console.print(
        "Flipped: Keras's heatmap has two maxima that are equal but for the precision's rounding, and the file took "
        "the other one. Those are not in the pixels above; the JSON file has them with and without.",
        highlight=False,
    )
    for row in report["files"]:
        flips = row["differences"]["flips"]
        if flips:
            named = [f"{one['image']} {one['keypoint']} {one['moved_px']:.1f} px" for one in flips[:LISTED]]
            more = f", and {len(flips) - LISTED} more" if len(flips) > LISTED else ""
            console.print(f"{label(row)}: {', '.join(named)}{more}", highlight=False, style="dim")
