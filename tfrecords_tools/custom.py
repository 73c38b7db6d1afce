"""Anyone's own keypoints, of persons, hands, animals or things: a table, a skeleton and photographs.

    SOURCE/persons.csv or persons.jsonl   one person a line
    SOURCE/skeleton.yaml or .json         name, keypoints, flip_pairs, limbs and the rest of `Skeleton`
    SOURCE/images/                        the photographs

docs/own-data.md shows the form. Pixels count from 0, the pixel's centre at the integer; from 1 where the caller says
so. A box is left, top, width and height of the pixels that it covers.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from keras_mspose.errors import MsposeError
from keras_mspose.records import METRICS, Person, RecordSet
from keras_mspose.skeleton import Skeleton
from tfrecords_tools import skeleton_file, writer
from tfrecords_tools.custom_form import Row, read
from tfrecords_tools.custom_person import person_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

PERSONS_NAMES = ("persons.csv", "persons.jsonl")
Found = list[tuple[Row, str | None, Person]]  # row, split that it names, person


def convert(
    source: Path,
    out: Path,
    *,
    persons: Path | None = None,
    skeleton: Path | None = None,
    images: Path | None = None,
    one_based: bool = False,
    val_share: float | None = None,
    seed: int = 0,
    metric: str | None = None,
    **how: Unpack[writer.How],
) -> RecordSet:
    """Convert one's own keypoints to a record folder.

    Persons without any labelled keypoint are left out and counted, but for the split `test`, where a box is enough.

    Args:
        source: folder with the persons, the skeleton and `images`.
        out: the record folder to make.
        persons, skeleton, images: files and folder elsewhere; `skeleton` may be the name of a known one.
        one_based: pixels count from 1.
        val_share: share of the photographs, with all persons on them, that is drawn for the split `val`; for files
            that name no splits.
        seed: of that draw.
        metric: `pckh`, `pck` or `pck_box`; by default the first that the data allows: PCKh where persons have a head
            size or the skeleton a head, PCK where it has a torso, else the distance over the side of the person's box.
        how: `skip_bad`, `overwrite`, `crop`, `workers`, see `writer.write`.

    Raises:
        MsposeError: a file is missing or of another form, with line and field; or what `writer.write` refuses.
    """
    source = Path(source)
    if not source.is_dir():
        raise MsposeError(f"{source}: no such folder; give the one that holds persons.csv, skeleton.yaml and images/")
    table = Path(persons) if persons else _only(source, PERSONS_NAMES, "--persons")
    shape = skeleton_file.load(Path(skeleton) if skeleton else _only(source, skeleton_file.NAMES, "--skeleton"))
    folder = Path(images) if images else source / "images"
    if not folder.is_dir():
        raise MsposeError(f"{folder}: no such folder; put the photographs there, or give theirs as --images")
    found = [(row, *person_of(row, shape, folder, table, one_based=one_based)) for row in read(table, shape)]
    kept, left_out = _usable(found, table)
    splits = _drawn(kept, table, val_share, seed) if val_share is not None else _given(kept, table)
    people = [person for _, _, person in kept]
    return writer.write(
        zip(splits, people, strict=True),
        out,
        name=source.resolve().name,
        skeleton=shape,
        metric=_metric(shape, people, metric, table),
        source=str(source),
        options={"one_based": one_based, "val_share": val_share, "seed": seed},
        upright=True,  # as labelling tools show them
        notes={"left_out": left_out} if left_out else None,
        **how,
    )


def _usable(found: Found, table: Path) -> tuple[Found, dict[str, int]]:
    """Persons that can be trained on, measured or predicted; and how many others there are, by reason."""
    kept: Found = []
    left_out: Counter[str] = Counter()
    for row, split, person in found:
        labelled = person.keypoints[:, 2].any()
        if split == "test" and not labelled and person.box is None:
            raise MsposeError(
                f"{table}: line {row.line}, box_x: empty, and no keypoint is labelled; a person of the split test "
                "needs a box, so that it is known who is to be found"
            )
        if labelled or split == "test":
            kept.append((row, split, person))
        else:
            left_out["no labelled keypoint"] += 1
    if not kept:
        raise MsposeError(f"{table}: {'no keypoint of any person is labelled' if found else 'no persons in it'}")
    return kept, dict(left_out)


def _given(kept: Found, table: Path) -> list[str]:
    """The splits that the rows name, `train` where they name none, such that no photograph is in two."""
    first: dict[str, tuple[str, int]] = {}
    splits = [split or "train" for _, split, _ in kept]
    for (row, _, person), split in zip(kept, splits, strict=True):
        other, line = first.setdefault(person.image_name, (split, row.line))
        if other != split:
            raise MsposeError(
                f"{table}: line {row.line}, split: {person.image_name} is in {split} here and in {other} on line "
                f"{line}; all persons of a photograph belong into one split"
            )
    return splits


def _drawn(kept: Found, table: Path, val_share: float, seed: int) -> list[str]:
    """`val` for all persons on a share of the photographs, `train` for the others."""
    if not 0 < val_share < 1:
        raise MsposeError(f"--val-share is {val_share}, expected a share between 0 and 1, such as 0.1")
    named = next((row for row, split, _ in kept if split), None)
    if named:
        raise MsposeError(f"{table}: line {named.line}, split: given, and --val-share draws splits; use one of the two")
    images = sorted({person.image_name for _, _, person in kept})
    if len(images) < 2:
        raise MsposeError(f"{table}: all persons are on one photograph; --val-share needs two at least")
    count = min(max(round(val_share * len(images)), 1), len(images) - 1)
    val = set(random.Random(seed).sample(images, count))
    return ["val" if person.image_name in val else "train" for _, _, person in kept]


def _metric(skeleton: Skeleton, persons: list[Person], wanted: str | None, table: Path) -> str:
    """The metric that is asked for, if the data allows it, or the first that it does."""
    head_sizes = any(person.head_size > 0 for person in persons)
    if wanted is None:
        return "pckh" if head_sizes else "pck" if skeleton.torso else "pck_box"
    if wanted not in METRICS:
        raise MsposeError(f"--metric is {wanted!r}, expected one of {', '.join(METRICS)}")
    if wanted == "pckh" and not head_sizes:
        raise MsposeError(
            f"{table}: --metric pckh divides by head sizes, and nobody has one; fill in head_size, or name neck and "
            "head top as `head` in the skeleton"
        )
    if wanted == "pck" and not skeleton.torso:
        raise MsposeError(
            f"{table}: --metric pck divides by the torso; name two keypoints as `torso` in the skeleton {skeleton.name}"
        )
    return wanted


def _only(source: Path, names: tuple[str, ...], option: str) -> Path:
    found = [source / name for name in names if (source / name).is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        raise MsposeError(f"{source}: {' and '.join(p.name for p in found)} in it; say which by {option}")
    raise MsposeError(f"{source}: no {' or '.join(names)} in it; put it there, or give it as {option}")
