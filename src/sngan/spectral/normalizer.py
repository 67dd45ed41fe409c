"""The weights under one SpectralNorm, and the optimizers that step them."""

# the quickest way to a layer's own parameters
# pyright: reportPrivateUsage=false

import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from sngan.distributed import dtensor
from sngan.spectral import optimizer_state
from sngan.spectral.full_precision import full_precision
from sngan.spectral.kernels import Kernel
from sngan.spectral.layer_tracking import LayerTracker
from sngan.spectral.optimizers import parameter_ids, require_followable, skipped
from sngan.spectral.weight_group import WeightGroup, WeightState
from sngan.utils.checks import require


class FollowedDefaults(dict[str, Any]):
    """The defaults of an optimizer that is followed, with its id: copies have those of another one.

    An entry would be an option that no optimizer takes, and part of each new parameter group.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        super().__init__(optimizer.defaults)
        self.owner = id(optimizer)


class Normalizer:
    """Groups of normalized weights; each optimizer's step changes the coordinates of its own.

    It lives as long as one of the layers, or an optimizer that it follows. It never holds a layer.
    """

    def __init__(self, module: nn.Module, groups: list[WeightGroup], iterations: int) -> None:
        self.groups = groups
        self.iterations = iterations
        names = [n for group in groups for norm in group.norms for n in norm.kernel.layers]
        self._layers = LayerTracker(module, names)
        self._followed: weakref.WeakKeyDictionary[Optimizer, list[RemovableHandle]]
        self._followed = weakref.WeakKeyDictionary()
        self.ids = {id(norm.kernel.weight) for group in groups for norm in group.norms}

    @property
    def is_followed(self) -> bool:
        """Whether an optimizer that was followed still exists."""
        return len(self._followed) > 0

    def kind_of(self, name: str) -> str:
        """The class of the layer that had this name; an empty text if it is gone."""
        layer = self._layers[name]
        return "" if layer is None else type(layer).__name__

    def follow(self, optimizer: Optimizer) -> None:
        """Let the state travel with the optimizer's; take the state that was loaded into it."""
        if optimizer in self._followed or self.ids.isdisjoint(parameter_ids(optimizer)):
            return
        require_followable(optimizer)
        for group in self.groups:
            group.coefficients.require_in_optimizer(group.norms, optimizer)
        self._followed[optimizer] = [
            optimizer.register_state_dict_post_hook(self._save),
            optimizer.register_load_state_dict_post_hook(self._load),
        ]
        optimizer.defaults = FollowedDefaults(optimizer)
        self._load(optimizer)

    def follows(self, optimizer: Optimizer) -> bool:
        """Whether the state travels with this optimizer's."""
        return optimizer in self._followed

    def leave(self) -> list[Optimizer]:
        """Undo :meth:`follow` for all optimizers, and return them."""
        left = list(self._followed)
        for optimizer, handles in self._followed.items():
            for group in self.groups:
                group.coefficients.remove_from_optimizer(optimizer)
            for handle in handles:
                handle.remove()
        self._followed.clear()
        return left

    @torch.no_grad()
    def to_raw(self, optimizer: Optimizer) -> None:
        """Change to raw coordinates for the weights that this optimizer steps."""
        stepping = parameter_ids(optimizer)
        for group in self.groups:
            with full_precision(group.device):
                group.to_raw(stepping, skipped(optimizer))

    @torch.no_grad()
    def to_normalized(self, flag: Tensor | None = None) -> None:
        """Normalize all weights that are raw; ``flag`` says whether the step was skipped."""
        for group in self.groups:
            with full_precision(group.device):
                group.to_normalized(self.iterations, flag)

    def require_own_weights(self, stepping: set[int] | None = None) -> None:
        """Raise ``RuntimeError`` if a layer, or its weight, is another one now.

        With ``stepping``, the ids of weights, only if these are among those of the layer.
        """
        self._layers.require_in_place(stepping)
        for group in self.groups:
            for norm in group.norms:
                if not dtensor.is_sharded(norm.kernel.weight):
                    self._require_own_weight(norm.kernel, stepping)

    def _require_own_weight(self, kernel: Kernel, stepping: set[int] | None) -> None:
        for name, parameter in zip(kernel.layers, kernel.parameters, strict=True):
            layer = self._layers[name]
            attribute = parameter.rpartition(".")[2]
            if layer is None or layer._parameters.get(attribute) is kernel.weight:
                continue
            ids = {id(kernel.weight), *map(id, layer.parameters())}
            if stepping is None or not stepping.isdisjoint(ids):
                raise RuntimeError(
                    f"module: expected the weight of {name!r} that SpectralNorm was made with, got "
                    "another Parameter (load_state_dict(assign=True), a new nn.Parameter, a "
                    "parametrization?); make the optimizer and SpectralNorm again, after that"
                )

    def load(self, saved: dict[str, WeightState]) -> None:
        """Restore the state of all weights, by one name of each.

        Raises
        ------
        ValueError
            If the state is of other layers or shapes.
        """
        names = [name for group in self.groups for name in group.names]
        require(set(saved) == set(names), "state", expected=f"layers {names}", got=list(saved))
        parts = [{i: saved[name] for i, name in enumerate(g.names)} for g in self.groups]
        for group, own in zip(self.groups, parts, strict=True):
            group.require_fitting(own)
        for group, own in zip(self.groups, parts, strict=True):
            group.load(own)

    @torch.no_grad()
    def _save(self, optimizer: Optimizer, state_dict: dict[str, Any]) -> None:
        held = parameter_ids(optimizer)
        parts: dict[int, optimizer_state.NormStates] = {}
        for group in self.groups:
            for index, (norm, (_, part)) in enumerate(zip(group.norms, group.state(), strict=True)):
                if id(norm.kernel.weight) in held:
                    own = {"coefficient": group.coefficients.requested(index), **part}
                    parts.setdefault(id(norm.kernel.weight), []).append(own)
        optimizer_state.store(optimizer, state_dict, parts)

    @torch.no_grad()
    def _load(self, optimizer: Optimizer) -> None:
        parts = optimizer_state.take(optimizer, self.ids)
        for group in self.groups:
            loaded: dict[int, dict[str, Any]] = {}
            for index, norm in enumerate(group.norms):
                if parts.get(id(norm.kernel.weight)):
                    loaded[index] = parts[id(norm.kernel.weight)].pop(0)
                    saved, requested = (
                        loaded[index]["coefficient"],
                        group.coefficients.requested(index),
                    )
                    expected = f"{saved!r} of the optimizer's state"
                    require(
                        saved == requested, "coefficient", expected=expected, got=repr(requested)
                    )
            group.load(loaded)
