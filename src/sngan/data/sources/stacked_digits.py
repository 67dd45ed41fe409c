"""Stacked digits: a data set with a thousand modes that needs no download."""

import torch

from sngan.data.sources.toy import digits
from sngan.data.types import Arrays

NAME = "stacked-digits"
SAMPLES = 50_000
_SEED = 20161107


def stacked_digits() -> Arrays:
    """Make 50,000 RGB images of 8×8 pixels with a handwritten digit in each channel.

    The label, 0 … 999, is the number that red, green and blue spell. All labels are equally likely:
    the digit of a channel is uniform, and its image is uniform among those of this digit. It is the
    Stacked MNIST of Metz et al. 2016, arXiv:1611.02163, with scikit-learn's digits.
    """
    generator = torch.Generator().manual_seed(_SEED)
    single = digits()
    pictures, written = single.samples, single.labels
    assert written is not None
    order = written.argsort(stable=True)
    sizes = written.bincount()
    label = torch.randint(1000, (SAMPLES,), generator=generator)
    digit = torch.stack([label // 100, label // 10 % 10, label % 10], dim=1)
    within = torch.rand(SAMPLES, 3, generator=generator, dtype=torch.float64) * sizes[digit]
    chosen = order[(sizes.cumsum(0) - sizes)[digit] + within.long()]
    names = tuple(f"{number:03}" for number in range(1000))
    return Arrays(pictures[chosen].squeeze(2), label, names)
