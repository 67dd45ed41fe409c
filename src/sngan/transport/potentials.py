"""Picture of a critic beside the optimal potential of the exact plan, along a line."""

from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from sngan.transport.exact import wasserstein
from sngan.utils.checks import require, require_number
from sngan.utils.plotting import BLUE, GREY, ORANGE, new_figure, save_figure, thin_grid
from sngan.utils.real_arrays import Array

_POINTS = 201
_BEYOND = 0.25


def optimal_potential(points: Tensor, y: Tensor, potential_y: Array) -> Array:
    """Return ``φ(z) = min_j |z − y_j| − g_j`` at points ``(k, ...)``: shape ``(k,)``.

    For the potentials g of the exact plan between x and y for p = 1, φ is the optimal critic: it is
    1-Lipschitz, it is at least ``f_i`` at each ``x_i`` and at most ``−g_j`` at each ``y_j``.
    So ``E φ(x) − E φ(y) ≥ Σ a f + Σ b g = W_1``, and duality allows no more. Source: Villani 2009,
    Optimal Transport, chapter 5.

    Parameters
    ----------
    points
        Where φ is wanted.
    y
        The second sample ``(m, ...)``.
    potential_y
        Its potentials ``(m,)``, as :func:`wasserstein` returns them.

    Examples
    --------
    >>> from sngan.transport import wasserstein
    >>> x, y = torch.tensor([[3.0], [4.0]]).double(), torch.tensor([[0.0], [1.0]]).double()
    >>> phi = lambda z: optimal_potential(z, y, wasserstein(x, y).potential_y)
    >>> float(phi(x).mean() - phi(y).mean())
    3.0
    """
    distances = torch.cdist(
        points.flatten(1).double(),
        y.flatten(1).double(),
        compute_mode="donot_use_mm_for_euclid_dist",
    )
    return (distances.cpu().numpy() - potential_y).min(1)


def plot_potentials(
    critic: Callable[[Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    lipschitz: float,
    path: str | Path | IO[bytes],
) -> None:
    """Draw ``f/L`` and the optimal potential along the line of a transported pair, to a file.

    The line goes from a ``y_j`` through the ``x_i`` to which the exact plan moves it: the pair with
    the largest mass times distance. On this segment the optimal potential rises with slope 1. A
    critic that uses all of its slope runs parallel to it. Both curves are 0 in the mean of their
    values at the two ends.

    Parameters
    ----------
    critic, x, y, lipschitz
        As for :func:`audit_critic`.
    path
        The image file, or an open binary file for a PNG.

    Raises
    ------
    ValueError
        If the distance is 0, or :func:`wasserstein` would raise it.

    Examples
    --------
    >>> import io
    >>> file, x = io.BytesIO(), torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    >>> plot_potentials(lambda points: points[:, 0], x + 1.0, x, 1.0, file)
    >>> file.getvalue()[1:4]
    b'PNG'
    """
    require_number(lipschitz, "lipschitz", above=0.0)
    found = wasserstein(x.flatten(1), y.flatten(1))
    require(found.distance > 0, "y", expected="a sample at a positive distance", got="W1 = 0")
    plan = found.plan.tocoo()
    lengths = (x[plan.row] - y[plan.col]).flatten(1).double().norm(dim=1).cpu().numpy()
    pair = int(np.argmax(plan.data * lengths))
    start, end, length = y[plan.col[pair]], x[plan.row[pair]], float(lengths[pair])
    t = torch.linspace(-_BEYOND, 1 + _BEYOND, _POINTS, dtype=x.dtype, device=x.device)
    line = start + t.reshape(-1, *[1] * start.dim()) * (end - start)
    with torch.no_grad():
        scores = critic(line).detach().reshape(-1).double().cpu().numpy() / lipschitz
    best = optimal_potential(line, y, found.potential_y)
    figure = new_figure(6.4, 4.0)
    axes = figure.add_subplot(
        xlabel="distance from y along the line to x", ylabel="score / L, centred",
        title="The critic and the optimal potential",
    )  # fmt: skip
    place = t.cpu().numpy() * length
    for values, colour, label in (
        (best, BLUE, "optimal potential"),
        (scores, ORANGE, "critic / L"),
    ):
        ends = np.interp([0.0, length], place, values)
        rise = (ends[1] - ends[0]) / length
        axes.plot(place, values - ends.mean(), color=colour, lw=1.8, label=f"{label}: {rise:.3g}")
    for position, label in ((0.0, "y"), (length, "x")):
        axes.axvline(position, color=GREY, lw=0.8)
        axes.annotate(label, (position, 1.0), xycoords=("data", "axes fraction"), color=GREY)
    axes.margins(x=0)
    thin_grid(axes)
    axes.legend(frameon=False, title="mean slope from y to x")
    save_figure(figure, path, dpi=150)
