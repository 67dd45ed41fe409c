"""Value ranges: the values of an array or an image that stand for black and for white."""

import logging
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_log = logging.getLogger("sngan")
_TOLERANCE = 0.01
_DEPTHS = (255, 1023, 4095, 16383, 65535)
_DARK = 32


class ValueRange(NamedTuple):
    """The values of black and white; ``is_cut`` clips values outside instead of refusing them."""

    black: float
    white: float
    is_cut: bool = False

    @property
    def tolerance(self) -> float:
        """How far a value may lie outside, by rounding or by the overshoot of a resampling."""
        return min(_TOLERANCE * (self.white - self.black), 0.5)

    def contains(self, low: float, high: float) -> bool:
        """Whether all values from ``low`` to ``high`` are inside, up to the tolerance."""
        return self.black - self.tolerance <= low and high <= self.white + self.tolerance

    def __str__(self) -> str:
        return f"{self.black:g} (black) to {self.white:g} (white)"


UNIT, SIGNED, BYTES = ValueRange(0, 1), ValueRange(-1, 1), ValueRange(0, 255)


def of_floats(low: float, high: float) -> ValueRange | None:
    """Return the narrowest usual range that contains these floats; ``None`` if none does."""
    for candidate in (UNIT, SIGNED, BYTES, ValueRange(0, 65535)):
        # floats that use only a small part of a wide range have another scale
        is_used = candidate.white <= 1 or high >= _DARK
        if is_used and candidate.contains(low, high):
            return candidate
    return None


def of_integers(low: float, high: float) -> ValueRange | None:
    """Return the range of masks of 0 and 1, or the narrowest of 8, 10, 12, 14 and 16 bits.

    It is ``None`` if values are negative, or wider than 16 bits.
    """
    if low < 0:
        return None
    if high <= 1:
        return UNIT
    return next((ValueRange(0, top) for top in _DEPTHS if high <= top), None)


def of_bytes(high: float, name: str) -> ValueRange:
    """Return 0 … 255, or 0 … 1 for masks; other dark images are not brightened."""
    if 0 < high <= 1:
        _log.warning("%s: its largest value is 1 of 255: read as masks, 1 is white", name)
        return UNIT
    if 0 < high < _DARK:
        _log.warning("%s: nearly black, its largest value is %d of 255", name, high)
    return BYTES


def to_bytes(values: NDArray[Any], value_range: ValueRange) -> NDArray[np.uint8]:
    """Scale values to 0 … 255; floats are rounded, and integers rounded down as by a bit shift.

    Raises
    ------
    ValueError
        If a value is not finite, or lies outside a range that is not cut.
    """
    if value_range == BYTES and values.dtype == np.uint8:
        return values
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("some of its values are nan or inf")
    if not (value_range.is_cut or value_range.contains(low, high)):
        raise ValueError(
            f"its values are {low:g} to {high:g}, outside {value_range} of the other images"
        )
    black, span = value_range.black, value_range.white - value_range.black
    if values.dtype.kind == "f":
        wide = np.promote_types(values.dtype, np.float32)
        # where black is zero there is only one rounding, as in `values * 255`
        zeroed = values.astype(wide) - black if black else values.astype(wide)
        return np.rint(zeroed * (255 / span)).clip(0, 255).astype(np.uint8)
    whole = values.astype(np.int64) - int(black)
    return (whole * 255 // max(int(span), 1)).clip(0, 255).astype(np.uint8)
