"""The weights of one device and dtype: their change of coordinates, all in a few calls."""

# torch's operations on lists of tensors have no public names
# pyright: reportPrivateUsage=false, reportPrivateImportUsage=false

from collections.abc import Iterator

import torch
from torch import Tensor

from sngan import _shards as shards
from sngan.spectral.iteration import Norm
from sngan.spectral.torch_import import TorchNorm

_WARM_UP_ITERATIONS = 15


class Group:
    """Weights, and the state of their norms.

    For each weight what its norm carries on, ``u``; for all, in one tensor, ``scale`` = σ/c.
    """

    def __init__(self, norms: list[Norm], coefficient: float) -> None:
        self.norms = norms
        self.coefficient = coefficient
        weight = norms[0].weight()
        self.scale = weight.new_ones(len(norms))
        self._factors = [norm.factor / coefficient for norm in norms]
        self.u, images = self._start()
        # images Wᵀu: what the hook before the step hands to the one after it
        self._images = dict(enumerate(images))
        self.to_normalized(_WARM_UP_ITERATIONS, None)

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
        self._images = self._project(gradients)
        if gradients:
            torch._foreach_div_(list(gradients.values()), self._of_stepping(self.scale))
            torch._foreach_mul_(
                self._weights(), self._of_stepping(_unless(skipped, self.scale, 1.0))
            )

    def to_normalized(self, iterations: int, skipped: Tensor | None) -> None:
        """Follow the norms to the new W, then W → W̄, in place."""
        if not self._images:
            return
        for index, (u, image) in self._advance(self._images, iterations).items():
            self._images[index] = image
            self.u[index].copy_(_unless(skipped, u, self.u[index]))
        self._set_scales(skipped)
        divisors = _unless(skipped, self.scale, 1.0)
        torch._foreach_div_(self._weights(), self._of_stepping(divisors))

    def _start(self) -> tuple[list[Tensor], list[Tensor]]:
        """Random vectors ``u`` and their images."""
        started = [norm.start() for norm in self.norms]
        return [u for u, _ in started], [image for _, image in started]

    def _project(self, gradients: dict[int, Tensor]) -> dict[int, Tensor]:
        """Take the radial part off each gradient, in place; return the images of ``u``."""
        return {
            index: self.norms[index].project_(gradient, self.u[index], coefficient=self.coefficient)
            for index, gradient in gradients.items()
        }

    def _advance(
        self, images: dict[int, Tensor], iterations: int
    ) -> dict[int, tuple[Tensor, Tensor]]:
        """Follow the weights to where they are now: the new ``u`` and their images."""
        return {
            index: self.norms[index].advance(self.u[index], image, iterations=iterations)
            for index, image in images.items()
        }

    def _whole_u(self, index: int) -> Tensor:
        return self.u[index].clone()

    def _own_u(self, index: int, u: Tensor) -> Tensor:  # noqa: ARG002
        return u

    def _set_scales(self, skipped: Tensor | None) -> None:
        norms = torch._foreach_norm(list(self._images.values()))
        torch._foreach_mul_(norms, [self._factors[index] for index in self._images])
        scales = list(self.scale.unbind())
        for index, norm in zip(self._images, norms, strict=True):
            scales[index] = norm
        fresh = torch.stack(scales)
        fresh.masked_fill_(fresh == 0, 1.0)
        self.scale.copy_(_unless(skipped, fresh, self.scale))

    def _weights(self) -> list[Tensor]:
        return [self.norms[index].weight() for index in self._images]

    def _of_stepping(self, values: Tensor) -> list[Tensor]:
        parts = values.unbind()
        return [parts[index] for index in self._images]

    def _follow_the_module(self) -> None:
        """The module may have been moved to another device since."""
        device = self.norms[0].weight().device
        if self.scale.device != device:
            self.scale = self.scale.to(device)
            self.u = [u.to(device) for u in self.u]


def _unless(skipped: Tensor | None, new: Tensor, old: Tensor | float) -> Tensor:
    return new if skipped is None else torch.where(skipped, old, new)
