"""MATLAB's structs as SciPy gives them with `squeeze_me=True, struct_as_record=False`, met as if they were regular.

An empty field is an empty array, a single element is no array at all, and a number may come as a character.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def get(struct: Any, field: str) -> Any:
    """A field, or None where the struct is empty or does not have it."""
    return getattr(struct, field, None)


def items(value: Any) -> list:
    """The elements of a struct array: none of an empty one, one where MATLAB's single element came without array."""
    if value is None:
        return []
    return list(value.ravel()) if isinstance(value, np.ndarray) else [value]


def as_number(value: Any) -> float | None:
    """A number that may come as character; None where it is empty, missing or not finite."""
    try:
        found = float(np.asarray(value).item())
    except (TypeError, ValueError):
        return None
    return found if np.isfinite(found) else None
