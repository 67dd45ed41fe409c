"""History: the records of a run as series of numbers, of bounded length, from a file of anybody."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

_MOST = 4096
# a file from a stranger may have a new name in each line
_NAMES = 512
# the square of a larger number is not finite
_LARGEST = 1e100
# a record and an evaluation may measure one figure from other numbers of samples
_GROUPS = {"health": "", "evaluation": "evaluation.", "not_finite": ""}


class Series(NamedTuple):
    """The values of a figure, and the steps at which they were recorded."""

    steps: NDArray[np.float64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def last(self) -> float:
        """The last value."""
        return float(self.values[-1])

    def since(self, step: float) -> "Series":
        """Return the part from a step on."""
        kept = self.steps >= step
        return Series(self.steps[kept], self.values[kept])


class History:
    """The figures of a run by name, such as ``generator_loss`` or ``evaluation.frechet``.

    At most some thousand values of each figure are kept: of a longer run every second one, every
    fourth one, and so on. A record before the last one, which a damaged file may have, is left out.

    Parameters
    ----------
    records
        The records in the order of the run.

    Examples
    --------
    >>> from sngan.health import History
    >>> history = History([{"step": 50, "critic_loss": 2.0}, {"step": 100, "critic_loss": 1.5}])
    >>> history.step, history["critic_loss"].last, len(history["unknown"])
    (100, 1.5, 0)
    """

    def __init__(self, records: Iterable[Mapping[str, object]] = ()) -> None:
        self._kept: dict[str, list[tuple[int, float]]] = {}
        self._strides: dict[str, int] = {}
        self._seen: dict[str, int] = {}
        self.step = 0
        self.num_records = 0
        self.num_measured = 0
        for record in records:
            self.add(record)

    def add(self, record: Mapping[str, object]) -> None:
        """Add a record; values that are no finite numbers are left out."""
        step = record.get("step")
        if not isinstance(step, int) or isinstance(step, bool) or step < self.step:
            return
        self.step = step
        self.num_records += 1
        self.num_measured += isinstance(record.get("health"), Mapping)
        for name, value in record.items():
            if name in _GROUPS and isinstance(value, Mapping):
                for inner, number in cast(Mapping[object, object], value).items():
                    self._add(f"{_GROUPS[name]}{inner}", step, number)
            elif name == "sigma" and isinstance(value, Mapping):
                sigmas = list(cast(Mapping[object, object], value).values())
                numbers = [number for one in sigmas if (number := _number(one)) is not None]
                self._add("sigma_largest", step, max(numbers, default=None))
            elif name != "step":
                self._add(name, step, value)
        if isinstance(record.get("not_finite"), Mapping):
            self._add("not_finite", step, step)

    def __contains__(self, name: str) -> bool:
        return name in self._kept

    def __getitem__(self, name: str) -> Series:
        """Return a series, which is empty if the run has no such figure."""
        pairs = self._kept.get(name, [])
        steps, values = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
        return Series(steps, values)

    def _add(self, name: str, step: int, value: object) -> None:
        number = _number(value)
        if number is None or (name not in self._kept and len(self._kept) >= _NAMES):
            return
        kept = self._kept.setdefault(name, [])
        stride, seen = self._strides.get(name, 1), self._seen.get(name, 0)
        self._seen[name] = seen + 1
        if seen % stride == 0:
            kept.append((step, number))
        if len(kept) > _MOST:
            del kept[1::2]
            self._strides[name] = 2 * stride


def _number(value: object) -> float | None:
    """Return a finite number as a float, and None for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    # no comparison with nan holds, and an integer may be too large for a float
    return float(value) if abs(value) <= _LARGEST else None
