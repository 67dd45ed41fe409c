"""The size of the search for a steep point, by the work that one pass of the network takes."""

# torch has no public name for what keeps torch._dynamo out of a mode
# pyright: reportIncompatibleMethodOverride=false

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from sngan.lipschitz.tracing.prepare import PreparedModule, preserve_rng_state

_SAMPLES, _ROUNDS, _KEPT, _ITERATIONS = 256, 20, 8, 6
# floating-point operations of one pass up to which the whole search takes half a minute of one core
_AFFORDABLE = 1.5e7
_FEW = 0.1


@dataclass(frozen=True)
class SearchBudget:
    """How long to search.

    ``samples`` are points of noise, ``rounds`` improve the best ``kept`` points, and
    ``iterations`` of the power method tell how steep each is.
    """

    samples: int
    rounds: int
    kept: int = _KEPT
    iterations: int = _ITERATIONS


def budget_for(module: PreparedModule, *, samples: int | None, rounds: int | None) -> SearchBudget:
    """The whole search, or the share of it that a large network allows; what is given counts."""
    share = 1.0
    if samples is None or rounds is None:
        share = min(1.0, _AFFORDABLE / max(flops_of(module), 1))
    return SearchBudget(
        samples=samples or max(6, round(_SAMPLES * share)),
        rounds=max(3, round(_ROUNDS * share)) if rounds is None else rounds,
        kept=max(1, round(_KEPT * share)),
        iterations=1 if share < _FEW else _ITERATIONS,
    )


@torch.no_grad()
def flops_of(module: PreparedModule) -> int:
    """Floating-point operations of one pass: of convolutions and matrix products."""
    with preserve_rng_state(module.example), _Counter() as counter:
        module(module.example.clone())
    return counter.operations


class _Counter(TorchDispatchMode):
    """Adds up the work of the kernels that torch knows the work of."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # otherwise the first kernel imports torch._dynamo, which takes a second
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.operations += int(count(*args, **(kwargs or {}), out_val=result))
        return result
