"""Persons in, a record folder out: the one way in which every converter writes.

Photographs are read and decoded by threads in a window of bounded size, so that memory stays small however large the
data set is. A folder of the name asked for is always whole; a conversion that was stopped goes on where it was (see
`unfinished`), and ends with the same bytes.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import numpy as np

from keras_mspose import result_folder
from keras_mspose.cores import own_cores
from keras_mspose.errors import MsposeError
from keras_mspose.records import FORMAT, INDEX_NAME, Person, RecordSet
from keras_mspose.skeleton import Skeleton
from tfrecords_tools.cropping import Crop
from tfrecords_tools.encoding import BadRecord, encode_person
from tfrecords_tools.plan import Job, Plan, Shard
from tfrecords_tools.record_file import RecordFile
from tfrecords_tools.unfinished import Unfinished

SHOWN = 5  # skipped persons that are printed by name; dataset.json names them all
GROUP = 8  # persons that a thread encodes in a row: handing over each costs more than a small JPEG's decoding
AHEAD = 2  # groups in the window, for each thread

T = TypeVar("T")


class How(TypedDict, total=False):
    """Arguments of `write` that every converter passes on."""

    skip_bad: bool
    overwrite: bool
    crop: Crop | None
    workers: int | None


def write(
    persons: Iterable[tuple[str, Job]],
    out: Path,
    *,
    name: str,
    skeleton: Skeleton,
    metric: str,
    source: str,
    options: dict[str, Any],
    notes: dict[str, Any] | None = None,
    make: Callable[[Iterator[tuple[str, Job]]], Iterator[Person]] | None = None,
    upright: bool = False,
    crop: Crop | None = None,
    skip_bad: bool = False,
    overwrite: bool = False,
    persons_per_shard: int = 512,
    workers: int | None = None,
    seed: int = 0,
) -> RecordSet:
    """Write persons as sharded TFRecords with `dataset.json`, and say what was written.

    The persons are listed on disk before the first is written: memory does not grow with their number. The split
    `train` is shuffled by `seed`; the other splits keep their order. JPEG bytes are copied untouched; any other
    photograph is compressed once. Unlabelled keypoints are stored as 0, 0, 0.

    Args:
        persons: (split, person), in the data set's order. With `make`, anything that it makes a person of.
        out: the record folder to make.
        name, skeleton, metric, source, options, notes: what `dataset.json` is to say (see `RecordSet`).
        make: persons for (split, job), in the same order, where making them is the work: rendering, say. What it is
            given is lazy, and only of files that are still to be written. A job's `repr` says all that matters of it.
        upright: the persons are in pixels of upright photographs; see `encode_person`.
        crop: write person crops instead of whole photographs.
        skip_bad: leave out persons whose photograph or record is broken, and list them in `notes["skipped"]`.
        overwrite: replace `out` if it is a record folder. Any other folder with something in it is never touched.
        persons_per_shard: most persons a file; those of a split are spread evenly.
        workers: threads that read and decode; by default one a core, 8 at most.
        seed: of the order of the split `train`.

    Raises:
        MsposeError: `out` is in the way, no persons, a broken photograph or record, or `out` cannot be written. What
            was there before is untouched; finished files are kept beside it, for the same call to go on from.
    """
    out = Path(out).resolve()
    result_folder.claim(out, overwrite=overwrite, ours=_is_ours, index=INDEX_NAME, what="record folders")
    if crop is not None:
        options = {**options, "crop": {"pixels": crop.pixels, "margin": crop.margin}}
    try:
        with Plan(out, _progress(persons, "reading annotations"), persons_per_shard, seed) as plan:
            if not plan.shards:
                raise MsposeError(f"{source}: no persons to write; check that the folder and the split are those meant")
            if not skip_bad:
                plan.check_present()
            fingerprint = plan.fingerprint((FORMAT, skeleton.to_dict(), options, upright))
            with Unfinished(out, fingerprint, [shard.file for shard in plan.shards]) as work:
                todo = [shard for shard in plan.shards if not _is_done(work.facts(shard.file), skip_bad)]
                jobs = (job for shard in todo for job in plan.jobs(shard))
                made = make(jobs) if make else (person for _, person in jobs)
                total = sum(len(shard.places) for shard in todo)
                encoder = partial(encode_person, skeleton=skeleton, crop=crop, upright=upright)
                encoded = _encode_all(_progress(made, "writing persons", total), encoder, skip_bad, workers)
                for shard in todo:
                    facts = _write_shard(work.folder / shard.file, islice(encoded, len(shard.places)))
                    work.finish(shard.file, facts)
                splits, skipped = _summary(plan.shards, work)
                if not any(split["persons"] for split in splits.values()):
                    first = _line(skipped[0])
                    raise MsposeError(f"{source}: all {len(skipped)} persons are bad, first {first}; nothing written")
                notes = {**(notes or {}), **({"skipped": skipped} if skipped else {})}
                records = RecordSet(out, name, skeleton, metric, splits, source, options, notes)
                work.put_in_place(records.to_dict())
    except OSError as error:
        raise MsposeError(f"{out}: cannot be written ({error}); make room or give another --out") from error
    if skipped:
        first = "; ".join(_line(s) for s in skipped[:SHOWN]) + ("; ..." if len(skipped) > SHOWN else "")
        print(f"{out}: left out {len(skipped)} bad persons: {first}", file=sys.stderr)
    return records


def _line(skipped: dict[str, str]) -> str:
    return f"{skipped['image']} ({skipped['reason']})"


def _is_ours(name: str) -> bool:
    return name == INDEX_NAME or name.endswith(".tfrecord")


def _is_done(facts: dict[str, Any] | None, skip_bad: bool) -> bool:
    return facts is not None and (skip_bad or not facts["skipped"])


def _encode_all(
    persons: Iterable[Person], encode: Callable[[Person], bytes], skip_bad: bool, workers: int | None
) -> Iterator[tuple[Person, bytes | str]]:
    """Every person in order, with the record, or with the reason why there is none."""
    workers = workers or min(len(own_cores()), 8)
    waiting: deque = deque()

    def encoded(group: list[Person]) -> list[tuple[Person, bytes | str]]:
        found = []
        for person in group:
            try:
                found.append((person, encode(person)))
            except BadRecord as error:
                if not skip_bad:
                    name = person.image if isinstance(person.image, Path) else person.image_name
                    raise MsposeError(
                        f"{name}: {error}; mend it, or pass --skip-bad to leave such persons out"
                    ) from error
                found.append((person, str(error)))
        return found

    everyone = iter(persons)
    with ThreadPoolExecutor(workers) as pool:
        while group := list(islice(everyone, GROUP)):
            waiting.append(pool.submit(encoded, group))
            if len(waiting) > AHEAD * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _write_shard(path: Path, encoded: Iterator[tuple[Person, bytes | str]]) -> dict[str, Any]:
    """Write one file; how many persons it holds, of which photographs (hashes of their names), who was left out, and
    its checksum. Where all are left out there is no file."""
    images: set[int] = set()
    skipped: list[dict[str, str]] = []
    count = 0
    with RecordFile(path) as file:
        for person, record in encoded:
            if isinstance(record, str):
                skipped.append({"image": person.image_name, "reason": record})
                continue
            file.write(record)
            count += 1
            images.add(int.from_bytes(hashlib.blake2b(person.image_name.encode(), digest_size=8).digest(), "big"))
    if not count:
        path.unlink()
    sha256 = file.sha256() if count else None
    return {"persons": count, "images": sorted(images), "skipped": skipped, "sha256": sha256}


def _summary(shards: list[Shard], work: Unfinished) -> tuple[dict[str, dict], list[dict[str, str]]]:
    """The entries of `splits` in `dataset.json`, and all who were left out."""
    splits: dict[str, dict] = {}
    images: dict[str, list[np.ndarray]] = {}
    skipped: list[dict[str, str]] = []
    for shard in shards:
        facts = work.facts(shard.file)
        split = splits.setdefault(shard.split, {"persons": 0, "images": 0, "shards": []})
        split["persons"] += facts["persons"]
        if facts["persons"]:
            split["shards"].append({"file": shard.file, "persons": facts["persons"], "sha256": facts["sha256"]})
        images.setdefault(shard.split, []).append(np.array(facts["images"], np.uint64))
        skipped += facts["skipped"]
    for name, split in splits.items():
        split["images"] = len(np.unique(np.concatenate(images[name])))
    return splits, skipped


def _progress(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
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
