"""The processor's cores."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def own_cores() -> list[int]:
    """Numbers of the cores that this process may run on: fewer than the machine has under `taskset`, Slurm or in a
    container that was given some of them."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def multiplies(precision: str, processor: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies the numbers of a precision, as in `training.precision`, by itself.

    Where it does not, TensorFlow converts each of them to float32 and back, which takes 4 (float16) to 9 times
    (bfloat16) as long as computing in float32. True also where the processor does not say: everywhere but on x86 under
    Linux.
    """
    flags = {"mixed_bfloat16": {"avx512_bf16", "amx_bf16"}, "mixed_float16": {"avx512_fp16", "amx_fp16"}}
    try:
        lines = processor.read_text().splitlines()
    except OSError:
        return True
    known = next((set(line.split()) for line in lines if line.startswith("flags")), None)
    return known is None or precision not in flags or bool(known & flags[precision])


def warn_of_slow(precision: str, devices: Sequence[str]) -> None:
    """Print a line where training in that precision takes several times as long as in float32.

    Args:
        devices: that train; nothing is said of GPUs.
    """
    if not any("GPU" in device for device in devices) and not multiplies(precision):
        print(
            f"warning: training.precision is {precision}, which this processor does not multiply by itself: training "
            "takes several times as long as with --set training.precision=float32",
            flush=True,
        )
