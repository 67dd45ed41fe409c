"""Certified accuracy of a classifier on a data set."""

import sys
from dataclasses import replace

import torch
from torch import Tensor, nn
from typing_extensions import override

from sngan import data
from sngan.config import DataConfig
from sngan.engine.setup import open_dataset
from sngan.lipschitz import CertifiedAccuracy, certified_accuracy
from sngan.runs.chosen import LAST
from sngan.tasks.networks import is_own_network, open_network, read_numbers, read_range
from sngan.utils.checks import require_count, require_given
from sngan.utils.progress import counting

# the names of the arguments of the command, for errors that name those of a function
_NAMES = {
    "model": "network",
    "data": "source",
    "x": "source",
    "y": "source",
    "attack_steps": "--attack-steps",
}


def certify(
    network: str,
    source: str,
    *,
    radii: str,
    value_range: str | None = None,
    n: int = 1000,
    settings: DataConfig | None = None,
    checkpoint: str | int = LAST,
    slopes: str = "eclipse",
    attack_steps: int = 20,
    seed: int = 0,
) -> CertifiedAccuracy:
    """Certify the classes that a network predicts for the samples of a SOURCE with labels.

    Parameters
    ----------
    network
        ``package.module:name`` of a network or of a function that returns one, a ``.pt2`` file, or
        a run, whose critic separates two classes by its sign.
    source
        The data set, in any form of ``sngan train --data``, with labels.
    radii
        Numbers or fractions with commas between them, such as ``36/255,72/255``.
    value_range
        The range of the pixels that the network expects, ``0,1`` or ``-1,1``; left out: ``0,1``,
        and ``-1,1`` for a run. The radii are in these units. Points stay as they are.
    n
        The number of samples, drawn at random; all if there are fewer.
    settings
        The settings that the data set is read with, except the source. Images whose resolution or
        channels are left out get those that the network takes, if it says them.
    checkpoint
        The weights of a run, as for :func:`sngan.load`.
    slopes, attack_steps, seed
        As for :func:`sngan.certified_accuracy`; the seed also chooses the samples.

    Raises
    ------
    ValueError
        If the network or the data set cannot be opened, the data have no labels, or a value is out
        of range.
    """
    sizes = read_numbers(radii, "radii", expected="numbers such as 0.1,0.2 or 36/255,72/255")
    usual = "0,1" if is_own_network(network) else "-1,1"
    ends = read_range(usual if value_range is None else value_range, "range")
    require_count(n, "n")
    require_count(seed, "seed", minimum=0)
    opened = open_network(network, checkpoint=checkpoint)
    try:
        read = _in_shape(replace(settings or DataConfig(), source=source), opened.shape)
        x, y = _samples(read, n, seed=seed, ends=ends)
        module = opened.module if is_own_network(network) else _Column(opened.module)
        return certified_accuracy(
            module, x, y, sizes, slopes=slopes, attack_steps=attack_steps, seed=seed
        )
    except ValueError as error:
        name, colon, rest = str(error).partition(":")
        raise ValueError(f"{_NAMES.get(name, name)}{colon}{rest}") from error


class _Column(nn.Module):
    """A critic with scores ``(N,)`` as a classifier with outputs ``(N, 1)``."""

    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic = critic

    @override
    def forward(self, x: Tensor) -> Tensor:
        return self.critic(x).unsqueeze(1)


def _in_shape(settings: DataConfig, shape: tuple[int, ...] | None) -> DataConfig:
    """Return settings that read images in the shape that a network takes, unless they say it."""
    if shape is None or len(shape) != 3 or shape[0] not in (1, 3, 4):
        return settings
    size = data.resolution_setting((shape[1], shape[2]))
    return replace(
        settings,
        resolution=size if settings.resolution is None else settings.resolution,
        channels=shape[0] if settings.channels is None else settings.channels,
    )


def _samples(
    settings: DataConfig, n: int, *, seed: int, ends: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Return up to ``n`` samples, drawn at random, and their labels."""
    # standard output is for the result
    with counting("decoding", file=sys.stderr) as progress:
        dataset = open_dataset(settings, progress)
    labels = require_given(dataset.labels, "data", expected="samples with labels")
    picked = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))[:n]
    x = dataset.values(picked).float()
    if dataset.is_images:
        low, high = ends
        x = low + (high - low) * (x + 1) / 2
    return x, labels[picked].long()
