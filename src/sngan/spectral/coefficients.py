"""Coefficients: the norms c of the normalized weights, which are fixed, maximal or learnable."""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, get_args

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from typing_extensions import override

from sngan.distributed import dtensor
from sngan.spectral.optimizers import parameter_ids
from sngan.spectral.tracked_norms.base import TrackedNorm
from sngan.utils.checks import require, require_number, require_one_of
from sngan.utils.kernels import Kernel

Bound = Literal["exact", "at_most"]
Coefficient = float | Literal["learnable"]
CoefficientSpec = Coefficient | Mapping[str, Coefficient]
LEARNABLE: Final = "learnable"
OTHER_LAYERS = "*"
# a learnable norm stays this far from 0, because at 0 the direction of its weight would be lost
_SMALLEST_GAMMA = 1e-20


def coefficient_of_each(
    given: CoefficientSpec, kernels: Sequence[Kernel], *, bound: Bound = "exact"
) -> list[Coefficient]:
    """The coefficient of each kernel, for this kind of bound.

    The keys of a mapping are names of layers or of single kernels. ``"*"`` stands for all other
    kernels; without it, their coefficient is 1.

    Parameters
    ----------
    given
        One coefficient for all kernels, or a mapping of names to coefficients.
    kernels
        The kernels.
    bound
        ``"exact"`` or ``"at_most"``.

    Raises
    ------
    ValueError
        If a key is not the name of a layer, a tied weight has two values, a value is neither a
        positive number nor ``"learnable"``, the bound is unknown, or it does not allow learnable
        values.
    """
    require_one_of(bound, "bound", choices=get_args(Bound))
    mapping: Mapping[str, Coefficient]
    mapping = given if isinstance(given, Mapping) else {OTHER_LAYERS: given}
    names = {name for kernel in kernels for name in (*kernel.names, *kernel.layers)}
    for name, value in mapping.items():
        require_one_of(name, "coefficient", choices=[*names, OTHER_LAYERS])
        _require_coefficient(value)
    coefficients: list[Coefficient] = [_coefficient_of(mapping, kernel) for kernel in kernels]
    fits = bound == "exact" or LEARNABLE not in coefficients
    expected = "'exact' for learnable coefficients"
    require(fits, "bound", expected=expected, got=repr(bound))
    return coefficients


def _coefficient_of(mapping: Mapping[str, Coefficient], kernel: Kernel) -> Coefficient:
    for names in (kernel.names, kernel.layers):
        found: list[Coefficient] = [mapping[name] for name in names if name in mapping]
        tied = " and ".join(map(repr, names))
        is_one = len(set(found)) < 2
        require(is_one, "coefficient", expected=f"one for the tied {tied}", got=found)
        if found:
            return found[0]
    return mapping.get(OTHER_LAYERS, 1.0)


def _require_coefficient(value: object) -> None:
    if isinstance(value, int | float):
        require_number(value, "coefficient", above=0.0)
    else:
        expected = f"a number above 0 or {LEARNABLE!r}"
        require(value == LEARNABLE, "coefficient", expected=expected, got=repr(value))


def require_learnable(
    kernels: Sequence[Kernel], coefficients: Sequence[Coefficient], optimizers: Iterable[Optimizer]
) -> None:
    """Raise ``ValueError`` if a weight with a learnable coefficient is sharded or moved by Muon.

    Parameters
    ----------
    kernels
        The kernels that are normalized.
    coefficients
        The coefficient of each kernel.
    optimizers
        The optimizers that step the weights.
    """
    learned = [k for k, c in zip(kernels, coefficients, strict=True) if c == LEARNABLE]
    is_sharded = any(dtensor.is_sharded(kernel.weight) for kernel in learned)
    expected = "numbers for sharded weights"
    require(not is_sharded, "coefficient", expected=expected, got=repr(LEARNABLE))
    weights = {id(kernel.weight) for kernel in learned}
    # only torch 2.9 and newer have Muon
    muon: Any = getattr(torch.optim, "Muon", ())
    is_muon = any(
        isinstance(one, muon) and not weights.isdisjoint(parameter_ids(one)) for one in optimizers
    )
    expected = "numbers for weights that Muon moves, because Muon takes matrices only"
    require(not is_muon, "coefficient", expected=expected, got=repr(LEARNABLE))


class Coefficients:
    """Fixed norms c, one for each weight: ``W̄ = W/s`` with the divisor ``s = σ/c``."""

    gammas: Sequence[nn.Parameter] = ()
    is_at_most = False

    def __init__(self, values: Sequence[float | Tensor]) -> None:
        self.values = values

    def initial_scale(self, index: int, sigma: float) -> float:
        """Return ``scale`` = σ/c at the start; 1 if σ is zero."""
        return sigma / float(self.values[index]) or 1.0

    def requested(self, index: int) -> Coefficient:
        """The coefficient that the user chose for a weight."""
        return float(self.values[index])

    def factors(self) -> list[float]:
        """1/c of each weight if c is fixed, else 1."""
        return [1 / float(value) for value in self.values]

    def divide_by_coefficients_(self, sigmas: Sequence[Tensor], indices: Iterable[int]) -> None:
        """Divide norms by learnable c, in place; the caller has applied :meth:`factors`."""

    def divisors(self, scale: Tensor) -> Tensor:
        """Return s of ``W̄ = W/s`` for ``scale`` = σ/c."""
        return scale

    def shares(self, scale: Tensor) -> tuple[Tensor, ...] | None:
        """Return 1 for weights whose divisor depends on their scale, else 0; ``None`` if all do."""

    def compute_gradients_(
        self,
        norms: Sequence[TrackedNorm],
        gradients: Mapping[int, Tensor],
        *,
        stepped_ids: Container[int],
    ) -> None:
        """Set the gradients of learnable coefficients, from those of the normalized weights.

        Parameters
        ----------
        norms
            The norm of each weight.
        gradients
            The gradient of each normalized weight that has one, by the index of the weight.
        stepped_ids
            The ids of all parameters of the optimizer.
        """

    def state(self, index: int) -> dict[str, Tensor]:  # noqa: ARG002
        """The part of a weight's coefficient that must be saved: γ, if it is learnable."""
        return {}

    def load(self, index: int, state: Mapping[str, Tensor]) -> None:
        """Restore :meth:`state`."""

    def to(self, like: Tensor) -> None:
        """Move learnable coefficients to the device and dtype of this tensor."""

    def add_to_optimizer(self, norms: Sequence[TrackedNorm], optimizer: Optimizer) -> None:
        """Add the learnable coefficients of an optimizer's weights to it, with default options."""

    def require_in_optimizer(self, norms: Sequence[TrackedNorm], optimizer: Optimizer) -> None:
        """Raise ``RuntimeError`` if an optimizer has weights without their learnable norms."""

    def remove_from_optimizer(self, optimizer: Optimizer) -> None:
        """Undo :meth:`add_to_optimizer`."""

    def for_display(self) -> Sequence[float | Tensor]:
        """The coefficients; learnable ones as the optimizer's parameters."""
        return self.gammas or self.values


