"""Plotting style: one palette, figures without a display, pictures written whole or not at all."""

import io
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sngan.utils.files import write_bytes

if TYPE_CHECKING:
    # these imports take half a second, which only a drawing needs
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL.Image import Image

BLUE, ORANGE, RED, GREY = "#2563eb", "#ea580c", "#dc2626", "#64748b"
DARK = "#0f172a"
DATA, SAMPLES = "#b8bec8", "#c2410c"
PALETTE = (BLUE, ORANGE, "#16a34a", "#9333ea", RED, "#0891b2", "#ca8a04", GREY,
           "#db2777", "#65a30d", "#4338ca", "#92400e", "#0f766e", "#be185d")  # fmt: skip
"""The colours of labels, in the order in which they are used."""


def colour(index: int) -> str:
    """Return the colour of the label at this place, the same in every picture."""
    return PALETTE[index % len(PALETTE)]


def new_figure(width: float, height: float, *, dpi: float | None = None) -> "Figure":
    """Return an empty figure of this size in inches.

    It does not go through pyplot, which holds global state and could look for a display.

    Parameters
    ----------
    width, height
        The size in inches.
    dpi
        Pixels per inch; left out: the default of matplotlib.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=dpi, layout="constrained")


def square_axes(figure: "Figure", *, limit: float, **options: Any) -> "Axes":
    """Add axes of the square from ``−limit`` to ``limit``, with one scale for both directions.

    Parameters
    ----------
    figure
        The figure.
    limit
        The end of both axes.
    options
        Further arguments of ``Figure.add_subplot``.
    """
    limits = (-limit, limit)
    return figure.add_subplot(aspect="equal", xlim=limits, ylim=limits, **options)


def thin_grid(axes: "Axes") -> None:
    """Draw a grid that does not hide the curves."""
    axes.grid(alpha=0.25, linewidth=0.5)


def rendered(figure: "Figure") -> "Image":
    """Return a figure drawn as a PIL image."""
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return Image.open(buffer)


def save_figure(
    figure: "Figure", target: str | Path | IO[bytes], *, dpi: float | None = None
) -> None:
    """Write a figure to a file, in one piece; the format follows the file's suffix.

    Parameters
    ----------
    figure
        The figure to write.
    target
        The path of the file (without a suffix it gets ``.png``), or an opened file for a PNG.
    dpi
        Pixels per inch; left out: the figure's own.
    """
    resolution = "figure" if dpi is None else dpi
    if not isinstance(target, str | Path):
        figure.savefig(target, dpi=resolution)
        return
    path = Path(target)
    if not path.suffix:
        path = path.with_name(f"{path.name}.png")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:], dpi=resolution)
    write_bytes(path, buffer.getvalue())


def save_image(image: "Image", path: Path, **options: Any) -> None:
    """Write a picture in the format of the path's ending, in one piece.

    It is encoded in memory first, so an error of the encoder leaves no partial file. A JPEG has
    white behind transparent pixels, and a quality of 95 unless ``options`` say otherwise.

    Parameters
    ----------
    image
        The picture.
    path
        The file.
    options
        Further arguments of ``PIL.Image.save``.
    """
    from PIL import Image

    kind = Image.registered_extensions()[path.suffix.lower()]
    if kind == "JPEG":
        image = _on_white(image)
        options = {"quality": 95, "subsampling": 0, **options}
    elif kind == "WEBP":
        options = {"lossless": True, **options}
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    write_bytes(path, buffer.getvalue())


def _on_white(image: "Image") -> "Image":
    """Return a picture without transparency, in the colours that a JPEG has."""
    from PIL import Image

    if not image.has_transparency_data:
        return image if image.mode == "L" else image.convert("RGB")
    front = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), front).convert("RGB")
