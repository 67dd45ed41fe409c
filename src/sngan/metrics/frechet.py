"""Fréchet distance of two Gaussians fitted to features; on Inception's features, the FID."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sngan.metrics.features import as_features, as_pair
from sngan.utils.checks import require
from sngan.utils.real_arrays import Reals, real_tensor
from sngan.utils.scaling import exponent_of, shifted


class Gaussian(NamedTuple):
    """A mean ``(d,)`` and a root ``(r, d)`` of the covariance, ``Σ = rootᵀ root``, in float64.

    Examples
    --------
    >>> from sngan.metrics import fit_gaussian
    >>> gaussian = fit_gaussian(torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]]))
    >>> gaussian.mean.tolist(), gaussian.root.shape
    ([1.0, 1.0], torch.Size([2, 2]))
    """

    mean: Tensor
    root: Tensor


def fit_gaussian(features: Reals) -> Gaussian:
    """Fit a Gaussian: the mean and the unbiased covariance of features ``(n, d)``, n ≥ 2.

    The root of the covariance is the triangular factor of the QR factorization of the centred
    features. This avoids the loss of digits in their products.

    Raises
    ------
    ValueError
        If features are not floating-point numbers ``(n, d)``, have fewer than 2 rows, or are not
        finite.

    Examples
    --------
    >>> import torch
    >>> from sngan.metrics import fit_gaussian
    >>> gaussian = fit_gaussian(torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]]))
    >>> gaussian.mean.tolist()
    [1.0, 1.0]
    >>> (gaussian.root.T @ gaussian.root).round(decimals=9).abs().tolist()
    [[1.0, 0.0], [0.0, 3.0]]
    """
    x = as_features(features, "features", minimum=2)
    exponent = exponent_of(x)
    x = shifted(x, -exponent)
    mean = x.mean(0)
    root = (x - mean) / (len(x) - 1) ** 0.5
    if len(x) > x.shape[1]:
        root = torch.linalg.qr(root, mode="r").R
    return Gaussian(shifted(mean, exponent), shifted(root, exponent))


def gaussian_of_moments(mean: Reals, covariance: Reals) -> Gaussian:
    """Make a Gaussian from published statistics: a mean ``(d,)`` and a covariance ``(d, d)``.

    Raises
    ------
    ValueError
        If shapes do not fit, values are not finite, or the covariance is, by more than rounding,
        not symmetric or not positive semidefinite.

    Examples
    --------
    >>> import torch
    >>> from sngan.metrics import gaussian_of_moments
    >>> gaussian_of_moments(torch.zeros(2), torch.eye(2)).mean.tolist()
    [0.0, 0.0]
    """
    centre = _finite(mean, "mean", expected="floating-point numbers (d,)")
    require(centre.dim() == 1, "mean", expected="shape (d,)", got=tuple(centre.shape))
    matrix = _finite(covariance, "covariance", expected="floating-point numbers (d, d)")
    size = len(centre)
    fits = matrix.shape == (size, size) and size > 0
    require(fits, "covariance", expected=f"shape {(size, size)}", got=tuple(matrix.shape))
    exponent = 2 * (exponent_of(matrix) // 2)
    matrix = shifted(matrix, -exponent)
    uneven = float((matrix - matrix.T).abs().max())
    expected = "a symmetric matrix"
    require(uneven <= 1e-6, "covariance", expected=expected, got=f"differences of {uneven:g}")
    values, vectors = torch.linalg.eigh(matrix)
    lowest, highest = float(values[0]), float(values[-1])
    semidefinite = lowest >= -1e-6 * abs(highest)
    got = f"the eigenvalue {float(shifted(values[0], exponent)):g}"
    require(semidefinite, "covariance", expected="a positive semidefinite matrix", got=got)
    root = values.clamp_min(0).sqrt()[:, None] * vectors.T
    return Gaussian(centre.to(root.device), shifted(root, exponent // 2))


def _finite(values: Reals, name: str, *, expected: str) -> Tensor:
    numbers = real_tensor(values, name, expected=expected)
    require(bool(numbers.isfinite().all()), name, expected="finite values", got="nan or inf")
    return numbers


def gaussian_distance(x: Gaussian, y: Gaussian) -> float:
    """Fréchet distance ``|m_x − m_y|² + tr(Σ_x + Σ_y − 2(Σ_x Σ_y)^½)`` of two Gaussians.

    This is ``W_2²``, the square of their 2-Wasserstein distance, in squared units of the features.
    With ``Σ = RᵀR`` the trace of ``(Σ_x Σ_y)^½`` is the sum of the singular values of ``R_x R_yᵀ``,
    which are exact to rounding. The usual way, by the eigenvalues of ``Σ_x Σ_y``, loses half of the
    digits, which matters if there are fewer samples than features.

    Source: Dowson, Landau 1982, The Fréchet distance between multivariate normal distributions.

    Raises
    ------
    ValueError
        If the dimensions differ, or float64 cannot hold the distance.

    Examples
    --------
    Two Gaussians on a line: ``(0 − 3)² + (1 − 2)² = 10``.

    >>> import torch
    >>> from sngan.metrics import gaussian_distance, gaussian_of_moments
    >>> x = gaussian_of_moments(torch.tensor([0.0]), torch.tensor([[1.0]]))
    >>> y = gaussian_of_moments(torch.tensor([3.0]), torch.tensor([[4.0]]))
    >>> gaussian_distance(x, y)
    10.0
    """
    same, expected = x.mean.shape == y.mean.shape, f"the dimension of y, {len(y.mean)}"
    require(same, "x", expected=expected, got=len(x.mean))
    shift = x.mean - y.mean
    exponent = exponent_of(shift, x.root, y.root)
    shift, left, right = (shifted(part, -exponent) for part in (shift, x.root, y.root))
    traces = left.square().sum() + right.square().sum()
    overlap = torch.linalg.svdvals(left @ right.T).sum()
    scaled = (shift.square().sum() + traces - 2 * overlap).clamp_min(0)
    distance = float(shifted(scaled, 2 * exponent))
    require(
        math.isfinite(distance),
        "x, y",
        expected="a squared distance that float64 can hold",
        got="an overflow: divide both by a constant",
    )
    return distance


def frechet_distance(generated: Reals, real: Reals) -> float:
    """Fréchet distance of the Gaussians fitted to two sets of features; on Inception's, the FID.

    It is :func:`gaussian_distance` of :func:`fit_gaussian`, a squared distance in squared units of
    the features, as usual in the literature. Its bias is upward and of order 1/n, so compare
    only values of equal sample counts.

    Source: Heusel et al. 2017, arXiv:1706.08500; on the bias: Chong, Forsyth 2020,
    arXiv:1911.07023.

    Parameters
    ----------
    generated, real
        Features ``(n, d)`` and ``(m, d)``, at least 2 rows each; computed in float64.

    Raises
    ------
    ValueError
        If shapes do not fit, there are fewer than 2 rows, values are not finite, or float64 cannot
        hold the distance.

    Examples
    --------
    A shift by (3, 4) changes no covariance: the distance is 25, the square of its length.

    >>> import torch
    >>> from sngan.metrics import frechet_distance
    >>> real = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    >>> round(frechet_distance(real + torch.tensor([3.0, 4.0]), real), 4)
    25.0
    """
    x, y = as_pair(generated, real, minimum=2)
    return gaussian_distance(fit_gaussian(x), fit_gaussian(y))
