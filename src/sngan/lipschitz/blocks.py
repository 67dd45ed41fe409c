"""1-Lipschitz building blocks: sorting activations, averaged residuals, orthogonal layers.

Anil, Lucas, Grosse 2019, arXiv:1811.05381: networks of such layers, with sorting in place of ReLU,
approximate every 1-Lipschitz function.
"""

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from sngan.utils.checks import require, require_count, require_one_of

ORTHOGONAL_MAPS = ("householder", "cayley", "matrix_exp")


class GroupSort(nn.Module):
    """Sorts dimension 1 in groups of ``group_size`` neighbours, ascending.

    ``(N, C, *) → (N, C, *)``, with C a multiple of ``group_size``. It is a permutation on each
    region, so it keeps the norm of gradients: 1-Lipschitz. Source: Anil et al. 2019,
    arXiv:1811.05381.

    Raises
    ------
    ValueError
        In the forward pass, when C is not a multiple of ``group_size``.
    """

    def __init__(self, group_size: int) -> None:
        super().__init__()
        require_count(group_size, "group_size", minimum=2)
        self.group_size = group_size

    def forward(self, x: Tensor) -> Tensor:
        """Return the sorted tensor."""
        require(
            x.dim() > 1 and x.shape[1] % self.group_size == 0,
            "x",
            expected=f"a multiple of {self.group_size} channels in dimension 1",
            got=tuple(x.shape),
        )
        return x.unflatten(1, (-1, self.group_size)).sort(dim=2).values.flatten(1, 2)

    def extra_repr(self) -> str:
        """Say the group size in ``repr``."""
        return f"group_size={self.group_size}"


class MaxMin(GroupSort):
    """Puts the smaller and the larger of each pair of channels in order: GroupSort(2).

    Equivalent to an absolute value between two rotations by 45°. Source: Anil et al. 2019,
    arXiv:1811.05381 (OPLU of Chernodub, Nowicki 2016, arXiv:1604.02313).
    """

    def __init__(self) -> None:
        super().__init__(2)

    def extra_repr(self) -> str:
        """Nothing to say: the group size is fixed."""
        return ""


class AveragedResidual(nn.Module):
    """``y = (x + branch(x))/2``: its constant is at most ``(1 + Lip(branch))/2``.

    The branch must keep the shape.
    """

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of the input and its image."""
        return (x + self.branch(x)) / 2


class InvertibleDownsampling(nn.Module):
    """``(N, C, H, W) → (N, C·factor², H/factor, W/factor)``: a rearrangement, so an isometry."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        require_count(factor, "factor")
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Return the pixels of each ``factor × factor`` square as channels."""
        return F.pixel_unshuffle(x, self.factor)

    def extra_repr(self) -> str:
        """Say the factor in ``repr``."""
        return f"factor={self.factor}"


class _ChannelLinear(nn.Module):
    """A linear layer on the channels of ``(N, C, H, W)``: a 1×1 convolution."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.movedim(1, -1)).movedim(-1, 1)


def orthogonal_linear(
    in_features: int, out_features: int, *, bias: bool = True, orthogonal_map: str = "householder"
) -> nn.Linear:
    """A linear layer whose matrix has orthonormal rows or columns, whichever are fewer: norm 1.

    The weight is computed from free parameters by ``torch.nn.utils.parametrizations.orthogonal``,
    so that any optimizer keeps it orthogonal. ``"householder"`` (a QR's reflections) and
    ``"cayley"`` and ``"matrix_exp"`` (maps of skew matrices; Lezcano-Casado 2019,
    arXiv:1909.09501).

    Raises
    ------
    ValueError
        A size below 1, an unknown map.
    """
    require_count(in_features, "in_features")
    require_count(out_features, "out_features")
    require_one_of(orthogonal_map, "orthogonal_map", choices=ORTHOGONAL_MAPS)
    linear = nn.Linear(in_features, out_features, bias=bias)
    parametrizations.orthogonal(linear, orthogonal_map=orthogonal_map)
    return linear


def orthogonal_convolution(
    in_channels: int, out_channels: int, *, factor: int = 1, orthogonal_map: str = "householder"
) -> nn.Module:
    """A convolution of kernel and stride ``factor`` whose map is orthogonal on each patch: norm 1.

    ``(N, in_channels, H, W) → (N, out_channels, H/factor, W/factor)``: a rearrangement of pixels
    into channels, then an orthogonal 1×1 convolution. The patches do not overlap, which makes it
    exactly orthogonal; a reshaped orthogonal kernel of overlapping patches would not be.

    Raises
    ------
    ValueError
        A count below 1, an unknown map.
    """
    require_count(in_channels, "in_channels")
    require_count(factor, "factor")
    linear = orthogonal_linear(in_channels * factor**2, out_channels, orthogonal_map=orthogonal_map)
    return nn.Sequential(InvertibleDownsampling(factor), _ChannelLinear(linear))
