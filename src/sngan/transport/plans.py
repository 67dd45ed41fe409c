"""Transport plans shown as a table of moves or as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from scipy.sparse import coo_array

from sngan.transport.exact import wasserstein
from sngan.transport.points import EPSILON, Problem, as_float64, paired_distances, problem
from sngan.utils.checks import require, require_number
from sngan.utils.plotting import BLUE, GREY, ORANGE, new_figure, save_figure
from sngan.utils.real_arrays import Array, Reals
from sngan.utils.tables import text_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Move: TypeAlias = tuple[int, int, float, float]


def explain(
    x: Reals,
    y: Reals,
    *,
    weights_x: Reals | None = None,
    weights_y: Reals | None = None,
    plan: Reals | None = None,
    total: float = 1.0,
) -> str:
    """Return a table of the moves, with their costs, that turn one set of piles into another.

    A move of mass ``P(i, j)`` over the distance ``|x_i − y_j|`` costs their product. The cost of a
    plan is the sum over its moves, and that of the cheapest plan is ``W_1`` times ``total``. The
    table also gives the marginals: the mass that leaves and that reaches each pile.

    Source: Rubner, Tomasi, Guibas 2000, The earth mover's distance.

    Parameters
    ----------
    x, y
        The places of the piles before, ``(n,)`` or ``(n, d)``, and after, ``(m,)`` or ``(m, d)``.
    weights_x, weights_y
        The share of the mass in each pile, with a sum of 1; ``None`` is uniform.
    plan
        The shares that are moved, ``(n, m)``, with a sum of 1. The cost of the cheapest plan is
        shown beside it. ``None`` shows the cheapest plan.
    total
        The total mass, such as 6 for six boxes, by which masses and costs are multiplied.

    Raises
    ------
    ValueError
        If :func:`sngan.transport.wasserstein` would raise, the marginals of the plan are not the
        weights, or ``total`` is not positive.

    Examples
    --------
    Two boxes at 1 and one at 2, to be moved to 3, 4 and 5:

    >>> import numpy as np
    >>> print(explain(np.array([1.0, 1.0, 2.0]), np.array([3.0, 4.0, 5.0]), total=3))
    from  to  mass  distance  cost
       1   3     1         2     2
       1   4     1         3     3
       2   5     1         3     3
    leaves:  1 at 1, 1 at 1, 1 at 2
    reaches: 1 at 3, 1 at 4, 1 at 5
    cost of the cheapest plan: 8
    """
    require_number(total, "total", above=0.0)
    clouds = problem(x, y, 1, weights_x, weights_y)
    cheapest = _moves(clouds, None)
    shown = cheapest if plan is None else _moves(clouds, plan)
    header = ["from", "to", "mass", "distance", "cost"]
    rows = [
        [
            _place(clouds.x[i]),
            _place(clouds.y[j]),
            *(f"{number:.6g}" for number in (total * mass, distance, total * mass * distance)),
        ]
        for i, j, mass, distance in shown
    ]
    lines = [text_table([header, *rows], right=range(len(header)))]
    lines.append("leaves:  " + _piles(clouds.x, total * clouds.weights_x))
    lines.append("reaches: " + _piles(clouds.y, total * clouds.weights_y))
    if plan is not None:
        lines.append(f"cost of this plan: {_cost(shown, total)}")
    lines.append(f"cost of the cheapest plan: {_cost(cheapest, total)}")
    return "\n".join(lines)


def moves(
    x: Reals,
    y: Reals,
    path: str | Path,
    *,
    weights_x: Reals | None = None,
    weights_y: Reals | None = None,
    plan: Reals | None = None,
) -> Path:
    """Draw a plan: piles with arrows between them on a line, or points with lines in the plane.

    Parameters
    ----------
    x, y, weights_x, weights_y, plan
        As in :func:`explain`, with points of one or two dimensions.
    path
        The file to write. Its suffix gives the format: .png, .svg or .pdf.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If :func:`explain` would raise, or points have more than two dimensions.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sngan.transport import moves
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     picture = moves([1.0, 2.0], [3.0, 4.0], Path(folder) / "plan.svg")
    ...     picture.read_text().startswith("<?xml")
    True
    """
    clouds = problem(x, y, 1, weights_x, weights_y)
    require(
        clouds.dimension <= 2,
        "x",
        expected="points of 1 or 2 dimensions to draw",
        got=clouds.dimension,
    )
    shown = _moves(clouds, plan)
    figure = new_figure(6, 4)
    axes = figure.subplots()
    draw = _draw_piles if clouds.dimension == 1 else _draw_points
    draw(axes, clouds, shown)
    cost = sum(mass * distance for _, _, mass, distance in shown)
    axes.set_title(f"{'a plan' if plan is not None else 'the cheapest plan'}: cost {cost:.4g}")
    axes.legend(loc="best")
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure, file)
    return file


def _moves(clouds: Problem, plan: Reals | None) -> list[Move]:
    """``(i, j, mass, distance)`` of each move of the plan; ``None`` is the cheapest plan."""
    if plan is None:
        a, b = clouds.weights_x, clouds.weights_y
        cheapest = wasserstein(clouds.x, clouds.y, weights_x=a, weights_y=b).plan
        # a mass that comes only from the rounding of the weights is not shown as a move
        entries = (cheapest * (cheapest > EPSILON)).tocoo()
    else:
        entries = coo_array(_checked_plan(clouds, plan))
    distances = paired_distances(clouds.x, clouds.y, entries.row, entries.col)
    columns: Any = (entries.row, entries.col, entries.data, distances)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def _checked_plan(clouds: Problem, plan: Reals) -> Array:
    shares = as_float64(plan, "plan")
    shape = (len(clouds.x), len(clouds.y))
    require(shares.shape == shape, "plan", expected=f"shape {shape}", got=f"shape {shares.shape}")
    least = shares.min()
    require(bool(least >= 0), "plan", expected="no negative share", got=f"{least:g}")
    for axis, weights, name in ((1, clouds.weights_x, "rows"), (0, clouds.weights_y, "columns")):
        error = float(np.abs(shares.sum(axis) - weights).max())
        require(
            error <= 1e-6,
            "plan",
            expected=f"{name} that sum to the weights within 1e-6",
            got=f"an error of {error:.3g}",
        )
    return shares


def _cost(shown: list[Move], total: float) -> str:
    return f"{total * sum(mass * distance for _, _, mass, distance in shown):.6g}"


def _place(point: Array) -> str:
    return ", ".join(f"{coordinate:.6g}" for coordinate in point)


def _piles(points: Array, masses: Array) -> str:
    pairs = zip(points, masses, strict=True)
    return ", ".join(f"{mass:.6g} at {_place(point)}" for point, mass in pairs)


def _draw_piles(axes: "Axes", clouds: Problem, shown: list[Move]) -> None:
    """Draw bars up for the piles before, bars down for those after, and an arrow for each move."""
    width = 0.6 * _smallest_step(np.concatenate([clouds.x, clouds.y])[:, 0])
    for points, weights, sign, label, color in (
        (clouds.x, clouds.weights_x, 1, "before", BLUE),
        (clouds.y, clouds.weights_y, -1, "after", ORANGE),
    ):
        places, piles = np.unique(points[:, 0], return_inverse=True)
        heights = sign * np.bincount(piles, weights)
        axes.bar(places, heights, width, label=label, color=color, alpha=0.6)
    for i, j, mass, distance in shown:
        if distance > 0:
            axes.annotate(
                "",
                xy=(clouds.y[j, 0], -clouds.weights_y[j] / 2),
                xytext=(clouds.x[i, 0], clouds.weights_x[i] / 2),
                arrowprops={"arrowstyle": "->", "linewidth": 0.5 + 4 * mass},
            )
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xlabel("place")
    axes.set_ylabel("mass, before above and after below")


def _draw_points(axes: "Axes", clouds: Problem, shown: list[Move]) -> None:
    heaviest = max(mass for _, _, mass, _ in shown)
    for i, j, mass, _ in shown:
        (x0, y0), (x1, y1) = clouds.x[i], clouds.y[j]
        axes.plot([x0, x1], [y0, y1], color=GREY, linewidth=0.8, alpha=mass / heaviest)
    axes.scatter(*clouds.x.T, s=12, label="before", color=BLUE, zorder=2)
    axes.scatter(*clouds.y.T, s=12, label="after", color=ORANGE, zorder=2)
    axes.set_aspect("equal", adjustable="datalim")


def _smallest_step(places: Array) -> float:
    steps = np.diff(np.unique(places))
    return float(steps.min()) if len(steps) else 1.0
