"""How near is the input pipeline to the JPEG decoder's limit? Images a second of one core, all ways in one run.

    python benchmarks/input_pipeline.py --data "$MSPOSE_DATA" --json figures.json

DATA holds `mpii/` and `lspet/` as downloaded. Each way runs in a process of its own, bound to one core; they take turns
for several rounds, and what is printed is the median. The rate is images over the process's CPU time, so that other
work on the machine does not count; ratios are medians of the rounds' ratios.

    limit     libjpeg-turbo alone, decoding the same bytes whole, by OpenCV, TensorFlow or simplejpeg, the fastest
    pipeline  `pipeline.training_batches`, default augmentation, 256 px
    plain     one worker of a lean OpenCV loader: decode whole, RGB, one warp, colours
    usual     one worker of a loader as hourglass repositories have it, with heatmaps

About three minutes on an idle machine; on standard error it says where it is.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import loaders
from PIL import Image
from rich.console import Console
from rich.table import Table

from keras_mspose.quiet import import_tensorflow
from keras_mspose.skeleton import MPII16
from tfrecords_tools import lsp, mpii, mpii_mat, writer
from tfrecords_tools.cropping import Crop

WHOLE, CROPS, LSPET = "whole photographs", "person crops", "LSP-extended"
STARTED = time.perf_counter()
GOALS = {WHOLE: (0.9, "limit", WHOLE), CROPS: (10.0, "plain", WHOLE)}
# glibc otherwise hands the pixels of every photograph back to the system and asks for them anew, which doubles
# OpenCV's time: the limit and the loaders we compare with are to be at their best.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with mpii/ and lspet/ in it")
    parser.add_argument("--persons", type=int, default=320, help="records of each kind (default 320)")
    parser.add_argument("--margin", type=float, default=1.5, help="of the person crops (default 1.5)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each way in each round")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="to measure on")
    parser.add_argument("--json", type=Path, help="write all figures there")
    options = parser.parse_args()
    os.environ.update(MALLOC)
    import_tensorflow()
    console = Console(width=None if sys.stdout.isatty() else 110)
    with tempfile.TemporaryDirectory() as scratch:
        say("writing records")
        folders = write_records(options, Path(scratch))
        for folder in folders.values():
            loaders.write_list(folder)
        sizes = {name: describe(folder) for name, folder in folders.items()}
        rates, all_cores, shares = measure(options, folders)
    report = summary(rates)
    print_report(console, report, sizes, shares, all_cores)
    if options.json:
        figures = {"records": sizes, "stages_ms": shares, "all_cores": all_cores, "rounds": _flat(rates), **report}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def write_records(options: argparse.Namespace, scratch: Path) -> dict[str, Path]:
    """The same persons as whole photographs and as crops, and LSP-extended."""
    source = options.data / "mpii"
    found, _ = mpii_mat.read(source / mpii.MAT_NAME, source / "images")
    people = [
        person
        for split, person in found
        if split != "test" and person.image.is_file() and Image.open(person.image).size == (1280, 720)
    ]
    people = (people * (options.persons // len(people) + 1))[: options.persons]
    about = {"name": "mpii", "skeleton": MPII16, "metric": "pckh", "source": str(source), "options": {}}
    for name, crop in (("whole", None), ("crops", Crop(loaders.SIZE, options.margin))):
        writer.write((("train", person) for person in people), scratch / name, crop=crop, **about)
    lsp.convert(options.data / "lspet", scratch / "lspet", split=f"1-{options.persons}:train")
    return {WHOLE: scratch / "whole", CROPS: scratch / "crops", LSPET: scratch / "lspet"}


def describe(folder: Path) -> dict[str, Any]:
    import cv2

    people = loaders.load(folder)[0]
    pixels = [cv2.imdecode(one.jpeg, cv2.IMREAD_COLOR).shape for one in people]
    return {
        "records": len(people),
        "kilobytes": statistics.mean(len(one.jpeg) for one in people) / 1000,
        "width": statistics.median(shape[1] for shape in pixels),
        "height": statistics.median(shape[0] for shape in pixels),
        "person_px": statistics.median(one.side for one in people),
    }


Rates = dict[tuple[str, str], list[float]]


def measure(
    options: argparse.Namespace, folders: dict[str, Path]
) -> tuple[Rates, dict[str, float], dict[str, dict[str, float]]]:
    """Images a CPU second of every (way, records) in every round; by the clock with all cores for the pipeline; and
    where the pipeline's time goes."""
    decoders = {"opencv": loaders.opencv_decoding, "tensorflow": loaders.tensorflow_decoding}
    if find_spec("simplejpeg"):
        decoders["simplejpeg"] = loaders.simplejpeg_decoding
    ways = {**decoders, "pipeline": loaders.our_pipeline, "plain": loaders.plain_loader, "usual": loaders.usual_loader}
    running = {}
    for name, folder in folders.items():
        for way, make in ways.items():
            say(f"starting {way}, {name}")
            running[way, name] = start(loaders.serve, make, folder, options.core)
            running[way, name].recv()
    rates: Rates = {key: [] for key in running}
    for number in range(options.rounds):
        say(f"round {number + 1} of {options.rounds}")
        for key, connection in running.items():
            connection.send(options.seconds)
            images, _, cpu = connection.recv()
            rates[key].append(images / cpu)
    shares = {}
    for name in folders:
        say(f"stages, {name}")
        running["pipeline", name].send(loaders.STAGES)
        shares[name] = running["pipeline", name].recv()
    for connection in running.values():
        connection.send(0)
    for name in folders:
        rounds = zip(*(rates.pop((way, name)) for way in decoders), strict=True)
        rates["limit", name] = [max(each) for each in rounds]
    all_cores = {}
    for name, folder in folders.items():
        say(f"pipeline with all cores, {name}")
        connection = start(loaders.serve, loaders.our_pipeline, folder, None)
        connection.recv()
        connection.send(3 * options.seconds)
        images, wall, _ = connection.recv()
        connection.send(0)
        all_cores[name] = images / wall
    return rates, all_cores, shares


