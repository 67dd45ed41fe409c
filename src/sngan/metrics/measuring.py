"""Table of the metrics that an evaluation computes, and their intervals by half-samples."""

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
from scipy.special import stdtrit
from torch import Tensor

from sngan.metrics.extrapolation import frechet_infinity
from sngan.metrics.frechet import frechet_distance
from sngan.metrics.inception_score import inception_score
from sngan.metrics.kernel import kernel_distance
from sngan.metrics.likelihood import likelihood_divergence
from sngan.metrics.manifold import manifold
from sngan.metrics.monge import mind
from sngan.metrics.neighbours import authpct, copying_ratio
from sngan.metrics.result import Interval
from sngan.transport import sliced_wasserstein, wasserstein_bracket
from sngan.utils.checks import require, require_one_of

TRANSPORT = 1000  # the exact distance takes O(n²) memory and O(n³) time
_CONFIDENCE = 0.95
# values that are counts, or bounds or errors of others
_WITHOUT_INTERVAL = ("modes", "modes_of", "classes", "classes_of", "w1_lower", "w1_upper")
_SHARES = ("precision", "recall", "coverage", "high_quality")
_BELOW_ZERO = ("kernel", "frechet_infinity", "fld")

Values = dict[str, float]


@dataclass(frozen=True)
class Compared:
    """The features of generated and of real samples, and all else that metrics need.

    Attributes
    ----------
    generated, real
        Features ``(n, d)`` and ``(m, d)``.
    held_out
        Features of samples that were held out from training; ``None`` without such samples.
    logits
        The logits of the generated samples, if the extractor is a classifier.
    modes
        Counts the modes or classes among generated samples of given rows.
    seed
        The seed of everything random.
    transported
        The number of rows of each for the exact distance.
    """

    generated: Tensor
    real: Tensor
    held_out: Tensor | None
    logits: Tensor | None
    modes: Callable[[Tensor], Values]
    seed: int
    transported: int

    def rows(self) -> Tensor:
        """The rows of all generated samples."""
        return torch.arange(len(self.generated))


class Measure(NamedTuple):
    """The function of one or more values, their names, and whether they are computed unasked."""

    names: tuple[str, ...]
    compute: Callable[[Compared], Values]
    is_usual: bool = True


def _frechet(compared: Compared) -> Values:
    return {"frechet": frechet_distance(compared.generated, compared.real)}


def _infinity(compared: Compared) -> Values:
    x, y = compared.generated, compared.real
    return {"frechet_infinity": frechet_infinity(x, y, seed=compared.seed)}


def _kernel(compared: Compared) -> Values:
    found = kernel_distance(compared.generated, compared.real)
    return {"kernel": found.distance, "kernel_error": found.standard_error}


def _monge(compared: Compared) -> Values:
    x, y = compared.generated.cpu(), compared.real.cpu()
    return {"mind": mind(x, y, seed=compared.seed)}


def _exact(compared: Compared) -> Values:
    count = compared.transported
    x, y = compared.generated[:count].cpu(), compared.real[:count].cpu()
    found = wasserstein_bracket(x, y)
    return {
        "w1": found.distance,
        "w1_lower": found.lower,
        "w1_upper": found.upper,
        "w1_held_out": found.held_out,
    }


def _sliced(compared: Compared) -> Values:
    x, y = compared.generated.cpu(), compared.real.cpu()
    return {"sliced_w1": sliced_wasserstein(x, y, seed=compared.seed).distance}


def _class_score(compared: Compared) -> Values:
    if compared.logits is None:
        return {}
    found = inception_score(to_metric_device(compared.logits))
    return {"inception_score": found.score, "inception_score_deviation": found.deviation}


def _manifold(compared: Compared) -> Values:
    return manifold(compared.generated, compared.real)._asdict()


def _modes(compared: Compared) -> Values:
    return compared.modes(compared.rows())


def _copying(compared: Compared) -> Values:
    # duplicates of real samples may make the ratio infinite
    ratio = copying_ratio(compared.generated, compared.real)
    return {"memorized_distance": ratio} if math.isfinite(ratio) else {}


def _authentic(compared: Compared) -> Values:
    return {"authpct": authpct(compared.generated, compared.real)}


def _likelihood(compared: Compared) -> Values:
    if compared.held_out is None:
        return {}
    x, train, held_out = compared.generated, compared.real, compared.held_out
    return {"fld": likelihood_divergence(x, train, held_out.to(x.device), seed=compared.seed)}


_BRACKET = ("w1_lower", "w1_upper", "w1_held_out")
_OVERLAP = ("precision", "recall", "density", "coverage")
_MODES = ("modes", "modes_of", "high_quality", "reverse_kl", "smallest_share")
_CLASSES = ("classes", "classes_of", "class_kl")
MEASURES = (
    Measure(("frechet",), _frechet),
    Measure(("frechet_infinity",), _infinity, is_usual=False),
    Measure(("kernel", "kernel_error"), _kernel),
    Measure(("mind",), _monge),
    Measure(("fld",), _likelihood, is_usual=False),
    Measure(("w1", *_BRACKET), _exact),
    Measure(("sliced_w1",), _sliced),
    Measure(("inception_score", "inception_score_deviation"), _class_score),
    Measure(_OVERLAP, _manifold),
    Measure((*_MODES, *_CLASSES), _modes),
    Measure(("memorized_distance",), _copying),
    Measure(("authpct",), _authentic),
)
"""All metrics, in the order of reports. Those that are slow or need more data are not usual."""

