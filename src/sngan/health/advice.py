"""Advice: the flags to try in a new run, computed from the settings of this run."""

from sngan.config import Config
from sngan.methods import Method
from sngan.methods.schedule import Schedule, scaled


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
