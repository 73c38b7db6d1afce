"""YAML as people write it by hand: recipes and skeletons."""

from __future__ import annotations

from typing import Any

import yaml


class _PlainLoader(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        # ten lines of aliases to aliases are billions of values for whoever walks through them
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"`*{self.peek_event().anchor}`: aliases are not read, write the value out")
        return super().compose_node(parent, index)


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
