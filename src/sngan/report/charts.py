"""Charts of reports: curves, bands, means with error bars, intervals and spectra as inline SVG."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sngan.report.history import Series
from sngan.report.results import Band, Spread
from sngan.report.svg import INK, draw_panels
from sngan.utils.plotting import RED, colour

_FEW = 60


class Chart(NamedTuple):
    """A chart with its title and a caption that explains it."""

    title: str
    caption: str
    svg: str


def curves(
    name: str,
    series: Mapping[str, Series],
    *,
    ylabel: str,
    log: bool = False,
    smooth: bool = True,
    least: float = -math.inf,
) -> str:
    """Draw a curve for each label; a noisy one is faint, with its moving average on top.

    In a long run each point is a mean of several values, whose range is shaded.

    Parameters
    ----------
    name
        The prefix of the SVG's ids.
    series
        ``{label: curve}``.
    ylabel, log
        The name of the vertical axis, and whether it is logarithmic.
    smooth
        Whether a long curve gets a moving average.
    least
        Lower values are drawn at this one.
    """

    def draw(axes: Any, _: str) -> None:
        axes.set(xlabel="generator step", ylabel=ylabel)
        for index, (label, one) in enumerate(series.items()):
            _draw(axes, label, one, colour=colour(index), smooth=smooth, least=least)
        _logarithmic(axes, (v for one in series.values() for _, v in one.points()), log=log)

    return draw_panels(name, [""], draw)


def bands(
    name: str,
    panels: Mapping[str, Mapping[str, Band]],
    *,
    labels: Sequence[str],
    ylabel: str,
    log: bool = False,
    limits: tuple[float, float] | None = None,
    against: str | None = None,
) -> str:
    """Draw ``(step, median, lowest, highest)`` of each label, a panel for each setting.

    Parameters
    ----------
    name
        The prefix of the SVG's ids.
    panels
        ``{panel title: {label: band}}``.
    labels
        All labels, in the order of their colours.
    ylabel, log
        The name of the vertical axis, and whether it is logarithmic.
    limits
        The zones outside these two values are shaded: there a gradient vanishes or explodes.
    against
        A label. The vertical axis ends at plus and minus twice its largest value.
    """

    def draw(axes: Any, title: str) -> None:
        axes.set(xlabel="generator step", ylabel=ylabel)
        for label, band in panels[title].items():
            steps, middle, low, high = zip(*band, strict=True)
            shown = colour(labels.index(label))
            axes.fill_between(steps, low, high, color=shown, alpha=0.15, linewidth=0)
            axes.plot(
                steps, middle, color=shown, linewidth=1.5, label=label,
                marker="o" if len(steps) < _FEW / 3 else None, markersize=2.5,
            )  # fmt: skip
        values = [v for band in panels[title].values() for point in band for v in point[1:]]
        _logarithmic(axes, values, log=log)
        if limits:
            _shade(axes, limits, values)
        if against and against in panels[title]:
            top = 2 * max(point[1] for point in panels[title][against])
            axes.set_ylim(max(-top, min(0.0, *values)) * 1.05, min(top, max(values) * 1.05))

    return draw_panels(name, list(panels), draw)


def marks(
    name: str,
    panels: Mapping[str, Mapping[str, Mapping[str, Spread]]],
    *,
    labels: Sequence[str],
    places: Sequence[str],
    ylabel: str = "",
    from_zero: bool = False,
) -> str:
    """Draw means with error bars, the labels beside each other.

    Parameters
    ----------
    name
        The prefix of the SVG's ids.
    panels
        ``{panel title: {label: {place: figure}}}``.
    labels, places
        All labels, in the order of their colours; the names along the horizontal axis.
    ylabel, from_zero
        The name of the vertical axis, and whether it begins at zero.
    """

    def draw(axes: Any, title: str) -> None:
        axes.set(ylabel=ylabel)
        axes.set_xticks(range(len(places)), places)
        axes.set_xlim(-0.6, len(places) - 0.4)
        for label, found in panels[title].items():
            index = labels.index(label)
            beside = (index - (len(labels) - 1) / 2) * 0.7 / max(len(labels), 2)
            for place, figure in found.items():
                x = places.index(place) + beside
                axes.plot(
                    [x] * len(figure.values), figure.values, ".", color=colour(index), alpha=0.35,
                    markersize=4,
                )  # fmt: skip
                axes.errorbar(
                    x, figure.mean, yerr=figure.spread, fmt="o", color=colour(index), markersize=5,
                    capsize=3, linewidth=1.4,
                )  # fmt: skip
            axes.plot([], [], "o", color=colour(index), markersize=5, label=label)
        if from_zero:
            axes.set_ylim(bottom=0.0)

    return draw_panels(name, list(panels), draw)


def intervals(
    name: str, panels: Mapping[str, Mapping[str, tuple[float, float]]], *, labels: Sequence[str]
) -> str:
    """Draw ``{panel: {label: (lower, upper)}}`` as bars between the bounds on a log axis.

    Parameters
    ----------
    name
        The prefix of the SVG's ids.
    panels
        ``{panel title: {label: (lower, upper)}}``.
    labels
        All labels, in the order of their colours.
    """

    def draw(axes: Any, title: str) -> None:
        axes.set(xlabel="Lipschitz constant of the critic")
        found = panels[title]
        for row, (label, (lower, upper)) in enumerate(found.items()):
            shown = colour(labels.index(label))
            axes.plot([lower, upper], [row, row], color=shown, linewidth=5, alpha=0.35)
            axes.plot([lower, upper], [row, row], "|", color=shown, markersize=12)
        axes.set_yticks(range(len(found)), found)
        axes.set_ylim(len(found) - 0.4, -0.6)
        axes.axvline(1.0, color=INK, linewidth=0.8, linestyle=":")
        _logarithmic(axes, [v for pair in found.values() for v in pair], log=True, axis="x")

    return draw_panels(name, list(panels), draw)


def spectra(
    name: str, layers: Mapping[str, Mapping[str, Sequence[float]]], *, labels: Sequence[str]
) -> str:
    """Draw ``{layer: {label: singular values / the largest}}``, a panel for each layer.

    Parameters
    ----------
    name
        The prefix of the SVG's ids.
    layers
        ``{layer: {label: singular values / the largest}}``.
    labels
        All labels, in the order of their colours.
    """

    def draw(axes: Any, title: str) -> None:
        axes.set(xlabel="index", ylabel="σᵢ / σ₁", ylim=(-0.03, 1.05))
        axes.locator_params(axis="x", integer=True, nbins=5)
        for label, values in layers[title].items():
            ranks = range(1, len(values) + 1)
            axes.plot(
                ranks, values, color=colour(labels.index(label)), linewidth=1.4, label=label,
                marker="o" if len(values) < _FEW / 3 else None, markersize=2.5,
            )  # fmt: skip

    return draw_panels(name, list(layers), draw)


def _draw(
    axes: Any, label: str, series: Series, *, colour: str, smooth: bool, least: float
) -> None:
    points = series.points()
    steps, values = [step for step, _ in points], [max(value, least) for _, value in points]
    if not series.is_exact():
        _, low, high = zip(*series.range(), strict=True)
        low, high = ([max(value, least) for value in ends] for ends in (low, high))
        axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
    if not smooth or len(points) < _FEW:
        axes.plot(steps, values, color=colour, linewidth=1.4, label=label)
        return
    if series.is_exact():
        axes.plot(steps, values, color=colour, linewidth=0.6, alpha=0.3)
    average = _average(values, len(values) // 30)
    axes.plot(steps, average, color=colour, linewidth=1.6, label=label)


def _average(values: Sequence[float], half: int) -> list[float]:
    """The mean over a window of ``2·half + 1`` values, cut off at the ends."""
    windows = (values[max(0, i - half) : i + half + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def _logarithmic(axes: Any, values: Iterable[float], *, log: bool, axis: str = "y") -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    positive = [value for value in values if value > 0]
    if not log or not positive:
        return
    getattr(axes, f"set_{axis}scale")("log")
    # powers of ten alone would leave a short axis without a number
    parts = (1.0, 2.0, 5.0) if max(positive) < 30 * min(positive) else (1.0,)
    scale = getattr(axes, f"{axis}axis")
    scale.set_major_locator(LogLocator(subs=parts))
    scale.set_minor_locator(NullLocator())
    scale.set_major_formatter(FuncFormatter(_plain))


def _plain(value: float, _: int | None) -> str:
    return f"{value:g}"


def _shade(axes: Any, limits: tuple[float, float], values: Sequence[float]) -> None:
    """Shade the zones in which a gradient vanishes or explodes, if a curve comes near them."""
    low, high = limits
    positive = [value for value in values if value > 0]
    if not positive:
        return
    bottom, top = min(positive) / 3, max(positive) * 3
    axes.set_ylim(bottom, top)
    for edge, start, end, word in (
        (bottom < low, bottom, min(low, top), "vanishing"),
        (top > high, max(high, bottom), top, "exploding"),
    ):
        if edge:
            axes.axhspan(start, end, color=RED, alpha=0.1, linewidth=0)
            at = math.sqrt(start * end)
            axes.annotate(word, (0.99, at), xycoords=("axes fraction", "data"), ha="right",
                          va="center", fontsize=7, alpha=0.7)  # fmt: skip
