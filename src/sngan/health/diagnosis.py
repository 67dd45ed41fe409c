"""Diagnosis of a run: all findings about its records, and a verdict."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sngan.config import Config
from sngan.health import balance, critic, gradients, memorizing, settings
from sngan.health.balance import critic_left_behind, generator_left_behind
from sngan.health.collapse import NAME as COLLAPSE
from sngan.health.collapse import collapse
from sngan.health.course import CONVERGED, OSCILLATION, converged, oscillation
from sngan.health.finding import Finding, Unjudged
from sngan.health.history import History
from sngan.utils.checks import require

FINDINGS: dict[str, Callable[[History, Config], Finding | Unjudged | None]] = {
    gradients.EXPLODING: gradients.exploding_gradient,
    gradients.VANISHING: gradients.vanishing_gradient,
    COLLAPSE: collapse,
    balance.GENERATOR: generator_left_behind,
    balance.CRITIC: critic_left_behind,
    OSCILLATION: oscillation,
    settings.UNUSUAL: settings.unusual_setting,
    memorizing.OVERFITTING: memorizing.critic_overfitting,
    memorizing.COPIES: memorizing.generator_copies,
    critic.LITTLE_SLOPE: critic.little_slope,
    critic.RANK_COLLAPSE: critic.rank_collapse,
    CONVERGED: converged,
}
"""The conditions by name, each as a function of the records and the settings of a run.

Examples
--------
>>> from sngan.health import FINDINGS
>>> list(FINDINGS)[:3]
['exploding gradient', 'vanishing gradient', 'collapse']
"""


@dataclass(frozen=True)
class Diagnosis:
    """The findings about a run.

    Attributes
    ----------
    step
        The step of the last record.
    findings
        The conditions that hold, the surest illness first.
    unjudged
        The conditions that the records do not allow to judge, with the reasons.
    absent
        The names of the conditions that do not hold.

    Examples
    --------
    >>> from sngan import Config
    >>> from sngan.health import diagnose
    >>> records = [{"step": 50 * k, "critic_loss": 10.0 ** k} for k in range(8)]
    >>> norms = {"generator_gradient_norm": 1.0, "critic_gradient_norm": 1.0}
    >>> found = diagnose([record | norms for record in records], Config())
    >>> found.verdict
    'ill: exploding gradient'
    """

    step: int
    findings: tuple[Finding, ...]
    unjudged: tuple[Unjudged, ...]
    absent: tuple[str, ...]

    @property
    def illnesses(self) -> tuple[Finding, ...]:
        """The findings that say that the run is ill."""
        return tuple(one for one in self.findings if one.is_illness)

    @property
    def is_healthy(self) -> bool:
        """Whether no illness was found, and the records allowed to judge the samples."""
        return not self.illnesses and COLLAPSE in self.absent

    @property
    def verdict(self) -> str:
        """Healthy, ill with the names of the findings, or unknown."""
        if self.illnesses:
            return f"ill: {', '.join(one.name for one in self.illnesses)}"
        reasons = [one.reason for one in self.unjudged if one.name == COLLAPSE]
        if reasons:
            return f"unknown: {reasons[0]}"
        more = "".join(f", {one.name} since step {one.since:,}" for one in self.findings)
        return f"healthy{more}"

    def text(self) -> str:
        """Return the diagnosis for people."""
        parts = [f"step {self.step:,}: {self.verdict}", *(one.text() for one in self.findings)]
        if self.absent:
            parts.append(f"not found: {', '.join(self.absent)}")
        parts += [f"cannot be judged: {one.name} ({one.reason})" for one in self.unjudged]
        return "\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnosis as plain values for JSON."""
        return {
            "step": self.step,
            "verdict": self.verdict,
            "healthy": self.is_healthy,
            "findings": [one.to_dict() for one in self.findings],
            "absent": list(self.absent),
            "unjudged": {one.name: one.reason for one in self.unjudged},
        }


def diagnose(records: Iterable[Mapping[str, object]] | History, config: Config) -> Diagnosis:
    """Judge all conditions from the records of a run.

    Parameters
    ----------
    records
        The records of ``metrics.jsonl`` in their order, or the history of them.
    config
        The settings of the run. The advice is computed from them.

    Raises
    ------
    ValueError
        If there are no records.

    Examples
    --------
    >>> from sngan.health import diagnose
    >>> records = [{"step": 50 * k, "critic_loss": 10.0**k} for k in range(8)]
    >>> norms = {"generator_gradient_norm": 1.0, "critic_gradient_norm": 1.0}
    >>> diagnose([record | norms for record in records], Config()).verdict
    'ill: exploding gradient'
    """
    history = records if isinstance(records, History) else History(records)
    require(history.num_records > 0, "run", expected="a run with records (train first)", got="none")
    results = {name: judge(history, config) for name, judge in FINDINGS.items()}
    found = [one for one in results.values() if isinstance(one, Finding)]
    return Diagnosis(
        step=history.step,
        findings=tuple(sorted(found, key=lambda one: (not one.is_illness, -one.confidence))),
        unjudged=tuple(one for one in results.values() if isinstance(one, Unjudged)),
        absent=tuple(name for name, one in results.items() if one is None),
    )
