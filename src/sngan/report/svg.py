"""SVG of a chart inside a page: panels in a grid, with the text colour of the page."""

import html
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sngan.utils.plotting import new_figure, thin_grid

INK = "#010203"
"""A colour that nothing else has; the page replaces it by its own text colour."""
_ALONE, _PANEL = (5.0, 2.8), (3.2, 2.4)


def draw_panels(name: str, titles: Sequence[str], draw: Callable[[Any, str], None]) -> str:
    """Draw panels, each an SVG of its own, and return them as HTML below one legend.

    The page lays them out: beside each other on a screen, below each other on a phone.

    Parameters
    ----------
    name
        The prefix of the SVGs' ids.
    titles
        A title for each panel; with one panel it may be empty.
    draw
        Draws the panel of a title into its axes.
    """
    import matplotlib

    settings: dict[Any, Any] = {"svg.hashsalt": name, "svg.fonttype": "none", "text.color": INK}
    # a name with dollar signs must not be read as a formula
    settings |= {"text.parse_math": False, "font.size": 8, "axes.titlesize": 9}
    settings |= {f"{tick}tick.color": INK for tick in "xy"}
    settings |= {"axes.labelcolor": INK, "axes.edgecolor": INK}
    drawn: list[str] = []
    colours: dict[str, str] = {}
    with matplotlib.rc_context(settings):
        for index, title in enumerate(titles):
            figure = new_figure(*(_ALONE if len(titles) == 1 else _PANEL))
            figure.patch.set_alpha(0)
            axes: Any = figure.add_subplot(facecolor="none", title=title)
            axes.spines[["top", "right"]].set_visible(False)
            thin_grid(axes)
            draw(axes, title)
            shown, names = axes.get_legend_handles_labels()
            for handle, label in zip(shown, names, strict=True):
                colours.setdefault(label, handle.get_color())
            buffer = io.StringIO()
            figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
            drawn.append(_inline(buffer.getvalue(), f"{name}-{index}"))
    kind = "alone" if len(titles) == 1 else "panels"
    return f'{_legend(colours)}<div class="{kind}">{"".join(drawn)}</div>'


def _legend(colours: Mapping[str, str]) -> str:
    """Each label with a dot of its colour; a single one needs none."""
    if len(colours) < 2:
        return ""
    dots = (
        f'<span><i style="background:{colour}"></i>{html.escape(label)}</span>'
        for label, colour in colours.items()
    )
    return f'<p class="legend">{"".join(dots)}</p>'


def _inline(svg: str, name: str) -> str:
    """Return an SVG for a page: without a file header, with unique ids, in the page's colour."""
    body = svg[svg.index("<svg") :]
    name = re.sub(r"[^\w-]", "-", name, flags=re.ASCII)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", body)
    body = body.replace(INK, "currentColor")
    return re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*" ?', r"<svg \1", body, count=1)
