"""Result of an evaluation: the metrics, and the conditions that they were computed under."""

from dataclasses import asdict, dataclass, field
from typing import Any

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
"""The metrics that can choose the best checkpoint, and whether higher is better."""


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
    intervals
        95 % intervals for other samples of the same numbers, by name; empty if none were asked for.
    halves
        The number of half-samples that the intervals come from.
    """

    values: dict[str, float]
    extractor: str
    n_generated: int
    n_real: int
    n_transport: int
    split: str
    accuracy: float | None
    reference: str
    intervals: dict[str, tuple[float, float]] = field(
        default_factory=dict[str, tuple[float, float]]
    )
    halves: int = 0

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
        lines = [heading, *(self._line(name) for name in self.values)]
        if self.intervals:
            lines.append(
                "[low, high]: 95 % interval for other samples of these numbers, from "
                f"{self.halves} random halves of the features"
            )
        return "\n".join(lines)

    def _line(self, name: str) -> str:
        better = {True: "higher is better", False: "lower is better"}
        note = better[HIGHER_IS_BETTER[name]] if name in HIGHER_IS_BETTER else ""
        interval = self.intervals.get(name)
        between = "" if interval is None else f"[{interval[0]:.4g}, {interval[1]:.4g}]"
        width = 22 if self.intervals else 0
        return f"  {name:<26} {self.values[name]:>12.5g}  {between:<{width}}  {note}".rstrip()
