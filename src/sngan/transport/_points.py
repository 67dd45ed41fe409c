"""Point clouds and weights, checked and in float64; their costs, and the memory these take."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from torch import Tensor

from sngan._checks import require

Array: TypeAlias = NDArray[np.float64]
Values: TypeAlias = Tensor | NDArray[np.floating[Any]]

EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Problem:
    """Two weighted clouds ``x`` (n, d) and ``y`` (m, d), each of mass 1, and the power ``p``."""

    x: Array
    y: Array
    weights_x: Array
    weights_y: Array
    p: int

    @property
    def dimension(self) -> int:
        return self.x.shape[1]

    def costs(self) -> Array:
        """``|x_i − y_j|^p``, (n, m)."""
        return require_finite_costs(distances(self.x, self.y) ** self.p)


def distances(x: Array, y: Array) -> Array:
    """Euclidean distances (n, m), from the differences, so that close points lose no digit."""
    return np.asarray(cdist(x, y), dtype=np.float64)


def problem(
    x: Values,
    y: Values,
    p: int = 1,
    weights_x: Values | None = None,
    weights_y: Values | None = None,
) -> Problem:
    """Check all of it; weights of sum 1 within 1e-6 are divided by their sum, None is uniform."""
    require(p in (1, 2), "p", expected="1 or 2", got=repr(p))
    left, right = as_points(x, "x"), as_points(y, "y")
    require(
        left.shape[1] == right.shape[1],
        "y",
        expected=f"points of dimension {left.shape[1]}, as x",
        got=f"dimension {right.shape[1]}",
    )
    return Problem(
        left,
        right,
        as_weights(weights_x, len(left), "weights_x"),
        as_weights(weights_y, len(right), "weights_y"),
        p,
    )


def as_points(values: Values, name: str) -> Array:
    """Return finite points (n, d) in float64; ``(n,)`` are points on a line."""
    points = as_float64(values, name)
    require(
        points.ndim in (1, 2) and points.size > 0,
        name,
        expected="at least one point, of shape (n,) or (n, d)",
        got=f"shape {points.shape}",
    )
    return points.reshape(len(points), -1)


def as_weights(values: Values | None, count: int, name: str) -> Array:
    """Return weights (count,) of sum 1; None is uniform."""
    if values is None:
        return np.full(count, 1 / count)
    weights = as_float64(values, name)
    require(
        weights.shape == (count,),
        name,
        expected=f"one weight a point, shape ({count},)",
        got=f"shape {weights.shape}",
    )
    least, total = weights.min(), weights.sum()
    require(bool(least >= 0), name, expected="no negative weight", got=f"{least:g}")
    require(bool(abs(total - 1) <= 1e-6), name, expected="a sum of 1 within 1e-6", got=f"{total:g}")
    return weights / total


def as_float64(values: Values, name: str) -> Array:
    """Return a float64 array of finite values, from a real floating-point tensor or array."""
    kind = getattr(values, "dtype", type(values).__name__)
    is_real = isinstance(values, Tensor) and values.is_floating_point()
    is_real |= isinstance(values, np.ndarray) and values.dtype.kind == "f"
    require(is_real, name, expected="a real floating-point tensor or array", got=kind)
    if isinstance(values, Tensor):
        values = values.detach().cpu().double().numpy()
    array = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(array)
    first = "" if finite.all() else f"{array[~finite][0]} among them"
    require(not first, name, expected="finite values", got=first)
    return array


def require_finite_costs(costs: Array) -> Array:
    """Return ``costs``; raise where a distance, or its square, is beyond float64."""
    require(
        bool(np.isfinite(costs).all()),
        "x, y",
        expected="distances to the power p that float64 can hold",
        got="an overflow: divide both by a constant",
    )
    return costs


def require_memory(problem: Problem, copies: int, *, instead: str) -> None:
    """Raise unless ``copies`` float64 matrices (n, m) fit into the memory that is free now."""
    n, m = len(problem.x), len(problem.y)
    needed, free = copies * 8 * n * m, available_memory()
    require(
        free is None or needed <= free,
        "x, y",
        expected=f"clouds whose cost matrix fits into memory; use {instead} for these",
        got=f"{n} × {m} points, about {needed / 2**30:.1f} GiB of {(free or 0) / 2**30:.1f} free",
    )


def available_memory() -> int | None:
    """Bytes that can be had without swapping, as far as the system tells."""
    info = Path("/proc/meminfo")
    if info.exists():
        fields = dict(line.split(":") for line in info.read_text().splitlines())
        return int(fields["MemAvailable"].split()[0]) * 1024
    if hasattr(os, "sysconf"):  # all but Windows
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None
