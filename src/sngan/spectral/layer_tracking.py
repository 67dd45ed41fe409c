"""Layer tracking: notices when other layers take the places of normalized ones in the network."""

# the quickest way to a layer by its name
# pyright: reportPrivateUsage=false

import weakref
from collections.abc import Iterable

from torch import nn


class LayerTracker:
    """The layers that had these names in a network at first, by weak references."""

    def __init__(self, module: nn.Module, names: Iterable[str]) -> None:
        self._module = weakref.ref(module)
        self._layers = {name: weakref.ref(module.get_submodule(name)) for name in names}
        self._paths = {name: name.split(".") if name else [] for name in self._layers}

    def __getitem__(self, name: str) -> nn.Module | None:
        """The layer that had this name at first; ``None`` if it no longer exists."""
        return self._layers[name]()

    def require_in_place(self, stepped_ids: set[int] | None = None) -> None:
        """Raise ``RuntimeError`` if another layer with a matrix has taken the place of a layer.

        ``stepped_ids`` are the ids of an optimizer's weights. If they are given, a new layer counts
        only if it or the old layer has one of these weights. A layer may move inside the network,
        and it may be put into a wrapper.
        """
        module = self._module()
        if module is None:
            return
        for name in self._layers:
            found, layer = self._find(module, name), self[name]
            if found is layer or found is None or any(one is layer for one in module.modules()):
                continue
            own = [] if layer is None else list(layer.parameters())
            ids = set(map(id, [*own, *found.parameters()]))
            has_matrix = any(parameter.dim() > 1 for parameter in found.parameters())
            if has_matrix and (stepped_ids is None or not stepped_ids.isdisjoint(ids)):
                raise RuntimeError(
                    f"module: expected the layer {name!r} that SpectralNorm was made with, got "
                    f"another {type(found).__name__} in its place; call remove(), then make the "
                    "optimizer and SpectralNorm again"
                )

    def _find(self, module: nn.Module, name: str) -> nn.Module | None:
        found: nn.Module | None = module
        for part in self._paths[name]:
            found = None if found is None else found._modules.get(part)
        return found
