"""docs/data-sets.md has every data set of the command, with commands that the command line takes."""

import re
import shlex
from pathlib import Path

from keras_mspose import cli

PAGE = Path(__file__).parents[2] / "docs" / "data-sets.md"
DATA_SETS = {"lsp", "mpii", "flic", "coco", "synthetic", "custom"}


def test_every_command_on_the_page_is_one() -> None:
    page = PAGE.read_text(encoding="utf-8")
    lines = re.findall(r"^ +mspose (.+)$", page, re.MULTILINE)
    options = [cli._parser().parse_args(shlex.split(line)) for line in lines]
    assert {o.dataset for o in options} == DATA_SETS and len(options) > len(DATA_SETS)
    assert all(callable(o.run) for o in options)
