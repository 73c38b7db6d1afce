"""Results on disk, whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_mspose.errors import MsposeError, NotWritten

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_writable(path: Path | None) -> None:
    """See, before long work, that its result will have a place.

    Raises:
        MsposeError: the folder of `path` does not exist, or `path` is a folder.
    """
    if path is not None and not Path(path).absolute().parent.is_dir():
        raise MsposeError(f"{path}: its folder does not exist; make it first, or give another place")
    if path is not None and Path(path).is_dir():
        raise MsposeError(f"{path}: is a folder; give the name of a file")


def write_text(path: Path, text: str) -> None:
    """Write beside the name, then rename.

    Raises:
        MsposeError: the file cannot be written.
    """
    write_beside(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """As `write_text` does."""
    write_beside(path, lambda partial: partial.write_bytes(content))


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines as they come, as `write_text` does."""

    def write(partial: Path) -> None:
        with open(partial, "w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines)

    write_beside(path, write)


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON, as `write_text` does. NaN and infinity, which JSON does not have, become null."""
    plain = json.loads(json.dumps(content), parse_constant=lambda _: None)
    write_text(path, json.dumps(plain, indent=1) + "\n")


def write_picture(path: Path, figure: Figure) -> None:
    """Write a matplotlib figure as PNG, as `write_text` does."""
    write_beside(path, lambda partial: figure.savefig(partial, format="png", dpi=120))


def write_beside(path: Path, write: Callable[[Path], Any]) -> None:
    """Give `write` a name beside `path`, in its folder, and rename what it writes there.

    Raises:
        NotWritten: the file cannot be written.
    """
    path = Path(path)
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    try:
        write(partial)
        os.replace(partial, path)
    except OSError as error:
        raise NotWritten(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        partial.unlink(missing_ok=True)
