"""Input shapes: the shapes that each layer of a network is called with, found by one pass."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sngan.distributed import dtensor
from sngan.spectral.operator.geometry import Sizes
from sngan.utils.checks import require
from sngan.utils.supported_layers import CONVOLUTIONS, TRANSPOSED
from sngan.utils.text import first_line


class LayerCall(NamedTuple):
    """The shape of one input of a layer, and the output size of a transposed convolution.

    The norm of a layer that is not a convolution does not depend on the size. Its shape is that of
    one vector.
    """

    input_shape: Sizes
    output_size: Sizes | None = None


LayerCalls = dict[str, tuple[LayerCall, ...]]


@torch.no_grad()
def input_shapes(
    module: nn.Module, input_shape: tuple[int, ...], names: Iterable[str]
) -> LayerCalls:
    """Return ``{layer name: its different calls}`` in a pass of one input of zeros.

    The pass is in eval mode; the training modes are restored afterwards. Calls of any size count,
    with a positional or a keyword argument, with or without a batch dimension.

    Parameters
    ----------
    module
        The network.
    input_shape
        The shape of its input, without batch dimension.
    names
        The names of the layers.

    Raises
    ------
    ValueError
        If the network does not take such an input, or does not call one of the layers.
    """
    calls: dict[str, dict[LayerCall, None]] = {name: {} for name in names}

    def record(name: str) -> Callable[..., None]:
        def hook(
            layer: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any
        ) -> None:
            calls[name][_call_of(layer, inputs, named, output)] = None

        return hook

    layers = dict(module.named_modules(remove_duplicate=False))
    handles = [layers[name].register_forward_hook(record(name), with_kwargs=True) for name in calls]
    # on torch's fast path, transformers do not call their layers
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


def _call_of(
    layer: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any
) -> LayerCall:
    if not isinstance(layer, (*CONVOLUTIONS, *TRANSPOSED)):
        return LayerCall((layer.in_features,) if isinstance(layer, nn.Linear) else ())
    given: Tensor = inputs[0] if inputs else named["input"]
    # the batch dimension is optional in torch, so sizes are counted from the end
    dim = len(layer.kernel_size)
    shape = tuple(given.shape[-dim - 1 :])
    return LayerCall(shape, tuple(output.shape[-dim:]) if isinstance(layer, TRANSPOSED) else None)
