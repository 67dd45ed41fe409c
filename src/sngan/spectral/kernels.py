"""The linear layers whose weight has a matrix, and that matrix."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from typing_extensions import TypeIs

from sngan._checks import require, require_one_of

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
LAYERS = (nn.Linear, nn.Embedding, *CONVOLUTIONS, *TRANSPOSED)

LayerSelection = (
    Iterable[str] | type[nn.Module] | tuple[type[nn.Module], ...] | Callable[[str, nn.Module], bool]
)


@dataclass(frozen=True)
class Kernel:
    """A weight read as the matrix of Miyato et al. 2018: output channels × everything else.

    ``row_dim`` is the dimension of the output channels: 1 for transposed convolutions, else 0.
    ``names`` are the layers that own the weight: more than one when it is tied.
    """

    names: tuple[str, ...]
    weight: Tensor
    row_dim: int

    @property
    def rows(self) -> int:
        """The number of rows: output channels (of a group, for transposed convolutions)."""
        return self.weight.shape[self.row_dim]

    def matrix(self, tensor: Tensor) -> Tensor:
        """``(rows, columns)`` of the weight or of a tensor of its shape.

        Columns come in the weight's memory order, so that a contiguous and a channels-last
        weight are viewed and not copied; the singular values do not depend on that order.
        """
        if self.row_dim == 0 and self.weight.is_contiguous():
            return tensor.flatten(1)
        return tensor.permute(self._order()).flatten(1)

    def add_outer_(self, tensor: Tensor, u: Tensor, v: Tensor, *, alpha: float) -> None:
        """``tensor += alpha · u vᵀ`` in place, with ``v`` in the column order of :meth:`matrix`."""
        matrix = self.matrix(tensor)
        if matrix.data_ptr() == tensor.data_ptr():
            matrix.addr_(u, v, alpha=alpha)
            return
        order = self._order()
        outer = torch.outer(u, v).view([tensor.shape[dim] for dim in order])
        tensor.permute(order).add_(outer, alpha=alpha)

    def _order(self) -> list[int]:
        others = [dim for dim in range(self.weight.dim()) if dim != self.row_dim]
        return [self.row_dim, *sorted(others, key=lambda dim: -self.weight.stride(dim))]


def find_kernels(
    module: nn.Module, layers: LayerSelection | None = None, *, computed: bool = False
) -> list[Kernel]:
    """The kernels of the selected layers of ``module``, tied weights once, in module order.

    ``layers`` is ``None`` for all linear layers, or names, a type or types, or a predicate
    ``(name, layer) -> bool``. With ``computed``, a weight that a parametrization computes is read
    as it is now.

    Raises
    ------
    ValueError
        Nothing selected, an unknown name, a selected layer without a matrix, a weight that is
        computed by another parametrization, or a tied weight whose layers read it differently.
    """
    kernels: dict[int, Kernel] = {}
    for name, layer in _select(module, layers):
        weight = _weight(name, layer, computed=computed)
        row_dim = 1 if isinstance(layer, TRANSPOSED) else 0
        twin = kernels.get(id(weight))
        if twin is not None:
            require(
                twin.row_dim == row_dim,
                "module",
                expected="tied layers that read their weight alike",
                got=f"{twin.names[0]!r} and its transpose {name!r}",
            )
        names = (*twin.names, name) if twin is not None else (name,)
        kernels[id(weight)] = Kernel(names, weight, row_dim)
    require(
        bool(kernels),
        "layers",
        expected="a selection with at least one Linear, convolution or Embedding",
        got="none in this module",
    )
    return list(kernels.values())


def _select(module: nn.Module, layers: LayerSelection | None) -> Iterator[tuple[str, nn.Module]]:
    modules = dict(module.named_modules(remove_duplicate=False))
    if layers is None:
        layers = LAYERS
    if _are_types(layers):
        yield from ((n, m) for n, m in modules.items() if isinstance(m, layers))
    elif callable(layers):
        yield from ((n, m) for n, m in modules.items() if layers(n, m))
    else:
        require(not isinstance(layers, str), "layers", expected="a list of names", got=repr(layers))
        for name in layers:
            require_one_of(name, "layers", choices=modules)
            yield name, modules[name]


def _are_types(
    layers: LayerSelection,
) -> TypeIs[type[nn.Module] | tuple[type[nn.Module], ...]]:
    kinds = layers if isinstance(layers, tuple) else (layers,)
    return all(isinstance(kind, type) for kind in kinds)


def _weight(name: str, layer: nn.Module, *, computed: bool) -> Tensor:
    require(
        isinstance(layer, LAYERS),
        "layers",
        expected="Linear, Conv1d/2d/3d, ConvTranspose1d/2d/3d or Embedding layers",
        got=f"{name!r}, a {type(layer).__name__}",
    )
    is_computed = parametrize.is_parametrized(layer, "weight") or hasattr(layer, "weight_orig")
    require(
        computed or not is_computed,
        "module",
        expected="plain weights (SpectralNorm.from_parametrized imports torch's normalization)",
        got=f"a parametrized weight in {name!r}",
    )
    weight = layer.weight
    assert isinstance(weight, Tensor)
    require(
        weight.dtype in (torch.float32, torch.float64),
        "module",
        expected="float32 or float64 weights (use autocast for lower precision)",
        got=f"{weight.dtype} in {name!r}",
    )
    return weight
