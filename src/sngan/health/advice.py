"""Advice: the flags to try in a new run, computed from the settings of this run."""

from sngan.config import Config
from sngan.methods import METHODS, Method
from sngan.methods.schedule import Schedule, largest, scaled
from sngan.utils.families import of_family

# so many times the recipe's value, a setting is looked at first
_FAR = 4.0
_SMALLEST_BATCH, _BATCH, _MOMENTUM = 16, 64, 0.5


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


def unusual(config: Config) -> tuple[str, str] | None:
    """Return a reason and flags if a setting is far from the method's recipe, and ``None`` if not.

    Such a setting is the first one to change, whatever it has led to.
    """
    method, recipe = config.method, METHODS.get(config.method.name)
    if config.batch_size < _SMALLEST_BATCH:
        return "a larger batch", flags(batch_size=_BATCH)
    if recipe is None:
        return None
    recipe = of_family(recipe, _family(config))
    if method.clip is not None and recipe.clip is not None and method.clip < recipe.clip / _FAR:
        return f"the usual clipping of {method.name}", flags(method__clip=recipe.clip)
    if largest(method.lr) > _FAR * largest(recipe.lr):
        return f"the usual steps of {method.name}", flags(method__lr=recipe.lr)
    if method.betas[0] > max(_MOMENTUM, recipe.betas[0]):
        return "less momentum", flags(method__betas=(0.0, 0.9))
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
