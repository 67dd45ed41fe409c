"""Landscape of four distances between a distribution and its shift, which a generator descends."""

from dataclasses import dataclass

import numpy as np

from sngan.transport.points import as_float64
from sngan.utils.checks import require, require_number
from sngan.utils.real_arrays import Array, Reals


@dataclass(frozen=True, eq=False)
class Landscape:
    """Distances between a distribution and its copies shifted by ``shifts``; their derivatives.

    All are arrays ``(k,)``. A gradient is the derivative in the shift: 0 at no shift, where the
    distance has a symmetric kink; at the edge of the overlap it is the value outside; it is NaN
    where the distance is infinite or jumps.

    Attributes
    ----------
    shifts
        The shifts t.
    jensen_shannon, kullback_leibler
        Divergences, in nats.
    total_variation
        The largest difference of the probabilities of a set, between 0 and 1.
    wasserstein
        ``W_1``, in units of the shift.
    jensen_shannon_gradient, kullback_leibler_gradient
        The derivatives of the divergences.
    total_variation_gradient, wasserstein_gradient
        The derivatives of the other two.

    Examples
    --------
    >>> from sngan.transport import landscape
    >>> found = landscape([0.5, 2.0])  # two points: only W1 shows the way
    >>> found.wasserstein_gradient.tolist(), found.jensen_shannon_gradient.tolist()
    ([1.0, 1.0], [0.0, 0.0])
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
    """Compute distances between the uniform distributions on ``[0, w]`` and ``[t, t + w]``.

    The closed forms, with ``r = min(1, |t|/w)`` the share of mass outside the overlap, are

    - ``JS = r log 2``, the divergence of Jensen and Shannon with weights ½;
    - ``KL = ∞`` for ``t ≠ 0``, and 0 for ``t = 0``;
    - ``TV = r``, the total variation;
    - ``W_1 = |t|``.

    Width 0 is the limit of two points. It also describes two parallel lines at distance ``t`` in
    the plane, because a coordinate that both share changes none of the four distances. There ``JS =
    log 2``, ``KL = ∞`` and ``TV = 1`` are constant and have no gradient; only ``W_1`` leads back to
    ``t = 0``.

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

    Examples
    --------
    >>> from sngan.transport.landscape import landscape
    >>> found = landscape([-2.0, 0.5], width=1.0)
    >>> found.wasserstein.tolist(), found.total_variation.tolist()
    ([2.0, 0.5], [1.0, 0.5])
    >>> found.wasserstein_gradient.tolist(), found.total_variation_gradient.tolist()
    ([-1.0, 1.0], [0.0, 1.0])
    """
    t = as_float64(shifts, "shifts")
    require(t.ndim == 1, "shifts", expected="shape (k,)", got=f"shape {t.shape}")
    require_number(width, "width", minimum=0.0)
    size, sign, moved = np.abs(t), np.sign(t), t != 0
    apart = size >= width if width > 0 else moved
    # the quotient is used only inside the overlap, where the width is positive
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
