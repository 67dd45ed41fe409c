"""Result of an evaluation: the metrics, and the conditions that they were computed under."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sngan.metrics.meaning import MEANINGS
from sngan.utils.tables import NOTHING, text_table

Interval = tuple[float, float]

HIGHER_IS_BETTER = {
    "frechet": False,
    "frechet_infinity": False,
    "kernel": False,
    "mind": False,
    "fld": False,
    "inception_score": True,
    "precision": True,
    "recall": True,
    "density": True,
    "coverage": True,
    "w1": False,
    "sliced_w1": False,
    "modes": True,
    "high_quality": True,
    "reverse_kl": False,
    "smallest_share": True,
    "classes": True,
    "class_kl": False,
}
"""The metrics that can choose the best checkpoint, and whether higher is better.

Examples
--------
>>> from sngan.metrics import HIGHER_IS_BETTER
>>> HIGHER_IS_BETTER["frechet"], HIGHER_IS_BETTER["recall"]
(False, True)
"""


_HEAD = ("metric", "generated", "95 % interval", "real", "better", "meaning")


@dataclass(frozen=True)
class Result:
    """The metrics of one set of generated samples.

    Attributes
    ----------
    values
        The value of each metric by name; metrics that do not apply to the data are left out.
    extractor
        The name of the feature extractor.
    n_generated, n_real
        How many samples were compared.
    n_transport
        How many samples of each set were used for the exact ``w1``.
    split
        The split of the real samples.
    accuracy
        The held-out accuracy of the classifier that classes and modes rely on; ``None``
        without a classifier.
    reference
        A key of the real features. Values are comparable only if the key and the counts are equal.
    real_against_real
        The values of real samples against other real ones, which a perfect generator has; empty if
        they were not computed.
    n_real_against_real
        How many real samples were on each side.
    intervals
        95 % intervals for other samples of the same numbers, by name; empty if none were asked for.
    halves
        The number of half-samples that the intervals come from.

    Examples
    --------
    >>> from sngan.metrics import Result
    >>> found = Result({"w1": 0.25}, "points", 100, 100, 100, "test", accuracy=None, reference="")
    >>> found.values["w1"], found.to_dict()["extractor"]
    (0.25, 'points')
    """

    values: dict[str, float]
    extractor: str
    n_generated: int
    n_real: int
    n_transport: int
    split: str
    accuracy: float | None
    reference: str
    real_against_real: dict[str, float] = field(default_factory=dict[str, float])
    n_real_against_real: int = 0
    intervals: dict[str, tuple[float, float]] = field(
        default_factory=dict[str, tuple[float, float]]
    )
    halves: int = 0

    def with_baseline(self, baseline: "Result | None") -> "Result":
        """Return this result with the values of real samples against other real ones."""
        if baseline is None:
            return self
        values, count = baseline.values, baseline.n_generated
        return replace(self, real_against_real=values, n_real_against_real=count)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)

    def table(self) -> str:
        """Return a text table: the conditions, then one line for each metric."""
        classifier = ""
        if self.accuracy is not None:
            classifier = f"; classifier accuracy {self.accuracy:.1%} on held-out samples"
        heading = (
            f"{self.n_generated:,} generated against {self.n_real:,} real samples ({self.split}) "
            f"by {self.extractor}{classifier}"
        )
        note = "real: two halves of the data against each other"
        sizes = f"{note}, {self.n_real_against_real:,} samples each" * bool(self.real_against_real)
        between = (
            "95 % interval: for other samples of these numbers, from "
            f"{self.halves} random halves of the features"
        ) * bool(self.intervals)
        shown = [1, 2, 3] if self.intervals else [1, 3]
        rows = [_HEAD, *(self._row(name) for name in self.values)]
        kept = [[row[0], *(row[i] for i in shown), *row[4:]] for row in rows]
        table = text_table(kept, right=tuple(range(1, len(shown) + 1)))
        return "\n".join([heading, *filter(None, [sizes, between]), table])

    def _row(self, name: str) -> tuple[str, ...]:
        real, interval = self.real_against_real.get(name), self.intervals.get(name)
        return (
            name,
            f"{self.values[name]:.5g}",
            NOTHING if interval is None else f"[{interval[0]:.4g}, {interval[1]:.4g}]",
            NOTHING if real is None else f"{real:.5g}",
            direction(name),
            MEANINGS.get(name, ""),
        )


def direction(name: str) -> str:
    """Return ``higher`` or ``lower``, the better values of a metric; a dash for other figures."""
    if name not in HIGHER_IS_BETTER:
        return NOTHING
    return "higher" if HIGHER_IS_BETTER[name] else "lower"
