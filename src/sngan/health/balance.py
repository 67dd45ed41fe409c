"""Balance of the two networks: one learns so much faster that the other is left behind."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sngan.config import Config
from sngan.health import advice
from sngan.health.finding import Finding, Unjudged
from sngan.health.history import History, Series
from sngan.health.judging import LEAST, quality, unjudged
from sngan.health.statistics import Numbers, confidence, holds_since, rolling_median

GENERATOR, CRITIC = "generator left behind", "critic left behind"
_CERTAIN, _AHEAD, _GUESSES = 0.97, 0.68, 0.55
# a critic that scores generated samples above real ones is wrong, so fewer records are enough
_FOOLED, _FEW = 0.25, 3
# losses of a critic whose scores are all 0; the Wasserstein loss of one is 0
_GUESS, _LITTLE = {"hinge": 2.0, "non_saturating": 2 * np.log(2), "minimax": 2 * np.log(2)}, 0.05
# factors of a distance: of the one before (gained too little), of the floor (far from it), of the
# best one (worse); and the fall of the rate of a critic that sees less
_HALVED, _GAINED, _STALLED = 0.5, 0.8, 0.9
_FAR, _VERY_FAR, _WORSE, _BLINDER = 1.25, 2.5, 1.25, 0.1


def generator_left_behind(history: History, config: Config) -> Finding | Unjudged | None:
    """Judge whether the critic is far ahead, while the samples do not get better.

    The critic scores 97 % of the real samples above a generated one for some records, or for half
    of the run in which the distance was not halved; or it scores 68 % so for half of the run, and
    the samples are very far from the data. If its loss is a twentieth of that of a guess as well,
    there is hardly any gradient left, and it does not matter whether the samples get better.
    """
    ranked = _ranked(GENERATOR, history)
    if isinstance(ranked, Unjudged):
        return ranked
    half = max(LEAST, len(ranked.steps) // 2)
    rules = (
        (_CERTAIN, LEAST, _GAINED, _FAR),
        (_CERTAIN, half, _HALVED, _FAR),
        (_AHEAD, half, _STALLED, _VERY_FAR),
    )
    for certain, least, gained, far in rules:
        mask = (ranked.rates > certain) & (ranked.distance > far * ranked.floor)
        found = ranked.since(mask, least=least)
        if found is None:
            continue
        start = max(found[0], len(mask) - least) if certain == _AHEAD else found[0]
        if ranked.distance[-1] < gained * ranked.distance[start]:
            continue
        reason, flags = advice.unusual(config) or _weaker_critic(config)
        return ranked.finding(
            GENERATOR,
            start,
            "the critic tells the samples apart, and they do not get better",
            advice=reason,
            flags=flags,
        )
    hopeless = (ranked.rates > _CERTAIN) & (ranked.distance > _FAR * ranked.floor)
    found = ranked.since(hopeless & _has_no_loss(ranked, history, config), least=LEAST)
    if found is None:
        return None
    reason, flags = advice.unusual(config) or _weaker_critic(config)
    meaning = "the critic tells the samples apart with hardly any loss, so it teaches little"
    return ranked.finding(GENERATOR, found[0], meaning, advice=reason, flags=flags)


def _has_no_loss(ranked: "_Ranked", history: History, config: Config) -> NDArray[np.bool_]:
    losses, guess = history["critic_loss"], _GUESS.get(config.method.loss, 0.0)
    if not len(losses):
        return np.zeros(len(ranked.steps), dtype=np.bool_)
    return np.interp(ranked.steps, losses.steps, rolling_median(losses.values)) < _LITTLE * guess


def critic_left_behind(history: History, config: Config) -> Finding | Unjudged | None:
    """Judge whether the critic does no better than guessing although the samples are bad.

    It is left behind as well if the samples have got worse since their best, and the critic tells
    them apart less well than it did then.
    """
    ranked = _ranked(CRITIC, history)
    if isinstance(ranked, Unjudged):
        return ranked
    is_far = ranked.distance > _FAR * ranked.floor
    best = int(ranked.distance.argmin())
    after = np.arange(len(ranked.steps)) > best
    is_worse = after & (ranked.distance > _WORSE * ranked.distance[best])
    is_blinder = ranked.rates < ranked.rates[best] - _BLINDER
    found = ranked.since(is_far & (ranked.rates < _GUESSES), least=LEAST)
    found = found or ranked.since(is_far & is_worse & is_blinder, least=LEAST)
    found = found or ranked.since(is_far & (ranked.rates < _FOOLED), least=_FEW)
    if found is None or ranked.distance[-1] < _GAINED * ranked.distance[found[0]]:
        return None
    reason, flags = advice.unusual(config) or _stronger_critic(config)
    return ranked.finding(
        CRITIC,
        found[0],
        "the critic does not see what is wrong with the samples, which are far from the data",
        advice=reason,
        flags=flags,
    )


@dataclass(frozen=True)
class _Ranked:
    """Records of how often a real sample scores above a generated one, and of their distance."""

    name: str
    steps: Numbers
    rates: Numbers
    distance: Numbers
    floor: float

    def since(self, mask: NDArray[np.bool_], *, least: int) -> tuple[int, int] | None:
        """Return the record since which a condition holds, and the number of records since then."""
        found = holds_since(Series(self.steps, self.rates), mask, least=least)
        return None if found is None else (len(mask) - found[1], found[1])

    def finding(self, name: str, start: int, meaning: str, *, advice: str, flags: str) -> Finding:
        """Return the finding that holds since the record ``start``."""
        beyond = float(self.distance[-1] / (_FAR * self.floor))
        return Finding(
            name=name,
            since=int(self.steps[start]),
            confidence=confidence(beyond, len(self.steps) - start, least=LEAST),
            evidence={
                "real_above_generated": float(self.rates[-1]),
                self.name: float(self.distance[-1]),
                f"{self.name}_then": float(self.distance[start]),
            },
            meaning=meaning,
            advice=advice,
            flags=flags,
        )


def _ranked(name: str, history: History) -> _Ranked | Unjudged:
    good = quality(history)
    cannot = unjudged(name, history, "real_above_generated", good.name)
    if cannot is not None:
        return cannot
    ranks = history["real_above_generated"]
    distance = np.interp(ranks.steps, good.series.steps, good.smooth.values)
    return _Ranked(good.name, ranks.steps, rolling_median(ranks.values), distance, good.floor)


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
    steps = method.n_critic + (1 if method.n_critic == 1 else method.n_critic)
    return "more critic steps", advice.flags(method__n_critic=steps)
