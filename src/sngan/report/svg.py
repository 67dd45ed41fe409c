"""SVG of a chart inside a page: panels in a grid, with the text colour of the page."""

import io
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from sngan.utils.plotting import new_figure, thin_grid

INK = "#010203"
"""A colour that nothing else has; the page replaces it by its own text colour."""
_WIDTH, _HEIGHT = 7.2, 3.0
_COLUMNS = 3


def draw_panels(name: str, titles: Sequence[str], draw: Callable[[Any, str], None]) -> str:
    """Draw panels in a grid, with one legend above them, and return the SVG.

    Parameters
    ----------
    name
        The prefix of the SVG's ids.
    titles
        A title for each panel; with one panel it may be empty.
    draw
        Draws the panel of a title into its axes.
    """
    import matplotlib

    settings: dict[Any, Any] = {"svg.hashsalt": name, "svg.fonttype": "none", "text.color": INK}
    # a name with dollar signs must not be read as a formula
    settings |= {"text.parse_math": False}
    settings |= {f"{tick}tick.color": INK for tick in "xy"}
    settings |= {"axes.labelcolor": INK, "axes.edgecolor": INK, "font.size": 10}
    columns = min(_COLUMNS, len(titles))
    if len(titles) > 1:
        settings |= {"font.size": 8, "axes.titlesize": 9}
    rows = math.ceil(len(titles) / columns)
    with matplotlib.rc_context(settings):
        height = _HEIGHT if rows == 1 else 2.3 * rows + 0.3
        figure = new_figure(_WIDTH, height)
        figure.patch.set_alpha(0)
        handles: dict[str, Any] = {}
        for index, title in enumerate(titles):
            axes: Any = figure.add_subplot(rows, columns, index + 1, facecolor="none", title=title)
            axes.spines[["top", "right"]].set_visible(False)
            thin_grid(axes)
            draw(axes, title)
            shown, names = axes.get_legend_handles_labels()
            handles = dict(zip(names, shown, strict=True)) | handles
        if handles:
            figure.legend(
                handles.values(), handles, frameon=False, ncols=min(4, len(handles)), fontsize=8,
                loc="outside upper left",
            )  # fmt: skip
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return _inline(buffer.getvalue(), name)


def _inline(svg: str, name: str) -> str:
    """Return an SVG for a page: without a file header, with unique ids, in the page's colour."""
    body = svg[svg.index("<svg") :]
    name = re.sub(r"[^\w-]", "-", name, flags=re.ASCII)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", body)
    body = body.replace(INK, "currentColor")
    return re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*" ?', r"<svg \1", body, count=1)
