"""Reads every byte of a record folder again: is it what was written, and does any of it look wrong?

Broken is what training would stop at, or what would spoil a measurement: files that are not those that `dataset.json`
names, records and photographs that cannot be read, and photographs or persons that are in two splits. Suspects are
persons whose numbers look wrong; `plausibility` finds them. Nothing of it is changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import Progress

from keras_mspose import image_files, records
from keras_mspose.skeleton import Skeleton
from tfrecords_tools import duplicates, plausibility

KINDS = {  # in the order of the report
    "files": "missing, cut short, altered, or of another count",
    "records": "not of the form that training reads",
    "photographs": "cannot be decoded, or another size",
    "numbers": "NaN, infinite, or no visibility",
    "photograph in two splits": "the same bytes in both",
    "person in two splits": "the same keypoints in both",
    "photograph twice": "the same bytes under two names",
    "person twice": "the same keypoints in one split",
    "name in two splits": "unlike photographs of one name",
    "left and right": "limbs cross: names exchanged?",
    "outside": "labelled keypoints off the photograph",
    "one place": "all labelled keypoints together",
    "box": "holds less than half of the keypoints",
    "head": "box without area, or of another size",
}
LENGTHS = ("box", "head_box", "head_size", "area")
NO_EXAMPLE = "not a tf.train.Example"
BROKEN = tuple(KINDS)[:6]


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes:
        kind: one of `KINDS`.
        split, file, record: where; the record's number in the file from 0, or None where the file itself is meant.
        image, person: the photograph's name and the person's id, as far as they are known.
        what: the finding in words.
        amount: orders the findings of a kind, the worst is the largest.
    """

    kind: str
    split: str
    file: str
    record: int | None
    image: str
    person: int | None
    what: str
    amount: float = 0.0


def verify(data: records.RecordSet, console: Console) -> tuple[dict[str, int], list[Finding]]:
    """Read all of a record folder; what is broken does not stop the rest.

    Args:
        data: the record folder.
        console: where the progress is shown, if it is a terminal.

    Returns:
        Persons that could be read, by split; and the findings, by kind and the worst first.
    """
    persons, found = _Persons(), list(_index_findings(data))
    total = sum(split["persons"] for split in data.splits.values())
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading every record", total=total)
        for split, shard, digest in _hashed(data):
            found += _read_shard(data, split, shard, digest, persons, lambda: bar.advance(task))
    counts = dict.fromkeys(data.splits, 0)
    for where in persons.where:
        counts[where[0]] += 1
    if persons.where:
        found += _all_persons(persons, data.skeleton)
    order = list(KINDS)
    return counts, sorted(found, key=lambda f: (order.index(f.kind), -f.amount))


class _Persons:
    """What is kept of every record: where it stands, and its numbers; no photograph."""

    NUMBERS = ("keypoints", "image_size", "box", "head_box", "head_size", "head_size_estimated", "fingerprint")

    def __init__(self) -> None:
        self.where: list[tuple[str, str, int, str, int]] = []  # split, file, record, image, person
        self.numbers: dict[str, list[np.ndarray]] = {name: [] for name in self.NUMBERS}

    def add(self, split: str, file: str, number: int, person: dict[str, Any]) -> None:
        name = person["image_name"].decode(errors="replace")
        self.where.append((split, file, number, name, int(person["person_id"])))
        for key, values in self.numbers.items():
            values.append(person[key])

    def column(self, name: str) -> np.ndarray:
        return np.stack(self.numbers[name])

    def finding(self, kind: str, i: int, what: str, amount: float = 0.0) -> Finding:
        return Finding(kind, *self.where[i], what=what, amount=amount)


def _index_findings(data: records.RecordSet) -> Iterator[Finding]:
    named = {shard["file"] for split in data.splits.values() for shard in split["shards"]}
    for path in sorted(data.folder.glob("*.tfrecord")):
        if path.name not in named:
            yield Finding("files", "", path.name, None, "", None, f"not named in {records.INDEX_NAME}")
    for split, entry in data.splits.items():
        counted = sum(shard["persons"] for shard in entry["shards"])
        if counted != entry["persons"]:
            what = f"its files hold {counted} persons by {records.INDEX_NAME}, which counts {entry['persons']}"
            yield Finding("files", split, records.INDEX_NAME, None, "", None, what)


def _hashed(data: records.RecordSet) -> Iterator[tuple[str, dict, str | None]]:
    """(split, shard, SHA-256), each file being hashed while the one before it is read; None where it is missing."""
    shards = [(split, shard) for split, entry in data.splits.items() for shard in entry["shards"]]
    with ThreadPoolExecutor(1) as pool:
        digests = [pool.submit(_digest, data.folder / shard["file"]) for _, shard in shards]
        for (split, shard), digest in zip(shards, digests, strict=True):
            yield split, shard, digest.result()


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
            return digest.hexdigest()
    except OSError:
        return None


