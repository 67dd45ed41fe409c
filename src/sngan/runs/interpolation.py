"""Interpolation between samples: along a great circle of the noise, and through classes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sngan.runs.networks import draw

# at smaller angles the formula divides two numbers that are nearly 0
_SMALL_SINE = 1e-4


def slerp(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Interpolate between vectors along a great circle: spherical interpolation.

    ``sin((1 − t)θ)/sin θ · a + sin(tθ)/sin θ · b`` for the angle θ between a and b. Where a and b
    are parallel, the interpolation is linear. Normal noise has nearly one length, which a straight
    line between two of its vectors leaves. Sources: Shoemake 1985; White 2016, arXiv:1609.04468.

    Parameters
    ----------
    first, second
        Vectors a and b, ``(n, dim)``.
    share
        t, ``(n,)``, from 0 to 1.

    Examples
    --------
    >>> slerp(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]]), torch.tensor([0.5]))
    tensor([[1.4142, 1.4142]])
    """
    a, b, t = first.double(), second.double(), share.double()[:, None]
    angle = F.cosine_similarity(a, b, dim=1).clamp(-1, 1).acos()[:, None]
    sine = angle.sin()
    is_linear = sine < _SMALL_SINE
    safe = torch.where(is_linear, 1.0, sine)
    of_first = torch.where(is_linear, 1 - t, ((1 - t) * angle).sin() / safe)
    of_second = torch.where(is_linear, t, (t * angle).sin() / safe)
    return (of_first * a + of_second * b).to(first.dtype)


def draw_between(
    generator: nn.Module,
    noise: Tensor,
    labels: tuple[Tensor, Tensor] | None,
    share: Tensor,
) -> Tensor:
    """Generate samples between two classes, whose embeddings are mixed.

    Parameters
    ----------
    generator
        The generator. One that looks up no embedding of its labels changes the class half-way.
    noise
        The noise ``(n, latent_dim)``.
    labels
        The classes ``(n,)`` at both ends; ``None`` for an unconditional generator.
    share
        The weight ``(n,)`` of the second class, from 0 to 1.
    """
    if labels is None:
        return draw(generator, noise, None)
    first, second = labels
    nearest = torch.where(share < 0.5, first, second)
    with _MixedEmbeddings(nearest, first, second, share):
        return draw(generator, noise, nearest)


class _MixedEmbeddings(TorchFunctionMode):
    """Replaces each embedding of ``labels`` by a mixture of those of two classes."""

    def __init__(self, labels: Tensor, first: Tensor, second: Tensor, share: Tensor) -> None:
        super().__init__()
        self._labels, self._first, self._second, self._share = labels, first, second, share

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = kwargs or {}
        if func is not F.embedding or not args or args[0] is not self._labels:
            return func(*args, **options)
        one, two = (func(ends, *args[1:], **options) for ends in (self._first, self._second))
        return torch.lerp(one, two, self._share.to(one)[:, None])
