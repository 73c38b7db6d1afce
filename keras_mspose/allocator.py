"""The C library's memory, set up for steps that take and free the same large tensors again and again."""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # mallopt's names, malloc.h
_LARGEST_MMAP_THRESHOLD = 32 * 2**20
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Keep what is freed for the next tensor instead of giving it back to the system.

    glibc returns large blocks at once, and the system hands them out again page by page, each filled with zeros first.
    With one arena for all threads, what one thread frees serves every other. The process keeps the memory of its
    largest step until it ends.

    Returns:
        Whether it was done: on Linux with glibc alone. Elsewhere nothing changes.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    settings = ((_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD), (_TRIM_THRESHOLD, _NEVER), (_ARENA_MAX, 1))
    library = ctypes.CDLL(None)
    return all([library.mallopt(name, value) == 1 for name, value in settings])