def _read_shard(
    data: records.RecordSet, split: str, shard: dict, digest: str | None, persons: _Persons, step: Callable[[], None]
) -> Iterator[Finding]:
    path = data.folder / shard["file"]

    def finding(kind: str, what: str, number: int | None = None, image: str = "", person: int | None = None) -> Finding:
        return Finding(kind, split, shard["file"], number, image, person, what)

    if digest is None:
        yield finding("files", "missing or not readable")
        return
    if digest != shard["sha256"]:
        yield finding("files", f"altered: SHA-256 is not the one in {records.INDEX_NAME}")
    whole, nothing_left = records.whole_records(path)
    source = tf.data.TFRecordDataset(str(path)).take(whole)
    looked = iter(source.map(_look(len(data.skeleton)), tf.data.AUTOTUNE, deterministic=True).prefetch(16))
    number = 0
    while True:
        try:
            person = {key: value.numpy() for key, value in next(looked).items()}
        except StopIteration:
            break
        except tf.errors.DataLossError:
            nothing_left = False
            break
        except UnicodeDecodeError:  # TensorFlow's message holds the record's bytes
            yield finding("records", NO_EXAMPLE, number)
        except tf.errors.InvalidArgumentError as error:
            yield finding(*_reason(error), number, *_who(source, number, len(data.skeleton)))
        else:
            faults = list(_faults(person))
            persons.add(split, shard["file"], number, _without_broken_numbers(person))
            yield from (persons.finding(kind, -1, what) for kind, what in faults)
        number += 1
        step()
    if not nothing_left:
        yield finding("files", f"cut short or altered behind record {number} of {shard['persons']}")
    elif number != shard["persons"]:
        yield finding("files", f"holds {number} records, {records.INDEX_NAME} counts {shard['persons']}")


def _look(keypoints: int) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """A record with its photograph decoded and dropped: `declared` (3,) is the size in its header, `decoded` (3,) that
    of its pixels, height first; `fingerprint` () is of its bytes."""

    def look(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        person = records.parse(serialized, keypoints)
        image = person.pop("image")
        declared = tf.io.extract_jpeg_shape(image, tf.int64)
        decoded = tf.cond(
            declared[0] * declared[1] <= image_files.MAX_PIXELS,
            lambda: tf.shape(tf.io.decode_jpeg(image, channels=3), tf.int64),
            lambda: declared,
        )
        fingerprint = tf.strings.to_hash_bucket_fast(image, 2**62)
        return {**person, "declared": declared, "decoded": decoded, "fingerprint": fingerprint}

    return look


def _reason(error: tf.errors.OpError) -> tuple[str, str]:
    """Kind and words for what TensorFlow says at length."""
    message = " ".join(str(error.message).split())
    for sign in ("Key: ", "Feature: "):
        if sign in message:
            field = message.partition(sign)[2].partition(" ")[0].rstrip(".")
            return "records", f"field {field!r} is missing or of another form"
    if "xample" in message:
        return "records", NO_EXAMPLE
    return "photographs", "not a whole JPEG file"


def _who(source: tf.data.Dataset, number: int, keypoints: int) -> tuple[str, int | None]:
    """Photograph's name and person's id of a record whose photograph is broken, if they can be read."""
    try:
        person = records.parse(next(iter(source.skip(number))), keypoints)
    except (tf.errors.OpError, UnicodeDecodeError, StopIteration):
        return "", None
    return person["image_name"].numpy().decode(errors="replace"), int(person["person_id"])


def _faults(person: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Kind and words of what is broken in one record that could be read."""
    written = person["format"].decode(errors="replace")
    if written != records.FORMAT:
        yield "records", f"its format is {written!r}, expected {records.FORMAT!r}"
    height, width = person["declared"][:2]
    if reason := image_files.too_large(width, height):
        yield "photographs", reason
    elif tuple(person["decoded"][1::-1]) != tuple(person["image_size"]):
        said = " x ".join(f"{v:.0f}" for v in person["image_size"])
        yield "photographs", f"is {width} x {height} pixels, the record says {said}"
    odd = [name for name in LENGTHS if not np.isfinite(person[name]).all()]
    if _broken_numbers(person).any():
        odd.append("keypoints")
    if odd:
        yield "numbers", f"not finite, or no visibility, in {', '.join(odd)}"


def _without_broken_numbers(person: dict[str, Any]) -> dict[str, Any]:
    """The person as if what is broken had not been labelled."""
    lengths = {n: person[n] if np.isfinite(person[n]).all() else np.zeros_like(person[n]) for n in LENGTHS}
    return {**person, **lengths, "keypoints": np.where(_broken_numbers(person)[:, None], 0.0, person["keypoints"])}


def _broken_numbers(person: dict[str, Any]) -> np.ndarray:
    """(K,) keypoints that training cannot use: NaN times weight 0 is NaN, so the unlabelled ones count too."""
    keypoints = person["keypoints"]
    return ~np.isfinite(keypoints).all(axis=1) | ~np.isin(keypoints[:, 2], (0, 1, 2))


def _all_persons(persons: _Persons, skeleton: Skeleton) -> Iterator[Finding]:
    keypoints, size = (persons.column(name).astype(np.float64) for name in ("keypoints", "image_size"))
    head_box, head_size, estimated = (persons.column(n) for n in ("head_box", "head_size", "head_size_estimated"))
    suspects = {
        "left and right": plausibility.sides_exchanged(keypoints, skeleton),
        "outside": plausibility.keypoints_outside(keypoints, size, skeleton.keypoints),
        "one place": plausibility.keypoints_in_one_place(keypoints),
        "box": plausibility.boxes(persons.column("box"), keypoints, size),
        "head": plausibility.heads(head_box, head_size, estimated, size),
    }
    for kind, found in suspects.items():
        for index, amount, what in found:
            yield persons.finding(kind, index, what, amount)
    splits, names = [where[0] for where in persons.where], [where[3] for where in persons.where]
    fingerprints = persons.column("fingerprint")
    for index, across, what in duplicates.photographs(splits, names, fingerprints):
        yield persons.finding("photograph in two splits" if across else "photograph twice", index, what)
    for index, across, what in duplicates.persons(splits, names, keypoints):
        yield persons.finding("person in two splits" if across else "person twice", index, what)
    for index, _, what in duplicates.names_in_two_splits(splits, names, fingerprints):
        yield persons.finding("name in two splits", index, what)
