"""Optimizer hooks: make weights raw before each optimizer step, and normalize them after it.

The hooks are global: torch calls them for every optimizer, so that a new optimizer for the same
weights is followed too.
"""

import functools
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from sngan.spectral.closure import evaluate_closure
from sngan.spectral.normalizer import FollowedDefaults, Normalizer
from sngan.spectral.optimizers import step_is_skipped, unwrapped
from sngan.spectral.ownership import normalizers_of

_RECOVERS = "recovers_normalized_weights"


@dataclass
class _RunningStep:
    """A running step. ``depth`` counts nested calls: a class's step may call its parent's step."""

    normalizers: list[Normalizer]
    depth: int = 1


_running: weakref.WeakKeyDictionary[Optimizer, _RunningStep] = weakref.WeakKeyDictionary()


def follow(normalizer: Normalizer, optimizer: Optimizer) -> None:
    """Add the state to the optimizer's state dict, and normalize after a step that raises."""
    normalizer.follow(optimizer)
    kind: Any = type(optimizer)
    if not hasattr(kind.step, _RECOVERS):
        kind.step = _recovering(kind.step)
    # a learning rate scheduler stores a wrapped step in the instance
    own = vars(optimizer).get("step")
    if own is not None and not hasattr(own, _RECOVERS):
        optimizer.step = _recovering(own, weakref.ref(optimizer))


def _before_step(optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if optimizer in _running:
        _running[optimizer].depth += 1
        return None
    if unwrapped(optimizer) is not optimizer or _only_creates_state(optimizer, kwargs):
        return None
    normalizers = normalizers_of(optimizer)
    if not normalizers:
        _require_not_copied(optimizer)
        return None
    for normalizer in normalizers:
        follow(normalizer, optimizer)
    args, kwargs = evaluate_closure(args, kwargs, restore=lambda: _normalize(normalizers))
    _running[optimizer] = _RunningStep(normalizers)
    for normalizer in normalizers:
        normalizer.to_raw(optimizer)
    return args, kwargs


def _after_step(optimizer: Optimizer, *_: Any) -> None:
    step = _running.get(optimizer)
    if step is None:
        return
    step.depth -= 1
    if step.depth == 0:
        del _running[optimizer]
        for normalizer in step.normalizers:
            normalizer.to_normalized(step_is_skipped(optimizer))


def _normalize(normalizers: list[Normalizer]) -> None:
    for normalizer in normalizers:
        normalizer.to_normalized()


def _recovering(
    step: Callable[..., Any], optimizer: "weakref.ref[Optimizer] | None" = None
) -> Callable[..., Any]:
    """Wrap a step so that it leaves normalized weights when it raises."""

    @functools.wraps(step)
    def recovering(*args: Any, **kwargs: Any) -> Any:
        try:
            return step(*args, **kwargs)
        except BaseException:
            stepped = args[0] if optimizer is None else optimizer()
            failed = None if stepped is None else _running.pop(stepped, None)
            if failed is not None:
                _normalize(failed.normalizers)
            raise

    setattr(recovering, _RECOVERS, True)
    return recovering


def _only_creates_state(optimizer: Optimizer, kwargs: dict[str, Any]) -> bool:
    """Whether torch.distributed.checkpoint calls this step only to create the optimizer's state."""
    if kwargs != {"closure": None} or optimizer.state:
        return False
    return all(group.get("lr", 1.0) == 0 for group in optimizer.param_groups)


def _require_not_copied(optimizer: Optimizer) -> None:
    defaults = getattr(optimizer, "defaults", None)
    if isinstance(defaults, FollowedDefaults) and defaults.owner != id(optimizer):
        raise RuntimeError(
            "optimizer: expected the one that SpectralNorm was made with, got a copy of it; make "
            "SpectralNorm(module, optimizer) for the copied network and optimizer"
        )


register_optimizer_step_pre_hook(_before_step)
register_optimizer_step_post_hook(_after_step)
