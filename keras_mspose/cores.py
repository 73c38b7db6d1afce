"""The processor's cores."""

from __future__ import annotations

import os


def own_cores() -> list[int]:
    """Numbers of the cores that this process may run on: fewer than the machine has under `taskset`, Slurm or in a
    container that was given some of them."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))
