"""Minibatch standard deviation: a map that shows a critic how much samples of a group differ."""

import torch
from torch import Tensor, nn

_EPSILON = 1e-8


class MinibatchStd(nn.Module):
    """Append one map: the standard deviation inside a group of samples, ``(N, C + 1, H, W)``.

    The standard deviation of each value over a group, ``√(E (x − E x)² + 1e-8)``, is averaged over
    all channels and places. The result is one number for each group, and fills the map of all its
    samples. The critic can then easily notice a generator of equal samples. Sources: Karras et al.
    2018, arXiv:1710.10196, section 3; groups as in Karras et al. 2020, arXiv:1912.04958.

    A group is ``group_size`` consecutive samples, so that neither real and generated samples nor
    the samples of two ranks share one. Samples that are left over at the end form a smaller group;
    a sample alone has the number 0.0001.

    Parameters
    ----------
    group_size
        The number of samples in a group.

    Examples
    --------
    >>> maps = torch.tensor([1.0, 3.0, 5.0, 5.0]).view(4, 1, 1, 1)
    >>> MinibatchStd(2)(maps)[:, 1].flatten().round(decimals=3).tolist()
    [1.0, 1.0, 0.0, 0.0]
    """

    def __init__(self, group_size: int) -> None:
        super().__init__()
        self.group_size = group_size

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps ``(N, C + 1, H, W)`` of maps ``(N, C, H, W)``."""
        rest = len(maps) % self.group_size
        whole, left = maps.split([len(maps) - rest, rest])
        parts = [_standard_deviation(left[None])] if rest else []
        if len(whole):
            parts.insert(0, _standard_deviation(whole.unflatten(0, (-1, self.group_size))))
        filled = torch.cat(parts)[:, None, None, None].expand(-1, 1, *maps.shape[2:])
        return torch.cat([maps, filled.to(maps.dtype)], dim=1)

    def extra_repr(self) -> str:
        """Return the group size, for ``repr``."""
        return f"group_size={self.group_size}"


def _standard_deviation(groups: Tensor) -> Tensor:
    """Return one number for each sample of groups ``(G, size, C, H, W)``: ``(G·size,)``."""
    values = groups.to(torch.promote_types(groups.dtype, torch.float32))
    variance = (values - values.mean(1, keepdim=True)).square().mean(1)
    deviation = (variance + _EPSILON).sqrt().mean((1, 2, 3))
    return deviation.repeat_interleave(groups.shape[1])
