"""Sorting activations: GroupSort and MaxMin."""

from torch import Tensor, nn

from sngan.utils.checks import require, require_count


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
