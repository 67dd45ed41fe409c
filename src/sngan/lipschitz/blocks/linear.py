"""Orthogonal linear layers: torch's own layer with a weight of orthonormal rows or columns."""

from torch import nn
from torch.nn.utils import parametrizations, parametrize

from sngan.lipschitz.blocks.cayley import Cayley, init_cayley_
from sngan.lipschitz.blocks.qr import Orthonormal
from sngan.utils.checks import require_count, require_one_of

ORTHOGONAL_MAPS = ("qr", "cayley", "householder", "matrix_exp")
"""The choices of ``orthogonal_map`` in :func:`orthogonal_linear`.

Examples
--------
>>> import torch
>>> from sngan.lipschitz.blocks import ORTHOGONAL_MAPS, orthogonal_linear
>>> for name in ORTHOGONAL_MAPS:
...     weight = orthogonal_linear(3, 2, orthogonal_map=name).weight
...     print(name, torch.allclose(weight @ weight.T, torch.eye(2), atol=1e-5))
qr True
cayley True
householder True
matrix_exp True
"""


def orthogonal_linear(
    in_features: int, out_features: int, *, bias: bool = True, orthogonal_map: str = "qr"
) -> nn.Linear:
    """Return a linear layer whose matrix has orthonormal rows or columns, whichever are fewer.

    Its norm is 1. The weight is computed from a free parameter in every forward pass, so it stays
    orthogonal under every optimizer. ``torch.nn.utils.parametrize.cached()`` computes it once for
    several passes, and ``torch.nn.utils.parametrize.remove_parametrizations(layer, "weight")``
    leaves a plain layer when training is over.

    Parameters
    ----------
    in_features, out_features
        The sizes of a sample before and after.
    bias
        Whether the layer has a bias.
    orthogonal_map
        ``"qr"``: the Q factor of a free matrix, in time ``max(in, out)·min(in, out)²``; a weight
        that you assign is replaced by its Q factor. ``"cayley"``: the transform of Trockman and
        Kolter 2021, arXiv:2104.07167, in the same time. ``"householder"`` (reflections) and
        ``"matrix_exp"`` (maps of skew matrices; Lezcano-Casado 2019, arXiv:1909.09501) are those of
        torch, and take time ``max(in, out)³``.

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
    if orthogonal_map == "qr":
        nn.init.orthogonal_(linear.weight)
        parametrize.register_parametrization(linear, "weight", Orthonormal())
    elif orthogonal_map == "cayley":
        init_cayley_(linear.weight)
        parametrize.register_parametrization(linear, "weight", Cayley())
    else:
        parametrizations.orthogonal(linear, orthogonal_map=orthogonal_map)
    return linear
