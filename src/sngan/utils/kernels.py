"""Kernels: the matrices of a network that have a spectral norm, and how to find them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize
from typing_extensions import TypeIs

from sngan.utils.checks import require, require_one_of
from sngan.utils.supported_layers import (
    LAYER_NAMES,
    LAYERS,
    MatrixParameter,
    matrix_parameters,
)

LayerSelection = (
    Iterable[str] | type[nn.Module] | tuple[type[nn.Module], ...] | Callable[[str, nn.Module], bool]
)


@dataclass(frozen=True)
class Kernel:
    """A weight read as the matrix of Miyato et al. 2018: output channels × everything else.

    ``names`` are the names under which the norm is reported, and ``parameters`` the names of the
    weight in the network; a tied weight has several. ``row_dim`` is the dimension of the output
    channels: 1 for transposed convolutions, else 0. A weight of one dimension is a single row.

    If the parameter holds several kernels, ``row_range`` is the range of rows of this one: its
    first row, and the row after its last. :meth:`rows_of` selects them from tensors of the
    parameter's shape; all other methods take tensors of the kernel's own shape.
    """

    names: tuple[str, ...]
    parameters: tuple[str, ...]
    weight: Tensor
    row_dim: int = 0
    row_range: tuple[int, int] | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers that own the weight."""
        return tuple(name.rpartition(".")[0] for name in self.parameters)

    @property
    def rows(self) -> int:
        """The number of rows: output channels (of a group, for transposed convolutions)."""
        if self.row_range is not None:
            return self.row_range[1] - self.row_range[0]
        return self.weight.shape[self.row_dim] if self.weight.dim() > 1 else 1

    def rows_of(self, tensor: Tensor) -> Tensor:
        """The rows of the kernel, in its parameter or in a tensor of the parameter's shape."""
        return tensor if self.row_range is None else tensor[self.row_range[0] : self.row_range[1]]

    def matrix(self, tensor: Tensor) -> Tensor:
        """``(rows, columns)`` of the weight or of a tensor of its shape.

        The columns are in the weight's memory order, so that the result is a view of a contiguous
        and of a channels-last weight. The singular values do not depend on that order.
        """
        if tensor.dim() == 1:
            return tensor.unsqueeze(0)
        if self.row_dim == 0 and self.weight.is_contiguous():
            return tensor.flatten(1)
        return tensor.permute(self._memory_order()).flatten(1)

    def add_outer_(self, tensor: Tensor, u: Tensor, v: Tensor, *, alpha: float) -> None:
        """``tensor += alpha · u vᵀ`` in place, with ``v`` in the column order of :meth:`matrix`."""
        matrix = self.matrix(tensor)
        if matrix.data_ptr() == tensor.data_ptr():
            matrix.addr_(u, v, alpha=alpha)
            return
        order = self._memory_order()
        outer = torch.outer(u, v).view([tensor.shape[dim] for dim in order])
        tensor.permute(order).add_(outer, alpha=alpha)

    def _memory_order(self) -> list[int]:
        others = [dim for dim in range(self.weight.dim()) if dim != self.row_dim]
        return [self.row_dim, *sorted(others, key=lambda dim: -self.weight.stride(dim))]


def find_kernels(
    module: nn.Module, layers: LayerSelection | None = None, *, computed: bool = False
) -> list[Kernel]:
    """The kernels of the selected layers of ``module``, in module order. Tied weights occur once.

    Parameters
    ----------
    module
        The network.
    layers
        Names of layers, a type or types, or a predicate ``(name, layer) -> bool``; by default all
        of the ``LAYERS``.
    computed
        Whether weights that a parametrization computes are allowed; they are read as they are now.

    Raises
    ------
    ValueError
        If nothing is selected, a name is unknown, a selected layer has no matrix, a weight is
        computed by a parametrization, or the layers of a tied weight read it differently.
    """
    found: dict[int, list[Kernel]] = {}
    for name, layer in _select(module, layers):
        require(
            isinstance(layer, LAYERS),
            "layers",
            expected=f"{LAYER_NAMES} layers",
            got=f"{name!r}, a {type(layer).__name__}",
        )
        for matrices in matrix_parameters(layer):
            parameter = _joined(name, matrices.parameter)
            weight = _weight(parameter, layer, matrices.parameter, computed=computed)
            kernels = list(_kernels(name, parameter, weight, matrices))
            found[id(weight)] = _merged(found.get(id(weight), []), kernels)
    require(
        bool(found),
        "layers",
        expected=f"a selection with at least one {LAYER_NAMES}",
        got="none in this module",
    )
    return [kernel for kernels in found.values() for kernel in kernels]


def require_float(name: str, weight: Tensor) -> None:
    """Raise ``ValueError`` if a weight is neither float32 nor float64."""
    require(
        weight.dtype in (torch.float32, torch.float64),
        "module",
        expected="float32 or float64 weights (use autocast for lower precision)",
        got=f"{weight.dtype} in {name!r}",
    )


def _kernels(
    name: str, parameter: str, weight: Tensor, matrices: MatrixParameter
) -> Iterator[Kernel]:
    rows = len(weight) // len(matrices.labels)
    for index, label in enumerate(matrices.labels):
        row_range = None if len(matrices.labels) == 1 else (index * rows, (index + 1) * rows)
        yield Kernel((_joined(name, label),), (parameter,), weight, matrices.row_dim, row_range)


def _merged(earlier: list[Kernel], later: list[Kernel]) -> list[Kernel]:
    """The kernels of a tied weight, with the names from all of its layers."""
    if not earlier:
        return later
    is_same = all(
        (one.row_dim, one.row_range) == (other.row_dim, other.row_range)
        for one, other in zip(earlier, later, strict=False)
    )
    require(
        is_same and len(earlier) == len(later),
        "module",
        expected="tied layers that read their weight in the same way",
        got=f"{earlier[0].names[0]!r} and its transpose {later[0].names[0]!r}",
    )
    return [
        replace(one, names=one.names + other.names, parameters=one.parameters + other.parameters)
        for one, other in zip(earlier, later, strict=True)
    ]


def _joined(*parts: str) -> str:
    return ".".join(part for part in parts if part)


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


def _weight(name: str, layer: nn.Module, attribute: str, *, computed: bool) -> Tensor:
    is_computed = parametrize.is_parametrized(layer, attribute) or hasattr(
        layer, f"{attribute}_orig"
    )
    require(
        computed or not is_computed,
        "module",
        expected="plain weights (SpectralNorm.from_parametrized imports torch's normalization)",
        got=f"a parametrized weight {name!r}",
    )
    weight = getattr(layer, attribute)
    assert isinstance(weight, Tensor)
    require(
        not is_lazy(weight),
        "module",
        expected="initialized weights (call the module once first)",
        got=f"an uninitialized {name!r}",
    )
    require_float(name, weight)
    return weight
