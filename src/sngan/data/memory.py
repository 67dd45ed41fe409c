"""Memory limits: a file's declared size is checked before anything is allocated for it."""

import math
import os
from collections.abc import Iterable

from sngan.utils.checks import require


def total_memory() -> int:
    """Return the bytes of this machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def require_memory(shape: Iterable[int], itemsize: int, name: str) -> int:
    """Return the bytes of an array of this shape, which may take half of the memory.

    Raises
    ------
    ValueError
        If the array is larger.
    """
    size = math.prod(shape) * itemsize
    most = total_memory() // 2
    require(size <= most, "data", expected=f"at most {most} bytes in {name}", got=size)
    return size
