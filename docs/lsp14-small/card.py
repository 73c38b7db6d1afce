"""Write the figures of `joints.json`, `image.json` and `verify.json` beside this file into README.md: `python card.py`.

A table stands between `<!-- NAME -->` and `<!-- end -->`; what lies outside of these is written by hand.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from export.verify_page import label, two
from keras_mspose.report import tiny
from keras_mspose.tables import markdown_table as table

FOLDER = Path(__file__).parent
PAGE = FOLDER / "README.md"


def how(figures: dict[str, Any]) -> str:
    """How a measurement was made, in words."""
    box = {"joints": "box about the joints", "image": "whole image"}[figures["box"]]
    looks = f", {figures['looks']} looks" if figures["looks"] > 1 else ""
    sizes = f", sizes {' '.join(f'{scale:g}' for scale in figures['scales'])}" if figures["scales"] != [1.0] else ""
    return f"{box}{looks}{sizes}{', flip test' if figures['flip'] else ''}"


def accuracy(measured: list[dict[str, Any]]) -> str:
    """PCK by group."""
    groups = list(measured[0]["groups"])
    rows = [
        [
            how(one),
            *(f"{one['groups'][g]:.2f}" for g in groups),
            f"{one['weighted_mean']:.2f}",
            f"**{one['mean']:.2f}**",
        ]
        for one in measured
    ]
    return table(["PCK@0.2", *groups, "Total", "Mean"], rows)


def heads(joints: dict[str, Any]) -> str:
    """PCK of every supervised head."""
    rows = [[name, f"{one['mean']:.2f}"] for name, one in joints["heads"].items()]
    return table(["head", "Mean"], rows)


def kinds(joints: dict[str, Any]) -> str:
    """Accuracy by the person's size and the turn of the body."""
    analysis = joints["analysis"]
    named = [(f"{one['from']:.0f} to {one['to']:.0f} px", one) for one in analysis["by_size"]]
    named += [(one["lean"], one) for one in analysis["by_lean"]]
    rows = [[name, str(one["persons"]), f"{one['right']:.1f}", f"{one['median']:.3f}"] for name, one in named]
    return table(["persons", "counted", "joints right, %", "median error, torsos"], rows)


def scores(joints: dict[str, Any]) -> str:
    """Share of right joints by score."""
    bins = joints["analysis"]["reliability"]["bins"]
    return table(["score, %", "joints right, %"], [[f"{one['score']:.0f}", f"{one['right']:.0f}"] for one in bins])


def sides(joints: dict[str, Any]) -> str:
    """How many mistakes are of the side alone."""
    found = joints["analysis"]["left_right"].values()
    other = sum(one["other_side"] for one in found)
    wrong = other + sum(one["elsewhere"] for one in found)
    return (
        f"Of {wrong:,} wrong joints that have a left and a right, {other:,} ({100 * other / wrong:.0f} %) lie where\n"
        "the same joint of the other side is labelled."
    )


def exports(verify: dict[str, Any]) -> str:
    """Size, speed and accuracy of every exported file."""
    rows = []
    for row in verify["files"]:
        times = [f"{t['median_ms']:.1f} ({t['p95_ms']:.1f})" for t in (row["timed"].get(n) for n in "12") if t]
        found = row["differences"]
        cells = [f"{row['bytes'] / 1e6:.2f}", *(times or ["-", "-"]), tiny(found["p99_9_px"]), str(found["flipped"])]
        rows.append([label(row), *cells, two(row["accuracy"]["mean"]), f"{row['loss']:+.2f}"])
    head = ["file", "MB", "1 thread, ms", "2 threads, ms", "p99.9, px", "flipped", "PCK@0.2", "lost"]
    return table(head, rows)


def filled(page: str, blocks: dict[str, str]) -> str:
    """The page with its blocks replaced.

    Raises:
        KeyError: the page has a block that is not given.
    """

    def block(match: re.Match) -> str:
        return f"<!-- {match[1]} -->\n{blocks[match[1]]}\n<!-- end -->"

    return re.sub(r"<!-- (\w+) -->\n.*?<!-- end -->", block, page, flags=re.S)


def main() -> None:
    """Read the figures and write the page."""
    joints, image, verify = (
        json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")) for name in ("joints", "image", "verify")
    )
    blocks = {
        "accuracy": accuracy([joints, image]),
        "heads": heads(joints),
        "kinds": kinds(joints),
        "scores": scores(joints),
        "sides": sides(joints),
        "exports": exports(verify),
    }
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), blocks), encoding="utf-8")


if __name__ == "__main__":
    main()
