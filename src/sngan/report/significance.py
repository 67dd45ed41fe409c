"""Significance of differences between methods: Welch's test, corrected for the number of pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import mean, variance

from sngan.utils.tables import NOTHING

LEVEL = 0.05
"""A difference counts if chance alone makes such a one in fewer than this part of comparisons."""


@dataclass(frozen=True)
class Difference:
    """The difference of two methods in one metric, under one setting of the optimizer.

    Attributes
    ----------
    setting, left, right
        The setting, and the two methods.
    difference, low, high
        The mean of ``left`` minus that of ``right``, and its confidence interval of 95 %; the
        interval is None where ``p`` is.
    p
        The p-value of Welch's test, corrected by Holm's method for all pairs; None if a method has
        fewer than two seeds, or if no seed differs from the others of its method.
    better
        The method that is better; None if that is not decided.
    """

    setting: str
    left: str
    right: str
    difference: float
    low: float | None = None
    high: float | None = None
    p: float | None = None
    better: str | None = None

    @property
    def verdict(self) -> str:
        """The result in words."""
        if self.p is None:
            return "cannot be tested with these seeds"
        return f"{self.better} is better" if self.better else "not decided"

    @property
    def interval(self) -> str:
        """The difference and its interval, for tables."""
        if self.low is None or self.high is None:
            return f"{self.difference:.3g}"
        return f"{self.difference:.3g} ({self.low:.3g} to {self.high:.3g})"

    @property
    def p_value(self) -> str:
        """The p-value, for tables."""
        return NOTHING if self.p is None else f"{self.p:.2g}"


def differences(
    values: Mapping[tuple[str, str], Sequence[float]], *, higher_is_better: bool
) -> list[Difference]:
    """Test each pair of methods that were trained under the same setting.

    Welch's t-test takes the seeds of a method as independent values of unknown variance (Welch
    1947, Biometrika 34). With k pairs, Holm's correction keeps the chance that any of them is
    wrongly called different below 5 % (Holm 1979, Scand. J. Statist. 6).

    Parameters
    ----------
    values
        The metric of each seed, by method and setting.
    higher_is_better
        Whether larger values of the metric are better.

    Examples
    --------
    >>> found = differences(
    ...     {("sn", "own"): [1.0, 1.1, 0.9], ("wgan", "own"): [2.0, 2.2, 1.9]},
    ...     higher_is_better=False,
    ... )
    >>> found[0].verdict, round(found[0].p, 4)
    ('sn is better', 0.0012)
    """
    pairs = [
        _tested(setting, left, right, values[left, setting], values[right, setting])
        for setting in dict.fromkeys(setting for _, setting in values)
        for left, right in combinations([one for one, of in values if of == setting], 2)
    ]
    return [_judged(pair, higher_is_better=higher_is_better) for pair in _corrected(pairs)]


def _tested(
    setting: str, left: str, right: str, x: Sequence[float], y: Sequence[float]
) -> Difference:
    """The difference of two methods, with the p-value of this pair alone."""
    found = Difference(setting, left, right, mean(x) - mean(y))
    if min(len(x), len(y)) < 2:
        return found
    parts = variance(x) / len(x), variance(y) / len(y)
    error = sum(parts) ** 0.5
    if error == 0:
        return found
    # this import takes time that other pages should not pay
    from scipy.special import stdtr, stdtrit

    # Welch and Satterthwaite
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (len(x) - 1) + parts[1] ** 2 / (len(y) - 1))
    p = 2 * float(stdtr(freedom, -abs(found.difference) / error))
    reach = float(stdtrit(freedom, 1 - LEVEL / 2)) * error
    return replace(found, low=found.difference - reach, high=found.difference + reach, p=p)


def _corrected(pairs: Sequence[Difference]) -> list[Difference]:
    """Replace the p-values by those of Holm's correction."""
    tested = sorted((p, place) for place, pair in enumerate(pairs) if (p := pair.p) is not None)
    corrected, largest = list(pairs), 0.0
    for rank, (p, place) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - rank) * p))
        corrected[place] = replace(pairs[place], p=largest)
    return corrected


def _judged(pair: Difference, *, higher_is_better: bool) -> Difference:
    if pair.p is None or pair.p >= LEVEL:
        return pair
    left_is_better = (pair.difference > 0) == higher_is_better
    return replace(pair, better=pair.left if left_is_better else pair.right)
