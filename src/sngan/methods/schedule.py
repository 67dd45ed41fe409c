"""Schedules: numbers that go from one value to another over a run, written as ``A->B``."""

import math
import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from sngan.utils.checks import require, require_number

Shape = Literal["linear", "cosine"]
_TEXT = re.compile(r"(?:(?:(linear|cosine)\s+)?(\S+?)\s*->\s*)?(\S+)")


@dataclass(frozen=True)
class Schedule:
    r"""A number that goes from ``start`` to ``end`` over the steps of a run.

    With ``t = step/steps`` the value is

    .. math:: w\cdot\text{start} + (1 - w)\cdot\text{end},\qquad
              w = 1 - t \text{ (linear)},\quad w = (1 + \cos \pi t)/2 \text{ (cosine)}.

    The first step has ``start``. The value ``end`` is reached after the last step, so that a rate
    that goes to 0 still moves the weights in the last step. The text of a schedule is ``A->B`` or
    ``cosine A->B``; ``str`` returns it, and :func:`parse_schedule` reads it.

    Parameters
    ----------
    start, end
        The values at the first step and after the last one.
    shape
        ``"linear"`` or ``"cosine"``. A cosine changes slowly near both ends (Loshchilov, Hutter
        2017, arXiv:1608.03983, without restarts).

    Examples
    --------
    >>> schedule = Schedule(2.0, 0.2)
    >>> [round(schedule.at(step, 10), 2) for step in (0, 5, 10)]
    [2.0, 1.1, 0.2]
    >>> str(Schedule(0.9, 0.99, "cosine"))
    'cosine 0.9->0.99'
    """

    start: float
    end: float
    shape: Shape = "linear"

    def at(self, step: int, steps: int) -> float:
        """Return the value at a step of a run of ``steps`` steps; the first step is 0."""
        share = min(max(step / steps, 0.0), 1.0)
        weight = 1.0 - share if self.shape == "linear" else (1.0 + math.cos(math.pi * share)) / 2
        value = weight * self.start + (1.0 - weight) * self.end
        # only the ends were checked, so rounding must not leave the range between them
        return min(max(value, min(self.start, self.end)), max(self.start, self.end))

    def __str__(self) -> str:
        word = "" if self.shape == "linear" else f"{self.shape} "
        return f"{word}{self.start!r}->{self.end!r}"


Scheduled = float | Schedule
"""A setting that is one number, or a number that changes over the run."""


@cache
def factor(word: str) -> Schedule:
    """Return the factor that ``constant``, ``linear`` (1->0) or ``cosine`` (1->0) stands for.

    >>> str(factor("constant")), str(factor("linear")), str(factor("cosine"))
    ('1.0->1.0', '1.0->0.0', 'cosine 1.0->0.0')
    """
    if word == "constant":
        return Schedule(1.0, 1.0)
    return Schedule(1.0, 0.0, "cosine" if word == "cosine" else "linear")


def value_at(value: Scheduled, step: int, steps: int) -> float:
    """Return the value of a number or a schedule at a step.

    Parameters
    ----------
    value
        The setting.
    step, steps
        The step, from 0, and the number of steps of the run.

    Examples
    --------
    >>> value_at(0.5, 3, 4), value_at(Schedule(1.0, 0.0), 3, 4)
    (0.5, 0.25)
    """
    return value.at(step, steps) if isinstance(value, Schedule) else value


def scaled(value: Scheduled, by: float) -> Scheduled:
    """Return a number or a schedule times a factor.

    >>> str(scaled(Schedule(2.0, 0.2), 0.5)), scaled(3.0, 0.5)
    ('1.0->0.1', 1.5)
    """
    if isinstance(value, Schedule):
        return Schedule(by * value.start, by * value.end, value.shape)
    return by * value


def largest(value: Scheduled) -> float:
    """Return the largest value that a number or a schedule has in a run.

    >>> largest(Schedule(2.0, 0.2)), largest(3.0)
    (2.0, 3.0)
    """
    return max(value.start, value.end) if isinstance(value, Schedule) else value


def parse_schedule(text: str, name: str) -> Scheduled:
    """Return the number or schedule that a text stands for.

    Parameters
    ----------
    text
        ``A``, ``A->B``, ``linear A->B`` or ``cosine A->B`` with finite numbers A and B.
    name
        The name of the setting, for the error.

    Raises
    ------
    ValueError
        If the text is none of these.

    Examples
    --------
    >>> parse_schedule("2e-4->5e-5", "lr"), parse_schedule("0.5", "lr")
    (Schedule(start=0.0002, end=5e-05, shape='linear'), 0.5)
    >>> parse_schedule("cosine 0.9 -> 0.99", "beta").shape
    'cosine'
    """
    parts = _TEXT.fullmatch(text.strip())
    shape, start, end = parts.groups() if parts else (None, None, "")
    numbers = [_number(word) for word in (start, end) if word is not None]
    require(
        None not in numbers,
        name,
        expected="a number, A->B (from A at the first step to B at the end) or cosine A->B",
        got=repr(text),
    )
    first, *more = [number for number in numbers if number is not None]
    if not more:
        return first
    return Schedule(first, more[0], "cosine" if shape == "cosine" else "linear")


def require_scheduled(
    value: object,
    name: str,
    *,
    above: float = -math.inf,
    minimum: float = -math.inf,
    maximum: float = math.inf,
) -> Scheduled:
    """Return a setting as a number or a schedule whose ends lie in a range.

    Parameters
    ----------
    value
        A number, a schedule, or the text of either.
    name
        The name of the setting, for the error.
    above, minimum, maximum
        The range of both ends, as in :func:`sngan.utils.checks.require_number`.

    Raises
    ------
    ValueError
        If the text does not parse, or a number is outside the range.

    Examples
    --------
    >>> from sngan.methods import require_scheduled
    >>> require_scheduled("2e-4->0", "method.lr", minimum=0)
    Schedule(start=0.0002, end=0.0, shape='linear')
    >>> require_scheduled(-1.0, "method.lr", minimum=0)
    Traceback (most recent call last):
        ...
    ValueError: method.lr: expected a finite number of at least 0, got -1.0
    """
    parsed = parse_schedule(value, name) if isinstance(value, str) else value
    ends = [parsed.start, parsed.end] if isinstance(parsed, Schedule) else [parsed]
    for number in ends:
        require_number(number, name, above=above, minimum=minimum, maximum=maximum)  # pyright: ignore[reportArgumentType]
    # torch takes no integer of more than 64 bits
    return float(parsed) if type(parsed) is int else parsed  # pyright: ignore[reportReturnType]


def _number(word: str) -> float | None:
    try:
        value = float(word)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
