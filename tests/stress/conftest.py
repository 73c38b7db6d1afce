"""How inputs are damaged, and what no damaged input may do: end in a traceback, hang, grow, or write elsewhere."""

from __future__ import annotations

import faulthandler
import json
import random
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from keras_mspose import cli
from keras_mspose.errors import MsposeError
from keras_mspose.records import RecordSet
from tfrecords_tools import verification

SECONDS = 120  # for one input
MEMORY = 1 << 30  # bytes that one input may add
NAN, INF = float("nan"), float("inf")
VALUES = (None, True, -1, 0, 1, 2.5, 1e30, NAN, INF, "", "x", "0", [], {}, [1, 2, 3], {"a": 1}, [[]], -(2**70))
NUMBERS = (NAN, INF, -INF, 1e300, -1e39, 1e8, 0, -1, 2**63, 10**400, 5e-324, "nan", "7")
NAMES = (
    *("../escaped.jpg", "/escaped.jpg", "a/../../escaped.jpg", "..", ".", "", "images", "C:\\escaped.jpg", "~/escaped"),
    *("\0.jpg", "\ud800.jpg", "a\nb.jpg", "x" * 300, "x/" * 3000, "[bold]a.jpg", "%s{0}.jpg"),
)


class Damage:
    """Seeded ways to damage an input."""

    NAMES = NAMES

    def __init__(self, seed: str) -> None:
        self.rng = random.Random(seed)

    def bytes(self, data: bytes) -> bytes:
        """Cut, overwritten, emptied in the middle, doubled, or with some bits turned."""
        rng, size = self.rng, len(data)
        kind, a = rng.randrange(5), rng.randrange(size)
        b = min(size, a + 1 + int(rng.expovariate(1 / 200)))
        if kind == 0:
            return data[:a]
        if kind == 1:
            return data[:a] + rng.randbytes(b - a) + data[b:]
        if kind == 2:
            return data[:a] + bytes(b - a) + data[b:]
        if kind == 3:
            return data[:b] + data[a:]
        turned = bytearray(data)
        for _ in range(rng.randint(1, 20)):
            turned[rng.randrange(size)] ^= 1 << rng.randrange(8)
        return bytes(turned)

    def tree(self, tree: Any) -> Any:
        """A copy of a JSON tree with one node taken out, doubled, or replaced: by a value of its own type that cannot
        be, or by one of another type. Each field is as likely as any other, however often it is there."""
        rng, tree = self.rng, json.loads(json.dumps(tree))
        fields: dict[str, list[tuple[Any, Any]]] = {}
        for field, holder, key in _places(tree):
            fields.setdefault(field, []).append((holder, key))
        holder, key = rng.choice(rng.choice(list(fields.values())))
        kind, old = rng.randrange(6), holder[key]
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, list):
            holder.append(old)
        elif kind == 1:
            holder[f"{key}_"] = old
        elif kind < 5 and isinstance(old, str):
            holder[key] = rng.choice(NAMES)
        elif kind < 5 and isinstance(old, (int, float)):
            holder[key] = rng.choice(NUMBERS)
        else:
            holder[key] = rng.choice(VALUES)
        return tree


def _places(tree: Any, field: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every node: its path without positions in lists, what holds it, and its key there."""
    keys = tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in list(keys):
        inner = f"{field}.{key}" if isinstance(tree, dict) else f"{field}[]"
        yield inner, tree, key
        yield from _places(tree[key], inner)


@pytest.fixture
def damage(request: pytest.FixtureRequest) -> Damage:
    """Seeded by the test's name."""
    return Damage(request.node.name)


@contextmanager
def bounded(what: Any) -> Iterator[None]:
    """Anything but a one-line MsposeError is a failure, which names `what` was read; and so is taking too long, which
    ends the process, or adding too much memory."""
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # begin a new peak
    limits = resource.getrlimit(resource.RLIMIT_AS)
    faulthandler.dump_traceback_later(SECONDS, exit=True, file=sys.__stderr__)
    resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") + 8 * MEMORY, limits[1]))
    try:
        yield
    except MsposeError:
        raise
    except BaseException as error:
        raise AssertionError(f"{type(error).__name__}: {error}\nafter: {str(what)[:3000]}") from error
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
        faulthandler.cancel_dump_traceback_later()
    assert _status("VmHWM") - before < MEMORY, what


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{field}:"))


@pytest.fixture
def refused_or_read() -> Callable[[Callable[[], Any], Any], bool]:
    """Whether something read what it was given, or refused it in one line."""

    def run(act: Callable[[], Any], what: Any) -> bool:
        try:
            with bounded(what):
                act()
        except MsposeError as error:
            assert str(error).count("\n") == 0 and len(str(error)) > 10, what
            return False
        return True

    return run


@pytest.fixture
def convert(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    """Run `mspose convert`: whether it went well. If so, all that it wrote is whole; if not, it said why in one line,
    naming a file, and wrote nothing. Nothing else in `tmp_path` changes, where it also runs."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    out = tmp_path / "out"

    def run(*arguments: object, what: Any) -> bool:
        before = sorted(tmp_path.rglob("*"))
        with bounded(what):
            code = cli.main(["convert", *map(str, arguments), "--out", str(out)])
        said = capsys.readouterr().err.strip()
        if code:
            assert code == 2 and said.startswith("mspose convert: ") and said.count("\n") == 0, (said, what)
            assert str(tmp_path) in said, (said, what)
        else:
            data = RecordSet.load(out)
            found = verification.verify(data, Console(quiet=True))[1]
            assert not [f for f in found if f.kind in ("files", "records", "photographs", "numbers")], (found, what)
            assert ("left out" in said) == ("skipped" in data.notes), (said, what)
            shutil.rmtree(out)
        assert sorted(tmp_path.rglob("*")) == before, what
        assert not Path("/escaped.jpg").exists()
        return code == 0

    return run


@pytest.fixture(scope="session")
def jpegs() -> list[bytes]:
    """Four small photographs, 80 x 60."""
    found = []
    for seed in range(4):
        coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
        found.append(cv2.imencode(".jpg", cv2.resize(coarse, (80, 60), interpolation=cv2.INTER_CUBIC))[1].tobytes())
    return found
