"""A conversion under way, in `OUT.partial`: which of its files are finished, so that a killed one goes on.

    OUT.partial/plan.json                        what is being converted, as a fingerprint
    OUT.partial/records/train-00000-of-00003.tfrecord
    OUT.partial/train-00000-of-00003.json        that file is finished, and this is its checksum; written after it
    OUT.partial/lock                             held by the process that writes here

In the last moment `records` gets its `dataset.json` and becomes OUT.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from keras_mspose import result_folder
from keras_mspose.errors import MsposeError
from keras_mspose.records import INDEX_NAME
from keras_mspose.result_file import write_json

PLAN, LOCK, RECORDS = "plan.json", "lock", "records"


class Unfinished:
    """The files of one conversion while it runs. A context, which holds the folder's lock.

    Attributes:
        folder: where the record files are to be written, `OUT.partial/records`.
    """

    def __init__(self, out: Path, fingerprint: str, files: list[str]) -> None:
        """
        Args:
            out: the record folder that is to stand at the end.
            fingerprint: of all that decides the bytes. Finished files of another one are deleted.
            files: names of all the files that are to come.
        """
        self._out, self._fingerprint, self._files = out, fingerprint, files
        self._base = out.with_name(f"{out.name}.partial")
        self._lock = FileLock(self._base / LOCK)
        self.folder = self._base / RECORDS

    def __enter__(self) -> Unfinished:
        """
        Raises:
            MsposeError: another process converts into the same folder, or `OUT.partial` is something else.
        """
        names = {p.name for p in self._base.iterdir()} if self._base.is_dir() else set()
        if self._base.exists() and not names <= {LOCK} and PLAN not in names:
            raise MsposeError(f"{self._base}: in the way, and no unfinished conversion; move it, or give another --out")
        self._base.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise MsposeError(
                f"{self._out}: another process is converting into it; wait for that, or give another --out"
            ) from None
        try:
            self._take_up()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        finished = sum(bool((self.facts(file) or {}).get("sha256")) for file in self._files)
        if error is None or not finished:
            # the lock last, and held: what another process begins here once it has the lock is not ours to delete
            shutil.rmtree(self.folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                for path in self._base.glob("*.json"):
                    path.unlink()
            shutil.rmtree(self._base, ignore_errors=True)
        self._lock.release()
        if error is not None and finished:
            kept = f"{finished} of {len(self._files)} record files are kept in {self._base}"
            print(f"{kept}; the same command goes on from there", file=sys.stderr)

    def facts(self, file: str) -> dict[str, Any] | None:
        """What `finish` was told about a file; None where it is not finished."""
        try:
            return json.loads(self._marker(file).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def finish(self, file: str, facts: dict[str, Any]) -> None:
        """Say that a file is whole, or is not to be: `facts["sha256"]` is its checksum, None where there is no file."""
        write_json(self._marker(file), facts)

    def put_in_place(self, index: dict[str, Any]) -> None:
        """Write `dataset.json` beside the records and let their folder take its place."""
        write_json(self.folder / INDEX_NAME, index)
        result_folder.put_in_place(self.folder, self._out)

    def _marker(self, file: str) -> Path:
        return self._base / f"{Path(file).stem}.json"

    def _take_up(self) -> None:
        """Keep finished files of the same plan whose bytes are what they were; delete everything else."""
        plan = self._base / PLAN
        same = plan.is_file() and plan.read_text(encoding="utf-8").strip() == json.dumps(self._fingerprint)
        whole = [file for file in self._files if same and self._is_whole(file)]
        self.folder.mkdir(exist_ok=True)
        for path in self.folder.iterdir():
            if path.name not in whole:
                path.unlink()
        keep = {PLAN, LOCK, RECORDS, *(self._marker(file).name for file in whole)}
        for path in self._base.iterdir():
            if path.name not in keep:
                path.unlink()
        write_json(plan, self._fingerprint)
        if whole:
            print(f"going on: {len(whole)} of {len(self._files)} record files are finished", file=sys.stderr)

    def _is_whole(self, file: str) -> bool:
        facts = self.facts(file)
        return facts is not None and facts.get("sha256") == _digest(self.folder / file)


def _digest(path: Path) -> str | None:
    """SHA-256 of a file as hexadecimal digits; None where there is none."""
    if not path.is_file():
        return None
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()
