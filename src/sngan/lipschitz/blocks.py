"""1-Lipschitz building blocks: sorting activations, averaged residuals, orthogonal layers.

Networks of orthogonal layers with sorting in place of ReLU approximate every 1-Lipschitz function
(Anil, Lucas, Grosse 2019, arXiv:1811.05381).
"""

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from sngan.utils.checks import require, require_count, require_one_of

ORTHOGONAL_MAPS = ("householder", "cayley", "matrix_exp")


class GroupSort(nn.Module):
    """Sorts dimension 1 in groups of ``group_size`` neighbours, ascending.

    ``(N, C, *) → (N, C, *)``, where C is a multiple of ``group_size``. For all inputs
    with the same order it is one permutation. So it keeps the norm of gradients and is 1-Lipschitz.
    Source: Anil et al. 2019, arXiv:1811.05381.

    Raises
    ------
    ValueError
        If ``group_size`` is below 2; in the forward pass, if C is not a multiple of it.

    Examples
    --------
    >>> import torch
    >>> GroupSort(3)(torch.tensor([[3.0, 1.0, 2.0, 0.0, 5.0, 4.0]]))
    tensor([[1., 2., 3., 0., 4., 5.]])
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
        """Return the group size for ``repr``."""
        return f"group_size={self.group_size}"


class MaxMin(GroupSort):
    """Sorts each pair of neighbouring channels: GroupSort(2).

    It is equivalent to an absolute value between two rotations by 45°. Source: Anil et al. 2019,
    arXiv:1811.05381 (OPLU of Chernodub, Nowicki 2016, arXiv:1604.02313).

    Examples
    --------
    >>> import torch
    >>> MaxMin()(torch.tensor([[2.0, 1.0, 3.0, 4.0]]))
    tensor([[1., 2., 3., 4.]])
    """

    def __init__(self) -> None:
        super().__init__(2)

    def extra_repr(self) -> str:
        """Return an empty text, because the group size is fixed."""
        return ""


class AveragedResidual(nn.Module):
    """``y = (x + branch(x))/2``: its constant is at most ``(1 + Lip(branch))/2``.

    The branch must keep the shape.

    Examples
    --------
    >>> import torch
    >>> AveragedResidual(nn.ReLU())(torch.tensor([-2.0, 2.0]))
    tensor([-1.,  2.])
    """

    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of the input and the branch's output."""
        return (x + self.branch(x)) / 2


class InvertibleDownsampling(nn.Module):
    """``(N, C, H, W) → (N, C·factor², H/factor, W/factor)``: a rearrangement, so an isometry.

    Examples
    --------
    >>> import torch
    >>> InvertibleDownsampling(2)(torch.zeros(1, 3, 8, 8)).shape
    torch.Size([1, 12, 4, 4])
    """

    def __init__(self, factor: int) -> None:
        super().__init__()
        require_count(factor, "factor")
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Return the pixels of each ``factor × factor`` square as channels."""
        return F.pixel_unshuffle(x, self.factor)

    def extra_repr(self) -> str:
        """Return the factor for ``repr``."""
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
    """Return a linear layer whose matrix has orthonormal rows or columns, whichever are fewer.

    Its norm is 1. ``torch.nn.utils.parametrizations.orthogonal`` computes the weight from free
    parameters, so it stays orthogonal under every optimizer.

    Parameters
    ----------
    in_features, out_features
        The sizes of a sample before and after.
    bias
        Whether the layer has a bias.
    orthogonal_map
        ``"householder"`` (the reflections of a QR decomposition), ``"cayley"`` or ``"matrix_exp"``
        (maps of skew matrices; Lezcano-Casado 2019, arXiv:1909.09501).

    Raises
    ------
    ValueError
        If a size is below 1 or the map is unknown.

    Examples
    --------
    >>> import torch
    >>> weight = orthogonal_linear(5, 3).weight
    >>> torch.allclose(weight @ weight.T, torch.eye(3), atol=1e-5)
    True
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
    """Return a convolution with kernel size and stride ``factor`` that is orthogonal on each patch.

    ``(N, in_channels, H, W) → (N, out_channels, H/factor, W/factor)``: a rearrangement of pixels
    into channels, then an orthogonal 1×1 convolution. Its norm is 1. It is exactly orthogonal
    because the patches do not overlap; with overlapping patches, an orthogonal matrix as a kernel
    would not give an orthogonal map.

    Parameters
    ----------
    in_channels, out_channels
        The channels before and after.
    factor
        The kernel size and the stride.
    orthogonal_map
        See :func:`orthogonal_linear`.

    Raises
    ------
    ValueError
        If a count is below 1 or the map is unknown.

    Examples
    --------
    >>> import torch
    >>> orthogonal_convolution(3, 8, factor=2)(torch.zeros(1, 3, 8, 8)).shape
    torch.Size([1, 8, 4, 4])
    """
    require_count(in_channels, "in_channels")
    require_count(factor, "factor")
    linear = orthogonal_linear(in_channels * factor**2, out_channels, orthogonal_map=orthogonal_map)
    return nn.Sequential(InvertibleDownsampling(factor), _ChannelLinear(linear))
