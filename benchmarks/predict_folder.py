"""How well `mspose predict` keeps the cores busy over a folder: CPU seconds of its stages one after the other, then the
command itself.

    python benchmarks/predict_folder.py exports/lsp photographs --count 1000

Ratio: the stages' summed CPU seconds divided by cores, over the command's wall-clock seconds; 1 is a command that does
nothing but its stages and never waits. Other work on the machine lowers it; `idle` says how much of the cores' time
nobody used while the command ran.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_mspose import photograph_work
from keras_mspose.photograph_work import Choices
from keras_mspose.pose_estimator import PoseEstimator, opened
from keras_mspose.prediction_inputs import PHOTOGRAPHS
from keras_mspose.prediction_run import predict_files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="as for mspose predict")
    parser.add_argument("folder", type=Path, help="of photographs; where they are fewer, they are taken again")
    parser.add_argument("--count", type=int, default=1000, help="photographs (default %(default)s)")
    parser.add_argument("--pictures", choices=("png", "jpg"), default="png")
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as scratch:
        photographs = copied(options.folder, Path(scratch, "photographs"), options.count)
        seconds = stages(PoseEstimator.load(options.model, threads=1), photographs, Path(scratch), options.pictures)
        for name, spent in seconds.items():
            print(f"{name:8} {spent:8.2f} CPU s   {1000 * spent / len(photographs):7.2f} ms a photograph")
        before, started, cpu = idle_seconds(), time.monotonic(), time.process_time()
        predict_files(options.model, [Path(scratch, "photographs")], Path(scratch, "out"), pictures=options.pictures)
        wall, used, idle = time.monotonic() - started, time.process_time() - cpu, idle_seconds() - before
    total = sum(seconds.values())
    print(f"stages {total:.2f} CPU s on {cores} cores; command {wall:.2f} s by the clock, {used:.2f} CPU s")
    print(
        f"ratio {total / cores / wall:.3f} (1 / {wall * cores / total:.3f}); idle {idle / cores / wall:.1%} of the cores"
    )
    print(f"had the command had the cores to itself: at most {total / (used + idle):.3f}")


def copied(folder: Path, to: Path, count: int) -> list[Path]:
    """`count` photographs in a folder of their own."""
    to.mkdir()
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in PHOTOGRAPHS)
    for i in range(count):
        source = found[i % len(found)]
        shutil.copyfile(source, to / f"{i:05d}{source.suffix.lower()}")
    return sorted(to.iterdir())


def stages(estimator: PoseEstimator, photographs: list[Path], scratch: Path, pictures: str) -> dict[str, float]:
    """CPU seconds of each stage, in one thread."""
    spent: dict[str, float] = dict.fromkeys(("decode", "find", "draw", "write"), 0.0)

    def timed(stage: str, work: Callable[..., Any], *arguments: Any) -> Any:
        started = time.process_time()
        result = work(*arguments)
        spent[stage] += time.process_time() - started
        return result

    for path in photographs:
        photograph = timed("decode", opened, path)
        timed("decode", photograph.pixels)
        # decodes again, smaller, where the crop is smaller than the photograph
        poses = timed("find", photograph_work.find, estimator, photograph, path, Choices())
        image = timed("draw", photograph_work.draw, photograph, poses)
        timed("write", photograph_work.write, scratch / f"drawn.{pictures}", image)
    return spent


def idle_seconds() -> float:
    """Of all cores since the machine started, that nobody used."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
