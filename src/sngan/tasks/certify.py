"""Certified accuracy of a classifier on a data set."""

import sys

import torch
from torch import Tensor

from sngan import data
from sngan.lipschitz import CertifiedAccuracy, certified_accuracy
from sngan.runs.chosen import LAST
from sngan.tasks.networks import open_network, read_numbers, read_range
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
    value_range: str = "0,1",
    n: int = 1000,
    split: str = "train",
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
        The range of the pixels that the network expects, ``0,1`` or ``-1,1``. The radii are in
        these units. Points stay as they are.
    n
        The number of samples, drawn at random; all if there are fewer.
    split
        The split of the data set.
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
    ends = read_range(value_range, "range")
    require_count(n, "n")
    require_count(seed, "seed", minimum=0)
    opened = open_network(network, checkpoint=checkpoint)
    try:
        x, y = _samples(source, n, split=split, seed=seed, ends=ends)
        return certified_accuracy(
            opened.module, x, y, sizes, slopes=slopes, attack_steps=attack_steps, seed=seed
        )
    except ValueError as error:
        name, colon, rest = str(error).partition(":")
        raise ValueError(f"{_NAMES.get(name, name)}{colon}{rest}") from error


def _samples(
    source: str, n: int, *, split: str, seed: int, ends: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Return up to ``n`` samples, drawn at random, and their labels."""
    # standard output is for the result
    with counting("decoding", file=sys.stderr) as progress:
        dataset = data.open_source(source, split=split, progress=progress)
    labels = require_given(dataset.labels, "data", expected="samples with labels")
    picked = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))[:n]
    x = dataset.values(picked).float()
    if dataset.is_images:
        low, high = ends
        x = low + (high - low) * (x + 1) / 2
    return x, labels[picked].long()