class AtMostCoefficients(Coefficients):
    """Norms of at most c: ``s = max(1, σ/c)``, so that smaller weights stay as they are."""

    is_at_most = True

    @override
    def divisors(self, scale: Tensor) -> Tensor:
        return scale.clamp_min(1.0)

    @override
    def shares(self, scale: Tensor) -> tuple[Tensor, ...]:
        return (scale > 1.0).to(scale.dtype).unbind()


class LearnableCoefficients(Coefficients):
    """Norms γ that an optimizer moves with the weights: ``W̄ = γW/σ``, ``∂L/∂γ = ⟨g, W̄⟩/γ``.

    γ starts at σ, so that the weights stay as they are. Source: Zhai et al. 2023, arXiv:2303.06296
    (σReparam).
    """

    def __init__(self, gammas: Sequence[nn.Parameter]) -> None:
        self.gammas = gammas
        self.values: list[Tensor] = [gamma.detach() for gamma in gammas]

    @override
    def to(self, like: Tensor) -> None:
        for gamma in self.gammas:
            gamma.data = gamma.data.to(like)
        self.values = [gamma.detach() for gamma in self.gammas]

    @override
    def initial_scale(self, index: int, sigma: float) -> float:
        self.values[index].fill_(sigma or 1.0)
        return 1.0

    @override
    def add_to_optimizer(self, norms: Sequence[TrackedNorm], optimizer: Optimizer) -> None:
        held, pairs = parameter_ids(optimizer), zip(norms, self.gammas, strict=True)
        gammas = [gamma for norm, gamma in pairs if id(norm.kernel.weight) in held]
        if gammas:
            optimizer.add_param_group({"params": gammas})

    @override
    def require_in_optimizer(self, norms: Sequence[TrackedNorm], optimizer: Optimizer) -> None:
        held = parameter_ids(optimizer)
        for norm, gamma in zip(norms, self.gammas, strict=True):
            if id(norm.kernel.weight) in held and id(gamma) not in held:
                raise RuntimeError(
                    "optimizer: expected the one that SpectralNorm gave its learnable coefficients "
                    "to, got another one for the same weights; make SpectralNorm again for it"
                )

    @override
    def remove_from_optimizer(self, optimizer: Optimizer) -> None:
        own = set(map(id, self.gammas))
        groups = optimizer.param_groups
        groups[:] = [group for group in groups if not own.issuperset(map(id, group["params"]))]
        for gamma in self.gammas:
            optimizer.state.pop(gamma, None)

    @override
    def requested(self, index: int) -> Coefficient:
        return LEARNABLE

    @override
    def factors(self) -> list[float]:
        return [1.0] * len(self.gammas)

    @override
    def divide_by_coefficients_(self, sigmas: Sequence[Tensor], indices: Iterable[int]) -> None:
        for sigma, index in zip(sigmas, indices, strict=True):
            gamma = self.values[index]
            smallest = torch.where(gamma < 0, -_SMALLEST_GAMMA, _SMALLEST_GAMMA)
            gamma.copy_(torch.where(gamma.abs() < _SMALLEST_GAMMA, smallest, gamma))
            sigma.div_(gamma)

    @override
    def compute_gradients_(
        self,
        norms: Sequence[TrackedNorm],
        gradients: Mapping[int, Tensor],
        *,
        stepped_ids: Container[int],
    ) -> None:
        for index, gamma in enumerate(self.gammas):
            if id(gamma) in stepped_ids:
                gradient = gradients.get(index)
                radial = None if gradient is None else norms[index].radial(gradient)
                gamma.grad = None if radial is None else radial / gamma

    @override
    def state(self, index: int) -> dict[str, Tensor]:
        return {"gamma": self.values[index].clone()}

    @override
    def load(self, index: int, state: Mapping[str, Tensor]) -> None:
        self.values[index].copy_(state["gamma"])


def make_coefficients(given: Sequence[Coefficient], *, bound: Bound, like: Tensor) -> Coefficients:
    """Return coefficients on the device and in the dtype of ``like``; all or none are learnable."""
    if LEARNABLE in given:
        return LearnableCoefficients([nn.Parameter(like.new_ones(())) for _ in given])
    numbers = [float(coefficient) for coefficient in given]
    return AtMostCoefficients(numbers) if bound == "at_most" else Coefficients(numbers)
