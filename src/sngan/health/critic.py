"""Critic that uses little of its slope, and critic whose layers pass on few directions."""

import numpy as np

from sngan.config import Config
from sngan.health import advice
from sngan.health.finding import Finding, Unjudged
from sngan.health.history import History
from sngan.health.judging import LEAST, quality, unjudged
from sngan.health.statistics import confidence, holds_since, rolling_median
from sngan.methods.schedule import scaled

LITTLE_SLOPE, RANK_COLLAPSE = "critic uses little slope", "rank collapse"
# with a margin of 1, a loss has hardly any curvature for scores that differ by so little
_GAP, _HARDLY, _TELLS, _FAR = 0.1, 0.2, 0.75, 1.1
_SLOPE, _FLAT = 0.1, 1e-6
_RANK_SHARE, _RANK = 0.3, 2.0


def little_slope(history: History, config: Config) -> Finding | Unjudged | None:
    """Judge whether the constraint keeps the scores of real and generated samples too close.

    The samples are not good yet, and the mean scores differ by less than a fiftieth of the margin
    of the loss; or they differ by less than a tenth, although the critic ranks the samples well.
    The Wasserstein loss has no margin, so there the slope is compared with 1, the slope that
    gradient penalties ask for. With any loss, a critic whose slope is below 1e-6 is flat.
    """
    needed = ("real_above_generated", "real_score", "generated_score", "slope")
    cannot = unjudged(LITTLE_SLOPE, history, *needed)
    if cannot is not None or not advice.is_constrained(config.method):
        return cannot
    ranks, real, fake, slope = (history[name] for name in needed)
    good = quality(history)
    differs = np.interp(ranks.steps, good.series.steps, good.smooth.values) > _FAR * good.floor
    used = np.abs(rolling_median(real.values - fake.values)) / _GAP
    if config.method.loss == "wasserstein":
        asked = _SLOPE if config.method.penalty is not None else _FLAT
        used = rolling_median(slope.values) / asked
    is_flat = rolling_median(slope.values) < _FLAT
    tells = (rolling_median(ranks.values) > _TELLS) | (used < _HARDLY)
    mask = (tells & (used < 1) & differs) | is_flat
    held = holds_since(ranks, mask, least=LEAST)
    if held is None:
        return None
    evidence = {
        name: history[name].last
        for name in (*needed, "slope_largest", "lipschitz", "w1", "w1_bound")
        if name in history
    }
    reason, flags = advice.unusual(config) or _steeper(config)
    return Finding(
        name=LITTLE_SLOPE,
        since=held[0],
        confidence=confidence(1 / max(float(used[-1]), 1e-9), held[1], least=LEAST),
        evidence=evidence,
        meaning="the critic is flat: all samples have nearly the same score"
        if is_flat[-1]
        else "the samples are not good yet, but the scores of real and generated ones hardly "
        "differ: the critic may not be steep enough, or uses little of its slope",
        advice=reason,
        flags=flags,
    )


def rank_collapse(history: History, config: Config) -> Finding | Unjudged | None:
    """Judge whether a layer of the critic has come down to few directions.

    The least effective rank of its larger layers is below 2, and below three tenths of its first
    value.
    """
    cannot = unjudged(RANK_COLLAPSE, history, "rank_least")
    if cannot is not None:
        return cannot
    series = history["rank_least"]
    limit = min(_RANK, max(_RANK_SHARE * float(series.values[0]), 1.2))
    smooth = rolling_median(series.values)
    held = holds_since(series, smooth < limit, least=LEAST - 2)
    if held is None:
        return None
    method, unusual = config.method, advice.unusual(config)
    if unusual is not None:
        reason, flags = unusual
    elif method.clip is not None or not advice.is_constrained(method):
        reason = "spectral normalization keeps more directions"
        flags = advice.normalized(method__clip="0", method__lr=advice.careful_lr(config))
    else:
        reason, flags = "smaller steps", advice.slower(config, 4)
    return Finding(
        name=RANK_COLLAPSE,
        since=held[0],
        confidence=confidence(limit / float(smooth[-1]), held[1], least=LEAST - 2),
        evidence={"rank_least": series.last, "at_first": float(series.values[0])},
        meaning="a layer of the critic passes on few directions of its input",
        advice=reason,
        flags=flags,
    )


def _steeper(config: Config) -> tuple[str, str]:
    method = config.method
    if method.spectral_norm is not None:
        return "a steeper critic", advice.flags(method__coefficient=2 * method.coefficient)
    if method.clip is not None:
        return "wider clipping", advice.flags(method__clip=10 * method.clip)
    if method.penalty is not None:
        weight = scaled(method.penalty_weight, 1 / 10)
        return "a weaker penalty", advice.flags(method__penalty_weight=weight)
    return "a weaker constraint", advice.flags(method__orthonormal=(method.orthonormal or 1) / 10)
