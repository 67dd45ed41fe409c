"""Budget of the search for a steep point: it is smaller for networks with costly passes."""

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import flop_registry

from sngan.lipschitz.tracing.kernel_mode import KernelMode
from sngan.lipschitz.tracing.prepare import PreparedModule, preserve_rng_state

_SAMPLES, _ROUNDS, _KEPT, _ITERATIONS = 256, 20, 8, 6
# steps of steering for each round
_STEERING = 10
# with this many floating-point operations a pass, the full search takes half a minute on one core
_AFFORDABLE = 1.5e7
_SMALL_SHARE = 0.1


@dataclass(frozen=True)
class SearchBudget:
    """The size of a search.

    Attributes
    ----------
    samples
        Points of noise that the search starts from.
    rounds
        Rounds in which the best points are improved.
    kept
        Points that each round keeps.
    iterations
        Power iterations that estimate the Jacobian norm at a point.
    """

    samples: int
    rounds: int
    kept: int = _KEPT
    iterations: int = _ITERATIONS

    @property
    def steering(self) -> int:
        """Steps in which the best points are steered across kinks."""
        return _STEERING * self.rounds


def budget_for(module: PreparedModule, *, samples: int | None, rounds: int | None) -> SearchBudget:
    """Return the full budget, or a share of it for a large network.

    Parameters
    ----------
    module
        The network.
    samples
        Points of noise; None means as many as are affordable.
    rounds
        Rounds of improvement; None means as many as are affordable.
    """
    share = 1.0
    if samples is None or rounds is None:
        share = min(1.0, _AFFORDABLE / max(flops_of(module), 1))
    return SearchBudget(
        samples=samples or max(6, round(_SAMPLES * share)),
        rounds=max(3, round(_ROUNDS * share)) if rounds is None else rounds,
        kept=max(1, round(_KEPT * share)),
        iterations=1 if share < _SMALL_SHARE else _ITERATIONS,
    )


@torch.no_grad()
def flops_of(module: PreparedModule) -> int:
    """Return the floating-point operations of one pass: convolutions and matrix products."""
    with preserve_rng_state(module.example), _FlopCounter() as counter:
        module(module.example.clone())
    return counter.operations


class _FlopCounter(KernelMode):
    """Adds up the operations of the kernels for which torch knows a count."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.operations += int(count(*args, **(kwargs or {}), out_val=result))
        return result
