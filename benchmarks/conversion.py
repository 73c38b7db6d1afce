"""What does a conversion cost beyond checking every image once, and does its memory grow with the data set?

    python benchmarks/conversion.py --data "$MSPOSE_DATA/lspet" --json figures.json

Speed: `mspose convert lsp` on all images against a loop that reads each, decodes it once by OpenCV and writes its bytes,
with as many threads. Both run in processes of their own, in turns, for several rounds; ratios are medians.
Memory: the largest resident size of a process that writes 1,000, and one that writes 100,000 persons, each with a
photograph file of 64 x 64 pixels, over that of one that has but loaded TensorFlow.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

from rich.console import Console

FILES = 64  # different photographs of the persons that are made up
GOAL = 0.8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="LSP Extended as downloaded")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--persons", type=int, nargs="+", default=[1_000, 100_000], help="of the memory's measurement")
    parser.add_argument("--json", type=Path, help="write all figures there")
    options = parser.parse_args()
    speeds: dict[str, list[dict[str, float]]] = {"check and write": [], "conversion": []}
    for number in range(options.rounds):
        for name, work in (("check and write", check_and_write), ("conversion", convert)):
            speeds[name].append(in_process(work, options.data))
            print(f"round {number + 1}: {name} {speeds[name][-1]}", flush=True)
    idle = in_process(load_only)["peak_mb"]
    memory = {count: in_process(write_persons, count) for count in options.persons}
    found = {"speed": speeds, "ratios": ratios(speeds), "idle_peak_mb": idle, "memory": memory}
    print_report(Console(), found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def ratios(speeds: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    """Speed of the conversion over that of the loop, by the clock and by the processors' time."""
    pairs = list(zip(speeds["check and write"], speeds["conversion"], strict=True))
    return {
        kind: statistics.median(
            loop[kind] / images["images"] * ours["images"] / ours[kind] for loop, ours, images in three
        )
        for kind in ("seconds", "cpu_seconds")
        for three in [[(loop, ours, loop) for loop, ours in pairs]]
    }
