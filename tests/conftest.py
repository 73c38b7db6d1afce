"""What tests of every part share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

# Files that take minutes, the longest first: they begin while there is still enough to do for the other worker, which
# otherwise waits for the last of them (`--no-loadscope-reorder` in the Makefile; xdist would begin with many tests).
LONG = (
    "test_training.py",
    "test_kills.py",
    "test_recipes.py",
    "test_export.py",
    "test_doctor.py",
    "test_demo.py",
    "test_own_data_page.py",
    "test_ablate_run.py",
    "test_server.py",
    "test_verify.py",
    "test_web.py",
    "test_mobile.py",
    "test_photographs.py",
    "test_turned.py",
    "test_mixing.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files of `LONG` first."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONG)))


@pytest.fixture(scope="session")
def as_stored() -> Callable[[Image.Image, int], Image.Image]:
    """Brings an upright photograph into the state that an EXIF orientation, 1 to 8, undoes."""
    how = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    return lambda upright, turn: upright.transpose(how[turn]) if turn > 1 else upright


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data sets, for tests marked `data`."""
    folder = os.environ.get("MSPOSE_DATA")
    if not folder:
        pytest.skip("MSPOSE_DATA is not set: it names the folder that holds lspet/, mpii/, flic/ and coco/")
    if not Path(folder).is_dir():
        pytest.fail(f"MSPOSE_DATA={folder}: no such folder")
    return Path(folder)