METRICS = tuple(name for measure in MEASURES for name in measure.names)
"""The names of all metrics, in the order of reports.

Examples
--------
>>> from sngan.metrics import METRICS
>>> METRICS[:3]
('frechet', 'frechet_infinity', 'kernel')
"""
COUNTS = frozenset((*_MODES, *_CLASSES))
USUAL = tuple(name for measure in MEASURES if measure.is_usual for name in measure.names)


def chosen_metrics(names: str | Collection[str] | None) -> tuple[str, ...]:
    """Return the names of the metrics to compute.

    Parameters
    ----------
    names
        Names, as a text joined by commas or as a collection; ``usual`` and ``all`` stand for
        several. ``None`` is ``usual``.

    Raises
    ------
    ValueError
        If a name is unknown, or there is none.

    Examples
    --------
    >>> from sngan.metrics import chosen_metrics
    >>> chosen_metrics("recall, frechet")
    ('frechet', 'recall')
    """
    groups = {"usual": USUAL, "all": METRICS}
    given = names.split(",") if isinstance(names, str) else ("usual",) if names is None else names
    given = [name.strip() for name in given]
    require(bool(given), "metrics", expected=f"names among {', '.join(METRICS)}", got="none")
    for name in given:
        require_one_of(name, "metrics", choices=[*groups, *METRICS])
    wanted = {one for name in given for one in groups.get(name, (name,))}
    return tuple(name for name in METRICS if name in wanted)


def measured(compared: Compared, names: Collection[str]) -> Values:
    """Compute the metrics of these names; those that do not apply to the data are left out."""
    found: Values = {}
    for measure in MEASURES:
        if not set(names).isdisjoint(measure.names):
            found |= measure.compute(compared)
    return {name: value for name, value in found.items() if name in names}


def intervals(
    compared: Compared,
    values: Values,
    count: int,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Interval]:
    """Compute 95 % intervals of values, for other samples of the same numbers.

    Each metric is computed again on ``count`` random halves of the features, drawn without
    replacement from the generated, the real and the held-out samples. The deviation s of a metric
    over halves estimates that of its value over samples of full size: the factor √2 of half as many
    samples and the factor 1/√2 of halves of one sample cancel (Shao, Wu 1989, A general theory for
    jackknife variance estimation; Politis, Romano 1994). The interval is ``value ± t·s`` with the
    quantile t of Student's distribution.

    Samples drawn with replacement, the usual bootstrap, would not do: their duplicates are
    neighbours at distance 0, and add the bias of fewer distinct samples to the distances. The bias
    of a value at this number of samples is in the value and not in the interval, so intervals of
    equal numbers are comparable, and only FD∞ has no such bias. If both distributions are equal,
    distances have intervals up to √3 too wide.

    Parameters
    ----------
    compared
        What is compared.
    values
        The values on all samples.
    count
        The number of halves, at least 2; 0 gives no intervals.
    progress
        Called with (halves done, all halves).
    """
    names = [
        name
        for name in values
        if name not in _WITHOUT_INTERVAL and not name.endswith(("_error", "_deviation"))
    ]
    found: list[Values] = []
    for half in _halves(compared, count):
        found.append(measured(half, names))
        if progress is not None:
            progress(len(found), count)
    kept = {name: [one[name] for one in found if name in one] for name in names}
    return {
        name: _interval(name, values[name], some) for name, some in kept.items() if len(some) > 1
    }


def to_metric_device(values: Tensor) -> Tensor:
    """Move values to the CPU unless they are on CUDA, because other devices may lack float64."""
    return values if values.device.type == "cuda" else values.cpu()


def _halves(compared: Compared, count: int) -> Iterator[Compared]:
    generator = torch.Generator().manual_seed(compared.seed)

    def half(size: int) -> Tensor:
        return torch.randperm(size, generator=generator)[: size // 2]

    for _ in range(count):
        rows, real = half(len(compared.generated)), half(len(compared.real))
        held_out = compared.held_out
        yield replace(
            compared,
            generated=compared.generated[rows.to(compared.generated.device)],
            real=compared.real[real.to(compared.real.device)],
            held_out=None if held_out is None else held_out[half(len(held_out))],
            logits=None if compared.logits is None else compared.logits[rows],
            modes=partial(_modes_of_part, compared, rows),
            transported=compared.transported // 2,
        )


def _modes_of_part(compared: Compared, part: Tensor, rows: Tensor) -> Values:
    return compared.modes(part[rows])


def _interval(name: str, value: float, halves: list[float]) -> Interval:
    deviation = float(torch.tensor(halves, dtype=torch.float64).std())
    width = float(stdtrit(len(halves) - 1, (1 + _CONFIDENCE) / 2)) * deviation
    low, high = value - width, value + width
    highest = 1.0 if name in _SHARES else 100.0 if name == "authpct" else math.inf
    return low if name in _BELOW_ZERO else max(low, 0.0), min(high, highest)
