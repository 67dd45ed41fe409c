"""Closure of ``optimizer.step(closure)``: evaluated once, while the weights are normalized."""

from collections.abc import Callable
from typing import Any

import torch


def evaluate_closure(
    args: tuple[Any, ...], kwargs: dict[str, Any], *, restore: Callable[[], None]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Evaluate the closure among a step's arguments, and replace it by one that returns its loss.

    If the optimizer calls the new closure twice, ``restore`` is called and an error is raised.

    Parameters
    ----------
    args
        The optimizer, and perhaps the closure.
    kwargs
        The closure, if it was passed by name.
    restore
        A function that normalizes the weights again.
    """
    # args[0] is the optimizer: torch calls its hooks with the arguments of the unbound method
    closure = args[1] if len(args) > 1 else kwargs.get("closure")
    if closure is None:
        return args, kwargs
    with torch.enable_grad():
        loss = closure()
    return args[:1], {**kwargs, "closure": _replayed_once(loss, restore)}


def _replayed_once(loss: Any, restore: Callable[[], None]) -> Callable[[], Any]:
    calls = 0

    def replay() -> Any:
        nonlocal calls
        calls += 1
        if calls > 1:
            restore()
            raise RuntimeError(
                "optimizer.step(closure): expected one evaluation of the closure a step, got "
                "a second; the weights are raw then, so SpectralNorm cannot be exact"
            )
        return loss

    return replay
