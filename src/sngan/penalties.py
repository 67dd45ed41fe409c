"""Penalties on a critic's gradients and weights, and weight clipping.

They limit the critic's slope without a change of its layers. Each penalty is a scalar with a graph
to the critic's parameters. Random numbers come from torch's global generator. If several processes
share a batch (``torch.distributed``), each draws the numbers of the whole batch and uses those of
its own rows.

Examples
--------
>>> from sngan import penalties
>>> penalties.r1(lambda x: 3 * x[:, 0], torch.zeros(8, 3))  # 3²/2
tensor(4.5000)
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from sngan.distributed import collectives
from sngan.utils.checks import require, require_number, require_same_shape
from sngan.utils.double_backward import twice_differentiable
from sngan.utils.kernels import find_kernels
from sngan.utils.registry import Registry, fitted

Critic = Callable[[Tensor], Tensor]

__all__ = [
    "PENALTIES", "clip_weights_", "dragan", "orthonormal", "r1", "r1_r2", "wgan_gp", "wgan_lp",
]  # fmt: skip


def wgan_gp(critic: Critic, real: Tensor, fake: Tensor, *, target: float = 1.0) -> Tensor:
    """Gradient penalty ``E (‖∇D(x̂)‖₂ − target)²`` of WGAN-GP, without its weight λ.

    ``x̂ = ε·x + (1 − ε)·G(z)`` with one ``ε ~ U(0, 1)`` for each sample, from torch's global
    generator. The norm is over all dimensions except the first. Source: Gulrajani et al. 2017,
    arXiv:1704.00028.

    Parameters
    ----------
    critic
        Maps ``(N, ...)`` to scores ``(N,)`` or ``(N, 1)``, each sample by itself (no batch norm).
    real, fake
        Batches ``(N, ...)`` of equal shape. No gradient flows into them.
    target
        The gradient norm that costs nothing, in units of score per unit of sample.

    Raises
    ------
    ValueError
        If a batch is not floating-point ``(N, ...)``, the shapes differ, or ``target`` is negative.

    Examples
    --------
    >>> wgan_gp(lambda x: 2 * x[:, 0], torch.zeros(8, 3), torch.ones(8, 3))  # (2 − 1)²
    tensor(1.)
    """
    require_number(target, "target", minimum=0.0)
    return (_gradient_norms(critic, _interpolated(real, fake)) - target).square().mean()


def wgan_lp(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """One-sided gradient penalty ``E max(0, ‖∇D(x̂)‖₂ − 1)²`` of WGAN-LP, without its weight λ.

    ``x̂`` is drawn as in :func:`wgan_gp`. There is no penalty where the slope is below 1, because
    the optimal critic may be that flat. Source: Petzka, Fischer, Lukovnikov 2018, arXiv:1709.08894.

    Parameters
    ----------
    critic
        Maps ``(N, ...)`` to scores ``(N,)`` or ``(N, 1)``, each sample by itself (no batch norm).
    real, fake
        Batches ``(N, ...)`` of equal shape. No gradient flows into them.

    Raises
    ------
    ValueError
        If a batch is not a floating-point tensor ``(N, ...)``, or the shapes differ.

    Examples
    --------
    >>> real, fake = torch.zeros(8, 3), torch.ones(8, 3)
    >>> wgan_lp(lambda x: x[:, 0] / 2, real, fake).item()
    0.0
    """
    return (_gradient_norms(critic, _interpolated(real, fake)) - 1).relu().square().mean()


def dragan(critic: Critic, real: Tensor, fake: Tensor | None = None) -> Tensor:  # noqa: ARG001
    """Gradient penalty ``E (‖∇D(x + δ)‖₂ − 1)²`` around real samples, without its weight λ.

    ``δ ~ N(0, c·I)`` from torch's global generator; ``√c`` is half the standard deviation of the
    values of the batch, as in the authors' code. Source: Kodali et al. 2017, arXiv:1705.07215.

    Parameters
    ----------
    critic
        Maps ``(N, ...)`` to scores ``(N,)`` or ``(N, 1)``, each sample by itself (no batch norm).
    real
        A batch ``(N, ...)``. No gradient flows into it.
    fake
        It is not used, and may be left out: a training step gives it to every penalty.

    Raises
    ------
    ValueError
        If a batch is not a floating-point tensor ``(N, ...)``.

    Examples
    --------
    >>> real = torch.linspace(-1, 1, 24).view(8, 3)
    >>> dragan(lambda x: 3 * x[:, 0], real)  # (3 − 1)²
    tensor(4.)
    """
    _require_batch(real, "real")
    noise = collectives.draw_local_rows(
        torch.randn, real.shape, dtype=real.dtype, device=real.device
    )
    noise = noise * (_standard_deviation(real) / 2)
    return (_gradient_norms(critic, real + noise) - 1).square().mean()


def r1(critic: Critic, real: Tensor, fake: Tensor | None = None) -> Tensor:  # noqa: ARG001
    """R1 penalty ``½ E ‖∇D(x)‖₂²`` on real samples, without its weight γ.

    Source: Mescheder, Geiger, Nowozin 2018, arXiv:1801.04406, equation 9.

    Parameters
    ----------
    critic
        Maps ``(N, ...)`` to scores ``(N,)`` or ``(N, 1)``, each sample by itself (no batch norm).
    real
        A batch ``(N, ...)``. No gradient flows into it.
    fake
        It is not used, and may be left out: a training step gives it to every penalty.

    Raises
    ------
    ValueError
        If a batch is not a floating-point tensor ``(N, ...)``.

    Examples
    --------
    >>> r1(lambda x: 3 * x[:, 0], torch.zeros(8, 3))  # 3²/2
    tensor(4.5000)
    """
    return _half_mean_square(critic, real, "real")


def r1_r2(critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
    """R1 and R2 penalties ``½ E ‖∇D(x)‖₂² + ½ E ‖∇D(G(z))‖₂²``, without their weight γ.

    Source: Mescheder, Geiger, Nowozin 2018, arXiv:1801.04406, equations 9 and 10; Huang et al.
    2024, arXiv:2501.05441, use both together.

    Parameters
    ----------
    critic
        Maps ``(N, ...)`` to scores ``(N,)`` or ``(N, 1)``, each sample by itself (no batch norm).
    real, fake
        Batches ``(N, ...)``. No gradient flows into them.

    Raises
    ------
    ValueError
        If a batch is not a floating-point tensor ``(N, ...)``.

    Examples
    --------
    >>> r1_r2(lambda x: 3 * x[:, 0], torch.zeros(8, 3), torch.ones(8, 3))  # twice 3²/2
    tensor(9.)
    """
    return _half_mean_square(critic, real, "real") + _half_mean_square(critic, fake, "fake")


PENALTIES: Registry[Callable[[Critic, Tensor, Tensor], Tensor]] = Registry(
    "penalties",
    {"wgan-gp": wgan_gp, "wgan-lp": wgan_lp, "dragan": dragan, "r1": r1, "r1+r2": r1_r2},
    argument="method.penalty",
    # a penalty of others may leave out the fake samples
    convert=lambda part, _: fitted(part, 3, "method.penalty"),
)
"""The penalties on gradients by name.

