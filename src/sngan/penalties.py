"""What holds a critic's slope from outside: penalties on gradients and weights, and clipping.

Random numbers come from torch's global generator; processes that share a batch
(``torch.distributed``) draw for all of it.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from sngan.distributed import collectives
from sngan.spectral.kernels import find_kernels
from sngan.utils.checks import require, require_number, require_same_shape
from sngan.utils.double_backward import twice_differentiable

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
    require_number(target, "target", minimum=0.0)
    return (_slopes(critic, _between(real, fake)) - target).square().mean()


def wgan_lp(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """One-sided gradient penalty ``E max(0, ‖∇D(x̂)‖₂ − 1)²`` of WGAN-LP, without its weight λ.

    ``x̂`` as in :func:`wgan_gp`, whose arguments it has. A critic flatter than 1 pays nothing, as
    the optimal one may be. Source: Petzka, Fischer, Lukovnikov 2018, arXiv:1709.08894.
    """
    return (_slopes(critic, _between(real, fake)) - 1).relu().square().mean()


def dragan(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:  # noqa: ARG001
    """Gradient penalty ``E (‖∇D(x + δ)‖₂ − 1)²`` around real samples, without its weight λ.

    ``δ ~ N(0, c·I)`` from torch's global generator, with ``√c`` half the standard deviation of the
    values of the batch, as in the authors' code. Arguments as in :func:`wgan_gp`; ``fake`` is not
    used. Source: Kodali et al. 2017, arXiv:1705.07215.
    """
    _require_batch(real, "real")
    noise = collectives.draw_local_rows(
        torch.randn, real.shape, dtype=real.dtype, device=real.device
    )
    noise = noise * (_spread(real) / 2)
    return (_slopes(critic, real + noise) - 1).square().mean()


def r1(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:  # noqa: ARG001
    """``½ E ‖∇D(x)‖₂²`` on real samples, without its weight γ.

    Arguments as in :func:`wgan_gp`; ``fake`` is not used. Source: Mescheder, Geiger, Nowozin 2018,
    arXiv:1801.04406, equation 9.
    """
    return _half_square(critic, real, "real")


def r1_r2(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """``½ E ‖∇D(x)‖₂² + ½ E ‖∇D(G(z))‖₂²``, without its weight γ.

    Arguments as in :func:`wgan_gp`. Source: Mescheder, Geiger, Nowozin 2018, arXiv:1801.04406,
    equations 9 and 10; together as in Huang et al. 2024, arXiv:2501.05441.
    """
    return _half_square(critic, real, "real") + _half_square(critic, fake, "fake")


PENALTIES: dict[str, Callable[[Critic, Tensor, Tensor], Tensor]] = {
    "wgan-gp": wgan_gp,
    "wgan-lp": wgan_lp,
    "dragan": dragan,
    "r1": r1,
    "r1+r2": r1_r2,
}


def orthonormal(module: nn.Module) -> Tensor:
    """Sum over all linear layers of ``‖WᵀW − I‖_F²`` or ``‖WWᵀ − I‖_F²``, the smaller product.

    ``W`` is the kernel reshaped to ``(out_channels, in_channels·kh·kw)``. The two differ by the
    constant ``|rows − columns|``, so their gradients agree; the smaller one is 0 where it can be.
    All singular values are drawn to 1. Source: Brock et al. 2016, arXiv:1609.07093; Miyato et al.
    2018, arXiv:1802.05957, section 3.

    Raises
    ------
    ValueError
        The module has no linear layer.
    """
    kernels = find_kernels(module, computed=True)
    matrices = [kernel.matrix(kernel.rows_of(kernel.weight)) for kernel in kernels]
    return torch.stack([_to_orthonormal(matrix) for matrix in matrices]).sum()


def _to_orthonormal(matrix: Tensor) -> Tensor:
    rows, columns = matrix.shape
    gram = matrix @ matrix.t() if rows < columns else matrix.t() @ matrix
    return (gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)).square().sum()


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
    _BatchNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.RMSNorm,
)


def _between(real: Tensor, fake: Tensor) -> Tensor:
    """One point on the line between each pair, uniformly."""
    _require_batch(real, "real")
    _require_batch(fake, "fake")
    require_same_shape(real, fake, ("real", "fake"))
    size = (len(real), *[1] * (real.dim() - 1))
    share = collectives.draw_local_rows(torch.rand, size, dtype=real.dtype, device=real.device)
    return share * real + (1 - share) * fake


def _spread(batch: Tensor) -> Tensor:
    """Standard deviation of the values, of the batches of all ranks as one."""
    if collectives.world_size() == 1:
        return batch.std(correction=0)
    mean = collectives.all_reduce_mean(batch.mean())
    return collectives.all_reduce_mean((batch - mean).square().mean()).sqrt()


def _gradients(critic: Critic, samples: Tensor) -> Tensor:
    """``∇D`` at each sample, ``(N, d)``, with a graph to the critic's parameters."""
    samples = samples.detach().requires_grad_()
    with twice_differentiable():
        (gradient,) = torch.autograd.grad(critic(samples).sum(), samples, create_graph=True)
    return gradient.flatten(1)


def _slopes(critic: Critic, samples: Tensor) -> Tensor:
    # vector_norm has the subgradient 0 at 0, where the root of a sum of squares has NaN
    return torch.linalg.vector_norm(_gradients(critic, samples), dim=1)


def _half_square(critic: Critic, samples: Tensor, name: str) -> Tensor:
    _require_batch(samples, name)
    return _gradients(critic, samples).square().sum(1).mean() / 2


def _require_batch(batch: Tensor, name: str) -> None:
    require(
        batch.is_floating_point() and batch.dim() > 1,
        name,
        expected="a floating-point batch (N, ...)",
        got=f"{batch.dtype} of shape {tuple(batch.shape)}",
    )
