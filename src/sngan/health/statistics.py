"""Statistics of series: rolling medians, how long a condition holds, turning points."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sngan.health.history import Series

Numbers = NDArray[np.float64]


def rolling_median(values: Numbers, width: int = 3) -> Numbers:
    """Return the median of each value and the up to ``width − 1`` values before it."""
    padded = np.concatenate([np.full(width - 1, np.nan), values])
    if not len(values):
        return values
    return np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1)


def holds_since(series: Series, mask: NDArray[np.bool_], *, least: int) -> tuple[int, int] | None:
    """Return the step since which a condition holds without a break until now.

    Parameters
    ----------
    series
        The series that the condition is about.
    mask
        Whether it holds, for each value.
    least
        The fewest values at the end for which it must hold.

    Returns
    -------
    tuple
        The step, and the number of values; ``None`` if it does not hold so long.
    """
    broken = np.flatnonzero(~mask)
    start = int(broken[-1]) + 1 if len(broken) else 0
    held = len(mask) - start
    return (int(series.steps[start]), held) if held >= least else None


def confidence(beyond: float, held: int, *, least: int) -> float:
    """Return how sure a finding is, from 0 to 1.

    Parameters
    ----------
    beyond
        The figure divided by its threshold, at least 1; values over 4 make it no surer.
    held, least
        The number of records for which the condition holds, and the number that it needs.
    """
    far = min(1.0, np.log2(max(beyond, 1.0)) / 2)
    long = min(1.0, held / (3 * least))
    return round(float(0.3 + 0.4 * far + 0.3 * long), 2)


def turning_points(values: Sequence[float] | Numbers, *, least: float) -> list[int]:
    """Return the indices of the peaks and valleys whose flanks differ by at least ``least``.

    A turn counts once the series has come back from it by ``least``, so smaller noise adds none.
    """
    turns: list[int] = []
    top = bottom = 0
    direction = 0
    for index, value in enumerate(values):
        if value > values[top]:
            top = index
        if value < values[bottom]:
            bottom = index
        if direction >= 0 and values[top] - value >= least:
            turns += [top] if direction > 0 else []
            direction, bottom, top = -1, index, index
        elif direction <= 0 and value - values[bottom] >= least:
            turns += [bottom] if direction < 0 else []
            direction, bottom, top = 1, index, index
    return turns
