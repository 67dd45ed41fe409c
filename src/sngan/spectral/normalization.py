"""Spectral normalization as a change of coordinates around the optimizer's step."""

import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer
from torch.utils.weak import WeakIdKeyDictionary

from sngan._checks import require, require_count, require_number, require_one_of
from sngan.spectral.kernels import Kernel, LayerSelection, find_kernels
from sngan.spectral.torch_import import TorchNorm, strip_torch_spectral_norm

_WARM_UP_ITERATIONS = 15
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
        self._layers = [_Layer(kernel, coefficient) for kernel in kernels]
        self._stepping: list[_Layer] = []
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
        for layer in sn._layers:
            layer.restart(norms[layer.kernel.names[0]])
        return sn

    def sigmas(self) -> dict[str, Tensor]:
        """``{layer name: σ of the raw weight}``: scalars on the layer's device, no waiting."""
        return {
            name: layer.scale * self.coefficient
            for layer in self._layers
            for name in layer.kernel.names
        }

    @torch.no_grad()
    def singular_values(self) -> dict[str, Tensor]:
        """``{layer name: singular values of the normalized weight}``, largest first."""
        return {
            name: torch.linalg.svdvals(layer.kernel.matrix(layer.kernel.weight))
            for layer in self._layers
            for name in layer.kernel.names
        }

    def state_dict(self) -> dict[str, Any]:
        """The state beside the module's own: for each layer ``scale`` (σ/c) and ``u``."""
        return {
            "coefficient": self.coefficient,
            "layers": {
                layer.kernel.names[0]: {"scale": layer.scale.clone(), "u": layer.u.clone()}
                for layer in self._layers
            },
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`; load the module's own state dict as well.

        Raises
        ------
        ValueError
            The state is of other layers, other shapes or another coefficient.
        """
        saved = state["layers"]
        names = [layer.kernel.names[0] for layer in self._layers]
        require(set(saved) == set(names), "state", expected=f"layers {names}", got=list(saved))
        require(
            state["coefficient"] == self.coefficient,
            "state",
            expected=f"coefficient {self.coefficient}",
            got=state["coefficient"],
        )
        for layer in self._layers:
            u = saved[layer.kernel.names[0]]["u"]
            require(
                u.shape == layer.u.shape,
                "state",
                expected=f"u of shape {tuple(layer.u.shape)} for {layer.kernel.names[0]!r}",
                got=tuple(u.shape),
            )
        for layer in self._layers:
            layer.load(**saved[layer.kernel.names[0]])

    def remove(self) -> None:
        """Detach from the optimizer; the module keeps its normalized weights as plain ones."""
        for handle in self._handles:
            handle.remove()
        for layer in self._layers:
            _owners.pop(layer.kernel.weight, None)

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
        self._stepping = [layer for layer in self._layers if layer.kernel.weight.grad is not None]
        skipped = _skipped(optimizer)
        with _full_precision(self._stepping):
            for layer in self._stepping:
                layer.to_raw(skipped)
        return args, kwargs

    @torch.no_grad()
    def _after_step(self, optimizer: Optimizer, *_: Any) -> None:
        skipped = _skipped(optimizer)
        with _full_precision(self._stepping):
            for layer in self._stepping:
                layer.to_normalized(self.iterations, skipped)
        self._stepping = []

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
                for layer in self._stepping:
                    layer.to_normalized(self.iterations, None)
                raise RuntimeError(
                    "optimizer.step(closure): expected one evaluation of the closure a step, got "
                    "a second; the weights are raw then, so SpectralNorm cannot be exact"
                )
            return loss

        return replay


class _Layer:
    """One weight, and the state of its norm: the left singular vector ``u`` and ``scale`` = σ/c."""

    def __init__(self, kernel: Kernel, coefficient: float) -> None:
        self.kernel = kernel
        self.coefficient = coefficient
        weight = kernel.weight.detach()
        self.u = nn.functional.normalize(weight.new_empty(kernel.rows).normal_(), dim=0)
        self.scale = weight.new_ones(())
        self._v = self._right_vector()
        self.to_normalized(_WARM_UP_ITERATIONS, None)

    def restart(self, norm: TorchNorm) -> None:
        """Normalize the raw weight with the vector and the norm that torch had."""
        weight = self.kernel.weight.detach().mul_(self.scale)
        self.u.copy_(norm.u)
        self._divide(weight, norm.sigma, None)

    def load(self, scale: Tensor, u: Tensor) -> None:
        self.scale.copy_(scale)
        self.u.copy_(u)

    def to_raw(self, skipped: Tensor | None) -> None:
        """∂L/∂W̄ → ∂L/∂W in ``.grad``, and W̄ → W, in place."""
        weight, gradient = self.kernel.weight.detach(), self.kernel.weight.grad
        assert gradient is not None
        self.u, self.scale = self.u.to(weight), self.scale.to(weight)
        self._v = self._right_vector()
        flat = self.kernel.matrix(gradient).reshape(-1)
        radial = flat.dot(self.kernel.matrix(weight).reshape(-1)) / self.coefficient
        self.kernel.subtract_outer_(gradient, self.u * radial, self._v)
        gradient.div_(self.scale)
        weight.mul_(_unless(skipped, self.scale, 1.0))

    def to_normalized(self, iterations: int, skipped: Tensor | None) -> None:
        """Power iteration on the new W, then W → W̄, in place."""
        weight = self.kernel.weight.detach()
        matrix = self.kernel.matrix(weight)
        u, v = self.u, self._v
        sigma = self.scale
        for _ in range(iterations):
            u = _unit_or(matrix.mv(v), u)
            image = matrix.t().mv(u)
            sigma = torch.linalg.vector_norm(image)
            v = _unit_or(image, v)
        self.u.copy_(_unless(skipped, u, self.u))
        self._divide(weight, sigma, skipped)

    def _divide(self, weight: Tensor, sigma: Tensor, skipped: Tensor | None) -> None:
        scale = torch.where(sigma > 0, sigma / self.coefficient, 1.0)
        self.scale.copy_(_unless(skipped, scale, self.scale))
        weight.div_(_unless(skipped, scale, 1.0))

    def _right_vector(self) -> Tensor:
        image = self.kernel.matrix(self.kernel.weight.detach()).t().mv(self.u)
        return _unit_or(image, torch.zeros_like(image))


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


def _unit_or(vector: Tensor, fallback: Tensor) -> Tensor:
    """The vector over its norm, or the fallback where that norm is zero."""
    norm = torch.linalg.vector_norm(vector)
    return torch.where(norm > 0, vector / norm, fallback)


def _skipped(optimizer: Optimizer) -> Tensor | None:
    """Whether GradScaler makes a fused optimizer skip this step: a flag on the device."""
    found_inf = getattr(optimizer, "found_inf", None)
    return None if found_inf is None else found_inf.squeeze() > 0


def _unless(skipped: Tensor | None, new: Tensor, old: Tensor | float) -> Tensor:
    return new if skipped is None else torch.where(skipped, old, new)


@contextmanager
def _full_precision(layers: list[_Layer]) -> Generator[None]:
    """Outside autocast, which would take the power iteration down to half precision."""
    device = layers[0].kernel.weight.device.type if layers else "cpu"
    with torch.autocast(device, enabled=False):
        yield
