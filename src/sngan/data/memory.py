"""Limits of memory: what a file may ask for before anything is allocated."""

import math
import os
from collections.abc import Iterable

from sngan.utils.checks import require

_GIBIBYTE = 2**30


def total() -> int:
    """The bytes of this machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def require_images(shape: tuple[int, ...]) -> None:
    """Raise unless uint8 images ``(N, C, side, side)`` can be kept in this machine's memory.

    Raises
    ------
    ValueError
        If they are larger than all of it.
    """
    size, room = math.prod(shape), total()
    expected = f"images that fit into {room / _GIBIBYTE:.3g} GiB of memory"
    got = f"{shape[0]} images of side {shape[-1]}, {size / _GIBIBYTE:.3g} GiB"
    require(size <= room, "data.resolution", expected=expected, got=got)


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
