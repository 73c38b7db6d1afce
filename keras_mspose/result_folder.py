"""A folder of results, records or an export: it appears whole or not at all, and a failure leaves what was there.

All is written beside it, in `OUT.partial-PID` or a folder of the writer's own. An earlier result is renamed to
`OUT.replaced-PID`, the new one into its place, and only then is the earlier one deleted. What a killed process left of
this is mended by the next.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_mspose.errors import MsposeError


def claim(out: Path, *, overwrite: bool, ours: Callable[[str], bool], index: str, what: str) -> None:
    """Mend what killed processes left, then see that `out` may be written.

    Args:
        out: the folder that the result is to stand at.
        overwrite: an earlier result of the same kind may be replaced.
        ours: whether a result of this kind holds such a name; a folder that holds anything else is never touched.
        index: the file that every result of this kind has.
        what: what such folders are called, in the plural.

    Raises:
        MsposeError: `out` is taken, or is no folder that can be renamed.
    """
    _mend(out, index)
    if out.exists() and not out.is_dir():
        raise MsposeError(f"{out}: is a file; --out names the folder to make")
    content = sorted(p.name for p in out.iterdir()) if out.exists() else []
    if content and not overwrite:
        raise MsposeError(f"{out}: exists and is not empty; pass --overwrite to replace it, or another --out")
    strangers = [name for name in content if not ours(name)]
    if content and (strangers or index not in content):
        why = f"holds {strangers[0]}" if strangers else f"has no {index}"
        raise MsposeError(f"{out}: --overwrite replaces {what} only and this folder {why}; give another --out")
    if out.is_mount():  # could not be renamed over, which would show only after all the work
        raise MsposeError(f"{out}: is a mount point, which cannot be renamed; give a folder inside it as --out")


@contextmanager
def whole(out: Path) -> Iterator[Path]:
    """A folder to write into, which stands at `out` once the block has ended well and is gone where it has not.

    Raises:
        MsposeError: it cannot be written.
    """
    partial = out.with_name(f"{out.name}.partial-{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        yield partial
        put_in_place(partial, out)
    except OSError as error:
        raise MsposeError(f"{out}: cannot be written ({error}); make room or give another --out") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def put_in_place(partial: Path, out: Path) -> None:
    """Rename `partial` to `out`; an earlier `out` is deleted once that has worked, and is back where it has not."""
    if not out.exists():
        partial.rename(out)
        return
    replaced = out.with_name(f"{out.name}.replaced-{os.getpid()}")
    try:
        out.rename(replaced)
        partial.rename(out)
    except BaseException:  # Ctrl-C too
        if replaced.exists() and not out.exists():
            replaced.rename(out)
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def _mend(out: Path, index: str) -> None:
    """Bring back the result that a killed process had moved aside and not yet replaced; delete its other leftovers."""
    for leftover in _leftovers(out, "replaced"):
        if not out.exists():
            leftover.rename(out)
        elif (out / index).is_file():
            shutil.rmtree(leftover, ignore_errors=True)
    for leftover in _leftovers(out, "partial"):
        shutil.rmtree(leftover, ignore_errors=True)


def _leftovers(out: Path, kind: str) -> list[Path]:
    if not out.parent.is_dir():
        return []
    name = re.compile(rf"{re.escape(out.name)}\.{kind}-(\d+)")
    found = ((path, name.fullmatch(path.name)) for path in sorted(out.parent.iterdir()))
    return [path for path, match in found if match and path.is_dir() and not _runs_elsewhere(int(match[1]))]


def _runs_elsewhere(pid: int) -> bool:
    """Whether another process than this one has that id. In a container the killed one's id is often our own."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # another user's; or no process id at all
        return True
    return True
