"""Memorizing: a critic that knows its training images, and a generator that copies them."""

import math

import numpy as np

from sngan.config import Config
from sngan.health import advice
from sngan.health.finding import Finding, Unjudged
from sngan.health.history import History
from sngan.health.judging import LEAST, unjudged
from sngan.health.statistics import confidence, holds_since, rolling_median

OVERFITTING, COPIES = "critic overfitting", "generator copies"
_COPY, _FEWEST = 0.5, 3
# the engine scores at most this number of trained and of held-out images
_SCORED, _DEVIATIONS = 128, 3.5


def critic_overfitting(history: History, config: Config) -> Finding | Unjudged | None:
    """Judge how often the critic scores a trained image above a held-out one.

    The rate is 1/2 for a critic that does not tell them apart. The finding holds if it is above 1/2
    by 3.5 standard deviations of the statistic of Mann and Whitney for this number of images.
    """
    if "trained_above_held_out" not in history and "spread" in history:
        return Unjudged(OVERFITTING, _why_none_held_out(config))
    cannot = unjudged(OVERFITTING, history, "trained_above_held_out")
    if cannot is not None:
        return cannot
    series = history["trained_above_held_out"]
    smooth = rolling_median(series.values)
    limit = _by_chance(config)
    held = holds_since(series, smooth > 0.5 + limit, least=LEAST - 2)
    if held is None:
        return None
    beyond = (float(smooth[-1]) - 0.5) / limit
    reason, flags = _more_data(config)
    return Finding(
        name=OVERFITTING,
        since=held[0],
        confidence=confidence(beyond, held[1], least=LEAST - 2),
        evidence={
            name: history[name].last
            for name in ("trained_above_held_out", "real_score", "held_out_score")
            if name in history
        },
        meaning="the critic knows the training images by heart and scores new real images as fakes",
        advice=reason,
        flags=flags,
    )


def generator_copies(history: History, config: Config) -> Finding | Unjudged | None:
    """Compare the distances of generated and of held-out images to their nearest trained image."""
    if "copy_distance" not in history and config.model.name == "mlp":
        return Unjudged(COPIES, "points are not copied: the data is a distribution")
    cannot = unjudged(COPIES, history, "copy_distance", least=_FEWEST)
    if cannot is not None:
        return cannot
    series = history["copy_distance"]
    beyond = _COPY / np.maximum(series.values, 1e-9)
    held = holds_since(series, beyond > 1, least=_FEWEST - 1)
    spread = history["spread"]
    # samples that are all near one trained image are a collapse
    if held is None or (len(spread) and spread.last < _COPY):
        return None
    reason, flags = _more_data(config)
    return Finding(
        name=COPIES,
        since=held[0],
        confidence=confidence(float(beyond[-1]), held[1], least=_FEWEST - 1),
        evidence={"copy_distance": series.last},
        meaning="generated images lie much closer to training images than new real images do",
        advice=reason,
        flags=flags,
    )


def _by_chance(config: Config) -> float:
    """Return how far from 1/2 the rate may be by chance, through the choice of the images."""
    count = min(int(config.data.held_out or 0), _SCORED) or _SCORED
    return _DEVIATIONS * math.sqrt((_SCORED + count + 1) / (12 * _SCORED * count))


def _why_none_held_out(config: Config) -> str:
    if config.model.name == "mlp":
        return "points are not held out: the data is a distribution"
    return "no images were held out (data.held_out)"


def _more_data(config: Config) -> tuple[str, str]:
    if config.data.augment is None:
        return "augmentation makes more of few images", advice.flags(data__augment="ada")
    if config.method.penalty is None and config.method.critic_norm != "batch":
        return "a penalty on the critic's slope at real images", advice.flags(
            method__penalty="r1", method__penalty_weight=1.0
        )
    return "a smaller critic", advice.flags(model__width=config.model.width / 2)
