"""Proved norms of the layers of a network, and the weights rescaled by them."""

import torch
from torch import Tensor, nn

from sngan import _shards as shards
from sngan.spectral.group import Group
from sngan.spectral.kernels import Kernel
from sngan.spectral.operator import certified_norm
from sngan.spectral.shapes import Calls
from sngan.spectral.whole_weight import whole_weight

# a bound within this of c is accepted as it is
_ACCEPTED = 1e-5


def certify_group(module: nn.Module, group: Group, shapes: Calls) -> dict[str, float]:
    """Rescale each weight of a group to a proved norm of c; ``{layer name: proved bound}``."""
    bounds: dict[str, float] = {}
    for index, norm in enumerate(group.norms):
        bound = _certified(module, norm.kernel, shapes)
        if bound > 0 and not 1 - _ACCEPTED <= bound / group.coefficient <= 1:
            weight = shards.whole(norm.kernel.weight)
            group.rescale(index, (bound + _rounding(weight)) / group.coefficient)
            bound = _certified(module, norm.kernel, shapes)
        bounds.update((name, bound) for name in norm.kernel.names)
    return bounds


def _certified(module: nn.Module, kernel: Kernel, shapes: Calls) -> float:
    """The largest bound of all the sizes that a layer is called at."""
    name = kernel.names[0]
    with whole_weight(module.get_submodule(name), kernel) as layer:
        if isinstance(layer, nn.Embedding):
            # a map of one-hot vectors
            layer = _as_linear(layer)
            return certified_norm(layer, (layer.in_features,)).norm
        return max(
            certified_norm(layer, call.input_shape, output_size=call.output_size).norm
            for call in shapes[name]
        )


def _as_linear(embedding: nn.Embedding) -> nn.Linear:
    linear = nn.Linear(embedding.num_embeddings, embedding.embedding_dim, bias=False, device="meta")
    linear.weight = nn.Parameter(embedding.weight.detach().t())
    return linear


def _rounding(weight: Tensor) -> float:
    """How far rounding its entries can move the norm of a layer.

    By half an ε of ``‖W‖_F`` as a matrix, and √taps times that as a convolution; twice this here.
    """
    taps = weight[0, 0].numel()
    spread = float(torch.linalg.vector_norm(weight)) * taps**0.5
    return torch.finfo(weight.dtype).eps * spread
