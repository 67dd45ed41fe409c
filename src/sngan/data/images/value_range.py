"""Levels: the values of an array or an image that become black and white."""

import logging
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_log = logging.getLogger("sngan")
_TOLERANCE = 0.01
_DEPTHS = (255, 1023, 4095, 16383, 65535)
_DARK = 32


class Levels(NamedTuple):
    """The values of black and white; whether values beyond them are cut, or are an error."""

    black: float
    white: float
    is_cut: bool = False

    @property
    def slack(self) -> float:
        """How far outside a value is by rounding, or by the overshoot of a resampling."""
        return min(_TOLERANCE * (self.white - self.black), 0.5)

    def __str__(self) -> str:
        return f"{self.black:g} (black) to {self.white:g} (white)"


UNIT, SIGNED, BYTES = Levels(0, 1), Levels(-1, 1), Levels(0, 255)


def of_floats(low: float, high: float) -> Levels | None:
    """The usual range that floats are in, narrowest first; ``None``: in none of them."""
    for levels in (UNIT, SIGNED, BYTES, Levels(0, 65535)):
        # of wide ranges, floats that use but a little are of another scale
        is_used = levels.white <= 1 or high >= _DARK
        if is_used and levels.black - levels.slack <= low and high <= levels.white + levels.slack:
            return levels
    return None


def of_integers(low: float, high: float) -> Levels | None:
    """Masks of 0 and 1, or the least of 8, 10, 12, 14 and 16 bits; ``None``: in none of them."""
    if low < 0:
        return None
    return UNIT if high <= 1 else next((Levels(0, top) for top in _DEPTHS if high <= top), None)


def of_bytes(high: float, name: str) -> Levels:
    """8-bit values are 0 … 255, except for masks of 0 and 1; dark ones are read as they are."""
    if 0 < high <= 1:
        _log.warning("%s: its largest value is 1 of 255: read as masks, 1 is white", name)
        return UNIT
    if 0 < high < _DARK:
        _log.warning("%s: nearly black, its largest value is %d of 255", name, high)
    return BYTES


def to_bytes(values: NDArray[Any], levels: Levels) -> NDArray[np.uint8]:
    """Scale values to 0 … 255: floats are rounded, integers as by a shift of bits.

    Raises
    ------
    ValueError
        If a value is not finite, or outside the levels where these do not say that it is cut.
    """
    if levels == BYTES and values.dtype == np.uint8:
        return values
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("some of its values are nan or inf")
    span = levels.white - levels.black
    inside = levels.black - levels.slack <= low and high <= levels.white + levels.slack
    if not (inside or levels.is_cut):
        raise ValueError(f"its values are {low:g} to {high:g}, and others' {levels}")
    if values.dtype.kind == "f":
        wide = np.promote_types(values.dtype, np.float32)
        # one rounding where black is zero, as in `values * 255`
        zeroed = values.astype(wide) - levels.black if levels.black else values.astype(wide)
        return np.rint(zeroed * (255 / span)).clip(0, 255).astype(np.uint8)
    whole = values.astype(np.int64) - int(levels.black)
    return (whole * 255 // max(int(span), 1)).clip(0, 255).astype(np.uint8)
