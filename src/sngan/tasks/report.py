"""Report of a run or a comparison, written from its saved records."""

import logging
from pathlib import Path

from sngan.distributed import collectives
from sngan.report import COMPARISON, write_comparison, write_report
from sngan.runs.managed import ManagedRunFolder
from sngan.runs.weights import require_settings_of_weights
from sngan.utils.checks import require
from sngan.utils.text import first_line

_log = logging.getLogger("sngan")


def report(folder: str | Path) -> Path:
    """Write the page of a run or of a comparison again, from its saved records; return its path.

    Raises
    ------
    ValueError
        If the folder is neither of them, or ``config.yaml`` is another program's, or the settings
        of a run do not fit its weights, because somebody changed them.
    """
    folder = Path(folder)
    if (folder / COMPARISON).is_file():
        return write_comparison(folder)
    run = ManagedRunFolder(folder)
    require(
        run.config.is_file(), "run", expected=f"a run folder with {run.config.name}", got=folder
    )
    # a run that has just begun has only the list of its files, or its settings
    is_run = run.is_run() or run.has_only_begun()
    require(is_run, "run", expected="a folder that sngan made", got=f"{folder}, another program's")
    require_settings_of_weights(folder)
    return _write(run, is_live=False)


def try_report(folder: Path, *, is_live: bool = False) -> bool:
    """Write the page of a run; log an error instead of raising it. Return whether it was written.

    Parameters
    ----------
    folder
        The folder of the run.
    is_live
        Whether the run goes on, so that the page reloads itself.
    """
    # a run can fail before it has a folder
    run = ManagedRunFolder(folder)
    if not collectives.is_rank_zero() or not run.config.is_file():
        return False
    try:
        _write(run, is_live=is_live)
        return True
    except (OSError, ValueError) as error:
        # an error of the page must hide neither the result of a training nor its error
        _log.warning("no report: %s", first_line(error))
        return False


def _write(run: ManagedRunFolder, *, is_live: bool) -> Path:
    # a run of an earlier version may have no list
    if run.files.exists():
        run.files.claim(run.REPORT)
    return write_report(run.path, is_live=is_live)


def try_live_report(folder: Path) -> bool:
    """Write the page of a run that goes on, as :func:`try_report` does."""
    return try_report(folder, is_live=True)
