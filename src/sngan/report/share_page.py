"""Page about a generator for people who did not train it, from facts and pictures."""

from collections.abc import Sequence
from pathlib import Path

from sngan.report.card import LIMITS, Card
from sngan.report.charts import Chart, bands, curves
from sngan.report.history import History
from sngan.report.rendering import data_uri, write_page


def write_share_page(
    path: Path,
    *,
    card: Card,
    pictures: Sequence[bytes | None],
    history: History,
    crisp: bool,
) -> None:
    """Write the page in one piece.

    Parameters
    ----------
    path
        The file.
    card
        The facts about the model.
    pictures
        A PNG of samples, a moving picture, and a PNG for readers who want no motion; a part may
        be missing.
    history
        The records of the run.
    crisp
        Whether the pictures are enlarged without smoothing.

    Raises
    ------
    ValueError
        If another program's file is at ``path``.
    """
    grid, moving, still = (None if one is None else data_uri(one) for one in pictures)
    write_page(
        path,
        "share.html",
        card=card,
        limits=LIMITS,
        grid=grid,
        moving=moving,
        still=still or grid,
        charts=_charts(history),
        crisp=crisp,
    )


def _charts(history: History) -> list[Chart]:
    charts: list[Chart] = []
    found = history.groups["evaluation"]
    if found:
        panels = {
            name: {"this run": [(step, value, value, value) for step, value in one.points()]}
            for name, one in found.items()
        }
        text = "Samples compared with the data while the run trained."
        svg = bands("evaluation", panels, labels=["this run"], ylabel="")
        charts.append(Chart("Evaluation over time", text, svg))
    for title, caption, keys in (
        (
            "Wasserstein distance, proved",
            "Between real and generated points, and the lower bound that the critic proves.",
            {"exact W1": "w1", "the critic's bound": "w1_bound"},
        ),
        (
            "Losses",
            "In a healthy run neither loss grows without end. The height of a GAN's losses says "
            "little about the quality of its samples.",
            {"critic": "critic_loss", "generator": "generator_loss"},
        ),
    ):
        series = {name: history.series[key] for name, key in keys.items() if key in history.series}
        if series:
            charts.append(Chart(title, caption, curves(title.split()[0], series, ylabel="")))
    return charts
