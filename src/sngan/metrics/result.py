"""What an evaluation found, under which conditions."""

from dataclasses import asdict, dataclass
from typing import Any

HIGHER_IS_BETTER = {
    "frechet": False,
    "kernel": False,
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
    "classes": True,
    "class_kl": False,
}
"""The figures that can choose the best checkpoint, and their direction."""


@dataclass(frozen=True)
class Result:
    """The figures of one set of generated samples.

    Attributes
    ----------
    values
        Name and figure; what does not apply is left out.
    extractor
        What the features are of.
    n_generated, n_real
        How many samples were compared; ``n_transport`` of each for the exact ``w1``.
    split
        Of the real samples.
    accuracy
        The held-out accuracy of the classifier behind classes and modes, or None.
    reference
        Names the real features: only figures of one reference and of equal counts compare.
    """

    values: dict[str, float]
    extractor: str
    n_generated: int
    n_real: int
    n_transport: int
    split: str
    accuracy: float | None
    reference: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    def table(self) -> str:
        """One line a figure, under a heading of the conditions."""
        told = (
            "" if self.accuracy is None else f"; classifier right on {self.accuracy:.1%} held out"
        )
        heading = (
            f"{self.n_generated:,} generated against {self.n_real:,} real samples ({self.split}) "
            f"by {self.extractor}{told}"
        )
        return "\n".join([heading, *(self._line(name) for name in self.values)])

    def _line(self, name: str) -> str:
        better = {True: "higher is better", False: "lower is better"}
        note = better[HIGHER_IS_BETTER[name]] if name in HIGHER_IS_BETTER else ""
        return f"  {name:<26} {self.values[name]:>12.5g}  {note}".rstrip()
