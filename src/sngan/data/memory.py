"""Limits of memory: what a file may ask for before anything is allocated."""

import math
import os
from collections.abc import Iterable

from sngan.utils.checks import require


def total() -> int:
    """The bytes of this machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def require_room(shape: Iterable[int], itemsize: int, name: str) -> int:
    """Return the bytes of an array; it may take half of the memory.

    Raises
    ------
    ValueError
        If it is larger.
    """
    size = math.prod(shape) * itemsize
    most = total() // 2
    require(size <= most, "data", expected=f"at most {most} bytes in {name}", got=size)
    return size
