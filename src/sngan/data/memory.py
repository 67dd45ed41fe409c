"""Memory limits: the size that a file declares is checked before memory is allocated for it."""

import math
import os
from collections.abc import Iterable

from sngan.utils.checks import require

_GIBIBYTE = 2**30


def total_memory() -> int:
    """Return the bytes of this machine's memory."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def require_images_fit(shape: tuple[int, ...]) -> None:
    """Require that uint8 images ``(N, C, H, W)`` fit into this machine's memory.

    Raises
    ------
    ValueError
        If the images are larger than that.
    """
    size, room = math.prod(shape), total_memory()
    expected = f"images that fit into {room / _GIBIBYTE:.3g} GiB of memory"
    got = f"{shape[0]} images of {shape[-1]}×{shape[-2]} pixels, {size / _GIBIBYTE:.3g} GiB"
    require(size <= room, "data.resolution", expected=expected, got=got)


def require_memory(shape: Iterable[int], itemsize: int, name: str) -> int:
    """Return the bytes of an array, which may take at most half of the memory.

    Parameters
    ----------
    shape
        The shape of the array.
    itemsize
        The bytes of one value.
    name
        The name of the array, for the error.

    Raises
    ------
    ValueError
        If the array is larger.
    """
    size = math.prod(shape) * itemsize
    most = total_memory() // 2
    require(size <= most, "data", expected=f"at most {most} bytes in {name}", got=size)
    return size
