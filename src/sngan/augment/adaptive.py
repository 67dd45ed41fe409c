"""Probability of augmentation that adapts: it rises while the critic overfits, or it falls."""

import torch
from torch import Tensor

MOST_P = 0.8
"""The largest probability that :func:`adjusted` returns.

Above it, Karras et al. 2020 find augmentations in the generated images. The reason is translation:
if shifts of −m … m pixels are applied to an axis with probability p, they multiply the frequency ω
of the images by ``1 − p + p sin((m + ½)ω) / ((2m + 1) sin(ω/2))``. The fraction is at least −0.33,
and at least −0.22 for large m, so some frequency vanishes at a p of 0.75 to 0.82.

Examples
--------
>>> import torch
>>> from sngan.augment import adjusted
>>> adjusted(torch.tensor(0.7), torch.tensor(1.0), target=0.6, change=0.5)
tensor(0.8000)
"""


def adjusted(p: Tensor, sign_mean: Tensor, *, target: float, change: float) -> Tensor:
    """Return ``p + change · sign(sign_mean − target)``, at least 0 and at most :data:`MOST_P`.

    ``sign_mean`` is r_t = E[sign(D(x))] over real samples x of some batches: 0 for a critic that
    cannot tell them from generated ones, 1 for one that knows them all by heart. Source: Karras et
    al. 2020, arXiv:2006.06676, section 3.

    Parameters
    ----------
    p
        The probability, a tensor of any shape.
    sign_mean
        r_t, a tensor of the same shape.
    target
        The value of r_t at which p stays; 0.6 in the paper.
    change
        The amount by which p changes: the number of images since the last change, divided by the
        number of images in which p would go from 0 to 1.

    Examples
    --------
    >>> adjusted(torch.tensor(0.5), torch.tensor(0.9), target=0.6, change=0.01)
    tensor(0.5100)
    """
    return (p + change * torch.sign(sign_mean - target)).clamp(0.0, MOST_P)
