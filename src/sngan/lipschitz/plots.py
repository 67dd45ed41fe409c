"""Plots of bounds: the constant of each layer, and a function inside its cone."""

import math
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor, nn

from sngan.lipschitz.records import LayerBound, LipschitzBounds
from sngan.utils.checks import require, require_number
from sngan.utils.plotting import (
    BLUE,
    GREY,
    ORANGE,
    RED,
    colour,
    new_figure,
    save_figure,
    thin_grid,
)

_POINTS = 401
_RANGE = 3.0


def plot_layers(bounds: LipschitzBounds, path: str | Path | IO[bytes]) -> None:
    """Draw the constants of a network's layers, and the spectra of its weights, to an image file.

    The left half has a bar for each operation whose constant is not 1, on a logarithmic scale; bars
    of infinite constants are hatched. The right half has the singular values of each weight and
    of each merged chain, divided by the largest one. A weight counts as a matrix of output channels
    × the rest.
    ``path`` is the image file, or an open binary file for a PNG.

    Examples
    --------
    >>> import io
    >>> from sngan.lipschitz import lipschitz_bounds
    >>> file = io.BytesIO()
    >>> plot_layers(lipschitz_bounds(nn.Linear(3, 2), (3,), lower=False), file)
    >>> file.getvalue()[1:4]
    b'PNG'
    """
    shown = [layer for layer in bounds.layers if layer.sigma != 1.0]
    figure = new_figure(10.0, max(3.2, 1.4 + 0.24 * len(shown)))
    left, right = figure.subplots(1, 2)
    _draw_bars(left, shown)
    _draw_spectra(right, [layer for layer in shown if layer.spectrum])
    figure.suptitle(
        f"{bounds.lower:.4g} ≤ Lipschitz constant ≤ {bounds.upper:.4g}  ({bounds.method})"
    )
    save_figure(figure, path, dpi=150)


def plot_cone(
    module: nn.Module,
    x: Tensor,
    direction: Tensor,
    lipschitz: float,
    path: str | Path | IO[bytes],
) -> None:
    """Draw ``t ↦ f(x + t·d/‖d‖)`` and the cone ``f(x) ± lipschitz·|t|`` to an image file.

    A function with this constant stays inside the cone. The plot marks points outside of it.

    Parameters
    ----------
    module
        A map from ``(N, *x.shape)`` to one number a sample.
    x
        The tip of the cone, with the shape of one sample.
    direction
        The direction d, of the same shape.
    lipschitz
        The slope of the cone.
    path
        The image file, or an open binary file for a PNG.

    Raises
    ------
    ValueError
        If the direction has another shape or is zero, if the slope is negative or not finite, or if
        the module returns several numbers a sample.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> plot_cone(nn.Linear(3, 1), torch.zeros(3), torch.ones(3), 2.0, file)
    >>> file.getvalue()[1:4]
    b'PNG'
    """
    require_number(lipschitz, "lipschitz", minimum=0.0)
    require(
        direction.shape == x.shape and bool(direction.any()),
        "direction",
        expected=f"a direction of shape {tuple(x.shape)} that is not zero",
        got=tuple(direction.shape),
    )
    t, values, tip = _slice(module, x, direction)
    inside = (values - tip).abs() <= lipschitz * t.abs() * (1 + 1e-6) + 1e-6 * (1 + abs(tip))
    figure = new_figure(6.4, 4.0)
    axes = figure.add_subplot(
        xlabel="distance t along the direction", ylabel="f(x + t·d)",
        title=f"A slice of the function and the cone of slope ±{lipschitz:.4g}",
    )  # fmt: skip
    low, high = tip - lipschitz * t.abs(), tip + lipschitz * t.abs()
    axes.fill_between(t, low, high, color=BLUE, alpha=0.12, label="cone f(x) ± L·|t|", lw=0)
    for edge in (low, high):
        axes.plot(t, edge, color=BLUE, lw=0.8)
    axes.plot(t, values, color=ORANGE, lw=1.8, label="f")
    axes.plot([0.0], [tip], "o", color="black", ms=5, label="f(x), the tip")
    if not bool(inside.all()):
        axes.plot(t[~inside], values[~inside], "x", color=RED, ms=4, label="outside the cone")
    axes.margins(x=0)
    thin_grid(axes)
    axes.legend(frameon=False, loc="best")
    save_figure(figure, path, dpi=150)


@torch.no_grad()
def _slice(module: nn.Module, x: Tensor, direction: Tensor) -> tuple[Tensor, Tensor, float]:
    unit = direction / torch.linalg.vector_norm(direction)
    t = torch.linspace(-_RANGE, _RANGE, _POINTS, dtype=x.dtype, device=x.device)
    points = x + t.view(-1, *[1] * x.dim()) * unit
    values: Tensor = module(points)
    require(
        values.numel() == len(t), "module", expected="one number a sample", got=tuple(values.shape)
    )
    values = values.reshape(-1)
    return t.cpu(), values.cpu(), float(values[_POINTS // 2])


def _draw_bars(axes: Any, layers: list[LayerBound]) -> None:
    finite = [layer.sigma for layer in layers if 0.0 < layer.sigma < math.inf]
    low, high = min([1.0, *finite]) / 2, 2 * max([1.0, *finite])
    for row, layer in enumerate(layers):
        known = math.isfinite(layer.sigma)
        end = max(layer.sigma, low) if known else high
        axes.barh(
            row, end - 1.0, left=1.0, height=0.7, color=BLUE if known else "white",
            edgecolor=BLUE, hatch=None if known else "///",
        )  # fmt: skip
        axes.text(
            max(end, 1.0), row, f" {layer.sigma:.3g}", va="center", fontsize=7, color=GREY
        )  # fmt: skip
    axes.axvline(1.0, color="black", lw=0.8, label="1: keeps distances")
    names = [f"{layer.name} ({layer.kind})" for layer in layers]
    axes.set_yticks(range(len(layers)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(low, high * 1.5)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_xlabel("Lipschitz constant σ of the layer")
    axes.set_title("Lipschitz constants of the layers")
    axes.legend(frameon=False, fontsize=7, loc="lower right")


def _draw_spectra(axes: Any, layers: list[LayerBound]) -> None:
    for index, layer in enumerate(layers):
        largest = layer.spectrum[0] or 1.0
        ranks = [rank / max(len(layer.spectrum) - 1, 1) for rank in range(len(layer.spectrum))]
        values = [value / largest for value in layer.spectrum]
        axes.plot(
            ranks, values, label=layer.name, lw=1.4, marker="o" if len(values) == 1 else None,
            color=colour(index),
        )  # fmt: skip
    axes.set_xlabel("rank, from the largest (0) to the smallest (1)")
    axes.set_ylabel("singular value / the largest")
    axes.set_ylim(0, 1.05)
    axes.set_title("Spectra of the weights, as matrices")
    thin_grid(axes)
    if layers:
        axes.legend(frameon=False, fontsize=7, ncols=1 + len(layers) // 12)
