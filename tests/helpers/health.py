"""Made-up records of runs whose health is known."""

from collections.abc import Callable

Values = float | Callable[[int], float | None] | None

HEALTHY: dict[str, Values] = {
    "real_above_generated": 0.62,
    "trained_above_held_out": 0.51,
    "real_score": 0.4,
    "generated_score": 0.1,
    "held_out_score": 0.39,
    "slope": 0.5,
    "spread": 0.97,
    "reach": 0.85,
    "duplicates": 0.0,
    "energy": lambda k: 0.3 * 0.9**k,
    "rank_least": 6.0,
    "copy_distance": 1.2,
    "generator_gradient_per_weight": 0.02,
}
PLAIN: dict[str, Values] = {
    "critic_loss": 1.4,
    "generator_loss": 0.2,
    "generator_gradient_norm": 1.5,
    "critic_gradient_norm": 2.5,
}


def records(count: int = 24, *, every: int = 50, **changed: Values) -> list[dict]:
    """Records of a healthy run, with other values for some figures; ``None`` leaves one out.

    A value may be a function of the number of the record.
    """
    values = {name: changed.get(name, value) for name, value in (HEALTHY | PLAIN).items()}
    values |= {name: value for name, value in changed.items() if name not in values}
    return [_record(k, every * (k + 1), values) for k in range(count)]


def _record(number: int, step: int, values: dict[str, Values]) -> dict:
    def value(name: str) -> float | None:
        one = values[name]
        return one(number) if callable(one) else one

    found = {name: value(name) for name in values}
    known = {name: one for name, one in found.items() if one is not None}
    own = ("w1", "w1_bound", "lipschitz", *PLAIN)
    health = {name: one for name, one in known.items() if name not in own}
    return {"step": step, **{name: known[name] for name in own if name in known}, "health": health}
