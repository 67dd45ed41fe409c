"""Spectral normalization as a change of coordinates around the optimizer's step."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sngan.distributed import dtensor
from sngan.spectral.certification import certify_groups
from sngan.spectral.coefficients import Bound, Coefficient, CoefficientSpec, coefficient_of_each
from sngan.spectral.description import describe, warn_of_not_covered
from sngan.spectral.kernels import Kernel, LayerSelection, find_kernels
from sngan.spectral.operator.input_shapes import require_kind
from sngan.spectral.ownership import release
from sngan.spectral.setup import Options, set_up
from sngan.spectral.torch_import import find_torch_norms, strip_torch_norms
from sngan.spectral.weight_group import WeightGroup
from sngan.utils.checks import require

_T = TypeVar("_T")


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
        The norm c > 0 that the weights are kept at; or a mapping of layer names to such numbers,
        with ``"*"`` for all other layers (1 without it). ``"learnable"``: c is a parameter γ of
        each matrix, which starts at its present σ, so that a network computes what it did, and
        which the optimizer moves with :math:`\partial L/\partial\gamma = \langle g, \bar W\rangle
        /\gamma` (σReparam). γ is in a new parameter group of the optimizer, not in the network:
        make learning rate schedules after this, and save the optimizer or this object too.
    iterations
        Power iterations after each step.
    input_shape
        For ``kind="operator"``: the shape of one input of ``module``, such as ``(3, 32, 32)``.
    layers
        Which layers: names, a type or types, or a predicate ``(name, layer) -> bool``; by default
        every Linear, Conv1d/2d/3d, ConvTranspose1d/2d/3d, Embedding, EmbeddingBag, Bilinear,
        MultiheadAttention, LSTM, GRU, RNN and their cells, and one warning lists the parameters of
        two or more dimensions that these leave out. Frozen ones are normalized once and then left;
        a tied weight has one norm. Queries, keys and values of each head, and each gate, are
        matrices of their own (``"attention.key.0"``, ``"lstm.weight_hh_l0.forget"``), since they
        are multiplied with one another. Bilinear is the map of :math:`x \otimes y`: σ bounds
        :math:`\|B(x, y)\|/\|x\|\|y\|`.
    strict
        Divide by a guaranteed upper bound of σ, by Gram iteration in float64, instead of the
        estimate that power iteration makes from below. Several times the cost of a critic step on
        a CPU; ``iterations`` is then not used.
    bound
        ``"exact"``: norms of c. ``"at_most"``: :math:`\bar W = W/\max(1, \sigma/c)`, so that a
        weight below c is left as it is (SNGP, invertible networks, reinforcement learning).

    Raises
    ------
    ValueError
        Nothing to normalize, a weight that is not finite, on the meta device, uninitialized or of
        a sparse embedding, one outside the optimizer, one that another SpectralNorm holds, a
        coefficient for a layer that is not there, an optimizer that evaluates the loss several
        times a step (LBFGS), an input shape that is missing or does not fit.
    RuntimeError
        In ``optimizer.step(closure)``, when the optimizer calls its closure more than once; in the
        step of a new optimizer for weights with learnable norms.

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
    2018, arXiv:1802.05957. Delattre et al. 2023, arXiv:2305.16173 (``strict``). Zhai et al. 2023,
    arXiv:2303.06296 (learnable norms). Liu et al. 2020, arXiv:2006.10108 (``at_most`` in SNGP).
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: Optimizer | Sequence[Optimizer],
        *,
        kind: str = "matrix",
        coefficient: CoefficientSpec = 1.0,
        iterations: int = 1,
        input_shape: tuple[int, ...] | None = None,
        layers: LayerSelection | None = None,
        strict: bool = False,
        bound: Bound = "exact",
    ) -> None:
        require_kind(kind, input_shape)
        kernels = find_kernels(module, layers)
        options = Options(coefficient, iterations, input_shape, strict, bound)
        self._adopt(module, optimizer, kernels, options)
        if layers is None:
            warn_of_not_covered(module, kernels)

    def _adopt(
        self,
        module: nn.Module,
        optimizer: Optimizer | Sequence[Optimizer],
        kernels: list[Kernel],
        options: Options,
    ) -> None:
        self._normalizer, self._shapes = set_up(module, optimizer, kernels, options)
        self._groups = self._normalizer.groups
        self._module = weakref.ref(module)
        self.kind = "matrix" if self._shapes is None else "operator"
        self.iterations = options.iterations
        given = options.coefficient
        self.coefficient: CoefficientSpec = dict(given) if isinstance(given, Mapping) else given

    @classmethod
    def from_parametrized(
        cls,
        module: nn.Module,
        optimizer: Optimizer | Sequence[Optimizer],
        *,
        coefficient: float | Mapping[str, float] = 1.0,
        iterations: int = 1,
    ) -> "SpectralNorm":
        """Take over a network that carries torch's spectral norm, hook or parametrization.

        The layers become plain, their raw weights (the same ``Parameter`` objects, with their
        optimizer state) become the normalized ones, and the power iteration goes on from torch's
        ``u``. With ``coefficient=1`` the network computes what it computed in eval mode.
        """
        norms = find_torch_norms(module)
        kernels = [norm.kernel for norm in norms]
        sn = cls.__new__(cls)
        sn._adopt(module, optimizer, kernels, Options(coefficient, iterations))
        strip_torch_norms(module, norms)
        known = {norm.kernel.names[0]: norm for norm in norms}
        for group in sn._groups:
            group.start_from_torch(known)
        return sn

    @torch.no_grad()
    def sigmas(self) -> dict[str, Tensor]:
        """``{layer name: σ of the raw weight}``: scalars on the layer's device, no waiting.

        Of a weight that was written from outside since the last step, σ of what was written.
        """
        self._normalizer.require_own_weights()
        return self._by_name(lambda group: group.sigmas())

    def coefficients(self) -> dict[str, float | Tensor]:
        """``{layer name: c}``: numbers, or the optimizer's parameters of learnable ones."""
        return self._by_name(lambda group: group.coefficients.for_display())

    @torch.no_grad()
    def singular_values(self) -> dict[str, Tensor]:
        """``{layer name: singular values of the normalized weight}``, largest first."""
        self._normalizer.require_own_weights()
        return self._by_name(lambda group: [_singular_values(norm.kernel) for norm in group.norms])

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
            self._coefficients_of(state["coefficient"]) == self._coefficients_of(self.coefficient),
            "state",
            expected=f"coefficient {self.coefficient}",
            got=state["coefficient"],
        )
        self._normalizer.load(state["layers"])

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
        expected = "'operator' for a certificate"
        require(self._shapes is not None, "kind", expected=expected, got="'matrix'")
        self._normalizer.require_own_weights()
        module = self._module()
        assert module is not None
        assert self._shapes is not None
        return certify_groups(module, self._groups, self._shapes)

    def remove(self) -> None:
        """Detach from the optimizer; the module keeps its normalized weights as plain ones."""
        release(self._normalizer)

    def __repr__(self) -> str:
        """Each layer with its kind, c and σ, and what is not covered. It waits for the device."""
        return describe(self._module(), self._normalizer, self.kind)

    def _by_name(self, values: Callable[[WeightGroup], Sequence[_T]]) -> dict[str, _T]:
        """One value of each weight, by the names of its layers."""
        return {
            name: value
            for group in self._groups
            for norm, value in zip(group.norms, values(group), strict=True)
            for name in norm.kernel.names
        }

    def _coefficients_of(self, given: CoefficientSpec) -> list[Coefficient]:
        kernels = [norm.kernel for group in self._groups for norm in group.norms]
        return coefficient_of_each(given, kernels)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "SpectralNorm is tied to its optimizer's hooks: copy the module and the optimizer, "
            "make a new SpectralNorm of them and load this one's state_dict()"
        )


def _singular_values(kernel: Kernel) -> Tensor:
    return torch.linalg.svdvals(kernel.matrix(kernel.rows_of(dtensor.full_tensor(kernel.weight))))
