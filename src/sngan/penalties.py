"""What holds a critic's slope from outside: gradient penalties and weight clipping."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sngan._checks import require, require_number, require_same_shape

Critic = Callable[[Tensor], Tensor]


def wgan_gp(critic: Critic, real: Tensor, fake: Tensor, *, target: float = 1.0) -> Tensor:
    """Gradient penalty ``E (‖∇D(x̂)‖₂ − target)²`` of WGAN-GP, without its weight λ.

    ``x̂ = ε·x + (1 − ε)·G(z)`` with one ``ε ~ U(0, 1)`` per sample, from torch's global generator.
    The norm is taken per sample, over all dimensions but the first. Source: Gulrajani et al. 2017,
    arXiv:1704.00028.

    Parameters
    ----------
    critic
        Maps ``(N, ...)`` to scores ``(N,)`` or ``(N, 1)``, each sample by itself (no batch norm).
    real, fake
        Batches ``(N, ...)`` of equal shape. No gradient flows into them.
    target
        The slope that costs nothing, in score per unit of sample.

    Returns
    -------
    Tensor
        A scalar with a graph to the critic's parameters.

    Raises
    ------
    ValueError
        Batches that differ in shape, are no floating-point ``(N, ...)``; a negative ``target``.
    """
    _require_batch(real, "real")
    _require_batch(fake, "fake")
    require_same_shape(real, fake, ("real", "fake"))
    require_number(target, "target", minimum=0.0)
    share = torch.rand(len(real), *[1] * (real.dim() - 1), dtype=real.dtype, device=real.device)
    between = (share * real + (1 - share) * fake).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    # vector_norm has the subgradient 0 at 0, where the root of a sum of squares has NaN
    slopes = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return (slopes - target).square().mean()


PENALTIES: dict[str, Callable[[Critic, Tensor, Tensor], Tensor]] = {"wgan-gp": wgan_gp}


@torch.no_grad()
def clip_weights_(module: nn.Module, bound: float) -> None:
    """Clamp every weight and bias to ``[−bound, bound]`` in place, but those of normalization.

    The scales of batch, layer, group, instance and RMS normalization start at 1; clipped, they
    would shut the layer. Source: Arjovsky, Chintala, Bottou 2017, arXiv:1701.07875, algorithm 1.

    Raises
    ------
    ValueError
        ``bound`` is not a positive number.
    """
    require_number(bound, "bound", above=0.0)
    for layer in module.modules():
        if not isinstance(layer, _NORMALIZATIONS):
            for parameter in layer.parameters(recurse=False):
                parameter.clamp_(-bound, bound)


_NORMALIZATIONS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
)


def _require_batch(batch: Tensor, name: str) -> None:
    require(
        batch.is_floating_point() and batch.dim() > 1,
        name,
        expected="a floating-point batch (N, ...)",
        got=f"{batch.dtype} of shape {tuple(batch.shape)}",
    )
