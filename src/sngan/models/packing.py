"""Packing: several samples that a critic scores as one (PacGAN), and checks of such groups."""

from torch import Tensor

from sngan.utils.checks import is_integer, require, require_count
from sngan.utils.text import counted

_MOST_PACKED = 4


def packed(samples: Tensor, count: int) -> Tensor:
    """Join each ``count`` consecutive samples along dimension 1: ``(N/count, count·C, ...)``.

    A critic of packs sees several samples of one kind at once, all real or all generated. So it
    notices a generator whose samples are too similar, even if each of them is perfect. Source:
    Lin et al. 2018, arXiv:1712.04086.

    Parameters
    ----------
    samples
        Images ``(N, C, H, W)`` or points ``(N, C)``; N is a multiple of ``count``.
    count
        The number of samples in a pack. 1 returns ``samples``.

    Examples
    --------
    >>> import torch
    >>> packed(torch.arange(8.0).view(4, 2), 2).tolist()
    [[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]]
    """
    return samples if count == 1 else samples.unflatten(0, (-1, count)).flatten(1, 2)


def packed_shape(shape: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Return the shape of a pack of samples of this shape.

    >>> packed_shape((3, 32, 32), 2)
    (6, 32, 32)
    """
    return (shape[0] * count, *shape[1:])


def require_groups(pack: int, minibatch_std: int | None, *, conditional: bool = False) -> None:
    """Check the settings of groups of samples.

    Parameters
    ----------
    pack
        The samples that the critic scores as one.
    minibatch_std
        The group size of the minibatch standard deviation; None if it is off.
    conditional
        Whether the model is conditional.

    Raises
    ------
    ValueError
        If a number is out of range, or packs are to have a class.
    """
    is_count = is_integer(pack) and 1 <= pack <= _MOST_PACKED
    expected = f"an integer from 1 (each sample by itself) to {_MOST_PACKED}"
    require(is_count, "model.pack", expected=expected, got=repr(pack))
    expected = "1 for a conditional model, because a pack of samples has no single class"
    require(pack == 1 or not conditional, "model.pack", expected=expected, got=pack)
    if minibatch_std is not None:
        require_count(minibatch_std, "model.minibatch_std", minimum=2)


def require_divided(rows: int, *, pack: int, minibatch_std: int | None) -> None:
    """Check that a batch consists of whole packs and groups.

    Parameters
    ----------
    rows
        The samples that a device scores at once: its part of a batch, or of a part of it.
    pack, minibatch_std
        As for :func:`require_groups`.

    Raises
    ------
    ValueError
        If a pack or a group would be cut.
    """
    expected = f"a number that divides the {counted(rows, 'sample')} that a device scores at once"
    require(rows % pack == 0, "model.pack", expected=expected, got=pack)
    inputs = rows // pack
    scored = counted(inputs, "sample or pack", "samples or packs")
    expected = f"a number that divides the {scored} that a device scores at once"
    fits = minibatch_std is None or inputs % minibatch_std == 0
    require(fits, "model.minibatch_std", expected=expected, got=minibatch_std)
