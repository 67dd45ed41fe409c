"""Spectral normalization: the class that keeps the norms of a network's weights fixed."""

import weakref
from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from sngan.spectral.certification import certify_groups
from sngan.spectral.coefficients import Bound, CoefficientSpec, coefficient_of_each
from sngan.spectral.description import describe, warn_of_not_covered
from sngan.spectral.full_weight import singular_values
from sngan.spectral.optimizers import Optimizers
from sngan.spectral.ownership import release
from sngan.spectral.setup import Options, require_kind, set_up
from sngan.spectral.torch_import import find_torch_norms, strip_torch_norms
from sngan.utils.checks import require
from sngan.utils.kernels import Kernel, LayerSelection, find_kernels


class SpectralNorm:
    r"""Keep the spectral norm of each weight of a network at ``coefficient``.

    The parameters of ``module`` hold the normalized weights :math:`\bar W = c\,W/\sigma(W)` at all
    times, so every forward and backward pass, ``torch.compile``, DDP, ``deepcopy`` and
    ``state_dict`` see an ordinary network. Two hooks around each ``optimizer.step()`` change the
    coordinates, once per update. Before the step, ``.grad`` becomes the gradient of the raw weight,

    .. math:: \partial L/\partial W = \bigl(g - \tfrac{\langle g, \bar W\rangle}{c}\, u v^\top\bigr)
              \big/ s, \qquad g = \partial L/\partial\bar W,\; s = \sigma/c,

    and the weight becomes :math:`W = s\bar W`. After the step, ``iterations`` power iterations
    (:math:`u \leftarrow Wv/\|Wv\|`, :math:`v \leftarrow W^\top u/\|W^\top u\|`,
    :math:`\sigma = \|W^\top u\|`, from the last u) give the new σ, and the weight is normalized
    again. Only ``s`` and ``u`` are stored. At the start, σ is computed until it converges. No hook
    waits for the device.

    - Weight decay acts on the raw weight. Gradient clipping before the step acts on the gradient of
      the normalized weight. The step changes ``.grad`` in place, so call ``zero_grad()`` before the
      next backward pass.
    - A layer whose σ is zero stays zero.
    - ``s`` and ``u`` travel in ``optimizer.state_dict()``. Save the network and the optimizer, and
      load both in any order, before this object is made or after. A weight that is then written
      from outside counts as a new raw weight, and the next step normalizes it exactly. If the old
      weight is written back, it counts as normalized. torch does not count writes through
      ``weight.data``: after such a write, σ needs some steps to follow.
    - Every torch optimizer that steps the weights is followed, also one that is made later. A step
      that raises an error leaves normalized weights. After ``deepcopy`` or ``pickle`` of the
      optimizer, and after new ``Parameter`` objects in the network (``load_state_dict`` with
      ``assign=True``, pruning), the next step raises an error: make a new SpectralNorm for them.
    - The network may be sharded by FSDP: call ``fully_shard``, make the optimizer, then this
      object. σ and the saved state are those of the full weights, for any number of ranks. All
      ranks must call ``state_dict``, ``load_state_dict`` (also the optimizer's),
      ``singular_values`` and ``certify``. ``sharded_group.py`` says how much is sent.
    - DDP may wrap the network before or after this. The replicas start equal, also if the ranks
      have different seeds.

    Parameters
    ----------
    module
        The network.
    optimizer
        The optimizer that holds all selected trainable weights, or several that hold them together.
        If it is a wrapper (Accelerate, Fabric, Lookahead, sharpness-aware minimization), the
        optimizer inside is followed, so that the wrapper acts on normalized weights. LBFGS and
        schedule-free optimizers are refused.
    kind
        ``"matrix"``: σ of the kernel as an ``(out_channels, in_channels·kh·kw)`` matrix. It is not
        the Lipschitz constant of a convolution. ``"operator"``: σ of the layer as a linear map,
        with its stride, padding, dilation, groups and input size; ``∂σ/∂W`` is then the weight
        gradient of the convolution at input v and output gradient u. This σ is tracked on a torus
        of at most 16 places a side, times a factor for the part of the norm that the torus may miss
        (4 % for a 3×3 kernel).
    coefficient
        The norm c > 0 of the normalized weights; or a mapping of layer names to such numbers, with
        ``"*"`` for all other layers (1 without it). ``"learnable"``: c is a parameter γ of
        each matrix. It starts at the present σ, which changes no output of the network, and the
        optimizer moves it with :math:`\partial L/\partial\gamma = \langle g, \bar W\rangle/\gamma`
        (σReparam). γ is in a new parameter group of the optimizer, not in the network: make
        learning rate schedules after this object, and save the optimizer or this object too.
    iterations
        The number of power iterations after each step.
    input_shape
        For ``kind="operator"``: the shape of one input of ``module``, such as ``(3, 32, 32)``.
    layers
        The layers to normalize: names, a type or types, or a predicate ``(name, layer) -> bool``.
        By default: every Linear, Conv1d/2d/3d, ConvTranspose1d/2d/3d, Embedding, EmbeddingBag,
        Bilinear, MultiheadAttention, LSTM, GRU, RNN and their cells; one warning lists the other
        parameters of two or more dimensions. Frozen weights are normalized once. A tied weight has
        one norm. Queries, keys and values of each head, and each gate, are matrices of their own
        (``"attention.key.0"``, ``"lstm.weight_hh_l0.forget"``), since they are multiplied with one
        another. Bilinear is the map of :math:`x \otimes y`: σ bounds
        :math:`\|B(x, y)\|/\|x\|\|y\|`.
    strict
        Whether to divide by a proved upper bound of σ (Gram iteration in float64) instead of the
        estimate that power iteration makes from below. It costs several times a critic step on a
        CPU, and ``iterations`` is not used.
    bound
        ``"exact"``: all norms are c. ``"at_most"``: :math:`\bar W = W/\max(1, \sigma/c)`, so that a
        weight of a smaller norm stays as it is (SNGP, invertible networks, reinforcement learning).

    Raises
    ------
    ValueError
        If there is nothing to normalize; a weight is not finite, on the meta device, uninitialized,
        of a sparse embedding, in no optimizer, or held by another SpectralNorm; a coefficient is
        for an unknown layer; an optimizer evaluates the loss several times a step (LBFGS); or the
        input shape is missing or does not fit.
    RuntimeError
        If an optimizer calls its closure more than once in ``optimizer.step(closure)``, or a new
        optimizer steps weights with learnable norms.

    Examples
    --------
    >>> critic = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 1))
    >>> optimizer = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.0, 0.9))
    >>> sn = SpectralNorm(critic, optimizer)
    >>> critic(torch.randn(8, 2)).mean().backward()
    >>> optimizer.step()
    >>> [round(torch.linalg.matrix_norm(critic[i].weight, 2).item(), 3) for i in (0, 2)]
    [1.0, 1.0]

    References
    ----------
    Miyato et al. 2018, arXiv:1802.05957. Delattre et al. 2023, arXiv:2305.16173 (``strict``). Zhai
    et al. 2023, arXiv:2303.06296 (learnable). Liu et al. 2020, arXiv:2006.10108 (``at_most``).
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: Optimizers,
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
        self._set_up(module, optimizer, kernels, options)
        if layers is None:
            warn_of_not_covered(module, kernels)

    def _set_up(
        self, module: nn.Module, optimizer: Optimizers, kernels: list[Kernel], options: Options
    ) -> None:
        self._normalizer, self._calls = set_up(module, optimizer, kernels, options)
        self._module = weakref.ref(module)
        self.kind = "matrix" if self._calls is None else "operator"
        self.iterations = options.iterations
        given = options.coefficient
        self.coefficient: CoefficientSpec = dict(given) if isinstance(given, Mapping) else given

    @classmethod
    def from_parametrized(
        cls,
        module: nn.Module,
        optimizer: Optimizers,
        *,
        coefficient: float | Mapping[str, float] = 1.0,
        iterations: int = 1,
    ) -> "SpectralNorm":
        """Take over a network that carries torch's spectral norm, as hooks or parametrizations.

        The layers become plain ones, their raw weights (the same ``Parameter`` objects, with their
        optimizer state) become the normalized ones, and power iteration goes on from torch's ``u``.
        With ``coefficient=1`` the network's outputs are those that it had in eval mode.

        Parameters
        ----------
        module
            The network with torch's spectral norm.
        optimizer, coefficient, iterations
            See :class:`SpectralNorm`.

        Raises
        ------
        ValueError
            If no layer carries torch's spectral norm, a weight has other parametrizations too, two
            layers normalize one weight, or the module is sharded.
        """
        norms = find_torch_norms(module)
        kernels = [norm.kernel for norm in norms]
        sn = cls.__new__(cls)
        sn._set_up(module, optimizer, kernels, Options(coefficient, iterations))
        strip_torch_norms(module, norms)
        sn._normalizer.start_from_torch(norms)
        return sn

    @torch.no_grad()
    def sigmas(self) -> dict[str, Tensor]:
        """``{layer name: σ of the raw weight}``: scalars on the layer's device, without waiting.

        For a weight that was written from outside since the last step, it is σ of the new values.
        """
        self._normalizer.require_own_weights()
        return self._normalizer.by_name(lambda group: group.sigmas())

    def coefficients(self) -> dict[str, float | Tensor]:
        """``{layer name: c}``: numbers, or the optimizer's parameters if c is learnable."""
        return self._normalizer.by_name(lambda group: group.coefficients.for_display())

    @torch.no_grad()
    def singular_values(self) -> dict[str, Tensor]:
        """``{layer name: singular values of the normalized weight}``, largest first."""
        self._normalizer.require_own_weights()
        return self._normalizer.by_name(
            lambda group: [singular_values(norm.kernel) for norm in group.norms]
        )

    def state_dict(self) -> dict[str, Any]:
        """The state that the module does not hold: ``scale`` (σ/c) and ``u`` of each layer."""
        return {"coefficient": self.coefficient, "layers": self._normalizer.state()}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state of :meth:`state_dict`; load the module's own state dict as well.

        Raises
        ------
        ValueError
            If the state belongs to other layers, other shapes or another coefficient.
        """
        saved, own = state["coefficient"], self.coefficient
        kernels = self._normalizer.kernels
        is_same = coefficient_of_each(saved, kernels) == coefficient_of_each(own, kernels)
        require(is_same, "state", expected=f"coefficient {own}", got=saved)
        self._normalizer.load(state["layers"])

    @torch.no_grad()
    def certify(self) -> dict[str, float]:
        """Rescale each weight so that its norm is proved to be at most c.

        Training estimates σ from below; this method, at the end of training, replaces the estimate
        by a proof. The raw weights stay the same, so training can go on. The result is
        ``{layer name: proved upper bound of its operator norm}``.

        Raises
        ------
        ValueError
            If ``kind="matrix"``, which does not bound convolutions as maps.
        """
        if self._calls is None:
            raise ValueError("kind: expected 'operator' for a certificate, got 'matrix'")
        self._normalizer.require_own_weights()
        module = self._module()
        assert module is not None
        return certify_groups(module, self._normalizer.groups, self._calls)

    def remove(self) -> None:
        """Detach from the optimizer. The module keeps its normalized weights as plain ones."""
        release(self._normalizer)

    def __repr__(self) -> str:
        """A table of the layers, and the parameters not covered. It waits for the device."""
        return describe(self._module(), self._normalizer, self.kind)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "SpectralNorm is tied to its optimizer's hooks: copy the module and the optimizer, "
            "make a new SpectralNorm of them and load this one's state_dict()"
        )
