"""Persons in, a record folder out: the one way in which every converter writes.

Photographs are read and decoded by threads in a window of bounded size, so that memory stays small however large the
data set is. All is written into `OUT.partial-PID` beside the folder asked for and renamed at the very end: a folder of
that name is always whole.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from keras_mspose.errors import MsposeError
from keras_mspose.records import INDEX_NAME, Person, RecordSet, encode
from keras_mspose.skeleton import Skeleton

QUALITY = 95  # of photographs that are not JPEG and are compressed here, once
SHOWN = 5  # skipped persons that are printed by name; dataset.json names them all

T = TypeVar("T")


class _BadRecord(Exception):
    """Why one person cannot be written. Leaves this file only as a MsposeError or as a line in the notes."""


def write(
    persons: Iterable[tuple[str, Person]],
    out: Path,
    *,
    name: str,
    skeleton: Skeleton,
    metric: str,
    source: str,
    options: dict[str, Any],
    notes: dict[str, Any] | None = None,
    skip_bad: bool = False,
    overwrite: bool = False,
    persons_per_shard: int = 512,
    workers: int | None = None,
    seed: int = 0,
    total: int | None = None,
) -> RecordSet:
    """Write persons as sharded TFRecords with `dataset.json`, and say what was written.

    The persons are listed in memory before the first is written, their photographs are not: give `Person.image` as a
    path wherever the set is large. The split `train` is shuffled by `seed`; the other splits keep their order. JPEG
    bytes are copied untouched; any other photograph is compressed once. Unlabelled keypoints are stored as 0, 0, 0.

    Args:
        persons: (split, person), in the data set's order.
        out: the record folder to make.
        name, skeleton, metric, source, options, notes: what `dataset.json` is to say (see `RecordSet`).
        skip_bad: leave out persons whose photograph or record is broken, and list them in `notes["skipped"]`.
        overwrite: replace `out` if it is a record folder. Any other folder with something in it is never touched.
        persons_per_shard: most persons a file; those of a split are spread evenly.
        workers: threads that read and decode; by default one a core, 8 at most.
        seed: of the order of the split `train`.
        total: how many persons are to come, for the progress display, where listing them takes long.

    Raises:
        MsposeError: `out` is in the way, no persons, a broken photograph or record, or `out` cannot be written.
            Nothing is left behind, and what was there before is untouched.
    """
    from tensorflow.errors import OpError

    out = Path(out).resolve()
    _check_free(out, overwrite)
    splits: dict[str, list[Person]] = {}
    for split, person in _progress(persons, "reading annotations", total):
        splits.setdefault(split, []).append(person)
    if not splits:
        raise MsposeError(f"{source}: no persons to write; check that the folder and the split are the ones meant")
    if not skip_bad:
        _check_present([p.image for listed in splits.values() for p in listed])
    random.Random(seed).shuffle(splits.get("train", []))

    skipped: list[dict[str, str]] = []

    def bad(person: Person, reason: str) -> None:
        if not skip_bad:
            where = person.image if isinstance(person.image, Path) else person.image_name
            raise MsposeError(f"{where}: {reason}; mend it, or pass --skip-bad to leave such persons out")
        skipped.append({"image": person.image_name, "reason": reason})

    partial = out.with_name(f"{out.name}.partial-{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        written = {}
        for split, listed in splits.items():
            shards = -(-len(listed) // persons_per_shard)
            encoded = _encode_all(_progress(listed, f"writing {split}", len(listed)), skeleton, bad, workers)
            written[split] = _write_split(partial, split, encoded, -(-len(listed) // shards))
        if not any(split["persons"] for split in written.values()):
            raise MsposeError(
                f"{source}: all {len(skipped)} persons are bad, first {_line(skipped[0])}; nothing written"
            )
        notes = {**(notes or {}), **({"skipped": skipped} if skipped else {})}
        records = RecordSet(out, name, skeleton, metric, written, source, options, notes)
        (partial / INDEX_NAME).write_text(json.dumps(records.to_dict(), indent=1) + "\n", encoding="utf-8")
        _put_in_place(partial, out)
    except (OSError, OpError) as error:
        raise MsposeError(f"{out}: cannot be written ({error}); make room or give another --out") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    if skipped:
        first = "; ".join(_line(s) for s in skipped[:SHOWN]) + ("; ..." if len(skipped) > SHOWN else "")
        print(f"{out}: left out {len(skipped)} bad persons: {first}", file=sys.stderr)
    return records


def _line(skipped: dict[str, str]) -> str:
    return f"{skipped['image']} ({skipped['reason']})"


def _check_free(out: Path, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise MsposeError(f"{out}: is a file; --out names the folder to make")
    content = sorted(p.name for p in out.iterdir()) if out.exists() else []
    if content and not overwrite:
        raise MsposeError(f"{out}: exists and is not empty; pass --overwrite to replace it, or another --out")
    strangers = [n for n in content if n != INDEX_NAME and not n.endswith(".tfrecord")]
    if content and (strangers or INDEX_NAME not in content):
        why = f"holds {strangers[0]}" if strangers else f"has no {INDEX_NAME}"
        raise MsposeError(f"{out}: --overwrite replaces record folders only and this one {why}; give another --out")
    if out.is_mount():  # could not be renamed over, which would show only after all the work
        raise MsposeError(f"{out}: is a mount point; give a folder inside it as --out")


def _check_present(images: list[Path | bytes]) -> None:
    """Say at once, and how many, where decoding would come upon the first missing photograph after minutes."""
    paths = list(dict.fromkeys(i for i in images if isinstance(i, Path)))
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise MsposeError(
            f"{missing[0]}: no such image; {len(missing)} of the data set's {len(paths)} are missing; complete them, "
            "or pass --skip-bad to leave such persons out"
        )


def _put_in_place(partial: Path, out: Path) -> None:
    if not out.exists():
        partial.rename(out)
        return
    old = out.with_name(f"{out.name}.old-{os.getpid()}")
    out.rename(old)
    try:
        partial.rename(out)
    except OSError:
        old.rename(out)
        raise
    shutil.rmtree(old)


def _encode_all(
    persons: Iterable[Person], skeleton: Skeleton, bad: Callable[[Person, str], None], workers: int | None
) -> Iterator[tuple[Person, bytes]]:
    """Good persons in order, each with its record; the others go to `bad`."""
    workers = workers or min(os.cpu_count() or 1, 8)
    waiting: deque = deque()

    def first() -> Iterator[tuple[Person, bytes]]:
        person, future = waiting.popleft()
        try:
            yield person, future.result()
        except _BadRecord as error:
            bad(person, str(error))

    with ThreadPoolExecutor(workers) as pool:
        for person in persons:
            waiting.append((person, pool.submit(_encode, person, skeleton)))
            if len(waiting) > 4 * workers:
                yield from first()
        while waiting:
            yield from first()


def _encode(person: Person, skeleton: Skeleton) -> bytes:
    keypoints = _checked_keypoints(person, skeleton)
    if person.box is not None and not (np.isfinite(person.box).all() and person.box[2] > 0):
        raise _BadRecord(f"person {person.person_id}: box {person.box} is not a centre and a side above 0")
    if not (np.isfinite(person.head_size) and person.head_size >= 0):
        raise _BadRecord(f"person {person.person_id}: head size is {person.head_size}")
    jpeg, size = _photograph(person.image)
    return encode(replace(person, keypoints=keypoints), jpeg, size)


def _checked_keypoints(person: Person, skeleton: Skeleton) -> np.ndarray:
    keypoints = np.asarray(person.keypoints, np.float64)
    if keypoints.shape != (len(skeleton), 3):
        raise _BadRecord(f"person {person.person_id}: keypoints {keypoints.shape}, expected {(len(skeleton), 3)}")
    visibility = keypoints[:, 2]
    if not np.isin(visibility, (0, 1, 2)).all():
        raise _BadRecord(f"person {person.person_id}: visibility other than 0, 1, 2: {sorted(set(visibility))}")
    labelled = visibility > 0
    broken = labelled & ~np.isfinite(keypoints).all(axis=1)
    if broken.any():
        names = ", ".join(n for n, b in zip(skeleton.keypoints, broken, strict=True) if b)
        raise _BadRecord(f"person {person.person_id}: labelled but not a number: {names}")
    # a NaN that is merely unlabelled would still spoil a loss: NaN times weight 0 is NaN
    return np.where(labelled[:, None], keypoints, 0.0)


def _photograph(image: Path | bytes) -> tuple[bytes, tuple[int, int]]:
    """A photograph's JPEG bytes and (width, height), after decoding all of it once, as training will."""
    import tensorflow as tf

    try:
        data = image if isinstance(image, bytes) else image.read_bytes()
    except OSError as error:
        raise _BadRecord(f"cannot be read ({error.strerror})") from error
    try:
        with Image.open(io.BytesIO(data)) as photograph:
            # MPO is a JPEG with further pictures behind it, which decoders pass over
            if photograph.format in ("JPEG", "MPO") and photograph.mode in ("RGB", "L"):
                # A file cut in half has a whole header; and Pillow reads some damaged files that TensorFlow refuses.
                height, width, _ = tf.io.decode_jpeg(data, channels=3).shape
                return data, (width, height)
            photograph.load()
            if photograph.mode.startswith(("I", "F")):
                raise _BadRecord(f"pixels are {photograph.mode}, expected 8 bits a channel")
            buffer = io.BytesIO()
            photograph.convert("RGB").save(buffer, "JPEG", quality=QUALITY, subsampling=0)
            return buffer.getvalue(), photograph.size
    except _BadRecord:
        raise
    except tf.errors.InvalidArgumentError as error:
        raise _BadRecord("broken image (not a whole JPEG file)") from error
    except Exception as error:  # Pillow's decoders raise types of many kinds
        raise _BadRecord(f"broken image ({' '.join(str(error).split()) or type(error).__name__})") from error


