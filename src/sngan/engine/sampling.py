"""Samples of the averaged generator while a run trains."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from sngan.distributed import fsdp
from sngan.runs.networks import balanced_labels, draw, noise_from_seed

_BATCH = 256


@torch.no_grad()
def sample_average(
    average: AveragedModel,
    n: int,
    *,
    classes: Sequence[int],
    seed: int,
    latent_dim: int | None = None,
) -> Tensor:
    """Return ``n`` samples of the averaged generator, on the CPU.

    Where weights are sharded, all ranks take part: one rank calls this function while the others
    call :func:`gather_average`.

    Parameters
    ----------
    average
        The averaged generator.
    n
        The number of samples.
    classes
        The classes that a conditional generator draws in turn; empty for other generators.
    seed
        The seed of the noise.
    latent_dim
        The dimension of the noise; left out: that of a generator of sngan.
    """
    generator = gather_average(average).eval()
    device = next(generator.parameters()).device
    dimension = latent_dim if latent_dim is not None else cast(int, generator.latent_dim)
    noise = noise_from_seed(n, dimension, seed=seed).to(device)
    labels = balanced_labels(n, classes, device=device)
    parts = torch.arange(n, device=device).split(_BATCH)
    return torch.cat(
        [draw(generator, noise[p], None if labels is None else labels[p]).cpu() for p in parts]
    )


def gather_average(average: AveragedModel) -> nn.Module:
    """Return the averaged generator with whole weights. All ranks of a sharded run call this."""
    return fsdp.unsharded(average.module)
