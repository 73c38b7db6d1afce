"""What an unfinished `mspose predict` has found so far, so that the same command goes on where it was killed.

`unfinished.jsonl` in the results' folder has the command in its first line, then lines as inputs are done, in whatever
order that is: `{"of": ..., "poses": [...]}`, a video's in parts, and `{"of": ..., "end": null}` behind an input's last,
with a reason instead of null where it could not be read; `{"of": ..., "again": true}` where it begins anew. It is
gone once the results are whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_mspose.errors import MsposeError
from keras_mspose.prediction_inputs import Input

NAME = "unfinished.jsonl"
PARTIAL = re.compile(r"\.partial-\d+(\.mp4)?$")


class Journal:
    """Open in a folder, which is made where it does not exist.

    Args:
        out: folder of the results.
        command: JSON-ready: all that the results depend on, but for the inputs.
        overwrite: begin anew whatever is there.

    Raises:
        MsposeError: the folder cannot be written, or holds the unfinished results of another command.
    """

    def __init__(self, out: Path, command: dict[str, Any], *, overwrite: bool = False):
        self.path = out / NAME
        self._lines: dict[str, list[int]] = {}  # where each input's lines begin
        self._ended: dict[str, str | None] = {}
        try:
            out.mkdir(parents=True, exist_ok=True)
            for leftover in (path for path in out.iterdir() if PARTIAL.search(path.name) and path.is_file()):
                leftover.unlink()
            if overwrite:
                self.path.unlink(missing_ok=True)
            self._file = open(self.path, "a+b")  # noqa: SIM115  it stays open until `close`
        except OSError as error:
            raise MsposeError(f"{out}: cannot be written ({error.strerror})") from error
        self._read(json.loads(json.dumps(command)))

    def _read(self, command: dict[str, Any]) -> None:
        """Take in the whole lines, and cut off what a killed process wrote of another."""
        self._file.seek(0)
        start = 0
        for line in self._file:
            try:
                said = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                said = None
            if said is None:
                break
            if not start and said != command:
                raise MsposeError(
                    f"{self.path.parent}: holds the unfinished results of another command; give that one again, "
                    "another --out, or --overwrite to begin anew"
                )
            if start:
                self._note(said, start)
            start += len(line)
        self._file.truncate(start)
        if not start:
            self._write(command)

    def _note(self, said: dict[str, Any], start: int) -> None:
        if "poses" in said:
            self._lines.setdefault(said["of"], []).append(start)
        elif "again" in said:
            self._lines.pop(said["of"], None)
            self._ended.pop(said["of"], None)
        else:
            self._ended[said["of"]] = said["end"]

    def _write(self, said: dict[str, Any]) -> None:
        start = self._file.seek(0, 2)
        self._file.write(json.dumps(said).encode() + b"\n")
        self._file.flush()
        if start:
            self._note(said, start)

    def has(self, one: Input) -> bool:
        """Whether an input is done, and its file still what it was then."""
        return one.key in self._ended

    def begin(self, one: Input) -> None:
        """Forget what was found in an input before."""
        if one.key in self._lines or one.key in self._ended:
            self._write({"of": one.key, "again": True})

    def add(self, one: Input, poses: list[dict[str, Any]]) -> None:
        """Keep what was found in an input, or in a part of it."""
        self._write({"of": one.key, "poses": poses})

    def end(self, one: Input, reason: str | None = None) -> None:
        """An input is done, or could not be read for this reason."""
        self._write({"of": one.key, "end": reason})

    def reason(self, one: Input) -> str | None:
        """Why an input that is done could not be read, None where it could."""
        return self._ended[one.key]

    def poses(self, one: Input) -> Iterator[dict[str, Any]]:
        """What was found in an input, in the order in which it was added."""
        for start in self._lines.get(one.key, ()):
            self._file.seek(start)
            yield from json.loads(self._file.readline())["poses"]

    def close(self, *, whole: bool = False) -> None:
        """Close the file; delete it where the results are whole."""
        self._file.close()
        if whole:
            self.path.unlink(missing_ok=True)
