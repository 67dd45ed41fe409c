"""Stacked digits: a thousand modes without a download."""

import torch

from sngan.data.sources.toy import digits
from sngan.data.types import Arrays

NAME = "stacked-digits"
SAMPLES = 50_000
_SEED = 20161107


def stacked_digits() -> Arrays:
    """50,000 RGB images of 8×8 pixels, a handwritten digit in each channel; labels 0 … 999.

    The label is the number that red, green and blue spell. All thousand are equally likely: a
    channel's digit is uniform, and its picture uniform among those of this digit. The Stacked
    MNIST of Metz et al. 2016, arXiv:1611.02163, made of scikit-learn's digits.
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
