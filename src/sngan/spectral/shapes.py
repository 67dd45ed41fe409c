"""The shapes that each layer of a network is called with."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sngan.distributed import dtensor
from sngan.spectral.geometry import Sizes
from sngan.spectral.kernels import CONVOLUTIONS, TRANSPOSED
from sngan.utils.checks import require, require_one_of
from sngan.utils.text import first_line


class Call(NamedTuple):
    """The shape of one input, and the size that a transposed convolution made of it.

    Of a layer that is no convolution the shape of a vector, as its norm is the same for all.
    """

    input_shape: Sizes
    output_size: Sizes | None = None


Calls = dict[str, tuple[Call, ...]]


def require_kind(kind: str, input_shape: tuple[int, ...] | None) -> None:
    """Raise ``ValueError`` for an unknown kind of norm, or an input shape that is missing."""
    require_one_of(kind, "kind", choices=["matrix", "operator"])
    require(
        (input_shape is None) == (kind == "matrix"),
        "input_shape",
        expected="None for 'matrix'" if kind == "matrix" else "one such as (3, 32, 32)",
        got=input_shape,
    )


@torch.no_grad()
def input_shapes(module: nn.Module, input_shape: tuple[int, ...], names: Iterable[str]) -> Calls:
    """Return ``{layer name: its different calls}`` for one input of zeros, no batch dimension.

    In eval mode, which is undone. Every call counts: with its own size, positional or by keyword,
    with a batch dimension or without.

    Raises
    ------
    ValueError
        If the network does not take such an input, or does not call one of the layers.
    """
    calls: dict[str, dict[Call, None]] = {name: {} for name in names}

    def record(name: str) -> Any:
        def hook(
            layer: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any
        ) -> None:
            calls[name][_call_of(layer, inputs, named, output)] = None

        return hook

    layers = dict(module.named_modules(remove_duplicate=False))
    handles = [layers[name].register_forward_hook(record(name), with_kwargs=True) for name in calls]
    # transformers leave out the calls of their layers on it
    is_fast = torch.backends.mha.get_fastpath_enabled()
    training = [layer for layer in module.modules() if layer.training]
    weight = next(module.parameters())
    try:
        module.eval()
        torch.backends.mha.set_fastpath_enabled(False)
        module(torch.zeros(1, *input_shape, dtype=weight.dtype, device=weight.device))
    except (RuntimeError, ValueError) as error:
        got = f"{input_shape} ({first_line(error)})"
        raise ValueError(f"input_shape: expected one that fits the module, got {got}") from error
    finally:
        torch.backends.mha.set_fastpath_enabled(is_fast)
        for layer in training:
            layer.training = True
        for handle in handles:
            handle.remove()
        dtensor.reshard(module)
    for name, found in calls.items():
        require(bool(found), "module", expected=f"a call of {name!r}", got="none in forward()")
    return {name: tuple(found) for name, found in calls.items()}


def _call_of(layer: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> Call:
    if not isinstance(layer, (*CONVOLUTIONS, *TRANSPOSED)):
        return Call((layer.in_features,) if isinstance(layer, nn.Linear) else ())
    given: Tensor = inputs[0] if inputs else named["input"]
    # without its batch dimension, which torch lets people leave out
    dim = len(layer.kernel_size)
    shape = tuple(given.shape[-dim - 1 :])
    return Call(shape, tuple(output.shape[-dim:]) if isinstance(layer, TRANSPOSED) else None)
