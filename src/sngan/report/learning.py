"""Learning at the end of a run: whether a training curve still falls by more than its noise."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low

import numpy as np

_WINDOW, _FEWEST = 0.2, 6
_LEAST, _SIGNIFICANT = 0.05, 3.0


@dataclass(frozen=True)
class Learning:
    """A curve that still falls: its name, and the share of its value that it lost at the end.

    ``noise`` is the standard deviation of the curve around its trend, as a share of the value.
    """

    curve: str
    gain: float
    noise: float

    def __str__(self) -> str:
        return f"still learning: {self.curve} −{self.gain:.0%} in the last fifth"


def still_learning(
    curves: Mapping[str, Sequence[Sequence[float]]], names: Iterable[str]
) -> Learning | None:
    """Return the learning of the first of these curves that has enough points, if it still falls.

    A line is fitted to the last fifth of the steps, or to the last six points if these span more
    steps. The curve still falls if the line falls by more than 5 % of its value, by more than the
    standard deviation of the points around the line, and by more than three standard errors.

    Parameters
    ----------
    curves
        ``(step, value)`` by the name of each curve.
    names
        The names of curves for which lower is better; the first one with six points decides.

    Examples
    --------
    >>> falling = [(step, 2.0 - 0.1 * step) for step in range(11)]
    >>> print(still_learning({"w1": falling}, ["w1"]))
    still learning: w1 −15% in the last fifth
    >>> print(still_learning({"w1": [(step, 1.0) for step in range(50)]}, ["w1"]))
    None
    """
    for name in names:
        curve = np.array(curves.get(name, []), dtype=float).reshape(-1, 2)
        curve = curve[np.isfinite(curve).all(axis=1)]
        if len(curve) >= _FEWEST:
            return _learning(name.removeprefix("evaluation."), curve)
    return None


def typical(found: Sequence[Learning | None]) -> Learning | None:
    """Return the median learning of several seeds, if more than half of them still learn."""
    gains = [one for one in found if one is not None]
    if 2 * len(gains) <= len(found):
        return None
    middle = median_low(one.gain for one in gains)
    return next(one for one in gains if one.gain == middle)


def _learning(
    name: str, curve: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]"
) -> Learning | None:
    first = curve[-1, 0] - _WINDOW * curve[-1, 0]
    part = curve[min(int(np.searchsorted(curve[:, 0], first)), len(curve) - _FEWEST) :]
    steps = part[:, 0] - part[:, 0].mean()
    slope = float(steps @ part[:, 1] / (steps @ steps))
    rest = part[:, 1] - part[:, 1].mean() - slope * steps
    noise = float(np.sqrt(rest @ rest / (len(part) - 2)))
    # the last points may reach back farther than a fifth
    span = _WINDOW * curve[-1, 0]
    fall, error = -slope * span, noise / float(np.sqrt(steps @ steps)) * span
    start = float(part[:, 1].mean()) + fall / 2
    if fall <= max(noise, _SIGNIFICANT * error, _LEAST * start) or start <= 0:
        return None
    return Learning(name, fall / start, noise / start)