def say(what: str) -> None:
    """Where the run is, on standard error."""
    print(f"{time.perf_counter() - STARTED:4.0f} s  {what}", file=sys.stderr, flush=True)


def start(target: Any, *arguments: Any) -> Any:
    """A process that answers through the connection returned. It ends when told to, and with this one at the latest."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    context.Process(target=target, args=(theirs, *arguments), daemon=True).start()
    theirs.close()
    return ours


def summary(rates: Rates) -> dict[str, Any]:
    def ratio(one: tuple[str, str], other: tuple[str, str]) -> float:
        return statistics.median(a / b for a, b in zip(rates[one], rates[other], strict=True))

    table = {
        name: {
            way: {
                "images_per_core_second": statistics.median(rates[way, name]),
                "of_limit": ratio((way, name), ("limit", name)),
                "of_plain_on_whole": ratio((way, name), ("plain", WHOLE)),
                "of_usual_on_whole": ratio((way, name), ("usual", WHOLE)),
            }
            for way in ("limit", "pipeline", "plain", "usual")
        }
        for name in (WHOLE, CROPS, LSPET)
    }
    goals = {
        name: {"goal": goal, "over": f"{way}, {other}", "found": ratio(("pipeline", name), (way, other))}
        for name, (goal, way, other) in GOALS.items()
    }
    return {"rates": table, "goals": goals}


def print_report(
    console: Console,
    report: dict[str, Any],
    sizes: dict[str, dict[str, float]],
    shares: dict[str, dict[str, float]],
    all_cores: dict[str, float],
) -> None:
    kinds = Table("records", "mean KB", "median px", "person px", title="What is read", title_justify="left")
    for name, size in sizes.items():
        kinds.add_row(
            name, f"{size['kilobytes']:.0f}", f"{size['width']:g} x {size['height']:g}", f"{size['person_px']:.0f}"
        )
    console.print(kinds)
    columns = ("records", "way", "images/s/core", "of limit", "of plain, whole", "of usual, whole")
    table = Table(*columns, title="Images a second of one core", title_justify="left")
    for name, ways in report["rates"].items():
        for way, found in ways.items():
            rate, *ratios = found.values()
            table.add_row(name, way, f"{rate:.0f}", *(f"{one:.2f}" for one in ratios))
        table.add_section()
    console.print(table)
    stage_table = Table(
        "ms of one core an image", *shares, title="Where the pipeline's time goes", title_justify="left"
    )
    for stage in next(iter(shares.values())):
        cells = []
        for found in shares.values():
            cells.append(f"{found[stage]:.2f} ({100 * found[stage] / sum(found.values()):.0f} %)")
        stage_table.add_row(stage, *cells)
    console.print(stage_table)
    cores = len(os.sched_getaffinity(0))
    console.print(f"pipeline with all {cores} cores, by the clock: ", end="")
    console.print(", ".join(f"{rate:.0f} images/s of {name}" for name, rate in all_cores.items()))
    for name, found in report["goals"].items():
        console.print(f"{name}: {found['found']:.2f} times {found['over']} (goal {found['goal']:g})")


def _flat(rates: Rates) -> dict[str, list[float]]:
    return {f"{way}, {name}": values for (way, name), values in rates.items()}


if __name__ == "__main__":
    main()
