"""Tables as plain text, and numbers as their cells."""

from collections.abc import Sequence

NOTHING = "–"
"""The cell of a figure that is not known."""


def text_table(
    rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), rule: bool = False
) -> str:
    r"""Return rows of cells as lines whose columns are aligned, two spaces apart.

    Parameters
    ----------
    rows
        The cells, all rows of one length; the first row may be a heading.
    right
        The numbers of the columns that are aligned to the right; the others are aligned to the
        left.
    rule
        Draw a line of dashes below the first row.

    Examples
    --------
    >>> print(text_table([("layer", "norm"), ("stages.0", "1.5")], right=[1], rule=True))
    layer     norm
    --------  ----
    stages.0   1.5
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    dashes = [["-" * width for width in widths]] if rule else []
    return "\n".join(_line(row, widths, right) for row in [*rows[:1], *dashes, *rows[1:]])


def format_number(value: float | None, *, unknown: str = NOTHING) -> str:
    """Return a number with three digits, or ``unknown`` for None."""
    return unknown if value is None else f"{value:.3g}"


def format_spread(mean: float | None, spread: float | None) -> str:
    """Return ``mean ± spread``, the mean alone if there is no spread, a dash without a mean."""
    if mean is None:
        return NOTHING
    return f"{mean:.4g}" if spread is None else f"{mean:.4g} ± {spread:.2g}"


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> str:
    cells = [
        cell.rjust(width) if column in right else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()
