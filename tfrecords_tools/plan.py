"""Which person goes into which file, with the persons listed on disk: memory does not grow with their number."""

from __future__ import annotations

import hashlib
import os
import pickle
import random
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from keras_mspose.errors import MsposeError
from keras_mspose.records import Person

Job = Any  # what a converter makes a person of; most list persons themselves


@dataclass(frozen=True)
class Shard:
    """One file to write: its persons are those at `places` of the list."""

    file: str
    split: str
    places: Sequence[int]


class Plan:
    """All persons of a conversion and the files that they are to go into. A context, which deletes the list.

    The list is a file without a name, beside the records that are to come: the system deletes it with the process.

    Attributes:
        shards: the files to write, those of a split behind one another.
    """

    def __init__(self, out: Path, persons: Iterable[tuple[str, Job]], persons_per_shard: int, seed: int) -> None:
        """
        Args:
            out: the record folder that is to stand at the end.
            persons: (split, job), in the data set's order.
            persons_per_shard: most persons a file; those of a split are spread evenly.
            seed: of the order of the split `train`. The others keep theirs.
        """
        beside = next(folder for folder in out.parents if folder.is_dir())
        self._file = tempfile.TemporaryFile(dir=beside)  # noqa: SIM115 - closed by the context
        self._missing: dict[Path, None] = {}
        self._identity = hashlib.sha256(repr((persons_per_shard, seed)).encode())
        # where each person's entry ends in the file, from the second on: where the one before it begins
        self._ends = array("Q", (0,))
        try:
            self.shards = _shards(self._listed(persons), persons_per_shard, seed)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Plan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def jobs(self, shard: Shard) -> Iterator[tuple[str, Job]]:
        """(split, job) of a file's persons, in its order."""
        for place in shard.places:
            start, end = self._ends[place], self._ends[place + 1]
            self._file.seek(start)
            yield shard.split, _unpacked(self._file.read(end - start))

    def fingerprint(self, about: tuple) -> str:
        """One number for all that decides the bytes, but for the photographs' own; `about` is what else does."""
        found = self._identity.copy()
        found.update(repr(about).encode())
        return found.hexdigest()

    def check_present(self) -> None:
        """Say at once, and how many, where decoding would come upon the first missing photograph after minutes.

        Raises:
            MsposeError: photographs are not there.
        """
        if self._missing:
            raise MsposeError(
                f"{next(iter(self._missing))}: no such image; images missing: {len(self._missing)}, of a data set of "
                f"{len(self._ends) - 1} persons; complete them, or pass --skip-bad to leave such persons out"
            )

    def _listed(self, persons: Iterable[tuple[str, Job]]) -> Iterator[str]:
        """Put every person on the list, and tell its split."""
        for split, job in persons:
            if isinstance(job, Person) and isinstance(job.image, Path) and not os.path.isfile(job.image):
                self._missing[job.image] = None
            self._identity.update(split.encode() + b"\0" + _identity(job))
            entry = _packed(job)
            self._file.write(entry)
            self._ends.append(self._ends[-1] + len(entry))
            yield split


def _shards(splits: Iterable[str], persons_per_shard: int, seed: int) -> list[Shard]:
    places: dict[str, array] = {}
    for place, split in enumerate(splits):
        places.setdefault(split, array("L")).append(place)
    shards = []
    for split, order in places.items():
        if split == "train":
            random.Random(seed).shuffle(order)
        count = -(-len(order) // persons_per_shard)
        each = -(-len(order) // count)
        for i in range(count):
            file = f"{split}-{i:05d}-of-{count:05d}.tfrecord"
            shards.append(Shard(file, split, order[i * each : (i + 1) * each]))
    return shards


def _identity(job: Job) -> bytes:
    if not isinstance(job, Person):
        return repr(job).encode()
    image = str(job.image) if isinstance(job.image, Path) else hashlib.sha256(job.image).hexdigest()
    rest = {**vars(job), "keypoints": None, "image": image}
    return repr(rest).encode() + np.asarray(job.keypoints).tobytes()


def _packed(job: Job) -> bytes:
    """A job as bytes. A person without its classes: that takes a quarter of the time, which is all of a thread."""
    if not isinstance(job, Person) or np.asarray(job.keypoints).dtype != np.float64:
        return pickle.dumps((job,), pickle.HIGHEST_PROTOCOL)
    keypoints = np.asarray(job.keypoints)
    is_path = isinstance(job.image, Path)
    rest = {**vars(job), "keypoints": keypoints.tobytes(), "image": str(job.image) if is_path else job.image}
    return pickle.dumps((keypoints.shape, is_path, rest), pickle.HIGHEST_PROTOCOL)


def _unpacked(entry: bytes) -> Job:
    first, *more = pickle.loads(entry)
    if not more:
        return first
    is_path, fields = more
    fields["keypoints"] = np.frombuffer(fields["keypoints"]).reshape(first)
    fields["image"] = Path(fields["image"]) if is_path else fields["image"]
    return Person(**fields)
