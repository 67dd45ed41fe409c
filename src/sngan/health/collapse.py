"""Collapse: the generator makes few different samples."""

import numpy as np

from sngan.config import Config
from sngan.health import advice
from sngan.health.finding import Finding, Unjudged
from sngan.health.history import History
from sngan.health.judging import LEAST, unjudged
from sngan.health.statistics import confidence, holds_since, rolling_median
from sngan.methods.schedule import scaled

NAME = "collapse"
# of a healthy run after its first steps: spread 0.8 to 1.1, hardly any duplicates
_SPREAD, _DUPLICATES, _REACH, _FALLEN = 0.5, 0.2, 0.25, 0.5
_LOGGED = "modes"
_COVERAGES = (
    _LOGGED, "evaluation.modes", "evaluation.classes", "evaluation.recall", "evaluation.coverage"
)  # fmt: skip


def collapse(history: History, config: Config) -> Finding | Unjudged | None:
    """Judge the spread of samples, duplicates among them, and the modes that they reach.

    The generator has collapsed if its samples lie at less than half the distance of real ones, if
    a fifth of them are duplicates, if they reach less than a quarter of the real samples that real
    ones reach, or if modes, classes or recall have halved since their best evaluation.
    """
    fallen = _fallen(history, config)
    if fallen is not None:
        return fallen
    cannot = unjudged(NAME, history, "spread", "duplicates", "reach")
    if cannot is not None:
        return cannot
    spread, duplicates, reach = (history[name] for name in ("spread", "duplicates", "reach"))
    measures = {
        "spread": _SPREAD / np.maximum(rolling_median(spread.values), 1e-9),
        "duplicates": rolling_median(duplicates.values) / _DUPLICATES,
        "reach": _REACH / np.maximum(rolling_median(reach.values), 1e-9),
    }
    beyond = np.max(list(measures.values()), axis=0)
    held = holds_since(spread, beyond > 1, least=LEAST)
    if held is None:
        return None
    evidence = {name: history[name].last for name in measures}
    return _finding(config, held[0], confidence(float(beyond[-1]), held[1], least=LEAST), evidence)


def _fallen(history: History, config: Config) -> Finding | None:
    """Judge modes, classes and recall; the modes of a record are noisier than an evaluation."""
    for name in _COVERAGES:
        series, is_logged = history[name], name == _LOGGED
        if len(series) < 2:
            continue
        values = rolling_median(series.values) if is_logged else series.values
        most = np.maximum.accumulate(values)
        has_fallen = (most > 0) & (values <= _FALLEN * most)
        least = LEAST if is_logged else 1
        held = holds_since(series, has_fallen, least=least)
        if held is not None:
            last, best = float(values[-1]), float(most[-1])
            sure = confidence(_FALLEN * best / max(last, 1e-9), held[1], least=least)
            return _finding(config, held[0], sure, {name: last, f"{name}_best": best})
    return None


def _finding(config: Config, since: int, sure: float, evidence: dict[str, float]) -> Finding:
    reason, flags = advice.unusual(config) or _advice(config)
    return Finding(
        name=NAME,
        since=since,
        confidence=sure,
        evidence=evidence,
        meaning="the generator makes few different samples",
        advice=reason,
        flags=flags,
    )


def _advice(config: Config) -> tuple[str, str]:
    method = config.method
    if not advice.is_constrained(method):
        return "a critic of bounded slope gives a gradient everywhere", advice.normalized()
    return "smaller steps, and a critic that keeps up", advice.flags(
        method__lr=scaled(method.lr, 1 / 4), method__n_critic=method.n_critic + 1
    )
