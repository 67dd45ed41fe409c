"""Evaluations in the report of a run: metrics over time, and results of ``sngan evaluate``."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from sngan.report.history import Series, is_number
from sngan.report.svg import draw_panels
from sngan.runs.model_file import without_folders
from sngan.utils.plotting import BLUE, GREY, RED
from sngan.utils.tables import NOTHING

Point = tuple[int, float]
Rows = list[Sequence[str]]
_ARROWS = {"higher": " ↑", "lower": " ↓"}
# a file of a stranger may have any number of results and metrics
_RESULTS, _METRICS = 4, 64


class OverTime(NamedTuple):
    """Metrics of a run while it trained: a table, a chart of the main one, charts of the others."""

    main: str
    table: Rows
    main_chart: str
    charts: str


class Evaluated(NamedTuple):
    """A result of ``sngan evaluate``: the conditions in words, and a table."""

    conditions: str
    table: Rows


def over_time(
    found: Mapping[str, Series], *, preferred: Sequence[str], real: Mapping[str, float]
) -> OverTime | None:
    """Return the metrics of a run over time; ``None`` if it has none.

    Parameters
    ----------
    found
        The curve of each metric.
    preferred
        The names of the main metric, best first; the first one that the run has counts.
    real
        The values of real samples against real ones, where they are known.
    """
    if not found:
        return None
    # this import takes half a second, which a page without evaluations should not pay
    from sngan.metrics.meaning import MEANINGS
    from sngan.metrics.result import direction

    main = next((name for name in preferred if name in found), next(iter(found)))
    names = [main, *(name for name in found if name != main)]
    best = {name: point for name in names if (point := _best(found[name], direction(name)))}
    titles = {name: name + _ARROWS.get(direction(name), "") for name in names}
    head = ("metric", "better", "last", "best", "real against real", "meaning")
    table: Rows = [head, *(
        (
            name,
            direction(name),
            f"{found[name].last[1]:.4g} at step {found[name].last[0]:,}",
            f"{best[name][1]:.4g} at step {best[name][0]:,}" if name in best else NOTHING,
            f"{real[name]:.4g}" if name in real else NOTHING,
            MEANINGS.get(name, ""),
        )
        for name in names
    )]  # fmt: skip

    def drawn(chart: str, chosen: Sequence[str]) -> str:
        series = {name: found[name] for name in chosen}
        return _chart(chart, series, best=best, real=real, titles=titles) if chosen else ""

    # a figure without a better direction, such as a standard error, is in the table alone
    others = [name for name in names[1:] if name in best]
    return OverTime(main, table, drawn("main-metric", names[:1]), drawn("metrics", others))


def best_of(series: Series, name: str) -> Point | None:
    """Return the step and the value of a metric's best value; ``None`` without a direction."""
    from sngan.metrics.result import direction

    return _best(series, direction(name))


def evaluated(results: Iterable[Mapping[str, Any]]) -> list[Evaluated]:
    """Return the newest results of ``sngan evaluate``, the last one first."""
    from sngan.metrics.meaning import MEANINGS
    from sngan.metrics.result import direction

    shown: list[Evaluated] = []
    for result in list(results)[: -_RESULTS - 1 : -1]:
        values, real = numbers(result.get("values")), numbers(result.get("real_against_real"))
        head = ("metric", "generated", "real against real", "better", "meaning")
        rows = [
            (
                name,
                f"{value:.4g}",
                f"{real[name]:.4g}" if name in real else NOTHING,
                direction(name),
                MEANINGS.get(name, ""),
            )
            for name, value in values.items()
        ]
        if rows:
            shown.append(Evaluated(_conditions(result), [head, *rows]))
    return shown


def real_against_real(results: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return the newest values of real samples that were measured as the run measured its own."""
    own = [one for one in results if one.get("is_own") is True]
    return numbers(own[-1].get("real_against_real")) if own else {}


def numbers(values: object) -> dict[str, float]:
    """The finite numbers of a mapping that anybody may have written."""
    if not isinstance(values, Mapping):
        return {}
    pairs = list(cast(Mapping[str, object], values).items())[:_METRICS]
    return {name: value for name, value in pairs if is_number(value)}


def _chart(
    name: str,
    series: Mapping[str, Series],
    *,
    best: Mapping[str, tuple[int, float]],
    real: Mapping[str, float],
    titles: Mapping[str, str],
) -> str:
    """Draw each metric in a panel of its own, with its best value and that of real samples."""
    by_title = {titles[metric]: metric for metric in series}

    def draw(axes: Any, title: str) -> None:
        metric = by_title[title]
        steps, values = zip(*series[metric].points(), strict=True)
        axes.set(xlabel="generator step")
        axes.plot(steps, values, color=BLUE, linewidth=1.4, marker=".", markersize=3)
        if metric in best:
            step, value = best[metric]
            axes.plot([step], [value], "o", color=RED, markersize=5, label="best")
            axes.annotate(f"step {step:,}", (step, value), xytext=(0, 6), fontsize=7,
                          textcoords="offset points", ha="center")  # fmt: skip
        if metric in real:
            axes.axhline(real[metric], color=GREY, linewidth=1, linestyle=":",
                         label="real against real")  # fmt: skip
        axes.margins(y=0.15)

    return draw_panels(name, list(by_title), draw)


def _best(series: Series, better: str) -> Point | None:
    return {"higher": series.largest, "lower": series.least}.get(better)


def _conditions(result: Mapping[str, Any]) -> str:
    keys = ("n_generated", "n_real", "source", "extractor", "n_real_against_real")
    generated, real, source, extractor, each = (result.get(key, "?") for key in keys)
    data = without_folders(str(source))
    return (
        f"{generated} generated against {real} real samples of {data}, by {extractor}. "
        f"Real against real: {each} samples on each side."
    )
