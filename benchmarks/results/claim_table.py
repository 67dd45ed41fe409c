"""Tables and box plots of the claim of Miyato et al. 2018 over the settings A to F."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

from benchmarks.results.records import Record
from benchmarks.results.tables import mean_and_error, table
from sngan.utils.plotting import colour, new_figure, save_figure, thin_grid

SETTINGS = "ABCDEF"
PICTURE = "claim.png"
_STYLE = Path(__file__).parents[2] / "website" / "matplotlibrc"


def values(
    records: Sequence[Record], metric: str, *, method: str, setting: str | None = None
) -> list[float]:
    """The values of a metric over seeds and, if no setting is named, over settings; none failed."""
    return [
        record.result[metric]
        for record in records
        if record.settings["method"] == method
        and setting in (None, record.settings["setting"])
        and record.result[metric] is not None
    ]


def main_table(records: Sequence[Record], methods: Sequence[str], metric: str) -> str:
    """One row a method: its mean under each setting, its best in bold, and the median of all."""
    rows = []
    for method in methods:
        found = {s: values(records, metric, method=method, setting=s) for s in SETTINGS}
        best = best_setting(records, method, metric)
        cells = {s: mean_and_error(found[s], ".2f") for s in SETTINGS}
        if best:
            cells[best] = f"**{cells[best]}**"
        everything = values(records, metric, method=method)
        middle = f"{statistics.median(everything):.2f}" if everything else "–"
        rows.append([f"`{method}`", *cells.values(), middle, _robust(found, metric)])
    return table(["", *SETTINGS, "median", "settings near the best"], rows)


def _robust(found: dict[str, list[float]], metric: str) -> str:
    """How many of the measured settings have a mean near the best one: 2 times, or 90 %."""
    means = [statistics.fmean(numbers) for numbers in found.values() if numbers]
    if not means:
        return "–"
    if metric == "frechet":
        near = [mean <= 2 * min(means) for mean in means]
    else:
        near = [mean >= 0.9 * max(means) for mean in means]
    return f"{sum(near)} of {len(means)}"


def best_setting(records: Sequence[Record], method: str, metric: str) -> str | None:
    """The setting with the best mean of a method."""
    found = {s: values(records, metric, method=method, setting=s) for s in SETTINGS}
    means = {s: statistics.fmean(numbers) for s, numbers in found.items() if numbers}
    if not means:
        return None
    return (min if metric == "frechet" else max)(means, key=lambda s: means[s])


def convergence_table(records: Sequence[Record], methods: Sequence[str]) -> str:
    """Fréchet along the runs of each method's best setting, and of its moving average."""
    rows = []
    for method in methods:
        best = best_setting(records, method, "frechet")
        runs = [
            record.result["marks"]
            for record in records
            if (record.settings["method"], record.settings["setting"]) == (method, best)
            and record.result["frechet"] is not None
        ]
        if not runs:
            continue
        columns = [[marks[index]["frechet"] for marks in runs] for index in range(4)]
        columns.append([marks[-1]["ema"]["frechet"] for marks in runs])
        rows.append([method, str(best), *(mean_and_error(column, ".2f") for column in columns)])
    head = ["", "best setting", "at 1/3", "1/2", "3/4", "end", "end, moving average"]
    return table(head, rows)


@mpl.rc_context(fname=_STYLE)
def draw(records: Sequence[Record], methods: Sequence[str], folder: Path) -> None:
    """Draw the boxes of each method over settings and seeds, and each run as a letter."""
    figure = new_figure(7.2, 7.6, dpi=120)
    panels = [("frechet", "Fréchet distance (lower is better)"),
              ("inception_score", "domain Inception Score (higher is better)")]  # fmt: skip
    for place, (metric, title) in enumerate(panels, 1):
        axes = figure.add_subplot(2, 1, place)
        columns = [values(records, metric, method=method) for method in methods]
        axes.boxplot(columns, widths=0.55, showfliers=False, medianprops={"lw": 1.5})
        for record in records:
            value = record.result[metric]
            if value is None or record.settings["method"] not in methods:
                continue
            setting = SETTINGS.index(record.settings["setting"])
            x = 1 + methods.index(record.settings["method"]) + (setting - 2.5) * 0.12
            axes.text(x, value, SETTINGS[setting], color=colour(setting), fontsize=8,
                      ha="center", va="center")  # fmt: skip
        if metric == "frechet":
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("")
        axes.set_xticks(range(1, len(methods) + 1), methods, fontsize=9)
        axes.set_title(title, fontsize=10, loc="left")
        thin_grid(axes)
    save_figure(figure, folder / PICTURE)
