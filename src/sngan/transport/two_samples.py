"""Two samples compared: distances between their halves, an interval, and a permutation test."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import stdtrit

from sngan.transport.points import exponent_of, problem, require_memory
from sngan.utils.checks import require_count
from sngan.utils.real_arrays import Array, Reals

Rows = NDArray[np.int64]
Progress = Callable[[int, int], None]

_SPLITS, _FEWEST_SPLITS = 20, 5
# with these numbers a p-value can be 0.05 exactly
_PERMUTATIONS = 199
# the time of a solve grows a little faster than the square of the number of points
_GROWTH = 2.5
_FEWEST_TESTED = 50
# distances of all points, of which a quarter is copied for POT, whose simplex holds 4.1 more of it
_COPIES = 3
_TIES = 1e-9


class Interval(NamedTuple):
    """The ends of an interval."""

    low: float
    high: float


@dataclass(frozen=True)
class TwoSamples:
    """How far two samples are apart, in comparison with the halves of each.

    Attributes
    ----------
    half
        The number of points in a half.
    splits
        The number of random splits; 0 if there were too few points.
    within_x, within_y, between
        The mean ``W_1`` of two halves of x, of two halves of y, and of a half of x and one of y,
        over the splits. All have the same number of points, so they have the same bias.
    interval
        A 95 % interval of ``W_1`` for other samples of as many points.
    tested
        How many points of x and of y the permutation test compares: all, or fewer for the time.
    permutations
        The number of permutations; 0 if none was asked for.
    p_value
        The probability of a distance at least as large if both samples had one distribution.

    Examples
    --------
    >>> from sngan.transport import compare_samples
    >>> x = torch.arange(20.0)[:, None]
    >>> found = compare_samples(x, x + 100, permutations=19)
    >>> found.half, found.within_x < found.between, found.p_value
    (10, True, 0.05)
    """

    half: int
    splits: int
    within_x: float | None
    within_y: float | None
    between: float | None
    interval: Interval | None
    tested: tuple[int, int]
    permutations: int
    p_value: float | None


def compare_samples(
    x: Reals,
    y: Reals,
    *,
    permutations: int | None = None,
    seconds: float = 20.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> TwoSamples:
    """Compare ``W_1`` of two samples with that of samples of one distribution.

    Two samples of one distribution are apart too, the more so the fewer points and the more
    dimensions there are: ``E W_1`` falls only like ``n^(−1/d)``. Three figures tell this apart from
    a difference of the distributions.

    - The halves: x and y are split at random into halves of ``k = min(n, m)/2`` points, and ``W_1``
      within x, within y and between both is averaged over 20 splits.
    - The interval ``W_1 ± t·s``, with the deviation s of ``W_1`` between a random half of x and one
      of y, and the quantile t of Student's distribution. Halves are drawn without replacement: the
      duplicates of a bootstrap would shorten distances. The deviation over halves estimates that
      over samples of full size, because the factor √2 of half as many points and the factor 1/√2 of
      halves of one sample cancel (Shao, Wu 1989, A general theory for jackknife variance
      estimation). It is about other samples of n and m points, and not about infinitely many. If
      both distributions are equal, it is up to √3 too wide.
    - The p-value ``(1 + #{W_1 of a permutation ≥ W_1}) / (1 + permutations)``, with the points of
      both dealt out again at random. If both have one distribution, it is at most α with
      probability at most α, for every α and number of points. If the time does not suffice, random
      parts of both samples are tested, which also holds this promise and finds less.

    Parameters
    ----------
    x, y
        Points ``(n, d)`` and ``(m, d)``, drawn independently, as for
        :func:`sngan.transport.wasserstein`.
    permutations
        The number of permutations of all points. ``None`` is 199, with fewer points if all would
        take over ``seconds``.
    seconds
        The CPU time that the permutations may take, and a half of it the splits, of which there are
        at least 5. The results depend on the time only if it does not suffice.
    seed
        The seed of splits and permutations.
    progress
        Called with (solves done, all solves).

    Raises
    ------
    ValueError
        If :func:`sngan.transport.wasserstein` would raise for the points, or a count is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from sngan.transport import compare_samples
    >>> x, y = np.random.default_rng(1).standard_normal((2, 60, 3))
    >>> same, moved = compare_samples(x, y), compare_samples(x, y + 1)
    >>> same.p_value > 0.05, moved.p_value, moved.between > moved.within_x
    (True, 0.005, True)
    """
    if permutations is not None:
        require_count(permutations, "permutations", minimum=0)
    require_count(seed, "seed", minimum=0)
    clouds = problem(x, y)
    n, m = len(clouds.x), len(clouds.y)
    pooled = np.concatenate([clouds.x, clouds.y])
    distance = _distances_within(pooled)
    everyone = np.arange(n + m)
    observed = distance(everyone[:n], everyone[n:])
    random, share = np.random.default_rng(seed), 1.0
    if permutations is None:
        permutations = _PERMUTATIONS
        once = _seconds_of(lambda rows: distance(rows[:n], rows[n:]), random.permutation(everyone))
        share = min(1.0, (seconds / max(permutations * once, 1e-9)) ** (1 / _GROWTH))
    work = _Work(distance, random, permutations=permutations, progress=progress)
    halves = work.split(everyone[:n], everyone[n:], seconds=seconds / 2)
    some_x, some_y = (
        _part(rows, share=share, random=random) for rows in (everyone[:n], everyone[n:])
    )
    compared = observed if share == 1 else distance(some_x, some_y)
    tested = np.concatenate([some_x, some_y])
    as_large = work.permute(tested, len(some_x), at_least=compared * (1 - _TIES))
    return TwoSamples(
        half=min(n, m) // 2,
        splits=len(halves),
        within_x=_mean([one.within_x for one in halves]),
        within_y=_mean([one.within_y for one in halves]),
        between=_mean([one.between for one in halves]),
        interval=_interval(observed, [one.drawn for one in halves]),
        tested=(len(some_x), len(some_y)),
        permutations=permutations,
        p_value=(1 + as_large) / (1 + permutations) if permutations else None,
    )


class _Halves(NamedTuple):
    """Distances of the halves of one split; ``drawn`` is of halves of both samples' own sizes."""

    within_x: float
    within_y: float
    between: float
    drawn: float


class _Work:
    """The distances that a comparison computes, with one count of progress for all of them."""

    def __init__(
        self,
        distance: Callable[[Rows, Rows], float],
        random: np.random.Generator,
        *,
        permutations: int,
        progress: Progress | None,
    ) -> None:
        self._distance, self._random = distance, random
        self._permutations, self._progress = permutations, progress
        self._done = 0

    def split(self, x: Rows, y: Rows, *, seconds: float) -> list[_Halves]:
        """Compute the distances of the halves of random splits, until the time is over."""
        half = min(len(x), len(y)) // 2
        found: list[_Halves] = []
        if half < 1:
            return found
        started = time.process_time()
        for _ in range(_SPLITS):
            a, b = self._random.permutation(x), self._random.permutation(y)
            first, second = len(x) // 2, len(y) // 2
            between = self._distance(a[:half], b[:half])
            drawn = between
            if len(x) != len(y):
                drawn = self._distance(a[:first], b[:second])
            within_x, within_y = (self._distance(one[:half], one[-half:]) for one in (a, b))
            found.append(_Halves(within_x, within_y, between, drawn))
            self._advance()
            if len(found) >= _FEWEST_SPLITS and time.process_time() - started > seconds:
                break
        return found

    def permute(self, rows: Rows, n: int, *, at_least: float) -> int:
        """Count the permutations whose distance is at least as large."""
        count = 0
        for _ in range(self._permutations):
            dealt = self._random.permutation(rows)
            count += self._distance(dealt[:n], dealt[n:]) >= at_least
            self._advance()
        return count

    def _advance(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, _SPLITS + self._permutations)


def _seconds_of(solve: Callable[[Rows], float], dealt: Rows) -> float:
    """Return the CPU time of a solve; a permutation takes longer than the samples themselves."""
    started = time.process_time()
    solve(dealt)
    return time.process_time() - started


def _part(rows: Rows, *, share: float, random: np.random.Generator) -> Rows:
    """Return a random share of the rows, but not fewer than a test needs; 1 returns all."""
    if share == 1:
        return rows
    count = max(int(share * len(rows)), min(_FEWEST_TESTED, len(rows)))
    return random.permutation(rows)[:count]


def _distances_within(points: Array) -> Callable[[Rows, Rows], float]:
    """Return a function of two sets of rows that computes their ``W_1``, without a proof."""
    import ot

    # POT has absolute tolerances, so the points are scaled
    exponent = exponent_of(points)
    scaled = np.ldexp(points, -exponent)
    if points.shape[1] == 1:
        line, line_distance = scaled[:, 0], cast(Callable[..., float], ot.wasserstein_1d)

        def on_a_line(a: Rows, b: Rows) -> float:
            return float(np.ldexp(float(line_distance(line[a], line[b], p=1)), exponent))

        return on_a_line
    require_memory(problem(points, points), _COPIES, instead="a smaller n")
    centred = torch.from_numpy(scaled - np.median(scaled, axis=0))
    costs = torch.cdist(centred, centred).numpy()

    def distance(a: Rows, b: Rows) -> float:
        found: Any = ot.emd2([], [], costs[np.ix_(a, b)], numItermax=10**8)
        return float(np.ldexp(float(found), exponent))

    return distance


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _interval(value: float, drawn: list[float]) -> Interval | None:
    if len(drawn) < 2:
        return None
    width = float(stdtrit(len(drawn) - 1, 0.975) * np.std(drawn, ddof=1))
    return Interval(max(0.0, value - width), value + width)