Examples
--------
>>> list(PENALTIES)
['wgan-gp', 'wgan-lp', 'dragan', 'r1', 'r1+r2']
"""


def orthonormal(module: nn.Module) -> Tensor:
    """Sum ``‖G − I‖_F²`` over all linear layers, for the smaller one of ``G = WᵀW`` and ``WWᵀ``.

    ``W`` is the kernel reshaped to ``(out_channels, in_channels·kh·kw)``. Both values differ by
    the constant ``|rows − columns|``, so their gradients are equal. Only the smaller G can be
    the identity matrix. The gradient moves all singular values towards 1. Source: Brock et al.
    2016, arXiv:1609.07093; Miyato et al. 2018, arXiv:1802.05957, section 3.

    Raises
    ------
    ValueError
        If the module has no linear layer.

    Examples
    --------
    >>> layer = nn.Linear(2, 2)
    >>> _ = layer.weight.data.copy_(torch.tensor([1.0, 2.0]).diag())
    >>> orthonormal(layer).item()  # (1² − 1)² + (2² − 1)²
    9.0
    """
    kernels = find_kernels(module, computed=True)
    matrices = [kernel.matrix(kernel.rows_of(kernel.weight)) for kernel in kernels]
    return torch.stack([_deviation_from_orthonormal(matrix) for matrix in matrices]).sum()


def _deviation_from_orthonormal(matrix: Tensor) -> Tensor:
    rows, columns = matrix.shape
    gram = matrix @ matrix.t() if rows < columns else matrix.t() @ matrix
    return (gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)).square().sum()


@torch.no_grad()
def clip_weights_(module: nn.Module, bound: float) -> None:
    """Clamp every weight and bias to ``[−bound, bound]`` in place, except in normalization layers.

    The scales of batch, layer, group, instance and RMS normalization start at 1. Clipping them
    would reduce the layer's output to almost 0. Source: Arjovsky, Chintala, Bottou 2017,
    arXiv:1701.07875, algorithm 1.

    Raises
    ------
    ValueError
        If ``bound`` is not a positive number.

    Examples
    --------
    >>> critic = nn.Linear(4, 1)
    >>> clip_weights_(critic, 0.01)
    >>> bool((critic.weight.abs() <= 0.01).all())
    True
    """
    require_number(bound, "bound", above=0.0)
    for layer in module.modules():
        if not isinstance(layer, _NORMALIZATIONS):
            for parameter in layer.parameters(recurse=False):
                parameter.clamp_(-bound, bound)


_NORMALIZATIONS = (
    _BatchNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d,
    nn.GroupNorm, nn.LayerNorm, nn.RMSNorm,
)  # fmt: skip


def _interpolated(real: Tensor, fake: Tensor) -> Tensor:
    """Return one point on the line between each pair of samples, drawn uniformly."""
    _require_batch(real, "real")
    _require_batch(fake, "fake")
    require_same_shape(real, fake, ("real", "fake"))
    size = (len(real), *[1] * (real.dim() - 1))
    share = collectives.draw_local_rows(torch.rand, size, dtype=real.dtype, device=real.device)
    return share * real + (1 - share) * fake


def _standard_deviation(batch: Tensor) -> Tensor:
    """The standard deviation of all values of the batch, over the batches of all ranks."""
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


def _gradient_norms(critic: Critic, samples: Tensor) -> Tensor:
    # vector_norm has the derivative 0 at 0, where the root of a sum of squares would give NaN
    return torch.linalg.vector_norm(_gradients(critic, samples), dim=1)


def _half_mean_square(critic: Critic, samples: Tensor, name: str) -> Tensor:
    _require_batch(samples, name)
    return _gradients(critic, samples).square().sum(1).mean() / 2


def _require_batch(batch: Tensor, name: str) -> None:
    require(
        batch.is_floating_point() and batch.dim() > 1,
        name,
        expected="a floating-point batch (N, ...)",
        got=f"{batch.dtype} of shape {tuple(batch.shape)}",
    )
