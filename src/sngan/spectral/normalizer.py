"""Normalizer: the normalized weights of one SpectralNorm, and the optimizers that step them."""

# the quickest way to a layer's own parameters
# pyright: reportPrivateUsage=false

import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from sngan.distributed import dtensor
from sngan.spectral import optimizer_state
from sngan.spectral.full_precision import full_precision
from sngan.spectral.layer_tracking import LayerTracker
from sngan.spectral.optimizers import parameter_ids, require_followable, step_is_skipped
from sngan.spectral.torch_import import TorchNorm
from sngan.spectral.weight_group import WeightGroup, WeightState
from sngan.utils.checks import require
from sngan.utils.kernels import Kernel

_T = TypeVar("_T")


class FollowedDefaults(dict[str, Any]):
    """The defaults of a followed optimizer, with its id; a copied optimizer has another id.

    The id is an attribute, because entries of the dict are copied into each new parameter group.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        super().__init__(optimizer.defaults)
        self.owner = id(optimizer)


class Normalizer:
    """Groups of normalized weights; an optimizer's step changes the coordinates of those it holds.

    A layer or a followed optimizer keeps this object alive. This object keeps no layer alive.
    """

    def __init__(self, module: nn.Module, groups: list[WeightGroup], *, iterations: int) -> None:
        self.groups = groups
        self.iterations = iterations
        names = [name for kernel in self.kernels for name in kernel.layers]
        self._layers = LayerTracker(module, names)
        self._followed: weakref.WeakKeyDictionary[Optimizer, list[RemovableHandle]]
        self._followed = weakref.WeakKeyDictionary()
        self.ids = {id(kernel.weight) for kernel in self.kernels}

    @property
    def kernels(self) -> list[Kernel]:
        """The kernels of all groups."""
        return [norm.kernel for group in self.groups for norm in group.norms]

    @property
    def is_followed(self) -> bool:
        """Whether one of the followed optimizers still exists."""
        return len(self._followed) > 0

    def kind_of(self, name: str) -> str:
        """The class name of the layer that had this name; empty if the layer no longer exists."""
        layer = self._layers[name]
        return "" if layer is None else type(layer).__name__

    def by_name(self, values: Callable[[WeightGroup], Sequence[_T]]) -> dict[str, _T]:
        """``{layer name: value}``; ``values`` returns one value for each weight of a group."""
        return {
            name: value
            for group in self.groups
            for norm, value in zip(group.norms, values(group), strict=True)
            for name in norm.kernel.names
        }

    def follow(self, optimizer: Optimizer) -> None:
        """Add the state to the optimizer's state dict, and take a state that was loaded into it."""
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
        """Whether the state is part of this optimizer's state dict."""
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
        """Make the weights that this optimizer steps raw, with the gradients of raw weights."""
        stepped_ids = parameter_ids(optimizer)
        for group in self.groups:
            with full_precision(group.device):
                group.to_raw(stepped_ids, step_is_skipped(optimizer))

    @torch.no_grad()
    def to_normalized(self, skipped: Tensor | None = None) -> None:
        """Normalize all raw weights; the flag ``skipped`` says whether the step was skipped."""
        for group in self.groups:
            with full_precision(group.device):
                group.to_normalized(self.iterations, skipped)

    def start_from_torch(self, norms: Iterable[TorchNorm]) -> None:
        """Normalize the raw weights again, with the vectors and norms that torch had for them."""
        known = {norm.kernel.names[0]: norm for norm in norms}
        for group in self.groups:
            group.start_from_torch(known)

    def require_own_weights(self, stepped_ids: set[int] | None = None) -> None:
        """Raise ``RuntimeError`` if a layer or a weight was replaced by another one.

        ``stepped_ids`` are the ids of an optimizer's weights. If they are given, only layers with
        one of these weights count.
        """
        self._layers.require_in_place(stepped_ids)
        for kernel in self.kernels:
            if not dtensor.is_sharded(kernel.weight):
                self._require_own_weight(kernel, stepped_ids)

    def _require_own_weight(self, kernel: Kernel, stepped_ids: set[int] | None) -> None:
        for name, parameter in zip(kernel.layers, kernel.parameters, strict=True):
            layer = self._layers[name]
            attribute = parameter.rpartition(".")[2]
            if layer is None or layer._parameters.get(attribute) is kernel.weight:
                continue
            ids = {id(kernel.weight), *map(id, layer.parameters())}
            if stepped_ids is None or not stepped_ids.isdisjoint(ids):
                raise RuntimeError(
                    f"module: expected the weight of {name!r} that SpectralNorm was made with, got "
                    "another Parameter (load_state_dict(assign=True), a new nn.Parameter, a "
                    "parametrization?); make the optimizer and SpectralNorm again"
                )

    def state(self) -> dict[str, WeightState]:
        """The state of each weight, under the first of its names."""
        return {name: state for group in self.groups for name, state in group.state()}

    def load(self, saved: dict[str, WeightState]) -> None:
        """Restore :meth:`state`.

        Raises
        ------
        ValueError
            If the state belongs to other layers or shapes.
        """
        names = [name for group in self.groups for name in group.names]
        require(set(saved) == set(names), "state", expected=f"layers {names}", got=list(saved))
        states = [{i: saved[name] for i, name in enumerate(g.names)} for g in self.groups]
        for group, own in zip(self.groups, states, strict=True):
            group.require_fitting(own)
        for group, own in zip(self.groups, states, strict=True):
            group.load(own)

    @torch.no_grad()
    def _save(self, optimizer: Optimizer, state_dict: dict[str, Any]) -> None:
        """Add the states of the weights that an optimizer holds to its state dict."""
        held = parameter_ids(optimizer)
        states: dict[int, optimizer_state.NormStates] = {}
        for group in self.groups:
            norm_states = zip(group.norms, group.state(), strict=True)
            for index, (norm, (_, state)) in enumerate(norm_states):
                if id(norm.kernel.weight) in held:
                    own = {"coefficient": group.coefficients.requested(index), **state}
                    states.setdefault(id(norm.kernel.weight), []).append(own)
        optimizer_state.store(optimizer, state_dict, states)

    @torch.no_grad()
    def _load(self, optimizer: Optimizer) -> None:
        """Restore the states that were loaded into an optimizer."""
        states = optimizer_state.take(optimizer, self.ids)
        for group in self.groups:
            loaded: dict[int, dict[str, Any]] = {}
            for index, norm in enumerate(group.norms):
                if states.get(id(norm.kernel.weight)):
                    loaded[index] = states[id(norm.kernel.weight)].pop(0)
                    saved = loaded[index]["coefficient"]
                    own = group.coefficients.requested(index)
                    expected = f"{saved!r} of the optimizer's state"
                    require(saved == own, "coefficient", expected=expected, got=repr(own))
            group.load(loaded)
