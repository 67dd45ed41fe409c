"""Page to pass on: one HTML file with samples, a morph, the curves and the card of a run."""

import tempfile
from pathlib import Path

from sngan.report.history import History
from sngan.report.share_page import write_share_page
from sngan.runs.export import export
from sngan.runs.records import iter_records
from sngan.runs.run import Run
from sngan.runs.saved_grids import saved_grids
from sngan.tasks.film import film
from sngan.tasks.morph import morph
from sngan.tasks.sharing.card import card_of

_SEEDS = (0, 1, 2, 3)
_FRAMES, _POINTS = 12, 2000


def write_page(run: Run, out: Path, *, name: str | None = None) -> None:
    """Write the page of a run: it needs no other file and no network.

    Parameters
    ----------
    run
        The run.
    out
        The file.
    name
        The name of the model; left out: that of the run's folder or file.

    Raises
    ------
    ValueError
        If another program's file is at ``out``.
    """
    is_of_images = len(run.config.model.sample_shape or ()) == 3
    is_folder = run.folder.is_dir()
    with tempfile.TemporaryDirectory() as place:
        grid, moving, still = (Path(place) / end for end in ("grid.png", "way.gif", "way.png"))
        export(run, grid, n=64 if is_of_images else _POINTS)
        if is_of_images:
            morph(run, _SEEDS, moving, frames=_FRAMES)
            morph(run, _SEEDS, still)
        elif is_folder and saved_grids(run.folder):
            film(run.folder, moving)
        pictures = [path.read_bytes() if path.is_file() else None for path in (grid, moving, still)]
    records = iter_records(run.folder) if is_folder else iter(())
    keys = ("critic_loss", "generator_loss", "w1", "w1_bound")
    write_share_page(
        out,
        card=card_of(run, name=name),
        pictures=pictures,
        history=History(records, keys=keys, groups=("evaluation",)),
        crisp=is_of_images,
    )
