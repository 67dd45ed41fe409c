"""Balance: one of the two networks learns so much faster that the other is left behind."""

import numpy as np

from sngan.config import Config
from sngan.health import advice
from sngan.health.finding import Finding, Unjudged
from sngan.health.history import History
from sngan.health.judging import LEAST, quality, unjudged
from sngan.health.statistics import confidence, holds_since, rolling_median

GENERATOR, CRITIC = "generator left behind", "critic left behind"
_CERTAIN, _GUESSES, _GAINED, _FAR = 0.97, 0.55, 0.8, 1.5


def generator_left_behind(history: History, config: Config) -> Finding | Unjudged | None:
    """Judge whether the critic tells nearly all samples apart, while these do not get better."""
    return _left_behind(history, config, is_generator=True)


def critic_left_behind(history: History, config: Config) -> Finding | Unjudged | None:
    """Judge whether the critic does no better than guessing although the samples are bad."""
    return _left_behind(history, config, is_generator=False)


def _left_behind(
    history: History, config: Config, *, is_generator: bool
) -> Finding | Unjudged | None:
    name = GENERATOR if is_generator else CRITIC
    good = quality(history)
    cannot = unjudged(name, history, "real_above_generated", good.name)
    if cannot is not None:
        return cannot
    ranks = history["real_above_generated"]
    smooth = rolling_median(ranks.values)
    distance = np.interp(ranks.steps, good.series.steps, good.smooth.values)
    mask = smooth > _CERTAIN if is_generator else smooth < _GUESSES
    held = holds_since(ranks, mask & (distance > _FAR * good.floor), least=LEAST)
    if held is None:
        return None
    start = int(np.flatnonzero(ranks.steps == held[0])[0])
    gain = float(distance[-1] / distance[start])
    if gain < _GAINED:
        return None
    beyond = float(distance[-1] / (_FAR * good.floor))
    reason, flags = _weaker_critic(config) if is_generator else _stronger_critic(config)
    return Finding(
        name=name,
        since=held[0],
        confidence=confidence(beyond, held[1], least=LEAST),
        evidence={
            "real_above_generated": ranks.last,
            good.name: good.series.last,
            f"{good.name}_then": float(distance[start]),
        },
        meaning=(
            "the critic tells nearly all samples apart, and they do not get better"
            if is_generator
            else "the critic only guesses, although the samples are far from the data"
        ),
        advice=reason,
        flags=flags,
    )


def _weaker_critic(config: Config) -> tuple[str, str]:
    method = config.method
    if method.n_critic > 1:
        return "fewer critic steps", advice.flags(method__n_critic=max(1, method.n_critic // 4))
    if not advice.is_constrained(method):
        return "a critic of bounded slope", advice.normalized()
    return "a larger generator, which needs larger networks", advice.flags(
        model__width=2 * config.model.width
    )


def _stronger_critic(config: Config) -> tuple[str, str]:
    method = config.method
    if config.batch_size < 16:
        return "a larger batch", advice.flags(batch_size=64)
    steps = method.n_critic + (1 if method.n_critic == 1 else method.n_critic)
    return "more critic steps", advice.flags(method__n_critic=steps)
