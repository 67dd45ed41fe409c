"""Differentiable augmentation of real and generated images, for small data sets.

The critic sees only augmented images, in its own step and in the generator's step, and gradients
pass through the augmentation to the generator. There are two kinds:

- :data:`AUGMENTATIONS`, functions that change every image (Zhao et al. 2020, arXiv:2006.10738);
- :func:`nonleaking`, which applies each transformation with a probability p; p may follow the
  critic's overfitting by :func:`adjusted` (Karras et al. 2020, arXiv:2006.06676).

Every function maps images ``(N, C, H, W)`` in [−1, 1] to images of the same shape. It draws numbers
for each image from torch's global generator. If several processes share a batch
(``torch.distributed``), each draws the numbers of the whole batch and uses those of its own rows.
"""

from sngan.augment.adaptive import MOST_P as MOST_P
from sngan.augment.adaptive import adjusted as adjusted
from sngan.augment.differentiable import AUGMENTATIONS as AUGMENTATIONS
from sngan.augment.differentiable import augment as augment
from sngan.augment.differentiable import color as color
from sngan.augment.differentiable import cutout as cutout
from sngan.augment.differentiable import translation as translation
from sngan.augment.nonleaking import nonleaking as nonleaking

__all__ = [
    "AUGMENTATIONS",
    "MOST_P",
    "adjusted",
    "augment",
    "color",
    "cutout",
    "nonleaking",
    "translation",
]
