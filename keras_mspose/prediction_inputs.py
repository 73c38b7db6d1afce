"""What `mspose predict` is given: photographs, folders, patterns, videos and webcams, each with a name of its own."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from keras_mspose.errors import MsposeError

PHOTOGRAPHS = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".webp", ".tif", ".tiff"}
VIDEOS = {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"}


@dataclass(frozen=True)
class Input:
    """One photograph, video or webcam.

    Attributes:
        source: path of a file, or number of a webcam.
        name: for what is drawn of it, unlike that of any other input.
        image: for its rows in the results, likewise: the file's name, its path where others have that name too.
        key: in the journal, see `_key`.
    """

    source: Path | int
    name: str
    image: str
    key: str

    @property
    def moves(self) -> bool:
        """Whether it is a video or a webcam."""
        return isinstance(self.source, int) or self.source.suffix.lower() in VIDEOS


def listed(given: Iterable[str | Path], out: Path) -> list[Input]:
    """The inputs that arguments mean: files as given, folders and patterns by their photographs and videos in order.

    Args:
        given: files, folders, patterns (`*`, `?`, `[...]`, `**` for folders in folders), or numbers of webcams.
        out: folder of the results, whose pictures are no inputs.

    Raises:
        MsposeError: a path is missing, or a folder or pattern has nothing in it.
    """
    sources: list[Path | int] = []
    for one in map(str, given):
        path = Path(one)
        if path.is_dir():
            if path.resolve() == out.resolve():
                raise MsposeError(f"{path}: is --out as well; results need a folder of their own")
            sources += _found(path.iterdir(), out, f"{path}: a folder without photographs and videos")
        elif path.exists():
            sources.append(path)
        elif one.isascii() and one.isdigit():
            sources.append(int(one))
        elif glob.has_magic(one):
            sources += _found(map(Path, glob.glob(one, recursive=True)), out, f"{one}: matches no photograph or video")
        else:
            raise MsposeError(f"{path}: no such file or folder")
    return _named(list(dict.fromkeys(sources)))


def _found(paths: Iterable[Path], out: Path, otherwise: str) -> list[Path]:
    found = sorted(path for path in paths if path.suffix.lower() in PHOTOGRAPHS | VIDEOS and path.is_file())
    found = [path for path in found if out.resolve() not in path.resolve().parents]
    if not found:
        raise MsposeError(f"{otherwise} ({', '.join(sorted(PHOTOGRAPHS | VIDEOS))})")
    return found


def _named(sources: list[Path | int]) -> list[Input]:
    """Folders may hold photographs of one name, and a.jpg may lie beside a.png: those behind the first get a number."""
    named: list[Input] = []
    alike = Counter(_file_name(source) for source in sources)
    taken: dict[str, int] = {}  # without regard to case: macOS and Windows take A_pose.png and a_pose.png for one file
    for source in sources:
        stem = f"webcam{source}" if isinstance(source, int) else source.stem
        number = taken.get(stem.casefold(), 0) + 1
        while (name := stem if number == 1 else f"{stem}_{number}").casefold() in taken:
            number += 1
        taken[stem.casefold()] = number
        taken.setdefault(name.casefold(), 1)
        image = _file_name(source)
        if alike[image] > 1 and isinstance(source, Path):
            image = source.as_posix()
        named.append(Input(source, name, image, _key(source, name, image)))
    return named


def _file_name(source: Path | int) -> str:
    return f"webcam{source}" if isinstance(source, int) else source.name


def _key(source: Path | int, name: str, image: str) -> str:
    """Another one once the file has changed, or is called something else in the results. Taken once, when the input is
    listed: the file may change or vanish while the command runs."""
    if isinstance(source, int):
        return f"{source}"
    try:
        about = source.stat()
        return f"{source} {about.st_size} {about.st_mtime_ns} {name} {image}"
    except OSError:
        return f"{source} {name} {image}"
