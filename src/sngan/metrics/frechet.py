"""The Fréchet distance of two Gaussians fitted to features."""

from typing import NamedTuple

import torch
from torch import Tensor

from sngan._checks import require
from sngan.metrics._features import as_features, as_pair


class Gaussian(NamedTuple):
    """A mean ``(d,)`` and a root ``(r, d)`` of the covariance: ``Σ = rootᵀ root``; float64."""

    mean: Tensor
    root: Tensor


def fit_gaussian(features: Tensor) -> Gaussian:
    """Mean and unbiased covariance of features ``(n, d)``, n of at least 2.

    The root is the triangle of the QR factorization of the centred features, so no digit is lost
    in their products.

    Raises
    ------
    ValueError
        Not floating-point ``(n, d)``, fewer than 2 rows, values that are not finite.
    """
    x = as_features(features, "features", minimum=2)
    mean = x.mean(0)
    centred = (x - mean) / (len(x) - 1) ** 0.5
    tall = len(x) > x.shape[1]
    return Gaussian(mean, torch.linalg.qr(centred, mode="r").R if tall else centred)


def gaussian_of_moments(mean: Tensor, covariance: Tensor) -> Gaussian:
    """Published statistics: a mean ``(d,)`` and a covariance ``(d, d)``.

    Raises
    ------
    ValueError
        Shapes that do not fit, or eigenvalues below zero by more than rounding.
    """
    size = len(mean)
    fits = covariance.shape == (size, size)
    require(fits, "covariance", expected=f"shape {(size, size)}", got=tuple(covariance.shape))
    values, vectors = torch.linalg.eigh(covariance.to(torch.float64))
    lowest, highest = float(values[0]), float(values[-1])
    semidefinite = lowest >= -1e-6 * abs(highest)
    got = f"the eigenvalue {lowest:g}"
    require(semidefinite, "covariance", expected="a positive semidefinite matrix", got=got)
    return Gaussian(mean.to(torch.float64), values.clamp_min(0).sqrt()[:, None] * vectors.T)


def gaussian_distance(x: Gaussian, y: Gaussian) -> float:
    """``|m_x − m_y|² + tr(Σ_x + Σ_y − 2(Σ_x Σ_y)^½)``: the squared W₂ of two Gaussians.

    With ``Σ = RᵀR`` the last trace is the sum of the singular values of ``R_x R_yᵀ``. They are
    exact to rounding; the eigenvalues of ``Σ_x Σ_y`` lose half the digits of their roots, which
    shows where there are fewer samples than features. Source: Dowson, Landau 1982, The Fréchet
    distance between multivariate normal distributions.
    """
    shift = (x.mean - y.mean).square().sum()
    traces = x.root.square().sum() + y.root.square().sum()
    overlap = torch.linalg.svdvals(x.root @ y.root.T).sum()
    return float((shift + traces - 2 * overlap).clamp_min(0))


def frechet_distance(generated: Tensor, real: Tensor) -> float:
    """Fréchet distance of the Gaussians fitted to two sets of features; on Inception's, the FID.

    Following the field it is the square, in squared units of the features. It is biased up by
    about 1/n: compare only figures of equal sample counts. Source: Heusel et al. 2017,
    arXiv:1706.08500; the bias: Chong, Forsyth 2020, arXiv:1911.07023.

    Parameters
    ----------
    generated, real
        Features ``(n, d)`` and ``(m, d)``, at least 2 rows each; computed in float64.

    Raises
    ------
    ValueError
        Shapes that do not fit, fewer than 2 rows, values that are not finite.
    """
    x, y = as_pair(generated, real, minimum=2)
    return gaussian_distance(fit_gaussian(x), fit_gaussian(y))
