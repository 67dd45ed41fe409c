"""Spectral normalization as a change of coordinates around the optimizer's step."""

# torch's operations on lists of tensors have no public names
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer
from torch.utils.weak import WeakIdKeyDictionary

from sngan._checks import require, require_count, require_number, require_one_of
from sngan.spectral.kernels import Kernel, LayerSelection, find_kernels
from sngan.spectral.torch_import import TorchNorm, strip_torch_spectral_norm

_WARM_UP_ITERATIONS = 15
_TRACE = 1e-15
_owners: "WeakIdKeyDictionary" = WeakIdKeyDictionary()


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
    are kept. Nothing in the hooks waits for the device.

    Weight decay therefore acts on the raw weight, and gradients clipped before the step are those
    of the normalized weight. Gradients are mapped in place: zero them before the next backward.
    A weight written from outside (``load_state_dict``) is taken as the normalized one, and is
    normalized again at the next step. A layer whose σ is zero stays zero.

    Parameters
    ----------
    module, optimizer
        The network, and the one optimizer that holds all of its trainable selected weights.
    kind
        ``"matrix"``: σ of the kernel as an ``(out_channels, in_channels·kh·kw)`` matrix. It is not
        the Lipschitz constant of a convolution.
    coefficient
        The norm c > 0 that the weights are kept at.
    iterations
        Power iterations after each step.
    input_shape
        Only for ``kind="operator"``.
    layers
        Which layers: names, a type or types, or a predicate ``(name, layer) -> bool``; by default
        every Linear, Conv1d/2d/3d, ConvTranspose1d/2d/3d and Embedding. Frozen ones are normalized
        once and then left; a tied weight has one norm.

    Raises
    ------
    ValueError
        Nothing to normalize, a weight outside the optimizer, a weight that another SpectralNorm
        holds, an optimizer that evaluates the loss several times a step (LBFGS).
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
    2018, arXiv:1802.05957.
    """

    def __init__(
        self,
        module: nn.Module,
        optimizer: Optimizer,
        *,
        kind: str = "matrix",
        coefficient: float = 1.0,
        iterations: int = 1,
        input_shape: tuple[int, ...] | None = None,
        layers: LayerSelection | None = None,
    ) -> None:
        require_one_of(kind, "kind", choices=["matrix"])
        require_number(coefficient, "coefficient", above=0.0)
        require_count(iterations, "iterations")
        require(input_shape is None, "input_shape", expected="None for 'matrix'", got=input_shape)
        kernels = find_kernels(module, layers)
        _check_ownership(kernels, optimizer)
        self.coefficient = coefficient
        self.iterations = iterations
        self._groups = _grouped(kernels, coefficient)
        self._handles = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
        ]
        for kernel in kernels:
            _owners[kernel.weight] = weakref.ref(self)

    @classmethod
    def from_parametrized(
        cls,
        module: nn.Module,
        optimizer: Optimizer,
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

    def sigmas(self) -> dict[str, Tensor]:
        """``{layer name: σ of the raw weight}``: scalars on the layer's device, no waiting."""
        return {
            name: sigma
            for group in self._groups
            for kernel, sigma in zip(group.kernels, group.sigmas(), strict=True)
            for name in kernel.names
        }

    @torch.no_grad()
    def singular_values(self) -> dict[str, Tensor]:
        """``{layer name: singular values of the normalized weight}``, largest first."""
        return {
            name: torch.linalg.svdvals(kernel.matrix(kernel.weight))
            for group in self._groups
            for kernel in group.kernels
            for name in kernel.names
        }

    def state_dict(self) -> dict[str, Any]:
        """The state beside the module's own: for each layer ``scale`` (σ/c) and ``u``."""
        return {
            "coefficient": self.coefficient,
            "layers": {name: part for group in self._groups for name, part in group.state()},
        }

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
        own = {name: part["u"].shape for group in self._groups for name, part in group.state()}
        require(set(saved) == set(own), "state", expected=f"layers {list(own)}", got=list(saved))
        for name, shape in own.items():
            got = saved[name]["u"].shape
            require(
                got == shape, "state", expected=f"u of shape {tuple(shape)}", got=f"{name}: {got}"
            )
        for group in self._groups:
            group.load(saved)

    def remove(self) -> None:
        """Detach from the optimizer; the module keeps its normalized weights as plain ones."""
        for handle in self._handles:
            handle.remove()
        for group in self._groups:
            for kernel in group.kernels:
                _owners.pop(kernel.weight, None)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "SpectralNorm is tied to its optimizer's hooks: copy the module and the optimizer, "
            "make a new SpectralNorm of them and load this one's state_dict()"
        )

    @torch.no_grad()
    def _before_step(
        self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args, kwargs = self._evaluate_closure(args, kwargs)
        for group in self._groups:
            with group.full_precision():
                group.to_raw(_skipped(optimizer))
        return args, kwargs

    @torch.no_grad()
    def _after_step(self, optimizer: Optimizer, *_: Any) -> None:
        self._normalize(_skipped(optimizer))

    def _normalize(self, skipped: Tensor | None) -> None:
        for group in self._groups:
            with group.full_precision():
                group.to_normalized(self.iterations, skipped)

    def _evaluate_closure(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Run a closure now, while the weights are normalized, and pass its loss on."""
        # args[0] is the optimizer: torch calls its hooks with the bound method's arguments
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if closure is None:
            return args, kwargs
        with torch.enable_grad():
            loss = closure()
        return args[:1], {**kwargs, "closure": self._once(loss)}

    def _once(self, loss: Any) -> Callable[[], Any]:
        calls = 0

        def replay() -> Any:
            nonlocal calls
            calls += 1
            if calls > 1:
                with torch.no_grad():
                    self._normalize(None)
                raise RuntimeError(
                    "optimizer.step(closure): expected one evaluation of the closure a step, got "
                    "a second; the weights are raw then, so SpectralNorm cannot be exact"
                )
            return loss

        return replay


class _Group:
    """The weights of one device and dtype, and the state of their norms.

    For each weight the left singular vector ``u``; for all of them, in one tensor, ``scale`` = σ/c.
    """

    def __init__(self, kernels: list[Kernel], coefficient: float) -> None:
        self.kernels = kernels
        self.coefficient = coefficient
        weight = kernels[0].weight.detach()
        self.scale = weight.new_ones(len(kernels))
        self.u = [_unit(weight.new_empty(kernel.rows).normal_()) for kernel in kernels]
        # images Wᵀu: what the hook before the step hands to the one after it
        self._images: dict[int, Tensor] = {}
        for index, kernel in enumerate(kernels):
            self._images[index] = kernel.matrix(kernel.weight.detach()).t().mv(self.u[index])
        self.to_normalized(_WARM_UP_ITERATIONS, None)

    def sigmas(self) -> tuple[Tensor, ...]:
        return (self.scale * self.coefficient).unbind()

    def state(self) -> Iterator[tuple[str, dict[str, Tensor]]]:
        for kernel, scale, u in zip(self.kernels, self.scale, self.u, strict=True):
            yield kernel.names[0], {"scale": scale.clone(), "u": u.clone()}

    def load(self, saved: dict[str, dict[str, Tensor]]) -> None:
        for index, kernel in enumerate(self.kernels):
            self.scale[index] = saved[kernel.names[0]]["scale"]
            self.u[index].copy_(saved[kernel.names[0]]["u"])

    def restart(self, norms: dict[str, TorchNorm]) -> None:
        """Normalize the raw weights again, with the vectors and norms that torch had."""
        for index, kernel in enumerate(self.kernels):
            norm = norms[kernel.names[0]]
            kernel.weight.detach().mul_(self.scale[index] * self.coefficient / norm.sigma)
            self.scale[index] = norm.sigma / self.coefficient
            self.u[index].copy_(norm.u)

    def to_raw(self, skipped: Tensor | None) -> None:
        """∂L/∂W̄ → ∂L/∂W in ``.grad``, and W̄ → W, in place, for the weights with a gradient."""
        self._follow_the_module()
        self._images = {}
        gradients: list[Tensor] = []
        for index, kernel in enumerate(self.kernels):
            if kernel.weight.grad is None:
                continue
            gradients.append(kernel.weight.grad)
            matrix, u = kernel.matrix(kernel.weight.detach()), self.u[index]
            image = matrix.t().mv(u)
            radial = kernel.matrix(kernel.weight.grad).reshape(-1).dot(matrix.reshape(-1))
            # c·v = W̄ᵀu, so both factors 1/c of the formula act on the image
            kernel.add_outer_(kernel.weight.grad, u * radial, image, alpha=-(self.coefficient**-2))
            self._images[index] = image
        if gradients:
            torch._foreach_div_(gradients, self._of_stepping(self.scale))
            torch._foreach_mul_(
                self._weights(), self._of_stepping(_unless(skipped, self.scale, 1.0))
            )

    def to_normalized(self, iterations: int, skipped: Tensor | None) -> None:
        """Power iteration on the new W, then W → W̄, in place."""
        if not self._images:
            return
        for index, image in self._images.items():
            matrix = self.kernels[index].matrix(self.kernels[index].weight.detach())
            u = self.u[index]
            for _ in range(iterations):
                # a trace of u keeps the direction where the weight is zero
                u = _unit(torch.addmv(u, matrix, image, beta=_TRACE))
                image = matrix.t().mv(u)
            self._images[index] = image
            self.u[index].copy_(_unless(skipped, u, self.u[index]))
        self._set_scales(skipped)
        divisors = _unless(skipped, self.scale, 1.0)
        torch._foreach_div_(self._weights(), self._of_stepping(divisors))

    def _set_scales(self, skipped: Tensor | None) -> None:
        norms = torch._foreach_norm(list(self._images.values()))
        torch._foreach_div_(norms, self.coefficient)
        scales = list(self.scale.unbind())
        for index, norm in zip(self._images, norms, strict=True):
            scales[index] = norm
        fresh = torch.stack(scales)
        fresh.masked_fill_(fresh == 0, 1.0)
        self.scale.copy_(_unless(skipped, fresh, self.scale))

    def _weights(self) -> list[Tensor]:
        return [self.kernels[index].weight.detach() for index in self._images]

    def _of_stepping(self, values: Tensor) -> list[Tensor]:
        parts = values.unbind()
        return [parts[index] for index in self._images]

    def _follow_the_module(self) -> None:
        """The module may have been moved to another device since."""
        device = self.kernels[0].weight.device
        if self.scale.device != device:
            self.scale = self.scale.to(device)
            self.u = [u.to(device) for u in self.u]

    def full_precision(self) -> AbstractContextManager[Any]:
        """Outside autocast, which would take the power iteration down to half precision."""
        device = self.scale.device.type
        if torch.is_autocast_enabled(device):
            return torch.autocast(device, enabled=False)
        return nullcontext()


def _check_ownership(kernels: list[Kernel], optimizer: Optimizer) -> None:
    require(
        isinstance(optimizer, Optimizer),
        "optimizer",
        expected="a torch.optim.Optimizer",
        got=type(optimizer).__name__,
    )
    require(
        not isinstance(optimizer, LBFGS),
        "optimizer",
        expected="one loss evaluation a step",
        got="LBFGS, which evaluates its closure several times",
    )
    stepped = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    for kernel in kernels:
        owner = _owners.get(kernel.weight)
        require(
            owner is None or owner() is None,
            "module",
            expected="weights without another SpectralNorm (call its remove() first)",
            got=f"{kernel.names[0]!r}, normalized already",
        )
        require(
            id(kernel.weight) in stepped or not kernel.weight.requires_grad,
            "optimizer",
            expected="every trainable weight that is normalized",
            got=f"no parameter {kernel.names[0]}.weight",
        )


def _grouped(kernels: list[Kernel], coefficient: float) -> list[_Group]:
    kinds: dict[tuple[torch.device, torch.dtype], list[Kernel]] = {}
    for kernel in kernels:
        kinds.setdefault((kernel.weight.device, kernel.weight.dtype), []).append(kernel)
    with torch.no_grad():
        return [_Group(alike, coefficient) for alike in kinds.values()]


def _unit(vector: Tensor) -> Tensor:
    return vector / torch.linalg.vector_norm(vector)


def _skipped(optimizer: Optimizer) -> Tensor | None:
    """Whether GradScaler makes a fused optimizer skip this step: a flag on the device."""
    found_inf = getattr(optimizer, "found_inf", None)
    return None if found_inf is None else found_inf.squeeze() > 0


def _unless(skipped: Tensor | None, new: Tensor, old: Tensor | float) -> Tensor:
    return new if skipped is None else torch.where(skipped, old, new)
