"""The files of onnxruntime-web, which the web page needs beside it: 14 MB, too large to come with this package.

They are given as a folder, or were fetched before, or npm fetches them once into the user's cache.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from keras_mspose.errors import MsposeError

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
SECONDS = 600  # for npm


def find(given: Path | None = None) -> Path:
    """The folder that holds `FILES`.

    Args:
        given: by the user: the package's folder, or its `dist`. By default the cached one, fetched if need be.

    Raises:
        MsposeError: the folder lacks a file; or npm is missing, or could not fetch the package.
    """
    if given is not None:
        for folder in (given, given / "dist"):
            if all((folder / name).is_file() for name in FILES):
                return folder
        raise MsposeError(f"{given}: not {PACKAGE} ({', '.join(FILES)} are not all in it or in its dist/)")
    cached = _cache() / f"{PACKAGE}-{VERSION}"
    if not all((cached / name).is_file() for name in FILES):
        _fetch(cached)
    return cached


def version(folder: Path) -> str | None:
    """Of the files in a folder, where its `package.json` says it."""
    for place in (folder, folder.parent):
        try:
            said = json.loads((place / "package.json").read_text(encoding="utf-8"))
            if said.get("name") == PACKAGE:
                return said["version"]
        except (OSError, ValueError, KeyError, AttributeError):
            continue
    return None


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mspose"


def _fetch(cached: Path) -> None:
    """Make `cached` hold the package's files; it appears whole or not at all."""
    npm, wanted = shutil.which("npm"), f"{PACKAGE}@{VERSION}"
    elsewhere = f"or give a folder of it: --onnxruntime-web FOLDER (from `npm pack {wanted}`, unpacked)"
    if npm is None:
        raise MsposeError(f"the web page needs {wanted}, and there is no npm to fetch it; install npm, {elsewhere}")
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cached.parent, prefix=".fetching-") as scratch:
            command = [npm, "pack", wanted, "--silent", "--pack-destination", scratch]
            done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=SECONDS)
            archives = list(Path(scratch).glob("*.tgz"))
            if done.returncode or len(archives) != 1:
                said = " ".join((done.stderr or done.stdout).split())[-300:] or f"exit code {done.returncode}"
                raise MsposeError(f"npm could not fetch {wanted} ({said}); connect to the network, {elsewhere}")
            whole = Path(scratch, "whole")
            whole.mkdir()
            with tarfile.open(archives[0]) as archive:
                for name in (*(f"dist/{file}" for file in FILES), "package.json"):
                    content = archive.extractfile(f"package/{name}")
                    (whole / Path(name).name).write_bytes(content.read())
            shutil.rmtree(cached, ignore_errors=True)
            whole.rename(cached)
    except (OSError, KeyError, AttributeError, tarfile.TarError, subprocess.TimeoutExpired) as error:
        raise MsposeError(f"{cached}: {wanted} could not be put there ({error}); make room, {elsewhere}") from error