def _write_split(folder: Path, split: str, encoded: Iterator[tuple[Person, bytes]], per_shard: int) -> dict:
    """Write one split's records and answer its entry of `dataset.json`."""
    from tensorflow.io import TFRecordWriter

    images: set[str] = set()
    counts: list[int] = []
    writer = None
    try:
        for person, record in encoded:
            if not counts or counts[-1] == per_shard:
                if writer:
                    writer.close()
                writer = TFRecordWriter(str(folder / f"{split}-{len(counts):05d}"))
                counts.append(0)
            writer.write(record)
            counts[-1] += 1
            images.add(person.image_name)
    finally:
        if writer:
            writer.close()
    shards = []
    for i, count in enumerate(counts):  # only now is it known how many files there are
        path = (folder / f"{split}-{i:05d}").rename(folder / f"{split}-{i:05d}-of-{len(counts):05d}.tfrecord")
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        shards.append({"file": path.name, "persons": count, "sha256": digest.hexdigest()})
    return {"persons": sum(counts), "images": len(images), "shards": shards}


def _progress(items: Iterable[T], what: str, total: int | None) -> Iterator[T]:
    """Pass items on; show on stderr how far it is: a bar on a terminal, a line every few seconds elsewhere."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track

        yield from track(items, what, total=total, console=Console(stderr=True), transient=True)
        return
    said = time.monotonic()
    for count, item in enumerate(items, 1):
        yield item
        if time.monotonic() - said > 5:
            said = time.monotonic()
            print(f"{what}: {count}" + (f" of {total}" if total else ""), file=sys.stderr)
