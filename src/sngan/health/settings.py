"""Settings far from the recipe of their method, in a run whose samples are far from the data."""

from sngan.config import Config
from sngan.health import advice
from sngan.health.finding import Finding, Unjudged
from sngan.health.history import History
from sngan.health.judging import LEAST, quality, unjudged
from sngan.health.statistics import confidence, holds_since

UNUSUAL = "unusual setting"
_FAR, _FACTOR = 2.0, 10.0


def unusual_setting(history: History, config: Config) -> Finding | Unjudged | None:
    """Judge whether the samples stay far from the data, and a setting is far from its recipe.

    Far is a tenth of the recipe's value, or ten times that. A setting alone is no illness: the
    samples must be at twice the distance of noise or more, for each of the last records.
    """
    good = quality(history)
    cannot = unjudged(UNUSUAL, history, good.name)
    setting = advice.unusual_setting(config, factor=_FACTOR)
    if cannot is not None or setting is None:
        return cannot
    far = good.smooth.values / (_FAR * good.floor)
    held = holds_since(good.series, far > 1, least=LEAST)
    if held is None:
        return None
    return Finding(
        name=UNUSUAL,
        since=held[0],
        confidence=confidence(float(far[-1]), held[1], least=LEAST),
        evidence={
            setting.name: setting.value,
            "usual": setting.usual,
            good.name: good.series.last,
            f"{good.name}_of_noise": good.floor,
        },
        meaning="the samples are far from the data, and a setting is far from the method's recipe",
        advice=setting.reason,
        flags=setting.flags,
    )
