"""Comparison page ``compare.html``: one self-contained page made from ``compare.json`` alone."""

from collections.abc import Sequence
from pathlib import Path

from sngan.report.compare_charts import ComparisonCharts, better
from sngan.report.comparing import budget, compared_pairs, setting_title, significance, spent
from sngan.report.rendering import embedded, write_page
from sngan.report.results import CellSummary, ComparisonResult, Gradient, Interval
from sngan.utils.checks import require
from sngan.utils.plain import read_json
from sngan.utils.tables import NOTHING, format_number
from sngan.utils.text import class_and_line, path_word

COMPARISON = "compare.json"
"""The name of the file with the records of a comparison, in its folder.

Examples
--------
>>> from sngan.report import COMPARISON
>>> COMPARISON
'compare.json'
"""
PAGE = "compare.html"
_COMMANDS = 6

Rows = list[Sequence[str]]


def write_comparison(folder: Path) -> Path:
    """Write ``compare.html`` into a comparison's folder, from its saved records only.

    Raises
    ------
    ValueError
        If the folder is no comparison.

    Examples
    --------
    >>> from sngan.report import write_comparison
    >>> write_comparison(Path("runs/comparison"))  # doctest: +SKIP

    A folder without the records of ``sngan compare`` is refused:

    >>> write_comparison(Path("no-comparison"))
    Traceback (most recent call last):
        ...
    ValueError: out: expected a comparison with compare.json, got no-comparison
    """
    path = folder / COMPARISON
    require(path.is_file(), "out", expected=f"a comparison with {COMPARISON}", got=folder)
    try:
        return _write(folder, ComparisonResult.from_dict(read_json(path)))
    except (LookupError, TypeError, AttributeError, ArithmeticError, ValueError) as error:
        got = f"{path} ({class_and_line(error)})"
        raise ValueError(f"out: expected {COMPARISON} as sngan writes it, got {got}") from error


def _write(folder: Path, found: ComparisonResult) -> Path:
    return write_page(
        folder / PAGE,
        "compare.html",
        found=found,
        facts=_facts(found),
        table=_table(found),
        budget=budget(found),
        spent=spent(found),
        pairs=compared_pairs(found),
        significance=significance(found),
        pictures=_pictures(found, folder),
        crisp=found.is_images,
        charts=ComparisonCharts(found).all(),
        animations=_animations(found, folder),
        failures=[run for run in found.runs if run.error],
        settings=_settings(found),
        nothing="These runs recorded none of these values.",
        commands=_commands(found, folder),
    )


def _commands(found: ComparisonResult, folder: Path) -> list[str]:
    """Return the commands that draw samples of the first runs that are whole."""
    whole = [run.folder for run in found.runs if not run.error][:_COMMANDS]
    return [f"sngan generate {path_word(f'{folder}/{one}')} --n 64 --out grid.png" for one in whole]


def _facts(found: ComparisonResult) -> list[tuple[str, str]]:
    seconds = sum(run.seconds or 0.0 for run in found.runs)
    failed = sum(bool(run.error) for run in found.runs)
    facts = [
        ("methods", ", ".join(found.methods)),
        ("optimizer settings", ", ".join(map(setting_title, found.settings))),
        ("seeds", str(len(found.seeds))),
        ("same for all", budget(found)),
        ("runs", f"{len(found.runs)}, {failed} failed"),
        ("training time", f"{seconds / 60:.1f} min"),
    ]
    if found.metric:
        facts.append(("main metric", f"{found.metric}, {better(found, found.metric)} is better"))
    return facts


def _table(found: ComparisonResult) -> Rows:
    names = found.columns
    figures = ("Lipschitz constant", "gradient", "at the end", "failed")
    head = ("method", "setting", *names, *figures)
    return [head, *(_row(cell, names) for cell in found.summary)]


def _row(cell: CellSummary, names: Sequence[str]) -> Sequence[str]:
    return (
        cell.method,
        setting_title(cell.setting),
        *(str(cell.metric(name)) for name in names),
        _interval(cell.lipschitz),
        _gradient(cell.gradient),
        cell.remark,
        f"{cell.failed} of {cell.runs}",
    )


def _interval(bounds: Interval) -> str:
    if bounds.lower is None:
        return NOTHING
    return f"{format_number(bounds.lower)} to {format_number(bounds.upper, unknown='∞')}"


def _gradient(gradient: Gradient) -> str:
    """The median norm; "vanishing" or "exploding" follows if over a tenth of the records are so."""
    shares = {"vanishing": gradient.vanishing, "exploding": gradient.exploding}
    words = [word for word, share in shares.items() if (share or 0.0) > 0.1]
    return " ".join([format_number(gradient.median), *words])


def _pictures(found: ComparisonResult, folder: Path) -> list[dict[str, str]]:
    pictures = {
        f"{cell.method} · {setting_title(cell.setting)}": embedded(folder, cell.samples)
        for cell in found.summary
        if cell.samples
    }
    return [{"title": title, "uri": uri} for title, uri in pictures.items() if uri is not None]


def _animations(found: ComparisonResult, folder: Path) -> list[dict[str, str]]:
    """The animations whose two files are there."""
    return [
        {"method": method, "gif": gif, "strip": strip}
        for method, files in found.animations.items()
        if (gif := embedded(folder, files["gif"])) and (strip := embedded(folder, files["strip"]))
    ]


def _settings(found: ComparisonResult) -> Rows:
    rows = [
        (name, f"{s['lr']:g}", f"{s['betas'][0]:g}", f"{s['betas'][1]:g}", str(s["n_critic"]))
        for name, s in found.settings.items()
        if s
    ]
    return [("setting", "learning rate", "β1", "β2", "n_critic"), *rows] if rows else []
