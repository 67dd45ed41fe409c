"""History of a run: its records as curves of bounded length, read one by one."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

_POINTS = 2048
_CHUNK = 4096
# a file from a stranger may have a new name in each line; no network has so many layers
_NAMES = 4096
# the axis of a chart cannot span more; no number of a run comes near this
_LARGEST = 1e100

Record = Mapping[str, object]
"""A record of a file that anybody may have written: each value is checked before use."""


class Series:
    """A curve of at most 2,048 points: the values, or the means of equal groups of them."""

    def __init__(self) -> None:
        self._size = 1
        # each row is a group: its first step, mean, least and largest value
        self._groups: NDArray[np.float64] = np.empty((0, 4))
        self._rest: NDArray[np.float64] = np.empty((0, 4))
        self.last = (0, 0.0)
        self.least, self.largest = (0, math.inf), (0, -math.inf)

    def add(self, steps: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """Add values in the order of the run."""
        self.last = (int(steps[-1]), float(values[-1]))
        for place in (int(values.argmin()), int(values.argmax())):
            point = int(steps[place]), float(values[place])
            self.least = min(self.least, point, key=itemgetter(1))
            self.largest = max(self.largest, point, key=itemgetter(1))
        rows = np.stack([steps, values, values, values], axis=1)
        while len(rows):
            room = (_POINTS - len(self._groups)) * self._size - len(self._rest)
            part, rows = np.concatenate([self._rest, rows[:room]]), rows[room:]
            whole = len(part) // self._size * self._size
            self._groups = np.concatenate([self._groups, _grouped(part[:whole], self._size)])
            self._rest = part[whole:]
            if len(self._groups) == _POINTS:
                self._groups, self._size = _grouped(self._groups, 2), 2 * self._size

    def is_exact(self) -> bool:
        """Whether each point is one record."""
        return self._size == 1

    def points(self) -> list[tuple[float, float]]:
        """``(step, value)``, or the mean of each group at its first step."""
        return [(_number(step), value) for step, value, _, _ in self._all()]

    def range(self) -> list[tuple[float, float, float]]:
        """``(step, least, largest)`` of each group."""
        return [(_number(step), least, most) for step, _, least, most in self._all()]

    def _all(self) -> list[list[float]]:
        rest = _grouped(self._rest, max(len(self._rest), 1))
        return np.concatenate([self._groups, rest]).tolist()


class History:
    """The curves of a run: ``series`` by key, ``groups`` of named series such as ``sigma``.

    Parameters
    ----------
    records
        The records in the order of the run; they are read once, some thousand at a time.
    keys
        The keys of the numbers that become series.
    groups
        The keys of the named groups of numbers, such as ``sigma`` with a value for each layer.
    """

    def __init__(
        self, records: Iterable[Record], *, keys: Sequence[str], groups: Sequence[str]
    ) -> None:
        self.series: dict[str, Series] = {}
        self.groups: dict[str, dict[str, Series]] = {group: {} for group in groups}
        self.last: Record | None = None
        # evaluations are records of their own, without a time
        self.last_timed: Record | None = None
        records = iter(records)
        while chunk := list(itertools.islice(records, _CHUNK)):
            self._add(chunk, keys)

    @property
    def step(self) -> int:
        """The step of the last record that has a time, or of the last one."""
        last = self.last_timed or self.last
        return cast(int, last["step"]) if last else 0

    @property
    def seconds(self) -> float | None:
        """The seconds of training until :attr:`step`."""
        return cast(float, self.last_timed["seconds"]) if self.last_timed else None

    def _add(self, chunk: Sequence[Record], keys: Sequence[str]) -> None:
        self.last = chunk[-1]
        timed = next((r for r in reversed(chunk) if is_number(r.get("seconds"))), None)
        self.last_timed = timed or self.last_timed
        for key in keys:
            _extend(self.series, key, chunk, chunk)
        for group, series in self.groups.items():
            pairs = [
                (r, cast(Record, r[group])) for r in chunk if isinstance(r.get(group), Mapping)
            ]
            owners, inner = [r for r, _ in pairs], [values for _, values in pairs]
            names = dict.fromkeys(itertools.chain.from_iterable(inner))
            for name in names:
                if name in series or len(series) < _NAMES:
                    _extend(series, name, owners, inner)


def _extend(
    series: dict[str, Series], key: str, owners: Sequence[Record], records: Sequence[Record]
) -> None:
    values = _array([record.get(key) for record in records])
    known = np.abs(values) <= _LARGEST
    if known.any():
        steps = np.array([cast(int, owner["step"]) for owner in owners], dtype=np.float64)
        series.setdefault(key, Series()).add(steps[known], values[known])


def _array(values: list[object]) -> NDArray[np.float64]:
    """The numbers among the values; nan stands for everything else."""
    if set(map(type, values)) == {float}:
        return np.array(values)
    return np.array([float(value) if is_number(value) else math.nan for value in values])


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value of a record can be drawn: neither infinite, nor nan, nor huge."""
    return type(value) in (int, float) and abs(cast(float, value)) <= _LARGEST


def _grouped(rows: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Join every ``size`` groups of equal weight into one."""
    if not len(rows):
        return rows
    blocks = rows.reshape(-1, size, 4)
    parts = (blocks[:, 0, 0], blocks[..., 1].mean(1), blocks[..., 2].min(1), blocks[..., 3].max(1))
    return np.stack(parts, axis=1)


def _number(step: float) -> float:
    return int(step) if step.is_integer() else step
