"""YAML as people write it by hand: recipes and skeletons."""

from __future__ import annotations

import re
from typing import Any

import yaml


class _PlainLoader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        # ten lines of aliases to aliases are billions of values for whoever walks through them
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"`*{self.peek_event().anchor}`: aliases are not read, write the value out")
        return super().compose_node(parent, index)


# PyYAML is of YAML 1.1, where 5e-4 and 1e5 are text: a number has a point and its exponent a sign. JSON writes 5e-05.
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def load(text: str | bytes) -> Any:
    """Parse YAML, of which JSON is a part.

    Raises:
        ValueError: not YAML, or with an alias in it; the message is one line.
    """
    try:
        return yaml.load(text, _PlainLoader)  # a SafeLoader
    except RecursionError as error:
        raise ValueError("brackets are nested too deep") from error
    except (yaml.YAMLError, ValueError, OverflowError, LookupError, AttributeError) as error:
        # PyYAML stumbles over some dates, numbers and characters with errors of Python's own
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
