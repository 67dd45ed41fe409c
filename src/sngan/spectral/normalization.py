"""Spectral normalization as a change of coordinates around the optimizer's step."""

import weakref
from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sngan import _shards as shards
from sngan._checks import require, require_count, require_number, require_one_of
from sngan.spectral.assembly import make_groups, make_norms
from sngan.spectral.certification import certify_group
from sngan.spectral.constraint import Constraint
from sngan.spectral.kernels import LayerSelection, find_kernels
from sngan.spectral.optimizers import base_optimizers
from sngan.spectral.ownership import claim, release, require_free
from sngan.spectral.shapes import input_shapes
from sngan.spectral.stepping import follow
from sngan.spectral.torch_import import strip_torch_spectral_norm


class SpectralNorm:
    r"""Keeps the spectral norm of a network's weights at ``coefficient``, once per update.

    The parameters of ``module`` hold the normalized weights :math:`\bar W = c\,W/\sigma(W)` at all
    times, so every forward and backward pass, ``torch.compile``, DDP, ``deepcopy`` and
    ``state_dict`` see an ordinary network. Around each ``optimizer.step()`` two hooks change
    coordinates: before it, ``.grad`` becomes the gradient of the raw weight,

    .. math:: \partial L/\partial W = \bigl(g - \tfrac{\langle g, \bar W\rangle}{c}\, u v^\top\bigr)
              \big/ s, \qquad g = \partial L/\partial\bar W,\; s = \sigma/c,

    and the weight becomes :math:`W = s\bar W`; after it, ``iterations`` power iterations
    (:math:`u \leftarrow Wv/\|Wv\|`, :math:`v \leftarrow W^\top u/\|W^\top u\|`,
    :math:`\sigma = \|W^\top u\|`, warm-started) normalize again. Per layer only ``s`` and ``u``
    are kept. At the start σ is converged. Nothing in the hooks waits for the device.

    Weight decay therefore acts on the raw weight, and gradients clipped before the step are those
    of the normalized weight. Gradients are mapped in place: zero them before the next backward.
    A layer whose σ is zero stays zero.

    ``s`` and ``u`` travel in ``optimizer.state_dict()``: save the network and the optimizer, and
    load both in any order, before this is made or after. A weight that is then written from outside
    is a new raw weight, which the next step normalizes exactly, unless it is the old one written
    back. torch does not count writes through ``weight.data``: after one, σ takes some steps.

    Each torch optimizer that steps the weights is followed, a later one too, and a step that raises
    leaves normalized weights. A copied optimizer (``deepcopy``, ``pickle``) and a network with new
    ``Parameter`` objects (``load_state_dict(assign=True)``, pruning) raise an error in their next
    step: they need a SpectralNorm of their own.

    The network may be sharded (``torch.distributed.fsdp.fully_shard``, then the optimizer, then
    this). Each rank then follows its own rows, and ``columns + 1`` numbers a weight are summed over
    the ranks before a step and for each iteration after it; what cannot be followed by rows is
    gathered (``strict``, convolutions of several groups, transposed ones for ``"matrix"``). σ and
    the state are those of whole weights, for any number of ranks; ``state_dict``,
    ``load_state_dict`` (also the optimizer's), ``singular_values`` and ``certify`` are then
    collective. Replicas start alike whatever their seeds, before or after DDP wraps the network.

    Parameters
    ----------
    module, optimizer
        The network, and the optimizer that holds all of its trainable selected weights, or several
        that do together. Of a wrapper (Accelerate, Fabric, Lookahead, sharpness-aware minimization)
        the optimizer inside is followed, so that the wrapper acts on normalized weights. Not
        possible: LBFGS, schedule-free optimizers.
    kind
        ``"matrix"``: σ of the kernel as an ``(out_channels, in_channels·kh·kw)`` matrix. It is not
        the Lipschitz constant of a convolution. ``"operator"``: σ of the layer as a linear map,
        with its stride, padding, dilation, groups and input size; ``∂σ/∂W`` is then the weight
        gradient of the convolution at input v, output gradient u. It is followed on a torus of
        at most 16 places a side, times what that may miss (4 % for a 3×3 kernel).
    coefficient
        The norm c > 0 that the weights are kept at.
    iterations
        Power iterations after each step.
    input_shape
        For ``kind="operator"``: the shape of one input of ``module``, such as ``(3, 32, 32)``.
    layers
        Which layers: names, a type or types, or a predicate ``(name, layer) -> bool``; by default
        every Linear, Conv1d/2d/3d, ConvTranspose1d/2d/3d and Embedding. Frozen ones are normalized
        once and then left; a tied weight has one norm.
    strict
        Divide by a guaranteed upper bound of σ, by Gram iteration in float64, instead of the
        estimate that power iteration makes from below. Several times the cost of a critic step on
        a CPU; ``iterations`` is then not used.

    Raises
    ------
    ValueError
        Nothing to normalize, a weight outside the optimizer, a weight that another SpectralNorm
        holds, an optimizer that evaluates the loss several times a step (LBFGS), an input shape
        that is missing or does not fit.
    RuntimeError
        In ``optimizer.step(closure)``, when the optimizer calls its closure more than once.

    Examples
    --------
    >>> critic = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 1))
    >>> optimizer = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.0, 0.9))
    >>> sn = SpectralNorm(critic, optimizer)
    >>> critic(torch.randn(8, 2)).mean().backward()
    >>> optimizer.step()

    References
    ----------
    Miyato, Kataoka, Koyama, Yoshida: Spectral Normalization for Generative Adversarial Networks,
    2018, arXiv:1802.05957. Delattre et al. 2023, arXiv:2305.16173 (``strict``).
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: Optimizer | Sequence[Optimizer],
        *,
        kind: str = "matrix",
        coefficient: float = 1.0,
        iterations: int = 1,
        input_shape: tuple[int, ...] | None = None,
        layers: LayerSelection | None = None,
        strict: bool = False,
    ) -> None:
        require_one_of(kind, "kind", choices=["matrix", "operator"])
        require_number(coefficient, "coefficient", above=0.0)
        require_count(iterations, "iterations")
        require(
            (input_shape is None) == (kind == "matrix"),
            "input_shape",
            expected="None for 'matrix'" if kind == "matrix" else "one such as (3, 32, 32)",
            got=input_shape,
        )
        optimizers = base_optimizers(optimizer)
        kernels = find_kernels(module, layers)
        require_free(kernels, optimizers)
        self.kind = kind
        self.coefficient = coefficient
        self.iterations = iterations
        self._module = weakref.ref(module)
        own = {name: module.get_submodule(name) for kernel in kernels for name in kernel.names}
        self._shapes = None if input_shape is None else input_shapes(module, input_shape, list(own))
        norms = make_norms(module, kernels, self._shapes, strict=strict)
        self._groups = make_groups(norms, coefficient)
        self._constraint = Constraint(self._groups, own, iterations)
        claim(self._constraint, own.values())
        for one in optimizers:
            follow(self._constraint, one)

    @classmethod
    def from_parametrized(
        cls,
        module: nn.Module,
        optimizer: Optimizer | Sequence[Optimizer],
        *,
        coefficient: float = 1.0,
        iterations: int = 1,
    ) -> "SpectralNorm":
        """Take over a network that carries torch's spectral norm, hook or parametrization.

        The layers become plain, their raw weights (the same ``Parameter`` objects, with their
        optimizer state) become the normalized ones, and the power iteration goes on from torch's
        ``u``. With ``coefficient=1`` the network computes what it computed in eval mode.
        """
        norms = strip_torch_spectral_norm(module)
        sn = cls(
            module,
            optimizer,
            coefficient=coefficient,
            iterations=iterations,
            layers=list(norms),
        )
        for group in sn._groups:
            group.restart(norms)
        return sn

    @torch.no_grad()
    def sigmas(self) -> dict[str, Tensor]:
        """``{layer name: σ of the raw weight}``: scalars on the layer's device, no waiting.

        Of a weight that was written from outside since the last step, σ of what was written.
        """
        self._constraint.require_own_weights()
        return {
            name: sigma
            for group in self._groups
            for norm, sigma in zip(group.norms, group.sigmas(), strict=True)
            for name in norm.kernel.names
        }

    @torch.no_grad()
    def singular_values(self) -> dict[str, Tensor]:
        """``{layer name: singular values of the normalized weight}``, largest first."""
        self._constraint.require_own_weights()
        return {
            name: torch.linalg.svdvals(norm.kernel.matrix(shards.whole(norm.kernel.weight)))
            for group in self._groups
            for norm in group.norms
            for name in norm.kernel.names
        }

    def state_dict(self) -> dict[str, Any]:
        """The state beside the module's own: for each layer ``scale`` (σ/c) and ``u``."""
        return {
            "coefficient": self.coefficient,
            "layers": {name: part for group in self._groups for name, part in group.state()},
        }

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`; load the module's own state dict as well.

        Raises
        ------
        ValueError
            The state is of other layers, other shapes or another coefficient.
        """
        require(
            state["coefficient"] == self.coefficient,
            "state",
            expected=f"coefficient {self.coefficient}",
            got=state["coefficient"],
        )
        saved = state["layers"]
        names = [name for group in self._groups for name in group.names]
        require(set(saved) == set(names), "state", expected=f"layers {names}", got=list(saved))
        parts = [{i: saved[name] for i, name in enumerate(g.names)} for g in self._groups]
        for group, own in zip(self._groups, parts, strict=True):
            group.require_fitting(own)
        for group, own in zip(self._groups, parts, strict=True):
            group.load(own)

    @torch.no_grad()
    def certify(self) -> dict[str, float]:
        """Rescale each layer by its proved norm, so that it is proved to be at most c.

        Training follows σ from below; at its end this turns the estimate into a certificate. The
        raw weights stay what they were, so training can go on.

        Returns
        -------
        dict
            ``{layer name: proved upper bound of its operator norm}``, each at most c.

        Raises
        ------
        ValueError
            ``kind="matrix"``, which does not bound convolutions as maps.
        """
        require(
            self._shapes is not None,
            "kind",
            expected="'operator' for a certificate",
            got="'matrix'",
        )
        self._constraint.require_own_weights()
        module = self._module()
        assert module is not None
        assert self._shapes is not None
        bounds: dict[str, float] = {}
        for group in self._groups:
            bounds |= certify_group(module, group, self._shapes)
        return bounds

    def remove(self) -> None:
        """Detach from the optimizer; the module keeps its normalized weights as plain ones."""
        release(self._constraint)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "SpectralNorm is tied to its optimizer's hooks: copy the module and the optimizer, "
            "make a new SpectralNorm of them and load this one's state_dict()"
        )
