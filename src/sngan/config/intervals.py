"""Intervals: how often a run does something, in steps (50) or in time (30s, 5min, 1h)."""

import re

from sngan.utils.checks import require, require_count

Interval = int | str
"""A number of steps, or a text such as ``30s``, ``5min`` or ``1h``."""

_TEXT = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?(s|min|h)", re.ASCII)
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


def seconds_of(interval: Interval) -> float | None:
    """Return the seconds of an interval in time; ``None`` if it counts steps.

    Examples
    --------
    >>> seconds_of("30s"), seconds_of("1.5min"), seconds_of(50)
    (30.0, 90.0, None)
    """
    found = _TEXT.fullmatch(interval) if isinstance(interval, str) else None
    return None if found is None else float(found[1]) * _SECONDS[found[2]]


def steps_of(interval: Interval, *, default: int) -> int:
    """Return the steps of an interval; if it is in time, ``default``."""
    return default if isinstance(interval, str) else interval


def require_interval(value: Interval, name: str) -> None:
    """Raise ``ValueError`` unless ``value`` is a positive number of steps, or a time over 0."""
    if not isinstance(value, str):
        require_count(value, name)
        return
    expected = "a number of steps, or a time such as 30s, 5min or 1h"
    require(bool(seconds_of(value)), name, expected=expected, got=repr(value))
