"""Advice: the flags to try in a new run, computed from the settings of this run."""

from typing import NamedTuple

from sngan.config import Config
from sngan.methods import METHODS, Method
from sngan.methods.schedule import Schedule, largest, scaled
from sngan.utils.families import of_family

# so many times the recipe's value, a setting is looked at first
_FAR = 4.0
_BATCH, _MOMENTUM = 64, 0.5


def flags(**settings: object) -> str:
    """Return ``--set key=value …``; two underscores in a name stand for a dot."""
    pairs = (f"{key.replace('__', '.')}={_text(value)}" for key, value in settings.items())
    return " ".join(["--set", *pairs])


def is_constrained(method: Method) -> bool:
    """Whether anything bounds the slope of the critic."""
    parts = (method.spectral_norm, method.clip, method.penalty, method.orthonormal)
    return any(part is not None for part in parts)


def normalized(**more: object) -> str:
    """Return flags that constrain the critic by spectral normalization, and further settings."""
    return flags(method__spectral_norm="matrix", method__loss="hinge", **more)


def slower(config: Config, factor: float) -> str:
    """Return flags for a learning rate that is smaller by a factor."""
    return flags(method__lr=scaled(config.method.lr, 1 / factor))


class Unusual(NamedTuple):
    """A setting that is far from the method's recipe, with the flags that bring it back."""

    name: str
    value: float
    usual: float
    reason: str
    flags: str


def unusual(config: Config) -> tuple[str, str] | None:
    """Return a reason and flags if a setting is far from the method's recipe, and ``None`` if not.

    Such a setting is the first one to change, whatever it has led to.
    """
    found = unusual_setting(config)
    return None if found is None else (found.reason, found.flags)


def unusual_setting(config: Config, *, factor: float = _FAR) -> Unusual | None:
    """Return the first setting that is far from the method's recipe, or is a small batch.

    Parameters
    ----------
    config
        The settings of the run.
    factor
        How many times the recipe's value a setting must be; a batch counts as small below 64
        divided by it.
    """
    method, recipe = config.method, METHODS.get(config.method.name)
    if factor * config.batch_size < _BATCH:
        larger = flags(batch_size=_BATCH)
        return Unusual("batch_size", config.batch_size, _BATCH, "a larger batch", larger)
    if recipe is None:
        return None
    recipe = of_family(recipe, _family(config))
    if method.clip is not None and recipe.clip is not None and method.clip < recipe.clip / factor:
        reason, wider = f"the usual clipping of {method.name}", flags(method__clip=recipe.clip)
        return Unusual("method.clip", method.clip, recipe.clip, reason, wider)
    lr, usual = largest(method.lr), largest(recipe.lr)
    if lr > factor * usual:
        reason, slower = f"the usual steps of {method.name}", flags(method__lr=recipe.lr)
        return Unusual("method.lr", lr, usual, reason, slower)
    if method.betas[0] > max(_MOMENTUM, recipe.betas[0]):
        less = flags(method__betas=(0.0, 0.9))
        return Unusual("method.betas", method.betas[0], recipe.betas[0], "less momentum", less)
    if method.n_critic > factor * recipe.n_critic:
        reason, fewer = "the usual critic steps", flags(method__n_critic=recipe.n_critic)
        return Unusual("method.n_critic", method.n_critic, recipe.n_critic, reason, fewer)
    return None


def careful_lr(config: Config) -> float:
    """Return the learning rate of this run, at most that of spectral normalization."""
    return min(largest(config.method.lr), largest(of_family(METHODS["sn"], _family(config)).lr))


def _family(config: Config) -> str:
    return "points" if config.model.name == "mlp" else "images"


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2g}"
    if isinstance(value, Schedule):
        # the shell would read > of A->B as a redirection
        word = "" if value.shape == "linear" else f"{value.shape} "
        return f"'{word}{value.start:.2g}->{value.end:.2g}'"
    if isinstance(value, tuple):
        # the flag of a pair is read as JSON, where a number has a digit before the point
        return "[" + ",".join(repr(float(part)) for part in value) + "]"  # pyright: ignore[reportUnknownVariableType]
    return str(value)
