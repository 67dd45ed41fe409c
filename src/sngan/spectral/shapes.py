"""The shape of what each layer of a network is given."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from sngan import _shards as shards
from sngan._checks import require, require_one_of
from sngan.spectral.geometry import Sizes


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
def input_shapes(
    module: nn.Module, input_shape: tuple[int, ...], names: Iterable[str]
) -> dict[str, Sizes]:
    """Return ``{layer name: input shape}`` for one input of zeros, batch dimension left out.

    In eval mode, which is undone. Of a layer that is called several times, the largest sizes.

    Raises
    ------
    ValueError
        The network does not take such an input, or does not call one of the layers.
    """
    shapes: dict[str, Sizes] = {}

    def record(name: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            tensors = [x for x in (*inputs, *named.values()) if isinstance(x, Tensor)]
            shape = tuple(tensors[0].shape[1:]) if tensors else ()
            shapes[name] = tuple(map(max, shape, shapes.get(name, shape)))

        return hook

    layers = dict(module.named_modules(remove_duplicate=False))
    handles = [
        layers[name].register_forward_pre_hook(record(name), with_kwargs=True) for name in names
    ]
    # transformers leave out the calls of their layers on it
    is_fast = torch.backends.mha.get_fastpath_enabled()
    training = [layer for layer in module.modules() if layer.training]
    weight = next(module.parameters())
    try:
        module.eval()
        torch.backends.mha.set_fastpath_enabled(False)
        module(torch.zeros(1, *input_shape, dtype=weight.dtype, device=weight.device))
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"input_shape: expected one that fits the module, got {input_shape} ({error})"
        ) from error
    finally:
        torch.backends.mha.set_fastpath_enabled(is_fast)
        for layer in training:
            layer.training = True
        for handle in handles:
            handle.remove()
        shards.reshard(module)
    for name in names:
        require(name in shapes, "module", expected=f"a call of {name!r}", got="none in forward()")
    return shapes
