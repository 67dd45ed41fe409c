"""What a generator would descend: four distances between a distribution and its shift."""

from dataclasses import dataclass

import numpy as np

from sngan.transport.points import as_float64
from sngan.utils.checks import require, require_number
from sngan.utils.real_arrays import Array, Reals


@dataclass(frozen=True, eq=False)
class Landscape:
    """Distances of a distribution to its shift by each of ``shifts``, and their slopes.

    All are arrays ``(k,)``; divergences in nats, ``wasserstein`` in units of the shift. A
    ``gradient`` is a derivative in the shift: 0 at a kink of symmetry (no shift), the outer value
    at the edge of the overlap, NaN where the distance is infinite or jumps.
    """

    shifts: Array
    jensen_shannon: Array
    kullback_leibler: Array
    total_variation: Array
    wasserstein: Array
    jensen_shannon_gradient: Array
    kullback_leibler_gradient: Array
    total_variation_gradient: Array
    wasserstein_gradient: Array


def landscape(shifts: Reals, *, width: float = 0.0) -> Landscape:
    """Distances between the uniform distributions on ``[0, w]`` and ``[t, t + w]``, closed form.

    With ``r = min(1, |t|/w)``, the share of mass outside the overlap: ``JS = r log 2`` (Jensen and
    Shannon's divergence, with weights ½), ``KL = ∞`` but at ``t = 0``, ``TV = r``, ``W_1 = |t|``.
    Width 0 is the limit of two points, or of two parallel lines at distance ``t`` in the plane
    (any one coordinate that both share leaves all four as they are): ``JS = log 2``, ``KL = ∞``,
    ``TV = 1``, constant and without a gradient, where ``W_1`` alone leads back to ``t = 0``.
    Source: Arjovsky, Chintala, Bottou 2017, arXiv:1701.07875, example 1.

    Parameters
    ----------
    shifts
        ``t``, shape ``(k,)``, of any sign: a floating-point tensor, an array or a list.
    width
        ``w ≥ 0``, in units of the shift.

    Raises
    ------
    ValueError
        If shifts are not finite, not floating-point or not of shape ``(k,)``, or the width is
        negative.
    """
    t = as_float64(shifts, "shifts")
    require(t.ndim == 1, "shifts", expected="shape (k,)", got=f"shape {t.shape}")
    require_number(width, "width", minimum=0.0)
    size, sign, moved = np.abs(t), np.sign(t), t != 0
    apart = size >= width if width > 0 else moved
    # the division is only taken inside the overlap, where width > 0
    share = np.where(apart, 1.0, size / (width or 1.0))
    jumps = (width == 0) & ~moved
    slope = np.where(jumps, np.nan, np.where(apart, 0.0, sign / (width or 1.0)))
    return Landscape(
        shifts=t,
        jensen_shannon=np.log(2) * share,
        kullback_leibler=np.where(moved, np.inf, 0.0),
        total_variation=share,
        wasserstein=size,
        jensen_shannon_gradient=np.log(2) * slope,
        kullback_leibler_gradient=np.full_like(t, np.nan),
        total_variation_gradient=slope,
        wasserstein_gradient=sign,
    )
