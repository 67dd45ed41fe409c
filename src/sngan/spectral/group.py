"""The weights of one device and dtype: their change of coordinates, all in a few calls."""

# torch's operations on lists of tensors have no public names
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from collections.abc import Iterator

import torch
from torch import Tensor

from sngan import _shards as shards
from sngan.spectral.iteration import Norm, accumulator
from sngan.spectral.torch_import import TorchNorm

# σ this near to c is c: the weight is left as it is
_EXACT = 1e-6


class Group:
    """Weights, and the state of their norms.

    For each weight the tensor ``u`` that its norm carries on; for all, in one tensor, ``scale`` =
    σ/c.
    """

    def __init__(self, norms: list[Norm], coefficient: float) -> None:
        self.norms = norms
        self.coefficient = coefficient
        self.scale = norms[0].weight().new_ones(len(norms))
        started = [self._start(index) for index in range(len(norms))]
        self.u = [u for u, _ in started]
        self._factors = [norm.factor / coefficient for norm in norms]
        # of the weights that are raw now, between the hook before the step and the one after it
        self._wt_u: dict[int, Tensor] = {}
        for index, (_, sigma) in enumerate(started):
            if abs(sigma / coefficient - 1) > _EXACT:
                self.rescale(index, sigma / coefficient or 1.0)

    def sigmas(self) -> tuple[Tensor, ...]:
        """σ of each raw weight."""
        return (self.scale * self.coefficient).unbind()

    def state(self) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """The name of each weight, and its part of the state."""
        for index, (norm, scale) in enumerate(zip(self.norms, self.scale, strict=True)):
            yield norm.kernel.names[0], {"scale": scale.clone(), "u": self._whole_u(index)}

    def load(self, saved: dict[str, dict[str, Tensor]]) -> None:
        """Restore what :meth:`state` gave."""
        for index, norm in enumerate(self.norms):
            state = saved[norm.kernel.names[0]]
            self.scale[index] = state["scale"]
            self.u[index].copy_(self._own_u(index, state["u"]))

    def restart(self, known: dict[str, TorchNorm]) -> None:
        """Normalize the raw weights again, with the vectors and norms that torch had."""
        for index, norm in enumerate(self.norms):
            torch_norm = known[norm.kernel.names[0]]
            self.rescale(index, torch_norm.sigma / (self.scale[index] * self.coefficient))
            self.u[index].copy_(torch_norm.u)

    def rescale(self, index: int, divisor: Tensor | float) -> None:
        """Divide a normalized weight; the raw one stays."""
        self.norms[index].weight().div_(divisor)
        self.scale[index] *= divisor

    def to_raw(self, skipped: Tensor | None) -> None:
        """∂L/∂W̄ → ∂L/∂W in ``.grad``, and W̄ → W, in place, for the weights with a gradient."""
        self._follow_the_module()
        gradients = {
            index: shards.part(gradient)
            for index, norm in enumerate(self.norms)
            if (gradient := norm.kernel.weight.grad) is not None
        }
        self._wt_u = self._project(gradients)
        if gradients:
            torch._foreach_div_(list(gradients.values()), self._of_stepping(self.scale))
            torch._foreach_mul_(
                self._weights(), self._of_stepping(_unless(skipped, self.scale, 1.0))
            )

    def to_normalized(self, iterations: int, skipped: Tensor | None) -> None:
        """Follow the norms to the new W, then W → W̄, in place."""
        if not self._wt_u:
            return
        for index, (u, wt_u) in self._advance(self._wt_u, iterations).items():
            self._wt_u[index] = wt_u
            self.u[index].copy_(_unless(skipped, u, self.u[index]))
        self._set_scales(skipped)
        divisors = _unless(skipped, self.scale, 1.0)
        torch._foreach_div_(self._weights(), self._of_stepping(divisors))

    def _start(self, index: int) -> tuple[Tensor, float]:
        """The exact σ of a raw weight, and this rank's part of its ``u``."""
        return self.norms[index].start()

    def _project(self, gradients: dict[int, Tensor]) -> dict[int, Tensor]:
        """Take the radial part off each gradient, in place; return ``wt_u`` of each."""
        return {
            index: self.norms[index].project_(gradient, self.u[index])
            for index, gradient in gradients.items()
        }

    def _advance(
        self, wt_u: dict[int, Tensor], iterations: int
    ) -> dict[int, tuple[Tensor, Tensor]]:
        """Follow the weights to where they are now: the new ``u`` and ``wt_u`` of each."""
        return {
            index: self.norms[index].advance(self.u[index], image, iterations=iterations)
            for index, image in wt_u.items()
        }

    def _whole_u(self, index: int) -> Tensor:
        return self.u[index].clone()

    def _own_u(self, index: int, u: Tensor) -> Tensor:  # noqa: ARG002
        return u

    def _set_scales(self, skipped: Tensor | None) -> None:
        vectors = list(self._wt_u.values())
        norms = torch._foreach_norm(vectors, dtype=accumulator(vectors[0]))
        torch._foreach_mul_(norms, [self._factors[index] for index in self._wt_u])
        scales = list(self.scale.unbind())
        for index, norm in zip(self._wt_u, norms, strict=True):
            scales[index] = norm
        fresh = torch.stack(scales).to(self.scale)
        fresh.masked_fill_(fresh == 0, 1.0)
        self.scale.copy_(_unless(skipped, fresh, self.scale))

    def _weights(self) -> list[Tensor]:
        return [self.norms[index].weight() for index in self._wt_u]

    def _of_stepping(self, values: Tensor) -> list[Tensor]:
        parts = values.unbind()
        return [parts[index] for index in self._wt_u]

    def _follow_the_module(self) -> None:
        """The module may have been moved to another device since."""
        device = self.norms[0].weight().device
        if self.scale.device != device:
            self.scale = self.scale.to(device)
            self.u = [u.to(device) for u in self.u]


def _unless(skipped: Tensor | None, new: Tensor, old: Tensor | float) -> Tensor:
    return new if skipped is None else torch.where(skipped, old, new)
