"""Gradients that vanish or explode."""

import numpy as np

from sngan.config import Config
from sngan.health import advice
from sngan.health.finding import Finding, Unjudged
from sngan.health.history import History
from sngan.health.judging import LEAST, unjudged
from sngan.health.statistics import confidence, holds_since, rolling_median

VANISHING, EXPLODING = "vanishing gradient", "exploding gradient"
# Adam and RMSprop divide by √v + 1e-8, so they do not scale up a smaller gradient
_SMALLEST_PER_WEIGHT = 1e-8
_SUNK, _RISEN, _LARGE = 1e-4, 1e3, 1e3


def vanishing_gradient(history: History, config: Config) -> Finding | Unjudged | None:
    """Judge the gradient that reaches the generator.

    It has vanished if the optimizer cannot scale it up (its root mean square over the weights is
    below 1e-8, the ε of Adam), or if it has sunk to a ten-thousandth of its first median.
    """
    cannot = unjudged(VANISHING, history, "generator_gradient_norm")
    if cannot is not None:
        return cannot
    name = "generator_gradient_norm"
    norms = history[name]
    smooth = rolling_median(norms.values)
    usual = float(np.median(norms.values[: max(LEAST, len(norms) // 4)]))
    beyond = _SUNK * usual / np.maximum(smooth, 1e-300)
    held = holds_since(norms, beyond > 1, least=LEAST)
    evidence = {name: norms.last, "first_median": usual}
    if not held and len(history["generator_gradient_per_weight"]) >= LEAST:
        name = "generator_gradient_per_weight"
        series = history[name]
        beyond = _SMALLEST_PER_WEIGHT / np.maximum(rolling_median(series.values), 1e-300)
        held = holds_since(series, beyond > 1, least=LEAST)
        evidence = {name: series.last}
    if held is None:
        return None
    reason, flags = advice.unusual(config) or _more_signal(config)
    return Finding(
        name=VANISHING,
        since=held[0],
        confidence=confidence(float(beyond[-1]), held[1], least=LEAST),
        evidence=evidence,
        meaning="the generator gets no gradient from the critic, so it cannot learn",
        advice=reason,
        flags=flags,
    )


def exploding_gradient(history: History, config: Config) -> Finding | Unjudged | None:
    """Judge whether a loss or gradient was not finite, or has grown by orders of magnitude."""
    if len(history["not_finite"]):
        return _exploding(config, int(history["not_finite"].last), 1.0, {"not_finite": 1.0})
    norms = ("generator_gradient_norm", "critic_gradient_norm")
    cannot = unjudged(EXPLODING, history, *norms)
    if cannot is not None:
        return cannot
    for name in norms:
        extremes = history[f"{name}_largest"]
        series = extremes if len(extremes) >= LEAST else history[name]
        usual = max(float(np.quantile(series.values, 0.25)), 1e-9)
        beyond = np.minimum(series.values / (_RISEN * usual), series.values / _LARGE)
        recent = series.steps > 0.5 * history.step
        if (beyond[recent] > 1).any():
            since = int(series.steps[np.flatnonzero(recent & (beyond > 1))[0]])
            count = int((beyond > 1).sum())
            sure = confidence(float(beyond[recent].max()), count, least=1)
            evidence = {name: float(series.values[recent].max()), "first_quartile": usual}
            return _exploding(config, since, sure, evidence)
    return _losses(history, config)


def _losses(history: History, config: Config) -> Finding | None:
    for name in ("critic_loss", "generator_loss", "sigma_largest"):
        series = history[name]
        if len(series) < LEAST:
            continue
        sizes = rolling_median(np.abs(series.values))
        usual = max(float(np.median(np.abs(series.values[:2]))), 1.0)
        beyond = sizes / (_RISEN * usual)
        held = holds_since(series, beyond > 1, least=2)
        if held is not None:
            sure = confidence(float(beyond[-1]), held[1], least=2)
            return _exploding(config, held[0], sure, {name: series.last, "at_first": usual})
    return None


def _exploding(config: Config, since: int, sure: float, evidence: dict[str, float]) -> Finding:
    method, unusual = config.method, advice.unusual(config)
    if unusual is not None:
        reason, flags = unusual
    elif advice.is_constrained(method):
        reason, flags = "smaller steps", advice.slower(config, 10)
    else:
        reason, flags = (
            "a critic of bounded slope",
            advice.normalized(method__lr=advice.careful_lr(config)),
        )
    return Finding(
        name=EXPLODING,
        since=since,
        confidence=sure,
        evidence=evidence,
        meaning="losses or gradients grow without bound, so each step undoes the ones before",
        advice=reason,
        flags=flags,
    )


def _more_signal(config: Config) -> tuple[str, str]:
    method = config.method
    if method.clip is not None:
        return "spectral normalization in place of clipping", advice.normalized(method__clip="0")
    if method.loss == "minimax":
        return "a loss that does not saturate", advice.flags(method__loss="non_saturating")
    if method.spectral_norm is not None:
        more = advice.flags(method__coefficient=2 * method.coefficient)
        return "a steeper critic", more
    return "smaller steps", advice.slower(config, 10)
