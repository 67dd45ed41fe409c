"""Curves as inline SVG that takes its colours from the page around it."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Points = Sequence[tuple[float, float]]

# a colour that nothing else has, put in for "the page's text colour"
_INK = "#010203"
_COLOURS = ("#2563eb", "#ea580c", "#16a34a", "#9333ea", "#dc2626", "#0891b2", "#ca8a04", "#64748b")
_FEW = 60


class Chart(NamedTuple):
    """A titled chart, with the sentence that says what to see in it."""

    title: str
    caption: str
    svg: str


def curves(
    name: str, series: Mapping[str, Points], *, ylabel: str, log: bool = False, smooth: bool = True
) -> str:
    """Draw ``{label: (step, value) …}``; noisy curves faint, with their moving average on top."""
    import matplotlib
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {"svg.hashsalt": name, "svg.fonttype": "none", "text.color": _INK}
    settings |= {f"{tick}tick.color": _INK for tick in "xy"}
    settings |= {"axes.labelcolor": _INK, "axes.edgecolor": _INK, "font.size": 10}
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(7.2, 3.0), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot(facecolor="none", xlabel="generator step", ylabel=ylabel)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, linewidth=0.5)
        for index, (label, points) in enumerate(series.items()):
            _draw(axes, label, points, colour=_COLOURS[index % len(_COLOURS)], smooth=smooth)
        if log and any(value > 0 for points in series.values() for _, value in points):
            axes.set_yscale("log")
        axes.legend(
            frameon=False, ncols=min(4, len(series)), fontsize=8, loc="lower left",
            bbox_to_anchor=(0, 1),
        )  # fmt: skip
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return _inline(buffer.getvalue(), name)


def _draw(axes: Any, label: str, points: Points, *, colour: str, smooth: bool) -> None:
    steps, values = [step for step, _ in points], [value for _, value in points]
    if not smooth or len(points) < _FEW:
        axes.plot(steps, values, color=colour, linewidth=1.4, label=label)
        return
    axes.plot(steps, values, color=colour, linewidth=0.6, alpha=0.3)
    axes.plot(steps, _average(values, len(values) // 30), color=colour, linewidth=1.6, label=label)


def _average(values: Sequence[float], half: int) -> list[float]:
    """The mean over a window of ``2·half + 1`` values, cut off at the ends."""
    windows = (values[max(0, i - half) : i + half + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def _inline(svg: str, name: str) -> str:
    """Without the file's header; ids of its own; the page's ink; as wide as the page allows."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", body)
    body = body.replace(_INK, "currentColor")
    return re.sub(r'<svg ([^>]*?)width="[^"]*" ?', r"<svg \1", body, count=1).replace(
        'height="216pt" ', "", 1
    )
