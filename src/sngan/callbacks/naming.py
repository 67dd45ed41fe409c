"""Naming of callbacks: those of sngan and of plug-ins by name, and objects made callbacks."""

from collections.abc import Callable, Iterable
from typing import Any

from sngan.callbacks.callback import Callback
from sngan.utils import consent
from sngan.utils.checks import require
from sngan.utils.registry import Registry

_EXPECTED = "a sngan.callbacks.Callback, or a logger of Lightning Fabric"


def as_callbacks(given: Iterable[Any]) -> tuple[Callback, ...]:
    """Return callbacks: names, classes and loggers of Lightning Fabric become callbacks too.

    Parameters
    ----------
    given
        Callbacks, classes of callbacks, loggers, or names as ``--callbacks`` takes them.

    Raises
    ------
    ValueError
        If an object is none of these, or a name is unknown.

    Examples
    --------
    >>> import sngan
    >>> sngan.callbacks.as_callbacks([sngan.callbacks.Callback])  # doctest: +ELLIPSIS
    (<sngan.callbacks.callback.Callback object at ...>,)
    """
    is_many = isinstance(given, Iterable) and not isinstance(given, str)
    require(is_many, "callbacks", expected=f"a list of {_EXPECTED}", got=repr(given))
    return tuple(_as_callback(one) for one in given)


def _as_callback(one: Any) -> Callback:
    if isinstance(one, str):
        # no run folder names callbacks
        consent.allow([one])
        return CALLBACKS[one]()
    if isinstance(one, type):
        one = one()
    if isinstance(one, Callback):
        return one
    # loggers need Fabric, whose import takes a second
    from lightning_fabric.loggers.logger import Logger

    from sngan.callbacks.loggers import FabricLogger

    require(isinstance(one, Logger), "callbacks", expected=_EXPECTED, got=repr(one))
    return FabricLogger(one)


def _wandb() -> Callback:
    from sngan.callbacks.wandb_run import Wandb

    return Wandb()


def _mlflow() -> Callback:
    from sngan.callbacks.mlflow_run import MLflow

    return MLflow()


def _as_maker(part: Any, _: str) -> Callable[[], Callback]:
    """Make a maker of a callback, a class or function that returns one, or a logger."""
    is_function = callable(part) and not isinstance(part, type)
    return lambda: _as_callback(part() if is_function else part)


CALLBACKS: Registry[Callable[[], Callback]] = Registry(
    "callbacks", {"wandb": _wandb, "mlflow": _mlflow}, argument="callbacks", convert=_as_maker
)
"""Functions without arguments that make a callback, by the names that ``--callbacks`` takes.

Examples
--------
>>> from sngan.callbacks import CALLBACKS
>>> list(CALLBACKS)
['wandb', 'mlflow']
"""
