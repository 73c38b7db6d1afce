"""Where a photograph lies that an annotation names: inside the images folder, or nowhere."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath, PureWindowsPath


def inside(images: Path, name: object) -> Path:
    """The path of a photograph by its name in an annotation. The photograph need not be there.

    Args:
        images: the images folder; may itself be a link.
        name: relative to it, `/` between folders.

    Returns:
        `images / name` without `.` and doubled `/`.

    Raises:
        ValueError: not a name, or one that leads out of the folder: absolute, by `..`, or by a link on the way. The
            message names it; who calls adds the file and the record.
    """
    # NUL ends a path early, and half a surrogate pair, which JSON can hold, cannot be written as UTF-8
    named = isinstance(name, str) and all(c >= " " and not "\ud800" <= c <= "\udfff" for c in name)
    if not named or not PurePosixPath(name).parts:
        raise ValueError(f"image name is {name!r}, expected the name of a file in {images.name}/")
    if "\\" in name:
        raise ValueError(f"image name {name!r} has a backslash; write / between folders")
    plain = PurePosixPath(name)
    if plain.is_absolute() or PureWindowsPath(name).drive or ".." in plain.parts:
        raise ValueError(f"image name {name!r} leads out of {images.name}/; names are relative to it, without ..")
    path = images / plain
    # a link among the photographs could put any file of this machine into the records
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(images)):
        raise ValueError(f"image {name!r} is a link that leads out of {images.name}/; put the photograph itself there")
    return path
