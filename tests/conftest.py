"""What tests of every part share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data sets, for tests marked `data`."""
    folder = os.environ.get("MSPOSE_DATA")
    if not folder:
        pytest.skip("MSPOSE_DATA is not set: it names the folder that holds lspet/, mpii/, flic/ and coco/")
    if not Path(folder).is_dir():
        pytest.fail(f"MSPOSE_DATA={folder}: no such folder")
    return Path(folder)
