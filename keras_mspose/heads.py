"""What heads are called, and what their names say. Loads no Keras."""

from __future__ import annotations

import re

REGRESSION = "regression"
_HEAD = re.compile(r"stack(\d+)_gt(\d+)")


def head_stack(name: str) -> int:
    """Number of the stack that a supervised head belongs to, from 1, from its name."""
    return int(_HEAD.fullmatch(name)[1])


def head_scale(name: str) -> int:
    """Scale factor of a head under GT (1, 2, 4, 8), from its name."""
    return 1 if name == REGRESSION else int(_HEAD.fullmatch(name)[2])
