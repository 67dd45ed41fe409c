"""Findings: a condition of a run with its evidence, and findings that cannot be judged."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_LOW, _HIGH = 0.5, 0.8


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A condition that holds in a run.

    Attributes
    ----------
    name
        The condition, such as ``collapse``.
    since
        The step since which it holds.
    confidence
        How sure this is, from 0 to 1: how far the figures are beyond the threshold, and for how
        many records.
    evidence
        The figures by their names in ``metrics.jsonl``.
    meaning
        A sentence that says what happens in the run.
    advice
        The reason for the flags.
    flags
        The flags to try in a new run, such as ``--set method.lr=0.0001``; they follow from the
        settings of this run.
    is_illness
        Whether the run is ill. A run that has converged is not.

    Examples
    --------
    >>> from sngan import Config
    >>> from sngan.health import diagnose
    >>> records = [{"step": 50 * k, "critic_loss": 10.0**k} for k in range(8)]
    >>> norms = {"generator_gradient_norm": 1.0, "critic_gradient_norm": 1.0}
    >>> finding = diagnose([record | norms for record in records], Config()).findings[0]
    >>> finding.name, finding.is_illness, finding.certainty
    ('exploding gradient', True, 'high')
    """

    name: str
    since: int
    confidence: float
    evidence: Mapping[str, float]
    meaning: str
    advice: str
    flags: str
    is_illness: bool = True

    @property
    def certainty(self) -> str:
        """The confidence as a word: low, medium or high."""
        if self.confidence < _LOW:
            return "low"
        return "high" if self.confidence >= _HIGH else "medium"

    def line(self) -> str:
        """Return the finding as one line of the log."""
        return (
            f"{self.name} since step {self.since} ({self.certainty} confidence): "
            f"{self._figures()}; {self.advice}: {self.flags}"
        )

    def text(self) -> str:
        """Return the finding as a paragraph for people."""
        return (
            f"{self.name}, since step {self.since:,}, {self.certainty} confidence "
            f"({self.confidence:.2f})\n"
            f"  {self.meaning}\n"
            f"  evidence: {self._figures()}\n"
            f"  to try: {self.advice}: {self.flags}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        return {**asdict(self), "evidence": dict(self.evidence), "certainty": self.certainty}

    def _figures(self) -> str:
        return ", ".join(f"{name} {value:.3g}" for name, value in self.evidence.items())


@dataclass(frozen=True)
class Unjudged:
    """A finding that the records do not allow to judge, and the reason.

    Examples
    --------
    >>> from sngan import Config
    >>> from sngan.health import diagnose
    >>> records = [{"step": 50 * k, "critic_loss": 1.0} for k in range(8)]
    >>> "collapse" in [one.name for one in diagnose(records, Config()).unjudged]
    True
    """

    name: str
    reason: str
