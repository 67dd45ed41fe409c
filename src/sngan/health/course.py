"""Course of a run: it oscillates, or it has gained nothing for long."""

import math

import numpy as np

from sngan.config import Config
from sngan.health import advice
from sngan.health.finding import Finding, Unjudged
from sngan.health.history import History, Series
from sngan.health.judging import quality, unjudged
from sngan.health.statistics import confidence, turning_points
from sngan.methods.schedule import scaled

OSCILLATION, CONVERGED = "oscillation", "converged"
_FIGURES = ("evaluation.frechet", "evaluation.w1")
_RECORDS, _TURNS, _FACTOR = 10, 4, 2.0
_EVALUATIONS, _GAIN, _PATIENCE = 6, 0.05, 0.4


def oscillation(history: History, config: Config) -> Finding | Unjudged | None:
    """Judge whether the quality of samples gets worse and better again, by a factor of 2 and more.

    There is a finding after four turns, which are two whole periods, if the last one is recent.
    """
    good = quality(history)
    cannot = unjudged(OSCILLATION, history, good.name, least=_RECORDS)
    if cannot is not None:
        return cannot
    values = np.log2(np.maximum(good.series.values, good.floor))
    turns = turning_points(values, least=math.log2(_FACTOR))
    steps = good.series.steps
    if len(turns) < _TURNS:
        return None
    period = 2 * float(steps[turns[-1]] - steps[turns[0]]) / (len(turns) - 1)
    if steps[-1] - steps[turns[-1]] > 1.5 * period:
        return None
    swing = 2 ** float(np.median(np.abs(np.diff(values[turns]))))
    reason, flags = advice.unusual(config) or _calmer(config)
    return Finding(
        name=OSCILLATION,
        since=int(steps[turns[0]]),
        confidence=confidence(swing / _FACTOR, len(turns), least=_TURNS),
        evidence={"period": period, "swing": swing, good.name: good.series.last},
        meaning=f"the samples get worse and better again, every {period:,.0f} steps",
        advice=reason,
        flags=flags,
    )


def _calmer(config: Config) -> tuple[str, str]:
    if config.method.betas[0] > 0:
        return "less momentum", advice.flags(method__betas=(0.0, 0.9))
    return "smaller steps", advice.slower(config, 4)


def converged(history: History, config: Config) -> Finding | Unjudged | None:
    """Judge whether the evaluations, or W1 or the energy distance, have not improved for long."""
    name, series = _measured(history)
    least = _EVALUATIONS if name in _FIGURES else 2 * _RECORDS
    cannot = unjudged(CONVERGED, history, name, least=least)
    if cannot is not None:
        return cannot
    if name == "energy" and series.last <= quality(history).floor:
        # samples near the data get better in ways that this distance of small batches cannot show
        reason = "energy is at its noise; evaluations see more: --set evaluation.every=500"
        return Unjudged(CONVERGED, reason)
    # the first step after which nothing was better by a twentieth
    best = np.minimum.accumulate(series.values)
    close = best <= best[-1] + _GAIN * abs(best[-1])
    first = int(np.flatnonzero(close)[0])
    since = float(series.steps[first])
    waited = 1 - since / max(float(series.steps[-1]), 1.0)
    if waited < _PATIENCE:
        return None
    return Finding(
        name=CONVERGED,
        since=int(since),
        confidence=confidence(waited / _PATIENCE, len(series) - first, least=least),
        evidence={name: series.last, f"{name}_best": float(best[-1])},
        meaning="nothing was gained since then",
        advice="stop there, or try smaller steps from the start",
        flags=advice.flags(steps=max(int(since), 1), method__lr=scaled(config.method.lr, 1 / 2)),
        is_illness=False,
    )


def _measured(history: History) -> tuple[str, Series]:
    """Return the name and the series of the figure by which a run is judged; smaller is better."""
    for name in _FIGURES:
        if len(history[name]) >= _EVALUATIONS:
            return name, history[name]
    good = quality(history)
    values = np.maximum(good.series.values, good.floor)
    return good.name, Series(good.series.steps, values)
