"""What does a conversion cost beyond checking every image once, and does its memory grow with the data set?

    python benchmarks/conversion.py --data "$MSPOSE_DATA/lspet" --json figures.json

Speed: `mspose convert lsp` on all images against a loop that reads each, decodes it once by OpenCV and writes its
bytes, with as many threads. Each run is a process of its own, in turns; ratios are medians of the rounds'.
Memory: the largest resident size of a process that writes 1,000, and of one that writes 100,000 persons, each with a
small photograph file, beside that of one that does nothing but load the converter, which needs no TensorFlow.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

LOOP, CONVERSION = "check and write", "conversion"
GOAL = 0.8
FILES = 64  # different photographs of the persons that are made up

Work = Callable[..., int]
Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="LSP Extended as downloaded")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--persons", type=int, nargs="+", default=[1_000, 100_000], help="for the memory")
    parser.add_argument("--json", type=Path, help="write all figures there")
    options = parser.parse_args()
    console = Console()
    speeds: dict[str, list[Figures]] = {LOOP: [], CONVERSION: []}
    for number in range(options.rounds):
        for name, work in ((LOOP, check_and_write), (CONVERSION, convert)):
            found = in_process(work, options.data)
            speeds[name].append(found)
            console.print(
                f"round {number + 1}  {name:16} {found['images_s']:6.0f} images/s by the clock", highlight=False
            )
    ratios = {
        kind: statistics.median(b[kind] / a[kind] for a, b in zip(speeds[LOOP], speeds[CONVERSION], strict=True))
        for kind in ("images_s", "images_cpu_s")
    }
    memory = {"the converter alone": in_process(nothing)["peak_mb"]}
    memory |= {f"{count:,} persons": in_process(write_persons, count)["peak_mb"] for count in options.persons}
    print_report(console, speeds, ratios, memory)
    if options.json:
        figures = {"runs": speeds, "ratios": ratios, "peak_mb": memory}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def check_and_write(source: Path, scratch: Path) -> int:
    """The least that a conversion can do: every image is read, decoded, and its bytes written."""
    import cv2

    cv2.setNumThreads(1)

    def checked(path: Path) -> bytes:
        data = path.read_bytes()
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None
        return data

    paths = sorted((source / "images").glob("*.jpg"))
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool, (scratch / "images").open("wb") as file:
        for start in range(0, len(paths), 64):
            for data in pool.map(checked, paths[start : start + 64]):
                file.write(data)
    return len(paths)


def convert(source: Path, scratch: Path) -> int:
    from tfrecords_tools import lsp

    records = lsp.convert(source, scratch / "records")
    return sum(split["persons"] for split in records.splits.values())


def nothing(scratch: Path) -> int:
    return 0


def write_persons(count: int, scratch: Path) -> int:
    """Persons that are made up, as a converter hands them on: their photographs are files."""
    from PIL import Image

    from keras_mspose.records import Person
    from keras_mspose.skeleton import LSP14
    from tfrecords_tools import writer

    generator = np.random.default_rng(0)
    paths = [scratch / f"{i}.jpg" for i in range(FILES)]
    for path in paths:
        Image.fromarray(generator.integers(0, 256, (64, 64, 3), np.uint8)).save(path, quality=50)

    def people() -> Iterator[tuple[str, Person]]:
        for i in range(count):
            keypoints = np.concatenate([generator.uniform(0, 63, (14, 2)), np.full((14, 1), 2.0)], axis=1)
            yield "train", Person(f"{i:06d}.jpg", keypoints, paths[i % FILES], person_id=i)

    about: dict[str, Any] = {"name": "made-up", "skeleton": LSP14, "metric": "pck", "source": "", "options": {}}
    return writer.write(people(), scratch / "records", **about).persons("train")


def in_process(work: Work, *arguments: Any) -> Figures:
    """Run in a process of its own, which has loaded what it needs before the clock starts."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    found = ours.recv()
    process.join()
    return found


def _run(connection: Connection, work: Work, arguments: tuple[Any, ...]) -> None:
    import cv2  # noqa: F401

    from tfrecords_tools import lsp  # noqa: F401

    with tempfile.TemporaryDirectory() as scratch:
        wall, cpu = time.perf_counter(), sum(os.times()[:4])  # with the process that reads the .mat file
        images = work(*arguments, Path(scratch))
        wall, cpu = time.perf_counter() - wall, sum(os.times()[:4]) - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    speeds = {"images_s": images / max(wall, 1e-9), "images_cpu_s": images / max(cpu, 1e-9)}
    connection.send({"images": images, **speeds, "peak_mb": peak})


def print_report(console: Console, speeds: dict[str, list[Figures]], ratios: Figures, memory: dict[str, float]) -> None:
    table = Table("", "images/s", "images/s of a core", "peak MB", title="Speed, medians", title_justify="left")
    for name, runs in speeds.items():
        kinds = ("images_s", "images_cpu_s", "peak_mb")
        table.add_row(name, *(f"{statistics.median(run[kind] for run in runs):.0f}" for kind in kinds))
    console.print(table)
    sizes = Table("", "peak MB", title="Memory", title_justify="left")
    for name, peak in memory.items():
        sizes.add_row(name, f"{peak:.0f}")
    console.print(sizes)
    console.print(
        f"{CONVERSION} / {LOOP}: {ratios['images_s']:.2f} by the clock, {ratios['images_cpu_s']:.2f} by CPU time "
        f"(goal {GOAL:g})"
    )


if __name__ == "__main__":
    main()
